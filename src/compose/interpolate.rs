//! Interpolation of `$NAME` and `${NAME…}` (compose-spec, "Interpolation"), as Compose does it.

use super::budget::Budget;
use super::tree::{Failure, Mark, Tree, Value};

/// Defaults within defaults deeper than this are refused.
const DEPTH: usize = 32;

pub(super) struct Interpolation<'a> {
    pub(super) lookup: &'a dyn Fn(&str) -> Option<String>,
    pub(super) budget: &'a mut Budget,
    /// Place and name of each variable that is not set.
    pub(super) unresolved: Vec<(String, String)>,
}

/// Interpolates every string scalar below a node.
pub(super) fn interpolate(
    tree: &mut Tree,
    place: &mut String,
    work: &mut Interpolation<'_>,
) -> Result<(), Failure> {
    let length = place.len();
    let step = |place: &mut String, step: &str| {
        if !place.is_empty() {
            place.push('.');
        }
        place.push_str(step);
    };
    match &mut tree.value {
        Value::Text(text) if text.contains('$') => {
            let mut unset = Vec::new();
            let expanded = expand(text, work.lookup, &mut unset).map_err(|message| Failure {
                mark: tree.mark,
                place: place.clone(),
                message,
            })?;
            work.budget.spend(0, expanded.len(), tree.mark)?;
            work.unresolved.extend(unset.into_iter().map(|name| (place.clone(), name)));
            *text = expanded;
        }
        Value::List(items) => {
            for (at, item) in items.iter_mut().enumerate() {
                step(place, &at.to_string());
                interpolate(item, place, work)?;
                place.truncate(length);
            }
        }
        Value::Map(map) => {
            for (key, item) in map.iter_mut() {
                step(place, key);
                interpolate(item, place, work)?;
                place.truncate(length);
            }
        }
        _ => {}
    }
    Ok(())
}

/// Interpolates a text; names that are not set go to `unset`.
pub(super) fn expand(
    text: &str,
    lookup: &dyn Fn(&str) -> Option<String>,
    unset: &mut Vec<String>,
) -> Result<String, String> {
    Expansion { lookup, unset, room: LARGEST }.expand(text, 0)
}

/// Longest result, in bytes.
const LARGEST: usize = 4 << 20;

struct Expansion<'a> {
    lookup: &'a dyn Fn(&str) -> Option<String>,
    unset: &'a mut Vec<String>,
    room: usize,
}

impl Expansion<'_> {
    fn expand(&mut self, text: &str, depth: usize) -> Result<String, String> {
        if depth > DEPTH {
            return Err(format!("has defaults within defaults, more than {DEPTH} deep"));
        }
        let mut out = String::with_capacity(text.len());
        let mut rest = text;
        let mut line_end = usize::MAX;
        while let Some(at) = rest.find('$') {
            out.push_str(&rest[..at]);
            rest = &rest[at + 1..];
            if let Some(after) = rest.strip_prefix('$') {
                out.push('$');
                rest = after;
                continue;
            }
            let Some(braced) = rest.strip_prefix('{') else {
                let end = name_length(rest);
                if end == 0 {
                    // Compose leaves it as it is.
                    out.push('$');
                } else {
                    let value = self.plain(&rest[..end]);
                    self.grow(&mut out, &value)?;
                }
                rest = &rest[end..];
                continue;
            };
            // A reference ends on the line that it begins on.
            let remaining = braced.len();
            if line_end > remaining || line_end == usize::MAX {
                line_end = braced.find('\n').map_or(0, |at| remaining - at);
            }
            let line = &braced[..remaining - line_end];
            let length = reference(line).ok_or_else(|| {
                let shown: String = line.chars().take(40).collect();
                format!("${{{shown} is no variable reference; a literal $ is written $$")
            })?;
            let value = self.braced(&line[..length], depth)?;
            self.grow(&mut out, &value)?;
            rest = &braced[length + 1..];
        }
        out.push_str(rest);
        Ok(out)
    }

    fn grow(&mut self, out: &mut String, value: &str) -> Result<(), String> {
        self.room = self.room.checked_sub(value.len()).ok_or("unfolds to more than 4 MiB")?;
        out.push_str(value);
        Ok(())
    }

    /// Value of what stands between the braces.
    fn braced(&mut self, inner: &str, depth: usize) -> Result<String, String> {
        let (name, operation) = inner.split_at(name_length(inner));
        if operation.is_empty() {
            return Ok(self.plain(name));
        }
        let (strict, operation) = match operation.strip_prefix(':') {
            Some(rest) => (true, rest),
            None => (false, operation),
        };
        let value = (self.lookup)(name);
        let counts = value.as_ref().is_some_and(|value| !strict || !value.is_empty());
        let operator = operation.as_bytes().first().copied();
        // The alternative has to be right even where it is not needed; what it lacks counts only where it is.
        let known = self.unset.len();
        let alternative = self.expand(operation.get(1..).unwrap_or_default(), depth + 1)?;
        if counts != (operator == Some(b'+')) {
            self.unset.truncate(known);
        }
        match (operator, counts) {
            (Some(b'?'), false) => {
                let colon = if alternative.is_empty() { "" } else { ": " };
                Err(format!("the variable {name} is required{colon}{alternative}"))
            }
            (Some(b'-'), false) | (Some(b'+'), true) => Ok(alternative),
            _ => Ok(value.unwrap_or_default()),
        }
    }

    fn plain(&mut self, name: &str) -> String {
        (self.lookup)(name).unwrap_or_else(|| {
            self.unset.push(name.to_owned());
            String::new()
        })
    }
}

