//! Overriding: how a later file changes an earlier one (compose-spec, "Merge"). Both are unfolded.

use std::collections::{BTreeMap, BTreeSet};

use super::tree::{Failure, Tag, Tree, Value};

/// How two values of one attribute become one.
#[derive(Clone, Copy)]
enum Rule {
    /// Maps merge, lists append, everything else gives way; nothing changes nothing.
    Deep,
    /// The later one counts alone.
    Replace,
    /// Each later entry of a map counts alone, also one without a value.
    Entries,
    /// Lists append, and an item takes the place of those with the same identity in the earlier file.
    Keyed(fn(&Tree) -> Option<&str>),
    /// Lists append without what is there already.
    Union,
    /// Merges if both name the same driver or one names none; else the later one counts.
    Driver,
    /// The later list counts, each item merged into that of the same subnet.
    Pools,
}

fn rule(path: &[&str]) -> Rule {
    match path {
        ["services", _, rest @ ..] => match rest {
            ["command" | "entrypoint"] | ["healthcheck", "test"] | ["ulimits", _] => Rule::Replace,
            ["annotations" | "environment" | "labels" | "sysctls"]
            | ["build", "additional_contexts" | "args" | "labels"]
            | ["deploy", "labels"] => Rule::Entries,
            ["volumes"] => Rule::Keyed(|item| item.get("target")?.as_text()),
            ["extra_hosts", ..] | ["build", "extra_hosts", ..] => Rule::Union,
            ["logging"] => Rule::Driver,
            _ => Rule::Deep,
        },
        ["networks" | "volumes", _, "labels"] => Rule::Entries,
        ["networks", _, "ipam", "config"] => Rule::Pools,
        _ => Rule::Deep,
    }
}

/// Merges what stands at a path in a later file into what stands there in an earlier one.
///
/// What the later one resets stays as a mark, for [`settle`] to clear away once all is merged.
pub(super) fn merge(earlier: &mut Tree, later: Tree, path: &[&str]) -> Result<(), Failure> {
    let rule = rule(path);
    if later.tag != Tag::None || matches!(rule, Rule::Replace) {
        *earlier = later;
        return Ok(());
    }
    let apart = matches!(rule, Rule::Driver)
        && matches!((earlier.get("driver"), later.get("driver")), (Some(one), Some(other)) if one != other);
    match (&mut earlier.value, later.value) {
        (_, Value::Null | Value::Bare) if refuses_null(path) => {
            return Err(Failure {
                mark: later.mark,
                place: path.join("."),
                message: "cannot override with nothing: Compose refuses it".to_owned(),
            });
        }
        (_, Value::Null | Value::Bare) => {}
        (Value::Map(map), Value::Map(more)) if matches!(rule, Rule::Entries) => {
            for (key, tree) in *more {
                if tree.tag != Tag::Reset || !earlier.listed {
                    map.insert(key, tree);
                }
            }
            earlier.listed = true;
            // What Compose merges becomes a list of names and values.
            for entry in map.values_mut().filter(|entry| entry.value == Value::Null && entry.tag == Tag::None)
            {
                entry.value = Value::Bare;
            }
        }
        (Value::Map(map), Value::Map(more)) if !apart => {
            for (key, tree) in *more {
                if tree.tag == Tag::Reset && earlier.listed {
                    continue;
                }
                match map.get_mut(&key) {
                    Some(known) => merge(known, tree, &[path, &[&key]].concat())?,
                    None => {
                        map.insert(key, tree);
                    }
                }
            }
            // What Compose merges of these becomes a list, too.
            earlier.listed |= matches!(rule, Rule::Union);
        }
        (Value::List(items), Value::List(more)) => match rule {
            Rule::Keyed(identity) => replace(items, more, identity),
            Rule::Union => {
                let known: BTreeSet<String> =
                    items.iter().filter_map(Tree::as_text).map(str::to_owned).collect();
                items.extend(
                    more.into_iter().filter(|item| !item.as_text().is_some_and(|text| known.contains(text))),
                );
            }
            Rule::Pools => pools(items, more, path)?,
            _ => items.extend(more),
        },
        (Value::Map(_), Value::Map(more)) => {
            earlier.value = Value::Map(more);
            earlier.mark = later.mark;
        }
        (Value::Map(_) | Value::List(_), _) => {
            return Err(Failure {
                mark: later.mark,
                place: path.join("."),
                message: "is of another type than what it overrides".to_owned(),
            });
        }
        (_, value) => {
            earlier.value = value;
            earlier.mark = later.mark;
        }
    }
    Ok(())
}

/// Whether a place in a later file has to say something where an earlier one does.
fn refuses_null(path: &[&str]) -> bool {
    matches!(
        path,
        ["services", _, "extra_hosts", _]
            | ["services", _, "build", "extra_hosts", _]
            | ["services", _, "logging"]
    )
}

/// Appends items; the first of each identity takes the place of the earlier ones, so that a collision within one
/// file stays one.
fn replace(items: &mut Vec<Tree>, more: Vec<Tree>, identity: fn(&Tree) -> Option<&str>) {
    let mut known: BTreeMap<String, Vec<usize>> = BTreeMap::new();
    for (at, item) in items.iter().enumerate() {
        if let Some(key) = identity(item) {
            known.entry(key.to_owned()).or_default().push(at);
        }
    }
    let mut gone: BTreeSet<usize> = BTreeSet::new();
    for item in more {
        match identity(&item).and_then(|key| known.remove(key)) {
            Some(places) => {
                gone.extend(places.iter().skip(1));
                items[places[0]] = item;
            }
            None => items.push(item),
        }
    }
    let mut at = 0;
    items.retain(|_| {
        at += 1;
        !gone.contains(&(at - 1))
    });
}

fn pools(items: &mut Vec<Tree>, more: Vec<Tree>, path: &[&str]) -> Result<(), Failure> {
    let known = std::mem::take(items);
    for item in more {
        let same = known.iter().find(|known| known.get("subnet") == item.get("subnet"));
        match same.cloned() {
            Some(mut pool) => {
                merge(&mut pool, item, &[path, &["pool"]].concat())?;
                items.push(pool);
            }
            None => items.push(item),
        }
    }
    Ok(())
}

/// Takes away what was reset, and the marks of what was overridden.
pub(super) fn settle(tree: &mut Tree) {
    tree.tag = Tag::None;
    match &mut tree.value {
        Value::List(items) => {
            items.retain(|item| item.tag != Tag::Reset);
            items.iter_mut().for_each(settle);
        }
        Value::Map(map) => {
            map.retain(|_, item| item.tag != Tag::Reset);
            map.values_mut().for_each(settle);
        }
        _ => {}
    }
}
