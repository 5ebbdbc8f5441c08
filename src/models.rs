//! `models`: which models there are, what is known of one, and fetching it.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use anyhow::{Result, bail};
use isocost_harness::model_facts::ModelFacts;
use isocost_harness::table::{Column, Table};
use isocost_models::bundled;
use isocost_models::card::{Card, Fact, ForcedAnswer, SamplingCard, ThinkingCard, Training};
use isocost_models::chat::OffSwitch;
use isocost_models::checkpoint::Checkpoint;
use isocost_models::engine::Device;
use isocost_models::facts;
use isocost_models::memory::bytes;
use isocost_models::source::Source;

use crate::log;
use crate::progress::Downloads;

/// Prints the bundled models, those with a card, and those in the hub's cache.
pub(crate) fn list() -> Result<()> {
    let mut rows = bundled::names().iter().map(|name| bundled_row(name)).collect::<Result<Vec<_>>>()?;
    let mut here = in_cache();
    for card in Card::all()? {
        let place = here.remove(&card.hub_id).unwrap_or_default();
        let parameters = card.parameters.as_ref().map(|fact| in_words(fact.value)).unwrap_or_default();
        let released = card.released.map(|fact| fact.value).unwrap_or_default();
        rows.push(vec![format!("hub:{}", card.hub_id), parameters, released, place]);
    }
    for (repository, place) in here {
        rows.push(vec![format!("hub:{repository}"), String::new(), String::new(), place]);
    }
    let columns = [
        Column::text("model"),
        Column::number("parameters", ""),
        Column::text("released"),
        Column::text("here"),
    ];
    let caption = "Models with a card, and those on this machine; any other is named hub:OWNER/NAME, by its folder or .gguf file.";
    let table = Table { caption: caption.into(), columns: columns.into(), rows, footnotes: vec![] };
    print!("{}", table.terminal());
    Ok(())
}

fn bundled_row(name: &str) -> Result<Vec<String>> {
    let source = format!("bundled:{name}");
    let parameters = open(&Source::at(&bundled::folder(&source)?))?.weights.parameters()?;
    Ok(vec![source, in_words(parameters as f64), String::new(), "comes with the program".into()])
}

fn open(source: &Source) -> Result<Checkpoint> {
    Ok(Checkpoint::open(source, None, &Device::Cpu)?)
}

/// What the hub's cache holds of each repository.
#[cfg(feature = "hub")]
fn in_cache() -> BTreeMap<String, String> {
    let models = isocost_models::hub::Hub::from_env().map(|hub| hub.cached_models()).unwrap_or_default();
    let mut places: BTreeMap<String, String> = BTreeMap::new();
    for model in models {
        let commit = isocost_models::hub::short(&model.commit);
        let revision = if model.revisions.is_empty() { commit.into() } else { model.revisions.join(", ") };
        let state = model.lacks.map_or("fetched".into(), |file| format!("incomplete, lacks {file}"));
        let place = format!("{state} ({revision}, {})", bytes(model.bytes));
        places.entry(model.repository).and_modify(|text| *text += &format!("; {place}")).or_insert(place);
    }
    places
}

#[cfg(not(feature = "hub"))]
fn in_cache() -> BTreeMap<String, String> {
    BTreeMap::new()
}

/// Fetches a model and prints where it is.
pub(crate) fn fetch(name: &str) -> Result<()> {
    let source = Downloads::resolve(&by_card(name))?;
    if let Some(commit) = &source.commit {
        eprintln!("{name}: complete at commit {commit}");
    }
    println!("{}", source.path.display());
    Ok(())
}

/// `hub:OWNER/NAME` of a model that is named by its card; else the name as it is.
fn by_card(name: &str) -> String {
    match Card::for_model(name) {
        Ok(card) if !name.contains(':') && !Path::new(name).exists() => format!("hub:{}", card.hub_id),
        _ => name.to_owned(),
    }
}

