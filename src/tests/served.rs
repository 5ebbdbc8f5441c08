//! Models behind a server: what they are asked, in which dialect they answer, and who counts their tokens.

mod fake_server;
mod program;
mod served_sweep;

use std::collections::BTreeMap;

use fake_server::{Dialect, FakeServer, LOGPROB};
use isocost_harness::cell::Budget;
use isocost_harness::request_log::Counter;
use isocost_harness::trajectory::{Thought, Trajectory};
use isocost_models::bundled;
use program::{folder_with, records, stderr, succeeds};
use served_sweep::{BUDGETS, CONTINUED, CONTINUED_CHAT, attempts, report, run, sweep, watched};

#[test]
fn every_budget_is_the_same_thought_cut_there_and_answered() {
    let server = FakeServer::start();
    let folder = folder_with("served.toml", &sweep(&[server.url()], CONTINUED, BUDGETS));
    let output = watched(folder.path());
    assert!(output.status.success(), "{}", stderr(&output));
    let records = records(&folder.path().join("out"));
    assert_eq!(records.len(), 4 * 2);
    for record in &records {
        assert_eq!((record.thought, record.reasoning_tokens), (Thought::Closed, 10));
        assert_eq!(record.reasoning.split_whitespace().collect::<Vec<_>>().join(" "), "0 1 2 3 4 5 6 7 8 9");
        let answers: Vec<_> =
            record.answers.iter().map(|a| (a.budget, a.forced, a.reasoning_tokens, a.text.trim())).collect();
        let tokens = |count| Budget::Tokens(count);
        assert_eq!(
            answers,
            [
                (tokens(0), true, 0, "7"),
                (tokens(4), true, 4, "7"),
                (tokens(8), true, 8, "7"),
                (Budget::Max, false, 10, "7")
            ]
        );
        assert!(
            record.answers.iter().all(|a| a.complete && a.answer_tokens == 2 && a.logprob_mean.is_none())
        );
    }
    // A thought of three pieces and four answers.
    let attempts = attempts(folder.path());
    assert_eq!(attempts.len(), 8 * 7);
    let first =
        |part: &str| attempts.iter().find(|logged| logged.attempt.part == part).unwrap().attempt.clone();
    let (thought, answer) = (first("thought"), first("answer"));
    assert!(thought.ttft_s.is_some_and(|s| s > 0.0 && s <= thought.e2e_s) && thought.ttfa_s.is_none());
    assert!(answer.ttfa_s.is_some() && answer.completion_tokens == Some(2));
    let report = report(folder.path());
    assert!(report.contains("was asked 56 times") && report.contains("exact at every budget"), "{report}");
}

#[test]
fn a_thought_that_a_server_cuts_short_of_its_budget_is_an_error_and_not_recorded() {
    let server = FakeServer::speaking(Dialect { room: 3, ..Dialect::plain() });
    let folder = folder_with("served.toml", &sweep(&[server.url()], CONTINUED, BUDGETS));
    let output = watched(folder.path());
    assert_eq!(output.status.code(), Some(2));
    assert!(stderr(&output).contains("cut a thought after 3 of 4 tokens"), "{}", stderr(&output));
    assert!(records(&folder.path().join("out")).is_empty());
}

#[test]
fn a_thought_that_fills_the_context_has_an_answer_at_max_and_it_is_missing_as_of_a_model_that_runs_here() {
    let server = FakeServer::start().thinking_long(100);
    let lines = "tokenizer = \"./short\"";
    let folder = folder_with("served.toml", &sweep(&[server.url()], lines, "budgets = [4, \"max\"]"));
    let short = folder.path().join("short");
    std::fs::create_dir(&short).unwrap();
    for file in std::fs::read_dir(bundled::folder("bundled:reason-s").unwrap()).unwrap().flatten() {
        std::fs::copy(file.path(), short.join(file.file_name())).unwrap();
    }
    let config = std::fs::read_to_string(short.join("config.json")).unwrap();
    let context = "\"max_position_embeddings\":";
    let config = config.replace(context, &format!("{context} 64, \"as_it_was\":"));
    std::fs::write(short.join("config.json"), config).unwrap();
    succeeds(&watched(folder.path()));
    let records = records(&folder.path().join("out"));
    assert_eq!(records.len(), 4 * 2);
    for record in &records {
        let [cut, whole] = &record.answers[..] else { panic!("{record:?}") };
        assert!(record.thought == Thought::Cut && record.reasoning_tokens > 4, "{record:?}");
        assert!(cut.forced && cut.complete && cut.answer_tokens == 2, "{cut:?}");
        assert_eq!((whole.budget, whole.reasoning_tokens), (Budget::Max, record.reasoning_tokens));
        assert!(!whole.forced && !whole.complete && whole.answer_tokens == 0, "{whole:?}");
    }
}

