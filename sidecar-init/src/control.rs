//! The init's end of the control socket: who may ask, what can be asked, and what is answered.
//!
//! The socket is an abstract one, so that it needs no writable folder and so that Landlock closes it to daemons
//! (unix(7)); where Landlock cannot, the caller's ancestry does.

use std::io::{self, Read, Write};
use std::os::fd::AsFd;
use std::os::linux::net::SocketAddrExt;
use std::os::unix::net::{SocketAddr, UnixListener, UnixStream};
use std::time::{Duration, Instant};

use bottle_contract::status::Status;
use serde::{Deserialize, Serialize};

use crate::sys;

/// A caller that says nothing for so long is sent away.
const PATIENCE: Duration = Duration::from_secs(2);
/// Callers at one time.
const CALLERS: usize = 16;
/// Callers that are let in, or sent away, in one tick of the loop.
const PER_TICK: usize = 8;
/// Ancestors of a caller that are looked at.
const ANCESTORS: usize = 256;
/// Time until callers are let in again after an error.
const RETRY: Duration = Duration::from_millis(100);
/// Bytes of a request.
const REQUEST: usize = 512;

/// What can be asked of the init.
#[derive(Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub(crate) enum Request {
    Status,
    Signal { daemon: String, signal: i32 },
    Restart { daemon: String },
    Start { daemon: String },
    Stop { daemon: String },
}

/// What the init answers.
#[derive(Debug, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub(crate) enum Reply {
    Status(Status),
    Done(String),
    /// It was asked about a daemon that is not there.
    Unknown(String),
    /// It was asked for something that cannot be done now.
    Failed(String),
    /// The caller may not ask.
    Refused(String),
}

/// Name of the control socket of the init with this process id, in the caller's process namespace.
pub(crate) fn address(pid: u32) -> io::Result<SocketAddr> {
    let namespace = std::fs::read_link("/proc/self/ns/pid")?;
    SocketAddr::from_abstract_name(format!("sidecar-init {} {pid}", namespace.display()))
}

/// A caller whose request has not arrived whole, or whose answer is still to come.
#[derive(Debug)]
pub(crate) struct Caller {
    stream: UnixStream,
    request: Vec<u8>,
    since: Instant,
}

impl Caller {
    /// Answers, and lets the caller go.
    pub(crate) fn answer(mut self, reply: &Reply) {
        let mut text = serde_json::to_string(reply).unwrap_or_default();
        text.push('\n');
        // A caller that has gone needs no answer.
        let _ = self.stream.write_all(text.as_bytes());
    }
}

/// The control socket.
#[derive(Debug)]
pub(crate) struct Server {
    listener: UnixListener,
    callers: Vec<Caller>,
    /// Until when nobody is let in, after an error such as too many open files.
    pause: Option<Instant>,
    /// Whether an error of letting in was noted in the last tick.
    pub(crate) error: Option<io::Error>,
}

impl Server {
    pub(crate) fn open() -> io::Result<Self> {
        let listener = UnixListener::bind_addr(&address(std::process::id())?)?;
        listener.set_nonblocking(true)?;
        Ok(Self { listener, callers: Vec::new(), pause: None, error: None })
    }

    /// Everything that is to be polled for reading.
    pub(crate) fn sockets(&self, now: Instant) -> impl Iterator<Item = std::os::fd::BorrowedFd<'_>> {
        let listener = self.pause.is_none_or(|until| until <= now).then(|| self.listener.as_fd());
        listener.into_iter().chain(self.callers.iter().map(|caller| caller.stream.as_fd()))
    }

    /// When the most patient wait for a caller ends, or callers are let in again.
    pub(crate) fn due(&self) -> Option<Instant> {
        self.callers.iter().map(|caller| caller.since + PATIENCE).chain(self.pause).min()
    }

    /// Lets callers in and returns the requests that have arrived whole.
    pub(crate) fn requests(&mut self, now: Instant) -> Vec<(Caller, Request)> {
        self.error = None;
        for _ in 0..PER_TICK {
            match self.listener.accept() {
                Ok((stream, _)) => self.let_in(stream, now),
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => {
                    self.pause = None;
                    break;
                }
                Err(error) => {
                    self.pause = Some(now + RETRY);
                    self.error = Some(error);
                    break;
                }
            }
        }
        let mut requests = Vec::new();
        for mut caller in std::mem::take(&mut self.callers) {
            match caller.read() {
                Ok(Some(request)) => requests.push((caller, request)),
                Ok(None) if now < caller.since + PATIENCE => self.callers.push(caller),
                Ok(None) => caller.answer(&Reply::Failed("no request came".to_owned())),
                Err(why) => caller.answer(&Reply::Failed(why)),
            }
        }
        requests
    }

    fn let_in(&mut self, stream: UnixStream, now: Instant) {
        let caller = Caller { stream, request: Vec::new(), since: now };
        let ready = caller.stream.set_nonblocking(true).map_err(|error| error.to_string());
        match ready.and_then(|()| admit(&caller.stream)) {
            Ok(()) if self.callers.len() < CALLERS => self.callers.push(caller),
            Ok(()) => caller.answer(&Reply::Failed("too many callers".to_owned())),
            Err(why) => caller.answer(&Reply::Refused(why)),
        }
    }
}

impl Caller {
    fn read(&mut self) -> Result<Option<Request>, String> {
        let mut chunk = [0; REQUEST];
        loop {
            match self.stream.read(&mut chunk) {
                Ok(0) => return Err("the request breaks off".to_owned()),
                Ok(count) => self.request.extend_from_slice(&chunk[..count]),
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => return Ok(None),
                Err(error) => return Err(error.to_string()),
            }
            if let Some(line) = self.request.strip_suffix(b"\n") {
                return serde_json::from_slice(line).map(Some).map_err(|error| error.to_string());
            }
            if self.request.len() > REQUEST {
                return Err("the request is too long".to_owned());
            }
        }
    }
}

/// Lets root in, and nobody who descends from a daemon.
fn admit(stream: &UnixStream) -> Result<(), String> {
    let (uid, pid) = sys::peer(stream.as_fd()).map_err(|error| error.to_string())?;
    if uid != 0 && uid != sys::effective_user() {
        return Err("only root of the container may ask".to_owned());
    }
    let own = i32::try_from(std::process::id()).unwrap_or(0);
    let mut next = pid;
    // Processes that an engine puts into the container have no parent in it; everything else there is a daemon's.
    for _ in 0..ANCESTORS {
        if next == own {
            return Err("a daemon may not ask".to_owned());
        }
        match parent(next) {
            Some(0) => return Ok(()),
            Some(above) => next = above,
            None => return Err("the caller is not in this container".to_owned()),
        }
    }
    Err("the caller's ancestry has no end".to_owned())
}

/// Parent of a process; `None`: there is no such process.
fn parent(pid: i32) -> Option<i32> {
    crate::proc::stat(pid).map(|stat| stat.parent)
}
