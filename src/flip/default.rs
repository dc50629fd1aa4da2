//! Rewrites `[flag] default` in `bottle-migrate.toml`, and leaves every other byte as it is.

use std::ops::Range;

use toml::de::{DeTable, DeValue};

use crate::flag::Shape;

/// A replacement of some bytes of a file.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Splice {
    /// Bytes to replace.
    pub(super) range: Range<usize>,
    /// Replacement.
    pub(super) text: Vec<u8>,
}

impl Splice {
    fn insert(at: usize, text: String) -> Self {
        Self { range: at..at, text: text.into_bytes() }
    }
}

/// What a target gets that has no such file.
pub(super) fn fresh() -> Vec<u8> {
    format!("[flag]\n{}\n", pair()).into_bytes()
}

/// What makes the bundle the default of a configuration, `None` where the text is no TOML.
pub(super) fn to_bundle(text: &str) -> Option<Splice> {
    let end = if text.contains("\r\n") { "\r\n" } else { "\n" };
    let pair = pair();
    let document = DeTable::parse(text).ok()?;
    let Some((key, value)) = document.get_ref().iter().find(|(key, _)| key.get_ref() == "flag") else {
        let gap = match text.trim_start_matches('\u{feff}') {
            "" => String::new(),
            rest if rest.ends_with('\n') => end.to_owned(),
            _ => end.repeat(2),
        };
        return Some(Splice::insert(text.len(), format!("{gap}[flag]{end}{pair}{end}")));
    };
    let DeValue::Table(table) = value.get_ref() else { return None };
    if let Some((_, default)) = table.iter().find(|(key, _)| key.get_ref() == "default") {
        let quote = if text.get(default.span())?.starts_with('\'') { '\'' } else { '"' };
        let text = format!("{quote}{}{quote}", Shape::Bundle.name()).into_bytes();
        return Some(Splice { range: default.span(), text });
    }
    // A header, an inline table, or the keys of a dotted one.
    Some(match text.get(value.span())?.as_bytes().first()? {
        b'[' => {
            let line = text[value.span().end..].find('\n').map(|at| value.span().end + at + 1);
            match line {
                Some(at) => Splice::insert(at, format!("{pair}{end}")),
                None => Splice::insert(text.len(), format!("{end}{pair}{end}")),
            }
        }
        b'{' => {
            let comma = if table.is_empty() { " " } else { "," };
            Splice::insert(value.span().start + 1, format!(" {pair}{comma}"))
        }
        _ => Splice::insert(key.span().start, format!("flag.{pair}{end}")),
    })
}

fn pair() -> String {
    format!("default = \"{}\"", Shape::Bundle.name())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config;

    /// Checks what a text becomes, and that it says what it said before, but for the default.
    fn check(before: &str, after: &str) {
        let splice = to_bundle(before).unwrap();
        let mut bytes = before.as_bytes().to_vec();
        bytes.splice(splice.range, splice.text);
        assert_eq!(String::from_utf8(bytes).unwrap(), after);
        let read = |text: &str| config::parse(text).unwrap_or_else(|error| panic!("{text:?}: {error}"));
        let (old, new) = (read(before), read(after));
        assert_eq!(new.flag.default, Shape::Bundle, "{after:?}");
        assert_eq!(new.flag.name(), old.flag.name());
        assert_eq!(new.plans.include.len(), old.plans.include.len());
    }

    #[test]
    fn a_default_that_is_there_is_replaced_alone() {
        check("# a\n[flag] # b\ndefault = \"legacy\" # c\n", "# a\n[flag] # b\ndefault = \"bundle\" # c\n");
        check("[flag]\r\ndefault='legacy'\r\n", "[flag]\r\ndefault='bundle'\r\n");
        check("\u{feff}flag.default = 'legacy'", "\u{feff}flag.default = 'bundle'");
        check(
            "flag = { default = \"legacy\", name = \"X\" }",
            "flag = { default = \"bundle\", name = \"X\" }",
        );
        check("[\"flag\"]\n'default' = \"\"\"legacy\"\"\"\n", "[\"flag\"]\n'default' = \"bundle\"\n");
    }

    #[test]
    fn a_key_that_is_missing_goes_into_its_table() {
        check("[flag]\nname = \"X\"\n", "[flag]\ndefault = \"bundle\"\nname = \"X\"\n");
        check("[ flag ] # [x]\r\n[flip]\r\n", "[ flag ] # [x]\r\ndefault = \"bundle\"\r\n[flip]\r\n");
        check("[plans]\n[flag]", "[plans]\n[flag]\ndefault = \"bundle\"\n");
        check("flag.name = \"X\"\n", "flag.default = \"bundle\"\nflag.name = \"X\"\n");
        check("flag = { name = \"X\" }\n", "flag = { default = \"bundle\", name = \"X\" }\n");
        check("flag = {}\n", "flag = { default = \"bundle\" }\n");
    }

    #[test]
    fn a_table_that_is_missing_is_appended() {
        check("", "[flag]\ndefault = \"bundle\"\n");
        check("\u{feff}", "\u{feff}[flag]\ndefault = \"bundle\"\n");
        check(
            "[plans]\ninclude = [\"ä b.json\"]",
            "[plans]\ninclude = [\"ä b.json\"]\n\n[flag]\ndefault = \"bundle\"\n",
        );
        check("[plans]\r\n", "[plans]\r\n\r\n[flag]\r\ndefault = \"bundle\"\r\n");
        check(&String::from_utf8(fresh()).unwrap(), "[flag]\ndefault = \"bundle\"\n");
    }
}
