//! The laws, for every plan: comparing with itself finds nothing, and every meaningful edit is found.

use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;
use std::sync::LazyLock;

use bottle_migrate::aspects;
use bottle_migrate::compose::{Document, read_text, read_value};
use bottle_migrate::finding::Finding;
use bottle_migrate::view::{Roles, View};
use bottle_model::images::Images;
use bottle_model::plan::Plan;
use rayon::prelude::*;

use crate::meaning::Meaning;
use crate::mutants;

/// A finding without its message.
type Mark = (&'static str, String, String, Option<String>, Option<String>);

fn mark(finding: Finding) -> Mark {
    (
        finding.rule.id.as_str(),
        finding.principal,
        finding.subject,
        finding.before.map(|shown| shown.text),
        finding.after.map(|shown| shown.text),
    )
}

static ROLES: LazyLock<Roles> = LazyLock::new(|| Roles::builtin(&Images::default()));

pub(crate) fn view(document: &Document) -> View<'_> {
    View::of(document, &ROLES)
}

fn read(text: &str) -> Option<Document> {
    read_text(text, &|_| None).ok()
}

fn marks(before: &View<'_>, after: &View<'_>) -> BTreeSet<Mark> {
    let findings = aspects::compare(before, after);
    for finding in &findings {
        let texts = finding.before.as_ref().zip(finding.after.as_ref());
        assert!(
            texts.is_none_or(|(before, after)| before.text != after.text),
            "the same text twice: {finding:?}"
        );
    }
    findings.into_iter().map(mark).collect()
}

pub(crate) fn examples() -> Vec<(String, Plan)> {
    let mut plans: Vec<(String, Plan)> =
        std::fs::read_dir(Path::new(env!("CARGO_MANIFEST_DIR")).join("examples"))
            .unwrap()
            .map(|entry| entry.unwrap().path())
            .filter(|path| path.extension().is_some_and(|extension| extension == "json"))
            .map(|path| {
                let text = std::fs::read_to_string(&path).unwrap();
                let name = path.file_name().unwrap().to_string_lossy().into_owned();
                (name, bottle_model::plan::read(&text).unwrap())
            })
            .collect();
    plans.sort_by(|a, b| a.0.cmp(&b.0));
    assert!(plans.len() >= 5, "the examples are missing");
    plans
}

/// Both shapes of a plan as text.
pub(crate) fn shapes(plan: &Plan) -> (String, String) {
    let images = Images::default();
    let bundle = bottle_bundle::render(plan, &images).unwrap();
    (bottle_legacy::render(plan, &images).to_yaml(), bundle.to_yaml())
}

/// Counts of a document's mutants.
#[derive(Default)]
struct Tally {
    /// Mutants that the reader accepts.
    read: usize,
    /// Mutants that the reader refuses.
    refused: usize,
    /// Mutants with a missing finding or a false alarm.
    escaped: Vec<String>,
}

impl Tally {
    fn add(mut self, other: Self) -> Self {
        self.read += other.read;
        self.refused += other.refused;
        self.escaped.extend(other.escaped);
        self
    }
}

/// Every mutant of each document, or one in so many, beginning with a certain one.
#[derive(Clone, Copy)]
struct Sample {
    step: usize,
    first: usize,
}

