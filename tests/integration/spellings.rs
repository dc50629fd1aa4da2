//! Spellings of Compose's attributes that mean the same (compose-spec): short and long, lists and maps, units, types,
//! explicit defaults, order.

use serde_yaml::{Mapping, Value};

use crate::rewrites::Spelling;

pub(crate) const SPELLINGS: &[(&str, Spelling)] = &[
    ("short volume", short_volume),
    ("short port", short_port),
    ("pairs as a list", pairs),
    ("hosts with an equals sign", |place, node| hosts(place, node, '=', false)),
    ("hosts with a colon", |place, node| hosts(place, node, ':', false)),
    ("hosts with brackets", |place, node| hosts(place, node, '=', true)),
    ("networks as a list", |place, node| match (place, node) {
        (["services", _, "networks"], Value::Mapping(map)) if map.values().all(Value::is_null) => {
            Some(Value::Sequence(map.keys().cloned().collect()))
        }
        _ => None,
    }),
    ("words as a line", words),
    ("probe as a line", |place, node| match (place, node) {
        (["services", _, "healthcheck", "test"], Value::Sequence(items)) if items[0] == "CMD-SHELL" => {
            Some(items[1].clone())
        }
        _ => None,
    }),
    ("time in milliseconds", |place, node| time(place, node, |seconds| format!("{seconds}000ms"))),
    ("time in minutes", |place, node| time(place, node, |time| format!("{}m{}s", time / 60, time % 60))),
    ("bytes", |place, node| bytes(place, node).map(|bytes| Value::from(bytes.to_string()))),
    ("kibibytes", |place, node| {
        bytes(place, node)
            .filter(|bytes| bytes % 1024 == 0)
            .map(|bytes| Value::from(format!("{}k", bytes / 1024)))
    }),
    ("number as a text", number),
    ("truth as a text", |place, node| match (place, node) {
        (
            ["services", _, "privileged" | "read_only" | "init" | "tty" | "stdin_open"]
            | ["services", _, "volumes", _, "read_only"]
            | ["networks" | "volumes", _, "internal" | "external" | "attachable"],
            Value::Bool(value),
        ) => Some(Value::from(value.to_string())),
        _ => None,
    }),
    ("list of one as a text", |place, node| match (place, node) {
        (["services", _, "dns" | "dns_search" | "tmpfs"], Value::Sequence(items)) if items.len() == 1 => {
            Some(items[0].clone())
        }
        _ => None,
    }),
    ("explicit defaults", defaults),
    ("a port twice", |place, node| match (place, node) {
        // Compose keeps the last of two ports that differ in their names alone.
        (["services", _, "ports"], Value::Sequence(items)) if !items.is_empty() => {
            let named = items.iter().filter_map(|item| {
                Some(with(item.as_mapping().map(|_| item)?, &[("name", "first"), ("app_protocol", "http")]))
            });
            Some(Value::Sequence(named.chain(items.iter().cloned()).collect()))
        }
        _ => None,
    }),
    ("a device twice", |place, node| match (place, node) {
        // And the last of two devices at one path.
        (["services", _, "devices"], Value::Sequence(items)) if !items.is_empty() => {
            let other = items
                .iter()
                .filter_map(|item| Some(format!("/dev/null:{}:r", item.as_str()?.split(':').nth(1)?)));
            Some(Value::Sequence(other.map(Value::from).chain(items.iter().cloned()).collect()))
        }
        _ => None,
    }),
    ("a mount twice", |place, node| match (place, node) {
        (["services", _, "volumes"], Value::Sequence(items)) if !items.is_empty() => {
            Some(Value::Sequence(items.iter().chain(items).cloned().collect()))
        }
        _ => None,
    }),
    ("extension fields", |place, node| match place {
        [] | ["services", _] => Some(with(node, &[("x-note", "{services: {agent: {image: other}}}")])),
        _ => None,
    }),
    ("maps reversed", |_, node| match node {
        Value::Mapping(map) if map.len() > 1 => Some(
            map.iter()
                .collect::<Vec<_>>()
                .into_iter()
                .rev()
                .map(|(key, value)| (key.clone(), value.clone()))
                .collect::<Mapping>()
                .into(),
        ),
        _ => None,
    }),
    ("lists reversed", |place, node| match (place, node) {
        (
            [
                "services",
                _,
                "volumes" | "ports" | "cap_add" | "cap_drop" | "security_opt" | "group_add" | "devices",
            ]
            | ["services", _, "networks", _, "aliases"],
            Value::Sequence(items),
        ) if items.len() > 1 => Some(Value::Sequence(items.iter().rev().cloned().collect())),
        _ => None,
    }),
];

