//! Texts that a plan may hold, checked once at the border.

use std::borrow::Cow;
use std::fmt;

use schemars::{JsonSchema, Schema, SchemaGenerator, json_schema};
use serde::Deserialize;

macro_rules! checked {
    ($(#[$doc:meta])* $name:ident, $pattern:literal, $what:literal, $check:expr) => {
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
                if check(&text) { Ok(Self(text)) } else { Err(format!("{text:?} is not {}", $what)) }
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
    };
}

checked!(
    /// Name of a bottle.
    Slug,
    r"^[a-z0-9][a-z0-9-]{0,47}$",
    "a slug: up to 48 of a-z, 0-9 and -, not beginning with -",
    |text| {
        (1..=48).contains(&text.len())
            && !text.starts_with('-')
            && text.bytes().all(|b| b.is_ascii_lowercase() || b.is_ascii_digit() || b == b'-')
    }
);
checked!(
    /// An absolute, normalised path, on the host or in a container.
    AbsolutePath,
    r"^(/[^/\x00-\x1f\x7f]+)+$",
    "an absolute path without empty parts, . or .., trailing slash or control characters",
    |text| {
        text.len() > 1
            && text.len() < 4096
            && text.strip_prefix('/').is_some_and(|rest| {
                rest.split('/').all(|part| !matches!(part, "" | "." | "..") && !part.chars().any(char::is_control))
            })
    }
);
checked!(
    /// Name of an environment variable.
    VariableName,
    r"^[A-Za-z_][A-Za-z0-9_]*$",
    "the name of an environment variable",
    |text| {
        text.starts_with(|c: char| c.is_ascii_alphabetic() || c == '_')
            && text.bytes().all(|b| b.is_ascii_alphanumeric() || b == b'_')
    }
);
checked!(
    /// A name of a host, network, volume, file or image: no white space, no control characters.
    Name,
    r"^[A-Za-z0-9][A-Za-z0-9_.:/@-]*$",
    "a name: letters, digits and _ . : / @ -, beginning with a letter or digit",
    |text| {
        text.starts_with(|c: char| c.is_ascii_alphanumeric())
            && text.bytes().all(|b| b.is_ascii_alphanumeric() || b"_.:/@-".contains(&b))
    }
);
checked!(
    /// One line of text.
    Line,
    r"^[^\x00-\x08\x0a-\x1f\x7f]*$",
    "one line of text without control characters",
    |text| !text.chars().any(|c| c.is_control() && c != '\t')
);
checked!(
    /// An IP address.
    Address,
    r"^[0-9a-fA-F.:]+$",
    "an IP address",
    |text| text.parse::<std::net::IpAddr>().is_ok()
);
checked!(
    /// A Linux capability without its `CAP_`.
    Capability,
    r"^[A-Z][A-Z_]*$",
    "a capability in capitals and without CAP_",
    |text| {
        text.starts_with(|c: char| c.is_ascii_uppercase())
            && !text.starts_with("CAP_")
            && text.bytes().all(|b| b.is_ascii_uppercase() || b == b'_')
    }
);
