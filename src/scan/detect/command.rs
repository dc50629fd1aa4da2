//! Docker's command lines: which verb, and which words name a container or a service.

mod split;
mod verbs;

use std::ops::Range;

pub(in crate::scan) use split::split;
use verbs::{COMPOSE, GLOBAL, LOCAL, VERBS, bare};

/// A word of a command line; placeholders keep their text, `{slug}`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(in crate::scan) struct Word {
    /// The word without its quotes; empty: something that is not known here.
    pub(in crate::scan) text: String,
    /// Its bytes in the file.
    pub(in crate::scan) span: Range<usize>,
    /// The same with its quotes.
    pub(in crate::scan) outer: Range<usize>,
}

/// What a docker command does.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(in crate::scan) struct Invocation {
    /// Whether it is `docker compose`.
    pub(in crate::scan) compose: bool,
    /// `exec`, `kill`, `network` …
    pub(in crate::scan) verb: String,
    /// Numbers of the words that name a container or a service.
    pub(in crate::scan) targets: Vec<usize>,
    /// Number of the word `docker`.
    pub(in crate::scan) program: usize,
    /// Number of the verb's word.
    pub(in crate::scan) at: usize,
}

/// A docker command and its words.
#[derive(Clone, Debug)]
pub(in crate::scan) struct Command {
    /// All of its words.
    pub(in crate::scan) words: Vec<Word>,
    /// What it does.
    pub(in crate::scan) invocation: Invocation,
    /// Whether the words are elements of a list in code.
    pub(in crate::scan) argv: bool,
}

impl Command {
    /// The docker command in `words`.
    pub(in crate::scan) fn of(words: Vec<Word>, argv: bool) -> Option<Self> {
        let invocation = parse(&words)?;
        Some(Self { words, invocation, argv })
    }

    /// Whether the byte `at` is within the command.
    pub(in crate::scan) fn holds(&self, at: usize) -> bool {
        let (first, last) = (&self.words[0], &self.words[self.words.len() - 1]);
        first.span.start <= at && at < last.span.end
    }

    /// Its first byte.
    pub(in crate::scan) fn start(&self) -> usize {
        self.words[0].span.start
    }

    /// The byte behind it.
    pub(in crate::scan) fn end(&self) -> usize {
        self.words[self.words.len() - 1].span.end
    }

    /// Numbers of the words that begin where the last one begins that begins at `at` or before.
    fn words_at(&self, at: usize) -> Range<usize> {
        let end = self.words.partition_point(|word| word.span.start <= at);
        let last = end.checked_sub(1).map_or(0, |last| self.words[last].span.start);
        self.words.partition_point(|word| word.span.start < last)..end
    }

    /// Number of the word that has the byte `at`; words from elsewhere are where they are named.
    pub(in crate::scan) fn word_at(&self, at: usize) -> Option<usize> {
        self.words_at(at).find(|number| {
            let span = &self.words[*number].span;
            at < span.end.max(span.start + 1)
        })
    }

    /// Whether the byte `at` is within one of its targets.
    pub(in crate::scan) fn targets(&self, at: usize) -> bool {
        self.words_at(at).any(|number| self.words[number].span.contains(&at) && self.is_target(number))
    }

    /// Whether the word `number` is one of its targets.
    pub(in crate::scan) fn is_target(&self, number: usize) -> bool {
        self.invocation.targets.binary_search(&number).is_ok()
    }
}

/// Whether a word is the name of an engine's client; make and notebooks write marks before it.
pub(in crate::scan) fn program(word: &str) -> bool {
    let word = word.strip_prefix('-').unwrap_or(word).trim_start_matches(['@', '!']);
    let name = word.rsplit('/').next().unwrap_or_default();
    matches!(name, "docker" | "podman" | "docker-compose" | "podman-compose" | "nerdctl")
}

/// Finds the docker command in `words`.
fn parse(words: &[Word]) -> Option<Invocation> {
    let program = words.iter().position(|word| program(&word.text))?;
    let mut compose = words[program].text.ends_with("-compose");
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
            "volume" | "build" | "image" | "images" | "tag" | "push" | "pull" | "rmi" | "ls" | "buildx"
            | "save" | "history",
        ) => Vec::new(),
        (false, "inspect") if kind(words).is_some() => Vec::new(),
        _ => positional,
    };
    Some(Invocation { compose, verb, targets, program, at })
}

/// The kind of thing that a command says with `--type` it is about, if that is no container.
pub(in crate::scan) fn kind(words: &[Word]) -> Option<&str> {
    let mut kinds =
        words.iter().enumerate().filter_map(|(at, word)| match word.text.strip_prefix("--type") {
            Some("") => words.get(at + 1).map(|kind| kind.text.as_str()),
            Some(value) => value.strip_prefix('='),
            None => None,
        });
    kinds.next().filter(|kind| *kind != "container" && !kind.starts_with(['{', '$']))
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
        check("docker inspect --type=network a", "inspect", &[]);
        check("docker inspect --type image a", "inspect", &[]);
        check("docker inspect --type container a", "inspect", &["a"]);
    }

    #[test]
    fn a_command_may_stand_in_a_string_or_a_block() {
        check("{ \"label\": \"x\", \"command\": \"docker kill --signal HUP a\" },", "kill", &["a"]);
        check("{\"run\":\"docker compose logs pipelock\"}", "logs", &["pipelock"]);
        check("\"!docker logs a\\n\",", "logs", &["a"]);
        check("\t-@docker rm -f a", "rm", &["a"]);
        check("cmd='docker exec a ls' # 'b'", "exec", &["a"]);
        check("f() { docker stop a; }", "stop", &["a"]);
        check("if (old) { run(\"docker stop a\") }", "stop", &["a"]);
        check("\"args\": [\n  \"docker\",\n  \"restart\",\n  \"a\"\n]", "restart", &["a"]);
        check("Command::new(\"docker\").args([\"kill\", \"a\"]).status()", "kill", &["a"]);
        check("new(\"docker\")\n    .arg(\"restart\")\n    .arg(\"a\")\n", "restart", &["a"]);
        check("exec(\"docker\", [\"stop\", `b-${slug}`, \"x\"])", "stop", &["b-${slug}", "x"]);
        check("docker cp a:C:\\new b", "cp", &["a:C:\\new", "b"]);
        check("docker exec {{.ID}} ls", "exec", &["{{.ID}}"]);
    }

    #[test]
    fn a_sentence_is_no_command() {
        for text in ["We use docker compose to run the egress", "docker is nice", "the docker way"] {
            assert!(split(text, 0).iter().all(|words| parse(words).is_none()), "{text}");
        }
    }
}
