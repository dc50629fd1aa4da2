//! Properties of every plan: the schema accepts it, both renderers render it, their text reads back.

use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;

use bottle_migrate::aspects;
use bottle_migrate::compose::{Document, read_text};
use bottle_migrate::view::{Roles, View};
use bottle_model::compose::Compose;
use bottle_model::daemon::Daemon;
use bottle_model::images::Images;
use bottle_model::plan::{self, Plan};
use proptest::prelude::*;
use serde_json::Value;

use crate::plans::{check, rendering_samples, samples};

fn shapes(plan: &Plan) -> Vec<Compose> {
    let images = Images::default();
    let legacy = bottle_legacy::render(plan, &images);
    std::iter::once(legacy).chain(bottle_bundle::render(plan, &images)).collect()
}

/// The renderers list mounts and ports by daemon; to Compose their order means nothing. What a plan writes out although
/// the engine does it anyway, the reader leaves out.
fn ordered(mut compose: Compose) -> Compose {
    let leave_out = |settings: &mut BTreeMap<String, String>, name: &str, value: &str| {
        settings.retain(|key, held| key != name || held != value);
    };
    compose.networks.values_mut().for_each(|network| leave_out(&mut network.settings, "driver", "bridge"));
    compose.volumes.values_mut().for_each(|volume| leave_out(&mut volume.settings, "driver", "local"));
    for service in compose.services.values_mut() {
        for mount in &mut service.mounts {
            leave_out(&mut mount.options, "bind.propagation", "rprivate");
        }
        service.mounts.sort_by(|one, other| one.target.cmp(&other.target));
        service.ports.sort();
    }
    compose
}

#[test]
fn generated_plans_satisfy_the_schema() {
    let schema = jsonschema::validator_for(&plan::schema()).unwrap();
    check(|json, _| {
        let errors: Vec<String> = schema.iter_errors(json).map(|error| error.to_string()).collect();
        prop_assert!(errors.is_empty(), "{errors:?}");
        Ok(())
    });
}

#[test]
fn generated_plans_render_the_same_each_time_and_read_back() {
    check(|_, plan| {
        for (compose, again) in shapes(plan).into_iter().zip(shapes(plan)) {
            let yaml = compose.to_yaml();
            prop_assert_eq!(&yaml, &again.to_yaml());
            let read = read_text(&yaml, &|_| None).map_err(|error| TestCaseError::fail(error.to_string()))?;
            prop_assert!(read.unmodelled.is_empty() && read.unresolved.is_empty());
            prop_assert_eq!(read.compose, ordered(compose));
        }
        Ok(())
    });
}

#[test]
fn most_generated_plans_are_free_of_conflicts() {
    let plans = samples(200).into_iter().map(|json| plan::read(&json.to_string()).unwrap());
    let conflicts: Vec<String> = plans
        .filter_map(|plan| bottle_bundle::render(&plan, &Images::default()).err())
        .map(|conflict| conflict.to_string())
        .collect();
    assert!(conflicts.len() <= 20, "{conflicts:#?}");
}

/// Collects the places of a schema's properties and named values that a plan uses.
fn used(schema: &Value, node: &Value, value: &Value, places: &mut BTreeSet<String>) {
    let node = resolved(schema, node);
    for branch in ["anyOf", "oneOf", "allOf"].iter().filter_map(|key| node.get(*key)).flat_map(branches) {
        used(schema, branch, value, places);
    }
    match value {
        Value::Object(map) => {
            for (key, value) in map {
                if let Some(property) = node.pointer(&format!("/properties/{key}")) {
                    places.insert(format!("{} {key}", identity(node)));
                    used(schema, property, value, places);
                } else {
                    let patterns = node.get("patternProperties").and_then(Value::as_object);
                    let others = patterns.into_iter().flat_map(|map| map.values());
                    others
                        .chain(node.get("additionalProperties"))
                        .for_each(|property| used(schema, property, value, places));
                }
            }
        }
        Value::Array(items) => {
            for item in items {
                used(schema, &node["items"], item, places);
            }
        }
        value => {
            let named = node.get("enum").into_iter().flat_map(branches).chain(node.get("const"));
            places.extend(named.filter(|name| *name == value).map(|name| format!("value {name}")));
        }
    }
}

