//! Edits of the bundle's file that would let a principal out: each of them is an error.

use std::collections::BTreeSet;
use std::sync::LazyLock;

use bottle_migrate::aspects;
use bottle_migrate::compose::{Document, read_text};
use bottle_migrate::finding::{Finding, Law, Severity};
use bottle_migrate::view::{Roles, View};
use bottle_model::images::Images;
use serde_yaml::{Mapping, Value};

/// An edit of the bundle: a path and what is put there; `+` appends to a list, `~` removes.
type Edit<'a> = (&'a str, &'a str);

/// The example whose walls are required, so that an untouched bundle has hardly any finding.
struct Walled {
    legacy: Document,
    bundle: Value,
    known: BTreeSet<String>,
}

static WALLED: LazyLock<Walled> = LazyLock::new(|| {
    let path = concat!(env!("CARGO_MANIFEST_DIR"), "/examples/require.plan.json");
    let plan = bottle_model::plan::read(&std::fs::read_to_string(path).unwrap()).unwrap();
    let images = Images::default();
    let legacy = read(&bottle_legacy::render(&plan, &images).to_yaml());
    let bundle = bottle_bundle::render(&plan, &images).unwrap().to_yaml();
    let known = findings(&legacy, &bundle);
    let known = known.iter().map(|finding| format!("{finding:?}")).collect();
    Walled { legacy, bundle: serde_yaml::from_str(&bundle).unwrap(), known }
});

fn read(text: &str) -> Document {
    read_text(text, &|_| None).unwrap()
}

fn findings(legacy: &Document, bundle: &str) -> Vec<Finding> {
    let (roles, bundle) = (Roles::builtin(&Images::default()), read(bundle));
    aspects::compare(&View::of(legacy, &roles), &View::of(&bundle, &roles))
}

fn edit(document: &mut Value, (path, text): Edit<'_>) {
    let mut node = document;
    let mut steps: Vec<&str> = path.split('/').collect();
    let last = steps.pop().unwrap();
    for step in steps {
        node = match node {
            Value::Sequence(items) => &mut items[step.parse::<usize>().unwrap()],
            other => {
                if other.is_null() {
                    *other = Value::Mapping(Mapping::new());
                }
                let entry = other.as_mapping_mut().unwrap().entry(Value::from(step));
                entry.or_insert(Value::Null)
            }
        };
    }
    if node.is_null() {
        *node = if last == "+" { Value::Sequence(Vec::new()) } else { Value::Mapping(Mapping::new()) };
    }
    match (node, text) {
        (Value::Sequence(items), text) if last == "+" => items.push(serde_yaml::from_str(text).unwrap()),
        (Value::Sequence(items), text) => {
            items[last.parse::<usize>().unwrap()] = serde_yaml::from_str(text).unwrap();
        }
        (Value::Mapping(map), "~") => assert!(map.shift_remove(last).is_some(), "{path} is absent"),
        (Value::Mapping(map), text) => {
            map.insert(Value::from(last), serde_yaml::from_str(text).unwrap());
        }
        (other, _) => panic!("{path} leads to {other:?}"),
    }
}

#[test]
fn a_program_is_known_by_its_full_path_alone() {
    let services = |service: &str, program: &str| {
        format!(
            "services: {{{service}: {{image: i, entrypoint: [{program}], command: [run, --listen, ':8888'], \
             environment: {{BOT_BOTTLE_SIDECAR_DAEMONS: pipelock}}}}}}"
        )
    };
    let known = ["/pipelock", "/usr/local/bin/pipelock"];
    let others = ["pipelock", "./pipelock", "bin/pipelock", "/usr/bin/pipelock", "/pipelock/", "//pipelock"];
    let programs: Vec<&str> = known.into_iter().chain(others).collect();
    for before in &programs {
        for after in &programs {
            let same = before == after || (known.contains(before) && known.contains(after));
            // A legacy file again, and a bundle that runs one daemon and no init.
            for side in ["pipelock", "sidecars"] {
                let found = findings(&read(&services("pipelock", before)), &services(side, after));
                let changed = found.iter().any(|finding| {
                    finding.rule.id.as_str() == "argv-changed" && finding.principal == "pipelock"
                });
                assert_eq!(changed, !same, "{before} → {after} in {side}: {found:#?}");
            }
        }
    }
}

