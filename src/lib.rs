//! The checker: plan → compose → view → aspects → findings → report.

#![forbid(unsafe_code)]

pub mod aspects;
pub mod cli;
pub mod compose;
pub mod config;
pub mod finding;
pub mod flag;
pub mod flip;
pub mod images;
pub mod report;
pub mod rule;
pub mod running;
pub mod scan;
pub mod text;
pub mod view;
pub mod waiver;
pub mod witness;
