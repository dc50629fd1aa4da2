//! The documents are true: commands print what is shown, files, anchors and rules exist, and nothing is cited that is
//! not in this repository.

use std::collections::BTreeSet;
use std::fmt::Write as _;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::sync::LazyLock;

use regex::Regex;
use serde_json::Value;

fn root() -> &'static Path {
    Path::new(env!("CARGO_MANIFEST_DIR"))
}

/// What is not the project's own text: builds, history, and trees that the scan is tried on.
const FOREIGN: [&str; 4] = [".git", "target", "tests/fixtures/scan", "tests/integration/snapshots"];

/// Every file and folder of the project, relative to its root.
static TREE: LazyLock<Vec<PathBuf>> = LazyLock::new(|| {
    let walk = walkdir::WalkDir::new(root()).min_depth(1).sort_by_file_name().into_iter();
    walk.filter_entry(|entry| entry.path() != root().join(".git") && entry.path() != root().join("target"))
        .map(|entry| entry.unwrap().path().strip_prefix(root()).unwrap().to_owned())
        .collect()
});

/// The project's own files for which a test of the name is true.
fn own(wanted: impl Fn(&str) -> bool) -> impl Iterator<Item = (&'static Path, String)> {
    let own = |path: &&PathBuf| !FOREIGN.iter().any(|foreign| path.starts_with(foreign));
    let named = move |path: &&PathBuf| wanted(path.file_name().unwrap().to_str().unwrap());
    TREE.iter().filter(own).filter(named).filter(|path| root().join(path).is_file()).filter_map(|path| {
        let text = String::from_utf8(fs::read(root().join(path)).unwrap()).ok()?;
        Some((path.as_path(), text))
    })
}

fn documents() -> impl Iterator<Item = (&'static Path, String)> {
    own(|name| Path::new(name).extension().is_some_and(|extension| extension == "md"))
}

/// Runs the program in the project's root.
fn printed(arguments: &[&str]) -> String {
    let mut command = Command::new(env!("CARGO_BIN_EXE_bottle-migrate"));
    let command = command.args(arguments).current_dir(root()).env_clear().stdin(Stdio::null());
    String::from_utf8(command.output().unwrap().stdout).unwrap()
}

/// Outputs that a text shows: each fenced block without a language that follows a command, with its arguments.
fn shown(text: &str) -> Vec<(Vec<&str>, Vec<&str>)> {
    let mut outputs = Vec::new();
    let mut command = None;
    let mut lines = text.lines();
    while let Some(line) = lines.next() {
        if let Some(language) = line.strip_prefix("```") {
            let block = lines.by_ref().take_while(|line| *line != "```").collect();
            if let (true, Some(command)) = (language.is_empty(), command.take()) {
                outputs.push((command, block));
            }
        } else if let Some(arguments) = line.strip_prefix("    cargo run --release -- ") {
            command = Some(arguments.split(' ').collect());
        }
    }
    outputs
}

/// Whether lines begin with those of a text in which a line of `…` means any number of lines.
fn begins(lines: &[&str], shown: &[&str]) -> bool {
    match shown.split_first() {
        None => true,
        Some((first, rest)) if first.trim() == "…" => {
            (0..=lines.len()).any(|skip| begins(&lines[skip..], rest))
        }
        Some((first, rest)) => lines.first() == Some(first) && begins(&lines[1..], rest),
    }
}

#[test]
fn the_documents_show_what_the_commands_print() {
    let mut count = 0;
    for (document, text) in documents() {
        for (arguments, shown) in shown(&text) {
            let printed = printed(&arguments);
            let lines: Vec<&str> = printed.lines().collect();
            let document = document.display();
            assert!(
                begins(&lines, &shown),
                "{document} shows another output of {arguments:?} than\n{printed}"
            );
            count += 1;
        }
    }
    assert!(count >= 2, "the documents show {count} outputs");
}

/// Names of files in a text, by its words: paths from the project's root, and names of sources and documents.
fn named(text: &str) -> Vec<&str> {
    let outside = |c: char| !(c.is_alphanumeric() || "/._-*<>".contains(c));
    text.split(outside)
        .map(|word| word.trim_end_matches(['.', '/']).trim_start_matches("./"))
        .filter(|word| {
            let first = word.split('/').next().unwrap_or_default();
            let rooted = word.contains('/') && TREE.iter().any(|path| path == Path::new(first));
            let source = [".rs", ".md", ".py"].iter().any(|ending| word.len() > 3 && word.ends_with(ending));
            !word.contains(['*', '<', '>']) && !word.contains("…") && (rooted || source)
        })
        .collect()
}

fn exists(name: &str) -> bool {
    // What builds leave behind and what a flip writes is in no checkout.
    name.starts_with("target/") || TREE.iter().any(|path| path.ends_with(name))
}

