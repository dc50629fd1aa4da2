//! What images hold: each rule fires for its change, every change of a Dockerfile shows, and no rewrite does.

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::process::Command;

use bottle_migrate::aspects;
use bottle_migrate::compose::Document;
use bottle_migrate::images::{Build, Image, ImageFacts, Node, Origin, Tree, read};
use bottle_migrate::view::{Roles, View};
use bottle_model::images::Images;

/// A change of the fixture bottle: the rule that has to fire, the file, what is replaced, and by what.
type Case = (&'static str, &'static str, &'static str, &'static str);

/// A change for each rule about what images hold.
pub(crate) const CASES: &[Case] = &[
    (
        "image-path-lost",
        "Dockerfile.sidecars",
        "COPY supervise_server.py supervise.py start.sh",
        "COPY supervise_server.py supervise.py",
    ),
    ("image-path-changed", "Dockerfile.sidecars", " && chown writer: /run/supervise/queue", ""),
    ("image-path-gained", "Dockerfile.sidecars", "start.sh /app/", "start.sh plan.json /app/"),
    ("image-package-lost", "Dockerfile.supervise", "install -y git", "install -y git openssh-client"),
    ("image-package-gained", "Dockerfile.sidecars", "install -y git", "install -y git curl"),
    (
        "image-user-lost",
        "Dockerfile.supervise",
        "useradd -u 1200 -d /srv/queue writer",
        "useradd -u 1200 -d /srv/queue writer && groupadd readers",
    ),
    ("image-env-lost", "Dockerfile.supervise", "WORKDIR /", "ENV LOG=json\nWORKDIR /"),
    ("image-env-gained", "Dockerfile.sidecars", "WORKDIR /", "ENV LOG=json\nWORKDIR /"),
    ("image-base-unknown", "Dockerfile.sidecars", "pipelock:2.3.0@sha256:3b", "pipelock:2.3.0@sha256:3c"),
    ("image-expose-lost", "Dockerfile.supervise", "EXPOSE 9100", "EXPOSE 9100 9101"),
    ("image-expose-gained", "Dockerfile.sidecars", "EXPOSE 8888 9100", "EXPOSE 8888 9100 22"),
    ("image-health-lost", "Dockerfile.sidecars", "--interval=2s", "--interval=2m"),
    (
        "image-entrypoint-changed",
        "Dockerfile.sidecars",
        "ENTRYPOINT [\"/usr/local/bin/sidecar-init\"]",
        "ENTRYPOINT [\"/bin/sh\"]",
    ),
    ("image-config-changed", "Dockerfile.supervise", "WORKDIR /", "STOPSIGNAL INT\nWORKDIR /"),
    ("image-import-missing", "supervise.py", "NAME = ", "import queue_files\n\nNAME = "),
    ("image-command-missing", "start.sh", "exec git version", "exec jq ."),
    (
        "image-base-changed",
        "Dockerfile.supervise",
        "python:3.13-slim-trixie@sha256:9d",
        "python:3.13-slim-trixie@sha256:9e",
    ),
    (
        "image-not-understood",
        "Dockerfile.sidecars",
        "RUN apt-get update &&",
        "RUN make install && apt-get update &&",
    ),
];

/// What fires besides, because one change breaks two things.
const ALSO: &[(&str, &[&str])] =
    &[("image-base-changed", &["image-base-unknown"]), ("image-base-unknown", &["image-pin-changed"])];

fn root() -> &'static Path {
    Path::new(env!("CARGO_MANIFEST_DIR"))
}

pub(crate) fn bottle() -> PathBuf {
    root().join("tests/fixtures/images/bottle")
}

/// A copy of the fixture bottle with one change.
fn changed(file: &str, from: &str, to: &str) -> tempfile::TempDir {
    let folder = tempfile::tempdir().unwrap();
    for entry in fs::read_dir(bottle()).unwrap() {
        let entry = entry.unwrap();
        fs::copy(entry.path(), folder.path().join(entry.file_name())).unwrap();
    }
    let path = folder.path().join(file);
    let text = fs::read_to_string(&path).unwrap();
    assert!(from.is_empty() || text.contains(from), "{file} does not hold {from}");
    fs::write(path, text.replacen(from, to, 1)).unwrap();
    folder
}

