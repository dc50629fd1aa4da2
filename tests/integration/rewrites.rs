//! Rewriting a document without changing its meaning gives no finding. The rewrites know Compose's syntax and no rule.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::sync::{LazyLock, Mutex};

use bottle_migrate::aspects;
use bottle_migrate::compose::{self, Document, Surroundings, Unreadable, read_text, read_value};
use rayon::prelude::*;
use regex::Regex;
use serde_yaml::{Mapping, Value};

use crate::laws::{examples, shapes, view};
use crate::meaning::Meaning;
use crate::spellings::SPELLINGS;

/// Writes one node in another way, where it can: given its place.
pub(crate) type Spelling = fn(&[&str], &Value) -> Option<Value>;

/// Puts quotes round texts that Compose's YAML, unlike the writer's, takes for numbers: it leaves out underscores.
fn quoted(yaml: &str) -> String {
    static NUMBERS: LazyLock<Regex> =
        LazyLock::new(|| Regex::new(r"(?m)(: |- |^)([0-9][0-9a-f.]*_[0-9a-f_.]*)$").unwrap());
    NUMBERS.replace_all(yaml, "$1'$2'").into_owned()
}

/// Rewrites every node that fits, or only one of them. Returns how many fitted.
fn respell(node: &mut Value, place: &mut Vec<String>, spelling: Spelling, only: Option<usize>) -> usize {
    fn walk(node: &mut Value, place: &mut Vec<String>, spell: &mut dyn FnMut(&[&str], &mut Value)) {
        match node {
            Value::Mapping(map) => {
                for (key, child) in map.iter_mut() {
                    place.push(key.as_str().unwrap_or_default().to_owned());
                    walk(child, place, spell);
                    place.pop();
                }
            }
            Value::Sequence(items) => {
                for (at, child) in items.iter_mut().enumerate() {
                    place.push(at.to_string());
                    walk(child, place, spell);
                    place.pop();
                }
            }
            _ => {}
        }
        let names: Vec<&str> = place.iter().map(String::as_str).collect();
        spell(&names, node);
    }
    let mut fitted = 0;
    walk(node, place, &mut |place, node| {
        if let Some(other) = spelling(place, node) {
            if only.is_none_or(|only| only == fitted) {
                *node = other;
            }
            fitted += 1;
        }
    });
    fitted
}

/// A document in each spelling that fits somewhere.
pub(crate) fn respelled(tree: &Value) -> Vec<(&'static str, Value)> {
    let spelled = |(how, spelling): &(&'static str, Spelling)| {
        let mut other = tree.clone();
        (respell(&mut other, &mut Vec::new(), *spelling, None) > 0).then_some((*how, other))
    };
    SPELLINGS.iter().filter_map(spelled).collect()
}

/// What is wrong with a rewritten document.
fn objection(original: &Document, rewritten: &Document) -> Option<String> {
    let (before, after) = (view(original), view(rewritten));
    if let Some(finding) =
        [aspects::compare(&before, &after), aspects::compare(&after, &before)].concat().pop()
    {
        return Some(format!("{finding:?}"));
    }
    (Meaning::of(original) != Meaning::of(rewritten)).then(|| "it means something else".to_owned())
}

/// A text of the document in another style.
type Style = fn(&Value) -> Option<String>;

const STYLES: &[(&str, Style)] = &[
    ("JSON", |tree| Some(serde_json::to_string_pretty(tree).unwrap())),
    ("JSON on one line", |tree| Some(serde_json::to_string(tree).unwrap())),
    ("CRLF", |tree| Some(yaml(tree).replace('\n', "\r\n")).filter(|_| !has_blocks(tree))),
    ("byte order mark", |tree| Some(format!("\u{feff}{}", yaml(tree)))),
    ("comments", |tree| Some(format!("# first\n\n---\n{}# last\n", yaml(tree)))),
    ("document end", |tree| Some(format!("%YAML 1.1\n---\n{}...\n", yaml(tree)))),
    ("wide indent", |tree| {
        let deeper = |line: &str| {
            let text = line.trim_start();
            let dash = if text.starts_with("- ") { text.replacen("- ", "-   ", 1) } else { text.to_owned() };
            format!("{:1$}{dash}\n", "", 2 * (line.len() - text.len()))
        };
        Some(yaml(tree).lines().map(deeper).collect()).filter(|_| !has_blocks(tree))
    }),
    ("single quotes", |tree| {
        let mut text = String::new();
        single_quoted(tree, &mut text).then_some(text)
    }),
    ("anchors", anchors),
];

