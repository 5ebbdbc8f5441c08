//! The steps of a run as a Parquet table, for whoever reads it with another tool.
//!
//! Written with the low-level column writers: the table is flat and its columns are known, so the much
//! larger Arrow half of the crate is not needed.

use std::fs::File;
use std::io::Write;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use parquet::data_type::{ByteArray, ByteArrayType, DataType, DoubleType, Int32Type, Int64Type};
use parquet::errors::{ParquetError, Result};
use parquet::file::writer::{SerializedFileWriter, SerializedRowGroupWriter};
use parquet::schema::parser::parse_message_type;

use crate::step_log::{LoggedStep, for_each_step};

/// Steps held in memory at a time.
const ROW_GROUP: usize = 1 << 17;

/// Columns in order; units are in the names.
const SCHEMA: &str = "message steps {
    required binary model (string);
    required binary task (string);
    required int32 waits;
    required binary kind (string);
    required int32 rows;
    required int32 fed_tokens;
    required int64 context_tokens;
    required int64 attended_tokens;
    required int32 forks;
    required int32 sampled_tokens;
    required double seconds;
    required double forward_s;
    optional double joules;
}";

/// Writes `steps.parquet` of a run directory from its log; returns its path, or `None` if there are no steps.
///
/// # Errors
/// If the log cannot be read or the table cannot be written; an older table is then left as it was.
pub fn write_steps_parquet(run: &Path) -> anyhow::Result<Option<PathBuf>> {
    let (path, partial) = (run.join("steps.parquet"), run.join("steps.parquet.partial"));
    let schema = Arc::new(parse_message_type(SCHEMA)?);
    let mut writer = SerializedFileWriter::new(File::create(&partial)?, schema, Default::default())?;
    let (mut pending, mut written, mut failed) = (Vec::new(), 0, None);
    for_each_step(run, |step| {
        pending.push(step);
        if pending.len() == ROW_GROUP {
            written += pending.len();
            failed = write_row_group(&mut writer, &pending).err().or(failed.take());
            pending.clear();
        }
    })?;
    written += pending.len();
    failed.map_or_else(|| write_row_group(&mut writer, &pending), Err)?;
    writer.close()?;
    if written == 0 {
        std::fs::remove_file(&partial)?;
        return Ok(None);
    }
    std::fs::rename(&partial, &path)?;
    Ok(Some(path))
}

fn write_row_group<W: Write + Send>(
    writer: &mut SerializedFileWriter<W>,
    steps: &[LoggedStep],
) -> Result<()> {
    let mut group = writer.next_row_group()?;
    let text = |of: fn(&LoggedStep) -> &str| steps.iter().map(|s| ByteArray::from(of(s))).collect::<Vec<_>>();
    let int = |of: fn(&LoggedStep) -> u32| steps.iter().map(|s| of(s) as i32).collect::<Vec<_>>();
    let long = |of: fn(&LoggedStep) -> u64| steps.iter().map(|s| of(s) as i64).collect::<Vec<_>>();
    let double = |of: fn(&LoggedStep) -> f64| steps.iter().map(of).collect::<Vec<_>>();
    column::<ByteArrayType, _>(&mut group, &text(|s| &s.model))?;
    column::<ByteArrayType, _>(&mut group, &text(|s| &s.task))?;
    column::<Int32Type, _>(&mut group, &int(|s| s.waits))?;
    column::<ByteArrayType, _>(&mut group, &text(|s| s.step.kind.name()))?;
    column::<Int32Type, _>(&mut group, &int(|s| s.step.load.rows))?;
    column::<Int32Type, _>(&mut group, &int(|s| s.step.load.fed_tokens))?;
    column::<Int64Type, _>(&mut group, &long(|s| s.step.load.context_tokens))?;
    column::<Int64Type, _>(&mut group, &long(|s| s.step.load.attended_tokens))?;
    column::<Int32Type, _>(&mut group, &int(|s| s.step.load.forks))?;
    column::<Int32Type, _>(&mut group, &int(|s| s.step.load.sampled_tokens))?;
    column::<DoubleType, _>(&mut group, &double(|s| s.step.seconds))?;
    column::<DoubleType, _>(&mut group, &double(|s| s.step.forward_s))?;
    optional_column(&mut group, steps)?;
    group.close().map(drop)
}

fn column<T: DataType, W: Write + Send>(
    group: &mut SerializedRowGroupWriter<W>,
    values: &[T::T],
) -> Result<()> {
    write_column::<T, W>(group, values, None)
}

/// The joules: definition level 1 where there is a number, 0 where there is none.
fn optional_column<W: Write + Send>(
    group: &mut SerializedRowGroupWriter<W>,
    steps: &[LoggedStep],
) -> Result<()> {
    let values: Vec<f64> = steps.iter().filter_map(|s| s.step.joules).collect();
    let levels: Vec<i16> = steps.iter().map(|s| i16::from(s.step.joules.is_some())).collect();
    write_column::<DoubleType, W>(group, &values, Some(&levels))
}

fn write_column<T: DataType, W: Write + Send>(
    group: &mut SerializedRowGroupWriter<W>,
    values: &[T::T],
    levels: Option<&[i16]>,
) -> Result<()> {
    let missing = || ParquetError::General("the table has fewer columns than are written".into());
    let mut column = group.next_column()?.ok_or_else(missing)?;
    column.typed::<T>().write_batch(values, levels, None)?;
    column.close()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::step::{Load, Step, StepKind};
    use crate::step_log::StepLog;
    use parquet::file::reader::{FileReader, SerializedFileReader};

    #[test]
    fn the_table_holds_every_step_of_the_log_and_absent_joules_stay_absent() {
        let folder = tempfile::tempdir().unwrap();
        let mut load = Load { forks: 2, sampled_tokens: 5, ..Load::default() };
        load.add_row(7, 1);
        let step = Step { kind: StepKind::Mixed, load, seconds: 0.5, forward_s: 0.25, joules: None };
        let steps = [step, Step { joules: Some(1.5), ..step }];
        StepLog::open(folder.path()).unwrap().append("m", "t", 1, steps.into_iter()).unwrap();
        let path = write_steps_parquet(folder.path()).unwrap().unwrap();
        let reader = SerializedFileReader::new(File::open(path).unwrap()).unwrap();
        let rows: Vec<String> =
            reader.get_row_iter(None).unwrap().map(|row| row.unwrap().to_string()).collect();
        let expected = |joules: &str| {
            format!(
                "{{model: \"m\", task: \"t\", waits: 1, kind: \"mixed\", rows: 1, fed_tokens: 1, context_tokens: 8, \
                 attended_tokens: 8, forks: 2, sampled_tokens: 5, seconds: 0.5, forward_s: 0.25, joules: {joules}}}"
            )
        };
        assert_eq!(rows, [expected("null"), expected("1.5")]);
    }

    #[test]
    fn without_steps_there_is_no_table() {
        let folder = tempfile::tempdir().unwrap();
        assert_eq!(write_steps_parquet(folder.path()).unwrap(), None);
        assert_eq!(std::fs::read_dir(folder.path()).unwrap().count(), 0);
    }
}
