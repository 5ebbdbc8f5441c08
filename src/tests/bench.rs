//! `bench` as a person runs it.

mod program;

use std::path::Path;
use std::process::Output;

use program::ran;
use serde_json::Value;

fn bench(args: &[&str]) -> Output {
    let quick = ["bench", "-m", "bundled:reason-s", "-p", "16", "-n", "4", "-r", "2"];
    ran(&[&quick, args].concat(), Path::new("."))
}

#[test]
fn json_has_a_row_for_every_combination_with_its_speed_and_share_of_the_bandwidth() {
    let output = bench(&["-b", "1,3", "-d", "8-16*2", "--dtype", "f32,bf16", "-o", "json"]);
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    let rows: Vec<Value> = serde_json::from_slice(&output.stdout).unwrap();
    let tests: Vec<String> = rows
        .iter()
        .map(|row| {
            format!("{} {} {} {}", row["dtype"], row["test"], row["batch"], row["context"]).replace('"', "")
        })
        .collect();
    let of = |dtype: &str| {
        ["pp16 1 8", "tg4 1 8", "tg4 3 8", "pp16 1 16", "tg4 1 16", "tg4 3 16"]
            .map(|test| format!("{dtype} {test}"))
    };
    assert_eq!(tests, [of("f32"), of("bf16")].concat());
    for row in &rows {
        let speed = |name: &str| row["tokens_per_s"][name].as_f64().unwrap();
        assert!(0.0 < speed("min") && speed("min") <= speed("median") && speed("median") <= speed("max"));
        assert!(
            row["bytes_per_s"].as_f64().unwrap() > 0.0
                && row["fraction_of_bandwidth"].as_f64().unwrap() > 0.0
        );
    }
}

#[test]
fn csv_and_markdown_are_tables_of_the_same_rows() {
    let csv = String::from_utf8(bench(&["-o", "csv"]).stdout).unwrap();
    let lines: Vec<&str> = csv.lines().collect();
    assert_eq!(lines.len(), 3, "{csv}");
    assert!(lines[0].starts_with("model,test,batch,context,dtype") && lines[2].contains(",tg4,1,64,f32,"));
    let table = String::from_utf8(bench(&[]).stdout).unwrap();
    assert!(table.contains("| bundled:reason-s | f32 | pp16 | 1 | 64 |"), "{table}");
}

#[test]
fn rows_that_share_a_context_say_so_and_read_less() {
    let of = |args: &[&str]| -> Value {
        let output = bench(&[&["-b", "8", "-d", "512", "-o", "json"], args].concat());
        serde_json::from_slice::<Vec<Value>>(&output.stdout).unwrap().pop().unwrap()
    };
    let bytes =
        |row: &Value| row["bytes_per_s"].as_f64().unwrap() / row["tokens_per_s"]["median"].as_f64().unwrap();
    let (shared, own) = (of(&["--shared"]), of(&[]));
    assert_eq!(
        [&shared["shared_context"], &own["shared_context"]],
        [&Value::Bool(true), &Value::Bool(false)]
    );
    assert!(bytes(&shared) < 0.5 * bytes(&own), "{shared} {own}");
    let table = String::from_utf8(bench(&["--shared"]).stdout).unwrap();
    assert!(table.contains("Rows share one context."), "{table}");
}

#[test]
fn a_context_beyond_the_models_is_refused_in_one_line() {
    let output = bench(&["-d", "1000000"]);
    let error = String::from_utf8(output.stderr).unwrap();
    assert_eq!(output.status.code(), Some(2));
    assert!(error.lines().last().unwrap().contains("do not fit the model's context"), "{error}");
}
