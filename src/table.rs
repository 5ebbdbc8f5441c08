//! `table`: a run's cells in the forms that other people's papers, pages and programs take.

use std::io::{IsTerminal, stdout};

use anyhow::{Result, bail};
use isocost_harness::card::{Card, card};
use isocost_harness::cell_tables::groups;
use isocost_harness::cells_csv::cells_csv;
use isocost_harness::cells_json::cells_json;
use isocost_harness::cells_parquet::cells_parquet;
use isocost_harness::conditions::{conditions, sentence};
use isocost_harness::escape::json;
use isocost_harness::leading::leading_table;
use isocost_harness::manifest::Manifest;
use isocost_harness::row::Row;
use isocost_harness::table::Table;

use crate::cli::{TableArgs, TableOutput};
use crate::output;
use crate::report::{self, Measured};

/// Columns of strategies where no terminal is the limit.
const STRATEGY_COLUMNS: usize = 7;

/// Prints the run's cells.
pub(crate) fn table(args: &TableArgs) -> Result<()> {
    let Measured { manifest, rows, .. } = report::measured(&args.run, &args.price)?;
    let conditions = conditions(&manifest, &rows);
    let tables = || shown(args, &manifest, &rows, &conditions);
    let text: Vec<u8> = match args.output {
        TableOutput::Text => joined(&tables(), Table::terminal).into(),
        TableOutput::Md => joined(&tables(), Table::markdown).into(),
        TableOutput::Latex => joined(&tables(), Table::latex).into(),
        TableOutput::Csv => cells_csv(&rows).into(),
        TableOutput::Json => json(&cells_json(&manifest.identity.sweep.name, &rows, &conditions)).into(),
        TableOutput::Card => card_of(&manifest, &rows, &report::data_files(&args.run)).into(),
        TableOutput::Parquet if stdout().is_terminal() => {
            bail!("-o parquet: is not for a terminal: write `isocost table RUN -o parquet > cells.parquet`")
        }
        TableOutput::Parquet => cells_parquet(&rows, &conditions)?,
    };
    output::raw(&text);
    Ok(())
}

/// The run's card, naming these files.
pub(crate) fn card_of(manifest: &Manifest, rows: &[Row], files: &[String]) -> String {
    let hub_id = |facts: &serde_json::Value| facts.get("hub_id")?.as_str().map(str::to_owned);
    let models = manifest.identity.models.iter();
    let published: Vec<(String, String)> =
        models.filter_map(|(name, facts)| Some((name.clone(), hub_id(facts)?))).collect();
    let sweep = &manifest.identity.sweep;
    card(&Card {
        name: &sweep.name,
        why: &sweep.why,
        command: manifest.provenance.get("command").map_or("", String::as_str),
        conditions: &conditions(manifest, rows),
        rows,
        published: &published,
        files,
    })
}

fn shown(args: &TableArgs, manifest: &Manifest, rows: &[Row], conditions: &[(String, String)]) -> Vec<Table> {
    let is_terminal = args.output == TableOutput::Text;
    let mut tables = if args.leading {
        vec![leading_table(rows, &format!("{}: what each model buys", manifest.identity.sweep.name))]
    } else {
        let of_group = |group: &_| both(group, is_terminal);
        groups(rows).iter().flat_map(of_group).collect()
    };
    tables.iter_mut().for_each(|table| table.footnotes.push(sentence(conditions)));
    tables
}

fn both(group: &isocost_harness::cell_tables::Group, is_terminal: bool) -> [Table; 2] {
    if is_terminal {
        return [group.accuracy_for_terminal(), group.cost_for_terminal()];
    }
    [group.accuracy(STRATEGY_COLUMNS), group.cost(2)]
}

fn joined(tables: &[Table], layout: impl Fn(&Table) -> String) -> String {
    tables.iter().map(layout).collect::<Vec<_>>().join("\n")
}
