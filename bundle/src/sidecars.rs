//! The one service that holds every daemon.

use std::collections::BTreeMap;

use bottle_model::compose::{Attachment, Healthcheck, Mount, Port, Probe, Service, Setting, Source};
use bottle_model::daemon::Daemon;
use bottle_model::images::Images;
use bottle_model::plan::{Common, Plan};

use crate::attributes::{disagreement, merged, union};
use crate::{Conflict, environment};

pub(crate) fn service(plan: &Plan, images: &Images) -> Result<Service, Conflict> {
    let daemons = plan.daemons();
    let mut service = Service {
        image: Some(images.bundle.clone()),
        container_name: Some(format!("bot-bottle-sidecars-{}", plan.slug)),
        hostname: Some("sidecars".to_owned()),
        environment: environment::of(plan, &daemons),
        mounts: mounts(plan, &daemons)?,
        ports: ports(plan, &daemons)?,
        healthcheck: Some(Healthcheck {
            test: Some(Probe::Exec(vec!["/usr/local/bin/sidecar-init".to_owned(), "check".to_owned()])),
            interval: Some(2_000_000_000),
            timeout: Some(5_000_000_000),
            retries: Some(15),
            ..Healthcheck::default()
        }),
        settings: merged(&daemons)?,
        ..Service::default()
    };
    // The init's own deadline of 8 s has to fit inside.
    service.settings.insert("stop_grace_period".to_owned(), Setting::Duration(10_000_000_000));
    let aliases = daemons
        .iter()
        .filter(|(daemon, _)| plan.hop() != Some(*daemon))
        .map(|(daemon, _)| daemon.name().to_owned())
        .collect();
    service.networks.insert("internal".to_owned(), Attachment { aliases, ..Attachment::default() });
    service.networks.insert("external".to_owned(), Attachment::default());
    let hosts = union("host entry", &daemons, |common| {
        common.extra_hosts.iter().map(|(name, address)| (name.to_string(), address.to_string())).collect()
    })?;
    service.extra_hosts = hosts.into_iter().map(|(name, address)| (name, vec![address])).collect();
    if let Some(hop) = plan.hop() {
        service.extra_hosts.insert(hop.name().to_owned(), vec!["127.0.0.1".to_owned()]);
    }
    service.labels = union("label", &daemons, |common| {
        common.labels.iter().map(|(name, value)| (name.to_string(), value.to_string())).collect()
    })?
    .into_iter()
    .collect();
    Ok(service)
}

fn mounts(plan: &Plan, daemons: &[(Daemon, Common<'_>)]) -> Result<Vec<Mount>, Conflict> {
    let mut mounts: Vec<(Daemon, Mount)> = Vec::new();
    for (daemon, common) in daemons {
        let extra = common
            .volumes
            .iter()
            .map(|volume| bind(volume.source.as_str(), volume.target.as_str(), volume.read_only));
        for mount in standard(plan, *daemon).into_iter().chain(extra) {
            match mounts.iter().find(|(_, held)| held.target == mount.target) {
                Some((_, held)) if *held == mount => {}
                Some((first, _)) => {
                    return Err(disagreement(*first, *daemon, &format!("the mount on {}", mount.target)));
                }
                None => mounts.push((*daemon, mount)),
            }
        }
    }
    Ok(mounts.into_iter().map(|(_, mount)| mount).collect())
}

fn standard(plan: &Plan, daemon: Daemon) -> Vec<Mount> {
    let mut mounts = Vec::new();
    match daemon {
        Daemon::Egress => {
            if let Some(egress) = &plan.egress {
                mounts.push(bind(egress.routes.as_str(), "/etc/egress/routes.yaml", true));
                mounts.push(bind(egress.ca_dir.as_str(), "/home/mitmproxy/.mitmproxy", false));
                let ca = egress.upstream_ca.as_ref();
                mounts.extend(ca.map(|ca| bind(ca.as_str(), "/etc/egress/upstream-ca.pem", true)));
            }
        }
        Daemon::Pipelock => {
            let pipelock = &plan.pipelock;
            mounts.push(bind(pipelock.config.as_str(), "/etc/pipelock/pipelock.yaml", true));
            mounts.push(bind(pipelock.ca_cert.as_str(), "/etc/pipelock/ca.pem", true));
            mounts.push(bind(pipelock.ca_key.as_str(), "/etc/pipelock/ca-key.pem", true));
        }
        Daemon::GitGate => {
            if let Some(gate) = &plan.git_gate {
                mounts.push(bind(gate.entrypoint.as_str(), "/git-gate-entrypoint.sh", true));
                mounts.push(bind(gate.pre_receive.as_str(), "/etc/git-gate/pre-receive", true));
                mounts.push(bind(gate.access_hook.as_str(), "/etc/git-gate/access-hook", true));
                let credentials = gate.credentials.iter();
                mounts.extend(
                    credentials
                        .map(|(name, path)| bind(path.as_str(), &format!("/git-gate/creds/{name}"), true)),
                );
            }
        }
        Daemon::Supervise => {
            if let Some(supervise) = &plan.supervise {
                mounts.push(bind(supervise.queue.as_str(), "/run/supervise/queue", false));
            }
        }
    }
    mounts
}

fn bind(source: &str, target: &str, read_only: bool) -> Mount {
    Mount {
        target: target.to_owned(),
        source: Source::Bind(source.to_owned()),
        read_only,
        options: BTreeMap::from([("bind.create_host_path".to_owned(), "false".to_owned())]),
    }
}

fn ports(plan: &Plan, daemons: &[(Daemon, Common<'_>)]) -> Result<Vec<Port>, Conflict> {
    let mut ports: Vec<(Daemon, Port)> = Vec::new();
    for (daemon, common) in daemons {
        let standard = (plan.hop() != Some(*daemon)).then(|| (daemon.port(), None));
        let wanted: Vec<(u16, Option<String>)> = match common.ports {
            None => standard.into_iter().collect(),
            Some(ports) => ports
                .iter()
                .map(|port| (port.target.get(), port.published.map(|port| port.to_string())))
                .collect(),
        };
        for (target, published) in wanted {
            if let Some((first, _)) = ports.iter().find(|(_, port)| {
                port.target == target || (published.is_some() && port.published == published)
            }) && first != daemon
            {
                return Err(disagreement(*first, *daemon, &format!("port {target}")));
            }
            let port = Port {
                target,
                protocol: "tcp".to_owned(),
                host_ip: Some("127.0.0.1".to_owned()),
                published,
                options: BTreeMap::new(),
            };
            ports.push((*daemon, port));
        }
    }
    Ok(ports.into_iter().map(|(_, port)| port).collect())
}
