//! What a sweep needs to run: its tasks with their problems, its models, its place on disk.

use std::collections::BTreeMap;
use std::path::PathBuf;

use anyhow::{Context, Result, bail};
use isocost_harness::cell::Budget;
use isocost_harness::engine::{Engine, EngineError, Job};
use isocost_harness::manifest::{Identity, Manifest};
use isocost_harness::sampling::TaskInRun;
use isocost_harness::server::Server;
use isocost_harness::shard::Shard;
use isocost_harness::source::Library;
use isocost_harness::sweep::{ModelEntry, Sweep, TaskEntry};
use isocost_harness::trajectory::SCHEMA;
use isocost_models::checkpoint::Checkpoint;
use isocost_models::conversation::Conversation;
use isocost_models::engine::{Device, LocalEngine};
use isocost_models::facts::ModelFacts;
use isocost_models::memory::MemoryPlan;
#[cfg(feature = "remote")]
use isocost_models::remote::RemoteEngine;
use isocost_models::source::Source;
use isocost_models::worker::Load;
use jiff::Timestamp;

use crate::claims::REGISTERED;
use crate::command_line;
use crate::progress::Downloads;
use crate::tasks::subset;

/// Tokens assumed of a prompt where only the memory is planned.
const USUAL_PROMPT: usize = 256;

/// The sweep of that name, with at most `limit` problems of each task.
pub(crate) fn sweep(name: &str, limit: Option<usize>) -> Result<Sweep> {
    let mut sweep = Sweep::open(name)?;
    for entry in &mut sweep.tasks {
        entry.problems = [entry.problems, limit].into_iter().flatten().min();
    }
    Ok(sweep)
}

/// The tasks of a sweep with the problems it uses.
pub(crate) fn tasks(sweep: &Sweep, library: &Library) -> Result<Vec<TaskInRun>> {
    let open = |entry: &TaskEntry| -> Result<TaskInRun> {
        let task = entry.task()?;
        let problems = subset(&task, entry.problems, sweep.seed, library)?;
        Ok(TaskInRun { task, problems })
    };
    sweep.tasks.iter().map(open).collect()
}

/// A model of a sweep, found.
pub(crate) struct Planned {
    name: String,
    kind: Found,
}

/// Where a model is.
enum Found {
    /// On this machine, with what it will take of a device's memory.
    Here { source: Source, checkpoint: Box<Checkpoint>, memory: MemoryPlan },
    /// Behind a server.
    #[cfg(feature = "remote")]
    Served { engine: Box<RemoteEngine>, facts: serde_json::Value },
}

/// Finds one of a sweep's models, fetching it if need be, and plans its memory. Nothing is loaded yet, but all that
/// can be known to be wrong without loading is an error now.
pub(crate) fn find(
    sweep: &Sweep,
    model: &ModelEntry,
    tasks: &[TaskInRun],
    device: &Device,
) -> Result<Planned> {
    let found = match &model.server {
        Some(server) => served(sweep, model, tasks, server),
        None => here(sweep, model, tasks, device),
    };
    let kind = found.with_context(|| format!("model {}", model.name))?;
    Ok(Planned { name: model.name.clone(), kind })
}

fn here(sweep: &Sweep, model: &ModelEntry, tasks: &[TaskInRun], device: &Device) -> Result<Found> {
    let source = Downloads::resolve(&model.source)?;
    let rows = (sweep.rows, longest_row(sweep, model, tasks));
    let checkpoint = Box::new(Checkpoint::open(&source, None, device)?);
    check_prompts(&checkpoint.conversation, sweep, model, tasks)?;
    let memory = LocalEngine::plan_memory(&checkpoint, device, rows)?;
    if memory.batch() == 0 {
        bail!("does not fit ({memory}): take a smaller model, smaller budgets or another --device");
    }
    Ok(Found::Here { source, checkpoint, memory })
}

#[cfg(feature = "remote")]
fn served(sweep: &Sweep, model: &ModelEntry, tasks: &[TaskInRun], server: &Server) -> Result<Found> {
    let resolve =
        |name: &String| Ok::<_, anyhow::Error>(Checkpoint::conversation(&Downloads::resolve(name)?)?);
    let conversation = server.tokenizer.as_ref().map(resolve).transpose()?;
    if let Some(conversation) = conversation.as_ref().filter(|_| server.is_continued()) {
        check_prompts(conversation, sweep, model, tasks)?;
    }
    let facts = isocost_models::remote::facts(server, conversation.as_ref());
    let engine = Box::new(RemoteEngine::new(&model.source, server, conversation)?);
    engine.check()?;
    Ok(Found::Served { engine, facts })
}

#[cfg(not(feature = "remote"))]
fn served(_: &Sweep, _: &ModelEntry, _: &[TaskInRun], _: &Server) -> Result<Found> {
    bail!("this program was built without servers: build it with --features remote")
}

/// Every prompt can be made, and has room for its longest completion.
fn check_prompts(
    conversation: &Conversation,
    sweep: &Sweep,
    model: &ModelEntry,
    tasks: &[TaskInRun],
) -> Result<(), EngineError> {
    for TaskInRun { task, problems } in tasks {
        let jobs: Vec<Job> = problems.problems().iter().map(|problem| task.job(problem, vec![])).collect();
        conversation.prompts(&jobs, &sweep.settings(model, task, 0))?;
    }
    Ok(())
}

