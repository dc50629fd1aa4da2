//! Decides on a flip: facts → a plan, or every reason against it. Pure.

use std::collections::BTreeMap;
use std::ops::Range;

use super::default::{self, Splice};
use super::facts::{Edit, Facts, Leftover, Vcs};
use super::git::Unclean;
use super::path_state::{PathState, State};
use super::plan::{Change, Options, Plan};
use super::references::{Mention, Weight};
use crate::flag::Shape;
use crate::rule::RuleId;

/// A reason against a flip.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Refusal {
    /// File below the root; empty: none.
    pub file: String,
    /// Line in it, from 1.
    pub line: Option<usize>,
    /// What is wrong.
    pub message: String,
    /// What may help.
    pub hint: Option<&'static str>,
}

impl Refusal {
    fn of(file: &str, message: impl Into<String>) -> Self {
        Self { file: file.to_owned(), message: message.into(), ..Self::default() }
    }

    fn at(mut self, line: usize) -> Self {
        self.line = Some(line);
        self
    }

    const fn hint(mut self, hint: &'static str) -> Self {
        self.hint = Some(hint);
        self
    }
}

/// What a person has to check.
#[derive(Debug, Default, PartialEq, Eq)]
pub struct Notes {
    /// References that the scan reports without refusing.
    pub leftovers: Vec<Leftover>,
    /// Lines that name a deleted file without needing it.
    pub mentions: Vec<Mention>,
    /// Files that the scan did not search, or not in full, and why.
    pub skipped: Vec<(String, String)>,
}

/// Result of a decision.
#[derive(Debug, PartialEq, Eq)]
pub enum Decision {
    /// The flip is refused, for all these reasons.
    Refused(Vec<Refusal>),
    /// There is nothing to do.
    Nothing(Plan),
    /// Changes to make.
    Change(Plan, Notes),
}

/// Decides what a flip does.
#[must_use]
pub fn decide(facts: &Facts, options: Options) -> Decision {
    let mut against = Vec::new();
    let mut changes = rewrites(facts, &mut against);
    if !options.keep_dockerfiles {
        let deletions = deletions(facts, &changes, &mut against);
        changes.extend(deletions);
    }
    let mut rests_on = facts.plans.files.clone();
    for (path, entry) in &facts.entries {
        if !options.keep_dockerfiles || !facts.delete.contains(path) {
            rests_on.insert(path.clone(), entry.state());
        }
    }
    let plan = Plan { options, changes, verify: facts.verify.clone(), rests_on };
    if plan.changes.is_empty() && against.is_empty() {
        return Decision::Nothing(plan);
    }
    versions(facts, &plan, &mut against);
    plans(facts, options, &mut against);
    let (breaking, listed) =
        if options.keep_dockerfiles { (Vec::new(), Vec::new()) } else { references(facts, &plan) };
    let leftovers = scan(facts, &plan, (&breaking, &listed), &mut against);
    for mention in &breaking {
        against.push(
            Refusal::of(&mention.file, format!("refers to {}, which the flip deletes", mention.deleted))
                .at(mention.line)
                .hint("remove the reference, or flip with --keep-dockerfiles first"),
        );
    }
    // A line that names four daemons is reported once.
    against.dedup();
    let notes = Notes { leftovers, mentions: listed, skipped: facts.scan.skipped.clone() };
    if against.is_empty() { Decision::Change(plan, notes) } else { Decision::Refused(against) }
}

/// Files whose text changes.
fn rewrites(facts: &Facts, against: &mut Vec<Refusal>) -> Vec<Change> {
    let mut splices: BTreeMap<&str, Vec<Splice>> = BTreeMap::new();
    let mut changes = Vec::new();
    if facts.default == Shape::Legacy {
        match facts.entries.get(&facts.config) {
            None | Some(PathState::Absent) => {
                changes.push(change(&facts.config, &PathState::Absent, default::fresh()));
            }
            Some(PathState::File(bytes)) => {
                match std::str::from_utf8(bytes).ok().and_then(default::to_bundle) {
                    Some(splice) => splices.entry(&facts.config).or_default().push(splice),
                    None => against.push(Refusal::of(&facts.config, "changed while it was read")),
                }
            }
            Some(other) => against.push(misplaced(&facts.config, other)),
        }
    }
    for site in &facts.edits {
        match facts.entries.get(&site.file) {
            Some(PathState::File(bytes)) => match edit(facts, site, bytes) {
                Ok(Some(splice)) => splices.entry(&site.file).or_default().push(splice),
                Ok(None) => {}
                Err(refusal) => against.push(refusal),
            },
            None | Some(PathState::Absent) => against.push(
                Refusal::of(&site.file, "no such file, but a `[[flip.edit]]` edits it")
                    .hint("correct or remove the edit in bottle-migrate.toml"),
            ),
            Some(other) => against.push(misplaced(&site.file, other)),
        }
    }
    for (file, mut splices) in splices {
        splices.sort_by_key(|splice| splice.range.start);
        if splices.windows(2).any(|pair| pair[0].range.end > pair[1].range.start) {
            against.push(Refusal::of(file, "two edits overlap"));
            continue;
        }
        let Some(entry @ PathState::File(bytes)) = facts.entries.get(file) else { continue };
        let mut new = bytes.clone();
        for splice in splices.into_iter().rev() {
            new.splice(splice.range, splice.text);
        }
        changes.push(change(file, entry, new));
    }
    changes
}

