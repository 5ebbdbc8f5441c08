//! Comparisons with a known truth.

use std::collections::BTreeMap;

use proptest::prelude::*;

use super::*;
use crate::cells::{self, Known};
use crate::claims::simulated::Run;
use crate::manifest::Identity;
use crate::observations::Observations;
use crate::statistics::{Estimate, Undefined};
use crate::sweep::Sweep;
use crate::trajectory::Trajectory;

/// A run in memory.
struct Simulated {
    manifest: Manifest,
    rows: Vec<Row>,
    asked: Asked,
}

impl Simulated {
    fn new(records: Vec<Trajectory>, models: &[&str]) -> Self {
        let entries = models.iter().map(|name| format!("{{ name = \"{name}\", source = \"none\" }}"));
        let text = format!(
            r#"
name = "s"
why = "a test"
seed = 1
budgets = [0, 32, 512]
n = [1, 4]
trajectories = 8
strategies = ["first", "maj"]
models = [{}]
tasks = [{{ name = "chain" }}]
price = {{ device = "d", usd_per_device_hour = 1.0, source = "s", date = "2026-01-01" }}
sampling = {{ temperature = 1.0 }}
"#,
            entries.collect::<Vec<_>>().join(", ")
        );
        let sweep = Sweep::parse("s", &text).unwrap();
        let identity = Identity {
            schema: 2,
            sweep,
            problems_sha256: BTreeMap::new(),
            models: BTreeMap::new(),
            shard: None,
        };
        let observations = Observations::of(&records);
        let rows = cells::rows(&identity.sweep, &observations, &Known::default());
        let manifest = Manifest { identity, provenance: BTreeMap::new() };
        Self { manifest, rows, asked: Asked::of(&records) }
    }

    fn side<'a>(&'a self, name: &'a str) -> Side<'a> {
        let Self { manifest, rows, asked } = self;
        Side { name, manifest, rows, asked }
    }
}

/// Records of models `m0`, `m1`, ... that reach these accuracies with thought, at these seconds per token.
fn records(problems: usize, models: &[(f64, f64)]) -> Vec<Trajectory> {
    let mut run = Run::new(problems, 8).budgets(&[0, 32, 512]);
    for (at, &(accuracy, seconds)) in models.iter().enumerate() {
        run = run.model(&format!("m{at}"), move |_, tokens| if tokens > 0.0 { accuracy } else { 0.1 });
        run = run.seconds_per_token(seconds).time_jitter(0.02);
    }
    let mut records = run.records();
    records.iter_mut().for_each(|record| {
        record.task = "chain".into();
        record.question = format!("what of {}?", record.problem);
    });
    records
}

fn of(problems: usize, accuracy: f64, seconds: f64) -> Simulated {
    Simulated::new(records(problems, &[(accuracy, seconds)]), &["m0"])
}

fn compared(a: &Simulated, b: &Simulated) -> Comparison {
    compare(&a.side("a"), &b.side("b"), &Matching::default(), Level::default())
}

fn change(comparison: &Comparison, metric: Metric) -> Estimate {
    comparison.cells.last().unwrap().change(metric).unwrap().change.unwrap()
}

#[test]
fn a_run_against_itself_changes_nothing() {
    let a = of(20, 0.6, 1e-3);
    let found = compared(&a, &a);
    assert!(found.differences.is_empty() && found.unmatched.is_empty(), "{found:?}");
    assert_eq!(found.cells.len(), a.rows.len());
    for cell in &found.cells {
        assert!(cell.pairing.paired && cell.pairing.shared == 20);
        for change in &cell.changes {
            let none = if change.metric == Metric::Accuracy { 0.0 } else { 1.0 };
            assert_eq!(change.base, change.other);
            // Of nothing correct there is no cost per correct answer.
            assert!(
                change.change.is_none_or(|change| change.value == none && change.contains(none)),
                "{change:?}"
            );
        }
    }
}

