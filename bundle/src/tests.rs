//! How the bundle merges: what adds up, what is kept apart, and what is a conflict.

use bottle_model::compose::{Compose, EnvValue, Service};
use bottle_model::images::Images;
use bottle_model::plan;

use crate::{Conflict, render};

/// Renders a bottle with all four daemons; each text has further attributes of a block.
fn bundle(agent: &str, egress: &str, pipelock: &str, git_gate: &str, top: &str) -> Result<Compose, Conflict> {
    let comma = |text: &str| if text.is_empty() { String::new() } else { format!(", {text}") };
    let text = format!(
        r#"{{
            "schema": "bottle-migrate/plan/1", "slug": "demo",
            "agent": {{ "image": "agent:1" {} }},
            "egress": {{ "routes": "/e/routes", "ca_dir": "/e/ca", "tokens": ["EGRESS_TOKEN_0"] {} }},
            "pipelock": {{ "config": "/p/config", "ca_cert": "/p/cert", "ca_key": "/p/key" {} }},
            "git-gate": {{ "entrypoint": "/g/entry", "pre_receive": "/g/pre", "access_hook": "/g/access" {} }},
            "supervise": {{ "queue": "/s/queue" }}
            {}
        }}"#,
        comma(agent),
        comma(egress),
        comma(pipelock),
        comma(git_gate),
        comma(top)
    );
    let plan = plan::read(&text).unwrap_or_else(|error| panic!("{error}\n{text}"));
    render(&plan, &Images::default())
}

fn sidecars(egress: &str, pipelock: &str, git_gate: &str) -> Service {
    bundle("", egress, pipelock, git_gate, "").unwrap().services["sidecars"].clone()
}

/// Checks an attribute of the container, as text; empty: it is absent.
#[track_caller]
fn check(name: &str, egress: &str, pipelock: &str, git_gate: &str, expected: &str) {
    let service = sidecars(egress, pipelock, git_gate);
    let value = service.settings.get(name).map(ToString::to_string).unwrap_or_default();
    assert_eq!(value, expected, "{name} of {egress} | {pipelock} | {git_gate}");
}

/// Checks the message of a conflict.
#[track_caller]
fn conflict(egress: &str, pipelock: &str, git_gate: &str, expected: &str) {
    let error = bundle("", egress, pipelock, git_gate, "").map(|_| ()).unwrap_err();
    assert_eq!(error.to_string(), expected);
}

