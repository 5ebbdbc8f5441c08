//! Text from outside (names of models and tasks, commands, notes) made harmless where it is shown.
//!
//! A terminal obeys escape sequences, Markdown renders HTML and links, a spreadsheet computes what begins with
//! `=`. Each output has its own function; all of them first make the invisible visible.

/// Text in which control and direction-changing characters are written out, as `\u{1b}`: for a terminal.
pub fn visible(text: &str) -> String {
    let mut shown = String::with_capacity(text.len());
    for character in text.chars() {
        if is_invisible(character) { shown.extend(character.escape_unicode()) } else { shown.push(character) }
    }
    shown
}

/// As [`visible`], but lines and tabs stay.
pub fn visible_lines(text: &str) -> String {
    let mut shown = String::with_capacity(text.len());
    for character in text.chars() {
        match character {
            '\n' | '\t' => shown.push(character),
            other if is_invisible(other) => shown.extend(other.escape_unicode()),
            other => shown.push(other),
        }
    }
    shown
}

/// JSON with the same content and nothing invisible in it: inside its texts such characters are `\u202e`.
pub fn json(text: &str) -> String {
    let mut shown = String::with_capacity(text.len());
    for character in text.chars() {
        if is_invisible(character) && !matches!(character, '\n' | '\t' | '\r') {
            let units = character
                .encode_utf16(&mut [0; 2])
                .iter()
                .map(|unit| format!("\\u{unit:04x}"))
                .collect::<String>();
            shown.push_str(&units);
        } else {
            shown.push(character);
        }
    }
    shown
}

/// Text of several lines as one paragraph.
pub fn one_line(text: &str) -> String {
    text.split_whitespace().collect::<Vec<_>>().join(" ")
}

/// Text that Markdown shows as written, also inside a table: no HTML, link, emphasis, mention or column.
pub fn markdown(text: &str) -> String {
    let mut shown = String::with_capacity(text.len());
    let mut before = ' ';
    for character in visible(text).chars() {
        match character {
            '&' => shown.push_str("&amp;"),
            '<' => shown.push_str("&lt;"),
            '>' => shown.push_str("&gt;"),
            '@' if !before.is_alphanumeric() => shown.push_str("&#64;"),
            '/' if before == ':' => shown.push_str("&#47;"),
            '\\' | '`' | '*' | '_' | '[' | ']' | '|' | '~' | '$' | '#' => shown.extend(['\\', character]),
            other => shown.push(other),
        }
        before = character;
    }
    shown
}

/// Text as a fenced code block, with a fence longer than any in the text.
pub fn markdown_code(text: &str) -> String {
    markdown_code_in("text", text)
}

/// As [`markdown_code`], in a language by which it is coloured.
pub fn markdown_code_in(language: &str, text: &str) -> String {
    let lines: Vec<String> = text.lines().map(visible).collect();
    let mut fence = "```".to_string();
    while lines.iter().any(|line| line.contains(&fence)) {
        fence.push('`');
    }
    format!("{fence}{language}\n{}\n{fence}\n", lines.join("\n"))
}

/// Text that a spreadsheet takes for text: a leading `=`, `+`, `-` or `@` gets a quote before it.
pub fn spreadsheet(text: &str) -> String {
    let shown = visible(text);
    let computes = shown.trim_start().starts_with(['=', '+', '-', '@', '＝', '＋', '－', '＠']);
    if computes { format!("'{shown}") } else { shown }
}

/// Text that LaTeX prints as written: no command, no ligature, and nothing after a line's end that could be its option.
pub fn latex(text: &str) -> String {
    let mut shown = String::with_capacity(text.len());
    for character in visible(text).chars() {
        match character {
            '&' | '%' | '$' | '#' | '_' | '{' | '}' => shown.extend(['\\', character]),
            '\\' => shown.push_str("\\textbackslash{}"),
            '~' => shown.push_str("\\textasciitilde{}"),
            '^' => shown.push_str("\\textasciicircum{}"),
            '<' => shown.push_str("\\textless{}"),
            '>' => shown.push_str("\\textgreater{}"),
            '|' => shown.push_str("\\textbar{}"),
            '`' => shown.push_str("\\textasciigrave{}"),
            '\'' => shown.push_str("\\textquotesingle{}"),
            '"' => shown.push_str("\\textquotedbl{}"),
            '[' | ']' | '*' | '-' => shown.extend(['{', character, '}']),
            '–' => shown.push_str("--"),
            '×' => shown.push_str("\\texttimes{}"),
            '∞' => shown.push_str("$\\infty$"),
            '·' => shown.push_str("\\textperiodcentered{}"),
            other => shown.push(other),
        }
    }
    shown
}

