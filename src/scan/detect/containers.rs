//! Containers by name, written out or as a pattern.

use std::ops::Range;

use bottle_model::daemon::Daemon;

use super::around::Mark;
use super::{Region, Use};
use crate::scan::detect::command::Command;
use crate::scan::detect::docker;
use crate::scan::finding::Match;
use crate::scan::patterns::{self, Patterns};
use crate::scan::rules;

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

impl Region<'_> {
    /// Finds the names of sidecars' containers, and the patterns of such names.
    pub(in crate::scan) fn containers(&self, commands: &[Command], matches: &mut Vec<Match>) {
        for found in self.patterns.container.captures_iter(self.text) {
            let (Some(whole), Some(name)) = (found.get(0), found.name("service")) else { continue };
            let Some(service) = patterns::daemon(name.as_str()) else { continue };
            let Some((end, part)) = self.part(whole.range(), service) else { continue };
            let span = self.span(whole.start()..end);
            matches.extend(self.container(commands, span, part, service, self.span(name.range())));
        }
        self.lists(commands, matches);
        self.patterns(commands, matches);
    }

    /// The docker command that the byte `at` of the file is in.
    pub(super) fn command<'c>(&'c self, commands: &'c [Command], at: usize) -> Option<&'c Command> {
        let behind = commands.partition_point(|command| command.start() <= at);
        let inside = || commands[..behind].last().filter(|command| command.holds(at));
        self.context.command.or_else(inside)
    }

    /// What the name of a container is; `renamed` is the daemon's name in it.
    fn container(
        &self,
        commands: &[Command],
        span: Range<usize>,
        part: Part,
        service: Daemon,
        renamed: Range<usize>,
    ) -> Option<Match> {
        match (self.command(commands, span.start), part) {
            (None, Part::Kept) => None,
            (_, Part::Image) => {
                (service != Daemon::Pipelock).then(|| Match::new(span, &rules::IMAGE_CONSTANT, Some(service)))
            }
            (Some(command), Part::Filter)
                if matches!(command.invocation.verb.as_str(), "network" | "volume") =>
            {
                None
            }
            (_, Part::Filter) => Some(Match::new(span, &rules::SERVICE_LABEL, Some(service))),
            (Some(command), Part::Kept | Part::Container { .. }) => {
                docker::part(command, span, service, &renamed)
            }
            (None, Part::Container { unsure }) => {
                let mut matched = Match::new(span, &rules::CONTAINER_NAME, Some(service));
                matched.unsure = unsure;
                Some(matched)
            }
        }
    }

    /// Names that are a list of several: `bot-bottle-{egress,supervise}-x`, `^bot-bottle-(?:egress|supervise)-`.
    fn lists(&self, commands: &[Command], matches: &mut Vec<Match>) {
        let braces = self.patterns.braces.captures_iter(self.text);
        for found in braces.chain(self.patterns.group.captures_iter(self.text)) {
            let (Some(lead), Some(list)) = (found.name("lead"), found.name("list")) else { continue };
            let mut start = list.start();
            for word in list.as_str().split([',', '|']) {
                let range = start..start + word.len();
                start = range.end + 1;
                let Some(service) = patterns::daemon(word).filter(|_| !word.contains(' ')) else { continue };
                let span = self.span(range);
                if self.joined(lead.start()) || self.in_path(lead.start()) && lead.as_str() != "Dockerfile." {
                    continue;
                }
                if lead.as_str() == "Dockerfile." {
                    let gone = service != Daemon::Pipelock;
                    matches.extend(gone.then(|| Match::new(span, &rules::DOCKERFILE, Some(service))));
                    continue;
                }
                let part = if self.context.used == Use::Kept || self.near_network(lead.start()) {
                    Part::Kept
                } else if self.filters(lead.start()) {
                    Part::Filter
                } else if self.text[list.end() + 1..].starts_with([':', '@']) {
                    Part::Image
                } else {
                    Part::Container { unsure: false }
                };
                let reference = self.container(commands, span.clone(), part, service, span);
                matches.extend(reference.map(|mut reference| {
                    reference.edits.clear();
                    reference
                }));
            }
        }
    }

    /// Names whose service is put in later: `bot-bottle-{service}-{slug}`.
    fn patterns(&self, commands: &[Command], matches: &mut Vec<Match>) {
        for found in self.patterns.generic.captures_iter(self.text) {
            let Some(whole) = found.get(0) else { continue };
            let rest = &self.text[whole.end()..];
            let placeholder = found.name("placeholder").map_or("", |placeholder| placeholder.as_str());
            let put = found.name("glued").or_else(|| found.name("put"));
            let bound = self.context.goes_over(placeholder)
                || put.is_some_and(|name| {
                    self.context.loops.is_some_and(|loops| loops.contains(name.as_str()))
                });
            let goes_on = rest.strip_prefix('-').is_some_and(|rest| {
                rest.starts_with(|c: char| c.is_ascii_lowercase() || c.is_ascii_digit())
                    || self.patterns.placeholder_at(rest).is_some()
            });
            let image = rest.starts_with([':', '@']);
            if !(bound || goes_on && self.goes_by_service(placeholder))
                || self.joined(whole.start())
                || self.in_path(whole.start())
                || self.context.used == Use::Kept
                || self.near_network(whole.start())
            {
                continue;
            }
            let span = self.span(whole.range());
            let rule = match self.command(commands, span.start) {
                _ if image || self.context.used == Use::Image => &rules::IMAGE_CONSTANT,
                _ if self.filters(whole.start()) => &rules::SERVICE_LABEL,
                Some(command) if command.targets(span.start) => &rules::DOCKER_CLI,
                Some(_) => continue,
                None => &rules::CONTAINER_NAME,
            };
            matches.push(Match::new(span, rule, None));
        }
    }

    /// Whether what begins at `at` is the value of a filter of a look-up.
    fn filters(&self, at: usize) -> bool {
        let lead = self.text[..at].trim_end_matches(['^', '/', '"', '\'']);
        self.context.used == Use::Filter
            || lead.strip_suffix("name=").is_some_and(|before| !self.assigns(before.len()))
    }

    /// Whether the name at `at`, in code that nothing parses, is assigned to.
    fn assigns(&self, at: usize) -> bool {
        let (start, line) = self.around.near(at);
        let line = line[..at - start].trim();
        let statement = line.is_empty() || line.ends_with([';', '&']);
        let declared = ["local", "export", "readonly", "declare", "then", "do"];
        self.context.identifiers
            && !self.context.prose
            && (statement || declared.iter().any(|word| line.split(' ').next_back() == Some(word)))
    }

    /// Whether the name at `at` is the rest of a longer word.
    fn joined(&self, at: usize) -> bool {
        let before = &self.text[..at];
        // `\b` of a regular expression is no letter, `:-` of a default no hyphen.
        !before.ends_with("\\b")
            && !before.ends_with(":-")
            && before.ends_with(|c: char| c.is_alphanumeric() || matches!(c, '_' | '-' | '.'))
    }

    /// Whether the name at `at` is a path's component, and not behind the slash that the engine puts before names.
    fn in_path(&self, at: usize) -> bool {
        self.text[..at].strip_suffix('/').is_some_and(|before| {
            before.ends_with(|c: char| c.is_alphanumeric() || matches!(c, '.' | '_' | '-' | '~' | '}'))
        })
    }

    /// Where a container's name ends and what it is part of; `None`: it is part of a longer word.
    fn part(&self, lead: Range<usize>, service: Daemon) -> Option<(usize, Part)> {
        let text = self.text;
        if self.joined(lead.start) {
            return None;
        }
        let path = self.in_path(lead.start);
        let rest = &text[lead.end..];
        let filtered = self.filters(lead.start);
        let part = |end: usize, unsure: bool| {
            if path {
                return None;
            }
            let kept = self.context.used == Use::Kept
                || self.is_project(lead.start)
                || self.context.used == Use::Open
                    && (self.near_network(lead.start) || self.around.has(Mark::Temporary, lead.start));
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
                if let Some(length) = self.patterns.placeholder_at(tail) {
                    let mut end = length;
                    // More may follow, `{slug}-{suffix}`.
                    end += word_length(&tail[end..], self.patterns);
                    if tail[end..].starts_with(":/") && !self.copied(lead.start) {
                        return Some((lead.end, Part::Kept));
                    }
                    return part(lead.end + 1 + end, false);
                }
                let length = word_length(tail, self.patterns);
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
                if is_mail(after) {
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
            Some('@') if is_mail(rest) => None,
            Some(':' | '@') => Some((lead.end, Part::Image)),
            Some(c) if c.is_alphanumeric() || c == '_' => None,
            Some('.') if rest[1..].starts_with(|c: char| c.is_alphanumeric()) => None,
            _ if self.context.used == Use::Image || self.around.has(Mark::Build, lead.start) => {
                Some((lead.end, Part::Image))
            }
            // The whole of a container's name never ends with its service.
            _ if service == Daemon::Pipelock || filtered => part(lead.end, !filtered),
            _ => part(lead.end, true),
        }
    }

    /// Whether the name at `at` is that of a compose project.
    fn is_project(&self, at: usize) -> bool {
        let before =
            self.text[..at].trim_end_matches(['"', '\'', '`', ' ', '=', ':', '[', ']', ')', ',', '\\']);
        let ends = |word: &str| before.ends_with(word);
        ["compose.project", "COMPOSE_PROJECT_NAME", "project-name", "project_name", "projectName"]
            .into_iter()
            .any(ends)
    }

    /// Whether what is before `at` copies from or to a container.
    fn copied(&self, at: usize) -> bool {
        self.around.has(Mark::Copy, at)
    }
}

