//! PID 1 of a bottle's merged sidecars: starts its daemons, keeps them apart, and ends with them.

mod confine;
mod control;
mod faults;
mod lines;
mod outcome;
mod proc;
mod settings;
mod sink;
mod supervisor;
mod sys;
mod users;
mod verbs;
mod walls;

use std::ffi::OsString;
use std::io::{self, Write};
use std::path::PathBuf;
use std::process::ExitCode;

use bottle_contract::signal;
use lexopt::prelude::{Long, Short, Value};

use crate::control::{Reply, Request};
use crate::settings::Settings;
use crate::users::{Accounts, Credentials};
use crate::verbs::VerbError;

/// Exit codes beside the daemons' own.
mod exit {
    /// `check`: a daemon is unhealthy; `signal`, `restart`: it cannot be done.
    pub(crate) const FAILED: u8 = 1;
    /// Usage or configuration; nothing was started.
    pub(crate) const USAGE: u8 = 2;
    /// A wall is missing under `require`, or the caller may not ask.
    pub(crate) const REFUSED: u8 = 3;
    /// A fault of the init itself.
    pub(crate) const INTERNAL: u8 = 70;
}

const HELP: &str = "\
PID 1 of a bottle's merged sidecars.

Usage: sidecar-init [--daemons FILE]
       sidecar-init check [--verbose]
       sidecar-init status [--json]
       sidecar-init signal DAEMON SIGNAL
       sidecar-init restart|start|stop DAEMON
       sidecar-init validate [--daemons FILE]

Without a verb it starts the daemons and stays until they have ended. The verbs ask the running init; only root of
the container may use them, and no daemon.

  check             exit code 0 if every daemon runs, its own sockets listen and it is healthy, else 1
  status            a table of the daemons
  signal            sends a signal, HUP or SIGHUP or 1, to one daemon
  restart           ends one daemon and starts it again; the others stay
  stop, start       ends one daemon until it is started again; the container stays
  validate          reads the table and the environment, says what is wrong, and starts nothing

  --daemons FILE    the daemon table (TOML) instead of the built-in one
  --pid PID         the init's process id, where it is not 1
  -v, --verbose     also what is well, and which walls each daemon has
  --json            for programs
  -h, --help        this text
  -V, --version     version

