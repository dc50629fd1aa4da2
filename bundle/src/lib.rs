//! Renders a plan as the bundle's compose file: the agent, and one `sidecars` service for all daemons.

mod agent;
mod attributes;
mod environment;
mod sidecars;

use bottle_model::compose::{Compose, Resource};
use bottle_model::images::Images;
use bottle_model::plan::Plan;

/// Two daemons want what one container cannot give to both.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Conflict {
    /// Two values for one thing.
    #[error("{first} and {second} disagree on {what}; one container has one value")]
    Disagreement {
        /// A daemon.
        first: String,
        /// Another.
        second: String,
        /// What they disagree on.
        what: String,
    },
    /// The agent names the proxy that it no longer reaches.
    #[error("agent.environment.{variable} names {hop}, which the agent cannot reach in the bundle")]
    HiddenHop {
        /// Name of the variable.
        variable: String,
        /// The proxy behind the first.
        hop: String,
    },
}

/// Renders the bundle: two services (PRD 0024, "Compose renderer collapse", after).
///
/// # Errors
///
/// What two daemons cannot both have in one container.
pub fn render(plan: &Plan, images: &Images) -> Result<Compose, Conflict> {
    let mut compose = Compose { project: Some(format!("bot-bottle-{}", plan.slug)), ..Compose::default() };
    compose.services.insert("agent".to_owned(), agent::service(plan)?);
    compose.services.insert("sidecars".to_owned(), sidecars::service(plan, images)?);
    let network = |name, internal| Resource { name: Some(name), internal, ..Resource::default() };
    compose.networks.insert("internal".to_owned(), network(plan.internal_network(), true));
    compose.networks.insert("external".to_owned(), network(plan.external_network(), false));
    Ok(compose)
}
