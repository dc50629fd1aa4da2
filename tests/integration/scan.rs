//! `scan-tests`: a labelled corpus, suppressions, and odd files.

mod fixes;
mod programs;

use std::collections::BTreeMap;
use std::fmt::Write as _;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Command, Output};

use serde_json::Value;
use walkdir::WalkDir;

/// Least share of findings that are references, and of references that are found, for each form and in all.
const LEAST: f64 = 0.98;

fn scan(root: &Path, arguments: &[&str]) -> Output {
    Command::new(env!("CARGO_BIN_EXE_bottle-migrate"))
        .arg("--root")
        .arg(root)
        .arg("scan-tests")
        .args(arguments)
        .output()
        .unwrap()
}

fn json(root: &Path) -> Value {
    let output = scan(root, &["--format", "json"]);
    assert!(matches!(output.status.code(), Some(0 | 1)), "{}", String::from_utf8_lossy(&output.stderr));
    serde_json::from_slice(&output.stdout).unwrap()
}

/// A tree of files in a temporary folder.
fn tree(files: &[(&str, &str)]) -> tempfile::TempDir {
    let folder = tempfile::tempdir().unwrap();
    for (name, text) in files {
        let path = folder.path().join(name);
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        fs::write(path, text).unwrap();
    }
    folder
}

/// Line, daemon and form of every finding in one file.
fn found(report: &Value, file: &str) -> Vec<(u64, String, String)> {
    let findings = report["findings"].as_array().unwrap().iter().filter(|finding| finding["file"] == file);
    findings
        .map(|finding| {
            let service = finding["service"].as_str().unwrap_or("-").to_owned();
            (finding["line"].as_u64().unwrap(), service, finding["form"].as_str().unwrap().to_owned())
        })
        .collect()
}

/// The roots of the corpus.
fn corpus() -> Vec<PathBuf> {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/fixtures/scan/corpus");
    let mut trees: Vec<PathBuf> = fs::read_dir(root).unwrap().map(|entry| entry.unwrap().path()).collect();
    trees.sort();
    trees
}

#[derive(Default)]
struct Tally {
    hits: usize,
    extra: usize,
    missed: usize,
}

impl Tally {
    fn share(&self, other: usize) -> f64 {
        let whole = self.hits + other;
        #[expect(clippy::cast_precision_loss, reason = "some hundred labels")]
        if whole == 0 { 1.0 } else { self.hits as f64 / whole as f64 }
    }
}

/// A reference: file, line and daemon.
type Label = (String, u64, String);

/// The labels of one tree: references with their forms, and all lines with any label.
fn labels(folder: &Path) -> (BTreeMap<Label, String>, usize) {
    let (mut references, mut traps) = (BTreeMap::new(), 0);
    for entry in
        WalkDir::new(folder).into_iter().map(Result::unwrap).filter(|entry| entry.file_type().is_file())
    {
        let name = entry.path().strip_prefix(folder).unwrap().to_str().unwrap();
        let file = name.strip_suffix(".labels").unwrap();
        for line in fs::read_to_string(entry.path()).unwrap().lines().filter(|line| !line.is_empty()) {
            let words: Vec<&str> = line.split(' ').collect();
            if words[1] == "trap" {
                traps += 1;
            } else {
                let label = (file.to_owned(), words[0].parse().unwrap(), words[1].to_owned());
                references.insert(label, words[2].to_owned());
            }
        }
    }
    (references, traps)
}