#[test]
fn what_one_needs_all_get() {
    check("cap_add", "", r#""cap_add": ["NET_ADMIN"]"#, r#""cap_add": ["SYS_NICE"]"#, "NET_ADMIN, SYS_NICE");
    check("devices", "", r#""devices": [{"source": "/dev/fuse"}]"#, "", "/dev/fuse:/dev/fuse");
    check("sysctls", "", r#""sysctls": {"net.core.somaxconn": "9"}"#, "", "net.core.somaxconn=9");
    check("security_opt", "", r#""security_opt": ["seccomp=unconfined"]"#, "", "seccomp=unconfined");
    let denied = r#""security_opt": ["no-new-privileges:true"]"#;
    check("security_opt", denied, "", "", "no-new-privileges:true");
}

#[test]
fn what_not_all_give_up_stays() {
    check("cap_drop", r#""cap_drop": ["NET_RAW"]"#, r#""cap_drop": ["NET_RAW"]"#, "", "");
    check("read_only", r#""read_only": true"#, r#""read_only": true"#, "", "");
    check("mem_limit", r#""limits": {"memory": 67108864}"#, "", "", "");
}

/// A bottle of egress and pipelock alone.
fn pair(egress: &str, pipelock: &str) -> Service {
    let text = format!(
        r#"{{
            "schema": "bottle-migrate/plan/1", "slug": "demo", "agent": {{ "image": "agent:1" }},
            "egress": {{ "routes": "/e/routes", "ca_dir": "/e/ca", {egress} }},
            "pipelock": {{ "config": "/p/config", "ca_cert": "/p/cert", "ca_key": "/p/key", {pipelock} }}
        }}"#
    );
    let compose = render(&plan::read(&text).unwrap(), &Images::default()).unwrap();
    compose.services["sidecars"].clone()
}

#[test]
fn limits_add_up() {
    let limits = |memory: u32, more: &str| format!(r#""limits": {{"memory": {memory}{more}}}"#);
    for (egress, pipelock, name, expected) in [
        (limits(64 << 20, ""), limits(32 << 20, ""), "mem_limit", "96 MiB"),
        (limits(64 << 20, r#", "pids": 10"#), limits(32 << 20, r#", "pids": 5"#), "pids_limit", "15"),
        (
            limits(64 << 20, r#", "milli_cpus": 1200"#),
            limits(32 << 20, r#", "milli_cpus": 400"#),
            "cpus",
            "1.6",
        ),
        (limits(64 << 20, r#", "cpu_shares": 512"#), limits(32 << 20, ""), "cpu_shares", "1536"),
        (limits(64 << 20, r#", "shm_size": 1048576"#), limits(32 << 20, ""), "shm_size", "65 MiB"),
        (
            limits(64 << 20, r#", "memory_swap": 67108864"#),
            limits(32 << 20, r#", "memory_swap": 67108864"#),
            "memswap_limit",
            "128 MiB",
        ),
    ] {
        let settings = pair(&egress, &pipelock).settings;
        assert_eq!(settings[name].to_string(), expected, "{name} of {egress} | {pipelock}");
    }
}

#[test]
fn all_capabilities_dropped_leave_the_init_what_it_needs() {
    let drop = r#""cap_drop": ["ALL"]"#;
    let settings = pair(drop, drop).settings;
    assert_eq!(settings["cap_drop"].to_string(), "ALL");
    assert_eq!(settings["cap_add"].to_string(), "CHOWN, KILL, SETGID, SETUID");
    let some = r#""cap_drop": ["NET_RAW", "SETUID"]"#;
    let settings = pair(drop, some).settings;
    assert_eq!(settings["cap_drop"].to_string(), "NET_RAW");
    assert!(!settings.contains_key("cap_add"));
}

#[test]
fn two_values_for_one_thing_are_a_conflict() {
    conflict(
        r#""dns": ["192.0.2.1"]"#,
        r#""dns": ["192.0.2.2"]"#,
        "",
        "dns: egress has 192.0.2.1 and pipelock has 192.0.2.2; one container has one value: give both blocks the same",
    );
    conflict(
        r#""restart": "always""#,
        "",
        "",
        "restart: egress has always and pipelock has none; one container has one value: give both blocks the same",
    );
    conflict(
        "",
        r#""sysctls": {"net.core.somaxconn": "1"}"#,
        r#""sysctls": {"net.core.somaxconn": "2"}"#,
        "sysctls net.core.somaxconn: pipelock has 1 and git-gate has 2; one container has one value: give both blocks \
         the same",
    );
    conflict(
        r#""extra_hosts": {"forge": "192.0.2.1"}"#,
        "",
        r#""extra_hosts": {"forge": "192.0.2.2"}"#,
        "extra_hosts forge: egress has 192.0.2.1 and git-gate has 192.0.2.2; one container has one value: give both \
         blocks the same",
    );
    conflict(
        "",
        r#""security_opt": ["seccomp=/a.json"]"#,
        r#""security_opt": ["seccomp=unconfined"]"#,
        "security_opt: egress has none and pipelock has seccomp=/a.json; one container has one value: give both \
         blocks the same",
    );
    conflict(
        "",
        r#""health": {"interval": 30}"#,
        "",
        "health: egress has interval 2 s, timeout 5 s, 2 retries, start period 30 s, start interval 0 s and pipelock \
         has interval 30 s, timeout 5 s, 2 retries, start period 30 s, start interval 0 s; one container has one \
         value: give both blocks the same",
    );
}

#[test]
fn a_mount_takes_no_other_ones_place() {
    let mount = |source: &str, target: &str| {
        format!(r#""volumes": [{{"source": "{source}", "target": "{target}"}}]"#)
    };
    for (egress, git_gate, expected) in [
        (
            mount("/a", "/data"),
            mount("/b", "/data"),
            "/data: egress mounts /a there and git-gate /b; one container has one mount on a path: choose another \
             target, or mount the same",
        ),
        (
            mount("/a", "/app"),
            String::new(),
            "/app: what egress mounts there hides /app/git_gate/__init__.py from git-gate; choose another target, or \
             mount the same in both blocks",
        ),
        (
            String::new(),
            mount("/a", "/etc/ssl/certs/ca-certificates.crt"),
            "/etc/ssl/certs/ca-certificates.crt: what git-gate mounts there hides /etc/ssl from egress; choose \
             another target, or mount the same in both blocks",
        ),
        (
            String::new(),
            mount("/a", "/usr/local/bin"),
            "/usr/local/bin: what git-gate mounts there hides /usr/local/bin/sidecar-init from the init; choose \
             another target, or mount the same in both blocks",
        ),
        (
            mount("/a", "/data"),
            mount("/b", "/data/below"),
            "/data: what egress mounts there hides /data/below from git-gate; choose another target, or mount the \
             same in both blocks",
        ),
        (
            String::new(),
            mount("/a", "/run/supervise"),
            "/run/supervise: what git-gate mounts there hides /run/supervise/queue from supervise; choose another \
             target, or mount the same in both blocks",
        ),
        (
            String::new(),
            r#""tmpfs": [{"target": "/tmp"}]"#.to_owned(),
            "/tmp: what git-gate mounts there hides /tmp from egress; choose another target, or mount the same in \
             both blocks",
        ),
    ] {
        conflict(&egress, "", &git_gate, expected);
    }
}

#[test]
fn extra_mounts_are_private_to_who_has_them() {
    let mounts = |list: &str| format!(r#""volumes": [{list}]"#);
    let both = r#"{"source": "/both", "target": "/both"}"#;
    let own = r#"{"source": "/own", "target": "/own"}"#;
    let inside = r#"{"source": "/in", "target": "/etc/egress/in"}"#;
    let tmpfs = r#""tmpfs": [{"target": "/cache", "mode": "700"}]"#;
    let service =
        sidecars(&mounts(&format!("{both}, {inside}")), &mounts(both), &format!("{}, {tmpfs}", mounts(own)));
    for (daemon, paths) in [("EGRESS", "/both"), ("PIPELOCK", "/both"), ("GIT_GATE", "/cache:/own")] {
        let variable = format!("BOT_BOTTLE_SIDECAR_MOUNTS_{daemon}");
        assert_eq!(service.environment[&variable], EnvValue::Literal(paths.to_owned()), "{daemon}");
    }
    assert_eq!(service.mounts.iter().filter(|mount| mount.target == "/both").count(), 1);
}

#[test]
fn ports_belong_to_who_listens() {
    let ports = |ports: &str| format!(r#""ports": [{ports}]"#);
    conflict(
        "",
        "",
        &ports(r#"{"target": 8888}"#),
        "port 8888/tcp: git-gate publishes it, and in one container it is pipelock's; take it out of git-gate's ports",
    );
    conflict(
        &ports(r#"{"target": 9099}"#),
        "",
        "",
        "port 9099: egress listens on loopback alone in the bundle; take it out of egress's ports",
    );
    let udp = r#"{"target": 9418, "protocol": "udp", "host_ip": "0.0.0.0"}"#;
    let published = sidecars("", "", &ports(udp)).ports;
    let shown: Vec<String> = published
        .iter()
        .map(|port| {
            format!("{}:{}/{}", port.host_ip.as_deref().unwrap_or_default(), port.target, port.protocol)
        })
        .collect();
    assert_eq!(shown, ["127.0.0.1:8888/tcp", "0.0.0.0:9418/udp", "127.0.0.1:9100/tcp"]);
}

#[test]
fn the_hop_has_no_name_and_no_address() {
    conflict(
        r#""networks": {"external": {"aliases": ["out"]}}"#,
        "",
        "",
        "egress listens on loopback alone in the bundle, so that nothing finds it under out; take it out of \
         egress.networks.external",
    );
    let service = sidecars("", r#""networks": {"internal": {"aliases": ["proxy.internal"]}}"#, "");
    let aliases: Vec<&str> = service.networks["internal"].aliases.iter().map(String::as_str).collect();
    assert_eq!(aliases, ["git-gate", "pipelock", "proxy.internal", "supervise"]);
    assert_eq!(service.extra_hosts["egress"], ["127.0.0.1"]);
}

#[test]
fn the_agent_names_no_hidden_hop() {
    let of = |value: &str| {
        bundle(&format!(r#""environment": {{"X": "{value}"}}"#), "", "", "", "")
            .map(|compose| compose.services["agent"].environment["X"].clone())
    };
    for (value, expected) in [
        ("http://pipelock:8888/a", "http://sidecars:8888/a"),
        ("git://git-gate/repo", "git://sidecars/repo"),
        ("a pipelock of words", "a pipelock of words"),
        ("http://u:p@bot-bottle-supervise-demo:9100", "http://u:p@sidecars:9100"),
        ("pipelock.example:1", "pipelock.example:1"),
    ] {
        assert_eq!(of(value), Ok(EnvValue::Literal(expected.to_owned())), "{value}");
    }
    assert_eq!(
        of("http://egress:9099").unwrap_err().to_string(),
        "X names egress, which the agent does not reach in the bundle; name pipelock"
    );
}

/// Checks the variables of the container, but for its list of daemons.
#[track_caller]
fn variables(egress: &str, pipelock: &str, git_gate: &str, expected: &[&str]) {
    let block = |variables: &str| format!(r#""environment": {{{variables}}}"#);
    let service = sidecars(&block(egress), &block(pipelock), &block(git_gate));
    let shown: Vec<String> = service
        .environment
        .iter()
        .map(|(name, value)| match value {
            EnvValue::Literal(value) => format!("{name}={value}"),
            EnvValue::Inherit => name.clone(),
        })
        .collect();
    assert_eq!(shown, expected);
}

#[test]
fn variables_reach_who_asked_for_them() {
    variables(
        r#""A": "1", "B": null"#,
        r#""A": "1""#,
        "",
        &[
            "BOT_BOTTLE_SIDECAR_ENV=listed",
            "BOT_BOTTLE_SIDECAR_ENV_EGRESS=A,B,EGRESS_TOKEN_0",
            "BOT_BOTTLE_SIDECAR_ENV_PIPELOCK=A",
            "A=1",
            "B",
            "EGRESS_TOKEN_0",
        ],
    );
}

#[test]
fn a_clash_is_addressed_and_a_value_from_outside_keeps_its_name() {
    variables(
        r#""A": "1", "HOME": "/h""#,
        r#""A": "2""#,
        r#""A": null"#,
        &[
            "BOT_BOTTLE_SIDECAR_ENV=listed",
            "BOT_BOTTLE_SIDECAR_ENV_EGRESS=EGRESS_TOKEN_0",
            "BOT_BOTTLE_SIDECAR_ENV_GIT_GATE=A",
            "A",
            "EGRESS_TOKEN_0",
            "EGRESS__A=1",
            "EGRESS__HOME=/h",
            "PIPELOCK__A=2",
        ],
    );
}

#[test]
fn what_the_init_passes_to_all_is_addressed_unless_all_have_it() {
    variables(
        r#""TZ": "UTC""#,
        "",
        "",
        &[
            "BOT_BOTTLE_SIDECAR_ENV=listed",
            "BOT_BOTTLE_SIDECAR_ENV_EGRESS=EGRESS_TOKEN_0",
            "EGRESS_TOKEN_0",
            "EGRESS__TZ=UTC",
        ],
    );
    let error = bundle("", r#""environment": {"TZ": null}"#, "", "", "").unwrap_err();
    assert_eq!(
        error.to_string(),
        "TZ: it comes from the environment of docker compose for egress and would reach pipelock too; give it a value \
         in egress.environment"
    );
}

#[test]
fn behind_required_walls_no_daemon_keeps_what_opens_them() {
    let admin = r#""cap_add": ["SYS_ADMIN"]"#;
    let error = bundle("", admin, "", "", r#""isolation": "require""#).unwrap_err().to_string();
    assert!(error.starts_with("cap_add SYS_ADMIN: egress has it"), "{error}");
    assert!(bundle("", admin, "", "", r#""isolation": "best-effort""#).is_ok());
    assert!(bundle("", "", "", "", r#""isolation": "require""#).is_ok());
}
