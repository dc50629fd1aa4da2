//! `HostConfig` of a container, as settings of a service.

use std::collections::{BTreeMap, BTreeSet};

use bottle_model::compose::Setting;
use serde_json::Value;

use super::inspect::{Container, Engine};
use super::text;

/// Attributes that other parts of the document show, or that do not describe the container.
const TOLD: [&str; 11] = [
    "Binds",
    "ConsoleSize",
    "ContainerIDFile",
    "ExtraHosts",
    "Mounts",
    "NetworkMode",
    "PortBindings",
    "PublishAllPorts",
    "ReadonlyPaths",
    "Tmpfs",
    "VolumeDriver",
];

/// The engine's own size of `/dev/shm`.
const SHM: i64 = 64 << 20;

/// Settings that a container has, and what of its `HostConfig` has no place among them.
///
/// `asked` is what the plan says: it settles the spelling, and what leaves no trace in a container.
pub(super) fn settings(
    container: &Container,
    asked: &BTreeMap<String, Setting>,
    engine: &Engine,
) -> (BTreeMap<String, Setting>, Vec<String>) {
    let mut settings = BTreeMap::new();
    let mut unknown = Vec::new();
    for (key, value) in &container.host_config {
        if TOLD.contains(&key.as_str()) || (is_nothing(value) && key != "MaskedPaths") {
            continue;
        }
        match setting(key, value, container, asked, engine) {
            Known::As(name, setting) => {
                settings.insert(name.to_owned(), setting);
            }
            Known::Usual => {}
            Known::Not => unknown.push(key.clone()),
        }
    }
    if !masked(container) && !flag(&container.host_config, "Privileged") {
        let open = "systempaths=unconfined".to_owned();
        match settings.entry("security_opt".to_owned()).or_insert_with(|| Setting::Set(BTreeSet::new())) {
            Setting::Set(items) => _ = items.insert(open),
            _ => unknown.push("MaskedPaths".to_owned()),
        }
    }
    let config = &container.config;
    let mut set = |name: &str, value: Option<Setting>| {
        if let Some(value) = value {
            settings.insert(name.to_owned(), value);
        }
    };
    set("tty", config.tty.then_some(Setting::Bool(true)));
    set("stdin_open", config.open_stdin.then_some(Setting::Bool(true)));
    set("stop_signal", config.stop_signal.clone().map(Setting::Text));
    set("stop_grace_period", config.stop_timeout.map(|time| Setting::Duration(time * 1_000_000_000)));
    set("domainname", (!config.domainname.is_empty()).then(|| Setting::Text(config.domainname.clone())));
    // A container does not know for which platform its image was chosen.
    set("platform", asked.get("platform").cloned());
    (settings, unknown)
}