/// The splice of an edit; `None` if an earlier flip has made it.
fn edit(facts: &Facts, site: &Edit, bytes: &[u8]) -> Result<Option<Splice>, Refusal> {
    // The file may have other line ends than the configuration.
    let ends = |wanted: &[u8]| occurrences(bytes, wanted).len();
    let crlf = ends(b"\r\n") > 0 && ends(b"\r\n") == ends(b"\n");
    let lines = |text: &str| {
        let text = if crlf { text.replace("\r\n", "\n").replace('\n', "\r\n") } else { text.to_owned() };
        text.into_bytes()
    };
    let (find, replace) = (lines(&site.find), lines(&site.replace));
    let done = occurrences(bytes, &replace);
    let flipped = facts.default == Shape::Bundle;
    // If the new text contains the old one, the old one is found in it again.
    let found: Vec<Range<usize>> = occurrences(bytes, &find)
        .into_iter()
        .filter(|at| !(flipped && done.iter().any(|new| new.start <= at.start && at.end <= new.end)))
        .collect();
    match found.as_slice() {
        [at] => {
            let unchanged = find == replace;
            Ok((!unchanged).then(|| Splice { range: at.clone(), text: replace }))
        }
        [] if flipped && (!done.is_empty() || replace.is_empty()) => Ok(None),
        [] => {
            Err(Refusal::of(&site.file, format!("`{}` does not occur", site.find)).hint(if done.is_empty() {
                "correct the edit in bottle-migrate.toml"
            } else {
                "the replacement is there already: remove the edit from bottle-migrate.toml"
            }))
        }
        [_, second, ..] => {
            let line = bytes[..second.start].split(|byte| *byte == b'\n').count();
            let message = format!("`{}` occurs {} times", site.find, found.len());
            Err(Refusal::of(&site.file, message)
                .at(line)
                .hint("make `find` longer, so that it occurs only once"))
        }
    }
}

/// Ranges at which `wanted` occurs, overlapping ones included.
fn occurrences(bytes: &[u8], wanted: &[u8]) -> Vec<Range<usize>> {
    if wanted.is_empty() {
        return Vec::new();
    }
    let places = bytes.windows(wanted.len()).enumerate().filter(|(_, part)| *part == wanted);
    places.map(|(at, _)| at..at + wanted.len()).collect()
}

/// Files to delete.
fn deletions(facts: &Facts, changes: &[Change], against: &mut Vec<Refusal>) -> Vec<Change> {
    let mut deletions = Vec::new();
    for path in &facts.delete {
        let edited = facts.edits.iter().any(|site| site.file == *path)
            || changes.iter().any(|change| change.path == *path)
            || *path == facts.config;
        match facts.entries.get(path) {
            None | Some(PathState::Absent) => {}
            Some(_) if edited => against.push(Refusal::of(path, "would be both edited and deleted")),
            Some(entry @ (PathState::File(_) | PathState::Link { inside: true, .. })) => {
                let gone = Change { after: State::Absent, ..change(path, entry, Vec::new()) };
                deletions.push(gone);
            }
            Some(other) => against.push(misplaced(path, other)),
        }
    }
    deletions
}

fn change(path: &str, entry: &PathState, new: Vec<u8>) -> Change {
    let old = match entry {
        PathState::File(bytes) => bytes.clone(),
        PathState::Link { target, .. } => target.to_string_lossy().into_owned().into_bytes(),
        _ => Vec::new(),
    };
    Change { path: path.to_owned(), before: entry.state(), after: State::file(&new), old, new }
}

/// Why the entry at a path is not changed.
fn misplaced(path: &str, entry: &PathState) -> Refusal {
    match entry {
        PathState::Link { inside: false, .. } => {
            Refusal::of(path, "is a symbolic link that leaves the root folder")
        }
        PathState::Link { .. } => Refusal::of(path, "is a symbolic link, which is not edited")
            .hint("name the file that it points to"),
        PathState::Through(link) => Refusal::of(path, format!("goes through the symbolic link {link}")),
        PathState::Folder => Refusal::of(path, "is a folder, not a file"),
        PathState::Elsewhere => Refusal::of(path, "is on another file system than the root folder"),
        PathState::Special | PathState::Absent | PathState::File(_) => {
            Refusal::of(path, "is not a regular file")
        }
    }
}

