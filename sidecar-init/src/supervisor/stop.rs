//! The stop of the container: its daemons, then what they left behind, then the log.

use std::time::{Duration, Instant};

use super::Supervisor;
use super::daemon::{Next, State};
use crate::control::Reply;
use crate::settings::STOP_TIMEOUT;
use crate::sink::Sink;
use crate::{proc, sys};

/// Time for killed processes to go, and for the log to be read then.
const LAST: Duration = Duration::from_secs(1);

/// A stop that takes so much longer than it may has met errors of the system.
const GIVE_UP: Duration = Duration::from_millis(1500);

/// Where the container is.
#[derive(Debug)]
pub(super) enum Phase {
    /// Daemons run, or will.
    Running,
    /// Every daemon has ended; what they left behind is asked to end, too.
    Clearing {
        /// When it is killed, and after that the end of all waiting.
        deadline: Instant,
        killed: bool,
    },
}

impl Phase {
    pub(super) fn due(&self) -> Option<Instant> {
        match self {
            Self::Running => None,
            Self::Clearing { deadline, .. } => Some(*deadline),
        }
    }
}

impl Supervisor {
    /// When the stop is given up.
    pub(super) fn give_up(&self) -> Option<Instant> {
        self.stopping.map(|deadline| deadline + GIVE_UP)
    }
}

impl Supervisor {
    /// Ends every daemon; asked a second time, at once.
    pub(super) fn stop(&mut self) {
        if self.stopping.is_some() {
            self.say("asked to stop again: killing what is left");
            self.stopping = Some(self.now);
            for daemon in &mut self.daemons {
                daemon.kill();
            }
            if let Phase::Clearing { deadline, .. } = &mut self.phase {
                *deadline = self.now;
            }
            return;
        }
        let now = self.now;
        let longest = self.daemons.iter().map(|daemon| daemon.launch.stop_timeout).max();
        self.stopping = Some(now + longest.unwrap_or(STOP_TIMEOUT));
        for daemon in &mut self.daemons {
            daemon.held = false;
            daemon.ask_to_end(now + daemon.launch.stop_timeout, Next::Stay);
            for caller in daemon.callers.drain(..) {
                caller.answer(&Reply::Failed("the container stops".to_owned()));
            }
        }
    }

    /// Whether everything is done: no daemon, nothing that one left behind, and nothing unsaid.
    pub(super) fn shutdown(&mut self) -> bool {
        if self.stopping.is_some_and(|deadline| self.now >= deadline + GIVE_UP) {
            // Nothing can be reaped or killed: the end of PID 1 ends everything.
            self.say("the stop takes too long: the init ends without waiting any more");
            return true;
        }
        if self.daemons.iter().any(|daemon| daemon.held || !matches!(daemon.state, State::Ended)) {
            return false;
        }
        let children = has_children();
        if let Phase::Running = self.phase {
            if children {
                signal_the_rest(libc::SIGTERM);
                signal_the_rest(libc::SIGCONT);
            }
            let deadline = self.stopping.unwrap_or(self.now + STOP_TIMEOUT);
            self.phase = Phase::Clearing { deadline, killed: false };
        }
        let unsaid = self.unread() || self.sinks.iter().any(Sink::unsent);
        if !children && !unsaid {
            return true;
        }
        let Phase::Clearing { deadline, killed } = &mut self.phase else { return false };
        if *deadline > self.now {
            return false;
        }
        if *killed || !children {
            return true;
        }
        *killed = true;
        *deadline = self.now + LAST;
        signal_the_rest(libc::SIGKILL);
        self.say("what daemons left behind did not end in time and is killed");
        false
    }
}

fn has_children() -> bool {
    !matches!(sys::ended(), Err(error) if error.raw_os_error() == Some(libc::ECHILD))
}

/// Signals everything in the container for PID 1, else every child.
fn signal_the_rest(signal: i32) {
    let own = i32::try_from(std::process::id()).unwrap_or(0);
    if own == 1 {
        let _ = sys::kill(-1, signal);
        return;
    }
    for pid in proc::processes().filter(|pid| proc::stat(*pid).is_some_and(|stat| stat.parent == own)) {
        let _ = sys::kill(pid, signal);
    }
}
