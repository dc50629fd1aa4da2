//! The write-ahead journal: what a run is about to do, with the originals, in `.bottle-migrate/` at the root.
//!
//! A run is prepared in `next`, where nothing counts, and begins when it gets its place as `runs/N`. Each run that was
//! not undone keeps its place, so that undoing goes back step by step.

use std::fs::{self, Metadata};
use std::io;
use std::path::{Path, PathBuf};

use serde::{Deserialize, Serialize};
use thiserror::Error;

use super::fs::Fs;
use super::path_state::State;
use super::plan::Change;

/// Name of the journal's folder, at the root.
pub const FOLDER: &str = ".bottle-migrate";

/// Name and version of a record.
const SCHEMA: &str = "bottle-migrate/journal/1";

/// Name of a run's record.
const RECORD: &str = "record.json";

/// How far a run has come.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "state", rename_all = "kebab-case", deny_unknown_fields)]
pub enum Progress {
    /// Files are changing, or are being verified.
    Applying,
    /// Git is making the commit.
    Committing {
        /// The commit that was checked out before.
        parent: Option<String>,
    },
    /// The run is being undone.
    Undoing,
    /// All is done.
    Done {
        /// The commit that was made.
        commit: Option<String>,
    },
}

/// What a run does.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Record {
    schema: String,
    /// How far it has come.
    pub progress: Progress,
    /// What it changes.
    pub changes: Vec<Change>,
}

/// A record that cannot be read.
#[derive(Debug, Error)]
#[error("{file}: {reason}")]
pub struct Unreadable {
    /// The record, below the root.
    pub file: String,
    /// What is wrong.
    pub reason: String,
}

/// The latest run.
#[derive(Clone, Debug)]
pub struct Journal {
    /// The run's folder.
    pub(super) folder: PathBuf,
    /// What it says.
    pub record: Record,
}

impl Journal {
    /// Finds the latest run at `root`, if there is one.
    ///
    /// # Errors
    ///
    /// Its record is not valid.
    pub fn latest(root: &Path) -> Result<Option<Self>, Unreadable> {
        let base = root.join(FOLDER);
        match base.symlink_metadata() {
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(None),
            Ok(found) if found.is_dir() => {}
            Ok(_) => return Err(unreadable(root, &base, "is not a folder")),
            Err(error) => return Err(unreadable(root, &base, &error.to_string())),
        }
        let runs = base.join("runs");
        let Some(number) = last(&runs).map_err(|error| unreadable(root, &runs, &error.to_string()))? else {
            return Ok(None);
        };
        let folder = runs.join(number.to_string());
        let file = folder.join(RECORD);
        let failed = |reason: &str| unreadable(root, &file, reason);
        let text = fs::read_to_string(&file).map_err(|error| failed(&error.to_string()))?;
        let record: Record = serde_json::from_str(&text).map_err(|error| failed(&error.to_string()))?;
        if record.schema != SCHEMA {
            return Err(failed(&format!("`{}` is not the journal of this version, {SCHEMA}", record.schema)));
        }
        if record.changes.iter().any(|change| !is_inner(&change.path)) {
            return Err(failed("a path leaves the root"));
        }
        Ok(Some(Self { folder, record }))
    }

    /// Writes down a run, with all that it takes to make and to undo it, and begins it.
    pub(super) fn begin(root: &Path, changes: &[Change], fs: &mut Fs<'_>) -> io::Result<Self> {
        let base = root.join(FOLDER);
        let fresh = base.symlink_metadata().is_err();
        fs.folder(&base)?;
        if fresh {
            fs.sync(root)?;
        }
        // The folder ignores itself, whatever the target's own list says.
        let list = base.join(".gitignore");
        if fs::read(&list).is_ok_and(|text| text != b"*\n") {
            fs.remove(&list)?;
        }
        if list.symlink_metadata().is_err() {
            fs.write(&list, b"*\n", None)?;
        }
        let runs = base.join("runs");
        fs.folder(&runs)?;
        fs.sync(&base)?;
        for left in ["next", "undone"] {
            fs.clear(&base.join(left))?;
        }
        let next = base.join("next");
        let (originals, new) = (next.join("originals"), next.join("new"));
        for folder in [&next, &originals, &new] {
            fs.folder(folder)?;
        }
        for (number, change) in changes.iter().enumerate() {
            let name = number.to_string();
            let target = root.join(&change.path);
            let like: Option<Metadata> = target.symlink_metadata().ok();
            if change.after == State::Absent {
                continue;
            }
            if change.before != State::Absent {
                fs.write(&originals.join(&name), &change.old, like.as_ref())?;
            }
            fs.write(&new.join(&name), &change.new, like.as_ref())?;
        }
        let record =
            Record { schema: SCHEMA.to_owned(), progress: Progress::Applying, changes: changes.to_vec() };
        fs.write(&next.join(RECORD), serde_json::to_string_pretty(&record)?.as_bytes(), None)?;
        for folder in [&originals, &new, &next] {
            fs.sync(folder)?;
        }
        let folder = runs.join((last(&runs)?.unwrap_or(0) + 1).to_string());
        fs.rename(&next, &folder)?;
        let journal = Self { folder, record };
        fs.sync(&runs)?;
        fs.sync(&base)?;
        Ok(journal)
    }