fn versions(facts: &Facts, plan: &Plan, against: &mut Vec<Refusal>) {
    match &facts.vcs {
        Vcs::Absent if !plan.options.allow_no_vcs => against.push(
            Refusal::of("", "the root folder is not under version control")
                .hint("flip with --allow-no-vcs to do it anyway"),
        ),
        Vcs::Silent(reason) if !plan.options.allow_no_vcs => {
            against.push(Refusal::of("", format!("failed to ask git for uncommitted changes: {reason}")));
        }
        Vcs::Git(unclean) if !plan.options.allow_dirty => {
            let touched =
                plan.changes.iter().filter_map(|change| Some((&change.path, unclean.get(&change.path)?)));
            for (path, how) in touched {
                let message = match how {
                    Unclean::Modified => "has uncommitted changes",
                    Unclean::Untracked => "is not under version control",
                    Unclean::Hidden => "is marked assume-unchanged or skip-worktree in git",
                };
                against.push(Refusal::of(path, message).hint("commit it, or flip with --allow-dirty"));
            }
        }
        _ => {}
    }
}

fn plans(facts: &Facts, options: Options, against: &mut Vec<Refusal>) {
    if facts.plans.files.is_empty() && !options.allow_empty {
        against.push(
            Refusal::of(
                "",
                "no plan matches `[plans] include`, so nothing shows that the shapes are equivalent",
            )
            .hint("set `[plans] include` in bottle-migrate.toml, or flip with --allow-empty"),
        );
    }
    for (file, what) in &facts.plans.findings {
        against.push(
            Refusal::of(file, format!("not equivalent: {what}"))
                .hint("run `bottle-migrate diff` to see all findings"),
        );
    }
}

/// References that a person has to check; those that block the flip become refusals.
fn scan(
    facts: &Facts,
    plan: &Plan,
    mentions: (&[Mention], &[Mention]),
    against: &mut Vec<Refusal>,
) -> Vec<Leftover> {
    if (facts.scan.tests == 0 || facts.scan.files == 0) && !plan.options.allow_empty {
        against.push(
            Refusal::of("", "no file matches `[scan] test`, so nothing shows that the tests are ready")
                .hint("set `[scan] test` in bottle-migrate.toml, or flip with --allow-empty"),
        );
    }
    let mut listed = Vec::new();
    for leftover in facts.scan.found.iter().filter(|leftover| !settled(facts, plan, mentions, leftover)) {
        if leftover.blocks {
            let message = format!("still refers to one container per sidecar ({})", leftover.form);
            let refusal = Refusal::of(&leftover.file, message)
                .hint("run `bottle-migrate scan-tests` to see all references");
            against.push(if leftover.line > 0 { refusal.at(leftover.line) } else { refusal });
        } else {
            listed.push(leftover.clone());
        }
    }
    listed
}

/// Whether the flip itself removes a reference, or it is reported elsewhere.
fn settled(
    facts: &Facts,
    plan: &Plan,
    (breaking, listed): (&[Mention], &[Mention]),
    leftover: &Leftover,
) -> bool {
    let passing = facts.delete.contains(&leftover.file)
        || leftover.file == facts.config
        || facts.plans.files.contains_key(&leftover.file);
    let here = |mention: &Mention| mention.file == leftover.file && mention.line == leftover.line;
    let otherwise = || {
        plan.options.keep_dockerfiles
            || plan.changes.iter().any(|change| change.path == leftover.file)
            || breaking.iter().any(here)
            || !leftover.blocks && listed.iter().any(here)
    };
    passing || leftover.form == RuleId::Dockerfile && otherwise()
}

/// Lines that name a deleted file: those that break without it, and those that only mention it.
fn references(facts: &Facts, plan: &Plan) -> (Vec<Mention>, Vec<Mention>) {
    let rewritten = plan.changes.iter().filter(|change| change.after != State::Absent);
    let mut mentions: Vec<Mention> = rewritten
        .filter(|change| change.path != facts.config)
        .flat_map(|change| {
            facts.search.mentions(&change.path, &change.new, facts.prose.contains(&change.path))
        })
        .collect();
    let touched = |mention: &&Mention| plan.changes.iter().any(|change| change.path == mention.file);
    mentions.extend(facts.mentions.iter().filter(|mention| !touched(mention)).cloned());
    let goes = |mention: &Mention| plan.changes.iter().any(|change| change.path == mention.deleted);
    mentions.into_iter().filter(goes).partition(|mention| mention.weight == Weight::Breaks)
}
