//! Advice that a finding gives removes the finding, and brings no other one instead.

use std::collections::BTreeSet;

use bottle_migrate::aspects;
use bottle_migrate::compose::{Document, read_text};
use bottle_migrate::finding::Finding;
use bottle_migrate::view::{Roles, View};
use bottle_model::images::Images;
use serde_yaml::Value;

fn read(text: &str) -> Document {
    read_text(text, &|_| None).unwrap()
}

/// Both shapes of an example.
fn shapes(example: &str) -> (Document, Value) {
    let path = format!("{}/examples/{example}.plan.json", env!("CARGO_MANIFEST_DIR"));
    let plan = bottle_model::plan::read(&std::fs::read_to_string(path).unwrap()).unwrap();
    let images = Images::default();
    let legacy = read(&bottle_legacy::render(&plan, &images).to_yaml());
    let bundle = bottle_bundle::render(&plan, &images).unwrap().to_yaml();
    (legacy, serde_yaml::from_str(&bundle).unwrap())
}

fn findings(legacy: &Document, bundle: &Value) -> Vec<Finding> {
    let (roles, bundle) = (Roles::builtin(&Images::default()), read(&serde_yaml::to_string(bundle).unwrap()));
    aspects::compare(&View::of(legacy, &roles), &View::of(&bundle, &roles))
}

fn keys(findings: &[Finding]) -> BTreeSet<(String, String, String)> {
    let key =
        |finding: &Finding| (finding.rule.id.to_string(), finding.principal.clone(), finding.subject.clone());
    findings.iter().map(key).collect()
}

/// Does what a message says: `add "NAME:ADDRESS" to extra_hosts of SERVICE`.
fn follow(bundle: &mut Value, message: &str) -> bool {
    let Some((_, rest)) = message.split_once("add `\"") else { return false };
    let (entry, rest) = rest.split_once("\"` to `extra_hosts` of ").unwrap();
    let service = rest.split([',', ' ']).next().unwrap();
    let (name, address) = entry.split_once(':').unwrap();
    let service = &mut bundle["services"][service];
    if service["extra_hosts"].is_null() {
        service["extra_hosts"] = Value::Mapping(serde_yaml::Mapping::new());
    }
    service["extra_hosts"][name] = Value::from(address);
    true
}

#[test]
fn a_host_entry_that_is_advised_ends_the_matter() {
    for (example, hop) in [("full", "egress"), ("egress-first", "pipelock")] {
        let (legacy, mut bundle) = shapes(example);
        let clean = keys(&findings(&legacy, &bundle));
        let hosts = bundle["services"]["sidecars"]["extra_hosts"].as_mapping_mut().unwrap();
        assert!(hosts.shift_remove(hop).is_some());
        let broken = findings(&legacy, &bundle);
        let lost: Vec<&Finding> =
            broken.iter().filter(|finding| finding.rule.id.as_str() == "reach-lost").collect();
        assert!(!lost.is_empty(), "{example}: {broken:#?}");
        for finding in lost {
            assert!(follow(&mut bundle, &finding.message), "{example}: no advice in {:?}", finding.message);
        }
        assert_eq!(keys(&findings(&legacy, &bundle)), clean, "{example}");
    }
}

#[test]
fn an_alias_of_the_hop_that_is_taken_back_ends_the_matter() {
    let (legacy, clean) = shapes("full");
    let mut bundle = clean.clone();
    let aliases =
        bundle["services"]["sidecars"]["networks"]["internal"]["aliases"].as_sequence_mut().unwrap();
    aliases.push("egress".into());
    let broken = keys(&findings(&legacy, &bundle));
    let before = keys(&findings(&legacy, &clean));
    let added: Vec<_> = broken.difference(&before).collect();
    assert!(added.iter().any(|(rule, ..)| rule == "alias-added"), "{added:?}");
    assert!(before.is_subset(&broken), "taking it back brings what the alias had hidden");
}

/// A bundle as a newcomer writes it: every old name is an alias, on both networks.
#[test]
fn names_that_led_to_a_daemon_before_are_not_new() {
    let (legacy, mut bundle) = shapes("full");
    let slug = "demo";
    for network in ["internal", "external"] {
        let place = &mut bundle["services"]["sidecars"]["networks"][network];
        let mut aliases: Vec<Value> = Vec::new();
        for daemon in ["pipelock", "git-gate", "supervise", "egress"] {
            aliases.push(format!("bot-bottle-{daemon}-{slug}").into());
            if daemon != "egress" || network == "external" {
                aliases.push(daemon.into());
            }
        }
        *place = serde_yaml::from_str(&format!("{{aliases: {}}}", serde_json::to_string(&aliases).unwrap()))
            .unwrap();
    }
    let found = findings(&legacy, &bundle);
    let added: Vec<&Finding> =
        found.iter().filter(|finding| finding.rule.id.as_str() == "alias-added").collect();
    assert!(added.is_empty(), "{added:#?}");
    // The control: a name that nobody had.
    bundle["services"]["sidecars"]["networks"]["external"]["aliases"][0] = "forge.example".into();
    let found = keys(&findings(&legacy, &bundle));
    assert!(
        found.iter().any(|(rule, _, subject)| rule == "alias-added" && subject == "forge.example"),
        "{found:?}"
    );
}