fn text<'a>(map: &'a Mapping, key: &str) -> Option<&'a str> {
    map.get(key).and_then(Value::as_str)
}

/// Only these keys, and those of the first list all.
fn has_only(map: &Mapping, needed: &[&str], allowed: &[&str]) -> bool {
    needed.iter().all(|key| map.contains_key(*key))
        && map
            .keys()
            .all(|key| key.as_str().is_some_and(|key| needed.contains(&key) || allowed.contains(&key)))
}

fn short_volume(place: &[&str], node: &Value) -> Option<Value> {
    let (["services", _, "volumes", _], Value::Mapping(map)) = (place, node) else { return None };
    let kind = text(map, "type")?;
    let options = map.get("bind").or(map.get("volume"));
    let (source, target) = (text(map, "source")?, text(map, "target")?);
    // A colon separates, and a letter before one is a drive of another system.
    if !matches!(kind, "bind" | "volume")
        || options.is_some()
        || !has_only(map, &["type", "source", "target"], &["read_only"])
        || [source, target].iter().any(|path| path.contains(':'))
    {
        return None;
    }
    let mode = if map.get("read_only") == Some(&Value::Bool(true)) { ":ro" } else { ":rw" };
    Some(Value::from(format!("{source}:{target}{mode}")))
}

fn short_port(place: &[&str], node: &Value) -> Option<Value> {
    let (["services", _, "ports", _], Value::Mapping(map)) = (place, node) else { return None };
    if !has_only(map, &["target"], &["published", "host_ip", "protocol"]) {
        return None;
    }
    let target = map["target"].as_u64()?;
    let host = match (text(map, "host_ip"), text(map, "published")) {
        (Some(ip), published) if ip.contains(':') => format!("[{ip}]:{}:", published.unwrap_or_default()),
        (Some(ip), published) => format!("{ip}:{}:", published.unwrap_or_default()),
        (None, Some(published)) => format!("{published}:"),
        (None, None) => String::new(),
    };
    Some(Value::from(format!("{host}{target}/{}", text(map, "protocol").unwrap_or("tcp"))))
}

fn pairs(place: &[&str], node: &Value) -> Option<Value> {
    let (["services", _, "environment" | "labels" | "annotations" | "sysctls"], Value::Mapping(map)) =
        (place, node)
    else {
        return None;
    };
    let item = |(name, value): (&Value, &Value)| match value {
        Value::Null => Some(name.clone()),
        Value::String(value) => Some(Value::from(format!("{}={value}", name.as_str()?))),
        _ => None,
    };
    map.iter().map(item).collect::<Option<Vec<_>>>().map(Value::Sequence)
}

fn hosts(place: &[&str], node: &Value, separator: char, brackets: bool) -> Option<Value> {
    let (["services", _, "extra_hosts"], Value::Mapping(map)) = (place, node) else { return None };
    let mut items = Vec::new();
    for (name, addresses) in map {
        let addresses = match addresses {
            Value::Sequence(addresses) => addresses.clone(),
            address => vec![address.clone()],
        };
        for address in addresses {
            let (name, address) = (name.as_str()?, address.as_str()?.to_owned());
            let enclosed = if brackets && address.contains(':') { format!("[{address}]") } else { address };
            items.push(Value::from(format!("{name}{separator}{enclosed}")));
        }
    }
    Some(Value::Sequence(items))
}

fn words(place: &[&str], node: &Value) -> Option<Value> {
    let (["services", _, "command" | "entrypoint"], Value::Sequence(items)) = (place, node) else {
        return None;
    };
    let quoted = |item: &Value| {
        let word = item.as_str()?;
        (!word.contains(['\'', '\n'])).then(|| format!("'{word}'"))
    };
    let words = items.iter().map(quoted).collect::<Option<Vec<_>>>()?;
    (!words.is_empty()).then(|| Value::from(words.join("  ")))
}

