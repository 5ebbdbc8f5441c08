//! Properties of the grader on answers from its corpus, and its behaviour on hostile input.

use isocost_harness::grade_lines::grade_lines;
use isocost_harness::grader::{Conventions, equivalent, extract, form, grade_completion};
use isocost_harness::judge::Judge;
use proptest::prelude::*;
use rand::{Rng, SeedableRng};
use rand_chacha::ChaCha8Rng;
use std::sync::LazyLock;
use std::time::{Duration, Instant};

static PAIRS: LazyLock<Vec<(String, String)>> = LazyLock::new(|| {
    let path = format!("{}/tests/grader_corpus/answers.jsonl", env!("CARGO_MANIFEST_DIR"));
    let text = std::fs::read_to_string(path).unwrap();
    let field = |v: &serde_json::Value, name: &str| v[name].as_str().unwrap().to_string();
    text.lines()
        .map(|line| serde_json::from_str(line).unwrap())
        .map(|v: serde_json::Value| (field(&v, "gold"), field(&v, "answer")))
        .collect()
});

fn answer() -> impl Strategy<Value = String> {
    (0..PAIRS.len())
        .prop_map(|i| PAIRS[i].0.clone())
        .prop_filter("an empty text is no answer", |a| !a.is_empty())
}

/// Ways of writing the same answer differently.
fn rewritten(answer: &str, way: usize) -> String {
    match way {
        0 => answer.replace("\\dfrac", "\\frac").replace("\\frac", "\\dfrac"),
        1 => answer.replace("\\frac", "\\tfrac"),
        2 => format!("${answer}$").replace("$$", "$"),
        3 => format!("\\({answer}\\)"),
        4 => format!("  {answer} ."),
        5 => answer.replace("\\left", "").replace("\\right", ""),
        6 => answer.replace(" + ", "+").replace(" - ", "-").replace(", ", ","),
        7 => format!("\\boxed{{{answer}}}"),
        8 => answer.replace("\\cdot", "\\times").replace("\\leq", "\\le").replace('-', "−"),
        _ => answer.replace("\\pi", "π").replace("\\infty", "∞").replace("^2", "^{2}"),
    }
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 300, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn an_answer_equals_itself_however_it_is_written(a in answer(), way in 0usize..10) {
        // Under a dollar, `\$` would pair with it; that writing is no answer's.
        prop_assume!(!(way == 2 && a.contains('$')));
        let b = rewritten(&a, way);
        prop_assert!(equivalent(&a, &b, &Conventions::default()).is_some(), "{a:?} {b:?}");
    }

    #[test]
    fn symmetric_conventions_make_equivalence_symmetric(i in 0usize..600) {
        let (a, b) = &PAIRS[i % PAIRS.len()];
        let conventions = Conventions::default().symmetric();
        let forth = equivalent(a, b, &conventions).is_some();
        prop_assert_eq!(forth, equivalent(b, a, &conventions).is_some(), "{:?} {:?}", a, b);
    }

    #[test]
    fn numbers_that_differ_are_different_answers(a in -99_999i64..99_999, b in -99_999i64..99_999, d in 1i64..999) {
        let conventions = Conventions::default();
        let (x, y) = (format!("\\frac{{{a}}}{{{d}}}"), format!("\\frac{{{b}}}{{{d}}}"));
        prop_assert_eq!(equivalent(&x, &y, &conventions).is_some(), a == b);
        prop_assert_eq!(equivalent(&a.to_string(), &b.to_string(), &conventions).is_some(), a == b);
    }

    #[test]
    fn any_text_is_graded_without_a_panic(gold in ".{0,60}", text in "(\\PC|[\\\\{}$()\\[\\]^_0-9 ]){0,80}") {
        grade_completion(&gold, &text, &Conventions::default());
    }
}

/// How long one grading may take on a processor. Unoptimised builds get more.
fn limit() -> Duration {
    Duration::from_millis(if cfg!(debug_assertions) { 200 } else { 10 })
}

/// The time this thread has spent on a processor, where the system tells; a busy machine must not fail the test.
fn processor_time(start: Instant) -> Duration {
    let told = std::fs::read_to_string("/proc/thread-self/schedstat").ok();
    let nanoseconds = told.and_then(|text| text.split(' ').next()?.parse().ok());
    nanoseconds.map_or_else(|| start.elapsed(), Duration::from_nanos)
}

/// The mean of several runs, since the system counts in ticks.
fn timed(mut work: impl FnMut()) -> Duration {
    const RUNS: u32 = 5;
    let clock = Instant::now();
    let start = processor_time(clock);
    for _ in 0..RUNS {
        work();
    }
    (processor_time(clock) - start) / RUNS
}

