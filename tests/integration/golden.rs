//! What both sides of a comparison take from the same tables, in literals: a mistake there shows in no comparison.

use std::collections::BTreeSet;
use std::path::Path;

use bottle_model::daemon::{Chain, Daemon, DaemonRow, Restart, WITHHELD, needed_capabilities, table};
use bottle_model::images::{self, INIT, Images};
use bottle_model::plan;
use serde_json::{Value, json};

/// A row of the built-in table: name, argv, user, home, sockets, reload, private paths, ports that it may dial.
type Row = (
    &'static str,
    &'static str,
    &'static str,
    &'static str,
    &'static str,
    Option<&'static str>,
    &'static [&'static str],
    Option<&'static [u16]>,
);

const PIPELOCK_FIRST: [Row; 4] = [
    (
        "egress",
        "mitmdump --mode regular --listen-host 127.0.0.1 --listen-port 9099 --scripts /app/egress_addon.py",
        "mitmproxy",
        "/home/mitmproxy",
        "127.0.0.1:9099",
        Some("HUP"),
        &["/etc/egress", "/home/mitmproxy/.mitmproxy"],
        None,
    ),
    (
        "pipelock",
        "/usr/local/bin/pipelock run --config /etc/pipelock/pipelock.yaml --listen 0.0.0.0:8888",
        "root",
        "/root",
        "0.0.0.0:8888",
        Some("HUP"),
        &["/etc/pipelock"],
        None,
    ),
    (
        "git-gate",
        "/git-gate-entrypoint.sh",
        "root",
        "/root",
        "0.0.0.0:9418",
        None,
        &["/git-gate-entrypoint.sh", "/etc/git-gate", "/git-gate/creds"],
        None,
    ),
    (
        "supervise",
        "python3 /app/supervise_server.py",
        "root",
        "/root",
        "0.0.0.0:9100",
        None,
        &["/run/supervise/queue"],
        Some(&[]),
    ),
];

/// What differs in the other chain: argv and sockets of the two proxies.
const EGRESS_FIRST: [(&str, &str, &str); 2] = [
    (
        "egress",
        "mitmdump --mode upstream:http://pipelock:8888 --listen-host 0.0.0.0 --listen-port 9099 --scripts /app/egress_addon.py",
        "0.0.0.0:9099",
    ),
    (
        "pipelock",
        "/usr/local/bin/pipelock run --config /etc/pipelock/pipelock.yaml --listen 127.0.0.1:8888",
        "127.0.0.1:8888",
    ),
];

fn same(row: &DaemonRow, expected: Row) {
    let (name, argv, user, home, listen, reload, private, connect) = expected;
    assert_eq!(row.name, name);
    assert_eq!(row.argv.join(" "), argv, "{name}");
    assert_eq!(
        (row.user.as_str(), row.home.as_deref(), row.workdir.as_deref()),
        (user, Some(home), None),
        "{name}"
    );
    let sockets: Vec<String> = row.listen.iter().map(ToString::to_string).collect();
    assert_eq!(sockets, [listen], "{name}");
    assert_eq!((row.reload.as_deref(), row.restart), (reload, Restart::No), "{name}");
    assert_eq!((&*row.private, row.connect.as_deref()), (&*strings(private), connect), "{name}");
}

fn strings(texts: &[&str]) -> Vec<String> {
    texts.iter().map(|text| (*text).to_owned()).collect()
}

#[test]
fn the_built_in_table_is_what_the_images_need_in_either_chain() {
    let rows = table(Chain::PipelockFirst);
    assert_eq!(rows.len(), PIPELOCK_FIRST.len());
    for (row, expected) in rows.iter().zip(PIPELOCK_FIRST) {
        same(row, expected);
    }
    let rows = table(Chain::EgressFirst);
    assert_eq!(rows.len(), PIPELOCK_FIRST.len());
    for (row, mut expected) in rows.iter().zip(PIPELOCK_FIRST) {
        if let Some((_, argv, listen)) = EGRESS_FIRST.into_iter().find(|(name, ..)| *name == expected.0) {
            (expected.1, expected.4) = (argv, listen);
        }
        same(row, expected);
    }
}

