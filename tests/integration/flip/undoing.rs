//! A flip is undone after failed verification, failing hooks, signals, kills, and by a rollback.

use std::fs::{self, File};
use std::os::unix::fs::{PermissionsExt, symlink};
use std::process::{Command, Stdio};

use crate::process::{Target, ran};
use crate::snapshot::snapshot;

use super::*;

/// A configuration that verifies with these commands.
fn verifying(commands: &str) -> String {
    format!("[flip]\nverify = {commands}\n")
}

#[test]
fn a_failed_verification_undoes_everything() {
    let target = repository(&[(
        "bottle-migrate.toml",
        &verifying("[\"test ! -e Dockerfile.egress\", \"echo broken; exit 4\"]"),
    )]);
    undone(&target, &[], "  | broken");
    undone(&target, &[], "`echo broken; exit 4` failed: exit status: 4; nothing is changed");
    let target = repository(&[("bottle-migrate.toml", &verifying("[\"no-such-command-at-all\"]"))]);
    undone(&target, &[], "127");
    let target = repository(&[(
        "bottle-migrate.toml",
        &format!("{}verify_timeout = 0\n", verifying("[\"sleep 1000\"]")),
    )]);
    undone(&target, &[], "exceeded the time limit of 0 s");
}

#[test]
fn verification_sees_the_change_and_not_the_flag() {
    let commands = "['grep -q bundle bottle-migrate.toml', 'test -z \"${BOT_BOTTLE_SIDECAR_BUNDLE+set}\"']";
    let target = repository(&[("bottle-migrate.toml", &verifying(commands))]);
    let mut command = target.command(&["flip-default", "--yes"]);
    command.env("BOT_BOTTLE_SIDECAR_BUNDLE", "0");
    let ran = ran(command, "");
    assert_eq!(ran.code, 0, "{}", ran.stderr);
    assert!(ran.stderr.contains("verifying: grep -q bundle"), "{}", ran.stderr);
}

/// Makes a hook of a repository.
fn hook(target: &Target, name: &str, script: &str) {
    let path = format!(".git/hooks/{name}");
    target.write(&path, format!("#!/bin/sh\n{script}\n"));
    fs::set_permissions(target.path(&path), PermissionsExt::from_mode(0o755)).unwrap();
}

#[test]
fn a_failing_hook_undoes_everything() {
    let target = repository(&[]);
    fs::remove_file(target.path("bottle-migrate.toml")).unwrap();
    commit_all(&target);
    hook(&target, "pre-commit", "echo not today; exit 1");
    let head = git(&target, &["rev-parse", "HEAD"]);
    undone(&target, &["--commit"], "  | not today");
    assert_eq!(git(&target, &["rev-parse", "HEAD"]), head);
}

#[test]
fn a_kill_after_the_commit_counts_as_finished() {
    let target = repository(&[]);
    // The hook's parent is git, and git's parent is the flip.
    hook(&target, "post-commit", "kill -KILL $(cut -d' ' -f4 /proc/$PPID/stat)");
    let mut command = target.command(&["flip-default", "--yes", "--commit"]);
    assert!(!command.status().unwrap().success());
    let ran = flip(&target, &["--yes"]);
    assert_eq!(ran.code, 0, "{}", ran.stderr);
    assert!(ran.stdout.starts_with("nothing to do"), "{}", ran.stdout);
    let ran = flip(&target, &["--rollback"]);
    assert_eq!(ran.code, 3);
    assert!(ran.stderr.contains("git revert"), "{}", ran.stderr);
}

#[test]
fn a_kill_before_the_commit_can_be_undone() {
    let target = repository(&[]);
    fs::remove_file(target.path("bottle-migrate.toml")).unwrap();
    commit_all(&target);
    let before = snapshot(&target.path(""));
    hook(&target, "pre-commit", "kill -KILL $(cut -d' ' -f4 /proc/$PPID/stat); exit 1");
    let mut command = target.command(&["flip-default", "--yes", "--commit"]);
    assert!(!command.status().unwrap().success());
    // Git ends after its hook, and with it its lock.
    while target.path(".git/index.lock").exists() {
        std::thread::yield_now();
    }
    let ran = flip(&target, &["--yes"]);
    assert_eq!(ran.code, 3);
    assert!(ran.stderr.contains("--rollback"), "{}", ran.stderr);
    assert_eq!(flip(&target, &["--rollback"]).code, 0);
    assert_eq!(snapshot(&target.path("")), before);
    assert_eq!(git(&target, &["status", "--porcelain"]), "");
}

