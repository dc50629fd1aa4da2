//! Lists in which of several items with one identity the last counts, in the place of the first.

use std::collections::BTreeMap;

use super::tree::Tree;

/// What items of a list are the same by.
type Identity = fn(&Tree) -> Option<String>;

/// Lists of a service.
const LISTS: &[(&str, Identity)] = &[
    ("cap_add", name),
    ("cap_drop", name),
    ("configs", |item| grant(item, "")),
    ("devices", |item| entry(item, "target")),
    ("dns", name),
    ("dns_opt", name),
    ("dns_search", name),
    ("env_file", |item| entry(item, "path")),
    ("expose", |item| item.as_text().map(str::to_owned)),
    ("links", name),
    ("profiles", name),
    ("secrets", |item| grant(item, "/run/secrets")),
    ("tmpfs", name),
];

/// Removes what is defined again from the lists of every service.
pub(super) fn enforce(document: &mut Tree) {
    let Some(services) = document.get_mut("services").and_then(Tree::as_map_mut) else { return };
    for service in services.values_mut() {
        for (attribute, identity) in LISTS {
            list(service, attribute, *identity);
        }
        if let Some(build) = service.get_mut("build") {
            list(build, "tags", name);
        }
        let networks = service.get_mut("networks").and_then(Tree::as_map_mut).into_iter();
        for network in networks.flat_map(|networks| networks.values_mut()) {
            list(network, "aliases", name);
            list(network, "link_local_ips", name);
        }
    }
}

fn list(tree: &mut Tree, attribute: &str, identity: Identity) {
    let Some(items) = tree.get_mut(attribute).and_then(Tree::as_list_mut) else { return };
    let mut places: BTreeMap<String, usize> = BTreeMap::new();
    let mut kept: Vec<Tree> = Vec::with_capacity(items.len());
    for item in items.drain(..) {
        let place = identity(&item).map(|key| *places.entry(key).or_insert(kept.len()));
        match place.and_then(|place| kept.get_mut(place)) {
            Some(earlier) => *earlier = item,
            None => kept.push(item),
        }
    }
    *items = kept;
}

/// What stands before `=`.
fn name(item: &Tree) -> Option<String> {
    item.as_text().map(|text| text.split('=').next().unwrap_or(text).to_owned())
}

fn entry(item: &Tree, key: &str) -> Option<String> {
    item.get(key)?.as_text().map(str::to_owned)
}

/// A target as it is written, or the path that Compose makes of the source.
fn grant(item: &Tree, folder: &str) -> Option<String> {
    entry(item, "target").or_else(|| Some(format!("{folder}/{}", entry(item, "source")?)))
}