#[test]
fn the_labelled_corpus_is_told_apart() {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/fixtures/scan");
    let (mut tallies, mut references, mut traps) = (BTreeMap::<String, Tally>::new(), 0, 0);
    let mut wrong = String::new();
    for tree in corpus() {
        let name = tree.file_name().unwrap().to_str().unwrap();
        let (wanted, tempting) = labels(&root.join("labels").join(name));
        references += wanted.len();
        traps += tempting;
        let report = json(&tree);
        let mut seen = BTreeMap::new();
        // What an opt-out accepts is a trap to the labels.
        let standing = report["findings"].as_array().unwrap().iter().filter(|it| it["waived"].is_null());
        for finding in standing {
            let file = finding["file"].as_str().unwrap().to_owned();
            let service = finding["service"].as_str().unwrap_or("-").to_owned();
            let label = (file, finding["line"].as_u64().unwrap(), service);
            let form = finding["form"].as_str().unwrap().to_owned();
            // A reference of another form is one too many, and one too few.
            if wanted.get(&label) != Some(&form) {
                tallies.entry(form.clone()).or_default().extra += 1;
                writeln!(wrong, "not labelled: {name}/{label:?} {form} {}", finding["text"]).unwrap();
            }
            seen.insert(label, form);
        }
        for (label, form) in wanted {
            let tally = tallies.entry(form.clone()).or_default();
            if seen.get(&label) == Some(&form) {
                tally.hits += 1;
            } else {
                tally.missed += 1;
                writeln!(wrong, "missed: {name}/{label:?} {form}").unwrap();
            }
        }
    }
    assert!(references >= 300 && traps >= 300, "{references} references, {traps} traps");
    let mut all = Tally::default();
    let mut table = String::new();
    let mut poor = false;
    for (form, tally) in &tallies {
        let (precision, recall) = (tally.share(tally.extra), tally.share(tally.missed));
        poor |= precision < LEAST || recall < LEAST;
        writeln!(table, "{form:18} {:4} precision {precision:.3} recall {recall:.3}", tally.hits).unwrap();
        all.hits += tally.hits;
        all.extra += tally.extra;
        all.missed += tally.missed;
    }
    let (precision, recall) = (all.share(all.extra), all.share(all.missed));
    writeln!(table, "{:18} {:4} precision {precision:.3} recall {recall:.3}", "all", all.hits).unwrap();
    #[expect(clippy::print_stdout, reason = "the figures are what the test is asked for")]
    {
        println!("{table}{wrong}");
    }
    assert!(!poor && precision >= LEAST && recall >= LEAST, "{table}{wrong}");
}

#[test]
fn an_opt_out_says_why_or_is_a_finding() {
    let folder = tree(&[(
        "tests/a.py",
        "A = 'http://egress:9099'  # bottle-migrate: keep — old recordings\n\
         # bottle-migrate: keep — old recordings\n\
         B = 'http://egress:9099'\n\
         C = 'http://egress:9099'  # bottle-migrate: keep\n\
         D = 1  # bottle-migrate: keep — nothing\n",
    )]);
    let report = json(folder.path());
    let standing: Vec<_> = report["findings"]
        .as_array()
        .unwrap()
        .iter()
        .filter(|finding| finding["waived"].is_null())
        .map(|finding| (finding["line"].as_u64().unwrap(), finding["form"].as_str().unwrap()))
        .collect();
    assert_eq!(standing, [(4, "url-host"), (4, "keep-unreasoned"), (5, "keep-unused")]);
    assert_eq!(report["summary"]["waived"], 2);
}

#[test]
fn a_waiver_accepts_a_file_and_an_unused_one_is_a_finding() {
    let waiver = |rule: &str, file: &str| {
        format!("[[waiver]]\nrule = \"{rule}\"\nsubject = \"{file}\"\nreason = \"recorded\"\n")
    };
    let config = waiver("url-host", "a.py") + &waiver("dockerfile", "b.py");
    let folder = tree(&[("a.py", "A = 'http://egress:9099'\n"), ("bottle-migrate.toml", &config)]);
    let report = json(folder.path());
    assert_eq!(report["summary"]["waived"], 1);
    assert_eq!(found(&report, "bottle-migrate.toml"), [(6, "-".to_owned(), "waiver-unused".to_owned())]);
    // Scanning a part of the tree says nothing about the rest.
    assert_eq!(scan(folder.path(), &["a.py"]).status.code(), Some(0));
}

