//! The words that the renderers, the checker and the bundle's init share.
//!
//! Vocabulary only: no files, no process environment, no clock, no rendering decision.

#![forbid(unsafe_code)]

pub mod compose;
pub mod images;
pub mod nearest;
pub mod place;
pub mod plan;
pub mod sorted;

pub use bottle_contract::{
    capability, daemon, handshake, listen, overlay, paths, privacy, proc_net, row, signal, span, status,
    table,
};