fn time(place: &[&str], node: &Value, write: fn(u64) -> String) -> Option<Value> {
    let (
        ["services", _, "healthcheck", "interval" | "timeout" | "start_period" | "start_interval"]
        | ["services", _, "stop_grace_period"],
        Some(text),
    ) = (place, node.as_str())
    else {
        return None;
    };
    let mut seconds = 0;
    let mut number = 0;
    for c in text.chars() {
        match c {
            '0'..='9' => number = number * 10 + u64::from(c.to_digit(10)?),
            'h' | 'm' | 's' => {
                seconds += number
                    * match c {
                        'h' => 3600,
                        'm' => 60,
                        _ => 1,
                    };
                number = 0;
            }
            _ => return None,
        }
    }
    Some(Value::from(write(seconds)))
}

fn bytes(place: &[&str], node: &Value) -> Option<i64> {
    match place {
        ["services", _, "mem_limit" | "mem_reservation" | "memswap_limit" | "shm_size"] => {
            let text = node
                .as_str()
                .map_or_else(|| node.as_i64().map(|bytes| bytes.to_string()), |text| Some(text.to_owned()))?;
            let number = text.trim_end_matches(|c: char| c.is_ascii_alphabetic());
            let unit = match &text[number.len()..] {
                "" | "b" => 1,
                "k" => 1 << 10,
                "m" => 1 << 20,
                "g" => 1 << 30,
                _ => return None,
            };
            number.parse::<i64>().ok()?.checked_mul(unit).filter(|bytes| *bytes > 0)
        }
        _ => None,
    }
}

fn number(place: &[&str], node: &Value) -> Option<Value> {
    match (place, node) {
        (
            ["services", _, "pids_limit" | "cpu_shares" | "cpus" | "oom_score_adj" | "scale"]
            | ["services", _, "healthcheck", "retries"]
            | ["services", _, "ports", _, "target"]
            | ["services", _, "ulimits", _]
            | ["services", _, "ulimits", _, "soft" | "hard"],
            Value::Number(number),
        ) => Some(Value::from(number.to_string())),
        _ => None,
    }
}

/// A map with more entries, in YAML; what is there stays.
fn with(node: &Value, more: &[(&str, &str)]) -> Value {
    let mut map = node.as_mapping().cloned().unwrap_or_default();
    for (key, value) in more {
        map.entry(Value::from(*key)).or_insert_with(|| serde_yaml::from_str(value).unwrap());
    }
    map.into()
}

fn defaults(place: &[&str], node: &Value) -> Option<Value> {
    if !node.is_mapping() {
        return None;
    }
    let more: &[(&str, &str)] = match place {
        ["services", _] => &[
            ("restart", "'no'"),
            ("read_only", "false"),
            ("privileged", "false"),
            ("init", "false"),
            ("tty", "false"),
            ("stdin_open", "false"),
            ("scale", "1"),
            ("attach", "true"),
            ("stop_grace_period", "10s"),
            ("cap_add", "[]"),
            ("labels", "{}"),
            ("profiles", "[]"),
            ("pull_policy", "missing"),
            ("shm_size", "64m"),
            ("cpu_shares", "1024"),
            ("pids_limit", "-1"),
            ("isolation", "default"),
        ],
        ["services", _, "volumes", _, "bind"] => &[("propagation", "rprivate")],
        ["services", _, "volumes", _] => &[("read_only", "false")],
        ["services", _, "ports", _] => &[("protocol", "tcp"), ("mode", "ingress")],
        ["services", _, "depends_on", _] => &[("restart", "false"), ("required", "true")],
        ["networks", _] => &[
            ("internal", "false"),
            ("external", "false"),
            ("attachable", "false"),
            ("driver", "bridge"),
            ("ipam", "{driver: default}"),
        ],
        ["networks", _, "ipam"] => &[("driver", "default")],
        // Compose refuses an external volume that has a driver.
        ["volumes", _] if node.get("external") == Some(&Value::Bool(true)) => &[],
        ["volumes", _] => &[("external", "false"), ("driver", "local")],
        _ => return None,
    };
    let node = with(node, more);
    // Of any other image nothing is known: it may name another signal.
    let known = matches!(place, ["services", "egress" | "pipelock" | "git-gate" | "supervise" | "sidecars"]);
    Some(if known { with(&node, &[("stop_signal", "SIGTERM")]) } else { node })
}
