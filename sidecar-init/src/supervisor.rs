//! The loop: signals, ends of daemons, log lines, callers, and the moments that are due.

use std::io::{self, Write};
use std::os::fd::{AsFd, AsRawFd, BorrowedFd, OwnedFd};
use std::time::{Duration, Instant};

use bottle_contract::status::Status;

use crate::control::{Caller, Reply, Request, Server};
use crate::daemon::{Daemon, Life};
use crate::settings::STOP_TIMEOUT as GRACE;
use crate::sink::Sink;
use crate::{proc, sys};

/// An unfinished line is handed on after this time.
const UNFINISHED: Duration = Duration::from_millis(800);
/// Bytes read from a daemon at a time. More, or larger pipes, and what was written leaves the processor's cache before
/// it is read.
const CHUNK: usize = 128 * 1024;
/// Chunks that one stream may hand on before the next has its turn.
const READS: usize = 16;
/// What a pipe holds by default (pipe(7)).
const SMALL_PIPE: usize = 64 * 1024;
/// What a pipe grows to once its daemon fills it, and how many may (pipe(7): all of a user's count together).
const LARGE_PIPE: usize = 256 * 1024;
const LARGE_PIPES: usize = 4;

/// The supervisor of one container's daemons.
#[derive(Debug)]
pub(crate) struct Supervisor {
    daemons: Vec<Daemon>,
    sinks: Vec<Sink>,
    signals: OwnedFd,
    server: Server,
    isolation: String,
    /// Deadline of the stop that is under way.
    stopping: Option<Instant>,
    chunk: Vec<u8>,
    now: Instant,
}

/// What has something to say.
struct Ready {
    signals: bool,
    callers: bool,
}

impl Supervisor {
    pub(crate) fn new(
        daemons: Vec<Daemon>,
        isolation: &str,
        signals: OwnedFd,
        server: Server,
    ) -> io::Result<Self> {
        let now = Instant::now();
        Ok(Self {
            daemons,
            sinks: Sink::standard()?,
            signals,
            server,
            isolation: isolation.to_owned(),
            stopping: None,
            chunk: Vec::new(),
            now,
        })
    }

    /// Starts every daemon and stays until all have ended; returns the container's exit code.
    ///
    /// # Errors
    ///
    /// What keeps the loop itself from going on.
    pub(crate) fn run(mut self) -> io::Result<u8> {
        for at in 0..self.daemons.len() {
            self.start(at);
        }
        while self.daemons.iter().any(|daemon| !matches!(daemon.life, Life::Down)) {
            self.turn()?;
        }
        self.last_words()?;
        Ok(self.daemons.iter().map(Daemon::code).max().unwrap_or(0))
    }

    /// Says something in the log.
    pub(crate) fn say(&mut self, message: &str) {
        if let Some(sink) = self.sinks.last_mut() {
            // Writing to memory cannot fail.
            let _ = writeln!(sink.buffer, "[sidecar-init] {message}");
            sink.push();
        }
    }

    /// One turn of the loop.
    fn turn(&mut self) -> io::Result<()> {
        let ready = self.poll()?;
        self.now = Instant::now();
        if ready.signals {
            while let Some(signal) = sys::next_signal(&self.signals)? {
                self.heard(signal)?;
            }
        }
        self.pump();
        if ready.callers || self.server.due().is_some_and(|due| due <= self.now) {
            for (caller, request) in self.server.requests(self.now) {
                self.asked(caller, request);
            }
        }
        self.attend();
        Ok(())
    }

