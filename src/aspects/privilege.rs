//! What a container may do, and how much of the machine it may use.

use std::collections::BTreeSet;

use bottle_model::compose::Setting;
use bottle_model::daemon::WITHHELD;

use super::change::{Change, map, set};
use super::compare::{Difference, differences};
use super::pair::Pair;
use crate::finding::{Finding, Law, Severity, Shown};
use crate::rule::rules;
use crate::view::Principal;

rules! {
    comparison:
    CAP_GAINED = CapGained Containment Error ["capability"] "a principal gained a capability"
        "One container has one set of capabilities. What one daemon needs, every daemon of the bundle \
         holds, and with some of them, SYS_ADMIN and PERFMON above all, a daemon can look through the \
         walls that the init builds.\n\n\
         Example: the legacy git-gate has `cap_add: [NET_ADMIN]`. In `sidecars` egress and pipelock hold \
         it too.\n\n\
         What to do: find out whether the daemon really needs it. If it does, accept it with a waiver \
         that says why its neighbours may hold it.";
    CAP_LOST = CapLost Conservation Error ["capability"] "a principal lost a capability or a device"
        "A capability or a device that the legacy container had is missing in the bundle. What needed it \
         fails at run time, usually long after the start, and the message seldom names the cause.\n\n\
         Example: the legacy git-gate has `cap_add: [NET_ADMIN]` or `devices: [/dev/net/tun]`, and \
         `sidecars` has not.\n\n\
         What to do: add it to `sidecars`; what the neighbours gain by that is then reported on its own.";
    RESTRICTED = RestrictionAdded Conservation Warning "the bundle restricts a principal more"
        "The bundle alone has a restriction: a read-only root, a dropped capability, `no-new-privileges`, \
         a stricter mode of the walls, a path that the handshake keeps for another daemon. Nothing gets \
         out by that, but something that worked may break.\n\n\
         Example: `sidecars` has `read_only: true`, and mitmproxy cannot write its temporary files.\n\n\
         What to do: nothing, if every daemon was tried with it: accept it with a waiver. Better, add the \
         same restriction to the legacy services.";
    CAP_DROP = CapDropLost Containment Error ["capability"] "the bundle gives back a dropped capability"
        "One container has one set of capabilities. What one daemon had dropped and another had not, both \
         hold in the bundle.\n\n\
         Example: the legacy pipelock has `cap_drop: [ALL]`, the other daemons have not, and so \
         `sidecars` drops nothing.\n\n\
         What to do: drop the capability in `sidecars`, if every daemon can do without it. Then drop it \
         in each legacy service as well.";
    PRIVILEGED = PrivilegedGained Containment Error "a container became privileged"
        "`privileged: true` gives every capability and every device and switches the profiles off, and \
         with it goes every wall between a daemon and its host. `use_api_socket: true` hands over the \
         socket of the engine, which comes to the same.\n\n\
         Example: `sidecars` has `privileged: true` because a mount failed without it.\n\n\
         What to do: remove it, and find the one capability or device that was missing.";
    ROOTFS = RootfsWritable Containment Error "the bundle makes a read-only root writable"
        "On a read-only root a daemon that is taken over can change nothing of its image and leave \
         nothing behind. If one legacy daemon had `read_only: true` and another had not, the merged \
         container cannot have it.\n\n\
         Example: the legacy pipelock has `read_only: true`, and `sidecars` has not.\n\n\
         What to do: make the root of `sidecars` read-only, and give the daemons that write a tmpfs or a \
         volume.";
    SECURITY = SecurityOptLost Containment Error "the bundle drops or loosens a security option"
        "seccomp, AppArmor and SELinux profiles hold a container in, and so does a sandboxing runtime. \
         Found are options that are gone, options that switch a profile off, such as `seccomp=unconfined` \
         and `label=disable`, and profiles that replace the engine's own: whether another one is as \
         strict cannot be seen here. `no-new-privileges` is set by sidecar-init for every daemon, so that \
         losing it in the bundle is no loss.\n\n\
         Example: the legacy egress has `security_opt: [seccomp=/etc/strict.json]` and `sidecars` has \
         none, or has `seccomp=unconfined`.\n\n\
         What to do: copy the option. If daemons had different profiles, use the strictest one that lets \
         all of them run.";
    DEVICE = DeviceGained Containment Error "a principal can open another device"
        "A principal can open a device of the host: through `devices`, a rule of the device cgroup, a GPU \
         or a reservation under `deploy`. Devices reach into the kernel past most other walls.\n\n\
         Example: `sidecars` has `devices: [/dev/fuse]` because one of the legacy daemons had it; the \
         others gain it.\n\n\
         What to do: remove it, or accept it with a waiver that says why the other daemons may open it.";
    RUNTIME = RuntimeChanged Conservation Warning "an attribute of the container differs"
        "The runtime, and every attribute that no other rule is about: platform, init, scale, tty, stdin, \
         annotations, storage options, exposed ports. Losing or replacing a runtime that was chosen is \
         also `security-opt-lost`.\n\n\
         Example: `sidecars` has `runtime: runsc`, and the legacy services run with the engine's default.\n\n\
         What to do: make the attribute the same in both shapes, or accept it with a waiver.";
    SYSCTL = SysctlConflict Conservation Warning "a kernel parameter differs"
        "One container has one network namespace, and so one value of each `net.` parameter for all of \
         its daemons. Some get a value that they did not ask for, or lose theirs.\n\n\
         Example: the legacy egress has `net.core.somaxconn: 4096`. In `sidecars` it holds for pipelock \
         and git-gate too.\n\n\
         What to do: nothing, if the value suits all: accept it with a waiver. If two daemons need \
         different values they cannot share a container.";
    LIMIT = LimitCollapsed Conservation Warning "a limit differs"
        "The limits of several containers become one. If they are added up, one daemon may use what was \
         its neighbours'; if they are not, all share what one had for itself; and if one daemon had no \
         limit, the bundle can have none. Limits that look equal are looked at as well.\n\n\
         Example: four daemons with `mem_limit: 64m` each become `sidecars` with `mem_limit: 64m`, and \
         the third of them to start is killed.\n\n\
         What to do: set the limit of `sidecars` to what all of them need together. A looser limit is a \
         broadening, to be accepted with a waiver.";
    ISOLATION = IsolationWeakened Containment Warning "daemons share a container without assured walls"
        "Four containers kept four daemons apart. In one container sidecar-init does it, with a user, an \
         environment and a Landlock domain for each. Only `BOT_BOTTLE_SIDECAR_ISOLATION=require` promises \
         that: `best-effort` builds what the kernel offers and `off` builds nothing. A container with a \
         capability that opens any process (SYS_ADMIN, PERFMON, ALL) or a privileged one puts at risk what \
         `require` promises, and the finding says so. The init takes SYS_ADMIN and PERFMON away from every \
         daemon then; for one that had them that is a `cap-lost`.\n\n\
         Example: the variable is unset, which means `best-effort`.\n\n\
         What to do: set `BOT_BOTTLE_SIDECAR_ISOLATION: require`. On a host without Landlock, accept it \
         with a waiver that says why the daemons may trust each other.";
}

