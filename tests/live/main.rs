//! Tests with real parts: Docker Compose judges the reader, the writer and the renderers; bottles run on an engine.

#[cfg(test)]
mod attacks;
#[cfg(test)]
mod attributes;
#[cfg(test)]
mod bottle;
#[cfg(test)]
mod compose;
#[cfg(test)]
mod daemons;
#[cfg(test)]
mod documents;
#[cfg(test)]
mod escapes;
#[cfg(test)]
mod flip;
#[cfg(test)]
mod git;
#[cfg(test)]
mod images;
#[cfg(test)]
mod incidents;
#[cfg(test)]
#[path = "../support/plan_parts.rs"]
mod plan_parts;
#[cfg(test)]
#[path = "../support/plans.rs"]
#[expect(dead_code, reason = "only its samples are wanted here")]
mod plans;
#[cfg(test)]
mod refusals;
#[cfg(test)]
mod rendered;
#[cfg(test)]
mod running;
#[cfg(test)]
mod shapes;
#[cfg(test)]
#[path = "../support/snapshot.rs"]
mod snapshot;
#[cfg(test)]
mod switches;