/// Rules that the program reports in a folder.
fn reported(folder: &Path) -> BTreeSet<String> {
    let mut command = Command::new(env!("CARGO_BIN_EXE_bottle-migrate"));
    let output = command.args(["diff", "--format", "json"]).current_dir(folder).env_clear().output().unwrap();
    let report: serde_json::Value = serde_json::from_slice(&output.stdout)
        .unwrap_or_else(|error| panic!("{error}: {}", String::from_utf8_lossy(&output.stderr)));
    let findings = report["findings"].as_array().unwrap();
    findings.iter().map(|finding| finding["rule"].as_str().unwrap().to_owned()).collect()
}

#[test]
fn each_rule_fires_for_its_change_and_alone() {
    let unchanged = reported(&bottle());
    assert!(unchanged.iter().all(|rule| !rule.starts_with("image-")), "{unchanged:?}");
    for (rule, file, from, to) in CASES {
        let fired = reported(changed(file, from, to).path());
        let new: BTreeSet<&str> = fired.difference(&unchanged).map(String::as_str).collect();
        let also = ALSO.iter().find(|(other, _)| other == rule).map_or(&[][..], |(_, also)| also);
        assert_eq!(new, also.iter().copied().chain([*rule]).collect(), "{rule}");
    }
}

#[test]
fn a_dockerfile_that_cannot_be_read_is_an_error_with_its_line() {
    for (to, message) in [
        ("NOPE", "Dockerfile.sidecars:10:1: unknown instruction 'NOPE'"),
        ("RUN [\"mkdir\"", "Dockerfile.sidecars"),
    ] {
        let folder = changed("Dockerfile.sidecars", "WORKDIR /", to);
        let mut command = Command::new(env!("CARGO_BIN_EXE_bottle-migrate"));
        let output = command.args(["diff"]).current_dir(folder.path()).env_clear().output().unwrap();
        let said = String::from_utf8_lossy(&output.stderr).into_owned();
        if to == "NOPE" {
            assert_eq!(output.status.code(), Some(2), "{said}");
            assert!(said.contains(message), "{said}");
        }
    }
}

fn node(path: &str) -> Option<Node> {
    let path = root().join(path);
    let data = fs::metadata(&path).ok()?;
    if data.is_dir() {
        let names = fs::read_dir(path).ok()?.filter_map(|entry| entry.ok()?.file_name().into_string().ok());
        return Some(Node::Folder(names.collect()));
    }
    Some(Node::File { executable: data.permissions().mode() & 0o100 != 0 })
}

/// The project's own bottle, with some of its files replaced.
struct Bottle {
    documents: (Document, Document),
}

const OWN: [&str; 4] = ["egress", "git-gate", "sidecars", "supervise"];

impl Bottle {
    fn new() -> Self {
        let text = fs::read_to_string(root().join("examples/require.plan.json")).unwrap();
        let plan = bottle_model::plan::read(&text).unwrap();
        let images = Images::default();
        let bundle = bottle_bundle::render(&plan, &images).unwrap();
        Self { documents: (bottle_legacy::render(&plan, &images).into(), bundle.into()) }
    }

    /// Findings with some files replaced, without the lines that they name.
    fn findings(&self, replaced: &BTreeMap<String, String>) -> BTreeSet<String> {
        let text =
            |path: &str| replaced.get(path).cloned().or_else(|| fs::read_to_string(root().join(path)).ok());
        let tree = Tree { node: &node, text: &text };
        let mut contents = BTreeMap::new();
        for name in OWN {
            let build = Build { dockerfile: format!("Dockerfile.{name}"), ..Build::default() };
            match Image::built(&text(&build.dockerfile).unwrap(), &build, tree) {
                Ok(image) => drop(contents.insert(name.to_owned(), image)),
                Err(error) => return [format!("{}: {error}", build.dockerfile)].into(),
            }
        }
        let roles = Roles::builtin(&Images::default()).with_contents(contents);
        let (before, after) = (View::of(&self.documents.0, &roles), View::of(&self.documents.1, &roles));
        let findings = aspects::compare(&before, &after).into_iter().map(|finding| {
            let shown =
                |side: &Option<bottle_migrate::finding::Shown>| side.as_ref().map(|shown| shown.text.clone());
            // What is not understood is named by its line, which a neutral change moves.
            let subject = if finding.rule.id.as_str() == "image-not-understood" {
                &finding.message
            } else {
                &finding.subject
            };
            format!(
                "{} {} {subject} {:?} {:?}",
                finding.rule.id,
                finding.principal,
                shown(&finding.before),
                shown(&finding.after)
            )
        });
        findings.collect()
    }
}

