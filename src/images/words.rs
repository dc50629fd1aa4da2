//! Words of a Dockerfile: quotes, escapes and variables (Dockerfile reference, "Environment replacement").

/// A text that only a shell, or a newer builder, could expand.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{0:?} uses an expansion that is not understood")]
pub(super) struct NotExpanded(pub(super) String);

/// Expands the variables of one word and takes its quotes away.
///
/// `lookup` gives the value of a variable; one without a value is empty, as the builder has it.
pub(super) fn expand(
    text: &str,
    escape: char,
    lookup: &dyn Fn(&str) -> Option<String>,
) -> Result<String, NotExpanded> {
    Expansion { rest: text, whole: text, escape, lookup }.until(None)
}

/// Splits at white space outside quotes; quotes and escapes stay, for [`expand`].
pub(super) fn split(text: &str, escape: char) -> Vec<&str> {
    let (mut words, mut start, mut quote, mut escaped) = (Vec::new(), None, None, false);
    for (at, character) in text.char_indices() {
        if quote.is_none() && !escaped && character.is_whitespace() {
            words.extend(start.take().map(|start: usize| &text[start..at]));
            continue;
        }
        start.get_or_insert(at);
        match quote {
            _ if escaped => escaped = false,
            // Single quotes keep the escape character as it is.
            Some('\'') if character == '\'' => quote = None,
            Some('\'') => {}
            _ if character == escape => escaped = true,
            Some(open) if character == open => quote = None,
            None if matches!(character, '"' | '\'') => quote = Some(character),
            _ => {}
        }
    }
    words.extend(start.map(|start| &text[start..]));
    words
}

/// `NAME=value` pairs of ENV, ARG and LABEL, unexpanded; ENV and LABEL also take `NAME the rest of the line`.
pub(super) fn pairs(text: &str, escape: char) -> Vec<(&str, Option<&str>)> {
    let words = split(text, escape);
    match words.first() {
        Some(first) if !first.contains('=') && words.len() > 1 => {
            let rest = text.trim_start().strip_prefix(first).unwrap_or_default();
            vec![(first, Some(rest.trim()))]
        }
        _ => words
            .into_iter()
            .map(|word| word.split_once('=').map_or((word, None), |(name, value)| (name, Some(value))))
            .collect(),
    }
}

struct Expansion<'a> {
    rest: &'a str,
    whole: &'a str,
    escape: char,
    lookup: &'a dyn Fn(&str) -> Option<String>,
}

impl Expansion<'_> {
    fn next(&mut self) -> Option<char> {
        let character = self.rest.chars().next()?;
        self.rest = &self.rest[character.len_utf8()..];
        Some(character)
    }

    fn fail<T>(&self) -> Result<T, NotExpanded> {
        Err(NotExpanded(self.whole.to_owned()))
    }

    /// Expands up to a closing character, which is taken.
    fn until(&mut self, close: Option<char>) -> Result<String, NotExpanded> {
        let mut text = String::new();
        loop {
            match self.next() {
                None if close.is_none() => return Ok(text),
                None => return self.fail(),
                Some(character) if Some(character) == close => return Ok(text),
                Some('\'') if close != Some('"') => match self.rest.split_once('\'') {
                    Some((inside, rest)) => {
                        text.push_str(inside);
                        self.rest = rest;
                    }
                    None => return self.fail(),
                },
                Some('"') => text.push_str(&self.until(Some('"'))?),
                Some(character) if character == self.escape => match self.next() {
                    // Within double quotes only these lose their escape.
                    Some(next) if close == Some('"') && next != '"' && next != '$' && next != self.escape => {
                        text.push(character);
                        text.push(next);
                    }
                    Some(next) => text.push(next),
                    None => text.push(character),
                },
                Some('$') => text.push_str(&self.variable()?),
                Some(character) => text.push(character),
            }
        }
    }

    fn variable(&mut self) -> Result<String, NotExpanded> {
        if let Some(rest) = self.rest.strip_prefix('{') {
            self.rest = rest;
            let name = self.name();
            let value = (self.lookup)(&name);
            let present = value.as_ref().is_some_and(|value| !value.is_empty());
            let (unset_only, operator) = match self.next() {
                Some('}') => return Ok(value.unwrap_or_default()),
                Some(':') => (false, self.next()),
                other => (true, other),
            };
            let chosen = if unset_only { value.is_some() } else { present };
            return match operator {
                Some('-') => {
                    let default = self.until(Some('}'))?;
                    Ok(value.filter(|_| chosen).unwrap_or(default))
                }
                Some('+') => {
                    let alternative = self.until(Some('}'))?;
                    Ok(if chosen { alternative } else { String::new() })
                }
                _ => self.fail(),
            };
        }
        let name = self.name();
        if name.is_empty() {
            // `$(…)` and `$1` are a shell's; a lone dollar is itself.
            return if self.rest.starts_with(['(', '@', '*', '#', '?']) {
                self.fail()
            } else {
                Ok("$".to_owned())
            };
        }
        Ok((self.lookup)(&name).unwrap_or_default())
    }

    fn name(&mut self) -> String {
        let end =
            self.rest.find(|c: char| !(c.is_ascii_alphanumeric() || c == '_')).unwrap_or(self.rest.len());
        let end = if self.rest.starts_with(|c: char| c.is_ascii_digit()) { 0 } else { end };
        let (name, rest) = self.rest.split_at(end);
        self.rest = rest;
        name.to_owned()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn expanded(text: &str) -> Result<String, NotExpanded> {
        expand(text, '\\', &|name| match name {
            "A" => Some("one".to_owned()),
            "EMPTY" => Some(String::new()),
            _ => None,
        })
    }

    #[test]
    fn words_are_expanded_as_the_builder_expands_them() {
        for (text, expected) in [
            ("plain", "plain"),
            ("$A/x", "one/x"),
            ("${A}x", "onex"),
            ("${B:-two}", "two"),
            ("${EMPTY:-two}", "two"),
            ("${EMPTY-two}", ""),
            ("${B-$A}", "one"),
            ("${A:+set}", "set"),
            ("${B:+set}", ""),
            ("${EMPTY+set}", "set"),
            ("$B", ""),
            (r"\$A", "$A"),
            ("'$A b'", "$A b"),
            ("\"$A 'b'\"", "one 'b'"),
            (r#""a\"b\c""#, r#"a"b\c"#),
            ("a$", "a$"),
            ("a$.b", "a$.b"),
        ] {
            assert_eq!(expanded(text), Ok(expected.to_owned()), "{text}");
        }
        for text in ["$(date)", "${A%%x}", "${A/x/y}", "${A", "'a", "\"a"] {
            assert_eq!(expanded(text), Err(NotExpanded(text.to_owned())));
        }
    }

    #[test]
    fn pairs_are_split_outside_quotes() {
        assert_eq!(
            pairs(r#"A=1 B="2 3" C=4\ 5"#, '\\'),
            [("A", Some("1")), ("B", Some(r#""2 3""#)), ("C", Some(r"4\ 5"))]
        );
        assert_eq!(pairs("PATH /bin:$PATH  x", '\\'), [("PATH", Some("/bin:$PATH  x"))]);
        assert_eq!(pairs("NAME", '\\'), [("NAME", None)]);
        assert_eq!(pairs("A B=1", '\\'), [("A", Some("B=1"))]);
        assert_eq!(pairs("A='x y' B", '\\'), [("A", Some("'x y'")), ("B", None)]);
    }
}
