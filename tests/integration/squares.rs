//! Squares of N daemons by attributes: what one daemon has and the bundle lacks is missed for that daemon alone, and what
//! the bundle has for one daemon is reported for each of its neighbours.

use std::collections::BTreeSet;

use bottle_migrate::view::Roles;
use bottle_model::images::Images;

use crate::verdicts::compared;

/// An attribute of one daemon, the rule that misses it, and the rule that finds it with each neighbour.
const ATTRIBUTES: &[(&str, &str, Option<&str>)] = &[
    ("environment: {TOKEN_A: x}", "env-dropped", Some("env-scope-widened")),
    ("environment: [TOKEN_A]", "env-dropped", Some("env-scope-widened")),
    ("ports: ['127.0.0.1:5000:5000']", "port-dropped", Some("port-added")),
    ("cap_add: [NET_ADMIN]", "cap-lost", Some("cap-gained")),
    ("cap_drop: [NET_RAW]", "cap-drop-lost", Some("restriction-added")),
    ("devices: [/dev/kvm]", "cap-lost", Some("device-gained")),
    ("gpus: all", "cap-lost", Some("device-gained")),
    ("extra_hosts: ['forge:192.0.2.1']", "hosts-lost", Some("hosts-scope-widened")),
    ("sysctls: {net.core.somaxconn: 1024}", "sysctl-conflict", Some("sysctl-conflict")),
    ("networks: [default, other]", "reach-lost", Some("internet-gained")),
    ("security_opt: ['seccomp=unconfined']", "restriction-added", Some("security-opt-lost")),
    ("group_add: [video]", "user-changed", Some("user-changed")),
    ("read_only: true", "rootfs-writable", Some("restriction-added")),
    ("dns: [192.0.2.53]", "dns-changed", Some("dns-changed")),
    ("mem_limit: 64m", "limit-collapsed", Some("limit-collapsed")),
    ("shm_size: 128m", "limit-collapsed", Some("limit-collapsed")),
    ("ulimits: {nofile: 100}", "limit-collapsed", Some("limit-collapsed")),
    ("oom_score_adj: -5", "limit-collapsed", Some("limit-collapsed")),
    ("restart: always", "restart-policy-changed", Some("restart-policy-changed")),
    ("annotations: {a: b}", "runtime-changed", Some("runtime-changed")),
    ("tty: true", "runtime-changed", Some("runtime-changed")),
    ("runtime: runsc", "security-opt-lost", Some("runtime-changed")),
    ("expose: ['7000']", "runtime-changed", Some("runtime-changed")),
    ("privileged: true", "restriction-added", Some("privileged-gained")),
    ("pid: host", "network-mode-shared", Some("network-mode-shared")),
    ("stop_grace_period: 30s", "grace-too-short", Some("grace-changed")),
    ("logging: {driver: local}", "log-merged", Some("log-merged")),
    ("user: daemon", "user-changed", Some("user-changed")),
    ("post_start: [{command: [x]}]", "hook-changed", Some("hook-changed")),
    // A neighbour that can open them is named with their owner.
    ("volumes: ['/h:/data']", "mount-dropped", None),
    ("volumes: ['cache:/data']", "mount-dropped", None),
    ("tmpfs: [/cache]", "tmpfs-lost", None),
    ("secrets: [s]", "mount-dropped", None),
    // The one container has them, whoever had them before.
    ("labels: {team: x}", "label-lost", None),
    ("networks: {default: {aliases: [zed]}}", "alias-lost", None),
];

fn map(daemons: usize) -> Roles {
    let rows = (0..daemons).map(|at| {
        format!(
            "[[daemon]]\nname = 'd{at}'\nargv = ['/bin/d{at}']\nlisten = [{0}]\n[[image]]\nservice = 'd{at}'\n\
             entrypoint = ['/bin/d{at}']\nuser = 'root'\nworkdir = '/'\nlisten = [{0}]\n",
            4000 + at
        )
    });
    Roles::from_map(&format!("agent = 'app'\n{}", rows.collect::<String>()), &Images::default()).unwrap()
}

fn document(services: impl IntoIterator<Item = (String, String)>) -> String {
    let services = services.into_iter().chain([("app".to_owned(), "image: a".to_owned())]);
    let lines = services.map(|(name, body)| format!("  {name}: {{{body}}}\n"));
    format!(
        "services:\n{}networks: {{default: {{}}, other: {{}}}}\nvolumes: {{cache: {{}}}}\nsecrets: {{s: {{file: ./s}}}}\n",
        lines.collect::<String>()
    )
}

