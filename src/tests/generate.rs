//! `isocost generate` as a person runs it.

mod program;

use std::path::Path;
use std::process::Output;

use program::ran;
use serde_json::Value;

fn generate(folder: &Path, args: &[&str]) -> Output {
    ran(&[&["generate"], args].concat(), folder)
}

fn json(args: &[&str]) -> Value {
    let output = generate(Path::new("."), &[args, &["-o", "json"]].concat());
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    serde_json::from_slice(&output.stdout).unwrap()
}

const ASK: [&str; 3] = ["bundled:reason-s", "--prompt", "make 24 from 2 4 3"];

fn ids(part: &Value) -> Vec<u64> {
    part["ids"].as_array().unwrap().iter().map(|id| id.as_u64().unwrap()).collect()
}

#[test]
fn json_has_tokens_log_probabilities_reasoning_and_answer_apart() {
    let document = json(&[&ASK[..], &["--budget", "24", "--n", "3", "--max-tokens", "16"]].concat());
    let completions = document["completions"].as_array().unwrap();
    assert_eq!(completions.len(), 3);
    for one in completions {
        for part in [&one["reasoning"], &one["answer"]] {
            let logprobs = part["logprobs"].as_array().unwrap();
            assert_eq!(logprobs.len(), ids(part).len());
            assert!(logprobs.iter().all(|logprob| logprob.as_f64().unwrap() <= 0.0));
            assert!(!part["text"].as_str().unwrap().contains("think"), "{part}");
        }
        assert!(ids(&one["reasoning"]).len() <= 24 && !ids(&one["answer"]).is_empty());
        assert!(["stop", "length"].contains(&one["finish_reason"].as_str().unwrap()));
        let cut = ids(&one["reasoning"]).len() == 24;
        assert_eq!(one["forced"].as_bool().unwrap(), cut);
    }
    assert!(document["timing"]["wall_s"].as_f64().unwrap() > 0.0);
    assert_eq!(document["dtype"], "f32");
}

#[test]
fn temperature_zero_gives_one_completion_n_times_and_a_seed_decides_the_others() {
    let greedy = json(&[&ASK[..], &["--temperature", "0", "--n", "2", "--budget", "20"]].concat());
    let texts = |document: &Value| {
        let completions = document["completions"].as_array().unwrap();
        completions.iter().map(|one| one["reasoning"]["ids"].to_string()).collect::<Vec<_>>()
    };
    assert_eq!(texts(&greedy)[0], texts(&greedy)[1]);
    let sampled = |seed: &str| json(&[&ASK[..], &["--n", "2", "--budget", "20", "--seed", seed]].concat());
    assert_eq!(texts(&sampled("1")), texts(&sampled("1")));
    assert_ne!(texts(&sampled("1")), texts(&sampled("2")));
}

#[test]
fn words_that_the_model_has_no_token_for_are_said() {
    let said = |prompt: &str| {
        let output = generate(Path::new("."), &["bundled:reason-s", "--prompt", prompt, "--max-tokens", "4"]);
        assert!(output.status.success());
        String::from_utf8_lossy(&output.stderr).into_owned()
    };
    assert!(said("3 7 25 -> 46").contains("does not know ->:"), "{}", said("3 7 25 -> 46"));
    assert!(!said("make 24 from 2 4 3").contains("does not know"));
}

#[test]
fn a_prompt_in_tokens_is_continued_as_it_is() {
    let chat = json(&[&ASK[..], &["--budget", "0", "--temperature", "0"]].concat());
    let prompt = ids(&serde_json::json!({"ids": chat["prompt_ids"]}));
    let list: Vec<String> = prompt.iter().map(u64::to_string).collect();
    let same = json(&["bundled:reason-s", "--token-ids", &list.join(","), "--temperature", "0"]);
    assert_eq!(same["prompt_ids"], chat["prompt_ids"]);
    assert_eq!(same["completions"][0]["answer"]["ids"], chat["completions"][0]["answer"]["ids"]);
    let raw = json(&["bundled:reason-s", "--prompt", "3 7", "--raw", "--max-tokens", "4"]);
    assert_eq!(raw["prompt_ids"].as_array().unwrap().len(), 2, "no template around it");
    assert_eq!(raw["completions"][0]["finish_reason"], "length");
}

