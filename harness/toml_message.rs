//! What is wrong with a TOML file, in one line and in a person's words.

/// What the reader calls kinds of values, and what a person calls them; longer names first.
const WORDS: [(&str, &str); 10] = [
    ("a borrowed string", "a text"),
    ("a string", "a text"),
    ("a sequence", "a list"),
    ("a map", "a table"),
    ("floating point", "number"),
    ("usize", "a count"),
    ("u64", "a count"),
    ("u32", "a count"),
    ("f64", "a number"),
    ("enum ", "one of "),
];

/// A TOML error in one line.
pub(crate) fn toml_message(text: &str, error: &toml::de::Error) -> String {
    let message = plain(error.message().lines().next().unwrap_or_default());
    match error.span() {
        Some(span) => {
            format!("line {}: {message}", text[..span.start.min(text.len())].matches('\n').count() + 1)
        }
        None => message,
    }
}

/// The message without the names of types, which stand behind `expected`.
fn plain(message: &str) -> String {
    let Some((found, expected)) = message.rsplit_once("expected ") else { return message.to_owned() };
    let is_structure = expected.starts_with("struct ") || expected.contains(" struct ");
    if is_structure {
        return format!("{found}expected a table");
    }
    let expected =
        WORDS.iter().fold(expected.to_owned(), |text, (of_type, word)| text.replace(of_type, word));
    format!("{found}expected {expected}")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn types_are_named_as_people_name_them() {
        for (message, said) in [
            ("invalid value: integer `-1`, expected u32", "invalid value: integer `-1`, expected a count"),
            (
                "invalid type: string \"x\", expected struct Price",
                "invalid type: string \"x\", expected a table",
            ),
            ("invalid type: integer `1`, expected a sequence", "invalid type: integer `1`, expected a list"),
            ("unknown field `a`, expected `b` or `c`", "unknown field `a`, expected `b` or `c`"),
        ] {
            assert_eq!(plain(message), said);
        }
    }
}
