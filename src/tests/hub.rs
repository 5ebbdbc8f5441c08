//! Models from the hub, against a server that speaks its language and serves a real model's files.

mod fake_hub;
mod program;

use std::path::{Path, PathBuf};
use std::process::Output;

use fake_hub::{FakeHub, Fault, Repository, TOKEN};
use isocost_harness::manifest::read_manifest;
use isocost_harness::trajectory::Trajectory;
use isocost_models::bundled;
use isocost_models::hub::{Environment, Hub, HubError};
use program::{fails, isocost, records, stderr, succeeds};

const SWEEP: &str = r#"
name = "small"
why = "a test"
seed = 5
budgets = [0, 16, 64]
n = [1, 2]
strategies = ["first"]
rows = 8
sampling = { temperature = 0.8 }
models = [{ name = "s", source = "SOURCE" }]
tasks = [{ name = "countdown-3", problems = 4 }]
"#;
const WEIGHTS: &str = "model.safetensors";

/// A folder to work in, with a home for the hub's cache, and a hub that serves `test/reason-s`.
struct Place {
    folder: tempfile::TempDir,
    hub: FakeHub,
}

impl Place {
    fn new() -> Self {
        let place = Self { folder: tempfile::tempdir().unwrap(), hub: FakeHub::start() };
        place.hub.publish("models/test/reason-s", reason_s());
        place
    }

    fn path(&self, name: &str) -> PathBuf {
        self.folder.path().join(name)
    }

    fn isocost(&self, args: &[&str], variables: &[(&str, &str)]) -> Output {
        let mut command = isocost(args, self.folder.path());
        // Nothing of the machine's own set-up may reach the test.
        for (name, _) in
            std::env::vars().filter(|(n, _)| n.starts_with("HF_") || n.to_lowercase().ends_with("_proxy"))
        {
            command.env_remove(name);
        }
        command.env("HF_HOME", self.path("home")).env("HF_ENDPOINT", &self.hub.address);
        command.envs(variables.iter().copied()).output().unwrap()
    }

    fn run(&self, source: &str, out: &str, variables: &[(&str, &str)]) -> Output {
        std::fs::write(self.path("small.toml"), SWEEP.replace("SOURCE", source)).unwrap();
        self.isocost(&["run", "small.toml", "--out", out], variables)
    }

    fn fetch(&self, name: &str) -> Output {
        self.isocost(&["models", "fetch", name], &[])
    }

    fn snapshot(&self, name: &str, digit: char) -> PathBuf {
        self.path("home/hub")
            .join(format!("models--{}", name.replace('/', "--")))
            .join("snapshots")
            .join(commit(digit))
    }

    fn records(&self, out: &str) -> Vec<Trajectory> {
        records(&self.path(out))
    }
}

fn commit(digit: char) -> String {
    digit.to_string().repeat(40)
}

fn bundled_folder() -> PathBuf {
    bundled::folder("bundled:reason-s").unwrap()
}

fn reason_s() -> Repository {
    Repository::of_folder(&bundled_folder(), 'a')
}

fn same_files(folder: &Path, files: &[&str]) {
    for file in files {
        let (found, expected) =
            (std::fs::read(folder.join(file)), std::fs::read(bundled_folder().join(file)));
        assert!(found.unwrap() == expected.unwrap(), "{file} differs");
    }
}

#[test]
fn a_model_from_the_hub_gives_the_records_of_the_same_model_from_elsewhere_and_again_offline() {
    let place = Place::new();
    succeeds(&place.run("bundled:reason-s", "bundled", &[]));
    succeeds(&place.run("hub:test/reason-s", "fetched", &[]));
    let manifest = read_manifest(&place.path("fetched")).unwrap();
    assert_eq!(manifest.identity.models["s"]["hub_commit"], commit('a'));
    assert!(!place.hub.requests().is_empty());
    succeeds(&place.run("hub:test/reason-s", "offline", &[("HF_HUB_OFFLINE", "1")]));
    assert!(place.hub.requests().is_empty(), "offline means that nothing is asked");
    let expected = place.records("bundled");
    assert_eq!(expected.len(), 8);
    assert!(place.records("fetched") == expected && place.records("offline") == expected);
}

