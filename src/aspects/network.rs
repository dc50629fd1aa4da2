//! Networks, names, and what can be dialled.

use std::collections::BTreeSet;

use bottle_model::compose::Setting;

use super::Pair;
use super::compare::{Difference, differences, rules};
use super::settings::{Change, set};
use crate::finding::{Finding, Law, Shown};
use crate::view::View;

rules! {
    REACH_GAINED = "reach-gained" Containment Error "a principal can dial what it could not"
        "An agent that reaches the proxy behind the first goes round the leak detection.";
    REACH_LOST = "reach-lost" Conservation Error "a principal cannot dial what it could"
        "The hop hidden from the agent on purpose is absorbed.";
    INTERNET = "internet-gained" Containment Warning "a principal gained a way out"
        "supervise was on the internal network alone; in the bundle it shares the way out, unless walls deny it every connection.";
    AGENT_NETWORK = "agent-network-added" Containment Error "the agent joined a network"
        "The internal network is the boundary. Another one is a way round it.";
    INTERNAL = "network-internal-lost" Containment Error "a network is no longer internal"
        "internal: true is what keeps the agent in.";
    ALIAS_LOST = "alias-lost" Conservation Warning "a name no longer resolves"
        "Configuration outside the compose file may use it: git's insteadOf, MCP registrations.";
    ALIAS_ADDED = "alias-added" Containment Warning "a name resolves that did not"
        "A name that nobody had can take the place of another host.";
    HOSTS_LOST = "hosts-lost" Conservation Error "a host entry is gone or leads elsewhere"
        "extra_hosts overrides DNS; without the entry the name resolves to something else, or not at all.";
    HOSTS_WIDENED = "hosts-scope-widened" Containment Warning "a host entry applies to more principals"
        "git-gate's overrides begin to apply to the proxies of the same container.";
    HOSTS_ADDED = "hosts-added" Containment Error "a host entry is new"
        "A name that DNS answered before leads to an address that somebody chose.";
    CHANGED = "network-changed" Conservation Error "a network is set up differently"
        "Driver, options, addresses, labels, presence.";
    NAME = "name-changed" Conservation Error "a project, container, host or network has another name"
        "Scripts, dashboards and clean-up find things by name. The bundle's own names are absorbed.";
    DNS = "dns-changed" Conservation Warning "name servers differ"
        "Another resolver answers differently, and sees the questions.";
    MODE = "network-mode-shared" Containment Error "a namespace is shared"
        "network_mode, pid, ipc, uts, cgroup or userns of the host or of another container.";
}

pub(super) fn documents(before: &View, after: &View, findings: &mut Vec<Finding>) {
    if before.project != after.project {
        let text =
            |view: &View| Shown::plain(view.project.clone().unwrap_or_else(|| "(none)".to_owned()), "name");
        findings.push(
            Finding::changed(&NAME, "", "project", text(before), text(after))
                .because("the project has another name"),
        );
    }
    for difference in differences(&before.networks, &after.networks, |a, b| a == b) {
        let show = |network: &crate::view::Network| {
            let text =
                format!("internal={} external={} {:?}", network.internal, network.external, network.settings);
            Shown::plain(text, format!("networks.{}", network.key))
        };
        findings.push(match difference {
            Difference::Lost(name, was) => {
                let renamed = after.networks.values().any(|is| is.key == was.key);
                let rule = if renamed { &NAME } else { &CHANGED };
                Finding::lost(rule, "", name.clone(), show(was)).because("the network is gone")
            }
            Difference::Gained(name, is) => {
                Finding::gained(&CHANGED, "", name.clone(), show(is)).because("the network is new")
            }
            Difference::Changed(name, was, is) => {
                let rule = if was.internal && !is.internal { &INTERNAL } else { &CHANGED };
                Finding::changed(rule, "", name.clone(), show(was), show(is))
                    .because("the network is set up differently")
            }
        });
    }
}

