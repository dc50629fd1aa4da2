//! What a child does between fork and exec.
#![expect(unsafe_code, reason = "each call is made in one place, with what makes it sound")]

use std::ffi::{CStr, OsString};
use std::io;
use std::mem::MaybeUninit;
use std::os::fd::{AsRawFd, BorrowedFd, OwnedFd, RawFd};
use std::os::unix::process::CommandExt;
use std::path::PathBuf;
use std::process::{Command, Stdio};

use bottle_contract::capability::Capabilities;

use super::{bounding, checked};
use crate::users::Credentials;

/// Capabilities of a child.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Held {
    /// Those of the init.
    Inherited,
    /// At most these, as far as its user has any; none is inheritable or ambient.
    AtMost(Capabilities),
    /// These in all five sets (capabilities(7)), whatever its user.
    Exactly(Capabilities),
}

/// A limit of a resource: number (getrlimit(2)), soft and hard value.
pub(crate) type Rlimit = (u32, libc::rlimit);

/// A program to start.
pub(crate) struct Start<'a> {
    /// Program and arguments.
    pub(crate) argv: &'a [String],
    /// Its whole environment.
    pub(crate) environment: &'a [(OsString, OsString)],
    /// Working directory; absent: this process's.
    pub(crate) workdir: Option<&'a PathBuf>,
    /// User that it runs as.
    pub(crate) user: &'a Credentials,
    /// File mode creation mask.
    pub(crate) umask: u32,
    /// Limits of resources.
    pub(crate) rlimits: &'a [Rlimit],
    /// Scheduling priority.
    pub(crate) nice: Option<i32>,
    /// Text for `/proc/self/oom_score_adj`.
    pub(crate) oom_score_adj: Option<String>,
    /// Capabilities that it has.
    pub(crate) capabilities: Held,
    /// Whether it gets a session keyring of its own.
    pub(crate) keyring: bool,
    /// Landlock ruleset to be restricted by.
    pub(crate) ruleset: Option<BorrowedFd<'a>>,
    /// Seccomp filter, as BPF instructions.
    pub(crate) filter: &'a [seccompiler::sock_filter],
}

/// The same, owned: what the closure between fork and exec may look at.
struct Confinement {
    user: Credentials,
    umask: u32,
    rlimits: Vec<Rlimit>,
    nice: Option<i32>,
    oom_score_adj: Option<String>,
    capabilities: Held,
    keyring: bool,
    ruleset: Option<RawFd>,
    filter: Vec<seccompiler::sock_filter>,
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
    let confinement = Confinement {
        user: start.user.clone(),
        umask: start.umask,
        rlimits: start.rlimits.to_vec(),
        nice: start.nice,
        oom_score_adj: start.oom_score_adj.clone(),
        capabilities: start.capabilities,
        keyring: start.keyring,
        ruleset: start.ruleset.map(|fd| fd.as_raw_fd()),
        filter: start.filter.to_vec(),
    };
    // SAFETY: the closure only makes system calls that are async-signal-safe, on memory that is laid out before
    // the fork; it allocates nothing.
    unsafe {
        command.pre_exec(move || confinement.apply());
    }
    let child = command.spawn()?;
    i32::try_from(child.id()).map_err(io::Error::other)
}

impl Confinement {
    /// What happens between fork and exec.
    fn apply(&self) -> io::Result<()> {
        // SAFETY: see each call; the process is the child alone.
        unsafe {
            checked(libc::setsid())?;
            libc::umask(self.umask);
            // Everything beyond the standard streams closes at exec, wherever it came from.
            libc::syscall(libc::SYS_close_range, 3u32, u32::MAX, libc::CLOSE_RANGE_CLOEXEC);
            // Not through signal(3), which keeps some numbers to itself. KILL and STOP have no other disposition.
            let default = [0u64; 4];
            for signal in 1..=64 {
                libc::syscall(
                    libc::SYS_rt_sigaction,
                    signal,
                    default.as_ptr(),
                    std::ptr::null::<u64>(),
                    8usize,
                );
            }
            let mut none = MaybeUninit::<libc::sigset_t>::uninit();
            libc::sigemptyset(none.as_mut_ptr());
            checked(libc::sigprocmask(libc::SIG_SETMASK, none.as_ptr(), std::ptr::null_mut()))?;
            // While the init's capabilities are still there: a limit may be raised, a priority too.
            for (resource, limit) in &self.rlimits {
                checked(libc::setrlimit(*resource, limit))?;
            }
            if let Some(nice) = self.nice {
                checked(libc::setpriority(libc::PRIO_PROCESS, 0, nice))?;
            }
            if self.keyring {
                // Fails where an engine forbids keyrings, as it then does to the daemon.
                libc::syscall(
                    libc::SYS_keyctl,
                    KEYCTL_JOIN_SESSION_KEYRING,
                    std::ptr::null::<libc::c_char>(),
                );
            }
        }
        if let Some(text) = &self.oom_score_adj {
            write_whole(c"/proc/self/oom_score_adj", text.as_bytes())?;
        }
        self.become_user()?;
        // SAFETY: no pointers but to the filter, which outlives the call.
        unsafe {
            checked(libc::prctl(libc::PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0))?;
            if let Some(ruleset) = self.ruleset
                && libc::syscall(libc::SYS_landlock_restrict_self, ruleset, 0u32) == -1
            {
                return Err(io::Error::last_os_error());
            }
            if !self.filter.is_empty() {
                let program = libc::sock_fprog {
                    len: u16::try_from(self.filter.len()).unwrap_or(0),
                    filter: self.filter.as_ptr().cast::<libc::sock_filter>().cast_mut(),
                };
                checked(libc::prctl(libc::PR_SET_SECCOMP, libc::SECCOMP_MODE_FILTER, &raw const program))?;
            }
        }
        Ok(())
    }

