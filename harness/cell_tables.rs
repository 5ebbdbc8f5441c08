//! The tables of a sweep: for each model and task, accuracy by budget and what it costs.

use std::collections::{BTreeMap, BTreeSet};

use crate::cell::{Budget, Strategy};
use crate::rounding::{ABSENT, amount, percent, share, significant};
use crate::row::Row;
use crate::table::{Column, TERMINAL_WIDTH, Table};
use crate::whole::LeftOut;

/// Strategies from the most to the least telling, where not all have room.
const TELLING: [Strategy; 6] = [
    Strategy::Verifier,
    Strategy::Maj,
    Strategy::Pass,
    Strategy::Weighted,
    Strategy::Score,
    Strategy::Shortest,
];

/// A way to turn completions into an answer: a column of the accuracy table. Ordered by n.
type Way = (u32, Strategy);

/// The rows of one model on one task.
pub struct Group<'a> {
    /// The model's name.
    pub model: &'a str,
    /// The task's name.
    pub task: &'a str,
    rows: BTreeMap<(Budget, u32), BTreeMap<Way, &'a Row>>,
}

/// Groups rows by task and model, tasks and models in the order of their first row.
pub fn groups(rows: &[Row]) -> Vec<Group<'_>> {
    let mut groups: Vec<Group> = Vec::new();
    for row in rows {
        let (model, task) = (row.cell.model.as_str(), row.cell.task.as_str());
        let found = groups.iter().position(|group| (group.model, group.task) == (model, task));
        let at = found.unwrap_or_else(|| {
            groups.push(Group { model, task, rows: BTreeMap::new() });
            groups.len() - 1
        });
        let way = (row.cell.n, row.cell.strategy);
        groups[at].rows.entry((row.cell.budget, row.cell.waits)).or_default().insert(way, row);
    }
    groups
}

/// `first`, `maj@4`: the name of a strategy with its n.
pub fn way_name(strategy: Strategy, n: u32) -> String {
    if strategy == Strategy::First { strategy.to_string() } else { format!("{strategy}@{n}") }
}

