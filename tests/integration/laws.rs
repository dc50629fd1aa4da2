//! The laws that hold for every plan: identity, and a finding for every change that means something.

use std::collections::BTreeSet;
use std::path::Path;
use std::sync::LazyLock;

use bottle_migrate::aspects;
use bottle_migrate::compose::{Document, read_text};
use bottle_migrate::finding::Finding;
use bottle_migrate::view::{Roles, View};
use bottle_model::images::Images;
use bottle_model::plan::Plan;
use rayon::prelude::*;
use serde_yaml::Value;

use crate::mutants::mutants;

/// Everything of a finding but its sentence.
type Mark = (&'static str, String, String, Option<String>, Option<String>);

fn mark(finding: Finding) -> Mark {
    (
        finding.rule.id,
        finding.principal,
        finding.subject,
        finding.before.map(|shown| shown.text),
        finding.after.map(|shown| shown.text),
    )
}

static ROLES: LazyLock<Roles> = LazyLock::new(|| Roles::builtin(&Images::default()));

fn view(document: &Document) -> View<'_> {
    View::of(document, &ROLES)
}

fn read(text: &str) -> Option<Document> {
    read_text(text, &|_| None).ok()
}

fn marks(before: &View<'_>, after: &View<'_>) -> BTreeSet<Mark> {
    aspects::compare(before, after).into_iter().map(mark).collect()
}

fn examples() -> Vec<(String, Plan)> {
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
fn shapes(plan: &Plan) -> (String, String) {
    let images = Images::default();
    let bundle = bottle_bundle::render(plan, &images).unwrap();
    (bottle_legacy::render(plan, &images).to_yaml(), bundle.to_yaml())
}

/// What one mutant has to show, on one side of the comparison.
struct Side<'a> {
    name: &'static str,
    text: &'a str,
    compare: &'a (dyn Fn(&View<'_>) -> BTreeSet<Mark> + Sync),
}

/// Mutants that must have a finding and have none, or must have none and have one.
fn escapes(side: &Side<'_>) -> (usize, Vec<String>) {
    let original = read(side.text).unwrap();
    let baseline = (side.compare)(&view(&original));
    let tree: Value = serde_yaml::from_str(side.text).unwrap();
    let mut count = 0;
    let mut escaped = Vec::new();
    for mutant in mutants(&tree) {
        count += 1;
        let text = serde_yaml::to_string(&mutant.document).unwrap();
        let Some(document) = read(&text) else { continue };
        let found = (side.compare)(&view(&document));
        let means_the_same = document == original;
        // A mutant that comes closer to the other side shows by a finding that is gone.
        let shows = found != baseline;
        if means_the_same == shows && !redundant(side.name, &mutant.what, &text) {
            let kind = if shows { "false alarm" } else { "no finding" };
            escaped.push(format!("{}: {kind}: {}", side.name, mutant.what));
        }
    }
    (count, escaped)
}

/// Nodes of a rendered file that say what holds without them: the checker is right to say nothing.
fn redundant(side: &str, what: &str, text: &str) -> bool {
    // Compose's default, which the bundle spells out because the init's deadline has to fit inside.
    if what == "delete /services/sidecars/stop_grace_period" {
        return true;
    }
    // The images' own HEALTHCHECK and CMD say the same.
    let image_says_so = [
        "delete /services/sidecars/healthcheck/test",
        "delete /services/pipelock/healthcheck/test",
        "delete /services/egress/command",
    ];
    if image_says_so.contains(&what) {
        return true;
    }
    // A list is redundant where every other daemon has one: what nobody claims reaches only its owner.
    let list = "delete /services/sidecars/environment/BOT_BOTTLE_SIDECAR_ENV_";
    side == "bundle"
        && what.starts_with(list)
        && text.matches("BOT_BOTTLE_SIDECAR_ENV_").count() + 1 >= daemons(text)
}

fn daemons(text: &str) -> usize {
    let selected = text.lines().find_map(|line| line.trim().strip_prefix("BOT_BOTTLE_SIDECAR_DAEMONS: "));
    selected.map_or(4, |list| list.split(',').count())
}

fn check(name: &str, plan: &Plan) -> (usize, Vec<String>) {
    let (legacy, bundle) = shapes(plan);
    let documents = (read(&legacy).unwrap(), read(&bundle).unwrap());
    let (before, after) = (view(&documents.0), view(&documents.1));
    let mut count = 0;
    let mut escaped = Vec::new();
    for side in [
        Side { name: "bundle", text: &bundle, compare: &|mutant| marks(&before, mutant) },
        Side { name: "legacy", text: &legacy, compare: &|mutant| marks(mutant, &after) },
    ] {
        let (mutants, of_side) = escapes(&side);
        count += mutants;
        escaped.extend(of_side.into_iter().map(|escape| format!("{name}: {escape}")));
    }
    (count, escaped)
}

fn law(plans: &[(String, Plan)]) {
    let results: Vec<(usize, Vec<String>)> = plans.par_iter().map(|(name, plan)| check(name, plan)).collect();
    let mutants: usize = results.iter().map(|(count, _)| count).sum();
    let all: Vec<&String> = results.iter().flat_map(|(_, escaped)| escaped).collect();
    assert!(mutants > 100 * plans.len(), "the walk found hardly anything to change: {mutants}");
    let shown: Vec<&str> = all.iter().take(60).map(|escape| escape.as_str()).collect();
    assert!(all.is_empty(), "{} of {mutants} mutants escaped:\n{}", all.len(), shown.join("\n"));
}

#[test]
fn every_effective_mutant_of_the_examples_has_a_finding() {
    law(&examples());
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
        for finding in aspects::compare(&view(&before), &view(&after)) {
            assert!(finding.broadening(), "{name}: {finding:?}");
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
