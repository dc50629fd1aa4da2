//! The incidents of docs/incidents.md, on running bottles. Neither shape shows them, and the mistake that caused each
//! one brings it back. Names of tests begin with the numbers of their incidents.

mod changes;
mod symptoms;

use std::collections::BTreeSet;
use std::fs;
use std::process::Stdio;

use bottle_model::daemon::{self, Chain};
use bottle_model::table;
use serde_yaml::Value;

use crate::bottle::{Bottle, DIAL, Shape, docker, engine, project, until};
use changes::{TABLE, alter, broken, mount, push, reported, with_table, yaml};
use symptoms::{
    allow, allowed, asking, fresh, given_ca, having, heard_meanwhile, outlives, process, replace, resolving,
    signal, trusting,
};

/// The origin's answer to a request that both proxies let through.
const PASSED: &str = "shown Bearer tok-0f7QmZ2xLp9rVw4cKd81";

fn met(bottle: Bottle) -> Bottle {
    bottle.start();
    bottle.meet_origin();
    bottle
}

/// Checks that neither shape shows an incident.
fn spared(bottle: &Bottle) {
    assert_eq!(trusting(bottle, &given_ca(bottle)), PASSED, "egress found its CA");
    let own = fs::read_to_string(bottle.at("origin/cert.pem")).unwrap();
    assert!(trusting(bottle, &own).contains("CERTIFICATE_VERIFY_FAILED"), "the CA makes the difference");
    assert_eq!(asking(bottle), PASSED, "the second proxy answers and sees no token");
    assert_eq!(having(bottle, "HTTPS_PROXY"), BTreeSet::from(["egress"]));
    assert_eq!(having(bottle, "EGRESS_TOKEN_0"), BTreeSet::from(["egress"]));

    allow(bottle, false);
    assert!(allowed(bottle), "nobody was told yet");
    let egress = bottle.container("egress");
    docker(&["kill", "--signal", "HUP", &egress]);
    until("the new routes apply", || !allowed(bottle));
    allow(bottle, true);
    docker(&["kill", "--signal", "HUP", &egress]);
    until("the old routes hold again", || allowed(bottle));

    let before = process(bottle, "pipelock");
    let pipelock = bottle.container("pipelock");
    let restart: &[&str] = match bottle.shape {
        Shape::Legacy => &["restart", &pipelock],
        Shape::Bundle => &["exec", &pipelock, "sidecar-init", "restart", "pipelock"],
    };
    assert_eq!(outlives(bottle, restart), "True", "the connection to supervise survives");
    assert_ne!(before, process(bottle, "pipelock"));
}

fn health(bottle: &Bottle) -> String {
    let format = "{{.State.Health.Status}}";
    docker(&["inspect", "--format", format, &bottle.sidecars()]).trim().to_owned()
}

fn exit_code(bottle: &Bottle) -> String {
    docker(&["inspect", "--format", "{{.State.ExitCode}}", &bottle.sidecars()]).trim().to_owned()
}

#[test]
fn the_legacy_shape_is_spared() {
    let bottle = met(Bottle::rendered("spared", "egress-first", Shape::Legacy));
    spared(&bottle);
    assert_eq!(resolving(&bottle, "forge"), BTreeSet::from(["git-gate"]));
}

#[test]
fn the_bundle_is_spared() {
    let bottle = met(Bottle::rendered("spared", "egress-first", Shape::Bundle));
    spared(&bottle);

    // docs/incidents.md#i12: a restart that takes its whole time blocks nothing else.
    let restart = || {
        let mut asking = engine("docker");
        asking.args(["exec", &bottle.sidecars(), "sidecar-init", "restart", "git-gate"]);
        asking.stdout(Stdio::piped()).spawn().unwrap()
    };
    let mut asked = Vec::new();
    assert!(heard_meanwhile(&bottle, || asked.push(restart())), "a restart blocks the init");
    assert_eq!(bottle.status().len(), 4);
    for restart in asked {
        let answer = restart.wait_with_output().unwrap();
        assert!(String::from_utf8(answer.stdout).unwrap().starts_with("git-gate runs as process"));
    }

    // docs/incidents.md#i11: the others go on without a dead daemon, and the container turns unhealthy.
    until("all is well after the restart", || health(&bottle) == "healthy");
    let others = ["egress", "pipelock", "supervise"].map(|daemon| (daemon, process(&bottle, daemon)));
    signal(&bottle, "git-gate", "KILL");
    until("a dead daemon makes the container unhealthy", || health(&bottle) == "unhealthy");
    assert_eq!(others, others.map(|(daemon, _)| (daemon, process(&bottle, daemon))));
    assert_eq!((asking(&bottle), bottle.agent(DIAL, &["sidecars", "9100"])), (PASSED.into(), "open".into()));
    docker(&["stop", &bottle.sidecars()]);
    assert_eq!(exit_code(&bottle), "137", "git-gate was killed, and not by the stop");
    docker(&["start", &bottle.sidecars()]);
    until("all is well after a start", || health(&bottle) == "healthy");
    docker(&["stop", &bottle.sidecars()]);
    assert_eq!(exit_code(&bottle), "0", "every daemon obeyed the stop");
}

