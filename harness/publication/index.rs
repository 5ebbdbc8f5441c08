//! The pages that list published runs: `results/index.html`, one file that fetches nothing, and `results/README.md`.

use std::fmt::Write;

use base64::Engine;
use base64::prelude::BASE64_STANDARD;
use serde::Serialize;
use sha2::{Digest, Sha256};

use super::Published;
use crate::escape;
use crate::report_html::{STYLE, environment};
use crate::rounding::grouped;
use crate::table::markdown;

const PAGE: &str = include_str!("index.html");

/// Files that are linked, with what they are.
const LINKS: [(&str, &str); 7] = [
    ("report.html", "report"),
    ("cells.csv", "CSV"),
    ("cells.parquet", "Parquet"),
    ("cells.json", "JSON"),
    ("cells.tex", "LaTeX"),
    ("trajectories.jsonl", "trajectories"),
    ("manifest.json", "manifest"),
];

#[derive(Serialize)]
struct Context<'a> {
    style: &'a str,
    policy: String,
    runs: Vec<Entry<'a>>,
}

#[derive(Serialize)]
struct Entry<'a> {
    run: &'a Published,
    cells: String,
    trajectories: String,
    /// Only files of the folder; its name is a plain one.
    links: Vec<(String, &'a str)>,
}

/// The page as HTML.
///
/// # Errors
/// If the template cannot be rendered, which is a fault of this program.
pub fn index_html(runs: &[Published]) -> Result<String, minijinja::Error> {
    let mut environment = environment()?;
    environment.add_template("index.html", PAGE)?;
    let hash = BASE64_STANDARD.encode(Sha256::digest(STYLE));
    let policy =
        format!("default-src 'none'; style-src 'sha256-{hash}'; base-uri 'none'; form-action 'none'");
    let runs = runs.iter().map(entry).collect();
    environment.get_template("index.html")?.render(Context { style: STYLE, policy, runs })
}

fn entry(run: &Published) -> Entry<'_> {
    Entry {
        run,
        cells: grouped(run.cells as u64),
        trajectories: grouped(run.trajectories as u64),
        links: links(run),
    }
}

fn links(run: &Published) -> Vec<(String, &'static str)> {
    let there = LINKS.iter().filter(|(file, _)| run.files.contains_key(*file));
    there.map(|(file, what)| (format!("{}/{file}", run.name), *what)).collect()
}

/// The page as Markdown.
pub fn index_md(runs: &[Published]) -> String {
    let mut text = "# Published runs\n\nWritten by `isocost publish`, never by hand: every file below is named with its sha256 in its folder's \
                    `published.json`.\n"
        .to_owned();
    for run in runs {
        let _ = write!(
            text,
            "\n## {}\n\n{}\n",
            escape::markdown(&run.name),
            escape::markdown(&escape::one_line(&run.why))
        );
        let _ = write!(text, "\n{}", markdown(&run.leading.columns, &run.leading.rows));
        run.leading.footnotes.iter().for_each(|note| {
            let _ = write!(text, "\n{}\n", escape::markdown(note));
        });
        let links: Vec<String> =
            links(run).iter().map(|(file, what)| format!("[{what}](<{file}>)")).collect();
        let _ = write!(
            text,
            "\nPublished {}: {} cells from {} trajectories. {}\n\n{}",
            escape::markdown(&run.date),
            grouped(run.cells as u64),
            grouped(run.trajectories as u64),
            links.join(" · "),
            escape::markdown_code_in("sh", &run.command),
        );
    }
    text
}
