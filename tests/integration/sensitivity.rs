//! Every leaf of a plan counts: taking it away or changing it changes what both shapes mean.

use std::collections::BTreeSet;

use bottle_migrate::aspects;
use bottle_migrate::compose::Document;
use bottle_migrate::view::{Roles, View};
use bottle_model::images::Images;
use bottle_model::plan;
use rayon::prelude::*;
use serde_json::{Value, json};

use crate::meaning::Meaning;
use crate::plans::{DAEMONS, samples};

/// What one plan comes to: both shapes, and how they differ.
struct Rendered {
    legacy: Meaning,
    bundle: Meaning,
    findings: BTreeSet<String>,
}

/// Renders a plan; `None` if it is invalid, or asks for what one container cannot give.
fn rendered(json: &Value) -> Option<Rendered> {
    let plan = plan::read(&json.to_string()).ok()?;
    let (images, roles) = (Images::default(), Roles::builtin(&Images::default()));
    let legacy = Document::from(bottle_legacy::render(&plan, &images));
    let bundle = Document::from(bottle_bundle::render(&plan, &images).ok()?);
    let findings = aspects::compare(&View::of(&legacy, &roles), &View::of(&bundle, &roles));
    Some(Rendered {
        legacy: Meaning::of(&legacy),
        bundle: Meaning::of(&bundle),
        findings: findings.iter().map(|finding| format!("{finding:?}")).collect(),
    })
}

/// Pointers of all leaves.
fn leaves(value: &Value, pointer: &str, found: &mut Vec<String>) {
    let escaped = |key: &str| key.replace('~', "~0").replace('/', "~1");
    match value {
        Value::Object(map) if !map.is_empty() => {
            for (key, value) in map {
                leaves(value, &format!("{pointer}/{}", escaped(key)), found);
            }
        }
        Value::Array(items) if !items.is_empty() => {
            for (at, value) in items.iter().enumerate() {
                leaves(value, &format!("{pointer}/{at}"), found);
            }
        }
        _ => found.push(pointer.to_owned()),
    }
}

fn without(plan: &Value, pointer: &str) -> Value {
    let mut plan = plan.clone();
    let (parent, key) = pointer.rsplit_once('/').unwrap();
    match plan.pointer_mut(parent).unwrap() {
        Value::Object(map) => {
            map.remove(&key.replace("~1", "/").replace("~0", "~"));
        }
        Value::Array(items) => {
            items.remove(key.parse().unwrap());
        }
        _ => unreachable!("a leaf has a parent"),
    }
    plan
}

/// Other values of a leaf's type.
fn others(value: &Value) -> Vec<Value> {
    match value {
        Value::Bool(value) => vec![json!(!value)],
        Value::Number(number) => {
            let number = number.as_i64().unwrap();
            vec![json!(number + 1), json!(number - 1)]
        }
        Value::String(text) => {
            let named = [
                "no",
                "always",
                "require",
                "off",
                "egress-first",
                "pipelock-first",
                "udp",
                "tcp",
                "local",
                "shared",
                "z",
                "SIGKILL",
                "SIGTERM",
                "root",
                "7",
                "10.77.0.77",
                "10.78.0.77",
                "fd00:77::77",
                "192.0.2.99",
            ];
            let changed = [format!("{text}x"), format!("{text}/x")];
            changed
                .into_iter()
                .map(Value::from)
                .chain(named.map(Value::from))
                .filter(|other| other != value)
                .collect()
        }
        _ => Vec::new(),
    }
}

/// Whether another daemon of the plan has the same label. The one container has it then with or without this daemon's,
/// and that a label of the container covers each of its daemons is what merging them means.
fn shared_label(plan: &Value, pointer: &str) -> bool {
    let Some((daemon, "labels", label)) = pointer[1..].split_once('/').and_then(|(daemon, rest)| {
        let (field, label) = rest.split_once('/')?;
        Some((daemon, field, label))
    }) else {
        return false;
    };
    let of = |daemon: &str| plan.pointer(&format!("/{daemon}/labels/{label}"));
    DAEMONS.contains(&daemon) && DAEMONS.iter().any(|other| *other != daemon && of(other) == of(daemon))
}

/// Whether a capability is named beside `ALL`, which takes it in.
fn beside_all(plan: &Value, pointer: &str) -> bool {
    let Some((list, _)) = pointer.rsplit_once('/') else { return false };
    let of_capabilities = list.ends_with("/cap_add") || list.ends_with("/cap_drop");
    let items = plan.pointer(list).and_then(Value::as_array);
    of_capabilities
        && plan.pointer(pointer) != Some(&json!("ALL"))
        && items.is_some_and(|items| items.contains(&json!("ALL")))
}

