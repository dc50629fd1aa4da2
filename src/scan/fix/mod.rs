//! Safe rewrites: which of those that a search proposes are safe, and how they are applied.
//!
//! A rewrite never lets a command that acted on one daemon act on the bundle. So the name of a container is rewritten
//! only within a docker command that is written out in full, whose output nothing uses, and that has a form with the
//! same effect on the one daemon (`commands`). Everything else is listed.

pub(super) mod commands;
mod modules;
mod python;
mod shell;
mod text;

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::hash::{DefaultHasher, Hash, Hasher};
use std::io;
use std::path::{Path, PathBuf};

use bottle_model::daemon::Daemon;

use super::finding::Match;
use super::lang::Language;
use super::locate::Lines;
use super::patterns::Patterns;
use super::{Edit, Report, lang, rules};
pub(super) use modules::Modules;

/// The helper that names the bundle's container (docs/design.md#names).
pub(super) const BUNDLE: &str = "sidecar_bundle_container_name";

/// Ways to take the host out of a URL.
const EXTRACTS: [&str; 24] = [
    "urlparse",
    "urlsplit",
    "hostname",
    "netloc",
    "split(",
    "partition(",
    "removeprefix",
    "strip(",
    "re.match",
    "re.search",
    "re.sub",
    "re.compile",
    "re.find",
    "[7:",
    "URL(",
    "##",
    "#*",
    "%%",
    "%:",
    "sed ",
    "cut ",
    "awk ",
    "IFS=",
    "=~",
];

/// Bytes before a URL that are searched for what it configures.
const NEAR: usize = 1000;

/// What a rewrite may depend on in the rest of the tree.
#[derive(Debug, Default)]
pub(super) struct Surroundings<'a> {
    /// The Python modules.
    pub(super) modules: Modules<'a>,
    /// Words of the files that run docker and take hosts out of URLs.
    pub(super) extracting: BTreeSet<&'a str>,
}

/// Whether a text names the client of an engine.
fn runs_client(text: &str) -> bool {
    ["docker", "podman", "nerdctl"].iter().any(|program| text.contains(program))
}

/// Whether a file may run docker commands on a host that it takes out of a URL.
pub(super) fn extracts(source: &str) -> bool {
    runs_client(source) && EXTRACTS.iter().any(|way| source.contains(way))
}

/// Words of a source that may name a module.
pub(super) fn words(source: &str) -> impl Iterator<Item = &str> {
    source.split(|c: char| !c.is_alphanumeric() && c != '_').filter(|word| !word.is_empty())
}

/// Withdraws the rewrites that are not safe, with the reason.
pub(super) fn approve(
    patterns: &Patterns,
    surroundings: &Surroundings<'_>,
    file: &str,
    source: &str,
    matches: &mut [Match],
) {
    if matches.iter().all(|matched| matched.edits.is_empty()) {
        return;
    }
    let lines = Lines::of(source);
    // What these depend on is never rewritten, so that a second run comes to the same answer.
    let declares = matches.iter().any(|matched| matched.rule.id == rules::COMPOSE_SERVICE.id);
    let mut with_client: BTreeMap<usize, bool> = BTreeMap::new();
    let urls = matches.iter().filter(|matched| matched.rule.id == rules::URL_HOST.id);
    for number in urls.map(|matched| lines.number(matched.span.start)) {
        with_client.entry(number).or_insert_with(|| runs_client(lines.text(number)));
    }
    let stem = file.rsplit('/').next().unwrap_or(file).split('.').next().unwrap_or_default();
    let extracted = extracts(source) || surroundings.extracting.contains(stem);
    let url = |matched: &Match| -> Option<&'static str> {
        let before = &source[..matched.span.start];
        if !before.ends_with("://") && !before.ends_with('@') {
            return Some("more than a URL may use this name");
        }
        if declares {
            return Some("this file still declares the service");
        }
        if extracted {
            return Some("the host may be taken out of it and given to docker");
        }
        if with_client.get(&lines.number(matched.span.start)) == Some(&true) {
            return Some("a command in a container dials it");
        }
        is_hop(file, source, matched).then_some("the first proxy dials the next one by this name")
    };
    let refused: Vec<Option<&'static str>> = matches
        .iter()
        .map(|matched| {
            let proposed = !matched.edits.is_empty() && matched.rule.id == rules::URL_HOST.id;
            if proposed { url(matched) } else { None }
        })
        .collect();
    for (matched, reason) in matches.iter_mut().zip(refused) {
        if let Some(reason) = reason {
            refuse(matched, reason);
        }
    }
    let is_command =
        |matched: &&mut Match| !matched.edits.is_empty() && matched.rule.id != rules::URL_HOST.id;
    let unseen = "the whole command is not in sight, or something uses its output";
    match Language::of(file, source) {
        Language::Python => python(patterns, surroundings, file, source, matches),
        Language::Shell => {
            if matches.iter_mut().any(|matched| is_command(&matched)) {
                let commands = shell::commands(source);
                for matched in matches.iter_mut().filter(is_command) {
                    let behind = commands.partition_point(|range| range.start <= matched.span.start);
                    let inside = behind
                        .checked_sub(1)
                        .is_some_and(|number| commands[number].contains(&matched.span.start));
                    if !inside {
                        refuse(matched, unseen);
                    }
                }
            }
        }
        Language::Text(lang::text::Comments::Hash) | Language::Yaml | Language::Markup => {
            let mut whole: BTreeMap<usize, bool> = BTreeMap::new();
            for matched in matches.iter_mut().filter(is_command) {
                let number = lines.number(matched.span.start);
                if !*whole.entry(number).or_insert_with(|| text::is_whole_line(lines.text(number))) {
                    refuse(matched, unseen);
                }
            }
        }
        Language::Text(_) => {
            for matched in matches.iter_mut().filter(is_command) {
                refuse(matched, unseen);
            }
        }
    }
}

