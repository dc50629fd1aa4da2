//! What each daemon's service has of its own: command, files, health, start order.

use bottle_model::compose::{Dependency, EnvValue, Healthcheck, Probe, Service};
use bottle_model::daemon::{Chain, Daemon};
use bottle_model::plan::Plan;

use crate::service::bind;

pub(crate) fn egress(plan: &Plan) -> Service {
    let mut service = Service::default();
    let Some(egress) = &plan.egress else { return service };
    let mode = match plan.chain {
        Chain::PipelockFirst => "regular",
        Chain::EgressFirst => "upstream:http://pipelock:8888",
    };
    service.command = Some(words(&[
        "--mode",
        mode,
        "--listen-host",
        "0.0.0.0",
        "--listen-port",
        "9099",
        "--scripts",
        "/app/egress_addon.py",
    ]));
    for token in egress.tokens.iter() {
        service.environment.insert(token.to_string(), EnvValue::Inherit);
    }
    service.mounts.push(bind(egress.routes.as_str(), "/etc/egress/routes.yaml", true));
    service.mounts.push(bind(egress.ca_dir.as_str(), "/home/mitmproxy/.mitmproxy", false));
    if let Some(ca) = &egress.upstream_ca {
        service.mounts.push(bind(ca.as_str(), "/etc/egress/upstream-ca.pem", true));
    }
    service.healthcheck = Some(health(connect(Daemon::Egress)));
    service
}

pub(crate) fn pipelock(plan: &Plan) -> Service {
    let pipelock = &plan.pipelock;
    let mut service = Service {
        command: Some(words(&["run", "--config", "/etc/pipelock/pipelock.yaml", "--listen", "0.0.0.0:8888"])),
        healthcheck: Some(health(Probe::Exec(words(&[
            "/pipelock",
            "healthcheck",
            "--addr",
            "127.0.0.1:8888",
        ])))),
        ..Service::default()
    };
    service.mounts.push(bind(pipelock.config.as_str(), "/etc/pipelock/pipelock.yaml", true));
    service.mounts.push(bind(pipelock.ca_cert.as_str(), "/etc/pipelock/ca.pem", true));
    service.mounts.push(bind(pipelock.ca_key.as_str(), "/etc/pipelock/ca-key.pem", true));
    if plan.egress.is_some() && plan.chain == Chain::PipelockFirst {
        service.depends_on.insert("egress".to_owned(), Dependency::on("service_healthy"));
    }
    service
}

pub(crate) fn git_gate(plan: &Plan) -> Service {
    let mut service = Service::default();
    let Some(gate) = &plan.git_gate else { return service };
    service.mounts.push(bind(gate.entrypoint.as_str(), "/git-gate-entrypoint.sh", true));
    service.mounts.push(bind(gate.pre_receive.as_str(), "/etc/git-gate/pre-receive", true));
    service.mounts.push(bind(gate.access_hook.as_str(), "/etc/git-gate/access-hook", true));
    for (name, path) in gate.credentials.iter() {
        service.mounts.push(bind(path.as_str(), &format!("/git-gate/creds/{name}"), true));
    }
    service.healthcheck = Some(health(Probe::Shell("nc -z 127.0.0.1 9418".to_owned())));
    service
}

pub(crate) fn supervise(plan: &Plan) -> Service {
    let mut service = Service::default();
    let Some(supervise) = &plan.supervise else { return service };
    service.mounts.push(bind(supervise.queue.as_str(), "/run/supervise/queue", false));
    service.healthcheck = Some(health(connect(Daemon::Supervise)));
    service
}

/// A probe for the images that have Python and no other client.
fn connect(daemon: Daemon) -> Probe {
    let port = daemon.port();
    Probe::Exec(vec![
        "python3".to_owned(),
        "-c".to_owned(),
        format!("import socket; socket.create_connection(('127.0.0.1', {port}), 2).close()"),
    ])
}

/// A start may take its time; after it, two failures in a row say that the daemon is dead.
fn health(test: Probe) -> Healthcheck {
    Healthcheck {
        test: Some(test),
        interval: Some(2_000_000_000),
        timeout: Some(5_000_000_000),
        start_period: Some(30_000_000_000),
        retries: Some(2),
        ..Healthcheck::default()
    }
}

fn words(words: &[&str]) -> Vec<String> {
    words.iter().map(|word| (*word).to_owned()).collect()
}
