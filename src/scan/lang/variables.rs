//! Variables of shell scripts and Makefiles whose values are a part of what is looked for.

use std::collections::BTreeMap;
use std::ops::Range;

use crate::scan::detect::command;
use crate::scan::lang::source_map::SourceMap;
use crate::scan::patterns::{self, Patterns};

/// Longest value that is followed, in bytes.
const LONGEST: usize = 200;

/// Most functions and aliases that are followed: a text is looked through for each of them.
const WRAPPERS: usize = 32;

/// Most variables of one text that are replaced by their values.
const REPLACED: usize = 4096;

/// What may stand before an assignment.
const LEADS: [&str; 7] = ["export ", "readonly ", "local ", "declare ", "override ", "ENV ", "ARG "];

/// The variables of a text that are prefixes of container names, daemons' names or docker commands.
#[derive(Debug, Default)]
pub(in crate::scan) struct Variables {
    values: BTreeMap<String, String>,
    /// Functions and aliases that begin a docker command: `dc() { docker compose "$@"; }`.
    wrappers: BTreeMap<String, String>,
}

impl Variables {
    /// Finds the variables of a text; those with more than one value are none.
    pub(in crate::scan) fn of(patterns: &Patterns, source: &str) -> Self {
        let mut values: BTreeMap<&str, Option<String>> = BTreeMap::new();
        let mut out = Self::default();
        let wraps = source.contains("$@") || source.contains("alias ");
        for found in patterns.wrapper.captures_iter(if wraps { source } else { "" }) {
            let value = found.name("body").or_else(|| found.name("alias"));
            if let (Some(name), Some(value)) = (found.name("name").or_else(|| found.name("other")), value) {
                if out.wrappers.len() == WRAPPERS {
                    break;
                }
                out.wrappers.insert(name.as_str().to_owned(), value.as_str().trim().to_owned());
            }
        }
        for line in source.lines().filter(|line| line.contains('=')) {
            let Some((name, value)) = assignment(line) else { continue };
            // One variable may be a part of another's value.
            let short = if value.len() <= LONGEST { out.expand(value, 0..value.len()) } else { None };
            let value = short.map_or_else(|| value.to_owned(), |it| it.text);
            let telling = value.len() <= LONGEST
                && (patterns.is_prefix(&value)
                    || patterns::service(&value).is_some()
                    || runs(patterns, &value));
            match values.get(name) {
                Some(before) if before.as_ref() != Some(&value) => {
                    values.insert(name, None);
                    out.values.remove(name);
                }
                Some(_) => {}
                None => {
                    if telling {
                        out.values.insert(name.to_owned(), value.clone());
                    }
                    values.insert(name, Some(value));
                }
            }
        }
        out
    }

    /// The text of `source[range]` with the values of its variables, if it names any.
    pub(in crate::scan) fn expand<'a>(&self, source: &'a str, range: Range<usize>) -> Option<SourceMap<'a>> {
        if self.values.is_empty() && self.wrappers.is_empty() {
            return None;
        }
        let mut places: Vec<(Range<usize>, &str)> = Vec::new();
        let text = &source[range.clone()];
        for (found, _) in text.match_indices('$').chain(text.match_indices("{{")) {
            let start = range.start + found;
            let Some((name, length)) = variable(&source[start..range.end]) else { continue };
            let Some(value) = self.values.get(name) else { continue };
            let mut place = start..start + length;
            // Quotes around several words would make one of them.
            let quoted = source[..start].ends_with('"') && source[place.end..].starts_with('"');
            if quoted && value.contains(' ') {
                place = place.start - 1..place.end + 1;
            }
            places.push((place, value));
            if places.len() == REPLACED {
                break;
            }
        }
        for (name, value) in &self.wrappers {
            for (found, _) in source[range.clone()].match_indices(name.as_str()) {
                let start = range.start + found;
                if begins_command(&source[..start]) && source[start + name.len()..].starts_with(' ') {
                    places.push((start..start + name.len(), value));
                }
            }
        }
        places.sort_by_key(|(place, _)| place.start);
        let mut out = SourceMap::new(source);
        let mut at = range.start;
        for (place, value) in places.into_iter().filter(|(place, _)| place.end <= range.end) {
            if place.start >= at {
                out.push(&source[at..place.start], at..place.start);
                at = place.end;
                out.push(value, place);
            }
        }
        out.push(&source[at..range.end], at..range.end);
        out.is_mixed().then_some(out)
    }
}

/// Whether a command begins behind a text.
fn begins_command(before: &str) -> bool {
    let before = before.trim_end_matches([' ', '\t']);
    before.is_empty()
        || before.ends_with(['\n', ';', '&', '|', '(', '`', '{', '!'])
        || before.split_whitespace().next_back().is_some_and(|word| {
            matches!(word, "do" | "then" | "else" | "if" | "while" | "until" | "sudo" | "time" | "run")
        })
}

/// Whether a value is the start of a docker command that names no container yet.
fn runs(patterns: &Patterns, value: &str) -> bool {
    let first = value.split(' ').next().unwrap_or_default();
    command::program(first) && !patterns.container.is_match(value) && !value.contains([';', '|', '&'])
}

