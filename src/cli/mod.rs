//! The command line: arguments become domain options here and go no further.

mod completions;
mod diff;
mod emit;
mod explain;
mod failure;
mod flip_default;
mod man;
mod map;
mod projects;
mod render;
mod rules;
mod scan_tests;
mod schema;
mod session;
mod source;

use std::ffi::OsString;
use std::io::{self, Write};
use std::panic::PanicHookInfo;
use std::path::PathBuf;
use std::process::ExitCode;
use std::time::SystemTime;

use clap::{Args, Parser, Subcommand, ValueEnum};

use crate::report::Verbosity;
use crate::text::{self, Redactor};
use crate::waiver;
use failure::Failure;
use session::Session;

/// Exit codes of this program (docs/design.md#exit-codes).
mod exit {
    /// Equivalent, clean or applied.
    pub(super) const CLEAN: u8 = 0;
    /// Findings, or changes pending.
    pub(super) const FINDINGS: u8 = 1;
    /// Usage or input error.
    pub(super) const USAGE: u8 = 2;
    /// A precondition is not met.
    pub(super) const REFUSED: u8 = 3;
    /// Files have changed since the plan was saved.
    pub(super) const STALE: u8 = 4;
    /// A flip failed and was rolled back.
    pub(super) const UNDONE: u8 = 5;
    /// The rollback is incomplete: restore files by hand.
    pub(super) const STUCK: u8 = 6;
    /// A bug in this program.
    pub(super) const INTERNAL: u8 = 70;
}

/// Merges the sidecar containers of a bottle into one and reports what the merge would drop or newly allow
#[derive(Debug, Parser)]
#[command(name = "bottle-migrate", version, after_help = CODES, disable_help_subcommand = true)]
struct Cli {
    #[command(flatten)]
    global: Global,
    #[command(subcommand)]
    command: Command,
}

const CODES: &str = "Exit codes: 0 equivalent, clean or applied; 1 findings, or changes pending; 2 usage or input error; \
                     3 precondition not met; 4 stale plan; 5 failed and rolled back; 6 rollback incomplete, restore \
                     files by hand; 70 internal error.\n\
                     Reports go to stdout, everything else to stderr.";

#[derive(Debug, Args)]
#[command(next_help_heading = "Global options")]
struct Global {
    /// Root folder of the project, which may have a bottle-migrate.toml
    #[arg(long, global = true, value_name = "DIR", default_value = ".")]
    root: PathBuf,
    /// When to use colours; `NO_COLOR` turns them off
    #[arg(long, global = true, value_name = "WHEN", value_enum, default_value_t = Color::Auto)]
    color: Color,
    /// Print the verdict and the errors only
    #[arg(short, long, global = true, conflicts_with = "verbose")]
    quiet: bool,
    /// Print all findings, fingerprints and whole values
    #[arg(short, long, global = true)]
    verbose: bool,
}

#[derive(Clone, Copy, Debug, ValueEnum)]
enum Color {
    Auto,
    Always,
    Never,
}

#[derive(Debug, Subcommand)]
enum Command {
    Render(render::Render),
    Diff(Box<diff::Diff>),
    ScanTests(scan_tests::ScanTests),
    FlipDefault(flip_default::FlipDefault),
    Explain(explain::Explain),
    Rules(rules::Rules),
    Schema(schema::Schema),
    Completions(completions::Completions),
    Man(man::Man),
    Map(map::Map),
}

