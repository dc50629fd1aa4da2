//! What needs a real Docker Compose: its own parser is the judge of the reader, the writer and the renderers.

#[cfg(test)]
mod attributes;
#[cfg(test)]
mod compose;
#[cfg(test)]
mod documents;
#[cfg(test)]
#[path = "../integration/plan_parts.rs"]
mod plan_parts;
#[cfg(test)]
#[path = "../integration/plans.rs"]
#[expect(dead_code, reason = "only its samples are wanted here")]
mod plans;
#[cfg(test)]
mod refusals;
#[cfg(test)]
mod rendered;
