//! `bench`: how fast prompts are read and tokens written, in the form that llama-bench has.

use std::path::{Path, PathBuf};
use std::process::ExitCode;

use anyhow::{Context, Result, bail};
use isocost_harness::escape::{json, spreadsheet};
use isocost_harness::table::{Column, Table};
use isocost_models::contention::Contention;
use isocost_models::engine::{DType, Device};
use isocost_models::throughput::{self, Spread, Test, Work};
use isocost_models::{device, device_rates};
use serde::Serialize;

use crate::cli::{BenchArgs, BenchOutput};
use crate::progress::Downloads;

/// A test and what it gave.
#[derive(Debug, Serialize)]
struct Row {
    model: String,
    test: String,
    batch: usize,
    context: usize,
    shared_context: bool,
    dtype: String,
    device: String,
    tokens_per_s: Spread,
    bytes_per_s: f64,
    /// Of the rate at which the device read its memory right before or right after, whichever was higher.
    fraction_of_bandwidth: f64,
    repeats: usize,
}

/// The device, and how fast it was found to read its memory: before the first test, and after each. Where others use the memory too, that
/// goes by the minute.
struct Bench<'a> {
    args: &'a BenchArgs,
    device: Device,
    bandwidths: Vec<f64>,
}

/// Runs all tests of all models and prints a row for each.
pub(crate) fn bench(args: &BenchArgs) -> Result<ExitCode> {
    if tests(args).is_empty() || args.batch.0.contains(&0) {
        bail!("nothing to time: give --prompt or --decode tokens, and --batch rows, above 0");
    }
    let (device, watch) = (args.device.open()?, Contention::start());
    let mut bench = Bench { args, device, bandwidths: Vec::new() };
    let bandwidth = bench.read_memory()?;
    eprintln!("{}: reads {:.1} GB/s", device::describe(&bench.device), bandwidth / 1e9);
    let mut rows = Vec::new();
    for model in &args.models {
        for dtype in dtypes(args) {
            rows.extend(bench.rows(model, dtype)?);
        }
    }
    print(args.output, &rows, &conditions(args, &bench.bandwidths, watch))?;
    Ok(ExitCode::SUCCESS)
}

fn dtypes(args: &BenchArgs) -> Vec<Option<DType>> {
    match args.dtype[..] {
        [] => vec![None],
        _ => args.dtype.iter().map(|dtype| Some((*dtype).into())).collect(),
    }
}

impl Bench<'_> {
    fn read_memory(&mut self) -> Result<f64> {
        let rate = device_rates::read_bytes_per_s(&self.device).context("measuring the device's memory")?;
        self.bandwidths.push(rate);
        Ok(rate)
    }

    /// All tests of a model.
    fn rows(&mut self, model: &str, dtype: Option<DType>) -> Result<Vec<Row>> {
        let decoder = throughput::open(&path(model)?, dtype, &self.device)?;
        let (bench, tests) = (throughput::Bench::new(decoder, self.args.repeats), tests(self.args));
        let row = |test: Test| {
            eprintln!("{model}: {} of {} rows at {} tokens", test.name(), test.batch, test.context);
            let before = self.bandwidths.last().copied().unwrap_or_default();
            let given = bench.run(test).with_context(|| format!("{model}: {}", test.name()))?;
            Ok(Row {
                model: model.to_owned(),
                test: test.name(),
                batch: test.batch,
                context: test.context,
                shared_context: test.is_shared,
                dtype: bench.decoder().stored_as(),
                device: device::describe(&self.device),
                tokens_per_s: given.tokens_per_s,
                bytes_per_s: given.bytes_per_s,
                fraction_of_bandwidth: given.bytes_per_s / before.max(self.read_memory()?),
                repeats: given.repeats,
            })
        };
        tests.into_iter().map(row).collect()
    }
}

/// A model's folder or file, or a configuration by itself.
fn path(model: &str) -> Result<PathBuf> {
    let own = Path::new(model);
    if own.is_file() && own.extension().is_some_and(|extension| extension == "json") {
        return Ok(own.to_owned());
    }
    Ok(Downloads::resolve(model)?.path)
}

fn tests(args: &BenchArgs) -> Vec<Test> {
    let mut tests = Vec::new();
    for &context in &args.context.0 {
        let prompts = args.prompt.0.iter().filter(|tokens| **tokens > 0);
        let test = |work, batch| Test { work, batch, context, is_shared: args.shared };
        tests.extend(prompts.map(|tokens| test(Work::Prompt(*tokens), 1)));
        for &steps in args.decode.0.iter().filter(|steps| **steps > 0) {
            let batches = args.batch.0.iter().filter(|batch| **batch > 0);
            tests.extend(batches.map(|batch| test(Work::Decode(steps), *batch)));
        }
    }
    tests
}