/// What a part of `HostConfig` is in a document.
enum Known {
    /// A setting.
    As(&'static str, Setting),
    /// Defaults of the engine.
    Usual,
    /// Nothing that is modelled.
    Not,
}

fn setting(
    key: &str,
    value: &Value,
    container: &Container,
    asked: &BTreeMap<String, Setting>,
    engine: &Engine,
) -> Known {
    let wanted = |name: &str| asked.contains_key(name);
    let unless = |usual: bool, name: &'static str, setting: Option<Setting>| match setting {
        _ if usual => Known::Usual,
        Some(setting) => Known::As(name, setting),
        None => Known::Not,
    };
    let as_text = || value.as_str().map(|text| Setting::Text(text.to_owned()));
    let as_number = || value.as_i64().map(|number| Setting::Text(number.to_string()));
    let as_integer = || value.as_i64().map(Setting::Integer);
    let as_bytes = || value.as_i64().map(Setting::Bytes);
    let as_bool = || value.as_bool().map(Setting::Bool);
    let is = |usual: &str| value.as_str() == Some(usual);
    match key {
        "CapAdd" => unless(false, "cap_add", capabilities(value)),
        "CapDrop" => unless(false, "cap_drop", capabilities(value)),
        "Privileged" => unless(false, "privileged", as_bool()),
        "ReadonlyRootfs" => unless(false, "read_only", as_bool()),
        "Init" => unless(false, "init", as_bool()),
        "OomKillDisable" => unless(false, "oom_kill_disable", as_bool()),
        "SecurityOpt" => {
            let spoken = strings(value).map(|items| spelled(items, asked.get("security_opt")));
            unless(false, "security_opt", spoken.map(Setting::Set))
        }
        "MaskedPaths" => Known::Usual,
        "RestartPolicy" => {
            let policy = restart(value);
            unless(policy.as_deref() == Some("no"), "restart", policy.map(Setting::Text))
        }
        "Memory" => unless(false, "mem_limit", as_bytes()),
        "MemoryReservation" => unless(false, "mem_reservation", as_bytes()),
        "MemorySwap" => {
            // Where only memory is limited, as much swap again is the engine's choice.
            let twice = container.host::<i64>("Memory").map(|memory| memory.saturating_mul(2));
            let chosen = value.as_i64() == twice || (!engine.swap_limit && value.as_i64() == Some(-1));
            unless(chosen && !wanted("memswap_limit"), "memswap_limit", as_bytes())
        }
        "MemorySwappiness" => unless(value.as_i64() == Some(-1), "mem_swappiness", as_integer()),
        "NanoCpus" => unless(false, "cpus", value.as_u64().map(|nano| Setting::Text(cpus(nano)))),
        "CpuShares" => unless(false, "cpu_shares", as_integer()),
        "CpusetCpus" => unless(false, "cpuset", as_text()),
        "CpuPeriod" => unless(false, "cpu_period", as_number()),
        "CpuQuota" => unless(false, "cpu_quota", as_number()),
        "CpuRealtimePeriod" => unless(false, "cpu_rt_period", as_number()),
        "CpuRealtimeRuntime" => unless(false, "cpu_rt_runtime", as_number()),
        "CpuCount" => unless(false, "cpu_count", as_integer()),
        "CpuPercent" => unless(false, "cpu_percent", as_number()),
        "PidsLimit" => unless(value.as_i64().is_some_and(|limit| limit < 0), "pids_limit", as_integer()),
        "OomScoreAdj" => unless(false, "oom_score_adj", as_integer()),
        "ShmSize" => unless(value.as_i64() == Some(SHM) && !wanted("shm_size"), "shm_size", as_bytes()),
        "Ulimits" => unless(false, "ulimits", ulimits(value)),
        "Sysctls" => unless(false, "sysctls", map(value)),
        "StorageOpt" => unless(false, "storage_opt", map(value)),
        "Annotations" => unless(false, "annotations", map(value)),
        "Devices" => unless(false, "devices", devices(value)),
        "DeviceCgroupRules" => unless(false, "device_cgroup_rules", strings(value).map(Setting::Set)),
        "DeviceRequests" => {
            unless(false, "gpus", Some(Setting::Map([("requested".to_owned(), value.to_string())].into())))
        }
        "Dns" => unless(false, "dns", list(value)),
        "DnsOptions" => unless(false, "dns_opt", list(value)),
        "DnsSearch" => unless(false, "dns_search", list(value)),
        "GroupAdd" => unless(false, "group_add", strings(value).map(Setting::Set)),
        "VolumesFrom" => unless(false, "volumes_from", strings(value).map(Setting::Set)),
        "Links" => unless(false, "links", strings(value).map(Setting::Set)),
        "CgroupParent" => unless(false, "cgroup_parent", as_text()),
        "CgroupnsMode" => {
            let usual = if engine.cgroup_version == "2" { "private" } else { "host" };
            unless(is(usual) && !wanted("cgroup"), "cgroup", as_text())
        }
        "IpcMode" => unless(is("private") && !wanted("ipc"), "ipc", as_text()),
        "PidMode" => unless(false, "pid", as_text()),
        "UTSMode" => unless(false, "uts", as_text()),
        "UsernsMode" => unless(false, "userns_mode", as_text()),
        "Runtime" => {
            let usual = value.as_str() == Some(engine.default_runtime.as_str());
            unless(usual && !wanted("runtime"), "runtime", as_text())
        }
        "Isolation" => unless(is("default"), "isolation", as_text()),
        "LogConfig" => {
            let logging = logging(value, asked, engine);
            unless(logging.is_empty(), "logging", Some(Setting::Map(logging)))
        }
        _ => Known::Not,
    }
}

/// What says nothing, whatever its type.
fn is_nothing(value: &Value) -> bool {
    match value {
        Value::Null | Value::Bool(false) => true,
        Value::Bool(true) => false,
        Value::Number(number) => number.as_f64() == Some(0.0),
        Value::String(text) => text.is_empty(),
        Value::Array(items) => items.is_empty(),
        Value::Object(map) => map.is_empty(),
    }
}

fn flag(host: &BTreeMap<String, Value>, key: &str) -> bool {
    host.get(key).and_then(Value::as_bool).unwrap_or_default()
}

/// Whether the engine hides of `/proc` and `/sys` what a container has no business with.
fn masked(container: &Container) -> bool {
    let holds = |key: &str, path: &str| match container.host_config.get(key) {
        Some(Value::Array(paths)) => paths.iter().any(|item| item.as_str() == Some(path)),
        // A missing value does not mean another value.
        None => true,
        Some(_) => false,
    };
    holds("MaskedPaths", "/proc/kcore") && holds("ReadonlyPaths", "/proc/sys")
}