#[test]
fn ports_and_the_order_of_the_proxies_are_those_of_the_table() {
    let ports = Daemon::ALL.map(|daemon| (daemon.name(), daemon.port()));
    assert_eq!(ports, [("egress", 9099), ("pipelock", 8888), ("git-gate", 9418), ("supervise", 9100)]);
    for (chain, name, first, hop) in [
        (Chain::PipelockFirst, "pipelock-first", Daemon::Pipelock, Daemon::Egress),
        (Chain::EgressFirst, "egress-first", Daemon::Egress, Daemon::Pipelock),
    ] {
        assert_eq!((chain.name(), chain.first(), chain.hop()), (name, first, hop));
    }
}

#[test]
fn default_images_give_way_to_their_variables_and_not_to_empty_ones() {
    let defaults = [
        ("BOT_BOTTLE_SIDECAR_IMAGE", "bot-bottle-sidecars:latest"),
        ("BOT_BOTTLE_EGRESS_IMAGE", "bot-bottle-egress:latest"),
        (
            "BOT_BOTTLE_PIPELOCK_IMAGE",
            "ghcr.io/luckypipewrench/pipelock:2.3.0@sha256:3b1a39417b98406ddc5dc2d8fcb42865ddc0c68a43d355db55f0f8cb06bc6de9",
        ),
        ("BOT_BOTTLE_GIT_GATE_IMAGE", "bot-bottle-git-gate:latest"),
        ("BOT_BOTTLE_SUPERVISE_IMAGE", "bot-bottle-supervise:latest"),
    ];
    let all = |images: &Images| {
        let daemons = Daemon::ALL.map(|daemon| images.of(daemon).to_owned());
        let [egress, pipelock, git_gate, supervise] = daemons;
        [images.bundle.clone(), egress, pipelock, git_gate, supervise]
    };
    assert_eq!(all(&Images::default()), defaults.map(|(_, image)| image.to_owned()));
    assert_eq!(
        all(&Images::from_lookup(|_| Some(String::new()))),
        defaults.map(|(_, image)| image.to_owned())
    );
    let other = Images::named("claude-bottle", |name| {
        (name == "CLAUDE_BOTTLE_EGRESS_IMAGE").then(|| "e:1".to_owned())
    });
    assert_eq!(other.bundle, "claude-bottle-sidecars:latest");
    assert_eq!(
        (other.of(Daemon::Egress), other.of(Daemon::GitGate)),
        ("e:1", "claude-bottle-git-gate:latest")
    );
    let back = other.under("bot-bottle");
    assert_eq!((back.of(Daemon::Egress), back.of(Daemon::GitGate)), ("e:1", "bot-bottle-git-gate:latest"));
    for (at, (variable, _)) in defaults.into_iter().enumerate() {
        let images = Images::from_lookup(|name| (name == variable).then(|| "other:1".to_owned()));
        let mut expected = defaults.map(|(_, image)| image.to_owned());
        expected[at] = "other:1".to_owned();
        assert_eq!(all(&images), expected, "{variable}");
    }
}

