//! `diff`: each plan or compose file against its bundle, or two compose files, compared.

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};
use std::sync::mpsc;
use std::thread;
use std::time::Duration;

use bottle_model::daemon::Isolation;
use clap::{Args, ValueEnum, value_parser};
use indicatif::{ProgressBar, ProgressDrawTarget, ProgressStyle};
use rayon::iter::{IntoParallelRefIterator, ParallelIterator};

use super::emit::Emitter;
use super::exit;
use super::failure::Failure;
use super::projects::Projects;
use super::session::Session;
use super::source::{isolation, roles};
use crate::compare::{Comparer, Detail, PlanText, Project, Wants, plans, source};
use crate::compose::Surroundings;
use crate::config::{Compare, Config};
use crate::diagnostic::{Diagnostic, input_name};
use crate::finding::Severity;
use crate::images::target;
use crate::report::{
    Comparison, GitHub, Html, Human, JUnit, Json, Markdown, RenderOptions, Reporter, Sarif, Verbosity,
    Verdict,
};
use crate::rule::RuleId;
use crate::text::Redactor;
use crate::{engine, files, waiver};

/// Plans that are compared and reported together; three windows are in memory at once.
const WINDOW: usize = 32;

/// Number of plans from which a progress bar is shown.
const LONG: usize = 200;

/// Note about a container whose processes cannot be read.
const UNSEEN: &str = "not checked: user, command line, variables, sockets and mounts of its processes. Only root on the \
                      engine's own machine can read them; the plan's values are used instead";

