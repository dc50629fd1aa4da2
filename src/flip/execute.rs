//! The one executor: carries out a plan, or leaves the target as it was; and undoes a run later.

use std::io;
use std::path::Path;
use std::sync::atomic::{AtomicBool, Ordering};

use super::disk::Disk;
use super::entry::Entry;
use super::journal::{self, Journal, Progress};
use super::plan::{Change, State};

/// Why a run was given up.
#[derive(Debug, PartialEq, Eq)]
pub struct Stop {
    /// One line.
    pub why: String,
    /// What a command said.
    pub detail: String,
}

impl Stop {
    pub(super) fn new(why: String) -> Self {
        Self { why, detail: String::new() }
    }
}

/// A file that could not be brought back.
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
    Undone(Stop),
    /// Some of it could not be undone.
    Stuck(Stop, Vec<Left>),
}

/// What has to hold after the change.
pub struct Proof<'a> {
    /// Runs what verifies the change.
    pub verify: &'a mut dyn FnMut() -> Result<(), Stop>,
    /// Commits the touched files, after this commit; gives the new one.
    pub commit: Option<Commit<'a>>,
    /// Whether a signal asked to stop.
    pub stop: &'a AtomicBool,
}

/// The commit to come: the one before it, and what makes it.
pub type Commit<'a> = (Option<String>, &'a mut dyn FnMut() -> Result<String, Stop>);

/// Carries out the changes, proves them, and undoes everything if anything fails.
pub fn carry_out(root: &Path, changes: &[Change], disk: &mut Disk<'_>, proof: &mut Proof<'_>) -> Outcome {
    let mut journal = match Journal::begin(root, changes, disk) {
        Ok(journal) => journal,
        Err(error) => {
            let stop = disk_error(&error);
            // The run may have got its place before the error.
            return match Journal::latest(root) {
                Ok(Some(mut begun)) if begun.record.progress == Progress::Applying => {
                    give_up(root, &mut begun, disk, stop)
                }
                _ => {
                    let _ = journal::tidy(root, disk);
                    Outcome::Undone(stop)
                }
            };
        }
    };
    match advance(root, &mut journal, disk, proof) {
        Ok(commit) => Outcome::Done(commit),
        Err(stop) => give_up(root, &mut journal, disk, stop),
    }
}

fn advance(
    root: &Path,
    journal: &mut Journal,
    disk: &mut Disk<'_>,
    proof: &mut Proof<'_>,
) -> Result<Option<String>, Stop> {
    for (number, change) in journal.record.changes.iter().enumerate() {
        if proof.stop.load(Ordering::Relaxed) {
            return Err(Stop::new("stopped by a signal".to_owned()));
        }
        make(root, journal, number, change, disk)?;
    }
    (proof.verify)()?;
    if proof.stop.load(Ordering::Relaxed) {
        return Err(Stop::new("stopped by a signal".to_owned()));
    }
    let mut made = None;
    if let Some((parent, commit)) = &mut proof.commit {
        let progress = Progress::Committing { parent: parent.clone() };
        journal.advance(progress, disk).map_err(|error| disk_error(&error))?;
        made = Some(commit()?);
    }
    match journal.advance(Progress::Done { commit: made.clone() }, disk) {
        // What is committed stays: the journal tells it from the commit itself.
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
    disk: &mut Disk<'_>,
) -> Result<(), Stop> {
    let failed = |error: io::Error| Stop::new(format!("{}: {}", change.path, reason(&error)));
    let entry = Entry::at(root, &change.path).map_err(failed)?;
    if entry.state() != change.before {
        return Err(Stop::new(format!("{} changed meanwhile", change.path)));
    }
    let target = root.join(&change.path);
    let folder = target.parent().unwrap_or(root);
    if change.after == State::Absent {
        let original = journal.original(number);
        disk.rename(&target, &original).map_err(failed)?;
        disk.sync(original.parent().unwrap_or(root)).map_err(failed)?;
    } else {
        disk.rename(&journal.new_contents(number), &target).map_err(failed)?;
    }
    disk.sync(folder).map_err(failed)
}

fn give_up(root: &Path, journal: &mut Journal, disk: &mut Disk<'_>, stop: Stop) -> Outcome {
    match undo(root, journal, disk) {
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
        let now = Entry::at(root, &change.path)?.state();
        if now != change.before && now != change.after {
            changed.push(change.path.clone());
        }
    }
    Ok(changed)
}

/// Brings back everything that a run changed.
///
/// # Errors
///
/// What could not be brought back; the rest was.
pub fn undo(root: &Path, journal: &mut Journal, disk: &mut Disk<'_>) -> Result<(), Vec<Left>> {
    let journal_left =
        |error: &io::Error| Left { path: String::new(), original: None, reason: reason(error) };
    // Half undone is no longer done.
    if matches!(journal.record.progress, Progress::Done { .. })
        && let Err(error) = journal.advance(Progress::Undoing, disk)
    {
        return Err(vec![journal_left(&error)]);
    }
    let mut left = Vec::new();
    for (number, change) in journal.record.changes.iter().enumerate().rev() {
        if let Err(reason) = restore(root, journal, number, change, disk) {
            let original = journal.original(number);
            let kept = original.symlink_metadata().is_ok();
            let original = original.strip_prefix(root).unwrap_or(&original).to_string_lossy().into_owned();
            left.push(Left { path: change.path.clone(), original: kept.then_some(original), reason });
        }
    }
    if left.is_empty()
        && let Err(error) = journal.retire(root, disk)
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
    disk: &mut Disk<'_>,
) -> Result<(), String> {
    let failed = |error: io::Error| reason(&error);
    let entry = Entry::at(root, &change.path).map_err(failed)?;
    if entry.state() == change.before {
        return Ok(());
    }
    // What stood in for the change is still here: somebody else changed the file, and it was never touched.
    let untouched = if change.after == State::Absent {
        journal.original(number).symlink_metadata().is_err()
    } else {
        journal.new_contents(number).symlink_metadata().is_ok()
    };
    if untouched && entry.state() != change.after {
        return Ok(());
    }
    if !matches!(entry, Entry::Absent | Entry::File(_) | Entry::Link { .. }) {
        return Err("something else is in its place".to_owned());
    }
    let target = root.join(&change.path);
    let folder = target.parent().unwrap_or(root);
    if change.before == State::Absent {
        disk.remove(&target).map_err(failed)?;
    } else {
        let original = journal.original(number);
        let name = original.strip_prefix(root).unwrap_or(&original).to_string_lossy();
        if Entry::at(root, &name).map_err(failed)?.state() != change.before {
            return Err("its original is damaged or gone".to_owned());
        }
        disk.rename(&original, &target).map_err(failed)?;
        disk.sync(original.parent().unwrap_or(root)).map_err(failed)?;
    }
    disk.sync(folder).map_err(failed)
}

fn disk_error(error: &io::Error) -> Stop {
    Stop::new(reason(error))
}

/// What went wrong, without the number of the system's error.
fn reason(error: &io::Error) -> String {
    let text = error.to_string();
    text.split(" (os error").next().unwrap_or(&text).to_lowercase()
}
