//! What every cell's users would wait: a run's trajectories replayed on a surface.

use std::collections::{BTreeMap, BTreeSet};

use crate::cell::Budget;
use crate::escape::spreadsheet;
use crate::manifest::Manifest;
use crate::replay::{Course, Dialect, Latency, Percentiles, Request, Serving, replay};
use crate::rounding::{ABSENT, significant};
use crate::surface::Surface;
use crate::table::{Column, Table};
use crate::trajectory::Trajectory;

/// A model, task, series, budget and n: what a request asks for.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Asked {
    /// The task's name.
    pub task: String,
    /// The model's name.
    pub model: String,
    /// Forced continuations.
    pub waits: u32,
    /// Cap on reasoning tokens.
    pub budget: Budget,
    /// Completions of a request.
    pub n: u32,
}

/// What its requests wait.
#[derive(Clone, Debug, PartialEq)]
pub struct LatencyRow {
    /// What is asked for.
    pub asked: Asked,
    /// How long it takes.
    pub latency: Latency,
}

/// Everything that a manifest's sweep asks for, whatever the strategy; one strategy waits as long as another.
pub fn all_asked(manifest: &Manifest) -> Vec<Asked> {
    let mut asked: Vec<Asked> = Vec::new();
    for cell in manifest.identity.sweep.cells() {
        let (task, model, waits, budget, n) = (cell.task, cell.model, cell.waits, cell.budget, cell.n);
        let one = Asked { task, model, waits, budget, n };
        if !asked.contains(&one) {
            asked.push(one);
        }
    }
    asked
}

/// The surface of a model: the first with its shape and type.
pub fn surface_of<'a>(manifest: &Manifest, surfaces: &'a [Surface], model: &str) -> Option<&'a Surface> {
    let facts = manifest.identity.models.get(model)?;
    let shape = serde_json::from_value(facts.get("shape")?.clone()).ok()?;
    let dtype = facts.get("dtype")?.as_str()?;
    surfaces.iter().find(|surface| surface.name.shape == shape && surface.name.dtype == dtype)
}

/// How a model closes its thoughts, as the manifest says.
pub fn dialect(manifest: &Manifest, model: &str) -> Dialect {
    let facts = manifest.identity.models.get(model);
    let number = |name| facts.and_then(|facts| facts.get(name)?.as_i64()).unwrap_or(0);
    let forced_tokens = u32::try_from(number("forced_tokens")).unwrap_or(0);
    Dialect { forced_tokens, direct_extra_tokens: number("direct_extra_tokens") }
}

/// The requests of a cell: each problem's trajectories in groups of n, a remainder left out.
pub fn requests(asked: &Asked, records: &[Trajectory], dialect: Dialect) -> Vec<Request> {
    let mut problems: BTreeMap<&str, BTreeMap<u32, Course>> = BTreeMap::new();
    let is_asked = |t: &&Trajectory| t.model == asked.model && t.task == asked.task && t.waits == asked.waits;
    for trajectory in records.iter().filter(is_asked) {
        if let Some(course) = Course::of(trajectory, asked.budget, dialect) {
            problems.entry(&trajectory.problem).or_default().insert(trajectory.trajectory, course);
        }
    }
    let groups = |courses: BTreeMap<u32, Course>| {
        let courses: Vec<Course> = courses.into_values().collect();
        let chunks = courses.chunks_exact(asked.n as usize);
        chunks.map(|completions| Request { completions: completions.to_vec() }).collect::<Vec<_>>()
    };
    problems.into_values().flat_map(groups).collect()
}

/// Replays every cell that has a surface and records.
pub fn latency_rows(
    manifest: &Manifest,
    records: &[Trajectory],
    surfaces: &[Surface],
    serving: Serving,
) -> Vec<LatencyRow> {
    let row = |asked: Asked| {
        let surface = surface_of(manifest, surfaces, &asked.model)?;
        let requests = requests(&asked, records, dialect(manifest, &asked.model));
        let latency = Latency::of(&replay(&requests, serving, surface))?;
        Some(LatencyRow { asked, latency })
    };
    all_asked(manifest).into_iter().filter_map(row).collect()
}

