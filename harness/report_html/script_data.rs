//! Data inside a page: JSON in which nothing can end the element that holds it.

use serde::Serialize;

/// JSON for a `<script type="application/json">`: no `<`, `>`, `&` and no line separators stand in it as themselves.
pub(super) fn json(value: &impl Serialize) -> String {
    let plain = serde_json::to_string(value).unwrap_or_else(|_| "null".into());
    let mut safe = String::with_capacity(plain.len());
    for character in plain.chars() {
        match character {
            '<' | '>' | '&' | '\u{2028}' | '\u{2029}' => {
                safe.push_str(&format!("\\u{:04x}", u32::from(character)))
            }
            other => safe.push(other),
        }
    }
    safe
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_text_cannot_end_its_script_and_is_read_back_as_it_was() {
        let text = "</script><!--<script>&amp;\u{2028}";
        let safe = json(&text);
        assert!(!safe.contains(['<', '>', '&', '\u{2028}']), "{safe}");
        assert_eq!(serde_json::from_str::<String>(&safe).unwrap(), text);
    }
}
