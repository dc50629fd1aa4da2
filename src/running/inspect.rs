//! What `docker inspect` prints, as far as it says what is effective; absent and null are the same.

use std::collections::BTreeMap;

use serde::Deserialize;
use serde_json::Value;

/// A container.
#[derive(Clone, Debug, Default, Deserialize)]
#[serde(rename_all = "PascalCase", default)]
pub struct Container {
    /// 64 hexadecimal digits.
    pub id: String,
    /// Its name after a slash.
    pub name: String,
    /// Id of its image.
    pub image: String,
    /// Whether and as which process it runs.
    pub state: State,
    /// `Config`: settings of the container itself.
    pub config: Config,
    /// `HostConfig`, kept whole so that unknown parts become findings.
    pub host_config: BTreeMap<String, Value>,
    /// What is mounted.
    pub mounts: Option<Vec<MountPoint>>,
    /// Where it is in networks.
    pub network_settings: NetworkSettings,
}

impl Container {
    /// Its name.
    #[must_use]
    pub fn name(&self) -> &str {
        self.name.trim_start_matches('/')
    }

    /// Compose service of the container.
    #[must_use]
    pub fn service(&self, project: &str) -> Option<&str> {
        let labels = self.config.labels.as_ref()?;
        let own = labels.get(super::PROJECT).is_some_and(|own| own == project);
        labels.get(super::SERVICE).filter(|_| own).map(String::as_str)
    }

    /// Part of `HostConfig`, if it says anything.
    #[must_use]
    pub fn host<T: serde::de::DeserializeOwned>(&self, key: &str) -> Option<T> {
        serde_json::from_value(self.host_config.get(key)?.clone()).ok()
    }
}

/// Whether a container runs.
#[derive(Clone, Debug, Default, Deserialize)]
#[serde(rename_all = "PascalCase", default)]
pub struct State {
    /// Whether its first process lives.
    pub running: bool,
    /// Whether it is frozen.
    pub paused: bool,
    /// That process, as the engine's machine numbers it.
    pub pid: i32,
}

/// What a container, or an image, says of its process.
#[derive(Clone, Debug, Default, Deserialize)]
#[serde(rename_all = "PascalCase", default)]
pub struct Config {
    /// Host name; by default the first 12 digits of the container's id.
    pub hostname: String,
    /// Domain name.
    pub domainname: String,
    /// User, empty for root.
    pub user: String,
    /// `NAME=value`.
    pub env: Option<Vec<String>>,
    /// CMD.
    pub cmd: Option<Vec<String>>,
    /// ENTRYPOINT.
    pub entrypoint: Option<Vec<String>>,
    /// Image reference that it was made from.
    pub image: String,
    /// WORKDIR, empty for `/`.
    pub working_dir: String,
    /// Labels.
    pub labels: Option<BTreeMap<String, String>>,
    /// HEALTHCHECK.
    pub healthcheck: Option<Health>,
    /// STOPSIGNAL.
    pub stop_signal: Option<String>,
    /// Seconds between that signal and KILL.
    pub stop_timeout: Option<u64>,
    /// Whether it has a terminal.
    pub tty: bool,
    /// Whether its standard input stays open.
    pub open_stdin: bool,
    /// VOLUME, as keys.
    pub volumes: Option<BTreeMap<String, Value>>,
}

/// What an image says by default.
pub type ImageConfig = Config;

/// A health probe; times in nanoseconds, 0 for the engine's default.
#[derive(Clone, Debug, Default, Deserialize)]
#[serde(rename_all = "PascalCase", default)]
pub struct Health {
    /// `CMD`, `CMD-SHELL` or `NONE`, and what is run.
    pub test: Option<Vec<String>>,
    /// Time between two probes.
    pub interval: u64,
    /// Time that one probe may take.
    pub timeout: u64,
    /// Time in which failures do not count.
    pub start_period: u64,
    /// Time between two probes within the start period.
    pub start_interval: u64,
    /// Failures in a row that make the container unhealthy.
    pub retries: u64,
}