impl Group<'_> {
    /// Accuracy by budget and strategy, with at most so many columns of strategies.
    pub fn accuracy(&self, most: usize) -> Table {
        let ways = self.most_telling(most);
        let mut columns = self.budget_columns();
        columns.extend(ways.iter().map(|&(n, strategy)| Column::number(&way_name(strategy, n), "")));
        let entries = |by_way: &BTreeMap<Way, &Row>| {
            ways.iter().map(|way| accuracy_entry(by_way.get(way).copied())).collect::<Vec<_>>()
        };
        let mut table = self.table("Accuracy [95 % interval]", columns, entries);
        table.footnotes = self.accuracy_notes(&ways);
        table
    }

    /// The accuracy table with as many strategies as a terminal has room for.
    pub fn accuracy_for_terminal(&self) -> Table {
        let candidates = (1..=8).rev().map(|most| self.accuracy(most));
        candidates.into_iter().find(fits_terminal).unwrap_or_else(|| self.accuracy(1))
    }

    /// The cost table with the prices a terminal has room for.
    pub fn cost_for_terminal(&self) -> Table {
        Some(self.cost(2)).filter(fits_terminal).unwrap_or_else(|| self.cost(1))
    }

    /// Tokens, device seconds and dollars by budget: of one completion and, if `most` is above 1, of the most
    /// telling choice that can be had.
    pub fn cost(&self, most: usize) -> Table {
        let mut ways = self.most_telling(most);
        ways.retain(|way| way.1 != Strategy::Pass);
        let answers = answers_per_price(self.rows.values().flat_map(BTreeMap::values).copied());
        let unit = price_unit(answers);
        let mut columns = self.budget_columns();
        columns.extend([Column::number("reasoning", "tokens"), Column::number("answer", "tokens")]);
        columns.extend([Column::number("cut", "%"), Column::number("no answer", "%")]);
        columns.extend(ways.iter().map(|way| Column::number(&format!("n={}", way.0), "device s")));
        let has_price = self.rows.values().flat_map(BTreeMap::values).any(|row| !row.prices.is_empty());
        let priced = if has_price { ways.as_slice() } else { &[] };
        columns.extend(priced.iter().map(|way| Column::number(&way_name(way.1, way.0), unit)));
        let mut table = self.table("Cost: means of a completion, seconds of a problem", columns, |by_way| {
            cost_entries(by_way, (&ways, priced), answers as f64)
        });
        table.footnotes = vec![
            "cut: completions that ran out of tokens. Seconds: the prompt once, then n completions.".into(),
            "$/k, $/M correct: dollars per thousand, per million correct answers.".into(),
        ];
        table.footnotes.truncate(if answers == 1 { 1 } else { 2 });
        table
    }

    fn table(
        &self,
        what: &str,
        columns: Vec<Column>,
        entries: impl Fn(&BTreeMap<Way, &Row>) -> Vec<String>,
    ) -> Table {
        let row = |(&(budget, waits), by_way): (&(Budget, u32), &BTreeMap<Way, &Row>)| {
            let mut row = vec![budget.to_string()];
            row.extend(self.has_waits().then(|| waits.to_string()));
            row.extend(entries(by_way));
            row
        };
        let caption = format!("{} on {}. {what}", self.model, self.task);
        Table { caption, columns, rows: self.rows.iter().map(row).collect(), footnotes: Vec::new() }
    }

    fn budget_columns(&self) -> Vec<Column> {
        let mut columns = vec![Column::number("budget", "tokens")];
        columns.extend(self.has_waits().then(|| Column::number("waits", "")));
        columns
    }

    fn has_waits(&self) -> bool {
        self.rows.keys().any(|&(_, waits)| waits > 0)
    }

    /// `first` and the most telling strategies: those at the largest reliable n, then at about its root.
    fn most_telling(&self, most: usize) -> Vec<Way> {
        let ways: BTreeSet<Way> = self.rows.values().flat_map(|by_way| by_way.keys().copied()).collect();
        let (first, others): (Vec<Way>, Vec<Way>) =
            ways.into_iter().partition(|way| way.1 == Strategy::First);
        let others = votes(others, first.is_empty());
        let (large, middle) = self.telling_n(&others);
        let rank = |way: &Way| TELLING.iter().position(|&strategy| strategy == way.1);
        let mut wanted: Vec<Way> =
            others.into_iter().filter(|way| way.0 == large || Some(way.0) == middle).collect();
        wanted.sort_by_key(|way| (way.0 != large, rank(way)));
        let mut chosen: Vec<Way> = first.into_iter().take(1).chain(wanted).take(most).collect();
        chosen.sort_by_key(|&(n, strategy)| (strategy != Strategy::First, n, strategy));
        chosen
    }

    /// The largest n with a reliable cell (else the largest), and the n nearest to its root.
    fn telling_n(&self, ways: &[Way]) -> (u32, Option<u32>) {
        let is_reliable =
            |way: &&Way| self.rows.values().any(|by_way| by_way.get(way).is_some_and(|row| row.reliable));
        let reliable = ways.iter().filter(is_reliable).map(|way| way.0).max();
        let large = reliable.or(ways.iter().map(|way| way.0).max()).unwrap_or(1);
        let distance = |n: u32| (2.0 * f64::from(n).ln() - f64::from(large).ln()).abs();
        let between: BTreeSet<u32> = ways.iter().map(|way| way.0).filter(|&n| 1 < n && n < large).collect();
        (large, between.into_iter().rev().min_by(|&a, &b| distance(a).total_cmp(&distance(b))))
    }

    /// Problems that are in no number of the group or of some budgets, a sentence for each kind.
    fn left_out(&self) -> Vec<String> {
        let mut kinds: BTreeMap<(LeftOut, usize), Vec<String>> = BTreeMap::new();
        for ((budget, _), by_way) in &self.rows {
            if let Some(row) = by_way.values().next().filter(|row| row.left_out.problems > 0) {
                kinds.entry((row.left_out, row.problems)).or_default().push(budget.to_string());
            }
        }
        let sentence = |((left_out, kept), mut budgets): ((LeftOut, usize), Vec<String>)| {
            budgets.dedup();
            let LeftOut { problems, trajectories } = left_out;
            let (all, at) = (problems + kept, budgets.join(", "));
            format!(
                "Left out at {at}: {problems} of {all} problems; so many of their trajectories have no answer at a budget: {trajectories}."
            )
        };
        kinds.into_iter().map(sentence).collect()
    }

    fn accuracy_notes(&self, ways: &[Way]) -> Vec<String> {
        let shown = |by_way: &BTreeMap<Way, &Row>| {
            ways.iter().filter_map(|way| by_way.get(way)).any(|row| !row.reliable && row.accuracy.is_some())
        };
        let mut notes = self.left_out();
        if self.rows.values().any(shown) {
            notes.push(
                "~ n is more than half of the trajectories: too few distinct subsets, read with care.".into(),
            );
        }
        if ways.iter().any(|way| way.1 == Strategy::Pass) {
            notes.push("pass@n is an oracle's coverage, not an accuracy that can be had.".into());
        }
        notes
    }
}

