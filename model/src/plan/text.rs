//! Texts that a plan may hold, checked once at the border.

use std::borrow::Cow;
use std::fmt;
use std::net::IpAddr;

use schemars::{JsonSchema, Schema, SchemaGenerator, json_schema};
use serde::Deserialize;

macro_rules! checked {
    ($($(#[$doc:meta])* $name:ident, $pattern:literal, $what:literal, $check:expr;)*) => { $(
        $(#[$doc])*
        #[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Deserialize)]
        #[serde(try_from = "String")]
        pub struct $name(String);

        impl $name {
            /// The text.
            #[must_use]
            pub fn as_str(&self) -> &str {
                &self.0
            }
        }

        impl TryFrom<String> for $name {
            type Error = String;

            fn try_from(text: String) -> Result<Self, Self::Error> {
                let check: fn(&str) -> bool = $check;
                if check(&text) { Ok(Self(text)) } else { Err(format!("{} is not {}", quoted(&text), $what)) }
            }
        }

        impl fmt::Display for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str(&self.0)
            }
        }

        impl JsonSchema for $name {
            fn schema_name() -> Cow<'static, str> {
                stringify!($name).into()
            }

            fn json_schema(_: &mut SchemaGenerator) -> Schema {
                json_schema!({ "type": "string", "pattern": $pattern, "description": $what })
            }
        }
    )* };
}

