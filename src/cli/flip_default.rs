//! `flip-default`: makes the bundle the default; can be undone.

mod screen;

use std::fs::{File, TryLockError};
use std::io::{self, BufRead, IsTerminal, Write};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::AtomicBool;
use std::time::Duration;

use clap::Args;
use signal_hook::consts::{SIGHUP, SIGINT, SIGQUIT, SIGTERM};

use super::exit;
use super::failure::Failure;
use super::session::Session;
use crate::config::Config;
use crate::diagnostic::Diagnostic;
use crate::files;
use crate::flip::git::Repository;
use crate::flip::{
    self, Abort, Decision, Fs, Journal, Notes, Options, Outcome, PathState, Plan, Progress, Proof, Refusal,
};
use crate::report::Verbosity;
use crate::text::{self, Redactor};

/// Makes the bundle the default and deletes the Dockerfiles that it replaces
///
/// Checks that every plan is equivalent and that no test refers to the legacy shape, changes the files, and runs `[flip]
/// verify`. If that fails, it restores every file from the journal in .bottle-migrate.
#[derive(Debug, Args)]
#[expect(clippy::struct_excessive_bools, reason = "each is an option of the command line")]
pub(super) struct FlipDefault {
    /// Show the plan and change nothing; exit code 1 if there are changes to make
    #[arg(long, conflicts_with_all = ["yes", "apply", "rollback", "commit"])]
    dry_run: bool,
    /// Do not ask for confirmation
    #[arg(short, long)]
    yes: bool,
    /// Save the plan to this file and change nothing; exit code 1 if there are changes to make
    #[arg(long, value_name = "FILE", conflicts_with_all = ["yes", "apply", "rollback", "commit"])]
    plan_out: Option<PathBuf>,
    /// Carry out a saved plan; refused if its inputs have changed since
    #[arg(
        long,
        value_name = "FILE",
        conflicts_with_all = ["rollback", "keep_dockerfiles", "allow_dirty", "allow_no_vcs", "allow_empty"]
    )]
    apply: Option<PathBuf>,
    /// Undo the last run, finished or interrupted
    #[arg(
        long,
        conflicts_with_all = ["commit", "keep_dockerfiles", "allow_dirty", "allow_no_vcs", "allow_empty"]
    )]
    rollback: bool,
    /// Flip the default only; a later run deletes the Dockerfiles
    #[arg(long)]
    keep_dockerfiles: bool,
    /// Commit the changed files as one commit
    #[arg(long)]
    commit: bool,
    /// Change files even if they have uncommitted changes
    #[arg(long)]
    allow_dirty: bool,
    /// Run outside a git repository
    #[arg(long)]
    allow_no_vcs: bool,
    /// Flip a project that has no plans or no tests
    #[arg(long)]
    allow_empty: bool,
}

/// How an earlier run ended.
#[derive(Debug, PartialEq, Eq)]
enum End {
    Interrupted,
    Finished,
    Committed(String),
}

/// A target that is being flipped.
struct Target<'a, 'b> {
    session: &'a Session<'b>,
    root: PathBuf,
    config: Config,
    redactor: Redactor,
}

