//! The incidents of docs/incidents.md that compose files can show: the checker reports each of them. Names of tests
//! begin with the numbers of their incidents.

use std::collections::BTreeSet;

use bottle_migrate::aspects;
use bottle_migrate::compose::read_text;
use bottle_migrate::view::{Roles, View};
use bottle_model::images::Images;
use serde_yaml::Value;

/// Both shapes of an example.
fn shapes(example: &str) -> (String, String) {
    let path = format!("{}/examples/{example}.plan.json", env!("CARGO_MANIFEST_DIR"));
    let plan = bottle_model::plan::read(&std::fs::read_to_string(path).unwrap()).unwrap();
    let images = Images::default();
    let bundle = bottle_bundle::render(&plan, &images).unwrap();
    (bottle_legacy::render(&plan, &images).to_yaml(), bundle.to_yaml())
}

fn edited(text: &str, edit: impl Fn(&mut Value)) -> String {
    let mut value = serde_yaml::from_str(text).unwrap();
    edit(&mut value);
    serde_yaml::to_string(&value).unwrap()
}

/// Rule, principal and subject of each finding.
fn findings(legacy: &str, bundle: &str, roles: &Roles) -> BTreeSet<(&'static str, String, String)> {
    let read = |text| read_text(text, &|_| None).unwrap();
    let (legacy, bundle) = (read(legacy), read(bundle));
    aspects::compare(&View::of(&legacy, roles), &View::of(&bundle, roles))
        .into_iter()
        .map(|finding| (finding.rule.id.as_str(), finding.principal, finding.subject))
        .collect()
}

/// The edit of the bundle brings findings that were not there before; `expect` has rule, principal and subject.
fn check(example: &str, edit: impl Fn(&mut Value), expect: &[(&str, &str, &str)]) {
    let (legacy, bundle) = shapes(example);
    let roles = Roles::builtin(&Images::default());
    let clean = findings(&legacy, &bundle, &roles);
    let broken = findings(&legacy, &edited(&bundle, edit), &roles);
    for (rule, principal, subject) in expect {
        let found = |set: &BTreeSet<(&str, String, String)>| {
            set.iter().any(|(r, p, s)| r == rule && p == principal && s == subject)
        };
        assert!(!found(&clean), "{rule} {principal} {subject} without the incident");
        assert!(found(&broken), "{rule} {principal} {subject} in {broken:#?}");
    }
}

fn sidecars(root: &mut Value) -> &mut Value {
    &mut root["services"]["sidecars"]
}

fn foreign_init(root: &mut Value) {
    sidecars(root)["entrypoint"] = serde_yaml::from_str("[python3, /app/sidecar_init.py]").unwrap();
}

#[test]
fn i1_an_init_that_runs_all_as_root() {
    check("full", foreign_init, &[("user-changed", "egress", "user"), ("home-changed", "egress", "HOME")]);
}

