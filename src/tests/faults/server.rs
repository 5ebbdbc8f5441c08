//! Servers that fail, stall, lie and repeat themselves.

use crate::account::{Account, Chance, Effort, Subject, Undisturbed};
use crate::fake_server::{FakeServer, PASSING, Trouble};
use crate::program::{fails, stderr};

fn sweep(url: &str) -> String {
    format!(
        r#"
name = "served"
why = "a test"
seed = 5
budgets = [0, 4, 8, 20]
n = [1, 2]
strategies = ["first", "maj"]

[sampling]
temperature = 0.8

[[models]]
name = "m"
source = "{url}"

[models.server]
model = "counts"
key_env = "PLANTED_KEY"
concurrency = 3
attempts = 4
silence_s = 1.0
back_off_s = 0.01
tokenizer = "bundled:reason-s"

[[tasks]]
name = "countdown-3"
problems = 4
"#
    )
}

/// Two requests in a row meet the trouble; after that, all do, and the run is gone on with when it is over.
pub(crate) fn troubled(effort: Effort) -> Account {
    let (mut chance, mut account) = (Chance::new("server"), Account::default());
    let calm = Undisturbed::of(&sweep(FakeServer::start().url()));
    for trouble in PASSING.into_iter().cycle().take(PASSING.len() * effort.of(1, 2)) {
        let server = FakeServer::start();
        let mut subject = Subject::new(&sweep(server.url()));
        server.next(&[trouble; 2]);
        let output = subject.run(&[]);
        assert!(output.status.success(), "{trouble:?}: {}", stderr(&output));
        subject.fault();
        account.add(subject.finish(&calm));
    }
    for _ in 0..effort.of(1, 5) {
        let server = FakeServer::start();
        let mut subject = Subject::new(&sweep(server.url()));
        let mut child = subject.start(&[]);
        std::thread::sleep(std::time::Duration::from_millis(chance.below(400) as u64));
        server.always(Some(Trouble::Broken));
        child.wait().unwrap();
        let output = subject.run(&[]);
        if !output.status.success() {
            let said = stderr(&output);
            match output.status.code() {
                Some(1) => assert!(said.contains("could not be had") && !said.contains("panicked"), "{said}"),
                _ => _ = fails(&output, &[]),
            }
            subject.fault();
        }
        server.always(None);
        account.add(subject.finish(&calm));
    }
    account.seen("tried again, each attempt logged; after the last one line and exit code 1, or 2 where nothing is recorded; the next run asks for what is lacking")
}
