//! The laws over compose projects of other people: each meaningful edit of any of their files is found, and what is
//! written in another way is not. Edits are sampled, the same ones each time.

use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path, PathBuf};

use bottle_migrate::aspects;
use bottle_migrate::compose::{self, Document, Surroundings, Unreadable};
use bottle_migrate::view::{Roles, View};
use bottle_model::images::Images;
use rayon::prelude::*;
use serde_yaml::{Mapping, Value};

use crate::meaning::Meaning;
use crate::mutants;
use crate::rewrites::{respelled, yaml};

/// One edit in so many is tried.
const STEP: usize = 3;

/// A compose project: its files by absolute path.
#[derive(Clone)]
struct Project {
    name: String,
    files: BTreeMap<PathBuf, String>,
    main: Vec<PathBuf>,
}

impl Project {
    fn read(&self) -> Result<Document, String> {
        let surroundings = Surroundings {
            variable: &|_| None,
            file: &|path| self.files.get(path).cloned().ok_or(Unreadable::Absent),
            absolute: &|path| path.to_owned(),
        };
        let read = compose::read(&self.main, &surroundings);
        read.map(|(document, _)| document).map_err(|error| error.to_string())
    }

    fn with(&self, path: &Path, text: String) -> Self {
        let mut other = self.clone();
        other.files.insert(path.to_owned(), text);
        other
    }

    /// The same with one more override.
    fn over(&self, text: String) -> Self {
        let path = PathBuf::from("/project/over.yaml");
        let mut other = self.with(&path, text);
        other.main.push(path);
        other
    }
}

fn files(folder: &Path, below: &Path, found: &mut BTreeMap<PathBuf, String>) {
    for entry in std::fs::read_dir(folder).unwrap() {
        let path = entry.unwrap().path();
        let place = below.join(path.file_name().unwrap());
        if path.is_dir() {
            files(&path, &place, found);
        } else {
            found.insert(place, std::fs::read_to_string(path).unwrap());
        }
    }
}

fn projects() -> Vec<Project> {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/fixtures/compose");
    let mut projects: Vec<Project> = std::fs::read_dir(folder)
        .unwrap()
        .map(|entry| entry.unwrap().path())
        .filter_map(|path| {
            let name = path.file_name()?.to_str()?.to_owned();
            name.starts_with("foreign-").then_some((name, path))
        })
        .map(|(name, path)| {
            let mut found = BTreeMap::new();
            files(&path, Path::new("/project"), &mut found);
            let main = ["compose.yaml", "compose.override.yaml"].map(|file| Path::new("/project").join(file));
            let main = main.into_iter().filter(|file| found.contains_key(file)).collect();
            Project { name, files: found, main }
        })
        .collect();
    projects.sort_by(|a, b| a.name.cmp(&b.name));
    assert!(projects.len() >= 40, "the projects are missing: {}", projects.len());
    projects
}

/// Every service is a principal of its own, and of no image anything is known.
fn roles(document: &Document) -> Roles {
    let services = || document.compose.services.keys().enumerate();
    let names: Vec<String> = services().map(|(at, service)| format!("d{at} = {service:?}\n")).collect();
    let rows: Vec<String> =
        services().map(|(at, _)| format!("[[daemon]]\nname = 'd{at}'\nargv = ['/d{at}']\n")).collect();
    let (names, rows) = (names.concat(), rows.concat());
    let map = format!("agent = 'nobody'\nbundle = 'nothing'\n[services]\n{names}{rows}");
    Roles::from_map(&map, &Images::default()).unwrap_or_else(|error| panic!("{map}{error}"))
}

/// What is found between two documents, either way.
fn found(one: &Document, other: &Document, roles: &Roles) -> Vec<String> {
    let (one, other) = (View::of(one, roles), View::of(other, roles));
    let both = [aspects::compare(&one, &other), aspects::compare(&other, &one)];
    both.iter()
        .flatten()
        .map(|finding| format!("{} {} {}", finding.rule.id, finding.principal, finding.subject))
        .collect()
}

