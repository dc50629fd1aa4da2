//! Linux capabilities by name (`capabilities(7)`).

use std::fmt;

use serde::{Deserialize, Serialize};

/// Names by number (`linux/capability.h`).
const NAMES: [&str; 41] = [
    "CHOWN",
    "DAC_OVERRIDE",
    "DAC_READ_SEARCH",
    "FOWNER",
    "FSETID",
    "KILL",
    "SETGID",
    "SETUID",
    "SETPCAP",
    "LINUX_IMMUTABLE",
    "NET_BIND_SERVICE",
    "NET_BROADCAST",
    "NET_ADMIN",
    "NET_RAW",
    "IPC_LOCK",
    "IPC_OWNER",
    "SYS_MODULE",
    "SYS_RAWIO",
    "SYS_CHROOT",
    "SYS_PTRACE",
    "SYS_PACCT",
    "SYS_ADMIN",
    "SYS_BOOT",
    "SYS_NICE",
    "SYS_RESOURCE",
    "SYS_TIME",
    "SYS_TTY_CONFIG",
    "MKNOD",
    "LEASE",
    "AUDIT_WRITE",
    "AUDIT_CONTROL",
    "SETFCAP",
    "MAC_OVERRIDE",
    "MAC_ADMIN",
    "SYSLOG",
    "WAKE_ALARM",
    "BLOCK_SUSPEND",
    "AUDIT_READ",
    "PERFMON",
    "BPF",
    "CHECKPOINT_RESTORE",
];

/// A set of capabilities; in text a list of names, with or without `CAP_`, or `ALL`.
#[derive(Clone, Copy, Default, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(try_from = "Vec<String>", into = "Vec<String>")]
pub struct Capabilities(u64);

impl Capabilities {
    /// Every capability.
    pub const ALL: Self = Self((1 << NAMES.len()) - 1);

    /// What Docker gives to a container by default (moby, `oci/caps/defaults.go`).
    pub const DEFAULT: Self = Self::of(&[
        "CHOWN",
        "DAC_OVERRIDE",
        "FSETID",
        "FOWNER",
        "MKNOD",
        "NET_RAW",
        "SETGID",
        "SETUID",
        "SETFCAP",
        "SETPCAP",
        "NET_BIND_SERVICE",
        "SYS_CHROOT",
        "KILL",
        "AUDIT_WRITE",
    ]);

    /// The set of some names without `CAP_`; an unknown name adds nothing.
    #[must_use]
    pub const fn of(names: &[&str]) -> Self {
        let mut bits = 0;
        let mut at = 0;
        while at < names.len() {
            let mut number = 0;
            while number < NAMES.len() {
                if same(names[at], NAMES[number]) {
                    bits |= 1 << number;
                }
                number += 1;
            }
            at += 1;
        }
        Self(bits)
    }

    /// The set with these bits; those beyond the last known capability are left out.
    #[must_use]
    pub const fn from_bits(bits: u64) -> Self {
        Self(bits & Self::ALL.0)
    }

    /// Bits by number, as in `/proc/PID/status`.
    #[must_use]
    pub const fn bits(self) -> u64 {
        self.0
    }

    /// Capabilities of both sets.
    #[must_use]
    pub const fn and(self, other: Self) -> Self {
        Self(self.0 & other.0)
    }

    /// Capabilities of this set that the other one lacks.
    #[must_use]
    pub const fn without(self, other: Self) -> Self {
        Self(self.0 & !other.0)
    }

    /// Whether the set is empty.
    #[must_use]
    pub const fn is_empty(self) -> bool {
        self.0 == 0
    }

    /// Names without `CAP_`, by number.
    pub fn names(self) -> impl Iterator<Item = &'static str> {
        NAMES
            .into_iter()
            .enumerate()
            .filter(move |(number, _)| self.0 >> number & 1 == 1)
            .map(|(_, name)| name)
    }

    /// Numbers of the capabilities.
    pub fn numbers(self) -> impl Iterator<Item = u32> {
        (0..u64::BITS).filter(move |number| self.0 >> number & 1 == 1)
    }
}

const fn same(one: &str, other: &str) -> bool {
    let (one, other) = (one.as_bytes(), other.as_bytes());
    if one.len() != other.len() {
        return false;
    }
    let mut at = 0;
    while at < one.len() {
        if one[at] != other[at] {
            return false;
        }
        at += 1;
    }
    true
}

impl fmt::Debug for Capabilities {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_set().entries(self.names()).finish()
    }
}

impl TryFrom<Vec<String>> for Capabilities {
    type Error = String;

    fn try_from(names: Vec<String>) -> Result<Self, Self::Error> {
        let mut bits = 0;
        for name in names {
            let upper = name.to_ascii_uppercase();
            let short = upper.strip_prefix("CAP_").unwrap_or(&upper);
            let one = if short == "ALL" { Self::ALL } else { Self::of(&[short]) };
            if one.is_empty() {
                return Err(format!("unknown capability {name:?}"));
            }
            bits |= one.0;
        }
        Ok(Self(bits))
    }
}

impl From<Capabilities> for Vec<String> {
    fn from(capabilities: Capabilities) -> Self {
        capabilities.names().map(str::to_owned).collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(names: &[&str]) -> Result<Capabilities, String> {
        names.iter().map(|name| (*name).to_owned()).collect::<Vec<String>>().try_into()
    }

    #[test]
    fn every_spelling_is_read() {
        for name in ["NET_RAW", "net_raw", "CAP_NET_RAW", "cap_Net_Raw"] {
            assert_eq!(read(&[name]), Ok(Capabilities::of(&["NET_RAW"])), "{name}");
        }
        assert_eq!(read(&["ALL"]), Ok(Capabilities::ALL));
        assert_eq!(read(&[]), Ok(Capabilities::default()));
        for name in ["", "CAP_", "NET", "CAP_CAP_NET_RAW"] {
            assert!(read(&["CHOWN", name]).is_err(), "{name}");
        }
    }

    #[test]
    fn numbers_are_those_of_the_kernel() {
        for (name, number) in [("CHOWN", 0), ("NET_RAW", 13), ("SYS_ADMIN", 21), ("PERFMON", 38)] {
            assert_eq!(Capabilities::of(&[name]).numbers().collect::<Vec<u32>>(), [number], "{name}");
        }
        assert_eq!(Capabilities::DEFAULT.bits(), 0xa804_25fb, "the mask that docker run shows");
        assert_eq!(Vec::<String>::from(Capabilities::of(&["SYS_NICE", "CHOWN"])), ["CHOWN", "SYS_NICE"]);
    }
}
