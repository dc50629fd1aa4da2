//! What an engine printed of a bottle that runs as its plan says, and what each drift in it is found as.

use std::collections::{BTreeMap, BTreeSet};

use bottle_model::compose::Compose;
use bottle_model::daemon::{Daemon, Listen};
use bottle_model::images::Images;
use bottle_model::status::{DaemonStatus, Status};
use serde_json::{Value, json};

use super::inspect::{Image, Network};
use super::process::{self, Observed, Process, Reality};
use super::{Scene, document, expected, observe};
use crate::view::{Roles, View};

fn recorded() -> Value {
    serde_json::from_str(include_str!("../../tests/fixtures/running/bundle.json")).unwrap()
}

fn scene(recorded: &Value) -> Scene {
    fn part<T: serde::de::DeserializeOwned>(recorded: &Value, name: &str) -> T {
        serde_json::from_value(recorded[name].clone()).unwrap()
    }
    let images: Vec<Image> = part(recorded, "images");
    Scene {
        containers: part(recorded, "containers"),
        networks: part::<Vec<Network>>(recorded, "networks"),
        volumes: part(recorded, "volumes"),
        images: images.into_iter().map(|image| (image.id, image.config.unwrap_or_default())).collect(),
        engine: part(recorded, "engine"),
        ..Scene::default()
    }
}

/// Findings as `rule principal subject`.
fn findings(scene: &Scene) -> BTreeSet<String> {
    let plan =
        bottle_model::plan::read(include_str!("../../tests/fixtures/running/bundle.plan.json")).unwrap();
    let images = Images::default();
    let roles = Roles::builtin(&images);
    let asked: Compose = bottle_bundle::render(&plan, &images).unwrap();
    let project = asked.project.clone().unwrap();
    let running = document(scene, &asked);
    let asked = expected(asked, scene, |service| roles.knows(service)).into();
    let before = View::of(&asked, &roles);
    let mut after = View::of(&running, &roles);
    observe(&mut after, scene, &project, plan.hop().map(Daemon::name));
    crate::aspects::compare(&before, &after)
        .into_iter()
        .map(|finding| format!("{} {} {}", finding.rule.id, finding.principal, finding.subject))
        .collect()
}

/// The recorded bottle with other things in some places, as JSON pointers; the agent is container 0, the daemons 1.
fn drift(changes: &[(&str, Value)], expect: &str) {
    let mut recorded = recorded();
    for (place, value) in changes {
        let (parent, key) = place.rsplit_once('/').unwrap();
        let key = key.replace("~1", "/");
        match recorded.pointer_mut(parent).unwrap() {
            Value::Array(items) => items.push(value.clone()),
            parent => parent[key] = value.clone(),
        }
    }
    let found = findings(&scene(&recorded));
    assert!(found.contains(expect), "{expect} of {changes:?}: {found:#?}");
}

#[test]
fn a_bottle_that_runs_as_planned_has_no_finding() {
    assert_eq!(findings(&scene(&recorded())), BTreeSet::new());
}

#[test]
fn what_could_not_be_looked_into_is_named() {
    let mut scene = scene(&recorded());
    assert_eq!(scene.unseen().count(), 0, "nothing runs");
    let ids: Vec<(String, i32)> =
        scene.containers.iter().map(|container| (container.id.clone(), container.state.pid)).collect();
    for (id, _) in &ids {
        scene.observed.insert(id.clone(), Observed::default());
    }
    assert_eq!(scene.unseen().count(), ids.len());
    for (id, pid) in &ids {
        let variables = Some(BTreeSet::new());
        let first = Process { pid: *pid, argv: Some(Vec::new()), variables, ..Process::default() };
        let seen = Observed { processes: vec![first], mounts: Some(BTreeMap::new()), ..Observed::default() };
        scene.observed.insert(id.clone(), seen);
    }
    assert_eq!(scene.unseen().count(), 0, "all are seen");
}

