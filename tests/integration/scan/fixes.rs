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
    egress_container_name, sidecar_bundle_container_name,
    pipelock_container_name,
)


def reload(slug):
    subprocess.run([\"docker\", \"exec\", sidecar_bundle_container_name(slug), \"sidecar-init\", \"signal\", \"egress\", \"HUP\"], check=True)
    subprocess.run([\"docker\", \"exec\", sidecar_bundle_container_name(slug), \"true\"], check=True)
    subprocess.run(\"docker exec bot-bottle-sidecars-demo sidecar-init signal egress HUP\", shell=True)
    return \"http://sidecars:9100/\"
";

const HELPERS: &str = "\
def egress_container_name(slug):
    return f\"bot-bottle-egress-{slug}\"


def pipelock_container_name(slug):
    return f\"bot-bottle-pipelock-{slug}\"


def sidecar_bundle_container_name(slug):
    return f\"bot-bottle-sidecars-{slug}\"
";

#[test]
fn safe_rewrites_keep_the_meaning_and_are_done_once() {
    let folder = tree(&[("a.py", RELOAD), ("bot_bottle/docker.py", HELPERS)]);
    let shown = scan(folder.path(), &["--diff"]);
    assert_eq!(shown.status.code(), Some(1));
    assert!(String::from_utf8(shown.stdout).unwrap().contains("+    return \"http://sidecars:9100/\""));
    assert_eq!(fs::read_to_string(folder.path().join("a.py")).unwrap(), RELOAD);
    for _ in 0..2 {
        let output = scan(folder.path(), &["--fix"]);
        assert_eq!(fs::read_to_string(folder.path().join("a.py")).unwrap(), RELOADED);
        // The import and the definitions of the helpers are for a person to remove.
        assert_eq!(output.status.code(), Some(1), "{}", String::from_utf8_lossy(&output.stdout));
        assert_eq!(fs::read_to_string(folder.path().join("bot_bottle/docker.py")).unwrap(), HELPERS);
    }
}

/// The text of `a.py` after a `--fix` of a tree, and what is said of its references.
fn fixed(files: &[(&str, &str)]) -> (String, String) {
    let folder = tree(files);
    scan(folder.path(), &["--fix"]);
    let report = json(folder.path());
    let said = report["findings"].as_array().unwrap().iter();
    let said: Vec<_> = said
        .filter(|found| found["file"] == "app/a.py")
        .map(|found| found["suggestion"].to_string())
        .collect();
    (fs::read_to_string(folder.path().join("app/a.py")).unwrap(), said.join("\n"))
}

#[test]
fn the_bundles_helper_is_imported_from_where_it_is_defined() {
    let program = |import: &str| {
        format!(
            "import subprocess\n{import}\n\ndef act(slug):\n    subprocess.run([\"docker\", \"restart\", egress_container_name(slug)])\n"
        )
    };
    let bundle = "def sidecar_bundle_container_name(slug):\n    return slug\n";
    let helper = "def egress_container_name(slug):\n    return slug\n";
    let both = format!("{helper}\n{bundle}");
    let tied = format!("from . import a\n{bundle}");
    for (files, import, after) in [
        (
            vec![("app/names.py", both.as_str())],
            "from .names import egress_container_name",
            "from .names import egress_container_name, sidecar_bundle_container_name",
        ),
        (
            vec![("app/names.py", both.as_str())],
            "from app.names import egress_container_name as x, egress_container_name",
            "from app.names import egress_container_name as x, egress_container_name, sidecar_bundle_container_name",
        ),
        (
            vec![("app/names.py", helper), ("app/bundle.py", bundle)],
            "from .names import egress_container_name",
            "from .names import egress_container_name\nfrom .bundle import sidecar_bundle_container_name",
        ),
        (
            vec![("app/names.py", helper), ("app/bundle.py", bundle)],
            "from app.names import egress_container_name  # x",
            "from app.names import egress_container_name\nfrom app.bundle import sidecar_bundle_container_name  # x",
        ),
    ] {
        let text = program(import);
        let (now, said) = fixed(&[files, vec![("app/a.py", text.as_str())]].concat());
        assert!(now.contains(&format!("{after}\n")), "{now}{said}");
        assert!(
            now.contains("sidecar_bundle_container_name(slug), \"sidecar-init\", \"restart\", \"egress\"])"),
            "{now}"
        );
    }
    for (files, reason) in [
        (
            vec![("app/names.py", helper)],
            "no module of the tree defines `sidecar_bundle_container_name(slug)`",
        ),
        (
            vec![("app/names.py", helper), ("app/bundle.py", tied.as_str())],
            "add an import of `sidecar_bundle_container_name` from app/bundle.py",
        ),
        (vec![("app/names.py", helper), ("other/bundle.py", bundle)], "from other/bundle.py"),
    ] {
        let text = program("from .names import egress_container_name");
        let (now, said) = fixed(&[files, vec![("app/a.py", text.as_str())]].concat());
        assert_eq!(now, text);
        assert!(said.contains(reason), "{said}");
    }
}

#[test]
fn a_url_keeps_its_name_where_another_one_would_not_do() {
    let url = "URL = \"http://egress:9099/\"\n";
    let changed = |name: &str, text: &str, more: &[(&str, &str)]| {
        let folder = tree(&[&[(name, text)], more].concat());
        scan(folder.path(), &["--fix"]);
        fs::read_to_string(folder.path().join(name)).unwrap() != text
    };
    assert!(changed("a.py", url, &[]));
    for (name, text) in [
        ("pipelock.yaml", "forward: http://egress:9099\n"),
        ("render.py", "def pipelock_config():\n    return {\"proxy\": \"http://egress:9099\"}\n"),
        ("a.env", "EGRESS_UPSTREAM_PROXY=http://pipelock:8888\n"),
        (
            "c.yaml",
            "services:\n  app:\n    environment:\n      HTTP_PROXY: http://egress:9099\n  egress:\n    image: x\n",
        ),
        (
            "a.py",
            "EGRESS_HOSTNAME = \"egress\"\nurl = f\"http://{EGRESS_HOSTNAME}:9099\"\npath = EGRESS_HOSTNAME + \"/x\"\n",
        ),
        (
            "a.py",
            "import subprocess\nfrom urllib.parse import urlparse\nh = urlparse(\"http://egress:9099\").hostname\nsubprocess.run([\"docker\", \"stop\", h])\n",
        ),
        ("a.sh", "docker exec bot-bottle-pipelock-x curl http://egress:9099/\n"),
    ] {
        assert!(!changed(name, text, &[]), "{text}");
    }
    let other = "import a\nfrom urllib.parse import urlparse\nrun([\"docker\", \"stop\", \"bot-bottle-%s-x\" % urlparse(a.URL).hostname])\n";
    assert!(!changed("a.py", url, &[("b.py", other)]));
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
    let text = "subprocess.run(['docker', 'stop', pipelock_container_name(slug)])\n\
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
