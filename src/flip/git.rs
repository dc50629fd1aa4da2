//! Asks git about a project through its command line, and makes the one commit.

use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::atomic::AtomicBool;

use super::verify::SHOWN;
use crate::files;
use crate::process::{self, End, Limits, Unfinished};

/// Variables of git that say who commits and what is configured, not which repository is meant.
const KEPT: &[&str] =
    &["GIT_AUTHOR_", "GIT_COMMITTER_", "GIT_CONFIG", "GIT_CEILING_DIRECTORIES", "GIT_SSH", "GIT_ASKPASS"];

/// Why a file is not as git has it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Unclean {
    /// Changes that are not committed.
    Modified,
    /// A file that git does not have.
    Untracked,
    /// Marked `assume-unchanged` or `skip-worktree`.
    Hidden,
}

/// A repository, by a folder within its working tree.
#[derive(Clone, Debug)]
pub struct Repository {
    root: PathBuf,
}

/// Why git gave no answer.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum NoAnswer {
    /// There is no git, or no repository.
    NoRepository,
    /// What git said.
    Failed(String),
}

impl Repository {
    /// The repository that `root` is in.
    ///
    /// # Errors
    ///
    /// There is no repository, or git failed.
    pub fn of(root: &Path) -> Result<Self, NoAnswer> {
        let repository = Self { root: root.to_owned() };
        match repository.ask(&["rev-parse", "--is-inside-work-tree"], &[]) {
            Ok(answer) if answer.trim_ascii() == b"true" => Ok(repository),
            Ok(_) => Err(NoAnswer::NoRepository),
            Err(NoAnswer::Failed(message)) if message.contains("not a git repository") => {
                Err(NoAnswer::NoRepository)
            }
            Err(error) => Err(error),
        }
    }

    /// Paths below the root folder with uncommitted changes.
    ///
    /// # Errors
    ///
    /// Git failed.
    pub fn unclean(&self, paths: &[&str]) -> Result<BTreeMap<String, Unclean>, NoAnswer> {
        let mut unclean = BTreeMap::new();
        if paths.is_empty() {
            return Ok(unclean);
        }
        let tracked = self.tracked(paths)?;
        for path in paths {
            if !tracked.contains_key(*path) && self.root.join(path).symlink_metadata().is_ok() {
                unclean.insert((*path).to_owned(), Unclean::Untracked);
            }
        }
        for (path, tag) in tracked {
            if tag != b'H' {
                unclean.insert(path, Unclean::Hidden);
            }
        }
        let prefix = self.ask(&["rev-parse", "--show-prefix"], &[])?;
        let prefix = text(prefix.strip_suffix(b"\n").unwrap_or(&prefix));
        let status = ["status", "--porcelain=v1", "-z", "--no-renames", "--untracked-files=no"];
        for entry in self.ask(&status, paths)?.split(|byte| *byte == 0).filter(|entry| entry.len() > 3) {
            let path = text(&entry[3..]);
            let path = path.strip_prefix(prefix.as_str()).unwrap_or(&path).to_owned();
            unclean.entry(path).or_insert(Unclean::Modified);
        }
        Ok(unclean)
    }

    /// Files that git has although its ignore files name them, below the root.
    ///
    /// # Errors
    ///
    /// Git failed.
    pub fn ignored_but_tracked(&self) -> Result<Vec<String>, NoAnswer> {
        let answer = self.ask(&["ls-files", "-z", "--cached", "--ignored", "--exclude-standard"], &[])?;
        Ok(names(&answer).collect())
    }

    /// The commit that is checked out, if there is one.
    #[must_use]
    pub fn head(&self) -> Option<String> {
        let answer = self.ask(&["rev-parse", "--verify", "--quiet", "HEAD^{commit}"], &[]).ok()?;
        Some(text(answer.trim_ascii()))
    }

    /// The first commit after `parent` on the way to the one that is checked out, if it changes just `paths`.
    #[must_use]
    pub fn committed(&self, parent: Option<&str>, paths: &[&str]) -> Option<String> {
        let range = parent.map_or_else(|| "HEAD".to_owned(), |parent| format!("{parent}..HEAD"));
        let list = self.ask(&["rev-list", "--reverse", "--first-parent", &range, "--"], &[]).ok()?;
        let commit = text(list.split(|byte| *byte == b'\n').next()?);
        if commit.is_empty() {
            return None;
        }
        let tree = [
            "diff-tree",
            "--root",
            "--no-commit-id",
            "--name-only",
            "--no-renames",
            "--relative",
            "-r",
            "-z",
        ];
        let mut arguments = tree.to_vec();
        arguments.push(&commit);
        let changed = self.ask(&arguments, &[]).ok()?;
        let changed: BTreeSet<String> = names(&changed).collect();
        let known = |path: &String| paths.contains(&path.as_str());
        (!changed.is_empty() && changed.iter().all(known)).then_some(commit)
    }

