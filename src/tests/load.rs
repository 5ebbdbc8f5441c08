//! Two hundred requests at once, for two minutes: neither memory nor descriptors of the program may grow.
//!
//! Too long for every day: `scripts/servers/load.sh` runs it and writes down what it measured.

#![cfg(target_os = "linux")]

mod fake_server;
mod program;
mod served_sweep;

use std::fmt::Write;
use std::path::Path;
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

use fake_server::{Dialect, FakeServer};
use program::{folder_with, signal};
use served_sweep::{CONTINUED, attempts, command, sweep};

const AT_ONCE: usize = 200;
/// Tokens of a thought, and the time between two of them.
const THOUGHT: usize = 60;
const PACE: Duration = Duration::from_millis(25);
/// A second of the program's processor time, in the kernel's ticks.
const TICKS: f64 = 100.0;
/// Seconds until all connections, buffers and threads are there.
const WARM_UP_S: f64 = 30.0;

/// What the kernel says of the program at one moment.
struct Sample {
    s: f64,
    rss_kib: f64,
    descriptors: usize,
    threads: usize,
    cpu_s: f64,
}

impl Sample {
    fn of(process: u32, s: f64) -> Option<Self> {
        let folder = Path::new("/proc").join(process.to_string());
        let status = std::fs::read_to_string(folder.join("status")).ok()?;
        let number = |name: &str| -> Option<f64> {
            let line = status.lines().find(|line| line.starts_with(name))?;
            line.split_whitespace().nth(1)?.parse().ok()
        };
        let stat = std::fs::read_to_string(folder.join("stat")).ok()?;
        // The program's name stands in brackets and may hold spaces; user and system time are the 12th and 13th after it.
        let after = stat.rsplit_once(')')?.1;
        let ticks: f64 =
            after.split_whitespace().skip(11).take(2).filter_map(|t| t.parse::<f64>().ok()).sum();
        Some(Self {
            s,
            rss_kib: number("VmRSS:")?,
            descriptors: std::fs::read_dir(folder.join("fd")).ok()?.count(),
            threads: number("Threads:")? as usize,
            cpu_s: ticks / TICKS,
        })
    }
}

/// KiB a second, by least squares.
fn slope(samples: &[Sample]) -> f64 {
    let n = samples.len() as f64;
    let mean = |of: fn(&Sample) -> f64| samples.iter().map(of).sum::<f64>() / n;
    let (mean_s, mean_kib) = (mean(|x| x.s), mean(|x| x.rss_kib));
    let covariance: f64 = samples.iter().map(|x| (x.s - mean_s) * (x.rss_kib - mean_kib)).sum();
    covariance / samples.iter().map(|x| (x.s - mean_s).powi(2)).sum::<f64>()
}

fn table(samples: &[Sample]) -> String {
    let mut text = "| s | RSS (MiB) | descriptors | threads | CPU (s) |\n|--:|--:|--:|--:|--:|\n".to_owned();
    for Sample { s, rss_kib, descriptors, threads, cpu_s } in samples.iter().step_by(10) {
        let rss = rss_kib / 1024.0;
        writeln!(text, "| {s:.0} | {rss:.1} | {descriptors} | {threads} | {cpu_s:.1} |").unwrap();
    }
    text
}

#[test]
#[ignore = "takes two minutes: scripts/servers/load.sh runs it"]
fn two_hundred_requests_at_once_leak_neither_memory_nor_descriptors() {
    let seconds: f64 = std::env::var("LOAD_S").ok().and_then(|s| s.parse().ok()).unwrap_or(120.0);
    let server = FakeServer::speaking(Dialect::vllm()).thinking_long(THOUGHT).paced(PACE);
    let text = sweep(&[server.url()], CONTINUED, "budgets = [\"max\"]\ntrajectories = 1000")
        .replace("concurrency = 3", &format!("concurrency = {AT_ONCE}"))
        .replace("problems = 4", "problems = 60")
        .replace("silence_s = 2.0", "silence_s = 60.0");
    let folder = folder_with("served.toml", &text);
    let quiet = |command: &mut Command| command.stderr(Stdio::null()).stdout(Stdio::null()).spawn().unwrap();
    let mut child = quiet(&mut command(folder.path()));
    let (started, mut samples) = (Instant::now(), Vec::new());
    while started.elapsed().as_secs_f64() < seconds {
        std::thread::sleep(Duration::from_secs(1));
        samples.push(Sample::of(child.id(), started.elapsed().as_secs_f64()).expect("it runs"));
    }
    assert!(signal("-INT", &child.id().to_string()));
    child.wait().unwrap();
    let attempts = attempts(folder.path());
    let failed = attempts.iter().filter(|logged| logged.attempt.failure.is_some()).count();
    let tokens: f64 =
        attempts.iter().filter_map(|logged| logged.attempt.completion_tokens).map(f64::from).sum();
    let warm = &samples[samples.iter().position(|sample| sample.s > WARM_UP_S).expect("it lasts longer")..];
    let (first, last) = (&warm[0], &warm[warm.len() - 1]);
    let per_token = last.cpu_s / tokens;
    let descriptors = warm.iter().map(|sample| sample.descriptors);
    let (least, most) = (descriptors.clone().min().unwrap(), descriptors.max().unwrap());
    let records = program::records(&folder.path().join("out")).len();
    let at_once = server.most_under_way();
    let summary = format!(
        "{}\n{} requests ({} a second), {failed} of them failed; {tokens} tokens ({:.0} a second); at most {at_once} \
         requests at once; {records} trajectories recorded.\n\nAfter {WARM_UP_S} s: resident \
         memory {:.1} to {:.1} MiB, slope {:.2} KiB/s, {:.2} KiB for each record written meanwhile; descriptors {least} to \
         {most}.\n\nClient overhead: {:.1} microseconds of processor time for each token.\n",
        table(&samples),
        attempts.len(),
        (attempts.len() as f64 / last.s).round(),
        tokens / last.s,
        first.rss_kib / 1024.0,
        last.rss_kib / 1024.0,
        slope(warm),
        slope(warm) * last.s / records as f64,
        per_token * 1e6,
    );
    println!("{summary}");
    if let Some(path) = std::env::var_os("LOAD_REPORT") {
        std::fs::write(path, &summary).unwrap();
    }
    assert_eq!(failed, 0);
    assert!(at_once >= AT_ONCE, "{at_once} requests at once");
    assert!(most <= AT_ONCE + 40, "{most} descriptors");
    // What stays of a record is its key, so that it is not recorded twice; its text alone would be more than this.
    let of_a_record = slope(warm) * last.s / records as f64;
    assert!(of_a_record < 1.0, "memory grows by {of_a_record} KiB for each record");
}