/// How many requests had their tokens counted by whom.
fn counters(folder: &std::path::Path) -> BTreeMap<Option<Counter>, usize> {
    let mut counts = BTreeMap::new();
    for logged in attempts(folder) {
        *counts.entry(logged.attempt.counted_by).or_default() += 1;
    }
    counts
}

fn without_logprobs(mut record: Trajectory) -> Trajectory {
    record.answers.iter_mut().for_each(|answer| answer.logprob_mean = None);
    record
}

#[test]
fn every_dialect_gives_the_same_records_and_says_who_counted() {
    let mut expected = None;
    let dialects = [
        (Dialect::plain(), Counter::Tokenizer, None),
        (Dialect::transformers(), Counter::Tokenizer, None),
        (Dialect::sglang(), Counter::Tokenizer, Some(LOGPROB)),
        (Dialect::vllm(), Counter::Ids, Some(LOGPROB)),
        (Dialect::llama_server(), Counter::Ids, Some(LOGPROB)),
    ];
    for (dialect, of_closed_thoughts, logprob) in dialects {
        let server = FakeServer::speaking(dialect);
        let folder = folder_with("served.toml", &sweep(&[server.url()], CONTINUED, BUDGETS));
        succeeds(&watched(folder.path()));
        let records = records(&folder.path().join("out"));
        assert!(records.iter().flat_map(|r| &r.answers).all(|answer| answer.logprob_mean == logprob));
        let records: Vec<Trajectory> = records.into_iter().map(without_logprobs).collect();
        assert_eq!(expected.get_or_insert(records.clone()), &records);
        // Who stops reading at a tag does not see the server's count.
        let counted = [(Some(Counter::Usage), 8 * 6), (Some(of_closed_thoughts), 8)];
        assert_eq!(counters(folder.path()), BTreeMap::from(counted));
        let report = report(folder.path());
        assert!(report.contains("Tokens were counted by the server in 48 requests, by the "), "{report}");
        assert!(report.contains("Its prefix cache had 9"), "{report}");
    }
}

#[test]
fn a_request_says_everything_that_shapes_the_distribution_unless_the_server_is_strict() {
    let fields = |lines: &str| {
        let server = FakeServer::start();
        let lines = format!("{CONTINUED}\n{lines}");
        let folder = folder_with("served.toml", &sweep(&[server.url()], &lines, BUDGETS));
        succeeds(&watched(folder.path()));
        server.requests().swap_remove(0).1
    };
    let whole = fields("");
    let neutral = [("top_p", 1.0), ("top_k", -1.0), ("min_p", 0.0), ("repetition_penalty", 1.0)];
    neutral.iter().for_each(|(name, value)| assert_eq!(whole[name].as_f64(), Some(*value), "{whole}"));
    assert!(whole["return_token_ids"] == true && whole["skip_special_tokens"] == false, "{whole}");
    let strict = fields("extensions = false\nlogprobs = false");
    let names: Vec<&String> = strict.as_object().unwrap().keys().collect();
    let protocol =
        ["max_tokens", "model", "prompt", "seed", "stream", "stream_options", "temperature", "top_p"];
    assert_eq!(names, protocol);
}