/// Capabilities, where `ALL` means each.
pub(super) fn capabilities(change: &Change<'_>, findings: &mut Vec<Finding>) {
    let all = |mut items: BTreeSet<String>| {
        if items.contains("ALL") {
            items.retain(|item| item == "ALL");
        }
        items
    };
    let (was, is) = (all(set(change.was)), all(set(change.is)));
    let added = change.name == "cap_add";
    let (lost, gained) = if added { (&CAP_LOST, &CAP_GAINED) } else { (&CAP_DROP, &RESTRICTED) };
    let missing = |from: &BTreeSet<String>, item: &str| !from.contains(item) && !from.contains("ALL");
    findings.extend(was.iter().filter(|item| missing(&is, item)).map(|item| change.lost(lost, item)));
    findings.extend(is.iter().filter(|item| missing(&was, item)).map(|item| change.gained(gained, item)));
}

/// Security options in one spelling; what says the default is left out.
fn options(side: Option<&Setting>) -> BTreeSet<String> {
    set(side)
        .into_iter()
        .map(|option| option.replacen(':', "=", 1))
        .map(|option| if option == "no-new-privileges" { NO_NEW.to_owned() } else { option })
        .filter(|option| option != "no-new-privileges=false")
        .collect()
}

const NO_NEW: &str = "no-new-privileges=true";

