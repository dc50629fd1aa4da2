//! One supervised daemon: its state, its streams, and how its process ended.

use std::io;
use std::os::fd::AsFd;
use std::time::{Duration, Instant};

use bottle_contract::row::Restart;
use bottle_contract::status::DaemonStatus;

use super::health::Probe;
use super::logs::{Stream, Tail};
use crate::confine::Confinement;
use crate::control::Caller;
use crate::outcome::{self, Ending};
use crate::settings::Launch;
use crate::sys;

/// First and longest wait before an automatic restart; it doubles from one to the other.
const BACKOFF: (Duration, Duration) = (Duration::from_millis(250), Duration::from_secs(30));

/// Attempts to start a program while the system lacks memory, processes or descriptors.
const ATTEMPTS: u32 = 5;

/// How often it is looked whether what a daemon left behind has ended: not every end is ours to reap.
const LOOK: Duration = Duration::from_millis(50);

/// File mode creation mask where the row says nothing.
const UMASK: u32 = 0o022;

/// What a daemon is doing.
#[derive(Debug)]
pub(crate) enum State {
    /// It waits for other daemons (`after`).
    Pending,
    /// Its process runs.
    Running {
        pid: i32,
        since: Instant,
        /// Set once we have asked it to end.
        stop: Option<Stop>,
    },
    /// Its process has ended, and others of its process group are asked to end.
    Clearing {
        group: i32,
        /// When they are killed.
        deadline: Instant,
        killed: bool,
        next: Next,
    },
    /// It starts again at a moment.
    Waiting(Instant),
    /// It has ended, or will not start.
    Ended,
}

/// What follows when a process and its group have ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Next {
    /// Nothing.
    Stay,
    /// It starts again at once.
    Start,
    /// It starts again at a moment.
    Wait(Instant),
}

/// A stop of one daemon that is under way.
#[derive(Debug)]
pub(crate) struct Stop {
    /// When it is killed.
    pub(crate) deadline: Instant,
    /// Whether it has been killed.
    pub(crate) killed: bool,
    pub(crate) next: Next,
}

/// A supervised daemon.
#[derive(Debug)]
pub(crate) struct Daemon {
    pub(crate) launch: Launch,
    pub(crate) confinement: Confinement,
    pub(crate) state: State,
    pub(crate) streams: Vec<Stream>,
    /// What it wrote last.
    pub(crate) tail: Tail,
    pub(crate) restarts: u32,
    /// Whether an operator has stopped it.
    pub(crate) held: bool,
    /// Why it never started, if another daemon kept it from that.
    pub(crate) blocked: Option<String>,
    /// How the last process ended, and whether we had asked it to.
    pub(crate) last: Option<(Ending, bool)>,
    /// Automatic restarts, and failed starts, since it last ran for long.
    attempts: u32,
    backoff: Duration,
    pub(super) probe: Probe,
    /// Callers who wait until it runs again, or has ended.
    pub(crate) callers: Vec<Caller>,
}

impl Daemon {
    pub(crate) fn new(launch: Launch, confinement: Confinement) -> Self {
        Self {
            launch,
            confinement,
            state: State::Pending,
            streams: Vec::new(),
            tail: Tail::default(),
            restarts: 0,
            held: false,
            blocked: None,
            last: None,
            attempts: 0,
            backoff: BACKOFF.0,
            probe: Probe::default(),
            callers: Vec::new(),
        }
    }

    pub(crate) fn name(&self) -> &str {
        &self.launch.row.name
    }

    pub(crate) fn pid(&self) -> Option<i32> {
        match self.state {
            State::Running { pid, .. } => Some(pid),
            _ => None,
        }
    }

    /// When something is to be done for it without an event.
    pub(super) fn due(&self, now: Instant) -> Option<Instant> {
        match &self.state {
            State::Running { stop: Some(stop), .. } => Some(stop.deadline),
            State::Running { .. } => self.launch.row.health.as_ref().and_then(|_| self.probe.due()),
            State::Clearing { deadline, .. } => Some((*deadline).min(now + LOOK)),
            State::Waiting(until) => Some(*until),
            State::Pending | State::Ended => None,
        }
    }

