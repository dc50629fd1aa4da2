//! Networks and named volumes.

use std::collections::BTreeMap;

use bottle_model::compose::{Attachment, Compose, Resource};
use bottle_model::daemon::Daemon;
use bottle_model::plan::{Common, NamedVolume, Network, Place, Plan};

use crate::Conflict;
use crate::merge::keyed;
use crate::settings::texts;

/// Declares what the services use.
pub(crate) fn declare(compose: &mut Compose, plan: &Plan) {
    for (key, network, name, internal) in [
        ("internal", &plan.networks.internal, plan.internal_network(), true),
        ("external", &plan.networks.external, plan.external_network(), false),
    ] {
        let settings = network_settings(network);
        let network = Resource { name: Some(name), external: network.external, internal, settings };
        compose.networks.insert(key.to_owned(), network);
    }
    for (key, volume) in plan.volumes.iter() {
        let NamedVolume { name, external, driver, driver_opts, labels } = volume;
        let mut settings = BTreeMap::new();
        settings.extend(driver.iter().map(|driver| ("driver".to_owned(), driver.to_string())));
        settings.extend(below("driver_opts", texts(driver_opts.iter())));
        settings.extend(below("labels", texts(labels.iter())));
        let volume = Resource {
            name: name.as_ref().map(ToString::to_string),
            external: *external,
            internal: false,
            settings,
        };
        compose.volumes.insert(key.to_string(), volume);
    }
}

fn network_settings(network: &Network) -> BTreeMap<String, String> {
    let mut settings = BTreeMap::new();
    settings.extend(network.driver.iter().map(|driver| ("driver".to_owned(), driver.to_string())));
    settings.extend(below("driver_opts", texts(network.driver_opts.iter())));
    settings.extend(below("labels", texts(network.labels.iter())));
    if network.enable_ipv6 {
        settings.insert("enable_ipv6".to_owned(), "true".to_owned());
    }
    for (index, subnet) in network.subnets.iter().enumerate() {
        let range = subnet.ip_range.as_ref().map(ToString::to_string);
        let gateway = subnet.gateway.as_ref().map(ToString::to_string);
        for (what, value) in
            [("subnet", Some(subnet.subnet.to_string())), ("ip_range", range), ("gateway", gateway)]
        {
            settings.extend(value.map(|value| (format!("ipam.config.{index}.{what}"), value)));
        }
    }
    settings
}

fn below(above: &str, map: BTreeMap<String, String>) -> impl Iterator<Item = (String, String)> {
    map.into_iter().map(move |(name, value)| (format!("{above}.{name}"), value))
}

/// The place of a service in a network.
pub(crate) fn attachment(place: &Place) -> Attachment {
    let options = place.addresses().map(|(name, address)| (name.to_owned(), address.to_string()));
    Attachment {
        aliases: place.aliases.iter().map(ToString::to_string).collect(),
        options: options.collect(),
    }
}

/// The place of all daemons in a network; the hop behind the first proxy has no name there.
pub(crate) fn shared(
    plan: &Plan,
    daemons: &[(Daemon, Common<'_>)],
    network: &'static str,
) -> Result<Attachment, Conflict> {
    let mut merged = Attachment::default();
    let mut options = Vec::new();
    for (daemon, common) in daemons {
        let places = common.networks;
        let own = attachment(if network == "internal" { &places.internal } else { &places.external });
        if let Some(hop) = plan.hop().filter(|hop| hop == daemon)
            && let Some(what) = own.aliases.first().or(own.options.values().next())
        {
            return Err(Conflict::HiddenName { what: what.clone(), network, hop });
        }
        merged.aliases.extend(own.aliases);
        options.push((*daemon, own.options));
    }
    merged.options = keyed(network, options)?;
    Ok(merged)
}
