//! References in a stretch of text: the content of a string, a script, a line of a document.

mod hosts;

use std::ops::Range;

use bottle_model::daemon::Daemon;

use super::command::{self, Command, Invocation, Word};
use super::docker;
use super::finding::Hit;
use super::forms;
use super::names::{self, Names};

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
}

/// Finds the references in `source[range]`.
pub(super) fn search(
    names: &Names,
    source: &str,
    range: Range<usize>,
    context: Context<'_>,
    hits: &mut Vec<Hit>,
) {
    let Some(text) = source.get(range.clone()).filter(|text| names.tells(text)) else { return };
    let region = Region { names, text, base: range.start, context };
    let commands = region.commands();
    region.containers(&commands, hits);
    hits.extend(commands.iter().flat_map(docker::services));
    region.hosts(&commands, hits);
    region.others(hits);
    if context.identifiers {
        region.identifiers(hits);
    }
}

/// What a name is part of.
enum Part {
    /// A container.
    Container { unsure: bool },
    /// An image.
    Image,
    /// A filter of a look-up.
    Filter,
    /// Something that stays.
    Kept,
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

    fn line(&self, at: usize) -> &str {
        let start = self.text[..at].rfind('\n').map_or(0, |at| at + 1);
        let end = self.text[at..].find('\n').map_or(self.text.len(), |more| at + more);
        &self.text[start..end]
    }

