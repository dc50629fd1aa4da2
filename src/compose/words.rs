//! Command lines, split as Compose splits them: like a shell that expands nothing.

/// Words of a line; `None` if a quote is left open. What follows an operator (`;`, `&`, `|`, `<`, `>`) is dropped,
/// as it is by Compose.
pub(super) fn split(line: &str) -> Option<Vec<String>> {
    let mut words = Vec::new();
    let mut word = String::new();
    let mut started = false;
    let mut escaped = false;
    // At most one of these is open, but for the last two, which may stand within double quotes.
    let (mut double, mut single, mut backtick, mut dollar) = (false, false, false, false);
    for c in line.chars() {
        if escaped {
            word.push(c);
            (escaped, started) = (false, true);
            continue;
        }
        match c {
            '\\' if single => word.push(c),
            '\\' => escaped = true,
            ' ' | '\t' | '\r' | '\n' => {
                if single || double || backtick || dollar {
                    word.push(c);
                } else if started {
                    words.push(std::mem::take(&mut word));
                    started = false;
                }
            }
            '"' if !single && !dollar => {
                started |= double;
                double = !double;
            }
            '\'' if !double && !dollar => {
                started |= single;
                single = !single;
            }
            ';' | '&' | '|' | '<' | '>' if !(single || double || backtick || dollar) => {
                // The number of a descriptor belongs to the operator.
                started &= !(c == '>' && word.starts_with(|c: char| c.is_ascii_digit()));
                break;
            }
            _ => {
                match c {
                    '`' if !single && !double && !dollar => backtick = !backtick,
                    ')' if !single && !double && !backtick => dollar = !dollar,
                    '(' if !single && !double && !backtick => {
                        if dollar || !word.ends_with('$') {
                            return None;
                        }
                        dollar = true;
                    }
                    _ => {}
                }
                word.push(c);
                started = true;
            }
        }
    }
    if started {
        words.push(word);
    }
    (!(escaped || single || double || backtick || dollar)).then_some(words)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lines_are_split_as_compose_splits_them() {
        for (line, expect) in [
            ("sh -c 'a b'", Some(vec!["sh", "-c", "a b"])),
            ("a \"b 'c'\" d\\ e", Some(vec!["a", "b 'c'", "d e"])),
            ("a '' \"\"", Some(vec!["a", "", ""])),
            ("a'b'\"c\"", Some(vec!["abc"])),
            ("a # b", Some(vec!["a", "#", "b"])),
            ("a | b", Some(vec!["a"])),
            ("a 2>b", Some(vec!["a"])),
            ("a b>c", Some(vec!["a", "b"])),
            ("a $(b c)", Some(vec!["a", "$(b c)"])),
            ("a `b c`", Some(vec!["a", "`b c`"])),
            ("a '\\n' \"\\n\"", Some(vec!["a", "\\n", "n"])),
            ("", Some(vec![])),
            ("a 'b", None),
            ("a (b)", None),
            ("a \\", None),
        ] {
            let expect = expect.map(|words| words.into_iter().map(str::to_owned).collect());
            assert_eq!(split(line), expect, "{line}");
        }
    }
}
