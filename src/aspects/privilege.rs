//! What a container may do, and how much of the machine it may use.

use std::collections::BTreeSet;

use bottle_model::compose::Setting;

use super::Pair;
use super::compare::{Difference, differences, rules};
use crate::finding::{Finding, Law, Rule, Shown};

rules! {
    CAP_GAINED = "cap-gained" Containment Error "a principal gained a capability"
        "A capability that one daemon needs is held by every daemon of the container.";
    CAP_LOST = "cap-lost" Conservation Error "a principal lost a capability"
        "What needed it fails at run time.";
    RESTRICTED = "restriction-added" Conservation Warning "a principal is held more strictly"
        "Something that worked may break.";
    CAP_DROP = "cap-drop-lost" Containment Error "a dropped capability is back"
        "One container has one set: what one daemon had dropped, and another not, is held by both.";
    PRIVILEGED = "privileged-gained" Containment Error "a container became privileged"
        "privileged: true undoes every wall.";
    ROOTFS = "rootfs-writable" Containment Error "a read-only root became writable"
        "A daemon that is taken over can now leave something behind.";
    SECURITY = "security-opt-lost" Containment Error "a security option is gone"
        "seccomp, AppArmor and SELinux profiles hold a container in. no-new-privileges is set by sidecar-init itself.";
    DEVICE = "device-gained" Containment Error "a device is new"
        "A device of the host can be opened.";
    RUNTIME = "runtime-changed" Conservation Warning "an attribute of the container differs"
        "Every attribute that no other rule is about.";
    SYSCTL = "sysctl-conflict" Conservation Warning "a kernel parameter differs"
        "One container has one network namespace, and so one value for all daemons.";
    LIMIT = "limit-collapsed" Conservation Warning "a limit differs"
        "The limits of several containers add up in one, so that one daemon may use what was its neighbours'.";
    ISOLATION = "isolation-weakened" Containment Warning "daemons share a container without assured walls"
        "Four containers kept four daemons apart. Without BOT_BOTTLE_SIDECAR_ISOLATION=require, nothing promises that one cannot read another's files, environment and memory.";
}

/// A finding about a setting as a whole.
pub(super) fn setting(pair: &Pair<'_>, rule: &'static Rule, name: &str, why: &str) -> Finding {
    let show = |party: &crate::view::Party, place: String| {
        party.settings.get(name).map(|value| Shown::plain(value.to_string(), place))
    };
    let (before, after) = (show(pair.before, pair.was(name)), show(pair.after, pair.is(name)));
    let law = match (&before, &after) {
        (Some(_), None) => Law::Conservation,
        (None, Some(_)) => Law::Containment,
        _ => rule.law,
    };
    Finding {
        rule,
        law,
        principal: pair.name.to_owned(),
        subject: name.to_owned(),
        before,
        after,
        message: format!("{name}: {why}"),
    }
}

fn items(setting: Option<&Setting>) -> BTreeSet<String> {
    match setting {
        Some(Setting::Set(items)) => items.clone(),
        _ => BTreeSet::new(),
    }
}

