//! Every small edit of a document, made by a generic walk. It knows YAML and the names of Compose's attributes, and no rule.

use bottle_model::compose::Kind;
use bottle_model::compose::attributes::ATTRIBUTES;
use serde_yaml::{Mapping, Value};

/// Calls back with every mutant of a document and a description of the edit: each node deleted, each scalar changed, one
/// element added to each list and map.
pub(crate) fn each(document: &Value, mut show: impl FnMut(&str, &Value)) {
    let mut places = Vec::new();
    collect(document, &mut Vec::new(), &mut places);
    let mut copy = document.clone();
    for place in &places {
        let shown: Vec<String> = place.iter().map(text).collect();
        let shown = format!("/{}", shown.join("/"));
        if let Some((last, parents)) = place.split_last() {
            let parent = at(&mut copy, parents).clone();
            remove(at(&mut copy, parents), last);
            show(&format!("delete {shown}"), &copy);
            *at(&mut copy, parents) = parent;
        }
        let node = at(&mut copy, place).clone();
        for (how, value) in changes(&node, place).into_iter().chain(borrowed(document, &node, place)) {
            *at(&mut copy, place) = value;
            show(&format!("{how} {shown}"), &copy);
        }
        *at(&mut copy, place) = node;
    }
}

fn collect(node: &Value, place: &mut Vec<Value>, places: &mut Vec<Vec<Value>>) {
    places.push(place.clone());
    match node {
        Value::Mapping(map) => {
            for (key, value) in map {
                place.push(key.clone());
                collect(value, place, places);
                place.pop();
            }
        }
        Value::Sequence(items) => {
            for (index, value) in items.iter().enumerate() {
                place.push(Value::from(index));
                collect(value, place, places);
                place.pop();
            }
        }
        _ => {}
    }
}

fn at<'a>(node: &'a mut Value, place: &[Value]) -> &'a mut Value {
    place.iter().fold(node, |node, step| match node {
        Value::Sequence(items) => &mut items[usize::try_from(step.as_u64().unwrap()).unwrap()],
        Value::Mapping(map) => map.get_mut(step).unwrap(),
        _ => unreachable!("a place leads through lists and maps"),
    })
}

fn remove(parent: &mut Value, step: &Value) {
    match parent {
        Value::Sequence(items) => {
            items.remove(usize::try_from(step.as_u64().unwrap()).unwrap());
        }
        Value::Mapping(map) => {
            map.shift_remove(step);
        }
        _ => unreachable!("a place leads through lists and maps"),
    }
}

/// A node with one thing more that another service, network or volume has in the same place.
fn borrowed(document: &Value, node: &Value, place: &[Value]) -> Vec<(String, Value)> {
    let [kind, owner, inner @ ..] = place else { return Vec::new() };
    let siblings = document.get(kind).and_then(Value::as_mapping).into_iter().flatten();
    let mut borrowed = Vec::new();
    for (sibling, theirs) in siblings.filter(|(sibling, _)| *sibling != owner) {
        let theirs = inner.iter().try_fold(theirs, |node, step| node.get(step));
        match (node, theirs) {
            (Value::Sequence(ours), Some(Value::Sequence(theirs))) => {
                for (at, item) in theirs.iter().enumerate().filter(|(_, item)| !ours.contains(item)) {
                    let longer = ours.iter().chain([item]).cloned().collect();
                    borrowed.push((format!("borrow {} {at} for", text(sibling)), Value::Sequence(longer)));
                }
            }
            (Value::Mapping(ours), Some(Value::Mapping(theirs))) => {
                for (key, value) in theirs.iter().filter(|(key, _)| !ours.contains_key(*key)) {
                    let mut larger = ours.clone();
                    larger.insert(key.clone(), value.clone());
                    let what = format!("borrow {} {} for", text(sibling), text(key));
                    borrowed.push((what, Value::Mapping(larger)));
                }
            }
            _ => {}
        }
    }
    borrowed
}

/// Other values for a node, with a word for how they came about.
fn changes(node: &Value, place: &[Value]) -> Vec<(String, Value)> {
    match node {
        Value::Bool(value) => vec![("flip".to_owned(), Value::Bool(!value))],
        Value::Number(number) => {
            let number = number.as_i64().unwrap_or(1);
            vec![("increase".to_owned(), Value::from(number + 1))]
        }
        Value::Null => vec![("fill".to_owned(), Value::from("filled"))],
        Value::String(string) => other_strings(string)
            .into_iter()
            .map(|(how, string)| (how.to_owned(), Value::from(string)))
            .collect(),
        Value::Sequence(items) => {
            let extra = match items.first() {
                Some(first) => varied(first),
                None => Value::from("extra"),
            };
            let mut longer = items.clone();
            longer.push(extra);
            vec![("append to".to_owned(), Value::Sequence(longer))]
        }
        Value::Mapping(map) => additions(map, place)
            .into_iter()
            .map(|(key, value)| {
                let mut larger = map.clone();
                larger.insert(Value::from(key.as_str()), value);
                (format!("add {key} to"), Value::Mapping(larger))
            })
            .collect(),
        Value::Tagged(_) => Vec::new(),
    }
}

