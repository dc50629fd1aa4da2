//! Where the log goes: the init's own stdout and stderr, written without ever waiting.

use std::fs::{File, OpenOptions};
use std::io;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::os::unix::fs::{FileTypeExt, MetadataExt, OpenOptionsExt};

use crate::sys;

/// Bytes that may wait for a slow reader; beyond that the daemons wait.
const LIMIT: usize = 256 * 1024;

/// What the pipe to the reader is made to hold, in bytes.
const PIPE: usize = 256 * 1024;

/// One stream of the log.
#[derive(Debug)]
pub(crate) struct Sink {
    fd: OwnedFd,
    pub(crate) buffer: Vec<u8>,
    sent: usize,
    /// The reader has gone; what comes is dropped, and the daemons go on.
    closed: bool,
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
        Ok(Self { fd, buffer: Vec::new(), sent: 0, closed: false })
    }

    pub(crate) fn fd(&self) -> BorrowedFd<'_> {
        self.fd.as_fd()
    }

    /// Whether bytes wait for the reader.
    pub(crate) fn waits(&self) -> bool {
        self.sent < self.buffer.len()
    }

    /// Whether more may be put into the buffer.
    pub(crate) fn has_room(&self) -> bool {
        self.buffer.len() - self.sent < LIMIT
    }

    /// Writes what waits, as far as the reader takes it.
    pub(crate) fn push(&mut self) {
        while self.waits() && !self.closed {
            match sys::write(self.fd.as_fd(), &self.buffer[self.sent..]) {
                Ok(Some(written)) => self.sent += written,
                Ok(None) => break,
                Err(_) => self.closed = true,
            }
        }
        if self.closed || !self.waits() {
            self.buffer.clear();
            self.sent = 0;
        } else if self.sent >= LIMIT {
            self.buffer.drain(..self.sent);
            self.sent = 0;
        }
    }
}