/// Name and value of an assignment: `NAME=value`, `NAME := value`, `$Name = "value"`.
fn assignment(line: &str) -> Option<(&str, &str)> {
    let mut rest = line.trim_start();
    for lead in LEADS {
        rest = rest.strip_prefix(lead).unwrap_or(rest);
    }
    let rest = rest.strip_prefix('$').unwrap_or(rest);
    let length = rest.bytes().take_while(|byte| byte.is_ascii_alphanumeric() || *byte == b'_').count();
    let (name, rest) = rest.split_at(length);
    let rest = rest.trim_start().trim_start_matches([':', '?']);
    let value = rest.strip_prefix('=').filter(|rest| !rest.starts_with('='))?;
    let value = value.split(" #").next().unwrap_or_default().trim();
    let value = value.strip_suffix(';').unwrap_or(value);
    let value = value.strip_prefix('(').and_then(|value| value.strip_suffix(')')).unwrap_or(value);
    let value = value.trim_matches(['"', '\'']);
    // `${NAME:-default}`
    let inner = value.strip_prefix("${").and_then(|value| value.strip_suffix('}'));
    let default = inner.and_then(|inner| inner.split_once('-')).map(|(_, default)| default);
    (!name.is_empty()).then_some((name, default.unwrap_or(value)))
}

/// Name and length of the variable at the start of a text: `$NAME`, `$$NAME`, `${NAME}`, `$(NAME)`, `${NAME[@]}`,
/// `{{NAME}}`.
fn variable(text: &str) -> Option<(&str, usize)> {
    if let Some(inner) = text.strip_prefix("{{") {
        let (name, _) = inner.split_once("}}")?;
        return Some((name.trim(), name.len() + 4));
    }
    let dollars = if text.starts_with("$$") { 2 } else { 1 };
    let rest = &text[dollars..];
    let open = usize::from(rest.starts_with(['{', '(']));
    let rest = &rest[open..];
    let length = rest.bytes().take_while(|byte| byte.is_ascii_alphanumeric() || *byte == b'_').count();
    let (name, after) = rest.split_at(length);
    let list = after.strip_prefix("[@]").or_else(|| after.strip_prefix("[*]"));
    let mut total = dollars + open + length + if list.is_some() { 3 } else { 0 };
    if open == 1 {
        list.unwrap_or(after).strip_prefix(['}', ')'])?;
        total += 1;
    }
    (length > 0).then_some((name, total))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::scan::lang::text::{self, Comments};

    /// Forms that a search of `source` reports.
    fn reported(source: &str) -> Vec<&'static str> {
        let patterns = Patterns::new(&["bot-bottle".to_owned()], "FLAG");
        let mut matches = Vec::new();
        text::search(&patterns, source, Comments::Hash, &mut matches);
        matches.iter().map(|matched| matched.rule.id.as_str()).collect()
    }

    #[test]
    fn values_take_the_place_of_their_variables() {
        for (source, rule) in [
            ("NAME = bot-bottle\nGATE = $(NAME)-git-gate-$(SLUG)\n", "container-name"),
            ("NAME=bot-bottle\ndocker rm \"${NAME}-egress-$SLUG\"\n", "docker-cli"),
            ("NAME=${NAME:-bot-bottle}\ndocker rm $NAME-egress-x\n", "docker-cli"),
            ("export DC=\"docker compose -f x.yml\"\n$DC restart pipelock\n", "compose-cli"),
            ("DOCKER ?= podman\nDC := $(DOCKER) compose\nx:\n\t@$(DC) logs egress\n", "compose-cli"),
            ("dc=(docker compose)\n\"${dc[@]}\" logs egress\n", "compose-cli"),
            ("dc() {\n  docker compose -f x.yml \"$@\"\n}\ndc restart pipelock\n", "compose-cli"),
            ("alias d='docker'\nif d logs bot-bottle-egress-x; then d ps; fi\n", "docker-cli"),
            ("name := \"bot-bottle\"\nx slug:\n  docker stop {{name}}-egress-{{slug}}\n", "docker-cli"),
            ("dc := \"docker compose\"\nx:\n  {{ dc }} logs egress\n", "compose-cli"),
            ("name=\"${P:-bot-bottle-egress-x}\"\n", "container-name"),
            ("who=egress\ndocker rm bot-bottle-$who-x\n", "docker-cli"),
            ("at=egress\ncurl http://$at:80/\n", "url-host"),
            ("$Dc = \"docker\"\n& $Dc stop bot-bottle-egress-x\n", "docker-cli"),
        ] {
            assert_eq!(reported(source), [rule], "{source}");
        }
    }

    #[test]
    fn other_values_are_no_part_of_names() {
        for source in [
            "PREFIX = /usr/local\nx: $(NAME)-egress-x\n",
            "who=agent\ndocker rm bot-bottle-$who-x\n",
            "who=egress\nwho=agent\ndocker rm bot-bottle-$who-x\n",
            "dc() { docker compose \"$@\"; }\necho dc restart pipelock\n",
            "DC=make\n$DC restart pipelock\n",
            "DC=\"docker compose\"\n$DC restart agent\n",
        ] {
            assert_eq!(reported(source), [""; 0], "{source}");
        }
    }
}
