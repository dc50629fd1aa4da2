//! References in prose, and what it says of the legacy shape.

use std::collections::BTreeSet;
use std::ops::Range;

use bottle_model::daemon::Daemon;

use crate::scan::detect::{self, Context};
use crate::scan::finding::Match;
use crate::scan::lang::text::lines;
use crate::scan::patterns::{self, Patterns};
use crate::scan::rules;

/// Finds the references in prose that starts at `range`: a docstring, a paragraph of a document.
pub(in crate::scan) fn search(
    patterns: &Patterns,
    source: &str,
    range: Range<usize>,
    matches: &mut Vec<Match>,
) {
    let context = Context { prose: true, identifiers: true, ..Context::default() };
    for line in lines(source, range) {
        detect::search(patterns, source, line.clone(), context, matches);
        described(patterns, source, line, matches);
    }
}

/// What a line of prose says of the legacy shape.
fn described(patterns: &Patterns, source: &str, line: Range<usize>, matches: &mut Vec<Match>) {
    let text = &source[line.clone()];
    if !patterns.line_tells(text) || is_past(patterns, text) {
        return;
    }
    let span = |range: Range<usize>| line.start + range.start..line.start + range.end;
    let own = || patterns.own.find(text).filter(|found| is_of_sidecar(patterns, &text[..found.start()]));
    let pair = || patterns.pair.find(text).filter(|_| patterns.service.find_iter(text).count() > 1);
    if let Some(found) = patterns.shape.find(text).or_else(own).or_else(pair)
        && !is_other(patterns, &text[found.end()..])
    {
        let before = matches.len();
        let lower = text.to_ascii_lowercase();
        for name in patterns.service.find_iter(&lower) {
            // At the start of a sentence, where `Supervise` is a verb.
            let capital = text[name.start()..].starts_with(|c: char| c.is_uppercase());
            if stands_alone(text, &name.range())
                && text[name.start() + 1..].starts_with(&name.as_str()[1..])
                && let Some(service) = patterns::service(name.as_str())
                && !(capital && service == Daemon::Supervise)
            {
                matches.push(Match::new(span(name.range()), &rules::DOC_SHAPE, Some(service)));
            }
        }
        if matches.len() == before {
            matches.push(Match::new(span(found.range()), &rules::DOC_SHAPE, None));
        }
    }
    for found in patterns.container_of.captures_iter(text) {
        if let Some(name) = found.name("service")
            && stands_alone(text, &name.range())
            && let Some(service) = patterns::daemon(name.as_str())
        {
            matches.push(Match::new(span(name.range()), &rules::DOC_SHAPE, Some(service)));
        }
    }
    for found in patterns.prose.captures_iter(text) {
        let (Some(whole), Some(name)) = (found.get(0), found.name("service")) else { continue };
        // `the egress and supervise containers`
        let more = found.name("more").map_or(0..0, |more| more.range());
        for name in patterns.service.find_iter(&text[more.clone()]) {
            let range = more.start + name.start()..more.start + name.end();
            let service = patterns::service(name.as_str()).filter(|_| stands_alone(text, &range));
            matches.extend(service.map(|service| Match::new(span(range), &rules::DOC_SHAPE, Some(service))));
        }
        if patterns::alone(text, &(name.start()..name.end()), b"-./")
            && let Some(service) = patterns::daemon(name.as_str())
        {
            matches.push(Match::new(span(whole.range()), &rules::DOC_SHAPE, Some(service)));
        }
    }
}

/// Finds the daemons that each have a box of a diagram, or a row of a table about containers or services.
pub(in crate::scan) fn drawn(
    patterns: &Patterns,
    source: &str,
    block: Range<usize>,
    matches: &mut Vec<Match>,
) {
    let text = &source[block.clone()];
    let lower = text.to_ascii_lowercase();
    let lines = ["+--", "┌", "└", "---|", "──"].iter().any(|mark| text.contains(mark));
    // What has a box or a row for the bundle is about the bundle.
    if !lines || ["sidecars", "bundle", "daemon"].iter().any(|word| lower.contains(word)) {
        return;
    }
    let mut boxes = Vec::new();
    for found in patterns.boxed.captures_iter(text) {
        if let Some(name) = found.name("service")
            && let Some(service) = patterns::daemon(name.as_str())
        {
            boxes.push((block.start + name.start()..block.start + name.end(), service));
        }
    }
    let several: BTreeSet<Daemon> = boxes.iter().map(|(_, service)| *service).collect();
    if several.len() > 1 {
        let shape = |(span, service)| Match::new(span, &rules::DOC_SHAPE, Some(service));
        matches.extend(boxes.into_iter().map(shape));
    }
}

/// Whether the header of a table says that its rows are containers or services.
pub(in crate::scan) fn lists_containers(header: &str) -> bool {
    let first = header.trim().trim_start_matches('|').split('|').next().unwrap_or_default();
    let first = first.trim().trim_matches(['*', '`', '_']).to_ascii_lowercase();
    let first = first.strip_prefix("compose ").unwrap_or(&first).trim_end_matches('s');
    matches!(first, "container" | "service" | "sidecar" | "sidecar container")
}

