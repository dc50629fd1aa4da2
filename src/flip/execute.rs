//! Carries out a plan, or restores the project; undoes a run later.

use std::io;
use std::path::Path;
use std::sync::atomic::{AtomicBool, Ordering};

use super::fs::Fs;
use super::journal::{self, Journal, Progress};
use super::path_state::PathState;
use super::path_state::State;
use super::plan::Change;
use crate::files::reason;

/// Why a run was aborted.
#[derive(Debug, PartialEq, Eq)]
pub struct Abort {
    /// One line.
    pub why: String,
    /// Output of the command that failed.
    pub detail: String,
}

impl Abort {
    pub(super) fn new(why: String) -> Self {
        Self { why, detail: String::new() }
    }
}

/// A file that could not be restored.
#[derive(Debug, PartialEq, Eq)]
pub struct Left {
    /// Path below the root; empty: the journal itself.
    pub path: String,
    /// Where its original is, below the root, if anywhere.
    pub original: Option<String>,
    /// What went wrong.
    pub reason: String,
}

/// How a run ended.
#[derive(Debug)]
pub enum Outcome {
    /// The plan is carried out; with the commit that was made.
    Done(Option<String>),
    /// Nothing is changed.
    Undone(Abort),
    /// Some of it could not be undone.
    Stuck(Abort, Vec<Left>),
}

/// Checks that must pass after the change.
pub struct Proof<'a> {
    /// Runs what verifies the change.
    pub verify: &'a mut dyn FnMut() -> Result<(), Abort>,
    /// Commits the touched files, after this commit; gives the new one.
    pub commit: Option<Commit<'a>>,
    /// Whether a signal asked to stop.
    pub stop: &'a AtomicBool,
}

/// The commit to come: the one before it, and what makes it.
pub type Commit<'a> = (Option<String>, &'a mut dyn FnMut() -> Result<String, Abort>);

/// Carries out the changes, proves them, and undoes everything if anything fails.
pub fn carry_out(root: &Path, changes: &[Change], fs: &mut Fs<'_>, proof: &mut Proof<'_>) -> Outcome {
    let mut journal = match Journal::begin(root, changes, fs) {
        Ok(journal) => journal,
        Err(error) => {
            let stop = disk_error(&error);
            // The run may have got its place before the error.
            return match Journal::latest(root) {
                Ok(Some(mut begun)) if begun.record.progress == Progress::Applying => {
                    give_up(root, &mut begun, fs, stop)
                }
                _ => {
                    let _ = journal::tidy(root, fs);
                    Outcome::Undone(stop)
                }
            };
        }
    };
    match advance(root, &mut journal, fs, proof) {
        Ok(commit) => Outcome::Done(commit),
        Err(stop) => give_up(root, &mut journal, fs, stop),
    }
}

fn advance(
    root: &Path,
    journal: &mut Journal,
    fs: &mut Fs<'_>,
    proof: &mut Proof<'_>,
) -> Result<Option<String>, Abort> {
    for (number, change) in journal.record.changes.iter().enumerate() {
        if proof.stop.load(Ordering::Relaxed) {
            return Err(Abort::new("stopped by a signal".to_owned()));
        }
        make(root, journal, number, change, fs)?;
    }
    (proof.verify)()?;
    if proof.stop.load(Ordering::Relaxed) {
        return Err(Abort::new("stopped by a signal".to_owned()));
    }
    let mut made = None;
    if let Some((parent, commit)) = &mut proof.commit {
        let progress = Progress::Committing { parent: parent.clone() };
        journal.advance(progress, fs).map_err(|error| disk_error(&error))?;
        made = Some(commit()?);
    }
    match journal.advance(Progress::Done { commit: made.clone() }, fs) {
        // A commit is kept: the journal recognises the run by it.
        Err(_) if made.is_some() => Ok(made),
        Err(error) => Err(disk_error(&error)),
        Ok(()) => Ok(made),
    }
}

