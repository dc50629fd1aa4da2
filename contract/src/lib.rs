//! The contract between the bundle's init and everybody who talks to it: the renderer writes it, the checker predicts
//! from it, and sidecar-init obeys it.
//!
//! Types and pure functions only: no files, no process environment, no clock.

#![forbid(unsafe_code)]

pub mod capability;
pub mod daemon;
pub mod handshake;
pub mod listen;
pub mod overlay;
pub mod paths;
pub mod privacy;
pub mod proc_net;
pub mod row;
pub mod signal;
pub mod span;
pub mod status;
pub mod table;
