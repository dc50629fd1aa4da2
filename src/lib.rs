//! The checker: plan → compose → view → aspects → findings → report.

pub mod finding;
pub mod view;
