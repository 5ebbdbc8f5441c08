//! `publish`: a checked run into `results/`, the pages that list it, the leading table, and the hub.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use anyhow::{Context, Result, bail};
use isocost_harness::cell_tables::groups;
use isocost_harness::conditions::{conditions, sentence};
use isocost_harness::escape::{self, markdown_code_in};
use isocost_harness::figures::leading_names;
use isocost_harness::leading::{leading_table, leading_task};
use isocost_harness::manifest::read_manifest;
use isocost_harness::publication::{
    self, Checked, FILE, Published, SCHEMA, Splice, check, file_sha256, index_html, index_md, splice,
};
use isocost_harness::row::Row;
use isocost_harness::run_directory::write_whole;
use isocost_harness::source::Library;
use isocost_harness::table::Table;

use crate::cli::PublishArgs;
use crate::{command_line, report, table, workload};

/// Files of a run that are published as they are, where they exist; `report` writes most of them.
const FILES: [&str; 12] = [
    "manifest.json",
    "energy.jsonl",
    "surface.json",
    "verify.json",
    "cells.csv",
    "cells.json",
    "cells.parquet",
    "prices.csv",
    "latency.csv",
    "claims.json",
    "report.md",
    "report.html",
];

/// Records, which may be too large for a repository of source code.
const RECORDS: [&str; 2] = ["trajectories.jsonl", "steps.parquet"];

/// Larger files do not belong into git.
const LARGEST: u64 = 20 << 20;

/// The forms of what is published.
const SCHEMAS: [(&str, &str); 2] = [
    ("cells.schema.json", include_str!("../harness/schema/cells.schema.json")),
    ("trajectory.schema.json", include_str!("../harness/schema/trajectory.schema.json")),
];

/// Publishes a run, or makes the pages again.
pub(crate) fn publish(args: &PublishArgs, library: &Library) -> Result<()> {
    let run = args.run.as_deref().map(|run| publish_run(run, args, library)).transpose()?;
    let all = publication::published(&args.into)?;
    if all.is_empty() {
        bail!("{}: holds no published run: isocost publish RUN puts one there", args.into.display());
    }
    write_whole(&args.into.join("index.html"), &index_html(&all)?)?;
    write_whole(&args.into.join("README.md"), &index_md(&all))?;
    eprintln!("wrote {0}/index.html and {0}/README.md: {1} published", args.into.display(), all.len());
    let Some(published) = run else { return Ok(()) };
    if !args.keep_readme {
        lead(&args.readme, &args.into.join(&published.name), &published)?;
    }
    match &args.hub {
        Some(repository) => upload(repository, args, &published),
        None => Ok(()),
    }
}

/// Checks a run, makes its tables again, and copies it.
fn publish_run(run: &Path, args: &PublishArgs, library: &Library) -> Result<Published> {
    read_manifest(run)?;
    let name = name_of(run, args)?;
    check_places(args, &name)?;
    let checked = check(run, library)?;
    let rows = report::write(run, &[])?;
    let folder = args.into.join(&name);
    let partial = args.into.join(format!(".{name}.partial"));
    clear(&partial)?;
    copy(run, &partial, args.without_trajectories)?;
    // The hub gets the records in any case, so its card names them.
    let listed = report::data_files(if args.hub.is_some() { run } else { &partial });
    let published = describe(&partial, name, &checked, &rows, &listed)?;
    write_whole(&partial.join(FILE), &(serde_json::to_string_pretty(&published)? + "\n"))?;
    clear(&folder)?;
    std::fs::rename(&partial, &folder).with_context(|| folder.display().to_string())?;
    eprintln!("published {} ({} trajectories checked)", folder.display(), checked.trajectories);
    Ok(published)
}

/// Where it is to go: what is wrong with that is said before anything is written.
fn check_places(args: &PublishArgs, name: &str) -> Result<()> {
    check_is_ours(&args.into.join(name))?;
    if !args.keep_readme {
        spliced(&args.readme, "")?;
    }
    args.hub.as_deref().map_or(Ok(()), |repository| check_hub(repository, args))
}

