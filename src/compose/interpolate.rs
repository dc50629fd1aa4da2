//! Interpolation of `$NAME` and `${NAME…}` (compose-spec, "Interpolation").

use serde_yaml::Value;

use super::node::Failure;

pub(super) struct Interpolation<'a> {
    pub(super) lookup: &'a dyn Fn(&str) -> Option<String>,
    /// Place and name of each variable that is not set.
    pub(super) unresolved: Vec<(String, String)>,
}

/// Interpolates every string scalar below a value.
pub(super) fn interpolate(
    value: &mut Value,
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
    match value {
        Value::String(text) if text.contains('$') => {
            *text = expand(text, place, work).map_err(|message| Failure { place: place.clone(), message })?;
        }
        Value::Sequence(items) => {
            for (at, item) in items.iter_mut().enumerate() {
                step(place, &at.to_string());
                interpolate(item, place, work)?;
                place.truncate(length);
            }
        }
        Value::Mapping(map) => {
            for (key, item) in map.iter_mut() {
                step(place, key.as_str().unwrap_or("?"));
                interpolate(item, place, work)?;
                place.truncate(length);
            }
        }
        Value::Tagged(_) => {
            return Err(Failure { place: place.clone(), message: "YAML tags are not supported".to_owned() });
        }
        _ => {}
    }
    Ok(())
}

fn expand(text: &str, place: &str, work: &mut Interpolation<'_>) -> Result<String, String> {
    let mut out = String::with_capacity(text.len());
    let mut rest = text;
    while let Some(at) = rest.find('$') {
        out.push_str(&rest[..at]);
        rest = &rest[at + 1..];
        if let Some(after) = rest.strip_prefix('$') {
            out.push('$');
            rest = after;
        } else if let Some(after) = rest.strip_prefix('{') {
            let end = closing(after).ok_or("a ${ is not closed")?;
            out.push_str(&braced(&after[..end], place, work)?);
            rest = &after[end + 1..];
        } else {
            let end = name_length(rest);
            if end == 0 {
                return Err("a $ stands alone; a literal one is written $$".to_owned());
            }
            out.push_str(&plain(&rest[..end], place, work));
            rest = &rest[end..];
        }
    }
    out.push_str(rest);
    Ok(out)
}

fn braced(inner: &str, place: &str, work: &mut Interpolation<'_>) -> Result<String, String> {
    let end = name_length(inner);
    let (name, operator) = inner.split_at(end);
    if name.is_empty() {
        return Err("a ${ is not followed by a name".to_owned());
    }
    let value = (work.lookup)(name);
    let set = value.clone().filter(|value| !value.is_empty());
    match operator.as_bytes() {
        [] => Ok(plain(name, place, work)),
        [b':', b'-', ..] => set.map_or_else(|| expand(&operator[2..], place, work), Ok),
        [b'-', ..] => value.map_or_else(|| expand(&operator[1..], place, work), Ok),
        [b':', b'?', ..] => set.ok_or_else(|| format!("{name} is required: {}", &operator[2..])),
        [b'?', ..] => value.ok_or_else(|| format!("{name} is required: {}", &operator[1..])),
        [b':', b'+', ..] => set.map_or_else(|| Ok(String::new()), |_| expand(&operator[2..], place, work)),
        [b'+', ..] => value.map_or_else(|| Ok(String::new()), |_| expand(&operator[1..], place, work)),
        _ => Err(format!("${{{name}… has an unknown operator")),
    }
}

fn plain(name: &str, place: &str, work: &mut Interpolation<'_>) -> String {
    (work.lookup)(name).unwrap_or_else(|| {
        work.unresolved.push((place.to_owned(), name.to_owned()));
        String::new()
    })
}

fn name_length(text: &str) -> usize {
    if text.starts_with(|c: char| c.is_ascii_digit()) {
        return 0;
    }
    text.bytes().take_while(|byte| byte.is_ascii_alphanumeric() || *byte == b'_').count()
}

fn closing(text: &str) -> Option<usize> {
    let mut depth = 0;
    let bytes = text.as_bytes();
    for (at, byte) in bytes.iter().enumerate() {
        match byte {
            b'{' if at > 0 && bytes[at - 1] == b'$' => depth += 1,
            b'}' if depth == 0 => return Some(at),
            b'}' => depth -= 1,
            _ => {}
        }
    }
    None
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check(text: &str, expect: Result<&str, ()>) {
        let lookup = |name: &str| match name {
            "SET" => Some("value".to_owned()),
            "EMPTY" => Some(String::new()),
            _ => None,
        };
        let mut work = Interpolation { lookup: &lookup, unresolved: Vec::new() };
        assert_eq!(expand(text, "", &mut work).map_err(|_| ()), expect.map(str::to_owned), "{text}");
    }

    #[test]
    fn follows_the_compose_specification() {
        for (text, expect) in [
            ("a$SET/b", "avalue/b"),
            ("${SET}", "value"),
            ("$$SET", "$SET"),
            ("${UNSET:-d}", "d"),
            ("${EMPTY:-d}", "d"),
            ("${EMPTY-d}", ""),
            ("${UNSET-d}", "d"),
            ("${SET:+r}", "r"),
            ("${EMPTY:+r}", ""),
            ("${EMPTY+r}", "r"),
            ("${UNSET:-${SET:-x}}", "value"),
            ("$UNSET", ""),
        ] {
            check(text, Ok(expect));
        }
        for text in ["${UNSET:?no}", "${EMPTY:?no}", "${UNSET?no}", "${SET", "${}", "cost: $ 5"] {
            check(text, Err(()));
        }
    }
}
