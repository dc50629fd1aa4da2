//! Docker's command lines: which verb, and which words name a container or a service.

use std::ops::Range;

/// A word of a command line; holes keep their text, `{slug}`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Word {
    /// The word without its quotes; empty: something that is not known here.
    pub(super) text: String,
    /// Its bytes in the file.
    pub(super) span: Range<usize>,
    /// The same with its quotes.
    pub(super) outer: Range<usize>,
}

/// What a docker command does.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Invocation {
    /// Whether it is `docker compose`.
    pub(super) compose: bool,
    /// `exec`, `kill`, `network` …
    pub(super) verb: String,
    /// Numbers of the words that name a container or a service.
    pub(super) targets: Vec<usize>,
    /// Number of the word `docker`.
    pub(super) program: usize,
    /// Number of the verb's word.
    pub(super) at: usize,
}

/// A docker command and its words.
#[derive(Clone, Debug)]
pub(super) struct Command {
    /// All of its words.
    pub(super) words: Vec<Word>,
    /// What it does.
    pub(super) invocation: Invocation,
    /// Whether the words are elements of a list in code.
    pub(super) argv: bool,
}

impl Command {
    /// The docker command in `words`.
    pub(super) fn of(words: Vec<Word>, argv: bool) -> Option<Self> {
        let invocation = parse(&words)?;
        Some(Self { words, invocation, argv })
    }

    /// Whether the byte `at` is within the command.
    pub(super) fn holds(&self, at: usize) -> bool {
        let (first, last) = (&self.words[0], &self.words[self.words.len() - 1]);
        first.span.start <= at && at < last.span.end
    }

    /// Whether the byte `at` is within one of its targets.
    pub(super) fn targets(&self, at: usize) -> bool {
        self.invocation.targets.iter().any(|target| self.words[*target].span.contains(&at))
    }
}

/// Options before the verb that take a value.
const GLOBAL: &[&str] = &[
    "-f",
    "--file",
    "-p",
    "--project-name",
    "--profile",
    "--env-file",
    "--project-directory",
    "--ansi",
    "--parallel",
    "--progress",
    "-H",
    "--host",
    "-c",
    "--context",
    "-l",
    "--log-level",
    "--config",
];

/// Options after the verb that take a value.
const LOCAL: &[&str] = &[
    "-e",
    "--env",
    "--env-file",
    "-u",
    "--user",
    "-w",
    "--workdir",
    "--index",
    "-n",
    "--tail",
    "--since",
    "--until",
    "-t",
    "--timeout",
    "--time",
    "-s",
    "--signal",
    "-f",
    "--format",
    "--type",
    "--wait-timeout",
    "--detach-keys",
    "--scale",
    "--pull",
    "--filter",
    "-m",
    "--memory",
    "--cpus",
    "--restart",
    "--name",
    "--network",
    "--net",
    "-v",
    "--volume",
    "--mount",
    "-p",
    "--publish",
    "--label",
    "-l",
    "--entrypoint",
    "-h",
    "--hostname",
    "--link",
    "--file",
    "--build-arg",
    "--tag",
    "--target",
    "--add-host",
    "--ip",
    "--alias",
    "--network-alias",
];

/// Verbs of containers.
const VERBS: &[&str] = &[
    "exec",
    "cp",
    "kill",
    "restart",
    "logs",
    "inspect",
    "rm",
    "stop",
    "start",
    "pause",
    "unpause",
    "wait",
    "top",
    "port",
    "stats",
    "attach",
    "update",
    "rename",
    "commit",
    "diff",
    "export",
    "run",
    "create",
    "network",
    "volume",
    "ps",
    "build",
    "image",
    "images",
    "tag",
    "push",
    "pull",
    "rmi",
    "ls",
    "events",
    "buildx",
    "container",
];