#[test]
fn documents_name_files_that_exist() {
    for name in ["README.md", "ARCHITECTURE.md", "AGENTS.md", "CONTRIBUTING.md"] {
        let text = fs::read_to_string(root().join(name)).unwrap();
        assert!(!named(&text).is_empty(), "{name} names no file");
    }
    // The page of rules speaks of files that a target may have.
    for (document, text) in documents().filter(|(path, _)| !path.ends_with("rules.md")) {
        for name in named(&text) {
            let beside = root().join(document).with_file_name(name).exists();
            assert!(exists(name) || beside, "{} names {name}, which does not exist", document.display());
        }
    }
}

#[test]
fn words_are_taken_for_files_when_they_look_like_some() {
    for (text, names) in [
        ("see `src/cli/absent.rs`, or `absent.rs`.", &["src/cli/absent.rs", "absent.rs"][..]),
        ("cargo run -- diff examples/absent.json", &["examples/absent.json"]),
        ("read/write, `plans/*.json`, /etc/passwd and `a.toml`", &[]),
        ("examples/*.json, `src/`, examples/<name>.json", &[]),
    ] {
        assert_eq!(named(text), names, "{text}");
    }
}

/// Anchors of a document: its headings as forges spell them, and those that it sets itself.
fn anchors(text: &str) -> BTreeSet<String> {
    let heading = |line: &str| {
        let title = line.strip_prefix('#')?.trim_start_matches('#').trim();
        let kept = title.chars().filter(|c| c.is_alphanumeric() || " -_".contains(*c));
        Some(kept.map(|c| if c == ' ' { '-' } else { c.to_ascii_lowercase() }).collect::<String>())
    };
    let set = |line: &str| Some(line.strip_prefix("<a id=\"")?.split('"').next()?.to_owned());
    text.lines().filter_map(|line| heading(line).or_else(|| set(line))).collect()
}

/// Whether a link leads somewhere: a path relative to the file that has it, with an anchor or without.
fn leads(from: &Path, link: &str) -> bool {
    let (path, anchor) = link.split_once('#').unwrap_or((link, ""));
    let folder = from.parent().unwrap();
    let target = if path.is_empty() { root().join(from) } else { root().join(folder).join(path) };
    target.exists()
        && (anchor.is_empty() || anchors(&fs::read_to_string(target).unwrap_or_default()).contains(anchor))
}

#[test]
fn links_lead_to_files_and_anchors_that_exist() {
    let link = Regex::new(r"\]\(([^)\s]+)\)").unwrap();
    let mut count = 0;
    for (document, text) in documents() {
        for link in link.captures_iter(&text).map(|found| found.extract::<1>().1[0]) {
            if !link.contains("://") {
                assert!(leads(document, link), "{} links to {link}", document.display());
                count += 1;
            }
        }
    }
    assert!(count > 50, "only {count} links were found");
}

#[test]
fn a_link_that_leads_nowhere_is_noticed() {
    let design = Path::new("docs/design.md");
    for (link, good) in [
        ("incidents.md", true),
        ("incidents.md#i7", true),
        ("#two-laws", true),
        ("../README.md", true),
        ("absent.md", false),
        ("incidents.md#i99", false),
        ("#absent", false),
    ] {
        assert_eq!(leads(design, link), good, "{link}");
    }
}

/// Documents that only their authors had, and incidents without the document that tells them.
static ELSEWHERE: LazyLock<Regex> = LazyLock::new(|| {
    let kinds = [
        r"\bPRD[ -]?\d+",
        r"\b[Tt]he PRD\b",
        r"\bPRD's\b",
        r"\b(DESIGN|FIELD-NOTES|STYLE|COSTS)\b",
        r"(^|[^#\w/.\-])I([1-9]|1\d|2\d)\b",
        r"\bissue #?\d+",
    ];
    Regex::new(&kinds.join("|")).unwrap()
});

/// A document with an anchor, as comments cite it.
static CITED: LazyLock<Regex> = LazyLock::new(|| Regex::new(r"\b([\w./-]+\.md)#([\w-]+)").unwrap());

/// Lines of a source that hold comments, with their numbers: in Python and where a comment is a `#`, strings over
/// several lines too.
fn comments(name: &str, text: &str) -> Vec<(usize, String)> {
    let slashes = Path::new(name).extension().is_some_and(|extension| extension == "rs" || extension == "go");
    let mark = if slashes { "//" } else { "#" };
    let mut quoted = false;
    let mut found = Vec::new();
    for (index, line) in text.lines().enumerate() {
        let toggles = !slashes && line.matches("\"\"\"").count() % 2 == 1;
        let docstring = !slashes && (quoted || line.contains("\"\"\""));
        quoted ^= toggles;
        if let Some(at) = line.find(mark).filter(|_| !docstring) {
            found.push((index + 1, line[at..].to_owned()));
        } else if docstring {
            found.push((index + 1, line.to_owned()));
        }
    }
    found
}

