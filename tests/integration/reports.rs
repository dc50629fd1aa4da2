//! Reports of the examples, whole processes from plan to screen.

use std::path::Path;
use std::process::{Command, Stdio};

use serde_json::Value;

use crate::process::Target;

/// Values that no report may show.
const SECRETS: [&str; 4] = ["hunter2-token", "hunter2-argv", "hunter2-url", "hunter2-label"];

const LEGACY: &str = r#"
services:
  agent:
    image: bot-bottle-agent:latest
    command: [run, --password, hunter2-argv-old]
    environment: {API_TOKEN: hunter2-token-old, PLAIN: hunter2-token-plain-old}
    labels: {com.example.api-token: hunter2-label-old}
  pipelock:
    image: ghcr.io/luckypipewrench/pipelock@sha256:9f86d081884c7d659a2feaa0c55ad015a3bf4f1b2b0b822cd15d6c15b0f00a08
    healthcheck: {test: [CMD, probe, "https://user:hunter2-url-old@host/"]}
"#;

fn root() -> &'static Path {
    Path::new(env!("CARGO_MANIFEST_DIR"))
}

/// Runs a `diff` at the project's root.
fn diff(arguments: &[&str]) -> (i32, String) {
    let mut command = Command::new(env!("CARGO_BIN_EXE_bottle-migrate"));
    command.arg("diff").args(arguments).current_dir(root()).env_clear().stdin(Stdio::null());
    let output = command.output().unwrap();
    (output.status.code().unwrap(), String::from_utf8(output.stdout).unwrap())
}

/// Names of the examples, without their ending.
fn examples() -> Vec<String> {
    let names = std::fs::read_dir(root().join("examples")).unwrap().map(|entry| entry.unwrap().file_name());
    let mut names: Vec<String> =
        names.filter_map(|name| Some(name.to_str()?.strip_suffix(".plan.json")?.to_owned())).collect();
    names.sort();
    assert!(names.len() >= 5, "the examples are missing");
    names
}

#[test]
fn the_screen_of_each_example() {
    for name in examples() {
        let (code, screen) = diff(&[&format!("examples/{name}.plan.json")]);
        assert_eq!(code, 0, "{screen}");
        insta::assert_snapshot!(name, screen);
    }
    let (_, screen) = diff(&["examples/*.plan.json"]);
    insta::assert_snapshot!("all", screen);
}

#[test]
fn json_of_all_examples_is_one_document_that_satisfies_its_schema() {
    let schema = Target::new(&[]).run(&["schema", "report"]).stdout;
    let validator = jsonschema::validator_for(&serde_json::from_str(&schema).unwrap()).unwrap();
    let mut each = Vec::new();
    for name in examples() {
        let file = format!("examples/{name}.plan.json");
        let (_, report) = diff(&["--format", "json", &file]);
        let report: Value = serde_json::from_str(&report).unwrap();
        let errors: Vec<String> = validator.iter_errors(&report).map(|error| error.to_string()).collect();
        assert_eq!(errors, [""; 0], "{file}");
        let plan: Value =
            serde_json::from_str(&std::fs::read_to_string(root().join(&file)).unwrap()).unwrap();
        for finding in report["findings"].as_array().unwrap() {
            assert_eq!(finding["file"], file.as_str());
            assert!(plan.pointer(finding["pointer"].as_str().unwrap()).is_some(), "{finding}");
        }
        each.extend(report["findings"].as_array().unwrap().clone());
    }
    let (code, report) = diff(&["--format", "json", "examples/*.plan.json"]);
    let report: Value = serde_json::from_str(&report).unwrap();
    assert_eq!(code, 0);
    assert_eq!(report["summary"]["compared"], examples().len());
    assert_eq!(report["findings"], Value::Array(each));
}

#[test]
fn a_waived_error_leaves_exit_code_0() {
    let bundle = LEGACY.replace("command: [run", "command: [walk");
    let target = Target::new(&[("a.yml", LEGACY), ("b.yml", &bundle)]);
    let arguments =
        ["diff", "--legacy", "a.yml", "--bundle", "b.yml", "--allow-unmerged", "--format", "json"];
    let ran = target.run(&arguments);
    let report: Value = serde_json::from_str(&ran.stdout).unwrap();
    let finding = &report["findings"][0];
    assert_eq!((ran.code, &finding["severity"]), (1, &Value::from("error")), "{report}");
    assert_eq!(report["findings"].as_array().unwrap().len(), 1, "{report}");
    assert_eq!((&finding["file"], &finding["line"]), (&Value::from("b.yml"), &Value::from(5)), "{report}");

    let waiver = format!("[[waiver]]\nfingerprint = {}\nreason = \"it walks\"\n", finding["fingerprint"]);
    target.write("bottle-migrate.toml", waiver);
    let ran = target.run(&arguments);
    let report: Value = serde_json::from_str(&ran.stdout).unwrap();
    assert_eq!((ran.code, &report["findings"][0]["waived"]), (0, &Value::from("it walks")), "{report}");
    assert_eq!((&report["summary"]["errors"], &report["summary"]["waived"]), (&0.into(), &1.into()));

    target.write("bottle-migrate.toml", "[[waiver]]\nfingerprint = \"0123456789abcdef\"\nreason = \"r\"\n");
    assert_eq!(target.run(&arguments).code, 1);
}

#[test]
fn secrets_appear_in_no_format_unless_asked_for() {
    let bundle = LEGACY.replace("-old", "-new");
    let target = Target::new(&[("a.yml", LEGACY), ("b.yml", &bundle)]);
    let compare = ["diff", "--legacy", "a.yml", "--bundle", "b.yml", "--allow-unmerged"];
    for more in [
        &["--text"][..],
        &["-v"],
        &["--format", "json"],
        &["--format", "sarif"],
        &["--format", "github"],
        &["--format", "junit"],
        &["--format", "markdown"],
        &["--format", "html"],
    ] {
        let ran = target.run(&[&compare[..], more].concat());
        assert_eq!(ran.code, 1, "{}", ran.stderr);
        for secret in SECRETS {
            assert!(!ran.stdout.contains(secret) && !ran.stderr.contains(secret), "{more:?}: {}", ran.stdout);
        }
        assert!(ran.stdout.contains("redacted #"), "{more:?}: {}", ran.stdout);
    }
    let open = target.run(&[&compare[..], &["--text", "--unredacted"]].concat()).stdout;
    for secret in SECRETS {
        assert!(open.contains(secret), "{secret} in {open}");
    }
}
