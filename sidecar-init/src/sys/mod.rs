//! System calls that the standard library does not offer: the one place with `unsafe`.
#![expect(unsafe_code, reason = "each call stands here once, with what makes it sound")]

mod child;

use std::io;
use std::mem::{MaybeUninit, size_of};
use std::os::fd::{AsFd, AsRawFd, BorrowedFd, FromRawFd, OwnedFd, RawFd};

use bottle_contract::capability::Capabilities;

pub(crate) use self::child::{Held, Rlimit, Start, as_user, capabilities, start};
use crate::outcome::Ending;
use crate::users::Credentials;

/// Turns a system call's `-1` into the error that it stands for.
fn checked(result: libc::c_int) -> io::Result<libc::c_int> {
    if result == -1 { Err(io::Error::last_os_error()) } else { Ok(result) }
}

/// Signals that the init reads; every other one that can be blocked stays pending and does nothing.
const WATCHED: [libc::c_int; 5] = [libc::SIGTERM, libc::SIGINT, libc::SIGQUIT, libc::SIGHUP, libc::SIGCHLD];

/// Signals that a fault of the process itself raises; they stay as they are.
const FAULTS: [libc::c_int; 8] = [
    libc::SIGSEGV,
    libc::SIGBUS,
    libc::SIGFPE,
    libc::SIGILL,
    libc::SIGABRT,
    libc::SIGTRAP,
    libc::SIGSYS,
    libc::SIGPIPE,
];

/// Blocks every signal and returns a descriptor from which the watched ones can be read (signalfd(2)).
pub(crate) fn signals() -> io::Result<OwnedFd> {
    let mut all = MaybeUninit::<libc::sigset_t>::uninit();
    let mut watched = MaybeUninit::<libc::sigset_t>::uninit();
    // SAFETY: both sets are initialised before use, by sigfillset and sigemptyset; the descriptor is new and ours.
    unsafe {
        libc::sigfillset(all.as_mut_ptr());
        for fault in FAULTS {
            libc::sigdelset(all.as_mut_ptr(), fault);
        }
        libc::sigemptyset(watched.as_mut_ptr());
        for signal in WATCHED {
            libc::sigaddset(watched.as_mut_ptr(), signal);
        }
        checked(libc::sigprocmask(libc::SIG_SETMASK, all.as_ptr(), std::ptr::null_mut()))?;
        let fd = checked(libc::signalfd(-1, watched.as_ptr(), libc::SFD_CLOEXEC | libc::SFD_NONBLOCK))?;
        Ok(OwnedFd::from_raw_fd(fd))
    }
}

/// The next signal, if one has arrived.
pub(crate) fn next_signal(fd: &OwnedFd) -> io::Result<Option<i32>> {
    let mut info = MaybeUninit::<libc::signalfd_siginfo>::zeroed();
    let size = size_of::<libc::signalfd_siginfo>();
    // SAFETY: the buffer is as long as said, and any bytes are a valid signalfd_siginfo.
    let read = unsafe { libc::read(fd.as_raw_fd(), info.as_mut_ptr().cast(), size) };
    match usize::try_from(read) {
        Ok(read) if read == size => {
            // SAFETY: the kernel filled it whole.
            let number = unsafe { info.assume_init() }.ssi_signo;
            Ok(i32::try_from(number).ok())
        }
        Ok(_) => Ok(None),
        Err(_) => match io::Error::last_os_error() {
            error if matches!(error.kind(), io::ErrorKind::WouldBlock | io::ErrorKind::Interrupted) => {
                Ok(None)
            }
            error => Err(error),
        },
    }
}

/// The next watched signal that is pending, without the descriptor: for the case that reading it fails.
pub(crate) fn pending_signal() -> Option<i32> {
    let mut watched = MaybeUninit::<libc::sigset_t>::uninit();
    let now = libc::timespec { tv_sec: 0, tv_nsec: 0 };
    // SAFETY: the set is initialised before use; no information beside the number is asked for.
    let signal = unsafe {
        libc::sigemptyset(watched.as_mut_ptr());
        for signal in WATCHED {
            libc::sigaddset(watched.as_mut_ptr(), signal);
        }
        libc::sigtimedwait(watched.as_ptr(), std::ptr::null_mut(), &raw const now)
    };
    (signal > 0).then_some(signal)
}

/// Whether a process group has a member, a zombie or one that may not be signalled included.
pub(crate) fn group_exists(group: i32) -> bool {
    !matches!(kill(-group, 0), Err(error) if error.raw_os_error() == Some(libc::ESRCH))
}

/// A pipe whose read end does not block; the write end is a daemon's.
pub(crate) fn pipe() -> io::Result<(OwnedFd, OwnedFd)> {
    let mut ends: [RawFd; 2] = [-1; 2];
    // SAFETY: the array has room for two descriptors, which are new and ours.
    let (read, write) = unsafe {
        checked(libc::pipe2(ends.as_mut_ptr(), libc::O_CLOEXEC))?;
        (OwnedFd::from_raw_fd(ends[0]), OwnedFd::from_raw_fd(ends[1]))
    };
    set_nonblocking(read.as_fd())?;
    Ok((read, write))
}

