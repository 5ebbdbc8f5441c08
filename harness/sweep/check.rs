//! What makes a sweep one that can be carried out.

use std::collections::BTreeSet;

use super::{ModelEntry, Sweep, TaskEntry};
use crate::cell::{Budget, MOST_TOKENS, Policy};
use crate::engine::Sampling;
use crate::price::{Price, Verifier};
use crate::task::Task;

/// Ten times what published studies of repeated sampling draw of a problem. What is beyond is a slip of the pen, which would
/// only be seen once memory is full; so are the next two.
const MOST_TRAJECTORIES: u32 = 100_000;
/// Rows of a batch: more than any device holds.
const MOST_ROWS: usize = 65_536;
/// Forced continuations of a thought.
const MOST_WAITS: u32 = 1_000;

impl Sweep {
    /// Whether it can be carried out, else what is wrong with it.
    pub(super) fn check(&self) -> Result<(), String> {
        // Any other text is made harmless where it is shown; this one names a folder, too.
        if self.name.is_empty() || self.name.contains('/') {
            return Err(format!("sweep name {:?} must not be empty, nor contain `/`", self.name));
        }
        check_names("model", self.models.iter().map(|m| &m.name))?;
        check_names("task", self.tasks.iter().map(|t| &t.name))?;
        self.check_values()
    }

    /// The same but for names, which are escaped wherever they are shown: what a manifest from anywhere must be for numbers
    /// to be made of its run.
    pub(crate) fn check_values(&self) -> Result<(), String> {
        check_budgets(&self.budgets)?;
        for model in &self.models {
            model.budgets.as_ref().map_or(Ok(()), |budgets| check_budgets(budgets))?;
            self.check_server(model).map_err(|message| format!("model `{}`: {message}", model.name))?;
        }
        self.check_counts()?;
        self.check_waits()?;
        if self.strategies.is_empty() {
            return Err("strategies must not be empty".into());
        }
        self.tasks.iter().try_for_each(check_task)?;
        check_prices(self.all_prices(), self.verifier.as_ref())?;
        check_sampling(&self.sampling)
    }

    fn check_counts(&self) -> Result<(), String> {
        check_ascending("n", &self.n)?;
        if self.n.contains(&0) {
            return Err("n = 0: n counts completions, from 1".into());
        }
        if self.trajectories() < self.largest_n() {
            return Err(format!("trajectories must be at least the largest n, {}", self.largest_n()));
        }
        if self.trajectories() > MOST_TRAJECTORIES {
            return Err(format!("n and trajectories are at most {MOST_TRAJECTORIES}"));
        }
        if !(1..=MOST_ROWS).contains(&self.rows) {
            return Err(format!("rows = {}: a batch has 1 to {MOST_ROWS} rows", self.rows));
        }
        Ok(())
    }

    fn check_waits(&self) -> Result<(), String> {
        if self.waits.contains(&0) || self.waits.iter().collect::<BTreeSet<_>>().len() != self.waits.len() {
            return Err("waits: each series needs its own count, from 1".into());
        }
        if self.waits.iter().any(|waits| *waits > MOST_WAITS) {
            return Err(format!("waits are at most {MOST_WAITS}"));
        }
        Ok(())
    }

    /// A server is asked for nothing that it cannot do exactly.
    fn check_server(&self, model: &ModelEntry) -> Result<(), String> {
        let Some(server) = &model.server else {
            let is_url = model.source.contains("://");
            return if is_url {
                Err(format!("{} is a server: add a [models.server]", model.source))
            } else {
                Ok(())
            };
        };
        server.check(&model.source)?;
        if !server.extensions && (self.sampling.top_k.is_some() || self.sampling.min_p.is_some()) {
            return Err(
                "with extensions = false there is no top_k and no min_p: OpenAI's protocol has neither"
                    .into(),
            );
        }
        if let Some(price) = self.all_prices().find(|price| price.api.is_none()) {
            return Err(format!(
                "price `{}` is for device seconds, which a server does not tell: give prices by the token (api)",
                price.label()
            ));
        }
        let is_expressible = self.policy == Policy::Truncate || self.budgets(model) == [Budget::Max];
        let thinks_freely = !self.budgets(model).contains(&Budget::Tokens(0)) && self.waits.is_empty();
        if server.is_continued() || is_expressible && thinks_freely {
            return Ok(());
        }
        Err("a chat server cannot be made to answer at a budget or to wait: name the served model's `tokenizer`, so that \
             its text can be continued, or set budgets = [\"max\"], or policy = \"truncate\" with budgets above 0"
            .into())
    }
}

fn check_budgets(budgets: &[Budget]) -> Result<(), String> {
    check_ascending("budgets", budgets)?;
    let too_long = |budget: &&Budget| matches!(budget, Budget::Tokens(tokens) if *tokens > MOST_TOKENS);
    budgets.iter().find(too_long).map_or(Ok(()), |budget| {
        Err(format!("budget {budget} is above {MOST_TOKENS}, more than any model can think: write \"max\""))
    })
}

