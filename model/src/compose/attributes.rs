//! The service attributes that need no structure of their own: name, shape and canonical value.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt;

/// Shape of an attribute's value.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    /// A string.
    Text,
    /// A boolean.
    Bool,
    /// A whole number.
    Integer,
    /// A decimal number.
    Number,
    /// A size, `512m` or bytes.
    Bytes,
    /// A time, `1m30s`.
    Duration,
    /// A list whose order counts, or a single string for a list of one.
    List,
    /// A list whose order does not count.
    Set,
    /// `name: value`, or a list of `name=value`.
    Map,
    /// A tree of strings, compared leaf by leaf.
    Tree,
    /// A tree of numbers, compared leaf by leaf.
    Numbers,
}

/// Canonical value of an attribute.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Setting {
    /// [`Kind::Text`], and [`Kind::Number`] in its shortest decimal form.
    Text(String),
    /// [`Kind::Bool`].
    Bool(bool),
    /// [`Kind::Integer`].
    Integer(i64),
    /// [`Kind::Bytes`]; `-1` means no limit.
    Bytes(i64),
    /// [`Kind::Duration`], in nanoseconds.
    Duration(u64),
    /// [`Kind::List`].
    List(Vec<String>),
    /// [`Kind::Set`].
    Set(BTreeSet<String>),
    /// [`Kind::Map`]; and trees by dotted path, list items by their index.
    Map(BTreeMap<String, String>),
}

impl fmt::Display for Setting {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Text(text) => f.write_str(text),
            Self::Bool(value) => write!(f, "{value}"),
            Self::Integer(value) => write!(f, "{value}"),
            Self::Bytes(value) => f.write_str(&bytes(*value)),
            Self::Duration(nanoseconds) => f.write_str(&duration(*nanoseconds)),
            Self::List(items) => f.write_str(&items.join(", ")),
            Self::Set(items) => f.write_str(&items.iter().map(String::as_str).collect::<Vec<_>>().join(", ")),
            Self::Map(map) => {
                let pairs: Vec<String> = map.iter().map(|(name, value)| format!("{name}={value}")).collect();
                f.write_str(&pairs.join(", "))
            }
        }
    }
}

/// Writes a size as people read it: `2 GiB`, `1500 bytes`.
fn bytes(value: i64) -> String {
    match divided(value) {
        _ if value < 0 => "no limit".to_owned(),
        Some((count, unit)) => format!("{count} {}iB", unit.to_ascii_uppercase()),
        None => format!("{value} bytes"),
    }
}

/// Writes a size as Compose reads it: `2g`, `1500`, `-1`.
#[must_use]
pub fn size(value: i64) -> String {
    divided(value).map_or_else(|| value.to_string(), |(count, unit)| format!("{count}{unit}"))
}

/// A size in the largest unit that divides it.
fn divided(value: i64) -> Option<(i64, char)> {
    let units = [('g', 1 << 30), ('m', 1 << 20), ('k', 1 << 10)];
    let (unit, size) = units.into_iter().find(|(_, size)| value > 0 && value % size == 0)?;
    Some((value / size, unit))
}

/// Writes a time as Compose reads it: `1h30m`, `10s`, `250ms`.
#[must_use]
pub fn duration(nanoseconds: u64) -> String {
    if nanoseconds == 0 {
        return "0s".to_owned();
    }
    let mut rest = nanoseconds;
    let mut text = String::new();
    for (unit, size) in [
        ("h", 3_600_000_000_000),
        ("m", 60_000_000_000),
        ("s", 1_000_000_000),
        ("ms", 1_000_000),
        ("us", 1_000),
        ("ns", 1),
    ] {
        if rest >= size {
            text.push_str(&(rest / size).to_string());
            text.push_str(unit);
            rest %= size;
        }
    }
    text
}

/// Shape of an attribute; `None`: not an attribute of this table.
#[must_use]
pub fn kind(attribute: &str) -> Option<Kind> {
    ATTRIBUTES.iter().find(|(name, _)| *name == attribute).map(|(_, kind)| *kind)
}