    /// Starts its process; its lines go to the sinks with these numbers.
    ///
    /// # Errors
    ///
    /// Why it does not run.
    pub(super) fn start(&mut self, (stdout, stderr): (usize, usize), now: Instant) -> io::Result<()> {
        let user = &self.launch.user;
        let end = |sink: usize| -> io::Result<(Stream, std::os::fd::OwnedFd)> {
            let (read, write) = sys::pipe()?;
            if user.uid != sys::effective_user() {
                sys::give(write.as_fd(), user)?;
            }
            Ok((Stream::new(read, &self.launch.row.name, sink), write))
        };
        let (out, out_write) = end(stdout)?;
        let (err, err_write) = end(stderr)?;
        let pid = sys::start(&self.child(&self.launch.row.argv), out_write, err_write)?;
        self.streams = vec![out, err];
        self.state = State::Running { pid, since: now, stop: None };
        self.held = false;
        self.blocked = None;
        self.probe = Probe::started(self.launch.row.health.as_ref(), now);
        Ok(())
    }

    /// A program of the daemon, with the daemon's user, environment and walls.
    pub(super) fn child<'a>(&'a self, argv: &'a [String]) -> sys::Start<'a> {
        let row = &self.launch.row;
        sys::Start {
            argv,
            environment: &self.launch.environment,
            workdir: self.launch.workdir.as_ref(),
            user: &self.launch.user,
            umask: row.umask.map_or(UMASK, |umask| umask.0.into()),
            rlimits: &self.launch.rlimits,
            nice: row.nice.map(i32::from),
            oom_score_adj: row.oom_score_adj.map(|score| score.to_string()),
            capabilities: self.confinement.capabilities,
            keyring: self.confinement.walls.processes,
            ruleset: self.confinement.domain.ruleset(),
            filter: &self.confinement.domain.filter,
        }
    }

    /// Takes note of a start that failed: it has then ended with 127 (no such program) or 126, as a shell would say.
    ///
    /// `true`: it is tried again.
    pub(super) fn on_failed_start(&mut self, error: &io::Error, now: Instant, stopping: bool) -> bool {
        let code = if error.kind() == io::ErrorKind::NotFound { 127 } else { 126 };
        self.last = Some((Ending::Code(code), false));
        self.state = State::Ended;
        let scarce = [libc::EAGAIN, libc::ENOMEM, libc::EMFILE, libc::ENFILE, libc::EINTR]
            .map(Some)
            .contains(&error.raw_os_error());
        let again =
            !stopping && ((scarce && self.attempts < ATTEMPTS) || self.restarts_after(Ending::Code(code)));
        if again {
            self.state = State::Waiting(self.next_attempt(now));
        }
        again
    }

    /// Asks it to end, also where it is stopped by a signal.
    pub(super) fn ask_to_end(&mut self, deadline: Instant, next: Next) {
        let signal = self.launch.stop_signal;
        match &mut self.state {
            State::Running { pid, stop, .. } => {
                *stop = Some(Stop { deadline, killed: false, next });
                // It may have ended already; its end is noticed all the same.
                let _ = sys::kill(*pid, signal);
                let _ = sys::kill(*pid, libc::SIGCONT);
            }
            State::Clearing { next: then, .. } => *then = next,
            State::Waiting(_) | State::Pending | State::Ended => {
                if next == Next::Stay {
                    self.state = State::Ended;
                }
            }
        }
        self.probe.kill();
    }

    /// Changes what follows an end that is under way.
    pub(super) fn then(&mut self, then: Next) {
        match &mut self.state {
            State::Running { stop: Some(stop), .. } => stop.next = then,
            State::Clearing { next, .. } => *next = then,
            _ => {}
        }
    }

    /// Kills it with everything in its process group.
    pub(super) fn kill(&mut self) {
        match &mut self.state {
            State::Running { pid, stop, .. } => {
                if let Some(stop) = stop {
                    stop.killed = true;
                }
                let _ = sys::kill(-*pid, libc::SIGKILL);
            }
            State::Clearing { group, killed, .. } => {
                *killed = true;
                let _ = sys::kill(-*group, libc::SIGKILL);
            }
            State::Pending | State::Waiting(_) | State::Ended => {}
        }
        self.probe.kill();
    }

    /// Asks what is left of its process group to end, before the process that led it is reaped.
    pub(super) fn end_group(&self, now: Instant) {
        let State::Running { pid, stop, .. } = &self.state else { return };
        let late = stop.as_ref().is_some_and(|stop| stop.killed || stop.deadline <= now);
        let _ = sys::kill(-pid, if late { libc::SIGKILL } else { libc::SIGTERM });
        let _ = sys::kill(-pid, libc::SIGCONT);
    }

