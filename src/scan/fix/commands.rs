//! Which docker commands have a form that does the same for one daemon of the bundle.

use std::ops::Range;

use crate::scan::detect::command::{Command, Word};
use crate::scan::finding::Match;

/// Programs that only read what they are given, whoever runs them and wherever they run.
const READERS: [&str; 12] =
    ["true", "false", "ls", "cat", "test", "[", "stat", "head", "tail", "grep", "wc", "sha256sum"];

/// Parts of paths whose content depends on the process, the user or the container that asks.
const OWN_PATHS: [&str; 9] =
    ["/proc", "/sys", "/dev", "/root", "/home", "/run", "/tmp", "/etc/host", "/etc/passwd"];

/// Adds the rewrite of a command that does the same in the bundle and touches one daemon only; `renamed` is the
/// daemon's name within the target.
///
/// Whether the command is written out in full, and what becomes of its output, is for the caller to check.
pub(in crate::scan) fn rewritten(
    matched: Match,
    command: &Command,
    target: usize,
    renamed: Range<usize>,
) -> Match {
    let Some(service) = matched.service else { return matched };
    let Command { words, invocation, argv } = command;
    let verb = &words[invocation.at];
    if !is_literal(verb) || !is_literal(&words[invocation.program]) || invocation.compose {
        return matched;
    }
    let more = |action: &str, last: Option<&str>| {
        let parts = ["sidecar-init", action, service.name()].into_iter().chain(last);
        let (before, behind) = if *argv { (", \"", "\"") } else { (" ", "") };
        parts.flat_map(|part| [before, part, behind]).collect::<String>()
    };
    let end = words[target].outer.end;
    let next = invocation.at + 1;
    match verb.text.as_str() {
        "exec" if reads(command, target) => matched.rewrite(renamed, "sidecars"),
        "cp" if copies_out(command, target) => matched.rewrite(renamed, "sidecars"),
        "restart" if target == next && words.len() == next + 1 => matched
            .rewrite(verb.span.clone(), "exec")
            .rewrite(renamed, "sidecars")
            .rewrite(end..end, more("restart", None)),
        "kill" if words.len() == target + 1 => match signal(words, next, target) {
            Some((signal, option)) => matched
                .rewrite(verb.span.clone(), "exec")
                .rewrite(option..words[target].outer.start, "")
                .rewrite(renamed, "sidecars")
                .rewrite(end..end, more("signal", Some(&signal))),
            None => matched,
        },
        _ => matched,
    }
}

/// Whether a word is written where it stands, and no value from elsewhere.
fn is_literal(word: &Word) -> bool {
    !word.text.is_empty() && word.text.len() == word.span.len()
}

/// Whether a word is plain text: no variable, no pattern, no substitution.
fn is_plain(word: &Word) -> bool {
    is_literal(word)
        && !word.text.contains(['$', '{', '`', '~', '*', '?', '<', '>', '|', '&', ';', '(', '%', '\\'])
}

/// Whether an `exec` reads files that are the same ones in the bundle.
fn reads(Command { words, invocation, .. }: &Command, target: usize) -> bool {
    let harmless = ["-i", "-t", "-it", "-ti", "-T", "--interactive", "--tty"];
    let options = &words[invocation.at + 1..target];
    let Some((program, arguments)) = words[target + 1..].split_first() else { return false };
    options.iter().all(|option| harmless.contains(&option.text.as_str()))
        && is_plain(program)
        && READERS.contains(&program.text.as_str())
        && arguments.iter().all(|word| is_plain(word) && !is_own(&word.text))
}

/// Whether a `cp` takes a file out of the container.
fn copies_out(Command { words, invocation, .. }: &Command, target: usize) -> bool {
    let [from, to] = &words[invocation.at + 1..] else { return false };
    let path = from.text.split_once(":/").map(|(_, path)| format!("/{path}"));
    target == invocation.at + 1
        && is_literal(from)
        && is_plain(to)
        && !to.text.contains(':')
        && path.is_some_and(|path| !is_own(&path) && !path.contains(['$', '{', '`', '*']))
}

fn is_own(path: &str) -> bool {
    OWN_PATHS.iter().any(|own| path.contains(own)) || path.contains("..")
}

/// Signal of a `docker kill`, and the byte at which its option begins; nothing else may be between verb and target.
fn signal(words: &[Word], next: usize, target: usize) -> Option<(String, usize)> {
    let option = words.get(next)?;
    let (name, length) = match option.text.as_str() {
        "-s" | "--signal" => (words.get(next + 1).filter(|word| is_literal(word))?.text.as_str(), 2),
        other => (other.strip_prefix("--signal=")?, 1),
    };
    let plain =
        !name.is_empty() && name.bytes().all(|byte| byte.is_ascii_uppercase() || byte.is_ascii_digit());
    (plain && is_literal(option) && next + length == target).then(|| (name.to_owned(), option.outer.start))
}