/// Prints what is known of a model: from its files, if they are here, and from its card.
pub(crate) fn show(name: &str) -> Result<()> {
    let name = by_card(name);
    let source = on_this_machine(&name)?;
    line("model", &name);
    if let Some(source) = source {
        let checkpoint = open(&source)?;
        show_files(&source, &checkpoint)?;
        show_card(&checkpoint.conversation.card);
    } else {
        line("here", &format!("no; fetch it with: isocost models fetch {name}"));
        Card::for_model(&name).iter().for_each(show_card);
    }
    Ok(())
}

/// Writes a bundled model as a GGUF file.
pub(crate) fn export(model: &str, file: &Path) -> Result<()> {
    if !model.starts_with("bundled:") {
        bail!("{model}: only bundled models are exported: name one as in bundled:reason-s");
    }
    if file.exists() {
        bail!("{}: exists already: choose another name", file.display());
    }
    isocost_models::export::gguf(&Downloads::resolve(model)?, file)?;
    println!("{}", file.display());
    Ok(())
}

/// What comparisons need to know of a model: from its files if they are here, else from its card.
pub(crate) fn facts(name: &str) -> Result<ModelFacts> {
    if let Some(source) = on_this_machine(name)? {
        return Ok(facts::of_files(&source, &open(&source)?)?);
    }
    let without_revision = name.split('@').next().unwrap_or(name);
    let card = Card::for_model(without_revision).ok();
    if card.is_none() {
        log::say(&format!("{name}: is not here and has no card, so what it is stays unknown"));
    }
    Ok(card.map(|card| facts::of_card(&card)).unwrap_or_default())
}

/// The model's files, unless they would have to be fetched.
fn on_this_machine(name: &str) -> Result<Option<Source>> {
    #[cfg(feature = "hub")]
    if let Some(text) = name.strip_prefix("hub:") {
        use isocost_models::hub::{Hub, HubName};
        let name = HubName::parse(text)?;
        let cached = Hub::from_env()?.cached(&name).ok();
        return Ok(cached.map(|snapshot| Source {
            name: name.model().to_owned(),
            path: snapshot.path,
            commit: Some(snapshot.commit),
        }));
    }
    Ok(Some(Downloads::resolve(name)?))
}

fn show_files(source: &Source, checkpoint: &Checkpoint) -> Result<()> {
    let Checkpoint { config, weights, .. } = checkpoint;
    line("path", &source.path.display().to_string());
    source.commit.iter().for_each(|commit| line("commit", commit));
    line("family", &config.family);
    line("parameters", &in_words(weights.parameters()? as f64));
    line("stored as", &weights.stored_types()?.into_iter().collect::<Vec<_>>().join(", "));
    line("context", &format!("{} tokens", config.context));
    let kv = |size: usize| bytes(config.kv_bytes_per_token(size) as u64);
    line("keys and values", &format!("{} a token in 16 bits, {} in 32", kv(2), kv(4)));
    for file in files(&source.path)? {
        // Names in the hub's cache are links; the size wanted is the content's.
        let size = std::fs::metadata(&file).map_or("unreadable".into(), |data| bytes(data.len()));
        line("file", &format!("{} ({size})", file.file_name().unwrap_or_default().to_string_lossy()));
    }
    Ok(())
}

/// The file itself, or all of a folder, by name.
fn files(path: &Path) -> std::io::Result<Vec<PathBuf>> {
    if path.is_file() {
        return Ok(vec![path.to_owned()]);
    }
    let mut files: Vec<_> = std::fs::read_dir(path)?.flatten().map(|entry| entry.path()).collect();
    files.sort();
    Ok(files)
}

fn show_card(card: &Card) {
    let text = |name: &str, fact: &Option<Fact<String>>| {
        fact.iter().for_each(|fact| fact_line(name, &quoted(&fact.value), &fact.source));
    };
    line("card", &card.hub_id);
    text("licence", &card.licence);
    card.parameters.iter().for_each(|fact| fact_line("parameters", &in_words(fact.value), &fact.source));
    text("released", &card.released);
    text("base model", &card.base_model);
    text("teacher", &card.teacher);
    text("system prompt", &card.system_prompt);
    text("instruction", &card.instruction);
    text("wait", &card.wait);
    match &card.thinking {
        Some(thinking) => show_thinking(thinking),
        None => line("thinking", "none"),
    }
    card.forced_answers.iter().for_each(show_forced);
    card.sampling.iter().for_each(show_sampling);
    card.training.iter().for_each(show_training);
}