/// Starts a flip that is being verified until the pipe that is returned is closed.
fn paused(target: &Target, arguments: &[&str]) -> (std::process::Child, File) {
    assert!(Command::new("mkfifo").arg(target.path("pipe")).status().unwrap().success());
    let mut command = target.command(&[&["flip-default", "--yes"], arguments].concat());
    let child = command.stdout(Stdio::null()).stderr(Stdio::null()).spawn().unwrap();
    // Opening it waits for the command that reads it.
    let pipe = File::options().write(true).open(target.path("pipe")).unwrap();
    (child, pipe)
}

fn pausing() -> Target {
    repository(&[("bottle-migrate.toml", &verifying("[\"cat pipe\"]")), (".gitignore", "pipe\n")])
}

fn signal(child: &std::process::Child, signal: &str) {
    assert!(Command::new("kill").args([signal, &child.id().to_string()]).status().unwrap().success());
}

#[test]
fn of_two_runs_at_once_one_refuses() {
    let target = pausing();
    let (mut child, pipe) = paused(&target, &[]);
    for arguments in [&["--yes"][..], &["--dry-run"], &["--rollback"]] {
        let ran = flip(&target, arguments);
        assert_eq!(ran.code, 3, "{}", ran.stderr);
        assert!(ran.stderr.contains("another run is using this root"), "{}", ran.stderr);
    }
    drop(pipe);
    assert_eq!(child.wait().unwrap().code(), Some(0));
    assert!(!target.path("Dockerfile.egress").exists());
}

#[test]
fn an_interrupted_run_is_told_and_can_be_undone() {
    let target = pausing();
    let before = snapshot(&target.path(""));
    let (mut child, _pipe) = paused(&target, &[]);
    child.kill().unwrap();
    child.wait().unwrap();
    assert!(!target.path("Dockerfile.egress").exists());
    for arguments in [&["--yes"][..], &["--dry-run"]] {
        let ran = flip(&target, arguments);
        assert_eq!(ran.code, 3, "{}", ran.stderr);
        assert!(
            ran.stderr.contains("interrupted: 4 of 4 files") && ran.stderr.contains("--rollback"),
            "{}",
            ran.stderr
        );
    }
    assert_eq!(flip(&target, &["--rollback"]).code, 0);
    fs::remove_file(target.path("pipe")).unwrap();
    assert_eq!(snapshot(&target.path("")), before);
}

#[test]
fn a_signal_undoes_everything() {
    for name in ["-TERM", "-INT", "-HUP"] {
        let target = pausing();
        let before = snapshot(&target.path(""));
        let (mut child, _pipe) = paused(&target, &[]);
        signal(&child, name);
        assert_eq!(child.wait().unwrap().code(), Some(5));
        fs::remove_file(target.path("pipe")).unwrap();
        assert_eq!(snapshot(&target.path("")), before);
    }
}

#[test]
fn a_rollback_does_not_touch_what_has_changed_since() {
    let target = repository(&[]);
    flipped(&target, &[]);
    target.write("settings.py", "mine\n");
    let before = snapshot(&target.path(""));
    let ran = flip(&target, &["--rollback"]);
    assert_eq!(ran.code, 3, "{}", ran.stderr);
    assert!(ran.stderr.contains("settings.py: has changed since"), "{}", ran.stderr);
    assert_eq!(snapshot(&target.path("")), before);
}

#[test]
fn a_damaged_journal_is_left_to_a_person() {
    let target = repository(&[]);
    flipped(&target, &[]);
    let original = target.path(".bottle-migrate/runs/1/originals/0");
    fs::write(&original, "damaged").unwrap();
    let ran = flip(&target, &["--rollback"]);
    assert_eq!(ran.code, 6, "{}", ran.stderr);
    assert!(ran.stderr.contains("original is damaged"), "{}", ran.stderr);
    target.write(".bottle-migrate/runs/1/record.json", "{");
    assert_eq!(flip(&target, &["--rollback"]).code, 6);
    assert_eq!(flip(&target, &["--yes"]).code, 3);
}

#[test]
fn a_journal_does_not_lead_out_of_the_root() {
    let outside = Target::new(&[("file", "mine\n")]);
    let target = repository(&[]);
    flipped(&target, &[]);
    let record = target.path(".bottle-migrate/runs/1/record.json");
    let text = fs::read_to_string(&record).unwrap();
    symlink(outside.path(""), target.path("way")).unwrap();
    for path in ["../file", "/file", "way/file"] {
        fs::write(&record, text.replace("settings.py", path)).unwrap();
        assert_ne!(flip(&target, &["--rollback"]).code, 0);
        assert_eq!(fs::read_to_string(outside.path("file")).unwrap(), "mine\n");
    }
}