    /// Waits for input, for room in a sink, or for the next moment that is due.
    fn poll(&mut self) -> io::Result<Ready> {
        let interest = |fd: BorrowedFd<'_>, events| libc::pollfd { fd: fd.as_raw_fd(), events, revents: 0 };
        let mut fds = vec![interest(self.signals.as_fd(), libc::POLLIN)];
        fds.extend(self.server.sockets().map(|fd| interest(fd, libc::POLLIN)));
        let callers = 1..fds.len();
        let streams = self.daemons.iter().flat_map(|daemon| &daemon.streams);
        fds.extend(streams.map(|stream| {
            let events = if self.sinks[stream.sink].has_room() { libc::POLLIN } else { 0 };
            // A negative descriptor is passed over; one without events would still report its other end's close.
            libc::pollfd { fd: if events == 0 { -1 } else { stream.fd.as_raw_fd() }, events, revents: 0 }
        }));
        let sinks = fds.len();
        let waiting = self.sinks.iter().filter(|sink| sink.waits());
        fds.extend(waiting.map(|sink| interest(sink.fd(), libc::POLLOUT)));
        let timeout = self.due().map_or(-1, |due| {
            let left = due.saturating_duration_since(Instant::now());
            i32::try_from(left.as_micros().div_ceil(1000)).unwrap_or(i32::MAX)
        });
        sys::poll(&mut fds, timeout)?;
        let streams = self.daemons.iter_mut().flat_map(|daemon| &mut daemon.streams);
        for (stream, polled) in streams.zip(&fds[callers.end..sinks]) {
            stream.ready = polled.revents != 0;
        }
        Ok(Ready {
            signals: fds[0].revents != 0,
            callers: fds[callers].iter().any(|polled| polled.revents != 0),
        })
    }

    /// The next moment at which something is to be done without being asked.
    fn due(&self) -> Option<Instant> {
        let daemons = self.daemons.iter().filter_map(|daemon| match &daemon.life {
            Life::Up { stop, .. } => stop.as_ref().map(|stop| stop.deadline),
            Life::Waiting(until) => Some(*until),
            Life::Down => None,
        });
        let lines = self.daemons.iter().flat_map(|daemon| &daemon.streams).filter_map(|stream| {
            let sink = &self.sinks[stream.sink];
            Some(stream.since.filter(|_| sink.has_room())? + UNFINISHED)
        });
        daemons.chain(lines).chain(self.server.due()).min()
    }

    fn heard(&mut self, signal: i32) -> io::Result<()> {
        match signal {
            libc::SIGCHLD => self.reap()?,
            libc::SIGTERM | libc::SIGINT | libc::SIGQUIT => self.stop(),
            libc::SIGHUP => {
                for daemon in &self.daemons {
                    if let (Some(pid), Some(reload)) = (daemon.pid(), daemon.launch.reload) {
                        let _ = sys::kill(pid, reload);
                    }
                }
            }
            _ => {}
        }
        Ok(())
    }

    /// Ends every daemon; asked a second time, at once.
    fn stop(&mut self) {
        if self.stopping.is_some() {
            self.say("asked to stop again: killing what is left");
            self.stopping = Some(self.now);
            for daemon in &mut self.daemons {
                daemon.kill();
            }
            return;
        }
        let longest = self.daemons.iter().map(|daemon| daemon.launch.stop_timeout).max();
        let deadline = self.now + longest.unwrap_or(GRACE);
        self.stopping = Some(deadline);
        for daemon in &mut self.daemons {
            daemon.ask(self.now + daemon.launch.stop_timeout, false);
            for caller in daemon.callers.drain(..) {
                caller.answer(&Reply::Failed("the container stops".to_owned()));
            }
        }
    }

    /// Takes every child that has ended.
    fn reap(&mut self) -> io::Result<()> {
        loop {
            let pid = match sys::ended() {
                Ok(Some(pid)) => pid,
                Ok(None) => return Ok(()),
                Err(error) if error.raw_os_error() == Some(libc::ECHILD) => return Ok(()),
                Err(error) => return Err(error),
            };
            let Some(at) = self.daemons.iter().position(|daemon| daemon.pid() == Some(pid)) else {
                sys::reap(pid)?;
                continue;
            };
            // Its own container would have ended with it; the zombie keeps the group's number from strangers.
            self.daemons[at].kill();
            let ending = sys::reap(pid)?;
            let again = self.daemons[at].ended(ending, self.now);
            let name = self.daemons[at].name().to_owned();
            self.drain(at);
            self.say(&format!("{name} {ending}"));
            if again && self.stopping.is_none() {
                self.restart(at);
            }
        }
    }

