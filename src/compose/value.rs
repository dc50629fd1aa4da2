//! Scalars and small collections in canonical form.

use std::collections::{BTreeMap, BTreeSet};

use bottle_model::compose::{Kind, Setting};

use super::paths;
use super::scalar::Number;
use super::tree::{Failure, Node, Value};
use super::words;

/// Scalars of a tree by dotted path; nothing counts as an empty string.
pub(super) fn leaves(
    node: &Node<'_>,
    path: &str,
    into: &mut BTreeMap<String, String>,
) -> Result<(), Failure> {
    let below = |step: &str| if path.is_empty() { step.to_owned() } else { format!("{path}.{step}") };
    match &node.tree.value {
        Value::Map(_) => node.plain()?.try_for_each(|(key, child)| leaves(&child, &below(key), into)),
        Value::List(_) => node
            .items()?
            .enumerate()
            .try_for_each(|(at, child)| leaves(&child, &below(&at.to_string()), into)),
        _ => {
            into.insert(path.to_owned(), text_or_empty(node)?);
            Ok(())
        }
    }
}

/// A scalar's text; nothing is an empty one.
pub(super) fn text_or_empty(node: &Node<'_>) -> Result<String, Failure> {
    if node.is_null() { Ok(String::new()) } else { node.scalar() }
}

/// Items of a list, numbers among them as text.
fn scalars(node: &Node<'_>) -> Result<Vec<String>, Failure> {
    node.items()?.map(|item| item.scalar()).collect()
}

/// A command: a list, or a string that is split as a shell would.
pub(super) fn command(node: &Node<'_>) -> Result<Option<Vec<String>>, Failure> {
    match &node.tree.value {
        Value::Null => Ok(None),
        Value::Text(text) => words::split(text).map(Some).ok_or_else(|| node.fail("is no command line")),
        _ => node.texts().map(Some),
    }
}

/// An attribute that needs nothing but its kind; `None` if it says nothing.
pub(super) fn setting(node: &Node<'_>, name: &str, kind: Kind) -> Result<Option<Setting>, Failure> {
    let setting = match kind {
        Kind::Text if name.starts_with("cpu_") => Setting::Text(node.integer()?.to_string()),
        Kind::Text => Setting::Text(text_or_empty(node)?),
        Kind::Bool => Setting::Bool(node.boolean()?),
        Kind::Integer if name == "mem_swappiness" => Setting::Integer(bytes(node)?),
        Kind::Integer if name == "cpu_count" => Setting::Integer(count(node)?),
        Kind::Integer => Setting::Integer(node.integer()?),
        Kind::Number => Setting::Text(decimal(node)?),
        Kind::Bytes => Setting::Bytes(bytes(node)?),
        Kind::Duration => Setting::Duration(duration(node)?),
        Kind::List => {
            let mut seen = BTreeSet::new();
            let items = scalars(node)?.into_iter();
            Setting::List(items.filter(|item| !item.is_empty() && seen.insert(item.clone())).collect())
        }
        Kind::Set => Setting::Set(scalars(node)?.into_iter().map(|item| member(name, item)).collect()),
        Kind::Map => Setting::Map(
            node.entries()?
                .map(|(key, value)| Ok((key.to_owned(), text_or_empty(&value)?)))
                .collect::<Result<_, Failure>>()?,
        ),
        Kind::Tree | Kind::Numbers => {
            let mut tree = BTreeMap::new();
            leaves(node, "", &mut tree)?;
            tree.retain(|path, value| !value.is_empty() || path.starts_with("options."));
            Setting::Map(tree)
        }
    };
    let empty = match &setting {
        Setting::Text(text) => {
            text.is_empty() || (text == "0" && (kind == Kind::Number || name.starts_with("cpu_")))
        }
        Setting::Bool(value) => !value && !matches!(name, "attach" | "init"),
        Setting::Integer(value) => *value == 0 && name != "scale",
        Setting::Bytes(value) => *value == 0,
        Setting::Duration(_) => false,
        Setting::List(items) => items.is_empty(),
        Setting::Set(items) => items.is_empty(),
        Setting::Map(map) => map.is_empty(),
    };
    Ok((!empty).then_some(setting))
}

/// Canonical spelling of an item of a list whose order does not count.
fn member(name: &str, item: String) -> String {
    match name {
        "cap_add" | "cap_drop" => {
            let upper = item.to_ascii_uppercase();
            upper.strip_prefix("CAP_").map_or(upper.clone(), str::to_owned)
        }
        "expose" => item.strip_suffix("/tcp").map_or(item.clone(), str::to_owned),
        "volumes_from" => item.strip_suffix(":rw").map_or(item.clone(), str::to_owned),
        "security_opt" if item == "no-new-privileges" => "no-new-privileges:true".to_owned(),
        "security_opt" if item == "no-new-privileges=true" => "no-new-privileges:true".to_owned(),
        "security_opt" if !item.contains('=') && !item.starts_with("no-new-privileges") => {
            item.replacen(':', "=", 1)
        }
        _ => item,
    }
}

/// A whole number that is not negative.
pub(super) fn count(node: &Node<'_>) -> Result<i64, Failure> {
    Some(node.integer()?).filter(|count| *count >= 0).ok_or_else(|| node.fail("cannot be negative"))
}

