//! Compose documents as YAML, in the order in which people read them.

use std::borrow::Cow;
use std::collections::BTreeMap;

use super::attributes::{self, Kind};
use super::layout::{Layout, Map, Node};
use super::{
    Attachment, Compose, EnvValue, Healthcheck, Mount, Port, Probe, Resource, Service, Setting, Source,
};

impl Compose {
    /// Lays the document out as it is written.
    #[must_use]
    pub fn layout(&self) -> Layout<'_> {
        let mut top = Map { spaced: true, ..Map::default() };
        top.text("name", self.project.as_deref());
        let mut services = Map { spaced: true, ..Map::default() };
        for (name, service) in &self.services {
            services.put(name, Node::Map(self::service(service)));
        }
        top.map("services", services);
        for (section, resources) in [
            ("networks", &self.networks),
            ("volumes", &self.volumes),
            ("configs", &self.configs),
            ("secrets", &self.secrets),
        ] {
            let mut map = Map::default();
            for (name, value) in resources {
                map.put(name, resource(value));
            }
            top.map(section, map);
        }
        let mut models = Map::default();
        for (name, model) in &self.models {
            let mut map = Map::default();
            grow(&mut map, None, &model.settings, |path| path == "context_size");
            models.put(name, Node::Map(map));
        }
        top.map("models", models);
        Layout(top)
    }

    /// Writes the document; a literal `$` of a value is doubled, so that Compose does not interpolate it.
    #[must_use]
    pub fn to_yaml(&self) -> String {
        self.layout().to_yaml()
    }
}

fn service(service: &Service) -> Map<'_> {
    let mut map = Map::default();
    map.text("image", service.image.as_deref());
    map.text("container_name", service.container_name.as_deref());
    map.text("hostname", service.hostname.as_deref());
    for (name, words) in [("entrypoint", &service.entrypoint), ("command", &service.command)] {
        if let Some(words) = words {
            map.put(name, Node::List(Node::texts(words)));
        }
    }
    map.text("user", service.user.as_deref());
    map.text("working_dir", service.working_dir.as_deref());
    let mut environment = Map::default();
    for (name, value) in &service.environment {
        match value {
            EnvValue::Literal(text) => environment.put(name, Node::text(text)),
            EnvValue::Inherit => environment.put(name, Node::Null),
        }
    }
    map.map("environment", environment);
    for section in ["volumes", "tmpfs", "configs", "secrets"] {
        let of_section = service.mounts.iter().filter(|mount| self::section(mount) == section);
        map.list(section, of_section.map(if section == "tmpfs" { tmpfs } else { mount }).collect());
    }
    map.list("ports", service.ports.iter().map(port).collect());
    let mut networks = Map::default();
    for (name, place) in &service.networks {
        networks.put(name, attachment(place));
    }
    map.map("networks", networks);
    let mut hosts = Map::default();
    for (name, addresses) in &service.extra_hosts {
        match addresses.as_slice() {
            [address] => hosts.put(name, Node::text(address)),
            several => hosts.put(name, Node::List(Node::texts(several))),
        }
    }
    map.map("extra_hosts", hosts);
    let mut depends = Map::default();
    for (name, dependency) in &service.depends_on {
        let mut entry = Map::default();
        entry.text("condition", Some(&dependency.condition));
        if dependency.restart {
            entry.put("restart", Node::Bool(true));
        }
        if !dependency.required {
            entry.put("required", Node::Bool(false));
        }
        depends.put(name, Node::Map(entry));
    }
    map.map("depends_on", depends);
    if let Some(health) = &service.healthcheck {
        map.put("healthcheck", healthcheck(health));
    }
    let mut labels = Map::default();
    for (name, value) in &service.labels {
        labels.put(name, Node::text(value));
    }
    map.map("labels", labels);
    for (name, value) in &service.settings {
        match (value, attributes::kind(name)) {
            (Setting::Map(leaves), _) if name == "models" => map.put(name, Node::Map(models(leaves))),
            (Setting::Map(leaves), Some(kind @ (Kind::Tree | Kind::Numbers))) => {
                grow(&mut map, Some(name), leaves, |_| kind == Kind::Numbers);
            }
            _ => map.put(name, setting(value)),
        }
    }
    map
}