/// Whether the whole container is denied new privileges, and not its daemons alone.
fn denies_new_privileges(principal: &Principal<'_>) -> bool {
    options(principal.settings.get("security_opt").copied()).contains(NO_NEW)
}

/// Security options. Which one hardens is known for few; any other that is new replaces a profile of the engine.
pub(super) fn security(change: &Change<'_>, findings: &mut Vec<Finding>) {
    let (was, is) = (options(change.was), options(change.is));
    let loosens = |option: &str| {
        option.ends_with("unconfined") || matches!(option, "label=disable" | "writable-cgroups=true")
    };
    for option in was.difference(&is) {
        if loosens(option) {
            findings.push(change.lost(&RESTRICTED, option));
        } else {
            findings.push(change.lost(&SECURITY, option));
        }
    }
    for option in is.difference(&was) {
        let new_privileges = option == NO_NEW;
        // What a neighbour brought along takes nothing: the init denies every daemon new privileges anyway.
        let neighbour = || change.pair.neighbour_had(denies_new_privileges);
        if new_privileges && change.pair.after.supervised && neighbour().is_some() {
            continue;
        }
        findings.push(change.gained(if new_privileges { &RESTRICTED } else { &SECURITY }, option));
    }
}

/// Devices; the short form means the same path in the container and every permission.
pub(super) fn devices(change: &Change<'_>, findings: &mut Vec<Finding>) {
    let full = |device: &String| {
        let mut parts = device.split(':');
        let source = parts.next().unwrap_or_default();
        format!("{source}:{}:{}", parts.next().unwrap_or(source), parts.next().unwrap_or("rwm"))
    };
    let known = |side: &BTreeSet<String>| side.iter().map(full).collect::<BTreeSet<_>>();
    let (was, is) = (set(change.was), set(change.is));
    let (before, after) = (known(&was), known(&is));
    let lost = was.iter().filter(|device| !after.contains(&full(device)));
    findings.extend(lost.map(|device| change.lost(&CAP_LOST, device)));
    let gained = is.iter().filter(|device| !before.contains(&full(device)));
    findings.extend(gained.map(|device| change.gained(&DEVICE, device)));
}

pub(super) fn sysctls(change: &Change<'_>, findings: &mut Vec<Finding>) {
    let (was, is) = (map(change.was), map(change.is));
    for difference in differences(was, is, |was, is| was == is) {
        let before = |value: &String| Shown::plain(value.clone(), change.pair.was("sysctls"));
        let after = |value: &String| Shown::plain(value.clone(), change.pair.is("sysctls"));
        let principal = change.pair.name;
        let (finding, name, value) = match difference {
            Difference::Lost(name, was) => {
                (Finding::lost(&SYSCTL, principal, name.clone(), before(was)), name, None)
            }
            Difference::Gained(name, is) => {
                let finding = Finding::gained(&SYSCTL, principal, name.clone(), after(is));
                (finding.under(Law::Containment), name, Some(is))
            }
            Difference::Changed(name, was, is) => {
                let finding = Finding::changed(&SYSCTL, principal, name.clone(), before(was), after(is));
                (finding, name, Some(is))
            }
        };
        findings.push(finding.because("the kernel parameter differs"));
        // A container that forwards, or that takes packets for loopback, is a way to what hides behind it.
        let routes = ["forward", "route_localnet", "proxy_arp", "proxy_ndp"];
        if let Some(value) = value
            && value != "0"
            && routes.iter().any(|word| name.contains(word))
        {
            findings.push(
                Finding::gained(&super::network::REACH_GAINED, principal, name.clone(), after(value))
                    .because("the container passes on packets that are not meant for it"),
            );
        }
    }
}