fn is_source(name: &str) -> bool {
    let known = ["rs", "py", "sh", "toml", "yml", "yaml", "go"];
    match Path::new(name).extension().and_then(|extension| extension.to_str()) {
        Some(extension) => known.contains(&extension) || name.contains("Dockerfile"),
        None => name != "LICENSE",
    }
}

/// What a comment cites that is not in this repository.
fn astray(comment: &str) -> Option<String> {
    if let Some(found) = ELSEWHERE.find(comment) {
        return Some(found.as_str().trim().to_owned());
    }
    if let Some(cited) = CITED.captures_iter(comment).find(|cited| {
        let text = fs::read_to_string(root().join(&cited[1])).unwrap_or_default();
        !anchors(&text).contains(&cited[2])
    }) {
        return Some(cited[0].to_owned());
    }
    let names = named(comment).into_iter();
    names
        .filter(|name| Path::new(name).extension().is_some_and(|extension| extension == "md"))
        .find(|name| name.contains('/') && !exists(name))
        .map(str::to_owned)
}

#[test]
fn comments_cite_only_what_is_in_the_repository() {
    let mut count = 0;
    let mut bad = String::new();
    for (path, text) in own(is_source) {
        for (line, comment) in comments(path.to_str().unwrap(), &text) {
            count += 1;
            if let Some(cited) = astray(&comment) {
                writeln!(bad, "{}:{line}: {cited}", path.display()).unwrap();
            }
        }
    }
    assert!(count > 1000, "only {count} comments were found");
    assert!(bad.is_empty(), "cited and not here; cite docs/design.md#… or docs/incidents.md#…\n{bad}");
}

#[test]
fn a_citation_of_what_is_not_here_is_noticed() {
    let cases = fs::read_to_string(root().join("tests/fixtures/citations.txt")).unwrap();
    for case in cases.lines() {
        let (cited, comment) = case.split_once('\t').unwrap();
        assert_eq!(astray(comment).as_deref().unwrap_or("none"), cited, "{comment}");
    }
    assert!(cases.lines().count() > 8, "cases are missing");
}

#[test]
fn comments_are_told_from_code() {
    let text = "a = 1  # one\n\"\"\"two\nthree\"\"\"\nb = '#'\n";
    let lines: Vec<usize> = comments("a.py", text).into_iter().map(|(line, _)| line).collect();
    assert_eq!(lines, [1, 2, 3, 4]);
    let lines = comments("a.rs", "fn a() {} // one\nfn b() {}\n/// two\n");
    assert_eq!(lines, [(1, "// one".to_owned()), (3, "/// two".to_owned())]);
}

/// The page of rules, from what the program says of them.
fn rules() -> String {
    let rules: Vec<Value> = serde_json::from_str(&printed(&["rules", "--format", "json"])).unwrap();
    let text = |rule: &Value, key: &str| rule[key].as_str().unwrap_or("—").to_owned();
    let mut page =
        "# Rules\n\nWhat `bottle-migrate explain RULE` prints, for every rule. `just bless` writes this \
                    page; do not edit it.\n\n| Rule | Severity | Law | Summary |\n|---|---|---|---|\n"
            .to_owned();
    for rule in &rules {
        let [id, severity, law, summary] = ["id", "severity", "law", "summary"].map(|key| text(rule, key));
        writeln!(page, "| [`{id}`](#{id}) | {severity} | {law} | {summary} |").unwrap();
    }
    for rule in &rules {
        let id = text(rule, "id");
        let explained = printed(&["explain", &id]);
        let (_, body) = explained.split_once("\n\n").unwrap();
        write!(page, "\n## {id}\n\n{}\n", body.trim_end()).unwrap();
    }
    page
}

#[test]
fn the_page_of_rules_is_what_the_program_says() {
    let path = root().join("docs/rules.md");
    let page = rules();
    if std::env::var_os("BLESS").is_some() {
        fs::write(&path, &page).unwrap();
    }
    let written = fs::read_to_string(path).unwrap_or_default();
    assert!(page.lines().count() > 300, "the program explains too few rules");
    assert!(written == page, "docs/rules.md is not what the program says; `just bless` writes it again");
}

#[test]
fn each_broken_example_links_to_its_incident() {
    let incidents = anchors(&fs::read_to_string(root().join("docs/incidents.md")).unwrap());
    for number in 1..=21 {
        assert!(incidents.contains(&format!("i{number}")), "docs/incidents.md has no i{number}");
    }
    for entry in fs::read_dir(root().join("examples/broken")).unwrap() {
        let folder = entry.unwrap().path();
        let name = folder.file_name().unwrap().to_str().unwrap();
        let number: u32 = name[1..3].parse().unwrap();
        let link = format!("docs/incidents.md#i{number}\n");
        for file in ["legacy.yml", "bundle.yml"] {
            assert!(fs::read_to_string(folder.join(file)).unwrap().contains(&link), "{name}/{file}");
        }
        assert!(fs::read_to_string(root().join("docs/incidents.md")).unwrap().contains(name), "{name}");
    }
}
