//! A length of time, as Compose writes it.

use std::time::Duration;

use serde::{Deserialize, Serialize};

/// Units in nanoseconds, the largest first; `m` comes after `ms` where text is read.
const UNITS: [(&str, u64); 6] = [
    ("h", 3_600_000_000_000),
    ("m", 60_000_000_000),
    ("s", 1_000_000_000),
    ("ms", 1_000_000),
    ("us", 1_000),
    ("ns", 1),
];

/// A length of time: a number of seconds, or text such as `1m30s` or `500ms`.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(try_from = "Written", into = "String")]
pub struct Span(pub Duration);

impl Span {
    /// A number of seconds.
    #[must_use]
    pub const fn seconds(seconds: u64) -> Self {
        Self(Duration::from_secs(seconds))
    }
}

#[derive(Deserialize)]
#[serde(untagged, expecting = "has to be a number of seconds or a text such as \"1m30s\"")]
enum Written {
    Whole(u32),
    Fraction(f64),
    Text(String),
}

impl TryFrom<Written> for Span {
    type Error = String;

    fn try_from(written: Written) -> Result<Self, Self::Error> {
        match written {
            Written::Whole(seconds) => Ok(Self::seconds(seconds.into())),
            Written::Fraction(seconds) => {
                Duration::try_from_secs_f64(seconds).map(Self).map_err(|error| error.to_string())
            }
            Written::Text(text) => parse(&text)
                .map(Self)
                .ok_or_else(|| format!("{text:?} is no length of time such as \"10s\" or \"1m30s\"")),
        }
    }
}

impl From<Span> for String {
    fn from(span: Span) -> Self {
        let nanos = span.0.as_nanos();
        let unit = UNITS.iter().find(|(_, size)| nanos.is_multiple_of(u128::from(*size)));
        match unit {
            Some((unit, size)) if nanos > 0 => format!("{}{unit}", nanos / u128::from(*size)),
            _ => "0s".to_owned(),
        }
    }
}

fn parse(text: &str) -> Option<Duration> {
    let mut rest = text;
    let mut total = Duration::ZERO;
    while !rest.is_empty() {
        let digits = rest.find(|c: char| !c.is_ascii_digit() && c != '.')?;
        let (number, after) = rest.split_at(digits);
        let unit = after.find(|c: char| c.is_ascii_digit()).unwrap_or(after.len());
        let (unit, after) = after.split_at(unit);
        let size = UNITS.iter().find(|(name, _)| *name == unit)?.1;
        let part = match number.split_once('.') {
            None => Duration::from_nanos(number.parse::<u64>().ok()?.checked_mul(size)?),
            Some(_) => scale(size, number.parse().ok()?)?,
        };
        total = total.checked_add(part)?;
        rest = after;
    }
    (!text.is_empty()).then_some(total)
}

fn scale(nanos: u64, factor: f64) -> Option<Duration> {
    Duration::try_from_secs_f64(Duration::from_nanos(nanos).as_secs_f64() * factor).ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn writes_what_it_reads() {
        for (text, millis, written) in [
            ("10s", 10_000, "10s"),
            ("1m30s", 90_000, "90s"),
            ("500ms", 500, "500ms"),
            ("1h", 3_600_000, "1h"),
            ("1.5s", 1_500, "1500ms"),
            ("0s", 0, "0s"),
        ] {
            assert_eq!(parse(text), Some(Duration::from_millis(millis)), "{text}");
            assert_eq!(String::from(Span(Duration::from_millis(millis))), written, "{text}");
        }
        for text in ["", "10", "s", "1x", "-1s", "1.2.3s", "99999999999999h", "1s x"] {
            assert_eq!(parse(text), None, "{text:?}");
        }
    }
}