#[test]
fn every_drift_is_found() {
    let (agent, daemons) = ("/containers/0", "/containers/1");
    let bind = json!({ "Type": "bind", "Source": "/etc", "Destination": "/host", "RW": true });
    for (place, value, expect) in [
        (format!("{agent}/Config/User"), json!("0"), "user-changed agent user"),
        (format!("{agent}/Config/Entrypoint"), json!(["sh"]), "argv-changed agent argv"),
        (format!("{agent}/Config/WorkingDir"), json!(""), "workdir-changed agent working directory"),
        (format!("{agent}/Config/Env/-"), json!("NEW=1"), "env-scope-widened agent NEW"),
        (format!("{agent}/Config/Env"), json!([]), "env-dropped agent HTTPS_PROXY"),
        (format!("{agent}/Mounts/-"), bind, "mount-unexpected agent /host"),
        (format!("{agent}/Mounts"), json!([]), "mount-dropped agent /q"),
        (format!("{agent}/Mounts/0/Source"), json!("/srv/other"), "mount-source-changed agent /q"),
        (format!("{agent}/Mounts/2/RW"), json!(true), "mount-ro-to-rw agent /data"),
        (format!("{agent}/HostConfig/Privileged"), json!(true), "privileged-gained agent privileged"),
        (
            format!("{agent}/HostConfig/CapAdd"),
            json!(["CAP_NET_RAW", "CAP_SYS_ADMIN"]),
            "cap-gained agent SYS_ADMIN",
        ),
        (format!("{agent}/HostConfig/CapDrop"), Value::Null, "cap-drop-lost agent MKNOD"),
        (
            format!("{agent}/HostConfig/SecurityOpt"),
            Value::Null,
            "security-opt-lost agent no-new-privileges=true",
        ),
        (
            format!("{agent}/HostConfig/MaskedPaths"),
            json!([]),
            "security-opt-lost agent systempaths=unconfined",
        ),
        (format!("{agent}/HostConfig/ReadonlyRootfs"), json!(false), "rootfs-writable agent read_only"),
        (format!("{agent}/HostConfig/Memory"), json!(0), "limit-collapsed agent mem_limit"),
        (format!("{agent}/HostConfig/PidMode"), json!("host"), "network-mode-shared agent pid"),
        (format!("{agent}/HostConfig/NetworkMode"), json!("host"), "network-mode-shared agent network_mode"),
        (
            format!("{agent}/HostConfig/Unheard"),
            json!("of"),
            "attribute-unmodelled agent services.agent.Unheard",
        ),
        (format!("{agent}/HostConfig/ExtraHosts"), json!([]), "hosts-lost agent a.b"),
        (format!("{agent}/State/Running"), json!(false), "daemon-set-mismatch agent agent"),
        (format!("{agent}/Image"), json!("sha256:0"), "image-pin-changed agent image"),
        (
            format!("{agent}/NetworkSettings/Networks/bot-bottle-egress-rich"),
            json!({ "Aliases": null }),
            "agent-network-added agent bot-bottle-egress-rich",
        ),
        (format!("{daemons}/Config/Entrypoint"), json!(["/bin/sh"]), "restart-scope-widened egress restart"),
        (format!("{daemons}/Config/Healthcheck"), Value::Null, "health-weakened egress health"),
        (
            format!("{daemons}/HostConfig/PortBindings/8888~1tcp"),
            json!([{ "HostIp": "", "HostPort": "" }]),
            "port-host-ip-widened pipelock 8888/tcp",
        ),
        (format!("{daemons}/NetworkSettings/Ports/8888~1tcp"), Value::Null, "port-dropped pipelock 8888/tcp"),
        (
            format!("{daemons}/NetworkSettings/Ports/22~1tcp"),
            json!([{ "HostIp": "0.0.0.0", "HostPort": "2222" }]),
            "port-added egress 22/tcp",
        ),
        ("/networks/0/Internal".to_owned(), json!(false), "network-internal-lost  bot-bottle-internal-rich"),
    ] {
        let ids = format!("{agent}/Image");
        // Only a reference that is in use tells that a container is of old.
        if place == ids {
            let mut scene = scene(&recorded());
            scene.ids.insert("bot-bottle-git-gate".to_owned(), "sha256:newer".to_owned());
            assert!(findings(&scene).contains(expect), "{:#?}", findings(&scene));
        } else {
            drift(&[(&place, value)], expect);
        }
    }
}

#[test]
fn a_stranger_in_the_bottles_networks_is_found() {
    let mut recorded = recorded();
    let mut stranger = recorded["containers"][0].clone();
    stranger["Id"] = json!("f".repeat(64));
    stranger["Name"] = json!("/sidecars");
    stranger["Config"]["Labels"] = Value::Null;
    recorded["containers"].as_array_mut().unwrap().push(stranger);
    let found = findings(&scene(&recorded));
    assert_eq!(found, BTreeSet::from(["service-unmapped container sidecars container sidecars".to_owned()]));
}

