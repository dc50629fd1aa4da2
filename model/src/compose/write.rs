//! Compose documents as YAML, in the order in which people read them.

use std::collections::BTreeMap;

use serde_yaml::{Mapping, Value};

use super::attributes::{self, Kind};
use super::{
    Attachment, Compose, EnvValue, Healthcheck, Mount, Port, Probe, Resource, Service, Setting, Source,
};

impl Compose {
    /// Writes the document; a literal `$` is doubled, so that Compose does not interpolate it.
    #[must_use]
    pub fn to_yaml(&self) -> String {
        let mut top = Map::default();
        top.text("name", self.project.as_deref());
        let mut services = Map::default();
        for (name, service) in &self.services {
            services.put(name, self::service(service));
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
        let text = serde_yaml::to_string(&Value::Mapping(top.0)).unwrap_or_default();
        spaced(&text)
    }
}

/// Puts an empty line before each top-level section and between services.
fn spaced(text: &str) -> String {
    let mut spaced = String::with_capacity(text.len() + 64);
    let mut section = "";
    let mut first = true;
    for line in text.lines() {
        let indent = line.len() - line.trim_start().len();
        let item = line.trim_start().starts_with('-');
        if indent == 0 && !item {
            if !spaced.is_empty() {
                spaced.push('\n');
            }
            section = line;
            first = true;
        } else if indent == 2 && !item && section == "services:" {
            if !first {
                spaced.push('\n');
            }
            first = false;
        }
        spaced.push_str(line);
        spaced.push('\n');
    }
    spaced
}

#[derive(Default)]
struct Map(Mapping);

impl Map {
    fn put(&mut self, name: &str, value: Value) {
        self.0.insert(Value::from(escaped(name)), value);
    }

    fn text(&mut self, name: &str, text: Option<&str>) {
        if let Some(text) = text {
            self.put(name, string(text));
        }
    }

    fn map(&mut self, name: &str, map: Self) {
        if !map.0.is_empty() {
            self.put(name, Value::Mapping(map.0));
        }
    }

    fn list(&mut self, name: &str, items: Vec<Value>) {
        if !items.is_empty() {
            self.put(name, Value::Sequence(items));
        }
    }
}

fn escaped(text: &str) -> String {
    text.replace('$', "$$")
}

fn string(text: &str) -> Value {
    Value::from(escaped(text))
}

fn strings<'a>(texts: impl IntoIterator<Item = &'a String>) -> Vec<Value> {
    texts.into_iter().map(|text| string(text)).collect()
}

fn service(service: &Service) -> Value {
    let mut map = Map::default();
    map.text("image", service.image.as_deref());
    map.text("container_name", service.container_name.as_deref());
    map.text("hostname", service.hostname.as_deref());
    for (name, words) in [("entrypoint", &service.entrypoint), ("command", &service.command)] {
        if let Some(words) = words {
            map.put(name, Value::Sequence(strings(words)));
        }
    }
    map.text("user", service.user.as_deref());
    map.text("working_dir", service.working_dir.as_deref());
    let mut environment = Map::default();
    for (name, value) in &service.environment {
        match value {
            EnvValue::Literal(text) => environment.put(name, string(text)),
            EnvValue::Inherit => environment.put(name, Value::Null),
        }
    }
    map.map("environment", environment);
    let of = |kind: fn(&Source) -> bool| {
        service.mounts.iter().filter(|mount| kind(&mount.source)).map(mount).collect::<Vec<_>>()
    };
    map.list("volumes", of(|source| !matches!(source, Source::Config(_) | Source::Secret(_))));
    map.list("configs", of(|source| matches!(source, Source::Config(_))));
    map.list("secrets", of(|source| matches!(source, Source::Secret(_))));
    map.list("ports", service.ports.iter().map(port).collect());
    let mut networks = Map::default();
    for (name, place) in &service.networks {
        networks.put(name, attachment(place));
    }
    map.map("networks", networks);
    let mut hosts = Map::default();
    for (name, addresses) in &service.extra_hosts {
        match addresses.as_slice() {
            [address] => hosts.put(name, string(address)),
            several => hosts.put(name, Value::Sequence(strings(several))),
        }
    }
    map.map("extra_hosts", hosts);
    let mut depends = Map::default();
    for (name, dependency) in &service.depends_on {
        let mut entry = Map::default();
        entry.text("condition", Some(&dependency.condition));
        if dependency.restart {
            entry.put("restart", Value::Bool(true));
        }
        if !dependency.required {
            entry.put("required", Value::Bool(false));
        }
        depends.put(name, Value::Mapping(entry.0));
    }
    map.map("depends_on", depends);
    if let Some(health) = &service.healthcheck {
        map.put("healthcheck", healthcheck(health));
    }
    let mut labels = Map::default();
    for (name, value) in &service.labels {
        labels.put(name, string(value));
    }
    map.map("labels", labels);
    for (name, value) in &service.settings {
        map.put(name, setting(name, value));
    }
    Value::Mapping(map.0)
}

