//! Changes of a bundle's compose file by which incidents come back, and what the checker says of them.

use std::collections::BTreeSet;
use std::fs;

use serde_yaml::Value;

use crate::bottle::{Bottle, done};

/// The built-in table of daemons, as a file.
pub(super) const TABLE: &str = include_str!("daemons.toml");

/// Changes the bundle's service in the compose file.
pub(super) fn alter(bottle: &Bottle, change: impl FnOnce(&mut Value)) {
    let path = bottle.at("compose.yaml");
    let mut document: Value = serde_yaml::from_str(&fs::read_to_string(&path).unwrap()).unwrap();
    change(&mut document["services"]["sidecars"]);
    fs::write(path, serde_yaml::to_string(&document).unwrap()).unwrap();
}

pub(super) fn yaml(text: &str) -> Value {
    serde_yaml::from_str(text).unwrap()
}

pub(super) fn push(list: &mut Value, text: &str) {
    list.as_sequence_mut().unwrap().push(yaml(text));
}

pub(super) fn mount(bottle: &Bottle, source: &str, target: &str) -> String {
    format!("{{ type: bind, source: {}, target: {target}, read_only: true }}", bottle.at(source).display())
}

/// Gives the init a table of its own, which differs from the built-in one in one place.
pub(super) fn with_table(bottle: &Bottle, from: &str, to: &str) {
    assert_eq!(TABLE.matches(from).count(), 1, "{from}");
    let table = TABLE.replace(from, to);
    fs::write(bottle.at("daemons.toml"), &table).unwrap();
    fs::write(bottle.at("map.toml"), format!("hop = \"pipelock\"\n{table}")).unwrap();
    alter(bottle, |sidecars| {
        sidecars["entrypoint"] = yaml("[/usr/local/bin/sidecar-init, --daemons, /etc/daemons.toml]");
        push(&mut sidecars["volumes"], &mount(bottle, "daemons.toml", "/etc/daemons.toml"));
    });
}

/// What the checker finds in the compose file as it is now.
pub(super) fn reported(bottle: &Bottle) -> BTreeSet<String> {
    done(bottle.migrate().args(["render", "--shape", "legacy", "-o", "legacy.yaml", "plan.json"]));
    let mut words = vec!["--legacy", "legacy.yaml", "--bundle", "compose.yaml"];
    if bottle.at("map.toml").exists() {
        words.extend(["--map", "map.toml"]);
    }
    bottle.findings(&words).0
}

/// Makes a change, by which the checker has these findings more.
pub(super) fn broken(bottle: &Bottle, change: impl FnOnce(), expect: &[&str]) {
    let clean = reported(bottle);
    change();
    let found = reported(bottle);
    for finding in expect {
        assert!(!clean.contains(*finding), "{finding} without the change");
        assert!(found.contains(*finding), "{finding}: {found:#?}");
    }
}
