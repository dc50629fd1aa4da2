//! `deploy`, and the attributes of a service that say the same.
//!
//! What Compose takes from `deploy` when it creates a container becomes the plain attribute; the rest, which only a
//! swarm obeys, stays.

use std::collections::BTreeMap;

use bottle_model::compose::{Kind, Service, Setting};

use super::tree::{Failure, Node, Tree, Value};
use super::value;

/// Limits in `deploy.resources` and the attributes that they stand for.
const LIMITS: [(&str, &str, &str, Kind); 4] = [
    ("limits", "cpus", "cpus", Kind::Number),
    ("limits", "memory", "mem_limit", Kind::Bytes),
    ("limits", "pids", "pids_limit", Kind::Integer),
    ("reservations", "memory", "mem_reservation", Kind::Bytes),
];

/// Adds what `deploy` says to a service whose other attributes are read.
pub(super) fn read(node: &Node<'_>, service: &mut Service) -> Result<(), Failure> {
    let mut rest = BTreeMap::new();
    for (key, child) in node.plain()? {
        match key {
            "resources" => resources(&child, service, &mut rest)?,
            "replicas" => {
                let count = Setting::Integer(child.integer()?);
                agree(&child, service, "scale", Some(count))?;
            }
            "restart_policy" => {
                restart(&child, service)?;
                times(&child, key, &["delay", "window"], &mut rest)?;
            }
            "update_config" | "rollback_config" => {
                times(&child, key, &["delay", "monitor"], &mut rest)?;
                for (name, option) in child.plain()? {
                    let text = match name {
                        "delay" | "monitor" => continue,
                        "parallelism" => value::count(&option)?.to_string(),
                        "max_failure_ratio" => value::decimal(&option)?,
                        _ => option.scalar()?,
                    };
                    rest.insert(format!("{key}.{name}"), text);
                }
            }
            _ => value::leaves(&child, key, &mut rest)?,
        }
    }
    rest.retain(|_, value| !value.is_empty());
    if !rest.is_empty() {
        service.settings.insert("deploy".to_owned(), Setting::Map(rest));
    }
    Ok(())
}

fn resources(
    node: &Node<'_>,
    service: &mut Service,
    rest: &mut BTreeMap<String, String>,
) -> Result<(), Failure> {
    for (group, name, attribute, kind) in LIMITS {
        let Some(group) = node.get(group) else { continue };
        let limit = group.get(name);
        let setting =
            limit.as_ref().map(|limit| value::setting(limit, attribute, kind)).transpose()?.flatten();
        agree(limit.as_ref().unwrap_or(&group), service, attribute, setting)?;
    }
    for (group, child) in node.plain()? {
        for (name, limit) in child.plain()? {
            match name {
                _ if LIMITS.iter().any(|(limits, limit, ..)| (*limits, *limit) == (group, name)) => {}
                "devices" => {
                    for (at, device) in limit.items()?.enumerate() {
                        request(&device, &format!("resources.{group}.devices.{at}"), rest)?;
                    }
                }
                "cpus" => {
                    rest.insert(format!("resources.{group}.cpus"), value::decimal(&limit)?);
                }
                _ => value::leaves(&limit, &format!("resources.{group}.{name}"), rest)?,
            }
        }
    }
    Ok(())
}

/// A request for devices, `gpus` among them: without a count or ids it asks for all.
pub(super) fn request(
    node: &Node<'_>,
    path: &str,
    into: &mut BTreeMap<String, String>,
) -> Result<(), Failure> {
    for (name, child) in node.plain()? {
        if !(name == "count" || child.tree.as_text() == Some("")) {
            value::leaves(&child, &format!("{path}.{name}"), into)?;
        }
    }
    let count = match node.get("count") {
        Some(count) if count.tree.as_text().is_some_and(|text| text.eq_ignore_ascii_case("all")) => Some(-1),
        Some(count) => Some(count.integer()?),
        None => node.get("device_ids").is_none().then_some(-1),
    };
    match (count, node.get("device_ids")) {
        (Some(_), Some(_)) => return Err(node.fail("has both count and device_ids")),
        (Some(count), None) => {
            into.insert(format!("{path}.count"), count.to_string());
        }
        _ => {}
    }
    Ok(())
}

