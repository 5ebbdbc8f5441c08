//! The wrapping that models put around an answer: dollars, boxes, bold, a full stop.

/// The longest answer compared as text.
pub(crate) const MAX_TEXT: usize = 20_000;

/// Pairs of delimiters that mean nothing around a whole answer.
const WRAPS: &[(&str, &str)] = &[
    ("$$", "$$"),
    ("$", "$"),
    ("\\(", "\\)"),
    ("\\[", "\\]"),
    ("**", "**"),
    ("`", "`"),
    ("\"", "\""),
    ("“", "”"),
    ("'", "'"),
    ("\\boxed{", "}"),
    ("\\fbox{", "}"),
    ("\\displaystyle", ""),
];

/// The answer without what is wrapped around it.
pub(crate) fn cleaned(answer: &str) -> &str {
    let mut text = trimmed(answer);
    // Wraps nest at most a few deep in anything honest.
    for _ in 0..8 {
        let Some(inner) = WRAPS.iter().find_map(|wrap| unwrapped(text, wrap)) else { break };
        text = trimmed(inner);
    }
    text
}

fn trimmed(text: &str) -> &str {
    let text = text.trim().trim_start_matches([':', ',']).trim_end_matches([',', ';', ':', '。']).trim();
    let text = match text.strip_suffix('.') {
        Some(rest) if !rest.ends_with('.') && !rest.ends_with("\\left") && !rest.ends_with("\\right") => {
            rest.trim_end()
        }
        _ => text,
    };
    ["\\!", "\\,", "\\;", "\\\\", "\\ "].iter().fold(text, |t, s| t.strip_suffix(s).unwrap_or(t)).trim()
}

fn unwrapped<'a>(text: &'a str, (open, close): &(&str, &str)) -> Option<&'a str> {
    let inner = text.strip_prefix(open)?.strip_suffix(close)?;
    let whole = match *close {
        "}" => balanced(inner),
        "" => true,
        close => !inner.contains(close) && !inner.contains(open),
    };
    (whole && !inner.is_empty()).then_some(inner)
}

/// What stands before a reason that the answer brings along: `x = 4, \text{ because } x > 0`.
pub(crate) fn without_reason(answer: &str) -> Option<&str> {
    let start =
        ["because", "since"].iter().filter_map(|word| answer.find(word)).min().filter(|at| *at > 0)?;
    let head = answer[..start].trim_end().trim_end_matches("\\text{").trim_end_matches([',', ' ', '(', '\\']);
    (!head.is_empty()).then_some(cleaned(head))
}

/// Whether no brace closes more than was opened.
fn balanced(text: &str) -> bool {
    let mut depth = 0i32;
    for c in text.chars() {
        depth += i32::from(c == '{') - i32::from(c == '}');
        if depth < 0 {
            return false;
        }
    }
    depth == 0
}

/// The answer without text commands and dollars, for comparison as text.
pub(crate) fn plain(text: &str) -> String {
    let mut out = String::with_capacity(text.len());
    let mut rest = text;
    while let Some(c) = rest.chars().next() {
        let command = ["\\textbf{", "\\text{", "\\mbox{", "\\mathrm{", "\\textit{", "\\textrm{"];
        if let Some(name) = command.iter().find(|name| rest.starts_with(**name)) {
            let body = &rest[name.len()..];
            let end = body.find('}').unwrap_or(body.len());
            out.push_str(&body[..end]);
            rest = body.get(end + 1..).unwrap_or("");
            continue;
        }
        if c != '$' && c != '*' || (c == '*' && !rest.starts_with("**")) {
            out.push(c);
        }
        rest = &rest[c.len_utf8()..];
    }
    out.trim().to_string()
}
