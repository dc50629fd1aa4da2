//! Networks and volumes of an engine, as a document declares them.

use std::collections::{BTreeMap, BTreeSet};

use bottle_model::compose::{Attachment, Compose, Port, Resource, Service};
use serde_json::Value;

use super::inspect::{Binding, Container, Endpoint, Network, Volume};

/// A network, without values that the engine chose by itself.
pub(super) fn network(network: &Network, asked: Option<&Resource>) -> Resource {
    let wanted = |name: &str| asked.is_some_and(|asked| asked.settings.contains_key(name));
    let mut settings = BTreeMap::new();
    if network.driver != "bridge" || wanted("driver") {
        settings.insert("driver".to_owned(), network.driver.clone());
    }
    options(&mut settings, network.options.as_ref(), network.labels.as_ref());
    for (name, set) in [("enable_ipv6", network.ipv6), ("attachable", network.attachable)] {
        if set {
            settings.insert(name.to_owned(), "true".to_owned());
        }
    }
    if !matches!(network.ipam.driver.as_str(), "" | "default") {
        settings.insert("ipam.driver".to_owned(), network.ipam.driver.clone());
    }
    for (at, pool) in network.ipam.config.iter().flatten().enumerate() {
        for (field, value) in pool {
            let name = match field.as_str() {
                "Subnet" => "subnet",
                "Gateway" => "gateway",
                "IPRange" => "ip_range",
                other => other,
            };
            let path = format!("ipam.config.{at}.{name}");
            if let Some(text) = value.as_str().filter(|_| wanted(&path)) {
                settings.insert(path, text.to_owned());
            }
        }
    }
    Resource {
        name: Some(network.name.clone()),
        external: asked.is_some_and(|asked| asked.external),
        internal: network.internal,
        settings,
    }
}

/// A volume.
pub(super) fn volume(volume: &Volume, asked: Option<&Resource>) -> Resource {
    let mut settings = BTreeMap::new();
    if volume.driver != "local" || asked.is_some_and(|asked| asked.settings.contains_key("driver")) {
        settings.insert("driver".to_owned(), volume.driver.clone());
    }
    options(&mut settings, volume.options.as_ref(), volume.labels.as_ref());
    Resource {
        name: Some(volume.name.clone()),
        external: asked.is_some_and(|asked| asked.external),
        internal: false,
        settings,
    }
}

fn options(
    settings: &mut BTreeMap<String, String>,
    options: Option<&BTreeMap<String, String>>,
    labels: Option<&BTreeMap<String, String>>,
) {
    let options = options.into_iter().flatten().map(|(name, value)| (format!("driver_opts.{name}"), value));
    let labels = super::labels(labels).map(|(name, value)| (format!("labels.{name}"), value));
    settings.extend(options.chain(labels).map(|(name, value)| (name, value.clone())));
}

/// A container's place in a network, without the names that every container has there.
pub(super) fn attachment(
    endpoint: &Endpoint,
    container: &Container,
    service: &str,
    asked: Option<&Attachment>,
) -> Attachment {
    let short = container.id.get(..12).unwrap_or(&container.id);
    let usual = [service, container.name(), short, container.config.hostname.as_str()];
    let wanted = |name: &str| asked.is_some_and(|asked| asked.aliases.contains(name));
    let aliases: BTreeSet<String> = endpoint
        .aliases
        .iter()
        .flatten()
        .filter(|name| wanted(name) || !usual.contains(&name.as_str()))
        .cloned()
        .collect();
    let mut options = BTreeMap::new();
    for (field, value) in endpoint.addresses.iter().flatten() {
        let name = match field.as_str() {
            "IPv4Address" => "ipv4_address",
            "IPv6Address" => "ipv6_address",
            other => other,
        };
        match value {
            Value::String(text) if !text.is_empty() => {
                options.insert(name.to_owned(), text.clone());
            }
            Value::Array(items) => {
                let items = items.iter().filter_map(Value::as_str).enumerate();
                options.extend(items.map(|(at, item)| (format!("link_local_ips.{at}"), item.to_owned())));
            }
            _ => {}
        }
    }
    let driver = endpoint.driver_opts.iter().flatten();
    options.extend(driver.map(|(name, value)| (format!("driver_opts.{name}"), value.clone())));
    // The order of networks cannot be read from a running container.
    for name in ["priority", "gw_priority", "interface_name"] {
        if let Some(value) = asked.and_then(|asked| asked.options.get(name)) {
            options.insert(name.to_owned(), value.clone());
        }
    }
    Attachment { aliases, options }
}

/// Published ports: those that were asked for and are really bound, and those that are bound without having been.
pub(super) fn ports(container: &Container, compose: &Compose, service: &Service) -> Vec<Port> {
    let asked: BTreeMap<String, Option<Vec<Binding>>> = container.host("PortBindings").unwrap_or_default();
    let nothing = BTreeMap::new();
    let bound = container.network_settings.ports.as_ref().unwrap_or(&nothing);
    // A container on internal networks alone has nothing bound, whatever it asks for.
    let outside = |key: &String| compose.networks.get(key).is_some_and(|network| !network.internal);
    let effective = service.networks.keys().any(outside);
    let is_bound =
        |socket: &String| bound.get(socket).is_some_and(|found| found.iter().flatten().next().is_some());
    let wanted = asked.iter().filter(|(socket, _)| !effective || is_bound(socket));
    let more = bound.iter().filter(|(socket, _)| !asked.contains_key(*socket));
    wanted
        .chain(more)
        .flat_map(|(socket, bindings)| bindings.iter().flatten().map(move |binding| (socket, binding)))
        .filter_map(|(socket, binding)| {
            let (target, protocol) = socket.split_once('/')?;
            let some = |text: &String| (!text.is_empty()).then(|| text.clone());
            Some(Port {
                target: target.parse().ok()?,
                protocol: protocol.to_owned(),
                host_ip: some(&binding.host_ip),
                published: some(&binding.host_port).filter(|port| port != "0"),
                options: BTreeMap::new(),
            })
        })
        .collect()
}