/// Verbs of compose that name services.
const COMPOSE: &[&str] = &[
    "exec", "logs", "restart", "up", "stop", "start", "kill", "rm", "run", "ps", "build", "pull", "push",
    "top", "port", "cp", "wait", "pause", "unpause", "create", "events", "images", "attach", "scale",
    "stats", "watch", "config", "export", "commit", "down",
];

/// Short options of a verb that take no value, though another verb's of the same letter do.
fn bare(verb: &str, option: &str) -> bool {
    matches!(
        (verb, option),
        ("logs", "-f" | "-t")
            | ("rm", "-f" | "-v" | "-s" | "-l")
            | ("exec", "-t" | "-p")
            | ("up" | "run" | "create", "-t")
            | ("inspect" | "container", "-s")
            | ("ps", "-n" | "-l" | "-s")
            | ("cp", "-a" | "-L")
            | ("network", "-f")
    ) && !(verb == "up" && option == "-t")
}

/// Finds the docker command in `words`.
fn parse(words: &[Word]) -> Option<Invocation> {
    let program = words.iter().position(|word| {
        let name = word.text.rsplit('/').next().unwrap_or_default();
        matches!(name, "docker" | "podman" | "docker-compose" | "nerdctl")
    })?;
    let mut compose = words[program].text.ends_with("docker-compose");
    let mut at = program + 1;
    let verb = loop {
        let word = words.get(at)?.text.as_str();
        if GLOBAL.contains(&word) {
            at += 2;
        } else if word.is_empty() || word.starts_with(['-', '{', '$', '*']) {
            at += 1;
        } else if word == "compose" && !compose {
            compose = true;
            at += 1;
        } else if word == "container" && !compose {
            at += 1;
        } else {
            break word.to_owned();
        }
    };
    let known = if compose { COMPOSE } else { VERBS };
    // A verb that is put in later leaves no more than the words behind it.
    let unknown = !known.contains(&verb.as_str());
    if unknown {
        if at < program + 2 || !words[program + 1..at].iter().any(|word| word.text.is_empty()) {
            return None;
        }
        at -= 1;
    }
    let verb = if unknown { String::new() } else { verb };
    let mut positional = Vec::new();
    let mut next = at + 1;
    while let Some(word) = words.get(next) {
        let text = word.text.as_str();
        if text == "--" || text == "*" {
            next += 1;
        } else if text.starts_with('-') && text.len() > 1 {
            next += if LOCAL.contains(&text) && !bare(&verb, text) { 2 } else { 1 };
        } else {
            positional.push(next);
            next += 1;
        }
    }
    let targets = match (compose, verb.as_str()) {
        (_, "exec" | "run" | "create") if !(compose && verb == "create") => {
            positional.into_iter().take(1).collect()
        }
        (false, "network") => {
            // `network connect NETWORK CONTAINER`
            let joins = positional
                .first()
                .is_some_and(|at| matches!(words[*at].text.as_str(), "connect" | "disconnect"));
            if joins { positional.into_iter().skip(2).collect() } else { Vec::new() }
        }
        (
            false,
            "volume" | "build" | "image" | "images" | "tag" | "push" | "pull" | "rmi" | "ls" | "buildx",
        ) => Vec::new(),
        _ => positional,
    };
    Some(Invocation { compose, verb, targets, program, at })
}

