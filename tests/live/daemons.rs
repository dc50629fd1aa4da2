//! The bundle under plain `docker run`, and what a daemon that was taken over can do to its neighbours there.

use std::collections::BTreeMap;
use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::path::Path;

use crate::bottle::{docker, done, engine, project, until};

/// Takes the place of each daemon's program: tries to open what is its neighbours' and what is its own, and says how
/// it went, a line for each attempt.
const INTRUDER: &str = r"#!/usr/bin/env python3
import os, signal, socket
def daemons():
    found = []
    for pid in filter(str.isdigit, os.listdir('/proc')):
        try:
            with open(f'/proc/{pid}/stat') as stat: parent = stat.read().rsplit(')')[-1].split()[1]
        except OSError: continue
        if parent == '1': found.append(int(pid))
    return found
while len(daemons()) < 4: pass
def attempt(what, act):
    try: act(); print(what, 'open', flush=True)
    except OSError: print(what, 'closed', flush=True)
def read(path):
    with open(path, 'rb') as file: file.read(1)
for path in ['/etc/egress/routes.yaml', '/home/mitmproxy/.mitmproxy/key', '/etc/pipelock/ca-key.pem',
             '/etc/git-gate/pre-receive', '/git-gate/creds/id_ed25519', '/run/supervise/queue/note']:
    attempt(path, lambda: read(path))
def environ(pid): read(f'/proc/{pid}/environ')
def memory(pid):
    with open(f'/proc/{pid}/mem', 'r+b'): pass
def anyone(act):
    failed = None
    for pid in daemons():
        if pid == os.getpid(): continue
        try: return act(pid)
        except OSError as error: failed = error
    raise failed
attempt('environment', lambda: anyone(environ))
attempt('memory', lambda: anyone(memory))
attempt('signal', lambda: anyone(lambda pid: os.kill(pid, 0)))
attempt('init', lambda: read('/proc/1/environ'))
# The engine's own gateway refuses a port that nobody has; who may not dial does not get that far.
try: socket.create_connection((os.environ['GATEWAY'], 9), 5)
except PermissionError: print('dial', 'closed', flush=True)
except OSError: print('dial', 'open', flush=True)
print('finished', flush=True)
signal.pause()
";

/// The path of each daemon's program, and its private paths.
const DAEMONS: [(&str, &str, &[&str]); 4] = [
    ("egress", "/usr/local/bin/mitmdump", &["/etc/egress/routes.yaml", "/home/mitmproxy/.mitmproxy/key"]),
    ("pipelock", "/usr/local/bin/pipelock", &["/etc/pipelock/ca-key.pem"]),
    ("git-gate", "/git-gate-entrypoint.sh", &["/etc/git-gate/pre-receive", "/git-gate/creds/id_ed25519"]),
    ("supervise", "/app/supervise_server.py", &["/run/supervise/queue/note"]),
];

