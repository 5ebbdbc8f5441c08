//! Making a template's operators report what they make.
//!
//! `x ~ x`, forty times, is a terabyte in two hundred steps. So before a template runs, every operator that can make
//! text longer is wrapped in calls to [`GROWN`]: `a ~ b` becomes `GROWN(GROWN(a) ~ GROWN(b))`. The calls return
//! their argument and weigh it, the operands too because `~` prints lists and dicts. The wrapping is done on the
//! source, at the places the parser reports, so the template means what it meant.

use minijinja::machinery::{Span, Token, WhitespaceConfig, ast, parse, tokenize};

use super::ChatError;
use super::budget::{MAX_STEPS, MAX_TOTAL_BYTES, in_thread};

/// The function that instrumented templates call.
pub(super) const GROWN: &str = "__isocost_grown";
/// A template's source; the longest published ones have 20 kB.
const MAX_SOURCE_BYTES: usize = 1 << 17;

/// Checks that a template parses; gives its instrumented form and its allowance of steps.
pub(super) fn instrument(source: &str) -> Result<(String, u64), ChatError> {
    let source = source.to_owned();
    in_thread(move || instrumented(&source))
}

fn instrumented(source: &str) -> Result<(String, u64), ChatError> {
    if source.len() > MAX_SOURCE_BYTES {
        return Err(ChatError::Syntax(format!("{} bytes is too long for a chat template", source.len())));
    }
    let source = without_generation_blocks(source);
    let tree = parse(&source, "chat_template", Default::default(), whitespace())
        .map_err(|error| ChatError::Syntax(error.to_string()))?;
    let tokens = tokenize(&source, false, Default::default(), whitespace());
    let tokens = tokens.filter_map(Result::ok).map(|(token, span)| (Shape::of(&token), span)).collect();
    let mut walk = Walk { tokens, wrapped: Vec::new(), longest_raw: 256 };
    walk.statement(&tree);
    // Literal text emitted into a captured block is seen by no callback: steps x longest stretch bounds it.
    let steps = (MAX_TOTAL_BYTES / walk.longest_raw as u64).min(MAX_STEPS);
    Ok((walk.rewrite(&source), steps))
}

/// The settings of `transformers`: a block tag eats the newline after it and the indentation before it.
pub(super) fn whitespace() -> WhitespaceConfig {
    WhitespaceConfig { keep_trailing_newline: false, lstrip_blocks: true, trim_blocks: true }
}

/// `{% generation %}` marks what the model wrote, for training; in a prompt its body stands for itself.
fn without_generation_blocks(source: &str) -> String {
    let mut out = String::with_capacity(source.len());
    let mut rest = source;
    while let Some((before, tag, after)) = next_block(rest) {
        out.push_str(before);
        let inner = tag.trim_start_matches(['-', '+']).trim_end_matches(['-', '+']);
        match inner.trim() {
            "generation" => out.push_str(&format!("{{%{}%}}", tag.replacen("generation", "if true", 1))),
            "endgeneration" => out.push_str(&format!("{{%{}%}}", tag.replacen("endgeneration", "endif", 1))),
            _ => out.push_str(&format!("{{%{tag}%}}")),
        }
        rest = after;
    }
    out.push_str(rest);
    out
}

fn next_block(source: &str) -> Option<(&str, &str, &str)> {
    let (before, rest) = source.split_once("{%")?;
    let (tag, after) = rest.split_once("%}")?;
    Some((before, tag, after))
}

/// What a token is to the search for an operator.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Shape {
    Opens,
    Closes,
    Add,
    Concat,
    Mul,
    Other,
}

impl Shape {
    fn of(token: &Token<'_>) -> Self {
        match token {
            Token::ParenOpen | Token::BracketOpen | Token::BraceOpen => Self::Opens,
            Token::ParenClose | Token::BracketClose | Token::BraceClose => Self::Closes,
            Token::Plus => Self::Add,
            Token::Tilde => Self::Concat,
            Token::Mul => Self::Mul,
            _ => Self::Other,
        }
    }
}

/// Collects the stretches of source to wrap.
struct Walk {
    tokens: Vec<(Shape, Span)>,
    wrapped: Vec<(u32, u32)>,
    longest_raw: usize,
}

impl Walk {
    /// Inserts the calls. At one place, calls close before others open, and the longest opens first.
    fn rewrite(mut self, source: &str) -> String {
        self.wrapped.sort_unstable();
        self.wrapped.dedup();
        let opens = self.wrapped.iter().map(|&(start, end)| (start, true, u32::MAX - end));
        let closes = self.wrapped.iter().map(|&(_, end)| (end, false, 0));
        let mut edits: Vec<_> = opens.chain(closes).collect();
        edits.sort_unstable();
        let (mut out, mut done) = (String::with_capacity(source.len() * 2), 0);
        for (offset, opens, _) in edits {
            out.push_str(source.get(done..offset as usize).unwrap_or_default());
            done = offset as usize;
            if opens { out.push_str(&format!("{GROWN}(")) } else { out.push(')') }
        }
        out.push_str(source.get(done..).unwrap_or_default());
        out
    }