pub(super) fn parties(pair: &Pair<'_>, findings: &mut Vec<Finding>) {
    let (before, after) = (pair.before, pair.after);
    let plain = |text: &str, place: &str| Shown::plain(text, pair.is(place));
    let list = |names: &BTreeSet<String>| names.iter().cloned().collect::<Vec<_>>().join(", ");
    for (subject, was, is) in [
        ("container_name", Some(&before.container_name), Some(&after.container_name)),
        ("hostname", before.hostname.as_ref(), after.hostname.as_ref()),
    ] {
        if was != is {
            let text = |name: Option<&String>| name.cloned().unwrap_or_else(|| "(none)".to_owned());
            findings.push(
                Finding::changed(
                    &NAME,
                    pair.name,
                    subject,
                    plain(&text(was), subject),
                    plain(&text(is), subject),
                )
                .because(format!("{subject} differs")),
            );
        }
    }
    for difference in differences(&before.networks, &after.networks, |a, b| a == b) {
        match difference {
            Difference::Lost(name, _) => findings.push(
                Finding::lost(&REACH_LOST, pair.name, name.clone(), plain(name, "networks"))
                    .because("it left the network"),
            ),
            Difference::Gained(name, _) if pair.name == "agent" => findings.push(
                Finding::gained(&AGENT_NETWORK, pair.name, name.clone(), plain(name, "networks"))
                    .because("the agent joined the network"),
            ),
            Difference::Gained(name, _) => {
                // A way out has a rule of its own.
                let told = after.internet.contains(name) || after.dials.as_ref().is_some_and(Vec::is_empty);
                let shared = pair.neighbour_had(|party| party.networks.contains_key(name)).is_some();
                if !(told && shared) {
                    findings.push(
                        Finding::gained(&REACH_GAINED, pair.name, name.clone(), plain(name, "networks"))
                            .because("it joined the network"),
                    );
                }
            }
            Difference::Changed(name, was, is) => {
                let (text_was, text_is) = (format!("{was:?}"), format!("{is:?}"));
                let (text_was, text_is) = (plain(&text_was, "networks"), plain(&text_is, "networks"));
                let finding = Finding::changed(&CHANGED, pair.name, name.clone(), text_was, text_is);
                // A neighbour's fixed address takes nothing from who had none.
                let kept = was.iter().all(|(option, value)| is.get(option) == Some(value));
                let finding = if kept { finding.under(Law::Containment) } else { finding };
                findings.push(finding.because("its place in the network differs"));
            }
        }
    }
    for (endpoint, _) in
        before.reach.iter().filter(|(endpoint, mine)| **mine && !after.reach.contains_key(*endpoint))
    {
        findings.push(
            Finding::lost(
                &REACH_LOST,
                pair.name,
                endpoint.clone(),
                Shown::plain(endpoint, pair.was("networks")),
            )
            .because(format!("{} cannot dial it any more", pair.name)),
        );
    }
    let had = |endpoint: &str| before.reach.get(endpoint) == Some(&true);
    for (endpoint, _) in after.reach.iter().filter(|(endpoint, open)| **open && !had(endpoint)) {
        findings.push(
            Finding::gained(&REACH_GAINED, pair.name, endpoint.clone(), plain(endpoint, "networks"))
                .because(format!("{} can dial it", pair.name)),
        );
    }
    let out: BTreeSet<String> = before.internet.difference(&after.internet).cloned().collect();
    for name in out.iter().filter(|name| after.networks.contains_key(*name)) {
        findings.push(
            Finding::lost(&REACH_LOST, pair.name, format!("out through {name}"), plain(name, "networks"))
                .because("it leads out no longer"),
        );
    }
    for name in after.internet.difference(&before.internet) {
        findings.push(
            Finding::gained(&INTERNET, pair.name, name.clone(), plain(name, "networks"))
                .because(format!("{} can dial out through it", pair.name)),
        );
    }
    for (network, names) in &before.names {
        if let Some(now) = after.names.get(network) {
            for name in names.difference(now) {
                let shown = Shown::plain(name, pair.was("networks"));
                findings.push(
                    Finding::lost(&ALIAS_LOST, pair.name, name.clone(), shown).because("it does not resolve"),
                );
            }
            for name in now.difference(names) {
                alias(pair, name, network, findings);
            }
        }
    }
    for (network, names) in after.names.iter().filter(|(network, _)| !before.names.contains_key(*network)) {
        let fresh: Vec<&String> =
            names.iter().filter(|name| !before.names.values().any(|names| names.contains(*name))).collect();
        for name in fresh {
            alias(pair, name, network, findings);
        }
    }
    for difference in differences(&before.resolves, &after.resolves, |was, is| was == is) {
        match difference {
            Difference::Lost(name, who) => {
                let together = who.iter().all(|other| after.together.contains(other));
                let rule = if together && pair.name != "agent" { &REACH_LOST } else { &ALIAS_LOST };
                findings.push(
                    Finding::lost(rule, pair.name, format!("name {name}"), plain(name, "extra_hosts"))
                        .because(format!("{} does not find {name} any more", pair.name)),
                );
            }
            Difference::Changed(name, was, is) => {
                let (was, is) = (plain(&list(was), "networks"), plain(&list(is), "networks"));
                findings.push(
                    Finding::changed(&REACH_LOST, pair.name, format!("name {name}"), was, is)
                        .because(format!("{name} leads {} to somebody else", pair.name)),
                );
            }
            Difference::Gained(name, _) => findings.push(
                Finding::gained(&ALIAS_ADDED, pair.name, format!("name {name}"), plain(name, "networks"))
                    .because(format!("{} finds {name}", pair.name)),
            ),
        }
    }
    for difference in differences(&before.hosts, &after.hosts, |a, b| a == b) {
        findings.push(match difference {
            Difference::Lost(name, was) => {
                Finding::lost(&HOSTS_LOST, pair.name, name.clone(), plain(&list(was), "extra_hosts"))
                    .because("the host entry is gone")
            }
            Difference::Changed(name, was, is) => Finding::changed(
                &HOSTS_LOST,
                pair.name,
                name.clone(),
                plain(&list(was), "extra_hosts"),
                plain(&list(is), "extra_hosts"),
            )
            .because("the host entry leads elsewhere"),
            Difference::Gained(name, is) => {
                let owner = pair.neighbour_had(|party| party.hosts.get(name) == Some(is));
                let (rule, why) = match owner {
                    Some(owner) => (&HOSTS_WIDENED, format!("{owner}'s entry applies to {} too", pair.name)),
                    None => (&HOSTS_ADDED, "nobody of this container had the entry".to_owned()),
                };
                Finding::gained(rule, pair.name, name.clone(), plain(&list(is), "extra_hosts")).because(why)
            }
        });
    }
}