#[test]
fn only_what_a_model_needs_is_fetched_and_never_a_pickle() {
    let place = Place::new();
    let more =
        ["pytorch_model.bin", "README.md", "optimizer.pt", "flax_model.msgpack", "original/consolidated.pth"];
    let repository = more.iter().fold(reason_s(), |repository, name| repository.with(name, b"do not fetch"));
    place.hub.publish("models/test/reason-s", repository);
    let output = place.fetch("hub:test/reason-s");
    succeeds(&output);
    let folder = place.snapshot("test/reason-s", 'a');
    assert_eq!(String::from_utf8_lossy(&output.stdout).trim(), folder.to_str().unwrap());
    same_files(&folder, &["config.json", "tokenizer.json", "tokenizer_config.json", WEIGHTS]);
    let requests = place.hub.requests();
    assert!(more.iter().all(|name| !requests.iter().any(|request| request.contains(name))), "{requests:?}");
}

#[test]
fn what_is_complete_is_not_fetched_again_even_under_another_commit() {
    let place = Place::new();
    succeeds(&place.fetch("hub:test/reason-s"));
    place.hub.requests();
    succeeds(&place.fetch("hub:test/reason-s"));
    assert_eq!(place.hub.requests().len(), 1, "only the listing");
    succeeds(&place.fetch(&format!("hub:test/reason-s@{}", commit('a'))));
    assert!(place.hub.requests().is_empty(), "a commit that is here needs no question");
    let moved = Repository { commit: commit('b'), ..reason_s() }.with("generation_config.json", b"{}");
    place.hub.publish("models/test/reason-s", moved);
    succeeds(&place.fetch("hub:test/reason-s"));
    let requests = place.hub.requests();
    assert!(requests.iter().any(|r| r.contains("generation_config")), "{requests:?}");
    assert!(!requests.iter().any(|r| r.contains("cdn") || r.contains(WEIGHTS)), "{requests:?}");
    same_files(&place.snapshot("test/reason-s", 'b'), &["config.json", WEIGHTS]);
    assert!(place.snapshot("test/reason-s", 'a').is_dir(), "the older commit is kept");
}

#[test]
fn a_download_that_breaks_off_is_resumed_where_it_stopped() {
    let place = Place::new();
    place.hub.misbehave(Fault::BreakOff { answers: 2 });
    succeeds(&place.fetch("hub:test/reason-s"));
    let requests = place.hub.requests();
    let ranges: Vec<&String> = requests.iter().filter(|r| r.contains("/cdn/")).collect();
    assert!(ranges.len() == 3 && ranges[0].ends_with("from 0"), "{ranges:?}");
    assert!(!ranges[1].ends_with("from 0") && ranges[1] != ranges[2], "{ranges:?}");
    same_files(&place.snapshot("test/reason-s", 'a'), &[WEIGHTS]);
}

#[test]
fn a_download_that_failed_says_how_far_it_came_and_the_same_command_goes_on_there() {
    let place = Place::new();
    place.hub.misbehave(Fault::BreakOffForGood);
    let size = reason_s().files[WEIGHTS].len();
    let half = (size / 2).to_string();
    fails(&place.fetch("hub:test/reason-s"), &[WEIGHTS, &half, &size.to_string(), "goes on from there"]);
    fails(&place.run("hub:test/reason-s", "out", &[("HF_HUB_OFFLINE", "1")]), &["cache", "models fetch"]);
    place.hub.misbehave(Fault::None);
    place.hub.requests();
    succeeds(&place.fetch("hub:test/reason-s"));
    let requests = place.hub.requests();
    let resumed = requests.iter().filter(|r| r.contains("/cdn/")).collect::<Vec<_>>();
    assert!(resumed.len() == 1 && resumed[0].ends_with(&format!("from {half}")), "{requests:?}");
    same_files(&place.snapshot("test/reason-s", 'a'), &[WEIGHTS]);
}

#[test]
fn a_server_that_knows_no_ranges_only_costs_a_second_download() {
    let place = Place::new();
    place.hub.misbehave(Fault::IgnoreRanges { break_off: 1 });
    succeeds(&place.fetch("hub:test/reason-s"));
    same_files(&place.snapshot("test/reason-s", 'a'), &[WEIGHTS]);
}

