//! How the attributes of several daemons become those of one container: never "last one wins".

use std::collections::{BTreeMap, BTreeSet};

use bottle_model::compose::Setting;
use bottle_model::daemon::{Daemon, Isolation, WITHHELD, needed_capabilities, row};
use bottle_model::plan::{Common, Plan, Whole};

use crate::Conflict;
use crate::settings::{cpus, own};

type Settings = BTreeMap<String, Setting>;

/// How an attribute is merged.
#[derive(Clone, Copy)]
enum Merge {
    /// All daemons have to have the same: nothing else says what one container should do.
    Agree,
    /// What one needs, all get; a key has one value.
    Union,
    /// Holds only if all ask for it.
    All,
    /// Adds up if all have one; a member without a limit leaves the container without one.
    Sum,
    /// Adds up with the engine's default for those that have none.
    SumOr(i64),
}

const ATTRIBUTES: &[(&str, Merge)] = &[
    ("annotations", Merge::Union),
    ("cap_add", Merge::Union),
    ("cpu_shares", Merge::SumOr(1024)),
    ("cpuset", Merge::Agree),
    ("dns", Merge::Agree),
    ("dns_opt", Merge::Agree),
    ("dns_search", Merge::Agree),
    ("logging", Merge::Agree),
    ("mem_limit", Merge::Sum),
    ("mem_reservation", Merge::Sum),
    ("oom_score_adj", Merge::Agree),
    ("pids_limit", Merge::Sum),
    ("platform", Merge::Agree),
    ("read_only", Merge::All),
    ("restart", Merge::Agree),
    ("runtime", Merge::Agree),
    ("shm_size", Merge::SumOr(64 << 20)),
    ("sysctls", Merge::Union),
    ("ulimits", Merge::Agree),
];

