//! The attributes of one block alone.

use std::collections::{BTreeMap, BTreeSet};

use bottle_model::compose::Setting;
use bottle_model::plan::{Common, DeviceAccess, Limits, Logging, Whole};

/// What a block says, by compose name, without defaults.
pub(crate) fn own(common: Common<'_>) -> BTreeMap<String, Setting> {
    let Limits { memory, memory_reservation, memory_swap, milli_cpus, cpu_shares, cpuset, pids, shm_size } =
        common.limits;
    let devices: Vec<String> = common
        .devices
        .iter()
        .map(|device| {
            let access = device.access.map(DeviceAccess::as_str).filter(|access| *access != "rwm");
            let access = access.map_or_else(String::new, |access| format!(":{access}"));
            format!("{}:{}{access}", device.source, device.target())
        })
        .collect();
    let mut ulimits = BTreeMap::new();
    for (name, limit) in common.ulimits.iter() {
        ulimits.insert(format!("{name}.hard"), limit.hard.get().to_string());
        ulimits.insert(format!("{name}.soft"), limit.soft.get().to_string());
    }
    let restart = common.restart.as_ref().filter(|policy| policy.as_str() != "no");
    let mut settings = BTreeMap::new();
    let mut say = |name: &str, value: Option<Setting>| {
        if let Some(value) = value {
            settings.insert(name.to_owned(), value);
        }
    };
    say("cap_add", set(common.cap_add));
    say("cap_drop", set(common.cap_drop));
    say("security_opt", set(common.security_opt));
    say("read_only", common.read_only.then_some(Setting::Bool(true)));
    say("devices", set(&devices));
    say("sysctls", map(texts(common.sysctls.iter())));
    say("dns", list(common.dns));
    say("dns_search", list(common.dns_search));
    say("dns_opt", list(common.dns_opt));
    say("annotations", map(texts(common.annotations.iter())));
    say("ulimits", map(ulimits));
    say("logging", common.logging.as_ref().and_then(|logging| map(tree(logging))));
    say("restart", text(restart));
    say("runtime", text(common.runtime.as_ref()));
    say("platform", text(common.platform.as_ref()));
    say("oom_score_adj", number(*common.oom_score_adj, Setting::Integer));
    say("mem_limit", number(*memory, Setting::Bytes));
    say("mem_reservation", number(*memory_reservation, Setting::Bytes));
    say("memswap_limit", number(*memory_swap, Setting::Bytes));
    say("cpus", number(*milli_cpus, cpus));
    say("cpu_shares", number(*cpu_shares, Setting::Integer));
    say("cpuset", text(cpuset.as_ref()));
    say("pids_limit", number(*pids, Setting::Integer));
    say("shm_size", number(*shm_size, Setting::Bytes));
    settings
}

/// Thousandths of a CPU as the decimal number that Compose takes.
pub(crate) fn cpus(thousandths: i64) -> Setting {
    let (whole, rest) = (thousandths / 1000, thousandths % 1000);
    let text = format!("{whole}.{rest:03}");
    Setting::Text(text.trim_end_matches('0').trim_end_matches('.').to_owned())
}

fn number<const MIN: i64, const MAX: i64>(
    number: Option<Whole<MIN, MAX>>,
    setting: fn(i64) -> Setting,
) -> Option<Setting> {
    number.map(|number| setting(number.get()))
}

fn text<T: ToString>(value: Option<&T>) -> Option<Setting> {
    value.map(|value| Setting::Text(value.to_string()))
}

fn set<T: ToString>(items: &[T]) -> Option<Setting> {
    let items: BTreeSet<String> = items.iter().map(ToString::to_string).collect();
    (!items.is_empty()).then_some(Setting::Set(items))
}

fn list<T: ToString>(items: &[T]) -> Option<Setting> {
    let items: Vec<String> = items.iter().map(ToString::to_string).collect();
    (!items.is_empty()).then_some(Setting::List(items))
}

fn map(map: BTreeMap<String, String>) -> Option<Setting> {
    (!map.is_empty()).then_some(Setting::Map(map))
}

/// A map of the plan as texts.
pub(crate) fn texts<'a, K: ToString + 'a, V: ToString + 'a>(
    pairs: impl Iterator<Item = (&'a K, &'a V)>,
) -> BTreeMap<String, String> {
    pairs.map(|(name, value)| (name.to_string(), value.to_string())).collect()
}

fn tree(logging: &Logging) -> BTreeMap<String, String> {
    let options = logging.options.iter().map(|(name, value)| (format!("options.{name}"), value.to_string()));
    let driver = logging.driver.as_ref().map(|driver| ("driver".to_owned(), driver.to_string()));
    driver.into_iter().chain(options).collect()
}