/// The daemons' container as its processes show it when all is well.
fn observed() -> Observed {
    let argv = |line: &str| Some(line.split(' ').map(str::to_owned).collect());
    let process = |inner: i32, user, line: &str, listen: Listen, variables: &[&str]| Process {
        pid: 1000 + inner,
        parent: 1000,
        user,
        inner: Some(inner),
        argv: argv(line),
        variables: Some(variables.iter().copied().chain(["PATH", "HOME"]).map(str::to_owned).collect()),
        listening: Some([listen].into()),
    };
    let egress = "python3 /usr/local/bin/mitmdump --mode regular --listen-host 127.0.0.1 --listen-port 9099 \
                  --scripts /app/egress_addon.py";
    let pipelock = "/usr/local/bin/pipelock run --config /etc/pipelock/pipelock.yaml --listen 0.0.0.0:8888";
    let daemon = |(at, name): (usize, &str)| DaemonStatus {
        name: name.to_owned(),
        pid: i32::try_from(at + 10).ok(),
        state: "running".to_owned(),
        ..DaemonStatus::default()
    };
    Observed {
        processes: vec![
            process(10, 1000, egress, Listen::loopback(9099), &["EGRESS_TOKEN_0"]),
            process(11, 0, pipelock, Listen::any(8888), &["PLANTED"]),
            process(
                12,
                0,
                "git-daemon --verbose",
                Listen::any(9418),
                &["GIT_GATE_UPSTREAMS", "GIT_EXEC_PATH"],
            ),
            process(13, 0, "python3 /app/supervise_server.py", Listen::any(9100), &[]),
        ],
        users: [("mitmproxy".to_owned(), 1000)].into(),
        mounts: None,
        init: Some(Ok(Status {
            isolation: "require".to_owned(),
            daemons: ["egress", "pipelock", "git-gate", "supervise"]
                .into_iter()
                .enumerate()
                .map(daemon)
                .collect(),
        })),
    }
}

fn init(observed: &mut Observed) -> &mut Status {
    observed.init.as_mut().unwrap().as_mut().unwrap()
}

#[test]
fn processes_are_held_to_what_was_predicted_of_them() {
    let check = |change: &dyn Fn(&mut Observed), expect: &[&str]| {
        let mut scene = scene(&recorded());
        let mut observed = observed();
        change(&mut observed);
        scene.observed.insert(scene.containers[1].id.clone(), observed);
        let expect: BTreeSet<String> = expect.iter().map(|text| (*text).to_owned()).collect();
        assert_eq!(findings(&scene), expect);
    };
    check(&|_| {}, &[]);
    check(&|observed| observed.processes[0].user = 0, &["user-changed egress user"]);
    check(
        &|observed| observed.processes[1].argv = Some(vec!["pipelock".to_owned(), "run".to_owned()]),
        &["argv-changed pipelock argv"],
    );
    check(
        &|observed| observed.processes[1].listening = Some([Listen::loopback(8888)].into()),
        &["listen-address-changed pipelock listen address"],
    );
    check(
        &|observed| observed.processes[0].listening = Some([Listen::any(9099)].into()),
        &["reach-gained agent egress:9099"],
    );
    check(
        &|observed| observed.processes[1].variables = Some(["PATH".to_owned()].into()),
        &["env-dropped pipelock PLANTED"],
    );
    check(
        &|observed| _ = observed.processes[3].variables.as_mut().unwrap().insert("EGRESS_TOKEN_0".to_owned()),
        &["env-scope-widened supervise EGRESS_TOKEN_0"],
    );
    check(
        &|observed| init(observed).daemons[2].state = "dead".to_owned(),
        &["daemon-set-mismatch git-gate git-gate"],
    );
    check(
        &|observed| init(observed).daemons[3].missing = vec!["tcp".to_owned()],
        &["isolation-weakened supervise require, without tcp"],
    );
    check(
        &|observed| observed.init = Some(Err("it is mute".to_owned())),
        &["shape-unexpected  sidecar-init"],
    );
    let mounts = |own: Reality| {
        let recorded = recorded();
        let targets = recorded["containers"][1]["Mounts"].as_array().unwrap().clone();
        let mut mounts: std::collections::BTreeMap<String, Reality> = targets
            .iter()
            .map(|mount| (mount["Destination"].as_str().unwrap().to_owned(), Reality::Same))
            .collect();
        mounts.insert("/etc/egress/routes.yaml".to_owned(), own);
        Some(mounts)
    };
    check(&|observed| observed.mounts = mounts(Reality::Same), &[]);
    check(
        &|observed| observed.mounts = mounts(Reality::Stale),
        &["mount-source-changed egress /etc/egress/routes.yaml"],
    );
    check(
        &|observed| _ = observed.mounts.insert(mounts(Reality::Same).unwrap()).remove("/run/supervise/queue"),
        &["mount-dropped supervise /run/supervise/queue"],
    );
}

#[test]
fn what_the_kernel_prints_is_read() {
    let table = "1 2 0:3 / / rw - overlay overlay rw\n\
                 4 1 254:0 /srv/a\\040b//deleted /etc/a rw - ext4 /dev/vda rw\n5 1 254:0 /srv/c /etc/a rw - ext4 x rw\n";
    let table = process::mount_table(table);
    assert_eq!(table.get("/etc/a").map(String::as_str), Some("/srv/c"));
    assert_eq!(table.len(), 2);
    assert_eq!(process::users("root:x:0:0::/root:/bin/sh\nbroken\n")["root"], 0);
    let top = process::top("PID PPID UID\n7 1 1000\n?\n");
    assert_eq!((top.len(), top[0].pid, top[0].parent, top[0].user), (1, 7, 1, 1000));
}
