//! What is said of an error: itself and its causes on one line.

use isocost_harness::escape::visible;

/// An error and its causes, outermost first, each said once. A message may quote a file from anywhere; it stays on one line.
pub(crate) fn said(error: &anyhow::Error) -> String {
    let mut text = String::new();
    for cause in error.chain().map(|cause| without_backtrace(&cause.to_string())) {
        if !text.ends_with(&cause) {
            text = if text.is_empty() { cause } else { format!("{text}: {cause}") };
        }
    }
    visible(&text)
}

/// A message without the frames that the tensor library writes into it where `RUST_BACKTRACE` asks for them.
fn without_backtrace(message: &str) -> String {
    if !message.contains("\n   0: ") {
        return message.to_owned();
    }
    message.lines().filter(|line| !is_frame(line)).collect()
}

/// `   0: NAME`, or the place below it.
fn is_frame(line: &str) -> bool {
    let text = line.trim_start();
    let is_numbered =
        text.split_once(": ").is_some_and(|(number, _)| number.bytes().all(|byte| byte.is_ascii_digit()));
    line.starts_with("  ") && (is_numbered || text.starts_with("at "))
}

#[cfg(test)]
mod tests {
    use anyhow::anyhow;

    use super::*;

    #[test]
    fn a_backtrace_is_left_out_and_what_stands_around_it_is_not() {
        let deep =
            anyhow!("too long\n   0: candle::bt\n             at ./a.c:58:16\n  10: _start\n: take less");
        assert_eq!(said(&deep.context("model m")), "model m: too long: take less");
        assert_eq!(said(&anyhow!("a\nb")), "a\\u{a}b");
    }

    #[test]
    fn a_cause_that_its_error_quotes_is_said_once() {
        assert_eq!(said(&anyhow!("no task").context("mine.toml: no task")), "mine.toml: no task");
    }
}
