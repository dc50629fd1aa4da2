//! Environment files: `.env`, `env_file` and `label_file`, as Compose reads them.

use indexmap::IndexMap;

use super::budget::Budget;
use super::interpolate;
use super::tree::{Failure, Mark};

/// Variables in the order of the file; `None`: a bare name, whose value comes from outside.
pub(super) type Variables = IndexMap<String, Option<String>>;

/// What the values of a file may refer to, and what reading it may cost.
pub(super) struct Reading<'a> {
    /// Number of the file.
    pub(super) file: u16,
    /// Variables that come before those of the file.
    pub(super) lookup: &'a dyn Fn(&str) -> Option<String>,
    pub(super) budget: &'a mut Budget,
    /// Names that values refer to and nobody sets.
    pub(super) unset: &'a mut Vec<String>,
}

impl Reading<'_> {
    /// Reads a file in the usual format: quotes, escapes, comments, `export`, interpolation.
    pub(super) fn parse(&mut self, text: &str, variables: &mut Variables) -> Result<(), Failure> {
        let text = text.strip_prefix('\u{feff}').unwrap_or(text);
        let mut rest = text;
        let mut counted = (0, 1);
        loop {
            rest = statement(rest);
            if rest.is_empty() {
                return Ok(());
            }
            let at = text.len() - rest.len();
            counted.1 += text[counted.0..at].matches('\n').count();
            counted.0 = at;
            let mark = Mark::new(self.file, counted.1, 1);
            let (key, after) = key(rest).map_err(|message| Failure::at(mark, message))?;
            let (value, after) = match after {
                // A bare name keeps what the file said before, unless it stands outside too.
                Value::Bare(after) => {
                    (variables.get(key).cloned().flatten().filter(|_| (self.lookup)(key).is_none()), after)
                }
                Value::At(after) => {
                    let (value, after) = self.value(after, mark, variables)?;
                    (Some(value), after)
                }
            };
            self.budget.spend(1, key.len(), mark)?;
            variables.insert(key.to_owned(), value);
            rest = after;
        }
    }

    /// Reads a file of `format: raw`, whose values mean what they say. A bare name without a value outside counts as
    /// unset and changes nothing.
    pub(super) fn parse_raw(&mut self, text: &str, variables: &mut Variables) -> Result<(), Failure> {
        let text = text.strip_prefix('\u{feff}').unwrap_or(text);
        for (number, line) in text.split('\n').enumerate() {
            // The end of a line is optional, and so is its carriage return.
            let line = line.strip_suffix('\r').unwrap_or(line).trim_start();
            if line.is_empty() || line.starts_with('#') {
                continue;
            }
            let mark = Mark::new(self.file, number + 1, 1);
            let (key, value) = line.split_once('=').map_or((line, None), |(key, value)| (key, Some(value)));
            if key.is_empty() || key.contains([' ', '\t']) {
                return Err(Failure::at(mark, "has to begin with the name of a variable"));
            }
            self.budget.spend(1, line.len(), mark)?;
            if value.is_some() || (self.lookup)(key).is_some() {
                variables.insert(key.to_owned(), value.map(str::to_owned));
            } else {
                self.unset.push(key.to_owned());
            }
        }
        Ok(())
    }

    fn value<'t>(
        &mut self,
        text: &'t str,
        mark: Mark,
        variables: &Variables,
    ) -> Result<(String, &'t str), Failure> {
        let (raw, after) = if let Some(quote @ (b'"' | b'\'')) = text.as_bytes().first() {
            let (value, after) =
                quoted(text, *quote).ok_or_else(|| Failure::at(mark, "a quoted value is not closed"))?;
            if *quote == b'\'' {
                self.budget.spend(0, value.len(), mark)?;
                return Ok((value, after));
            }
            (escapes(&value), after)
        } else {
            let (line, after) = text.split_once('\n').unwrap_or((text, ""));
            let value = line.split_once(" #").map_or(line, |(value, _)| value);
            (value.trim_end().to_owned(), after)
        };
        if raw.contains('\0') {
            return Err(Failure::at(mark, "holds a NUL character"));
        }
        let lookup = |name: &str| (self.lookup)(name).or_else(|| variables.get(name).cloned().flatten());
        let value = interpolate::line(&raw, mark, &lookup, self.budget, self.unset)?;
        Ok((value, after))
    }
}