    fn start(&mut self, at: usize) {
        let sinks = (0, self.sinks.len() - 1);
        if let Err(error) = self.daemons[at].start(sinks, self.now) {
            let daemon = &self.daemons[at];
            let program = daemon.launch.row.argv.first().cloned().unwrap_or_default();
            self.say(&format!("{} cannot be started: {program}: {error}", self.daemons[at].name()));
            if self.daemons[at].launch.restarts() && self.stopping.is_none() {
                self.daemons[at].come_back(self.now);
            }
        }
    }

    /// Starts a daemon anew and tells whoever asked for it.
    fn restart(&mut self, at: usize) {
        self.drain(at);
        self.daemons[at].restarts += 1;
        self.start(at);
        let daemon = &mut self.daemons[at];
        let name = daemon.launch.row.name.clone();
        for caller in std::mem::take(&mut daemon.callers) {
            caller.answer(&match daemon.pid() {
                Some(pid) => Reply::Done(format!("{name} runs again as process {pid}")),
                None => Reply::Failed(format!("{name} cannot be started again")),
            });
        }
    }

    fn asked(&mut self, caller: Caller, request: Request) {
        let find = |daemons: &[Daemon], name: &str| daemons.iter().position(|daemon| daemon.name() == name);
        let unknown = |name: &str| Reply::Failed(format!("there is no daemon {name:?}"));
        match request {
            Request::Status => caller.answer(&Reply::Status(Status {
                isolation: self.isolation.clone(),
                daemons: self.daemons.iter().map(|daemon| daemon.status(self.now)).collect(),
            })),
            Request::Signal { daemon, signal } => {
                caller.answer(&match find(&self.daemons, &daemon).map(|at| self.daemons[at].pid()) {
                    None => unknown(&daemon),
                    Some(None) => Reply::Failed(format!("{daemon} is not running")),
                    Some(Some(pid)) => match sys::kill(pid, signal) {
                        Ok(()) => Reply::Done(format!("signal {signal} sent to {daemon}, process {pid}")),
                        Err(error) => Reply::Failed(error.to_string()),
                    },
                });
            }
            Request::Restart { daemon } => match find(&self.daemons, &daemon) {
                None => caller.answer(&unknown(&daemon)),
                Some(_) if self.stopping.is_some() => {
                    caller.answer(&Reply::Failed("the container stops".to_owned()));
                }
                Some(at) => {
                    self.daemons[at].callers.push(caller);
                    match &self.daemons[at].life {
                        Life::Up { stop: None, .. } => {
                            let deadline = self.now + self.daemons[at].launch.stop_timeout;
                            self.daemons[at].ask(deadline, true);
                        }
                        Life::Up { .. } => {}
                        Life::Waiting(_) | Life::Down => self.restart(at),
                    }
                }
            },
        }
    }

    /// Does what is due.
    fn attend(&mut self) {
        let now = self.now;
        for at in 0..self.daemons.len() {
            match &self.daemons[at].life {
                Life::Up { stop: Some(stop), .. } if stop.deadline <= now => {
                    let name = self.daemons[at].name().to_owned();
                    self.daemons[at].kill();
                    if let Life::Up { stop: Some(stop), .. } = &mut self.daemons[at].life {
                        stop.deadline = now + GRACE;
                    }
                    self.say(&format!("{name} did not end in time and is killed"));
                }
                Life::Waiting(until) if *until <= now => self.restart(at),
                _ => {}
            }
        }
        for stream in self.daemons.iter_mut().flat_map(|daemon| &mut daemon.streams) {
            let sink = &mut self.sinks[stream.sink];
            if stream.since.is_some_and(|since| since + UNFINISHED <= now) && sink.has_room() {
                stream.lines.flush(&mut sink.buffer);
                stream.since = None;
                sink.push();
            }
        }
    }