/// A task of the sweep; one that came with it, and not from a file of its own, as a whole.
fn check_task(entry: &TaskEntry) -> Result<(), String> {
    if entry.problems == Some(0) {
        return Err(format!("task `{}`: problems = 0: give a count from 1, or leave it out", entry.name));
    }
    let checked = entry.definition.as_ref().map_or(Ok(()), Task::check);
    checked.map_err(|message| format!("task {}: {message}", entry.name))
}

fn check_ascending<T: PartialOrd + std::fmt::Display>(what: &str, values: &[T]) -> Result<(), String> {
    if values.is_empty() {
        return Err(format!("{what} is empty"));
    }
    match values.windows(2).find(|pair| pair[0] >= pair[1]) {
        Some(pair) => {
            Err(format!("{what} must ascend without repetition, but {} follows {}", pair[1], pair[0]))
        }
        None => Ok(()),
    }
}

fn check_names<'a>(what: &str, names: impl Iterator<Item = &'a String>) -> Result<(), String> {
    let mut seen = BTreeSet::new();
    for name in names {
        if name.is_empty() || name.chars().any(|c| c.is_control() || c == '/') {
            return Err(format!("{what} name {name:?} must be printable and without `/`"));
        }
        if !seen.insert(name) {
            return Err(format!("{what} `{name}` is listed twice"));
        }
    }
    if seen.is_empty() { Err(format!("there is no {what}")) } else { Ok(()) }
}

fn check_prices<'a>(
    prices: impl Iterator<Item = &'a Price>,
    verifier: Option<&Verifier>,
) -> Result<(), String> {
    let mut labels = BTreeSet::new();
    for price in prices {
        price.check().map_err(|complaint| format!("price {}: {complaint}", price.label()))?;
        if !labels.insert(price.label()) {
            return Err(format!("price `{}` is listed twice: give one of them a name", price.label()));
        }
    }
    let is_amount = |amount: f64| amount >= 0.0 && amount.is_finite();
    match verifier {
        Some(v) if !is_amount(v.device_s_per_answer) || !is_amount(v.usd_per_answer) => {
            Err("verifier: seconds and dollars are numbers from 0".into())
        }
        _ => Ok(()),
    }
}

fn check_sampling(sampling: &Sampling) -> Result<(), String> {
    let in_unit = |p: Option<f64>| p.is_none_or(|p| (0.0..=1.0).contains(&p));
    if !(0.0..=10.0).contains(&sampling.temperature) {
        return Err(format!("temperature {} is not between 0 and 10", sampling.temperature));
    }
    if sampling.top_k == Some(0) || !in_unit(sampling.top_p) || !in_unit(sampling.min_p) {
        return Err("top_k counts from 1; top_p and min_p lie between 0 and 1".into());
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn mistakes_are_refused_in_one_line_that_names_the_file() {
        let with = |from: &str, to: &str| {
            let text = include_str!("../sweeps/quickstart.toml");
            assert!(text.contains(from), "{from}");
            Sweep::parse("sweep.toml", &text.replacen(from, to, 1)).unwrap_err().to_string()
        };
        for (message, expected) in [
            (with("budgets = [0, ", "budgets = [-1, "), "budget -1"),
            (with("budgets = [0, ", "budgets = [0, 0, "), "ascend"),
            (with("n = [1, ", "n = [0, 1, "), "n = 0"),
            (with("budgets = [0, ", "budgets = [16, 16, "), "but 16 follows 16"),
            (with("name = \"quickstart\"", "name = \"\""), "sweep name"),
            (with("name = \"quickstart\"", "name = \"../../esc\""), "sweep name"),
            (with("problems = ", "problems = 0 #"), "problems = 0"),
            (with("seed = ", "sead = "), "sead"),
            (with("temperature = 0.8", "temperature = -1.0"), "temperature"),
            (with("name = \"chain\"", "name = \"chess\""), "no task `chess`"),
        ] {
            assert!(message.starts_with("sweep.toml: ") && message.contains(expected), "{message}");
            assert_eq!(message.lines().count(), 1, "{message}");
        }
    }

    #[test]
    fn counts_that_no_machine_could_carry_out_are_refused_before_it_tries() {
        let quickstart = serde_json::to_value(Sweep::open("quickstart").unwrap()).unwrap();
        for (place, value, complaint) in [
            ("/budgets/6", u64::from(u32::MAX), "budget 4294967295 is above 10000000"),
            ("/n/7", 100_001, "at most 100000"),
            ("/trajectories", 100_001, "at most 100000"),
            ("/rows", 0, "1 to 65536 rows"),
            ("/rows", u64::MAX, "1 to 65536 rows"),
            ("/tasks/0/definition/answer_tokens", u64::from(u32::MAX), "`answer_tokens` is above 10000000"),
        ] {
            let mut spoilt = quickstart.clone();
            *spoilt.pointer_mut(place).unwrap() = value.into();
            let spoilt: Sweep = serde_json::from_value(spoilt).unwrap();
            let message = spoilt.check().unwrap_err();
            assert!(message.contains(complaint), "{message}");
        }
        let waits = Sweep { waits: vec![1_001], ..Sweep::open("quickstart").unwrap() };
        assert!(waits.check().unwrap_err().contains("at most 1000"));
    }
}