fn conditions(args: &BenchArgs, bandwidths: &[f64], watch: Contention) -> Vec<String> {
    let (least, most) = bandwidths
        .iter()
        .fold((f64::INFINITY, 0f64), |(least, most), rate| (least.min(*rate), most.max(*rate)));
    let mut notes = vec![format!(
        "Tokens per second: the median of the repeats [smallest, largest]. Memory was read at {:.1} to {:.1} GB/s before and after the tests.",
        least / 1e9,
        most / 1e9
    )];
    if args.shared {
        notes.push("Rows share one context.".to_owned());
    }
    if let Some(share) = watch.share() {
        notes.push(format!("Others used {:.0} % of the processors meanwhile.", share * 100.0));
    }
    notes
}

fn print(output: BenchOutput, rows: &[Row], notes: &[String]) -> Result<()> {
    match output {
        BenchOutput::Md => print!("{}", table(rows, notes).markdown()),
        BenchOutput::Json => {
            println!("{}", json(&serde_json::to_string_pretty(rows)?));
            notes.iter().for_each(|note| eprintln!("{note}"));
        }
        BenchOutput::Csv => {
            print!("{}", csv(rows)?);
            notes.iter().for_each(|note| eprintln!("{note}"));
        }
    }
    Ok(())
}

fn csv(rows: &[Row]) -> Result<String> {
    let mut writer = csv::Writer::from_writer(Vec::new());
    for (number, row) in rows.iter().enumerate() {
        let record = record(row);
        if number == 0 {
            writer.write_record(record.iter().map(|(name, _)| *name))?;
        }
        writer.write_record(record.iter().map(|(_, value)| value))?;
    }
    Ok(String::from_utf8(writer.into_inner().unwrap_or_default())?)
}

/// A row's columns with their names; names that a spreadsheet would compute are disarmed.
fn record(row: &Row) -> [(&'static str, String); 13] {
    let Spread { median, min, max } = row.tokens_per_s;
    [
        ("model", spreadsheet(&row.model)),
        ("test", row.test.clone()),
        ("batch", row.batch.to_string()),
        ("context", row.context.to_string()),
        ("dtype", row.dtype.clone()),
        ("device", spreadsheet(&row.device)),
        ("tokens_per_s_median", median.to_string()),
        ("tokens_per_s_min", min.to_string()),
        ("tokens_per_s_max", max.to_string()),
        ("bytes_per_s", row.bytes_per_s.to_string()),
        ("fraction_of_bandwidth", row.fraction_of_bandwidth.to_string()),
        ("repeats", row.repeats.to_string()),
        ("shared_context", row.shared_context.to_string()),
    ]
}

fn table(rows: &[Row], notes: &[String]) -> Table {
    let columns = vec![
        Column::text("model"),
        Column::text("type"),
        Column::text("test"),
        Column::number("rows", ""),
        Column::number("context", "tokens"),
        Column::number("speed", "tokens/s"),
        Column::number("memory", "GB/s"),
        Column::number("of bandwidth", "%"),
    ];
    let entries = |row: &Row| {
        let Spread { median, min, max } = row.tokens_per_s;
        vec![
            row.model.clone(),
            row.dtype.clone(),
            row.test.clone(),
            row.batch.to_string(),
            row.context.to_string(),
            format!("{median:.1} [{min:.1}, {max:.1}]"),
            format!("{:.1}", row.bytes_per_s / 1e9),
            format!("{:.0}", row.fraction_of_bandwidth * 100.0),
        ]
    };
    let device = rows.first().map_or("", |row| &row.device);
    Table {
        caption: format!("Speed on {device}"),
        columns,
        rows: rows.iter().map(entries).collect(),
        footnotes: notes.to_vec(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn csv_reads_back_whatever_a_model_is_called_and_computes_nothing() {
        let row = |model: &str| Row {
            model: model.to_owned(),
            test: "tg4".into(),
            batch: 1,
            context: 64,
            shared_context: false,
            dtype: "f32".into(),
            device: "a, \"b\"".into(),
            tokens_per_s: Spread { median: 2.0, min: 1.0, max: 3.0 },
            bytes_per_s: 1e9,
            fraction_of_bandwidth: 0.5,
            repeats: 3,
        };
        let text = csv(&[row("a \"quoted\", name"), row("=1+1")]).unwrap();
        let mut reader = csv::Reader::from_reader(text.as_bytes());
        let names = reader.headers().unwrap().clone();
        let rows: Vec<_> = reader.records().map(Result::unwrap).collect();
        let of = |row: usize, name: &str| &rows[row][names.iter().position(|known| known == name).unwrap()];
        assert_eq!(of(0, "model"), "a \"quoted\", name");
        assert_eq!((of(0, "device"), of(0, "tokens_per_s_max")), ("a, \"b\"", "3"));
        assert!(!of(1, "model").starts_with('='), "{}", of(1, "model"));
    }
}