    /// Moves what the daemons have written on to the sinks, as far as they have room.
    fn pump(&mut self) {
        for sink in &mut self.sinks {
            sink.push();
        }
        let enlarged = self.daemons.iter().flat_map(|daemon| &daemon.streams).filter(|s| s.enlarged).count();
        let mut may_enlarge = LARGE_PIPES.saturating_sub(enlarged);
        self.chunk.resize(CHUNK, 0);
        for daemon in &mut self.daemons {
            daemon.streams.retain_mut(|stream| {
                let sink = &mut self.sinks[stream.sink];
                if !sink.has_room() {
                    // Its rest may be waiting in the pipe: that is no pause of the daemon's.
                    stream.since = stream.since.map(|_| self.now);
                    return true;
                }
                if !std::mem::take(&mut stream.ready) {
                    return true;
                }
                // Whoever writes much is read more than once, but not for ever: the others wait.
                for _ in 0..READS {
                    let count = match sys::read(stream.fd.as_fd(), &mut self.chunk) {
                        Ok(Some(count @ 1..)) => count,
                        Ok(None) => break,
                        Ok(Some(0)) | Err(_) => {
                            stream.lines.flush(&mut sink.buffer);
                            sink.push();
                            return false;
                        }
                    };
                    if stream.lines.feed(&self.chunk[..count], &mut sink.buffer) {
                        stream.since = None;
                    }
                    stream.since = stream.lines.unfinished().then(|| stream.since.unwrap_or(self.now));
                    sink.push();
                    if count < SMALL_PIPE / 2 || !sink.has_room() {
                        break;
                    }
                    if !stream.enlarged && may_enlarge > 0 {
                        may_enlarge -= 1;
                        // A refusal costs speed alone.
                        stream.enlarged = sys::enlarge(stream.fd.as_fd(), LARGE_PIPE).is_ok();
                    }
                }
                true
            });
        }
    }

    /// Takes the rest of what a daemon that has ended wrote, and lets go of it.
    ///
    /// No more than a pipe holds: what escaped from the daemon may go on writing.
    fn drain(&mut self, at: usize) {
        self.chunk.resize(CHUNK, 0);
        for stream in &mut self.daemons[at].streams {
            let sink = &mut self.sinks[stream.sink];
            let mut left = LARGE_PIPE;
            while left > 0
                && let Ok(Some(count @ 1..)) = sys::read(stream.fd.as_fd(), &mut self.chunk)
            {
                stream.lines.feed(&self.chunk[..count], &mut sink.buffer);
                left = left.saturating_sub(count);
            }
            stream.lines.flush(&mut sink.buffer);
            stream.since = None;
            sink.push();
        }
        self.daemons[at].streams.clear();
    }

    /// After the last daemon: nothing that it left behind survives, and nothing that it said is lost.
    fn last_words(&mut self) -> io::Result<()> {
        let deadline = self.stopping.map_or(self.now + GRACE, |deadline| deadline.max(self.now));
        loop {
            let left = kill_the_rest();
            self.reap()?;
            for at in 0..self.daemons.len() {
                self.drain(at);
            }
            let waits = self.sinks.iter().any(Sink::waits);
            if (!left && !waits) || self.now >= deadline {
                return Ok(());
            }
            let mut fds =
                vec![libc::pollfd { fd: self.signals.as_raw_fd(), events: libc::POLLIN, revents: 0 }];
            for sink in self.sinks.iter().filter(|sink| sink.waits()) {
                fds.push(libc::pollfd { fd: sink.fd().as_raw_fd(), events: libc::POLLOUT, revents: 0 });
            }
            let wait = deadline.saturating_duration_since(self.now).as_millis();
            sys::poll(&mut fds, i32::try_from(wait).unwrap_or(i32::MAX))?;
            self.now = Instant::now();
            while let Some(signal) = sys::next_signal(&self.signals)? {
                if matches!(signal, libc::SIGTERM | libc::SIGINT | libc::SIGQUIT) {
                    return Ok(());
                }
            }
            for sink in &mut self.sinks {
                sink.push();
            }
        }
    }
}

/// Kills what daemons left behind: everything in the container for PID 1, else every child; says whether children
/// are left to be reaped.
fn kill_the_rest() -> bool {
    let own = i32::try_from(std::process::id()).unwrap_or(0);
    if own == 1 {
        let _ = sys::kill(-1, libc::SIGKILL);
    } else {
        for pid in proc::processes().filter(|pid| proc::stat(*pid).is_some_and(|stat| stat.parent == own)) {
            let _ = sys::kill(pid, libc::SIGKILL);
        }
    }
    !matches!(sys::ended(), Err(error) if error.raw_os_error() == Some(libc::ECHILD))
}
