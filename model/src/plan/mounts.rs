//! What a bottle mounts beyond the standard files.

use schemars::JsonSchema;
use serde::Deserialize;

use super::number::Whole;
use super::text::{ContainerPath, FileMode, Key, Line, MountSource, Name, RelativePath};
use super::unique::UniqueMap;
use super::word::{Propagation, Selinux};

/// A bind mount or a named volume (compose-spec, "volumes").
#[derive(Clone, Debug, PartialEq, Eq, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Volume {
    /// Host path, or name of one of the plan's volumes.
    pub source: MountSource,
    /// Path in the container.
    pub target: ContainerPath,
    /// Whether the container may only read it.
    #[serde(default)]
    pub read_only: bool,
    /// Options of a host path.
    pub bind: Option<Bind>,
    /// Options of a named volume.
    pub volume: Option<VolumeOptions>,
}

/// Options of a bind mount.
#[derive(Clone, Debug, Default, PartialEq, Eq, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Bind {
    /// How mounts below it travel between host and container; absent: they do not.
    pub propagation: Option<Propagation>,
    /// Whether the engine makes a folder of a path that does not exist.
    #[serde(default)]
    pub create_host_path: bool,
    /// SELinux relabelling.
    pub selinux: Option<Selinux>,
}

/// Options of a named volume where it is mounted.
#[derive(Clone, Debug, Default, PartialEq, Eq, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct VolumeOptions {
    /// Whether an empty volume stays empty instead of taking what the image has there.
    #[serde(default)]
    pub nocopy: bool,
    /// Folder of the volume that is mounted; absent: its root. Needs engine 26.
    pub subpath: Option<RelativePath>,
}

/// A folder in memory.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Tmpfs {
    /// Path in the container.
    pub target: ContainerPath,
    /// Largest size, in bytes; absent: half of the machine's memory.
    pub size: Option<Whole<4096, 1_099_511_627_776>>,
    /// Permissions; absent: 1777.
    pub mode: Option<FileMode>,
}

/// A volume of the plan, which outlives its containers (compose-spec, top-level "volumes").
#[derive(Clone, Debug, Default, PartialEq, Eq, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct NamedVolume {
    /// Its name in the engine; absent: derived from project and key.
    pub name: Option<Name>,
    /// Whether it exists already and is not the project's to make or remove.
    #[serde(default)]
    pub external: bool,
    /// Driver; absent: the engine's default.
    pub driver: Option<Name>,
    /// Options of the driver.
    #[serde(default)]
    pub driver_opts: UniqueMap<Key, Line>,
    /// Labels.
    #[serde(default)]
    pub labels: UniqueMap<Key, Line>,
}