/// Whether an edited project means something else, or what is wrong with the comparison; `None` if it is refused.
fn judged(project: &Project, original: &Document, roles: &Roles, what: &str) -> Option<Result<bool, String>> {
    let mutant = project.read().ok()?;
    let differs = Meaning::of(&mutant) != Meaning::of(original);
    let (one, other) = (View::of(original, roles), View::of(&mutant, roles));
    for (way, findings) in [
        ("before to after", aspects::compare(&one, &other)),
        ("after to before", aspects::compare(&other, &one)),
    ] {
        if findings.is_empty() == differs {
            let kind = if differs { "no finding" } else { "false alarm" };
            let first = findings.first().map(|finding| format!("{finding:?}")).unwrap_or_default();
            return Some(Err(format!("{}: {kind} {way}: {what} {first}", project.name)));
        }
    }
    Some(Ok(differs))
}

/// What came of the edits of a project.
#[derive(Default)]
struct Tally {
    /// Edits that change the meaning, and those that do not.
    read: [usize; 2],
    /// Edits that Compose refuses.
    refused: usize,
    /// Edits whose comparison is wrong.
    escaped: Vec<String>,
}

/// Edits every file of a project.
fn edits(project: &Project) -> Tally {
    let original = project.read().unwrap_or_else(|error| panic!("{}: {error}", project.name));
    let roles = roles(&original);
    let mut tally = Tally::default();
    let mut judge = |what: &str, mutant: &Project| match judged(mutant, &original, &roles, what) {
        Some(Ok(differs)) => tally.read[usize::from(!differs)] += 1,
        Some(Err(escape)) => tally.escaped.push(escape),
        None => tally.refused += 1,
    };
    for (path, text) in &project.files {
        let name = path.display();
        if path.extension().is_some_and(|extension| extension == "yaml" || extension == "yml") {
            // Several documents in one file are edited as they come, and not at all.
            let Ok(tree) = serde_yaml::from_str::<Value>(text) else { continue };
            if project.with(path, yaml(&tree)).read().as_ref() != Ok(&original) {
                continue;
            }
            let mut at = 0;
            mutants::each(&tree, |what, mutant| {
                at += 1;
                if usize::is_multiple_of(at, STEP) {
                    judge(&format!("{name}: {what}"), &project.with(path, yaml(mutant)));
                }
            });
        } else {
            // Variables and labels, one a line.
            for (at, line) in text.lines().enumerate().filter(|(_, line)| line.contains('=')) {
                let other = text.replacen(line, &format!("{line}-other"), 1);
                judge(&format!("{name}:{}", at + 1), &project.with(path, other));
                judge(&format!("{name}: delete {}", at + 1), &project.with(path, text.replacen(line, "", 1)));
            }
        }
    }
    for (what, text) in nulls(&original) {
        judge(&what, &project.over(text));
    }
    tally
}

/// Overrides with a bare name over a value.
fn nulls(document: &Document) -> Vec<(String, String)> {
    let mut overrides = Vec::new();
    for (name, service) in &document.compose.services {
        for variable in service.environment.keys().take(2) {
            let null = serde_json::json!({ "services": { name: { "environment": { variable: null } } } });
            let bare = serde_json::json!({ "services": { name: { "environment": [variable] } } });
            overrides.push((format!("null over {name} {variable}"), null.to_string()));
            overrides.push((format!("bare {variable} over {name}"), bare.to_string()));
        }
        for label in service.labels.keys().take(1) {
            let null = serde_json::json!({ "services": { name: { "labels": { label: null } } } });
            overrides.push((format!("null over {name} {label}"), null.to_string()));
        }
    }
    overrides
}

#[test]
fn every_effective_edit_of_a_foreign_project_has_a_finding() {
    let results: Vec<Tally> = projects().par_iter().map(edits).collect();
    let sum = |count: fn(&Tally) -> usize| results.iter().map(count).sum::<usize>();
    let (differ, same, refused) =
        (sum(|tally| tally.read[0]), sum(|tally| tally.read[1]), sum(|tally| tally.refused));
    let tried = results.iter().filter(|tally| tally.read[0] > 0).count();
    assert!(tried >= 40, "{tried} projects were edited");
    assert!(
        differ > 1500 && same > 50 && refused < differ,
        "{differ} differ, {same} do not, {refused} refused"
    );
    let escaped: Vec<&String> = results.iter().flat_map(|tally| &tally.escaped).collect();
    let shown: Vec<&&String> = escaped.iter().take(60).collect();
    assert!(escaped.is_empty(), "{} escaped of {differ}: {shown:#?}", escaped.len());
}