pub(crate) fn yaml(tree: &Value) -> String {
    quoted(&serde_yaml::to_string(tree).unwrap())
}

/// Whether a text may be written over several lines.
fn has_blocks(tree: &Value) -> bool {
    let text = yaml(tree);
    text.lines().any(|line| line.ends_with(['|', '>', '-', '+']) || line.contains("? "))
}

/// Flow style with every text in single quotes; `false` if one cannot be.
fn single_quoted(tree: &Value, text: &mut String) -> bool {
    let mut enclosed = |open: char, parts: Vec<(Option<&Value>, &Value)>, close: char| {
        text.push(open);
        for (key, value) in parts {
            if let Some(key) = key {
                if !single_quoted(key, text) {
                    return false;
                }
                text.push_str(": ");
            }
            if !single_quoted(value, text) {
                return false;
            }
            text.push_str(", ");
        }
        text.push(close);
        true
    };
    match tree {
        Value::String(string) => {
            text.extend(["'", &string.replace('\'', "''"), "'"]);
            !string
                .contains(|c: char| c.is_control() || c == '\u{2028}' || c == '\u{2029}' || c == '\u{feff}')
        }
        Value::Mapping(map) => {
            enclosed('{', map.iter().map(|(key, value)| (Some(key), value)).collect(), '}')
        }
        Value::Sequence(items) => enclosed('[', items.iter().map(|item| (None, item)).collect(), ']'),
        scalar => {
            text.push_str(quoted(serde_yaml::to_string(scalar).unwrap().trim()).as_str());
            true
        }
    }
}

/// Half of each service comes from an extension field by a merge key.
fn anchors(tree: &Value) -> Option<String> {
    let mut tree = tree.clone();
    let mut shared = Mapping::new();
    for (name, service) in tree.get_mut("services")?.as_mapping_mut()? {
        let service = service.as_mapping_mut()?;
        let keys: Vec<Value> = service.keys().step_by(2).cloned().collect();
        let half: Mapping =
            keys.into_iter().map(|key| (key.clone(), service.remove(&key).unwrap())).collect();
        let name = name.as_str()?;
        service.insert(Value::from("<<"), Value::from(format!("@{name}@")));
        shared.insert(Value::from(format!("x-@{name}@")), half.into());
    }
    let services: Vec<String> = shared.keys().map(|key| key.as_str().unwrap()[2..].to_owned()).collect();
    // What is shared comes first: an alias follows its anchor.
    shared.extend(tree.as_mapping()?.clone());
    let mut text = serde_json::to_string(&shared).unwrap();
    for marked in services {
        let name = marked.trim_matches('@');
        text = text.replace(&format!("\"x-{marked}\":"), &format!("\"x-{name}\": &{name} "));
        text = text.replace(&format!("\"{marked}\""), &format!("*{name}"));
    }
    // In quotes it would be a name like any other.
    Some(text.replace("\"<<\":", "<<: "))
}

/// Reads a document with half of each service in an override.
fn in_two_files(tree: &Value) -> Result<Document, String> {
    let (mut base, mut over) = (tree.clone(), tree.clone());
    over.as_mapping_mut().unwrap().retain(|key, _| key == "services");
    for (half, rest) in [(&mut base, 0), (&mut over, 1)] {
        for (_, service) in half["services"].as_mapping_mut().unwrap() {
            let service = service.as_mapping_mut().unwrap();
            let keys: Vec<Value> = service.keys().skip(rest).step_by(2).cloned().collect();
            service.retain(|key, _| keys.contains(key));
        }
    }
    let files = [("/bottle/compose.yaml", yaml(&base)), ("/bottle/more.yaml", yaml(&over))];
    let surroundings = Surroundings {
        variable: &|_| None,
        file: &|path| {
            let found = files.iter().find(|(name, _)| Path::new(name) == path);
            found.map(|(_, text)| text.clone()).ok_or(Unreadable::Absent)
        },
        absolute: &|path| path.to_owned(),
    };
    let paths: Vec<PathBuf> = files.iter().map(|(name, _)| PathBuf::from(name)).collect();
    compose::read(&paths, &surroundings).map(|(document, _)| document).map_err(|error| error.to_string())
}