/// Something that is mounted.
#[derive(Clone, Debug, Default, Deserialize)]
#[serde(rename_all = "PascalCase", default)]
pub struct MountPoint {
    /// `bind`, `volume`, `tmpfs`, …
    #[serde(rename = "Type")]
    pub kind: String,
    /// Name of a volume.
    pub name: String,
    /// Path on the host.
    pub source: String,
    /// Path in the container.
    pub destination: String,
    /// Options of the short syntax, separated by commas.
    pub mode: String,
    /// Whether it can be written.
    #[serde(rename = "RW")]
    pub writable: bool,
    /// How mounts below it travel.
    pub propagation: String,
}

/// Where a container is in networks.
#[derive(Clone, Debug, Default, Deserialize)]
#[serde(rename_all = "PascalCase", default)]
pub struct NetworkSettings {
    /// Port with protocol → what is bound on the host; null for a port that is exposed only.
    pub ports: Option<BTreeMap<String, Option<Vec<Binding>>>>,
    /// Place in each network, by the network's name.
    pub networks: Option<BTreeMap<String, Endpoint>>,
}

/// A port of the host.
#[derive(Clone, Debug, Default, Deserialize)]
#[serde(rename_all = "PascalCase", default)]
pub struct Binding {
    /// Address, empty for all.
    pub host_ip: String,
    /// Port or range, empty for one of the engine's choice.
    pub host_port: String,
}

/// A container's place in a network.
#[derive(Clone, Debug, Default, Deserialize)]
#[serde(rename_all = "PascalCase", default)]
pub struct Endpoint {
    /// Names that resolve to it there.
    pub aliases: Option<Vec<String>>,
    /// Addresses that were asked for.
    #[serde(rename = "IPAMConfig")]
    pub addresses: Option<BTreeMap<String, Value>>,
    /// Options of the driver.
    pub driver_opts: Option<BTreeMap<String, String>>,
}

/// A network.
#[derive(Clone, Debug, Default, Deserialize)]
#[serde(rename_all = "PascalCase", default)]
pub struct Network {
    /// Its name.
    pub name: String,
    /// Its driver.
    pub driver: String,
    /// Whether it has no way out.
    pub internal: bool,
    /// Whether it has IPv6.
    #[serde(rename = "EnableIPv6")]
    pub ipv6: bool,
    /// Whether containers outside of a swarm may join.
    pub attachable: bool,
    /// Who gives addresses.
    #[serde(rename = "IPAM")]
    pub ipam: Ipam,
    /// Options of the driver.
    pub options: Option<BTreeMap<String, String>>,
    /// Labels.
    pub labels: Option<BTreeMap<String, String>>,
    /// Who is in it, by the container's id.
    pub containers: Option<BTreeMap<String, Value>>,
}

/// How a network gives addresses.
#[derive(Clone, Debug, Default, Deserialize)]
#[serde(rename_all = "PascalCase", default)]
pub struct Ipam {
    /// Who gives them.
    pub driver: String,
    /// Subnets, with their gateways and ranges.
    pub config: Option<Vec<BTreeMap<String, Value>>>,
}

/// A named volume.
#[derive(Clone, Debug, Default, Deserialize)]
#[serde(rename_all = "PascalCase", default)]
pub struct Volume {
    /// Its name.
    pub name: String,
    /// Its driver.
    pub driver: String,
    /// Options of the driver.
    pub options: Option<BTreeMap<String, String>>,
    /// Labels.
    pub labels: Option<BTreeMap<String, String>>,
}

/// Defaults of the engine (`docker info`).
#[derive(Clone, Debug, Default, Deserialize)]
#[serde(rename_all = "PascalCase", default)]
pub struct Engine {
    /// `1` or `2`.
    pub cgroup_version: String,
    /// Runtime of containers.
    pub default_runtime: String,
    /// Where output goes.
    pub logging_driver: String,
    /// Whether it can limit swap.
    pub swap_limit: bool,
}

/// An image, for what it says by default.
#[derive(Clone, Debug, Default, Deserialize)]
#[serde(rename_all = "PascalCase", default)]
pub struct Image {
    /// `sha256:…`.
    pub id: String,
    /// Settings that its containers receive.
    pub config: Option<ImageConfig>,
}
