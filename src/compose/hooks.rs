//! Commands that Compose runs in a container: of its life cycle, and of files that change.

use std::collections::BTreeMap;

use super::service::filled;
use super::tree::{Failure, Node, Tree};
use super::value;

/// `develop`: its items of `watch`.
pub(super) fn develop(node: &Node<'_>, into: &mut BTreeMap<String, String>) -> Result<(), Failure> {
    let Some(watches) = node.get("watch") else { return Ok(()) };
    let mut items = watches.items()?.enumerate();
    items.try_for_each(|(at, item)| watch(&item, &format!("watch.{at}"), into))
}

/// A command that runs in the container, with what it runs as.
pub(super) fn hook(node: &Node<'_>, path: &str, into: &mut BTreeMap<String, String>) -> Result<(), Failure> {
    for (key, child) in node.plain()? {
        let place = format!("{path}.{key}");
        match key {
            "command" => {
                let words = value::command(&child)?.into_iter().flatten().enumerate();
                into.extend(words.map(|(at, word)| (format!("{place}.{at}"), word)));
            }
            "privileged" => into.extend(child.boolean()?.then(|| (place, "true".to_owned()))),
            "environment" => value::leaves(&child, &place, into)?,
            _ => into.extend(filled(&child)?.map(|text| (place, text))),
        }
    }
    Ok(())
}

/// An item of `develop.watch`. It needs a path, and a target if it does more than rebuild or restart.
fn watch(node: &Node<'_>, path: &str, into: &mut BTreeMap<String, String>) -> Result<(), Failure> {
    let text = |key| node.tree.get(key).and_then(Tree::as_text).unwrap_or_default();
    if text("path").is_empty() {
        return Err(node.fail("has an empty path"));
    }
    if text("target").is_empty() && !matches!(text("action"), "rebuild" | "restart") {
        return Err(node.fail("needs a target: only rebuild and restart need none"));
    }
    for (key, child) in node.plain()? {
        let place = format!("{path}.{key}");
        match key {
            "exec" => hook(&child, &place, into)?,
            "initial_sync" => into.extend(child.boolean()?.then(|| (place, "true".to_owned()))),
            "ignore" | "include" => value::leaves(&child, &place, into)?,
            _ => into.extend(filled(&child)?.map(|text| (place, text))),
        }
    }
    Ok(())
}