/// `models` of a service: each name, and the variables that it sets.
fn models(leaves: &BTreeMap<String, String>) -> Map<'_> {
    const VARIABLES: [&str; 2] = ["endpoint_var", "model_var"];
    let mut map = Map::default();
    for (name, _) in leaves.iter().filter(|(_, value)| value.is_empty()) {
        let mut variables = Map::default();
        for variable in VARIABLES {
            variables.text(variable, leaves.get(&format!("{name}.{variable}")).map(String::as_str));
        }
        map.put(name, filled(variables));
    }
    map
}

/// Section of a service that has a mount.
fn section(mount: &Mount) -> &'static str {
    match mount.source {
        Source::Config(_) => "configs",
        Source::Secret(_) => "secrets",
        Source::Tmpfs if mount.options.contains_key("tmpfs.options") => "tmpfs",
        _ => "volumes",
    }
}

/// `TARGET:OPTION,…`, for options that the long syntax has no key for.
fn tmpfs(mount: &Mount) -> Node<'_> {
    let option = |name: &str| mount.options.get(&format!("tmpfs.{name}"));
    let mode = option("mode").and_then(|mode| mode.parse().ok()).map(|mode: u32| format!("mode={mode:o}"));
    let size = option("size").map(|size| format!("size={size}"));
    let access = mount.read_only.then(|| "ro".to_owned());
    let options: Vec<String> =
        [access, mode, size, option("options").cloned()].into_iter().flatten().collect();
    Node::text(format!("{}:{}", mount.target, options.join(",")))
}

fn mount(mount: &Mount) -> Node<'_> {
    let mut map = Map::default();
    let (kind, source) = match &mount.source {
        Source::Bind(path) => ("bind", Some(path)),
        Source::Volume(name) => ("volume", Some(name)),
        Source::Anonymous => ("volume", None),
        Source::Tmpfs => ("tmpfs", None),
        Source::Image(name) => ("image", Some(name)),
        Source::Other(kind, source) => (kind.as_str(), Some(source)),
        Source::Config(name) | Source::Secret(name) => ("", Some(name)),
    };
    if !kind.is_empty() {
        map.text("type", Some(kind));
    }
    map.text("source", source.map(String::as_str));
    map.text("target", Some(&mount.target));
    if mount.read_only {
        map.put("read_only", Node::Bool(true));
    }
    let bind = mount.options.keys().any(|option| option.starts_with("bind."));
    if bind && !mount.options.contains_key("bind.create_host_path") {
        // Compose creates what is missing where `bind` is absent, and where it says so.
        let created = ("create_host_path".into(), Node::Bool(true));
        map.put("bind", Node::Map(Map { entries: vec![created], spaced: false }));
    }
    grow(&mut map, None, &mount.options, |option| option.starts_with("tmpfs."));
    Node::Map(map)
}

fn port(port: &Port) -> Node<'_> {
    let mut map = Map::default();
    map.put("target", Node::Number(port.target.into()));
    map.text("published", port.published.as_deref());
    map.text("host_ip", port.host_ip.as_deref());
    if port.protocol != "tcp" {
        map.text("protocol", Some(&port.protocol));
    }
    grow(&mut map, None, &port.options, |_| false);
    Node::Map(map)
}

/// A map, or nothing where it would be empty.
fn filled(map: Map<'_>) -> Node<'_> {
    if map.entries.is_empty() { Node::Null } else { Node::Map(map) }
}

fn attachment(attachment: &Attachment) -> Node<'_> {
    let mut map = Map::default();
    map.list("aliases", Node::texts(&attachment.aliases));
    grow(&mut map, None, &attachment.options, |option| option.ends_with("priority"));
    filled(map)
}

fn healthcheck(health: &Healthcheck) -> Node<'_> {
    let mut map = Map::default();
    match &health.test {
        Some(Probe::Disabled) => map.put("disable", Node::Bool(true)),
        Some(Probe::Exec(words)) => {
            let test = std::iter::once(Node::text("CMD")).chain(Node::texts(words)).collect();
            map.put("test", Node::List(test));
        }
        Some(Probe::Shell(line)) => {
            map.put("test", Node::List(vec![Node::text("CMD-SHELL"), Node::text(line)]));
        }
        None => {}
    }
    let retries = health.retries.map(|count| Node::Number(count.into()));
    let time = |time: Option<u64>| time.map(|time| Node::text(attributes::duration(time)));
    for (name, value) in [
        ("interval", time(health.interval)),
        ("timeout", time(health.timeout)),
        ("retries", retries),
        ("start_period", time(health.start_period)),
        ("start_interval", time(health.start_interval)),
    ] {
        if let Some(value) = value {
            map.put(name, value);
        }
    }
    Node::Map(map)
}

