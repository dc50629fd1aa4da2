//! The services that stay: what named a merged one names the merger.

use std::collections::BTreeSet;

use bottle_model::compose::{EnvValue, Service, Setting};
use indexmap::IndexMap;

use super::container::join;
use super::{Claim, Merger};
use crate::agent::replace_host;

const NAMESPACE: &str =
    "the merged container has more in it than that one service: leave one out of the merger";

impl Merger<'_> {
    pub(super) fn redirect(&mut self, services: &mut IndexMap<String, Service>) {
        let own = self.request.name;
        let names: Vec<String> = services.keys().filter(|name| *name != own).cloned().collect();
        for name in &names {
            if let Some(mut service) = services.get(name).cloned() {
                self.wait(name, &mut service);
                self.join_namespaces(name, &mut service);
                self.link(&mut service);
                if self.request.agent == Some(name.as_str()) {
                    self.address(name, &mut service);
                }
                services.insert(name.clone(), service);
            }
        }
        self.circle(services);
    }

    fn member(&self, name: &str) -> Option<usize> {
        self.members.iter().position(|member| member.name == name)
    }

    fn wait(&mut self, name: &str, service: &mut Service) {
        let mut dependencies = IndexMap::new();
        for (other, dependency) in &service.depends_on {
            match self.member(other) {
                Some(at) if dependency.condition == "service_completed_successfully" => {
                    self.completed(name, at);
                }
                Some(_) => join(&mut dependencies, self.request.name, dependency),
                None => join(&mut dependencies, other, dependency),
            }
        }
        service.depends_on = dependencies;
    }

    /// Another service in the network of a merged one is in that of all; nothing else of one can be shared alone.
    fn join_namespaces(&mut self, name: &str, service: &mut Service) {
        let mut clashes = Vec::new();
        for attribute in ["network_mode", "ipc", "pid", "volumes_from"] {
            let named: Vec<String> = match service.settings.get(attribute) {
                Some(Setting::Text(text)) => {
                    text.strip_prefix("service:").map(str::to_owned).into_iter().collect()
                }
                Some(Setting::Set(items)) => {
                    items.iter().filter_map(|item| item.split(':').next()).map(str::to_owned).collect()
                }
                _ => Vec::new(),
            };
            for at in named.iter().filter_map(|named| self.member(named)) {
                if attribute == "network_mode" {
                    let mode = Setting::Text(format!("service:{}", self.request.name));
                    service.settings.insert(attribute.to_owned(), mode);
                    continue;
                }
                let other = Claim {
                    service: name.to_owned(),
                    place: vec![attribute.to_owned()],
                    value: format!("a share in that of {}", self.members[at].name),
                };
                clashes.push((attribute, self.members[at].claim(&[], "one of its own"), other));
            }
        }
        for (what, first, second) in clashes {
            self.conflict(what, first, second, NAMESPACE);
        }
    }

    fn link(&self, service: &mut Service) {
        let Some(Setting::Set(links)) = service.settings.get_mut("links") else { return };
        let renamed = links.iter().map(|link| {
            let (other, alias) = link.split_once(':').unwrap_or((link, link));
            if self.member(other).is_some() { format!("{}:{alias}", self.request.name) } else { link.clone() }
        });
        *links = renamed.collect();
    }

    /// Names the merged service wherever a variable of the agent addresses one of its daemons.
    fn address(&mut self, name: &str, service: &mut Service) {
        let own = self.request.name;
        let mut clashes = Vec::new();
        for (variable, value) in &mut service.environment {
            let EnvValue::Literal(text) = value else { continue };
            if variable.eq_ignore_ascii_case("no_proxy") {
                let listed =
                    |member: &super::Member<'_>| text.split(',').any(|item| item.trim() == member.name);
                if self.members.iter().any(listed) {
                    text.push(',');
                    text.push_str(own);
                }
                continue;
            }
            // Both a URL and `host:port` have a colon; HOME is a path, whatever it contains.
            if !text.contains(':') || variable == "HOME" {
                continue;
            }
            for member in &self.members {
                let container = member.service.container_name.as_deref();
                for host in [member.name].into_iter().chain(container) {
                    let (replaced, found) = replace_host(text, host, own);
                    if found && self.hides(member) {
                        let claim = Claim {
                            service: name.to_owned(),
                            place: vec!["environment".to_owned(), variable.clone()],
                            value: format!("the name {host}"),
                        };
                        clashes.push((
                            variable.clone(),
                            member.claim(&[], "loopback alone in the bundle"),
                            claim,
                        ));
                    }
                    *text = replaced;
                }
            }
        }
        for (what, first, second) in clashes {
            self.conflict(what, first, second, "name the first proxy, or the merged service");
        }
    }

    /// Refuses a merged service that waits for one that waits for it.
    fn circle(&mut self, services: &IndexMap<String, Service>) {
        let own = self.request.name;
        let mut seen: BTreeSet<&str> = BTreeSet::new();
        let mut open: Vec<&str> = vec![own];
        let mut last = None;
        while let Some(name) = open.pop() {
            let waits = services.get(name).into_iter().flat_map(|service| service.depends_on.keys());
            for other in waits {
                if other == own {
                    last = Some(name.to_owned());
                }
                if seen.insert(other) && other != own {
                    open.push(other);
                }
            }
        }
        let Some(last) = last else { return };
        let waits = |at: &usize| {
            let mut names = self.members[*at].service.depends_on.keys();
            names.any(|name| seen.contains(name.as_str()) && self.member(name).is_none())
        };
        let first = (0..self.members.len()).find(waits).unwrap_or_default();
        let first = self.members[first].claim(&["depends_on"], format!("to wait for what waits for {own}"));
        let second = Claim {
            service: last,
            place: vec!["depends_on".to_owned()],
            value: format!("to wait for a service of {own}"),
        };
        self.conflict("depends_on", first, second, "a circle: merge that service too, or leave one out");
    }
}
