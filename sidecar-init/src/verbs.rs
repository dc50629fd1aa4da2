//! What an operator, or the image's HEALTHCHECK, asks of a running init.

use std::io::{self, BufRead, BufReader, Write};
use std::net::Shutdown;
use std::os::fd::AsFd;
use std::os::unix::net::UnixStream;
use std::time::Duration;

use bottle_contract::daemon::Listen;
use bottle_contract::proc_net;
use bottle_contract::status::{DaemonStatus, Status};

use crate::control::{self, Reply, Request};
use crate::users::Credentials;
use crate::{exit, proc, sys};

/// The init answers at once; only a restart may take as long as a daemon's end.
const PATIENCE: Duration = Duration::from_secs(30);

/// Why an answer could not be had.
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
    Failed(String),
    #[error("the answer does not fit the request")]
    Unexpected,
}

impl VerbError {
    pub(crate) fn exit_code(&self) -> u8 {
        match self {
            Self::Failed(_) => exit::FAILED,
            Self::Refused(_) => exit::REFUSED,
            Self::Unreachable(_) | Self::Impostor | Self::Unreadable(_) | Self::Unexpected => exit::USAGE,
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
        reply => Ok(reply),
    }
}

/// State of every daemon.
pub(crate) fn status(pid: u32) -> Result<Status, VerbError> {
    match ask(pid, &Request::Status)? {
        Reply::Status(status) => Ok(status),
        Reply::Done(_) | Reply::Failed(_) | Reply::Refused(_) => Err(VerbError::Unexpected),
    }
}

/// Health of one daemon: `Err` says what is wrong.
pub(crate) fn health(daemon: &DaemonStatus, listening: &[(Listen, u64)]) -> Result<(), String> {
    let Some(pid) = daemon.pid.filter(|_| daemon.state == "running") else {
        let ended = daemon.ended.as_ref().map_or_else(String::new, |ended| format!(": it {ended}"));
        return Err(format!("is {}{ended}", daemon.state));
    };
    let mut own = None;
    for text in &daemon.listen {
        let wanted: Listen = text.parse()?;
        let inodes: Vec<u64> = listening
            .iter()
            .filter(|(is, _)| proc_net::serves(*is, wanted))
            .map(|(_, inode)| *inode)
            .collect();
        if inodes.is_empty() {
            return Err(format!("does not listen on {text}"));
        }
        let own: &Vec<i32> = own.get_or_insert_with(|| session(pid));
        if !own.iter().any(|pid| holds(*pid, &inodes)) {
            return Err(format!("does not listen on {text}: another process does"));
        }
    }
    Ok(())
}

/// Processes of a daemon: it leads a session of its own.
fn session(leader: i32) -> Vec<i32> {
    let members = proc::processes()
        .filter(|pid| *pid != leader && proc::stat(*pid).is_some_and(|stat| stat.session == leader));
    [leader].into_iter().chain(members).collect()
}

/// Whether a process holds one of the sockets. Without `CAP_SYS_PTRACE` only its own user can see that.
fn holds(pid: i32, inodes: &[u64]) -> bool {
    let among = || proc::sockets(pid).iter().any(|inode| inodes.contains(inode));
    let Some((uid, gid, groups)) = proc::identity(pid) else { return false };
    if uid == sys::effective_user() {
        return among();
    }
    let user = Credentials { name: uid.to_string(), uid, gid, groups, home: String::new() };
    matches!(sys::as_user(&user, among), Ok(Some(true)))
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
