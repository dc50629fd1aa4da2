//! Renders a plan as the bundle's compose file: the agent, and one `sidecars` service for all daemons.

#![forbid(unsafe_code)]

mod agent;
mod conflict;
mod environment;
mod merge;
mod mounts;
mod ports;
mod resources;
pub mod services;
mod settings;
mod sidecars;
#[cfg(test)]
mod tests;

use bottle_model::compose::Compose;
use bottle_model::images::Images;
use bottle_model::plan::Plan;

pub use conflict::Conflict;

/// Renders the bundle: two services (docs/design.md#sources-and-views).
///
/// # Errors
///
/// What two daemons cannot both have in one container.
pub fn render(plan: &Plan, images: &Images) -> Result<Compose, Conflict> {
    let mut compose =
        Compose { project: Some(format!("{}-{}", plan.prefix(), plan.slug)), ..Compose::default() };
    compose.services.insert("agent".to_owned(), agent::service(plan)?);
    compose.services.insert("sidecars".to_owned(), sidecars::service(plan, images)?);
    resources::declare(&mut compose, plan);
    Ok(compose)
}
