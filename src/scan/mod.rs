//! References to one container per sidecar: tree → files → hits → findings.

mod command;
mod docker;
mod document;
mod finding;
pub mod fix;
pub mod forms;
mod keep;
mod loops;
mod names;
mod place;
mod plain;
mod prose;
mod python;
pub mod report;
mod shell;
mod spliced;
mod text;
mod variables;
mod walk;
mod yaml;

use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path, PathBuf};

use crate::config::Config;
use crate::finding::Identity;
use crate::rule::RuleId;
use crate::waiver::{self, Date};
use finding::Hit;
pub use finding::{Certainty, Edit, Finding, Zone};
use names::Names;
use plain::Comments;
use python::Alias;
pub use walk::Unreadable;

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
    hits: Vec<Hit>,
    /// Names that it passes on.
    aliases: Vec<Alias>,
    source: String,
    whole: bool,
}

/// Searches `paths` below `root`, or all of it; waivers that hold on `today` are honoured.
///
/// # Errors
///
/// A path that does not exist, or a folder that cannot be listed.
pub fn scan(root: &Path, config: &Config, paths: &[PathBuf], today: Date) -> Result<Report, Unreadable> {
    let names = Names::new(&config.scan.prefixes, config.flag.name());
    let walk::Tree { found, files, tests, zones, evident } = walk::tree(root, config, paths)?;
    let mut known: Vec<Alias> = Vec::new();
    let mut searched: BTreeMap<&str, Searched> =
        walk::each(&found.candidates, |candidate| read(&names, candidate, &known));
    for _ in 0..ROUNDS {
        let mut aliases: BTreeSet<Alias> = known.iter().cloned().collect();
        aliases.extend(searched.values().flat_map(|file| file.aliases.iter().cloned()));
        if aliases.len() == known.len() {
            break;
        }
        known = aliases.into_iter().collect();
        let words: Vec<&str> = known.iter().map(|alias| alias.name.as_str()).collect();
        let again = walk::holding(&found.python, &words);
        searched.extend(walk::each(again, |candidate| read(&names, candidate, &known)));
    }
    let evident = evident || searched.values().any(|file| file.hits.iter().any(telling));
    if evident {
        searched.extend(walk::each(&found.weak, |candidate| read(&names, candidate, &known)));
    }
    let mut report = Report { files, tests, skipped: found.skipped, ..Report::default() };
    for (name, mut file) in searched {
        if !evident {
            // The words of prose are anybody's.
            let of_daemon = |hit: &Hit| hit.service.is_some() && hit.form.id != forms::DOC_SHAPE.id;
            file.hits.retain(|hit| of_daemon(hit) || telling(hit));
        }
        let zone = zones.of(name);
        if document::is_document(name) || zone == Zone::Doc {
            place::deleted_tests(&names, &file.source, root, name, &found.test_files, &mut file.hits);
        }
        if !file.whole {
            report.skipped.push(Skipped {
                file: name.to_owned(),
                reason: "not UTF-8 text: searched without the bytes that are none".to_owned(),
            });
            for hit in &mut file.hits {
                hit.edits.clear();
            }
        }
        if file.hits.iter().any(|hit| !hit.edits.is_empty()) {
            report.digests.insert(name.to_owned(), fix::digest(&file.source));
        }
        report.findings.extend(place::findings(&names, name, zone, &file.source, file.hits));
    }
    for finding in &mut report.findings {
        finding.waived = finding.waived.take().or_else(|| waived(finding, config, today));
    }
    report.skipped.sort();
    Ok(report)
}

/// Whether a hit alone shows that the tree is about bottles.
fn telling(hit: &Hit) -> bool {
    matches!(
        hit.form.id,
        RuleId::FlagReference
            | RuleId::ContainerName
            | RuleId::NameHelper
            | RuleId::DocDeleted
            | RuleId::KeepUnused
            | RuleId::KeepUnreasoned
    )
}

fn waived(finding: &Finding, config: &Config, today: Date) -> Option<String> {
    waiver::accept(&config.waivers, &identity(finding), today).map(|waiver| waiver.reason.clone())
}

/// A finding as waivers and fingerprints know it: subject is the file, principal the daemon.
fn identity(finding: &Finding) -> Identity<'_> {
    let principal = finding.service.map_or("", |service| service.name());
    Identity { rule: finding.form, principal, subject: &finding.file }
}

/// Searches one file as what its name, or its first line, says that it is.
fn read(names: &Names, candidate: &walk::Candidate, known: &[Alias]) -> Option<Searched> {
    let (source, whole) = walk::text(&candidate.path)?;
    let mut hits = Vec::new();
    let mut aliases = Vec::new();
    match Kind::of(&candidate.name, &source) {
        Kind::Python => {
            let others = python::search(names, &source, &candidate.name, known, &mut hits);
            let stem = Path::new(&candidate.name).file_stem().unwrap_or_default().to_string_lossy();
            let folder = Path::new(&candidate.name).parent().and_then(Path::file_name).unwrap_or_default();
            let module = if stem == "__init__" { folder.to_string_lossy() } else { stem };
            aliases.extend(others.into_iter().map(|other| Alias::new(&module, other)));
        }
        Kind::Shell => shell::search(names, &source, &mut hits),
        Kind::Yaml => yaml::search(names, &source, &mut hits),
        Kind::Document => document::search(names, &source, &mut hits),
        Kind::Other(comments) => plain::search(names, &source, comments, &mut hits),
    }
    Some(Searched { hits, aliases, source, whole })
}

/// What a file is written in.
enum Kind {
    Python,
    Shell,
    Yaml,
    Document,
    Other(Comments),
}

impl Kind {
    fn of(name: &str, source: &str) -> Self {
        let extension = name.rsplit_once('.').map_or("", |(_, extension)| extension);
        match extension {
            "py" | "pyi" | "pyw" => Self::Python,
            "sh" | "bash" | "bats" | "ksh" | "zsh" => Self::Shell,
            "yml" | "yaml" => Self::Yaml,
            _ if document::is_document(name) => Self::Document,
            _ => {
                let first = source.lines().next().unwrap_or_default();
                match first.strip_prefix("#!") {
                    Some(program) if program.contains("python") => Self::Python,
                    Some(program) if program.contains("sh") => Self::Shell,
                    Some(_) => Self::Other(Comments::Hash),
                    None => Self::Other(Comments::of(name)),
                }
            }
        }
    }
}
