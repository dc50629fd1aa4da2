//! Runs a command until it ends, a deadline passes or this process is asked to stop.

use std::fs::File;
use std::io::{self, Read, Seek, SeekFrom};
use std::os::unix::process::CommandExt;
use std::process::{Child, Command, ExitStatus, Stdio};
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread;
use std::time::{Duration, Instant};

use rustix::process::{Pid, Signal, WaitId, WaitIdOptions, kill_process, kill_process_group, waitid};
use thiserror::Error;

/// How long to wait before a command is asked again whether it has ended.
const PAUSE: Duration = Duration::from_millis(3);

/// What ends a command early.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Limits<'a> {
    /// When it has to be done.
    pub(crate) deadline: Option<Instant>,
    /// Set when this process is asked to stop.
    pub(crate) stop: Option<&'a AtomicBool>,
    /// What to do with the command then.
    pub(crate) end: End,
}

/// How a command is ended early.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) enum End {
    /// Kill its process group. Whatever it leaves behind when it ends by itself is killed as well.
    #[default]
    Kill,
    /// Send it TERM once and wait for it, so that it can clean up.
    Ask,
}

/// What a command that ended gave.
#[derive(Debug)]
pub(crate) struct Finished {
    /// How it ended.
    pub(crate) status: ExitStatus,
    /// What it wrote to stdout.
    pub(crate) stdout: File,
    /// What it wrote to stderr.
    pub(crate) stderr: File,
}

/// Why a command gave nothing.
#[derive(Debug, Error)]
pub(crate) enum Unfinished {
    /// It did not start.
    #[error("failed to start: {0}")]
    NotStarted(io::Error),
    /// No file for its output, or its exit status is unknown.
    #[error("failed to run: {0}")]
    Broken(io::Error),
    /// The deadline passed; the file has its output so far.
    #[error("exceeded the time limit")]
    Late(File),
    /// This process was asked to stop; the file has the command's output so far.
    #[error("stopped by a signal")]
    Stopped(File),
}

/// Runs a command with stdout and stderr in files of their own, or in one file if `together`.
///
/// Files, unlike pipes, need no reader meanwhile, and a process that stays behind cannot keep them open.
pub(crate) fn run(command: &mut Command, limits: Limits<'_>, together: bool) -> Result<Finished, Unfinished> {
    let stdout = tempfile::tempfile().map_err(Unfinished::Broken)?;
    let stderr =
        if together { stdout.try_clone() } else { tempfile::tempfile() }.map_err(Unfinished::Broken)?;
    command.stdin(Stdio::null());
    command.stdout(stdout.try_clone().map_err(Unfinished::Broken)?);
    command.stderr(stderr.try_clone().map_err(Unfinished::Broken)?);
    if limits.end == End::Kill {
        command.process_group(0);
    }
    let mut child = command.spawn().map_err(Unfinished::NotStarted)?;
    let cut = wait(&child, limits);
    if limits.end == End::Kill {
        // Before the process is reaped, or its number could be another one's.
        let _ = pid(&child).map(|group| kill_process_group(group, Signal::KILL));
    }
    let status = child.wait().map_err(Unfinished::Broken)?;
    match cut {
        None => Ok(Finished { status, stdout, stderr }),
        Some(Cut::Late) => Err(Unfinished::Late(stderr)),
        Some(Cut::Stopped) => Err(Unfinished::Stopped(stderr)),
    }
}

/// Why a command was ended.
enum Cut {
    Late,
    Stopped,
}

/// Waits until a command has ended, which leaves it to be reaped, or has to be ended.
fn wait(child: &Child, limits: Limits<'_>) -> Option<Cut> {
    let mut asked = false;
    loop {
        let ended = pid(child).is_none_or(|pid| {
            let options = WaitIdOptions::EXITED | WaitIdOptions::NOHANG | WaitIdOptions::NOWAIT;
            !matches!(waitid(WaitId::Pid(pid), options), Ok(None) | Err(rustix::io::Errno::INTR))
        });
        if ended {
            return None;
        }
        let stopped = limits.stop.is_some_and(|stop| stop.load(Ordering::Relaxed));
        let late = limits.deadline.is_some_and(|deadline| Instant::now() >= deadline);
        match limits.end {
            End::Kill if stopped => return Some(Cut::Stopped),
            End::Kill if late => return Some(Cut::Late),
            End::Ask if (stopped || late) && !asked => {
                asked = true;
                let _ = pid(child).map(|pid| kill_process(pid, Signal::TERM));
            }
            _ => {}
        }
        thread::sleep(PAUSE);
    }
}

