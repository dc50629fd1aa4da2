//! References in a stretch of text: the content of a string, a script, a line of a document.

mod around;
pub(super) mod command;
mod containers;
pub(super) mod docker;
mod hosts;
mod labels;
pub(super) mod prose;

use std::collections::BTreeSet;
use std::ops::Range;

use around::{Around, Mark};

use crate::scan::detect::command::{Command, Invocation, Word};
use crate::scan::finding::Match;
use crate::scan::patterns::Patterns;
use crate::scan::rules;

/// Words that variables for the name of a service are called by.
const ROLES: [&str; 6] = ["svc", "service", "sidecar", "daemon", "component", "role"];

/// What the names in a text are used for, as far as what is around it tells.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(in crate::scan) enum Use {
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
    pub(in crate::scan) fn of(name: &str) -> Self {
        let name = name.to_ascii_lowercase();
        let any = |words: &[&str]| {
            name.split(|c: char| !c.is_ascii_alphanumeric()).any(|part| words.contains(&part))
        };
        if any(&["container", "containers"]) && any(&["agent"]) {
            Self::Agent
        } else if any(&["container", "containers", "cname"]) || name.contains("containername") {
            Self::Container
        } else if name.contains("network")
            || name.contains("mkdtemp")
            || name.contains("mkstemp")
            || name.contains("temporary")
            || any(&["net", "nets", "volume", "volumes", "vol", "bridge", "subnet", "project", "tempfile"])
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
}

/// What is known about a text.
#[derive(Clone, Copy, Debug, Default)]
pub(in crate::scan) struct Context<'a> {
    /// What its names are used for.
    pub(in crate::scan) used: Use,
    /// Whether it is prose, in which words are no commands.
    pub(in crate::scan) prose: bool,
    /// Whether identifiers in it count: prose, and code that nothing here parses.
    pub(in crate::scan) identifiers: bool,
    /// The docker command that the text is a word of.
    pub(in crate::scan) command: Option<&'a Command>,
    /// Variables of loops over the names of daemons.
    pub(in crate::scan) loops: Option<&'a BTreeSet<String>>,
}

impl Context<'_> {
    /// Whether a value that is put in later is the variable of a loop over daemons: `$svc`, `{svc}`, `${{ matrix.svc }}`.
    pub(in crate::scan) fn goes_over(&self, placeholder: &str) -> bool {
        self.loops.is_some_and(|loops| {
            let name = placeholder_name(placeholder);
            placeholder.len() > name.len() && loops.contains(name)
        })
    }
}

/// The last name in a value that is put in later, if it is no more than a name.
fn placeholder_name(placeholder: &str) -> &str {
    let inner = placeholder.trim_matches(['\\', '$', '#', '{', '}', '(', ')', '<', '>', ' ', '%', '"', '\'']);
    let inner = inner.split(['!', ':']).next().unwrap_or_default();
    let inner = inner.strip_suffix("[@]").unwrap_or(inner);
    let plain = inner.bytes().all(|byte| byte.is_ascii_alphanumeric() || matches!(byte, b'_' | b'.'));
    if plain { inner.rsplit('.').next().unwrap_or_default() } else { "" }
}

/// Finds the references in `source[range]`.
pub(in crate::scan) fn search(
    patterns: &Patterns,
    source: &str,
    range: Range<usize>,
    context: Context<'_>,
    matches: &mut Vec<Match>,
) {
    let Some(text) = source
        .get(range.clone())
        .filter(|text| patterns.tells(text) || context.loops.is_some_and(|loops| !loops.is_empty()))
    else {
        return;
    };
    let region = Region { patterns, text, base: range.start, context, around: Around::new(text) };
    let commands = region.commands();
    region.containers(&commands, matches);
    matches.extend(commands.iter().flat_map(|command| docker::services(command, context)));
    region.hosts(&commands, matches);
    region.others(matches);
    if context.identifiers {
        region.identifiers(matches);
    }
}

struct Region<'a> {
    patterns: &'a Patterns,
    text: &'a str,
    base: usize,
    context: Context<'a>,
    around: Around<'a>,
}

impl Region<'_> {
    fn span(&self, range: Range<usize>) -> Range<usize> {
        self.base + range.start..self.base + range.end
    }

    /// Whether a value that is put in later is a service by the name of its variable, or by that of a loop.
    fn goes_by_service(&self, placeholder: &str) -> bool {
        let name = placeholder_name(placeholder).to_ascii_lowercase();
        ROLES.iter().any(|role| name.contains(role)) || self.context.goes_over(placeholder)
    }

    /// Whether the line of `at` speaks of a network, nearer than of a container.
    fn near_network(&self, at: usize) -> bool {
        if self.around.listed(at) == Use::Kept {
            return true;
        }
        let network = self.around.distance(Mark::Network, at);
        let container = || self.around.distance(Mark::Container, at);
        network.is_some_and(|network| container().is_none_or(|container| network < container))
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

    fn identifiers(&self, matches: &mut Vec<Match>) {
        for word in self.patterns.word.find_iter(self.text) {
            let Some((rule, service)) = self.patterns.identifier(word.as_str()) else { continue };
            // Without a parser a name such as `egress_url` is a helper only where it is called or quoted as code.
            let next = self.text[word.end()..].chars().next();
            let before = self.text[..word.start()].chars().next_back();
            let called = next == Some('(') || before == Some('`') && next == Some('`');
            // A variable in capitals is reported by its value.
            let constant = rule.id == rules::NAME_HELPER.id && word.as_str().ends_with("PREFIX");
            let call = [rules::URL_HELPER.id, rules::COMPOSE_SERVICE.id].contains(&rule.id);
            if !constant && (!call || called) {
                matches.push(Match::new(self.span(word.range()), rule, Some(service)));
            }
        }
    }
}
