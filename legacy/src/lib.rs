//! Renders a plan as the legacy compose file: the agent, and a service of its own for each daemon.

#![forbid(unsafe_code)]

mod agent;
mod daemons;
mod service;
mod settings;

use std::collections::BTreeMap;

use bottle_model::compose::{Compose, Resource};
use bottle_model::daemon::Daemon;
use bottle_model::images::Images;
use bottle_model::plan::{Key, Line, Name, Plan, UniqueMap};

/// Renders the legacy shape: two to five services (docs/design.md#sources-and-views).
#[must_use]
pub fn render(plan: &Plan, images: &Images) -> Compose {
    let mut compose =
        Compose { project: Some(format!("{}-{}", plan.prefix(), plan.slug)), ..Compose::default() };
    compose.services.insert("agent".to_owned(), agent::service(plan));
    for (daemon, common) in plan.daemons() {
        let service = match daemon {
            Daemon::Egress => daemons::egress(plan),
            Daemon::Pipelock => daemons::pipelock(plan),
            Daemon::GitGate => daemons::git_gate(plan),
            Daemon::Supervise => daemons::supervise(plan),
        };
        let service = service::complete(service, plan, daemon, common, images);
        compose.services.insert(daemon.name().to_owned(), service);
    }
    let [internal, external] = networks(plan);
    compose.networks.insert("internal".to_owned(), internal);
    compose.networks.insert("external".to_owned(), external);
    for (key, volume) in plan.volumes.iter() {
        let settings = driver(volume.driver.as_ref(), &volume.driver_opts, &volume.labels);
        compose.volumes.insert(
            key.to_string(),
            Resource {
                name: volume.name.as_ref().map(ToString::to_string),
                external: volume.external,
                internal: false,
                settings,
            },
        );
    }
    compose
}

fn networks(plan: &Plan) -> [Resource; 2] {
    [
        (&plan.networks.internal, plan.internal_network(), true),
        (&plan.networks.external, plan.external_network(), false),
    ]
    .map(|(network, name, internal)| {
        let mut settings = driver(network.driver.as_ref(), &network.driver_opts, &network.labels);
        for (index, subnet) in network.subnets.iter().enumerate() {
            let mut set =
                |what: &str, value: String| settings.insert(format!("ipam.config.{index}.{what}"), value);
            set("subnet", subnet.subnet.to_string());
            subnet.ip_range.as_ref().map(|range| set("ip_range", range.to_string()));
            subnet.gateway.as_ref().map(|gateway| set("gateway", gateway.to_string()));
        }
        if network.enable_ipv6 {
            settings.insert("enable_ipv6".to_owned(), "true".to_owned());
        }
        Resource { name: Some(name), external: network.external, internal, settings }
    })
}

/// What networks and volumes have in common, as dotted paths.
fn driver(
    driver: Option<&Name>,
    options: &UniqueMap<Key, Line>,
    labels: &UniqueMap<Key, Line>,
) -> BTreeMap<String, String> {
    let driver = driver.map(|driver| ("driver".to_owned(), driver.to_string()));
    let options = options.iter().map(|(name, value)| (format!("driver_opts.{name}"), value.to_string()));
    let labels = labels.iter().map(|(name, value)| (format!("labels.{name}"), value.to_string()));
    driver.into_iter().chain(options).chain(labels).collect()
}
