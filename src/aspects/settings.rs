//! The attributes of a container that need no structure of their own: which rule judges which.

use super::change::{Change, map};
use super::compare::{Difference, differences};
use super::pair::Pair;
use super::{image, lifecycle, mounts, network, privilege, process};
use crate::finding::{Finding, Law, Shown};

pub(super) fn principals(pair: &Pair<'_>, findings: &mut Vec<Finding>) {
    for difference in differences(&pair.before.settings, &pair.after.settings, |was, is| was == is) {
        let (name, was, is) = match difference {
            Difference::Lost(name, was) => (name, Some(*was), None),
            Difference::Gained(name, is) => (name, None, Some(*is)),
            Difference::Changed(name, was, is) => (name, Some(*was), Some(*is)),
        };
        judge(&Change { pair, name, was, is }, findings);
    }
    privilege::shared_limits(pair, findings);
}

fn judge(change: &Change<'_>, findings: &mut Vec<Finding>) {
    match change.name {
        "cap_add" | "cap_drop" => privilege::capabilities(change, findings),
        "security_opt" => privilege::security(change, findings),
        "devices" | "device_cgroup_rules" => privilege::devices(change, findings),
        "gpus" => findings.push(change.by_presence(&privilege::DEVICE, &privilege::CAP_LOST)),
        "privileged" | "use_api_socket" => {
            findings.push(change.by_presence(&privilege::PRIVILEGED, &privilege::RESTRICTED));
        }
        "read_only" => findings.push(change.by_presence(&privilege::RESTRICTED, &privilege::ROOTFS)),
        "sysctls" => privilege::sysctls(change, findings),
        "mem_limit" | "mem_reservation" | "memswap_limit" | "mem_swappiness" | "cpus" | "cpu_count"
        | "cpu_percent" | "cpu_period" | "cpu_quota" | "cpu_rt_period" | "cpu_rt_runtime" | "cpu_shares"
        | "cpuset" | "pids_limit" | "ulimits" | "blkio_config" | "shm_size" | "oom_kill_disable"
        | "oom_score_adj" | "cgroup_parent" => findings.push(privilege::limit(change)),
        "deploy" => deploy(change, findings),
        "network_mode" | "pid" | "ipc" | "uts" | "cgroup" | "userns_mode" => {
            findings.push(network::namespace(change));
        }
        "dns" | "dns_opt" | "dns_search" | "domainname" => network::resolver(change, findings),
        "mac_address" => findings.push(change.whole(&network::CHANGED)),
        "links" | "external_links" => change.items(&network::REACH_LOST, &network::REACH_GAINED, findings),
        "models" => findings.push(change.by_presence(&network::REACH_GAINED, &network::REACH_LOST)),
        "volumes_from" => change.items(&mounts::DROPPED, &mounts::UNEXPECTED, findings),
        "develop" => findings.push(change.by_presence(&mounts::UNEXPECTED, &mounts::DROPPED)),
        "group_add" => change.items(&process::USER, &process::USER, findings),
        "credential_spec" => findings.push(change.whole(&process::USER)),
        "post_start" | "pre_stop" => {
            let law = if change.is.is_some() { Law::Containment } else { Law::Conservation };
            findings.push(change.whole(&process::HOOK).under(law));
        }
        "build" => findings.extend(image::build(change)),
        "provider" => findings.push(change.whole(&image::PIN)),
        // Judged with its default in view.
        "stop_grace_period" => {}
        "stop_signal" => findings.push(change.whole(&lifecycle::SIGNAL)),
        "restart" => findings.push(lifecycle::policy(change)),
        "logging" => findings.push(change.whole(&lifecycle::LOG)),
        "annotations" => privilege::annotations(change, findings),
        "runtime" => {
            findings.push(change.whole(&privilege::RUNTIME));
            // A runtime that was chosen is a sandbox that was relied on.
            if change.was.is_some() {
                findings.push(change.whole(&privilege::SECURITY));
            }
        }
        _ => findings.push(change.whole(&privilege::RUNTIME)),
    }
}

/// `deploy` holds limits, devices and policies at once: each leaf is judged by its own rule.
fn deploy(change: &Change<'_>, findings: &mut Vec<Finding>) {
    let (was, is) = (map(change.was), map(change.is));
    for difference in differences(was, is, |was, is| was == is) {
        let (leaf, was, is) = match difference {
            Difference::Lost(leaf, was) => (leaf, Some(was), None),
            Difference::Gained(leaf, is) => (leaf, None, Some(is)),
            Difference::Changed(leaf, was, is) => (leaf, Some(was), Some(is)),
        };
        // Replicated is what a service is that does not say so.
        if leaf == "mode" && [was, is].iter().flatten().all(|mode| *mode == "replicated") {
            continue;
        }
        let rule = if leaf.starts_with("resources.reservations.devices") {
            if is.is_some() { &privilege::DEVICE } else { &privilege::CAP_LOST }
        } else if leaf.starts_with("resources.") {
            &privilege::LIMIT
        } else if leaf.starts_with("restart_policy") {
            &lifecycle::POLICY
        } else {
            &privilege::RUNTIME
        };
        let shown = |value: &String, place: String| Shown::plain(value.clone(), place);
        findings.push(Finding {
            before: was.map(|value| shown(value, change.pair.was("deploy"))),
            after: is.map(|value| shown(value, change.pair.is("deploy"))),
            ..change.whole(rule).about(format!("deploy.{leaf}"))
        });
    }
}
