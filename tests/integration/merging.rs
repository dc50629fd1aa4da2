//! The merge core: what a plan's own renderer makes of a bottle, merging its legacy file makes too.

use bottle_migrate::aspects;
use bottle_migrate::compose::Document;
use bottle_migrate::finding::Finding;
use bottle_migrate::merging::merged;
use bottle_migrate::view::{Roles, View};
use bottle_model::compose::Compose;
use bottle_model::images::Images;
use bottle_model::plan::Plan;

use crate::plans::rendering_samples;

fn between(before: &Compose, after: &Compose, roles: &Roles) -> Vec<Finding> {
    let (before, after): (Document, Document) = (before.clone().into(), after.clone().into());
    aspects::compare(&View::of(&before, roles), &View::of(&after, roles))
}

fn roles_of(plan: &Plan) -> (Images, Roles) {
    let images = Images::default().under(plan.prefix()).into_owned();
    let roles = Roles::builtin(&images);
    (images, roles)
}

#[test]
fn merging_a_rendered_legacy_file_is_rendering_the_bundle() {
    let mut failures = Vec::new();
    let samples = rendering_samples();
    for (name, plan) in &samples {
        let (images, roles) = roles_of(plan);
        let legacy = bottle_legacy::render(plan, &images);
        let rendered = bottle_bundle::render(plan, &images).unwrap();
        match merged(&legacy, &roles, &images, plan.isolation) {
            Err(error) => failures.push(format!("{name}: {error}")),
            Ok(Err(conflicts)) => {
                failures.extend(conflicts.iter().map(|conflict| format!("{name}: {conflict}")));
            }
            Ok(Ok(merged)) => {
                let ways = [("lost", &rendered, &merged.compose), ("gained", &merged.compose, &rendered)];
                for (way, before, after) in ways {
                    let findings = between(before, after, &roles);
                    failures.extend(findings.iter().map(|found| {
                        format!(
                            "{name} {way} {} {} {}: {:?} → {:?}",
                            found.rule.id,
                            found.principal,
                            found.subject,
                            found.before.as_ref().map(|shown| &shown.text),
                            found.after.as_ref().map(|shown| &shown.text)
                        )
                    }));
                }
            }
        }
    }
    assert!(failures.is_empty(), "{} of {}:\n{}", failures.len(), samples.len(), failures.join("\n"));
    assert!(samples.len() >= 20);
}