#[test]
fn content_that_is_not_what_the_hub_states_is_refused_and_removed() {
    let place = Place::new();
    place.hub.misbehave(Fault::Damage);
    fails(&place.fetch("hub:test/reason-s"), &[WEIGHTS, "sha256", "fetched twice"]);
    assert!(!place.snapshot("test/reason-s", 'a').join(WEIGHTS).exists());
    place.hub.misbehave(Fault::None);
    succeeds(&place.fetch("hub:test/reason-s"));
}

#[test]
fn refusals_are_told_apart_and_the_token_is_never_shown() {
    let place = Place::new();
    place.hub.publish("models/test/gated", Repository { gated: true, ..reason_s() });
    place.hub.publish("models/test/pickled", reason_s().without(WEIGHTS).with("pytorch_model.bin", b"x"));
    place.hub.publish("models/test/quantised", reason_s().without("config.json").with("m-q4_0.gguf", b"x"));
    let (good, wrong) = (("HF_TOKEN", TOKEN), ("HF_TOKEN", "hf_wrong\u{e9}"));
    for (name, variables, expected) in [
        ("hub:test/nothing", &[][..], &["no such repository", "HF_TOKEN"][..]),
        ("hub:test/nothing", &[good], &["no such repository"]),
        ("hub:test/reason-s", &[("HF_TOKEN", "hf_wrong")], &["does not accept the token"]),
        ("hub:test/reason-s", &[wrong], &["HF_TOKEN"]),
        ("hub:test/gated", &[], &["is gated", "/test/gated"]),
        ("hub:test/gated", &[good], &["is gated", "/test/gated"]),
        ("hub:test/reason-s@v9", &[], &["no revision `v9`"]),
        ("hub:test/pickled", &[], &["never loaded"]),
        ("hub:test/quantised", &[], &["hub:test/quantised/m-q4_0.gguf"]),
        ("hub:reason-s", &[], &["hub:OWNER/NAME"]),
        ("hub:test/reason-s", &[("HF_HUB_OFFLINE", "1")], &["unset HF_HUB_OFFLINE"]),
        (
            "hub:test/reason-s",
            &[good, ("HF_ENDPOINT", "http://127.0.0.1:9")],
            &["cannot be reached", "network"],
        ),
        ("hub:test/reason-s", &[good, ("HF_ENDPOINT", "not an address")], &["HF_ENDPOINT"]),
    ] {
        for output in
            [place.isocost(&["models", "fetch", name], variables), place.run(name, "out", variables)]
        {
            fails(&output, expected);
            let said = stderr(&output) + &String::from_utf8_lossy(&output.stdout);
            assert!(!said.contains("Secret") && !said.contains("hf_wrong"), "{said}");
        }
        assert!(!place.path("out").exists(), "nothing is written for a model that is not there");
    }
    assert!(place.hub.saw_a_token());
    let leaked = |path: &Path| std::fs::read(path).is_ok_and(|b| b.windows(6).any(|w| w == b"Secret"));
    succeeds(&place.run("hub:test/reason-s", "out", &[good]));
    assert!(!leaked(&place.path("out/manifest.json")) && !leaked(&place.path("out/report.md")));
}

#[test]
fn without_a_network_a_fetched_model_is_taken_from_the_cache_and_that_is_said() {
    let place = Place::new();
    succeeds(&place.fetch("hub:test/reason-s"));
    let output = place.run("hub:test/reason-s", "out", &[("HF_ENDPOINT", "http://127.0.0.1:9")]);
    succeeds(&output);
    assert!(stderr(&output).contains("taking commit aaaaaaaaaaaa from the cache"), "{}", stderr(&output));
}

#[test]
fn a_model_in_shards_is_fetched_whole_and_a_missing_shard_is_named() {
    let place = Place::new();
    let whole = sharded();
    place.hub.publish("models/test/sharded", whole.clone());
    succeeds(&place.run("bundled:reason-s", "bundled", &[]));
    succeeds(&place.run("hub:test/sharded", "sharded", &[]));
    assert!(place.records("sharded") == place.records("bundled"));
    let second = "model-00002-of-00002.safetensors";
    place.hub.publish("models/test/torn", whole.without(second));
    fails(&place.fetch("hub:test/torn"), &[second]);
    let folder = place.snapshot("test/sharded", 'a');
    std::fs::remove_file(folder.join(second)).unwrap();
    fails(&place.run(folder.to_str().unwrap(), "local", &[]), &[second, "fetch the model again"]);
    fails(&place.run("hub:test/sharded", "offline", &[("HF_HUB_OFFLINE", "1")]), &[second, "models fetch"]);
}