fn setting(value: &Setting) -> Node<'_> {
    match value {
        Setting::Text(text) => Node::text(text),
        Setting::Bool(value) => Node::Bool(*value),
        Setting::Integer(value) => Node::Number((*value).into()),
        Setting::Bytes(value) => match attributes::size(*value) {
            plain if plain.ends_with(|c: char| c.is_ascii_digit()) => Node::Number((*value).into()),
            sized => Node::text(sized),
        },
        Setting::Duration(time) => Node::text(attributes::duration(*time)),
        Setting::List(items) => Node::List(Node::texts(items)),
        Setting::Set(items) => Node::List(Node::texts(items)),
        Setting::Map(map) => {
            let entries = map.iter().map(|(name, value)| (name.into(), Node::text(value))).collect();
            Node::Map(Map { entries, spaced: false })
        }
    }
}

fn resource(resource: &Resource) -> Node<'_> {
    let mut map = Map::default();
    map.text("name", resource.name.as_deref());
    if resource.external {
        map.put("external", Node::Bool(true));
    }
    if resource.internal {
        map.put("internal", Node::Bool(true));
    }
    grow(&mut map, None, &resource.settings, |_| false);
    filled(map)
}

/// Attributes below which a key is a name that the file chooses, dots and all, and a value a string.
const NAMED: &[&str] = &[
    "additional_contexts",
    "annotations",
    "args",
    "aux_addresses",
    "driver_opts",
    "environment",
    "extra_hosts",
    "labels",
    "options",
    "sysctls",
];
/// Attributes that are strings whatever they look like.
const TEXTS: &[&str] = &["subpath", "driver", "name"];

/// Grows a tree from dotted paths, below `root` if there is one; numbered steps become lists.
///
/// Truth values are written as such, numbers only where `number` says so for the path.
fn grow<'a>(
    into: &mut Map<'a>,
    root: Option<&'a str>,
    leaves: &'a BTreeMap<String, String>,
    number: impl Fn(&str) -> bool,
) {
    for (path, value) in leaves {
        let mut steps: Vec<&str> = root.into_iter().collect();
        let mut rest = path.as_str();
        let mut named = false;
        while let Some((step, below)) = rest.split_once('.').filter(|_| !named) {
            steps.push(step);
            rest = below;
            named = NAMED.contains(&step);
        }
        let text = named || TEXTS.contains(&rest);
        steps.push(rest);
        let leaf = match (value.as_str(), value.parse::<i64>()) {
            ("true", _) if !text => Node::Bool(true),
            ("false", _) if !text => Node::Bool(false),
            (_, Ok(value)) if !text && number(path) => Node::Number(value.into()),
            (value, _) => Node::text(value),
        };
        plant(into, &steps, named, leaf);
    }
}

fn plant<'a>(into: &mut Map<'a>, steps: &[&'a str], named: bool, leaf: Node<'a>) {
    let Some((&first, rest)) = steps.split_first() else { return };
    let held = into.entries.iter().position(|(name, _)| name == first);
    let Some((next, below)) = rest.split_first() else {
        match held {
            Some(at) => into.entries[at].1 = leaf,
            None => into.put(first, leaf),
        }
        return;
    };
    let numbered = next.parse::<usize>().ok().filter(|_| !(named && below.is_empty()));
    let at = held.unwrap_or_else(|| {
        let node = if numbered.is_some() { Node::List(Vec::new()) } else { Node::Map(Map::default()) };
        into.entries.push((Cow::Borrowed(first), node));
        into.entries.len() - 1
    });
    match (&mut into.entries[at].1, numbered) {
        (Node::Map(map), _) => plant(map, rest, named, leaf),
        (Node::List(items), Some(index)) => {
            if rest.len() == 1 {
                items.push(leaf);
            } else {
                if items.len() <= index {
                    items.resize_with(index + 1, || Node::Map(Map::default()));
                }
                if let Node::Map(map) = &mut items[index] {
                    plant(map, &rest[1..], named, leaf);
                }
            }
        }
        _ => {}
    }
}
