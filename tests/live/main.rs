//! What needs a real Docker Compose: its own parser is the judge of the reader, the writer and the renderers.

#[cfg(test)]
mod attributes;
#[cfg(test)]
mod compose;
#[cfg(test)]
mod documents;
#[cfg(test)]
#[path = "../integration/plans.rs"]
mod plans;
#[cfg(test)]
mod rendered;
