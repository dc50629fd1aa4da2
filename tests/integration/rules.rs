//! Every rule has an explanation, and a pair of files in which it fires and no other does.

use std::collections::BTreeSet;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use bottle_migrate::aspects;
use bottle_migrate::compose::read_text;
use bottle_migrate::rule::{Description, RuleId};
use bottle_migrate::view::{Roles, View};
use bottle_model::images::Images;

/// No input makes a renderer fail; `aspects::nondeterministic`, `witness::check` and mergers have tests of their own. The reader
/// refuses a file that declares less than it uses, as Compose does; only a document from elsewhere can.
const WITHOUT_INPUT: [&str; 4] =
    ["render-nondeterministic", "plan-disregarded", "volume-undeclared", "merge-conflict"];

/// Rules about what images hold have their cases in [`crate::images`].
fn is_of_images(rule: &str) -> bool {
    crate::images::CASES.iter().any(|(other, ..)| *other == rule)
}

fn rules() -> impl Iterator<Item = Description> {
    RuleId::comparisons()
}

fn folder(rule: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/fixtures/rules").join(rule)
}

fn roles(folder: &Path) -> Roles {
    match fs::read_to_string(folder.join("map.toml")) {
        Ok(map) => Roles::from_map(&map, &Images::default()).unwrap(),
        Err(_) => Roles::builtin(&Images::default()),
    }
}

/// Rules that fire between two files of a folder.
fn fired(folder: &Path, legacy: &str, bundle: &str) -> BTreeSet<String> {
    let roles = roles(folder);
    let read = |file: &str| {
        let text = fs::read_to_string(folder.join(file)).unwrap();
        read_text(&text, &|_| None).unwrap_or_else(|error| panic!("{folder:?} {file}: {error}"))
    };
    let (legacy, bundle) = (read(legacy), read(bundle));
    let findings = aspects::compare(&View::of(&legacy, &roles), &View::of(&bundle, &roles));
    findings.into_iter().map(|finding| finding.rule.id.to_string()).collect()
}

/// Rules that fire when the program compares the plans of a folder.
fn reported(folder: &Path) -> BTreeSet<String> {
    let mut command = Command::new(env!("CARGO_BIN_EXE_bottle-migrate"));
    command.args(["diff", "--format", "json"]).current_dir(folder).env_clear();
    let report: serde_json::Value = serde_json::from_slice(&command.output().unwrap().stdout).unwrap();
    let findings = report["findings"].as_array().unwrap();
    findings.iter().map(|finding| finding["rule"].as_str().unwrap().to_owned()).collect()
}

/// The rule and, where it cannot come alone, those that `also` names.
fn expected(folder: &Path, rule: &str) -> BTreeSet<String> {
    let also = fs::read_to_string(folder.join("also")).unwrap_or_default();
    also.lines().chain([rule]).map(str::to_owned).collect()
}

#[test]
fn each_fires_in_its_pair_and_alone() {
    for rule in
        rules().map(|rule| rule.id.as_str()).filter(|id| !WITHOUT_INPUT.contains(id) && !is_of_images(id))
    {
        let folder = folder(rule);
        assert!(folder.is_dir(), "{rule} has no fixture: {}", folder.display());
        let found = if folder.join("plan.json").exists() {
            reported(&folder)
        } else {
            fired(&folder, "legacy.yml", "bundle.yml")
        };
        assert_eq!(found, expected(&folder, rule), "{rule}");
    }
}

#[test]
fn a_volume_that_loses_its_declaration_is_found_where_no_reader_refuses_it() {
    let text = "services: {agent: {image: i, volumes: ['cache:/cache']}}\nvolumes: {cache: }\n";
    let declared = read_text(text, &|_| None).unwrap();
    let mut bare = declared.clone();
    bare.compose.volumes.clear();
    let roles = Roles::builtin(&Images::default());
    let found = |after| {
        let findings = aspects::compare(&View::of(&declared, &roles), &View::of(after, &roles));
        findings.iter().any(|finding| finding.rule.id.as_str() == "volume-undeclared")
    };
    assert!(found(&bare) && !found(&declared));
    assert!(read_text(text.split('\n').next().unwrap(), &|_| None).is_err());
}

/// What the checker does not understand is a finding even against itself, and so is an address where nobody listens.
const CLOSED: [&str; 4] =
    ["attribute-unmodelled", "service-unmapped", "shape-unexpected", "address-unreachable"];

#[test]
fn none_fires_between_a_file_and_itself() {
    for entry in fs::read_dir(folder("")).unwrap() {
        let folder = entry.unwrap().path();
        for file in ["legacy.yml", "bundle.yml"] {
            if folder.join(file).exists() {
                let fired = fired(&folder, file, file);
                let open: Vec<&String> = fired.iter().filter(|id| !CLOSED.contains(&id.as_str())).collect();
                assert!(open.is_empty(), "{folder:?} {file}: {open:?}");
            }
        }
    }
}

#[test]
fn each_fixture_is_some_rules() {
    let ids: BTreeSet<&str> = rules().map(|rule| rule.id.as_str()).collect();
    for entry in fs::read_dir(folder("")).unwrap() {
        let name = entry.unwrap().file_name().into_string().unwrap();
        assert!(ids.contains(name.as_str()), "{name} is no rule");
    }
}

#[test]
fn each_has_an_id_of_its_own_and_explains_itself() {
    let mut ids = BTreeSet::new();
    for rule in rules() {
        assert!(ids.insert(rule.id), "{} occurs twice", rule.id);
        assert!(rule.id.as_str().chars().all(|c| c.is_ascii_lowercase() || c == '-'), "{} is no id", rule.id);
        assert!(!rule.summary.ends_with('.') && rule.summary.len() > 10, "{}: {}", rule.id, rule.summary);
        let paragraphs: Vec<&str> = rule.doc.split("\n\n").collect();
        let [what, example, to_do] = paragraphs[..] else { panic!("{}: {paragraphs:?}", rule.id) };
        assert!(what.len() > 100, "{} says too little: {what}", rule.id);
        assert!(example.starts_with("Example: ") && to_do.starts_with("What to do: "), "{}", rule.id);
        assert!(!rule.doc.contains("  ") && !rule.doc.contains(" \n"), "{} has stray spaces", rule.id);
    }
}
