//! What a bottle does on a real engine, in both shapes and both chains.

use std::fs;
use std::os::unix::fs::MetadataExt;
use std::path::PathBuf;

use crate::bottle::{ASK, Bottle, DECIDER, DIAL, PROPOSE, Shape, docker, done, engine, until};

fn with_origin(chain: &str, shape: Shape) -> Bottle {
    let bottle = Bottle::up(chain, chain, shape);
    bottle.meet_origin();
    bottle
}

/// What every bottle does, whatever its shape.
fn works(bottle: &Bottle, chain: &str) {
    let services = bottle.services();
    let count = if bottle.shape == Shape::Legacy { 5 } else { 2 };
    assert_eq!(services.len(), count, "{services:#?}");
    for service in services.iter().filter(|service| service["Service"] != "agent") {
        assert_eq!(service["Health"], "healthy", "{service}");
    }
    let published: Vec<(&str, u64)> = services
        .iter()
        .flat_map(|service| {
            let ports = service["Publishers"].as_array().into_iter().flatten();
            ports.filter(|port| port["PublishedPort"] != 0).map(|port| {
                assert_eq!(port["URL"], "127.0.0.1", "{port}");
                (service["Service"].as_str().unwrap(), port["TargetPort"].as_u64().unwrap())
            })
        })
        .collect();
    let first = if chain == "egress-first" { ("egress", 9099) } else { ("pipelock", 8888) };
    let expected = if bottle.shape == Shape::Legacy {
        // supervise is on an internal network only.
        vec![first, ("git-gate", 9418)]
    } else {
        vec![("sidecars", first.1), ("sidecars", 9100), ("sidecars", 9418)]
    };
    let sorted = |mut ports: Vec<(&str, u64)>| {
        ports.sort_unstable();
        ports.into_iter().map(|(name, port)| (name.to_owned(), port)).collect::<Vec<_>>()
    };
    assert_eq!(sorted(published), sorted(expected));

    let shown = bottle.agent(ASK, &["http://origin:8000/"]);
    if chain == "egress-first" {
        assert_eq!(shown, "shown Bearer tok-0f7QmZ2xLp9rVw4cKd81");
    } else {
        // What passes pipelock alone carries no token.
        assert_eq!(shown, "shown Bearer of-the-agent");
    }
    assert_eq!(bottle.agent(ASK, &["http://elsewhere.example/"]), "403");
    assert!(bottle.agent(PROPOSE, &[]).contains("result"));
    let queue: Vec<PathBuf> =
        fs::read_dir(bottle.at("queue")).unwrap().map(|entry| entry.unwrap().path()).collect();
    let [proposal] = &queue[..] else { panic!("{queue:?}") };
    assert!(fs::read_to_string(proposal).unwrap().contains("a host"));
    let found = fs::metadata(proposal).unwrap();
    assert_eq!((found.uid(), found.gid(), found.mode()), (0, DECIDER, 0o100_644), "alike in both shapes");
    crate::escapes::fail(bottle);
    crate::attacks::fail(bottle, chain);
}

/// What only the bundle has to show.
fn holds(bottle: &Bottle, chain: &str) {
    let hop = if chain == "egress-first" { "8888" } else { "9099" };
    assert_eq!(bottle.agent(DIAL, &["sidecars", hop]), "closed");
    assert_eq!(bottle.agent(DIAL, &["sidecars", "9418"]), "open");

    let logs = done(engine("docker").args(["logs", &bottle.sidecars()]));
    let logs = String::from_utf8([logs.stdout, logs.stderr].concat()).unwrap();
    assert!(logs.lines().all(|line| line.starts_with('[')), "{logs}");
    // mitmdump says nothing before its first request.
    for daemon in ["pipelock", "git-gate", "supervise"] {
        let head = format!("[{daemon}] ");
        assert!(logs.lines().any(|line| line.starts_with(&head)), "{daemon}: {logs}");
    }
    let before = bottle.status();
    assert_eq!(before.len(), 4, "{before:#?}");
    docker(&["exec", &bottle.sidecars(), "sidecar-init", "signal", "git-gate", "KILL"]);
    let health = || docker(&["inspect", "--format", "{{.State.Health.Status}}", &bottle.sidecars()]);
    until("a dead daemon turns the container unhealthy", || health().trim() == "unhealthy");
    let after = bottle.status();
    assert_eq!(after.len(), 4, "{after:#?}");
    for daemon in after.iter().filter(|daemon| daemon["name"] != "git-gate") {
        let was = before.iter().find(|was| was["name"] == daemon["name"]).unwrap();
        assert_eq!(was["pid"], daemon["pid"], "{daemon}");
    }
    docker(&["exec", &bottle.sidecars(), "sidecar-init", "restart", "git-gate"]);
    until("a restarted daemon makes it healthy", || health().trim() == "healthy");
    docker(&["stop", &bottle.sidecars()]);
    assert_eq!(docker(&["inspect", "--format", "{{.State.ExitCode}}", &bottle.sidecars()]).trim(), "0");
}

#[test]
fn the_legacy_shape_runs_with_pipelock_first() {
    works(&with_origin("pipelock-first", Shape::Legacy), "pipelock-first");
}

#[test]
fn the_legacy_shape_runs_with_egress_first() {
    works(&with_origin("egress-first", Shape::Legacy), "egress-first");
}

#[test]
fn the_bundle_runs_and_holds_with_pipelock_first() {
    let bottle = with_origin("pipelock-first", Shape::Bundle);
    works(&bottle, "pipelock-first");
    holds(&bottle, "pipelock-first");
}

#[test]
fn the_bundle_runs_and_holds_with_egress_first() {
    let bottle = with_origin("egress-first", Shape::Bundle);
    works(&bottle, "egress-first");
    holds(&bottle, "egress-first");
}
