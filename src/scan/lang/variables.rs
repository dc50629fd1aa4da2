//! Variables of shell scripts and Makefiles whose values are a part of what is looked for.

use std::collections::BTreeMap;
use std::ops::Range;

use crate::scan::detect::{Use, command};
use crate::scan::lang::source_map::SourceMap;
use crate::scan::lang::text;
use crate::scan::patterns::{self, Patterns};

/// Longest value that is followed, in bytes.
const LONGEST: usize = 200;

/// Most functions and aliases that are followed: a text is looked through for each of them.
const WRAPPERS: usize = 32;

/// Most variables of one text that are replaced by their values.
const REPLACED: usize = 4096;

/// What may stand before an assignment.
const LEADS: [&str; 11] = [
    "const ",
    "let ",
    "var ",
    "final ",
    "export ",
    "readonly ",
    "local ",
    "declare ",
    "override ",
    "ENV ",
    "ARG ",
];

/// The variables of a text that are prefixes of container names, daemons' names or docker commands.
#[derive(Debug, Default)]
pub(in crate::scan) struct Variables {
    values: BTreeMap<String, String>,
    /// Variables that name a sidecar's container: where each value is assigned, and a name like it.
    names: BTreeMap<String, Vec<(usize, Option<String>)>>,
    /// Whether a variable is a word by itself: `exec("docker", "rm", name)`.
    bare: bool,
    /// Functions and aliases that begin a docker command: `dc() { docker compose "$@"; }`.
    wrappers: BTreeMap<String, String>,
}

impl Variables {
    /// Finds the variables of a text; those with more than one value are none.
    ///
    /// Where `bare` is set, a variable is a word by itself.
    pub(in crate::scan) fn of(patterns: &Patterns, source: &str, bare: bool) -> Self {
        let mut values: BTreeMap<&str, Option<String>> = BTreeMap::new();
        let mut out = Self { bare, ..Self::default() };
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
        let containers = patterns.container.is_match(source);
        for range in text::lines(source, 0..source.len()) {
            if containers {
                out.bind_names(patterns, &source[range.clone()], range.start);
            }
            let Some((name, value)) = assignment(&source[range]) else { continue };
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

    /// Adds what an outer text gives to names that this one does not: the environment of a script in a workflow.
    pub(in crate::scan) fn inherit(&mut self, outer: &Self) {
        for (name, values) in &outer.names {
            let last = values.last().and_then(|(_, value)| value.clone());
            self.names.entry(name.clone()).or_insert_with(|| vec![(0, last)]);
        }
    }

    /// The text of `source[range]` with the values of its variables, if it names any.
    pub(in crate::scan) fn expand<'a>(&self, source: &'a str, range: Range<usize>) -> Option<SourceMap<'a>> {
        if self.values.is_empty() && self.wrappers.is_empty() && self.names.is_empty() {
            return None;
        }
        let mut places: Vec<(Range<usize>, &str, bool)> = Vec::new();
        let text = &source[range.clone()];
        for (found, _) in text.match_indices('$').chain(text.match_indices("{{")) {
            let start = range.start + found;
            let Some((name, length)) = variable(&source[start..range.end]) else { continue };
            let named = self.name(name.rsplit('.').next().unwrap_or(name), start);
            let Some(value) = named.or_else(|| self.values.get(name).map(String::as_str)) else { continue };
            let mut place = start..start + length;
            // Quotes around several words would make one of them.
            let quoted = source[..start].ends_with('"') && source[place.end..].starts_with('"');
            if quoted && value.contains(' ') {
                place = place.start - 1..place.end + 1;
            }
            places.push((place, value, named.is_some()));
            if places.len() == REPLACED {
                break;
            }
        }
        for (name, value) in &self.wrappers {
            for (found, _) in source[range.clone()].match_indices(name.as_str()) {
                let start = range.start + found;
                if begins_command(&source[..start]) && source[start + name.len()..].starts_with(' ') {
                    places.push((start..start + name.len(), value, false));
                }
            }
        }
        if self.bare && !self.names.is_empty() {
            for word in patterns::words(text) {
                let start = range.start + (word.as_ptr().addr() - text.as_ptr().addr());
                let place = start..start + word.len();
                if let Some(value) = self.name(word, start).filter(|_| is_argument(source, &place)) {
                    places.push((place, value, true));
                }
            }
        }
        places.sort_by_key(|(place, ..)| place.start);
        places.truncate(REPLACED);
        let mut out = SourceMap::new(source);
        let mut at = range.start;
        for (place, value, named) in places.into_iter().filter(|(place, ..)| place.end <= range.end) {
            if place.start >= at {
                out.push(&source[at..place.start], at..place.start);
                at = place.end;
                if named {
                    out.push_name(value, place);
                } else {
                    out.push(value, place);
                }
            }
        }
        out.push(&source[at..range.end], at..range.end);
        out.is_mixed().then_some(out)
    }