/// The rows as CSV, full precision; what is absent is an empty field.
pub fn latency_csv(rows: &[LatencyRow]) -> String {
    let mut columns: Vec<String> = ["model", "task", "waits", "budget", "n"].map(String::from).into();
    for what in ["ttft_s", "ttfa_s", "itl_s", "e2e_s"] {
        columns.extend(["p50", "p90", "p99"].map(|p| format!("{what}_{p}")));
    }
    columns.extend(["device_s_mean", "joules_mean", "extrapolated_share"].map(String::from));
    let mut writer = csv::Writer::from_writer(Vec::new());
    for record in std::iter::once(columns).chain(rows.iter().map(fields)) {
        // Writing to memory fails only on records of unequal length.
        if writer.write_record(&record).is_err() {
            break;
        }
    }
    String::from_utf8_lossy(&writer.into_inner().unwrap_or_default()).into_owned()
}

/// The models of such a file, as it writes them.
pub fn models_in(latency_csv: &str) -> BTreeSet<String> {
    let mut reader = csv::Reader::from_reader(latency_csv.as_bytes());
    reader.records().flatten().filter_map(|record| record.get(0).map(str::to_owned)).collect()
}

fn fields(row: &LatencyRow) -> Vec<String> {
    let Asked { task, model, waits, budget, n } = &row.asked;
    let names = [spreadsheet(model), spreadsheet(task), waits.to_string(), budget.to_string(), n.to_string()];
    let Latency { ttft_s, ttfa_s, itl_s, e2e_s, device_s_mean, joules_mean, extrapolated_share } =
        row.latency;
    let percentiles = [Some(ttft_s), ttfa_s, itl_s, Some(e2e_s)];
    let waited = percentiles.into_iter().flat_map(|p| match p {
        Some(Percentiles { p50, p90, p99 }) => [Some(p50), Some(p90), Some(p99)],
        None => [None; 3],
    });
    let numbers = waited.chain([Some(device_s_mean), joules_mean, Some(extrapolated_share)]);
    let number = |value: Option<f64>| value.map_or(String::new(), |value| value.to_string());
    names.into_iter().chain(numbers.map(number)).collect()
}

/// The waits of one model on one task, in milliseconds.
pub fn latency_table(rows: &[&LatencyRow], caption: String) -> Table {
    let joules = rows.iter().any(|row| row.latency.joules_mean.is_some());
    let mut columns = vec![Column::number("budget", "tokens"), Column::number("n", "")];
    for (title, p) in [("TTFT", "p50"), ("TTFA", "p50"), ("ITL", "p50"), ("ITL", "p99")] {
        columns.push(Column::number(title, &format!("{p}, ms")));
    }
    columns.extend(["p50", "p90", "p99"].map(|p| Column::number("E2E", &format!("{p}, ms"))));
    columns.push(Column::number("device", "ms/request"));
    columns.extend(joules.then(|| Column::number("energy", "J/request")));
    let body = rows.iter().map(|row| entries(row, joules)).collect();
    let mut footnotes = Vec::new();
    if rows.iter().any(|row| row.latency.extrapolated_share > 0.01) {
        footnotes.push("* more than 1 % of the steps are larger than any that was calibrated.".into());
    }
    Table { caption, columns, rows: body, footnotes }
}

fn entries(row: &LatencyRow, joules: bool) -> Vec<String> {
    let LatencyRow { asked, latency } = row;
    let ms = |seconds: f64| significant(seconds * 1e3);
    let of = |p: Option<Percentiles>, at: fn(Percentiles) -> f64| p.map_or(ABSENT.into(), |p| ms(at(p)));
    let star = if latency.extrapolated_share > 0.01 { " *" } else { "" };
    let mut entries = vec![
        if asked.waits == 0 {
            asked.budget.to_string()
        } else {
            format!("{} +{}", asked.budget, asked.waits)
        },
        asked.n.to_string(),
        ms(latency.ttft_s.p50),
        of(latency.ttfa_s, |p| p.p50),
        of(latency.itl_s, |p| p.p50),
        of(latency.itl_s, |p| p.p99),
        ms(latency.e2e_s.p50),
        ms(latency.e2e_s.p90),
        ms(latency.e2e_s.p99) + star,
        ms(latency.device_s_mean),
    ];
    entries.extend(joules.then(|| latency.joules_mean.map_or(ABSENT.into(), significant)));
    entries
}

