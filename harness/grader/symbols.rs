//! The names of signs, functions and constants in LaTeX, unicode and plain text.
//!
//! A sign is one character, whatever it was written as: `-` also for `−`, `·` for `\cdot`, `∪` for `\cup`, `⟦ ⟧`
//! for `\{ \}`, `⟨ ⟩` for `\langle \rangle`, `°` for degrees, `⏎` for a matrix row's end.

use super::token::Token;
use super::tree::Function;
use super::units::Unit;

/// What a character or command stands for.
pub(crate) enum Meaning {
    Skip,
    Space,
    Sign(char),
    Superscript(&'static str),
    Subscript(&'static str),
    Vulgar(&'static str, &'static str),
    Token(Token),
}

/// Two characters that are one sign.
pub(crate) fn pair(first: char, second: char) -> Option<char> {
    Some(match (first, second) {
        ('<', '=') | ('=', '<') => '≤',
        ('>', '=') => '≥',
        ('!', '=') | ('<', '>') => '≠',
        ('=', '=') => '=',
        ('-', '>') => '→',
        _ => return None,
    })
}

/// The meaning of one character that is no letter, digit or space.
pub(crate) fn of_char(c: char) -> Option<Meaning> {
    use Meaning::{Sign, Skip, Subscript, Superscript, Vulgar};
    Some(match c {
        '+' | '-' | '/' | '^' | '_' | '(' | ')' | '[' | ']' | '{' | '}' | ',' | ';' | ':' | '=' | '<'
        | '>' | '!' | '%' | '|' | '&' | '°' | '…' | '∞' | '±' | '∓' | '∪' | '∩' | '∈' | '≤' | '≥' | '≠'
        | '≈' | '→' => Sign(c),
        '*' | '·' | '⋅' | '×' | '∙' | '•' | '∗' => Sign('·'),
        '−' | '–' | '—' | '‐' | '‑' => Sign('-'),
        '÷' | '⁄' | '∕' => Sign('/'),
        '∅' => Sign('∅'),
        'ℝ' => Sign('ℝ'),
        '∖' => Sign('∖'),
        '⩽' => Sign('≤'),
        '⩾' => Sign('≥'),
        '\'' | '′' | '’' => Sign('′'),
        '.' => Sign('.'),
        '`' | '"' | '“' | '”' | '‘' | '\u{200b}' | '\u{feff}' | '\u{2062}' | '\u{2061}' => Skip,
        '√' => Meaning::Token(Token::Root(Some(2))),
        '∛' => Meaning::Token(Token::Root(Some(3))),
        '∜' => Meaning::Token(Token::Root(Some(4))),
        'π' => Sign('π'),
        '€' | '£' | '¥' | '₹' => Meaning::Token(Token::Currency(c)),
        '⁰' => Superscript("0"),
        '¹' => Superscript("1"),
        '²' => Superscript("2"),
        '³' => Superscript("3"),
        '⁴' => Superscript("4"),
        '⁵' => Superscript("5"),
        '⁶' => Superscript("6"),
        '⁷' => Superscript("7"),
        '⁸' => Superscript("8"),
        '⁹' => Superscript("9"),
        'ⁿ' => Superscript("n"),
        '⁻' => Superscript("-"),
        '₀' => Subscript("0"),
        '₁' => Subscript("1"),
        '₂' => Subscript("2"),
        '₃' => Subscript("3"),
        '₄' => Subscript("4"),
        '₅' => Subscript("5"),
        '₆' => Subscript("6"),
        '₇' => Subscript("7"),
        '₈' => Subscript("8"),
        '₉' => Subscript("9"),
        '½' => Vulgar("1", "2"),
        '⅓' => Vulgar("1", "3"),
        '⅔' => Vulgar("2", "3"),
        '¼' => Vulgar("1", "4"),
        '¾' => Vulgar("3", "4"),
        '⅕' => Vulgar("1", "5"),
        '⅖' => Vulgar("2", "5"),
        '⅗' => Vulgar("3", "5"),
        '⅘' => Vulgar("4", "5"),
        '⅙' => Vulgar("1", "6"),
        '⅚' => Vulgar("5", "6"),
        '⅛' => Vulgar("1", "8"),
        '⅜' => Vulgar("3", "8"),
        '⅝' => Vulgar("5", "8"),
        '⅞' => Vulgar("7", "8"),
        c if c.is_alphabetic() => Meaning::Token(match greek_name(c) {
            Some(name) => Token::Letter(name.into()),
            None => Token::Word(c.to_string()),
        }),
        _ => return None,
    })
}

const GREEK: &[(&str, char)] = &[
    ("alpha", 'α'),
    ("beta", 'β'),
    ("gamma", 'γ'),
    ("delta", 'δ'),
    ("epsilon", 'ε'),
    ("zeta", 'ζ'),
    ("eta", 'η'),
    ("theta", 'θ'),
    ("iota", 'ι'),
    ("kappa", 'κ'),
    ("lambda", 'λ'),
    ("mu", 'μ'),
    ("nu", 'ν'),
    ("xi", 'ξ'),
    ("rho", 'ρ'),
    ("sigma", 'σ'),
    ("tau", 'τ'),
    ("upsilon", 'υ'),
    ("phi", 'φ'),
    ("chi", 'χ'),
    ("psi", 'ψ'),
    ("omega", 'ω'),
    ("Gamma", 'Γ'),
    ("Delta", 'Δ'),
    ("Theta", 'Θ'),
    ("Lambda", 'Λ'),
    ("Xi", 'Ξ'),
    ("Sigma", 'Σ'),
    ("Phi", 'Φ'),
    ("Psi", 'Ψ'),
    ("Omega", 'Ω'),
    ("ell", 'ℓ'),
];

fn greek_name(c: char) -> Option<&'static str> {
    GREEK.iter().find(|g| g.1 == c).map(|g| g.0)
}

/// Whether a command's argument is words or symbols in another typeface.
pub(crate) fn is_text(name: &str) -> bool {
    [
        "text",
        "mbox",
        "textbf",
        "textit",
        "textrm",
        "textnormal",
        "mathrm",
        "hbox",
        "textsf",
        "emph",
        "operatorname",
    ]
    .contains(&name)
}

/// The meaning of a command that is a backslash and letters.
pub(crate) fn of_command(name: &str) -> Option<Meaning> {
    use Meaning::{Sign, Skip, Space};
    if let Some(function) = function(name) {
        return Some(Meaning::Token(Token::Function(function)));
    }
    if let Some(row) = GREEK.iter().find(|g| g.0 == name) {
        return Some(Meaning::Token(Token::Letter(row.0.into())));
    }
    Some(match name {
        "frac" | "dfrac" | "tfrac" | "cfrac" | "nicefrac" | "sfrac" => Meaning::Token(Token::Fraction),
        "sqrt" => Meaning::Token(Token::Root(None)),
        "binom" | "dbinom" | "tbinom" => Meaning::Token(Token::Binomial),
        "overline" | "bar" => Meaning::Token(Token::Overline),
        "varphi" => Meaning::Token(Token::Letter("phi".into())),
        "varepsilon" => Meaning::Token(Token::Letter("epsilon".into())),
        "pi" => Sign('π'),
        "infty" => Sign('∞'),
        "cdot" | "times" | "ast" | "bullet" => Sign('·'),
        "div" => Sign('/'),
        "pm" => Sign('±'),
        "mp" => Sign('∓'),
        "cup" | "bigcup" => Sign('∪'),
        "cap" => Sign('∩'),
        "setminus" | "backslash" | "smallsetminus" => Sign('∖'),
        "in" => Sign('∈'),
        "le" | "leq" | "leqslant" => Sign('≤'),
        "ge" | "geq" | "geqslant" => Sign('≥'),
        "lt" => Sign('<'),
        "gt" => Sign('>'),
        "ne" | "neq" => Sign('≠'),
        "approx" | "simeq" => Sign('≈'),
        "circ" | "degree" | "degrees" => Sign('°'),
        "prime" => Sign('′'),
        "emptyset" | "varnothing" => Sign('∅'),
        "to" | "rightarrow" | "mapsto" | "implies" | "Rightarrow" => Sign('→'),
        "lbrace" => Sign('⟦'),
        "rbrace" => Sign('⟧'),
        "langle" => Sign('⟨'),
        "rangle" => Sign('⟩'),
        "lfloor" => Sign('⌊'),
        "rfloor" => Sign('⌋'),
        "lceil" => Sign('⌈'),
        "rceil" => Sign('⌉'),
        "lvert" | "rvert" | "vert" | "mid" => Sign('|'),
        "ldots" | "dots" | "cdots" | "dotsc" | "dotsb" => Sign('…'),
        "colon" => Sign(':'),
        "lor" | "vee" => Meaning::Token(Token::Word("or".into())),
        "land" | "wedge" => Meaning::Token(Token::Word("and".into())),
        "pounds" => Meaning::Token(Token::Currency('£')),
        "euro" => Meaning::Token(Token::Currency('€')),
        "textdollar" => Meaning::Token(Token::Currency('$')),
        "mathbb" | "mathbf" | "boldsymbol" | "bm" | "mathit" | "mathsf" | "mathcal" | "vec" | "hat"
        | "widehat" | "overrightarrow" | "boxed" | "fbox" | "displaystyle" | "textstyle" | "limits"
        | "big" | "Big" | "bigg" | "Bigg" | "bigl" | "bigr" | "Bigl" | "Bigr" | "biggl" | "biggr"
        | "middle" | "phantom" | "underline" | "angle" | "triangle" | "ensuremath" | "mathop" | "not" => Skip,
        "sum" => Sign('Σ'),
        "prod" => Sign('Π'),
        "int" => Sign('∫'),
        "lim" => Sign('⇝'),
        "quad" | "qquad" | "space" | "thinspace" => Space,
        _ => return None,
    })
}

/// The function of this name.
pub(crate) fn function(name: &str) -> Option<Function> {
    use Function as F;
    Some(match name {
        "sin" => F::Sin,
        "cos" => F::Cos,
        "tan" | "tg" => F::Tan,
        "cot" | "ctg" => F::Cot,
        "sec" => F::Sec,
        "csc" | "cosec" => F::Csc,
        "arcsin" | "asin" => F::Asin,
        "arccos" | "acos" => F::Acos,
        "arctan" | "atan" => F::Atan,
        "sinh" => F::Sinh,
        "cosh" => F::Cosh,
        "tanh" => F::Tanh,
        "exp" => F::Exp,
        "ln" => F::Ln,
        "log" | "lg" => F::Log,
        "abs" => F::Abs,
        "floor" => F::Floor,
        "ceil" => F::Ceil,
        "gcd" => F::Gcd,
        "lcm" => F::Lcm,
        "max" => F::Max,
        "min" => F::Min,
        _ => return None,
    })
}

/// Words of two or three letters that are no products of variables.
const WORDS: &[&str] = &[
    "or", "and", "the", "one", "two", "six", "ten", "yes", "no", "odd", "all", "is", "are", "per", "to",
    "of", "by", "an", "at", "day", "am", "pm", "dne", "red", "not", "for", "any", "if", "it", "mod", "hat",
    "cat", "dog", "mph",
];

/// Splits a run of letters outside `\text` into functions, words or variables.
pub(crate) fn letters(run: &str, after_number: bool, out: &mut Vec<Token>) {
    let lower = run.to_lowercase();
    let length = run.chars().count();
    if length == 1 {
        out.push(Token::Letter(run.into()));
    } else if after_number && run == "min" {
        out.push(Token::Word(run.into()));
    } else if let Some(token) = named(run) {
        out.push(token);
    } else if (after_number && (length == 2 || length > 3) && Unit::named(run).is_some())
        || WORDS.contains(&lower.as_str())
    {
        out.push(Token::Word(run.into()));
    } else if let Some((token, rest)) = function_prefix(run) {
        out.push(token);
        out.extend(rest.chars().map(|c| Token::Letter(c.to_string())));
    } else if length <= 3 && run.chars().all(|c| c.is_ascii_lowercase()) {
        out.extend(run.chars().map(|c| Token::Letter(c.to_string())));
    } else {
        out.push(Token::Word(run.into()));
    }
}

fn named(run: &str) -> Option<Token> {
    match run {
        "pi" | "Pi" => Some(Token::Sign('π')),
        "sqrt" => Some(Token::Root(Some(2))),
        "cbrt" => Some(Token::Root(Some(3))),
        "inf" | "infty" | "infinity" | "Infinity" => Some(Token::Sign('∞')),
        _ => greek_word(run).or_else(|| function(run).map(Token::Function)),
    }
}

fn greek_word(run: &str) -> Option<Token> {
    GREEK.iter().find(|g| g.0 == run && run.len() > 2).map(|g| Token::Letter(g.0.into()))
}

/// `cosx` and `lnab`: a function's name and at most two variables; `xcos` is left alone.
fn function_prefix(run: &str) -> Option<(Token, &str)> {
    if run.len() > 8 || !run.is_ascii() {
        return None;
    }
    for cut in [run.len() - 1, run.len().saturating_sub(2)] {
        let (head, rest) = run.split_at(cut);
        if head == "pi" {
            return Some((Token::Sign('π'), rest));
        }
        if let Some(token) = function(head).filter(|_| head.len() >= 2 && head != "tg" && head != "lg") {
            return Some((Token::Function(token), rest));
        }
    }
    None
}
