//! What the two shapes of a plan may differ by: a daemon gains what a neighbour had, and nothing else.

use std::collections::BTreeSet;

use bottle_migrate::finding::{Finding, Law, RuleId, Severity};
use bottle_migrate::view::{Principal, Reach, UNCLAIMED, View};
use bottle_model::compose::Setting;

/// Rules that no difference between the two shapes of a plan may have.
const NEVER: [RuleId; 5] = [
    RuleId::AgentNetworkAdded,
    RuleId::NetworkInternalLost,
    RuleId::PortHostIpWidened,
    RuleId::MountRoToRw,
    RuleId::UserChanged,
];

fn set(principal: &Principal<'_>, name: &str) -> BTreeSet<String> {
    match principal.settings.get(name) {
        Some(Setting::Set(items)) => items.clone(),
        _ => BTreeSet::new(),
    }
}

fn map_has(principal: &Principal<'_>, name: &str, key: &str) -> bool {
    matches!(principal.settings.get(name), Some(Setting::Map(map)) if map.contains_key(key))
}

/// Whether a daemon had in the legacy shape what a finding says that its neighbour gains.
fn had(finding: &Finding, daemon: &Principal<'_>) -> bool {
    let subject = finding.subject.as_str();
    match finding.rule.id {
        RuleId::EnvScopeWidened => daemon.environment.contains_key(subject),
        RuleId::HostsScopeWidened => daemon.hosts.contains_key(subject),
        RuleId::InternetGained => daemon.internet.contains(subject),
        RuleId::CapGained => {
            set(daemon, "cap_add").contains(subject) || set(daemon, "cap_add").contains("ALL")
        }
        RuleId::CapDropLost => {
            let dropped = set(daemon, "cap_drop");
            !dropped.contains(subject) && !dropped.contains("ALL")
        }
        RuleId::DeviceGained => set(daemon, "devices").contains(subject),
        RuleId::RootfsWritable => !daemon.settings.contains_key("read_only"),
        RuleId::SecurityOptLost => {
            let own = set(daemon, "security_opt");
            own.contains(subject) || !own.iter().any(|option| option == subject)
        }
        RuleId::SysctlConflict => map_has(daemon, "sysctls", subject),
        RuleId::RuntimeChanged => map_has(daemon, "annotations", subject),
        RuleId::NetworkChanged => daemon.networks.get(subject).is_some_and(|options| !options.is_empty()),
        RuleId::ReachGained => {
            daemon.networks.contains_key(subject)
                || daemon
                    .reach
                    .iter()
                    .any(|(endpoint, reach)| *reach == Reach::Open && endpoint.to_string() == subject)
        }
        // A port on which nobody is known to listen may be anybody's of the container.
        RuleId::PortAdded => {
            daemon.ports.iter().any(|port| format!("{}/{}", port.target, port.protocol) == subject)
        }
        RuleId::AliasAdded => daemon.names.values().any(|names| names.contains(subject)),
        RuleId::MountUnexpected => daemon.mounts.at(subject).next().is_some(),
        // The sum of several limits, or none if one of them had none.
        RuleId::LimitCollapsed => true,
        _ => false,
    }
}

/// Whether a daemon itself had in the legacy shape what a finding says that its neighbours gain.
fn shares(finding: &Finding, own: &Principal<'_>) -> bool {
    let subject = finding.subject.as_str();
    match finding.rule.id {
        RuleId::MountSecretShared => own.mounts.touch(subject.strip_suffix(UNCLAIMED).unwrap_or(subject)),
        RuleId::PortNewlyEffective => {
            own.ports.iter().any(|port| format!("{}/{}", port.target, port.protocol) == subject)
        }
        RuleId::IsolationWeakened => own.walls.is_none(),
        // The init needs some capabilities to start its daemons; it takes them from each.
        RuleId::CapGained => {
            let dropped = set(own, "cap_drop");
            ["CHOWN", "KILL", "SETGID", "SETUID"].contains(&subject) && !dropped.contains(subject)
        }
        RuleId::CapDropLost => ["CHOWN", "KILL", "SETGID", "SETUID", "ALL"].contains(&subject),
        _ => false,
    }
}

/// Whether a finding between the two shapes of a plan is a consequence of merging them.
pub(crate) fn accepted(finding: &Finding, legacy: &View<'_>) -> bool {
    if NEVER.contains(&finding.rule.id) {
        return false;
    }
    // The one container has one hosts file, which is a loss for whoever dials names that others choose.
    let entry =
        finding.rule.id == RuleId::HostsScopeWidened && matches!(&*finding.principal, "egress" | "pipelock");
    // sidecar-init's built-in table starts no daemon again.
    let restart =
        finding.rule.id == RuleId::RestartPolicyChanged && finding.subject == "restart of the daemon";
    if restart {
        return legacy.principals.get(&*finding.principal).is_some_and(|own| own.restart != "no");
    }
    let weight = finding.law == Law::Containment && (finding.severity < Severity::Error || weighty(finding));
    if !(weight || entry) || finding.principal == "agent" {
        return false;
    }
    let neighbours =
        legacy.principals.iter().filter(|(name, _)| !["agent", &*finding.principal].contains(*name));
    let own = legacy.principals.get(&*finding.principal);
    own.is_some_and(|own| shares(finding, own))
        || neighbours.into_iter().any(|(_, other)| had(finding, other))
}

/// Errors that a plan may bring about: one container has one set of capabilities, devices and options, and only a waiver
/// accepts that.
fn weighty(finding: &Finding) -> bool {
    matches!(
        finding.rule.id,
        RuleId::CapGained
            | RuleId::CapDropLost
            | RuleId::DeviceGained
            | RuleId::NetworkChanged
            | RuleId::PortAdded
            | RuleId::RootfsWritable
            | RuleId::SecurityOptLost
            | RuleId::ReachGained
    )
}