#[test]
fn files_of_the_bundle_image_are_those_that_the_daemons_run_from() {
    let files = Daemon::ALL.map(|daemon| (daemon.name(), images::files(daemon).to_vec()));
    assert_eq!(
        files,
        [
            (
                "egress",
                vec![
                    "/app/egress_addon.py",
                    "/app/egress_addon_core.py",
                    "/app/egress_addon_headers.py",
                    "/app/egress_addon_layers.py",
                    "/app/egress_addon_names.py",
                    "/app/egress_addon_options.py",
                    "/app/egress_addon_routes.py",
                    "/app/yaml_subset.py",
                ]
            ),
            ("pipelock", vec!["/usr/local/bin/pipelock"]),
            (
                "git-gate",
                vec![
                    "/usr/bin/git",
                    "/usr/bin/gitleaks",
                    "/app/git_gate/__init__.py",
                    "/app/git_gate/__main__.py",
                    "/app/git_gate/access.py",
                    "/app/git_gate/git.py",
                    "/app/git_gate/limits.py",
                    "/app/git_gate/locks.py",
                    "/app/git_gate/objects.py",
                    "/app/git_gate/receive.py",
                    "/app/git_gate/report.py",
                    "/app/git_gate/scanner.py",
                    "/app/git_gate/serve.py",
                    "/app/git_gate/sweep.py",
                    "/app/git_gate/turn.py",
                    "/app/git_gate/unpack.py",
                    "/app/git_gate/upstream.py",
                    "/app/git_gate/windows.py"
                ]
            ),
            ("supervise", vec!["/app/supervise_server.py", "/app/supervise.py", "/app/supervise_rpc.py"]),
        ]
    );
    assert_eq!(INIT, "/usr/local/bin/sidecar-init");
}

/// Every path that the bundle's Dockerfile copies something to.
fn copied() -> BTreeSet<String> {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("Dockerfile.sidecars");
    let text = std::fs::read_to_string(path).unwrap().replace("\\\n", " ");
    let last = text.rsplit("\nFROM ").next().unwrap();
    let mut copied = BTreeSet::new();
    for line in last.lines().filter_map(|line| line.strip_prefix("COPY ")) {
        let mut words: Vec<&str> = line.split_whitespace().filter(|word| !word.starts_with("--")).collect();
        let target = words.pop().unwrap();
        for source in words {
            let (folder, name) = source.rsplit_once('/').unwrap_or((".", source));
            let names = match name.strip_prefix('*') {
                Some(end) => std::fs::read_dir(Path::new(env!("CARGO_MANIFEST_DIR")).join(folder))
                    .unwrap()
                    .map(|entry| entry.unwrap().file_name().into_string().unwrap())
                    .filter(|name| name.ends_with(end))
                    .collect(),
                None => vec![name.to_owned()],
            };
            for name in names {
                copied.insert(if target.ends_with('/') {
                    format!("{target}{name}")
                } else {
                    target.to_owned()
                });
            }
        }
    }
    copied
}

#[test]
fn the_bundle_image_copies_what_the_table_and_the_checker_expect_in_it() {
    let copied = copied();
    assert!(copied.contains(INIT), "{copied:?}");
    // These come with the base image and its packages.
    let brought = ["/usr/bin/git", "mitmdump", "python3"];
    for row in table(Chain::PipelockFirst) {
        let daemon = Daemon::from_name(&row.name).unwrap();
        let program = [row.argv[0].as_str()];
        let scripts = row.argv.iter().map(String::as_str).filter(|word| word.starts_with("/app/"));
        for file in program.into_iter().chain(scripts).chain(images::files(daemon).iter().copied()) {
            assert!(
                copied.contains(file) || brought.contains(&file),
                "{} needs {file}: {copied:?}",
                row.name
            );
        }
    }
    // And the reverse: whatever is copied to /app belongs to a daemon that could miss it.
    let known: BTreeSet<&str> =
        Daemon::ALL.into_iter().flat_map(|daemon| images::files(daemon)).copied().collect();
    for file in copied.iter().filter(|file| file.starts_with("/app/")) {
        assert!(known.contains(file.as_str()), "no daemon is known to run from {file}");
    }
}