/// The model with its weights in two files and an index, and no file with all of them.
fn sharded() -> Repository {
    let whole = reason_s();
    let bytes = &whole.files[WEIGHTS];
    let start = 8 + u64::from_le_bytes(bytes[..8].try_into().unwrap()) as usize;
    let header: serde_json::Map<String, serde_json::Value> =
        serde_json::from_slice(&bytes[8..start]).unwrap();
    let tensors: Vec<_> = header.iter().filter(|(name, _)| *name != "__metadata__").collect();
    let mut index = serde_json::Map::new();
    let mut repository = whole.clone().without(WEIGHTS);
    for (number, part) in tensors.chunks(tensors.len().div_ceil(2)).enumerate() {
        let file = format!("model-{:05}-of-00002.safetensors", number + 1);
        let (mut head, mut data) = (serde_json::Map::new(), Vec::new());
        for (name, tensor) in part {
            let offset = |i: usize| start + tensor["data_offsets"][i].as_u64().unwrap() as usize;
            let mut tensor = (*tensor).clone();
            let from = data.len();
            data.extend_from_slice(&bytes[offset(0)..offset(1)]);
            tensor["data_offsets"] = serde_json::json!([from, data.len()]);
            head.insert((*name).clone(), tensor);
            index.insert((*name).clone(), file.clone().into());
        }
        let mut head = serde_json::to_vec(&head).unwrap();
        head.resize(head.len().next_multiple_of(8), b' ');
        let length = (head.len() as u64).to_le_bytes();
        repository = repository.with(&file, &[&length[..], &head, &data].concat());
    }
    let index = serde_json::json!({ "metadata": {}, "weight_map": index });
    repository.with("model.safetensors.index.json", index.to_string().as_bytes())
}

#[test]
fn a_file_of_a_data_set_is_fetched_at_its_revision_and_kept() {
    let place = Place::new();
    let content: Vec<u8> = (0..200_000u32).map(|i| (i % 977 * (i % 977) % 251) as u8).collect();
    let file = "data/test-00000-of-00001.parquet";
    let repository = Repository { commit: commit('c'), ..Repository::default() }.with(file, &content);
    place.hub.publish("datasets/test/sums", repository);
    let environment = |endpoint: &str, offline| Environment {
        endpoint: endpoint.to_owned(),
        cache: place.path("home/hub"),
        token: None,
        offline,
    };
    let fetch = |endpoint: &str, offline, revision: &str, file: &str| {
        Hub::new(environment(endpoint, offline)).data_set_file("test/sums", revision, file, &|_| {})
    };
    let fetched = fetch(&place.hub.address, false, "main", file).unwrap();
    assert_eq!((std::fs::read(&fetched.path).unwrap(), fetched.commit.clone()), (content, commit('c')));
    for (endpoint, offline, revision) in [
        ("http://127.0.0.1:9", true, "main"),
        ("http://127.0.0.1:9", false, "main"),
        ("http://127.0.0.1:9", false, &commit('c')),
    ] {
        assert_eq!(fetch(endpoint, offline, revision, file).unwrap(), fetched);
    }
    assert!(matches!(fetch(&place.hub.address, false, "main", "no.csv"), Err(HubError::NoFile { .. })));
    assert!(matches!(fetch(&place.hub.address, false, "main", "../no"), Err(HubError::Name { .. })));
}

#[test]
fn models_are_listed_and_shown_with_what_is_known_of_them() {
    let place = Place::new();
    let shown = |args: &[&str]| {
        let output = place.isocost(args, &[]);
        succeeds(&output);
        String::from_utf8_lossy(&output.stdout).into_owned()
    };
    let before = shown(&["models", "list"]);
    assert!(before.contains("bundled:reason-s") && before.contains("hub:Qwen/Qwen3-0.6B"), "{before}");
    assert!(!before.contains("test/reason-s"));
    succeeds(&place.fetch("hub:test/reason-s"));
    let after = shown(&["models", "list"]);
    let line = after.lines().find(|line| line.contains("hub:test/reason-s")).unwrap();
    assert!(line.contains("fetched (main, "), "{line}");
    for name in ["hub:test/reason-s", "bundled:reason-s"] {
        let text = shown(&["models", "show", name]);
        for part in ["qwen3", "f32", "keys and values", "<think> ... </think>", "model.safetensors ("] {
            assert!(text.contains(part), "{text} lacks {part}");
        }
        assert_eq!(text.contains(&commit('a')), name.starts_with("hub:"));
    }
    let card = shown(&["models", "show", "qwen3-0.6b"]);
    for part in ["hub:Qwen/Qwen3-0.6B", "596M", "fetch it with", "[Qwen3 technical report", "36T tokens"] {
        assert!(card.contains(part), "{card} lacks {part}");
    }
}