fn mount(mount: &Mount) -> Value {
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
        map.put("read_only", Value::Bool(true));
    }
    grow(&mut map.0, &mount.options, Some(Kind::Numbers));
    Value::Mapping(map.0)
}

fn port(port: &Port) -> Value {
    let mut map = Map::default();
    map.put("target", Value::from(port.target));
    map.text("published", port.published.as_deref());
    map.text("host_ip", port.host_ip.as_deref());
    if port.protocol != "tcp" {
        map.text("protocol", Some(&port.protocol));
    }
    grow(&mut map.0, &port.options, None);
    Value::Mapping(map.0)
}

fn attachment(attachment: &Attachment) -> Value {
    let mut map = Map::default();
    map.list("aliases", strings(&attachment.aliases));
    grow(&mut map.0, &attachment.options, Some(Kind::Numbers));
    if map.0.is_empty() { Value::Null } else { Value::Mapping(map.0) }
}

fn healthcheck(health: &Healthcheck) -> Value {
    let mut map = Map::default();
    match &health.test {
        Some(Probe::Disabled) => map.put("disable", Value::Bool(true)),
        Some(Probe::Exec(words)) => {
            let test = std::iter::once(Value::from("CMD")).chain(strings(words)).collect();
            map.put("test", Value::Sequence(test));
        }
        Some(Probe::Shell(line)) => {
            map.put("test", Value::Sequence(vec![Value::from("CMD-SHELL"), string(line)]));
        }
        None => {}
    }
    for (name, time) in [("interval", health.interval), ("timeout", health.timeout)] {
        map.text(name, time.map(attributes::duration).as_deref());
    }
    if let Some(retries) = health.retries {
        map.put("retries", Value::from(retries));
    }
    for (name, time) in [("start_period", health.start_period), ("start_interval", health.start_interval)] {
        map.text(name, time.map(attributes::duration).as_deref());
    }
    Value::Mapping(map.0)
}

fn setting(name: &str, value: &Setting) -> Value {
    match value {
        Setting::Text(text) => string(text),
        Setting::Bool(value) => Value::Bool(*value),
        Setting::Integer(value) | Setting::Bytes(value) => Value::from(*value),
        Setting::Duration(time) => Value::from(attributes::duration(*time)),
        Setting::List(items) => Value::Sequence(strings(items)),
        Setting::Set(items) => Value::Sequence(strings(items)),
        Setting::Map(map) => {
            let mut tree = Mapping::new();
            match attributes::kind(name) {
                Some(kind @ (Kind::Tree | Kind::Numbers)) => grow(&mut tree, map, Some(kind)),
                _ => {
                    for (name, value) in map {
                        tree.insert(string(name), string(value));
                    }
                }
            }
            Value::Mapping(tree)
        }
    }
}

fn resource(resource: &Resource) -> Value {
    let mut map = Map::default();
    map.text("name", resource.name.as_deref());
    if resource.external {
        map.put("external", Value::Bool(true));
    }
    if resource.internal {
        map.put("internal", Value::Bool(true));
    }
    grow(&mut map.0, &resource.settings, None);
    if map.0.is_empty() { Value::Null } else { Value::Mapping(map.0) }
}

/// Grows a tree from dotted paths; numbered steps become lists, and below them the rest of the path a map again.
///
/// Truth values are written as such; numbers only for [`Kind::Numbers`], because options of drivers are strings.
fn grow(into: &mut Mapping, leaves: &BTreeMap<String, String>, kind: Option<Kind>) {
    for (path, value) in leaves {
        let leaf = match value.as_str() {
            "true" => Value::Bool(true),
            "false" => Value::Bool(false),
            text => match text.parse::<i64>() {
                Ok(number) if kind == Some(Kind::Numbers) => Value::from(number),
                _ => string(text),
            },
        };
        // Names of options and labels may hold dots themselves: only the first steps are structure.
        let depth = if kind == Some(Kind::Tree) || kind == Some(Kind::Numbers) { usize::MAX } else { 2 };
        let depth = if path.starts_with("ipam.") { usize::MAX } else { depth };
        let steps: Vec<&str> = path.splitn(depth, '.').collect();
        plant(into, &steps, leaf);
    }
}

fn plant(into: &mut Mapping, steps: &[&str], leaf: Value) {
    let Some((first, rest)) = steps.split_first() else { return };
    let key = Value::from(escaped(first));
    if rest.is_empty() {
        into.insert(key, leaf);
        return;
    }
    let numbered = rest[0].parse::<usize>().ok();
    let node = into.entry(key).or_insert_with(|| match numbered {
        Some(_) => Value::Sequence(Vec::new()),
        None => Value::Mapping(Mapping::new()),
    });
    match (node, numbered) {
        (Value::Mapping(map), _) => plant(map, rest, leaf),
        (Value::Sequence(items), Some(index)) => {
            if rest.len() == 1 {
                items.push(leaf);
            } else {
                if items.len() <= index {
                    items.resize(index + 1, Value::Mapping(Mapping::new()));
                }
                if let Value::Mapping(map) = &mut items[index] {
                    plant(map, &rest[1..], leaf);
                }
            }
        }
        _ => {}
    }
}