/// A string that means something else, of the same kind where the kind shows.
fn other_strings(string: &str) -> Vec<(&'static str, String)> {
    if let Ok(number) = string.parse::<i64>() {
        return vec![("increase", (number + 1).to_string())];
    }
    let unit = string.trim_start_matches(|c: char| c.is_ascii_digit());
    if unit.len() < string.len() && !unit.is_empty() && unit.chars().all(|c| c.is_ascii_alphabetic()) {
        let number: u64 = string[..string.len() - unit.len()].parse().unwrap_or(1);
        return vec![("increase", format!("{}{unit}", number + 1))];
    }
    let mut others = vec![("change", format!("{string}-other")), ("prefix", format!("other-{string}"))];
    if !string.is_empty() {
        others.push(("empty", String::new()));
    }
    if let Some(rest) = string.strip_prefix("127.0.0.1") {
        others.push(("widen", format!("0.0.0.0{rest}")));
    }
    others.extend(cuts(string).map(|cut| ("cut", cut)));
    for (from, to) in [
        ("pipelock-first", "egress-first"),
        ("egress-first", "pipelock-first"),
        ("require", "off"),
        ("tcp", "udp"),
        ("bind", "volume"),
        ("service_healthy", "service_started"),
        ("bridge", "overlay"),
    ] {
        if string == from {
            others.push(("replace", to.to_owned()));
        }
    }
    others
}

/// A text without one of its parts, where it is a list.
fn cuts(string: &str) -> impl Iterator<Item = String> {
    let separator = [',', ':'].into_iter().find(|separator| string.contains(*separator));
    let parts: Vec<&str> = separator.into_iter().flat_map(|separator| string.split(separator)).collect();
    (0..parts.len()).map(move |at| {
        let left = parts.iter().enumerate().filter(|(other, _)| *other != at).map(|(_, part)| *part);
        left.collect::<Vec<_>>().join(&separator.map_or_else(String::new, String::from))
    })
}

/// A sibling of a node: the same shape, other values.
fn varied(node: &Value) -> Value {
    match node {
        Value::String(string) => Value::from(other_strings(string).swap_remove(0).1),
        Value::Number(number) => Value::from(number.as_i64().unwrap_or(1) + 1),
        Value::Mapping(map) => {
            map.iter().map(|(key, value)| (key.clone(), varied_leaf(key, value))).collect::<Mapping>().into()
        }
        Value::Sequence(items) => Value::Sequence(items.iter().map(varied).collect()),
        other => other.clone(),
    }
}

/// Leaves alone what names a kind rather than a thing, so that the sibling stays plausible.
fn varied_leaf(key: &Value, value: &Value) -> Value {
    match key.as_str() {
        Some("type" | "protocol" | "condition" | "host_ip" | "mode") => value.clone(),
        _ => varied(value),
    }
}

/// What might be added to a map.
fn additions(map: &Mapping, place: &[Value]) -> Vec<(String, Value)> {
    let words: Vec<String> = place.iter().map(text).collect();
    let words: Vec<&str> = words.iter().map(String::as_str).collect();
    let absent = |additions: Vec<(&str, Value)>| {
        additions
            .into_iter()
            .filter(|(key, _)| !map.contains_key(Value::from(*key)))
            .map(|(key, value)| (key.to_owned(), value))
            .collect::<Vec<_>>()
    };
    let yaml = |text: &str| serde_yaml::from_str::<Value>(text).unwrap();
    match words.as_slice() {
        ["services"] => vec![("extra".to_owned(), yaml("{image: 'extra:1'}"))],
        ["networks" | "volumes"] => vec![("extra".to_owned(), yaml("{name: extra}"))],
        ["networks", _] => absent(vec![
            ("internal", Value::Bool(true)),
            ("driver", Value::from("overlay")),
            ("attachable", Value::Bool(true)),
            ("enable_ipv6", Value::Bool(true)),
            ("labels", yaml("{extra: label}")),
            ("driver_opts", yaml("{com.docker.network.bridge.enable_icc: 'false'}")),
            ("ipam", yaml("{config: [{subnet: 10.99.0.0/24}]}")),
        ]),
        ["services", _] => absent(
            ATTRIBUTES
                .iter()
                .filter_map(|(name, kind)| sample(name, *kind).map(|value| (*name, value)))
                .chain([
                    ("entrypoint", yaml("[/bin/extra]")),
                    ("command", yaml("[extra]")),
                    ("user", Value::from("4321")),
                    ("working_dir", Value::from("/extra")),
                    ("hostname", Value::from("extra")),
                    ("container_name", Value::from("extra")),
                    ("environment", yaml("{EXTRA: value}")),
                    ("volumes", yaml("['/extra:/extra']")),
                    ("tmpfs", yaml("[/extra]")),
                    ("ports", yaml("['127.0.0.1:7777:7777']")),
                    ("extra_hosts", yaml("{extra: 192.0.2.1}")),
                    ("labels", yaml("{extra: label}")),
                    ("healthcheck", yaml("{test: [CMD, 'true']}")),
                    ("depends_on", yaml("{pipelock: {condition: service_healthy}}")),
                    ("depends_on", yaml("{egress: {condition: service_healthy}}")),
                    ("links", yaml("['pipelock:extra']")),
                    ("links", yaml("['sidecars:extra']")),
                ])
                .collect(),
        ),
        ["services", _, "environment"] => absent(vec![
            ("EXTRA", Value::from("value")),
            ("EGRESS_TOKEN_99", Value::Null),
            ("HTTPS_PROXY", Value::from("http://extra:1")),
        ]),
        ["services", _, "networks"] => absent(vec![("extra", Value::Null)]),
        ["services", _, "networks", _] => {
            absent(vec![("aliases", yaml("[extra]")), ("ipv4_address", Value::from("10.9.9.9"))])
        }
        ["services", _, "extra_hosts"] => absent(vec![("extra", Value::from("192.0.2.1"))]),
        ["services", _, "labels"] => absent(vec![("extra", Value::from("label"))]),
        ["services", _, "depends_on"] => absent(vec![
            ("pipelock", yaml("{condition: service_healthy}")),
            ("egress", yaml("{condition: service_healthy}")),
        ]),
        ["services", _, "depends_on", _] => absent(vec![("restart", Value::Bool(true))]),
        ["services", _, "healthcheck"] => {
            absent(vec![("start_period", Value::from("99s")), ("start_interval", Value::from("9s"))])
        }
        ["services", _, "volumes", _] => absent(vec![("read_only", Value::Bool(true))]),
        ["services", _, "volumes", _, "bind"] => absent(vec![("propagation", Value::from("rshared"))]),
        ["services", _, "ports", _] => {
            absent(vec![("host_ip", Value::from("192.0.2.1")), ("published", Value::from("7777"))])
        }
        // A sibling of what is there.
        _ => absent(vec![("extra", map.values().next().map_or_else(|| Value::from("extra"), varied))]),
    }
}

