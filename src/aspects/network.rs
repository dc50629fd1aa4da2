//! Networks, names, and what can be dialled.

use std::borrow::Cow;

use bottle_model::compose::Setting;
use bottle_model::sorted::Set;

use super::change::{Change, set};
use super::compare::{Difference, differences};
use super::pair::Pair;
use crate::finding::{Finding, Law, Severity, Shown};
use crate::rule::rules;
use crate::view::{Endpoint, Network, Reach, View};

rules! {
    comparison:
    REACH_GAINED = ReachGained Containment Error "a principal can connect to something that it could not reach"
        "Reach is computed from networks, listen addresses, published ports, shared network namespaces \
         and walls: which socket of which daemon a principal can dial. Joining a network that only others \
         were on counts, and so do links, model endpoints, a name server that the agent asks, and kernel \
         parameters that make a container forward packets. An agent that reaches the proxy behind the \
         first goes round the leak detection of the first.\n\n\
         Example: the agent has `network_mode: service:sidecars`. The hop that hides on loopback is then \
         on its own loopback.\n\n\
         What to do: take back the change that the finding points at. The hop has to listen on 127.0.0.1 \
         alone.";
    REACH_LOST = ReachLost Conservation Error "a principal cannot connect to something that it could reach"
        "A socket that a principal could dial, a network that it was on, a way out, or the name of a \
         neighbour that it used is gone, or leads to somebody else. That the agent no longer reaches the \
         hop behind the first proxy is intended and absorbed.\n\n\
         Example: pipelock's configuration names `egress:9099`, and `sidecars` has no `extra_hosts` entry \
         that maps `egress` to 127.0.0.1.\n\n\
         What to do: restore the network, the alias or the host entry. Inside the bundle the daemons find \
         each other by network aliases, and the hop by its entry for 127.0.0.1.";
    INTERNET = InternetGained Containment Warning "a principal can reach the outside network"
        "A principal that was on internal networks alone can dial the outside world, because a neighbour \
         in its container needs an ordinary network, or because a network is internal no longer. What it \
         was given to keep inside can leave.\n\n\
         Example: the legacy supervise is on the internal network alone. In `sidecars` it shares the \
         external network of the proxies.\n\n\
         What to do: set `BOT_BOTTLE_SIDECAR_ISOLATION: require`: supervise may then dial nothing at all. \
         Otherwise accept it with a waiver that says why the daemon may be trusted with it.";
    AGENT_NETWORK = AgentNetworkAdded Containment Error "the bundle puts the agent on another network"
        "The internal network is the boundary that everything else rests on: proxies, allowlists and leak \
         detection only work because there is no other way out. A second network is one, and so is \
         leaving `networks:` out, which puts the agent on the project's default network.\n\n\
         Example: the agent of the bundle lists `external` beside `internal`.\n\n\
         What to do: put the agent on the internal network alone.";
    INTERNAL = NetworkInternalLost Containment Error "a network is no longer internal"
        "`internal: true` is what keeps the agent in. Without it the engine gives the network a route to \
         the outside, and every container on it with it.\n\n\
         Example: the top-level network `internal` lost `internal: true`, or became `external: true` and \
         so whatever somebody else made of it.\n\n\
         What to do: restore `internal: true`.";
    ALIAS_LOST = AliasLost Conservation Warning ["name"] "a name no longer resolves"
        "A name under which a principal was found is gone. The compose file cannot show who uses it: \
         git's `insteadOf`, registrations of MCP servers and entries of NO_PROXY live outside it. The \
         names of the daemons that the agent faces stay as aliases while the migration lasts; that of the \
         hop goes on purpose.\n\n\
         Example: `sidecars` lacks the alias `git-gate`, and remotes that say `git://git-gate/…` fail.\n\n\
         What to do: add the legacy name to the `aliases` of `sidecars` on the internal network.";
    ALIAS_ADDED = AliasAdded Containment Warning ["name"] "a name resolves that did not"
        "A container answers to a name that no container had. It can take the place of another host: whoever \
         dials the name on that network reaches this container instead. The alias of the hop is found \
         here too, since the agent should not find the hop.\n\n\
         Example: `sidecars` has the alias `egress` on the internal network.\n\n\
         What to do: remove the alias. Neighbours find the hop by the `extra_hosts` entry for 127.0.0.1, \
         which the agent does not see.";
    HOSTS_LOST = HostsLost Conservation Error ["host"] "a host entry is gone or leads elsewhere"
        "An entry of `extra_hosts` comes before DNS. Without it the name resolves to something else, or \
         not at all; with another address it leads to somebody else.\n\n\
         Example: the legacy git-gate maps `forge.internal` to `192.0.2.10`, and `sidecars` has no such \
         entry, so that fetches fail.\n\n\
         What to do: copy the entry. If two daemons had different addresses for one name they cannot \
         share a hosts file: give one of them another name.";
    HOSTS_WIDENED = HostsScopeWidened Containment Warning ["host"] "a host entry applies to more principals"
        "One container has one hosts file. An entry that one daemon needed overrides DNS for all of them, \
         and names that they looked up before lead where one of them was sent. For a daemon that dials names \
         which others choose (egress, pipelock; in a map those in `dials_any`) it is an error: the requests of \
         the agent go to another address, or are refused because the address is private.\n\n\
         Example: git-gate's entry for `forge.internal` begins to apply to egress and pipelock, so that \
         the proxies connect to the same address where they asked DNS before.\n\n\
         What to do: nothing, if the name means the same to all of them: accept it with a waiver. \
         Otherwise use an address, or a name that only this daemon dials.";
    HOSTS_ADDED = HostsAdded Containment Error ["host"] "the bundle gives a name an address that nobody had"
        "An entry of `extra_hosts` that nobody in the container had, or a name that the agent answers to \
         and did not. A name that DNS answered before then leads where whoever wrote the file wants it: \
         credentials that a proxy injects for a forge go to another host, or to the agent itself.\n\n\
         Example: `sidecars` gained `github.com: 192.0.2.66`, or the agent gained the network alias \
         `forge.example`.\n\n\
         What to do: remove the entry. If a daemon needs it, add it to that daemon in the legacy shape \
         first.";
    CHANGED = NetworkChanged Conservation Error "the bundle configures a network differently"
        "Driver, options, address ranges, labels, a fixed address in a network, or a network that is new \
         or gone. Such settings decide which containers can talk to each other: a macvlan network, for one, puts containers \
         on the network of the host.\n\n\
         Example: the internal network gained `driver: macvlan`, or the agent gained `ipv4_address`.\n\n\
         What to do: declare the network as the legacy file does.";
    NAME = NameChanged Conservation Error "a project, container, host or network has another name"
        "Scripts, dashboards and clean-up jobs find things by name. The bundle's own names are intended: \
         its container is named after `sidecars` where a legacy one was named after its daemon, and its \
         host name is `sidecars`.\n\n\
         Example: the agent's container was `bot-bottle-demo` and is `demo-agent-1`, because \
         `container_name` was lost.\n\n\
         What to do: restore the name.";
    DNS = DnsChanged Conservation Warning "the bundle uses other name servers or search domains"
        "Another resolver gives other answers, and it sees every question. One container has one \
         resolver, so daemons with different ones cannot be merged without a change for some. For the \
         agent a new name server is a way out as well: see `reach-gained`.\n\n\
         Example: the legacy egress has `dns: [192.0.2.53]` and `sidecars` has none.\n\n\
         What to do: copy `dns`, `dns_search` and `dns_opt`, if all daemons had the same. Otherwise \
         decide which resolver the bundle should use, and accept the rest with a waiver.";
    UNREACHABLE = AddressUnreachable Conservation Error "a value names an address where nothing listens"
        "A command line or a variable names a principal at a port where it has no socket, or has one that the \
         reader of the value cannot reach, because it is on another container's loopback. Whatever uses the \
         value gets connection refused. A value that is wrong in both shapes is a warning.\n\n\
         Example: the agent has `HTTPS_PROXY: http://sidecars:9099` in the pipelock-first chain, where egress \
         listens on loopback.\n\n\
         What to do: name a port on which the daemon listens for others. If the program opens a further port, \
         name it in `expose:`.";
    MODE = NetworkModeShared Containment Error "a container shares a namespace"
        "The network, process, IPC, host-name, cgroup or user namespace is that of the host or of another \
         container, or others may join it. Whoever shares a network namespace reaches what listens on \
         loopback there; whoever shares a process namespace sees the neighbours' command lines and \
         environments.\n\n\
         Example: `network_mode: host`, `pid: \"service:sidecars\"` for the agent, or `ipc: shareable`.\n\n\
         What to do: remove the attribute, so that the container has a namespace of its own.";
}

