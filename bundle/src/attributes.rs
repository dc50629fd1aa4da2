//! Attributes of a container, and how those of several daemons become those of one.

use std::collections::{BTreeMap, BTreeSet};

use bottle_model::compose::Setting;
use bottle_model::daemon::Daemon;
use bottle_model::plan::Common;

use crate::Conflict;

/// The settings of one block alone.
pub(crate) fn own(common: Common<'_>) -> BTreeMap<String, Setting> {
    let mut settings = BTreeMap::new();
    let mut set = |name: &str, value: Setting| settings.insert(name.to_owned(), value);
    let texts = |items: Vec<String>| (!items.is_empty()).then(|| items.into_iter().collect::<BTreeSet<_>>());
    for (name, items) in [
        ("cap_add", texts(common.cap_add.iter().map(ToString::to_string).collect())),
        ("cap_drop", texts(common.cap_drop.iter().map(ToString::to_string).collect())),
        ("security_opt", texts(common.security_opt.iter().map(ToString::to_string).collect())),
        ("devices", texts(common.devices.iter().map(ToString::to_string).collect())),
    ] {
        if let Some(items) = items {
            set(name, Setting::Set(items));
        }
    }
    if common.read_only {
        set("read_only", Setting::Bool(true));
    }
    if !common.sysctls.is_empty() {
        let sysctls = common.sysctls.iter().map(|(name, value)| (name.to_string(), value.to_string()));
        set("sysctls", Setting::Map(sysctls.collect()));
    }
    if !common.dns.is_empty() {
        set("dns", Setting::List(common.dns.iter().map(ToString::to_string).collect()));
    }
    if let Some(policy) = common.restart.filter(|policy| policy.as_str() != "no") {
        set("restart", Setting::Text(policy.to_string()));
    }
    if let Some(bytes) = common.limits.memory {
        set("mem_limit", Setting::Bytes(bytes));
    }
    if let Some(thousandths) = common.limits.milli_cpus {
        set("cpus", cpus(thousandths));
    }
    if let Some(pids) = common.limits.pids {
        set("pids_limit", Setting::Integer(pids));
    }
    settings
}

fn cpus(thousandths: u32) -> Setting {
    let text = format!("{}.{:03}", thousandths / 1000, thousandths % 1000);
    Setting::Text(text.trim_end_matches('0').trim_end_matches('.').to_owned())
}

/// The settings of a container that several daemons share.
///
/// What one needs, all get (capabilities, devices, kernel parameters); what restricts, restricts only if all
/// asked for it; limits add up, if all have one; the rest has to agree.
pub(crate) fn merged(daemons: &[(Daemon, Common<'_>)]) -> Result<BTreeMap<String, Setting>, Conflict> {
    let mut settings: BTreeMap<String, Setting> = BTreeMap::new();
    let each: Vec<(Daemon, BTreeMap<String, Setting>)> =
        daemons.iter().map(|(daemon, common)| (*daemon, own(*common))).collect();
    for name in ["cap_add", "devices"] {
        let union: BTreeSet<String> = each.iter().flat_map(|(_, own)| set(own, name)).collect();
        if !union.is_empty() {
            settings.insert(name.to_owned(), Setting::Set(union));
        }
    }
    for name in ["cap_drop", "security_opt"] {
        let mut sets = each.iter().map(|(_, own)| set(own, name));
        let first = sets.next().unwrap_or_default();
        let all = sets.fold(first, |all, own| all.intersection(&own).cloned().collect());
        if !all.is_empty() {
            settings.insert(name.to_owned(), Setting::Set(all));
        }
    }
    if daemons.iter().all(|(_, common)| common.read_only) {
        settings.insert("read_only".to_owned(), Setting::Bool(true));
    }
    let sysctls = union("sysctl", daemons, |common| {
        common.sysctls.iter().map(|(name, value)| (name.to_string(), value.to_string())).collect()
    })?;
    if !sysctls.is_empty() {
        settings.insert("sysctls".to_owned(), Setting::Map(sysctls.into_iter().collect()));
    }
    for name in ["dns", "restart"] {
        let (first, value) = (each[0].0, each[0].1.get(name));
        if let Some((second, _)) = each.iter().find(|(_, own)| own.get(name) != value) {
            return Err(disagreement(first, *second, name));
        }
        settings.extend(value.map(|value| (name.to_owned(), value.clone())));
    }
    let sum = |of: fn(&Common<'_>) -> Option<i64>| {
        daemons.iter().map(|(_, common)| of(common)).sum::<Option<i64>>()
    };
    if let Some(bytes) = sum(|common| common.limits.memory) {
        settings.insert("mem_limit".to_owned(), Setting::Bytes(bytes));
    }
    if let Some(pids) = sum(|common| common.limits.pids) {
        settings.insert("pids_limit".to_owned(), Setting::Integer(pids));
    }
    if let Some(thousandths) = daemons.iter().map(|(_, common)| common.limits.milli_cpus).sum::<Option<u32>>()
    {
        settings.insert("cpus".to_owned(), cpus(thousandths));
    }
    Ok(settings)
}

fn set(settings: &BTreeMap<String, Setting>, name: &str) -> BTreeSet<String> {
    match settings.get(name) {
        Some(Setting::Set(items)) => items.clone(),
        _ => BTreeSet::new(),
    }
}

/// The union of named values, which have to agree where two daemons have the same name.
pub(crate) fn union(
    what: &str,
    daemons: &[(Daemon, Common<'_>)],
    of: impl Fn(&Common<'_>) -> Vec<(String, String)>,
) -> Result<Vec<(String, String)>, Conflict> {
    let mut union: BTreeMap<String, (Daemon, String)> = BTreeMap::new();
    for (daemon, common) in daemons {
        for (name, value) in of(common) {
            if let Some((first, held)) = union.get(&name)
                && *held != value
            {
                return Err(disagreement(*first, *daemon, &format!("{what} {name}")));
            }
            union.entry(name).or_insert((*daemon, value));
        }
    }
    Ok(union.into_iter().map(|(name, (_, value))| (name, value)).collect())
}

pub(crate) fn disagreement(first: Daemon, second: Daemon, what: &str) -> Conflict {
    Conflict::Disagreement { first: first.to_string(), second: second.to_string(), what: what.to_owned() }
}
