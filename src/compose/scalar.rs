//! What plain scalars mean, and how numbers are written out again: as Compose's YAML library has it, which is YAML
//! 1.2 with the octals, underscores and dates of 1.1.

use std::fmt;

use super::tree::Value;

#[derive(Clone, Copy, Debug, PartialEq)]
pub(super) enum Number {
    Whole(i64),
    /// Beyond the range of the above.
    Large(u64),
    Decimal(f64),
}

impl Number {
    pub(super) fn whole(self) -> Option<i64> {
        match self {
            Self::Whole(number) => Some(number),
            Self::Large(_) => None,
            #[expect(clippy::cast_possible_truncation, reason = "whole and far within the range")]
            Self::Decimal(number) => (number.fract() == 0.0 && number.abs() < 9e15).then_some(number as i64),
        }
    }

    #[expect(clippy::cast_precision_loss, reason = "that is what a decimal number is")]
    pub(super) fn decimal(self) -> f64 {
        match self {
            Self::Whole(number) => number as f64,
            Self::Large(number) => number as f64,
            Self::Decimal(number) => number,
        }
    }
}

/// Go's `%v`.
impl fmt::Display for Number {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Whole(number) => write!(f, "{number}"),
            Self::Large(number) => write!(f, "{number}"),
            Self::Decimal(number) if number.is_nan() => f.write_str("NaN"),
            Self::Decimal(number) if number.is_infinite() => {
                f.write_str(if *number > 0.0 { "+Inf" } else { "-Inf" })
            }
            Self::Decimal(number) => {
                let scientific = format!("{number:e}");
                let (digits, exponent) = scientific.split_once('e').unwrap_or((&scientific, "0"));
                let exponent: i32 = exponent.parse().unwrap_or_default();
                if (-4..6).contains(&exponent) {
                    write!(f, "{number}")
                } else {
                    let sign = if exponent < 0 { '-' } else { '+' };
                    write!(f, "{digits}e{sign}{:02}", exponent.abs())
                }
            }
        }
    }
}

/// Value of a plain scalar.
pub(super) fn plain(text: &str) -> Value {
    match text {
        "" | "~" | "null" | "Null" | "NULL" => return Value::Null,
        "true" | "True" | "TRUE" => return Value::Bool(true),
        "false" | "False" | "FALSE" => return Value::Bool(false),
        ".nan" | ".NaN" | ".NAN" => return Value::Number(Number::Decimal(f64::NAN)),
        ".inf" | ".Inf" | ".INF" | "+.inf" | "+.Inf" | "+.INF" => {
            return Value::Number(Number::Decimal(f64::INFINITY));
        }
        "-.inf" | "-.Inf" | "-.INF" => return Value::Number(Number::Decimal(f64::NEG_INFINITY)),
        _ => {}
    }
    let number = match text.as_bytes()[0] {
        b'.' => decimal(text),
        b'0'..=b'9' | b'+' | b'-' => {
            if is_time(text) {
                return Value::Time(text.to_owned());
            }
            let digits = text.replace('_', "");
            whole(&digits).or_else(|| decimal(&digits))
        }
        _ => None,
    };
    number.map_or_else(|| Value::Text(text.to_owned()), Value::Number)
}

fn whole(digits: &str) -> Option<Number> {
    let (negative, rest) = match digits.as_bytes().first()? {
        b'-' => (true, &digits[1..]),
        b'+' => (false, &digits[1..]),
        _ => (false, digits),
    };
    let lower = rest.to_ascii_lowercase();
    let (radix, rest) = match lower.get(..2) {
        Some("0x") => (16, &lower[2..]),
        Some("0b") => (2, &lower[2..]),
        Some("0o") => (8, &lower[2..]),
        Some(_) if lower.starts_with('0') => (8, &lower[1..]),
        _ => (10, lower.as_str()),
    };
    if rest.starts_with(['+', '-']) {
        return None;
    }
    let number = u64::from_str_radix(rest, radix).ok()?;
    match (i64::try_from(number), negative) {
        (Ok(number), false) => Some(Number::Whole(number)),
        (Ok(number), true) => Some(Number::Whole(-number)),
        (Err(_), false) => Some(Number::Large(number)),
        (Err(_), true) => (number == i64::MIN.unsigned_abs()).then_some(Number::Whole(i64::MIN)),
    }
}