/// Whether two values of a leaf mean the same, or one shape has no place for it.
fn excepted(pointer: &str, was: &Value, is: Option<&Value>, legacy: bool) -> bool {
    let field = pointer.rsplit('/').find(|step| step.parse::<usize>().is_err()).unwrap_or_default();
    let default = |value: &Value| match field {
        "restart" => value == "no",
        "user" => value == "root" || value == "0",
        "stop_signal" => value == "SIGTERM",
        "stop_grace_period" => value == 10,
        "chain" => value == "pipelock-first",
        "prefix" => value == "bot-bottle",
        "isolation" => value == "best-effort",
        "protocol" => value == "tcp",
        "host_ip" => value == "127.0.0.1",
        "access" => value == "rwm",
        "propagation" => value == "rprivate",
        "driver" if pointer.starts_with("/networks/") => value == "bridge",
        "driver" if pointer.starts_with("/volumes/") => value == "local",
        "cpu_shares" => value == 1024,
        "shm_size" => value == 64 << 20,
        // 1777, octal, is what the engine gives a tmpfs.
        "mode" => value == "1777" || value == "01777",
        _ => matches!(value, Value::Bool(false) | Value::Null) || *value == json!([]) || *value == json!({}),
    };
    match field {
        // The version of the format says nothing of the bottle.
        "schema" => true,
        // Walls are between daemons of one container.
        "isolation" if legacy => true,
        _ => default(was) && is.is_none_or(default),
    }
}

#[test]
fn every_leaf_of_a_generated_plan_counts_in_both_shapes() {
    let (mut tried, mut dull) = (0, BTreeSet::new());
    let plans: Vec<Value> = samples(24).into_iter().filter(|plan| rendered(plan).is_some()).collect();
    assert!(plans.len() > 15, "most plans are in conflict");
    let results: Vec<(usize, BTreeSet<String>)> = plans.par_iter().map(leaves_of).collect();
    for (count, found) in results {
        tried += count;
        dull.extend(found);
    }
    assert!(tried > 1000, "hardly any leaf could be changed: {tried}");
    let shown: Vec<&String> = dull.iter().take(60).collect();
    assert!(dull.is_empty(), "{} of {tried} changes count for nothing: {shown:#?}", dull.len());
}

/// Changes each leaf of a plan: how many of the changed plans are valid, and which of them mean the same.
fn leaves_of(plan: &Value) -> (usize, BTreeSet<String>) {
    let before = rendered(plan).unwrap();
    let (mut tried, mut dull) = (0, BTreeSet::new());
    let mut pointers = Vec::new();
    leaves(plan, "", &mut pointers);
    for pointer in pointers {
        let was = plan.pointer(&pointer).unwrap();
        let changed = others(was).into_iter().map(|other| {
            let mut changed = plan.clone();
            *changed.pointer_mut(&pointer).unwrap() = other.clone();
            (changed, Some(other))
        });
        // One removal, and the first change that makes a valid plan.
        let removed =
            [(without(plan, &pointer), None)].into_iter().find_map(|(plan, is)| Some((rendered(&plan)?, is)));
        let changed = changed.into_iter().find_map(|(plan, is)| Some((rendered(&plan)?, is)));
        for (after, is) in removed.into_iter().chain(changed) {
            tried += 1;
            let how = is.as_ref().map_or_else(|| "removed".to_owned(), |is| format!("{was} → {is}"));
            let place: String = pointer
                .split('/')
                .map(|step| if step.parse::<usize>().is_ok() { "0" } else { step })
                .collect::<Vec<_>>()
                .join("/");
            let taken_in = beside_all(plan, &pointer);
            if before.legacy == after.legacy && !taken_in && !excepted(&pointer, was, is.as_ref(), true) {
                dull.insert(format!("legacy {place} {how}"));
            }
            // What one container cannot have for one daemon alone has to show in the comparison.
            let shows = before.bundle != after.bundle || before.findings != after.findings;
            let excepted =
                taken_in || excepted(&pointer, was, is.as_ref(), false) || shared_label(plan, &pointer);
            if !shows && !excepted {
                dull.insert(format!("bundle {place} {how}"));
            }
        }
    }
    (tried, dull)
}