/// Without those of one completion, which elect nothing, unless they are all there is.
fn votes(ways: Vec<Way>, is_all: bool) -> Vec<Way> {
    let votes: Vec<Way> = ways.iter().copied().filter(|way| way.0 > 1).collect();
    if votes.is_empty() && is_all { ways } else { votes }
}

/// 1, 1,000 or 1,000,000 answers: what to quote prices for so that they begin before the point.
pub fn answers_per_price<'a>(rows: impl Iterator<Item = &'a Row>) -> u64 {
    let prices = rows.filter_map(|row| row.usd_per_correct().map(|usd| usd.value)).filter(|usd| *usd > 0.0);
    match prices.reduce(f64::min) {
        Some(least) if least < 1e-4 => 1_000_000,
        Some(least) if least < 0.1 => 1_000,
        _ => 1,
    }
}

/// The unit of a price for so many correct answers, short for the head of a column: `$/M correct`.
pub fn price_unit(answers: u64) -> &'static str {
    match answers {
        1_000_000 => "$/M correct",
        1_000 => "$/k correct",
        _ => "$/correct",
    }
}

fn fits_terminal(table: &Table) -> bool {
    table.terminal().lines().skip(1).all(|line| line.chars().count() <= TERMINAL_WIDTH)
}

fn accuracy_entry(row: Option<&Row>) -> String {
    match row {
        Some(row) if row.accuracy.is_some() && !row.reliable => format!("~{}", share(row.accuracy.as_ref())),
        row => share(row.and_then(|row| row.accuracy.as_ref())),
    }
}

fn cost_entries(by_way: &BTreeMap<Way, &Row>, (ways, priced): (&[Way], &[Way]), scale: f64) -> Vec<String> {
    let of =
        |number: fn(&Row) -> String| by_way.values().next().map_or(ABSENT.to_string(), |row| number(row));
    let mut entries = vec![
        of(|row| significant(row.reasoning_tokens_mean)),
        of(|row| significant(row.answer_tokens_mean)),
        of(|row| percent(row.truncated_share)),
        of(|row| percent(row.no_answer_share)),
    ];
    let seconds =
        |way: &Way| by_way.get(way).map_or(ABSENT.to_string(), |row| significant(row.device_s_mean));
    let usd = |way: &Way| amount(by_way.get(way).and_then(|row| row.usd_per_correct()), scale);
    entries.extend(ways.iter().map(seconds));
    entries.extend(priced.iter().map(usd));
    entries
}
