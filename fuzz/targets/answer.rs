//! The grader: a reference answer in the first line, a completion in the others. Whatever equals the reference must do so again.

#![no_main]

use isocost_harness::judge::Judge;
use isocost_harness::outcome::Outcome;
use libfuzzer_sys::fuzz_target;

fuzz_target!(|text: &str| {
    let (gold, completion) = text.split_once('\n').unwrap_or((text, text));
    let judge = Judge::default();
    let finding = judge.judge_completion(gold, completion);
    if let Some(extracted) = finding.extracted.filter(|_| finding.outcome == Outcome::Correct) {
        let again = judge.judge_answer(gold, &extracted);
        assert_eq!(again.outcome, Outcome::Correct, "{gold:?} and {extracted:?}");
    }
});
