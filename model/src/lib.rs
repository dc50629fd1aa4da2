//! The words that the renderers, the checker and the bundle's init share.
//!
//! Vocabulary only: no files, no process environment, no clock, no rendering decision.

#![forbid(unsafe_code)]

pub mod compose;
pub mod daemon;
pub mod handshake;
pub mod images;
pub mod paths;
pub mod plan;
pub mod privacy;
pub mod sorted;
pub mod table;
