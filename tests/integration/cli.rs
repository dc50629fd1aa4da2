//! Wiring of the command line: exit codes, streams, files, messages.

use std::fs;
use std::os::unix::fs::symlink;
use std::path::Path;
use std::process::Stdio;

use crate::process::{Target, ran};

/// The smallest valid plan.
pub(crate) const PLAN: &str = include_str!("../support/minimal.plan.json");

/// An expired waiver: an error in every run.
const EXPIRED: &str =
    "[[waiver]]\nrule = \"mount-dropped\"\nsubject = \"/x\"\nreason = \"r\"\nexpires = \"2020-01-01\"\n";

#[test]
fn an_equivalent_plan_is_exit_0_on_a_silent_stderr() {
    let target = Target::new(&[("p.json", PLAN)]);
    let ran = target.run(&["diff", "p.json"]);
    assert_eq!((ran.code, ran.stderr.as_str()), (0, ""), "{}", ran.stdout);
    assert!(ran.stdout.starts_with("equivalent"), "{}", ran.stdout);
    assert!(!ran.stdout.contains('\u{1b}'));
    let ran = target.run(&["--color", "always", "diff", "p.json"]);
    assert!(ran.stdout.contains('\u{1b}'));
}

#[test]
fn findings_are_exit_1_unless_the_caller_says_otherwise() {
    let target = Target::new(&[("p.json", PLAN), ("bottle-migrate.toml", EXPIRED)]);
    let ran = target.run(&["diff", "p.json"]);
    assert_eq!(ran.code, 1, "{}", ran.stderr);
    assert!(ran.stdout.starts_with("NOT equivalent: 1 error"), "{}", ran.stdout);
    assert!(ran.stdout.contains("bottle-migrate.toml:2"), "{}", ran.stdout);
    assert_eq!(target.run(&["diff", "--fail-on", "warning", "p.json"]).code, 1);
    assert_eq!(target.run(&["diff", "--fail-on", "never", "p.json"]).code, 0);
}

#[test]
fn an_unused_waiver_is_an_error_once_every_plan_was_compared() {
    let waiver = "[[waiver]]\nrule = \"mount-dropped\"\nsubject = \"/x\"\nreason = \"r\"\n";
    let target =
        Target::new(&[("plans/a.json", PLAN), ("plans/b.json", PLAN), ("bottle-migrate.toml", waiver)]);
    assert_eq!(target.run(&["diff", "plans/a.json"]).code, 0);
    for arguments in [&["diff"][..], &["diff", "plans"], &["diff", "plans/*.json"]] {
        let ran = target.run(arguments);
        assert_eq!(ran.code, 1, "{}", ran.stderr);
        assert!(ran.stdout.contains("waiver-unused"), "{}", ran.stdout);
    }
}

#[test]
fn a_bad_plan_hides_no_result_and_its_code_wins() {
    let target =
        Target::new(&[("a.json", PLAN), ("b.json", "{"), ("c.json", PLAN), ("bottle-migrate.toml", EXPIRED)]);
    let ran = target.run(&["diff", "a.json", "b.json", "absent.json", "c.json"]);
    assert_eq!(ran.code, 2);
    assert!(ran.stdout.contains("a.json") && ran.stdout.contains("c.json"), "{}", ran.stdout);
    assert!(ran.stderr.contains("error: b.json:1:"), "{}", ran.stderr);
    assert!(ran.stderr.contains("error: absent.json: no such file"), "{}", ran.stderr);
}

#[test]
fn json_is_one_document_whatever_happens() {
    let target = Target::new(&[("a.json", PLAN), ("b.json", "{"), ("bottle-migrate.toml", EXPIRED)]);
    let ran = target.run(&["diff", "--format", "json", "a.json", "b.json"]);
    assert_eq!(ran.code, 2);
    let report: serde_json::Value = serde_json::from_str(&ran.stdout).unwrap();
    assert_eq!(report["schema"], "bottle-migrate/report/1");
    assert_eq!(report["summary"]["errors"], 1);
    assert_eq!(report["summary"]["failed"], 1);
    let last = report["findings"].as_array().unwrap().last().unwrap();
    assert_eq!(last["rule"], "waiver-expired");
    assert_eq!((last["file"].as_str(), last["line"].as_u64()), (Some("bottle-migrate.toml"), Some(2)));
}

