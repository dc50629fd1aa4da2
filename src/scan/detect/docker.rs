//! What docker commands do to sidecars, and what does the same in the bundle.

use std::ops::Range;

use bottle_model::daemon::Daemon;

use crate::scan::detect::Context;
use crate::scan::detect::command::{self, Command};
use crate::scan::finding::Match;
use crate::scan::fix::commands;
use crate::scan::patterns;
use crate::scan::rules;

/// What a container's name is in a docker command.
pub(in crate::scan) fn part(
    command: &Command,
    span: Range<usize>,
    service: Daemon,
    renamed: &Range<usize>,
) -> Option<Match> {
    let Command { words, invocation, .. } = command;
    let at = command.word_at(span.start).unwrap_or(usize::MAX);
    let word = words.get(at).map(|word| word.text.as_str()).unwrap_or_default();
    let option =
        at.checked_sub(1).and_then(|at| words.get(at)).map(|word| word.text.as_str()).unwrap_or_default();
    let target = command.is_target(at);
    let networked = matches!(option, "--network" | "--net")
        || word.starts_with("--network=")
        || word.starts_with("--net=");
    if networked && !word.contains("container:") {
        return None;
    }
    if matches!(option, "-v" | "--volume" | "--mount")
        || word.starts_with("--volume=")
        || word.starts_with("--mount=")
    {
        return None;
    }
    // A project has its name from `-p`, containers have theirs from it.
    if invocation.compose && matches!(option, "-p" | "--project-name")
        || word.starts_with("--project-name=")
        || word.contains("com.docker.compose.project=")
    {
        return None;
    }
    if ["network=", "volume=", "ancestor="].iter().any(|filter| word.starts_with(filter)) {
        return None;
    }
    let kind = if invocation.verb == "inspect" { command::kind(words) } else { None };
    match invocation.verb.as_str() {
        "volume" => return None,
        "network" if !target => return None,
        "inspect" if kind.is_some_and(|kind| kind != "image") => return None,
        "inspect" if kind.is_some() => {
            return (service != Daemon::Pipelock)
                .then(|| Match::new(span, &rules::IMAGE_CONSTANT, Some(service)));
        }
        "build" | "image" | "images" | "tag" | "push" | "pull" | "rmi" | "buildx" | "save" | "history"
            if !invocation.compose =>
        {
            return (service != Daemon::Pipelock)
                .then(|| Match::new(span, &rules::IMAGE_CONSTANT, Some(service)));
        }
        "run" | "create" if target => {
            return (service != Daemon::Pipelock)
                .then(|| Match::new(span, &rules::IMAGE_CONSTANT, Some(service)));
        }
        _ => {}
    }
    let name = span.clone();
    let matched =
        Match::new(span, &rules::DOCKER_CLI, Some(service)).suggest(suggestion(&invocation.verb, service));
    if !target || invocation.compose {
        return Some(matched);
    }
    // A name that is a part of a longer word, such as a default, may be another one when the command runs.
    let word = &words[at];
    let whole = word.span == name
        || word.span.start == name.start
            && word.text.get(name.len()..).is_some_and(|rest| rest.starts_with(":/"));
    Some(if whole { commands::rewritten(matched, command, at, renamed.clone()) } else { matched })
}

/// Services and containers that a command names by the service's bare name, or by a variable for it.
pub(in crate::scan) fn services(
    Command { words, invocation, .. }: &Command,
    context: Context<'_>,
) -> Vec<Match> {
    let rule = if invocation.compose { &rules::COMPOSE_CLI } else { &rules::DOCKER_CLI };
    let other = matches!(invocation.verb.as_str(), "run" | "create" | "network" | "container");
    if !invocation.compose && other {
        return Vec::new();
    }
    let mut matches = Vec::new();
    for at in &invocation.targets {
        let word = &words[*at];
        let name = if invocation.verb == "cp" {
            let Some((name, _)) = word.text.split_once(':') else { continue };
            name
        } else {
            &word.text
        };
        if context.goes_over(name) {
            matches.push(Match::new(word.span.clone(), rule, None));
        }
        // `{egress,git-gate}` is two words to the command.
        let list = name.strip_prefix('{').and_then(|rest| rest.strip_suffix('}'));
        let list = list.filter(|list| list.contains(','));
        let mut start = word.span.start + usize::from(list.is_some());
        for name in list.unwrap_or(name).split(if list.is_some() { ',' } else { '\n' }) {
            let span = start..start + name.len();
            start = span.end + 1;
            if let Some(service) = patterns::service(name) {
                matches.push(
                    Match::new(span, rule, Some(service)).suggest(suggestion(&invocation.verb, service)),
                );
            }
        }
    }
    matches
}

/// What to type instead of a verb for one sidecar.
pub(in crate::scan) fn suggestion(verb: &str, service: Daemon) -> String {
    match verb {
        "kill" => format!("`docker exec bot-bottle-sidecars-<slug> sidecar-init signal {service} SIGNAL`"),
        "restart" => format!("`docker exec bot-bottle-sidecars-<slug> sidecar-init restart {service}`"),
        "stop" | "start" | "pause" | "unpause" | "rm" => {
            format!("the bundle as a whole, or `sidecar-init restart|signal {service}` in it")
        }
        "logs" | "attach" => format!("the log of `sidecars`; lines of {service} begin with `[{service}]`"),
        "inspect" | "ps" | "top" | "stats" | "port" => {
            format!("`sidecars`, and `sidecar-init status` in it for {service}")
        }
        "exec" | "cp" | "run" => format!("the same in `sidecars`, where {service} runs"),
        "up" | "build" | "pull" | "create" => "the service `sidecars`".to_owned(),
        _ => format!("`sidecars`, in which {service} runs"),
    }
}
