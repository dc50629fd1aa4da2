//! The context of a command: streams, environment, the current day and the project's configuration.

use std::ffi::OsString;
use std::io::{self, BufWriter, IsTerminal, Write};
use std::path::PathBuf;

use bottle_model::images::Images;

use super::Color;
use super::failure::Failure;
use crate::config::{self, Config};
use crate::diagnostic::Diagnostic;
use crate::files;
use crate::report::Verbosity;
use crate::text::{self, Redactor};
use crate::waiver::Date;

/// Widest line, in columns.
const WIDE: usize = 100;

/// Narrowest line, in columns.
const NARROW: usize = 40;

/// Everything that a command needs besides its own arguments.
pub(super) struct Session<'a> {
    /// Root of the target.
    pub(super) root: PathBuf,
    /// How much to print.
    pub(super) verbosity: Verbosity,
    /// When reports are coloured.
    pub(super) color: Color,
    /// Whether stdout is a terminal.
    pub(super) terminal: bool,
    /// Whether a progress bar may be drawn on stderr.
    pub(super) progress: bool,
    /// Value of an environment variable.
    pub(super) environment: &'a (dyn Fn(&str) -> Option<OsString> + Sync),
    /// The current day.
    pub(super) today: Date,
    redactor: Redactor,
    /// stdout.
    pub(super) out: BufWriter<io::Stdout>,
}

impl<'a> Session<'a> {
    pub(super) fn new(
        root: PathBuf,
        verbosity: Verbosity,
        color: Color,
        environment: &'a (dyn Fn(&str) -> Option<OsString> + Sync),
        today: Date,
    ) -> Self {
        Self {
            root,
            verbosity,
            color,
            terminal: io::stdout().is_terminal(),
            progress: io::stderr().is_terminal() && verbosity != Verbosity::Quiet,
            environment,
            today,
            redactor: Redactor::new(false),
            out: BufWriter::new(io::stdout()),
        }
    }

    /// Whether a report is coloured; `stdout`: whether it goes there.
    pub(super) fn colored(&self, stdout: bool) -> bool {
        self.color.applies(stdout && self.terminal, self.environment)
    }

    /// Columns that a line of a report may fill; `stdout`: whether it goes there.
    pub(super) fn width(&self, stdout: bool) -> usize {
        let size = if stdout && self.terminal { terminal_size::terminal_size() } else { None };
        size.map_or(WIDE, |(terminal_size::Width(columns), _)| usize::from(columns)).clamp(NARROW, WIDE)
    }

    /// A variable's value, if it is text.
    pub(super) fn variable(&self, name: &str) -> Option<String> {
        (self.environment)(name)?.into_string().ok()
    }

    /// Image references in force.
    pub(super) fn images(&self, config: &Config) -> Images {
        Images::named(config.names.prefix(), |name| self.variable(name))
    }

    /// The target's configuration; without a file the default names apply.
    pub(super) fn config(&self) -> Result<Config, Failure> {
        if !self.root.is_dir() {
            let message = format!("--root {} is not a folder", self.root.display());
            return Err(Diagnostic::new(message).into());
        }
        let path = self.config_path();
        if path.symlink_metadata().is_err() {
            return Ok(Config::default());
        }
        let text = files::read(&path)?;
        config::parse(&text).map_err(|error| {
            Diagnostic {
                hint: error.hint,
                ..Diagnostic::in_file(&path, error.message).at(error.line, error.column)
            }
            .into()
        })
    }

    /// Where the target's configuration is, if there is one.
    pub(super) fn config_path(&self) -> PathBuf {
        files::tidy(&self.root.join(config::FILE))
    }

    /// Prints an error to stderr.
    pub(super) fn error(&self, problem: &Diagnostic) {
        let lines = problem.shown(&self.redactor);
        let _ = io::stderr().write_all(lines.as_bytes());
    }

    /// The text of an error, stripped and redacted.
    pub(super) fn text(&self, problem: &Diagnostic) -> String {
        problem.text(&self.redactor)
    }

    /// Prints a warning to stderr, even under `--quiet`.
    pub(super) fn warn(message: &str) {
        let _ = writeln!(io::stderr(), "warning: {}", text::strip(message));
    }

    /// Prints a note to stderr, unless `--quiet`.
    pub(super) fn note(&self, message: &str) {
        if self.verbosity != Verbosity::Quiet {
            let _ = writeln!(io::stderr(), "{}", text::strip(message));
        }
    }

    /// Prints a remark to stderr under `--verbose`.
    pub(super) fn remark(&self, message: &str) {
        if self.verbosity == Verbosity::Loud {
            let _ = writeln!(io::stderr(), "{}", text::strip(message));
        }
    }
}