/// Mutates one shape. Each mutant is compared with the original, both ways, and with the other shape.
fn walk(name: &str, text: &str, sample: Sample, across: &dyn Fn(&View<'_>) -> BTreeSet<Mark>) -> Tally {
    let original = read(text).unwrap();
    let (meaning, before) = (Meaning::of(&original), view(&original));
    let baseline = across(&before);
    let mut tally = Tally::default();
    let mut at = sample.first;
    mutants::each(&serde_yaml::from_str(text).unwrap(), |what, mutant| {
        at += 1;
        if !at.is_multiple_of(sample.step) {
            return;
        }
        let Ok(mutant) = read_value(mutant, &|_| None) else {
            tally.refused += 1;
            return;
        };
        tally.read += 1;
        let (mutated, after) = (Meaning::of(&mutant), view(&mutant));
        let differs = mutated != meaning;
        for (way, differs, shows) in [
            ("before to after", differs, !marks(&before, &after).is_empty()),
            ("after to before", differs, !marks(&after, &before).is_empty()),
            // A mutant that resembles the other shape more closely removes a finding.
            ("across", mutated.of_one_house() != meaning.of_one_house(), across(&after) != baseline),
        ] {
            if shows != differs {
                let kind = if shows { "false alarm" } else { "no finding" };
                tally.escaped.push(format!("{name}: {kind} {way}: {what}"));
            }
        }
    });
    tally
}

fn check(name: &str, plan: &Plan, sample: Sample) -> Tally {
    let (legacy, bundle) = shapes(plan);
    let documents = (read(&legacy).unwrap(), read(&bundle).unwrap());
    let (before, after) = (view(&documents.0), view(&documents.1));
    walk(&format!("{name}, bundle"), &bundle, sample, &|mutant| marks(&before, mutant)).add(walk(
        &format!("{name}, legacy"),
        &legacy,
        sample,
        &|mutant| marks(mutant, &after),
    ))
}

/// The law of plans; of each, one mutant in `step` is tried, beginning with another one.
fn law(plans: &[(String, Plan)], step: usize) {
    let numbered = plans.par_iter().enumerate();
    let tally = numbered
        .map(|(at, (name, plan))| check(name, plan, Sample { step, first: at % step }))
        .reduce(Tally::default, Tally::add);
    let Tally { read, refused, escaped } = &tally;
    assert!(*read > 500 * plans.len() / step, "the walk found hardly anything to change: {read}");
    assert!(refused < read, "most mutants are no compose files: {refused} beside {read}");
    let kinds: BTreeMap<&str, &str> = escaped
        .iter()
        .rev()
        .filter_map(|escape| escape.split_once(": "))
        .map(|(of, what)| (what, of))
        .collect();
    let shown: Vec<String> = kinds.iter().take(60).map(|(what, of)| format!("{what} ({of})")).collect();
    assert!(escaped.is_empty(), "{} of {read} mutants escaped:\n{}", escaped.len(), shown.join("\n"));
}

#[test]
fn every_effective_mutant_of_the_examples_has_a_finding() {
    law(&examples(), 1);
}

#[test]
fn every_effective_mutant_of_generated_plans_has_a_finding() {
    law(&crate::plans::rendering_samples(), 4);
}

#[test]
fn a_document_against_itself_has_no_finding() {
    for (name, plan) in examples() {
        let (legacy, bundle) = shapes(&plan);
        for text in [legacy, bundle] {
            let document = read(&text).unwrap();
            let view = view(&document);
            assert_eq!(marks(&view, &view), BTreeSet::new(), "{name}");
        }
    }
}

#[test]
fn two_shapes_of_a_plan_differ_by_broadenings_alone() {
    for (name, plan) in examples() {
        let images = Images::default();
        let before = Document::from(bottle_legacy::render(&plan, &images));
        let after = Document::from(bottle_bundle::render(&plan, &images).unwrap());
        let (before, after) = (view(&before), view(&after));
        for finding in aspects::compare(&before, &after) {
            assert!(crate::broadenings::accepted(&finding, &before), "{name}: {finding:?}");
        }
    }
}

#[test]
fn a_rendered_file_reads_back_as_what_was_rendered() {
    for (name, plan) in examples() {
        let images = Images::default();
        for compose in [bottle_legacy::render(&plan, &images), bottle_bundle::render(&plan, &images).unwrap()]
        {
            let read = read(&compose.to_yaml()).unwrap();
            assert_eq!(marks(&view(&compose.into()), &view(&read)), BTreeSet::new(), "{name}");
        }
    }
}

#[test]
fn the_examples_satisfy_the_schema_and_typical_mistakes_do_not() {
    let schema = jsonschema::validator_for(&bottle_model::plan::schema()).unwrap();
    for name in ["full", "minimal", "egress-first", "extras", "require", "needs-waiver"] {
        let path = Path::new(env!("CARGO_MANIFEST_DIR")).join(format!("examples/{name}.plan.json"));
        let plan: serde_json::Value = serde_json::from_str(&std::fs::read_to_string(path).unwrap()).unwrap();
        assert!(schema.is_valid(&plan), "{name}: {:?}", schema.iter_errors(&plan).next());
        for (pointer, value) in [
            ("/slug", serde_json::json!("Not A Slug")),
            ("/agent/volumes/0/target", serde_json::json!("relative")),
            ("/pipelock/config", serde_json::json!(7)),
            ("/schema", serde_json::json!("bottle-migrate/plan/2")),
        ] {
            let mut broken = plan.clone();
            *broken.pointer_mut(pointer).unwrap() = value;
            assert!(!schema.is_valid(&broken), "{name} {pointer} by the schema");
            assert!(bottle_model::plan::read(&broken.to_string()).is_err(), "{name} {pointer} by the types");
        }
        let mut unknown = plan.clone();
        unknown["agnet"] = serde_json::json!({});
        assert!(!schema.is_valid(&unknown));
        let error = bottle_model::plan::read(&unknown.to_string()).unwrap_err();
        assert_eq!(error.hint.as_deref(), Some("did you mean agent?"));
    }
}