#[test]
fn i1_comes_back_with_roots_home() {
    let bottle = Bottle::rendered("i1", "egress-first", Shape::Bundle);
    // No daemon may write to a home that several share, unless its row says so.
    let roots = "home = \"/root\"\nwritable = [\"/root\"]\n";
    let own = "user = \"mitmproxy\"\nhome = \"/home/mitmproxy\"\n";
    let expect = ["user-changed egress user", "home-changed egress HOME"];
    broken(&bottle, || with_table(&bottle, own, roots), &expect);
    let bottle = met(bottle);
    let refused = trusting(&bottle, &given_ca(&bottle));
    assert!(refused.contains("CERTIFICATE_VERIFY_FAILED"), "{refused}");
    let minted = docker(&["exec", &bottle.sidecars(), "cat", "/root/.mitmproxy/mitmproxy-ca-cert.pem"]);
    assert_eq!(trusting(&bottle, &minted), PASSED);
}

#[test]
fn i2_and_i3_come_back_without_the_address_and_the_lists() {
    let bottle = Bottle::rendered("i2", "egress-first", Shape::Bundle);
    let change = || {
        with_table(&bottle, ", \"--listen\", \"127.0.0.1:8888\"", "");
        alter(&bottle, |sidecars| {
            // docs/incidents.md#i2: the hop's name is an alias, as in the legacy shape, and not loopback.
            sidecars["extra_hosts"].as_mapping_mut().unwrap().remove("pipelock").unwrap();
            push(&mut sidecars["networks"]["internal"]["aliases"], "pipelock");
            // docs/incidents.md#i3: one environment for all.
            let environment = sidecars["environment"].as_mapping_mut().unwrap();
            environment.retain(|name, _| !name.as_str().unwrap().starts_with("BOT_BOTTLE_SIDECAR_ENV"));
        });
    };
    let expect = [
        "argv-changed pipelock argv",
        "reach-lost egress name pipelock",
        "env-scope-widened git-gate HTTPS_PROXY",
    ];
    broken(&bottle, change, &expect);
    let bottle = met(bottle);
    let refused = asking(&bottle);
    assert!(refused.starts_with("502") && refused.contains("8888"), "{refused}");
    assert_eq!(having(&bottle, "HTTPS_PROXY").len(), 4);
    // The tokens have no need of a list.
    assert_eq!(having(&bottle, "EGRESS_TOKEN_0"), BTreeSet::from(["egress"]));
}