/// Makes reads and writes of a descriptor return at once (`O_NONBLOCK`).
pub(crate) fn set_nonblocking(fd: BorrowedFd<'_>) -> io::Result<()> {
    // SAFETY: the descriptor is open, and these commands touch no memory.
    unsafe {
        let flags = checked(libc::fcntl(fd.as_raw_fd(), libc::F_GETFL))?;
        checked(libc::fcntl(fd.as_raw_fd(), libc::F_SETFL, flags | libc::O_NONBLOCK))?;
    }
    Ok(())
}

/// Makes a pipe hold `bytes`; the kernel may refuse where a user's pipes are too large in all (pipe(7)).
pub(crate) fn enlarge(fd: BorrowedFd<'_>, bytes: usize) -> io::Result<()> {
    let bytes = libc::c_int::try_from(bytes).unwrap_or(libc::c_int::MAX);
    // SAFETY: the descriptor is open, and the command touches no memory.
    checked(unsafe { libc::fcntl(fd.as_raw_fd(), libc::F_SETPIPE_SZ, bytes) }).map(drop)
}

/// Reads into spare room of a buffer; `None`: nothing has arrived yet.
pub(crate) fn read(fd: BorrowedFd<'_>, buffer: &mut [u8]) -> io::Result<Option<usize>> {
    // SAFETY: the buffer is writable for its whole length.
    let read = unsafe { libc::read(fd.as_raw_fd(), buffer.as_mut_ptr().cast(), buffer.len()) };
    transferred(read)
}

/// Writes a part of a buffer; `None`: there is no room.
pub(crate) fn write(fd: BorrowedFd<'_>, buffer: &[u8]) -> io::Result<Option<usize>> {
    // SAFETY: the buffer is readable for its whole length.
    let written = unsafe { libc::write(fd.as_raw_fd(), buffer.as_ptr().cast(), buffer.len()) };
    transferred(written)
}

fn transferred(count: libc::ssize_t) -> io::Result<Option<usize>> {
    match usize::try_from(count) {
        Ok(count) => Ok(Some(count)),
        Err(_) => match io::Error::last_os_error() {
            error if matches!(error.kind(), io::ErrorKind::WouldBlock | io::ErrorKind::Interrupted) => {
                Ok(None)
            }
            error => Err(error),
        },
    }
}

/// Waits until a descriptor is ready, or `timeout` milliseconds have passed (`-1`: for ever).
pub(crate) fn poll(fds: &mut [libc::pollfd], timeout: i32) -> io::Result<()> {
    let count = libc::nfds_t::try_from(fds.len()).unwrap_or(libc::nfds_t::MAX);
    // SAFETY: the slice is as long as said.
    match checked(unsafe { libc::poll(fds.as_mut_ptr(), count, timeout) }) {
        Err(error) if error.kind() != io::ErrorKind::Interrupted => Err(error),
        _ => Ok(()),
    }
}

/// A child that has ended and is still to be reaped, so that its process group cannot be another's yet.
pub(crate) fn ended() -> io::Result<Option<i32>> {
    let mut info = MaybeUninit::<libc::siginfo_t>::zeroed();
    let options = libc::WEXITED | libc::WNOHANG | libc::WNOWAIT;
    // SAFETY: the buffer is a siginfo_t; zeroed, it is valid, and si_pid is 0 where nobody has ended.
    let pid = unsafe {
        checked(libc::waitid(libc::P_ALL, 0, info.as_mut_ptr(), options))?;
        info.assume_init().si_pid()
    };
    Ok((pid != 0).then_some(pid))
}

/// Reaps a child that has ended.
pub(crate) fn reap(pid: i32) -> io::Result<Ending> {
    let mut status = 0;
    // SAFETY: the status is a writable integer.
    if checked(unsafe { libc::waitpid(pid, &raw mut status, libc::WNOHANG) }).is_ok() {
        return Ok(ending(status));
    }
    let mut info = MaybeUninit::<libc::siginfo_t>::zeroed();
    let id = libc::id_t::try_from(pid).map_err(io::Error::other)?;
    // SAFETY: the buffer is a siginfo_t, which the call fills in for a child.
    let (code, status) = unsafe {
        checked(libc::waitid(libc::P_PID, id, info.as_mut_ptr(), libc::WEXITED | libc::WNOHANG))?;
        let info = info.assume_init();
        (info.si_code, info.si_status())
    };
    Ok(if code == libc::CLD_EXITED { Ending::Code(status) } else { Ending::Signal(status) })
}

