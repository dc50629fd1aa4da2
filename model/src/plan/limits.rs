//! What a container may use, and how it is watched and logged.

use schemars::JsonSchema;
use serde::Deserialize;

use super::number::Whole;
use super::text::{ContainerPath, CpuSet, Key, Line, Name};
use super::unique::UniqueMap;
use super::word::DeviceAccess;

/// Bytes, from the least that the engine gives a container to 1 TiB.
pub type Bytes = Whole<6_291_456, 1_099_511_627_776>;

/// A time in whole seconds, up to a day.
pub type Seconds = Whole<1, 86_400>;

/// Limits of a container (compose-spec, "Services").
#[derive(Clone, Debug, Default, PartialEq, Eq, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Limits {
    /// Memory, in bytes.
    pub memory: Option<Bytes>,
    /// Memory that the container keeps when the machine runs short, in bytes; at most `memory`.
    pub memory_reservation: Option<Bytes>,
    /// Memory and swap together, in bytes; at least `memory`, which it needs. Equal to it: no swap.
    pub memory_swap: Option<Bytes>,
    /// Thousandths of a CPU.
    pub milli_cpus: Option<Whole<1, 1_000_000>>,
    /// Share of the CPUs when they are short; 1024 is the engine's default.
    pub cpu_shares: Option<Whole<2, 65_536>>,
    /// CPUs on which it may run.
    pub cpuset: Option<CpuSet>,
    /// Processes and threads.
    pub pids: Option<Whole<1, 4_194_304>>,
    /// Size of `/dev/shm`, in bytes; 64 MiB is the engine's default.
    pub shm_size: Option<Whole<4096, 1_099_511_627_776>>,
}

/// A limit of each process (`setrlimit(2)`), in its own unit.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Ulimit {
    /// What a process starts with; -1: no limit.
    pub soft: Whole<-1, { i64::MAX }>,
    /// How far it may raise that; -1: no limit.
    pub hard: Whole<-1, { i64::MAX }>,
}

/// Times of a health probe; the probe itself belongs to the daemon.
#[derive(Clone, Debug, Default, PartialEq, Eq, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Health {
    /// Between two probes, in seconds.
    pub interval: Option<Seconds>,
    /// For one probe, in seconds.
    pub timeout: Option<Seconds>,
    /// Failures in a row that make the container unhealthy.
    pub retries: Option<Whole<1, 1000>>,
    /// In which failures do not count, in seconds.
    pub start_period: Option<Seconds>,
    /// Between two probes within the start period, in seconds. Needs engine 25.
    pub start_interval: Option<Seconds>,
}

/// Where the output goes.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Logging {
    /// Driver; absent: the engine's default.
    pub driver: Option<Name>,
    /// Options of the driver.
    #[serde(default)]
    pub options: UniqueMap<Key, Line>,
}

/// A device of the host.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Device {
    /// Path on the host.
    pub source: ContainerPath,
    /// Path in the container; absent: the same.
    pub target: Option<ContainerPath>,
    /// What may be done with it; absent: everything.
    pub access: Option<DeviceAccess>,
}

impl Device {
    /// Path in the container.
    #[must_use]
    pub fn target(&self) -> &ContainerPath {
        self.target.as_ref().unwrap_or(&self.source)
    }
}
