//! The report as a page, in a real browser: it renders without a complaint, its tables answer, and what a model wrote
//! stays text.

mod program;

use std::path::{Path, PathBuf};
use std::process::Command;

use base64::Engine;
use base64::prelude::BASE64_STANDARD;
use program::{ran, succeeds, unsealed};
use sha2::{Digest, Sha256};

const SWEEP: &str = r#"
name = "small"
why = "a test"
seed = 5
budgets = [0, 16, 64, 200]
n = [1, 2, 4]
strategies = ["first", "maj", "verifier", "pass"]
rows = 8

[sampling]
temperature = 0.8

[[models]]
name = "s"
source = "bundled:reason-s"

[[models]]
name = "d"
source = "bundled:direct-m"
budgets = [0]

[[tasks]]
name = "countdown-3"
problems = 8

[price]
device = "a test"
usd_per_device_hour = 1.0
source = "made up"
date = "2026-01-01"
"#;

/// What a model may write.
const HOSTILE: &str =
    "</script><script>document.title='owned'</script><img src=x onerror=document.title='owned'> ]]>";

/// Run by the browser after the page's own script; what it finds is read from the dumped page.
const CHECKS: &str = include_str!("report_checks.js");

/// A small run in which one model wrote something hostile; the report is not yet made again.
fn hostile_run() -> (tempfile::TempDir, PathBuf) {
    let folder = tempfile::tempdir().unwrap();
    std::fs::write(folder.path().join("small.toml"), SWEEP).unwrap();
    succeeds(&ran(&["run", "small.toml", "--out", "run"], folder.path()));
    let run = folder.path().join("run");
    let path = run.join("trajectories.jsonl");
    let text = std::fs::read_to_string(&path).unwrap();
    let mut lines: Vec<serde_json::Value> =
        unsealed(&text).lines().map(|line| serde_json::from_str(line).unwrap()).collect();
    for part in ["/reasoning", "/question", "/gold", "/answers/0/text", "/answers/0/extracted"] {
        *lines[0].pointer_mut(part).unwrap() = HOSTILE.into();
    }
    let text: String = lines.iter().map(|line| line.to_string() + "\n").collect();
    std::fs::write(path, text).unwrap();
    (folder, run)
}

/// What the page's own script must not be searched for.
fn without_scripts(page: &str) -> String {
    let (before, script) = page.rsplit_once("<script>").unwrap();
    before.to_owned() + script.split_once("</script>").unwrap().1
}

fn page(run: &Path) -> String {
    std::fs::read_to_string(run.join("report.html")).unwrap()
}

#[test]
fn a_report_is_one_harmless_file_and_the_same_bytes_twice() {
    let (folder, run) = hostile_run();
    let read = |name: &str| std::fs::read(run.join(name)).unwrap();
    succeeds(&ran(&["report", "run"], folder.path()));
    let names = ["report.html", "figures/countdown-3-plane.svg", "figures/countdown-3-plane.png"];
    let first = names.map(read);
    succeeds(&ran(&["report", "run"], folder.path()));
    assert!(first == names.map(read), "report wrote other bytes the second time");
    let page = without_scripts(&page(&run));
    assert!(!page.contains("owned") && !page.contains("onerror"));
    assert!(page.contains("Content-Security-Policy") && page.contains("default-src 'none'"));
    for outside in ["src=\"http", "href=\"http", "@import", "url(", "style=\""] {
        assert!(!page.contains(outside), "{outside}");
    }
    assert!(first[2].starts_with(b"\x89PNG"));
}

#[test]
fn a_browser_renders_the_report_and_its_tables_answer() {
    let Some(browser) = browser() else {
        println!("skipped: no chromium on this machine (apt-get install chromium)");
        return;
    };
    let (folder, run) = hostile_run();
    succeeds(&ran(&["report", "run"], folder.path()));
    let checked = folder.path().join("checked.html");
    std::fs::write(&checked, with_checks(&page(&run))).unwrap();
    let (page, said) = dump(&browser, &checked);
    let console: Vec<&str> = said.lines().filter(|line| line.contains("CONSOLE")).collect();
    assert!(console.is_empty(), "the console is not empty: {console:#?}");
    let begin = page.find("<pre id=\"checked\">").unwrap_or_else(|| panic!("the checks did not run: {said}"));
    let found = &page[begin..];
    let found = &found["<pre id=\"checked\">".len()..found.find("</pre>").unwrap()];
    assert_eq!(found, "all is well");
}

/// The page with the checks, which must not contain what would end a script, as a further script, which its policy then allows too.
fn with_checks(page: &str) -> String {
    let hash = BASE64_STANDARD.encode(Sha256::digest(CHECKS));
    let allowed = page.replacen("script-src ", &format!("script-src 'sha256-{hash}' "), 1);
    allowed.replacen("</body>", &format!("<script>{CHECKS}</script></body>"), 1)
}

fn browser() -> Option<PathBuf> {
    let path = std::env::var_os("PATH")?;
    let names = ["chromium", "chromium-browser", "google-chrome", "chrome"];
    let mut all = std::env::split_paths(&path).flat_map(|folder| names.map(|name| folder.join(name)));
    all.find(|file| file.is_file())
}

/// The page's elements after its scripts ran, and what the browser said meanwhile.
fn dump(browser: &Path, page: &Path) -> (String, String) {
    let profile = tempfile::tempdir().unwrap();
    let output = Command::new(browser)
        .args(["--headless", "--no-sandbox", "--disable-gpu", "--disable-dev-shm-usage", "--dump-dom"])
        .args(["--enable-logging=stderr", "--virtual-time-budget=20000", "--window-size=1440,1000"])
        .arg(format!("--user-data-dir={}", profile.path().display()))
        .arg(format!("file://{}", page.display()))
        .output()
        .unwrap();
    let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
    (text(&output.stdout), text(&output.stderr))
}
