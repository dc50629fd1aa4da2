//! `diff --running` of bottles that run as rendered, and after somebody changed them by hand.

use std::collections::BTreeSet;
use std::fs;
use std::process::Command;

use serde_json::{Value, json};

use crate::bottle::{Bottle, Shape, docker, done, engine, project};

fn findings(bottle: &Bottle) -> (BTreeSet<String>, i32) {
    bottle.findings(&["--running", "plan.json"])
}

fn as_rendered(bottle: &Bottle) {
    assert_eq!(findings(bottle), (BTreeSet::new(), 0));
}

/// After a change there are these findings, among others that come of them.
fn drifted(bottle: &Bottle, expect: &[&str]) {
    let (found, code) = findings(bottle);
    for finding in expect {
        assert!(found.contains(*finding), "{finding}: {found:#?}");
    }
    assert_eq!(code, 1);
}

/// Starts services again with an override.
fn changed(bottle: &Bottle, services: &Value) {
    let file = bottle.at("drift.yaml");
    fs::write(&file, json!({ "services": services }).to_string()).unwrap();
    let mut compose = bottle.compose();
    done(compose.arg("--file").arg(file).args(["up", "--detach"]));
}

#[test]
fn drift_of_a_bundle_is_found() {
    let bottle = Bottle::up("drift", "egress-first", Shape::Bundle);
    as_rendered(&bottle);
    let (agent, outside) =
        (format!("bot-bottle-{}", bottle.slug), format!("bot-bottle-egress-{}", bottle.slug));
    let inside = format!("bot-bottle-internal-{}", bottle.slug);

    docker(&["network", "connect", &outside, &agent]);
    drifted(
        &bottle,
        &[&format!("agent-network-added agent {outside}"), &format!("internet-gained agent {outside}")],
    );
    docker(&["network", "disconnect", &outside, &agent]);
    as_rendered(&bottle);

    let stranger = format!("stranger-{}", bottle.slug);
    docker(&[
        "run",
        "--detach",
        "--rm",
        "--name",
        &stranger,
        "--network",
        &inside,
        "bottle-live/debian",
        "sleep",
        "99",
    ]);
    let name = format!("container {stranger}");
    drifted(&bottle, &[&format!("service-unmapped {name} {name}")]);
    docker(&["rm", "--force", &stranger]);
    as_rendered(&bottle);

    // An editor writes a new file and renames it; the container keeps the old one.
    let routes = bottle.at("routes.yaml");
    let text = fs::read_to_string(&routes).unwrap();
    fs::write(bottle.at("routes.new"), text).unwrap();
    fs::rename(bottle.at("routes.new"), &routes).unwrap();
    drifted(&bottle, &["mount-source-changed egress /etc/egress/routes.yaml"]);
    docker(&["restart", &bottle.sidecars()]);
    done(bottle.compose().args(["up", "--detach", "--wait"]));
    as_rendered(&bottle);

    docker(&["exec", &bottle.sidecars(), "sidecar-init", "signal", "git-gate", "KILL"]);
    crate::bottle::until("git-gate is dead", || {
        bottle.status().iter().any(|daemon| daemon["name"] == "git-gate" && daemon["state"] == "dead")
    });
    drifted(&bottle, &["daemon-set-mismatch git-gate git-gate"]);
    docker(&["exec", &bottle.sidecars(), "sidecar-init", "restart", "git-gate"]);

    changed(
        &bottle,
        &json!({
            "sidecars": {
                "environment": { "EXTRA": "1", "SUPERVISE__MORE": "1", "BOT_BOTTLE_SIDECAR_ISOLATION": "best-effort" },
                "ports": ["0.0.0.0::9418"],
            },
            "agent": { "volumes": ["/etc:/host:ro"], "user": "65534", "cap_add": ["SYS_PTRACE"] },
        }),
    );
    drifted(
        &bottle,
        &[
            // No list names the one, and the other is addressed.
            "shape-unexpected  EXTRA",
            "env-scope-widened supervise MORE",
            "isolation-weakened egress best-effort",
            "port-added git-gate 9418/tcp",
            "mount-unexpected agent /host",
            "user-changed agent user",
            "cap-gained agent SYS_PTRACE",
        ],
    );
}

#[test]
fn drift_of_the_legacy_shape_is_found() {
    let bottle = Bottle::up("drift", "pipelock-first", Shape::Legacy);
    as_rendered(&bottle);
    docker(&["stop", &format!("bot-bottle-supervise-{}", bottle.slug)]);
    drifted(&bottle, &["daemon-set-mismatch supervise supervise"]);
    changed(
        &bottle,
        &json!({
            "egress": { "user": "root" },
            "pipelock": { "command": ["run", "--config", "/etc/pipelock/pipelock.yaml"] },
        }),
    );
    drifted(
        &bottle,
        &[
            "user-changed egress user",
            "home-changed egress HOME",
            "listen-address-changed pipelock listen address",
        ],
    );
}

#[test]
fn what_cannot_be_asked_is_said_once_and_is_no_finding() {
    let folder = tempfile::tempdir().unwrap();
    let plan = project().join("examples/full.plan.json");
    let check = |mut command: Command, expect: &str| {
        let output =
            command.args(["diff", "--running"]).arg(&plan).current_dir(folder.path()).output().unwrap();
        let said = String::from_utf8(output.stderr).unwrap();
        assert_eq!(output.status.code(), Some(2), "{said}");
        assert!(said.starts_with("error: ") && said.contains(expect), "{said}");
        assert_eq!(said.matches("error: ").count(), 1, "{said}");
    };
    let program = env!("CARGO_BIN_EXE_bottle-migrate");
    check(engine(program), "no such bottle");
    let mut mute = Command::new(program);
    mute.env("DOCKER_HOST", "unix:///nowhere/docker.sock");
    check(mute, "docker ps failed");
    let mut without = Command::new(program);
    without.env("PATH", folder.path());
    check(without, "docker command is not installed");
}
