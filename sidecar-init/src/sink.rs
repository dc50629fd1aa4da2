//! Where the log goes: the init's own stdout and stderr, written without ever waiting.

use std::fs::{File, OpenOptions};
use std::io;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::os::unix::fs::{FileTypeExt, MetadataExt, OpenOptionsExt};
use std::time::{Duration, Instant};

use crate::sys;

/// Bytes that may wait for a slow reader; beyond that the daemons wait.
const LIMIT: usize = 256 * 1024;

/// What the pipe to the reader is made to hold, in bytes.
const PIPE: usize = 256 * 1024;

/// Time until a write that has failed is tried again.
const RETRY: Duration = Duration::from_millis(100);

/// One stream of the log.
#[derive(Debug)]
pub(crate) struct Sink {
    fd: OwnedFd,
    pub(crate) buffer: Vec<u8>,
    sent: usize,
    /// The reader has gone; what comes is dropped, and the daemons go on.
    closed: bool,
    failure: Option<Failure>,
}

/// A log that cannot be written for now: a full disk, for instance.
#[derive(Debug)]
struct Failure {
    error: io::Error,
    retry: Instant,
    /// Bytes that were dropped meanwhile.
    lost: usize,
}

impl Sink {
    /// Opens the init's stdout and stderr: one sink if both are the same file, so that no line is torn.
    ///
    /// # Errors
    ///
    /// What kept a stream from being made ready.
    pub(crate) fn standard() -> io::Result<Vec<Self>> {
        let stdout = Self::of(io::stdout().as_fd(), 1)?;
        let stderr = Self::of(io::stderr().as_fd(), 2)?;
        let identity = |fd: BorrowedFd<'_>| -> io::Result<(u64, u64, u64)> {
            let metadata = File::from(fd.try_clone_to_owned()?).metadata()?;
            Ok((metadata.dev(), metadata.ino(), metadata.rdev()))
        };
        let same = identity(io::stdout().as_fd())? == identity(io::stderr().as_fd())?;
        Ok(if same { vec![stdout] } else { vec![stdout, stderr] })
    }

    /// A stream of its own on the same file, where the file has one: `O_NONBLOCK` would else be everybody's who
    /// holds the stream.
    fn of(fd: BorrowedFd<'_>, number: i32) -> io::Result<Self> {
        let original = fd.try_clone_to_owned()?;
        let kind = File::from(original.try_clone()?).metadata()?.file_type();
        let fd = if kind.is_fifo() || kind.is_char_device() {
            let own = OpenOptions::new()
                .write(true)
                .custom_flags(libc::O_NONBLOCK)
                .open(format!("/proc/self/fd/{number}"));
            if let Ok(own) = own {
                OwnedFd::from(own)
            } else {
                sys::set_nonblocking(original.as_fd())?;
                original
            }
        } else if kind.is_socket() {
            sys::set_nonblocking(original.as_fd())?;
            original
        } else {
            original
        };
        if kind.is_fifo() {
            // A refusal costs speed alone.
            let _ = sys::enlarge(fd.as_fd(), PIPE);
        }
        Ok(Self { fd, buffer: Vec::new(), sent: 0, closed: false, failure: None })
    }

    pub(crate) fn fd(&self) -> BorrowedFd<'_> {
        self.fd.as_fd()
    }

    /// Whether bytes wait for the reader, and can be offered to it.
    pub(crate) fn waits(&self, now: Instant) -> bool {
        self.unsent() && self.failure.as_ref().is_none_or(|failure| failure.retry <= now)
    }

    /// Whether bytes have not been written.
    pub(crate) fn unsent(&self) -> bool {
        self.sent < self.buffer.len()
    }

    /// When a write is tried again.
    pub(crate) fn due(&self) -> Option<Instant> {
        self.failure.as_ref().filter(|_| self.unsent()).map(|failure| failure.retry)
    }

    /// Whether more may be put into the buffer. Where nothing can be written, daemons are not made to wait.
    pub(crate) fn has_room(&self) -> bool {
        self.failure.is_some() || self.buffer.len() - self.sent < LIMIT
    }

    /// Writes what waits, as far as the reader takes it.
    pub(crate) fn push(&mut self, now: Instant) {
        while self.waits(now) && !self.closed {
            match sys::write(self.fd.as_fd(), &self.buffer[self.sent..]) {
                Ok(Some(written)) => {
                    self.sent += written;
                    self.recover();
                }
                Ok(None) => break,
                Err(error) if error.kind() == io::ErrorKind::BrokenPipe => self.closed = true,
                Err(error) => self.fail(error, now),
            }
        }
        if self.closed || !self.unsent() {
            self.buffer.clear();
            self.sent = 0;
        } else if self.sent >= LIMIT {
            self.buffer.drain(..self.sent);
            self.sent = 0;
        }
        let waiting = self.buffer.len() - self.sent;
        if let Some(failure) = self.failure.as_mut().filter(|_| waiting > LIMIT) {
            failure.lost += waiting;
            self.buffer.clear();
            self.sent = 0;
        }
    }

    fn fail(&mut self, error: io::Error, now: Instant) {
        let lost = self.failure.as_ref().map_or(0, |failure| failure.lost);
        self.failure = Some(Failure { error, retry: now + RETRY, lost });
    }

    /// Says, in the log itself, what it has missed.
    fn recover(&mut self) {
        // In the middle of a line nothing can be said yet.
        if self.failure.is_none() || self.buffer[..self.sent].last() != Some(&b'\n') {
            return;
        }
        if let Some(Failure { error, lost, .. }) = self.failure.take() {
            let message =
                format!("[sidecar-init] the log could not be written ({error}): {lost} bytes are lost\n");
            self.buffer.splice(self.sent..self.sent, message.into_bytes());
        }
    }
}