/// A table for each model and task, in the order of the rows.
pub fn latency_tables(rows: &[LatencyRow], serving: Serving) -> Vec<Table> {
    let mut groups: Vec<Vec<&LatencyRow>> = Vec::new();
    for row in rows {
        let key = (&row.asked.model, &row.asked.task);
        match groups.iter_mut().find(|group| (&group[0].asked.model, &group[0].asked.task) == key) {
            Some(group) => group.push(row),
            None => groups.push(vec![row]),
        }
    }
    let served = match serving {
        Serving::OneUser { .. } => "one user, n completions at once".to_owned(),
        Serving::Saturated { rows } => format!("saturated, {rows} rows"),
    };
    let caption = |asked: &Asked| format!("Waiting for {} on {}: {served}", asked.model, asked.task);
    groups.into_iter().map(|group| latency_table(&group, caption(&group[0].asked))).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::outcome::Outcome;
    use crate::trajectory::{Answer, SCHEMA, Thought, Timing};

    fn trajectory(problem: &str, number: u32, reasoning: u32, cuts: &[u32]) -> Trajectory {
        let answer = |budget, forced, reasoning_tokens| Answer {
            budget,
            forced,
            reasoning_tokens,
            answer_tokens: 4,
            text: String::new(),
            complete: true,
            logprob_mean: None,
            outcome: Outcome::Correct,
            extracted: None,
            rule: None,
            class: None,
        };
        let cut =
            cuts.iter().filter(|cut| **cut <= reasoning).map(|cut| answer(Budget::Tokens(*cut), true, *cut));
        let mut answers: Vec<Answer> = cut.collect();
        answers.push(answer(Budget::Max, false, reasoning));
        Trajectory {
            schema: SCHEMA,
            model: "m".into(),
            task: "t".into(),
            problem: problem.into(),
            trajectory: number,
            waits: 0,
            question: String::new(),
            gold: String::new(),
            variant_of: None,
            grader: String::new(),
            prompt_tokens: 20,
            reasoning: String::new(),
            reasoning_tokens: reasoning,
            thought: Thought::Closed,
            answers,
            timing: Timing { prompt_s: 0.0, chain_s: 0.0, reasoning_s: vec![], answer_s: vec![] },
        }
    }

    fn asked(budget: Budget, n: u32) -> Asked {
        Asked { task: "t".into(), model: "m".into(), waits: 0, budget, n }
    }

    #[test]
    fn a_cell_asks_for_disjoint_groups_of_n_completions_of_a_problem() {
        let records: Vec<Trajectory> =
            (0..5).map(|i| trajectory("a", i, 10 + i, &[8])).chain([trajectory("b", 0, 30, &[8])]).collect();
        let groups = requests(&asked(Budget::Max, 2), &records, Dialect::default());
        let thinking: Vec<Vec<u32>> =
            groups.iter().map(|r| r.completions.iter().map(|c| c.thinking_steps).collect()).collect();
        assert_eq!(thinking, [[10, 11], [12, 13]]);
    }

    #[test]
    fn a_cut_thought_feeds_its_last_token_with_the_words_that_close_it() {
        let records = [trajectory("a", 0, 10, &[0, 8])];
        let dialect = Dialect { forced_tokens: 3, direct_extra_tokens: 2 };
        let course = |budget| requests(&asked(budget, 1), &records, dialect)[0].completions[0];
        let of = |prompt_tokens, thinking_steps, closing_tokens| Course {
            prompt_tokens,
            thinking_steps,
            closing_tokens,
            answer_steps: 3,
            answers: true,
        };
        assert_eq!(course(Budget::Tokens(8)), of(20, 7, Some(4)));
        assert_eq!(course(Budget::Tokens(11)), of(20, 10, Some(1)), "it closed its thought itself");
        assert_eq!(course(Budget::Tokens(0)), of(22, 0, None));
    }

    #[test]
    fn what_is_absent_is_an_empty_field_and_a_dash() {
        let p = Percentiles { p50: 0.001, p90: 0.002, p99: 0.003 };
        let latency = Latency {
            ttft_s: p,
            ttfa_s: None,
            itl_s: Some(p),
            e2e_s: p,
            device_s_mean: 0.5,
            joules_mean: None,
            extrapolated_share: 0.5,
        };
        let row = LatencyRow { asked: asked(Budget::Tokens(64), 2), latency };
        let csv = latency_csv(std::slice::from_ref(&row));
        let line = csv.lines().nth(1).unwrap();
        assert_eq!(line, "m,t,0,64,2,0.001,0.002,0.003,,,,0.001,0.002,0.003,0.001,0.002,0.003,0.5,,0.5");
        let text = latency_tables(&[row], Serving::OneUser { rows: 8 })[0].terminal();
        assert!(text.contains('–') && text.contains("3.00 *") && !text.contains("energy"), "{text}");
    }
}
