//! Servers that fail: what is asked again and what is not, what it cost, and a key that stays secret.

mod fake_server;
mod program;
mod served_sweep;

use std::collections::BTreeSet;
use std::path::Path;
use std::time::Duration;

use fake_server::{FakeServer, PASSING, Trouble};
use isocost_harness::request_log::Counter;
use isocost_harness::run_directory::read_records;
use program::{folder_with, records, stderr, succeeds};
use served_sweep::{BUDGETS, CONTINUED, attempts, command, report, sweep, watched};

#[test]
fn whatever_passes_is_tried_again_and_the_records_are_the_same() {
    let calm = FakeServer::start();
    let folder = folder_with("served.toml", &sweep(&[calm.url()], CONTINUED, BUDGETS));
    assert!(watched(folder.path()).status.success());
    let expected = records(&folder.path().join("out"));
    for trouble in PASSING {
        let server = FakeServer::start();
        server.next(&[trouble; 2]);
        let folder = folder_with("served.toml", &sweep(&[server.url()], CONTINUED, BUDGETS));
        let output = watched(folder.path());
        assert!(output.status.success(), "{trouble:?}: {}", stderr(&output));
        assert_eq!(records(&folder.path().join("out")), expected, "{trouble:?}");
        let attempts = attempts(folder.path());
        let failed: Vec<_> = attempts.iter().filter(|logged| logged.attempt.failure.is_some()).collect();
        assert_eq!((attempts.len(), failed.len()), (8 * 7 + 2, 2), "{trouble:?}: {failed:?}");
        let report = report(folder.path());
        assert!(report.contains("2 attempts failed"), "{report}");
    }
}

#[test]
fn a_server_that_refuses_is_not_asked_again_and_the_key_is_not_told() {
    let server = FakeServer::start();
    server.always(Some(Trouble::Refuses));
    let folder = folder_with("served.toml", &sweep(&[server.url()], CONTINUED, BUDGETS));
    let output = watched(folder.path());
    assert_eq!(output.status.code(), Some(2));
    let text = stderr(&output);
    let last = text.trim().lines().last().unwrap();
    assert!(last.contains("401") && last.contains("PLANTED_KEY") && last.contains("[key]"), "{text}");
    assert!(attempts(folder.path()).iter().all(|logged| logged.attempt.attempt == 1));
}

#[test]
fn attempts_end_and_what_was_had_is_kept() {
    let server = FakeServer::start();
    server.always(Some(Trouble::Broken));
    let folder = folder_with("served.toml", &sweep(&[server.url()], CONTINUED, BUDGETS));
    let output = watched(folder.path());
    assert_eq!(output.status.code(), Some(2));
    let text = stderr(&output);
    assert!(text.contains("after 4 attempts") && text.contains("run again"), "{text}");
    let nobody = folder_with("served.toml", &sweep(&["http://127.0.0.1:9/v1"], CONTINUED, BUDGETS));
    let output = watched(nobody.path());
    assert!(stderr(&output).contains("is the server running?"), "{}", stderr(&output));
    assert!(!nobody.path().join("out").exists());
}

#[test]
fn what_one_request_lacks_for_good_costs_itself_only_and_the_rest_is_reported() {
    let server = FakeServer::start();
    server.next(&[Trouble::Refuses]);
    let other = "\n[[tasks]]\nname = \"countdown-3-permuted\"\nproblems = 2\n";
    let text = sweep(&[server.url()], CONTINUED, BUDGETS) + other;
    let folder = folder_with("served.toml", &text);
    let output = watched(folder.path());
    let said = stderr(&output);
    assert_eq!(output.status.code(), Some(1), "{said}");
    assert!(said.contains("m on countdown-3: 1 of 8 trajectories could not be had"), "{said}");
    assert_eq!(records(&folder.path().join("out")).len(), 7 + 4);
    assert!(report(folder.path()).contains("11 trajectories recorded"), "{}", report(folder.path()));
    succeeds(&watched(folder.path()));
    assert_eq!(records(&folder.path().join("out")).len(), 8 + 4);
}

