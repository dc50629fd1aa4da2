//! The daemons' log lines: read from their pipes, handed on to the sinks.

use std::os::fd::{AsFd, OwnedFd};
use std::time::{Duration, Instant};

use super::{Daemon, RETRY, Supervisor};
use crate::lines::Lines;
use crate::sys;

/// An unfinished line is handed on after this time without another byte.
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
/// Streams of earlier processes of one daemon that may wait for a slow reader; what is older is given up.
const REMAINS: usize = 4;

/// One end of a daemon's stdout or stderr.
#[derive(Debug)]
pub(crate) struct Stream {
    pub(super) fd: OwnedFd,
    lines: Lines,
    /// Which sink its lines go to.
    pub(super) sink: usize,
    /// Since when it has been silent with a line unfinished; time in which it was not read does not count.
    silent: Option<Instant>,
    /// Whether it is waited for, and whether something has arrived.
    pub(super) polled: bool,
    pub(super) ready: bool,
    /// When it is read again, after an error.
    pub(super) retry: Option<Instant>,
    /// Whether its pipe has been made larger.
    enlarged: bool,
}

/// What became of reading a stream.
#[derive(PartialEq, Eq)]
enum Read {
    /// Nothing more is there now, or others have their turn.
    Later,
    /// Its other end is closed.
    End,
}

impl Stream {
    pub(super) fn new(fd: OwnedFd, name: &str, sink: usize) -> Self {
        Self {
            fd,
            lines: Lines::of(name),
            sink,
            silent: None,
            polled: false,
            ready: false,
            retry: None,
            enlarged: false,
        }
    }

    /// When its unfinished line is handed on.
    pub(super) fn due(&self) -> Option<Instant> {
        self.silent.map(|since| since + UNFINISHED)
    }

    /// Number of the pipe, as `/proc/PID/fd` shows it.
    pub(super) fn inode(&self) -> Option<u64> {
        use std::os::unix::fs::MetadataExt;
        let file = std::fs::File::from(self.fd.try_clone().ok()?);
        file.metadata().ok().map(|metadata| metadata.ino())
    }
}

/// A stream of a process that has ended: what it left behind may go on writing.
#[derive(Debug)]
pub(super) struct Remains {
    pub(super) stream: Stream,
    /// Whose it is.
    daemon: usize,
}

/// The last bytes that a daemon wrote.
#[derive(Debug, Default)]
pub(crate) struct Tail(Vec<u8>);

impl Tail {
    const BYTES: usize = 1024;
    const LINES: usize = 5;

    fn push(&mut self, bytes: &[u8]) {
        let bytes = &bytes[bytes.len().saturating_sub(Self::BYTES)..];
        let room = Self::BYTES - bytes.len();
        self.0.drain(..self.0.len().saturating_sub(room));
        self.0.extend_from_slice(bytes);
    }

    /// The last lines, without control characters.
    pub(super) fn lines(&self) -> Vec<String> {
        let text = String::from_utf8_lossy(&self.0);
        let lines: Vec<String> = text
            .lines()
            .map(|line| line.chars().map(|c| if c.is_control() { ' ' } else { c }).collect::<String>())
            .filter(|line| !line.trim().is_empty())
            .collect();
        lines[lines.len().saturating_sub(Self::LINES)..].to_vec()
    }
}