    /// Marks an operation and its operands, if it is one that makes text.
    fn wrap(&mut self, op: ast::BinOpKind, span: Span) {
        let shape = match op {
            ast::BinOpKind::Add => Shape::Add,
            ast::BinOpKind::Concat => Shape::Concat,
            ast::BinOpKind::Mul => Shape::Mul,
            _ => return,
        };
        self.wrapped.push((span.start_offset, span.end_offset));
        if let Some(operator) = self.operator(shape, span) {
            self.wrapped.push((span.start_offset, operator.start_offset));
            self.wrapped.push((operator.end_offset, span.end_offset));
        }
    }

    /// The operator of a left-associative operation: the last one of its kind that no bracket encloses.
    fn operator(&self, shape: Shape, span: Span) -> Option<Span> {
        let end = self.tokens.partition_point(|(_, token)| token.end_offset <= span.end_offset);
        let mut depth = 0;
        for (token, place) in self.tokens[..end].iter().rev() {
            match token {
                _ if place.start_offset < span.start_offset => return None,
                Shape::Closes => depth += 1,
                Shape::Opens => depth -= 1,
                token if *token == shape && depth == 0 => return Some(*place),
                _ => {}
            }
        }
        None
    }

    fn body(&mut self, statements: &[ast::Stmt<'_>]) {
        statements.iter().for_each(|statement| self.statement(statement));
    }

    fn statement(&mut self, statement: &ast::Stmt<'_>) {
        match statement {
            ast::Stmt::Template(node) => self.body(&node.children),
            ast::Stmt::EmitExpr(node) => self.expr(&node.expr),
            ast::Stmt::EmitRaw(node) => self.longest_raw = self.longest_raw.max(node.raw.len()),
            ast::Stmt::ForLoop(node) => {
                self.expr(&node.iter);
                node.filter_expr.iter().for_each(|expr| self.expr(expr));
                self.body(&node.body);
                self.body(&node.else_body);
            }
            ast::Stmt::IfCond(node) => {
                self.expr(&node.expr);
                self.body(&node.true_body);
                self.body(&node.false_body);
            }
            ast::Stmt::WithBlock(node) => {
                node.assignments.iter().for_each(|(_, value)| self.expr(value));
                self.body(&node.body);
            }
            ast::Stmt::Set(node) => self.expr(&node.expr),
            ast::Stmt::SetBlock(node) => {
                node.filter.iter().for_each(|filter| self.expr(filter));
                self.body(&node.body);
            }
            ast::Stmt::AutoEscape(node) => self.body(&node.body),
            ast::Stmt::FilterBlock(node) => {
                self.expr(&node.filter);
                self.body(&node.body);
            }
            ast::Stmt::Macro(node) => {
                node.defaults.iter().for_each(|expr| self.expr(expr));
                self.body(&node.body);
            }
            ast::Stmt::CallBlock(node) => {
                self.call(&node.call);
                self.body(&node.macro_decl.body);
            }
            ast::Stmt::Do(node) => self.call(&node.call),
            _ => {}
        }
    }

    fn expr(&mut self, expr: &ast::Expr<'_>) {
        match expr {
            ast::Expr::BinOp(node) => {
                self.wrap(node.op, node.span());
                self.expr(&node.left);
                self.expr(&node.right);
            }
            ast::Expr::Compare(node) => {
                self.expr(&node.expr);
                node.ops.iter().for_each(|op| self.expr(&op.expr));
            }
            ast::Expr::UnaryOp(node) => self.expr(&node.expr),
            ast::Expr::Slice(node) => {
                self.expr(&node.expr);
                [&node.start, &node.stop, &node.step].into_iter().flatten().for_each(|part| self.expr(part));
            }
            ast::Expr::IfExpr(node) => {
                self.expr(&node.test_expr);
                self.expr(&node.true_expr);
                node.false_expr.iter().for_each(|expr| self.expr(expr));
            }
            ast::Expr::Filter(node) => {
                node.expr.iter().for_each(|expr| self.expr(expr));
                self.args(&node.args);
            }
            ast::Expr::Test(node) => {
                self.expr(&node.expr);
                self.args(&node.args);
            }
            ast::Expr::GetAttr(node) => self.expr(&node.expr),
            ast::Expr::GetItem(node) => {
                self.expr(&node.expr);
                self.expr(&node.subscript_expr);
            }
            ast::Expr::Call(node) => self.call(node),
            ast::Expr::List(node) => node.items.iter().for_each(|item| self.expr(item)),
            ast::Expr::Map(node) => node.keys.iter().chain(&node.values).for_each(|part| self.expr(part)),
            ast::Expr::Var(_) | ast::Expr::Const(_) => {}
        }
    }

    fn call(&mut self, call: &ast::Call<'_>) {
        self.expr(&call.expr);
        self.args(&call.args);
    }

    fn args(&mut self, args: &[ast::CallArg<'_>]) {
        for arg in args {
            match arg {
                ast::CallArg::Pos(expr)
                | ast::CallArg::Kwarg(_, expr)
                | ast::CallArg::PosSplat(expr)
                | ast::CallArg::KwargSplat(expr) => self.expr(expr),
            }
        }
    }
}