    /// Records the progress of the run.
    pub(super) fn advance(&mut self, progress: Progress, fs: &mut Fs<'_>) -> io::Result<()> {
        let record = Record { progress, ..self.record.clone() };
        let (file, new) = (self.folder.join(RECORD), self.folder.join("record.new"));
        if new.symlink_metadata().is_ok() {
            fs.remove(&new)?;
        }
        fs.write(&new, serde_json::to_string_pretty(&record)?.as_bytes(), None)?;
        fs.rename(&new, &file)?;
        self.record = record;
        fs.sync(&self.folder)
    }

    /// Ends a run that was undone; what is left of an empty journal goes as well.
    pub(super) fn retire(&self, root: &Path, fs: &mut Fs<'_>) -> io::Result<()> {
        let base = root.join(FOLDER);
        let undone = base.join("undone");
        fs.clear(&undone)?;
        fs.rename(&self.folder, &undone)?;
        fs.sync(&base.join("runs"))?;
        fs.sync(&base)?;
        // The run has ended: the next run overwrites what is left.
        let _ = tidy(root, fs);
        Ok(())
    }

    /// Where the original of a change is kept.
    pub(super) fn original(&self, number: usize) -> PathBuf {
        self.folder.join("originals").join(number.to_string())
    }

    /// Where the new contents of a change are kept.
    pub(super) fn new_contents(&self, number: usize) -> PathBuf {
        self.folder.join("new").join(number.to_string())
    }
}

/// Removes what a run left that never began or that was undone, and the whole journal if no run is in it.
pub(super) fn tidy(root: &Path, fs: &mut Fs<'_>) -> io::Result<()> {
    let base = root.join(FOLDER);
    if !base.symlink_metadata().is_ok_and(|found| found.is_dir()) {
        return Ok(());
    }
    fs.clear(&base.join("next"))?;
    fs.clear(&base.join("undone"))?;
    let runs = base.join("runs");
    if runs.symlink_metadata().is_ok() {
        if last(&runs)?.is_some() {
            return Ok(());
        }
        fs.remove_folder(&runs)?;
    }
    let list = base.join(".gitignore");
    let alone = fs::read_dir(&base)?.all(|entry| entry.is_ok_and(|entry| entry.path() == list));
    if alone {
        if list.symlink_metadata().is_ok() {
            fs.remove(&list)?;
        }
        fs.remove_folder(&base)?;
    }
    Ok(())
}

/// Number of the latest run.
fn last(runs: &Path) -> io::Result<Option<u64>> {
    let entries = match fs::read_dir(runs) {
        Ok(entries) => entries,
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(None),
        Err(error) => return Err(error),
    };
    let mut last = None;
    for entry in entries {
        last = last.max(entry?.file_name().to_str().and_then(|name| name.parse().ok()));
    }
    Ok(last)
}

fn is_inner(path: &str) -> bool {
    use std::path::Component;
    !path.is_empty()
        && !path.contains('\0')
        && Path::new(path).components().all(|part| matches!(part, Component::Normal(_) | Component::CurDir))
}

fn unreadable(root: &Path, file: &Path, reason: &str) -> Unreadable {
    let file = file.strip_prefix(root).unwrap_or(file).to_string_lossy().into_owned();
    Unreadable { file, reason: reason.to_owned() }
}
