//! `docs/faults.md`: all faults in full, and what came of them.

use std::fmt::Write;
use std::path::Path;
use std::time::Instant;

use crate::account::{Account, Effort};
use crate::program::{ran, stdout};

type Fault = (&'static str, fn(Effort) -> Account);

const HEAD: &str = "# Faults tried, and what they cost

Every fault happens to real runs of the program (a bundled model, two tasks, 48 trajectories), which are then finished and compared, record by record and
without times, with a run that nothing happened to. *Lost*: a record that was whole on the disk after the fault and is not there to the last digit at the
end, or that lacks at the end. *Doubled*: there twice. *Wrong*: not what the undisturbed run recorded. After each, all files and everything that was said
are searched for a planted `HF_TOKEN` and a server's key.

This page is written by one command, which takes some minutes; as ordinary tests the same faults happen a few times each.

```sh
cargo test --workspace --test faults -- --ignored --nocapture
```

";

/// Makes all faults happen, in order, and writes the page.
pub(crate) fn write(faults: &[Fault]) {
    let begun = Instant::now();
    let mut page = HEAD.to_owned();
    let mut rows = String::new();
    let mut sum = Account::default();
    for (name, fault) in faults {
        let account = fault(Effort::Full);
        let row = row(name, &account);
        print!("{row}");
        rows += &row;
        sum.add(account);
    }
    let _ = writeln!(page, "{}\n", conditions(begun.elapsed().as_secs()));
    page += "| fault | times | runs | lost | doubled | wrong | what the program does |\n| --- | ---: | ---: | ---: | ---: | ---: | --- |\n";
    page += &rows;
    page += &row("**all**", &sum);
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("docs/faults.md");
    std::fs::write(path, page).unwrap();
    sum.expect_clean();
}

fn row(name: &str, account: &Account) -> String {
    let Account { runs, faults, lost, doubled, wrong, seen, skipped } = account;
    match skipped {
        Some(why) => format!("| {name} | – | – | – | – | – | not tried: {why} |\n"),
        None => format!("| {name} | {faults} | {runs} | {lost} | {doubled} | {wrong} | {seen} |\n"),
    }
}

fn conditions(seconds: u64) -> String {
    let version = stdout(&ran(&["--version"], Path::new(".")));
    let date = jiff::Timestamp::now().strftime("%F");
    let kernel = std::fs::read_to_string("/proc/sys/kernel/osrelease").unwrap_or_default();
    let cores = std::thread::available_parallelism().map_or(1, usize::from);
    format!("{date}, {}, debug build, Linux {}, {cores} cores, {seconds} s.", version.trim(), kernel.trim())
}