#[test]
fn names_are_followed_through_the_imports_of_the_tree() {
    let folder = tree(&[
        ("pkg/names.py", "from .docker import supervise_container_name as boss\n"),
        ("pkg/use.py", "from pkg.names import boss\n\nprint(boss('demo'))\n"),
        ("pkg/other.py", "from elsewhere import boss\n\nprint(boss('demo'))\n"),
    ]);
    let report = json(folder.path());
    let at = |line| (line, "supervise".to_owned(), "name-helper".to_owned());
    assert_eq!(found(&report, "pkg/use.py"), [at(1), at(3)]);
    assert_eq!(found(&report, "pkg/other.py"), []);
}

#[test]
fn odd_files_are_reported_and_never_fatal() {
    let folder =
        tree(&[(".hidden.sh", "docker restart bot-bottle-egress-demo\n"), (".gitignore", "ignored.sh\n")]);
    let write = |name: &str, bytes: &[u8]| fs::write(folder.path().join(name), bytes).unwrap();
    write("ignored.sh", b"docker restart bot-bottle-egress-demo\n");
    write("binary", b"pipelock\0");
    write("latin.py", b"# \xe9t\xe9\nA = 'http://egress:9099'\n");
    write("huge.txt", &vec![b'x'; 9 * 1024 * 1024]);
    write("empty.py", b"");
    write("deep.py", "(".repeat(200_000).as_bytes());
    write("deep.yaml", format!("egress: {}", "[".repeat(100_000)).as_bytes());
    std::os::unix::fs::symlink("/", folder.path().join("link")).unwrap();
    let report = json(folder.path());
    let skipped: Vec<&str> =
        report["skipped"].as_array().unwrap().iter().map(|file| file["file"].as_str().unwrap()).collect();
    assert_eq!(skipped, ["binary", "deep.yaml", "huge.txt", "latin.py"]);
    assert_eq!(found(&report, "latin.py"), [(2, "egress".to_owned(), "url-host".to_owned())]);
    assert_eq!(found(&report, ".hidden.sh").len(), 1);
    assert_eq!(found(&report, "ignored.sh"), []);
}

#[test]
fn every_format_says_the_same_and_the_code_is_the_same() {
    let folder = tree(&[("tests/a.py", "A = 'http://egress:9099'\n")]);
    for format in ["human", "json", "sarif", "github"] {
        let output = scan(folder.path(), &["--format", format]);
        assert_eq!(output.status.code(), Some(1));
        let text = String::from_utf8(output.stdout).unwrap();
        assert!(text.contains("tests/a.py") && text.contains("url-host"), "{text}");
        assert_eq!(scan(folder.path(), &["--format", format, "--zone", "doc"]).status.code(), Some(0));
    }
    let validator = jsonschema::validator_for(&bottle_migrate::report::scan::schema()).unwrap();
    assert!(validator.is_valid(&json(folder.path())));
    let absent = scan(folder.path(), &["absent"]);
    assert_eq!(absent.status.code(), Some(2));
    assert_eq!(String::from_utf8(absent.stderr).unwrap(), "error: absent: no such file or folder\n");
}

#[test]
fn the_screen_shows_where_and_what_instead() {
    let folder = tree(&[
        ("tests/a.py", "def test():\n    name = f\"bot-bottle-egress-{slug}\"\n"),
        ("README.md", "Each bottle starts four sidecar containers.\n"),
    ]);
    let output = scan(folder.path(), &[]);
    insta::assert_snapshot!(String::from_utf8(output.stdout).unwrap(), @r#"
    Tests

    tests/a.py
      2 │ name = f"bot-bottle-egress-{slug}"
        │          ^^^^^^^^^^^^^^^^^^^^^^^^ container-name egress
        │          → `bot-bottle-sidecars-<slug>`

    Documents

    README.md
      1 │ Each bottle starts four sidecar containers.
        │                    ^^^^^^^^^^^^ doc-shape
        │                    → two services, `agent` and `sidecars`; the daemons share one container

    By form
      container-name     1
      doc-shape          1
    By zone: test 1, doc 1

    2 references in 2 files
    "#);
}