/// Withdraws the rewrites of commands in a Python file that are not safe, and imports what the others need.
fn python(
    patterns: &Patterns,
    surroundings: &Surroundings<'_>,
    file: &str,
    source: &str,
    matches: &mut [Match],
) {
    let is_command = |matched: &Match| !matched.edits.is_empty() && matched.rule.id != rules::URL_HOST.id;
    if !matches.iter().any(is_command) {
        return;
    }
    // Without an import nothing runs a command.
    let facts = if source.contains("import") { python::Facts::of(patterns, source) } else { None };
    let facts = facts.unwrap_or_default();
    // The helper is imported once, from wherever one of the imports leads to; so a second run finds nothing more.
    let mut import: Option<Edit> = None;
    let mut missing: Option<String> = None;
    let mut helpers: Vec<usize> = Vec::new();
    for (number, matched) in matches.iter_mut().enumerate().filter(|(_, matched)| is_command(matched)) {
        let at = matched.span.start;
        if !facts.runs(at) {
            refuse(matched, "the whole command is not in sight, or something uses its result");
            continue;
        }
        let name = source.get(matched.span.clone()).unwrap_or_default();
        if patterns.identifier(name).is_none() {
            continue;
        }
        match facts.import(name, at).filter(|_| facts.may_name_bundle(at)) {
            None => refuse(matched, "this file binds the names in more than one way"),
            Some(_) if facts.bundle.is_some() => {}
            Some(found) => {
                helpers.push(number);
                if import.is_none() {
                    match surroundings.modules.import(file, found) {
                        Ok(edit) => import = Some(edit),
                        Err(reason) => missing = Some(reason),
                    }
                }
            }
        }
    }
    if let Some(edit) = import.as_mut().filter(|edit| edit.text.starts_with('\n') && source.contains("\r\n"))
    {
        edit.text.insert(0, '\r');
    }
    for number in helpers {
        let call = &mut matches[number];
        match &import {
            Some(edit) if edit.start <= call.span.start => call.edits.push(edit.clone()),
            Some(_) => refuse(call, "it runs before the names are imported"),
            None => refuse(call, missing.as_deref().unwrap_or("nothing imports the bundle's helper")),
        }
    }
}

/// Whether a URL is the one by which the first proxy dials the next, which keeps its name in the bundle.
fn is_hop(file: &str, source: &str, matched: &Match) -> bool {
    let at = matched.span.start;
    let mut start = at.saturating_sub(NEAR);
    while !source.is_char_boundary(start) {
        start += 1;
    }
    // The name in another URL may be rewritten itself.
    let mut near = source[start..at].to_ascii_lowercase().replace("://pipelock", "://");
    // Twelve lines say what a setting belongs to.
    if let Some((feed, _)) = near.rmatch_indices('\n').nth(12) {
        near.drain(..feed);
    }
    let name = file.to_ascii_lowercase();
    let of_pipelock = name.contains("pipelock") || near.contains("pipelock");
    near.contains("upstream") || of_pipelock && matched.service == Some(Daemon::Egress)
}