#[test]
fn i2_a_table_that_drops_the_listen_address() {
    let (legacy, bundle) = shapes("minimal");
    let roles = |argv: &str| {
        let map = format!(
            "[[daemon]]\nname = \"pipelock\"\nargv = [{argv}]\nlisten = [\"8888\"]\nreload = \"HUP\"\n"
        );
        Roles::from_map(&map, &Images::default()).unwrap()
    };
    let run = r#""/usr/local/bin/pipelock", "run", "--config", "/etc/pipelock/pipelock.yaml""#;
    let (kept, dropped) = (roles(&format!(r#"{run}, "--listen", "0.0.0.0:8888""#)), roles(run));
    let of = |roles| findings(&legacy, &bundle.replace("BOT_BOTTLE_SIDECAR_DAEMONS", "X_IGNORED"), roles);
    let rules_of = |roles| of(roles).into_iter().map(|(rule, ..)| rule).collect::<BTreeSet<_>>();
    assert!(!rules_of(&kept).contains("listen-address-changed"));
    assert!(rules_of(&dropped).is_superset(&BTreeSet::from(["argv-changed", "listen-address-changed"])));
}

#[test]
fn i2_a_name_that_leads_past_the_address() {
    check(
        "egress-first",
        |root| {
            sidecars(root)["extra_hosts"].as_mapping_mut().unwrap().remove("pipelock").unwrap();
            let aliases = sidecars(root)["networks"]["internal"]["aliases"].as_sequence_mut().unwrap();
            aliases.push("pipelock".into());
        },
        &[("reach-lost", "egress", "name pipelock")],
    );
}

#[test]
fn i3_a_proxy_setting_that_reaches_everybody() {
    check(
        "extras",
        |root| {
            let environment = sidecars(root)["environment"].as_mapping_mut().unwrap();
            environment.shift_remove("BOT_BOTTLE_SIDECAR_ENV").unwrap();
            environment.shift_remove("BOT_BOTTLE_SIDECAR_ENV_EGRESS").unwrap();
        },
        &[("env-scope-widened", "git-gate", "HTTPS_PROXY")],
    );
}

#[test]
fn i4_a_token_in_pipelocks_environment() {
    check("full", foreign_init, &[("env-scope-widened", "pipelock", "EGRESS_TOKEN_0")]);
}

#[test]
fn i6_a_reload_signal_that_ends_at_the_init() {
    check("full", foreign_init, &[("signal-path-lost", "egress", "reload signal")]);
}

#[test]
fn i7_a_restart_that_takes_all_daemons_along() {
    check("full", foreign_init, &[("restart-scope-widened", "supervise", "restart")]);
}

#[test]
fn i8_a_host_entry_that_applies_to_the_neighbours() {
    let (legacy, bundle) = shapes("full");
    let found = findings(&legacy, &bundle, &Roles::builtin(&Images::default()));
    for principal in ["egress", "pipelock", "supervise"] {
        assert!(found.contains(&("hosts-scope-widened", principal.to_owned(), "forge.internal".to_owned())));
    }
}

#[test]
fn i9_a_label_that_a_dashboard_looks_for() {
    let (legacy, bundle) = shapes("full");
    let legacy = edited(&legacy, |root| {
        root["services"]["egress"]["labels"] = serde_yaml::from_str("{dashboard.service: egress}").unwrap();
    });
    let found = findings(&legacy, &bundle, &Roles::builtin(&Images::default()));
    assert!(found.contains(&("label-lost", "egress".to_owned(), "dashboard.service".to_owned())));
}

#[test]
fn i10_a_folder_in_place_of_its_file() {
    let (legacy, bundle) = shapes("full");
    let bundle = edited(&bundle, |root| {
        for mount in sidecars(root)["volumes"].as_sequence_mut().unwrap() {
            for key in ["source", "target"] {
                let shorter =
                    mount[key].as_str().and_then(|path| path.strip_suffix("/routes.yaml")).map(Value::from);
                if let Some(shorter) = shorter {
                    mount[key] = shorter;
                }
            }
        }
    });
    let found = findings(&legacy, &bundle, &Roles::builtin(&Images::default()));
    let about_egress: BTreeSet<&str> =
        found.iter().filter(|(_, principal, _)| principal == "egress").map(|(rule, ..)| *rule).collect();
    assert!(about_egress.contains("mount-coverage-changed"), "{found:#?}");
    assert!(
        !about_egress.contains("mount-dropped") && !about_egress.contains("mount-unexpected"),
        "{found:#?}"
    );
}

#[test]
fn i16_a_way_out_for_supervise_unless_walls_are_required() {
    let out = |example| {
        let (legacy, bundle) = shapes(example);
        let found = findings(&legacy, &bundle, &Roles::builtin(&Images::default()));
        found.iter().any(|(rule, principal, _)| *rule == "internet-gained" && principal == "supervise")
    };
    assert!(out("full"));
    assert!(!out("require"));
}

#[test]
fn every_rule_has_an_id_of_its_own_and_a_text() {
    let mut ids = BTreeSet::new();
    for rule in bottle_migrate::rule::RuleId::comparisons() {
        assert!(ids.insert(rule.id), "{} occurs twice", rule.id);
        assert!(rule.doc.len() > 20 && rule.summary.len() > 10, "{} has no text", rule.id);
    }
}

#[test]
fn the_broken_examples_show_their_incidents() {
    let root = std::path::Path::new(env!("CARGO_MANIFEST_DIR")).join("examples/broken");
    let expected = [
        ("i01-root-home", ("home-changed", "egress", "HOME")),
        ("i02-lost-listen", ("listen-address-changed", "pipelock", "listen address")),
        ("i03-proxy-for-all", ("env-scope-widened", "git-gate", "HTTPS_PROXY")),
        ("i04-token-in-pipelock", ("env-scope-widened", "pipelock", "EGRESS_TOKEN_0")),
        ("i06-hup-ends-at-init", ("signal-path-lost", "egress", "reload signal")),
        ("i07-restart-takes-all", ("restart-scope-widened", "pipelock", "restart")),
        ("i08-host-entry-for-all", ("hosts-scope-widened", "pipelock", "forge.internal")),
        ("i09-dashboard-label", ("label-lost", "egress", "dashboard.service")),
        ("i10-folder-for-file", ("mount-coverage-changed", "egress", "/etc/egress/routes.yaml")),
        ("i16-way-out-for-supervise", ("internet-gained", "supervise", "demo_external")),
    ];
    for (name, (rule, principal, subject)) in expected {
        let text = |file: &str| std::fs::read_to_string(root.join(name).join(file));
        let roles = match text("map.toml") {
            Ok(map) => Roles::from_map(&map, &Images::default()).unwrap(),
            Err(_) => Roles::builtin(&Images::default()),
        };
        let found = findings(&text("legacy.yml").unwrap(), &text("bundle.yml").unwrap(), &roles);
        let wanted = (rule, principal.to_owned(), subject.to_owned());
        assert!(found.contains(&wanted), "{name}: {found:#?}");
    }
    assert_eq!(std::fs::read_dir(root).unwrap().count(), expected.len(), "an example is not tested");
}