/// `[-+]?(\.[0-9]+|[0-9]+(\.[0-9]*)?)([eE][-+]?[0-9]+)?`
fn decimal(digits: &str) -> Option<Number> {
    let unsigned = digits.strip_prefix(['+', '-']).unwrap_or(digits);
    let (mantissa, exponent) = match unsigned.find(['e', 'E']) {
        Some(at) => (&unsigned[..at], Some(&unsigned[at + 1..])),
        None => (unsigned, None),
    };
    let all_digits = |text: &str| text.bytes().all(|byte| byte.is_ascii_digit());
    let (before, after) = mantissa.split_once('.').unwrap_or((mantissa, ""));
    let has_digits = !before.is_empty() || !after.is_empty();
    let exponent_fits = exponent.is_none_or(|exponent| {
        let exponent = exponent.strip_prefix(['+', '-']).unwrap_or(exponent);
        !exponent.is_empty() && all_digits(exponent)
    });
    if !(has_digits && all_digits(before) && all_digits(after) && exponent_fits) {
        return None;
    }
    digits.parse().ok().filter(|number: &f64| number.is_finite()).map(Number::Decimal)
}

/// `2001-12-14`, perhaps with a time of day.
fn is_time(text: &str) -> bool {
    let number = |text: &str, most: u32| {
        (1..=2).contains(&text.len()) && text.parse::<u32>().is_ok_and(|number| number <= most)
    };
    let (date, time) = match text.find(['T', 't', ' ']) {
        Some(at) => (&text[..at], Some(&text[at + 1..])),
        None => (text, None),
    };
    let parts: Vec<&str> = date.split('-').collect();
    let [year, month, day] = parts.as_slice() else { return false };
    let dated = year.len() == 4
        && year.bytes().all(|byte| byte.is_ascii_digit())
        && number(month, 12)
        && number(day, 31)
        && ![*month, *day].iter().any(|part| part.parse() == Ok(0u32));
    let timed = time.is_none_or(|time| {
        let clock = time.trim_end_matches('Z').split(['+', '-', '.']).next().unwrap_or_default();
        let parts: Vec<&str> = clock.split(':').collect();
        matches!(parts.as_slice(), [hour, minute, second]
            if number(hour, 23) && number(minute, 59) && number(second, 59))
    });
    dated && timed
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn plain_scalars_mean_what_compose_takes_them_for() {
        for (text, shown) in [
            ("1.10", "1.1"),
            ("0444", "292"),
            ("0o17", "15"),
            ("0b11", "3"),
            ("0x1f", "31"),
            ("1_000", "1000"),
            ("08", "8"),
            ("+5", "5"),
            ("-0", "0"),
            ("1.", "1"),
            (".5", "0.5"),
            ("1e3", "1000"),
            ("1e5", "100000"),
            ("1e6", "1e+06"),
            ("1e20", "1e+20"),
            ("123456789.5", "1.234567895e+08"),
            ("1e-5", "1e-05"),
            ("0.0001", "0.0001"),
            ("-0.0", "-0"),
            ("18446744073709551615", "18446744073709551615"),
            ("100000000000000000000", "1e+20"),
            (".inf", "+Inf"),
            ("-.inf", "-Inf"),
            (".nan", "NaN"),
        ] {
            match plain(text) {
                Value::Number(number) => assert_eq!(number.to_string(), shown, "{text}"),
                other => panic!("{text} is {other:?}"),
            }
        }
        for text in
            ["yes", "no", "on", "off", "y", "1:30", "80:80", "0x1p4", "2001-1-1x", "1.2.3", "-", "<<", "0-1"]
        {
            assert_eq!(plain(text), Value::Text(text.to_owned()));
        }
        for text in ["2024-01-01", "2001-12-14t21:59:43.10Z", "2001-12-14 21:59:43"] {
            assert_eq!(plain(text), Value::Time(text.to_owned()));
        }
        assert_eq!(plain("~"), Value::Null);
        assert_eq!(plain("True"), Value::Bool(true));
    }
}
