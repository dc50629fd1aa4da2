//! Compose documents in one canonical form, whatever syntax they were written in.
//!
//! Values are effective: interpolated, with a literal `$` as `$` (the writer doubles it), every short syntax
//! expanded, every explicit default left out. Two documents that mean the same are equal.

pub mod attributes;
mod layout;
mod service;
mod write;

use std::collections::BTreeMap;

use indexmap::IndexMap;

pub use attributes::{Kind, Setting};
pub use layout::Layout;
pub use service::{Attachment, Dependency, EnvValue, Healthcheck, Mount, Port, Probe, Service, Source};

/// A compose file (compose-spec, "Compose file").
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Compose {
    /// `name:`, the project's name.
    pub project: Option<String>,
    /// Services in file order.
    pub services: IndexMap<String, Service>,
    /// Top-level networks by key.
    pub networks: IndexMap<String, Resource>,
    /// Top-level named volumes by key.
    pub volumes: IndexMap<String, Resource>,
    /// Top-level configs by key.
    pub configs: IndexMap<String, Resource>,
    /// Top-level secrets by key.
    pub secrets: IndexMap<String, Resource>,
    /// Top-level models by key.
    pub models: IndexMap<String, Resource>,
}

/// A top-level network, volume, config, secret or model.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Resource {
    /// `name:`; absent: Compose derives it from the project and the key.
    pub name: Option<String>,
    /// `external: true`.
    pub external: bool,
    /// `internal: true` (networks only).
    pub internal: bool,
    /// Everything else, as dotted paths to scalars: `driver`, `driver_opts.x`, `ipam.config.0.subnet`,
    /// `labels.x`, `file`, `environment`, `content`; `model`, `context_size`, `runtime_flags.0` and the `name` of a
    /// model, which is no name of a resource.
    pub settings: BTreeMap<String, String>,
}
