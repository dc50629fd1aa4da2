//! The attributes of a service that the canonical form keeps as plain settings.

use std::collections::BTreeMap;

use bottle_model::compose::Setting;
use bottle_model::plan::{Common, DeviceAccess, Limits, Whole};

/// What a block of the plan says, by compose name; defaults are left out.
pub(crate) fn settings(common: Common<'_>) -> BTreeMap<String, Setting> {
    let mut settings = BTreeMap::new();
    let mut set = |name: &str, value: Option<Setting>| {
        if let Some(value) = value {
            settings.insert(name.to_owned(), value);
        }
    };
    let text = |text: String| Setting::Text(text);
    set("cap_add", items(common.cap_add));
    set("cap_drop", items(common.cap_drop));
    set("security_opt", items(common.security_opt));
    set("read_only", common.read_only.then_some(Setting::Bool(true)));
    let devices = common.devices.iter().map(|device| {
        let access = device.access.map(DeviceAccess::as_str).filter(|access| *access != "rwm");
        let access = access.map_or_else(String::new, |access| format!(":{access}"));
        format!("{}:{}{access}", device.source, device.target())
    });
    set("devices", items(&devices.collect::<Vec<_>>()));
    set("sysctls", pairs(common.sysctls.iter()));
    set("dns", list(common.dns));
    set("dns_search", list(common.dns_search));
    set("dns_opt", list(common.dns_opt));
    set("annotations", pairs(common.annotations.iter()));
    let ulimits = common.ulimits.iter().flat_map(|(name, limit)| {
        [(format!("{name}.soft"), limit.soft.get()), (format!("{name}.hard"), limit.hard.get())]
    });
    set("ulimits", pairs(ulimits.collect::<Vec<_>>().iter().map(|(name, limit)| (name, limit))));
    if let Some(logging) = common.logging {
        let driver = logging.driver.iter().map(|driver| ("driver".to_owned(), driver.to_string()));
        let options =
            logging.options.iter().map(|(name, value)| (format!("options.{name}"), value.to_string()));
        let logging: BTreeMap<String, String> = driver.chain(options).collect();
        set("logging", (!logging.is_empty()).then_some(Setting::Map(logging)));
    }
    let restart = common.restart.as_ref().filter(|policy| policy.as_str() != "no");
    set("restart", restart.map(|policy| text(policy.to_string())));
    set("runtime", common.runtime.as_ref().map(|runtime| text(runtime.to_string())));
    set("platform", common.platform.as_ref().map(|platform| text(platform.to_string())));
    set("oom_score_adj", number(*common.oom_score_adj, Setting::Integer));
    let Limits { memory, memory_reservation, memory_swap, milli_cpus, cpu_shares, cpuset, pids, shm_size } =
        common.limits;
    set("mem_limit", number(*memory, Setting::Bytes));
    set("mem_reservation", number(*memory_reservation, Setting::Bytes));
    set("memswap_limit", number(*memory_swap, Setting::Bytes));
    set("cpus", milli_cpus.map(|thousandths| text(decimal(thousandths.get()))));
    set("cpu_shares", number(*cpu_shares, Setting::Integer));
    set("cpuset", cpuset.as_ref().map(|cpus| text(cpus.to_string())));
    set("pids_limit", number(*pids, Setting::Integer));
    set("shm_size", number(*shm_size, Setting::Bytes));
    settings
}

fn number<const MIN: i64, const MAX: i64>(
    number: Option<Whole<MIN, MAX>>,
    setting: fn(i64) -> Setting,
) -> Option<Setting> {
    number.map(|number| setting(number.get()))
}

fn items<T: ToString>(items: &[T]) -> Option<Setting> {
    (!items.is_empty()).then(|| Setting::Set(items.iter().map(ToString::to_string).collect()))
}

fn list<T: ToString>(items: &[T]) -> Option<Setting> {
    (!items.is_empty()).then(|| Setting::List(items.iter().map(ToString::to_string).collect()))
}

fn pairs<'a, K: ToString + 'a, V: ToString + 'a>(
    pairs: impl Iterator<Item = (&'a K, &'a V)>,
) -> Option<Setting> {
    let map: BTreeMap<String, String> =
        pairs.map(|(name, value)| (name.to_string(), value.to_string())).collect();
    (!map.is_empty()).then_some(Setting::Map(map))
}

/// Thousandths as the shortest decimal number.
fn decimal(thousandths: i64) -> String {
    let text = format!("{}.{:03}", thousandths / 1000, thousandths % 1000);
    text.trim_end_matches('0').trim_end_matches('.').to_owned()
}
