//! Short syntaxes in their long form, so that overriding and extending have maps to merge.
//!
//! What is of the wrong type stays as it is: the grammar finds it afterwards.

use std::collections::BTreeSet;

use super::tree::{Map, Tree, Value};
use super::volume;

/// Attributes of a service that are maps, or lists of `name=value`.
const PAIRS: [&str; 3] = ["annotations", "labels", "sysctls"];
/// Attributes of a service that are lists, or a string for a list of one.
const LISTS: [&str; 4] = ["dns", "dns_search", "label_file", "tmpfs"];

/// Unfolds a document.
pub(super) fn unfold(document: &mut Tree) {
    if let Some(services) = document.get_mut("services").and_then(Tree::as_map_mut) {
        services.values_mut().for_each(service);
    }
    for section in ["networks", "volumes", "configs", "secrets"] {
        let Some(resources) = document.get_mut(section).and_then(Tree::as_map_mut) else { continue };
        resources.values_mut().for_each(resource);
    }
    // Compose merges the labels of configs and secrets as they are written.
    for section in ["networks", "volumes"] {
        labels(document, section);
    }
    if let Some(includes) = document.get_mut("include").and_then(Tree::as_list_mut) {
        for include in includes {
            wrap(include, "path");
        }
    }
}

fn service(service: &mut Tree) {
    for name in PAIRS {
        on(service, name, pairs);
    }
    on(service, "environment", variables);
    for name in LISTS {
        on(service, name, list);
    }
    on(service, "build", build);
    on(service, "depends_on", |node| {
        names(node, |mark| {
            let entry = |key: &str, value| (key.to_owned(), value);
            Tree::map(
                [
                    entry("condition", Tree::text("service_started", mark)),
                    entry("required", Tree::new(Value::Bool(true), mark)),
                ],
                mark,
            )
        });
    });
    on(service, "deploy", |deploy| on(deploy, "labels", pairs));
    on(service, "devices", |node| each(node, device));
    on(service, "env_file", |node| {
        list(node);
        each(node, |item| wrap(item, "path"));
    });
    on(service, "extends", |node| wrap(node, "service"));
    on(service, "extra_hosts", hosts);
    on(service, "gpus", |node| {
        if node.as_text() == Some("all") {
            let request = Tree::map([("count".to_owned(), Tree::text("all", node.mark))], node.mark);
            node.value = Value::List(vec![request]);
        }
    });
    for name in ["networks", "models"] {
        on(service, name, |node| names(node, |mark| Tree::new(Value::Null, mark)));
    }
    for name in ["configs", "secrets"] {
        on(service, name, |node| each(node, |item| wrap(item, "source")));
    }
    for name in ["post_start", "pre_stop"] {
        on(service, name, |node| each(node, |hook| on(hook, "environment", different)));
    }
    on(service, "provider", |provider| {
        if let Some(options) = provider.get_mut("options").and_then(Tree::as_map_mut) {
            options.values_mut().for_each(scalar);
        }
    });
    on(service, "volumes", |node| each(node, volume::unfold));
    on(service, "develop", |develop| {
        on(develop, "watch", |node| {
            each(node, |watch| {
                for name in ["ignore", "include"] {
                    on(watch, name, list);
                }
                on(watch, "exec", |hook| on(hook, "environment", different));
            });
        });
    });
}

/// Adds what Compose takes for granted once all files are merged.
pub(super) fn complete(document: &mut Tree) {
    for section in ["configs", "secrets"] {
        labels(document, section);
    }
    let Some(services) = document.get_mut("services").and_then(Tree::as_map_mut) else { return };
    for build in services.values_mut().filter_map(|service| service.get_mut("build")) {
        let mark = build.mark;
        if let Some(map) = build.as_map_mut() {
            map.entry("context".to_owned()).or_insert_with(|| Tree::text(".", mark));
        }
    }
}

fn build(build: &mut Tree) {
    wrap(build, "context");
    for name in ["additional_contexts", "args", "labels"] {
        on(build, name, pairs);
    }
    on(build, "ssh", |node| {
        different(node);
        // Compose makes a map of it, too.
        node.listed = false;
    });
    on(build, "extra_hosts", hosts);
    on(build, "secrets", |node| each(node, |item| wrap(item, "source")));
}

fn labels(document: &mut Tree, section: &str) {
    let Some(resources) = document.get_mut(section).and_then(Tree::as_map_mut) else { return };
    resources.values_mut().for_each(|resource| on(resource, "labels", pairs));
}

fn resource(resource: &mut Tree) {
    let Some(map) = resource.as_map_mut() else { return };
    let Some(external) = map.get_mut("external") else { return };
    let known = |key: &String| key == "name" || key.starts_with("x-");
    let known = external.as_map_mut().filter(|external| external.keys().all(known));
    let name = known.map(|external| external.shift_remove("name"));
    if let Some(name) = name {
        external.value = Value::Bool(true);
        if let Some(name) = name {
            map.entry("name".to_owned()).or_insert(name);
        }
    }
}

