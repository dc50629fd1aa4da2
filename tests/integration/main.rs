//! The one integration binary: the laws, and what only a whole process shows.

#[cfg(test)]
mod advice;
#[cfg(test)]
mod attacks;
#[cfg(test)]
mod bad_compose;
#[cfg(test)]
mod bad_input;
#[cfg(test)]
mod broadenings;
#[cfg(test)]
mod cli;
#[cfg(test)]
mod costs;
#[cfg(test)]
mod defaults;
#[cfg(test)]
mod docs;
#[cfg(test)]
mod engine;
#[cfg(test)]
mod equal;
#[cfg(test)]
mod flip;
#[cfg(test)]
mod flip_crash;
#[cfg(test)]
mod foreign;
#[cfg(test)]
mod golden;
#[cfg(test)]
mod images;
#[cfg(test)]
mod images_compose;
#[cfg(test)]
mod incidents;
#[cfg(test)]
mod laws;
#[cfg(test)]
mod meaning;
#[cfg(test)]
mod merging;
#[cfg(test)]
mod mutants;
#[cfg(test)]
#[path = "../support/plan_parts.rs"]
mod plan_parts;
#[cfg(test)]
#[path = "../support/plans.rs"]
mod plans;
#[cfg(test)]
#[path = "../support/process.rs"]
mod process;
#[cfg(test)]
mod projects;
#[cfg(test)]
mod rendering;
#[cfg(test)]
mod reports;
#[cfg(test)]
mod rewrites;
#[cfg(test)]
mod rules;
#[cfg(test)]
mod scan;
#[cfg(test)]
mod sensitivity;
#[cfg(test)]
#[path = "../support/snapshot.rs"]
mod snapshot;
#[cfg(test)]
mod spellings;
#[cfg(test)]
mod squares;
#[cfg(test)]
mod verdicts;
#[cfg(test)]
mod waivers;
#[cfg(test)]
mod witness;