/// A finished run whose build is said to be a commit's.
fn publishable(place: &Place) {
    succeeds(&place.run("bundled:reason-s", "run", &[]));
    let manifest = place.path("run/manifest.json");
    let text = std::fs::read_to_string(&manifest).unwrap();
    std::fs::write(manifest, text.replace("\"git_tree\": \"dirty\"", "\"git_tree\": \"clean\"")).unwrap();
}

#[test]
fn a_published_run_becomes_a_data_set_on_the_hub_once_and_again() {
    let place = Place::new();
    publishable(&place);
    let publish = ["publish", "run", "--without-trajectories", "--hub", "test/run"];
    let output = place.isocost(&publish, &[("HF_TOKEN", TOKEN)]);
    succeeds(&output);
    let address = String::from_utf8_lossy(&output.stdout).trim().to_owned();
    assert_eq!(address, format!("{}/datasets/test/run", place.hub.address));
    let there = place.hub.repository("datasets/test/run").unwrap();
    for file in ["README.md", "cells.parquet", "figures/countdown-3-plane.svg", "published.json"] {
        assert!(there.files[file] == std::fs::read(place.path("results/run").join(file)).unwrap(), "{file}");
    }
    let records = std::fs::read(place.path("run/trajectories.jsonl")).unwrap();
    assert!(there.files["trajectories.jsonl"] == records, "what git does not hold the hub does");
    assert!(!stderr(&output).contains(TOKEN));
    place.hub.requests();
    succeeds(&place.isocost(&publish, &[("HF_TOKEN", TOKEN)]));
    let sent_again = place.hub.requests().iter().filter(|request| request.starts_with("/put/")).count();
    assert!(sent_again < 3, "{sent_again} large files were sent again");
}

#[test]
fn an_upload_without_a_good_token_says_so_and_shows_no_token() {
    let place = Place::new();
    publishable(&place);
    let publish = |repository: &str, variables: &[(&str, &str)]| {
        place.isocost(&["publish", "run", "--hub", repository], variables)
    };
    fails(&publish("test/run", &[]), &["set HF_TOKEN"]);
    let wrong = publish("test/run", &[("HF_TOKEN", "hf_WrongWrongWrong")]);
    fails(&wrong, &["refused to create the data set", "401", "HF_TOKEN"]);
    assert!(!stderr(&wrong).contains("hf_WrongWrongWrong"));
    fails(&publish("test", &[("HF_TOKEN", TOKEN)]), &["OWNER/NAME"]);
    fails(&publish("test/run", &[("HF_TOKEN", TOKEN), ("HF_HUB_OFFLINE", "1")]), &["HF_HUB_OFFLINE"]);
    assert!(place.hub.repository("datasets/test/run").is_none());
}

#[test]
fn offline_means_the_same_for_an_address_as_for_the_hub() {
    let place = Place::new();
    let task = "name = \"t\"\nwhy = \"a test\"\nlicence = \"MIT\"\nanswer_tokens = 9\njudge = \"countdown\"\n\
                [[sources]]\nfrom = { url = \"http://127.0.0.1:9/t.jsonl\" }\n\
                fields = { question = \"q\", gold = \"a\" }\n";
    std::fs::write(place.path("t.toml"), task).unwrap();
    for (value, is_offline) in [("1", true), ("ON", true), ("false", false), ("", false), ("0", false)] {
        let cache = place.path("cache");
        let variables = [("HF_HUB_OFFLINE", value), ("XDG_CACHE_HOME", cache.to_str().unwrap())];
        let output = place.isocost(&["tasks", "preview", "t.toml"], &variables);
        let message = fails(&output, &["http://127.0.0.1:9/t.jsonl"]);
        assert_eq!(message.contains("HF_HUB_OFFLINE is set"), is_offline, "{value}: {message}");
    }
}