/// Text between XML tags or in an attribute.
pub fn xml(text: &str) -> String {
    let mut shown = String::with_capacity(text.len());
    for character in visible(text).chars() {
        match character {
            '&' => shown.push_str("&amp;"),
            '<' => shown.push_str("&lt;"),
            '>' => shown.push_str("&gt;"),
            '"' => shown.push_str("&quot;"),
            '\'' => shown.push_str("&#39;"),
            other => shown.push(other),
        }
    }
    shown
}

/// Control characters, line separators, direction marks, joiners and non-characters.
fn is_invisible(character: char) -> bool {
    character.is_control()
        || matches!(character,
            '\u{ad}' | '\u{61c}' | '\u{180e}' | '\u{200b}'..='\u{200f}' | '\u{2028}'..='\u{202e}'
            | '\u{2060}'..='\u{206f}' | '\u{feff}' | '\u{fff9}'..='\u{ffff}' | '\u{e0000}'..='\u{e007f}')
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_escape_sequence_is_shown_and_not_obeyed() {
        assert_eq!(visible("a\u{1b}[31mb\r\n"), r"a\u{1b}[31mb\u{d}\u{a}");
        assert_eq!(visible("\u{202e}txt"), r"\u{202e}txt");
        assert_eq!(visible("größe 模型"), "größe 模型");
    }

    #[test]
    fn json_with_nothing_invisible_in_it_says_the_same() {
        let value = serde_json::json!({ "a\u{202e}b": "\u{1b}[31m \u{e0041}\u{200b} größe" });
        let shown = json(&value.to_string());
        assert!(!shown.chars().any(is_invisible), "{shown}");
        assert_eq!(serde_json::from_str::<serde_json::Value>(&shown).unwrap(), value);
    }

    #[test]
    fn markdown_shows_html_pipes_and_links_as_written() {
        assert_eq!(markdown("<script>|[x](y)"), r"&lt;script&gt;\|\[x\](y)");
        assert_eq!(markdown("@me maj@4 https://a.b"), "&#64;me maj@4 https:&#47;/a.b");
        assert_eq!(markdown("a_b*c*`d`\n# e"), r"a\_b\*c\*\`d\`\\u{a}\# e");
    }

    #[test]
    fn a_code_block_cannot_be_closed_from_inside() {
        assert_eq!(markdown_code("a ``` b\nc"), "````text\na ``` b\nc\n````\n");
    }

    #[test]
    fn latex_prints_what_would_be_a_command_an_option_or_a_ligature() {
        assert_eq!(latex("a_b & 50% #1 {$x^2$}"), r"a\_b \& 50\% \#1 \{\$x\textasciicircum{}2\$\}");
        assert_eq!(latex(r"\input{/etc/passwd}"), r"\textbackslash{}input\{/etc/passwd\}");
        assert_eq!(latex("[0.1] --"), "{[}0.1{]} {-}{-}");
        assert_eq!(latex("[2, ∞)"), r"{[}2, $\infty$)");
    }

    #[test]
    fn a_spreadsheet_does_not_compute_a_name() {
        assert_eq!(spreadsheet("=cmd|' /C calc'!A0"), "'=cmd|' /C calc'!A0");
        assert_eq!(spreadsheet(" @x"), "' @x");
        assert_eq!(spreadsheet("\t=x"), r"\u{9}=x");
        assert_eq!(spreadsheet("qwen3-0.6b"), "qwen3-0.6b");
    }
}
