//! `diff --running` with an engine that hangs.

use std::path::Path;

use crate::cli::PLAN;
use crate::process::{Ran, Target, ran};

/// Compares with an engine that hangs at one query and answers all others.
fn running(hangs: &str, more: &[&str]) -> Ran {
    let target = Target::new(&[("p.json", PLAN)]);
    let fake = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/fixtures/running/hanging");
    let mut command = target.command(&[&["diff", "--running", "p.json"], more].concat());
    command.env("PATH", format!("{}:/usr/bin:/bin", fake.display())).env("HANGS", hangs);
    ran(command, "")
}

#[test]
fn an_engine_that_hangs_is_an_error() {
    // Missing images or processes are no error by themselves; a timeout is.
    for hangs in ["ps", "image", "top"] {
        let ran = running(hangs, &["--engine-timeout", "1"]);
        assert_eq!(ran.code, 2, "{hangs}: {}", ran.stderr);
        assert!(ran.stderr.starts_with("error: the engine did not answer within 1 s\n"), "{}", ran.stderr);
        assert_eq!(ran.stderr.matches("error: ").count(), 1, "{}", ran.stderr);
    }
}

#[test]
fn an_engine_that_answers_is_heard() {
    let ran = running("nothing", &[]);
    assert_eq!(ran.code, 1, "{}", ran.stderr);
    assert!(ran.stdout.contains("service-unmapped"), "{}", ran.stdout);
}

#[test]
fn the_time_limit_is_a_number_of_seconds_and_belongs_to_an_engine() {
    let target = Target::new(&[("p.json", PLAN)]);
    for limit in ["0", "-1", "soon"] {
        let message = format!("invalid value '{limit}' for '--engine-timeout <SECONDS>'");
        target.refused(&["diff", "--running", "p.json", &format!("--engine-timeout={limit}")], &message);
    }
    target.refused(&["diff", "p.json", "--engine-timeout", "1"], "--running");
}