fn name_length(text: &str) -> usize {
    if text.starts_with(|c: char| c.is_ascii_digit()) {
        return 0;
    }
    text.bytes().take_while(|byte| byte.is_ascii_alphanumeric() || *byte == b'_').count()
}

/// Length of the reference that a line begins with, its closing brace left out.
fn reference(line: &str) -> Option<usize> {
    let name = name_length(line);
    let operation = line.get(name..).filter(|_| name > 0)?;
    if operation.starts_with('}') {
        return Some(name);
    }
    operation.strip_prefix(':').unwrap_or(operation).strip_prefix(['-', '+', '?'])?;
    let last = line.rfind('}')?;
    Some(balanced(&line[..=last]).unwrap_or(last))
}

/// Where the braces are balanced. What follows an opening one is passed over, as Compose does.
fn balanced(text: &str) -> Option<usize> {
    let mut open = 1usize;
    let mut bytes = text.bytes().enumerate().skip(1);
    while let Some((at, byte)) = bytes.next() {
        match byte {
            b'}' => {
                open -= 1;
                if open == 0 {
                    return Some(at);
                }
            }
            b'{' => {
                open += 1;
                bytes.next();
            }
            _ => {}
        }
    }
    None
}

/// Interpolates a text that is no part of a tree.
pub(super) fn line(
    text: &str,
    mark: Mark,
    lookup: &dyn Fn(&str) -> Option<String>,
    budget: &mut Budget,
    unset: &mut Vec<String>,
) -> Result<String, Failure> {
    let expanded = expand(text, lookup, unset).map_err(|message| Failure::at(mark, message))?;
    budget.spend(0, expanded.len(), mark)?;
    Ok(expanded)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check(text: &str, expect: Result<&str, ()>, missing: &[&str]) {
        let lookup = |name: &str| match name {
            "SET" => Some("value".to_owned()),
            "EMPTY" => Some(String::new()),
            _ => None,
        };
        let mut unset = Vec::new();
        let expanded = expand(text, &lookup, &mut unset).map_err(|_| ());
        assert_eq!(expanded, expect.map(str::to_owned), "{text}");
        if expect.is_ok() {
            assert_eq!(unset, missing, "{text}");
        }
    }

    #[test]
    fn follows_compose() {
        for (text, expect) in [
            ("a$SET/b", "avalue/b"),
            ("${SET}", "value"),
            ("$$SET", "$SET"),
            ("$${SET}", "${SET}"),
            ("${UNSET:-d}", "d"),
            ("${EMPTY:-d}", "d"),
            ("${EMPTY-d}", ""),
            ("${UNSET-d}", "d"),
            ("${SET:+r}", "r"),
            ("${EMPTY:+r}", ""),
            ("${EMPTY+r}", "r"),
            ("${UNSET+r}", ""),
            ("${UNSET:-${SET:-x}}", "value"),
            ("${UNSET-a:-b}", "a:-b"),
            ("${UNSET:-}", ""),
            ("${SET:-${UNSET}}", "value"),
            ("${UNSET:-{\"a\": {\"b\": 1}}}", "{\"a\": {\"b\": 1}}"),
            ("${UNSET:-a}b}c", "ab}c"),
            ("${UNSET:-{}}", "{}"),
            ("cost: $ 5, $5", "cost: $ 5, $5"),
            ("ends in $", "ends in $"),
            ("${SET:?needed}", "value"),
            ("a\n${UNSET:-b}\n${SET}", "a\nb\nvalue"),
        ] {
            check(text, Ok(expect), &[]);
        }
        check("$UNSET-${OTHER}", Ok("-"), &["UNSET", "OTHER"]);
        check("${UNSET:-$OTHER}", Ok(""), &["OTHER"]);
        for text in [
            "${UNSET:?no}",
            "${EMPTY:?no}",
            "${UNSET?no}",
            "${SET:-${UNSET:?no}}",
            "${SET",
            "${}",
            "${1}",
            "${SET.x}",
            "${UNSET:-a\n}",
            &"${UNSET:-".repeat(100_000),
            &format!("{}{}", "${UNSET:-".repeat(100), "}".repeat(100)),
        ] {
            check(text, Err(()), &[]);
        }
    }
}
