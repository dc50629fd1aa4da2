//! The short syntax of `volumes`, and the mounts that its long form means.

use std::collections::BTreeMap;

use bottle_model::compose::{Mount, Source};

use super::paths;
use super::tree::{Failure, Map, Mark, Node, Tree, Value};
use super::value;

/// Unfolds `[SOURCE:]TARGET[:MODE]`; what is no such thing stays a string.
pub(super) fn unfold(node: &mut Tree) {
    let Some(spec) = node.as_text() else { return };
    if let Some(map) = long(spec, node.mark) {
        node.value = Value::Map(Box::new(map));
    }
}

fn long(spec: &str, mark: Mark) -> Option<Map> {
    let parts = split(spec);
    if parts.iter().any(|part| part.is_empty()) {
        return None;
    }
    let (source, target, mode) = match parts.as_slice() {
        [target] => (None, *target, ""),
        [source, target] => (Some(*source), *target, ""),
        [source, target, mode] => (Some(*source), *target, *mode),
        _ => return None,
    };
    let bind = source.is_some_and(is_path);
    let text = |text: &str| Tree::text(text, mark);
    let truth = |value| Tree::new(Value::Bool(value), mark);
    let mut map = Map::new();
    let mut options = Map::new();
    map.insert("type".to_owned(), text(if bind { "bind" } else { "volume" }));
    if let Some(source) = source {
        map.insert("source".to_owned(), text(source));
    }
    map.insert("target".to_owned(), text(&paths::clean(target)));
    for flag in mode.split(',') {
        match flag {
            "ro" => {
                map.insert("read_only".to_owned(), truth(true));
            }
            "rw" => {
                map.shift_remove("read_only");
            }
            "nocopy" => {
                let nocopy = Tree::map([("nocopy".to_owned(), truth(true))], mark);
                map.insert("volume".to_owned(), nocopy);
            }
            "z" | "Z" => {
                options.insert("selinux".to_owned(), text(flag));
            }
            "private" | "rprivate" | "shared" | "rshared" | "slave" | "rslave" => {
                options.insert("propagation".to_owned(), text(flag));
            }
            // Compose ignores every other, `cached` and `delegated` among them.
            _ => {}
        }
    }
    if bind {
        options.insert("create_host_path".to_owned(), truth(true));
    }
    if !options.is_empty() {
        map.insert("bind".to_owned(), Tree::new(Value::Map(Box::new(options)), mark));
    }
    Some(map)
}

/// Parts between colons; the colon behind the single letter of a Windows drive is none of these.
fn split(spec: &str) -> Vec<&str> {
    if spec.chars().count() <= 2 {
        return vec![spec];
    }
    let mut parts = Vec::new();
    let mut start = 0;
    for (at, _) in spec.match_indices(':') {
        let mut part = spec[start..at].chars();
        let drive = part.next().is_some_and(char::is_alphabetic) && part.next().is_none();
        if !drive {
            parts.push(&spec[start..at]);
            start = at + 1;
        }
    }
    parts.push(&spec[start..]);
    parts
}

/// Whether a source is a path of the host rather than the name of a volume.
fn is_path(source: &str) -> bool {
    source.starts_with(['.', '/', '~']) || source.starts_with("\\\\") || paths::has_drive(source)
}

/// Reads the long syntax.
pub(super) fn mount(node: &Node<'_>) -> Result<Mount, Failure> {
    if node.tree.as_text().is_some() {
        return Err(node.fail("is not SOURCE:TARGET[:MODE]"));
    }
    let text = |key| node.get(key).map(|node| node.text().map(str::to_owned)).transpose();
    let kind = text("type")?.unwrap_or_default();
    let target = text("target")?.ok_or_else(|| node.fail("has no target"))?;
    let mut mount = Mount {
        target: value::absolute(node, &target)?,
        source: Source::Anonymous,
        read_only: node.get("read_only").map_or(Ok(false), |node| node.boolean())?,
        options: BTreeMap::new(),
    };
    let mut set = |key: &str, value: String| mount.options.insert(key.to_owned(), value);
    if let Some(consistency) = text("consistency")? {
        set("consistency", consistency);
    }
    if let Some(bind) = node.get("bind").filter(|_| kind == "bind") {
        // Without a `bind:` the engine creates what is missing; with one it does as it is told.
        if !bind.get("create_host_path").map_or(Ok(false), |node| node.boolean())? {
            set("bind.create_host_path", "false".to_owned());
        }
        for key in ["propagation", "recursive", "selinux"] {
            if let Some(option) = bind.get(key) {
                set(&format!("bind.{key}"), option.text()?.to_owned());
            }
        }
    }
    if let Some(volume) = node.get("volume").filter(|_| kind == "volume") {
        if volume.get("nocopy").map_or(Ok(false), |node| node.boolean())? {
            set("volume.nocopy", "true".to_owned());
        }
        if let Some(subpath) = volume.get("subpath") {
            set("volume.subpath", subpath.text()?.to_owned());
        }
        if let Some(labels) = volume.get("labels") {
            for (label, value) in labels.entries()? {
                set(&format!("volume.labels.{label}"), value::text_or_empty(&value)?);
            }
        }
    }
    if let Some(tmpfs) = node.get("tmpfs").filter(|_| kind == "tmpfs") {
        if let Some(size) = tmpfs.get("size") {
            let bytes = value::bytes(&size)?;
            if bytes < 0 {
                return Err(size.fail("cannot be negative"));
            }
            set("tmpfs.size", bytes.to_string());
        }
        if let Some(mode) = tmpfs.get("mode") {
            set("tmpfs.mode", value::count(&mode)?.to_string());
        }
    }
    if let Some(subpath) = node
        .get("image")
        .filter(|_| kind == "image")
        .and_then(|image| image.get("subpath").map(|subpath| subpath.text().map(str::to_owned)))
    {
        set("image.subpath", subpath?);
    }
    // What is not set; an empty label is one.
    mount.options.retain(|option, value| match value.as_str() {
        "" => option.starts_with("volume.labels."),
        "0" => !option.starts_with("tmpfs."),
        _ => true,
    });
    let source = text("source")?.filter(|source| !source.is_empty());
    let named = |source: Option<String>| source.ok_or_else(|| node.fail("has no source"));
    mount.source = match kind.as_str() {
        "bind" => Source::Bind(paths::clean(&named(source)?)),
        "volume" => source.map_or(Source::Anonymous, Source::Volume),
        "tmpfs" => Source::Tmpfs,
        "image" => Source::Image(named(source)?),
        _ => Source::Other(kind, named(source)?),
    };
    Ok(mount)
}
