//! The one decision: facts → a plan, or every reason against it.

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

/// What is left for a person to look at.
#[derive(Debug, Default, PartialEq, Eq)]
pub struct Notes {
    /// References that the scan reports without refusing.
    pub leftovers: Vec<Leftover>,
    /// Lines that name a deleted file without needing it.
    pub mentions: Vec<Mention>,
    /// Files that the scan did not search, or not in full, and why.
    pub skipped: Vec<(String, String)>,
}

/// What comes of the facts.
#[derive(Debug, PartialEq, Eq)]
pub enum Decision {
    /// It cannot be done, for all these reasons.
    Refused(Vec<Refusal>),
    /// There is nothing to do.
    Nothing(Plan),
    /// This is to be done.
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
    let (breaking, told) =
        if options.keep_dockerfiles { (Vec::new(), Vec::new()) } else { references(facts, &plan) };
    let leftovers = scan(facts, &plan, (&breaking, &told), &mut against);
    for mention in &breaking {
        against.push(
            Refusal::of(&mention.file, format!("refers to {}, which is to be deleted", mention.deleted))
                .at(mention.line)
                .hint("remove the reference, or flip with --keep-dockerfiles first"),
        );
    }
    // A line that names four daemons is one to look at.
    against.dedup();
    let notes = Notes { leftovers, mentions: told, skipped: facts.scan.skipped.clone() };
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
                Refusal::of(&site.file, "no such file, and an edit of `[[flip.edit]]` is for it")
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

/// What an edit does: nothing, if it was made before and the bundle is the default already.
fn edit(facts: &Facts, site: &Edit, bytes: &[u8]) -> Result<Option<Splice>, Refusal> {
    // The configuration's line ends say nothing about those of the file.
    let ends = |wanted: &[u8]| occurrences(bytes, wanted).len();
    let crlf = ends(b"\r\n") > 0 && ends(b"\r\n") == ends(b"\n");
    let lines = |text: &str| {
        let text = if crlf { text.replace("\r\n", "\n").replace('\n', "\r\n") } else { text.to_owned() };
        text.into_bytes()
    };
    let (find, replace) = (lines(&site.find), lines(&site.replace));
    let done = occurrences(bytes, &replace);
    let flipped = facts.default == Shape::Bundle;
    // Where the new text holds the old one, the old one is found in it again.
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
                .hint("an edit finds a text that occurs once: make it longer"))
        }
    }
}

/// Where `wanted` stands, overlapping places included.
fn occurrences(bytes: &[u8], wanted: &[u8]) -> Vec<Range<usize>> {
    if wanted.is_empty() {
        return Vec::new();
    }
    let places = bytes.windows(wanted.len()).enumerate().filter(|(_, part)| *part == wanted);
    places.map(|(at, _)| at..at + wanted.len()).collect()
}

/// Files that go.
fn deletions(facts: &Facts, changes: &[Change], against: &mut Vec<Refusal>) -> Vec<Change> {
    let mut deletions = Vec::new();
    for path in &facts.delete {
        let edited = facts.edits.iter().any(|site| site.file == *path)
            || changes.iter().any(|change| change.path == *path)
            || *path == facts.config;
        match facts.entries.get(path) {
            None | Some(PathState::Absent) => {}
            Some(_) if edited => against.push(Refusal::of(path, "is to be edited and to be deleted")),
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

/// Why what is at a path is not touched.
fn misplaced(path: &str, entry: &PathState) -> Refusal {
    match entry {
        PathState::Link { inside: false, .. } => Refusal::of(path, "is a link that leaves the root"),
        PathState::Link { .. } => {
            Refusal::of(path, "is a link, which is not edited").hint("name the file that it points to")
        }
        PathState::Through(link) => Refusal::of(path, format!("goes through the link {link}")),
        PathState::Folder => Refusal::of(path, "is a folder, not a file"),
        PathState::Elsewhere => Refusal::of(path, "is on another file system than the root"),
        PathState::Special | PathState::Absent | PathState::File(_) => {
            Refusal::of(path, "is not a regular file")
        }
    }
}

fn versions(facts: &Facts, plan: &Plan, against: &mut Vec<Refusal>) {
    match &facts.vcs {
        Vcs::Absent if !plan.options.allow_no_vcs => against.push(
            Refusal::of("", "the root is not under version control")
                .hint("--allow-no-vcs flips all the same"),
        ),
        Vcs::Silent(reason) if !plan.options.allow_no_vcs => {
            against.push(Refusal::of("", format!("git does not tell what is committed: {reason}")));
        }
        Vcs::Git(unclean) if !plan.options.allow_dirty => {
            let touched =
                plan.changes.iter().filter_map(|change| Some((&change.path, unclean.get(&change.path)?)));
            for (path, how) in touched {
                let message = match how {
                    Unclean::Modified => "has changes that are not committed",
                    Unclean::Untracked => "is not under version control",
                    Unclean::Hidden => "is a file on which git was told not to look",
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
                .hint("`bottle-migrate diff` shows all of it"),
        );
    }
}

/// References that the scan reports and that do not refuse; the others are reasons against.
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
    let mut told = Vec::new();
    for leftover in facts.scan.found.iter().filter(|leftover| !settled(facts, plan, mentions, leftover)) {
        if leftover.blocks {
            let message = format!("still refers to one container per sidecar ({})", leftover.form);
            let refusal =
                Refusal::of(&leftover.file, message).hint("`bottle-migrate scan-tests` shows all of it");
            against.push(if leftover.line > 0 { refusal.at(leftover.line) } else { refusal });
        } else {
            told.push(leftover.clone());
        }
    }
    told
}

/// Whether what the scan found goes by itself, or is told otherwise.
fn settled(
    facts: &Facts,
    plan: &Plan,
    (breaking, told): (&[Mention], &[Mention]),
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
            || !leftover.blocks && told.iter().any(here)
    };
    passing || leftover.form == RuleId::Dockerfile && otherwise()
}

/// Lines that name what goes: those that break without it, and those that only speak of it.
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
