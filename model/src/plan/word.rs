//! Words of which a plan may use a known few.

use std::borrow::Cow;
use std::fmt;

use schemars::{JsonSchema, Schema, SchemaGenerator, json_schema};
use serde::de::Error;
use serde::{Deserialize, Deserializer};

macro_rules! listed {
    ($($(#[$doc:meta])* $name:ident = $($word:literal)*;)*) => { $(
        $(#[$doc])*
        #[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
        pub struct $name(&'static str);

        impl $name {
            const KNOWN: &[&str] = &[$($word),*];

            /// The word.
            #[must_use]
            pub const fn as_str(self) -> &'static str {
                self.0
            }
        }

        impl fmt::Display for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str(self.0)
            }
        }

        impl<'de> Deserialize<'de> for $name {
            fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
                let text = String::deserialize(deserializer)?;
                let known = Self::KNOWN.iter().find(|word| **word == text);
                known.map(|word| Self(word)).ok_or_else(|| D::Error::unknown_variant(&text, Self::KNOWN))
            }
        }

        impl JsonSchema for $name {
            fn schema_name() -> Cow<'static, str> {
                stringify!($name).into()
            }

            fn json_schema(_: &mut SchemaGenerator) -> Schema {
                json_schema!({ "type": "string", "enum": Self::KNOWN })
            }
        }
    )* };
}

listed! {
    /// A Linux capability without its `CAP_` (`capabilities(7)`), or `ALL` of them.
    Capability = "ALL" "AUDIT_CONTROL" "AUDIT_READ" "AUDIT_WRITE" "BLOCK_SUSPEND" "BPF" "CHECKPOINT_RESTORE" "CHOWN"
        "DAC_OVERRIDE" "DAC_READ_SEARCH" "FOWNER" "FSETID" "IPC_LOCK" "IPC_OWNER" "KILL" "LEASE"
        "LINUX_IMMUTABLE" "MAC_ADMIN" "MAC_OVERRIDE" "MKNOD" "NET_ADMIN" "NET_BIND_SERVICE" "NET_BROADCAST"
        "NET_RAW" "PERFMON" "SETFCAP" "SETGID" "SETPCAP" "SETUID" "SYS_ADMIN" "SYS_BOOT" "SYS_CHROOT"
        "SYS_MODULE" "SYS_NICE" "SYS_PACCT" "SYS_PTRACE" "SYS_RAWIO" "SYS_RESOURCE" "SYS_TIME"
        "SYS_TTY_CONFIG" "SYSLOG" "WAKE_ALARM";

    /// Name of a limit of each process (`setrlimit(2)`).
    UlimitName = "core" "cpu" "data" "fsize" "locks" "memlock" "msgqueue" "nice" "nofile" "nproc" "rss" "rtprio"
        "rttime" "sigpending" "stack";

    /// Mount propagation (`mount_namespaces(7)`); with `r`, mounts below included.
    Propagation = "private" "rprivate" "rshared" "rslave" "shared" "slave";

    /// SELinux relabelling of a bind mount: `z` for every container, `Z` for this one alone.
    Selinux = "z" "Z";

    /// Access to a device: read, write, make nodes.
    DeviceAccess = "r" "w" "m" "rw" "rm" "wm" "rwm";

    /// A signal that stops a container.
    StopSignal = "SIGHUP" "SIGINT" "SIGKILL" "SIGQUIT" "SIGTERM" "SIGUSR1" "SIGUSR2" "SIGWINCH";

    /// Protocol of a port.
    Protocol = "tcp" "udp" "sctp";
}

impl Default for Protocol {
    fn default() -> Self {
        Self("tcp")
    }
}