pub(super) fn documents(before: &View<'_>, after: &View<'_>, findings: &mut Vec<Finding>) {
    if before.project != after.project {
        let text = |view: &View<'_>| Shown::plain(view.project.unwrap_or("(none)"), "name");
        findings.push(
            Finding::changed(&NAME, "", "project", text(before), text(after))
                .because("the project has another name"),
        );
    }
    // The key is the document's own; containers meet by the name.
    let same = |a: &Network<'_>, b: &Network<'_>| {
        (a.internal, a.external) == (b.internal, b.external) && a.effective().eq(b.effective())
    };
    for difference in differences(&before.networks, &after.networks, same) {
        let show = |network: &Network<'_>| {
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

pub(super) fn principals(pair: &Pair<'_>, findings: &mut Vec<Finding>) {
    let (before, after) = (pair.before, pair.after);
    let plain = |text: &str, place: &str| Shown::plain(text, pair.is(place));
    let list = |names: &Set<&str>| names.iter().copied().collect::<Vec<_>>().join(", ");
    // A name that the engine had chosen is nobody's loss.
    let theirs = || pair.neighbour_had(|other| other.hostname == after.hostname).is_some();
    let intended = pair.merged() && before.hostname.is_none() && (after.own_hostname || theirs());
    for (subject, was, is, intended) in [
        ("container_name", Some(&*before.container_name), Some(&*after.container_name), false),
        ("hostname", before.hostname, after.hostname, intended),
    ] {
        if was != is && !intended {
            let text = |name: Option<&str>| plain(name.unwrap_or("(none)"), subject);
            findings.push(
                Finding::changed(&NAME, pair.name, subject, text(was), text(is))
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
                let told = after.internet.contains(name) || after.dials.is_some_and(<[u16]>::is_empty);
                let shared = pair.neighbour_had(|principal| principal.networks.contains_key(name)).is_some();
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
                findings.push(finding.because("its addresses, names or priority in the network differ"));
            }
        }
    }
    reach(pair, findings);
    for (address, place) in &after.dead {
        // It did not work before either.
        let severity = if before.dead.contains_key(address) { Severity::Warning } else { Severity::Error };
        let shown = Shown::plain(address.clone(), place.clone());
        findings.push(
            Finding::gained(&UNREACHABLE, pair.name, address.clone(), shown)
                .because(format!("{} names {address}, where nothing listens for it", pair.name))
                .weighing(severity),
        );
    }
    let out = before.internet.difference(&after.internet);
    for name in out.filter(|name| after.networks.contains_key(*name)) {
        findings.push(
            Finding::lost(&REACH_LOST, pair.name, format!("out through {name}"), plain(name, "networks"))
                .because("it can no longer reach the outside network through it"),
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
                let shown = Shown::plain(&**name, pair.was("networks"));
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
        let fresh = |name: &&Cow<'_, str>| !before.names.values().any(|names| names.contains(*name));
        for name in names.iter().filter(fresh) {
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
                        .because(not_found(pair, name, together)),
                );
            }
            Difference::Changed(name, was, is) => {
                let (was, is) = (plain(&list(was), "networks"), plain(&list(is), "networks"));
                findings.push(
                    Finding::changed(&REACH_LOST, pair.name, format!("name {name}"), was, is)
                        .because(format!("{name} leads {} to another address", pair.name)),
                );
            }
            Difference::Gained(name, _) => findings.push(
                Finding::gained(&ALIAS_ADDED, pair.name, format!("name {name}"), plain(name, "networks"))
                    .because(format!("{} finds {name}", pair.name)),
            ),
        }
    }
    for difference in differences(&before.hosts, &after.hosts, |a, b| a == b) {
        // A proxy that resolves a name differently sends the traffic of others elsewhere, or nowhere.
        let proxy = before.dials_any || after.dials_any;
        findings.push(match difference {
            Difference::Lost(name, was) => {
                Finding::lost(&HOSTS_LOST, pair.name, *name, plain(&list(was), "extra_hosts"))
                    .because("the host entry is gone")
            }
            Difference::Changed(name, was, is) => Finding::changed(
                &HOSTS_LOST,
                pair.name,
                *name,
                plain(&list(was), "extra_hosts"),
                plain(&list(is), "extra_hosts"),
            )
            .because("the host entry leads elsewhere"),
            Difference::Gained(name, is) => {
                let owner = pair.neighbour_had(|principal| principal.hosts.get(name) == Some(is));
                let finding = |rule| Finding::gained(rule, pair.name, *name, plain(&list(is), "extra_hosts"));
                match owner {
                    Some(owner) if proxy => finding(&HOSTS_WIDENED)
                        .because(format!(
                            "{owner}'s entry applies to {} too, which dials names that others choose and asked DNS \
                             for this one before",
                            pair.name
                        ))
                        .under(Law::Conservation)
                        .weighing(Severity::Error),
                    Some(owner) => finding(&HOSTS_WIDENED)
                        .because(format!("{owner}'s entry applies to {} too", pair.name)),
                    None => finding(&HOSTS_ADDED).because("no principal of this container had the entry"),
                }
            }
        });
    }
}

/// Sockets of others that the principal could dial and cannot, and the reverse.
fn reach(pair: &Pair<'_>, findings: &mut Vec<Finding>) {
    let (before, after) = (pair.before, pair.after);
    let shown = |endpoint: &Endpoint<'_>, place: String| Shown::plain(endpoint.to_string(), place);
    for (endpoint, _) in before.reach.iter().filter(|(_, was)| **was == Reach::Open) {
        let why = match after.reach.get(endpoint) {
            Some(Reach::Open | Reach::Hop | Reach::Idle) => continue,
            Some(Reach::Walled) => format!("walls block {} from its port", pair.name),
            Some(Reach::Hidden) => format!(
                "it listens on loopback now. If it is the hop behind the first proxy, let the legacy file say so: name \
                 the first proxy in {}'s HTTPS_PROXY, or set `hop` in the map",
                pair.name
            ),
            None => format!("{} cannot dial it any more", pair.name),
        };
        findings.push(
            Finding::lost(
                &REACH_LOST,
                pair.name,
                endpoint.to_string(),
                shown(endpoint, pair.was("networks")),
            )
            .because(why),
        );
    }
    for (endpoint, _) in after.reach.iter().filter(|(_, is)| **is == Reach::Open) {
        let had = match before.reach.get(endpoint) {
            Some(Reach::Open) => true,
            // It could dial the hop. That sidecar-init does not hide it now is against what the init is there for.
            Some(Reach::Hop) => {
                !pair.views.1.principals.get(endpoint.principal).is_some_and(|other| other.supervised)
            }
            _ => false,
        };
        if !had {
            findings.push(
                Finding::gained(
                    &REACH_GAINED,
                    pair.name,
                    endpoint.to_string(),
                    shown(endpoint, pair.is("networks")),
                )
                .because(format!("{} can dial it", pair.name)),
            );
        }
    }
    if before.dials == after.dials || after.idle || before.idle {
        return;
    }
    let ports = |ports: Option<&[u16]>| match ports {
        None => "any port".to_owned(),
        Some([]) => "no port".to_owned(),
        Some(ports) => ports.iter().map(u16::to_string).collect::<Vec<_>>().join(", "),
    };
    let (was, is) = (
        Shown::plain(ports(before.dials), pair.was("environment")),
        Shown::plain(ports(after.dials), pair.is("environment")),
    );
    let narrower = match (before.dials, after.dials) {
        (None, _) => true,
        (Some(was), Some(is)) => is.iter().all(|port| was.contains(port)),
        (Some(_), None) => false,
    };
    findings.push(if narrower {
        Finding::changed(&super::privilege::RESTRICTED, pair.name, "ports that it may dial", was, is)
            .because("walls block other ports")
    } else {
        Finding::changed(&REACH_GAINED, pair.name, "ports that it may dial", was, is)
            .because("walls no longer block these ports")
    });
}

/// Why a name is not found any more, and what brings it back without giving it to others.
fn not_found(pair: &Pair<'_>, name: &str, together: bool) -> String {
    if together && pair.name != "agent" {
        let service = pair.after.service;
        return format!(
            "{} does not find {name} any more; add `\"{name}:127.0.0.1\"` to `extra_hosts` of {service}, which the \
             agent does not see",
            pair.name
        );
    }
    format!("{} does not find {name} any more", pair.name)
}

/// A name by which others find the principal. Whoever dials a name that the agent took, dials the agent.
fn alias(pair: &Pair<'_>, name: &str, network: &str, findings: &mut Vec<Finding>) {
    let finding = |rule| Finding::gained(rule, pair.name, name, Shown::plain(name, pair.is("networks")));
    // It led to one of the daemons that are together now.
    if pair.before.answers.contains(name)
        || pair.neighbour_had(|other| other.answers.contains(name)).is_some()
    {
        return;
    }
    findings.push(finding(&ALIAS_ADDED).because(format!("it is a new name on {network}")));
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
    let proxy = change.pair.before.dials_any || change.pair.after.dials_any;
    // Only what was there can be lost; a proxy's answers change with any of it.
    let severity = if proxy || change.was.is_some() { Severity::Error } else { DNS.severity };
    findings.push(change.whole(&DNS).weighing(severity));
    if change.name == "dns" && change.pair.name == "agent" {
        let (was, is) = (set(change.was), set(change.is));
        findings.extend(
            is.difference(&was).map(|server| {
                change.gained(&REACH_GAINED, server).because("the agent asks this name server")
            }),
        );
    }
}
