//! The records of a run as lines on disk: those that are whole are read, the others set aside.

use std::borrow::Cow;
use std::collections::HashSet;
use std::fs::{File, OpenOptions};
use std::io::{BufRead, BufReader, BufWriter, ErrorKind, Write};
use std::path::Path;

use serde::Deserialize;

use crate::record_line;
use crate::run_directory::{Key, key};
use crate::run_error::{RunError, file_error};
use crate::trajectory::Trajectory;

/// All whole records of a run, in the order they were written; lines that are not records are left out.
///
/// # Errors
/// [`RunError::NoRecords`], or [`RunError::File`] if the file cannot be read.
pub fn read_records(path: &Path) -> Result<Vec<Trajectory>, RunError> {
    read_records_where(path, |_, _| true)
}

/// As [`read_records`], but only records of problems and trajectory numbers that are wanted.
///
/// # Errors
/// As [`read_records`].
pub fn read_records_where(
    path: &Path,
    wanted: impl Fn(&str, u32) -> bool,
) -> Result<Vec<Trajectory>, RunError> {
    Ok(read(path, wanted)?.0)
}

/// As [`read_records`], and how many lines were left out: those that are no records, or a trajectory's second.
///
/// # Errors
/// As [`read_records`].
pub fn read_records_and_left_out(path: &Path) -> Result<(Vec<Trajectory>, usize), RunError> {
    read(path, |_, _| true)
}

fn read(path: &Path, wanted: impl Fn(&str, u32) -> bool) -> Result<(Vec<Trajectory>, usize), RunError> {
    let mut records = Vec::new();
    let left_out = for_each_record(path, wanted, |record| {
        records.push(record);
        Ok(())
    })?;
    Ok((records, left_out))
}

/// Hands the same records to `each`, one at a time, until it fails; how many lines were left out.
///
/// # Errors
/// As [`read_records`], and those of `each`.
pub fn for_each_record(
    path: &Path,
    wanted: impl Fn(&str, u32) -> bool,
    mut each: impl FnMut(Trajectory) -> Result<(), RunError>,
) -> Result<usize, RunError> {
    let is_unwanted = |line: &[u8]| {
        serde_json::from_slice::<Heading>(line).is_ok_and(|h| !wanted(&h.problem, h.trajectory))
    };
    let file = path.join("trajectories.jsonl");
    let reader = BufReader::new(open_records(path)?);
    let (mut seen, mut left_out) = (HashSet::new(), 0);
    for line in reader.split(b'\n') {
        let line = line.map_err(file_error(&file))?;
        if line.trim_ascii().is_empty() || is_unwanted(&line) {
            continue;
        }
        match record_line::record(&line) {
            Ok(record) if seen.insert(key(&record)) => each(record)?,
            _ => left_out += 1,
        }
    }
    Ok(left_out)
}

/// The records of a run, which must be there.
pub(crate) fn open_records(run: &Path) -> Result<File, RunError> {
    let file = run.join("trajectories.jsonl");
    File::open(&file).map_err(|error| match error.kind() {
        ErrorKind::NotFound => RunError::NoRecords { path: run.to_owned() },
        _ => file_error(&file)(error),
    })
}

/// The part of a record by which it is wanted; serde skips the rest.
#[derive(Deserialize)]
struct Heading<'a> {
    #[serde(borrow)]
    problem: Cow<'a, str>,
    trajectory: u32,
}

/// Moves all lines of a run that are no records, or are there for the second time, to `torn.jsonl`; how many.
///
/// # Errors
/// [`RunError::File`]. Nobody may write there meanwhile; [`RunDirectory::open`] does the same under its lock.
pub fn set_torn_aside(run: &Path) -> Result<usize, RunError> {
    let records = run.join("trajectories.jsonl");
    let (_, torn_lines) = survey(&records)?;
    if torn_lines > 0 {
        set_aside(&records)?;
    }
    Ok(torn_lines)
}

/// Whose records are in a file, and how many of its lines are none, or are there for the second time.
pub(crate) fn survey(path: &Path) -> Result<(HashSet<Key>, usize), RunError> {
    let (mut done, mut torn) = (HashSet::new(), 0);
    for_each_line(
        path,
        |_, is_record| {
            torn += usize::from(!is_record);
            Ok(())
        },
        &mut done,
    )?;
    Ok((done, torn))
}

/// Moves all lines that are no records, or are there for the second time, to `torn.jsonl`.
pub(crate) fn set_aside(path: &Path) -> Result<(), RunError> {
    let (partial, aside) = (path.with_extension("partial"), path.with_file_name("torn.jsonl"));
    let append = OpenOptions::new().create(true).append(true).open(&aside);
    let mut torn = BufWriter::new(append.map_err(file_error(&aside))?);
    let mut whole = BufWriter::new(File::create(&partial).map_err(file_error(&partial))?);
    for_each_line(
        path,
        |line, is_record| {
            let (to, name) = if is_record { (&mut whole, &partial) } else { (&mut torn, &aside) };
            to.write_all(line).map_err(file_error(name))
        },
        &mut HashSet::new(),
    )?;
    // On the disk before the old file goes: a power cut must not take both.
    torn.flush().and_then(|()| torn.get_ref().sync_all()).map_err(file_error(&aside))?;
    whole.flush().and_then(|()| whole.get_ref().sync_all()).map_err(file_error(&partial))?;
    std::fs::rename(&partial, path).map_err(file_error(path))
}

/// Hands over every line, with its end, and whether it is a whole record and the first of its key; `seen` grows by the keys.
fn for_each_line(
    path: &Path,
    mut each: impl FnMut(&[u8], bool) -> Result<(), RunError>,
    seen: &mut HashSet<Key>,
) -> Result<(), RunError> {
    let mut reader = match File::open(path) {
        Ok(file) => BufReader::new(file),
        Err(error) if error.kind() == ErrorKind::NotFound => return Ok(()),
        Err(error) => return Err(file_error(path)(error)),
    };
    let mut line = Vec::new();
    while reader.read_until(b'\n', &mut line).map_err(file_error(path))? > 0 {
        let record =
            Some(&line).filter(|line| line.ends_with(b"\n")).and_then(|line| record_line::record(line).ok());
        let is_first = record.is_some_and(|record| seen.insert(key(&record)));
        if !is_first && !line.ends_with(b"\n") {
            line.push(b'\n');
        }
        each(&line, is_first)?;
        line.clear();
    }
    Ok(())
}