/// Reaps any child that has ended: for the case that [`ended`] fails.
pub(crate) fn reap_any() -> Option<(i32, Ending)> {
    let mut status = 0;
    // SAFETY: the status is a writable integer.
    let pid = unsafe { libc::waitpid(-1, &raw mut status, libc::WNOHANG) };
    (pid > 0).then(|| (pid, ending(status)))
}

/// How a process ended, by the status of wait(2).
const fn ending(status: libc::c_int) -> Ending {
    if libc::WIFSIGNALED(status) {
        Ending::Signal(libc::WTERMSIG(status))
    } else {
        Ending::Code(libc::WEXITSTATUS(status))
    }
}

/// Sends a signal: to a process, to a group (negative), to all that can be reached (`-1`).
pub(crate) fn kill(target: i32, signal: i32) -> io::Result<()> {
    // SAFETY: touches no memory.
    checked(unsafe { libc::kill(target, signal) }).map(drop)
}

/// Makes orphans below this process its children, unless it is PID 1 and has them anyway; and keeps other
/// processes from reading its memory.
pub(crate) fn become_subreaper() -> io::Result<()> {
    // SAFETY: neither command takes a pointer.
    unsafe {
        checked(libc::prctl(libc::PR_SET_CHILD_SUBREAPER, 1, 0, 0, 0))?;
        checked(libc::prctl(libc::PR_SET_DUMPABLE, 0, 0, 0, 0))?;
    }
    Ok(())
}

/// Paths of the terminals that this process's standard streams are, and of the console.
pub(crate) fn terminals() -> Vec<String> {
    let mut found = vec!["/dev/console".to_owned()];
    for stream in 0..3 {
        // SAFETY: touches no memory.
        if unsafe { libc::isatty(stream) } == 1
            && let Ok(path) = std::fs::read_link(format!("/proc/self/fd/{stream}"))
        {
            found.push(path.to_string_lossy().into_owned());
        }
    }
    found
}

/// Version of the kernel's Landlock interface; 0: there is none.
pub(crate) fn landlock_abi() -> i32 {
    const VERSION: u32 = 1;
    let none = std::ptr::null::<libc::c_void>();
    // SAFETY: with this flag the call only returns a number; it takes no attributes.
    let version = unsafe { libc::syscall(libc::SYS_landlock_create_ruleset, none, 0usize, VERSION) };
    i32::try_from(version).unwrap_or(0).max(0)
}

/// Whether the kernel takes seccomp filters.
pub(crate) fn has_seccomp() -> bool {
    // SAFETY: takes no pointer.
    unsafe { libc::prctl(libc::PR_GET_SECCOMP, 0, 0, 0, 0) >= 0 }
}

/// User and process at the other end of a Unix socket, as this process sees them; pid 0: outside of its namespace.
pub(crate) fn peer(socket: BorrowedFd<'_>) -> io::Result<(u32, i32)> {
    let mut peer = MaybeUninit::<libc::ucred>::zeroed();
    let mut length = libc::socklen_t::try_from(size_of::<libc::ucred>()).unwrap_or(0);
    // SAFETY: the buffer is as long as said, and zeroed it is a valid ucred.
    let peer = unsafe {
        checked(libc::getsockopt(
            socket.as_raw_fd(),
            libc::SOL_SOCKET,
            libc::SO_PEERCRED,
            peer.as_mut_ptr().cast(),
            &raw mut length,
        ))?;
        peer.assume_init()
    };
    Ok((peer.uid, peer.pid))
}

/// Capabilities that this process may hand on: those of its bounding set.
pub(crate) fn bounding() -> Capabilities {
    let held = |number: &u32| {
        // SAFETY: takes no pointer.
        unsafe { libc::prctl(libc::PR_CAPBSET_READ, libc::c_ulong::from(*number), 0, 0, 0) == 1 }
    };
    let bits = Capabilities::ALL.numbers().filter(held).fold(0, |bits, number| bits | 1 << number);
    Capabilities::from_bits(bits)
}

/// Effective user id of this process.
pub(crate) fn effective_user() -> u32 {
    // SAFETY: touches no memory and cannot fail.
    unsafe { libc::geteuid() }
}

/// Bytes that a pipe holds.
pub(crate) fn unread(fd: BorrowedFd<'_>) -> usize {
    let mut bytes: libc::c_int = 0;
    // SAFETY: the command writes one integer.
    let result = unsafe { libc::ioctl(fd.as_raw_fd(), libc::FIONREAD, &raw mut bytes) };
    if result == 0 { usize::try_from(bytes).unwrap_or(0) } else { 0 }
}

/// Gives the inode of a pipe to a user, so that `/dev/stdout` opens after a change of user.
pub(crate) fn give(fd: BorrowedFd<'_>, to: &Credentials) -> io::Result<()> {
    // SAFETY: touches no memory.
    checked(unsafe { libc::fchown(fd.as_raw_fd(), to.uid, to.gid) }).map(drop)
}
