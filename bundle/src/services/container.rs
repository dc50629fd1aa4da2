//! What the container has beside settings: names, ports, networks, hosts, labels, and one health probe.

use std::collections::BTreeMap;

use bottle_model::compose::{Attachment, Dependency, Healthcheck, Port, Probe, Setting};
use bottle_model::images::INIT;
use indexmap::IndexMap;

use super::{Member, Merger};

const SECOND: u64 = 1_000_000_000;

impl Merger<'_> {
    /// The hostname that a service asks for, or else the name of the merged service.
    pub(super) fn hostname(&mut self) -> String {
        let names = self.keyed("hostname", |member| {
            let name = member.service.hostname.iter();
            name.map(|name| (String::new(), name.clone())).collect()
        });
        names.into_values().next().unwrap_or_else(|| self.request.name.to_owned())
    }

    pub(super) fn ports(&mut self) -> Vec<Port> {
        let mut owners: BTreeMap<(u16, String), usize> = BTreeMap::new();
        for (at, member) in self.members.iter().enumerate() {
            for socket in &member.row.listen {
                owners.entry((socket.port, "tcp".to_owned())).or_insert(at);
            }
        }
        let mut ports = Vec::new();
        let mut clashes = Vec::new();
        for (at, member) in self.members.iter().enumerate() {
            for port in &member.service.ports {
                let (target, protocol) = (port.target, port.protocol.as_str());
                let owner = *owners.entry((target, protocol.to_owned())).or_insert(at);
                let own = |member: &Member<'_>| {
                    let number = target.to_string();
                    member.claim(&["ports", &number], format!("port {target}/{protocol}"))
                };
                if owner != at {
                    let what = format!("port {target}/{protocol}");
                    let remedy = "in one container a port belongs to one daemon: let one listen elsewhere";
                    clashes.push((what, own(&self.members[owner]), own(member), remedy));
                } else if self.hides(member)
                    && protocol == "tcp"
                    && member.row.listen.iter().any(|socket| socket.port == target)
                {
                    let what = format!("port {target}/{protocol}");
                    let loopback = self.members[usize::from(at == 0)].claim(&[], "the way to it");
                    let remedy = "it listens on loopback alone in the bundle: do not publish it";
                    clashes.push((what, own(member), loopback, remedy));
                }
                if !ports.contains(port) {
                    ports.push(port.clone());
                }
            }
        }
        for (what, first, second, remedy) in clashes {
            self.conflict(what, first, second, remedy);
        }
        ports
    }

    /// Every network that a daemon is on. Names lead to it where somebody outside may ask for them; a name that nobody
    /// outside can ask for is still found on one network, for the daemons themselves.
    pub(super) fn networks(&mut self) -> IndexMap<String, Attachment> {
        let mut networks: IndexMap<String, Attachment> = IndexMap::new();
        let implicit = |member: &Member<'_>| {
            member.service.networks.is_empty() && !member.service.settings.contains_key("network_mode")
        };
        let keys = |member: &Member<'_>| -> Vec<String> {
            if implicit(member) {
                vec!["default".to_owned()]
            } else {
                member.service.networks.keys().cloned().collect()
            }
        };
        let merged: Vec<&str> = self.members.iter().map(|member| member.name).collect();
        let outsiders = |key: &str| {
            let mut others =
                self.request.compose.services.iter().filter(|(name, _)| !merged.contains(&name.as_str()));
            others.any(|(_, service)| {
                service.networks.contains_key(key)
                    || (key == "default"
                        && service.networks.is_empty()
                        && !service.settings.contains_key("network_mode"))
            })
        };
        let mut hidden = Vec::new();
        for member in &self.members {
            let keys = keys(member);
            let asked: Vec<&String> = keys.iter().filter(|key| outsiders(key)).collect();
            for key in &keys {
                let attachment = networks.entry(key.clone()).or_default();
                let own = member.service.networks.get(key);
                let aliases = own.into_iter().flat_map(|own| &own.aliases);
                if self.hides(member) {
                    hidden.extend(
                        aliases.chain(own.into_iter().flat_map(|own| own.options.values())).next().map(
                            |name| {
                                (
                                    member.claim(&["networks", key, name], format!("the name {name}")),
                                    key.clone(),
                                )
                            },
                        ),
                    );
                    continue;
                }
                attachment.aliases.extend(aliases.cloned());
                if asked.contains(&key) || (asked.is_empty() && Some(key) == keys.first()) {
                    attachment.aliases.insert(member.name.to_owned());
                    let container = member.service.container_name.as_ref();
                    attachment.aliases.extend(container.filter(|_| !self.request.built_in).cloned());
                }
            }
        }
        let keys: Vec<String> = networks.keys().cloned().collect();
        for key in keys {
            let options = self.keyed(&format!("networks {key}"), |member| {
                let own = member.service.networks.get(&key);
                let options = own.into_iter().flat_map(|own| own.options.clone());
                options.collect()
            });
            if let Some(attachment) = networks.get_mut(&key) {
                attachment.aliases.remove(self.request.name);
                attachment.options = options;
            }
        }
        for (claim, key) in hidden {
            let neighbour = self.members.iter().find(|member| !self.hides(member));
            let other =
                neighbour.unwrap_or(&self.members[0]).claim(&["networks", &key], "the container's names");
            let remedy = "it listens on loopback alone in the bundle: give it no name and no address there";
            self.conflict(format!("networks {key}"), claim, other, remedy);
        }
        // A network that nobody names is Compose's default for a service without networks.
        if networks.len() == 1 && networks.get("default").is_some_and(|only| *only == Attachment::default()) {
            networks.clear();
        }
        networks
    }

    pub(super) fn hosts(&mut self) -> IndexMap<String, Vec<String>> {
        let hosts = self.keyed("extra_hosts", |member| {
            let hosts = member.service.extra_hosts.iter();
            hosts.map(|(name, addresses)| (name.clone(), addresses.join(","))).collect()
        });
        let split = |addresses: &String| addresses.split(',').map(str::to_owned).collect::<Vec<_>>();
        let mut hosts: IndexMap<String, Vec<String>> =
            hosts.iter().map(|(name, addresses)| (name.clone(), split(addresses))).collect();
        for member in self.members.iter().filter(|member| self.hides(member)) {
            hosts.insert(member.name.to_owned(), vec!["127.0.0.1".to_owned()]);
        }
        hosts
    }

    pub(super) fn labels(&mut self) -> IndexMap<String, String> {
        let labels = self.keyed("labels", |member| {
            member.service.labels.iter().map(|(name, value)| (name.clone(), value.clone())).collect()
        });
        labels.into_iter().collect()
    }

    /// Services outside of the merger that any daemon waits for, under the strictest condition.
    pub(super) fn dependencies(&self) -> IndexMap<String, Dependency> {
        let mut dependencies: IndexMap<String, Dependency> = IndexMap::new();
        for (name, dependency) in self.members.iter().flat_map(|member| &member.service.depends_on) {
            if !self.members.iter().any(|member| member.name == name) {
                join(&mut dependencies, name, dependency);
            }
        }
        dependencies
    }

    /// One probe for all, at least as quick to notice as the quickest and as patient at the start as the slowest.
    pub(super) fn health(&self) -> Healthcheck {
        let probes = || self.members.iter().filter_map(|member| member.service.healthcheck.as_ref());
        let least = |time: fn(&Healthcheck) -> Option<u64>| probes().filter_map(time).min();
        let most = |time: fn(&Healthcheck) -> Option<u64>| probes().filter_map(time).max();
        Healthcheck {
            test: Some(Probe::Exec(vec![INIT.to_owned(), "check".to_owned()])),
            interval: Some(least(|health| health.interval).unwrap_or(2 * SECOND)),
            timeout: Some(most(|health| health.timeout).unwrap_or(5 * SECOND)),
            retries: Some(least(|health| health.retries).unwrap_or(2)),
            start_period: Some(most(|health| health.start_period).unwrap_or(30 * SECOND)),
            start_interval: least(|health| health.start_interval),
        }
    }

    /// The longest time of all, with two seconds for the init itself.
    pub(super) fn grace(&self) -> Setting {
        let times = self.members.iter().filter_map(|member| match member.setting("stop_grace_period") {
            Some(Setting::Duration(time)) => Some(time + 2 * SECOND),
            _ => None,
        });
        Setting::Duration(times.max().unwrap_or_default().max(10 * SECOND))
    }
}

/// Adds a dependency; of two on one service the stricter condition counts.
pub(super) fn join(dependencies: &mut IndexMap<String, Dependency>, name: &str, dependency: &Dependency) {
    let rank = |condition: &str| match condition {
        "service_completed_successfully" => 2,
        "service_healthy" => 1,
        _ => 0,
    };
    match dependencies.get_mut(name) {
        Some(held) => {
            if rank(&dependency.condition) > rank(&held.condition) {
                held.condition.clone_from(&dependency.condition);
            }
            held.restart |= dependency.restart;
            held.required |= dependency.required;
        }
        None => {
            dependencies.insert(name.to_owned(), dependency.clone());
        }
    }
}