/// Every rewrite of one document: what is wrong, and how often each fitted.
fn rewrites(name: &str, text: &str, each: bool) -> (Vec<String>, BTreeMap<&'static str, usize>) {
    let original = read_text(text, &|_| None).unwrap();
    let tree: Value = serde_yaml::from_str(text).unwrap();
    let mut objections = Vec::new();
    let mut fitted: BTreeMap<&str, usize> = BTreeMap::new();
    let mut judge = |how: &'static str, document: Result<Document, String>, against: &Document| {
        *fitted.entry(how).or_default() += 1;
        let objection = document.map_or_else(Some, |document| objection(against, &document));
        objections.extend(objection.map(|objection| format!("{name}: {how}: {objection}")));
    };
    for (how, style) in STYLES {
        if let Some(text) = style(&tree) {
            judge(how, read_text(&text, &|_| None).map_err(|error| error.to_string()), &original);
        }
    }
    judge("two files", in_two_files(&tree), &original);
    let value = |tree: &Value| read_value(tree, &|_| None).map_err(|error| error.to_string());
    // The renderers never let the engine create a folder, which the short syntax does.
    let mut created = tree.clone();
    let folders: Spelling = |place, node| match place {
        ["services", _, "volumes", _] => {
            let mut mount = node.as_mapping()?.clone();
            mount.remove("bind").map(|_| mount.into())
        }
        _ => None,
    };
    respell(&mut created, &mut Vec::new(), folders, None);
    for tree in [tree, created] {
        let original = value(&tree).unwrap();
        for (how, spelling) in SPELLINGS {
            let mut all = tree.clone();
            let count = respell(&mut all, &mut Vec::new(), *spelling, None);
            if count > 0 {
                judge(how, value(&all), &original);
            }
            for only in (0..count).filter(|_| each && count > 1) {
                let mut one = tree.clone();
                respell(&mut one, &mut Vec::new(), *spelling, Some(only));
                judge(how, value(&one), &original);
            }
        }
    }
    (objections, fitted)
}

#[test]
fn what_is_written_in_another_way_has_no_finding() {
    let plans = examples().into_iter().map(|plan| (plan, true));
    let plans = plans.chain(crate::plans::rendering_samples().into_iter().map(|plan| (plan, false)));
    let total: Mutex<BTreeMap<&str, usize>> = Mutex::default();
    let objections: Vec<String> = plans
        .collect::<Vec<_>>()
        .par_iter()
        .flat_map(|((name, plan), each)| {
            let (legacy, bundle) = shapes(plan);
            let both = [("legacy", legacy), ("bundle", bundle)].map(|(shape, text)| {
                let (objections, fitted) = rewrites(&format!("{name}, {shape}"), &text, *each);
                let mut total = total.lock().unwrap();
                for (how, count) in fitted {
                    *total.entry(how).or_default() += count;
                }
                objections
            });
            both.concat()
        })
        .collect();
    let shown: Vec<&str> = objections.iter().take(40).map(String::as_str).collect();
    assert!(objections.is_empty(), "{}:\n{}", objections.len(), shown.join("\n"));
    let total = total.into_inner().unwrap();
    for how in STYLES.iter().map(|(how, _)| how).chain(SPELLINGS.iter().map(|(how, _)| how)) {
        assert!(total.contains_key(how), "{how} fitted nowhere");
    }
}

#[test]
fn a_generated_document_against_itself_has_no_finding() {
    for (name, plan) in crate::plans::rendering_samples() {
        let (legacy, bundle) = shapes(&plan);
        for text in [legacy, bundle] {
            let document = read_text(&text, &|_| None).unwrap_or_else(|error| panic!("{error:?}\n{text}"));
            let findings = aspects::compare(&view(&document), &view(&document));
            assert!(findings.is_empty(), "{name}: {findings:?}");
        }
    }
}