impl FlipDefault {
    pub(super) fn run(self, session: &mut Session<'_>) -> Result<u8, Failure> {
        let config = session.config()?;
        let saved = self.apply.as_deref().map(load).transpose()?;
        let root = session
            .root
            .canonicalize()
            .map_err(|error| Diagnostic::in_file(&session.root, files::reason(&error)))?;
        let target = Target { session, root, config, redactor: Redactor::new(false) };
        let looks = self.dry_run || self.plan_out.is_some();
        let _lock = match target.lock(looks) {
            Ok(lock) => lock,
            Err(refusal) => return Ok(target.refuse(&[refusal])),
        };
        if self.rollback {
            return Ok(target.roll_back());
        }
        if let Some(refusal) = target.unfinished() {
            return Ok(target.refuse(&[refusal]));
        }
        let options = saved.as_ref().map_or(
            Options {
                keep_dockerfiles: self.keep_dockerfiles,
                allow_dirty: self.allow_dirty,
                allow_no_vcs: self.allow_no_vcs,
                allow_empty: self.allow_empty,
            },
            |plan| plan.options,
        );
        if let (Some(plan), Some(file)) = (&saved, &self.apply) {
            let moved = plan.moved(|path| {
                PathState::at(&target.root, path).map_or(flip::State::Other, |entry| entry.state())
            });
            if !moved.is_empty() {
                return Ok(target.stale(file, &format!("these files have changed: {}", moved.join(", "))));
            }
        }
        let facts = flip::gather(&flip::Target {
            root: &target.root,
            named: &target.session.root,
            config: &target.config,
            images: target.session.images(&target.config),
            today: target.session.today,
            variable: &|name| target.session.variable(name),
        })?;
        let (plan, notes) = match flip::decide(&facts, options) {
            Decision::Refused(refusals) => return Ok(target.refuse(&refusals)),
            Decision::Nothing(plan) => (plan, Notes::default()),
            Decision::Change(plan, notes) => (plan, notes),
        };
        if let (Some(before), Some(file)) = (&saved, &self.apply)
            && !before.agrees(&plan)
        {
            return Ok(target.stale(file, "the project now needs other changes"));
        }
        if let Some(file) = &self.plan_out {
            save(&plan, file)?;
        }
        if plan.changes.is_empty() {
            target.say("nothing to do: the bundle is the default, and the Dockerfiles that it replaces are deleted\n")?;
            return Ok(exit::CLEAN);
        }
        if looks || target.session.verbosity != Verbosity::Quiet {
            let color = target.session.colored(true);
            target.say(&screen::plan(&plan, color, &target.redactor))?;
            if looks {
                target.say(&screen::by_hand(&notes))?;
            }
        }
        if looks {
            return Ok(exit::FINDINGS);
        }
        let repository = if self.commit {
            let Ok(repository) = Repository::of(&target.root) else {
                let message = "--commit needs a git repository".to_owned();
                return Ok(target.refuse(&[Refusal { message, ..Refusal::default() }]));
            };
            Some(repository)
        } else {
            None
        };
        if !self.yes && self.apply.is_none() {
            if !(io::stdin().is_terminal() && io::stderr().is_terminal()) {
                let refusal = Refusal {
                    message: "no terminal to ask for confirmation".to_owned(),
                    hint: Some("use --yes to flip without confirmation, or --dry-run to see the plan"),
                    ..Refusal::default()
                };
                return Ok(target.refuse(&[refusal]));
            }
            if !ask(plan.changes.len()) {
                return Ok(exit::FINDINGS);
            }
        }
        Ok(target.apply(&plan, &notes, repository.as_ref()))
    }
}

/// Reads a saved plan.
fn load(path: &Path) -> Result<Plan, Diagnostic> {
    let text = files::read(path)?;
    Plan::load(&text).map_err(|(line, column, message)| Diagnostic::in_file(path, message).at(line, column))
}

fn save(plan: &Plan, path: &Path) -> Result<(), Failure> {
    let text = plan.save().map_err(|error| Diagnostic::in_file(path, error.to_string()))?;
    let mut output = files::Output::create(path)?;
    output.write_all(text.as_bytes())?;
    Ok(output.finish()?)
}

/// Asks on the terminal; any answer but yes means no.
fn ask(files: usize) -> bool {
    let files = text::count(files, "file");
    let _ = write!(io::stderr(), "Change {files}? [y/N] ");
    let mut answer = String::new();
    let read = io::stdin().lock().read_line(&mut answer);
    read.is_ok() && matches!(answer.trim().to_lowercase().as_str(), "y" | "yes")
}

impl Target<'_, '_> {
    /// Locks the root folder; runs that change nothing share the lock.
    fn lock(&self, shared: bool) -> Result<File, Refusal> {
        let refusal = |message: String| Refusal { message, ..Refusal::default() };
        let folder = File::open(&self.root).map_err(|error| refusal(files::reason(&error)))?;
        let locked = if shared { folder.try_lock_shared() } else { folder.try_lock() };
        match locked {
            Ok(()) => Ok(folder),
            Err(TryLockError::WouldBlock) => Err(refusal("another run is using this root folder".to_owned())),
            Err(TryLockError::Error(error)) => {
                Err(refusal(format!("failed to lock the root folder: {}", files::reason(&error))))
            }
        }
    }