pub(super) fn parties(pair: &Pair<'_>, findings: &mut Vec<Finding>) {
    for difference in differences(&pair.before.settings, &pair.after.settings, |a, b| a == b) {
        let (name, was, is) = match difference {
            Difference::Lost(name, was) => (name, Some(was), None),
            Difference::Gained(name, is) => (name, None, Some(is)),
            Difference::Changed(name, was, is) => (name, Some(was), Some(is)),
        };
        let mut sets = |lost: &'static Rule, gained: &'static Rule, broader: bool| {
            let (was, is) = (items(was), items(is));
            for item in was.difference(&is) {
                if name == "security_opt"
                    && item.starts_with("no-new-privileges")
                    && pair.after.walls.is_some()
                {
                    continue;
                }
                let shown = Shown::plain(item.clone(), pair.was(name));
                let finding = Finding::lost(lost, pair.name, item.clone(), shown)
                    .because(format!("{name} lost {item}"));
                findings.push(Finding { law: lost.law, ..finding });
            }
            for item in is.difference(&was) {
                let shown = Shown::plain(item.clone(), pair.is(name));
                let finding = Finding::gained(gained, pair.name, item.clone(), shown)
                    .because(format!("{name} gained {item}"));
                findings.push(if broader { finding } else { Finding { law: gained.law, ..finding } });
            }
        };
        match name.as_str() {
            "cap_add" => sets(&CAP_LOST, &CAP_GAINED, true),
            "cap_drop" => sets(&CAP_DROP, &RESTRICTED, false),
            "security_opt" => sets(&SECURITY, &RESTRICTED, false),
            "devices" | "device_cgroup_rules" => sets(&CAP_LOST, &DEVICE, true),
            "privileged" | "use_api_socket" => {
                let rule = if is == Some(&Setting::Bool(true)) { &PRIVILEGED } else { &RESTRICTED };
                findings.push(setting(pair, rule, name, "it differs"));
            }
            "read_only" => {
                let finding = if is == Some(&Setting::Bool(true)) {
                    Finding {
                        law: Law::Conservation,
                        ..setting(pair, &RESTRICTED, name, "the root is read-only")
                    }
                } else {
                    Finding { law: Law::Containment, ..setting(pair, &ROOTFS, name, "the root is writable") }
                };
                findings.push(finding);
            }
            "sysctls" => sysctls(pair, was, is, findings),
            "mem_limit" | "mem_reservation" | "memswap_limit" | "mem_swappiness" | "cpus" | "cpu_count"
            | "cpu_percent" | "cpu_period" | "cpu_quota" | "cpu_rt_period" | "cpu_rt_runtime"
            | "cpu_shares" | "cpuset" | "pids_limit" | "ulimits" | "blkio_config" | "deploy" | "shm_size" => {
                let looser = looser(was, is);
                let law = if looser { Law::Containment } else { Law::Conservation };
                findings.push(Finding {
                    law,
                    ..setting(pair, &LIMIT, name, if looser { "it is looser" } else { "it differs" })
                });
            }
            // Other aspects have these.
            "dns" | "dns_opt" | "dns_search" | "domainname" | "network_mode" | "pid" | "ipc" | "uts"
            | "cgroup" | "userns_mode" | "volumes_from" | "links" | "external_links" | "mac_address"
            | "stop_grace_period" | "stop_signal" | "restart" | "logging" => {}
            _ => findings.push(setting(pair, &RUNTIME, name, "it differs")),
        }
    }
    if pair.before.walls != pair.after.walls && pair.after.walls.as_deref() != Some("require") {
        let text =
            |walls: &Option<String>| walls.clone().unwrap_or_else(|| "a container of its own".to_owned());
        let mode = text(&pair.after.walls);
        findings.push(
            Finding {
                law: Law::Containment,
                ..Finding::changed(
                    &ISOLATION,
                    pair.name,
                    mode.clone(),
                    Shown::plain(text(&pair.before.walls), ""),
                    Shown::plain(mode, pair.is("environment")),
                )
            }
            .because("nothing promises that the daemons of one container are kept apart"),
        );
    } else if pair.before.walls != pair.after.walls && pair.before.walls.is_some() {
        findings.push(
            Finding::gained(&RESTRICTED, pair.name, "walls", Shown::plain("require", pair.is("environment")))
                .because("walls are required that were not"),
        );
    }
}

fn sysctls(pair: &Pair<'_>, was: Option<&Setting>, is: Option<&Setting>, findings: &mut Vec<Finding>) {
    let empty = std::collections::BTreeMap::new();
    let map = |setting: Option<&Setting>| match setting {
        Some(Setting::Map(map)) => map.clone(),
        _ => empty.clone(),
    };
    let (was, is) = (map(was), map(is));
    for difference in differences(&was, &is, |a, b| a == b) {
        let shown = |value: &String| Shown::plain(value.clone(), pair.is("sysctls"));
        findings.push(
            match difference {
                Difference::Lost(name, value) => {
                    Finding::lost(&SYSCTL, pair.name, name.clone(), shown(value))
                }
                Difference::Gained(name, value) => {
                    Finding::gained(&SYSCTL, pair.name, name.clone(), shown(value))
                }
                Difference::Changed(name, was, is) => {
                    Finding::changed(&SYSCTL, pair.name, name.clone(), shown(was), shown(is))
                }
            }
            .because("the kernel parameter differs"),
        );
    }
}

/// Whether a limit is gone or larger.
fn looser(was: Option<&Setting>, is: Option<&Setting>) -> bool {
    let number = |setting: &Setting| match setting {
        Setting::Bytes(value) | Setting::Integer(value) => u32::try_from(*value >> 10).ok().map(f64::from),
        Setting::Text(text) => text.parse::<f64>().ok(),
        _ => None,
    };
    match (was, is) {
        (Some(_), None) => true,
        (Some(was), Some(is)) => match (was, is) {
            (Setting::Bytes(was) | Setting::Integer(was), Setting::Bytes(is) | Setting::Integer(is)) => {
                is > was
            }
            _ => number(was).zip(number(is)).is_some_and(|(was, is)| is > was),
        },
        _ => false,
    }
}