/// A plausible value of an attribute.
fn sample(name: &str, kind: Kind) -> Option<Value> {
    let yaml = |text: &str| Some(serde_yaml::from_str::<Value>(text).unwrap());
    match (name, kind) {
        ("network_mode" | "pid" | "ipc" | "uts" | "cgroup" | "userns_mode", _) => yaml("host"),
        ("cap_add" | "cap_drop", _) => yaml("[NET_ADMIN]"),
        ("security_opt", _) => yaml("['seccomp=unconfined']"),
        ("devices", _) => yaml("['/dev/fuse:/dev/fuse']"),
        ("device_cgroup_rules", _) => yaml("['c 1:3 mr']"),
        ("restart" | "pull_policy", _) => yaml("always"),
        ("stop_signal", _) => yaml("SIGKILL"),
        ("stop_grace_period", _) => yaml("1s"),
        ("scale", _) => yaml("2"),
        ("attach", _) => yaml("false"),
        ("isolation", _) => yaml("hyperv"),
        ("mac_address", _) => yaml("'02:42:ac:11:00:02'"),
        ("platform", _) => yaml("linux/arm64"),
        // Names a service, which has to be there.
        ("links", _) => None,
        ("external_links", _) => yaml("['other:extra']"),
        ("volumes_from", _) => yaml("['container:other']"),
        ("expose", _) => yaml("['7777']"),
        ("gpus", _) => yaml("all"),
        ("logging", _) => yaml("{driver: none}"),
        ("ulimits", _) => yaml("{nofile: {soft: 10, hard: 20}}"),
        ("blkio_config", _) => yaml("{weight: 300}"),
        ("deploy", _) => yaml("{resources: {limits: {memory: 64m}}}"),
        ("build", _) => yaml("{context: /extra}"),
        ("credential_spec", _) => yaml("{file: extra.json}"),
        ("develop", _) => yaml("{watch: [{path: /extra, action: rebuild}]}"),
        ("models", _) => yaml("{extra: {endpoint_var: X}}"),
        ("provider", _) => yaml("{type: extra}"),
        ("post_start" | "pre_stop", _) => yaml("[{command: [extra]}]"),
        ("sysctls", _) => yaml("{net.core.somaxconn: '1024'}"),
        (_, Kind::Bool) => yaml("true"),
        (_, Kind::Integer) => yaml("7"),
        (_, Kind::Number) => yaml("0.5"),
        (_, Kind::Bytes) => yaml("64m"),
        (_, Kind::Duration) => yaml("7s"),
        (_, Kind::Text) => yaml("extra"),
        (_, Kind::List | Kind::Set) => yaml("[192.0.2.53]"),
        (_, Kind::Map) => yaml("{extra: value}"),
        (_, Kind::Tree | Kind::Numbers) => None,
    }
}

fn text(value: &Value) -> String {
    match value {
        Value::String(string) => string.clone(),
        other => serde_yaml::to_string(other).unwrap().trim().to_owned(),
    }
}