    /// Refuses if an earlier run was interrupted.
    fn unfinished(&self) -> Option<Refusal> {
        let refusal = |message: String, hint| Refusal { message, hint: Some(hint), ..Refusal::default() };
        let journal = match Journal::latest(&self.root) {
            Ok(journal) => journal?,
            Err(error) => {
                return Some(refusal(
                    format!("failed to read the journal of an earlier run: {error}"),
                    "the original files are in .bottle-migrate/runs; remove that folder if you do not need them",
                ));
            }
        };
        if self.end(&journal) != End::Interrupted {
            return None;
        }
        let changes = &journal.record.changes;
        let undone = |change: &&flip::Change| {
            PathState::at(&self.root, &change.path).is_ok_and(|entry| entry.state() == change.before)
        };
        let touched = changes.len() - changes.iter().filter(undone).count();
        let message =
            format!("an earlier run was interrupted: {touched} of {} files are changed", changes.len());
        Some(refusal(message, "undo it with `bottle-migrate flip-default --rollback`"))
    }

    /// How an earlier run ended; git knows whether its commit was made.
    fn end(&self, journal: &Journal) -> End {
        match &journal.record.progress {
            Progress::Done { commit } => commit.clone().map_or(End::Finished, End::Committed),
            Progress::Committing { parent } => {
                let paths: Vec<&str> =
                    journal.record.changes.iter().map(|change| change.path.as_str()).collect();
                let repository = Repository::of(&self.root).ok();
                let commit = repository.and_then(|git| git.committed(parent.as_deref(), &paths));
                commit.map_or(End::Interrupted, End::Committed)
            }
            Progress::Applying | Progress::Undoing => End::Interrupted,
        }
    }

    fn roll_back(&self) -> u8 {
        let refusal = |message: &str| Refusal { message: message.to_owned(), ..Refusal::default() };
        let mut journal = match Journal::latest(&self.root) {
            Ok(Some(journal)) => journal,
            Ok(None) => return self.refuse(&[refusal("there is nothing to undo")]),
            Err(error) => {
                let hint = "the original files are in .bottle-migrate/runs; restore them by hand";
                self.session
                    .error(&Diagnostic::new(format!("failed to read the journal: {error}")).hint(hint));
                return exit::STUCK;
            }
        };
        if let End::Committed(commit) = self.end(&journal) {
            let problem = Diagnostic::new("the last run was committed")
                .hint(format!("git revert {}", screen::short(&commit)));
            self.session.error(&problem);
            return exit::REFUSED;
        }
        match flip::changed_since(&self.root, &journal) {
            Ok(changed) if changed.is_empty() => {}
            Ok(changed) => {
                let message = "has changed since; nothing was undone";
                let refuse = |file| Refusal { file, message: message.to_owned(), ..Refusal::default() };
                return self.refuse(&changed.into_iter().map(refuse).collect::<Vec<_>>());
            }
            Err(error) => return self.refuse(&[refusal(&files::reason(&error))]),
        }
        // A signal from here on would interrupt the rollback.
        let _stop = signals();
        let paths: Vec<String> = journal.record.changes.iter().map(|change| change.path.clone()).collect();
        if matches!(journal.record.progress, Progress::Committing { .. })
            && let Ok(repository) = Repository::of(&self.root)
        {
            repository.unstage(&paths.iter().map(String::as_str).collect::<Vec<_>>());
        }
        let mut before = |_, _: &Path| Ok(());
        match flip::undo(&self.root, &mut journal, &mut Fs::new(&mut before)) {
            Ok(()) => {
                let files = text::count(paths.len(), "file");
                self.conclude(&format!("undone: restored {files}\n"));
                exit::CLEAN
            }
            Err(left) => {
                let stop =
                    Abort { why: "some files could not be restored".to_owned(), detail: String::new() };
                self.stuck(&stop, &left)
            }
        }
    }