impl Supervisor {
    /// Every stream, in a fixed order.
    pub(super) fn streams<'a>(
        daemons: &'a mut [Daemon],
        remains: &'a mut [Remains],
    ) -> impl Iterator<Item = &'a mut Stream> {
        let own = daemons.iter_mut().flat_map(|daemon| &mut daemon.streams);
        own.chain(remains.iter_mut().map(|remains| &mut remains.stream))
    }

    /// Moves what the daemons have written on to the sinks, as far as they have room.
    pub(super) fn pump(&mut self) {
        for sink in &mut self.sinks {
            sink.push(self.now);
        }
        let enlarged = self.daemons.iter().flat_map(|daemon| &daemon.streams).filter(|s| s.enlarged).count();
        let mut may_enlarge = LARGE_PIPES.saturating_sub(enlarged);
        let mut chunk = std::mem::take(&mut self.chunk);
        chunk.resize(CHUNK, 0);
        let mut daemons = std::mem::take(&mut self.daemons);
        for daemon in &mut daemons {
            let tail = &mut daemon.tail;
            daemon
                .streams
                .retain_mut(|stream| self.read(stream, tail, &mut chunk, &mut may_enlarge) == Read::Later);
        }
        let mut remains = std::mem::take(&mut self.remains);
        remains.retain_mut(|remains| {
            let tail = &mut daemons[remains.daemon].tail;
            self.read(&mut remains.stream, tail, &mut chunk, &mut 0) == Read::Later
        });
        (self.chunk, self.daemons, self.remains) = (chunk, daemons, remains);
    }

    /// Reads a stream as far as its sink has room.
    fn read(
        &mut self,
        stream: &mut Stream,
        tail: &mut Tail,
        chunk: &mut [u8],
        may_enlarge: &mut usize,
    ) -> Read {
        if !stream.polled {
            // Its rest may be waiting in the pipe: that is no silence of the daemon's.
            stream.silent = stream.silent.map(|_| self.now);
            return Read::Later;
        }
        if !std::mem::take(&mut stream.ready) {
            return Read::Later;
        }
        for _ in 0..READS {
            if !self.sinks[stream.sink].has_room() {
                break;
            }
            let read = sys::read(stream.fd.as_fd(), chunk);
            self.faults.note("cannot read what a daemon writes", read.as_ref().err());
            let count = match read {
                Ok(Some(count @ 1..)) => count,
                Ok(None) => break,
                Ok(Some(0)) => {
                    self.flush(stream);
                    return Read::End;
                }
                Err(_) => {
                    stream.retry = Some(self.now + RETRY);
                    return Read::Later;
                }
            };
            stream.retry = None;
            tail.push(&chunk[..count]);
            let sink = &mut self.sinks[stream.sink];
            stream.lines.feed(&chunk[..count], &mut sink.buffer);
            sink.push(self.now);
            if count < SMALL_PIPE / 2 {
                break;
            }
            if !stream.enlarged && *may_enlarge > 0 {
                *may_enlarge -= 1;
                // A refusal costs speed alone.
                stream.enlarged = sys::enlarge(stream.fd.as_fd(), LARGE_PIPE).is_ok();
            }
        }
        stream.silent = stream.lines.unfinished().then_some(self.now);
        Read::Later
    }

    /// Hands on the unfinished line of a stream.
    fn flush(&mut self, stream: &mut Stream) {
        let sink = &mut self.sinks[stream.sink];
        stream.lines.flush(&mut sink.buffer);
        stream.silent = None;
        sink.push(self.now);
    }

    /// Hands on lines that have been unfinished for long while their streams were read.
    pub(super) fn flush_unfinished(&mut self) {
        for stream in Self::streams(&mut self.daemons, &mut self.remains) {
            let sink = &mut self.sinks[stream.sink];
            if stream.polled && sink.has_room() && stream.due().is_some_and(|due| due <= self.now) {
                stream.lines.flush(&mut sink.buffer);
                stream.silent = None;
                sink.push(self.now);
            }
        }
    }

    /// Keeps the streams of a process that has ended, for whatever still writes to them.
    pub(super) fn keep_remains(&mut self, at: usize) {
        for mut stream in std::mem::take(&mut self.daemons[at].streams) {
            // What is there is handed on before the message that the process has ended.
            (stream.polled, stream.ready, stream.retry) = (true, true, None);
            let mut chunk = std::mem::take(&mut self.chunk);
            chunk.resize(CHUNK, 0);
            let mut tail = std::mem::take(&mut self.daemons[at].tail);
            let read = self.read(&mut stream, &mut tail, &mut chunk, &mut 0);
            self.daemons[at].tail = tail;
            self.chunk = chunk;
            if read == Read::Later {
                self.remains.push(Remains { stream, daemon: at });
            }
        }
        let own = self.remains.iter().filter(|remains| remains.daemon == at).count();
        let (mut surplus, mut lost) = (own.saturating_sub(REMAINS), 0);
        self.remains.retain(|remains| {
            let drop = remains.daemon == at && surplus > 0;
            if drop {
                surplus -= 1;
                lost += sys::unread(remains.stream.fd.as_fd());
            }
            !drop
        });
        if lost > 0 {
            let name = self.daemons[at].name().to_owned();
            self.say(&format!("the log is not read: {lost} bytes of {name} are lost"));
        }
    }

    /// Whether something that a daemon wrote has not been read.
    pub(super) fn unread(&self) -> bool {
        self.remains.iter().any(|remains| sys::unread(remains.stream.fd.as_fd()) > 0)
    }

    /// Hands on every unfinished line, before the init ends.
    pub(super) fn flush_all(&mut self) {
        for stream in Self::streams(&mut self.daemons, &mut self.remains) {
            let sink = &mut self.sinks[stream.sink];
            stream.lines.flush(&mut sink.buffer);
            sink.push(self.now);
        }
    }
}