#[test]
fn a_known_difference_and_known_ratios_are_recovered() {
    let (a, b) = (of(200, 0.5, 1e-3), of(200, 0.7, 2e-3));
    let found = compared(&a, &b);
    let accuracy =
        found.cells.iter().find(|cell| cell.base.n == 1 && cell.base.budget.to_string() == "512").unwrap();
    let accuracy = accuracy.change(Metric::Accuracy).unwrap().change.unwrap();
    assert!(accuracy.contains(20.0) && accuracy.is_above(10.0), "{accuracy:?}");
    let seconds = change(&found, Metric::Seconds);
    assert!((seconds.value - 2.0).abs() < 0.02 && seconds.contains(seconds.value), "{seconds:?}");
    assert!((change(&found, Metric::Tokens).value - 1.0).abs() < 1e-12);
    assert!((change(&found, Metric::Speed).value - 0.5).abs() < 0.01);
    assert!((change(&found, Metric::Usd).value - 2.0).abs() < 0.02);
}

#[test]
fn intervals_cover_the_truth_as_often_as_they_say() {
    // Twenty pairs of models with their own luck; the truth of each pair is ten points and three times the seconds.
    let models: Vec<(f64, f64)> =
        (0..40).map(|at| if at % 2 == 0 { (0.4, 1e-3) } else { (0.5, 3e-3) }).collect();
    let names: Vec<String> = (0..40).map(|at| format!("m{at}")).collect();
    let names: Vec<&str> = names.iter().map(String::as_str).collect();
    let run = Simulated::new(records(40, &models), &names);
    let pairs = names.chunks(2).map(|pair| (pair[0].to_owned(), pair[1].to_owned())).collect();
    let matching =
        Matching { models: pairs, only: vec!["n=1".parse().unwrap(), "budget=512".parse().unwrap()] };
    let found = compare(&run.side("a"), &run.side("b"), &matching, Level::default());
    let own = found.cells.iter().filter(|cell| {
        let at: usize = cell.base.model[1..].parse().unwrap();
        at.is_multiple_of(2) && cell.base.strategy == crate::cell::Strategy::First
    });
    let own: Vec<&CellPair> = own.collect();
    assert_eq!(own.len(), 20);
    let covers = |metric: Metric, truth: f64| {
        own.iter().filter(|cell| cell.change(metric).unwrap().change.unwrap().contains(truth)).count()
    };
    assert!(covers(Metric::Accuracy, 10.0) >= 17, "{}", covers(Metric::Accuracy, 10.0));
    assert!(covers(Metric::Seconds, 3.0) >= 17, "{}", covers(Metric::Seconds, 3.0));
}

#[test]
fn other_questions_are_not_paired_whatever_their_ids() {
    let a = of(40, 0.5, 1e-3);
    let mut other = records(40, &[(0.5, 1e-3)]);
    other.iter_mut().for_each(|record| record.question.push_str(" Really?"));
    let b = Simulated::new(other, &["m0"]);
    let (paired, unpaired) = (compared(&a, &a), compared(&a, &b));
    assert!(unpaired.cells.iter().all(|cell| !cell.pairing.paired && cell.pairing.shared == 0));
    let width = |found: &Comparison| {
        let change = change(found, Metric::Accuracy);
        change.ci_high - change.ci_low
    };
    assert!(width(&unpaired) > width(&paired));
    assert!(change(&unpaired, Metric::Seconds).contains(1.0));
}

#[test]
fn only_the_problems_that_both_asked_are_compared() {
    let (a, b) = (of(40, 0.5, 1e-3), of(25, 0.5, 1e-3));
    let found = compared(&a, &b);
    assert_eq!(found.cells[0].pairing, Pairing { paired: true, shared: 25, base: 40, other: 25 });
    // The shared problems are the same records here.
    assert_eq!(change(&found, Metric::Accuracy).value, 0.0);
}

