//! What the renderers print means to Compose what the renderers meant.

use std::path::Path;

use bottle_migrate::aspects;
use bottle_migrate::compose::Document;
use bottle_migrate::view::{Roles, View};
use bottle_model::compose::Compose;
use bottle_model::images::Images;
use bottle_model::plan::Plan;
use rayon::prelude::*;

use crate::compose::{Files, difference, meaning};
use crate::plans::rendering_samples;

/// Differences between a rendered document and what Compose makes of its text.
fn disagreement(rendered: Compose) -> Option<String> {
    let roles = Roles::builtin(&Images::default());
    let ours = Document::from(rendered);
    let theirs = match Files::Text(&ours.compose.to_yaml()).theirs() {
        Ok(document) => document,
        Err(refusal) => return Some(refusal),
    };
    if let Some(difference) = difference(&ours, &theirs) {
        return Some(difference);
    }
    let [ours, theirs] = [ours, theirs].map(|document| meaning(&document));
    let [ours, theirs] = [&ours, &theirs].map(|document| View::of(document, &roles));
    let findings = [aspects::compare(&ours, &theirs), aspects::compare(&theirs, &ours)].concat();
    (!findings.is_empty()).then(|| format!("{findings:#?}"))
}

fn check(plans: &[(String, Plan)]) {
    let images = Images::default();
    let disagreements: Vec<String> = plans
        .par_iter()
        .flat_map_iter(|(name, plan)| {
            let bundle = bottle_bundle::render(plan, &images).unwrap();
            [("legacy", bottle_legacy::render(plan, &images)), ("bundle", bundle)].into_iter().filter_map(
                move |(shape, compose)| Some(format!("{name}, {shape}:\n{}", disagreement(compose)?)),
            )
        })
        .collect();
    assert!(disagreements.is_empty(), "{} differ:\n{}", disagreements.len(), disagreements.join("\n"));
}

#[test]
fn compose_reads_the_examples_as_they_were_meant() {
    let examples: Vec<(String, Plan)> =
        std::fs::read_dir(Path::new(env!("CARGO_MANIFEST_DIR")).join("examples"))
            .unwrap()
            .map(|entry| entry.unwrap().path())
            .filter(|path| path.extension().is_some_and(|extension| extension == "json"))
            .map(|path| {
                let plan = bottle_model::plan::read(&std::fs::read_to_string(&path).unwrap()).unwrap();
                (path.display().to_string(), plan)
            })
            .collect();
    assert!(examples.len() >= 5, "the examples are missing");
    check(&examples);
}

#[test]
fn compose_reads_generated_plans_as_they_were_meant() {
    let plans = rendering_samples();
    assert!(plans.len() >= 100, "only {} plans", plans.len());
    check(&plans[..100]);
}
