//! What an operator, or the image's HEALTHCHECK, asks of a running init.

use std::collections::{BTreeMap, BTreeSet};
use std::io::{self, BufRead, BufReader, Write};
use std::net::Shutdown;
use std::os::fd::AsFd;
use std::os::unix::net::UnixStream;
use std::time::Duration;

use bottle_contract::daemon::Listen;
use bottle_contract::proc_net;
use bottle_contract::status::{DaemonStatus, Status};

use crate::control::{self, Reply, Request};
use crate::proc::Stat;
use crate::users::Credentials;
use crate::{exit, proc, sys};

/// The init answers at once; only a restart may take as long as a daemon's end.
const PATIENCE: Duration = Duration::from_secs(30);

/// Why there is no answer.
#[derive(Debug, thiserror::Error)]
pub(crate) enum VerbError {
    #[error("cannot reach the init: {0}")]
    Unreachable(#[from] io::Error),
    #[error("the process that answers is not the init")]
    Impostor,
    #[error("the answer cannot be read: {0}")]
    Unreadable(#[from] serde_json::Error),
    #[error("refused: {0}")]
    Refused(String),
    #[error("{0}")]
    Unknown(String),
    #[error("{0}")]
    Failed(String),
    #[error("the answer does not fit the request")]
    Unexpected,
}

impl VerbError {
    pub(crate) fn exit_code(&self) -> u8 {
        match self {
            Self::Failed(_) => exit::FAILED,
            Self::Refused(_) => exit::REFUSED,
            Self::Unknown(_)
            | Self::Unreachable(_)
            | Self::Impostor
            | Self::Unreadable(_)
            | Self::Unexpected => exit::USAGE,
        }
    }
}

/// Asks the init with a process id.
pub(crate) fn ask(pid: u32, request: &Request) -> Result<Reply, VerbError> {
    let mut stream = UnixStream::connect_addr(&control::address(pid)?)?;
    if sys::peer(stream.as_fd())?.1 != i32::try_from(pid).unwrap_or(-1) {
        return Err(VerbError::Impostor);
    }
    stream.set_read_timeout(Some(PATIENCE))?;
    let mut text = serde_json::to_string(request)?;
    text.push('\n');
    // One who is refused finds the answer there already, and the other end closed.
    let sent = stream.write_all(text.as_bytes()).and_then(|()| stream.shutdown(Shutdown::Write));
    let mut line = String::new();
    if BufReader::new(&stream).read_line(&mut line)? == 0 {
        sent?;
        return Err(VerbError::Unreachable(io::ErrorKind::UnexpectedEof.into()));
    }
    match serde_json::from_str(&line)? {
        Reply::Refused(why) => Err(VerbError::Refused(why)),
        Reply::Failed(why) => Err(VerbError::Failed(why)),
        Reply::Unknown(why) => Err(VerbError::Unknown(why)),
        reply => Ok(reply),
    }
}

/// State of every daemon.
pub(crate) fn status(pid: u32) -> Result<Status, VerbError> {
    match ask(pid, &Request::Status)? {
        Reply::Status(status) => Ok(status),
        _ => Err(VerbError::Unexpected),
    }
}

/// Prints what is wrong with the daemons, and on demand what is right; says whether all are well.
pub(crate) fn check(status: &Status, verbose: bool, out: &mut impl Write) -> io::Result<bool> {
    let listening = proc::listening();
    let mut well = true;
    if verbose {
        writeln!(out, "isolation: {}", status.isolation)?;
    }
    for daemon in &status.daemons {
        match health(daemon, &listening) {
            Err(why) => {
                well = false;
                writeln!(out, "{} {why}", daemon.name)?;
                for line in &daemon.last_lines {
                    writeln!(out, "  {line}")?;
                }
            }
            Ok(()) if verbose => writeln!(out, "{} is well", daemon.name)?,
            Ok(()) => {}
        }
        if verbose {
            let walls = daemon.walls.names();
            let walls = if walls.is_empty() { "none".to_owned() } else { walls.join(", ") };
            writeln!(out, "  walls: {walls}")?;
            if !daemon.missing.is_empty() {
                writeln!(out, "  missing: {}", daemon.missing.join(", "))?;
            }
        }
    }
    Ok(well)
}

/// Health of one daemon: `Err` says what is wrong.
fn health(daemon: &DaemonStatus, listening: &[(Listen, u64)]) -> Result<(), String> {
    if daemon.state == "completed" {
        return Ok(());
    }
    let Some(pid) = daemon.pid.filter(|_| daemon.state == "running") else {
        let ended = daemon.ended.as_ref().map_or_else(String::new, |ended| format!(": it {ended}"));
        return Err(format!("is {}{ended}", daemon.state));
    };
    let mut members = None;
    for text in &daemon.listen {
        let wanted: Listen = text.parse()?;
        let serving = listening.iter().filter(|(is, _)| proc_net::serves(*is, wanted));
        let inodes: BTreeSet<u64> = serving.map(|(_, inode)| *inode).collect();
        if inodes.is_empty() {
            return Err(format!("does not listen on {text}"));
        }
        let members = members.get_or_insert_with(|| Members::of(pid, &daemon.streams));
        let own = inodes.iter().filter(|inode| members.hold(**inode)).count();
        if own == 0 {
            return Err(format!("does not listen on {text}: another process does"));
        }
        if own < inodes.len() {
            return Err(format!("shares {text} with another process"));
        }
    }
    match daemon.health.as_deref() {
        None | Some("healthy") => Ok(()),
        Some(health) => Err(format!("is {health}: its health program has not succeeded")),
    }
}

/// Processes of a daemon: those of its session, its descendants, and whoever has its output.
struct Members {
    own: Vec<i32>,
    others: Vec<i32>,
    streams: BTreeSet<u64>,
}

impl Members {
    fn of(leader: i32, streams: &[u64]) -> Self {
        let every: BTreeMap<i32, Stat> =
            proc::processes().filter_map(|pid| Some((pid, proc::stat(pid)?))).collect();
        let belongs = |pid: &i32| {
            let mut next = *pid;
            for _ in 0..every.len() {
                let Some(stat) = every.get(&next) else { return false };
                if next == leader || stat.session == leader {
                    return true;
                }
                next = stat.parent;
            }
            false
        };
        let (own, others) = every.keys().copied().partition(belongs);
        Self { own, others, streams: streams.iter().copied().collect() }
    }

    fn hold(&self, inode: u64) -> bool {
        let streams = &self.streams;
        self.own.iter().any(|pid| holds(*pid, |held| held.contains(&inode)))
            || self.others.iter().any(|pid| {
                holds(*pid, |held| {
                    held.contains(&inode) && streams.iter().any(|stream| held.contains(stream))
                })
            })
    }
}

/// Asks about the sockets and pipes of a process. Without `CAP_SYS_PTRACE` only its own user can see them.
fn holds(pid: i32, question: impl Fn(&BTreeSet<u64>) -> bool) -> bool {
    let Some((uid, gid, groups)) = proc::identity(pid) else { return false };
    let ask = || question(&proc::sockets_and_pipes(pid));
    if uid == sys::effective_user() {
        return ask();
    }
    let user = Credentials { name: uid.to_string(), uid, gid, groups, home: String::new() };
    matches!(sys::as_user(&user, ask), Ok(Some(true)))
}

/// Prints a table of all daemons.
pub(crate) fn print_table(status: &Status, out: &mut impl Write) -> io::Result<()> {
    let heads = ["NAME", "PID", "STATE", "UPTIME", "RESTARTS", "USER", "ISOLATION"];
    let mut rows = vec![heads.map(str::to_owned)];
    for daemon in &status.daemons {
        let dash = || "-".to_owned();
        let walls = daemon.walls.names().join("+");
        rows.push([
            daemon.name.clone(),
            daemon.pid.map_or_else(dash, |pid| pid.to_string()),
            daemon.state.clone(),
            daemon.uptime.map_or_else(dash, span),
            daemon.restarts.to_string(),
            daemon.user.clone(),
            if walls.is_empty() { "none".to_owned() } else { walls },
        ]);
    }
    let width = |column: usize| rows.iter().map(|row| row[column].len()).max().unwrap_or(0);
    let widths: Vec<usize> = (0..heads.len()).map(width).collect();
    for row in &rows {
        let cells: Vec<String> =
            row.iter().zip(&widths).map(|(cell, width)| format!("{cell:width$}")).collect();
        writeln!(out, "{}", cells.join("  ").trim_end())?;
    }
    Ok(())
}

/// `1d2h`, `3m4s`: two units are enough.
fn span(seconds: u64) -> String {
    use std::fmt::Write;

    let units = [(86_400, "d"), (3_600, "h"), (60, "m"), (1, "s")];
    let first = units.iter().position(|(size, _)| seconds >= *size).unwrap_or(3);
    let mut rest = seconds;
    let mut text = String::new();
    for (size, unit) in units.iter().skip(first).take(2) {
        // Writing to memory cannot fail.
        let _ = write!(text, "{}{unit}", rest / size);
        rest %= size;
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_span_is_short() {
        for (seconds, text) in [(0, "0s"), (59, "59s"), (61, "1m1s"), (7_199, "1h59m"), (90_061, "1d1h")] {
            assert_eq!(span(seconds), text);
        }
    }
}
