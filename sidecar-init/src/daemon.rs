//! One supervised daemon: its life, its streams, and how its last life ended.

use std::io;
use std::os::fd::{AsFd, OwnedFd};
use std::time::{Duration, Instant};

use bottle_contract::status::DaemonStatus;

use crate::confine::Confinement;
use crate::control::Caller;
use crate::lines::Lines;
use crate::outcome::{self, Ending};
use crate::settings::Launch;
use crate::sys;

/// First and longest wait before an automatic restart; it doubles from one to the other.
const BACKOFF: (Duration, Duration) = (Duration::from_millis(250), Duration::from_secs(30));

/// File mode creation mask where the row says nothing.
const UMASK: u32 = 0o022;

/// Where a daemon is in its life.
#[derive(Debug)]
pub(crate) enum Life {
    /// It runs.
    Up {
        pid: i32,
        since: Instant,
        /// Set once we sent it our own TERM.
        stop: Option<Stop>,
    },
    /// It has ended and comes back at a moment.
    Waiting(Instant),
    /// It has ended.
    Down,
}

/// A stop of one daemon that is under way.
#[derive(Debug)]
pub(crate) struct Stop {
    /// When it is killed.
    pub(crate) deadline: Instant,
    /// Whether it starts again afterwards.
    pub(crate) again: bool,
}

/// One end of a daemon's stdout or stderr.
#[derive(Debug)]
pub(crate) struct Stream {
    pub(crate) fd: OwnedFd,
    pub(crate) lines: Lines,
    /// Which sink its lines go to.
    pub(crate) sink: usize,
    /// When its unfinished line began.
    pub(crate) since: Option<Instant>,
    /// Whether something has arrived.
    pub(crate) ready: bool,
    /// Whether its pipe has been made larger.
    pub(crate) enlarged: bool,
}

/// A supervised daemon.
#[derive(Debug)]
pub(crate) struct Daemon {
    pub(crate) launch: Launch,
    pub(crate) confinement: Confinement,
    pub(crate) life: Life,
    pub(crate) streams: Vec<Stream>,
    pub(crate) restarts: u32,
    /// How the last life ended, and whether we had asked it to.
    pub(crate) last: Option<(Ending, bool)>,
    backoff: Duration,
    /// Callers who wait for its restart.
    pub(crate) callers: Vec<Caller>,
}

impl Daemon {
    pub(crate) fn new(launch: Launch, confinement: Confinement) -> Self {
        Self {
            launch,
            confinement,
            life: Life::Down,
            streams: Vec::new(),
            restarts: 0,
            last: None,
            backoff: BACKOFF.0,
            callers: Vec::new(),
        }
    }

    pub(crate) fn name(&self) -> &str {
        &self.launch.row.name
    }

    pub(crate) fn pid(&self) -> Option<i32> {
        match self.life {
            Life::Up { pid, .. } => Some(pid),
            Life::Waiting(_) | Life::Down => None,
        }
    }

    /// Starts a life; its lines go to the sinks with these numbers.
    ///
    /// # Errors
    ///
    /// Why it does not run. It has then ended with 127 (no such program) or 126, as a shell would say.
    pub(crate) fn start(&mut self, (stdout, stderr): (usize, usize), now: Instant) -> io::Result<i32> {
        let started = self.spawn(stdout, stderr);
        match &started {
            Ok(pid) => self.life = Life::Up { pid: *pid, since: now, stop: None },
            Err(error) => {
                let code = if error.kind() == io::ErrorKind::NotFound { 127 } else { 126 };
                self.last = Some((Ending::Code(code), false));
                self.life = Life::Down;
            }
        }
        started
    }