fn name_of(run: &Path, args: &PublishArgs) -> Result<String> {
    let own = || run.canonicalize().ok()?.file_name()?.to_str().map(str::to_owned);
    let name = args.name.clone().or_else(own).unwrap_or_default();
    let is_plain = |byte: u8| byte.is_ascii_alphanumeric() || b"-_.".contains(&byte);
    if name.is_empty() || name.starts_with('.') || !name.bytes().all(is_plain) {
        bail!("`{name}`: is no name of a published folder: give --name of letters, digits, - and _");
    }
    Ok(name)
}

/// A folder that `publish` did not write is not replaced.
fn check_is_ours(folder: &Path) -> Result<()> {
    if folder.exists() && !folder.join(FILE).exists() {
        bail!("{}: is there and was not written by publish: choose another --name", folder.display());
    }
    Ok(())
}

fn clear(folder: &Path) -> Result<()> {
    match std::fs::remove_dir_all(folder) {
        Err(error) if error.kind() != std::io::ErrorKind::NotFound => {
            Err(error).with_context(|| folder.display().to_string())
        }
        _ => Ok(()),
    }
}

fn copy(run: &Path, folder: &Path, without_records: bool) -> Result<()> {
    std::fs::create_dir_all(folder.join("figures")).with_context(|| folder.display().to_string())?;
    let records = RECORDS.iter().filter(|_| !without_records);
    let figures = report::data_files(&run.join("figures")).into_iter().map(|name| format!("figures/{name}"));
    let names = FILES.iter().chain(records).map(|name| (*name).to_owned()).chain(figures);
    for name in names.filter(|name| run.join(name).is_file()) {
        let (from, to) = (run.join(&name), folder.join(&name));
        let size = std::fs::copy(&from, &to).with_context(|| from.display().to_string())?;
        if size > LARGEST {
            bail!(
                "{}: has {size} bytes, too many for a repository: give --without-trajectories, and --hub for the whole",
                from.display()
            );
        }
    }
    Ok(())
}

/// Writes the card, the LaTeX tables and the schemas, and says what the folder holds.
fn describe(
    folder: &Path,
    name: String,
    checked: &Checked,
    rows: &[Row],
    listed: &[String],
) -> Result<Published> {
    let Checked { manifest, trajectories, records_sha256 } = checked;
    let conditions = conditions(manifest, rows);
    let sweep = &manifest.identity.sweep;
    let mut leading = leading_table(rows, &format!("{}: what each model buys", sweep.name));
    leading.footnotes.push(sentence(&conditions));
    for (name, text) in SCHEMAS {
        write_whole(&folder.join(name), text)?;
    }
    write_whole(&folder.join("cells.tex"), &latex(rows, &leading, &conditions))?;
    let card = table::card_of(manifest, rows, listed);
    write_whole(&folder.join("README.md"), &card)?;
    Ok(Published {
        schema: SCHEMA,
        name,
        sweep: sweep.name.clone(),
        why: sweep.why.clone(),
        date: workload::date(),
        command: manifest.provenance.get("command").cloned().unwrap_or_default(),
        cells: rows.len(),
        trajectories: *trajectories,
        records_sha256: records_sha256.clone(),
        conditions,
        leading,
        pictures: pictures(folder, rows),
        files: hashes(folder)?,
    })
}

/// The pictures that lead, of those that were drawn.
fn pictures(folder: &Path, rows: &[Row]) -> Vec<String> {
    let names = leading_task(rows).map(leading_names).into_iter().flatten();
    names.map(|name| format!("figures/{name}.svg")).filter(|file| folder.join(file).is_file()).collect()
}

fn latex(rows: &[Row], leading: &Table, conditions: &[(String, String)]) -> String {
    let mut text = leading.latex();
    for group in groups(rows) {
        for mut table in [group.accuracy(7), group.cost(2)] {
            table.footnotes.push(sentence(conditions));
            text.push('\n');
            text.push_str(&table.latex());
        }
    }
    text
}