#[test]
fn github_annotates_findings_and_what_was_not_checked() {
    let target = Target::new(&[("b,1.json", "{"), ("bottle-migrate.toml", EXPIRED)]);
    let ran = target.run(&["diff", "--format", "github", "b,1.json"]);
    assert!(ran.stdout.contains("::error file=b%2C1.json,line=1,title=not checked::"), "{}", ran.stdout);
    assert!(
        ran.stdout.contains("::error file=bottle-migrate.toml,line=2,title=waiver-expired"),
        "{}",
        ran.stdout
    );
}

#[test]
fn stdin_is_a_plan_once() {
    let target = Target::new(&[]);
    for arguments in [&["diff", "-"][..], &["diff", "-", "-"], &["render", "--shape", "bundle", "-"]] {
        let ran = ran(target.command(arguments), PLAN);
        assert_eq!(ran.code, 0, "{}", ran.stderr);
    }
    let bad = ran(target.command(&["diff", "-"]), "{");
    assert!(bad.code == 2 && bad.stderr.starts_with("error: <stdin>:1:"), "{}", bad.stderr);
}

#[test]
fn many_plans_come_in_the_order_of_the_inputs() {
    let target = Target::new(&[]);
    let names: Vec<String> = (0..300).map(|number| format!("plans/{number:03}.json")).collect();
    for name in &names {
        target.write(name, PLAN);
    }
    let ran = target.run(&["diff", "plans"]);
    assert_eq!(ran.code, 0, "{}", ran.stderr);
    let shown: Vec<&str> =
        ran.stdout.lines().filter_map(|line| line.split_once("  ")).map(|(name, _)| name).collect();
    let shown: Vec<&str> = shown.into_iter().filter(|name| name.starts_with("plans/")).collect();
    assert_eq!(shown, names);
}

#[test]
fn the_flag_decides_the_shape() {
    let target = Target::new(&[("p.json", PLAN)]);
    let shape = |name: &str| target.run(&["render", "--shape", name, "p.json"]).stdout;
    let flagged = |name: &str, value: &str| {
        let mut command = target.command(&["render", "p.json"]);
        command.env(name, value);
        ran(command, "")
    };
    assert_eq!(target.run(&["render", "p.json"]).stdout, shape("legacy"));
    assert_eq!(flagged("BOT_BOTTLE_SIDECAR_BUNDLE", "On").stdout, shape("bundle"));
    assert_eq!(flagged("BOT_BOTTLE_SIDECAR_BUNDLE", "").stdout, shape("legacy"));
    let bad = flagged("BOT_BOTTLE_SIDECAR_BUNDLE", "2");
    assert_eq!((bad.code, bad.stdout.as_str()), (2, ""));
    assert!(bad.stderr.contains("BOT_BOTTLE_SIDECAR_BUNDLE is `2`"), "{}", bad.stderr);
    target.write("bottle-migrate.toml", "[flag]\nname = \"F\"\ndefault = \"bundle\"\n");
    assert_eq!(target.run(&["render", "p.json"]).stdout, shape("bundle"));
    assert_eq!(flagged("F", "no").stdout, shape("legacy"));
}

#[test]
fn an_output_file_is_whole_or_not_there() {
    let target = Target::new(&[("p.json", PLAN), ("bad.json", "{")]);
    let ran = target.run(&["render", "--shape", "legacy", "p.json", "-o", "out.yml"]);
    assert_eq!((ran.code, ran.stdout.as_str()), (0, ""), "{}", ran.stderr);
    let stdout = target.run(&["render", "--shape", "legacy", "p.json"]).stdout;
    assert_eq!(fs::read_to_string(target.path("out.yml")).unwrap(), stdout);

    target.refused(&["render", "--shape", "legacy", "bad.json", "-o", "out.yml"], "bad.json:1:");
    assert_eq!(fs::read_to_string(target.path("out.yml")).unwrap(), stdout);

    symlink("out.yml", target.path("link.yml")).unwrap();
    target.refused(&["render", "--shape", "bundle", "p.json", "-o", "link.yml"], "symbolic link");
    target.refused(&["render", "--shape", "bundle", "p.json", "-o", "absent/out.yml"], "no such file");
    target.refused(&["diff", "p.json", "-o", "."], "is a folder");

    assert_eq!(target.run(&["diff", "--format", "json", "p.json", "-o", "report.json"]).code, 0);
    let report = fs::read_to_string(target.path("report.json")).unwrap();
    serde_json::from_str::<serde_json::Value>(&report).unwrap();
    let left = fs::read_dir(target.path(".")).unwrap().count();
    assert_eq!(left, 5, "no temporary file stays");
}