/// Runs the command line of this process.
#[must_use]
pub fn run() -> ExitCode {
    std::panic::set_hook(Box::new(report_panic));
    let cli = match Cli::try_parse() {
        Ok(cli) => cli,
        Err(error) if error.use_stderr() => {
            // The message quotes arguments, so it is cleaned like all input.
            let message = text::strip_lines(&error.render().to_string());
            let _ = io::stderr().write_all(message.as_bytes());
            return ExitCode::from(exit::USAGE);
        }
        Err(help) => {
            let _ = help.print();
            return ExitCode::from(exit::CLEAN);
        }
    };
    let environment = |name: &str| std::env::var_os(name);
    let verbosity = match (cli.global.quiet, cli.global.verbose) {
        (true, _) => Verbosity::Quiet,
        (_, true) => Verbosity::Loud,
        _ => Verbosity::Normal,
    };
    let mut session = Session::new(
        cli.global.root,
        verbosity,
        cli.global.color,
        &environment,
        waiver::day_of(SystemTime::now()),
    );
    let done = match cli.command {
        Command::Render(command) => command.run(&mut session),
        Command::Diff(command) => command.run(&mut session),
        Command::ScanTests(command) => command.run(&mut session),
        Command::FlipDefault(command) => command.run(&mut session),
        Command::Explain(command) => command.run(&mut session),
        Command::Rules(command) => command.run(&mut session),
        Command::Schema(command) => command.run(&mut session),
        Command::Completions(command) => command.run(&mut session),
        Command::Man(command) => command.run(&mut session),
        Command::Map(command) => command.run(&mut session),
    };
    let code = match done.and_then(|code| session.out.flush().map(|()| code).map_err(Failure::from)) {
        Ok(code) => code,
        Err(Failure::BrokenPipe) => exit::CLEAN,
        Err(Failure::Diagnostic(problem)) => {
            session.error(&problem);
            exit::USAGE
        }
    };
    ExitCode::from(code)
}

impl Color {
    /// Whether to colour what goes to a `terminal`, or to something else.
    fn applies(self, terminal: bool, environment: &dyn Fn(&str) -> Option<OsString>) -> bool {
        match self {
            Self::Always => true,
            Self::Never => false,
            Self::Auto => {
                let set = |name| environment(name).is_some_and(|value| !value.is_empty());
                terminal && !set("NO_COLOR") && environment("TERM").is_none_or(|term| term != "dumb")
            }
        }
    }
}

/// Says in one line that this program is at fault, and ends the process.
fn report_panic(info: &PanicHookInfo<'_>) {
    let place = info.location().map_or_else(String::new, |at| format!(" ({}:{})", at.file(), at.line()));
    let message = info.payload_as_str().unwrap_or("no message");
    let line = format!(
        "error: internal error{place}, a bug in bottle-migrate, please report it: {}\n",
        Redactor::new(false).scrub(message)
    );
    let _ = io::stderr().write_all(line.as_bytes());
    std::process::exit(exit::INTERNAL.into());
}

#[cfg(test)]
mod tests {
    use std::process::Command;

    use clap::CommandFactory;

    use super::*;

    #[test]
    fn the_command_line_is_consistent() {
        Cli::command().debug_assert();
    }

    /// The hook ends its process, so that it is tried in a second run of this test.
    #[test]
    fn a_panic_is_one_clean_line_and_exit_70() {
        const AGAIN: &str = "PANIC_IN_THIS_TEST";
        if std::env::var_os(AGAIN).is_some() {
            std::panic::set_hook(Box::new(report_panic));
            panic!("no\u{1b}[31m such\nthing: token={}", "hunter2");
        }
        let output = Command::new(std::env::current_exe().unwrap())
            .args(["--exact", "--nocapture", "cli::tests::a_panic_is_one_clean_line_and_exit_70"])
            .env(AGAIN, "1")
            .output()
            .unwrap();
        let stderr = String::from_utf8(output.stderr).unwrap();
        assert_eq!(output.status.code(), Some(70), "{stderr}");
        let (place, message) = stderr.split_once("), a bug in bottle-migrate, please report it: ").unwrap();
        assert!(place.starts_with("error: internal error (src/cli/mod.rs:"), "{stderr}");
        assert!(message.starts_with("no[31m such thing: token=redacted #"), "{stderr}");
        assert_eq!(stderr.matches('\n').count(), 1, "{stderr}");
    }

    #[test]
    fn colour_follows_the_choice_then_the_environment() {
        let none = |_: &str| None;
        let no_color = |name: &str| (name == "NO_COLOR").then(|| OsString::from("1"));
        let empty = |name: &str| (name == "NO_COLOR").then(OsString::new);
        let dumb = |name: &str| (name == "TERM").then(|| OsString::from("dumb"));
        assert!(Color::Auto.applies(true, &none));
        assert!(Color::Auto.applies(true, &empty));
        assert!(!Color::Auto.applies(false, &none));
        assert!(!Color::Auto.applies(true, &no_color));
        assert!(!Color::Auto.applies(true, &dumb));
        assert!(Color::Always.applies(false, &no_color));
        assert!(!Color::Never.applies(true, &none));
    }
}