    fn spawn(&mut self, stdout: usize, stderr: usize) -> io::Result<i32> {
        let user = &self.launch.user;
        let end = |sink: usize| -> io::Result<(Stream, OwnedFd)> {
            let (read, write) = sys::pipe()?;
            if user.uid != sys::effective_user() {
                sys::give(write.as_fd(), user)?;
            }
            let lines = Lines::of(&self.launch.row.name);
            Ok((Stream { fd: read, lines, sink, since: None, ready: false, enlarged: false }, write))
        };
        let (out, out_write) = end(stdout)?;
        let (err, err_write) = end(stderr)?;
        let pid = sys::start(
            &sys::Start {
                argv: &self.launch.row.argv,
                environment: &self.launch.environment,
                workdir: self.launch.workdir.as_ref(),
                user,
                umask: self.launch.row.umask.map_or(UMASK, |umask| umask.0.into()),
                rlimits: &self.launch.rlimits,
                nice: self.launch.row.nice.map(i32::from),
                oom_score_adj: self.launch.row.oom_score_adj.map(|score| score.to_string()),
                capabilities: self.confinement.capabilities,
                keyring: self.confinement.walls.processes,
                ruleset: self.confinement.domain.ruleset(),
                filter: &self.confinement.domain.filter,
            },
            out_write,
            err_write,
        )?;
        self.streams = vec![out, err];
        Ok(pid)
    }

    /// Asks it to end, also where it is stopped; `again`: to start anew afterwards.
    pub(crate) fn ask(&mut self, deadline: Instant, again: bool) {
        if let Life::Up { pid, stop, .. } = &mut self.life {
            *stop = Some(Stop { deadline, again });
            // It may have ended already; its end is noticed all the same.
            let _ = sys::kill(*pid, self.launch.stop_signal);
            let _ = sys::kill(*pid, libc::SIGCONT);
        }
        if matches!(self.life, Life::Waiting(_)) && !again {
            self.life = Life::Down;
        }
    }

    /// Kills it with everything in its process group.
    pub(crate) fn kill(&self) {
        if let Some(pid) = self.pid() {
            let _ = sys::kill(-pid, libc::SIGKILL);
        }
    }

    /// Takes note of its end; `true`: it is to start again at once.
    pub(crate) fn ended(&mut self, ending: Ending, now: Instant) -> bool {
        let Life::Up { since, stop, .. } = &self.life else { return false };
        let (asked, again) = (stop.is_some(), stop.as_ref().is_some_and(|stop| stop.again));
        let lived = now.duration_since(*since);
        self.last = Some((ending, asked));
        self.life = Life::Down;
        if !asked && ending != Ending::Code(0) && self.launch.restarts() {
            if lived > BACKOFF.1 {
                self.backoff = BACKOFF.0;
            }
            self.come_back(now);
        }
        again
    }

    /// Waits for the next attempt, longer each time.
    pub(crate) fn come_back(&mut self, now: Instant) {
        self.life = Life::Waiting(now + self.backoff);
        self.backoff = (self.backoff * 2).min(BACKOFF.1);
    }

    /// What it adds to the container's exit code.
    pub(crate) fn code(&self) -> u8 {
        self.last.map_or(0, |(ending, asked)| outcome::code(ending, asked))
    }

    pub(crate) fn status(&self, now: Instant) -> DaemonStatus {
        let (state, uptime) = match &self.life {
            Life::Up { since, stop, .. } => {
                let state = if stop.is_some() { "stopping" } else { "running" };
                (state, Some(now.duration_since(*since).as_secs()))
            }
            Life::Waiting(_) => ("waiting", None),
            Life::Down => ("dead", None),
        };
        DaemonStatus {
            name: self.name().to_owned(),
            pid: self.pid(),
            state: state.to_owned(),
            uptime,
            restarts: self.restarts,
            ended: self.last.map(|(ending, _)| ending.to_string()),
            user: self.launch.user.name.clone(),
            listen: self.launch.row.listen.iter().map(ToString::to_string).collect(),
            walls: self.confinement.walls,
            missing: self.confinement.missing.clone(),
        }
    }
}