/// Annotations, entry by entry: a neighbour's that is new takes nothing away.
pub(super) fn annotations(change: &Change<'_>, findings: &mut Vec<Finding>) {
    for difference in differences(map(change.was), map(change.is), |was, is| was == is) {
        let (name, finding) = match difference {
            Difference::Lost(name, _) => (name, change.lost(&RUNTIME, name)),
            Difference::Gained(name, _) => (name, change.gained(&RUNTIME, name).under(Law::Containment)),
            Difference::Changed(name, ..) => (name, change.whole(&RUNTIME).about(name.clone())),
        };
        findings.push(finding.because(format!("annotation {name} differs")));
    }
}

pub(super) fn limit(change: &Change<'_>) -> Finding {
    let default = default_limit(change.name);
    let looser = looser(change.was.or(default.as_ref()), change.is.or(default.as_ref()));
    let (law, why) =
        if looser { (Law::Containment, "it is looser") } else { (Law::Conservation, "it differs") };
    let severity = if !looser && hard(change) { Severity::Error } else { LIMIT.severity };
    change.whole(&LIMIT).under(law).because(format!("{}: {why}", change.name)).weighing(severity)
}

/// Whether a limit that differs may stop a program that ran before: one that is lower or new, and that nobody can exceed.
fn hard(change: &Change<'_>) -> bool {
    match change.name {
        "mem_limit" | "memswap_limit" | "pids_limit" | "shm_size" => true,
        "ulimits" => {
            let number =
                |text: &String| text.parse::<i64>().ok().filter(|limit| *limit >= 0).unwrap_or(i64::MAX);
            let (was, is) = (map(change.was), map(change.is));
            let lower =
                |(name, is): (&String, &String)| was.get(name).is_none_or(|was| number(is) < number(was));
            is.iter().any(lower)
        }
        _ => false,
    }
}

/// What the engine gives a container that does not say otherwise; absent: no limit.
fn default_limit(name: &str) -> Option<Setting> {
    match name {
        "cpu_shares" => Some(Setting::Integer(1024)),
        "shm_size" => Some(Setting::Bytes(64 << 20)),
        _ => None,
    }
}

/// Whether a limit is gone or larger.
fn looser(was: Option<&Setting>, is: Option<&Setting>) -> bool {
    // Zero and less mean no limit.
    let number = |setting: &Setting| match setting {
        Setting::Bytes(value) | Setting::Integer(value) if *value <= 0 => Some(i64::MAX),
        Setting::Bytes(value) | Setting::Integer(value) => Some(*value),
        Setting::Text(text) => thousandths(text),
        _ => None,
    };
    match (was, is) {
        (Some(_), None) => true,
        (Some(was), Some(is)) => number(was).zip(number(is)).is_some_and(|(was, is)| is > was),
        _ => false,
    }
}

/// A decimal number in thousandths.
fn thousandths(text: &str) -> Option<i64> {
    let (whole, fraction) = text.split_once('.').unwrap_or((text, ""));
    let fraction: String = fraction.chars().chain("000".chars()).take(3).collect();
    Some(whole.parse::<i64>().ok()?.checked_mul(1000)? + fraction.parse::<i64>().ok()?)
}