#[test]
fn a_completion_that_ends_inside_its_thought_has_no_answer_and_no_seconds_of_one() {
    let document = json(&[&ASK[..], &["--max-tokens", "4"]].concat());
    let one = &document["completions"][0];
    assert_eq!(ids(&one["reasoning"]).len(), 4);
    assert!(one["answer"].is_null() && one["answer_s"].is_null(), "{one}");
}

#[test]
fn a_model_that_was_not_taught_to_think_answers_at_once_unless_it_is_told_to_think() {
    let ask = ["bundled:direct-m", "--prompt", "make 24 from 2 4 3"];
    let direct = json(&ask);
    let one = &direct["completions"][0];
    assert!(ids(&one["reasoning"]).is_empty() && !ids(&one["answer"]).is_empty(), "{one}");
    assert_ne!(json(&[&ask[..], &["--budget", "8"]].concat())["prompt_ids"], direct["prompt_ids"]);
}

#[test]
fn text_goes_to_stdout_and_the_summary_to_stderr() {
    let output = generate(Path::new("."), &[&ASK[..], &["--budget", "8", "--logprobs"]].concat());
    let (out, err) = (String::from_utf8_lossy(&output.stdout), String::from_utf8_lossy(&output.stderr));
    assert!(out.starts_with("<think>\n") && out.contains("\n</think>\n"), "{out}");
    assert!(out.lines().filter(|line| line.trim_end().ends_with('"')).count() > 8, "{out}");
    assert!(err.contains("tokens/s") && err.lines().count() == 1, "{err}");
}

#[test]
fn what_cannot_be_run_is_one_line_and_exit_code_2() {
    let folder = tempfile::tempdir().unwrap();
    std::fs::write(folder.path().join("text.gguf"), "no such thing").unwrap();
    std::fs::write(folder.path().join("model.bin"), "pickle").unwrap();
    for (name, file, content) in [
        ("pickled", "pytorch_model.bin", "pickle"),
        ("pointer", "model.safetensors", "version https://git-lfs.github.com/spec/v1\noid sha256:0\n"),
        ("ggufs", "m-q4_0.gguf", "GGUF"),
    ] {
        let place = folder.path().join(name);
        std::fs::create_dir(&place).unwrap();
        std::fs::write(place.join(file), content).unwrap();
        if name != "ggufs" {
            let config = isocost_models::bundled::folder("bundled:reason-s").unwrap().join("config.json");
            std::fs::copy(config, place.join("config.json")).unwrap();
        }
    }
    let cases: [(&[&str], &str); 12] = [
        (&["nowhere", "--prompt", "x"], "no such model"),
        (&["Qwen/Qwen3-0.6B", "--prompt", "x"], "write hub:Qwen/Qwen3-0.6B"),
        (&["pickled", "--prompt", "x"], "pytorch_model.bin: is a pickle file"),
        (&["pointer", "--prompt", "x"], "git lfs pull"),
        (&["ggufs", "--prompt", "x"], "name the file"),
        (&["bundled:nobody", "--prompt", "x"], "no bundled model"),
        (&["text.gguf", "--prompt", "x"], "text.gguf"),
        (&["model.bin", "--prompt", "x"], "neither a model folder nor a .gguf file"),
        (&["bundled:reason-s", "--token-ids", "1,121"], "not in the vocabulary"),
        (&["bundled:reason-s", "--prompt", "", "--raw"], "no token"),
        (&["bundled:reason-s", "--prompt", "x", "--budget", "9999"], "context"),
        (&["bundled:reason-s", "--prompt", "x", "--max-tokens", "4000000000"], "context"),
    ];
    for (args, expected) in cases {
        let output = generate(folder.path(), args);
        let message = String::from_utf8_lossy(&output.stderr);
        assert_eq!(output.status.code(), Some(2), "{args:?}: {message}");
        assert!(message.contains(expected) && message.lines().count() == 1, "{args:?}: {message}");
        assert!(output.stdout.is_empty());
    }
}

#[test]
fn arguments_that_make_no_sense_are_refused_with_a_hint() {
    let cases: [&[&str]; 5] = [
        &["--temperature", "-1"],
        &["--top-p", "2"],
        &["--n", "0"],
        &["--budget", "some"],
        &["--token-ids", "1"],
    ];
    for args in cases {
        let output = generate(Path::new("."), &[&ASK[..], args].concat());
        assert_eq!(output.status.code(), Some(2), "{args:?}");
        assert!(!output.stderr.is_empty());
    }
}