/// Withdraws a rewrite; the reason goes with what to write instead.
fn refuse(matched: &mut Match, reason: &str) {
    matched.edits.clear();
    matched.suggestion = format!("{}; by hand: {reason}", matched.suggestion);
}

/// A file as it is and as it would be.
#[derive(Clone, Debug)]
pub struct Change {
    /// File, relative to the root.
    pub file: String,
    /// Where it is.
    pub path: PathBuf,
    /// Its text.
    pub before: String,
    /// Its text with the rewrites.
    pub after: String,
}

/// A file whose rewrites are refused, and why.
#[derive(Clone, Debug)]
pub struct Refused {
    /// File, relative to the root.
    pub file: String,
    /// Why.
    pub reason: String,
}

/// The rewrites of a report's findings, file by file.
///
/// # Errors
///
/// A file that can no longer be read.
pub fn changes(root: &Path, report: &Report) -> io::Result<(Vec<Change>, Vec<Refused>)> {
    let (mut changes, mut refused) = (Vec::new(), Vec::new());
    for group in report.findings.chunk_by(|one, other| one.file == other.file) {
        let mut edits: Vec<&Edit> = group
            .iter()
            .filter(|finding| finding.waived.is_none())
            .flat_map(|finding| &finding.edits)
            .collect();
        edits.sort();
        edits.dedup();
        if edits.is_empty() {
            continue;
        }
        let file = &group[0].file;
        let refuse = |reason: &str| Refused { file: file.clone(), reason: reason.to_owned() };
        if edits.windows(2).any(|pair| pair[0].end > pair[1].start) {
            refused.push(refuse("two rewrites overlap"));
            continue;
        }
        let path = root.join(file);
        let before = String::from_utf8(fs::read(&path)?).ok();
        let same = |text: &String| report.digests.get(file) == Some(&digest(text));
        let Some(before) = before.filter(same) else {
            refused.push(refuse("it changed while it was searched"));
            continue;
        };
        match apply(&before, &edits) {
            Some(after)
                if Path::new(file).extension() != Some("py".as_ref())
                    || parses(&after)
                    || !parses(&before) =>
            {
                changes.push(Change { file: file.clone(), path, before, after });
            }
            Some(_) => refused.push(refuse("it would no longer parse")),
            None => refused.push(refuse("it changed while it was searched")),
        }
    }
    Ok((changes, refused))
}

/// What tells one text from another, within one run.
pub(in crate::scan) fn digest(text: &str) -> u64 {
    let mut hasher = DefaultHasher::new();
    text.hash(&mut hasher);
    hasher.finish()
}

/// The text with the edits done, last one first; `None`: they do not fit.
fn apply(text: &str, edits: &[&Edit]) -> Option<String> {
    let mut out = text.to_owned();
    for edit in edits.iter().rev() {
        out.get(edit.start..edit.end)?;
        out.replace_range(edit.start..edit.end, &edit.text);
    }
    Some(out)
}

fn parses(source: &str) -> bool {
    lang::python::parse(source).is_some_and(|tree| !tree.root_node().has_error())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::Config;
    use crate::waiver;

    #[test]
    fn a_file_that_changed_since_it_was_searched_is_left_alone() {
        let folder = tempfile::tempdir().unwrap();
        let file = folder.path().join("a.py");
        fs::write(&file, "url = \"http://egress:9099/\"\n").unwrap();
        let day = waiver::day_of(std::time::UNIX_EPOCH);
        let report = crate::scan::scan(folder.path(), &Config::default(), &[], day).unwrap();
        let (changed, refused) = changes(folder.path(), &report).unwrap();
        assert_eq!((changed.len(), refused.len()), (1, 0));
        fs::write(&file, "url = \"http://egress:9100/\"\n").unwrap();
        let (changed, refused) = changes(folder.path(), &report).unwrap();
        assert!(changed.is_empty());
        assert_eq!(refused[0].reason, "it changed while it was searched");
    }
}
