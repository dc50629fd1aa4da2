//! Scalars and small collections in canonical form.

use std::collections::BTreeMap;

use bottle_model::compose::{Kind, Setting};
use serde_yaml::Value;

use super::node::{Failure, Node};

/// A map of names, or a list of `name=value`; `None` for a bare name.
pub(super) fn pairs(node: &Node<'_>) -> Result<Vec<(String, Option<String>)>, Failure> {
    if let Value::Sequence(_) = node.value {
        return node
            .list()?
            .iter()
            .map(|item| {
                let text = item.text()?;
                Ok(match text.split_once('=') {
                    Some((name, value)) => (name.to_owned(), Some(value.to_owned())),
                    None => (text, None),
                })
            })
            .collect();
    }
    node.map()?
        .into_iter()
        .map(|(name, value)| Ok((name, if value.is_null() { None } else { Some(value.text()?) })))
        .collect()
}

/// Scalars of a tree by dotted path.
pub(super) fn leaves(
    node: &Node<'_>,
    path: &str,
    into: &mut BTreeMap<String, String>,
) -> Result<(), Failure> {
    let below = |step: &str| if path.is_empty() { step.to_owned() } else { format!("{path}.{step}") };
    match node.value {
        Value::Mapping(_) => {
            for (key, child) in node.map()?.iter().filter(|(key, _)| !key.starts_with("x-")) {
                leaves(child, &below(key), into)?;
            }
        }
        Value::Sequence(_) => {
            for (at, child) in node.list()?.iter().enumerate() {
                leaves(child, &below(&at.to_string()), into)?;
            }
        }
        Value::Null => {}
        _ => {
            into.insert(path.to_owned(), node.text()?);
        }
    }
    Ok(())
}

/// A list, or a single string for a list of one.
pub(super) fn list(node: &Node<'_>) -> Result<Vec<String>, Failure> {
    if matches!(node.value, Value::String(_)) { Ok(vec![node.text()?]) } else { node.texts() }
}

/// A command: a list, or a string that is split as a shell would.
pub(super) fn words(node: &Node<'_>) -> Result<Option<Vec<String>>, Failure> {
    match node.value {
        Value::Null => Ok(None),
        Value::String(text) => {
            shell_words::split(text).map(Some).map_err(|error| node.fail(error.to_string()))
        }
        _ => node.texts().map(Some),
    }
}

/// An attribute by its kind.
pub(super) fn setting(node: &Node<'_>, name: &str, kind: Kind) -> Result<Setting, Failure> {
    Ok(match kind {
        Kind::Text => Setting::Text(node.text()?),
        Kind::Bool => Setting::Bool(node.boolean()?),
        Kind::Integer => Setting::Integer(node.integer()?),
        Kind::Number => {
            let text = node.text()?;
            let number: f64 = text.parse().map_err(|_| node.fail("has to be a number"))?;
            Setting::Text(number.to_string())
        }
        Kind::Bytes => Setting::Bytes(bytes(node)?),
        Kind::Duration => Setting::Duration(duration(node)?),
        Kind::List => Setting::List(list(node)?),
        Kind::Set => {
            let capability = name.starts_with("cap_");
            let items = list(node)?.into_iter().map(|item| {
                if capability {
                    let upper = item.to_ascii_uppercase();
                    upper.strip_prefix("CAP_").map_or(upper.clone(), str::to_owned)
                } else {
                    item
                }
            });
            Setting::Set(items.collect())
        }
        Kind::Map => Setting::Map(
            pairs(node)?.into_iter().map(|(name, value)| (name, value.unwrap_or_default())).collect(),
        ),
        Kind::Tree | Kind::Numbers => {
            let mut tree = BTreeMap::new();
            leaves(node, "", &mut tree)?;
            if name == "build" && !matches!(node.value, Value::Mapping(_)) {
                tree = BTreeMap::from([("context".to_owned(), node.text()?)]);
            }
            Setting::Map(tree)
        }
    })
}

/// `512m`, `1gb`, `-1` or a number of bytes.
fn bytes(node: &Node<'_>) -> Result<i64, Failure> {
    let text = node.text()?.to_ascii_lowercase();
    let digits = text.trim_end_matches(|c: char| c.is_ascii_alphabetic());
    let scale: f64 = match &text[digits.len()..] {
        "" | "b" => 1.0,
        "k" | "kb" | "kib" => 1024.0,
        "m" | "mb" | "mib" => 1024.0 * 1024.0,
        "g" | "gb" | "gib" => 1024.0 * 1024.0 * 1024.0,
        "t" | "tb" | "tib" => 1024.0 * 1024.0 * 1024.0 * 1024.0,
        _ => return Err(node.fail("is not a size like 512m")),
    };
    if let (Ok(number), true) = (digits.parse::<i64>(), scale <= 1.0) {
        return Ok(number);
    }
    let number: f64 = digits.trim().parse().map_err(|_| node.fail("is not a size like 512m"))?;
    #[expect(
        clippy::cast_possible_truncation,
        reason = "sizes are whole bytes, far below the limit of the type"
    )]
    let bytes = (number * scale) as i64;
    Ok(bytes)
}

/// `1m30s`, in nanoseconds.
pub(super) fn duration(node: &Node<'_>) -> Result<u64, Failure> {
    let text = node.text()?;
    let fail = || node.fail(format!("{text:?} is not a time like 1m30s"));
    if text == "0" {
        return Ok(0);
    }
    let mut rest = text.as_str();
    let mut total = 0u64;
    if rest.is_empty() {
        return Err(fail());
    }
    while !rest.is_empty() {
        let digits = rest.bytes().take_while(|b| b.is_ascii_digit() || *b == b'.').count();
        let unit = rest[digits..].bytes().take_while(u8::is_ascii_alphabetic).count();
        let number: f64 = rest[..digits].parse().map_err(|_| fail())?;
        let scale = match &rest[digits..digits + unit] {
            "h" => 3.6e12,
            "m" => 6e10,
            "s" => 1e9,
            "ms" => 1e6,
            "us" => 1e3,
            "ns" => 1.0,
            _ => return Err(fail()),
        };
        #[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "parsed without a sign")]
        let part = (number * scale).round() as u64;
        total = total.saturating_add(part);
        rest = rest.get(digits + unit..).unwrap_or_default();
    }
    Ok(total)
}

/// An absolute path without empty parts, `.` and `..`.
pub(super) fn normalised(path: &str) -> String {
    let mut parts: Vec<&str> = Vec::new();
    for part in path.split('/') {
        match part {
            "" | "." => {}
            ".." => {
                parts.pop();
            }
            part => parts.push(part),
        }
    }
    format!("/{}", parts.join("/"))
}
