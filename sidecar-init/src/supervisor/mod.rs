//! The loop of PID 1: signals, ends of children, log lines, callers, and what is due.

mod daemon;
mod health;
mod logs;
mod order;
mod requests;
mod stop;

use std::io::{self, Write};
use std::os::fd::{AsFd, AsRawFd, BorrowedFd, OwnedFd};
use std::time::{Duration, Instant};

use self::daemon::Next;
pub(crate) use self::daemon::{Daemon, State};
use self::logs::Remains;
use self::stop::Phase;
use crate::control::Server;
use crate::faults::Faults;
use crate::outcome::Ending;
use crate::sink::Sink;
use crate::sys;

/// Signals, and ends of children, that one tick handles; logs and callers have their turn before the next ones.
const PER_TICK: usize = 64;
/// Time until a system call that has failed is tried again.
const RETRY: Duration = Duration::from_millis(100);

/// The supervisor of one container's daemons.
#[derive(Debug)]
pub(crate) struct Supervisor {
    daemons: Vec<Daemon>,
    /// Streams of processes that have ended, with what is still to be read of them.
    remains: Vec<Remains>,
    sinks: Vec<Sink>,
    signals: OwnedFd,
    server: Server,
    isolation: String,
    /// Deadline of the stop that was asked for.
    stopping: Option<Instant>,
    phase: Phase,
    /// Exit code of a critical daemon that has ended.
    verdict: Option<u8>,
    chunk: Vec<u8>,
    /// Whether signals or ends of children are left over from this tick.
    more: bool,
    faults: Faults,
    now: Instant,
}

impl Supervisor {
    pub(crate) fn new(
        daemons: Vec<Daemon>,
        isolation: &str,
        signals: OwnedFd,
        server: Server,
    ) -> io::Result<Self> {
        Ok(Self {
            daemons,
            remains: Vec::new(),
            sinks: Sink::standard()?,
            signals,
            server,
            isolation: isolation.to_owned(),
            stopping: None,
            phase: Phase::Running,
            verdict: None,
            chunk: Vec::new(),
            more: false,
            faults: Faults::default(),
            now: Instant::now(),
        })
    }

    /// Starts every daemon and stays until all have ended; returns the container's exit code.
    pub(crate) fn run(mut self) -> u8 {
        self.start_ready();
        while !self.shutdown() {
            self.tick();
        }
        self.flush_all();
        self.verdict.unwrap_or_else(|| self.daemons.iter().map(Daemon::code).max().unwrap_or(0))
    }

    /// Writes a line of the init's own into the log.
    pub(crate) fn say(&mut self, message: &str) {
        if let Some(sink) = self.sinks.last_mut() {
            // Writing to memory cannot fail.
            let _ = writeln!(sink.buffer, "[sidecar-init] {message}");
            sink.push(self.now);
        }
    }

    /// One turn of the loop.
    fn tick(&mut self) {
        let callers = self.poll();
        self.now = Instant::now();
        self.more = false;
        self.read_signals();
        self.reap();
        self.pump();
        if callers || self.server.due().is_some_and(|due| due <= self.now) {
            for (caller, request) in self.server.requests(self.now) {
                self.on_request(caller, &request);
            }
            self.faults.note("cannot let callers in", self.server.error.as_ref());
        }
        self.run_timers();
        self.start_ready();
        for message in self.faults.messages() {
            self.say(&message);
        }
    }

    /// Waits for input, for room in a sink, or for what is due next; says whether a caller has something.
    fn poll(&mut self) -> bool {
        let interest = |fd: BorrowedFd<'_>, events| libc::pollfd { fd: fd.as_raw_fd(), events, revents: 0 };
        let mut fds = vec![interest(self.signals.as_fd(), libc::POLLIN)];
        fds.extend(self.server.sockets(self.now).map(|fd| interest(fd, libc::POLLIN)));
        let callers = 1..fds.len();
        let (sinks, now) = (&self.sinks, self.now);
        for stream in Self::streams(&mut self.daemons, &mut self.remains) {
            stream.polled = sinks[stream.sink].has_room() && stream.retry.is_none_or(|retry| retry <= now);
            // A negative descriptor is passed over; one without events would still report its other end's close.
            let fd = if stream.polled { stream.fd.as_raw_fd() } else { -1 };
            fds.push(libc::pollfd { fd, events: libc::POLLIN, revents: 0 });
        }
        let end = fds.len();
        fds.extend(
            self.sinks.iter().filter(|sink| sink.waits(now)).map(|sink| interest(sink.fd(), libc::POLLOUT)),
        );
        let timeout = match self.due() {
            _ if self.more => 0,
            None => -1,
            Some(due) => {
                let left = due.saturating_duration_since(Instant::now());
                i32::try_from(left.as_micros().div_ceil(1000)).unwrap_or(i32::MAX)
            }
        };
        let polled = sys::poll(&mut fds, timeout);
        self.faults.note("cannot wait for events", polled.as_ref().err());
        // Nothing that is tried blocks, so everything can be tried; but not all the time.
        let blind = polled.is_err();
        if blind {
            std::thread::sleep(RETRY);
        }
        let streams = Self::streams(&mut self.daemons, &mut self.remains);
        for (stream, polled) in streams.zip(&fds[callers.end..end]) {
            stream.ready = stream.polled && (blind || polled.revents != 0);
        }
        blind || fds[callers].iter().any(|polled| polled.revents != 0)
    }

