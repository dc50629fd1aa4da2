//! Renders a plan as the legacy compose file: the agent, and a service of its own for each daemon.

mod agent;
mod daemons;
mod service;

use bottle_model::compose::{Compose, Resource};
use bottle_model::daemon::Daemon;
use bottle_model::images::Images;
use bottle_model::plan::Plan;

/// Renders the legacy shape: two to five services (PRD 0024, "Compose renderer collapse", before).
#[must_use]
pub fn render(plan: &Plan, images: &Images) -> Compose {
    let mut compose = Compose { project: Some(format!("bot-bottle-{}", plan.slug)), ..Compose::default() };
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
    let network = |name, internal| Resource { name: Some(name), internal, ..Resource::default() };
    compose.networks.insert("internal".to_owned(), network(plan.internal_network(), true));
    compose.networks.insert("external".to_owned(), network(plan.external_network(), false));
    compose
}