fn legacy(daemons: usize, of: Option<(usize, &str)>) -> String {
    document((0..daemons).map(|at| {
        let more = of.filter(|(who, _)| *who == at).map_or_else(String::new, |(_, what)| format!(", {what}"));
        (format!("d{at}"), format!("image: i{at}{more}"))
    }))
}

fn bundle(more: &str) -> String {
    document([("sidecars".to_owned(), format!("image: s, entrypoint: [sidecar-init]{more}"))])
}

/// Rule, principal, subject, and what was there before: a finding may be there without the attribute.
type Mark = (&'static str, String, String, Option<String>, Option<String>);

fn marks(legacy: &str, bundle: &str, roles: &Roles) -> BTreeSet<Mark> {
    compared(legacy, bundle, roles)
        .into_iter()
        .map(|finding| {
            let [before, after] = [finding.before, finding.after].map(|shown| shown.map(|shown| shown.text));
            (finding.rule.id.as_str(), finding.principal, finding.subject, before, after)
        })
        .collect()
}

#[test]
fn each_attribute_of_each_daemon_is_missed_for_it_and_found_with_its_neighbours() {
    for daemons in 2..=4 {
        let roles = map(daemons);
        let plain = marks(&legacy(daemons, None), &bundle(""), &roles);
        for (attribute, lost, gained) in ATTRIBUTES {
            for who in 0..daemons {
                let of = legacy(daemons, Some((who, attribute)));
                let owner = format!("d{who}");
                let about = |rule: &str, found: &BTreeSet<Mark>| -> BTreeSet<String> {
                    let of_rule = found.iter().filter(|(id, ..)| *id == rule);
                    of_rule.map(|(_, principal, ..)| principal.clone()).collect()
                };
                let context = format!("{attribute} of {owner}, {daemons} daemons");

                let missed: BTreeSet<Mark> =
                    marks(&of, &bundle(""), &roles).difference(&plain).cloned().collect();
                assert!(about(lost, &missed).contains(&owner), "{context}: {missed:?}");
                let others: Vec<_> = missed
                    .iter()
                    .filter(|(_, principal, ..)| *principal != owner && !principal.is_empty())
                    .collect();
                assert!(others.is_empty(), "{context}: {others:?}");

                let shared: BTreeSet<Mark> = marks(&of, &bundle(&format!(", {attribute}")), &roles)
                    .difference(&plain)
                    .cloned()
                    .collect();
                let neighbours: BTreeSet<String> =
                    (0..daemons).filter(|at| *at != who).map(|at| format!("d{at}")).collect();
                if let Some(rule) = gained {
                    let found = about(rule, &shared);
                    assert!(neighbours.is_subset(&found), "{context}: {rule} {shared:?}");
                } else {
                    let only = shared.iter().all(|(rule, ..)| *rule == "mount-secret-shared");
                    assert!(only, "{context}: {shared:?}");
                    let opened =
                        ["volumes", "tmpfs", "secrets"].iter().any(|kind| attribute.starts_with(kind));
                    let told = about("mount-secret-shared", &shared).contains(&owner);
                    assert_eq!(told, opened, "{context}");
                }
            }
        }
    }
}

#[test]
fn a_list_of_variables_keeps_one_daemons_from_its_neighbours() {
    for daemons in 2..=4 {
        let roles = map(daemons);
        for who in 0..daemons {
            let of = legacy(daemons, Some((who, "environment: {TOKEN_A: x}")));
            let listed = |owner: usize| {
                bundle(&format!(", environment: {{TOKEN_A: x, BOT_BOTTLE_SIDECAR_ENV_D{owner}: TOKEN_A}}"))
            };
            for owner in 0..daemons {
                let found = marks(&of, &listed(owner), &roles);
                let about: BTreeSet<(&str, &str)> = found
                    .iter()
                    .filter(|(_, _, subject, ..)| subject == "TOKEN_A")
                    .map(|(rule, principal, ..)| (*rule, principal.as_str()))
                    .collect();
                let (lacks, has) = (format!("d{who}"), format!("d{owner}"));
                let expected = if who == owner {
                    BTreeSet::new()
                } else {
                    BTreeSet::from([("env-dropped", lacks.as_str()), ("env-scope-widened", has.as_str())])
                };
                assert_eq!(about, expected, "{who} {owner}");
            }
        }
    }
}