/// The restart policy that a container gets.
fn restart(node: &Node<'_>, service: &mut Service) -> Result<(), Failure> {
    let condition = node.get("condition").map(|node| node.text().map(str::to_owned)).transpose()?;
    let attempts = node.get("max_attempts").map(|node| value::count(&node)).transpose()?.unwrap_or_default();
    service.settings.remove("restart");
    let policy = policy(&condition.unwrap_or_default(), attempts);
    if !policy.is_empty() {
        service.settings.insert("restart".to_owned(), Setting::Text(policy));
    }
    Ok(())
}

/// A restart policy in the engine's words.
pub(super) fn policy(condition: &str, attempts: i64) -> String {
    let name = match condition {
        "none" => "no",
        "any" => "always",
        other => other,
    };
    if attempts == 0 { name.to_owned() } else { format!("{name}:{attempts}") }
}

fn times(
    node: &Node<'_>,
    path: &str,
    names: &[&str],
    rest: &mut BTreeMap<String, String>,
) -> Result<(), Failure> {
    for name in names {
        if let Some(time) = node.get(name) {
            let time = Setting::Duration(value::duration(&time)?);
            rest.insert(format!("{path}.{name}"), time.to_string());
        }
    }
    Ok(())
}

/// Sets an attribute, which must not say something else already.
fn agree(
    node: &Node<'_>,
    service: &mut Service,
    attribute: &str,
    setting: Option<Setting>,
) -> Result<(), Failure> {
    match (service.settings.get(attribute), setting) {
        (Some(plain), setting) if Some(plain) != setting.as_ref() => {
            Err(node.fail(format!("says something else than {attribute}")))
        }
        (None, Some(setting)) => {
            service.settings.insert(attribute.to_owned(), setting);
            Ok(())
        }
        _ => Ok(()),
    }
}

/// `build`, with Compose's defaults left out.
pub(super) fn build(
    node: &Node<'_>,
    argument: &dyn Fn(&str) -> Option<String>,
) -> Result<Option<Setting>, Failure> {
    let mut tree = BTreeMap::new();
    let filled = |key: &str| node.tree.get(key).and_then(Tree::as_text).is_some_and(|text| !text.is_empty());
    if filled("dockerfile") && filled("dockerfile_inline") {
        return Err(node.fail("has both dockerfile and dockerfile_inline"));
    }
    for (key, child) in node.plain()? {
        match key {
            "args" => {
                for (name, value) in child.entries()? {
                    let given = if value.is_null() { argument(name) } else { Some(value.scalar()?) };
                    tree.extend(given.map(|given| (format!("args.{name}"), given)));
                }
            }
            "no_cache" | "privileged" | "pull" => {
                if child.boolean()? {
                    tree.insert(key.to_owned(), "true".to_owned());
                }
            }
            "shm_size" => {
                let bytes = value::bytes(&child)?;
                tree.extend((bytes != 0).then(|| (key.to_owned(), bytes.to_string())));
            }
            "dockerfile" if child.tree.as_text() == Some("Dockerfile") => {}
            "ulimits" => ulimits(&child, "ulimits.", &mut tree)?,
            "context" if child.tree.as_text() == Some("") => {
                tree.insert(key.to_owned(), ".".to_owned());
            }
            _ if child.tree.as_text() == Some("") => {}
            _ => value::leaves(&child, key, &mut tree)?,
        }
    }
    Ok((!tree.is_empty()).then_some(Setting::Map(tree)))
}

/// `ulimits`: a single number stands for the soft and the hard limit.
pub(super) fn ulimits(
    node: &Node<'_>,
    prefix: &str,
    into: &mut BTreeMap<String, String>,
) -> Result<(), Failure> {
    for (name, limit) in node.plain()? {
        if !matches!(limit.tree.value, Value::Map(_)) {
            into.insert(format!("{prefix}{name}"), limit.integer()?.to_string());
            continue;
        }
        let bound = |key| limit.get(key).map(|bound| bound.integer()).transpose();
        match (bound("soft")?, bound("hard")?) {
            (Some(soft), Some(hard)) if soft == hard => {
                into.insert(format!("{prefix}{name}"), soft.to_string());
            }
            (soft, hard) => {
                for (key, bound) in [("soft", soft), ("hard", hard)] {
                    into.extend(bound.map(|bound| (format!("{prefix}{name}.{key}"), bound.to_string())));
                }
            }
        }
    }
    Ok(())
}