/// The same project in other files: what each way to rewrite it gives.
fn rewritten(project: &Project, tree: &Value, text: &str) -> Vec<(&'static str, Project)> {
    let single = Project {
        files: BTreeMap::from([(PathBuf::from("/project/compose.yaml"), text.to_owned())]),
        main: vec!["/project/compose.yaml".into()],
        ..project.clone()
    };
    let mut nulls = Mapping::new();
    for (name, service) in tree["services"].as_mapping().into_iter().flatten() {
        let keys = service.as_mapping().into_iter().flatten();
        // Nothing over these is a value of its own, or refused.
        let kept =
            keys.filter(|(key, _)| !matches!(key.as_str(), Some("command" | "entrypoint" | "logging")));
        nulls.insert(
            name.clone(),
            Value::from(kept.map(|(key, _)| (key.clone(), Value::Null)).collect::<Mapping>()),
        );
    }
    let nulls = Value::from(Mapping::from_iter([(Value::from("services"), Value::from(nulls))]));
    let name =
        tree.get("name").map_or_else(String::new, |name| format!("name: {}\n", name.as_str().unwrap()));
    let mut included = single.clone();
    included.files.insert("/project/inner/all.yaml".into(), text.to_owned());
    let include = format!("{name}include: [{{path: inner/all.yaml, project_directory: .}}]\n");
    included.files.insert("/project/compose.yaml".into(), include);
    vec![
        ("canonical", single.clone()),
        ("nulls over values", single.over(yaml(&nulls))),
        ("included", included),
    ]
}

#[test]
fn a_foreign_project_written_in_another_way_has_no_finding() {
    let results: Vec<(Vec<String>, BTreeSet<&'static str>)> = projects()
        .par_iter()
        .map(|project| {
            let original = project.read().unwrap();
            let roles = roles(&original);
            let (mut wrong, mut fitted) = (Vec::new(), BTreeSet::new());
            let mut judge = |how: &'static str, document: Result<Document, String>, against: &Document| {
                fitted.insert(how);
                let objection = match document {
                    Err(error) => Some(error),
                    Ok(document) => {
                        let same = Meaning::of(&document) == Meaning::of(against);
                        let findings = found(against, &document, &roles);
                        (!same || !findings.is_empty()).then(|| format!("same: {same} {findings:?}"))
                    }
                };
                wrong.extend(objection.map(|objection| format!("{}: {how}: {objection}", project.name)));
            };
            judge("itself", Ok(original.clone()), &original);
            let text = original.compose.to_yaml();
            let tree: Value = serde_yaml::from_str(&text).unwrap();
            // What is written of a few projects reads otherwise, and they are compared with that.
            let written = rewritten(project, &tree, &text);
            let Ok(canonical) = written[0].1.read() else { return (wrong, fitted) };
            for (how, project) in &written {
                judge(how, project.read(), &canonical);
            }
            for (how, tree) in respelled(&tree) {
                let other = written[0].1.with(Path::new("/project/compose.yaml"), yaml(&tree));
                judge(how, other.read(), &canonical);
            }
            (wrong, fitted)
        })
        .collect();
    let wrong: Vec<&String> = results.iter().flat_map(|(wrong, _)| wrong).collect();
    let shown: Vec<&&String> = wrong.iter().take(60).collect();
    assert!(wrong.is_empty(), "{}: {shown:#?}", wrong.len());
    let fitted: BTreeSet<&str> = results.iter().flat_map(|(_, fitted)| fitted).copied().collect();
    for how in [
        "included",
        "nulls over values",
        "a port twice",
        "a device twice",
        "a mount twice",
        "explicit defaults",
    ] {
        assert!(fitted.contains(how), "{how} fitted nowhere: {fitted:?}");
    }
}