/// The text from the next statement on.
fn statement(mut text: &str) -> &str {
    loop {
        text = text.trim_start();
        if !text.starts_with('#') {
            return text;
        }
        text = text.find('\n').map_or("", |at| &text[at..]);
    }
}

/// Space that does not end a line.
fn is_blank(c: char) -> bool {
    matches!(c, '\t' | '\u{b}' | '\u{c}' | '\r' | ' ' | '\u{85}' | '\u{a0}')
}

enum Value<'t> {
    /// None; what follows the name.
    Bare(&'t str),
    /// What begins with the value.
    At(&'t str),
}

fn key(text: &str) -> Result<(&str, Value<'_>), String> {
    let text = match text.strip_prefix("export") {
        Some(after) if after.starts_with([' ', '\t', '\n', '\r', '\u{c}']) => {
            after.trim_start_matches(is_blank)
        }
        _ => text,
    };
    let allowed = |c: char| c.is_alphanumeric() || is_blank(c) || matches!(c, '_' | '.' | '-' | '[' | ']');
    let (key, value) = match text.char_indices().find(|(_, c)| !allowed(*c)) {
        Some((at, '=' | ':')) => (&text[..at], Value::At(text[at + 1..].trim_start_matches(is_blank))),
        Some((at, '\n')) => (&text[..at], Value::Bare(&text[at + 1..])),
        // Compose takes a last line without a line break for the value of a variable that has no name.
        None => return Ok(("", Value::At(text.trim_start_matches(is_blank)))),
        Some((_, odd)) => return Err(format!("{odd:?} cannot stand in the name of a variable")),
    };
    let key = key.trim_end();
    if key.is_empty() {
        return Err("a value has no name".to_owned());
    }
    if key.contains(' ') {
        return Err("the name of a variable cannot hold a space".to_owned());
    }
    Ok((key, value))
}

/// What stands between quotes, and what follows them; an escaped quote is one of the value.
fn quoted(text: &str, quote: u8) -> Option<(String, &str)> {
    let mut value = String::new();
    let mut start = 1;
    let mut escaped = false;
    for (at, byte) in text.bytes().enumerate().skip(1) {
        if byte == quote {
            if !escaped {
                value.push_str(&text[start..at]);
                return Some((value, &text[at + 1..]));
            }
            value.push_str(&text[start..at - 1]);
            start = at;
        }
        escaped = byte == b'\\' && !escaped;
    }
    None
}

/// Resolves escapes as a shell's `$'…'` does, `\$` to what interpolation leaves alone.
fn escapes(text: &str) -> String {
    let mut out = String::with_capacity(text.len());
    let mut rest = text;
    while let Some(at) = rest.find('\\') {
        out.push_str(&rest[..at]);
        rest = &rest[at + 1..];
        let Some(next) = rest.chars().next() else {
            out.push('\\');
            break;
        };
        let mut length = next.len_utf8();
        match next {
            'a' => out.push('\u{7}'),
            'b' => out.push('\u{8}'),
            'f' => out.push('\u{c}'),
            'n' => out.push('\n'),
            'r' => out.push('\r'),
            't' => out.push('\t'),
            'v' => out.push('\u{b}'),
            '$' => out.push_str("$$"),
            '"' | '\\' => out.push(next),
            '0' => {
                let digits = rest[1..].bytes().take(3).take_while(u8::is_ascii_digit).count();
                length += digits;
                match u8::from_str_radix(&rest[1..=digits], 8) {
                    Ok(byte) if digits == 3 => out.push(char::from(byte)),
                    _ => {
                        out.push('\\');
                        out.push_str(&rest[1..=digits]);
                    }
                }
            }
            other => {
                out.push('\\');
                out.push(other);
            }
        }
        rest = &rest[length..];
    }
    out.push_str(rest);
    out
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(text: &str) -> Result<Vec<(String, Option<String>)>, Failure> {
        let lookup = |name: &str| (name == "HOST").then(|| "host".to_owned());
        let mut reading =
            Reading { file: 0, lookup: &lookup, budget: &mut Budget::default(), unset: &mut Vec::new() };
        let mut variables = Variables::new();
        reading.parse(text, &mut variables)?;
        Ok(variables.into_iter().collect())
    }

    fn check(text: &str, expect: &[(&str, Option<&str>)]) {
        let expect: Vec<_> =
            expect.iter().map(|(name, value)| ((*name).to_owned(), value.map(str::to_owned))).collect();
        assert_eq!(read(text).unwrap(), expect, "{text}");
    }

    #[test]
    fn values_are_read_as_compose_reads_them() {
        for (text, value) in [
            ("A=b", "b"),
            ("A= b ", "b"),
            ("A=b # c", "b"),
            ("A=b#c", "b#c"),
            ("A=#c", "#c"),
            ("A: b", "b"),
            ("export A=b", "b"),
            ("export   A = b", "b"),
            ("\u{feff}A=b", "b"),
            ("A=b\r\n", "b"),
            ("A=", ""),
            ("A='b $HOST \\n'", "b $HOST \\n"),
            ("A='it\\'s'", "it's"),
            ("A=\"b ${HOST}\"", "b host"),
            ("A=\"a\\nb\\tc\\\\d\\\"e\"", "a\nb\tc\\d\"e"),
            ("A=\"\\$HOST \\0123 \\012 \\c\"", "$HOST S \\12 \\c"),
            ("A=\"two\nlines\" # c", "two\nlines"),
            ("A=$HOST/${NONE:-d}", "host/d"),
            ("A=$$HOST", "$HOST"),
            ("A=b=c", "b=c"),
            ("# c\n\n  A=b", "b"),
        ] {
            check(text, &[("A", Some(value))]);
        }
        check("A=b\nB=$A\nA=c", &[("A", Some("c")), ("B", Some("b"))]);
        check("A.b-[0]=c", &[("A.b-[0]", Some("c"))]);
        check("A\nexport B\nC\n", &[("A", None), ("B", None), ("C", None)]);
        check("A\nexport B", &[("A", None), ("", Some("B"))]);
        check("A B", &[("", Some("A B"))]);
    }

    #[test]
    fn what_is_no_environment_file_is_an_error_with_its_line() {
        for (text, line) in [
            ("A=b\n=c", 2),
            ("A B=c", 1),
            ("\n\nA=\"b", 3),
            ("A='b\n\n", 1),
            ("A!=b", 1),
            ("A=b\nC=${", 2),
            ("A=\"\\0000\"", 1),
        ] {
            assert_eq!(read(text).unwrap_err().mark.line, line, "{text}");
        }
    }

    #[test]
    fn raw_lines_stand_as_they_are() {
        let mut unset = Vec::new();
        let lookup = |name: &str| (name == "B").then(|| "outside".to_owned());
        let mut reading =
            Reading { file: 0, lookup: &lookup, budget: &mut Budget::default(), unset: &mut unset };
        let mut variables = Variables::new();
        let text = "# c\n A='b' # $x \r\n\nB\nC=d\r\r\nE=f\nC\nUNSET\r";
        reading.parse_raw(text, &mut variables).unwrap();
        let found: Vec<_> = variables.iter().map(|(name, value)| (name.as_str(), value.as_deref())).collect();
        assert_eq!(found, [("A", Some("'b' # $x ")), ("B", None), ("C", Some("d\r")), ("E", Some("f"))]);
        assert!(reading.parse_raw("A B=c", &mut variables).is_err());
        assert_eq!(unset, ["C", "UNSET"]);
    }
}