#[test]
fn hostile_answers_are_cheap() {
    let many = |unit: &str, n: usize| unit.repeat(n);
    let hostile = [
        "9^{9^{9^9}}".to_string(),
        "9^{9^{9^{9^{9^{9^9}}}}}".into(),
        many("{", 100_000),
        many("(", 100_000),
        many("\\boxed{", 20_000),
        many("\\frac{", 20_000),
        many("\\sqrt{", 300) + "2" + &many("}", 300),
        many("-", 2_000) + "1",
        many("x^", 500) + "x",
        many("\\sin ", 500) + "x",
        many("1,", 1_900) + "1",
        many("1+", 1_900) + "1",
        many("x+", 290) + "y",
        many("e^x+", 140) + "1",
        many("\\frac{1}{7919}+", 120) + "1",
        many("9", 3_999),
        many("9", 3_000_000),
        many("a ", 1_000_000),
        many("1 ", 1_000_000),
        "1000000!".into(),
        "999!^{999!}".into(),
        "\\binom{1000000}{500000}".into(),
        "((((1000!)!)!)!)".into(),
        "1/0".into(),
        "0^{-1}".into(),
        "1e999999999".into(),
        "\\sqrt[0]{5}".into(),
        "5_{0}".into(),
        "9_{2}".into(),
        "\\begin{pmatrix}".into(),
        many("\\begin{pmatrix}1\\\\", 100),
        many("|", 1_000),
        many("\\pm ", 100) + "1",
        many("1\\pm", 200) + "1",
        "\\log_{1}{5}".into(),
        "\\{".to_string() + &many("\\pi,", 290) + "1\\}",
        "\u{0}\u{fffd}\u{202e}½²".into(),
    ];
    let conventions = Conventions::default();
    let mut slowest = (Duration::ZERO, String::new());
    for text in &hostile {
        for gold in ["1", "\\{1, \\pi, 3\\}", "x+1", text] {
            let time = timed(|| {
                equivalent(gold, text, &conventions);
                extract(text, &conventions);
                grade_completion(gold, text, &conventions);
                form(text, &conventions);
            });
            let head: String = text.chars().take(24).collect();
            assert!(time < limit() * 4, "{head} against a reference took {time:?}");
            if time > slowest.0 {
                slowest = (time, head);
            }
        }
    }
    println!("{} hostile texts, the slowest (four gradings) {:?}: {:?}", hostile.len(), slowest.0, slowest.1);
}

fn mutated(text: &str, rng: &mut ChaCha8Rng) -> String {
    const PIECES: [&str; 24] = [
        "{", "}", "\\frac", "\\sqrt", "^", "_", "(", ")", "9", "\\pm", ",", "\\boxed{", "$", "x", "\\text{",
        "|", "!", "\\infty", "\\cup", "=", "<", "/", "\\\\", "é",
    ];
    let mut chars: Vec<char> = text.chars().collect();
    for _ in 0..rng.random_range(1..6) {
        let at = rng.random_range(0..=chars.len());
        match rng.random_range(0..4) {
            0 if at < chars.len() => drop(chars.remove(at)),
            1 => drop(chars.splice(at..at, PIECES[rng.random_range(0..PIECES.len())].chars())),
            2 if at < chars.len() => {
                let other = rng.random_range(0..chars.len());
                chars.swap(at, other);
            }
            _ => {
                let copy: Vec<char> = chars[..at].iter().rev().take(8).rev().copied().collect();
                drop(chars.splice(at..at, copy));
            }
        }
    }
    chars.into_iter().collect()
}

#[test]
fn mutated_answers_never_panic_and_stay_cheap() {
    fuzz(1, |tries, _| tries < 2_000);
}

/// `ISOCOST_FUZZ_S=600 cargo test --release -p isocost-harness --test grader_properties -- --ignored --nocapture`
#[test]
#[ignore = "runs for as many seconds as ISOCOST_FUZZ_S says (60 by default)"]
fn mutated_answers_never_panic_for_a_stated_time() {
    let number = |name: &str| std::env::var(name).ok().and_then(|n| n.parse().ok());
    let limit = Duration::from_secs(number("ISOCOST_FUZZ_S").unwrap_or(60));
    fuzz(number("ISOCOST_FUZZ_SEED").unwrap_or(1), |_, spent| spent < limit);
}

/// Grades mutated pairs of the corpus as long as `goes_on` says, given the number of tries and the time spent.
fn fuzz(seed: u64, goes_on: impl Fn(u32, Duration) -> bool) {
    let mut rng = ChaCha8Rng::seed_from_u64(seed);
    let conventions = Conventions::default();
    let (mut slowest, mut equal) = ((Duration::ZERO, String::new()), 0u32);
    let (start, mut tries) = (Instant::now(), 0);
    while goes_on(tries, start.elapsed()) {
        tries += 1;
        let (gold, answer) = &PAIRS[rng.random_range(0..PAIRS.len())];
        let (gold, answer) = (mutated(gold, &mut rng), mutated(answer, &mut rng));
        let begin = Instant::now();
        equal += u32::from(grade_completion(&gold, &answer, &conventions).equal);
        equivalent(&gold, &answer, &conventions);
        form(&answer, &conventions);
        let mut time = begin.elapsed();
        if time > Duration::from_millis(2) {
            time = timed(|| _ = equivalent(&gold, &answer, &conventions));
            assert!(time < limit(), "{gold:?} {answer:?} took {time:?}");
        }
        if time > slowest.0 {
            slowest = (time, format!("{gold:?} {answer:?}"));
        }
    }
    println!(
        "{tries} mutated pairs of seed {seed} in {:?}, {equal} equal; the slowest {:?}: {}",
        start.elapsed(),
        slowest.0,
        slowest.1
    );
}

#[test]
fn a_vote_over_many_answers_is_cheap() {
    let texts: Vec<String> = (0..256).map(|i| format!("\\frac{{{}}}{{{}}}", i % 16 + 1, 2)).collect();
    let forms: std::collections::BTreeSet<_> =
        texts.iter().map(|text| form(text, &Conventions::default())).collect();
    assert_eq!(forms.len(), 16);
}

#[test]
fn any_bytes_as_lines_give_a_line_each() {
    let input: &[u8] = b"\xff\xfe\n{}\n[]\n\"x\"\n{\"gold\":{},\"answer\":1}\n";
    let mut output = Vec::new();
    let counts = grade_lines(input, &mut output, |_| Ok(Judge::default())).unwrap();
    assert_eq!((counts.lines, counts.error), (5, 5));
    assert_eq!(output.iter().filter(|b| **b == b'\n').count(), 5);
}
