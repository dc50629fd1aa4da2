//! References to one container per sidecar: tree → files → matches → findings.

mod detect;
mod discover;
mod finding;
pub mod fix;
mod lang;
mod locate;
mod patterns;
pub mod rules;
mod suppress;

use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path, PathBuf};

use rayon::prelude::*;

use crate::config::Config;
use crate::rule::RuleId;
use crate::waiver::{self, Date};
pub use discover::Unreadable;
use finding::Match;
pub use finding::{Certainty, Edit, Finding, Zone};
use lang::python::{Alias, Known};
use lang::{Language, Outcome};
use patterns::Patterns;

/// Rounds in which names that modules pass on are followed.
const ROUNDS: usize = 4;

/// A file that could not be looked at, or not in full.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Skipped {
    /// File, relative to the root.
    pub file: String,
    /// Why.
    pub reason: String,
}

/// What a scan gave.
#[derive(Clone, Debug, Default)]
pub struct Report {
    /// Every reference, by file, line and daemon.
    pub findings: Vec<Finding>,
    /// Number of files that were looked at.
    pub files: usize,
    /// How many of them are tests.
    pub tests: usize,
    /// Files that were not searched, or not as what they are.
    pub skipped: Vec<Skipped>,
    /// Of the files that have rewrites, what they held when they were searched.
    digests: BTreeMap<String, u64>,
}

/// One file's part of a scan.
struct Searched {
    matches: Vec<Match>,
    /// Names that it passes on.
    aliases: Vec<Alias>,
    /// Why it was searched as plain text, if it was.
    note: Option<&'static str>,
    source: String,
    whole: bool,
}

/// Searches `paths` below `root`, or all of it; waivers that hold on `today` are honoured.
///
/// # Errors
///
/// A path that does not exist, or a folder that cannot be listed.
pub fn scan(root: &Path, config: &Config, paths: &[PathBuf], today: Date) -> Result<Report, Unreadable> {
    let patterns = Patterns::new(&config.scan.prefixes, config.flag.name());
    let discover::Tree { found, files, tests, zones, evident } = discover::tree(root, config, paths)?;
    let mut aliases: BTreeSet<Alias> = BTreeSet::new();
    let mut known = Known::default();
    let mut searched: BTreeMap<&str, Searched> =
        discover::each(&found.candidates, |candidate| read(&patterns, candidate, &known));
    for _ in 0..ROUNDS {
        let before = aliases.len();
        aliases.extend(searched.values().flat_map(|file| file.aliases.iter().cloned()));
        if aliases.len() == before {
            break;
        }
        known = Known::new(&aliases);
        let words: BTreeSet<&str> = aliases.iter().map(|alias| alias.name.as_str()).collect();
        let words: Vec<&str> = words.into_iter().collect();
        let again = discover::holding(&found.python, &words);
        searched.extend(discover::each(again, |candidate| read(&patterns, candidate, &known)));
    }
    let evident = evident || searched.values().any(|file| file.matches.iter().any(telling));
    if evident {
        searched.extend(discover::each(&found.weak, |candidate| read(&patterns, candidate, &known)));
    }
    approve(&patterns, &found.python, &mut searched);
    let prefix = patterns.commonest(&searched.values().map(|file| file.source.as_str()));
    let test_files = locate::by_last_part(&found.test_files);
    let mut report = Report { files, tests, skipped: found.skipped, ..Report::default() };
    for (name, mut file) in searched {
        if !evident {
            // The words of prose are anybody's.
            let of_daemon =
                |matched: &Match| matched.service.is_some() && matched.rule.id != rules::DOC_SHAPE.id;
            file.matches.retain(|matched| of_daemon(matched) || telling(matched));
        }
        let zone = zones.of(name);
        if lang::markup::is_document(name) || zone == Zone::Doc {
            locate::deleted_tests(&patterns, &file.source, root, name, &test_files, &mut file.matches);
        }
        if let Some(note) = file.note {
            report.skipped.push(Skipped { file: name.to_owned(), reason: note.to_owned() });
        }
        if !file.whole {
            report.skipped.push(Skipped {
                file: name.to_owned(),
                reason: "not UTF-8 text: searched without the bytes that are none".to_owned(),
            });
            for matched in &mut file.matches {
                matched.edits.clear();
            }
        }
        if file.matches.iter().any(|matched| !matched.edits.is_empty()) {
            report.digests.insert(name.to_owned(), fix::digest(&file.source));
        }
        report.findings.extend(locate::findings(&patterns, name, zone, &file.source, file.matches));
    }
    for finding in &mut report.findings {
        let of_line = patterns.prefix_in(&finding.text);
        let prefix = of_line.or(prefix.as_deref()).unwrap_or(rules::PREFIX);
        finding.suggestion = rules::advice_for(&finding.suggestion, prefix);
    }
    for finding in &mut report.findings {
        finding.waived = finding.waived.take().or_else(|| waived(finding, config, today));
    }
    report.skipped.sort();
    Ok(report)
}

/// Withdraws the rewrites that are not safe.
fn approve(patterns: &Patterns, python: &[discover::Candidate], searched: &mut BTreeMap<&str, Searched>) {
    let proposes = |file: &Searched| file.matches.iter().any(|matched| !matched.edits.is_empty());
    let proposing: Vec<(&str, Vec<Match>)> = searched
        .iter_mut()
        .filter(|(_, file)| proposes(file))
        .map(|(name, file)| (*name, std::mem::take(&mut file.matches)))
        .collect();
    if proposing.is_empty() {
        return;
    }
    let files = python.iter().map(|file| file.name.as_str());
    let sources = || searched.iter().map(|(name, file)| (*name, file.source.as_str()));
    let extracting = sources().filter(|(_, source)| fix::extracts(source));
    let surroundings = fix::Surroundings {
        modules: fix::Modules::new(files, sources()),
        extracting: extracting.flat_map(|(_, source)| fix::words(source)).collect(),
    };
    let approved: Vec<(&str, Vec<Match>)> = proposing
        .into_par_iter()
        .map(|(name, mut matches)| {
            fix::approve(patterns, &surroundings, name, &searched[name].source, &mut matches);
            (name, matches)
        })
        .collect();
    for (name, matches) in approved {
        if let Some(file) = searched.get_mut(name) {
            file.matches = matches;
        }
    }
}

/// Whether a match alone shows that the tree is about bottles.
fn telling(matched: &Match) -> bool {
    matches!(
        matched.rule.id,
        RuleId::FlagReference
            | RuleId::ContainerName
            | RuleId::NameHelper
            | RuleId::DocDeleted
            | RuleId::KeepUnused
            | RuleId::KeepUnreasoned
    )
}

fn waived(finding: &Finding, config: &Config, today: Date) -> Option<String> {
    waiver::accept(&config.waivers, &finding.identity(), today).map(|waiver| waiver.reason.clone())
}

/// Searches one file as what its name, or its first line, says that it is.
fn read(patterns: &Patterns, candidate: &discover::Candidate, known: &Known) -> Option<Searched> {
    let (source, whole) = discover::text(&candidate.path)?;
    if discover::is_report(&source) {
        return None;
    }
    let mut matches = Vec::new();
    let language = Language::of(&candidate.name, &source);
    let Outcome { aliases, note } = language.search(patterns, &source, &candidate.name, known, &mut matches);
    Some(Searched { matches, aliases, note, source, whole })
}