fn strings(value: &Value) -> Option<BTreeSet<String>> {
    value.as_array()?.iter().map(|item| item.as_str().map(str::to_owned)).collect()
}

fn list(value: &Value) -> Option<Setting> {
    let items: Option<Vec<String>> =
        value.as_array()?.iter().map(|item| item.as_str().map(str::to_owned)).collect();
    items.map(Setting::List)
}

fn map(value: &Value) -> Option<Setting> {
    let pairs = value.as_object()?.iter();
    pairs
        .map(|(name, value)| Some((name.clone(), value.as_str()?.to_owned())))
        .collect::<Option<_>>()
        .map(Setting::Map)
}

fn capabilities(value: &Value) -> Option<Setting> {
    let bare = |name: String| name.strip_prefix("CAP_").map_or(name.clone(), str::to_owned);
    strings(value).map(|names| Setting::Set(names.into_iter().map(bare).collect()))
}

/// Options as the plan spells them, where they say the same.
fn spelled(items: BTreeSet<String>, asked: Option<&Setting>) -> BTreeSet<String> {
    let plain = |item: &str| {
        let item = item.replacen('=', ":", 1);
        item.strip_suffix(":true").map_or(item.clone(), str::to_owned)
    };
    let Some(Setting::Set(asked)) = asked else { return items };
    let as_asked =
        |item: String| asked.iter().find(|own| plain(own) == plain(&item)).cloned().unwrap_or(item);
    items.into_iter().map(as_asked).collect()
}

fn restart(value: &Value) -> Option<String> {
    let name = value.get("Name")?.as_str()?;
    let count = value.get("MaximumRetryCount").and_then(Value::as_u64).unwrap_or_default();
    Some(match (name, count) {
        ("", _) => "no".to_owned(),
        ("on-failure", 1..) => format!("on-failure:{count}"),
        _ => name.to_owned(),
    })
}

/// Billionths of a processor as the shortest decimal number.
fn cpus(nano: u64) -> String {
    let text = format!("{}.{:09}", nano / 1_000_000_000, nano % 1_000_000_000);
    text.trim_end_matches('0').trim_end_matches('.').to_owned()
}

fn ulimits(value: &Value) -> Option<Setting> {
    let mut limits = BTreeMap::new();
    for limit in value.as_array()? {
        let name = limit.get("Name")?.as_str()?;
        for (field, part) in [("Soft", "soft"), ("Hard", "hard")] {
            limits.insert(format!("{name}.{part}"), limit.get(field)?.as_i64()?.to_string());
        }
    }
    Some(Setting::Map(limits))
}

fn devices(value: &Value) -> Option<Setting> {
    let device = |device: &Value| {
        let part = |field: &str| device.get(field).and_then(Value::as_str);
        let access = part("CgroupPermissions").filter(|access| *access != "rwm");
        let access = access.map_or_else(String::new, |access| format!(":{access}"));
        Some(format!("{}:{}{access}", part("PathOnHost")?, part("PathInContainer")?))
    };
    value.as_array()?.iter().map(device).collect::<Option<_>>().map(Setting::Set)
}

fn logging(value: &Value, asked: &BTreeMap<String, Setting>, engine: &Engine) -> BTreeMap<String, String> {
    let named = matches!(asked.get("logging"), Some(Setting::Map(map)) if map.contains_key("driver"));
    let driver =
        value.get("Type").and_then(Value::as_str).filter(|driver| named || *driver != engine.logging_driver);
    let options = value.get("Config").and_then(Value::as_object).into_iter().flatten();
    let options =
        options.filter_map(|(name, value)| Some((format!("options.{name}"), value.as_str()?.to_owned())));
    driver.map(|driver| ("driver".to_owned(), driver.to_owned())).into_iter().chain(options).collect()
}

/// The namespace that a container shares instead of having networks; `names`: containers by id.
pub(super) fn network_mode(
    container: &Container,
    asked: &BTreeMap<String, Setting>,
    names: &BTreeMap<&str, &str>,
) -> Option<String> {
    let mode: String = container.host("NetworkMode")?;
    match mode.split_once(':') {
        Some(("container", id)) => {
            let name = names.get(id).copied().unwrap_or(id);
            let mode = format!("container:{name}");
            Some(
                text(asked, "network_mode")
                    .filter(|asked| *asked == mode)
                    .map_or(mode.clone(), str::to_owned),
            )
        }
        _ if matches!(mode.as_str(), "host" | "none") => Some(mode),
        _ => None,
    }
}