    /// Carries out a plan.
    fn apply(&self, plan: &Plan, notes: &Notes, repository: Option<&Repository>) -> u8 {
        let stop = match signals() {
            Ok(stop) => stop,
            Err(error) => {
                self.session.error(&Diagnostic::new(format!("failed to install signal handlers: {error}")));
                return exit::UNDONE;
            }
        };
        let paths: Vec<&str> = plan.changes.iter().map(|change| change.path.as_str()).collect();
        let message = commit_message(plan);
        let limit = Duration::from_secs(self.config.flip.verify_timeout);
        let mut announce = |command: &str| {
            if self.session.verbosity != Verbosity::Quiet {
                let _ = writeln!(io::stderr(), "verifying: {}", self.redactor.scrub(command));
            }
        };
        let flag = self.config.flag.name();
        let mut verify = || flip::verify(&plan.verify, &self.root, limit, flag, &stop, &mut announce);
        let mut make_commit = || {
            let Some(repository) = repository else { return Ok(String::new()) };
            repository
                .commit(&paths, &message, &stop)
                .map_err(|detail| Abort { why: "git commit failed".to_owned(), detail })
        };
        let mut proof = Proof {
            verify: &mut verify,
            commit: repository.map(|repository| {
                let make: &mut dyn FnMut() -> Result<String, Abort> = &mut make_commit;
                (repository.head(), make)
            }),
            stop: &stop,
        };
        let mut before = |_, _: &Path| Ok(());
        match flip::carry_out(&self.root, &plan.changes, &mut Fs::new(&mut before), &mut proof) {
            Outcome::Done(commit) => {
                let done = screen::done(plan, commit.as_deref());
                self.conclude(&format!("\n{done}{}", screen::by_hand(notes)));
                exit::CLEAN
            }
            Outcome::Undone(stop) => {
                self.error(&stop, "nothing is changed, the originals are restored");
                exit::UNDONE
            }
            Outcome::Stuck(stop, left) => self.stuck(&stop, &left),
        }
    }

    /// Prints why a run stopped, after the output of the command that failed.
    fn error(&self, stop: &Abort, state: &str) {
        let mut err = io::stderr();
        for line in stop.detail.lines() {
            let _ = writeln!(err, "  | {}", self.redactor.scrub(line));
        }
        self.session.error(&Diagnostic::new(format!("{}; {state}", stop.why)));
    }

    fn stuck(&self, stop: &Abort, left: &[flip::Left]) -> u8 {
        self.error(stop, "restore these files by hand:");
        let _ = io::stderr().write_all(screen::left(left).as_bytes());
        let _ = io::stderr()
            .write_all(b"hint: fix the cause, then run `bottle-migrate flip-default --rollback` again\n");
        exit::STUCK
    }

    /// Prints every reason against the flip.
    fn refuse(&self, refusals: &[Refusal]) -> u8 {
        let mut hints: Vec<&str> = Vec::new();
        for refusal in refusals {
            let mut problem = if refusal.file.is_empty() {
                Diagnostic::new(refusal.message.clone())
            } else {
                let file = files::tidy(&self.session.root.join(&refusal.file));
                Diagnostic::in_file(&file, refusal.message.clone())
            };
            if let Some(line) = refusal.line {
                problem.file = format!("{}:{line}", problem.file);
            }
            self.session.error(&problem);
            hints.extend(refusal.hint.filter(|hint| !hints.contains(hint)));
        }
        for hint in hints {
            let _ = writeln!(io::stderr(), "hint: {hint}");
        }
        exit::REFUSED
    }

    fn stale(&self, file: &Path, why: &str) -> u8 {
        let problem = Diagnostic::in_file(file, format!("the plan is stale: {why}"));
        self.session.error(&problem.hint("make a new one with --plan-out"));
        exit::STALE
    }

    /// Prints to stdout; a closed pipe does not stop a flip.
    #[expect(clippy::unused_self, reason = "reads as a method of the target, like the others")]
    fn say(&self, text: &str) -> Result<(), Failure> {
        let mut out = io::stdout();
        match out.write_all(text.as_bytes()).and_then(|()| out.flush()) {
            Err(error) if error.kind() != io::ErrorKind::BrokenPipe => Err(error.into()),
            _ => Ok(()),
        }
    }

    /// Prints the result; a failure to print it does not change it.
    fn conclude(&self, text: &str) {
        if let Err(Failure::Diagnostic(problem)) = self.say(text) {
            self.session.error(&problem);
        }
    }
}

fn commit_message(plan: &Plan) -> String {
    let gone: Vec<String> = plan
        .changes
        .iter()
        .filter(|change| change.after == flip::State::Absent)
        .map(|change| format!("- {}", change.path))
        .collect();
    let subject = "Make the sidecar bundle the default";
    if gone.is_empty() {
        subject.to_owned()
    } else {
        format!("{subject}\n\nIt replaces:\n{}", gone.join("\n"))
    }
}

/// Makes the signals that would end the process set a flag instead.
fn signals() -> io::Result<Arc<AtomicBool>> {
    let stop = Arc::new(AtomicBool::new(false));
    for signal in [SIGHUP, SIGINT, SIGQUIT, SIGTERM] {
        signal_hook::flag::register(signal, Arc::clone(&stop))?;
    }
    Ok(stop)
}