#[test]
fn i4_i6_i7_and_i11_to_i13_come_back_with_a_first_sketch_of_an_init() {
    let bottle = Bottle::rendered("sketch", "egress-first", Shape::Bundle);
    let source = project().join("tests/live/incidents/init.py");
    let probe = "import socket; [socket.create_connection(('127.0.0.1', port), 1) for port in (8888, 9099, 9418, 9100)]";
    let change = |sidecars: &mut Value| {
        sidecars["entrypoint"] = yaml("[python3, /init.py]");
        push(&mut sidecars["volumes"], &mount(&bottle, source.to_str().unwrap(), "/init.py"));
        sidecars["healthcheck"]["test"] = yaml(&format!("[CMD, python3, -c, \"{probe}\"]"));
    };
    let expect = [
        "env-scope-widened pipelock EGRESS_TOKEN_0",
        "signal-path-lost egress reload signal",
        "restart-scope-widened supervise restart",
    ];
    broken(&bottle, || alter(&bottle, change), &expect);
    let bottle = met(bottle);
    assert_eq!(asking(&bottle), "403 blocked: request header contains secret");

    // docs/incidents.md#i6: PID 1 has no handler for HUP; egress itself has one.
    allow(&bottle, false);
    docker(&["kill", "--signal", "HUP", &bottle.sidecars()]);
    assert!((0..5).all(|_| allowed(&bottle)), "the old routes still apply");
    signal(&bottle, "egress", "HUP");
    until("the new routes hold", || !allowed(&bottle));

    let usr1 = ["kill", "--signal", "USR1", &bottle.sidecars()];
    assert!(!heard_meanwhile(&bottle, || drop(docker(&usr1))), "the restart does not block the init");

    // docs/incidents.md#i7: nobody can restart one daemon.
    let restart = ["exec", &bottle.sidecars(), "sidecar-init", "restart", "pipelock"];
    assert!(!engine("docker").args(restart).output().unwrap().status.success());
    assert!(outlives(&bottle, &["restart", &bottle.sidecars()]).starts_with("lost"));
    until("all is well after the restart", || health(&bottle) == "healthy");

    assert_eq!(bottle.agent(DIAL, &["sidecars", "9100"]), "open");
    signal(&bottle, "git-gate", "KILL");
    until("one death ends all", || bottle.agent(DIAL, &["sidecars", "9100"]) == "closed");
    let running = || docker(&["inspect", "--format", "{{.State.Running}}", &bottle.sidecars()]);
    until("the container has ended", || running().trim() == "false");
    assert_eq!(exit_code(&bottle), "0", "a crash looks like a graceful stop");
}

#[test]
fn i8_is_what_one_container_costs() {
    let bottle = Bottle::up("i8", "pipelock-first", Shape::Bundle);
    assert_eq!(resolving(&bottle, "forge").len(), 4);
    let found = reported(&bottle);
    for daemon in ["egress", "pipelock", "supervise"] {
        assert!(found.contains(&format!("hosts-scope-widened {daemon} forge")), "{found:#?}");
    }
    assert!(!found.contains("hosts-scope-widened git-gate forge"));
}

#[test]
fn i10_a_file_goes_stale_and_its_folder_does_not() {
    let bottle = Bottle::up("i10", "egress-first", Shape::Bundle);
    let inside = "/etc/egress/routes.yaml";
    assert!(fresh(&bottle, "routes.yaml", inside));
    replace(&bottle, "routes.yaml");
    assert!(!fresh(&bottle, "routes.yaml", inside));
    let (drift, _) = bottle.findings(&["--running", "plan.json"]);
    assert!(drift.contains(&format!("mount-source-changed egress {inside}")), "{drift:#?}");

    fs::create_dir(bottle.at("egress")).unwrap();
    fs::rename(bottle.at("routes.yaml"), bottle.at("egress/routes.yaml")).unwrap();
    // A place for what is mounted below.
    fs::write(bottle.at("egress/upstream-ca.pem"), "").unwrap();
    alter(&bottle, |sidecars| {
        let mounts = sidecars["volumes"].as_sequence_mut().unwrap();
        mounts.retain(|mount| mount["target"] != inside);
        mounts.push(yaml(&mount(&bottle, "egress", "/etc/egress")));
    });
    bottle.start();
    assert!(fresh(&bottle, "egress/routes.yaml", inside));
    replace(&bottle, "egress/routes.yaml");
    assert!(fresh(&bottle, "egress/routes.yaml", inside));
}

#[test]
fn the_checker_knows_a_way_out_for_supervise() {
    // Whether it can be gone is tried in `daemons` (docs/incidents.md#i16).
    let bottle = Bottle::rendered("i16", "egress-first", Shape::Bundle);
    let change = || {
        alter(&bottle, |sidecars| sidecars["environment"]["BOT_BOTTLE_SIDECAR_ISOLATION"] = "off".into());
    };
    broken(&bottle, change, &[&format!("internet-gained supervise bot-bottle-egress-{}", bottle.slug)]);
}

#[test]
fn the_table_of_these_tests_is_the_built_in_one() {
    assert_eq!(table::read(TABLE).unwrap(), daemon::table(Chain::EgressFirst));
}