    /// Takes note of its end.
    pub(super) fn on_end(&mut self, ending: Ending, now: Instant, stopping: bool) {
        let State::Running { pid, since, stop } = &self.state else { return };
        let (pid, lived) = (*pid, now.duration_since(*since));
        let deadline = stop.as_ref().map_or(now + self.launch.stop_timeout, |stop| stop.deadline);
        let killed = stop.as_ref().is_some_and(|stop| stop.killed);
        let asked = stop.as_ref().map(|stop| stop.next);
        self.last = Some((ending, asked.is_some()));
        if lived > BACKOFF.1 {
            self.backoff = BACKOFF.0;
            self.attempts = 0;
        }
        let next = match asked {
            Some(next) => next,
            None if !stopping && self.restarts_after(ending) => Next::Wait(self.next_attempt(now)),
            None => Next::Stay,
        };
        self.probe.kill();
        self.state = State::Clearing { group: pid, deadline, killed, next };
    }

    fn restarts_after(&self, ending: Ending) -> bool {
        match self.launch.row.restart {
            Restart::No => false,
            Restart::OnFailure(most) => {
                ending != Ending::Code(0) && most.is_none_or(|most| self.attempts < most)
            }
            Restart::Always | Restart::UnlessStopped => true,
        }
    }

    /// The moment of the next attempt, later each time.
    fn next_attempt(&mut self, now: Instant) -> Instant {
        let at = now + self.backoff;
        self.backoff = (self.backoff * 2).min(BACKOFF.1);
        self.attempts += 1;
        at
    }

    /// Does what is due; returns what is to be said of it.
    pub(super) fn run_timers(&mut self, now: Instant) -> Option<String> {
        let name = &self.launch.row.name;
        match &mut self.state {
            State::Running { pid, stop: Some(stop), .. } if stop.deadline <= now => {
                let first = !stop.killed;
                stop.killed = true;
                // Once more later, in case that the kernel did not deliver it.
                stop.deadline = now + self.launch.stop_timeout.max(LOOK);
                let _ = sys::kill(-*pid, libc::SIGKILL);
                first.then(|| format!("{name} did not end in time and is killed"))
            }
            State::Clearing { group, deadline, killed, .. } if *deadline <= now => {
                let first = !*killed;
                *killed = true;
                *deadline = now + LOOK;
                let _ = sys::kill(-*group, libc::SIGKILL);
                first.then(|| format!("what {name} left behind did not end in time and is killed"))
            }
            State::Running { stop: None, .. } => {
                self.run_probe(now);
                None
            }
            _ => None,
        }
    }

    /// What it adds to the container's exit code.
    pub(crate) fn code(&self) -> u8 {
        match (&self.blocked, self.last) {
            (Some(_), _) => 1,
            (None, Some((ending, asked))) => outcome::code(ending, asked.then_some(self.launch.stop_signal)),
            (None, None) => 0,
        }
    }

    /// Whether it ended with 0 and stays so.
    pub(super) fn completed(&self) -> bool {
        matches!(self.state, State::Ended)
            && self.blocked.is_none()
            && matches!(self.last, Some((Ending::Code(0), _)))
    }

    pub(crate) fn status(&self, now: Instant, awaited: bool) -> DaemonStatus {
        let (state, uptime) = match &self.state {
            State::Running { since, stop, .. } => {
                let state = if stop.is_some() { "stopping" } else { "running" };
                (state, Some(now.duration_since(*since).as_secs()))
            }
            State::Clearing { next: Next::Stay, .. } => ("stopping", None),
            State::Clearing { .. } | State::Waiting(_) => ("waiting", None),
            State::Pending => ("pending", None),
            State::Ended if self.held => ("stopped", None),
            State::Ended if awaited && self.completed() => ("completed", None),
            State::Ended => ("dead", None),
        };
        let ended = self.blocked.clone().or_else(|| self.last.map(|(ending, _)| ending.to_string()));
        DaemonStatus {
            name: self.name().to_owned(),
            pid: self.pid(),
            state: state.to_owned(),
            uptime,
            restarts: self.restarts,
            ended,
            last_lines: if uptime.is_none() { self.tail.lines() } else { Vec::new() },
            health: self.probe.status(self.launch.row.health.as_ref()).map(str::to_owned),
            user: self.launch.user.name.clone(),
            listen: self.launch.row.listen.iter().map(ToString::to_string).collect(),
            streams: self.streams.iter().filter_map(Stream::inode).collect(),
            walls: self.confinement.walls,
            missing: self.confinement.missing.clone(),
            row: Some(self.launch.row.clone()),
        }
    }
}
