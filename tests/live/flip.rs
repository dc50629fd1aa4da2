//! A flip that strace kills from outside, or whose system calls it lets fail, at every one of them.

use std::fs;
use std::path::Path;
use std::process::{Command, Output, Stdio};

use crate::snapshot::snapshot;

const PROGRAM: &str = env!("CARGO_BIN_EXE_bottle-migrate");

/// A target that can be flipped.
fn target() -> tempfile::TempDir {
    let folder = tempfile::tempdir().unwrap();
    let root = folder.path();
    for (path, text) in [
        ("plans/a.json", include_str!("../support/minimal.plan.json")),
        ("tests/test_a.py", "assert True\n"),
        ("settings.py", "on = 0\n"),
        ("Dockerfile.egress", "FROM scratch\n"),
        ("Dockerfile.supervise", "FROM scratch\n"),
        ("bottle-migrate.toml", "[[flip.edit]]\nfile = \"settings.py\"\nfind = \"0\"\nreplace = \"1\"\n"),
    ] {
        fs::create_dir_all(root.join(path).parent().unwrap()).unwrap();
        fs::write(root.join(path), text).unwrap();
    }
    folder
}

fn flip(command: &mut Command, root: &Path, arguments: &[&str]) -> Output {
    command.args(arguments).current_dir(root).stdin(Stdio::null()).output().unwrap()
}

/// Lets strace fail one system call after the other until none is left. Returns their number.
fn strike(calls: &str, fault: &str) -> usize {
    let before = snapshot(target().path());
    let after = {
        let folder = target();
        let done =
            flip(&mut Command::new(PROGRAM), folder.path(), &["flip-default", "--yes", "--allow-no-vcs"]);
        assert!(done.status.success(), "{}", String::from_utf8_lossy(&done.stderr));
        snapshot(folder.path())
    };
    assert_ne!(before, after);
    for number in 1..500 {
        let folder = target();
        let root = folder.path();
        let log = tempfile::NamedTempFile::new().unwrap();
        let mut command = Command::new("strace");
        command.args(["-f", "-q", "-o"]).arg(log.path());
        command.args([
            "-e",
            &format!("trace={calls}"),
            "-e",
            &format!("inject={calls}:{fault}:when={number}"),
        ]);
        command.arg(PROGRAM);
        let ended = flip(&mut command, root, &["flip-default", "--yes", "--allow-no-vcs"]);
        let struck = fs::read_to_string(log.path()).unwrap();
        if !struck.contains("(INJECTED)") && !struck.contains("killed by SIGKILL") {
            assert!(ended.status.success(), "{calls} {number}: {}", String::from_utf8_lossy(&ended.stderr));
            return number - 1;
        }
        if snapshot(root) != before && snapshot(root) != after || root.join(".bottle-migrate/runs/1").exists()
        {
            let undone = flip(&mut Command::new(PROGRAM), root, &["flip-default", "--rollback"]);
            let said = String::from_utf8_lossy(&undone.stderr).into_owned();
            assert!(undone.status.success(), "{calls} {number}: {said}");
            assert_eq!(snapshot(root), before, "{calls} {number}");
        }
    }
    panic!("{calls} has no end");
}

#[test]
fn a_kill_at_any_system_call_leaves_a_target_before_or_after() {
    for (calls, least) in
        [("?rename,?renameat,?renameat2", 4), ("fsync", 10), ("?mkdir,?mkdirat", 4), ("write", 6)]
    {
        let number = strike(calls, "signal=KILL");
        assert!(number >= least, "{calls}: {number}");
    }
}

#[test]
fn an_error_of_any_system_call_leaves_a_target_before_or_after() {
    for (calls, fault) in [
        ("fsync", "error=EIO"),
        ("?rename,?renameat,?renameat2", "error=ENOSPC"),
        ("?mkdir,?mkdirat", "error=ENOSPC"),
    ] {
        assert!(strike(calls, fault) >= 4, "{calls}");
    }
}
