//! What the program prints: `println!` and its kin, made fit for anything that is printed and any reader.
//!
//! These shadow the standard ones in the whole crate, so nothing can be printed around them. Two things are different. Characters that
//! would command a terminal or turn its text around are written out, whoever wrote them: a model, a data set, a server, a
//! sweep. And a reader that has gone away (`isocost table RUN | head -1`) is no reason to panic: the program ends as others do.
//! A stdout that was never there is an error.

use std::fmt::Arguments;
use std::fs::File;
use std::io::{ErrorKind, StdoutLock, Write, stderr, stdout};
use std::path::Path;
use std::process::exit;
use std::sync::{Mutex, PoisonError};

use isocost_harness::escape::visible_lines;

use crate::closed_stdout;

/// What a shell says of a program whose reader has gone away.
const READER_GONE: i32 = 128 + 13;

/// As the standard `print!`, harmless.
macro_rules! print {
    ($($text:tt)*) => { $crate::output::data(::std::format_args!($($text)*)) };
}

/// As the standard `println!`, harmless.
macro_rules! println {
    () => { $crate::output::data(::std::format_args!("\n")) };
    ($($text:tt)*) => { $crate::output::data(::std::format_args!("{}\n", ::std::format_args!($($text)*))) };
}

/// As the standard `eprintln!`, harmless.
macro_rules! eprintln {
    ($($text:tt)*) => { $crate::output::remark(::std::format_args!($($text)*)) };
}

/// What a reader knows under another name: folders that stand for places in a store.
static SHOWN_INSTEAD: Mutex<Vec<(String, String)>> = Mutex::new(Vec::new());

/// From now on, `name` is printed wherever `path` would be.
pub(crate) fn show_instead(path: &str, name: &str) {
    SHOWN_INSTEAD.lock().unwrap_or_else(PoisonError::into_inner).push((path.to_owned(), name.to_owned()));
}

/// A text with the names that a reader knows.
pub(crate) fn known(text: &str) -> String {
    let names = SHOWN_INSTEAD.lock().unwrap_or_else(PoisonError::into_inner);
    names.iter().fold(text.to_owned(), |text, (path, name)| text.replace(path, name))
}

fn shown(text: Arguments) -> String {
    visible_lines(&known(&text.to_string()))
}

/// Text for stdout.
pub(crate) fn data(text: Arguments) {
    raw(shown(text).as_bytes());
}

/// Bytes for stdout that are harmless already, or for no terminal.
pub(crate) fn raw(bytes: &[u8]) {
    let mut out = opened();
    if let Err(error) = out.write_all(bytes).and_then(|()| out.flush()) {
        could_not(&error);
    }
}

/// stdout; without one the program ends.
pub(crate) fn opened() -> StdoutLock<'static> {
    closed_stdout::error().map_or_else(|| stdout().lock(), |error| could_not(&error))
}

/// Ends the program because stdout takes nothing more.
pub(crate) fn could_not(error: &std::io::Error) -> ! {
    if error.kind() == ErrorKind::BrokenPipe {
        exit(READER_GONE);
    }
    remark(format_args!("isocost: stdout: {error}: give it a place that can be written"));
    exit(2)
}

/// Whether a file can be written there, asked before the work that it is for; its folder is made.
pub(crate) fn check_writable(path: &Path) -> anyhow::Result<()> {
    let partial = path.with_extension("partial");
    let folder = path.parent().map_or(Ok(()), std::fs::create_dir_all);
    folder.and_then(|()| File::create(&partial)).map_err(|error| {
        anyhow::anyhow!("{}: cannot be written ({error}): choose another --out", path.display())
    })?;
    let _ = std::fs::remove_file(partial);
    if path.is_dir() {
        anyhow::bail!("{}: is a folder: choose another --out", path.display());
    }
    Ok(())
}

/// A line for stderr; nobody has to be there to read it.
pub(crate) fn remark(text: Arguments) {
    let _ = std::io::Write::write_fmt(&mut stderr().lock(), format_args!("{}\n", shown(text)));
}