/// Whether a daemon's name is a word of its own, and maybe the last one of a sentence.
fn stands_alone(text: &str, name: &Range<usize>) -> bool {
    let part = text[name.end..].strip_prefix('.').is_some_and(|rest| rest.starts_with(char::is_alphanumeric));
    patterns::alone(text, name, b"-/") && !text[..name.start].ends_with('.') && !part
}

/// Whether a line tells of the past, or of the bundle.
fn is_past(patterns: &Patterns, text: &str) -> bool {
    patterns.past.is_match(text) || patterns.was.is_match(text) && !patterns.condition.is_match(text)
}

/// Whether what a text speaks of last is a sidecar, and not the agent.
fn is_of_sidecar(patterns: &Patterns, text: &str) -> bool {
    let text = text.to_ascii_lowercase();
    let words = ["sidecar", "daemon"].iter().filter_map(|word| text.rfind(word)).max();
    let sidecar = patterns.service.find_iter(&text).map(|found| found.start()).last().max(words);
    sidecar.is_some() && text.rfind("agent") < sidecar
}

/// Whether what follows a number of services shows that they are another product's: an owner, or their names.
fn is_other(patterns: &Patterns, rest: &str) -> bool {
    let owned =
        ["of my", "of your", "of our", "of their"].iter().any(|own| rest.trim_start().starts_with(own));
    let list = rest.trim_start_matches(['*', '_', ' ']).strip_prefix([':', '(', '—', '–']);
    let listed = list.is_some_and(|list| list.trim_start().starts_with('`') && list.matches('`').count() > 3);
    owned || listed && !patterns.service.is_match(rest)
}

#[cfg(test)]
mod tests {
    use super::*;

    /// What a line of prose is reported to describe: daemons, or `-`.
    fn told(text: &str) -> Vec<&'static str> {
        let patterns = Patterns::new(&["bot-bottle".to_owned()], "FLAG");
        let mut matches = Vec::new();
        described(&patterns, text, 0..text.len(), &mut matches);
        let mut told: Vec<_> =
            matches.iter().map(|matched| matched.service.map_or("-", |service| service.name())).collect();
        told.sort_unstable();
        told.dedup();
        told
    }

    #[test]
    fn the_legacy_shape_is_described_in_the_present() {
        for (text, daemons) in [
            ("The four sidecar containers start before the agent.", vec!["-"]),
            (
                "The file declares five services: `agent`, `egress` and `supervise`.",
                vec!["egress", "supervise"],
            ),
            ("The egress container is reloaded once the file is in place.", vec!["egress"]),
            ("The egress container and the agent share no network.", vec!["egress"]),
            ("Wait before the supervise container is asked.", vec!["supervise"]),
            ("If the pipelock container was killed, start it.", vec!["pipelock"]),
            ("Signal the git-gate container rather than the agent.", vec!["git-gate"]),
            ("All five services are in one compose file.", vec!["-"]),
            ("To replace the egress container, stop it first.", vec!["egress"]),
            ("Each sidecar has its own image.", vec!["-"]),
            (
                "The pipelock, `egress` and supervise containers start.",
                vec!["egress", "pipelock", "supervise"],
            ),
            ("It has two containers, pipelock and egress.", vec!["egress", "pipelock"]),
            ("Egress and `supervise` each run in a container of their own.", vec!["egress", "supervise"]),
            ("The git-gate daemon lives in its own container.", vec!["git-gate"]),
            ("Read each sidecar's logs.", vec!["-"]),
            ("The sidecar containers start first.", vec!["-"]),
            ("Restart the container of egress.", vec!["egress"]),
            ("Look at the container for `git-gate`.", vec!["git-gate"]),
            ("Once started, the supervise container listens.", vec!["supervise"]),
        ] {
            assert_eq!(told(text), daemons, "{text}");
        }
    }

    #[test]
    fn history_the_bundle_and_other_products_are_left_alone() {
        for text in [
            "Before the bundle, five services ran.",
            "The four sidecar containers were merged.",
            "The egress container is gone.",
            "The four sidecars share one container.",
            "One container instead of four sidecar containers.",
            "There used to be four sidecar containers.",
            "Once there were five services.",
            "The bundle replaces the four sidecar containers.",
            "All four daemons run in a single container, where four sidecars ran.",
            "The demo has five services: `web`, `api`, `db`, `cache` and `queue`.",
            "Five services of our shop use it.",
            "The container of egress-lab is the agent's.",
            "Each sidecar's port is on the bundle's host.",
            "There are two containers, the agent's and the bundle's.",
            "Beside egress the agent has a container of its own.",
        ] {
            assert_eq!(told(text), [""; 0], "{text}");
        }
    }
}
