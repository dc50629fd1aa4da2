//! `--fix`: what it rewrites and what it leaves.

use std::collections::BTreeMap;
use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};

use serde_json::Value;
use tree_sitter::Parser;
use walkdir::WalkDir;

use super::{corpus, json, scan, tree};

const RELOAD: &str = "\
import subprocess

from bot_bottle.docker import (
    egress_container_name,
    pipelock_container_name,
)


def reload(slug):
    subprocess.run([\"docker\", \"kill\", \"--signal\", \"HUP\", egress_container_name(slug)], check=True)
    subprocess.run([\"docker\", \"exec\", pipelock_container_name(slug), \"true\"], check=True)
    subprocess.run(\"docker kill -s HUP bot-bottle-egress-demo\", shell=True)
    return \"http://supervise:9100/\"
";

const RELOADED: &str = "\
import subprocess

from bot_bottle.docker import (
    sidecar_bundle_container_name,
)


def reload(slug):
    subprocess.run([\"docker\", \"exec\", sidecar_bundle_container_name(slug), \"sidecar-init\", \"signal\", \"egress\", \"HUP\"], check=True)
    subprocess.run([\"docker\", \"exec\", sidecar_bundle_container_name(slug), \"true\"], check=True)
    subprocess.run(\"docker exec bot-bottle-sidecars-demo sidecar-init signal egress HUP\", shell=True)
    return \"http://sidecars:9100/\"
";

#[test]
fn safe_rewrites_keep_the_meaning_and_are_done_once() {
    let folder = tree(&[("a.py", RELOAD)]);
    let shown = scan(folder.path(), &["--diff"]);
    assert_eq!(shown.status.code(), Some(1));
    assert!(String::from_utf8(shown.stdout).unwrap().contains("+    return \"http://sidecars:9100/\""));
    assert_eq!(fs::read_to_string(folder.path().join("a.py")).unwrap(), RELOAD);
    for _ in 0..2 {
        let output = scan(folder.path(), &["--fix"]);
        assert_eq!(fs::read_to_string(folder.path().join("a.py")).unwrap(), RELOADED);
        assert_eq!(output.status.code(), Some(0), "{}", String::from_utf8_lossy(&output.stdout));
    }
}

#[test]
fn rewrites_keep_line_ends_marks_and_modes() {
    let folder = tree(&[]);
    let path = folder.path().join("run.py");
    fs::write(&path, "\u{feff}import x\r\nURL = 'http://egress:9099'\r\n").unwrap();
    fs::set_permissions(&path, fs::Permissions::from_mode(0o755)).unwrap();
    assert_eq!(scan(folder.path(), &["--fix"]).status.code(), Some(0));
    assert_eq!(fs::read_to_string(&path).unwrap(), "\u{feff}import x\r\nURL = 'http://sidecars:9099'\r\n");
    assert_eq!(fs::metadata(&path).unwrap().permissions().mode() & 0o777, 0o755);
}

#[test]
fn what_needs_a_decision_is_not_rewritten() {
    let text = "subprocess.run(['docker', 'restart', pipelock_container_name(slug)])\n\
                name = f'bot-bottle-egress-{slug}'\n\
                both(git_gate_container_name(slug, 1))\n";
    let folder =
        tree(&[("a.py", &format!("from x import pipelock_container_name, git_gate_container_name\n{text}"))]);
    let before = fs::read(folder.path().join("a.py")).unwrap();
    assert_eq!(scan(folder.path(), &["--fix"]).status.code(), Some(1));
    assert_eq!(fs::read(folder.path().join("a.py")).unwrap(), before);
}

/// A file of a tree: its bytes and mode.
type State = BTreeMap<PathBuf, (Vec<u8>, u32)>;

fn state(root: &Path) -> State {
    let files = WalkDir::new(root).into_iter().map(Result::unwrap).filter(|file| file.file_type().is_file());
    files
        .map(|file| {
            let mode = file.metadata().unwrap().permissions().mode();
            (file.path().strip_prefix(root).unwrap().to_owned(), (fs::read(file.path()).unwrap(), mode))
        })
        .collect()
}

/// A copy of a tree, in which every other file may be run and lines end as they do on Windows.
fn copied(from: &Path) -> tempfile::TempDir {
    let to = tempfile::tempdir().unwrap();
    for (number, (name, (mut bytes, mut mode))) in state(from).into_iter().enumerate() {
        let path = to.path().join(name);
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        if number % 2 == 1 {
            mode |= 0o111;
            if let Ok(text) = str::from_utf8(&bytes)
                && !text.contains('\r')
            {
                bytes = text.replace('\n', "\r\n").into_bytes();
            }
        }
        fs::write(&path, bytes).unwrap();
        fs::set_permissions(&path, fs::Permissions::from_mode(mode)).unwrap();
    }
    to
}

fn parses(source: &[u8]) -> bool {
    let mut parser = Parser::new();
    parser.set_language(&tree_sitter_python::LANGUAGE.into()).unwrap();
    !parser.parse(source, None).unwrap().root_node().has_error()
}

/// Whether a mark begins the file, and which ends its lines have.
fn form(bytes: &[u8]) -> (bool, bool, bool) {
    let lines = || bytes.split_inclusive(|byte| *byte == b'\n').filter(|line| line.ends_with(b"\n"));
    let both = |line: &&[u8]| line.ends_with(b"\r\n");
    (
        bytes.starts_with("\u{feff}".as_bytes()),
        lines().any(|line| both(&line)),
        lines().any(|line| !both(&line)),
    )
}

/// File, daemon and form of the findings that `--fix` rewrites, and of the others; lines may go with a rewrite.
fn findings(report: &Value) -> (Vec<[String; 3]>, Vec<[String; 3]>) {
    let (safe, other): (Vec<_>, Vec<_>) = report["findings"]
        .as_array()
        .unwrap()
        .iter()
        .partition(|finding| finding["safe"] == true && finding["waived"].is_null());
    let named = |findings: Vec<&Value>| {
        findings
            .iter()
            .map(|finding| ["file", "service", "form"].map(|key| finding[key].to_string()))
            .collect()
    };
    (named(safe), named(other))
}

#[test]
fn the_corpus_is_rewritten_once_and_parses_as_before() {
    let (mut rewrites, mut python) = (0, 0);
    for root in corpus() {
        let folder = copied(&root);
        let before = state(folder.path());
        let (safe, others) = findings(&json(folder.path()));
        let output = scan(folder.path(), &["--fix"]);
        let complaints = String::from_utf8(output.stderr).unwrap();
        assert!(!complaints.contains("parse") && !complaints.contains("overlap"), "{complaints}");
        let after = state(folder.path());
        assert_eq!(findings(&json(folder.path())), (Vec::new(), others), "{}", root.display());
        rewrites += safe.len();
        assert!(before.keys().eq(after.keys()), "{}: a file came or went", root.display());
        for (name, (bytes, mode)) in &before {
            let (now, mode_now) = &after[name];
            let name = root.join(name);
            assert_eq!(mode, mode_now, "{}", name.display());
            assert_eq!(form(bytes), form(now), "{}", name.display());
            if name.extension() == Some("py".as_ref()) && parses(bytes) {
                python += 1;
                assert!(parses(now), "{}: {}", name.display(), String::from_utf8_lossy(now));
            }
        }
        scan(folder.path(), &["--fix"]);
        assert!(state(folder.path()) == after, "{}: rewritten twice", root.display());
    }
    assert!(rewrites > 50 && python > 10, "{rewrites} rewrites, {python} files of Python");
}