/// Splits a text into the words of its commands; each inner list is one command.
pub(super) fn split(text: &str, base: usize) -> Vec<Vec<Word>> {
    let bytes = text.as_bytes();
    let mut commands = vec![Vec::new()];
    let mut start = None;
    let mut depth = 0_usize;
    let mut at = 0;
    let close = |start: &mut Option<usize>, end: usize, commands: &mut Vec<Vec<Word>>| {
        if let Some(begin) = start.take() {
            let outer = base + begin..base + end;
            let (begin, end) = trim(text, begin, end);
            if let Some(last) = commands.last_mut() {
                last.push(Word { text: text[begin..end].to_owned(), span: base + begin..base + end, outer });
            }
        }
    };
    while at < bytes.len() {
        let byte = bytes[at];
        match byte {
            b'{' => {
                start.get_or_insert(at);
                depth += 1;
            }
            b'}' => depth = depth.saturating_sub(1),
            // Braces that never close end with their line.
            b'\n' => {
                depth = 0;
                close(&mut start, at, &mut commands);
                commands.push(Vec::new());
            }
            _ if depth > 0 => {}
            b'\\' if bytes.get(at + 1) == Some(&b'\n') => {
                close(&mut start, at, &mut commands);
                at += 1;
            }
            b' ' | b'\t' | b'\r' | b',' => close(&mut start, at, &mut commands),
            // `$(PROJECT)` of a Makefile is a word, `$(command …)` is not.
            b'(' if at > 0 && bytes[at - 1] == b'$' && variable(&text[at..]).is_some() => {
                at += variable(&text[at..]).unwrap_or_default();
            }
            b';' | b'&' | b'|' | b'(' | b')' | b'`' => {
                close(&mut start, at, &mut commands);
                commands.push(Vec::new());
            }
            _ => {
                start.get_or_insert(at);
            }
        }
        at += 1;
    }
    close(&mut start, bytes.len(), &mut commands);
    commands.retain(|words| !words.is_empty());
    commands
}

/// Length up to the closing parenthesis of a variable, `(NAME)`.
fn variable(text: &str) -> Option<usize> {
    let end = text.find(')')?;
    let name = &text[1..end];
    let plain = !name.is_empty() && name.bytes().all(|byte| byte.is_ascii_alphanumeric() || byte == b'_');
    plain.then_some(end)
}

/// Bounds of a word without quotes, `$(` and the like around it.
fn trim(text: &str, begin: usize, end: usize) -> (usize, usize) {
    let word = &text[begin..end];
    let left = word.len() - word.trim_start_matches(['"', '\'', '[', '@']).len();
    let right = word.trim_end_matches(['"', '\'', ']', '\\']).len();
    if left >= right { (begin, end) } else { (begin + left, begin + right) }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Verb and targets of the only docker command in `text`.
    fn check(text: &str, verb: &str, targets: &[&str]) {
        let found: Vec<_> = split(text, 0)
            .into_iter()
            .filter_map(|words| parse(&words).map(|found| (found, words)))
            .collect();
        assert_eq!(found.len(), 1, "{text}: {found:?}");
        let (invocation, words) = &found[0];
        let named: Vec<_> = invocation.targets.iter().map(|at| words[*at].text.as_str()).collect();
        assert_eq!((invocation.verb.as_str(), named.as_slice()), (verb, targets), "{text}");
    }

    #[test]
    fn verbs_and_targets_are_told_from_options() {
        check("docker exec -it -u root egress sh -c 'x'", "exec", &["egress"]);
        check("sudo docker logs -f --tail 5 a b", "logs", &["a", "b"]);
        check("docker kill --signal HUP bot-bottle-egress-{slug}", "kill", &["bot-bottle-egress-{slug}"]);
        check("docker kill -s HUP a", "kill", &["a"]);
        check("docker compose -f x.yml -p p restart pipelock", "restart", &["pipelock"]);
        check("docker-compose logs \"egress\"", "logs", &["egress"]);
        check("x=$(docker inspect -f '{{.State.Pid}}' a)", "inspect", &["a"]);
        check("docker network connect n c", "network", &["c"]);
        check("docker network rm bot-bottle-egress-x", "network", &[]);
        check("docker exec {a if b else c} pipelock healthcheck", "exec", &["{a if b else c}"]);
        check("docker rm -f \\\n  a", "rm", &["a"]);
    }

    #[test]
    fn a_sentence_is_no_command() {
        for text in ["We use docker compose to run the egress", "docker is nice", "the docker way"] {
            assert!(split(text, 0).iter().all(|words| parse(words).is_none()), "{text}");
        }
    }
}