fn show_thinking(thinking: &ThinkingCard) {
    let off = match thinking.off {
        OffSwitch::Template => "switched off by its template",
        OffSwitch::NoThink => "switched off by /no_think",
        OffSwitch::EmptyBlock => "skipped by an empty block",
        OffSwitch::None => "never switched off",
    };
    fact_line("thinking", &format!("{} ... {}, {off}", thinking.open, thinking.close), &thinking.source);
}

fn show_forced(answer: &ForcedAnswer) {
    fact_line("forced answer", &format!("{}: {}", answer.name, quoted(&answer.text)), &answer.source);
}

fn show_sampling(sampling: &SamplingCard) {
    let optional = [
        ("top_p", sampling.top_p),
        ("top_k", sampling.top_k.map(f64::from)),
        ("min_p", sampling.min_p),
        ("presence_penalty", sampling.presence_penalty),
        ("repetition_penalty", sampling.repetition_penalty),
    ];
    let optional: String =
        optional.iter().filter_map(|(name, v)| v.map(|v| format!(", {name} {v}"))).collect();
    let mode = format!("{:?}", sampling.mode).to_lowercase();
    fact_line(
        "sampling",
        &format!("{mode}: temperature {}{optional}", sampling.temperature),
        &sampling.source,
    );
}

fn show_training(training: &Training) {
    let amounts =
        [(training.gpu_hours, "GPU hours"), (training.tokens, "tokens"), (training.examples, "examples")];
    let amounts: String =
        amounts.iter().filter_map(|(v, unit)| v.map(|v| format!(", {} {unit}", in_words(v)))).collect();
    let device = training.device.iter().map(|device| format!(" on {device}")).collect::<String>();
    fact_line("training", &format!("{}{amounts}{device}", training.stage), &training.source);
}

fn line(name: &str, value: &str) {
    println!("{name:16} {value}");
}

fn fact_line(name: &str, value: &str, source: &str) {
    line(name, &format!("{value}  [{source}]"));
}

/// A text that may hold line breaks, in one line.
fn quoted(text: &str) -> String {
    text.replace('\n', "\\n")
}

/// 596049920 as `596M`, 36000000000000 as `36T`.
fn in_words(count: f64) -> String {
    let units = [(1e12, "T"), (1e9, "B"), (1e6, "M"), (1e3, "k")];
    match units.iter().find(|(size, _)| count >= *size) {
        Some((size, unit)) => {
            let number = count / size;
            let digits = usize::from(number < 100.0) + usize::from(number < 10.0);
            let text = format!("{number:.digits$}");
            let text = if digits > 0 { text.trim_end_matches('0').trim_end_matches('.') } else { &text };
            format!("{text}{unit}")
        }
        None => count.to_string(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn large_counts_are_written_as_people_say_them() {
        let written = [596_049_920.0, 36e12, 1_777_088_000.0, 7.6e9, 100e9, 512.0, 121_344.0].map(in_words);
        assert_eq!(written, ["596M", "36T", "1.78B", "7.6B", "100B", "512", "121k"]);
    }

    #[test]
    fn a_card_is_found_by_a_short_name_and_nothing_else_is_changed() {
        assert_eq!(by_card("qwen3-0.6b"), "hub:Qwen/Qwen3-0.6B");
        assert_eq!(by_card("hub:Qwen/Qwen3-0.6B@main"), "hub:Qwen/Qwen3-0.6B@main");
        assert_eq!(by_card("bundled:reason-s"), "bundled:reason-s");
        assert_eq!(by_card("./somewhere"), "./somewhere");
    }
}