#[test]
fn a_gate_is_said_in_a_line_and_refused_with_a_reason() {
    let gate: Gate = "accuracy < -2 ci".parse().unwrap();
    assert_eq!(gate, Gate { metric: Metric::Accuracy, below: true, threshold: -2.0, whole_interval: true });
    assert_eq!(gate.to_string().parse::<Gate>().unwrap(), gate);
    let reason = |text: &str| text.parse::<Gate>().unwrap_err();
    assert!(matches!(reason("accuracy"), GateError::NoComparison(_)));
    assert!(matches!(reason("wisdom<1"), GateError::UnknownMetric { .. }));
    assert!(matches!(reason("seconds>"), GateError::NoNumber(_)));
    assert!(matches!(reason("seconds>nan"), GateError::NoNumber(_)));
    assert!(matches!(reason("seconds<-2"), GateError::NoRatio(_)));
    assert!(matches!(reason("seconds>1.1 cc"), GateError::Trailing(_)));
    assert!(matches!(reason("seconds>1.1 ci ci"), GateError::Trailing(_)));
}

#[test]
fn a_gate_fails_on_what_is_beyond_it_and_on_nothing_else() {
    let (a, b) = (of(200, 0.7, 1e-3), of(200, 0.5, 2e-3));
    let found = compared(&a, &b);
    let rule = |gate: &str| gate.parse::<Gate>().unwrap().rule(&found);
    assert!(!rule("accuracy<-10 ci").failures.is_empty());
    assert!(rule("accuracy<-90").failures.is_empty() && rule("accuracy>0 ci").failures.is_empty());
    assert_eq!(rule("seconds>1.9 ci").failures.len(), found.cells.len());
    assert!(rule("seconds>2.2").failures.is_empty());
    assert_eq!(rule("joules>1").checked, 0, "nothing was metered");
}

#[test]
fn a_gate_on_too_few_problems_looks_at_the_plain_ratio_or_says_why_there_is_no_interval() {
    let found = compared(&of(2, 0.7, 1e-3), &of(3, 0.5, 2e-3));
    let rule = |gate: &str| gate.parse::<Gate>().unwrap().rule(&found);
    let plain = rule("seconds>1.5");
    assert_eq!((plain.checked, plain.failures.len()), (found.cells.len(), found.cells.len()));
    assert!(rule("seconds>2.5").failures.is_empty());
    let interval = rule("seconds>1.5 ci");
    assert_eq!(
        (interval.checked, interval.undefined),
        (0, Some(Undefined::TooFewProblems { have: 2, need: 3 }))
    );
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(12))]

    #[test]
    fn swapping_the_runs_flips_every_sign(p in 0.2f64..0.8, q in 0.2f64..0.8, pace in 0.2f64..5.0, fewer in 8usize..20) {
        let (a, b) = (of(20, p, 1e-3), of(fewer, q, pace * 1e-3));
        let (there, back) = (compared(&a, &b), compared(&b, &a));
        prop_assert_eq!(there.cells.len(), back.cells.len());
        for (cell, mirrored) in there.cells.iter().zip(&back.cells) {
            for change in &cell.changes {
                let other = mirrored.change(change.metric).unwrap();
                let (Some(x), Some(y)) = (change.change, other.change) else {
                    prop_assert_eq!(change.change.is_none(), other.change.is_none());
                    continue;
                };
                let near = |x: f64, y: f64| (x - y).abs() < 1e-6 * (1.0 + x.abs());
                let flip = |value: f64| if change.metric == Metric::Accuracy { -value } else { 1.0 / value };
                prop_assert!(near(flip(x.value), y.value) && near(flip(x.ci_low), y.ci_high), "{:?} {:?}", x, y);
            }
        }
    }

    #[test]
    fn no_text_makes_a_gate_panic_and_what_is_read_is_written_alike(text in "[a-z_]{0,20}[<>= ]{0,3}[-0-9.e]{0,6}[ ci]{0,5}") {
        if let Ok(gate) = text.parse::<Gate>() {
            prop_assert_eq!(gate.to_string().parse::<Gate>().unwrap(), gate);
        }
    }
}