/// Collects every place that [`used`] can find.
fn known(node: &Value, places: &mut BTreeSet<String>) {
    match node {
        Value::Object(map) => {
            if let Some(Value::Object(properties)) = map.get("properties") {
                places.extend(properties.keys().map(|key| format!("{} {key}", identity(node))));
            }
            let named = node.get("enum").into_iter().flat_map(branches).chain(node.get("const"));
            places.extend(named.map(|name| format!("value {name}")));
            map.values().for_each(|child| known(child, places));
        }
        Value::Array(items) => items.iter().for_each(|child| known(child, places)),
        _ => {}
    }
}

/// Two objects of a schema with the same properties are one.
fn identity(node: &Value) -> String {
    let properties = node["properties"].as_object().unwrap();
    properties.keys().map(String::as_str).collect::<Vec<_>>().join(",")
}

fn branches(list: &Value) -> &[Value] {
    list.as_array().map_or(&[], Vec::as_slice)
}

fn resolved<'a>(schema: &'a Value, node: &'a Value) -> &'a Value {
    match node.get("$ref").and_then(Value::as_str) {
        Some(reference) => resolved(schema, schema.pointer(reference.trim_start_matches('#')).unwrap()),
        None => node,
    }
}

#[test]
fn the_generator_uses_every_field_and_every_named_value_of_the_schema() {
    let schema = plan::schema();
    let (mut every, mut seen) = (BTreeSet::new(), BTreeSet::new());
    known(&schema, &mut every);
    for plan in samples(300) {
        used(&schema, &schema, &plan, &mut seen);
    }
    assert!(every.len() > 50, "the walk finds the schema's fields");
    let missing: Vec<&String> = every.difference(&seen).collect();
    assert!(missing.is_empty(), "never generated: {missing:#?}");
}

#[test]
fn two_shapes_of_a_generated_plan_differ_by_broadenings_alone() {
    let roles = Roles::builtin(&Images::default());
    check(|_, plan| {
        let [before, after] = &shapes(plan)[..] else { return Ok(()) };
        let (before, after) = (Document::from(before.clone()), Document::from(after.clone()));
        let (before, after) = (View::of(&before, &roles), View::of(&after, &roles));
        for finding in aspects::compare(&before, &after) {
            prop_assert!(
                crate::broadenings::accepted(&finding, &before),
                "{} {} {}: {:?} → {:?}",
                finding.rule.id,
                finding.principal,
                finding.subject,
                finding.before,
                finding.after
            );
        }
        Ok(())
    });
}

#[test]
fn every_set_of_daemons_is_generated_in_both_chains() {
    let casts: BTreeSet<(Vec<Daemon>, Daemon)> = rendering_samples()
        .iter()
        .map(|(_, plan)| (plan.daemons().iter().map(|(daemon, _)| *daemon).collect(), plan.first_proxy()))
        .collect();
    // With egress either proxy may be the first; without it, pipelock is.
    assert_eq!(casts.len(), 4 * 2 + 4, "{casts:?}");
}

#[test]
fn the_bundle_is_probed_as_its_image_says() {
    let file =
        |name: &str| std::fs::read_to_string(Path::new(env!("CARGO_MANIFEST_DIR")).join(name)).unwrap();
    let dockerfile = file("Dockerfile.sidecars");
    let probe = dockerfile.lines().rev().find_map(|line| line.strip_prefix("HEALTHCHECK ")).unwrap();
    let plan = plan::read(&file("examples/full.plan.json")).unwrap();
    let bundle = bottle_bundle::render(&plan, &Images::default()).unwrap();
    let health = bundle.services["sidecars"].healthcheck.as_ref().unwrap();
    let seconds = |time: Option<u64>| time.unwrap() / 1_000_000_000;
    let (interval, timeout) = (seconds(health.interval), seconds(health.timeout));
    let (period, retries) = (seconds(health.start_period), health.retries.unwrap());
    let times = format!(
        "--interval={interval}s --timeout={timeout}s --start-period={period}s --retries={retries} CMD"
    );
    assert!(probe.starts_with(&times), "{probe}: {times}");
}