/// The settings of a container that several daemons share.
pub(crate) fn merged(plan: &Plan, daemons: &[(Daemon, Common<'_>)]) -> Result<Settings, Conflict> {
    let each: Vec<(Daemon, Settings)> =
        daemons.iter().map(|(daemon, common)| (*daemon, own(*common))).collect();
    let mut settings = Settings::new();
    for (name, merge) in ATTRIBUTES {
        let merged = match merge {
            Merge::Agree => agree(&each, name)?,
            Merge::Union => union(&each, name)?,
            Merge::All => each[0].1.get(*name).filter(|_| every(&each, name)).cloned(),
            Merge::Sum => sum(&each, name, None),
            Merge::SumOr(default) => sum(&each, name, Some(*default)),
        };
        settings.extend(merged.map(|value| ((*name).to_owned(), value)));
    }
    // Swap counts on top of memory: a sum says something only if each daemon says both.
    if settings.contains_key("mem_limit") {
        let swap = sum(&each, "memswap_limit", None);
        if swap.is_none() {
            agree(&each, "memswap_limit")?;
        }
        settings.extend(swap.map(|value| ("memswap_limit".to_owned(), value)));
    }
    let thousandths = |common: &Common<'_>| common.limits.milli_cpus.map(Whole::get);
    let thousandths = daemons.iter().map(|(_, common)| thousandths(common)).sum::<Option<i64>>();
    withheld(plan, &each)?;
    capabilities(plan, &each, &mut settings);
    for (name, value) in
        [("security_opt", security(&each)?), ("devices", devices(&each)?), ("cpus", thousandths.map(cpus))]
    {
        settings.extend(value.map(|value| (name.to_owned(), value)));
    }
    Ok(settings)
}

fn every(each: &[(Daemon, Settings)], name: &str) -> bool {
    each.iter().all(|(_, own)| own.contains_key(name))
}

fn agree(each: &[(Daemon, Settings)], name: &str) -> Result<Option<Setting>, Conflict> {
    let (first, own) = &each[0];
    let value = own.get(name);
    match each.iter().find(|(_, own)| own.get(name) != value) {
        None => Ok(value.cloned()),
        Some((second, other)) => Err(Conflict::Disagreement {
            what: name.to_owned(),
            first: *first,
            one: shown(value),
            second: *second,
            other: shown(other.get(name)),
        }),
    }
}

fn shown(value: Option<&Setting>) -> String {
    value.map_or_else(|| "none".to_owned(), ToString::to_string)
}

fn union(each: &[(Daemon, Settings)], name: &str) -> Result<Option<Setting>, Conflict> {
    let mut items = BTreeSet::new();
    let mut maps = Vec::new();
    for (daemon, own) in each {
        match own.get(name) {
            Some(Setting::Set(own)) => items.extend(own.iter().cloned()),
            Some(Setting::Map(own)) => maps.push((*daemon, own.clone())),
            _ => {}
        }
    }
    let map = keyed(name, maps)?;
    Ok(if items.is_empty() {
        (!map.is_empty()).then_some(Setting::Map(map))
    } else {
        Some(Setting::Set(items))
    })
}

/// The union of named values, which have to agree where two daemons have the same name.
pub(crate) fn keyed(
    what: &str,
    maps: impl IntoIterator<Item = (Daemon, BTreeMap<String, String>)>,
) -> Result<BTreeMap<String, String>, Conflict> {
    let mut union: BTreeMap<String, (Daemon, String)> = BTreeMap::new();
    for (daemon, map) in maps {
        for (name, value) in map {
            match union.get(&name) {
                Some((first, held)) if *held != value => {
                    return Err(Conflict::Disagreement {
                        what: format!("{what} {name}"),
                        first: *first,
                        one: held.clone(),
                        second: daemon,
                        other: value,
                    });
                }
                Some(_) => {}
                None => {
                    union.insert(name, (daemon, value));
                }
            }
        }
    }
    Ok(union.into_iter().map(|(name, (_, value))| (name, value)).collect())
}

/// Adds up what daemons have; with a default, if any has one, else if all have.
fn sum(each: &[(Daemon, Settings)], name: &str, default: Option<i64>) -> Option<Setting> {
    let kind = each.iter().find_map(|(_, own)| own.get(name))?;
    let number = |own: &Settings| match own.get(name) {
        Some(Setting::Bytes(number) | Setting::Integer(number)) => Some(*number),
        _ => default,
    };
    let sum = each.iter().map(|(_, own)| number(own)).sum::<Option<i64>>()?;
    Some(if matches!(kind, Setting::Bytes(_)) { Setting::Bytes(sum) } else { Setting::Integer(sum) })
}

fn items(own: &Settings, name: &str) -> BTreeSet<String> {
    match own.get(name) {
        Some(Setting::Set(items)) => items.clone(),
        _ => BTreeSet::new(),
    }
}

/// No daemon may need what the init takes from all.
fn withheld(plan: &Plan, each: &[(Daemon, Settings)]) -> Result<(), Conflict> {
    let opens = |capability: &String| capability == "ALL" || WITHHELD.contains(&capability.as_str());
    let needed =
        each.iter().find_map(|(daemon, own)| Some((*daemon, items(own, "cap_add").into_iter().find(opens)?)));
    match needed {
        Some((daemon, capability)) if plan.isolation == Isolation::Require => {
            Err(Conflict::Withheld { capability, daemon })
        }
        _ => Ok(()),
    }
}

/// Drops what every daemon gives up and neither a daemon nor the init needs; `ALL` gives up each.
fn capabilities(plan: &Plan, each: &[(Daemon, Settings)], settings: &mut Settings) {
    let some = each.iter().map(|(_, own)| items(own, "cap_drop")).filter(|dropped| !dropped.contains("ALL"));
    let common = some.reduce(|all, own| all.intersection(&own).cloned().collect());
    let mut dropped = common.unwrap_or_else(|| BTreeSet::from(["ALL".to_owned()]));
    let mut added = items(settings, "cap_add");
    let needed = needed_capabilities(each.iter().map(|(daemon, _)| row(*daemon, plan.chain)));
    if dropped.contains("ALL") {
        added.extend(needed.iter().map(|capability| (*capability).to_owned()));
    }
    dropped.retain(|capability| !needed.contains(&capability.as_str()) && !added.contains(capability));
    for (name, capabilities) in [("cap_add", added), ("cap_drop", dropped)] {
        if !capabilities.is_empty() {
            settings.insert(name.to_owned(), Setting::Set(capabilities));
        }
    }
}

/// A loosening option applies if one asks for it, and so does `no-new-privileges`, which the init lays on every daemon anyway;
/// profiles have to agree.
fn security(each: &[(Daemon, Settings)]) -> Result<Option<Setting>, Conflict> {
    let of = |own: &Settings, kind: &str| -> BTreeSet<String> {
        items(own, "security_opt").into_iter().filter(|option| option.starts_with(kind)).collect()
    };
    let mut merged: BTreeSet<String> =
        each.iter().flat_map(|(_, own)| of(own, "no-new-privileges")).collect();
    for kind in ["seccomp", "apparmor", "label", "systempaths"] {
        let options: Vec<BTreeSet<String>> = each.iter().map(|(_, own)| of(own, kind)).collect();
        let loosens = |options: &BTreeSet<String>| {
            options.iter().any(|option| option.ends_with("=unconfined") || option == "label=disable")
        };
        if options.iter().all(|own| *own == options[0]) {
            merged.extend(options[0].clone());
        } else if let Some(loose) = options.iter().find(|own| loosens(own))
            && options.iter().all(|own| own.is_empty() || own == loose)
        {
            merged.extend(loose.clone());
        } else {
            let setting = |options: BTreeSet<String>| {
                let given = Some(options).filter(|options| !options.is_empty());
                given.map(|options| ("security_opt".to_owned(), Setting::Set(options))).into_iter().collect()
            };
            let only: Vec<(Daemon, Settings)> =
                each.iter().map(|(daemon, own)| (*daemon, setting(of(own, kind)))).collect();
            agree(&only, "security_opt")?;
        }
    }
    Ok((!merged.is_empty()).then_some(Setting::Set(merged)))
}

/// Every device that one needs; a path in the container is one device.
fn devices(each: &[(Daemon, Settings)]) -> Result<Option<Setting>, Conflict> {
    let by_target = each.iter().map(|(daemon, own)| {
        let devices = items(own, "devices").into_iter();
        (
            *daemon,
            devices.map(|device| (device.split(':').nth(1).unwrap_or_default().to_owned(), device)).collect(),
        )
    });
    let devices: BTreeSet<String> = keyed("device", by_target)?.into_values().collect();
    Ok((!devices.is_empty()).then_some(Setting::Set(devices)))
}