/// Whether a name goes on as a mail address: `@example.com`, and no digest.
fn is_mail(rest: &str) -> bool {
    let host = rest.strip_prefix('@').filter(|host| !host.starts_with("sha256:"));
    host.is_some_and(|host| host.starts_with(|c: char| c.is_ascii_alphanumeric()))
}

/// Length of a name's rest: letters, digits, `-` and values that are put in later.
fn word_length(text: &str, patterns: &Patterns) -> usize {
    let mut end = 0;
    while let Some(byte) = text.as_bytes().get(end) {
        if byte.is_ascii_alphanumeric() || *byte == b'-' || *byte == b'*' {
            end += 1;
        } else if let Some(length) = patterns.placeholder_at(&text[end..]) {
            end += length;
        } else {
            break;
        }
    }
    end
}

#[cfg(test)]
mod tests {
    use crate::scan::lang::text::{self, Comments};
    use crate::scan::patterns::Patterns;

    /// Daemons and forms that are reported, in the order of the text.
    fn reported(source: &str) -> Vec<(&str, &'static str)> {
        let patterns = Patterns::new(&["bot-bottle".to_owned()], "FLAG");
        let mut matches = Vec::new();
        text::search(&patterns, source, Comments::Hash, &mut matches);
        matches.sort_by_key(|matched| matched.span.start);
        matches
            .iter()
            .map(|matched| (matched.service.map_or("-", |it| it.name()), matched.rule.id.as_str()))
            .collect()
    }