#[test]
fn what_every_daemon_shares_and_what_the_init_needs_and_withholds() {
    assert_eq!(
        images::SHARED_TREES,
        ["/bin", "/boot", "/dev", "/etc/ssl", "/lib", "/lib64", "/proc", "/sbin", "/sys", "/usr"]
    );
    assert_eq!(
        images::SHARED_PATHS,
        [
            "/etc/group",
            "/etc/hosts",
            "/etc/nsswitch.conf",
            "/etc/passwd",
            "/etc/resolv.conf",
            "/home/mitmproxy",
            "/root",
            "/run",
            "/tmp",
            "/var/tmp"
        ]
    );
    assert_eq!(WITHHELD, ["PERFMON", "SYS_ADMIN"]);
    for chain in [Chain::PipelockFirst, Chain::EgressFirst] {
        let rows = table(chain);
        for (names, needed) in [
            (
                &["egress", "pipelock", "git-gate", "supervise"][..],
                &["CHOWN", "KILL", "SETGID", "SETUID"][..],
            ),
            (&["egress"], &["CHOWN", "KILL", "SETGID", "SETUID"]),
            (&["pipelock", "git-gate", "supervise"], &["SETGID"]),
            (&["pipelock"], &["SETGID"]),
        ] {
            let selected = rows.iter().filter(|row| names.contains(&row.name.as_str()));
            assert_eq!(needed_capabilities(selected), needed, "{names:?}");
        }
    }
}

#[test]
fn a_conflict_names_its_places_in_the_plan() {
    let plan: Value = serde_json::from_str(
        &std::fs::read_to_string(concat!(env!("CARGO_MANIFEST_DIR"), "/examples/full.plan.json")).unwrap(),
    )
    .unwrap();
    for (changes, places) in [
        (
            json!({ "egress": { "dns": ["192.0.2.1"] }, "pipelock": { "dns": ["192.0.2.2"] } }),
            &[("pipelock", "dns"), ("egress", "dns")][..],
        ),
        (
            json!({ "egress": { "labels": { "team": "a" } }, "supervise": { "labels": { "team": "b" } } }),
            &[("supervise", "team"), ("egress", "team")],
        ),
        (
            json!({
                "git-gate": { "volumes": [{ "source": "/srv/a", "target": "/data" }] },
                "supervise": { "volumes": [{ "source": "/srv/b", "target": "/data" }] }
            }),
            &[("supervise", "/data"), ("git-gate", "/data")],
        ),
        (
            json!({ "supervise": { "volumes": [{ "source": "/srv/a", "target": "/etc/pipelock" }] } }),
            &[("supervise", "/etc/pipelock")],
        ),
        (
            json!({ "isolation": "require", "git-gate": { "cap_add": ["SYS_ADMIN"] } }),
            &[("git-gate", "SYS_ADMIN")],
        ),
        (json!({ "supervise": { "ports": [{ "target": 9418 }] } }), &[("supervise", "ports")]),
        (json!({ "egress": { "ports": [{ "target": 9099 }] } }), &[("egress", "ports")]),
        (json!({ "egress": { "networks": { "internal": { "aliases": ["www"] } } } }), &[("egress", "www")]),
        (json!({ "agent": { "environment": { "X": "http://egress:9099" } } }), &[("agent", "X")]),
        (json!({ "supervise": { "environment": { "TZ": null } } }), &[("supervise", "TZ")]),
    ] {
        let mut asked = plan.clone();
        overlay(&mut asked, &changes);
        let asked = plan::read(&asked.to_string()).unwrap_or_else(|error| panic!("{changes}: {error}"));
        let conflict = bottle_bundle::render(&asked, &Images::default()).unwrap_err();
        assert_eq!(conflict.places(), places, "{changes}: {conflict}");
    }
    assert!(bottle_bundle::render(&plan::read(&plan.to_string()).unwrap(), &Images::default()).is_ok());
}

fn overlay(into: &mut Value, from: &Value) {
    match (into, from) {
        (Value::Object(into), Value::Object(from)) => {
            for (key, value) in from {
                overlay(into.entry(key).or_insert_with(|| json!({})), value);
            }
        }
        (into, from) => *into = from.clone(),
    }
}
