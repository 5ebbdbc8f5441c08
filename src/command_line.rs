//! This process's own command line, as a shell would take it again.

use std::path::Path;

/// The command that was typed; of words that are no Unicode what can be shown.
pub(crate) fn typed() -> String {
    line(std::env::args_os().skip(1).map(|word| word.to_string_lossy().into_owned()))
}

/// The command that goes on with a run in `out`, which is added where it `was_said` by nobody.
pub(crate) fn again(out: &Path, was_said: bool) -> String {
    let out = || format!(" --out {}", quoted(&out.to_string_lossy()));
    typed() + &if was_said { String::new() } else { out() }
}

fn line(words: impl Iterator<Item = String>) -> String {
    words.fold("isocost".to_owned(), |line, word| line + " " + &quoted(&word))
}

/// One word for a POSIX shell, in quotes only where it needs them.
fn quoted(word: &str) -> String {
    let is_plain = |c: char| c.is_ascii_alphanumeric() || "-_./:=,@%+".contains(c);
    if !word.is_empty() && word.chars().all(is_plain) {
        return word.to_owned();
    }
    format!("'{}'", word.replace('\'', r"'\''"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn words_are_quoted_so_that_a_shell_reads_them_as_they_were() {
        let words = ["run", "my sweep.toml", "--device", "cuda:0,cuda:1", "--data", "it's $HOME", ""];
        let said = line(words.into_iter().map(str::to_owned));
        assert_eq!(said, r"isocost run 'my sweep.toml' --device cuda:0,cuda:1 --data 'it'\''s $HOME' ''");
    }
}
