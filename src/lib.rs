//! The checker: plan → compose → view → aspects → findings → report.

pub mod compose;
pub mod finding;
pub mod view;
