//! The attributes of which a container has one value.

use std::collections::{BTreeMap, BTreeSet};

use bottle_model::capability::Capabilities;
use bottle_model::compose::Setting;
use bottle_model::compose::attributes::ATTRIBUTES;
use bottle_model::daemon::needed_capabilities;

use super::{Member, Merger};

/// How an attribute is merged. What the table does not name has to be the same for all.
enum Rule {
    /// A daemon's row carries it, or the merged container has no use for it.
    Elsewhere,
    /// What one needs, all get.
    Union,
    /// Holds only if all ask for it.
    All,
    /// The sum, if every daemon has a limit; otherwise the container has no limit.
    Sum,
    /// Adds up with the engine's default for those that have none.
    SumOr(i64),
}

const RULES: &[(&str, Rule)] = &[
    ("annotations", Rule::Union),
    // The container has an image of its own.
    ("build", Rule::Elsewhere),
    ("cap_add", Rule::Elsewhere),
    ("cap_drop", Rule::Elsewhere),
    ("cpu_shares", Rule::SumOr(1024)),
    ("cpus", Rule::Elsewhere),
    ("device_cgroup_rules", Rule::Union),
    ("devices", Rule::Elsewhere),
    ("expose", Rule::Union),
    ("external_links", Rule::Union),
    ("group_add", Rule::Elsewhere),
    // sidecar-init reaps what is left behind.
    ("init", Rule::Elsewhere),
    ("links", Rule::Elsewhere),
    ("mem_limit", Rule::Sum),
    ("mem_reservation", Rule::Sum),
    ("memswap_limit", Rule::Elsewhere),
    ("network_mode", Rule::Elsewhere),
    ("oom_score_adj", Rule::Elsewhere),
    ("pids_limit", Rule::Sum),
    ("pull_policy", Rule::Elsewhere),
    ("read_only", Rule::All),
    ("restart", Rule::Elsewhere),
    ("security_opt", Rule::Elsewhere),
    ("shm_size", Rule::SumOr(64 << 20)),
    ("stop_grace_period", Rule::Elsewhere),
    ("stop_signal", Rule::Elsewhere),
    ("sysctls", Rule::Union),
    ("ulimits", Rule::Elsewhere),
];

const ONE_VALUE: &str = "one container has one value: give both the same, or leave one out of the merger";

type Settings = BTreeMap<String, Setting>;