#[test]
fn usage_errors_are_exit_2_and_clean() {
    let target = Target::new(&[("p.json", PLAN)]);
    for (arguments, message) in [
        (&["frobnicate"][..], "unrecognized subcommand 'frobnicate'"),
        (&["diff", "--bundle", "a.yml"], "--legacy <FILE>"),
        (
            &["diff", "p.json", "--legacy", "a.yml", "--bundle", "b.yml"],
            "the argument '[SOURCE]...' cannot be used with",
        ),
        (&["diff", "--format", "yaml", "p.json"], "invalid value 'yaml' for '--format <FORMAT>'"),
        (&["diff", "--text", "--format", "json", "p.json"], "--text goes with --format human only"),
        (&["-q", "-v", "rules"], "the argument '--quiet' cannot be used with '--verbose'"),
    ] {
        target.refused(arguments, message);
    }
    let ran = target.run(&["diff", "--\u{1b}[31mx"]);
    assert_eq!(ran.code, 2);
    assert!(!ran.stderr.contains('\u{1b}'), "{:?}", ran.stderr);
    let ran = target.run(&["diff", "a\u{1b}[2J\u{202e}b.json"]);
    assert!(!ran.stderr.contains(['\u{1b}', '\u{202e}']), "{:?}", ran.stderr);
    assert_eq!(target.run(&["--help"]).code, 0);
    assert_eq!(target.run(&["--version"]).code, 0);
}

#[test]
fn rules_are_listed_and_explained() {
    let target = Target::new(&[]);
    let ran = target.run(&["rules", "--format", "json"]);
    let rules: Vec<serde_json::Value> = serde_json::from_str(&ran.stdout).unwrap();
    for rule in rules {
        let id = rule["id"].as_str().unwrap();
        let ran = target.run(&["explain", id]);
        assert_eq!(ran.code, 0);
        assert!(ran.stdout.starts_with(&format!("{id}: ")), "{}", ran.stdout);
    }
    target.refused(&["explain", "waiver-expird"], "hint: did you mean `waiver-expired`?");
}

#[test]
fn schemas_completions_and_the_manual_are_printed() {
    let target = Target::new(&[]);
    for of in ["plan", "report", "config"] {
        let ran = target.run(&["schema", of]);
        assert_eq!(ran.code, 0);
        serde_json::from_str::<serde_json::Value>(&ran.stdout).unwrap();
    }
    assert!(target.run(&["completions", "bash"]).stdout.contains("bottle-migrate"));
    assert!(target.run(&["man"]).stdout.contains(".TH"));
}

#[test]
fn a_reader_that_goes_away_is_no_failure() {
    let target = Target::new(&[("p.json", PLAN)]);
    for arguments in [&["completions", "bash"][..], &["rules"], &["man"], &["diff", "p.json"], &["--help"]] {
        let (reader, writer) = std::io::pipe().unwrap();
        drop(reader);
        let mut command = target.command(arguments);
        let output = command.stdout(writer).stderr(Stdio::piped()).output().unwrap();
        let stderr = String::from_utf8_lossy(&output.stderr);
        assert_eq!((output.status.code(), stderr.as_ref()), (Some(0), ""), "{arguments:?}");
    }
}

#[test]
fn every_test_file_is_part_of_the_binary() {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/integration");
    let main = fs::read_to_string(folder.join("main.rs")).unwrap();
    for entry in fs::read_dir(folder).unwrap() {
        let path = entry.unwrap().path();
        let stem = path.file_stem().unwrap().to_string_lossy().into_owned();
        if path.extension().is_some_and(|extension| extension == "rs") && stem != "main" {
            assert!(main.contains(&format!("mod {stem};")), "{stem} is forgotten");
        }
    }
}