    #[test]
    fn lists_name_each_of_their_daemons() {
        for (source, rule) in [
            ("re = \"^bot-bottle-(?:egress|supervise)-\"", "container-name"),
            ("re = \"bot-bottle-(?P<svc>egress|supervise)-(.*)\"", "container-name"),
            ("re = \"\\bbot-bottle-(egress|agent|supervise)\\b\"", "container-name"),
            ("docker ps | grep -E 'bot-bottle-(egress|supervise)-'", "container-name"),
            ("docker ps -q -f 'name=^bot-bottle-(egress|supervise)-'", "service-label"),
            ("docker rm -f bot-bottle-{egress,supervise}-x", "docker-cli"),
            ("docker compose logs {egress,supervise}", "compose-cli"),
            ("docker push bot-bottle-{egress,supervise}:latest", "image-constant"),
        ] {
            assert_eq!(reported(source), [("egress", rule), ("supervise", rule)], "{source}");
        }
        for source in [
            "re = \"(egress|supervise): (.*)\"",
            "re = \"^bot-bottle-(?:agent|sidecars)-\"",
            "re = \"^bot-bottle-(?!egress)\"",
            "tar c /var/log/bot-bottle-{egress,supervise}-x",
            "docker network rm bot-bottle-{egress,internal}-x",
        ] {
            assert_eq!(reported(source), [], "{source}");
        }
    }

    #[test]
    fn other_things_may_have_a_containers_name() {
        for source in [
            "docker compose -p bot-bottle-egress-lab up",
            "docker compose --project-name bot-bottle-egress-lab up",
            "docker compose --project-name=bot-bottle-egress-lab up",
            "docker ps --filter label=com.docker.compose.project=bot-bottle-egress-lab",
            "{\"com.docker.compose.project\": \"bot-bottle-egress-lab\"}",
            "COMPOSE_PROJECT_NAME=bot-bottle-egress-lab",
            "git config user.email bot-bottle-egress@example.com",
            "mail bot-bottle-egress-demo@example.com",
            "dir=$(mktemp -d -t bot-bottle-egress-XXXX)",
            "mkdtempSync(join(tmpdir(), \"bot-bottle-egress-\"))",
            "os.MkdirTemp(\"\", \"bot-bottle-egress-\")",
            "\"Networks\": {\n  \"a\": {\n    \"Id\": 1\n  },\n  \"bot-bottle-egress-demo\": {}\n}",
            "3a1b  bot-bottle-egress-demo  bridge  local",
            "| bot-bottle-egress-demo | bridge |",
        ] {
            assert_eq!(reported(source), [], "{source}");
        }
        for source in [
            "docker compose -p lab up\ndocker rm bot-bottle-egress-lab",
            "docker pull bot-bottle-egress@sha256:0123",
            "\"Networks\": {\n  \"a\": {}\n},\n\"Name\": \"bot-bottle-egress-demo\"",
            "\"Containers\": {\n  \"bot-bottle-egress-demo\": {}",
            "3a1b  bot-bottle-egress-demo  up  local",
        ] {
            assert_eq!(reported(source).len(), 1, "{source}");
        }
    }

    #[test]
    fn a_filter_is_told_from_an_assignment() {
        for (source, rule) in [
            ("docker ps -f name=bot-bottle-egress-", "service-label"),
            ("docker ps --filter \"name=^/bot-bottle-egress-\"", "service-label"),
            ("name=\"bot-bottle-egress-$1\"", "container-name"),
            ("f() { local name=bot-bottle-egress-$1; }", "container-name"),
            ("re = '^bot-bottle-egress-x$'", "container-name"),
        ] {
            assert_eq!(reported(source), [("egress", rule)], "{source}");
        }
    }

    #[test]
    fn a_list_under_a_key_is_what_the_key_says() {
        let list = "[\n  \"bot-bottle-egress-x\",\n  \"bot-bottle-supervise-x\"\n]";
        assert_eq!(reported(&format!("\"networks\": {list}")), []);
        let found = [("egress", "container-name"), ("supervise", "container-name")];
        assert_eq!(reported(&format!("\"containers\": {list}")), found);
    }
}