#[test]
fn requests_are_shared_out_and_a_broken_server_is_avoided() {
    let (one, two) = (FakeServer::start(), FakeServer::start());
    let folder = folder_with("served.toml", &sweep(&[one.url(), two.url()], CONTINUED, BUDGETS));
    assert!(watched(folder.path()).status.success());
    let shares = [one.requests().len(), two.requests().len()];
    assert!(shares[0] + shares[1] == 56 && shares.iter().all(|share| *share > 10), "{shares:?}");
    let expected = records(&folder.path().join("out"));
    one.always(Some(Trouble::Broken));
    let before = one.requests().len();
    std::fs::remove_dir_all(folder.path().join("out")).unwrap();
    let output = watched(folder.path());
    assert!(output.status.success(), "{}", stderr(&output));
    assert_eq!(records(&folder.path().join("out")), expected);
    // Three at a time, and each failure weighs like a request under way.
    let tried = one.requests().len() - before;
    assert!(tried < 12, "{tried} of 56 requests went first to a server that never answers");
}

#[test]
fn what_a_failed_attempt_brought_is_counted_and_paid() {
    let price = "\n[price]\ndevice = \"d\"\nsource = \"s\"\ndate = \"2026-01-01\"\n[price.api]\n\
                 usd_per_million_input = 0.0\nusd_per_million_output = 1000000.0\n";
    for (trouble, pieces) in [(Trouble::ClosesHalfWay, 1), (Trouble::Broken, 0)] {
        let server = FakeServer::start();
        server.next(&[trouble; 2]);
        let text = sweep(&[server.url()], CONTINUED, BUDGETS) + price;
        let folder = folder_with("served.toml", &text);
        succeeds(&watched(folder.path()));
        let attempts = attempts(folder.path());
        let failed = attempts.iter().map(|logged| &logged.attempt).filter(|a| a.failure.is_some());
        let counted: Vec<_> = failed.map(|a| (a.completion_tokens, a.counted_by)).collect();
        let expected = (pieces > 0).then_some((pieces, Counter::Pieces)).unzip();
        assert_eq!(counted, [expected; 2]);
        // A dollar a token: a thought of ten and its tag, and four answers of two, eight times.
        let all = 8 * (10 + 1 + 4 * 2) + 2 * pieces;
        let of_failed = if pieces > 0 { "2.00" } else { "0" };
        let sentence = format!(r"At d all its requests cost \${all}, failed ones \${of_failed} of it");
        let report = report(folder.path());
        assert!(report.contains(&sentence), "{sentence}: {report}");
    }
}

#[test]
fn no_more_requests_are_under_way_than_allowed() {
    let server = FakeServer::start().paced(Duration::from_millis(2));
    let folder = folder_with("served.toml", &sweep(&[server.url()], "", "budgets = [\"max\"]"));
    succeeds(&watched(folder.path()));
    assert_eq!((server.requests().len(), server.most_under_way()), (8, 3));
}

/// Problem and trajectory of every record.
fn finished(folder: &Path) -> BTreeSet<(String, u32)> {
    let records = read_records(&folder.join("out")).unwrap_or_default();
    records.into_iter().map(|record| (record.problem, record.trajectory)).collect()
}

#[test]
fn a_run_that_was_killed_asks_only_for_what_it_lacks() {
    let server = FakeServer::start().paced(Duration::from_millis(20));
    let folder = folder_with("served.toml", &sweep(&[server.url()], CONTINUED, BUDGETS));
    let mut child = command(folder.path()).spawn().unwrap();
    while finished(folder.path()).len() < 2 {
        assert!(child.try_wait().unwrap().is_none(), "it ended before it could be killed");
        std::thread::sleep(Duration::from_millis(5));
    }
    child.kill().unwrap();
    child.wait().unwrap();
    let (before, asked) = (finished(folder.path()), attempts(folder.path()).len());
    assert!(before.len() < 8, "all was done before it was killed");
    succeeds(&watched(folder.path()));
    let again = attempts(folder.path()).split_off(asked);
    let again: BTreeSet<_> = again.into_iter().map(|l| (l.attempt.problem, l.attempt.trajectory)).collect();
    assert!(again.is_disjoint(&before), "{before:?} were finished, and {again:?} asked for");
    assert_eq!(records(&folder.path().join("out")).len(), 8);
    assert_eq!(finished(folder.path()).len(), 8);
}