    /// Commits just these paths, with the hooks of the repository, and gives the commit's id.
    ///
    /// # Errors
    ///
    /// The output of git or a hook; the index is unchanged.
    pub fn commit(&self, paths: &[&str], message: &str, stop: &AtomicBool) -> Result<String, String> {
        let failed = |error: NoAnswer| match error {
            NoAnswer::NoRepository => "git is missing".to_owned(),
            NoAnswer::Failed(message) => message,
        };
        let tracked = self.tracked(paths).map_err(failed)?;
        let there = |path: &&&str| self.root.join(path).symlink_metadata().is_ok();
        let fresh: Vec<&str> =
            paths.iter().filter(|path| !tracked.contains_key(**path)).filter(there).copied().collect();
        // What git never had and what is gone needs no commit.
        let wanted: Vec<&str> = paths
            .iter()
            .filter(|path| tracked.contains_key(**path) || fresh.contains(*path))
            .copied()
            .collect();
        if wanted.is_empty() {
            return Err("git tracks none of the changed files".to_owned());
        }
        if !fresh.is_empty() {
            self.ask(&["add", "--intent-to-add", "--force"], &fresh).map_err(failed)?;
        }
        let made = self.make_commit(&wanted, message, stop).map_err(failed);
        if made.is_err() {
            self.unstage(&fresh);
        }
        made?;
        self.head().ok_or_else(|| "git has no commit at HEAD".to_owned())
    }

    /// Takes paths that were never committed out of the index.
    pub fn unstage(&self, paths: &[&str]) {
        let fresh: Vec<&str> = paths.iter().filter(|path| !self.in_head(path)).copied().collect();
        if !fresh.is_empty() {
            // Where the index does not have them there is nothing to take out.
            let _ = self.ask(&["rm", "--cached", "--quiet", "--ignore-unmatch", "--force"], &fresh);
        }
    }

    fn in_head(&self, path: &str) -> bool {
        self.ask(&["ls-tree", "--name-only", "-z", "HEAD"], &[path]).is_ok_and(|answer| !answer.is_empty())
    }

    fn make_commit(&self, paths: &[&str], message: &str, stop: &AtomicBool) -> Result<(), NoAnswer> {
        let mut command = self.command(&["commit", "--quiet", "--only", "--message", message], paths);
        // On TERM git removes its locks, which it does not on KILL.
        let limits = Limits { stop: Some(stop), end: End::Ask, ..Limits::default() };
        match process::run(&mut command, limits, true) {
            Ok(done) if done.status.success() => Ok(()),
            Ok(done) => Err(NoAnswer::Failed(process::tail(done.stdout, SHOWN))),
            Err(Unfinished::NotStarted(_)) => Err(NoAnswer::NoRepository),
            Err(error) => Err(NoAnswer::Failed(error.to_string())),
        }
    }

    /// Which of the paths the index has, with git's letter for each.
    fn tracked(&self, paths: &[&str]) -> Result<BTreeMap<String, u8>, NoAnswer> {
        let answer = self.ask(&["ls-files", "-v", "-z", "--cached"], paths)?;
        let entry = |entry: &[u8]| Some((text(entry.get(2..)?), *entry.first()?));
        Ok(answer.split(|byte| *byte == 0).filter_map(entry).collect())
    }

    fn ask(&self, arguments: &[&str], paths: &[&str]) -> Result<Vec<u8>, NoAnswer> {
        let failed = |error: std::io::Error| NoAnswer::Failed(files::reason(&error));
        match process::run(&mut self.command(arguments, paths), Limits::default(), false) {
            Ok(done) if done.status.success() => process::read(done.stdout).map_err(failed),
            Ok(done) => {
                let message = text(&process::read(done.stderr).map_err(failed)?);
                let message = message.trim().trim_start_matches("fatal: ");
                Err(NoAnswer::Failed(message.to_owned()))
            }
            Err(_) => Err(NoAnswer::NoRepository),
        }
    }

    /// Git on this repository alone, whatever the environment names, with paths taken literally.
    fn command(&self, arguments: &[&str], paths: &[&str]) -> Command {
        let mut command = Command::new("git");
        for (name, _) in std::env::vars_os() {
            let text = name.to_string_lossy();
            if text.starts_with("GIT_") && !KEPT.iter().any(|kept| text.starts_with(kept)) {
                command.env_remove(&name);
            }
        }
        command.env("LC_ALL", "C").current_dir(&self.root);
        command.args(["--no-pager", "--literal-pathspecs", "--no-optional-locks", "-c", "core.fsmonitor="]);
        command.args(arguments);
        if !paths.is_empty() {
            command.arg("--").args(paths);
        }
        command
    }
}

fn text(bytes: &[u8]) -> String {
    String::from_utf8_lossy(bytes).into_owned()
}

fn names(bytes: &[u8]) -> impl Iterator<Item = String> {
    bytes.split(|byte| *byte == 0).filter(|name| !name.is_empty()).map(text)
}