    /// The next moment at which something is to be done without being asked.
    fn due(&self) -> Option<Instant> {
        let daemons = self.daemons.iter().filter_map(|daemon| daemon.due(self.now));
        let streams = self.daemons.iter().flat_map(|daemon| &daemon.streams);
        let streams = streams.chain(self.remains.iter().map(|remains| &remains.stream));
        let lines = streams.filter_map(|stream| {
            let retry = stream.retry.filter(|retry| *retry > self.now);
            retry.or_else(|| stream.due().filter(|_| self.sinks[stream.sink].has_room()))
        });
        let sinks = self.sinks.iter().filter_map(Sink::due);
        let others = [
            self.server.due(),
            self.phase.due(),
            self.give_up(),
            self.waits_for_health().then(|| self.now + RETRY),
        ];
        let faults = self.faults.any().then(|| self.now + RETRY);
        daemons.chain(lines).chain(sinks).chain(others.into_iter().flatten()).chain(faults).min()
    }

    fn read_signals(&mut self) {
        for _ in 0..PER_TICK {
            let signal = sys::next_signal(&self.signals);
            self.faults.note("cannot read signals", signal.as_ref().err());
            // What cannot be read from the descriptor is taken from the process itself.
            match signal.unwrap_or_else(|_| sys::pending_signal()) {
                Some(signal) => self.on_signal(signal),
                None => return,
            }
        }
        self.more = true;
    }

    fn on_signal(&mut self, signal: i32) {
        match signal {
            libc::SIGTERM | libc::SIGINT | libc::SIGQUIT => self.stop(),
            libc::SIGHUP => {
                for daemon in &self.daemons {
                    if let (Some(pid), Some(reload)) = (daemon.pid(), daemon.launch.reload) {
                        let _ = sys::kill(pid, reload);
                    }
                }
            }
            // SIGCHLD only ends the wait: children are looked for in every tick.
            _ => {}
        }
    }

    /// Reaps children that have ended.
    fn reap(&mut self) {
        for _ in 0..PER_TICK {
            let ended = sys::ended();
            let none = matches!(&ended, Err(error) if error.raw_os_error() == Some(libc::ECHILD));
            self.faults.note("cannot look for ended children", ended.as_ref().err().filter(|_| !none));
            let pid = match ended {
                Ok(Some(pid)) => pid,
                Ok(None) => return,
                Err(_) if none => return,
                Err(_) => match sys::reap_any() {
                    Some((pid, ending)) => {
                        self.on_child(pid, ending);
                        continue;
                    }
                    None => return,
                },
            };
            if let Some(daemon) = self.daemons.iter().find(|daemon| daemon.pid() == Some(pid)) {
                // The zombie keeps the number of its process group from being used again.
                daemon.end_group(self.now);
            }
            let ending = sys::reap(pid);
            self.faults.note("cannot reap a child", ending.as_ref().err());
            let Ok(ending) = ending else { return };
            self.on_child(pid, ending);
        }
        self.more = true;
    }

    fn on_child(&mut self, pid: i32, ending: Ending) {
        if let Some(at) = self.daemons.iter().position(|daemon| daemon.pid() == Some(pid)) {
            self.on_end(at, ending);
        } else if let Some(daemon) = self.daemons.iter_mut().find(|daemon| daemon.probed_by(pid)) {
            daemon.on_probe(ending, self.now);
        }
    }

    fn on_end(&mut self, at: usize, ending: Ending) {
        let daemon = &mut self.daemons[at];
        daemon.on_end(ending, self.now, self.stopping.is_some());
        let name = daemon.name().to_owned();
        self.keep_remains(at);
        self.say(&format!("{name} {ending}"));
        self.settle(at);
    }

    /// Goes on with a daemon whose process has ended, once what it left behind has ended, too.
    fn settle(&mut self, at: usize) {
        let State::Clearing { group, next, .. } = self.daemons[at].state else { return };
        if sys::group_exists(group) {
            return;
        }
        match next {
            Next::Stay => {
                self.daemons[at].state = State::Ended;
                self.on_final_end(at);
            }
            Next::Start => self.restart(at),
            Next::Wait(until) => self.daemons[at].state = State::Waiting(until),
        }
    }

    /// What follows when a daemon stays ended.
    fn on_final_end(&mut self, at: usize) {
        self.answer_waiting(at);
        let daemon = &self.daemons[at];
        if daemon.launch.row.critical && !daemon.held && self.stopping.is_none() {
            let name = daemon.name().to_owned();
            self.verdict = Some(daemon.code());
            self.say(&format!("{name} is critical: the container ends"));
            self.stop();
        }
    }

    fn start(&mut self, at: usize) {
        let sinks = (0, self.sinks.len() - 1);
        let daemon = &mut self.daemons[at];
        match daemon.start(sinks, self.now) {
            Ok(()) => {}
            Err(error) => {
                let program = daemon.launch.row.argv.first().cloned().unwrap_or_default();
                let name = daemon.name().to_owned();
                let again = daemon.on_failed_start(&error, self.now, self.stopping.is_some());
                let later = if again { "; another attempt follows" } else { "" };
                self.say(&format!("{name} cannot be started: {program}: {error}{later}"));
                if !again {
                    self.on_final_end(at);
                }
            }
        }
        self.answer_waiting(at);
    }

    /// Starts a daemon anew.
    fn restart(&mut self, at: usize) {
        self.daemons[at].restarts += 1;
        self.start(at);
    }

    /// Does what is due.
    fn run_timers(&mut self) {
        let now = self.now;
        for at in 0..self.daemons.len() {
            if let Some(message) = self.daemons[at].run_timers(now) {
                self.say(&message);
            }
            match self.daemons[at].state {
                State::Waiting(until) if until <= now => self.restart(at),
                State::Clearing { .. } => self.settle(at),
                _ => {}
            }
        }
        self.flush_unfinished();
        for sink in &mut self.sinks {
            sink.push(now);
        }
    }
}