impl Merger<'_> {
    pub(super) fn settings(&mut self) -> Settings {
        let mut settings = Settings::new();
        for (name, _) in ATTRIBUTES {
            let rule = RULES.iter().find(|(ruled, _)| ruled == name).map(|(_, rule)| rule);
            let merged = match rule {
                Some(Rule::Elsewhere) => None,
                Some(Rule::Union) => self.union(name),
                Some(Rule::All) => self.members[0].setting(name).filter(|_| self.every(name)).cloned(),
                Some(Rule::Sum) => self.sum(name, None),
                Some(Rule::SumOr(default)) => self.sum(name, Some(*default)),
                None => self.same(name),
            };
            settings.extend(merged.map(|value| ((*name).to_owned(), value)));
        }
        // Swap counts on top of memory: a sum says something only if each daemon says both.
        if settings.contains_key("mem_limit") {
            let swap = self.sum("memswap_limit", None).or_else(|| self.same("memswap_limit"));
            settings.extend(swap.map(|value| ("memswap_limit".to_owned(), value)));
        }
        self.capabilities(&mut settings);
        for (name, value) in [
            ("cpus", self.cpus()),
            ("devices", self.devices()),
            ("group_add", self.joined("group_add")),
            ("links", self.links()),
            ("network_mode", self.network_mode()),
            ("oom_score_adj", self.least("oom_score_adj")),
            ("restart", self.restart()),
            ("security_opt", self.security()),
            ("stop_grace_period", Some(self.grace())),
            ("ulimits", self.limits()),
        ] {
            settings.extend(value.map(|value| (name.to_owned(), value)));
        }
        settings
    }

    fn every(&self, name: &str) -> bool {
        self.members.iter().all(|member| member.setting(name).is_some())
    }

    /// The value that all have; a conflict for each that has another.
    fn same(&mut self, name: &str) -> Option<Setting> {
        let first = self.members[0].setting(name).cloned();
        let shown = |value: Option<&Setting>| value.map_or_else(|| "none".to_owned(), ToString::to_string);
        let other = self.members.iter().find(|member| member.setting(name) != first.as_ref());
        if let Some(other) = other {
            let one = self.members[0].claim(&[name], shown(first.as_ref()));
            let two = other.claim(&[name], shown(other.setting(name)));
            self.conflict(name, one, two, ONE_VALUE);
        }
        first
    }

    fn union(&mut self, name: &str) -> Option<Setting> {
        let maps = self.members.iter().any(|member| matches!(member.setting(name), Some(Setting::Map(_))));
        if !maps {
            return self.joined(name);
        }
        let map = self.keyed(name, |member| match member.setting(name) {
            Some(Setting::Map(map)) => map.clone().into_iter().collect(),
            _ => Vec::new(),
        });
        (!map.is_empty()).then_some(Setting::Map(map))
    }

    fn joined(&self, name: &str) -> Option<Setting> {
        let items: BTreeSet<String> =
            self.members.iter().flat_map(|member| member.items(name)).cloned().collect();
        (!items.is_empty()).then_some(Setting::Set(items))
    }

    /// Named values of all; a conflict where two have the same name and not the same value.
    pub(super) fn keyed(
        &mut self,
        what: &str,
        values: impl Fn(&Member<'_>) -> Vec<(String, String)>,
    ) -> BTreeMap<String, String> {
        let mut union: BTreeMap<String, (usize, String)> = BTreeMap::new();
        let mut clashes = Vec::new();
        for (at, member) in self.members.iter().enumerate() {
            for (name, value) in values(member) {
                match union.get(&name) {
                    Some((_, held)) if *held == value => {}
                    Some((first, held)) => {
                        let place = [what, &name];
                        let place = if name.is_empty() { &place[..1] } else { &place };
                        let first = self.members[*first].claim(place, held);
                        clashes.push((place.join(" "), first, member.claim(place, value)));
                    }
                    None => {
                        union.insert(name, (at, value));
                    }
                }
            }
        }
        for (what, first, second) in clashes {
            self.conflict(what, first, second, ONE_VALUE);
        }
        union.into_iter().map(|(name, (_, value))| (name, value)).collect()
    }

    /// Adds up what daemons have; with a default, if any has one, else if all have.
    fn sum(&self, name: &str, default: Option<i64>) -> Option<Setting> {
        let kind = self.members.iter().find_map(|member| member.setting(name))?;
        let number = |member: &Member<'_>| match member.setting(name) {
            Some(Setting::Bytes(number) | Setting::Integer(number)) => Some(*number).filter(|it| *it >= 0),
            _ => default,
        };
        let sum = self.members.iter().map(number).try_fold(0_i64, |sum, own| sum.checked_add(own?))?;
        Some(if matches!(kind, Setting::Bytes(_)) { Setting::Bytes(sum) } else { Setting::Integer(sum) })
    }

    fn least(&self, name: &str) -> Option<Setting> {
        let number = |member: &Member<'_>| match member.setting(name) {
            Some(Setting::Integer(number)) => *number,
            _ => 0,
        };
        let least = self.members.iter().map(number).min().unwrap_or_default();
        (least != 0 || self.every(name)).then_some(Setting::Integer(least))
    }

    /// Millionths of processors, added up where each daemon has a limit.
    fn cpus(&self) -> Option<Setting> {
        let millionths = |member: &Member<'_>| match member.setting("cpus") {
            Some(Setting::Text(text)) => millionths(text).filter(|share| *share > 0),
            _ => None,
        };
        let sum = self.members.iter().map(millionths).sum::<Option<u64>>()?;
        let text = format!("{}.{:06}", sum / 1_000_000, sum % 1_000_000);
        Some(Setting::Text(text.trim_end_matches('0').trim_end_matches('.').to_owned()))
    }

    /// Every device that one needs; a path in the container is one device.
    fn devices(&mut self) -> Option<Setting> {
        let devices = self.keyed("devices", |member| {
            let target = |device: &String| device.split(':').nth(1).unwrap_or(device).to_owned();
            member.items("devices").map(|device| (target(device), device.clone())).collect()
        });
        (!devices.is_empty()).then(|| Setting::Set(devices.into_values().collect()))
    }

    /// Links to services outside of the merger; those within it are names of the container itself.
    fn links(&self) -> Option<Setting> {
        let outside = |link: &&String| {
            let service = link.split(':').next().unwrap_or(link);
            !self.members.iter().any(|member| member.name == service)
        };
        let links = self.members.iter().flat_map(|member| member.items("links"));
        let links: BTreeSet<String> = links.filter(outside).cloned().collect();
        (!links.is_empty()).then_some(Setting::Set(links))
    }

    /// The mode of all, those aside that are in the namespace of another daemon.
    fn network_mode(&mut self) -> Option<Setting> {
        let mode = |member: &Member<'_>| match member.setting("network_mode") {
            Some(Setting::Text(mode)) => Some(mode.clone()),
            _ => None,
        };
        let joins = |member: &Member<'_>| {
            let mode = mode(member);
            let other = mode.as_deref().and_then(|mode| mode.strip_prefix("service:"));
            other.is_some_and(|other| self.members.iter().any(|member| member.name == other))
        };
        let own: Vec<&Member<'_>> = self.members.iter().filter(|member| !joins(member)).collect();
        let first = own.first()?;
        let shown = |member: &Member<'_>| mode(member).unwrap_or_else(|| "networks of its own".to_owned());
        let value = mode(first);
        if let Some(other) = own.iter().find(|other| mode(other) != value) {
            let claims =
                (first.claim(&["network_mode"], shown(first)), other.claim(&["network_mode"], shown(other)));
            self.conflict("network_mode", claims.0, claims.1, ONE_VALUE);
        }
        value.map(Setting::Text)
    }

    /// The strongest policy of all: it decides what happens when the engine itself starts.
    fn restart(&self) -> Option<Setting> {
        let policies = self.members.iter().filter_map(|member| match member.setting("restart") {
            Some(Setting::Text(policy)) if policy != "no" => Some(policy.as_str()),
            _ => None,
        });
        let rank = |policy: &&str| match policy.split(':').next() {
            Some("always") => 3,
            Some("unless-stopped") => 2,
            Some("on-failure") => 1,
            _ => 0,
        };
        policies.max_by_key(rank).map(|policy| Setting::Text(policy.to_owned()))
    }

    /// The largest limits: each row has its daemon's own.
    fn limits(&self) -> Option<Setting> {
        let mut limits: BTreeMap<String, String> = BTreeMap::new();
        let all = self.members.iter().filter_map(|member| match member.setting("ulimits") {
            Some(Setting::Map(map)) => Some(map),
            _ => None,
        });
        let larger = |one: &str, other: &str| match (one.parse::<i64>(), other.parse::<i64>()) {
            (Ok(-1), _) => true,
            (_, Ok(-1)) => false,
            (Ok(one), Ok(other)) => one > other,
            _ => false,
        };
        for (name, value) in all.flatten() {
            let held = limits.entry(name.clone()).or_insert_with(|| value.clone());
            if larger(value, held) {
                held.clone_from(value);
            }
        }
        (!limits.is_empty()).then_some(Setting::Map(limits))
    }

    /// Adds what a daemon adds; drops what every daemon gives up and neither a daemon nor the init needs.
    fn capabilities(&self, settings: &mut Settings) {
        let names = |member: &Member<'_>, name: &str| member.items(name).cloned().collect::<BTreeSet<_>>();
        let dropped = self.members.iter().map(|member| names(member, "cap_drop"));
        let some = dropped.filter(|dropped| !dropped.contains("ALL"));
        let common = some.reduce(|all, own| all.intersection(&own).cloned().collect());
        let mut dropped = common.unwrap_or_else(|| BTreeSet::from(["ALL".to_owned()]));
        let mut added: BTreeSet<String> =
            self.members.iter().flat_map(|member| names(member, "cap_add")).collect();
        let needed = needed_capabilities(self.members.iter().map(|member| &member.row));
        if dropped.contains("ALL") {
            added.extend(needed.iter().map(|capability| (*capability).to_owned()));
            // What some daemon keeps of the default ones.
            let kept = self.members.iter().filter_map(|member| member.row.capabilities);
            let kept = kept.flat_map(Capabilities::names).filter(|name| *name != "ALL");
            added.extend(kept.map(str::to_owned));
        }
        dropped.retain(|capability| !needed.contains(&capability.as_str()) && !added.contains(capability));
        for (name, capabilities) in [("cap_add", added), ("cap_drop", dropped)] {
            if !capabilities.is_empty() {
                settings.insert(name.to_owned(), Setting::Set(capabilities));
            }
        }
    }

    /// What loosens holds if one asks for it, and so does `no-new-privileges`, which the init lays on every daemon
    /// anyway; profiles have to agree.
    fn security(&mut self) -> Option<Setting> {
        let of = |member: &Member<'_>, kind: &str| -> BTreeSet<String> {
            member.items("security_opt").filter(|option| option.starts_with(kind)).cloned().collect()
        };
        let mut merged: BTreeSet<String> =
            self.members.iter().flat_map(|member| of(member, "no-new-privileges")).collect();
        let mut clashes = Vec::new();
        for kind in ["seccomp", "apparmor", "label", "systempaths"] {
            let options: Vec<BTreeSet<String>> = self.members.iter().map(|member| of(member, kind)).collect();
            let loosens = |options: &&BTreeSet<String>| {
                options.iter().any(|option| option.ends_with("=unconfined") || option == "label=disable")
            };
            let loose = options.iter().find(loosens);
            let fits = |own: &BTreeSet<String>| own.is_empty() || Some(own) == loose;
            if let Some(other) = options.iter().position(|own| *own != options[0])
                && !options.iter().all(fits)
            {
                let shown = |at: usize| match options[at].iter().cloned().collect::<Vec<_>>().join(", ") {
                    none if none.is_empty() => format!("no {kind}"),
                    some => some,
                };
                let claim = |at: usize| self.members[at].claim(&["security_opt"], shown(at));
                clashes.push((claim(0), claim(other)));
            }
            merged.extend(options.into_iter().flatten());
        }
        for (first, second) in clashes {
            self.conflict("security_opt", first, second, ONE_VALUE);
        }
        (!merged.is_empty()).then_some(Setting::Set(merged))
    }
}

impl Member<'_> {
    pub(super) fn setting(&self, name: &str) -> Option<&Setting> {
        self.service.settings.get(name)
    }

    /// Items of an attribute that is a set.
    pub(super) fn items(&self, name: &str) -> impl Iterator<Item = &String> {
        let items = match self.setting(name) {
            Some(Setting::Set(items)) => Some(items),
            _ => None,
        };
        items.into_iter().flatten()
    }
}

/// A decimal number in millionths.
fn millionths(text: &str) -> Option<u64> {
    let (whole, rest) = text.split_once('.').unwrap_or((text, ""));
    let rest = format!("{:0<6}", rest.get(..rest.len().min(6))?);
    let whole = if whole.is_empty() { 0 } else { whole.parse::<u64>().ok()? };
    whole.checked_mul(1_000_000)?.checked_add(rest.parse().ok()?)
}
