//! Processes that are killed, stopped, and started twice.

use std::os::unix::process::CommandExt;
use std::process::{Child, Stdio};

use crate::account::{Account, Chance, Effort, Subject, Undisturbed};
use crate::program::{fails, signal, wait_until, while_stopped};

/// Disturbs runs at random moments, each again and again until it is through, until that happened `faults` times. `disturb`
/// answers whether the process was still there.
fn again_and_again(
    name: &str,
    faults: usize,
    start: impl Fn(&mut Subject) -> Child,
    disturb: impl Fn(&mut Child) -> bool,
) -> Account {
    let (mut chance, mut account) = (Chance::new(name), Account::default());
    while account.faults < faults {
        let mut subject = Subject::usual();
        let mut there = true;
        while there && account.faults + subject.faults() < faults {
            let mut child = start(&mut subject);
            chance.wait();
            there = child.try_wait().unwrap().is_none() && disturb(&mut child);
            child.wait().unwrap();
            if there {
                subject.fault();
            }
        }
        account.add(subject.finish(Undisturbed::usual()));
    }
    account
}

pub(crate) fn killed(effort: Effort) -> Account {
    let start = |subject: &mut Subject| subject.start(&[]);
    let account = again_and_again("killed", effort.of(4, 100), start, |child| child.kill().is_ok());
    account.seen("the next run goes on; every whole line is kept")
}

/// The main process and its workers, all at once, as a machine that goes down.
pub(crate) fn group_killed(effort: Effort) -> Account {
    let start = |subject: &mut Subject| {
        let said = std::fs::File::create(subject.folder().join("said")).unwrap();
        subject.on("cpu,cpu");
        let mut command = subject.command(&[]);
        command.process_group(0).stdout(Stdio::null()).stderr(said).spawn().unwrap()
    };
    let kill = |child: &mut Child| signal("-KILL", &format!("-{}", child.id()));
    let account = again_and_again("group killed", effort.of(2, 30), start, kill);
    account.seen("as one process")
}

/// What a scheduler sends before it kills.
pub(crate) fn terminated(effort: Effort) -> Account {
    stopped("-TERM", effort)
}

/// Ctrl-C.
pub(crate) fn interrupted(effort: Effort) -> Account {
    stopped("-INT", effort)
}

/// A terminal that is closed.
pub(crate) fn hung_up(effort: Effort) -> Account {
    stopped("-HUP", effort)
}

fn stopped(name: &str, effort: Effort) -> Account {
    let start = |subject: &mut Subject| subject.start(&[]);
    let account =
        again_and_again(name, effort.of(1, 10), start, |child| signal(name, &child.id().to_string()));
    account.seen("stops after the record under way and says how to go on; before the first it just ends")
}

pub(crate) fn two_at_once(effort: Effort) -> Account {
    let mut account = Account::default();
    for _ in 0..effort.of(1, 10) {
        let mut subject = Subject::usual();
        let mut first = subject.start(&[]);
        wait_until(&mut first, || subject.file("trajectories.jsonl").exists());
        let second = while_stopped(&mut first, || subject.run(&[]));
        fails(&second, &["another process is running there"]);
        subject.fault();
        assert!(first.wait().unwrap().success(), "{}", subject.heard());
        account.add(subject.finish(Undisturbed::usual()));
    }
    account.seen("the second is refused in one line, exit code 2; the first is not disturbed")
}
