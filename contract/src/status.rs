//! What `sidecar-init status --json` prints.

use serde::{Deserialize, Serialize};

use crate::row::DaemonRow;

/// State of every daemon.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Status {
    /// `require`, `best-effort` or `off`.
    pub isolation: String,
    /// Selected daemons, in start order.
    pub daemons: Vec<DaemonStatus>,
}

/// State of one daemon.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct DaemonStatus {
    /// Name in the daemon table.
    pub name: String,
    /// Process id, in the container's namespace.
    pub pid: Option<i32>,
    /// `pending` (waits for other daemons), `running`, `stopping`, `waiting` (for a restart), `stopped` (by an
    /// operator), `completed` (with 0, and others wait for that) or `dead`.
    pub state: String,
    /// Seconds since the process started.
    pub uptime: Option<u64>,
    /// Restarts, automatic ones and others.
    pub restarts: u32,
    /// How the last process ended, or why there was none.
    pub ended: Option<String>,
    /// What it wrote last, where it does not run.
    pub last_lines: Vec<String>,
    /// What its health program says: `starting`, `healthy` or `unhealthy`; `None`: its row has none.
    pub health: Option<String>,
    /// User that it runs as: a name, or a number without a name.
    pub user: String,
    /// Sockets that health waits for.
    pub listen: Vec<String>,
    /// Numbers of the pipes that are its output: a process that has one open belongs to the daemon.
    pub streams: Vec<u64>,
    /// Walls around it.
    pub walls: Walls,
    /// Walls that its table row asks for and that are missing.
    pub missing: Vec<String>,
    /// Its row, with what the handshake lays over it.
    pub row: Option<DaemonRow>,
}

/// Walls around one daemon.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
#[expect(clippy::struct_excessive_bools, reason = "each wall is there or not, whatever the others are")]
pub struct Walls {
    /// It cannot open private files of other daemons.
    pub files: bool,
    /// It writes only where it may; what others execute or trust is not among that.
    pub writes: bool,
    /// It connects to the TCP ports of its table row only.
    pub tcp: bool,
    /// It binds the TCP ports of its table row only.
    pub bind: bool,
    /// It cannot signal, trace or inspect other daemons' processes, nor reach their abstract sockets.
    pub processes: bool,
    /// It has no sockets but those that its table row asks for.
    pub sockets: bool,
}

impl Walls {
    /// Walls that both have.
    #[must_use]
    pub const fn and(self, other: Self) -> Self {
        Self {
            files: self.files && other.files,
            writes: self.writes && other.writes,
            tcp: self.tcp && other.tcp,
            bind: self.bind && other.bind,
            processes: self.processes && other.processes,
            sockets: self.sockets && other.sockets,
        }
    }

    /// Names of the walls.
    #[must_use]
    pub fn names(self) -> Vec<&'static str> {
        [
            (self.files, "files"),
            (self.writes, "writes"),
            (self.tcp, "tcp"),
            (self.bind, "bind"),
            (self.processes, "processes"),
            (self.sockets, "sockets"),
        ]
        .into_iter()
        .filter_map(|(built, name)| built.then_some(name))
        .collect()
    }
}