fn make(
    root: &Path,
    journal: &Journal,
    number: usize,
    change: &Change,
    fs: &mut Fs<'_>,
) -> Result<(), Abort> {
    let failed = |error: io::Error| Abort::new(format!("{}: {}", change.path, reason(&error)));
    let entry = PathState::at(root, &change.path).map_err(failed)?;
    if entry.state() != change.before {
        return Err(Abort::new(format!("{} changed meanwhile", change.path)));
    }
    let target = root.join(&change.path);
    let folder = target.parent().unwrap_or(root);
    if change.after == State::Absent {
        let original = journal.original(number);
        fs.rename(&target, &original).map_err(failed)?;
        fs.sync(original.parent().unwrap_or(root)).map_err(failed)?;
    } else {
        fs.rename(&journal.new_contents(number), &target).map_err(failed)?;
    }
    fs.sync(folder).map_err(failed)
}

fn give_up(root: &Path, journal: &mut Journal, fs: &mut Fs<'_>, stop: Abort) -> Outcome {
    match undo(root, journal, fs) {
        Ok(()) => Outcome::Undone(stop),
        Err(left) => Outcome::Stuck(stop, left),
    }
}

/// Paths of a run that are neither as it found them nor as it left them.
///
/// # Errors
///
/// A path that cannot be read.
pub fn changed_since(root: &Path, journal: &Journal) -> io::Result<Vec<String>> {
    let mut changed = Vec::new();
    for change in &journal.record.changes {
        let now = PathState::at(root, &change.path)?.state();
        if now != change.before && now != change.after {
            changed.push(change.path.clone());
        }
    }
    Ok(changed)
}

/// Restores everything that a run changed.
///
/// # Errors
///
/// The files that could not be restored; all others were.
pub fn undo(root: &Path, journal: &mut Journal, fs: &mut Fs<'_>) -> Result<(), Vec<Left>> {
    let journal_left =
        |error: &io::Error| Left { path: String::new(), original: None, reason: reason(error) };
    // A run that is partly undone does not count as done.
    if matches!(journal.record.progress, Progress::Done { .. })
        && let Err(error) = journal.advance(Progress::Undoing, fs)
    {
        return Err(vec![journal_left(&error)]);
    }
    let mut left = Vec::new();
    for (number, change) in journal.record.changes.iter().enumerate().rev() {
        if let Err(reason) = restore(root, journal, number, change, fs) {
            let original = journal.original(number);
            let kept = original.symlink_metadata().is_ok();
            let original = original.strip_prefix(root).unwrap_or(&original).to_string_lossy().into_owned();
            left.push(Left { path: change.path.clone(), original: kept.then_some(original), reason });
        }
    }
    if left.is_empty()
        && let Err(error) = journal.retire(root, fs)
    {
        left.push(journal_left(&error));
    }
    if left.is_empty() { Ok(()) } else { Err(left) }
}

fn restore(
    root: &Path,
    journal: &Journal,
    number: usize,
    change: &Change,
    fs: &mut Fs<'_>,
) -> Result<(), String> {
    let failed = |error: io::Error| reason(&error);
    let entry = PathState::at(root, &change.path).map_err(failed)?;
    if entry.state() == change.before {
        return Ok(());
    }
    // The temporary file is still here: the file was changed by someone else and never replaced.
    let untouched = if change.after == State::Absent {
        journal.original(number).symlink_metadata().is_err()
    } else {
        journal.new_contents(number).symlink_metadata().is_ok()
    };
    if untouched && entry.state() != change.after {
        return Ok(());
    }
    if !matches!(entry, PathState::Absent | PathState::File(_) | PathState::Link { .. }) {
        return Err("something else is in its place".to_owned());
    }
    let target = root.join(&change.path);
    let folder = target.parent().unwrap_or(root);
    if change.before == State::Absent {
        fs.remove(&target).map_err(failed)?;
    } else {
        let original = journal.original(number);
        let name = original.strip_prefix(root).unwrap_or(&original).to_string_lossy();
        if PathState::at(root, &name).map_err(failed)?.state() != change.before {
            return Err("its original is damaged or gone".to_owned());
        }
        fs.rename(&original, &target).map_err(failed)?;
        fs.sync(original.parent().unwrap_or(root)).map_err(failed)?;
    }
    fs.sync(folder).map_err(failed)
}

fn disk_error(error: &io::Error) -> Abort {
    Abort::new(reason(error))
}
