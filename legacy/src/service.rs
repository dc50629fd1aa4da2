//! What every legacy service has.

use std::collections::BTreeMap;

use bottle_model::compose::{Attachment, EnvValue, Mount, Port, Service, Setting, Source};
use bottle_model::daemon::Daemon;
use bottle_model::images::Images;
use bottle_model::plan::{Common, Plan};

/// Adds what daemons have in common.
pub(crate) fn complete(
    mut service: Service,
    plan: &Plan,
    daemon: Daemon,
    common: Common<'_>,
    images: &Images,
) -> Service {
    service.image = Some(images.of(daemon).to_owned());
    service.container_name = Some(format!("bot-bottle-{daemon}-{}", plan.slug));
    service.networks.insert("internal".to_owned(), Attachment::default());
    if daemon != Daemon::Supervise {
        service.networks.insert("external".to_owned(), Attachment::default());
    }
    if common.ports.is_none() && plan.hop() != Some(daemon) {
        service.ports.push(port(daemon.port(), None));
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
    for volume in common.volumes {
        service.mounts.push(bind(volume.source.as_str(), volume.target.as_str(), volume.read_only));
    }
    for entry in common.ports.unwrap_or_default() {
        service.ports.push(port(entry.target.get(), entry.published.map(|port| port.to_string())));
    }
    for (name, address) in common.extra_hosts.iter() {
        service.extra_hosts.insert(name.to_string(), vec![address.to_string()]);
    }
    for (name, value) in common.labels.iter() {
        service.labels.insert(name.to_string(), value.to_string());
    }
    let mut set = |name: &str, value: Setting| service.settings.insert(name.to_owned(), value);
    let sets: [(&str, Vec<String>); 4] = [
        ("cap_add", common.cap_add.iter().map(ToString::to_string).collect()),
        ("cap_drop", common.cap_drop.iter().map(ToString::to_string).collect()),
        ("security_opt", common.security_opt.iter().map(ToString::to_string).collect()),
        ("devices", common.devices.iter().map(ToString::to_string).collect()),
    ];
    for (name, items) in sets {
        if !items.is_empty() {
            set(name, Setting::Set(items.into_iter().collect()));
        }
    }
    if common.read_only {
        set("read_only", Setting::Bool(true));
    }
    if !common.sysctls.is_empty() {
        let map = common.sysctls.iter().map(|(name, value)| (name.to_string(), value.to_string()));
        set("sysctls", Setting::Map(map.collect()));
    }
    if !common.dns.is_empty() {
        set("dns", Setting::List(common.dns.iter().map(ToString::to_string).collect()));
    }
    if let Some(policy) = common.restart.filter(|policy| policy.as_str() != "no") {
        set("restart", Setting::Text(policy.to_string()));
    }
    if let Some(bytes) = common.limits.memory {
        set("mem_limit", Setting::Bytes(bytes));
    }
    if let Some(thousandths) = common.limits.milli_cpus {
        set("cpus", Setting::Text(decimal(thousandths)));
    }
    if let Some(pids) = common.limits.pids {
        set("pids_limit", Setting::Integer(pids));
    }
}

/// Thousandths as the shortest decimal number.
fn decimal(thousandths: u32) -> String {
    let text = format!("{}.{:03}", thousandths / 1000, thousandths % 1000);
    text.trim_end_matches('0').trim_end_matches('.').to_owned()
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

fn port(target: u16, published: Option<String>) -> Port {
    Port {
        target,
        protocol: "tcp".to_owned(),
        host_ip: Some("127.0.0.1".to_owned()),
        published,
        options: BTreeMap::new(),
    }
}