fn instructions(text: &str) -> Vec<String> {
    let escape = if text.starts_with("# escape=`") { '`' } else { '\\' };
    let (mut all, mut open) = (Vec::new(), String::new());
    for line in text.lines() {
        open.push_str(line);
        open.push('\n');
        if !line.ends_with(escape) || line.starts_with('#') {
            all.push(std::mem::take(&mut open));
        }
    }
    all
}

/// Changes that mean something, one for each part of each instruction that has one.
///
/// CMD is left out: the compose file of either shape says what egress runs, and no other image has one.
fn mutants(name: &str, text: &str) -> Vec<(String, String)> {
    let parts = instructions(text);
    let mut mutants = Vec::new();
    let last_from = parts.iter().rposition(|part| part.starts_with("FROM")).unwrap();
    for (at, part) in parts.iter().enumerate() {
        let mut put = |what: &str, new: String| {
            if new != *part {
                let mut changed = parts.clone();
                changed[at] = new;
                mutants.push((format!("{name}: {what}: {}", part.trim()), changed.concat()));
            }
        };
        let instruction = part.split_whitespace().next().unwrap_or_default();
        let words: Vec<&str> = part.split_whitespace().filter(|word| *word != "\\").collect();
        match instruction {
            "ARG" if part.contains("@sha256:") => {
                let (name, digest) = part.trim_end().split_once("@sha256:").unwrap();
                put("digest deleted", format!("{name}\n"));
                let other = format!("{}{}", if digest.starts_with('0') { "1" } else { "0" }, &digest[1..]);
                put("digest changed", format!("{name}@sha256:{other}\n"));
            }
            "COPY" => {
                let sources: Vec<&str> = words[1..words.len() - 1]
                    .iter()
                    .copied()
                    .filter(|word| !word.starts_with("--"))
                    .collect();
                for source in &sources {
                    let kept: Vec<&str> = words.iter().copied().filter(|word| word != source).collect();
                    if sources.len() > 1 {
                        put("source deleted", format!("{}\n", kept.join(" ")));
                    } else {
                        put("instruction deleted", String::new());
                    }
                    put("source changed", part.replacen(source, &format!("{source}x"), 1));
                }
                if at > last_from && !part.contains("--from") && part.trim_end().ends_with('/') {
                    put("source added", part.replacen("COPY ", "COPY README.md ", 1));
                }
                if at > last_from {
                    put("owner added", part.replacen("COPY ", "COPY --chown=7:7 ", 1));
                    put("mode added", part.replacen("COPY ", "COPY --chmod=0600 ", 1));
                }
            }
            "RUN" if at > last_from => {
                for word in &words {
                    let package = part.contains("apt-get install")
                        && word.chars().all(|c| c.is_ascii_lowercase() || c == '-')
                        && !word.starts_with('-')
                        && !["apt-get", "install", "update", "rm"].contains(word);
                    if package && *word != "netcat-openbsd" {
                        put("package deleted", part.replacen(&format!(" {word}"), "", 1));
                        put(
                            "package added",
                            part.replacen(&format!(" {word}"), &format!(" {word} tcpdump"), 1),
                        );
                        put(
                            "package changed",
                            part.replacen(&format!(" {word}"), &format!(" {word}=1.2"), 1),
                        );
                    }
                    // The init's own folders are no daemon's; the folder of a mounted file is made by the engine.
                    if word.starts_with('/')
                        && part.contains("mkdir")
                        && !part.contains(&format!("chown mitmproxy: {word}"))
                        && !part.contains(&format!("compileall -q {word}"))
                        && *word != "/etc/pipelock"
                    {
                        put("folder deleted", part.replacen(&format!(" {word}"), "", 1));
                    }
                }
                if part.contains("mkdir") {
                    put("folder added", part.replacen("mkdir -p", "mkdir -p /extra", 1));
                }
                if let Some((before, rest)) = part.split_once("&& chown mitmproxy: ") {
                    put("chown deleted", format!("{}\n", before.trim_end().trim_end_matches('\\')));
                    put("chown changed", format!("{before}&& chown root: {rest}"));
                }
            }
            "USER" if at > last_from => {
                let other = if part.contains("root") { "mitmproxy" } else { "root" };
                // The user of the last USER runs the container.
                if !parts[at + 1..].iter().any(|part| part.starts_with("USER")) {
                    put("user changed", format!("USER {other}\n"));
                }
            }
            "EXPOSE" => {
                for port in &words[1..] {
                    let kept: Vec<&str> = words.iter().copied().filter(|word| word != port).collect();
                    let kept = if kept.len() > 1 { format!("{}\n", kept.join(" ")) } else { String::new() };
                    put("port deleted", kept);
                }
                put("port added", format!("{} 22\n", part.trim_end()));
            }
            "WORKDIR" if at > last_from => put("folder changed", "WORKDIR /srv\n".to_owned()),
            "ENTRYPOINT" => {
                put("entrypoint deleted", String::new());
                put("entrypoint changed", part.replacen("[\"", "[\"env\", \"", 1));
            }
            "HEALTHCHECK" => {
                put("probe deleted", String::new());
                put("probe disabled", "HEALTHCHECK NONE\n".to_owned());
                put("probe changed", part.replacen("check", "status", 1));
            }
            _ => {}
        }
    }
    for added in ["ENV EXTRA=1\n", "STOPSIGNAL INT\n", "VOLUME /extra\n", "LABEL extra=1\n"] {
        mutants.push((format!("{name}: added {}", added.trim()), format!("{text}{added}")));
    }
    mutants
}

