//! Compose's own switches on the command line, for both projects and for one, and files that mean the same to Compose.

use std::process::Command;

use crate::process::{Ran, Target, ran};

/// A project that shows what each switch does.
const PROJECT: &str = "services:\n  agent: {image: 'i:${TAG:-none}', volumes: ['./data:/data', 'vol:/v']}\n  \
                       supervise: {image: e, profiles: [extra]}\nvolumes: {vol: }\n";

fn target() -> Target {
    Target::new(&[
        ("a/compose.yaml", PROJECT),
        ("b/compose.yaml", PROJECT),
        ("a/.env", "TAG=a\n"),
        ("b/.env", "TAG=b\n"),
        ("one.env", "TAG=one\n"),
        ("two.env", "TAG=two\n"),
        ("name.env", "COMPOSE_PROJECT_NAME=p\n"),
    ])
}

/// Both projects in one folder and under one name, unless arguments or variables say otherwise.
fn compared(target: &Target, arguments: &[&str], variables: &[(&str, &str)]) -> Ran {
    let mut command: Command = target.command(&["diff", "--allow-unmerged", "--fail-on", "warning"]);
    command.args(arguments).envs(variables.iter().copied());
    command.args(["--legacy", "a/compose.yaml", "--bundle", "b/compose.yaml"]);
    ran(command, "")
}

#[test]
fn switches_of_compose_count_for_both_projects_or_for_one() {
    const SAME: [&str; 4] = ["--project-directory", ".", "--project-name", "p"];
    let target = target();
    for (arguments, variables, code) in [
        (&[][..], &[][..], 1),
        (&SAME[..], &[], 0),
        (&["--project-directory", "."], &[], 0),
        (&["--project-name", "p"], &[], 0),
        (&["--env-file", "one.env", "--project-name", "p"], &[], 0),
        (&["--legacy-env-file", "one.env"], &[], 1),
        (&["--legacy-env-file", "one.env", "--bundle-env-file", "one.env"], &[], 0),
        (&["--legacy-env-file", "one.env", "--bundle-env-file", "two.env"], &[], 1),
        (&["--env-file", "one.env", "--bundle-env-file", "two.env"], &[], 1),
        (&["--env-file", "two.env", "--bundle-env-file", "one.env", "--bundle-env-file", "two.env"], &[], 0),
        (&[], &[("COMPOSE_ENV_FILES", "one.env")], 0),
        (&["--bundle-env-file", "two.env"], &[("COMPOSE_ENV_FILES", "one.env")], 1),
        (&["--legacy-profile", "extra"], &[], 1),
        (&["--profile", "extra"], &[], 0),
        (&["--profile", "extra", "--bundle-profile", "other"], &[], 1),
        (&["--bundle-profile", "extra"], &[("COMPOSE_PROFILES", "extra")], 0),
        (&["--legacy-project-directory", "a"], &[], 1),
        (&["--project-directory", "a", "--bundle-project-directory", "b"], &[], 1),
        (&["--legacy-project-name", "q"], &[], 1),
        (&["--legacy-project-name", "q", "--bundle-project-name", "q"], &[], 0),
        (&["--bundle-project-name", "q"], &[("COMPOSE_PROJECT_NAME", "q")], 0),
        (&["--legacy-env-file", "name.env", "--bundle-project-name", "p"], &[("TAG", "x")], 0),
        (&[], &[("COMPOSE_DISABLE_ENV_FILE", "1"), ("TAG", "x")], 0),
    ] {
        // What a row does not try is the same for both.
        let tries = |name: &str| {
            let variable = format!("COMPOSE_{}", name.to_uppercase().replace('-', "_"));
            arguments.iter().any(|argument| argument.contains(name))
                || variables.iter().any(|(known, _)| *known == variable)
        };
        let mut all = arguments.to_vec();
        if !arguments.is_empty() || !variables.is_empty() {
            if !tries("project-directory") {
                all.extend(&SAME[..2]);
            }
            if !tries("project-name") && !arguments.contains(&"name.env") {
                all.extend(&SAME[2..]);
            }
        }
        let ran = compared(&target, &all, variables);
        assert_eq!(ran.code, code, "{all:?} {variables:?}: {}{}", ran.stdout, ran.stderr);
    }
}

#[test]
fn switches_that_compose_refuses_are_refused() {
    let target = target();
    for (arguments, variables, message) in [
        (&["--env-file", "absent.env"][..], &[][..], "absent.env"),
        (&["--bundle-env-file", "a"], &[], "is a folder"),
        (&["--project-name", "Upper"], &[], "--project-name"),
        (&[], &[("COMPOSE_PROJECT_NAME", "Upper")], "COMPOSE_PROJECT_NAME"),
        (&[], &[("COMPOSE_DISABLE_ENV_FILE", "yes")], "COMPOSE_DISABLE_ENV_FILE"),
        (&[], &[("COMPOSE_ENV_FILES", "absent.env")], "absent.env"),
    ] {
        let ran = compared(&target, arguments, variables);
        assert_eq!(ran.code, 2, "{arguments:?} {variables:?}: {}", ran.stdout);
        assert!(ran.stderr.contains(message), "{message} in {}", ran.stderr);
    }
}

#[test]
fn a_plan_may_begin_with_a_byte_order_mark() {
    let plan = include_str!("../../examples/full.plan.json");
    let marked = format!("\u{feff}{plan}");
    let target =
        Target::new(&[("plan.json", plan), ("marked.json", &marked), ("odd.json", "\u{feff}{\"x\": 1}")]);
    for arguments in [&["render", "--shape", "bundle"][..], &["diff", "--format", "json"]] {
        let [bare, marked] = ["plan.json", "marked.json"].map(|file| {
            let ran = target.run(&[arguments, &[file]].concat());
            (ran.code, ran.stdout.replace("marked.json", "plan.json"), ran.stderr)
        });
        assert_eq!(bare, marked, "{arguments:?}");
        assert!(bare.0 < 2, "{}", bare.2);
    }
    target.refused(&["diff", "odd.json"], "odd.json:1:4");
}