    /// Whether the line of `at` speaks of a network, nearer than of a container.
    fn near_network(&self, at: usize) -> bool {
        let start = self.text[..at].rfind('\n').map_or(0, |at| at + 1);
        let line = self.line(at).to_ascii_lowercase();
        let network = nearest(&line, at - start, &["network", "--net ", "--net="]);
        let container = nearest(&line, at - start, &["container"]);
        network.is_some_and(|network| container.is_none_or(|container| network < container))
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

    fn containers(&self, commands: &[Command], hits: &mut Vec<Hit>) {
        for found in self.names.container.captures_iter(self.text) {
            let (Some(whole), Some(name)) = (found.get(0), found.name("service")) else { continue };
            let Some(service) = names::daemon(name.as_str()) else { continue };
            let Some((end, part)) = self.part(whole.range(), service) else { continue };
            let span = self.span(whole.start()..end);
            let inside =
                self.context.command.or_else(|| commands.iter().find(|command| command.holds(span.start)));
            let renamed = self.span(name.range());
            let hit = match (inside, part) {
                (None, Part::Kept) => None,
                (_, Part::Image) => (service != Daemon::Pipelock)
                    .then(|| Hit::new(span, &forms::IMAGE_CONSTANT, Some(service))),
                (Some(command), Part::Filter)
                    if matches!(command.invocation.verb.as_str(), "network" | "volume") =>
                {
                    None
                }
                (_, Part::Filter) => Some(Hit::new(span, &forms::SERVICE_LABEL, Some(service))),
                (Some(command), Part::Kept | Part::Container { .. }) => {
                    docker::part(command, span, service, &renamed)
                }
                (None, Part::Container { unsure }) => {
                    let mut hit = Hit::new(span, &forms::CONTAINER_NAME, Some(service));
                    hit.unsure = unsure;
                    Some(hit)
                }
            };
            hits.extend(hit);
        }
        for found in self.names.generic.find_iter(self.text) {
            let span = self.span(found.range());
            if self.context.used == Use::Kept || self.near_network(found.start()) {
                continue;
            }
            let inside =
                self.context.command.or_else(|| commands.iter().find(|command| command.holds(span.start)));
            let form = match inside {
                Some(command) if !command.targets(span.start) => continue,
                Some(_) => &forms::DOCKER_CLI,
                None => &forms::CONTAINER_NAME,
            };
            hits.push(Hit::new(span, form, None));
        }
    }

    /// Where a container's name ends and what it is part of; `None`: it is part of a longer word.
    fn part(&self, lead: Range<usize>, service: Daemon) -> Option<(usize, Part)> {
        let text = self.text;
        let before = text[..lead.start].chars().next_back();
        if before.is_some_and(|c| c.is_alphanumeric() || matches!(c, '_' | '-' | '.')) {
            return None;
        }
        // A path's component, unless it is the slash that the engine puts before names.
        let path = before == Some('/')
            && text[..lead.start - 1]
                .ends_with(|c: char| c.is_alphanumeric() || matches!(c, '.' | '_' | '-' | '~' | '}'));
        let rest = &text[lead.end..];
        let lead_in = text[..lead.start].trim_end_matches(['^', '/', '"', '\'']);
        // A pattern that is anchored is one of a look-up.
        let filtered = lead_in.ends_with("name=") || text[lead_in.len()..lead.start].contains('^');
        let part = |end: usize, unsure: bool| {
            if path {
                return None;
            }
            let kept = self.context.used == Use::Kept
                || self.context.used == Use::Open && self.near_network(lead.start);
            let part = if kept {
                Part::Kept
            } else if filtered {
                Part::Filter
            } else {
                Part::Container { unsure: unsure || self.context.used == Use::Agent }
            };
            Some((end, part))
        };
        match rest.chars().next() {
            Some('-') => {
                let tail = &rest[1..];
                if let Some(length) = self.names.hole_at(tail) {
                    let mut end = length;
                    // More may follow, `{slug}-{suffix}`.
                    end += word_length(&tail[end..], self.names);
                    if tail[end..].starts_with(":/") && !self.copied(lead.start) {
                        return Some((lead.end, Part::Kept));
                    }
                    return part(lead.end + 1 + end, false);
                }
                let length = word_length(tail, self.names);
                let slug = &tail[..length];
                let after = &tail[length..];
                if slug
                    .split('-')
                    .any(|word| matches!(word, "net" | "network" | "volume" | "data" | "certs" | "ca"))
                {
                    return Some((lead.end, Part::Kept));
                }
                if after.starts_with('.') && after[1..].starts_with(|c: char| c.is_alphanumeric())
                    || after.starts_with('_')
                {
                    return None;
                }
                if after.starts_with(":/") && !self.copied(lead.start) {
                    return Some((lead.end, Part::Kept));
                }
                let longer = matches!(slug, "proxy" | "init" | "addon" | "config" | "routes");
                part(lead.end + 1 + length, longer)
            }
            Some(':') if rest[1..].starts_with('/') => {
                if self.copied(lead.start) {
                    part(lead.end, true)
                } else {
                    Some((lead.end, Part::Kept))
                }
            }
            Some(':' | '@') => Some((lead.end, Part::Image)),
            Some(c) if c.is_alphanumeric() || c == '_' => None,
            Some('.') if rest[1..].starts_with(|c: char| c.is_alphanumeric()) => None,
            _ if self.context.used == Use::Image || built(self.line(lead.start)) => {
                Some((lead.end, Part::Image))
            }
            // The whole of a container's name never ends with its service.
            _ if service == Daemon::Pipelock || filtered => part(lead.end, !filtered),
            _ => part(lead.end, true),
        }
    }

    /// Whether what is before `at` copies from or to a container.
    fn copied(&self, at: usize) -> bool {
        let line = self.line(at);
        line.contains(" cp ") || line.contains("\"cp\"") || line.contains("'cp'")
    }

    /// Brace expansions: `Dockerfile.{egress,git-gate}`.
    fn braces(&self, hits: &mut Vec<Hit>) {
        for found in self.names.braces.captures_iter(self.text) {
            let (Some(lead), Some(list)) = (found.name("lead"), found.name("list")) else { continue };
            let form =
                if lead.as_str() == "Dockerfile." { &forms::DOCKERFILE } else { &forms::CONTAINER_NAME };
            let mut at = list.start();
            for word in list.as_str().split(',') {
                if let Some(service) = names::service(word)
                    && (form.id != forms::DOCKERFILE.id || service != Daemon::Pipelock)
                {
                    hits.push(Hit::new(self.span(at..at + word.len()), form, Some(service)));
                }
                at += word.len() + 1;
            }
        }
    }

    fn others(&self, hits: &mut Vec<Hit>) {
        self.braces(hits);
        for found in self.names.dockerfile.captures_iter(self.text) {
            let Some(whole) = found.get(0) else { continue };
            let rest = &self.text[whole.end()..];
            let longer = rest.starts_with(|c: char| c.is_alphanumeric() || matches!(c, '-' | '_'))
                || rest.starts_with('.') && rest[1..].starts_with(|c: char| c.is_alphanumeric());
            let service = found.name("service").and_then(|name| names::service(name.as_str()));
            let gone = found
                .name("service")
                .is_none_or(|_| service.is_some_and(|service| service != Daemon::Pipelock));
            if !longer && gone {
                hits.push(Hit::new(self.span(whole.range()), &forms::DOCKERFILE, service));
            }
        }
        for found in self.names.label.captures_iter(self.text) {
            let (Some(whole), Some(value)) = (found.get(0), found.name("value")) else { continue };
            let named: Vec<_> = self.names.service.find_iter(value.as_str()).collect();
            for name in &named {
                let range = value.start() + name.start()..value.start() + name.end();
                if names::alone(self.text, &range, b"-./")
                    && let Some(service) = names::service(name.as_str())
                {
                    hits.push(Hit::new(self.span(range), &forms::SERVICE_LABEL, Some(service)));
                }
            }
            let value = value.as_str().trim_start();
            if named.is_empty()
                && value.starts_with('=')
                && self.names.hole_at(value[1..].trim_start()).is_some()
            {
                hits.push(Hit::new(
                    self.span(whole.start()..whole.end() - value.len() + 1),
                    &forms::SERVICE_LABEL,
                    None,
                ));
            }
        }
        for (start, lead) in self.text.match_indices("name=") {
            let rest = self.text[start + lead.len()..].trim_start_matches(['^', '/']);
            let at = self.text.len() - rest.len();
            if let Some(found) = self.names.service.find(rest).filter(|found| found.start() == 0)
                && names::alone(self.text, &(at..at + found.end()), b".-")
                && self.line(start).contains("filter")
                && let Some(service) = names::service(found.as_str())
            {
                hits.push(Hit::new(self.span(at..at + found.end()), &forms::SERVICE_LABEL, Some(service)));
            }
        }
        for found in self.names.subscript.captures_iter(self.text) {
            let (Some(whole), Some(name)) = (found.get(0), found.name("service")) else { continue };
            let before = self.text[..whole.start()].chars().next_back();
            let alone = names::alone(self.text, &name.range(), b"-");
            if alone
                && before.is_none_or(|c| !c.is_alphanumeric())
                && let Some(service) = names::service(name.as_str())
            {
                hits.push(Hit::new(self.span(name.range()), &forms::SERVICE_SUBSCRIPT, Some(service)));
            }
        }
        for found in self.names.flag.find_iter(self.text) {
            if names::alone(self.text, &found.range(), b"") {
                hits.push(Hit::new(self.span(found.range()), &forms::FLAG_REFERENCE, None));
            }
        }
        for found in self.names.count.find_iter(self.text) {
            hits.push(Hit::new(self.span(found.range()), &forms::SERVICE_COUNT, None));
        }
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

/// Length of a name's rest: letters, digits, `-` and values that are put in later.
fn word_length(text: &str, names: &Names) -> usize {
    let mut end = 0;
    while let Some(byte) = text.as_bytes().get(end) {
        if byte.is_ascii_alphanumeric() || *byte == b'-' || *byte == b'*' {
            end += 1;
        } else if let Some(length) = names.hole_at(&text[end..]) {
            end += length;
        } else {
            break;
        }
    }
    end
}

/// Distance in bytes from `at` to the nearest of `words` in a line.
fn nearest(line: &str, at: usize, words: &[&str]) -> Option<usize> {
    let found = words.iter().flat_map(|word| line.match_indices(word).map(|(start, _)| start.abs_diff(at)));
    found.min()
}

/// Whether a line builds, tags or moves images.
fn built(line: &str) -> bool {
    [
        "docker build",
        "buildx build",
        "docker push",
        "docker pull",
        "docker tag",
        "docker image",
        "image:",
        "docker rmi",
        "docker save",
        "docker load",
    ]
    .iter()
    .any(|words| line.contains(words))
}