checked! {
    /// Name of a bottle.
    Slug, r"^[a-z0-9][a-z0-9-]{0,47}$", "a slug: up to 48 of a-z, 0-9 and -, not beginning with -",
    |text| text.len() <= 48 && word(text, b"-") && text.bytes().all(|b| !b.is_ascii_uppercase());

    /// An absolute, normalised path on the host.
    HostPath, r"^(/[^/\x00-\x1f\x7f]+)+$",
    "an absolute path without empty parts, . or .., trailing slash or control characters", absolute;

    /// An absolute, normalised path in a container. The handshake separates paths by `:`.
    ContainerPath, r"^(/[^/:\x00-\x1f\x7f]+)+$",
    "an absolute path without colon, empty parts, . or .., trailing slash, control characters or space at its end",
    |text| absolute(text) && !text.contains(':') && text.trim_end() == text;

    /// A path below another, normalised.
    RelativePath, r"^[^/\x00-\x1f\x7f]+(/[^/\x00-\x1f\x7f]+)*$",
    "a relative path without empty parts, . or .., trailing slash or control characters", parts;

    /// A host path, or the name of one of the plan's volumes.
    MountSource, r"^((/[^/\x00-\x1f\x7f]+)+|[A-Za-z0-9][A-Za-z0-9_.-]*)$",
    "an absolute, normalised host path or the name of a volume",
    |text| if text.starts_with('/') { absolute(text) } else { word(text, b"_.-") };

    /// Name of an environment variable.
    VariableName, r"^[A-Za-z_][A-Za-z0-9_]*$", "the name of an environment variable",
    |text| {
        text.starts_with(|c: char| c.is_ascii_alphabetic() || c == '_')
            && text.bytes().all(|b| b.is_ascii_alphanumeric() || b == b'_')
    };

    /// Name of a network, volume, driver or runtime.
    Name, r"^[A-Za-z0-9][A-Za-z0-9_.-]*$", "a name: letters, digits and _ . -, beginning with a letter or digit",
    |text| word(text, b"_.-");

    /// Name of a host or a domain.
    HostName, r"^[A-Za-z0-9][A-Za-z0-9_.-]{0,252}$", "a host name",
    |text| text.len() <= 253 && word(text, b"_.-");

    /// Name of a file in a folder.
    FileName, r"^[A-Za-z0-9_@+-][A-Za-z0-9_.@+-]*$", "a file name: letters, digits and _ . @ + -",
    |text| {
        text.starts_with(|c: char| c.is_ascii_alphanumeric() || "_@+-".contains(c))
            && text.bytes().all(|b| b.is_ascii_alphanumeric() || b"_.@+-".contains(&b))
    };

    /// Reference of an image.
    ImageReference, r"^[A-Za-z0-9][A-Za-z0-9_.:/@-]*$", "the reference of an image", |text| word(text, b"_.:/@-");

    /// Key of a label, an annotation or an option.
    Key, r"^[A-Za-z0-9][A-Za-z0-9_./-]*$", "a key: letters, digits and _ . / -, beginning with a letter or digit",
    |text| word(text, b"_./-");

    /// A kernel parameter that belongs to a container's namespaces (docker run, "Configure namespaced kernel
    /// parameters").
    Sysctl, r"^(net|fs\.mqueue|kernel\.(msgmax|msgmnb|msgmni|sem|shmall|shmmax|shmmni|shm_rmid_forced))(\.[A-Za-z0-9_-]+)*$",
    "a kernel parameter of a container: net.*, fs.mqueue.*, kernel.msg*, kernel.sem, kernel.shm*",
    |text| {
        let kernel = ["msgmax", "msgmnb", "msgmni", "sem", "shmall", "shmmax", "shmmni", "shm_rmid_forced"];
        let tail = |text: &str| word(text, b"_.-") && text.split('.').all(|part| !part.is_empty());
        ["net.", "fs.mqueue."].iter().any(|start| text.strip_prefix(start).is_some_and(tail))
            || text.strip_prefix("kernel.").is_some_and(|name| kernel.contains(&name))
    };

    /// A group, by name or number.
    Group, r"^[A-Za-z0-9_][A-Za-z0-9_.-]*$", "the name or number of a group", account;

    /// A user and perhaps a group, by name or number.
    User, r"^[A-Za-z0-9_][A-Za-z0-9_.-]*(:[A-Za-z0-9_][A-Za-z0-9_.-]*)?$", "USER or USER:GROUP, by name or number",
    |text| text.split_once(':').map_or_else(|| account(text), |(user, group)| account(user) && account(group));

    /// One line of text.
    Line, r"^[^\x00-\x08\x0a-\x1f\x7f]*$", "one line of text without control characters",
    |text| !text.chars().any(|c| c.is_control() && c != '\t');

    /// An option without white space.
    Token, r"^[^\s\x00-\x1f\x7f]+$", "an option without white space",
    |text| !text.is_empty() && !text.chars().any(|c| c.is_control() || c.is_whitespace());

    /// An IP address.
    Address, r"^[0-9a-fA-F.:]+$", "an IP address", |text| text.parse::<IpAddr>().is_ok();

    /// An IP address, or `host-gateway` for the host's.
    HostAddress, r"^([0-9a-fA-F.:]+|host-gateway)$", "an IP address or host-gateway",
    |text| text == "host-gateway" || text.parse::<IpAddr>().is_ok();

    /// A range of IP addresses, `192.0.2.0/24`.
    Cidr, r"^[0-9a-fA-F.:]+/[0-9]{1,3}$", "a range of addresses like 192.0.2.0/24",
    |text| span(text).is_some();

    /// A restart policy.
    Restart, r"^(no|always|unless-stopped|on-failure(:[1-9][0-9]{0,2})?)$",
    "a restart policy: no, always, unless-stopped, on-failure or on-failure:COUNT",
    |text| {
        let count = |count: &str| count.parse::<u16>().is_ok_and(|count| (1..1000).contains(&count));
        matches!(text, "no" | "always" | "unless-stopped" | "on-failure")
            || text.strip_prefix("on-failure:").is_some_and(|n| !n.starts_with(['0', '+']) && count(n))
    };

    /// A security option (docker run, `--security-opt`).
    SecurityOption, r"^(no-new-privileges:true|systempaths=unconfined|label=disable|label=(user|role|type|level):[^\s]+|(seccomp|apparmor)=[^\s]+)$",
    "a security option: no-new-privileges:true, seccomp=…, apparmor=…, label=disable, label=type:…, systempaths=unconfined",
    |text| {
        let value = |value: &str| !value.is_empty() && !value.chars().any(|c| c.is_control() || c.is_whitespace());
        let label = |label: &str| {
            label.split_once(':').is_some_and(|(kind, rest)| {
                matches!(kind, "user" | "role" | "type" | "level") && value(rest)
            })
        };
        match text.split_once('=') {
            Some(("seccomp" | "apparmor", profile)) => value(profile),
            Some(("label", text)) => text == "disable" || label(text),
            _ => matches!(text, "no-new-privileges:true" | "systempaths=unconfined"),
        }
    };

    /// A set of CPUs, `0-3,7`.
    CpuSet, r"^[0-9]{1,4}(-[0-9]{1,4})?(,[0-9]{1,4}(-[0-9]{1,4})?)*$", "a set of CPUs like 0-3,7",
    |text| text.split(',').all(|range| {
        let (first, last) = range.split_once('-').unwrap_or((range, range));
        let number = |text: &str| text.parse::<u16>().ok().filter(|_| text.len() <= 4 && !text.starts_with('+'));
        matches!((number(first), number(last)), (Some(first), Some(last)) if first <= last)
    });

    /// A platform, `linux/amd64`.
    Platform, r"^[a-z0-9_]+/[a-z0-9_]+(/[a-z0-9_]+)?$", "a platform like linux/amd64",
    |text| {
        let parts: Vec<&str> = text.split('/').collect();
        matches!(parts.len(), 2 | 3)
            && parts.iter().all(|part| !part.is_empty() && part.bytes().all(|b| b.is_ascii_lowercase() || b.is_ascii_digit() || b == b'_'))
    };

    /// Permissions of a folder in octal, `1777`.
    FileMode, r"^[0-7]{3,4}$", "permissions in octal like 1777",
    |text| matches!(text.len(), 3 | 4) && text.bytes().all(|b| (b'0'..=b'7').contains(&b));
}