/// Compares the containers before and after the merge
///
/// Compares each SOURCE with the bundle made from it: a compose file with its merged form, or the two shapes of a plan.
/// --running compares each plan with the containers that an engine runs. --legacy and --bundle compare two compose
/// files. Without any of these, it compares the sources that `[plans] include` in bottle-migrate.toml lists
/// (plans/**/*.json by default), or the files of its `[compare]`.
#[derive(Debug, Args)]
#[expect(clippy::struct_excessive_bools, reason = "each is a flag of the command line")]
pub(super) struct Diff {
    /// Compose files and plans: files, folders (compose files by their usual names and every *.json below), globs, or
    /// `-` for stdin
    #[arg(value_name = "SOURCE", conflicts_with_all = ["legacy", "bundle"])]
    plans: Vec<PathBuf>,
    /// Compare each plan with its running containers, in the shape that runs
    #[arg(long, requires = "plans", conflicts_with_all = ["legacy", "bundle"])]
    running: bool,
    /// Time limit for the engine queries about one bottle
    #[arg(long, value_name = "SECONDS", requires = "running", default_value_t = 30, value_parser = value_parser!(u64).range(1..))]
    engine_timeout: u64,
    /// Compose file of the legacy shape, then its overrides; without --bundle, compared with the bundle made from it
    #[arg(long, value_name = "FILE", num_args = 1..)]
    legacy: Vec<PathBuf>,
    /// Compose file of the bundle, then its overrides
    #[arg(long, value_name = "FILE", num_args = 1.., requires = "legacy")]
    bundle: Vec<PathBuf>,
    /// TOML file that maps services to principals, for service names that are not built in
    #[arg(long, value_name = "FILE")]
    map: Option<PathBuf>,
    /// How far the merged daemons of a compose file are kept apart: require, best-effort or off
    #[arg(long, value_name = "LEVEL", value_parser = isolation, default_value = "best-effort", conflicts_with = "bundle")]
    isolation: Isolation,
    /// Compare two files even if the second merges no daemons
    #[arg(long, requires = "bundle")]
    allow_unmerged: bool,
    #[command(flatten)]
    projects: Projects,
    /// Format of the report
    #[arg(long, value_enum, default_value_t = Format::Human)]
    format: Format,
    /// Write the report to this file, once it is complete, instead of to stdout
    #[arg(short, long, value_name = "FILE")]
    output: Option<PathBuf>,
    /// Lowest severity that fails the run
    #[arg(long, value_name = "SEVERITY", value_enum, default_value_t = FailOn::Error)]
    fail_on: FailOn,
    /// Show a text diff of the two compose files as well (human format only)
    #[arg(long)]
    text: bool,
    /// Show values of environment variables, and texts that look like credentials
    #[arg(long)]
    unredacted: bool,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
enum Format {
    /// For a terminal
    Human,
    /// bottle-migrate/report/1
    Json,
    /// SARIF 2.1.0, for code scanning
    Sarif,
    /// GitHub annotations
    #[value(name = "github")]
    GitHub,
    /// JUnit XML, for the test reports of CI servers
    #[value(name = "junit")]
    JUnit,
    /// GitHub Flavored Markdown, for comments and job summaries
    Markdown,
    /// Self-contained HTML page
    Html,
}

impl Format {
    fn reporter(self, options: RenderOptions) -> Box<dyn Reporter> {
        match self {
            Self::Human => Box::new(Human::new(options)),
            Self::Json => Box::new(Json::default()),
            Self::Sarif => Box::new(Sarif::new(RuleId::comparisons().collect())),
            Self::GitHub => Box::new(GitHub),
            Self::JUnit => Box::new(JUnit::new(options.threshold)),
            Self::Markdown => Box::new(Markdown),
            Self::Html => Box::new(Html),
        }
    }
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
enum FailOn {
    /// Errors fail the run
    Error,
    /// Errors and warnings fail the run
    Warning,
    /// No finding fails the run
    Never,
}

impl FailOn {
    const fn threshold(self) -> Option<Severity> {
        match self {
            Self::Error => Some(Severity::Error),
            Self::Warning => Some(Severity::Warning),
            Self::Never => None,
        }
    }
}

/// What is compared.
enum Inputs {
    Plans(Vec<PathBuf>),
    Running(Vec<PathBuf>, Duration),
    Merger(Project),
    Pair { legacy: Project, bundle: Project, unmerged: bool },
}

impl Diff {
    pub(super) fn run(self, session: &mut Session<'_>) -> Result<u8, Failure> {
        if self.text && self.format != Format::Human {
            return Err(Diagnostic::new("--text goes with --format human only").into());
        }
        let mut config = session.config()?;
        // Waivers of forms are the scan's to judge.
        config.waivers.retain(|waiver| !waiver.rule.is_some_and(RuleId::is_of_scan));
        let (switches, legacy, bundle) = self.projects.switches();
        let named = |legacy_files: Vec<PathBuf>, bundle_files: Vec<PathBuf>| {
            let legacy = Project { files: legacy_files, switches: legacy };
            if bundle_files.is_empty() {
                return Inputs::Merger(legacy);
            }
            let bundle = Project { files: bundle_files, switches: bundle };
            Inputs::Pair { legacy, bundle, unmerged: self.allow_unmerged }
        };
        let inputs = if !self.legacy.is_empty() {
            named(self.legacy, self.bundle)
        } else if self.running {
            Inputs::Running(plans::expand(&self.plans)?, Duration::from_secs(self.engine_timeout))
        } else if !self.plans.is_empty() {
            Inputs::Plans(plans::expand(&self.plans)?)
        } else if !config.compare.legacy.is_empty() {
            let [legacy, bundle] = [&config.compare.legacy, &config.compare.bundle]
                .map(|files| Compare::below(&session.root, files));
            named(legacy, bundle)
        } else {
            Inputs::Plans(included(session, &config)?)
        };
        let total = match &inputs {
            Inputs::Plans(found) | Inputs::Running(found, _) => found.len(),
            Inputs::Merger(_) | Inputs::Pair { .. } => 1,
        };
        session.remark(&format!("comparisons: {total}"));

        let output = files::Output::asked(self.output.as_deref())?;
        let options = RenderOptions {
            color: session.colored(output.is_none()),
            verbosity: session.verbosity,
            single: total == 1,
            width: session.width(output.is_none()),
            threshold: self.fail_on.threshold(),
        };
        let redactor = Redactor::new(self.unredacted);
        let detail = if self.format != Format::Human {
            Detail::Document
        } else if total == 1 || session.verbosity == Verbosity::Loud {
            Detail::Screen
        } else {
            Detail::Errors
        };
        let map = self.map.or_else(|| config.compare.map(&session.root));
        let roles = roles(map.as_deref(), &session.images(&config))?;
        let comparer = Comparer {
            images: session.images(&config),
            isolation: self.isolation,
            switches,
            roles: source::with_images(roles, map.as_deref(), &session.root, &config)?,
            waivers: &config.waivers,
            today: session.today,
            redactor: &redactor,
            wants: Wants { detail, text: self.text },
        };
        let mut emitter = Emitter::new(self.format.reporter(options), output);
        emitter.begin(session)?;
        match &inputs {
            Inputs::Plans(found) => compare_all(&comparer, found, session, &mut emitter)?,
            Inputs::Running(found, limit) => {
                for path in found {
                    let result = compare_running(&comparer, path, *limit);
                    emitter.take(result, session)?;
                }
            }
            Inputs::Merger(project) => {
                let result = compare_merger(&comparer, project, &|name| session.variable(name));
                emitter.take(result, session)?;
            }
            Inputs::Pair { legacy, bundle, unmerged } => {
                let result = compare_files(&comparer, (legacy, bundle), *unmerged, session);
                emitter.take(result, session)?;
                // Another pair may need it.
                for waiver in waiver::unused(&config.waivers, session.today) {
                    let (file, line) = (input_name(&session.config_path()), waiver.line);
                    Session::warn(&format!(
                        "{file}:{line}: no finding here needs the waiver of {}",
                        waiver.subject()
                    ));
                }
            }
        }
        let everything = match &inputs {
            Inputs::Plans(found) if emitter.summary().failed == 0 => covers(session, &config, found)?,
            _ => false,
        };
        let summary = emitter.end(&comparer.closing(&session.config_path(), everything), session)?;
        Ok(match summary.verdict(options.threshold) {
            Verdict::Clean => exit::CLEAN,
            Verdict::Findings => exit::FINDINGS,
            Verdict::Unchecked => exit::USAGE,
        })
    }
}

/// Plans that the configuration names.
fn included(session: &Session<'_>, config: &Config) -> Result<Vec<PathBuf>, Failure> {
    let globs: Vec<&str> = config.plans.include.iter().map(|glob| glob.get_ref().as_str()).collect();
    let found = plans::included(&session.root, &globs)?;
    if found.is_empty() {
        return Err(Diagnostic::new(format!("no plan matches `{}`", globs.join("`, `")))
            .hint("name plans, or --legacy and --bundle, or set `[plans] include` in bottle-migrate.toml")
            .into());
    }
    Ok(found)
}

/// Whether `found` has every plan that the configuration names, and so all that its waivers could apply to.
fn covers(session: &Session<'_>, config: &Config, found: &[PathBuf]) -> Result<bool, Failure> {
    if config.waivers.is_empty() {
        return Ok(false);
    }
    let globs: Vec<&str> = config.plans.include.iter().map(|glob| glob.get_ref().as_str()).collect();
    let wanted = plans::included(&session.root, &globs)?;
    let checked: BTreeSet<PathBuf> = found.iter().map(|path| plans::identity(path)).collect();
    Ok(!wanted.is_empty() && wanted.iter().all(|path| checked.contains(&plans::identity(path))))
}

/// Compares a plan or a compose file with the bundle that is made of it; a plan is rendered `twice` or once.
fn compare_source(
    comparer: &Comparer<'_>,
    path: &Path,
    twice: bool,
    variable: &dyn Fn(&str) -> Option<String>,
) -> Result<Comparison, Diagnostic> {
    Ok(comparer.source(path, &files::read(path)?, twice, variable)?)
}

/// Compares a compose project with the bundle that is made of it.
fn compare_merger(
    comparer: &Comparer<'_>,
    project: &Project,
    variable: &dyn Fn(&str) -> Option<String>,
) -> Result<Comparison, Diagnostic> {
    let surroundings = Surroundings {
        variable: &source::with_folder(variable),
        file: &files::text_of,
        absolute: &files::absolute,
    };
    Ok(comparer.merger(project, &surroundings)?)
}

/// Compares the plan in a file with what an engine runs of it.
fn compare_running(comparer: &Comparer<'_>, path: &Path, limit: Duration) -> Result<Comparison, Diagnostic> {
    let text = files::read(path)?;
    let source = PlanText::new(path, &text);
    let (comparison, unseen) = comparer.running(source, |legacy| engine::scene(legacy, limit))?;
    for container in unseen {
        Session::warn(&format!("{container}: {UNSEEN}"));
    }
    Ok(comparison)
}

/// Compares two compose projects.
fn compare_files(
    comparer: &Comparer<'_>,
    (legacy, bundle): (&Project, &Project),
    unmerged: bool,
    session: &Session<'_>,
) -> Result<Comparison, Diagnostic> {
    let variable = |name: &str| session.variable(name);
    let surroundings = Surroundings {
        variable: &source::with_folder(&variable),
        file: &files::text_of,
        absolute: &files::absolute,
    };
    Ok(target::below(Path::new("/"), |tree| comparer.pair((legacy, bundle), unmerged, &surroundings, tree))?)
}

/// Compares plans in parallel, and hands on the results in order: a window is reported while the next is compared.
fn compare_all(
    comparer: &Comparer<'_>,
    found: &[PathBuf],
    session: &mut Session<'_>,
    emitter: &mut Emitter,
) -> Result<(), Failure> {
    if let [one] = found {
        let result = compare_source(comparer, one, true, &|name| session.variable(name));
        return emitter.take(result, session);
    }
    let bar = progress(session, found.len());
    let environment = session.environment;
    let variable = |name: &str| environment(name)?.into_string().ok();
    thread::scope(|scope| {
        let (sender, windows) = mpsc::sync_channel(1);
        scope.spawn(move || {
            for (number, window) in found.chunks(WINDOW).enumerate() {
                let each = |path: &PathBuf| compare_source(comparer, path, number == 0, &variable);
                let results: Vec<_> = window.par_iter().map(each).collect();
                // A report that could not be written takes no more.
                if sender.send(results).is_err() {
                    return;
                }
            }
        });
        for results in windows {
            bar.inc(results.len() as u64);
            bar.suspend(|| {
                results.into_iter().try_for_each(|result| emitter.take(result, session))?;
                emitter.flush(session)
            })?;
        }
        bar.finish_and_clear();
        Ok(())
    })
}

fn progress(session: &Session<'_>, total: usize) -> ProgressBar {
    if !session.progress || total < LONG {
        return ProgressBar::hidden();
    }
    let bar = ProgressBar::with_draw_target(Some(total as u64), ProgressDrawTarget::stderr());
    let style = ProgressStyle::with_template("{bar:40} {pos}/{len} plans, {eta} left");
    style.map_or_else(|_| bar.clone(), |style| bar.clone().with_style(style))
}