fn on(tree: &mut Tree, key: &str, unfold: impl FnOnce(&mut Tree)) {
    if let Some(node) = tree.get_mut(key) {
        unfold(node);
    }
}

fn each(node: &mut Tree, unfold: impl FnMut(&mut Tree)) {
    if let Some(items) = node.as_list_mut() {
        items.iter_mut().for_each(unfold);
    }
}

/// A string is a list of one.
fn list(node: &mut Tree) {
    if node.as_text().is_some() {
        scalar(node);
    }
}

/// What is no list is a list of one.
fn scalar(node: &mut Tree) {
    if !matches!(node.value, Value::List(_)) {
        let item = Tree::new(std::mem::replace(&mut node.value, Value::Null), node.mark);
        node.value = Value::List(vec![item]);
    }
}

/// A string is a map of one.
fn wrap(node: &mut Tree, key: &str) {
    if node.as_text().is_some() {
        let value = Tree::new(std::mem::replace(&mut node.value, Value::Null), node.mark);
        node.value = Value::Map(Box::new(Map::from_iter([(key.to_owned(), value)])));
    }
}

/// Whether every item of a list is a string.
fn all_texts(node: &Tree) -> bool {
    matches!(&node.value, Value::List(items) if items.iter().all(|item| item.as_text().is_some()))
}

/// Whether a list has an item twice.
fn repeats(node: &Tree) -> bool {
    let mut seen = BTreeSet::new();
    matches!(&node.value, Value::List(items) if !items.iter().all(|item| seen.insert(item.as_text())))
}

/// A list of names is a map of them; one that repeats a name stays a list, which is none.
fn names(node: &mut Tree, value: impl Fn(super::tree::Mark) -> Tree) {
    if repeats(node) {
        return;
    }
    convert(node, |map, name, mark| {
        map.insert(name.to_owned(), value(mark));
    });
}

/// A list of `name=value` is a map; a bare name has no value. Of two equal names the last counts.
fn pairs(node: &mut Tree) {
    named(node, &Value::Null);
}

/// As [`pairs`], for `environment`.
fn variables(node: &mut Tree) {
    named(node, &Value::Bare);
}

fn named(node: &mut Tree, bare: &Value) {
    let listed = matches!(node.value, Value::List(_));
    convert(node, |map, text, mark| {
        let (name, value) = match text.split_once('=') {
            Some((name, value)) => (name, Tree::text(value, mark)),
            None => (text, Tree::new(bare.clone(), mark)),
        };
        map.insert(name.to_owned(), value);
    });
    node.listed = listed;
}

/// As [`pairs`], where an item may not be repeated: such a list stays one, for the grammar to find.
fn different(node: &mut Tree) {
    if !repeats(node) {
        pairs(node);
    }
}

/// A list of `host=address` or `host:address` is a map of lists.
fn hosts(node: &mut Tree) {
    let separated = |text: &str| text.contains(['=', ':']);
    node.listed = matches!(node.value, Value::List(_));
    if !repeats(node)
        && matches!(&node.value, Value::List(items) if items.iter().all(|item| item.as_text().is_some_and(separated)))
    {
        convert(node, |map, text, mark| {
            let Some((host, addresses)) = text.split_once('=').or_else(|| text.split_once(':')) else {
                return;
            };
            let entry = map.entry(host.to_owned());
            let list = entry.or_insert_with(|| Tree::new(Value::List(Vec::new()), mark));
            if let Some(items) = list.as_list_mut() {
                items.extend(addresses.split(',').map(|address| Tree::text(address, mark)));
            }
        });
    }
    if let Some(map) = node.as_map_mut() {
        map.values_mut().for_each(list);
    }
}

fn convert(node: &mut Tree, mut add: impl FnMut(&mut Map, &str, super::tree::Mark)) {
    if !all_texts(node) {
        return;
    }
    let Value::List(items) = std::mem::replace(&mut node.value, Value::Null) else { return };
    let mut map = Map::with_capacity(items.len());
    for item in &items {
        if let Some(text) = item.as_text() {
            add(&mut map, text, item.mark);
        }
    }
    node.value = Value::Map(Box::new(map));
}

/// `SOURCE[:TARGET[:PERMISSIONS]]`
fn device(node: &mut Tree) {
    let Some(text) = node.as_text() else { return };
    let parts: Vec<&str> = text.split(':').collect();
    let (source, target, permissions) = match parts.as_slice() {
        [source] => (*source, *source, "rwm"),
        [source, target] => (*source, *target, "rwm"),
        [source, target, permissions] => (*source, *target, *permissions),
        _ => return,
    };
    let target = if target.is_empty() { source } else { target };
    let entries = [("source", source), ("target", target), ("permissions", permissions)];
    let entries = entries.map(|(key, value)| (key.to_owned(), Tree::text(value, node.mark)));
    node.value = Value::Map(Box::new(Map::from_iter(entries)));
}