impl FileMode {
    /// The permissions as a number.
    #[must_use]
    pub fn bits(&self) -> u32 {
        u32::from_str_radix(&self.0, 8).unwrap_or_default()
    }
}

/// Letters, digits and some more, beginning with a letter or digit.
fn word(text: &str, more: &[u8]) -> bool {
    text.starts_with(|c: char| c.is_ascii_alphanumeric())
        && text.bytes().all(|b| b.is_ascii_alphanumeric() || more.contains(&b))
}

fn account(text: &str) -> bool {
    text.starts_with(|c: char| c.is_ascii_alphanumeric() || c == '_')
        && text.bytes().all(|b| b.is_ascii_alphanumeric() || b"_.-".contains(&b))
}

fn absolute(text: &str) -> bool {
    text.len() < 4096 && text.strip_prefix('/').is_some_and(parts)
}

fn parts(text: &str) -> bool {
    text.split('/').all(|part| !matches!(part, "" | "." | "..") && !part.chars().any(char::is_control))
}

/// First address and length of a range whose host part is zero.
fn span(text: &str) -> Option<(IpAddr, u32)> {
    let (address, length) = text.split_once('/')?;
    let (address, length) = (address.parse::<IpAddr>().ok()?, length.parse::<u32>().ok()?);
    let (bits, width) = bits(address);
    (length <= width && bits.checked_shl(128 - width + length).unwrap_or_default() == 0)
        .then_some((address, length))
}

/// An address as a number, and how many bits it has.
fn bits(address: IpAddr) -> (u128, u32) {
    match address {
        IpAddr::V4(address) => (u128::from(address.to_bits()), 32),
        IpAddr::V6(address) => (address.to_bits(), 128),
    }
}

impl Cidr {
    /// Whether an address, or all of another range, lies in this range.
    #[must_use]
    pub fn contains(&self, inner: &str) -> bool {
        let one = inner.parse().ok().map(|address| (address, bits(address).1));
        let (Some((first, length)), Some((inner, own))) = (span(&self.0), one.or_else(|| span(inner))) else {
            return false;
        };
        let ((first, width), (inner, other)) = (bits(first), bits(inner));
        width == other
            && length <= own
            && (first ^ inner).checked_shr(width - length).unwrap_or_default() == 0
    }
}

/// A text as a message shows it: not at length.
fn quoted(text: &str) -> String {
    match text.char_indices().nth(60) {
        Some((at, _)) => format!("{:?}…", &text[..at]),
        None => format!("{text:?}"),
    }
}