/// Limits that look the same and are not: what each daemon had for itself, all share now.
pub(super) fn shared_limits(pair: &Pair<'_>, findings: &mut Vec<Finding>) {
    let fresh = |other: &&str| *other != pair.name && !pair.before.together.contains(other);
    let neighbours: Vec<&str> = pair.after.together.iter().copied().filter(fresh).collect();
    if neighbours.is_empty() {
        return;
    }
    for name in
        ["mem_limit", "mem_reservation", "memswap_limit", "cpus", "cpu_quota", "cpu_count", "pids_limit"]
    {
        let (was, is) = (pair.before.settings.get(name), pair.after.settings.get(name));
        if let (Some(was), Some(is)) = (was, is)
            && was == is
        {
            let before = Shown::plain(format!("{was} for itself"), pair.was(name));
            let after = Shown::plain(format!("{is} for {} daemons", neighbours.len() + 1), pair.is(name));
            findings.push(Finding::changed(&LIMIT, pair.name, name, before, after).because(format!(
                "{name}: {} had for itself what it shares with {} now",
                pair.name,
                neighbours.join(", ")
            )));
        }
    }
}

pub(super) fn principals(pair: &Pair<'_>, findings: &mut Vec<Finding>) {
    private_paths(pair, findings);
    withheld(pair, findings);
    let (before, after) = (pair.before.walls.as_deref(), pair.after.walls.as_deref());
    if before == after {
        return;
    }
    let text = |walls: Option<&str>| walls.unwrap_or("a container of its own").to_owned();
    let required = after == Some("require");
    if !required {
        findings.push(
            Finding::changed(
                &ISOLATION,
                pair.name,
                text(after),
                Shown::plain(text(before), ""),
                Shown::plain(text(after), pair.is("environment")),
            )
            .because("nothing promises that the daemons of one container are kept apart"),
        );
    } else if before.is_some() {
        findings.push(
            Finding::gained(&RESTRICTED, pair.name, "walls", Shown::plain("require", pair.is("environment")))
                .because("walls are required that were not"),
        );
    }
}

/// What the init takes from every daemon where it promises walls.
fn withheld(pair: &Pair<'_>, findings: &mut Vec<Finding>) {
    let required = |principal: &Principal<'_>| {
        principal.walls.as_ref().is_some_and(|walls| walls.starts_with("require"))
    };
    if !required(pair.after) || required(pair.before) {
        return;
    }
    let had = set(pair.before.settings.get("cap_add").copied());
    for capability in WITHHELD.into_iter().filter(|name| had.contains(*name) || had.contains("ALL")) {
        findings.push(
            Finding::lost(&CAP_LOST, pair.name, capability, Shown::plain(capability, pair.was("cap_add")))
                .because("sidecar-init takes it from every daemon, since walls are required"),
        );
    }
}

/// What the handshake keeps for another daemon, or keeps no longer.
fn private_paths(pair: &Pair<'_>, findings: &mut Vec<Finding>) {
    let mounted = |principal: &Principal<'_>, path: &str| principal.mounts.touch(path);
    let (was, is) = (&pair.before.denied, &pair.after.denied);
    let shown = |path: &str, place| Shown::plain(path, place);
    for path in is.difference(was) {
        let house = pair.after.together.iter().filter_map(|name| pair.views.1.principals.get(name));
        // A neighbour's mount takes nothing away, unless this daemon had it as well and is not shown to lose it.
        let neighbours = house.into_iter().any(|principal| mounted(principal, path));
        if !neighbours || mounted(pair.before, path) && mounted(pair.after, path) {
            let place = pair.is("environment");
            findings.push(
                Finding::gained(&RESTRICTED, pair.name, path.clone(), shown(path, place))
                    .because("the handshake keeps the path for another daemon"),
            );
        }
    }
    // Walls that differ altogether are reported as such.
    for path in was.difference(is).filter(|_| pair.before.walls == pair.after.walls) {
        let place = pair.was("environment");
        findings.push(
            Finding::lost(&ISOLATION, pair.name, path.clone(), shown(path, place))
                .because("the handshake keeps the path from it no longer"),
        );
    }
}
