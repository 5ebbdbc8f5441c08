//! The grader against answers and completions written for it, a third and more of them wrong.
//!
//! Both files were written before the grader first ran on them. First pass: 598 of 613 answers (3 false positives,
//! 12 false negatives) and 109 of 111 completions (none wrongly accepted). One pair was then withdrawn as undecidable
//! (is `1, 234` a number?); the rest are asserted below. `held_out.jsonl` was written after the last change to that
//! grader and passed whole on its first run (144 pairs, 39 unequal), by the same author, so it flatters. `hard.jsonl` was
//! written by another, without a look at the grader's comparison, to find what a hostile reader would: first pass 162 of 167 (52
//! unequal; no false positive, 5 false negatives), then the grader was mended.

use isocost_harness::grader::{Conventions, equivalent, form, grade_completion};
use serde::Deserialize;

const ANSWERS: [&str; 3] = ["answers.jsonl", "held_out.jsonl", "hard.jsonl"];

#[derive(Deserialize)]
struct Pair {
    kind: String,
    gold: String,
    answer: String,
    equal: bool,
}

#[derive(Deserialize)]
struct Text {
    gold: String,
    completion: String,
    equal: bool,
    outcome: Option<String>,
}

fn rows<T: for<'a> Deserialize<'a>>(name: &str) -> Vec<T> {
    let path = format!("{}/tests/grader_corpus/{name}", env!("CARGO_MANIFEST_DIR"));
    let text = std::fs::read_to_string(path).unwrap();
    text.lines().map(|line| serde_json::from_str(line).unwrap()).collect()
}

#[test]
fn answers_are_told_apart() {
    let conventions = Conventions::default();
    let pairs: Vec<Pair> = ANSWERS.into_iter().flat_map(rows).collect();
    let (mut false_positives, mut false_negatives) = (0, 0);
    for pair in &pairs {
        let method = equivalent(&pair.gold, &pair.answer, &conventions);
        if method.is_some() == pair.equal {
            continue;
        }
        let wrong = if pair.equal { &mut false_negatives } else { &mut false_positives };
        *wrong += 1;
        println!(
            "{}: gold {:?} answer {:?} should be {} ({method:?})",
            pair.kind, pair.gold, pair.answer, pair.equal
        );
    }
    let negatives = pairs.iter().filter(|p| !p.equal).count();
    println!(
        "answers: {} pairs, {negatives} unequal; {false_positives} false positives, {false_negatives} false negatives",
        pairs.len()
    );
    assert_eq!((false_positives, false_negatives), (0, 0));
}

/// Votes are counted by forms, outcomes by comparison; the two must not contradict each other.
#[test]
fn equal_answers_vote_together_and_unequal_ones_do_not() {
    let symmetric = Conventions::default().symmetric();
    let pairs: Vec<Pair> = ANSWERS.into_iter().flat_map(rows).collect();
    let (mut together, mut equal, mut wrongly) = (0, 0, Vec::new());
    for pair in &pairs {
        let forms = [&pair.gold, &pair.answer].map(|answer| form(answer, &symmetric));
        let same = forms[0].is_some() && forms[0] == forms[1];
        if pair.equal && equivalent(&pair.gold, &pair.answer, &symmetric).is_some() {
            equal += 1;
            together += usize::from(same);
            if !same {
                println!("{}: {:?} and {:?} vote apart: {forms:?}", pair.kind, pair.gold, pair.answer);
            }
        }
        // A vote does not look at units, since one problem asks for one.
        let is_of_units =
            ["unit", "currency", "degree", "compound"].iter().any(|kind| pair.kind.contains(kind));
        if !pair.equal && same && !is_of_units {
            wrongly.push((&pair.kind, &pair.gold, &pair.answer));
        }
    }
    println!(
        "{together} of {equal} equal pairs vote together; {} unequal pairs do: {wrongly:?}",
        wrongly.len()
    );
    assert!(together * 100 >= equal * 90 && wrongly.len() * 100 <= pairs.len());
}

#[test]
fn completions_are_graded() {
    let conventions = Conventions::default();
    let texts: Vec<Text> = rows("completions.jsonl");
    let (mut false_positives, mut false_negatives, mut outcomes) = (0, 0, 0);
    for text in &texts {
        let verdict = grade_completion(&text.gold, &text.completion, &conventions);
        let outcome = serde_json::to_value(verdict.outcome).unwrap();
        let as_expected = text.outcome.as_ref().is_none_or(|o| outcome == o.as_str());
        if verdict.equal == text.equal && as_expected {
            continue;
        }
        match (verdict.equal, text.equal) {
            (true, false) => false_positives += 1,
            (false, true) => false_negatives += 1,
            _ => outcomes += 1,
        }
        println!(
            "gold {:?} completion {:?} should be {}: {verdict:?}",
            text.gold, text.completion, text.equal
        );
    }
    println!(
        "completions: {} texts; {false_positives} false positives, {false_negatives} false negatives, {outcomes} other outcomes",
        texts.len()
    );
    assert_eq!((false_positives, false_negatives, outcomes), (0, 0, 0));
}

#[test]
fn the_corpus_is_graded_at_a_useful_rate() {
    let conventions = Conventions::default();
    let (pairs, texts): (Vec<Pair>, Vec<Text>) = (rows("answers.jsonl"), rows("completions.jsonl"));
    let pass = || {
        let start = std::time::Instant::now();
        let answers = pairs.iter().filter(|p| equivalent(&p.gold, &p.answer, &conventions).is_some()).count();
        let graded =
            texts.iter().filter(|t| grade_completion(&t.gold, &t.completion, &conventions).equal).count();
        std::hint::black_box(answers + graded);
        start.elapsed().as_secs_f64()
    };
    // The fastest pass: the machine may be busy during the others.
    let best = (0..20).map(|_| pass()).fold(f64::INFINITY, f64::min);
    let rate = (pairs.len() + texts.len()) as f64 / best;
    println!("{rate:.0} gradings a second on one core");
    assert!(rate > if cfg!(debug_assertions) { 200.0 } else { 20_000.0 });
}
