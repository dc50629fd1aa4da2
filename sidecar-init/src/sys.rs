//! System calls that the standard library does not offer: the one place with `unsafe`.
#![expect(unsafe_code, reason = "each call stands here once, with what makes it sound")]

use std::ffi::OsString;
use std::io;
use std::mem::{MaybeUninit, size_of};
use std::os::fd::{AsFd, AsRawFd, BorrowedFd, FromRawFd, OwnedFd, RawFd};
use std::os::unix::process::CommandExt;
use std::path::PathBuf;
use std::process::{Command, Stdio};

use crate::outcome::Ending;
use crate::users::Credentials;

/// Turns a system call's `-1` into the error that it stands for.
fn checked(result: libc::c_int) -> io::Result<libc::c_int> {
    if result == -1 { Err(io::Error::last_os_error()) } else { Ok(result) }
}

/// Signals that the init takes note of; every other one that can be blocked stays pending and does nothing.
const HEARD: [libc::c_int; 5] = [libc::SIGTERM, libc::SIGINT, libc::SIGQUIT, libc::SIGHUP, libc::SIGCHLD];

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

/// Blocks every signal and returns a descriptor from which those that are heard can be read (signalfd(2)).
pub(crate) fn signals() -> io::Result<OwnedFd> {
    let mut all = MaybeUninit::<libc::sigset_t>::uninit();
    let mut heard = MaybeUninit::<libc::sigset_t>::uninit();
    // SAFETY: both sets are initialised before use, by sigfillset and sigemptyset; the descriptor is new and ours.
    unsafe {
        libc::sigfillset(all.as_mut_ptr());
        for fault in FAULTS {
            libc::sigdelset(all.as_mut_ptr(), fault);
        }
        libc::sigemptyset(heard.as_mut_ptr());
        for signal in HEARD {
            libc::sigaddset(heard.as_mut_ptr(), signal);
        }
        checked(libc::sigprocmask(libc::SIG_SETMASK, all.as_ptr(), std::ptr::null_mut()))?;
        let fd = checked(libc::signalfd(-1, heard.as_ptr(), libc::SFD_CLOEXEC | libc::SFD_NONBLOCK))?;
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
    checked(unsafe { libc::waitpid(pid, &raw mut status, libc::WNOHANG) })?;
    Ok(if libc::WIFSIGNALED(status) {
        Ending::Signal(libc::WTERMSIG(status))
    } else {
        Ending::Code(libc::WEXITSTATUS(status))
    })
}

/// Sends a signal: to a process, to a group (negative), to all that can be reached (`-1`).
pub(crate) fn kill(target: i32, signal: i32) -> io::Result<()> {
    // SAFETY: touches no memory.
    checked(unsafe { libc::kill(target, signal) }).map(drop)
}

/// Makes orphans below this process its children, unless it is PID 1 and has them anyway; and keeps other
/// processes from reading its memory.
pub(crate) fn settle() -> io::Result<()> {
    // SAFETY: neither command takes a pointer.
    unsafe {
        checked(libc::prctl(libc::PR_SET_CHILD_SUBREAPER, 1, 0, 0, 0))?;
        checked(libc::prctl(libc::PR_SET_DUMPABLE, 0, 0, 0, 0))?;
    }
    Ok(())
}

/// Gives back the pages of code that only the start needed; what is needed again comes back from the file.
pub(crate) fn forget_the_start() {
    let maps = std::fs::read_to_string("/proc/self/maps").unwrap_or_default();
    for line in maps.lines().filter(|line| line.contains(" r-xp ") && line.contains('/')) {
        let Some((start, end)) = line.split(' ').next().and_then(|range| range.split_once('-')) else {
            continue;
        };
        let parsed = (usize::from_str_radix(start, 16), usize::from_str_radix(end, 16));
        if let (Ok(start), Ok(end)) = parsed {
            // SAFETY: a private mapping of a file that is never written to: the kernel reads its pages again.
            unsafe {
                libc::madvise(std::ptr::without_provenance_mut(start), end - start, libc::MADV_DONTNEED);
            }
        }
    }
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

/// Whether what this process starts can hold a capability, by number.
pub(crate) fn holds(capability: u32) -> bool {
    // SAFETY: takes no pointer.
    unsafe { libc::prctl(libc::PR_CAPBSET_READ, libc::c_ulong::from(capability), 0, 0, 0) == 1 }
}

/// Effective user id of this process.
pub(crate) fn effective_user() -> u32 {
    // SAFETY: touches no memory and cannot fail.
    unsafe { libc::geteuid() }
}

/// Gives the inode of a pipe to a user, so that `/dev/stdout` opens after a change of user.
pub(crate) fn give(fd: BorrowedFd<'_>, to: &Credentials) -> io::Result<()> {
    // SAFETY: touches no memory.
    checked(unsafe { libc::fchown(fd.as_raw_fd(), to.uid, to.gid) }).map(drop)
}

/// Becomes a user for good.
fn become_user(user: &Credentials) -> io::Result<()> {
    // SAFETY: the list is as long as said; the other calls touch no memory. All are async-signal-safe.
    unsafe {
        if user.uid == libc::geteuid() && user.uid != 0 {
            return if user.gid == libc::getegid() {
                Ok(())
            } else {
                Err(io::Error::from_raw_os_error(libc::EPERM))
            };
        }
        checked(libc::setgroups(user.groups.len(), user.groups.as_ptr()))?;
        checked(libc::setresgid(user.gid, user.gid, user.gid))?;
        checked(libc::setresuid(user.uid, user.uid, user.uid))?;
    }
    Ok(())
}

/// Asks a question as a user, in a child process; `None`: the user cannot be had.
///
/// The process must have one thread only.
pub(crate) fn as_user(user: &Credentials, question: impl FnOnce() -> bool) -> io::Result<Option<bool>> {
    // SAFETY: with one thread the child may run any code; it leaves by _exit alone.
    let pid = checked(unsafe { libc::fork() })?;
    if pid == 0 {
        let answer = match become_user(user) {
            Ok(()) => i32::from(!question()),
            Err(_) => 2,
        };
        // SAFETY: ends the child without running what the parent registered for its own end.
        unsafe { libc::_exit(answer) }
    }
    let mut status = 0;
    // SAFETY: the status is a writable integer, and the child is ours to reap.
    while checked(unsafe { libc::waitpid(pid, &raw mut status, 0) })
        .is_err_and(|error| error.kind() == io::ErrorKind::Interrupted)
    {}
    Ok(match libc::WEXITSTATUS(status) {
        _ if !libc::WIFEXITED(status) => None,
        0 => Some(true),
        1 => Some(false),
        _ => None,
    })
}

/// A program to start.
pub(crate) struct Start<'a> {
    /// Program and arguments.
    pub(crate) argv: &'a [String],
    /// Its whole environment.
    pub(crate) environment: &'a [(OsString, OsString)],
    /// Working directory; absent: this process's.
    pub(crate) workdir: Option<&'a PathBuf>,
    /// Whom it runs as.
    pub(crate) user: &'a Credentials,
    /// Landlock ruleset to be restricted by.
    pub(crate) ruleset: Option<BorrowedFd<'a>>,
    /// Seccomp filter, as BPF instructions.
    pub(crate) filter: &'a [seccompiler::sock_filter],
    /// Numbers of the capabilities that it may not hold (capabilities(7)).
    pub(crate) without: &'a [u32],
}

/// Starts a program in a session of its own and returns its process id once it runs.
///
/// # Errors
///
/// What the program's own exec said, or what kept the child from getting there.
pub(crate) fn start(start: &Start<'_>, stdout: OwnedFd, stderr: OwnedFd) -> io::Result<i32> {
    let (program, arguments) = start.argv.split_first().ok_or(io::ErrorKind::InvalidInput)?;
    let mut command = Command::new(program);
    command.args(arguments).env_clear().envs(start.environment.iter().map(|(name, value)| (name, value)));
    command.stdin(Stdio::null()).stdout(stdout).stderr(stderr);
    if let Some(workdir) = start.workdir {
        command.current_dir(workdir);
    }
    let user = start.user.clone();
    let ruleset = start.ruleset.map(|fd| fd.as_raw_fd());
    let filter = start.filter.to_vec();
    let without = start.without.to_vec();
    // SAFETY: the closure only makes system calls that are async-signal-safe, on memory that is laid out before
    // the fork; it allocates nothing.
    unsafe {
        command.pre_exec(move || confine(&user, ruleset, &filter, &without));
    }
    let child = command.spawn()?;
    i32::try_from(child.id()).map_err(io::Error::other)
}

/// What happens between fork and exec.
fn confine(
    user: &Credentials,
    ruleset: Option<RawFd>,
    filter: &[seccompiler::sock_filter],
    without: &[u32],
) -> io::Result<()> {
    // SAFETY: see each call; the process is the child alone.
    unsafe {
        checked(libc::setsid())?;
        libc::umask(0o022);
        // Everything beyond the standard streams closes at exec, wherever it came from.
        libc::syscall(libc::SYS_close_range, 3u32, u32::MAX, libc::CLOSE_RANGE_CLOEXEC);
        // Not through signal(3), which keeps some numbers to itself. KILL and STOP have no other disposition.
        let default = [0u64; 4];
        for signal in 1..=64 {
            libc::syscall(libc::SYS_rt_sigaction, signal, default.as_ptr(), std::ptr::null::<u64>(), 8usize);
        }
        let mut none = MaybeUninit::<libc::sigset_t>::uninit();
        libc::sigemptyset(none.as_mut_ptr());
        checked(libc::sigprocmask(libc::SIG_SETMASK, none.as_ptr(), std::ptr::null_mut()))?;
    }
    for capability in without {
        // Root gains at exec whatever its bounding set has.
        if holds(*capability) {
            // SAFETY: takes no pointer.
            checked(unsafe {
                libc::prctl(libc::PR_CAPBSET_DROP, libc::c_ulong::from(*capability), 0, 0, 0)
            })?;
        }
    }
    become_user(user)?;
    // SAFETY: no pointers but to the filter, which outlives the call.
    unsafe {
        checked(libc::prctl(libc::PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0))?;
        if let Some(ruleset) = ruleset
            && libc::syscall(libc::SYS_landlock_restrict_self, ruleset, 0u32) == -1
        {
            return Err(io::Error::last_os_error());
        }
        if !filter.is_empty() {
            let program = libc::sock_fprog {
                len: u16::try_from(filter.len()).unwrap_or(0),
                filter: filter.as_ptr().cast::<libc::sock_filter>().cast_mut(),
            };
            checked(libc::prctl(libc::PR_SET_SECCOMP, libc::SECCOMP_MODE_FILTER, &raw const program))?;
        }
    }
    Ok(())
}