Environment: BOT_BOTTLE_SIDECAR_DAEMONS, _CHAIN, _ISOLATION (require, best-effort, off), _ENV (listed, rest),
_ENV_<DAEMON>, _MOUNTS_<DAEMON>, _ROW_<DAEMON> (TOML: keys of the daemon's row); <DAEMON>__<NAME>. With _PREFIX=x-y
the others are called X_Y_SIDECAR_DAEMONS and so on.
Exit codes: the largest of the daemons' own; 1 it cannot be done now; 2 usage or configuration; 3 a wall is missing
under require, or the caller may not ask; 70 a fault of the init.
";

/// What the command line asks for.
enum Verb {
    Supervise(Option<PathBuf>),
    Validate(Option<PathBuf>),
    Check { pid: u32, verbose: bool },
    Status { pid: u32, json: bool },
    Ask { pid: u32, request: Request },
    Print(&'static str),
}

fn main() -> ExitCode {
    let code = match verb(lexopt::Parser::from_env()) {
        Ok(verb) => run(verb),
        Err(error) => report(&format!("{error}; see sidecar-init --help"), exit::USAGE),
    };
    ExitCode::from(code)
}

fn report(message: &str, code: u8) -> u8 {
    // Without stderr nobody can be told.
    let _ = writeln!(io::stderr(), "sidecar-init: {message}");
    code
}

fn verb(mut parser: lexopt::Parser) -> Result<Verb, lexopt::Error> {
    let (mut words, mut daemons, mut pid) = (Vec::new(), None, None);
    let (mut verbose, mut json) = (false, false);
    while let Some(argument) = parser.next()? {
        match argument {
            Long("daemons") => daemons = Some(PathBuf::from(parser.value()?)),
            Long("pid") => pid = Some(lexopt::ValueExt::parse(&parser.value()?)?),
            Short('v') | Long("verbose") => verbose = true,
            Long("json") => json = true,
            Short('h') | Long("help") => return Ok(Verb::Print(HELP)),
            Short('V') | Long("version") => {
                return Ok(Verb::Print(concat!("sidecar-init ", env!("CARGO_PKG_VERSION"), "\n")));
            }
            Value(word) => words.push(lexopt::ValueExt::string(word)?),
            other => return Err(other.unexpected()),
        }
    }
    let words: Vec<&str> = words.iter().map(String::as_str).collect();
    let fits = |allowed: [bool; 4]| {
        let given = [daemons.is_some(), pid.is_some(), verbose, json];
        let names = ["--daemons", "--pid", "--verbose", "--json"];
        match given.iter().zip(allowed).zip(names).find(|((given, allowed), _)| **given && !allowed) {
            Some((_, name)) => Err(format!("{name} does not belong here")),
            None => Ok(()),
        }
    };
    let own = pid.unwrap_or(1);
    match words[..] {
        [] => fits([true, false, false, false]).map(|()| Verb::Supervise(daemons.clone())),
        ["check"] => fits([false, true, true, false]).map(|()| Verb::Check { pid: own, verbose }),
        ["status"] => fits([false, true, false, true]).map(|()| Verb::Status { pid: own, json }),
        ["signal", daemon, signal] => fits([false, true, false, false]).and_then(|()| {
            let signal = signal::number(signal).ok_or_else(|| format!("{signal:?} is no signal"))?;
            Ok(Verb::Ask { pid: own, request: Request::Signal { daemon: daemon.to_owned(), signal } })
        }),
        ["restart", daemon] => fits([false, true, false, false])
            .map(|()| Verb::Ask { pid: own, request: Request::Restart { daemon: daemon.to_owned() } }),
        ["start", daemon] => fits([false, true, false, false])
            .map(|()| Verb::Ask { pid: own, request: Request::Start { daemon: daemon.to_owned() } }),
        ["stop", daemon] => fits([false, true, false, false])
            .map(|()| Verb::Ask { pid: own, request: Request::Stop { daemon: daemon.to_owned() } }),
        ["validate"] => fits([true, false, false, false]).map(|()| Verb::Validate(daemons.clone())),
        [verb @ ("check" | "status" | "signal" | "restart" | "start" | "stop" | "validate"), ..] => {
            Err(format!("{verb} has too few or too many arguments"))
        }
        [other, ..] => Err(format!("there is no verb {other:?}")),
    }
    .map_err(lexopt::Error::from)
}

fn run(verb: Verb) -> u8 {
    let mut out = io::stdout().lock();
    let asked = match verb {
        Verb::Supervise(table) => {
            drop(out);
            return supervise(table.as_deref());
        }
        Verb::Validate(table) => return validate(table.as_deref(), &mut out),
        Verb::Print(text) => {
            let _ = out.write_all(text.as_bytes());
            return 0;
        }
        Verb::Check { pid, verbose } => return check(pid, verbose, &mut out),
        Verb::Status { pid, json } => verbs::status(pid).and_then(|status| {
            if json {
                writeln!(out, "{}", serde_json::to_string_pretty(&status)?)?;
            } else {
                verbs::print_table(&status, &mut out)?;
            }
            Ok(0)
        }),
        Verb::Ask { pid, request } => verbs::ask(pid, &request).and_then(|reply| match reply {
            Reply::Done(message) => {
                writeln!(out, "{message}")?;
                Ok(0)
            }
            _ => Err(VerbError::Unexpected),
        }),
    };
    asked.unwrap_or_else(|error| report(&error.to_string(), error.exit_code()))
}

/// Docker takes 0 for healthy and 1 for unhealthy, and reserves every other code.
fn check(pid: u32, verbose: bool, out: &mut impl Write) -> u8 {
    let well = verbs::status(pid).and_then(|status| Ok(verbs::check(&status, verbose, out)?));
    match well {
        Ok(well) => u8::from(!well),
        Err(error) => report(&error.to_string(), exit::FAILED),
    }
}

fn validate(table: Option<&std::path::Path>, out: &mut impl Write) -> u8 {
    let environment: Vec<(OsString, OsString)> = std::env::vars_os().collect();
    match settings::resolve(&environment, table, &Accounts::read()) {
        Ok(settings) => {
            let names: Vec<&str> = settings.launches.iter().map(|launch| launch.row.name.as_str()).collect();
            let _ = writeln!(out, "valid: {}", names.join(", "));
            0
        }
        Err(error) => report(&error.to_string(), exit::USAGE),
    }
}

fn supervise(table: Option<&std::path::Path>) -> u8 {
    let environment: Vec<(OsString, OsString)> = std::env::vars_os().collect();
    let settings = match settings::resolve(&environment, table, &Accounts::read()) {
        Ok(settings) => settings,
        Err(error) => return report(&error.to_string(), exit::USAGE),
    };
    if let Some(message) = unavailable(&settings) {
        return report(&message, exit::USAGE);
    }
    let isolation = settings.isolation;
    let daemons = match confine::confine(settings) {
        Ok(daemons) => daemons,
        Err(refusal) => return report(&refusal.to_string(), exit::REFUSED),
    };
    let ready = || {
        let signals = sys::signals()?;
        let server = control::Server::open()?;
        sys::become_subreaper()?;
        Ok::<_, io::Error>((signals, server))
    };
    // One error of the system is no reason to give up.
    let ready = ready().or_else(|_| ready());
    let (signals, server) = match ready {
        Ok(ready) => ready,
        Err(error) => return report(&format!("cannot begin: {error}"), exit::INTERNAL),
    };
    let summary = confine::summary(isolation, &daemons);
    match supervisor::Supervisor::new(daemons, isolation.name(), signals, server) {
        Ok(mut supervisor) => {
            supervisor.say(&summary);
            supervisor.run()
        }
        Err(error) => report(&format!("cannot begin: {error}"), exit::INTERNAL),
    }
}

/// A user that the init cannot become, found by trying each of them once.
fn unavailable(settings: &Settings) -> Option<String> {
    let mut tried: Vec<&Credentials> = Vec::new();
    for launch in &settings.launches {
        if tried.contains(&&launch.user) {
            continue;
        }
        if !matches!(sys::as_user(&launch.user, || true), Ok(Some(true))) {
            let (name, user) = (&launch.row.name, &launch.row.user);
            return Some(format!(
                "daemon {name:?} runs as {user:?}, and the init may not switch to that user"
            ));
        }
        tried.push(&launch.user);
    }
    None
}
