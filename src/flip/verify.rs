//! Commands that must succeed after the change, each in a process group of its own, within one time limit.

use std::path::Path;
use std::process::Command;
use std::sync::atomic::AtomicBool;
use std::time::{Duration, Instant};

use super::execute::Abort;
use crate::files;
use crate::process::{self, Limits, Unfinished};

/// Bytes of a command's output that are shown.
pub(super) const SHOWN: u64 = 8 * 1024;

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
        let mut shell = Command::new("sh");
        shell.arg("-c").arg(command).current_dir(root).env_remove(unset);
        let limits = Limits { deadline, stop: Some(stop), ..Limits::default() };
        let abort = |why: String, output| Abort { why, detail: process::tail(output, SHOWN) };
        match process::run(&mut shell, limits, true) {
            Ok(done) if done.status.success() => {}
            Ok(done) => return Err(abort(format!("`{command}` failed: {}", done.status), done.stdout)),
            Err(Unfinished::Late(output)) => {
                let why = format!("`{command}` exceeded the time limit of {} s", limit.as_secs());
                return Err(abort(why, output));
            }
            Err(Unfinished::Stopped(output)) => return Err(abort("stopped by a signal".to_owned(), output)),
            Err(Unfinished::NotStarted(error) | Unfinished::Broken(error)) => {
                return Err(Abort::new(format!("`{command}` cannot be run: {}", files::reason(&error))));
            }
        }
    }
    Ok(())
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
