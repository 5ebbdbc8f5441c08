//! Files of a run that are damaged between two processes.

use std::path::Path;

use crate::account::{Account, Chance, Effort, Subject, Undisturbed};
use crate::disk::half_done;
use crate::program::{fails, stderr};

fn edit(path: &Path, change: impl FnOnce(&mut Vec<u8>)) {
    let mut bytes = std::fs::read(path).unwrap();
    change(&mut bytes);
    std::fs::write(path, bytes).unwrap();
}

/// Damages the records of a finished run; the report must say so before it is mended, and after.
fn damaged(name: &str, faults: usize, spoil: impl Fn(&mut Vec<u8>, &mut Chance)) -> Account {
    let (mut chance, mut account) = (Chance::new(name), Account::default());
    let mut whole = Subject::usual();
    assert!(whole.run(&[]).status.success());
    let text = std::fs::read(whole.file("trajectories.jsonl")).unwrap();
    for _ in 0..faults {
        std::fs::write(whole.file("trajectories.jsonl"), &text).unwrap();
        let _ = std::fs::remove_file(whole.file("torn.jsonl"));
        edit(&whole.file("trajectories.jsonl"), |bytes| spoil(bytes, &mut chance));
        whole.forgetful_fault();
        let report = whole.asked(&["report", "out"]).output().unwrap();
        assert!(report.status.success(), "{}", stderr(&report));
        assert!(stderr(&report).contains("were left out"), "{}", stderr(&report));
        said_in_the_report(&whole, "and were left out");
        let mended = whole.run(&[]);
        assert!(mended.status.success() && stderr(&mended).contains("set aside"), "{}", stderr(&mended));
        assert!(whole.file("torn.jsonl").exists());
        said_in_the_report(&whole, "set aside in torn.jsonl");
        account.add(whole.again(Undisturbed::usual()));
    }
    account.seen("the report says what it leaves out; the next run sets it aside in torn.jsonl, says so, and samples it again")
}

fn said_in_the_report(subject: &Subject, words: &str) {
    for file in ["report.md", "report.html"] {
        let text = std::fs::read_to_string(subject.file(file)).unwrap();
        assert!(text.contains(words), "{file} does not say: {words}");
    }
}

pub(crate) fn torn(effort: Effort) -> Account {
    damaged("torn last line", effort.of(1, 10), |bytes, chance| {
        let end = bytes.len();
        bytes.truncate(end - 2 - chance.below(end / 2));
        // Cut exactly between two lines nothing is torn.
        if bytes.ends_with(b"\n") {
            bytes.pop();
        }
    })
}

pub(crate) fn flipped(effort: Effort) -> Account {
    damaged("flipped bits", effort.of(1, 15), |bytes, chance| {
        for _ in 0..=chance.below(4) {
            let at = chance.below(bytes.len());
            bytes[at] ^= 1 << chance.below(8);
        }
    })
}

/// Valid JSON that says it is another's record: of another trajectory, or with another answer.
pub(crate) fn forged(effort: Effort) -> Account {
    damaged("another record's key", effort.of(1, 10), |bytes, chance| {
        let text = String::from_utf8(bytes.clone()).unwrap();
        let mut lines: Vec<String> = text.lines().map(str::to_owned).collect();
        let at = chance.below(lines.len());
        let digit = |number: usize| format!("\"trajectory\":{number},");
        let own = (0..4).find(|number| lines[at].contains(&digit(*number))).unwrap();
        lines[at] = lines[at].replace(&digit(own), &digit((own + 1) % 4));
        // Where it stands decides which of the two would be believed.
        let line = lines.remove(at);
        lines.insert(chance.below(lines.len() + 1), line);
        *bytes = (lines.join("\n") + "\n").into_bytes();
    })
}

pub(crate) fn doubled(effort: Effort) -> Account {
    damaged("doubled lines", effort.of(1, 10), |bytes, chance| {
        let lines: Vec<Vec<u8>> = bytes.split_inclusive(|byte| *byte == b'\n').map(<[u8]>::to_vec).collect();
        bytes.extend_from_slice(&lines[chance.below(lines.len())]);
    })
}

/// Logs beside the records.
pub(crate) fn logs(effort: Effort) -> Account {
    let (mut chance, mut account) = (Chance::new("damaged logs"), Account::default());
    for round in 0..effort.of(2, 8) {
        let mut subject = Subject::usual();
        half_done(&mut subject);
        let steps = subject.file("steps.jsonl");
        let file = ["steps.jsonl", "activity.jsonl"][round % 2];
        std::fs::write(subject.file("activity.jsonl"), std::fs::read(&steps).unwrap()).unwrap();
        edit(&subject.file(file), |bytes| {
            let at = chance.below(bytes.len() / 2);
            bytes[at] = 0xff;
            bytes.truncate(bytes.len() - 3);
        });
        subject.fault();
        let output = subject.run(&[]);
        assert!(output.status.success(), "{}", stderr(&output));
        said_in_the_report(&subject, &format!("lines of {file} cannot be read"));
        account.add(subject.finish(Undisturbed::usual()));
    }
    account.seen("whole entries are kept, new ones begin on a line of their own; the report says how many cannot be read")
}

pub(crate) fn manifest(effort: Effort) -> Account {
    let (mut chance, mut account) = (Chance::new("damaged manifest"), Account::default());
    for _ in 0..effort.of(1, 10) {
        let mut subject = Subject::usual();
        half_done(&mut subject);
        let path = subject.file("manifest.json");
        let whole = std::fs::read(&path).unwrap();
        std::fs::write(&path, &whole[..chance.below(whole.len() - 2)]).unwrap();
        fails(&subject.run(&[]), &["manifest.json", "restore the file, or start a new run"]);
        subject.fault();
        std::fs::write(&path, whole).unwrap();
        account.add(subject.finish(Undisturbed::usual()));
    }
    account.seen("refused in one line, exit code 2; records are not touched")
}
