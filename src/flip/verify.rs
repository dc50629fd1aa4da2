//! Commands that must succeed after the change, each in a process group of its own, within one time limit.

use std::fs::File;
use std::io::{Read, Seek, SeekFrom};
use std::os::unix::process::CommandExt;
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread;
use std::time::{Duration, Instant};

use rustix::process::{Pid, Signal, WaitId, WaitIdOptions, kill_process_group, waitid};

use super::execute::Abort;

/// How long to wait before a command is asked again whether it is done.
const PAUSE: Duration = Duration::from_millis(5);

/// Bytes of a command's output that are shown.
const SHOWN: u64 = 8 * 1024;

/// Runs the commands through `sh -c` in `root`, one after the other, without the variable `unset`.
///
/// # Errors
///
/// The first command that fails, does not start or exceeds the time left; or a signal to this process.
pub fn verify(
    commands: &[String],
    root: &Path,
    limit: Duration,
    unset: &str,
    stop: &AtomicBool,
    announce: &mut dyn FnMut(&str),
) -> Result<(), Abort> {
    let deadline = Instant::now().checked_add(limit);
    for command in commands {
        announce(command);
        let said = tempfile::tempfile();
        let copies = said.as_ref().ok().map(|file| (file.try_clone(), file.try_clone()));
        let (Ok(said), Some((Ok(stdout), Ok(stderr)))) = (said, copies) else {
            return Err(Abort::new(format!("`{command}` has no place for its output")));
        };
        let mut shell = Command::new("sh");
        shell.arg("-c").arg(command).current_dir(root).env_remove(unset);
        shell.stdin(Stdio::null()).stdout(stdout).stderr(stderr).process_group(0);
        let mut child =
            shell.spawn().map_err(|error| Abort::new(format!("`{command}` does not start: {error}")))?;
        let why = watch(&mut child, deadline, stop);
        if let Some(why) = why {
            let why = match why {
                Why::Failed(how) => format!("`{command}` failed: {how}"),
                Why::Late => format!("`{command}` exceeded the time limit of {} s", limit.as_secs()),
                Why::Stopped => "stopped by a signal".to_owned(),
            };
            return Err(Abort { why, detail: tail(said) });
        }
    }
    Ok(())
}

/// Why a command did not do.
enum Why {
    Failed(String),
    Late,
    Stopped,
}

/// Waits for a command, and ends what it leaves in its group.
fn watch(child: &mut Child, deadline: Option<Instant>, stop: &AtomicBool) -> Option<Why> {
    let group = i32::try_from(child.id()).ok().and_then(Pid::from_raw);
    let cut = loop {
        // Peeking leaves the zombie, which holds the group's number until the group was told.
        let ended = group.is_none_or(|pid| {
            let options = WaitIdOptions::EXITED | WaitIdOptions::NOHANG | WaitIdOptions::NOWAIT;
            !matches!(waitid(WaitId::Pid(pid), options), Ok(None) | Err(rustix::io::Errno::INTR))
        });
        if ended {
            break None;
        }
        if stop.load(Ordering::Relaxed) {
            break Some(Why::Stopped);
        }
        if deadline.is_some_and(|deadline| Instant::now() >= deadline) {
            break Some(Why::Late);
        }
        thread::sleep(PAUSE);
    };
    let _ = group.map(|group| kill_process_group(group, Signal::KILL));
    let status = child.wait();
    cut.or_else(|| match status {
        Ok(status) if status.success() => None,
        Ok(status) => Some(Why::Failed(status.to_string())),
        Err(error) => Some(Why::Failed(error.to_string())),
    })
}

/// The end of what was written to a file.
pub(super) fn tail(mut file: File) -> String {
    let length = file.metadata().map_or(0, |found| found.len());
    let mut bytes = Vec::new();
    let _ = file.seek(SeekFrom::Start(length.saturating_sub(SHOWN)));
    let _ = file.take(SHOWN).read_to_end(&mut bytes);
    let text = String::from_utf8_lossy(&bytes).into_owned();
    // Half a line at the start says nothing.
    let cut = if length > SHOWN { text.find('\n').map_or(0, |at| at + 1) } else { 0 };
    text[cut..].trim_end().to_owned()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn run(commands: &[&str], limit: Duration, stop: bool) -> Result<(), Abort> {
        let folder = tempfile::tempdir().unwrap();
        let commands: Vec<String> = commands.iter().map(|&command| command.to_owned()).collect();
        verify(&commands, folder.path(), limit, "FLAG", &AtomicBool::new(stop), &mut |_| {})
    }

    const LONG: Duration = Duration::from_mins(10);

    #[test]
    fn commands_run_in_order_and_the_first_failure_ends_them() {
        assert!(run(&["echo a > f", "test -f f"], LONG, false).is_ok());
        let stop = run(&["echo said; exit 3", "echo never"], LONG, false).unwrap_err();
        assert_eq!(stop.why, "`echo said; exit 3` failed: exit status: 3");
        assert_eq!(stop.detail, "said");
        assert!(run(&["no-such-command-here"], LONG, false).unwrap_err().why.contains("127"));
    }

    #[test]
    fn a_command_that_hangs_is_ended_with_its_children() {
        let stop = run(&["sleep 1000 & sleep 1000"], Duration::ZERO, false).unwrap_err();
        assert!(stop.why.contains("exceeded the time limit of 0 s"), "{}", stop.why);
        let stop = run(&["sleep 1000"], LONG, true).unwrap_err();
        assert_eq!(stop.why, "stopped by a signal");
    }

    #[test]
    fn what_is_left_behind_does_not_keep_a_command_from_ending() {
        assert!(run(&["sleep 1000 &"], LONG, false).is_ok());
    }
}