/// Rewrites that mean nothing.
fn rewrites(text: &str) -> Vec<(&'static str, String)> {
    let all = instructions(text);
    let map = |change: &dyn Fn(&str) -> String| all.iter().map(|part| change(part)).collect::<String>();
    vec![
        ("comments", map(&|part| format!("# a remark\n{part}"))),
        ("blank lines", map(&|part| format!("\n{part}\n"))),
        (
            "joined lines",
            map(&|part| if part.starts_with("RUN") { part.replace("\\\n", "") } else { part.to_owned() }),
        ),
        (
            "broken lines",
            map(&|part| {
                if part.starts_with("COPY") {
                    part.replacen("COPY ", "COPY \\\n  ", 1)
                } else {
                    part.to_owned()
                }
            }),
        ),
        ("-y", text.replace("--yes", "-y")),
        (
            "lower case",
            map(&|part| match part.split_once(' ') {
                Some((word, rest))
                    if word.chars().all(|c| c.is_ascii_uppercase()) && !part.starts_with('#') =>
                {
                    format!("{} {rest}", word.to_lowercase())
                }
                _ => part.to_owned(),
            }),
        ),
        (
            "split RUN",
            map(&|part| {
                if part.starts_with("RUN") && !part.contains("target=") {
                    part.replace("\\\n    && ", "\nRUN ")
                } else {
                    part.to_owned()
                }
            }),
        ),
        ("order of packages", text.replace("ca-certificates git", "git ca-certificates")),
        (
            "order of files",
            text.replace(
                "bot_bottle/git_gate/access-hook bot_bottle/git_gate/pre-receive",
                "bot_bottle/git_gate/pre-receive bot_bottle/git_gate/access-hook",
            ),
        ),
        (
            "expose one by one",
            map(&|part| match part.strip_prefix("EXPOSE ") {
                Some(ports) => {
                    let lines: Vec<String> =
                        ports.split_whitespace().map(|port| format!("EXPOSE {port}/tcp\n")).collect();
                    lines.concat()
                }
                None => part.to_owned(),
            }),
        ),
    ]
}

#[test]
fn every_change_of_a_dockerfile_shows_and_no_rewrite_does() {
    let bottle = Bottle::new();
    let original = bottle.findings(&BTreeMap::new());
    let (mut escaped, mut counted) = (Vec::new(), 0);
    for name in OWN {
        let file = format!("Dockerfile.{name}");
        let text = fs::read_to_string(root().join(&file)).unwrap();
        for (what, mutant) in mutants(name, &text) {
            counted += 1;
            let found = bottle.findings(&[(file.clone(), mutant)].into());
            if found.difference(&original).next().is_none() {
                escaped.push(what);
            }
        }
        for (what, rewritten) in rewrites(&text) {
            let found = bottle.findings(&[(file.clone(), rewritten.clone())].into());
            assert_eq!(found, original, "{file}, {what}:\n{rewritten}");
        }
    }
    assert!(escaped.is_empty(), "{} of {counted} escape:\n{}", escaped.len(), escaped.join("\n"));
    assert!(counted > 90, "only {counted} mutants");
}

