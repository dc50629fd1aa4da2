//! References in a stretch of text: the content of a string, a script, a line of a document.

mod containers;
mod hosts;
mod others;

use std::ops::Range;

use super::command::{self, Command, Invocation, Word};
use super::docker;
use super::finding::Hit;
use super::forms;
use super::names::Names;

/// Words that variables for the name of a service are called by.
const ROLES: [&str; 6] = ["svc", "service", "sidecar", "daemon", "component", "role"];

/// What the names in a text are used for, as far as what is around it tells.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) enum Use {
    /// Nothing is known.
    #[default]
    Open,
    /// Containers.
    Container,
    /// Images.
    Image,
    /// Networks, volumes and other things that stay.
    Kept,
    /// The agent's container.
    Agent,
    /// Containers, of which it filters a list.
    Filter,
}

impl Use {
    /// What a name such as that of a variable says about its value.
    pub(super) fn of(name: &str) -> Self {
        let name = name.to_ascii_lowercase();
        let any = |words: &[&str]| {
            name.split(|c: char| !c.is_ascii_alphanumeric()).any(|part| words.contains(&part))
        };
        if any(&["container", "containers"]) && any(&["agent"]) {
            Self::Agent
        } else if any(&["container", "containers", "cname"]) || name.contains("containername") {
            Self::Container
        } else if name.contains("network")
            || any(&["net", "nets", "volume", "volumes", "vol", "bridge", "subnet"])
        {
            Self::Kept
        } else if any(&["image", "images", "tag", "tags"]) {
            Self::Image
        } else if any(&["agent", "slug"]) {
            Self::Agent
        } else {
            Self::Open
        }
    }

    /// The more telling of two: what stands nearer goes first.
    pub(super) fn or(self, outer: Self) -> Self {
        if self == Self::Open { outer } else { self }
    }
}

/// What is known about a text.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Context<'a> {
    /// What its names are used for.
    pub(super) used: Use,
    /// Whether it is prose, in which words are no commands.
    pub(super) prose: bool,
    /// Whether identifiers in it count: prose, and code that nothing here parses.
    pub(super) identifiers: bool,
    /// The docker command that the text is a word of.
    pub(super) command: Option<&'a Command>,
    /// Variables of loops over the names of daemons.
    pub(super) loops: &'a [String],
}

impl Context<'_> {
    /// Whether a value that is put in later is the variable of a loop over daemons: `$svc`, `{svc}`, `${{ matrix.svc }}`.
    pub(super) fn goes_over(&self, hole: &str) -> bool {
        !self.loops.is_empty() && {
            let name = hole_name(hole);
            hole.len() > name.len() && self.loops.iter().any(|variable| variable == name)
        }
    }
}

/// The last name in a value that is put in later, if it is no more than a name.
fn hole_name(hole: &str) -> &str {
    let inner = hole.trim_matches(['\\', '$', '#', '{', '}', '(', ')', '<', '>', ' ', '%', '"', '\'']);
    let inner = inner.split(['!', ':']).next().unwrap_or_default();
    let inner = inner.strip_suffix("[@]").unwrap_or(inner);
    let plain = inner.bytes().all(|byte| byte.is_ascii_alphanumeric() || matches!(byte, b'_' | b'.'));
    if plain { inner.rsplit('.').next().unwrap_or_default() } else { "" }
}

/// Finds the references in `source[range]`.
pub(super) fn search(
    names: &Names,
    source: &str,
    range: Range<usize>,
    context: Context<'_>,
    hits: &mut Vec<Hit>,
) {
    let Some(text) = source.get(range.clone()).filter(|text| names.tells(text) || !context.loops.is_empty())
    else {
        return;
    };
    let region = Region { names, text, base: range.start, context };
    let commands = region.commands();
    region.containers(&commands, hits);
    hits.extend(commands.iter().flat_map(|command| docker::services(command, context)));
    region.hosts(&commands, hits);
    region.others(hits);
    if context.identifiers {
        region.identifiers(hits);
    }
}

struct Region<'a> {
    names: &'a Names,
    text: &'a str,
    base: usize,
    context: Context<'a>,
}

impl Region<'_> {
    fn span(&self, range: Range<usize>) -> Range<usize> {
        self.base + range.start..self.base + range.end
    }

    /// Whether a value that is put in later is a service by the name of its variable, or by that of a loop.
    fn goes_by_service(&self, hole: &str) -> bool {
        let name = hole_name(hole).to_ascii_lowercase();
        ROLES.iter().any(|role| name.contains(role)) || self.context.goes_over(hole)
    }

    fn line(&self, at: usize) -> &str {
        let start = self.text[..at].rfind('\n').map_or(0, |at| at + 1);
        let end = self.text[at..].find('\n').map_or(self.text.len(), |more| at + more);
        &self.text[start..end]
    }

    /// Whether the line of `at` speaks of a network, nearer than of a container.
    fn near_network(&self, at: usize) -> bool {
        if self.listed(at) == Use::Kept {
            return true;
        }
        let start = self.text[..at].rfind('\n').map_or(0, |at| at + 1);
        let line = self.line(at).to_ascii_lowercase();
        let network = nearest(&line, at - start, &["network", "--net ", "--net="]);
        let container = nearest(&line, at - start, &["container"]);
        network.is_some_and(|network| container.is_none_or(|container| network < container))
    }

    /// What the key of the list that a name stands in says of it, where that is on a line above.
    fn listed(&self, at: usize) -> Use {
        if !self.text[..at].contains('\n') {
            return Use::Open;
        }
        let mut depth = 0_usize;
        for (open, c) in self.text[..at].char_indices().rev() {
            match c {
                ']' | ')' | '}' => depth += 1,
                '[' | '(' | '{' if depth > 0 => depth -= 1,
                '[' => return Use::of(self.text[..open].rsplit('\n').next().unwrap_or_default()),
                '(' | '{' => break,
                _ => {}
            }
        }
        Use::Open
    }

    fn commands(&self) -> Vec<Command> {
        if !["docker", "podman", "nerdctl"].iter().any(|name| self.text.contains(name)) {
            return Vec::new();
        }
        let split = command::split(self.text, self.base).into_iter();
        let parsed = split.filter_map(|words| Command::of(words, false));
        parsed
            .filter(|command| !self.context.prose || self.begins(&command.words, &command.invocation))
            .collect()
    }

    /// Whether a command in prose stands where one begins: after a backquote or a prompt, or on a line of its own.
    fn begins(&self, words: &[Word], found: &Invocation) -> bool {
        let at = words[found.program].span.start - self.base;
        let before = self.text[..at].trim_end_matches("sudo ").trim_end_matches([' ', '\t']);
        before.is_empty() || before.ends_with(['`', '\n', '$', '>'])
    }

    fn identifiers(&self, hits: &mut Vec<Hit>) {
        for word in self.names.word.find_iter(self.text) {
            let Some((form, service)) = self.names.identifier(word.as_str()) else { continue };
            // Without a parser a name such as `egress_url` is a helper only where it is called or quoted as code.
            let next = self.text[word.end()..].chars().next();
            let before = self.text[..word.start()].chars().next_back();
            let called = next == Some('(') || before == Some('`') && next == Some('`');
            if form.id != forms::URL_HELPER.id || called {
                hits.push(Hit::new(self.span(word.range()), form, Some(service)));
            }
        }
    }
}

/// Distance in bytes from `at` to the nearest of `words` in a line.
fn nearest(line: &str, at: usize, words: &[&str]) -> Option<usize> {
    let found = words.iter().flat_map(|word| line.match_indices(word).map(|(start, _)| start.abs_diff(at)));
    found.min()
}