/// Findings that the edits add.
fn brought(edits: &[Edit<'_>]) -> Vec<Finding> {
    let mut document = WALLED.bundle.clone();
    for edit in edits {
        self::edit(&mut document, *edit);
    }
    // Compose refuses what is named and declared nowhere.
    for (kind, name, declared) in [
        ("volumes", "cache", "{}"),
        ("networks", "extra", "{}"),
        ("configs", "extra", "{content: x}"),
        ("secrets", "extra", "{file: /srv/extra}"),
        ("models", "llm", "{model: ai/model}"),
    ] {
        if edits
            .iter()
            .any(|(place, value)| place.contains(kind) && (value.contains(name) || place.contains(name)))
        {
            let kinds = document.as_mapping_mut().unwrap().entry(Value::from(kind));
            let kinds = kinds.or_insert_with(|| Value::Mapping(Mapping::new())).as_mapping_mut().unwrap();
            kinds.insert(Value::from(name), serde_yaml::from_str(declared).unwrap());
        }
    }
    let found = findings(&WALLED.legacy, &serde_yaml::to_string(&document).unwrap());
    found.into_iter().filter(|finding| !WALLED.known.contains(&format!("{finding:?}"))).collect()
}

/// An error with this rule, principal and subject; a gain is marked as one.
fn check(edits: &[Edit<'_>], gain: bool, (rule, principal, subject): (&str, &str, &str)) {
    let found = brought(edits);
    let hit = found.iter().find(|finding| {
        finding.rule.id.as_str() == rule && finding.principal == principal && finding.subject == subject
    });
    let hit = hit.unwrap_or_else(|| panic!("{edits:?}: no {rule} {principal} {subject} in {found:#?}"));
    assert_eq!(hit.rule.severity, Severity::Error, "{edits:?}: {hit:?}");
    if gain {
        assert_eq!(hit.law, Law::Containment, "{edits:?}: {hit:?}");
    }
}

#[test]
fn what_either_container_may_not_gain() {
    for (service, principal) in [("agent", "agent"), ("sidecars", "pipelock")] {
        for (attribute, value, rule, subject) in [
            (
                "volumes/+",
                "/var/run/docker.sock:/var/run/docker.sock",
                "mount-unexpected",
                "/var/run/docker.sock",
            ),
            ("volumes/+", "/:/host:ro", "mount-unexpected", "/host"),
            ("volumes/+", "cache:/cache", "mount-unexpected", "/cache"),
            ("tmpfs", "[/etc]", "mount-unexpected", "/etc"),
            ("configs", "[extra]", "mount-unexpected", "/extra"),
            ("secrets", "[extra]", "mount-unexpected", "/run/secrets/extra"),
            ("volumes_from", "['container:agent']", "mount-unexpected", "container:agent"),
            (
                "develop",
                "{watch: [{action: sync, path: /evil, target: /app}]}",
                "mount-unexpected",
                "develop",
            ),
            ("devices", "[/dev/kvm]", "device-gained", "/dev/kvm:/dev/kvm"),
            ("device_cgroup_rules", "['a *:* rwm']", "device-gained", "a *:* rwm"),
            ("gpus", "all", "device-gained", "gpus"),
            (
                "deploy",
                "{resources: {reservations: {devices: [{capabilities: [gpu]}]}}}",
                "device-gained",
                "deploy.resources.reservations.devices.0.capabilities.0",
            ),
            ("cap_add", "[ALL]", "cap-gained", "ALL"),
            ("cap_add", "[CAP_SYS_ADMIN]", "cap-gained", "SYS_ADMIN"),
            ("privileged", "true", "privileged-gained", "privileged"),
            ("use_api_socket", "true", "privileged-gained", "use_api_socket"),
            ("security_opt", "['seccomp:unconfined']", "security-opt-lost", "seccomp=unconfined"),
            ("security_opt", "['apparmor=unconfined']", "security-opt-lost", "apparmor=unconfined"),
            ("security_opt", "['label:disable']", "security-opt-lost", "label=disable"),
            ("security_opt", "['systempaths=unconfined']", "security-opt-lost", "systempaths=unconfined"),
            ("security_opt", "['seccomp=/lax.json']", "security-opt-lost", "seccomp=/lax.json"),
            ("group_add", "[docker]", "user-changed", "docker"),
            ("credential_spec", "{file: spec.json}", "user-changed", "credential_spec"),
            ("user", "'4321'", "user-changed", "user"),
            ("pid", "host", "network-mode-shared", "pid"),
            ("pid", "'container:agent'", "network-mode-shared", "pid"),
            ("ipc", "shareable", "network-mode-shared", "ipc"),
            ("ipc", "'container:agent'", "network-mode-shared", "ipc"),
            ("uts", "host", "network-mode-shared", "uts"),
            ("cgroup", "host", "network-mode-shared", "cgroup"),
            ("userns_mode", "host", "network-mode-shared", "userns_mode"),
            ("network_mode", "host", "network-mode-shared", "network_mode"),
            ("network_mode", "bridge", "network-mode-shared", "network_mode"),
            ("network_mode", "'container:other'", "network-mode-shared", "network_mode"),
            ("external_links", "[other]", "reach-gained", "other"),
            ("models", "[llm]", "reach-gained", "models"),
            ("sysctls", "{net.ipv4.ip_forward: '1'}", "reach-gained", "net.ipv4.ip_forward"),
            (
                "sysctls",
                "{net.ipv4.conf.all.route_localnet: '1'}",
                "reach-gained",
                "net.ipv4.conf.all.route_localnet",
            ),
            ("extra_hosts/forge.example", "host-gateway", "hosts-added", "forge.example"),
            ("extra_hosts/sidecars", "192.0.2.66", "hosts-added", "sidecars"),
            ("ports/+", "'0.0.0.0:2222:22'", "port-added", "22/tcp"),
            ("post_start", "[{command: [sh], privileged: true}]", "hook-changed", "post_start"),
            ("pre_stop", "[{command: [sh]}]", "hook-changed", "pre_stop"),
            ("environment/LD_PRELOAD", "/x.so", "env-scope-widened", "LD_PRELOAD"),
            ("environment/PATH", "/evil", "env-scope-widened", "PATH"),
            ("environment/PYTHONPATH", "/evil", "env-scope-widened", "PYTHONPATH"),
            ("environment/HTTPS_PROXY2", "http://evil", "env-scope-widened", "HTTPS_PROXY2"),
        ] {
            let (place, networks) =
                (format!("services/{service}/{attribute}"), format!("services/{service}/networks"));
            // Compose takes one or the other.
            let apart = (attribute == "network_mode").then_some((networks.as_str(), "~"));
            let edits: Vec<Edit<'_>> = apart.into_iter().chain([(place.as_str(), value)]).collect();
            // A variable of the bundle that no list names reaches nobody but the init, and is refused as such.
            let lists = service == "sidecars" && rule == "env-scope-widened" && subject != "PATH";
            if lists {
                check(&edits, false, ("shape-unexpected", "", subject));
            } else {
                check(&edits, true, (rule, principal, subject));
            }
        }
    }
}

#[test]
fn what_either_container_may_not_change() {
    for (service, principal) in [("agent", "agent"), ("sidecars", "egress")] {
        for (attribute, value, rule, subject) in [
            ("build", "{context: /evil, args: {A: b}}", "image-pin-changed", "build"),
            ("provider", "{type: evil}", "image-pin-changed", "provider"),
            ("image", "evil", "image-pin-changed", "image"),
            ("entrypoint", "[sh]", "argv-changed", "argv"),
            ("hostname", "git-gate", "name-changed", "hostname"),
            ("container_name", "other", "name-changed", "container_name"),
            ("scale", "0", "daemon-set-mismatch", principal),
            ("deploy", "{replicas: 0}", "daemon-set-mismatch", principal),
            ("stop_signal", "SIGKILL", "stop-signal-changed", "stop_signal"),
            ("stop_grace_period", "1s", "grace-too-short", "stop_grace_period"),
            ("mac_address", "'02:42:ac:11:00:02'", "network-changed", "mac_address"),
        ] {
            let place = format!("services/{service}/{attribute}");
            check(&[(&place, value)], false, (rule, principal, subject));
        }
    }
}

#[test]
fn what_brings_the_agent_closer() {
    let agent = |place, value: &'static str| vec![(place, value)];
    for (edits, finding) in [
        (
            agent("services/agent/networks/external", "null"),
            ("agent-network-added", "agent", "bot-bottle-egress-walled"),
        ),
        (
            agent("services/agent/networks", "~"),
            ("agent-network-added", "agent", "bot-bottle-walled_default"),
        ),
        (
            agent("networks/internal/internal", "false"),
            ("network-internal-lost", "", "bot-bottle-internal-walled"),
        ),
        (
            agent("services/agent/environment/EGRESS_TOKEN_0", "null"),
            ("env-scope-widened", "agent", "EGRESS_TOKEN_0"),
        ),
        (
            agent("services/agent/environment/NOTE", "'${EGRESS_TOKEN_0:-}'"),
            ("env-scope-widened", "agent", "NOTE"),
        ),
        (agent("services/agent/dns", "[192.0.2.66]"), ("reach-gained", "agent", "192.0.2.66")),
        // Under a name that the agent knew.
        (agent("services/agent/links", "['sidecars:egress']"), ("reach-gained", "agent", "sidecars:egress")),
        (
            agent("services/agent/volumes/+", "/srv/bottles/walled/egress/mitmproxy:/ca"),
            ("mount-unexpected", "agent", "/ca"),
        ),
        // On the network of the sidecars the hop's loopback is its own.
        (
            vec![("services/agent/networks", "~"), ("services/agent/network_mode", "'service:sidecars'")],
            ("reach-gained", "agent", "egress:9099"),
        ),
        (
            vec![("services/agent/networks", "~"), ("services/agent/network_mode", "'service:sidecars'")],
            ("agent-network-added", "agent", "bot-bottle-egress-walled"),
        ),
        (
            agent("services/agent/networks/internal", "{aliases: [forge.example]}"),
            ("hosts-added", "agent", "forge.example"),
        ),
        (agent("services/sidecars/ports/+", "'9099:9099'"), ("port-added", "egress", "9099/tcp")),
        (agent("services/sidecars/ports/0", "8888"), ("port-host-ip-widened", "pipelock", "8888/tcp")),
        (
            agent("services/sidecars/ports/0", "'[::]::8888'"),
            ("port-host-ip-widened", "pipelock", "8888/tcp"),
        ),
    ] {
        check(&edits, true, finding);
    }
    for (edits, finding) in [
        (
            agent("services/agent/environment/HTTPS_PROXY", "http://sidecars:9099"),
            ("env-changed", "agent", "HTTPS_PROXY"),
        ),
        (agent("services/agent/environment/NO_PROXY", "'*'"), ("env-changed", "agent", "NO_PROXY")),
        (agent("services/agent/environment/HTTPS_PROXY", "~"), ("env-dropped", "agent", "HTTPS_PROXY")),
        (
            agent("services/agent/volumes/1/source", "/srv/bottles"),
            ("mount-source-changed", "agent", "/workspace"),
        ),
        (
            agent("services/agent/depends_on/sidecars/condition", "service_started"),
            ("depends-lost", "agent", "pipelock"),
        ),
        (
            agent("services/agent/networks/internal", "{aliases: [pipelock]}"),
            ("reach-lost", "egress", "name pipelock"),
        ),
        (agent("networks/internal/driver", "macvlan"), ("network-changed", "", "bot-bottle-internal-walled")),
        (agent("services/evil", "{image: evil, network_mode: host}"), ("service-unmapped", "evil", "evil")),
    ] {
        check(&edits, false, finding);
    }
}

#[test]
fn what_turns_the_init_against_its_daemons() {
    let variable = |name: &str| format!("services/sidecars/environment/{name}");
    let isolation = variable("BOT_BOTTLE_SIDECAR_ISOLATION");
    let typo = variable("BOT_BOTTLE_SIDECAR_ISOLATON");
    let token = variable("PIPELOCK__EGRESS_TOKEN_0");
    let tokens = variable("BOT_BOTTLE_SIDECAR_ENV_EGRESS");
    let claim = variable("BOT_BOTTLE_SIDECAR_ENV_PIPELOCK");
    let list = variable("BOT_BOTTLE_SIDECAR_ENV_SUPERVISE");
    let daemons = variable("BOT_BOTTLE_SIDECAR_DAEMONS");
    let chain = variable("BOT_BOTTLE_SIDECAR_CHAIN");
    let home = variable("EGRESS__HOME");
    let keep = variable("BOT_BOTTLE_SIDECAR_MOUNTS_EGRESS");
    let container = |attribute: &str| format!("services/sidecars/{attribute}");
    let (entrypoint, command) = (container("entrypoint"), container("command"));
    let (volumes, probe) = (container("volumes/+"), container("healthcheck/test"));
    for (place, value, finding) in [
        (&isolation, "null", ("shape-unexpected", "", "BOT_BOTTLE_SIDECAR_ISOLATION")),
        (&typo, "require", ("shape-unexpected", "", "handshake")),
        (&token, "x", ("shape-unexpected", "", "handshake")),
        (&tokens, "~", ("env-dropped", "egress", "EGRESS_TOKEN_0")),
        (&list, "~", ("env-dropped", "supervise", "SUPERVISE_QUEUE")),
        (&claim, "SUPERVISE_QUEUE", ("env-scope-widened", "pipelock", "SUPERVISE_QUEUE")),
        (&daemons, "egress,git-gate,supervise", ("daemon-set-mismatch", "pipelock", "pipelock")),
        (&chain, "egress-first", ("reach-gained", "agent", "egress:9099")),
        (&home, "/root", ("home-changed", "egress", "HOME")),
        (&keep, "/usr", ("mount-shadowed", "git-gate", "/usr/lib")),
        (
            &entrypoint,
            "[/usr/local/bin/sidecar-init, --daemons, /evil.toml]",
            ("shape-unexpected", "", "command"),
        ),
        (&command, "[--daemons, /evil.toml]", ("shape-unexpected", "", "command")),
        (&command, "[check]", ("shape-unexpected", "", "command")),
        (&entrypoint, "[/run/supervise/queue/sidecar-init]", ("user-changed", "egress", "user")),
        (&entrypoint, "[/run/supervise/queue/sidecar-init]", ("signal-path-lost", "egress", "reload signal")),
        (&entrypoint, "[sh, -c, sidecar-init & evil]", ("env-scope-widened", "pipelock", "EGRESS_TOKEN_0")),
        (&volumes, "/evil:/usr/local/bin/sidecar-init", ("mount-shadowed", "pipelock", "sidecar-init")),
        (&volumes, "/evil:/app", ("mount-shadowed", "supervise", "supervise_server.py")),
        (
            &volumes,
            "/evil:/etc/egress/routes.yaml",
            ("mount-target-collision", "egress", "/etc/egress/routes.yaml"),
        ),
        (&volumes, "/var/run/docker.sock:/etc/egress/s", ("mount-unexpected", "egress", "/etc/egress/s")),
        (&container("volumes/0/read_only"), "false", ("mount-ro-to-rw", "egress", "/etc/egress/routes.yaml")),
        (&container("init"), "true", ("shape-unexpected", "", "init")),
        (&probe, "[CMD, 'true']", ("health-weakened", "pipelock", "health")),
        (&probe, "sidecar-init check || true", ("health-weakened", "pipelock", "health")),
        (&probe, "[CMD, /run/supervise/queue/sidecar-init, check]", ("health-weakened", "egress", "health")),
        (&container("healthcheck"), "{disable: true}", ("health-missing", "egress", "health")),
        (&container("user"), "mitmproxy", ("home-changed", "git-gate", "HOME")),
        (&container("networks/extra"), "null", ("reach-gained", "egress", "bot-bottle-walled_extra")),
        (&container("extra_hosts/egress"), "192.0.2.66", ("hosts-added", "pipelock", "egress")),
    ] {
        check(&[(place, value)], false, finding);
    }
}

#[test]
fn walls_do_not_hold_against_every_capability() {
    let found = brought(&[("services/sidecars/cap_add", "[SYS_ADMIN]")]);
    let weakened = found.iter().find(|finding| finding.rule.id.as_str() == "isolation-weakened").unwrap();
    assert_eq!((weakened.law, weakened.subject.as_str()), (Law::Containment, "require, undone by SYS_ADMIN"));
}

#[test]
fn walls_take_what_opens_them() {
    let mut legacy = WALLED.legacy.clone();
    let held = bottle_model::compose::Setting::Set(BTreeSet::from(["SYS_ADMIN".to_owned()]));
    legacy.compose.services["pipelock"].settings.insert("cap_add".to_owned(), held);
    let mut bundle = WALLED.bundle.clone();
    edit(&mut bundle, ("services/sidecars/cap_add", "[SYS_ADMIN]"));
    let found = findings(&legacy, &serde_yaml::to_string(&bundle).unwrap());
    let lost: Vec<(&str, &str)> = found
        .iter()
        .filter(|finding| finding.rule.id.as_str() == "cap-lost")
        .map(|finding| (finding.principal.as_str(), finding.subject.as_str()))
        .collect();
    assert_eq!(lost, [("pipelock", "SYS_ADMIN")]);
}

#[test]
fn what_says_the_default_is_no_attack() {
    for (place, value) in [
        ("services/sidecars/user", "root"),
        ("services/sidecars/entrypoint", "[/usr/local/bin/sidecar-init]"),
        ("services/sidecars/command", "[]"),
        ("services/sidecars/environment/BOT_BOTTLE_SIDECAR_CHAIN", "pipelock-first"),
        ("services/sidecars/healthcheck/test", "/usr/local/bin/sidecar-init check"),
        ("services/agent/ipc", "private"),
        ("services/agent/privileged", "false"),
        ("services/agent/security_opt", "['no-new-privileges:false']"),
        ("services/agent/restart", "'no'"),
        ("services/agent/pull_policy", "missing"),
    ] {
        let found = brought(&[(place, value)]);
        assert!(found.is_empty(), "{place} {value}: {found:#?}");
    }
}