/// A decimal number in its shortest form, as precise as Compose keeps it.
#[expect(clippy::cast_possible_truncation, reason = "Compose keeps single precision")]
pub(super) fn decimal(node: &Node<'_>) -> Result<String, Failure> {
    let number = node.decimal()? as f32;
    if number < 0.0 { Err(node.fail("cannot be negative")) } else { Ok(number.to_string()) }
}

/// `512m`, `1.5 gb` or a number of bytes; `-1`: no limit.
///
/// A number that is not written as a whole one, such as `1e9`, is 0, since Compose drops it.
pub(super) fn bytes(node: &Node<'_>) -> Result<i64, Failure> {
    match &node.tree.value {
        Value::Number(Number::Whole(number)) => Some(*number).filter(|number| *number >= -1),
        Value::Number(Number::Large(_) | Number::Decimal(_)) => Some(0),
        Value::Text(text) => size(text),
        _ => None,
    }
    .ok_or_else(|| node.fail("is not a size like 512m"))
}

/// `512m` in bytes.
pub(super) fn size(text: &str) -> Option<i64> {
    let split = text.rfind(|c: char| c.is_ascii_digit() || matches!(c, '.' | ' '))?;
    let (number, unit) = text.split_at(split + 1);
    let number: f64 = number.strip_suffix(' ').unwrap_or(number).parse().ok()?;
    let unit = unit.to_ascii_lowercase();
    let power = match unit.strip_suffix("ib").or_else(|| unit.strip_suffix('b')).unwrap_or(&unit) {
        "" if unit == "ib" => return None,
        "" => 0,
        "k" => 1,
        "m" => 2,
        "g" => 3,
        "t" => 4,
        "p" => 5,
        _ => return None,
    };
    let bytes = number * 1024f64.powi(power);
    #[expect(clippy::cast_possible_truncation, reason = "checked to be far below the limit")]
    (0.0..9e18).contains(&bytes).then_some(bytes as i64)
}

/// `1m30s`, in nanoseconds.
pub(super) fn duration(node: &Node<'_>) -> Result<u64, Failure> {
    let text = node.text()?;
    nanoseconds(text).ok_or_else(|| node.fail(format!("{text:?} is not a time like 1m30s")))
}

fn nanoseconds(text: &str) -> Option<u64> {
    let mut rest = text.strip_prefix('+').unwrap_or(text);
    if rest == "0" {
        return Some(0);
    }
    let mut total = 0u64;
    if rest.is_empty() {
        return None;
    }
    while !rest.is_empty() {
        let digits = rest.bytes().take_while(|b| b.is_ascii_digit() || *b == b'.').count();
        let unit =
            rest[digits..].find(|c: char| c.is_ascii_digit() || c == '.').unwrap_or(rest.len() - digits);
        let scale: u64 = match &rest[digits..digits + unit] {
            "w" => 604_800_000_000_000,
            "d" => 86_400_000_000_000,
            "h" => 3_600_000_000_000,
            "m" => 60_000_000_000,
            "s" => 1_000_000_000,
            "ms" => 1_000_000,
            "us" | "µs" | "μs" => 1_000,
            "ns" => 1,
            _ => return None,
        };
        let (whole, fraction) = rest[..digits].split_once('.').unwrap_or((&rest[..digits], ""));
        if (whole.is_empty() && fraction.is_empty()) || fraction.contains('.') {
            return None;
        }
        let whole: u64 = if whole.is_empty() { 0 } else { whole.parse().ok()? };
        let fraction: f64 = if fraction.is_empty() { 0.0 } else { format!("0.{fraction}").parse().ok()? };
        #[expect(
            clippy::cast_possible_truncation,
            clippy::cast_sign_loss,
            clippy::cast_precision_loss,
            reason = "a part of a unit, which fits"
        )]
        let part = (fraction * scale as f64) as u64;
        total = total.checked_add(whole.checked_mul(scale)?)?.checked_add(part)?;
        rest = &rest[digits + unit..];
    }
    i64::try_from(total).ok().map(|_| total)
}

/// A path in the container, which has to be absolute.
pub(super) fn absolute(node: &Node<'_>, path: &str) -> Result<String, Failure> {
    if path.starts_with('/') {
        Ok(paths::clean(path))
    } else {
        Err(node.fail(format!("{path:?} is not an absolute path")))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sizes_are_read_as_compose_reads_them() {
        for (text, expect) in [
            ("512m", Some(536_870_912)),
            ("1.5g", Some(1_610_612_736)),
            ("64 mb", Some(67_108_864)),
            ("1KiB", Some(1024)),
            ("12b", Some(12)),
            ("5", Some(5)),
            ("1kbb", None),
            ("1ib", None),
            ("m", None),
            ("-5", None),
            ("1x", None),
            ("", None),
        ] {
            assert_eq!(size(text), expect, "{text}");
        }
    }

    #[test]
    fn times_are_read_as_compose_reads_them() {
        for (text, expect) in [
            ("1m30s", Some(90_000_000_000)),
            ("0", Some(0)),
            ("+5s", Some(5_000_000_000)),
            ("1.5h", Some(5_400_000_000_000)),
            (".5s", Some(500_000_000)),
            ("1d2h", Some(93_600_000_000_000)),
            ("1w", Some(604_800_000_000_000)),
            ("3µs", Some(3_000)),
            ("10", None),
            ("s", None),
            ("1.2.3s", None),
            ("-1s", None),
            ("1y", None),
            ("99999999999w", None),
            ("", None),
        ] {
            assert_eq!(nanoseconds(text), expect, "{text}");
        }
    }
}
