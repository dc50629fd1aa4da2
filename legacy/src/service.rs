//! What every legacy service has.

use std::collections::BTreeMap;

use bottle_model::compose::{Attachment, EnvValue, Healthcheck, Mount, Port, Service, Source};
use bottle_model::daemon::Daemon;
use bottle_model::images::Images;
use bottle_model::plan::{Common, Health, Place, Plan, PublishedPort, Seconds, Tmpfs, Volume};

use crate::settings::settings;

/// Adds what daemons have in common.
pub(crate) fn complete(
    mut service: Service,
    plan: &Plan,
    daemon: Daemon,
    common: Common<'_>,
    images: &Images,
) -> Service {
    service.image = Some(images.of(daemon).to_owned());
    service.container_name = Some(format!("{}-{daemon}-{}", plan.prefix(), plan.slug));
    service.networks.insert("internal".to_owned(), attachment(&common.networks.internal));
    if daemon != Daemon::Supervise {
        service.networks.insert("external".to_owned(), attachment(&common.networks.external));
    }
    if common.ports.is_none() && plan.hop() != Some(daemon) {
        service.ports.push(port(daemon.port(), "tcp"));
    }
    attributes(&mut service, common);
    service
}

/// Adds what a block of the plan says.
pub(crate) fn attributes(service: &mut Service, common: Common<'_>) {
    for (name, value) in common.environment.iter() {
        let value = value.as_ref().map_or(EnvValue::Inherit, |text| EnvValue::Literal(text.to_string()));
        service.environment.insert(name.to_string(), value);
    }
    service.mounts.extend(common.volumes.iter().map(volume));
    service.mounts.extend(common.tmpfs.iter().map(tmpfs));
    service.ports.extend(common.ports.iter().flatten().map(published));
    for (name, address) in common.extra_hosts.iter() {
        service.extra_hosts.insert(name.to_string(), vec![address.to_string()]);
    }
    for (name, value) in common.labels.iter() {
        service.labels.insert(name.to_string(), value.to_string());
    }
    if let Some(times) = common.health {
        let health = service.healthcheck.get_or_insert_default();
        let Health { interval, timeout, retries, start_period, start_interval } = times;
        health.interval = interval.map(Seconds::nanoseconds).or(health.interval);
        health.timeout = timeout.map(Seconds::nanoseconds).or(health.timeout);
        health.retries = retries.map(|count| count.get().unsigned_abs()).or(health.retries);
        health.start_period = start_period.map(Seconds::nanoseconds).or(health.start_period);
        health.start_interval = start_interval.map(Seconds::nanoseconds);
        service.healthcheck = service.healthcheck.take().filter(|health| *health != Healthcheck::default());
    }
    service.settings.extend(settings(common));
}

/// A place in a network.
pub(crate) fn attachment(place: &Place) -> Attachment {
    Attachment {
        aliases: place.aliases.iter().map(ToString::to_string).collect(),
        options: place.addresses().map(|(name, address)| (name.to_owned(), address.to_string())).collect(),
    }
}

/// A bind mount of something that has to exist.
pub(crate) fn bind(source: &str, target: &str, read_only: bool) -> Mount {
    Mount {
        target: target.to_owned(),
        source: Source::Bind(source.to_owned()),
        read_only,
        options: BTreeMap::from([("bind.create_host_path".to_owned(), "false".to_owned())]),
    }
}

fn volume(volume: &Volume) -> Mount {
    let source = volume.source.as_str();
    let mut mount = bind(source, volume.target.as_str(), volume.read_only);
    if !source.starts_with('/') {
        mount.source = Source::Volume(source.to_owned());
        mount.options.clear();
    }
    let mut option = |name: &str, value: String| mount.options.insert(name.to_owned(), value);
    if let Some(bind) = &volume.bind {
        bind.propagation.map(|propagation| option("bind.propagation", propagation.to_string()));
        bind.selinux.map(|selinux| option("bind.selinux", selinux.to_string()));
        if bind.create_host_path {
            mount.options.remove("bind.create_host_path");
        }
    } else if let Some(named) = &volume.volume {
        named.subpath.as_ref().map(|path| option("volume.subpath", path.to_string()));
        if named.nocopy {
            option("volume.nocopy", "true".to_owned());
        }
    }
    mount
}

fn tmpfs(tmpfs: &Tmpfs) -> Mount {
    let size = tmpfs.size.map(|size| ("tmpfs.size".to_owned(), size.get().to_string()));
    let mode = tmpfs.mode.as_ref().map(|mode| ("tmpfs.mode".to_owned(), mode.bits().to_string()));
    Mount {
        target: tmpfs.target.to_string(),
        source: Source::Tmpfs,
        read_only: false,
        options: size.into_iter().chain(mode).collect(),
    }
}

fn published(entry: &PublishedPort) -> Port {
    Port {
        host_ip: Some(entry.host_ip.as_ref().map_or_else(|| "127.0.0.1".to_owned(), ToString::to_string)),
        published: entry.published.map(|port| port.to_string()),
        ..port(entry.target.get(), entry.protocol.as_str())
    }
}

fn port(target: u16, protocol: &str) -> Port {
    Port {
        target,
        protocol: protocol.to_owned(),
        host_ip: Some("127.0.0.1".to_owned()),
        published: None,
        options: BTreeMap::new(),
    }
}
