//! What docker commands do to sidecars, and what does the same in the bundle.

use std::ops::Range;

use bottle_model::daemon::Daemon;

use super::command::{self, Command, Invocation, Word};
use super::finding::Hit;
use super::text::Context;
use super::{forms, names};

/// What a container's name is in a docker command.
pub(super) fn part(
    command: &Command,
    span: Range<usize>,
    service: Daemon,
    renamed: &Range<usize>,
) -> Option<Hit> {
    let Command { words, invocation, .. } = command;
    let at = words.iter().position(|word| {
        word.span.start <= span.start && span.start < word.span.end.max(word.span.start + 1)
    });
    let at = at.unwrap_or(usize::MAX);
    let word = words.get(at).map(|word| word.text.as_str()).unwrap_or_default();
    let option =
        at.checked_sub(1).and_then(|at| words.get(at)).map(|word| word.text.as_str()).unwrap_or_default();
    let target = invocation.targets.contains(&at);
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
    if ["network=", "volume=", "ancestor="].iter().any(|filter| word.starts_with(filter)) {
        return None;
    }
    let kind = command::kind(words).filter(|_| invocation.verb == "inspect");
    match invocation.verb.as_str() {
        "volume" => return None,
        "network" if !target => return None,
        "inspect" if kind.is_some_and(|kind| kind != "image") => return None,
        "inspect" if kind.is_some() => {
            return (service != Daemon::Pipelock)
                .then(|| Hit::new(span, &forms::IMAGE_CONSTANT, Some(service)));
        }
        "build" | "image" | "images" | "tag" | "push" | "pull" | "rmi" | "buildx" | "save" | "history"
            if !invocation.compose =>
        {
            return (service != Daemon::Pipelock)
                .then(|| Hit::new(span, &forms::IMAGE_CONSTANT, Some(service)));
        }
        "run" | "create" if target => {
            return (service != Daemon::Pipelock)
                .then(|| Hit::new(span, &forms::IMAGE_CONSTANT, Some(service)));
        }
        _ => {}
    }
    let hit =
        Hit::new(span, &forms::DOCKER_CLI, Some(service)).suggest(suggestion(&invocation.verb, service));
    if !target || invocation.compose {
        return Some(hit);
    }
    Some(rewritten(hit, command, at, renamed.clone()))
}

/// Adds the rewrite of a command whose verb keeps its meaning, or has another that has the same.
pub(super) fn rewritten(hit: Hit, command: &Command, target: usize, renamed: Range<usize>) -> Hit {
    let (Some(service), Command { words, invocation, argv }) = (hit.service, command) else { return hit };
    match invocation.verb.as_str() {
        "exec" | "cp" | "inspect" => hit.rewrite(renamed, "sidecars"),
        // A verb that comes from elsewhere cannot be another one here.
        "kill"
            if invocation.targets.len() == 1
                && words[invocation.at].text.len() == words[invocation.at].span.len() =>
        {
            match signal(words, invocation, target) {
                Some((signal, option)) => {
                    let end = words[target].outer.end;
                    let more = if *argv {
                        format!(", \"sidecar-init\", \"signal\", \"{service}\", \"{signal}\"")
                    } else {
                        format!(" sidecar-init signal {service} {signal}")
                    };
                    hit.rewrite(words[invocation.at].span.clone(), "exec")
                        .rewrite(option..words[target].outer.start, "")
                        .rewrite(renamed, "sidecars")
                        .rewrite(end..end, more)
                }
                None => hit,
            }
        }
        _ => hit,
    }
}

/// Signal of a `docker kill`, and the byte at which its option begins; nothing else may stand before the target.
fn signal(words: &[Word], invocation: &Invocation, target: usize) -> Option<(String, usize)> {
    let option = words.get(invocation.at + 1)?;
    let (name, length) = match option.text.as_str() {
        "-s" | "--signal" => (words.get(invocation.at + 2)?.text.as_str(), 2),
        other => (other.strip_prefix("--signal=")?, 1),
    };
    let plain =
        !name.is_empty() && name.bytes().all(|byte| byte.is_ascii_uppercase() || byte.is_ascii_digit());
    (plain && invocation.at + 1 + length == target).then(|| (name.to_owned(), option.outer.start))
}

/// Services and containers that a command names by the service's bare name, or by a variable for it.
pub(super) fn services(Command { words, invocation, .. }: &Command, context: Context<'_>) -> Vec<Hit> {
    let form = if invocation.compose { &forms::COMPOSE_CLI } else { &forms::DOCKER_CLI };
    let other = matches!(invocation.verb.as_str(), "run" | "create" | "network" | "container");
    if !invocation.compose && other {
        return Vec::new();
    }
    let mut hits = Vec::new();
    for at in &invocation.targets {
        let word = &words[*at];
        let name = if invocation.verb == "cp" {
            let Some((name, _)) = word.text.split_once(':') else { continue };
            name
        } else {
            &word.text
        };
        if context.goes_over(name) {
            hits.push(Hit::new(word.span.clone(), form, None));
        }
        // `{egress,git-gate}` is two words to the command.
        let list = name.strip_prefix('{').and_then(|rest| rest.strip_suffix('}'));
        let list = list.filter(|list| list.contains(','));
        let mut start = word.span.start + usize::from(list.is_some());
        for name in list.unwrap_or(name).split(if list.is_some() { ',' } else { '\n' }) {
            let span = start..start + name.len();
            start = span.end + 1;
            if let Some(service) = names::service(name) {
                hits.push(Hit::new(span, form, Some(service)).suggest(suggestion(&invocation.verb, service)));
            }
        }
    }
    hits
}

/// What to type instead of a verb for one sidecar.
pub(super) fn suggestion(verb: &str, service: Daemon) -> String {
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