/// Every service attribute of the compose-spec that [`super::Service`] has no field for.
pub const ATTRIBUTES: &[(&str, Kind)] = &[
    ("annotations", Kind::Map),
    ("attach", Kind::Bool),
    ("blkio_config", Kind::Numbers),
    ("build", Kind::Tree),
    ("cap_add", Kind::Set),
    ("cap_drop", Kind::Set),
    ("cgroup", Kind::Text),
    ("cgroup_parent", Kind::Text),
    ("cpu_count", Kind::Integer),
    ("cpu_percent", Kind::Number),
    ("cpu_period", Kind::Text),
    ("cpu_quota", Kind::Text),
    ("cpu_rt_period", Kind::Text),
    ("cpu_rt_runtime", Kind::Text),
    ("cpu_shares", Kind::Integer),
    ("cpus", Kind::Number),
    ("cpuset", Kind::Text),
    ("credential_spec", Kind::Tree),
    ("deploy", Kind::Tree),
    ("develop", Kind::Tree),
    ("device_cgroup_rules", Kind::Set),
    ("devices", Kind::Set),
    ("dns", Kind::List),
    ("dns_opt", Kind::List),
    ("dns_search", Kind::List),
    ("domainname", Kind::Text),
    ("expose", Kind::Set),
    ("external_links", Kind::Set),
    ("gpus", Kind::Tree),
    ("group_add", Kind::Set),
    ("init", Kind::Bool),
    ("ipc", Kind::Text),
    ("isolation", Kind::Text),
    ("links", Kind::Set),
    ("logging", Kind::Tree),
    ("mac_address", Kind::Text),
    ("mem_limit", Kind::Bytes),
    ("mem_reservation", Kind::Bytes),
    ("mem_swappiness", Kind::Integer),
    ("memswap_limit", Kind::Bytes),
    ("models", Kind::Tree),
    ("network_mode", Kind::Text),
    ("oom_kill_disable", Kind::Bool),
    ("oom_score_adj", Kind::Integer),
    ("pid", Kind::Text),
    ("pids_limit", Kind::Integer),
    ("platform", Kind::Text),
    ("post_start", Kind::Tree),
    ("pre_stop", Kind::Tree),
    ("privileged", Kind::Bool),
    ("provider", Kind::Tree),
    ("pull_policy", Kind::Text),
    ("read_only", Kind::Bool),
    ("restart", Kind::Text),
    ("runtime", Kind::Text),
    ("scale", Kind::Integer),
    ("security_opt", Kind::Set),
    ("shm_size", Kind::Bytes),
    ("stdin_open", Kind::Bool),
    ("stop_grace_period", Kind::Duration),
    ("stop_signal", Kind::Text),
    ("storage_opt", Kind::Map),
    ("sysctls", Kind::Map),
    ("tty", Kind::Bool),
    ("ulimits", Kind::Numbers),
    ("use_api_socket", Kind::Bool),
    ("userns_mode", Kind::Text),
    ("uts", Kind::Text),
    ("volumes_from", Kind::Set),
];

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_table_is_sorted_and_without_repetition() {
        assert!(ATTRIBUTES.windows(2).all(|pair| pair[0].0 < pair[1].0));
    }

    #[test]
    fn sizes_read_like_people_write() {
        for (value, text) in [
            (-1, "no limit"),
            (0, "0 bytes"),
            (1500, "1500 bytes"),
            (4096, "4 KiB"),
            (1_207_959_552, "1152 MiB"),
            (2 << 30, "2 GiB"),
        ] {
            assert_eq!(Setting::Bytes(value).to_string(), text);
        }
    }

    #[test]
    fn sizes_are_written_like_compose() {
        for (value, text) in
            [(-1, "-1"), (0, "0"), (1, "1"), (1 << 10, "1k"), (3 << 29, "1536m"), (1 << 40, "1024g")]
        {
            assert_eq!(size(value), text);
        }
    }

    #[test]
    fn durations_read_like_compose() {
        for (nanoseconds, text) in [
            (0, "0s"),
            (250_000_000, "250ms"),
            (10_000_000_000, "10s"),
            (5_400_000_000_000, "1h30m"),
            (1_001, "1us1ns"),
        ] {
            assert_eq!(duration(nanoseconds), text);
        }
    }
}
