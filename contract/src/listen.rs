//! TCP sockets that daemons listen on, and numbers that may be written for texts.

use std::fmt;
use std::net::{IpAddr, Ipv4Addr};
use std::str::FromStr;

use serde::{Deserialize, Serialize};

/// A TCP socket that a daemon listens on.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(try_from = "Scalar", into = "String")]
pub struct Listen {
    /// Address; the unspecified one means every address.
    pub address: IpAddr,
    /// TCP port, 1 to 65535.
    pub port: u16,
}

impl Listen {
    /// A socket on every address.
    #[must_use]
    pub const fn any(port: u16) -> Self {
        Self { address: IpAddr::V4(Ipv4Addr::UNSPECIFIED), port }
    }

    /// A socket on the loopback address.
    #[must_use]
    pub const fn loopback(port: u16) -> Self {
        Self { address: IpAddr::V4(Ipv4Addr::LOCALHOST), port }
    }
}

impl fmt::Display for Listen {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.address {
            IpAddr::V4(v4) => write!(f, "{v4}:{}", self.port),
            IpAddr::V6(v6) => write!(f, "[{v6}]:{}", self.port),
        }
    }
}

impl FromStr for Listen {
    type Err = String;

    /// Reads `9099` (every address), `127.0.0.1:9099` or `[::1]:9099`.
    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let (address, port) = match text.rsplit_once(':') {
            None => ("0.0.0.0", text),
            Some((address, port)) => (address, port),
        };
        let address = address.strip_prefix('[').and_then(|rest| rest.strip_suffix(']')).unwrap_or(address);
        let (Ok(address), Ok(port @ 1..)) = (address.parse(), port.parse()) else {
            return Err(format!("listen address {text:?} is not PORT or ADDRESS:PORT"));
        };
        Ok(Self { address, port })
    }
}

/// A string, or a whole number in its place: ports and user ids are written either way.
#[derive(Deserialize)]
#[serde(untagged, expecting = "has to be a string or a whole number")]
pub(crate) enum Scalar {
    Text(String),
    Number(u32),
}

impl From<Scalar> for String {
    fn from(scalar: Scalar) -> Self {
        match scalar {
            Scalar::Text(text) => text,
            Scalar::Number(number) => number.to_string(),
        }
    }
}

impl TryFrom<Scalar> for Listen {
    type Error = String;

    fn try_from(scalar: Scalar) -> Result<Self, Self::Error> {
        String::from(scalar).parse()
    }
}

impl From<Listen> for String {
    fn from(listen: Listen) -> Self {
        listen.to_string()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn listen_reads_what_it_writes() {
        for text in ["0.0.0.0:9099", "127.0.0.1:1", "[::1]:65535"] {
            assert_eq!(text.parse::<Listen>().map(|listen| listen.to_string()), Ok(text.to_owned()));
        }
        assert_eq!("9099".parse(), Ok(Listen::any(9099)));
        for text in ["", "0", "65536", "localhost:80", "1.2.3.4:", ":80"] {
            assert!(text.parse::<Listen>().is_err(), "{text:?}");
        }
    }
}