#[test]
fn a_chat_server_is_asked_only_for_what_it_can_express() {
    let server = FakeServer::start();
    let refused = folder_with("served.toml", &sweep(&[server.url()], "", BUDGETS));
    let output = watched(refused.path());
    let last = stderr(&output).trim().lines().last().unwrap().to_owned();
    assert!(
        output.status.code() == Some(2) && last.contains("cannot be made to answer at a budget"),
        "{last}"
    );

    let truncated = "budgets = [4, 20]\npolicy = \"truncate\"";
    let in_tags = Dialect { thought: &[], ..Dialect::plain() };
    let dialects = [
        Dialect::plain(),
        Dialect::vllm(),
        Dialect::vllm_0_11(),
        Dialect::transformers(),
        in_tags,
        Dialect { opens_in_prompt: true, ..in_tags },
    ];
    for dialect in dialects {
        let server = FakeServer::speaking(dialect);
        let folder = folder_with("served.toml", &sweep(&[server.url()], "", truncated));
        let output = watched(folder.path());
        assert!(output.status.success(), "{}", stderr(&output));
        for record in records(&folder.path().join("out")) {
            assert_eq!((record.thought, record.reasoning_tokens), (Thought::Closed, 10), "{record:?}");
            let [cut, whole] = &record.answers[..] else { panic!("{record:?}") };
            assert_eq!((cut.budget, cut.reasoning_tokens, cut.complete), (Budget::Tokens(4), 4, false));
            assert_eq!((whole.budget, whole.text.trim(), whole.complete), (Budget::Max, "7", true));
        }
        let attempt = attempts(folder.path()).swap_remove(0).attempt;
        assert!(attempt.ttfa_s > attempt.ttft_s, "the answer comes after the thought: {attempt:?}");
        let report = report(folder.path());
        assert!(report.contains("only what one chat request expresses"), "{report}");
    }
}

#[test]
fn a_chat_that_is_cut_is_a_thought_with_or_without_its_first_tag() {
    let budgets = "budgets = [4]\npolicy = \"truncate\"";
    for opens_in_prompt in [false, true] {
        let dialect = Dialect { thought: &[], opens_in_prompt, ..Dialect::plain() };
        let server = FakeServer::speaking(dialect).thinking_long(100);
        let folder = folder_with("served.toml", &sweep(&[server.url()], CONTINUED_CHAT, budgets));
        succeeds(&watched(folder.path()));
        for record in records(&folder.path().join("out")) {
            assert_eq!(record.thought, Thought::Cut, "{record:?}");
            let [cut] = &record.answers[..] else { panic!("{record:?}") };
            assert_eq!((cut.budget, cut.complete, cut.text.as_str()), (Budget::Tokens(4), false, ""));
        }
    }
}

#[test]
fn tokens_that_the_server_does_not_count_are_counted_here_or_not_at_all() {
    let server = FakeServer::speaking(Dialect { usage: false, ..Dialect::plain() });
    let whole = "budgets = [\"max\"]";
    let folder = folder_with("served.toml", &sweep(&[server.url()], "", whole));
    let output = watched(folder.path());
    assert!(
        output.status.code() == Some(2) && stderr(&output).contains("name the served model's `tokenizer`")
    );
    for lines in [CONTINUED, CONTINUED_CHAT] {
        let folder = folder_with("served.toml", &sweep(&[server.url()], lines, whole));
        let output = watched(folder.path());
        assert!(output.status.success(), "{}", stderr(&output));
        assert!(records(&folder.path().join("out")).iter().all(|record| record.reasoning_tokens == 10));
        assert_eq!(counters(folder.path()).into_keys().collect::<Vec<_>>(), [Some(Counter::Tokenizer)]);
        let report = report(folder.path());
        assert!(report.contains("Tokens were counted by the tokenizer here in"), "{report}");
    }
}

#[test]
fn a_sweep_holds_no_key_and_no_price_that_a_server_does_not_have() {
    let price =
        "\n[price]\ndevice = \"d\"\nusd_per_device_hour = 1.0\nsource = \"s\"\ndate = \"2026-01-01\"\n";
    let with_price = sweep(&["http://h/v1"], CONTINUED, BUDGETS) + price;
    for (text, expected) in [
        (sweep(&["http://me:secret@h/v1"], CONTINUED, BUDGETS), "a base URL holds no user, key or query"),
        (sweep(&["http://h/v1?key=1"], CONTINUED, BUDGETS), "a base URL holds no user, key or query"),
        (sweep(&["bundled:reason-s"], CONTINUED, BUDGETS), "the source of a server is its base URL"),
        (with_price, "give prices by the token"),
        (
            sweep(&["http://h/v1"], "extensions = false", "budgets = [\"max\"]")
                .replace("temperature = 0.8", "temperature = 0.8\ntop_k = 5"),
            "there is no top_k",
        ),
    ] {
        let folder = folder_with("served.toml", &text);
        let output = run(folder.path());
        let last = stderr(&output).trim().lines().last().unwrap().to_owned();
        assert!(output.status.code() == Some(2) && last.contains(expected), "{last}");
        assert!(!folder.path().join("out").exists());
    }
}