/// A container that is removed at the end.
struct Alone(&'static str);

impl Drop for Alone {
    fn drop(&mut self) {
        let _ = engine("docker").args(["rm", "--force", self.0]).output();
    }
}

/// Runs the bundle's image without Compose, with further words.
fn run(name: &'static str, folder: &Path, more: &[String]) -> Alone {
    let mounts = [
        ("routes.yaml", "/etc/egress/routes.yaml:ro"),
        ("ca", "/home/mitmproxy/.mitmproxy"),
        ("pipelock.yaml", "/etc/pipelock/pipelock.yaml:ro"),
        ("ca-key.pem", "/etc/pipelock/ca-key.pem:ro"),
        ("entrypoint.sh", "/git-gate-entrypoint.sh:ro"),
        ("pre-receive", "/etc/git-gate/pre-receive:ro"),
        ("access-hook", "/etc/git-gate/access-hook:ro"),
        ("id_ed25519", "/git-gate/creds/id_ed25519:ro"),
        ("queue", "/run/supervise/queue"),
    ];
    for name in ["ca", "queue"] {
        fs::create_dir(folder.join(name)).unwrap();
    }
    std::os::unix::fs::chown(folder.join("ca"), Some(1000), Some(1000)).unwrap();
    for script in ["entrypoint.sh", "pre-receive", "access-hook"] {
        fs::copy(project().join("bot_bottle/git_gate").join(script), folder.join(script)).unwrap();
    }
    fs::write(folder.join("routes.yaml"), "routes:\n  - host: origin\n").unwrap();
    fs::write(
        folder.join("pipelock.yaml"),
        "mode: strict\napi_allowlist: [origin]\nforward_proxy: {enabled: true}\n",
    )
    .unwrap();
    for file in ["ca-key.pem", "id_ed25519", "ca/key", "queue/note"] {
        fs::write(folder.join(file), "secret").unwrap();
    }
    let mut words: Vec<String> =
        ["run", "--detach", "--name", name, "--add-host", "egress:127.0.0.1"].map(str::to_owned).into();
    let taken = |target: &str| more.iter().any(|word| word.ends_with(target.trim_end_matches(":ro")));
    for (source, target) in mounts.into_iter().filter(|(_, target)| !taken(target)) {
        words.extend(["--volume".to_owned(), format!("{}:{target}", folder.join(source).display())]);
    }
    words.extend(more.iter().cloned());
    words.push("bot-bottle-sidecars".to_owned());
    let _ = engine("docker").args(["rm", "--force", name]).output();
    docker(&words.iter().map(String::as_str).collect::<Vec<_>>());
    Alone(name)
}

fn words(words: &[&str]) -> Vec<String> {
    words.iter().map(|word| (*word).to_owned()).collect()
}

#[test]
fn the_bundle_runs_without_compose() {
    let folder = tempfile::tempdir().unwrap();
    let more = words(&[
        "--env",
        "BOT_BOTTLE_SIDECAR_ISOLATION=require",
        "--env",
        "EGRESS_TOKEN_0=x",
        "--publish",
        "127.0.0.1::8888",
    ]);
    let bundle = run("bundle-alone", folder.path(), &more);
    let health = || docker(&["inspect", "--format", "{{.State.Health.Status}}", bundle.0]);
    until("every daemon listens", || health().trim() == "healthy");
    docker(&["stop", bundle.0]);
    assert_eq!(docker(&["inspect", "--format", "{{.State.ExitCode}}", bundle.0]).trim(), "0");
}

/// What each daemon's intruder found, by attempt: whether it was open.
fn intrude(name: &'static str, isolation: &str) -> BTreeMap<(String, String), bool> {
    let folder = tempfile::tempdir().unwrap();
    let mut more = words(&["--env", "GATEWAY=172.17.0.1", "--env"]);
    more.push(format!("BOT_BOTTLE_SIDECAR_ISOLATION={isolation}"));
    for (daemon, program, _) in DAEMONS {
        // A file each: one that is mounted twice is as private as the most private of its paths.
        let script = folder.path().join(daemon);
        fs::write(&script, INTRUDER).unwrap();
        fs::set_permissions(&script, fs::Permissions::from_mode(0o755)).unwrap();
        more.extend(["--volume".to_owned(), format!("{}:{program}", script.display())]);
    }
    let bundle = run(name, folder.path(), &more);
    let logs = || {
        let output = done(engine("docker").args(["logs", bundle.0]));
        String::from_utf8([output.stdout, output.stderr].concat()).unwrap()
    };
    until("every intruder is done", || logs().matches("] finished").count() == DAEMONS.len());
    let attempt = |line: &str| {
        let (daemon, rest) = line.strip_prefix('[')?.split_once("] ")?;
        let (what, how) = rest.rsplit_once(' ')?;
        matches!(how, "open" | "closed").then(|| ((daemon.to_owned(), what.to_owned()), how == "open"))
    };
    logs().lines().filter_map(attempt).collect()
}

#[test]
fn a_daemon_that_was_taken_over_gets_at_nothing_of_its_neighbours() {
    let walled = intrude("intruded-walled", "require");
    let open = intrude("intruded-open", "off");
    let found = |all: &BTreeMap<(String, String), bool>, daemon: &str, what: &str| {
        *all.get(&(daemon.to_owned(), what.to_owned())).unwrap_or_else(|| panic!("{daemon} {what}: {all:#?}"))
    };
    for (daemon, ..) in DAEMONS {
        for (owner, _, paths) in DAEMONS {
            for path in paths {
                assert_eq!(found(&walled, daemon, path), daemon == owner, "{daemon} and {path}");
                // Without walls root opens everything: the attempt itself is a real one.
                assert!(
                    daemon == "egress" || found(&open, daemon, path),
                    "{daemon} and {path} without walls"
                );
            }
        }
        for what in ["environment", "memory", "signal", "init"] {
            assert!(!found(&walled, daemon, what), "{daemon} and {what}");
        }
        // supervise had no way out on its own either (docs/incidents.md#i16).
        assert_eq!(found(&walled, daemon, "dial"), daemon != "supervise", "{daemon} dials");
        assert!(found(&open, daemon, "dial"), "{daemon} dials without walls");
    }
    for what in ["environment", "signal"] {
        assert!(found(&open, "pipelock", what), "{what} without walls");
    }
}
