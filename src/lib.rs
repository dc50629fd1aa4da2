//! Compares both shapes of a bottle, searches for references that break, and flips the default.

#![forbid(unsafe_code)]

pub mod aspects;
pub mod cli;
pub mod compare;
pub mod compose;
pub mod config;
pub mod diagnostic;
pub mod engine;
mod files;
pub mod finding;
pub mod flag;
pub mod flip;
mod globs;
pub mod images;
pub mod mapping;
pub mod merging;
mod process;
pub mod report;
pub mod rule;
pub mod running;
pub mod scan;
pub mod text;
pub mod view;
pub mod waiver;
pub mod witness;