/// Tokens of the longest completion, with a usual prompt.
fn longest_row(sweep: &Sweep, model: &ModelEntry, tasks: &[TaskInRun]) -> usize {
    let thought = match sweep.budgets(model).last() {
        Some(Budget::Tokens(tokens)) => *tokens as usize,
        // The context is the limit.
        _ => return usize::MAX,
    };
    let answer = tasks.iter().map(|task| task.task.answer_tokens as usize).max().unwrap_or(0);
    USUAL_PROMPT + thought + answer
}

impl Planned {
    /// What identifies the model in a manifest.
    pub(crate) fn facts(&self) -> Result<serde_json::Value> {
        match &self.kind {
            Found::Here { source, checkpoint, .. } => {
                let facts = ModelFacts::of(source, checkpoint);
                Ok(serde_json::to_value(facts.with_context(|| format!("model {}", self.name))?)?)
            }
            #[cfg(feature = "remote")]
            Found::Served { facts, .. } => Ok(facts.clone()),
        }
    }

    /// What it takes, in words.
    pub(crate) fn takes(&self) -> String {
        match &self.kind {
            Found::Here { memory, .. } => memory.to_string(),
            #[cfg(feature = "remote")]
            Found::Served { facts, .. } => {
                format!("on a server; budgets: {}", facts["budgets"].as_str().unwrap_or_default())
            }
        }
    }

    /// What it takes of a device's memory, if it runs on one of this machine.
    pub(crate) fn memory(&self) -> Option<&MemoryPlan> {
        match &self.kind {
            Found::Here { memory, .. } => Some(memory),
            #[cfg(feature = "remote")]
            Found::Served { .. } => None,
        }
    }

    /// Whether it runs on a device of this machine.
    pub(crate) fn is_here(&self) -> bool {
        matches!(self.kind, Found::Here { .. })
    }

    /// What a worker needs to know to load the model; none if it is not on this machine.
    pub(crate) fn for_worker(&self) -> Option<Load> {
        match &self.kind {
            Found::Here { source, memory, .. } => {
                Some(Load { source: source.clone(), rows: memory.rows, row_tokens: memory.row_tokens })
            }
            #[cfg(feature = "remote")]
            Found::Served { .. } => None,
        }
    }

    /// The model ready to sample: loaded with as many rows as fit, or on its server.
    pub(crate) fn engine(self, device: &Device) -> Result<Box<dyn Engine>> {
        match self.kind {
            #[cfg(feature = "remote")]
            Found::Served { engine, .. } => Ok(engine),
            Found::Here { .. } => Ok(Box::new(self.load(device)?)),
        }
    }

    /// Loads the model, with as many rows as fit.
    pub(crate) fn load(self, device: &Device) -> Result<LocalEngine> {
        let context = format!("model {}", self.name);
        match self.kind {
            Found::Here { checkpoint, memory, .. } => {
                LocalEngine::new(*checkpoint, device, memory.batch()).context(context)
            }
            #[cfg(feature = "remote")]
            Found::Served { .. } => bail!("{context}: is on a server, and this needs the model here"),
        }
    }
}

/// What a run of this sweep is and where it came from.
pub(crate) fn manifest(
    sweep: &Sweep,
    tasks: &[TaskInRun],
    models: BTreeMap<String, serde_json::Value>,
    device: String,
    shard: Option<Shard>,
) -> Manifest {
    let problems_sha256 =
        tasks.iter().map(|t| (t.task.name.clone(), t.problems.sha256().to_owned())).collect();
    let mut provenance = provenance();
    provenance.insert("device".into(), device);
    provenance.insert("sweep_sha256".into(), sweep.sha256());
    provenance.insert(REGISTERED.into(), isocost_harness::claims::registry::sha256());
    Manifest {
        identity: Identity { schema: SCHEMA, sweep: sweep.clone(), problems_sha256, models, shard },
        provenance,
    }
}

/// When, where, by which build and with what words.
pub(crate) fn provenance() -> BTreeMap<String, String> {
    let facts = [
        ("isocost", env!("CARGO_PKG_VERSION").to_owned()),
        ("git_commit", env!("ISOCOST_COMMIT").to_owned()),
        ("git_tree", env!("ISOCOST_TREE").to_owned()),
        ("started", Timestamp::now().strftime("%FT%TZ").to_string()),
        ("host", host()),
        ("command", command_line::typed()),
    ];
    let diff = option_env!("ISOCOST_DIFF").map(|hash| ("git_diff", hash.to_owned()));
    facts.into_iter().chain(diff).map(|(key, value)| (key.to_owned(), value)).collect()
}

/// Where a sweep is run unless `--out` says otherwise.
pub(crate) fn default_directory(sweep: &Sweep, shard: Option<Shard>) -> PathBuf {
    let shard = shard.map_or(String::new(), |shard| format!("-{}", shard.file_name()));
    PathBuf::from("results/runs").join(format!("{}-{}-{}{shard}", date(), host(), sweep.name))
}

/// The machine's name, fit for a file's.
pub(crate) fn host() -> String {
    let name = std::fs::read_to_string("/proc/sys/kernel/hostname").unwrap_or_default();
    let kept: String = name.trim().chars().filter(|c| c.is_ascii_alphanumeric() || *c == '-').collect();
    if kept.is_empty() { "host".into() } else { kept }
}

/// Today in UTC, `YYYY-MM-DD`.
pub(crate) fn date() -> String {
    Timestamp::now().strftime("%F").to_string()
}