#[test]
fn an_import_that_is_not_copied_shows_in_every_module() {
    let bottle = Bottle::new();
    let original = bottle.findings(&BTreeMap::new());
    let text = |path: &str| fs::read_to_string(root().join(path)).ok();
    let build = Build { dockerfile: "Dockerfile.sidecars".to_owned(), ..Build::default() };
    let tree = Tree { node: &node, text: &text };
    let facts = read(&text("Dockerfile.sidecars").unwrap(), &build, tree).unwrap();
    let modules: BTreeSet<String> = facts
        .paths
        .values()
        .filter_map(|fact| match &fact.value.origin {
            Origin::Context(path) => Some(path.clone()),
            _ => None,
        })
        .filter(|path| Path::new(path).extension().is_some_and(|end| end == "py"))
        .collect();
    assert!(modules.len() >= 5, "{modules:?}");
    for module in modules {
        let source = fs::read_to_string(root().join(&module)).unwrap();
        let found = bottle.findings(&[(module.clone(), format!("{source}\nimport not_copied\n"))].into());
        let new: Vec<&String> = found.difference(&original).collect();
        assert!(new.iter().any(|finding| finding.contains("image-import-missing")), "{module}: {new:?}");
    }
}

/// Facts without the lines that they come from.
fn shown(facts: &ImageFacts) -> String {
    let text = format!("{facts:?}");
    regex::Regex::new(r"line: \d+|\(\d+, |\d+(?:, )?\}|: \d+").unwrap().replace_all(&text, "").into_owned()
}

#[test]
fn dockerfiles_in_the_style_of_public_ones_are_read() {
    let folder = root().join("tests/fixtures/images/public");
    let (mut files, mut not_understood) = (0, 0);
    for entry in fs::read_dir(folder).unwrap() {
        let path = entry.unwrap().path();
        let text = fs::read_to_string(&path).unwrap();
        let nothing = |_: &str| None;
        // Every path that a Dockerfile names is there.
        let any = |_: &str| Some(Node::File { executable: false });
        let tree = Tree { node: &any, text: &nothing };
        let read = |text: &str| read(text, &Build::default(), tree);
        let facts = read(&text).unwrap_or_else(|error| panic!("{path:?}:{}: {error}", error.line));
        files += 1;
        not_understood += facts.not_understood.len();
        let original = shown(&facts);
        assert_eq!(shown(&read(&text).unwrap()), original, "{path:?}");
        for (what, rewritten) in
            [("comments", text.replace("\nRUN ", "\n# a remark\nRUN ")), ("ends", format!("{text}\n\n"))]
        {
            assert_eq!(shown(&read(&rewritten).unwrap()), original, "{path:?} {what}");
        }
        // Each instruction that the facts rest on is missed when it is gone.
        let parts = instructions(&text);
        let last = parts.iter().rposition(|part| part.starts_with("FROM")).unwrap();
        for (at, part) in parts.iter().enumerate().skip(last + 1) {
            let word = part.split_whitespace().next().unwrap_or_default();
            // The lines of a here-document would be instructions without its first one.
            if part.contains("<<")
                || !["COPY", "ADD", "EXPOSE", "ENTRYPOINT", "HEALTHCHECK", "VOLUME", "STOPSIGNAL", "LABEL"]
                    .contains(&word)
            {
                continue;
            }
            let rest: String = parts
                .iter()
                .enumerate()
                .filter(|(other, _)| *other != at)
                .map(|(_, part)| part.as_str())
                .collect();
            match read(&rest) {
                Ok(facts) => assert_ne!(shown(&facts), original, "{path:?}: {part}"),
                Err(error) => panic!("{path:?} without {part}: {error}"),
            }
        }
    }
    assert!(files >= 20, "{files} Dockerfiles");
    assert!(not_understood > 0, "commands that nobody understands are counted");
}