fn pid(child: &Child) -> Option<Pid> {
    i32::try_from(child.id()).ok().and_then(Pid::from_raw)
}

/// All that was written to a file.
pub(crate) fn read(mut file: File) -> io::Result<Vec<u8>> {
    let mut bytes = Vec::new();
    file.rewind()?;
    file.read_to_end(&mut bytes)?;
    Ok(bytes)
}

/// The last whole lines of a file, at most about `limit` bytes.
pub(crate) fn tail(mut file: File, limit: u64) -> String {
    let length = file.metadata().map_or(0, |found| found.len());
    let mut bytes = Vec::new();
    let _ = file.seek(SeekFrom::Start(length.saturating_sub(limit)));
    let _ = file.take(limit).read_to_end(&mut bytes);
    let text = String::from_utf8_lossy(&bytes).into_owned();
    let cut = if length > limit { text.find('\n').map_or(0, |at| at + 1) } else { 0 };
    text[cut..].trim_end().to_owned()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn shell(script: &str, limits: Limits<'_>) -> Result<Finished, Unfinished> {
        run(Command::new("sh").args(["-c", script]), limits, false)
    }

    #[test]
    fn output_and_status_are_kept_apart() {
        let done = shell("echo out; echo err >&2; exit 3", Limits::default()).unwrap();
        assert_eq!(done.status.code(), Some(3));
        assert_eq!(read(done.stdout).unwrap(), b"out\n");
        assert_eq!(read(done.stderr).unwrap(), b"err\n");
    }

    #[test]
    fn a_command_that_hangs_is_killed_with_its_children() {
        let now = Some(Instant::now());
        let late = shell("sleep 1000 & sleep 1000", Limits { deadline: now, ..Limits::default() });
        assert!(matches!(late, Err(Unfinished::Late(_))), "{late:?}");
        let stop = AtomicBool::new(true);
        let stopped = shell("sleep 1000", Limits { stop: Some(&stop), ..Limits::default() });
        assert!(matches!(stopped, Err(Unfinished::Stopped(_))), "{stopped:?}");
    }

    #[test]
    fn what_a_command_leaves_behind_is_killed_when_it_ends() {
        let left = shell("sleep 1000 & echo $!", Limits::default()).unwrap();
        let number = String::from_utf8(read(left.stdout).unwrap()).unwrap();
        let process = std::path::Path::new("/proc").join(number.trim());
        // A zombie has no command line.
        let gone = || std::fs::read(process.join("cmdline")).map_or(true, |words| words.is_empty());
        let deadline = Instant::now() + Duration::from_mins(1);
        while !gone() && Instant::now() < deadline {
            thread::yield_now();
        }
        assert!(gone(), "{number}");
    }

    #[test]
    fn a_command_that_is_asked_may_clean_up() {
        let stop = AtomicBool::new(true);
        let limits = Limits { stop: Some(&stop), end: End::Ask, ..Limits::default() };
        // The loop reads nothing; the trap runs when TERM arrives.
        let done = shell("trap 'echo cleaned; exit 7' TERM; while :; do sleep 0.01; done", limits);
        let code = done.as_ref().ok().and_then(|done| done.status.code());
        // TERM may arrive before the trap is set: then the shell dies of it.
        assert!(matches!(code, Some(7) | None) && done.is_ok(), "{done:?}");
    }

    #[test]
    fn a_long_output_is_cut_at_a_line() {
        let done = shell("yes line | head -n 100", Limits::default()).unwrap();
        assert_eq!(tail(done.stdout, 12), "line\nline");
    }
}