/// A name by which others find the principal. Whoever dials a name that the agent took, dials the agent.
fn alias(pair: &Pair<'_>, name: &str, network: &str, findings: &mut Vec<Finding>) {
    let finding = |rule| Finding::gained(rule, pair.name, name, Shown::plain(name, pair.is("networks")));
    findings.push(finding(&ALIAS_ADDED).because(format!("it is a name on {network} that was nobody's")));
    if pair.name == "agent" {
        findings.push(finding(&HOSTS_ADDED).because(format!("on {network} the name leads to the agent")));
    }
}

/// A namespace of the host or of another container; `none` and `private` are the container's own.
pub(super) fn namespace(change: &Change<'_>) -> Finding {
    let shared = |side: Option<&Setting>| {
        side.map(ToString::to_string).filter(|mode| !matches!(mode.as_str(), "none" | "private"))
    };
    match (shared(change.was), shared(change.is)) {
        (_, Some(mode)) => {
            change.whole(&MODE).under(Law::Containment).because(format!("{} is {mode}", change.name))
        }
        (Some(mode), None) => {
            change.whole(&MODE).under(Law::Conservation).because(format!("{} was {mode}", change.name))
        }
        (None, None) if change.is.is_some() => change.whole(&super::privilege::RESTRICTED),
        (None, None) => change.whole(&MODE),
    }
}

/// Name servers; the agent's questions may carry a secret to whoever answers them.
pub(super) fn resolver(change: &Change<'_>, findings: &mut Vec<Finding>) {
    findings.push(change.whole(&DNS));
    if change.name == "dns" && change.pair.name == "agent" {
        let (was, is) = (set(change.was), set(change.is));
        findings.extend(
            is.difference(&was).map(|server| {
                change.gained(&REACH_GAINED, server).because("the agent asks this name server")
            }),
        );
    }
}