    /// Becomes the user, and lets go of every capability that the daemon is not to have.
    fn become_user(&self) -> io::Result<()> {
        let (kept, exactly) = match self.capabilities {
            Held::Inherited => return become_user(&self.user),
            Held::AtMost(kept) => (kept, false),
            Held::Exactly(kept) => (kept, true),
        };
        // Root gains at exec whatever its bounding set has.
        for number in bounding().without(kept).numbers() {
            // SAFETY: takes no pointer.
            let dropped = unsafe { libc::prctl(libc::PR_CAPBSET_DROP, libc::c_ulong::from(number), 0, 0, 0) };
            if dropped == -1 && self.user.uid == 0 {
                return Err(io::Error::last_os_error());
            }
        }
        if exactly {
            // SAFETY: takes no pointer.
            checked(unsafe { libc::prctl(libc::PR_SET_KEEPCAPS, 1, 0, 0, 0) })?;
        }
        become_user(&self.user)?;
        let (effective, permitted) = capabilities()?;
        let inheritable = if exactly { kept } else { Capabilities::default() };
        set_capabilities(
            effective_of(exactly, effective, kept),
            permitted.and(kept),
            inheritable.and(permitted),
        )?;
        // SAFETY: takes no pointer.
        checked(unsafe {
            libc::prctl(libc::PR_CAP_AMBIENT, libc::PR_CAP_AMBIENT_CLEAR_ALL as libc::c_ulong, 0, 0, 0)
        })?;
        for number in kept.numbers().filter(|_| exactly) {
            let raise = libc::PR_CAP_AMBIENT_RAISE as libc::c_ulong;
            // SAFETY: takes no pointer.
            checked(unsafe { libc::prctl(libc::PR_CAP_AMBIENT, raise, libc::c_ulong::from(number), 0, 0) })?;
        }
        Ok(())
    }
}

fn effective_of(exactly: bool, effective: Capabilities, kept: Capabilities) -> Capabilities {
    if exactly { kept } else { effective.and(kept) }
}

/// `KEYCTL_JOIN_SESSION_KEYRING` of linux/keyctl.h.
const KEYCTL_JOIN_SESSION_KEYRING: libc::c_ulong = 1;

/// `_LINUX_CAPABILITY_VERSION_3` of linux/capability.h.
const CAPABILITY_VERSION: u32 = 0x2008_0522;

/// Header and data of capget(2) and capset(2).
#[repr(C)]
struct CapabilityHeader {
    version: u32,
    pid: i32,
}

#[repr(C)]
#[derive(Clone, Copy, Default)]
struct CapabilityData {
    effective: u32,
    permitted: u32,
    inheritable: u32,
}

/// Effective and permitted capabilities of this process.
pub(crate) fn capabilities() -> io::Result<(Capabilities, Capabilities)> {
    let mut header = CapabilityHeader { version: CAPABILITY_VERSION, pid: 0 };
    let mut data = [CapabilityData::default(); 2];
    // SAFETY: header and data have the layout of this version, two words each.
    let result = unsafe { libc::syscall(libc::SYS_capget, &raw mut header, data.as_mut_ptr()) };
    if result == -1 {
        return Err(io::Error::last_os_error());
    }
    let join = |low: u32, high: u32| Capabilities::from_bits(u64::from(low) | u64::from(high) << 32);
    Ok((join(data[0].effective, data[1].effective), join(data[0].permitted, data[1].permitted)))
}

fn set_capabilities(
    effective: Capabilities,
    permitted: Capabilities,
    inheritable: Capabilities,
) -> io::Result<()> {
    let mut header = CapabilityHeader { version: CAPABILITY_VERSION, pid: 0 };
    let word = |set: Capabilities, high: bool| {
        let bits = if high { set.bits() >> 32 } else { set.bits() & u64::from(u32::MAX) };
        u32::try_from(bits).unwrap_or(0)
    };
    let data = [false, true].map(|high| CapabilityData {
        effective: word(effective, high),
        permitted: word(permitted, high),
        inheritable: word(inheritable, high),
    });
    // SAFETY: header and data have the layout of this version, two words each.
    let result = unsafe { libc::syscall(libc::SYS_capset, &raw mut header, data.as_ptr()) };
    if result == -1 { Err(io::Error::last_os_error()) } else { Ok(()) }
}

/// Writes a short text to a file that exists.
fn write_whole(path: &CStr, text: &[u8]) -> io::Result<()> {
    // SAFETY: the path ends in a NUL, and the text is as long as said; the descriptor is closed here.
    unsafe {
        let fd = checked(libc::open(path.as_ptr(), libc::O_WRONLY | libc::O_CLOEXEC))?;
        let written = libc::write(fd, text.as_ptr().cast(), text.len());
        let error = io::Error::last_os_error();
        libc::close(fd);
        if usize::try_from(written) == Ok(text.len()) { Ok(()) } else { Err(error) }
    }
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

/// Asks a question as a user, in a child process; `None`: this process cannot become the user.
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
