//! Each shape is held to the plan itself, so that what both renderers forget shows.

use std::collections::BTreeSet;

use bottle_migrate::compose::Document;
use bottle_migrate::finding::Finding;
use bottle_migrate::flag::Shape;
use bottle_migrate::view::{Roles, View};
use bottle_migrate::witness;
use bottle_model::compose::{Compose, EnvValue};
use bottle_model::images::Images;
use bottle_model::plan::{self, Plan};
use serde_json::{Value, json};

fn render(plan: &Plan, shape: Shape) -> Compose {
    let images = Images::default();
    match shape {
        Shape::Legacy => bottle_legacy::render(plan, &images),
        Shape::Bundle => bottle_bundle::render(plan, &images).unwrap(),
    }
}

fn check(plan: &Plan, compose: Compose, shape: Shape) -> Vec<Finding> {
    let (roles, document) = (Roles::builtin(&Images::default()), Document::from(compose));
    witness::check(plan, &View::of(&document, &roles), shape)
}

#[test]
fn both_shapes_of_every_plan_do_what_it_says() {
    for (name, plan) in crate::laws::examples().into_iter().chain(crate::plans::rendering_samples()) {
        for shape in [Shape::Legacy, Shape::Bundle] {
            let found = check(&plan, render(&plan, shape), shape);
            assert!(found.is_empty(), "{name} {shape:?}: {found:#?}");
        }
    }
}

/// What is rendered from a plan that differs in one field.
fn forgets(field: &str, value: Value) -> [BTreeSet<(String, String)>; 2] {
    let text =
        std::fs::read_to_string(concat!(env!("CARGO_MANIFEST_DIR"), "/examples/require.plan.json")).unwrap();
    let mut plan: Value = serde_json::from_str(&text).unwrap();
    let other: Value = plan.clone();
    let (parent, last) = field.rsplit_once('/').unwrap();
    let mut place = &mut plan;
    for step in parent.split('/').filter(|step| !step.is_empty()) {
        place = place.as_object_mut().unwrap().entry(step).or_insert_with(|| json!({}));
    }
    place[last] = value;
    let asked = plan::read(&plan.to_string()).unwrap_or_else(|error| panic!("{field}: {error}"));
    let forgot = plan::read(&other.to_string()).unwrap();
    [Shape::Legacy, Shape::Bundle].map(|shape| {
        let found = check(&asked, render(&forgot, shape), shape);
        found.into_iter().map(|finding| (finding.principal, finding.subject)).collect()
    })
}

#[test]
fn a_field_that_both_renderers_forget_is_found_in_each_shape() {
    let address = |text: &str| json!(text);
    for (field, value, principal) in [
        ("/chain", json!("egress-first"), "agent"),
        ("/egress/tokens", json!(["EGRESS_TOKEN_0", "EGRESS_TOKEN_77"]), "egress"),
        ("/networks/internal/name", json!("elsewhere"), "agent"),
        ("/networks/internal/subnets", json!([{ "subnet": "10.7.0.0/24" }]), ""),
        ("/networks/external/labels", json!({ "a": "b" }), ""),
        ("/networks/external/driver", json!("ipvlan"), ""),
        ("/agent/networks/internal/aliases", json!(["bottle.internal"]), "agent"),
        ("/pipelock/networks/internal/aliases", json!(["lock.internal"]), "pipelock"),
        ("/pipelock/config", address("/srv/other.yaml"), "pipelock"),
        ("/egress/routes", address("/srv/other.yaml"), "egress"),
        ("/git-gate/pre_receive", address("/srv/other"), "git-gate"),
        ("/supervise/queue", address("/srv/other"), "supervise"),
        ("/git-gate/credentials/another", address("/srv/other"), "git-gate"),
    ] {
        for found in forgets(field, value.clone()) {
            assert!(found.iter().any(|(who, _)| who == principal), "{field}: {found:?}");
        }
    }
}

#[test]
fn addresses_of_both_kinds_are_found() {
    let text =
        std::fs::read_to_string(concat!(env!("CARGO_MANIFEST_DIR"), "/examples/full.plan.json")).unwrap();
    let mut plan: Value = serde_json::from_str(&text).unwrap();
    let subnets = json!([{ "subnet": "10.7.0.0/24" }, { "subnet": "fd00:7::/64" }]);
    plan["networks"] = json!({ "internal": { "subnets": subnets, "enable_ipv6": true } });
    let without = plan::read(&plan.to_string()).unwrap();
    for (block, key, address) in [
        ("agent", "ipv4_address", "10.7.0.9"),
        ("agent", "ipv6_address", "fd00:7::9"),
        ("git-gate", "ipv6_address", "fd00:7::8"),
        ("git-gate", "ipv4_address", "10.7.0.8"),
    ] {
        let mut plan = plan.clone();
        plan[block]["networks"] = json!({ "internal": { key: address } });
        let asked = plan::read(&plan.to_string()).unwrap();
        for shape in [Shape::Legacy, Shape::Bundle] {
            assert!(check(&asked, render(&asked, shape), shape).is_empty(), "{block} {key}");
            let found = check(&asked, render(&without, shape), shape);
            assert!(
                found.iter().any(|finding| finding.principal == block),
                "{block} {key} {shape:?}: {found:?}"
            );
        }
    }
}

#[test]
fn walls_that_the_bundle_forgets_are_an_error() {
    let text =
        std::fs::read_to_string(concat!(env!("CARGO_MANIFEST_DIR"), "/examples/require.plan.json")).unwrap();
    let plan = plan::read(&text).unwrap();
    let mut bundle = render(&plan, Shape::Bundle);
    let environment = &mut bundle.services.get_mut("sidecars").unwrap().environment;
    assert!(environment.shift_remove("BOT_BOTTLE_SIDECAR_ISOLATION").is_some());
    let found = check(&plan, bundle, Shape::Bundle);
    let walls: Vec<_> = found.iter().filter(|finding| finding.subject == "bundle walls").collect();
    assert_eq!(walls.len(), 4, "{found:#?}");
    assert!(walls.iter().all(|finding| finding.severity == bottle_migrate::finding::Severity::Error));
}

#[test]
fn a_credential_with_a_value_of_its_own_is_found() {
    let text =
        std::fs::read_to_string(concat!(env!("CARGO_MANIFEST_DIR"), "/examples/full.plan.json")).unwrap();
    let plan = plan::read(&text).unwrap();
    for (shape, service) in [(Shape::Legacy, "egress"), (Shape::Bundle, "sidecars")] {
        let mut compose = render(&plan, shape);
        let environment = &mut compose.services.get_mut(service).unwrap().environment;
        let (_, value) = environment.iter_mut().find(|(name, _)| name.starts_with("EGRESS_TOKEN_")).unwrap();
        *value = EnvValue::Literal(String::new());
        let found = check(&plan, compose, shape);
        assert!(found.iter().any(|finding| finding.subject.ends_with("credentials")), "{shape:?}: {found:?}");
    }
}