    /// Takes in what a line, which begins at `start`, assigns to variables that name a sidecar's container somewhere.
    fn bind_names(&mut self, patterns: &Patterns, line: &str, start: usize) {
        for found in patterns.assigned.captures_iter(line) {
            let (Some(name), Some(value)) = (found.name("name"), found.name("value")) else { continue };
            let value = value.as_str();
            let container = patterns.container.captures(value).filter(|_| !value.contains("docker "));
            let kept = matches!(Use::of(name.as_str()), Use::Kept | Use::Image);
            let example =
                container.filter(|found| !kept && names_container(patterns, value, found)).and_then(
                    |found| patterns::daemon(&found["service"]).map(|service| patterns.example(service)),
                );
            if example.is_some() || self.names.contains_key(name.as_str()) {
                self.names.entry(name.as_str().to_owned()).or_default().push((start + name.start(), example));
            }
        }
    }

    /// The container that a variable names at `at`, by the last value before.
    fn name(&self, name: &str, at: usize) -> Option<&str> {
        let values = self.names.get(name)?;
        let behind = values.partition_point(|(start, _)| *start <= at);
        values[..behind].last()?.1.as_deref()
    }
}

/// Whether a value is the name of a container, and neither that of an image nor a part of a path.
fn names_container(patterns: &Patterns, value: &str, found: &regex::Captures<'_>) -> bool {
    let (Some(lead), Some(service)) = (found.get(0), found.name("service")) else { return false };
    let before = &value[..lead.start()];
    let rest = &value[service.end()..];
    let begins = before.trim_end_matches(['"', '\'', '`']).is_empty() || before.ends_with(['"', '`', '\'']);
    let slug = rest.strip_prefix('-').unwrap_or_default();
    let tail = ["\" +", "' +", "\"+", "'+"].iter().any(|joined| slug.starts_with(joined));
    let goes_on = tail
        || slug.starts_with(|c: char| c.is_ascii_alphanumeric() || c == '%')
        || patterns.placeholder_at(slug).is_some();
    begins && goes_on && !rest.contains(['/', '@'])
}

/// Whether what is at `place` is an argument or an element by itself.
fn is_argument(source: &str, place: &Range<usize>) -> bool {
    let before = source[..place.start].trim_end_matches([' ', '\t']);
    let after = source[place.end..].trim_start_matches([' ', '\t']);
    before.ends_with([',', '(', '[', '{']) && after.starts_with([',', ')', ']', '}'])
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
    let value = value.trim_matches(['"', '\'', '`']);
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
    use crate::scan::lang::text::Comments;

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

    /// The lines on which the command of a variable is reported, in a text with these comments.
    fn commands(source: &str, comments: Comments) -> Vec<usize> {
        let patterns = Patterns::new(&["bot-bottle".to_owned()], "FLAG");
        let mut matches = Vec::new();
        text::search(&patterns, source, comments, &mut matches);
        let commands = matches.iter().filter(|matched| matched.rule.id.as_str() == "docker-cli");
        commands.map(|matched| source[..matched.span.start].matches('\n').count() + 1).collect()
    }

    #[test]
    fn a_command_on_a_variable_is_reported_where_it_is_written() {
        for source in [
            "n=bot-bottle-egress-x\ndocker rm $n\n",
            "n=\"bot-bottle-egress-$SLUG\"\ndocker rm -f \"$n\"\n",
            "local n=\"bot-bottle-egress-$1\"\ndocker logs \"${n}\"\n",
            "N := bot-bottle-egress-$(SLUG)\n\tdocker rm $(N)\n",
            "n := \"bot-bottle-egress-demo\"\n  docker rm {{n}}\n",
            "n=bot-bottle-egress-x; echo $n\necho $n; docker rm $n\n",
        ] {
            assert_eq!(commands(source, Comments::Hash), [2], "{source}");
        }
        for source in [
            "const n = `bot-bottle-egress-${slug}`;\nexec(`docker rm ${n}`);\n",
            "const n = 'bot-bottle-egress-' + slug;\nspawn('docker', ['rm', n]);\n",
            "n := fmt.Sprintf(\"bot-bottle-egress-%s\", slug)\nexec.Command(\"docker\", \"rm\", n)\n",
            "n := \"bot-bottle-egress-\" + slug\nexec.Command(\"docker\", \"rm\", n)\n",
        ] {
            assert_eq!(commands(source, Comments::Slashes), [2], "{source}");
        }
    }

    #[test]
    fn a_variable_that_names_something_else_is_no_container() {
        for source in [
            "n=bot-bottle-egress-x\necho $n\n",
            "network=bot-bottle-egress-x\ndocker rm $network\n",
            "n=bot-bottle-egress-x\nn=bot-bottle-sidecars-x\ndocker rm $n\n",
            "docker rm $n\nn=bot-bottle-egress-x\n",
            "n=bot-bottle-egress:latest\ndocker rm $n\n",
            "n=bot-bottle-egress-x\n# docker rm $n\n",
        ] {
            assert_eq!(commands(source, Comments::Hash), [0_usize; 0], "{source}");
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