/// sha256 of every file of a folder, subfolders included.
fn hashes(folder: &Path) -> Result<BTreeMap<String, String>> {
    let mut hashes = BTreeMap::new();
    for name in report::data_files(folder) {
        let path = folder.join(&name);
        if path.is_dir() {
            hashes.extend(
                self::hashes(&path)?.into_iter().map(|(file, hash)| (format!("{name}/{file}"), hash)),
            );
        } else {
            hashes.insert(name, file_sha256(&path)?);
        }
    }
    Ok(hashes)
}

/// Puts the leading pictures and the table between their markers.
fn lead(readme: &Path, folder: &Path, published: &Published) -> Result<()> {
    let text = shown(readme, folder, published)
        + &published.leading.markdown()
        + "\n"
        + &markdown_code_in("sh", &published.command);
    let Some(spliced) = spliced(readme, &text)? else {
        eprintln!("there is no README.md here, so the leading table went nowhere else");
        return Ok(());
    };
    write_whole(readme, &spliced)?;
    eprintln!("wrote the leading table into {}", readme.display());
    Ok(())
}

/// The document with the leading table; none if there is none and none was named.
fn spliced(readme: &Path, text: &str) -> Result<Option<String>> {
    if !readme.exists() && readme == Path::new("README.md") {
        return Ok(None);
    }
    let document = std::fs::read_to_string(readme).with_context(|| readme.display().to_string())?;
    let block = Splice { name: "leading-table", command: &command_line::typed(), text };
    Ok(Some(splice(&document, &block).with_context(|| readme.display().to_string())?))
}

/// The pictures side by side, each a link to the report; none where the document is not above them.
fn shown(readme: &Path, folder: &Path, published: &Published) -> String {
    let Ok(folder) = folder.strip_prefix(readme.parent().unwrap_or(Path::new(""))) else {
        return String::new();
    };
    let folder = escape::xml(&folder.display().to_string());
    let width = 98 / published.pictures.len().max(1);
    let one = |file: &String| {
        let what = escape::xml(file.trim_start_matches("figures/").trim_end_matches(".svg"));
        let file = escape::xml(file);
        format!(
            "<a href=\"{folder}/report.html\"><img src=\"{folder}/{file}\" width=\"{width}%\" alt=\"{what}\"></a>\n"
        )
    };
    let pictures: String = published.pictures.iter().map(one).collect();
    if pictures.is_empty() { pictures } else { format!("<p>\n{pictures}</p>\n\n") }
}

#[cfg(feature = "hub")]
fn check_hub(repository: &str, args: &PublishArgs) -> Result<()> {
    use isocost_models::hub::{DataSet, Environment};

    Ok(DataSet { repository, private: args.private }.check(&Environment::read()?)?)
}

#[cfg(not(feature = "hub"))]
fn check_hub(repository: &str, _: &PublishArgs) -> Result<()> {
    bail!("--hub {repository}: this build has no network: build with the feature `hub`")
}

#[cfg(feature = "hub")]
fn upload(repository: &str, args: &PublishArgs, published: &Published) -> Result<()> {
    use isocost_models::hub::{DataSet, Environment};

    let folder = args.into.join(&published.name);
    let mut files: BTreeMap<String, PathBuf> =
        published.files.keys().map(|name| (name.clone(), folder.join(name))).collect();
    files.insert(FILE.into(), folder.join(FILE));
    let run = args.run.as_deref().unwrap_or(Path::new("."));
    let left_out = RECORDS.iter().filter(|name| run.join(name).is_file());
    for name in left_out {
        files.entry((*name).to_owned()).or_insert_with(|| run.join(name));
    }
    let data_set = DataSet { repository, private: args.private };
    let summary = format!("isocost: {}", published.name);
    let address = data_set.upload(&Environment::read()?, &files, &summary, &|line| eprintln!("{line}"))?;
    println!("{address}");
    Ok(())
}

#[cfg(not(feature = "hub"))]
fn upload(repository: &str, args: &PublishArgs, _: &Published) -> Result<()> {
    check_hub(repository, args)
}
