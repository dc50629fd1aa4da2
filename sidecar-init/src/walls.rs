//! What keeps daemons of one container apart: a Landlock domain each, and a small seccomp filter where Landlock
//! has ways round it (DESIGN, "Containment inside one container").

use std::collections::BTreeMap;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::path::{Path, PathBuf};

use bottle_contract::daemon::DaemonRow;
use bottle_contract::paths::covers;
use bottle_contract::privacy::Privacy;
use bottle_contract::status::Walls;
use landlock::{
    ABI, Access, AccessFs, AccessNet, CompatLevel, Compatible, NetPort, PathBeneath, PathFd, Ruleset,
    RulesetAttr, RulesetCreatedAttr, Scope,
};
use seccompiler::{
    BpfProgram, SeccompAction, SeccompCmpArgLen, SeccompCmpOp, SeccompCondition, SeccompFilter, SeccompRule,
};

/// Capabilities whose holder reads another process's environment whatever Landlock says: `CAP_SYS_ADMIN` and
/// `CAP_PERFMON` (linux/capability.h). Where walls are required, no daemon keeps them.
pub(crate) const SEES_THROUGH: [u32; 2] = [21, 38];

/// What the table asks for: files where another daemon has private ones, TCP where the row limits it.
pub(crate) fn asked(row: &DaemonRow, privacy: &Privacy) -> Walls {
    Walls {
        files: privacy.paths().any(|(_, owners)| !owners.contains(&row.name)),
        tcp: row.connect.is_some(),
        processes: true,
    }
}

/// What a kernel offers, by its Landlock ABI: on ABI 1 git's renames fail, TCP came with 4, scopes with 6.
pub(crate) const fn offered(abi: i32, seccomp: bool) -> Walls {
    Walls { files: abi >= 2, tcp: abi >= 4 && seccomp, processes: abi >= 6 && seccomp }
}

/// Names of the walls that are asked for and not offered, with what they need.
pub(crate) fn missing(asked: Walls, offered: Walls) -> Vec<&'static str> {
    [
        (asked.files && !offered.files, "files (Landlock ABI 2)"),
        (asked.tcp && !offered.tcp, "tcp (Landlock ABI 4 and seccomp)"),
        (asked.processes && !offered.processes, "processes (Landlock ABI 6 and seccomp)"),
    ]
    .into_iter()
    .filter_map(|(missing, name)| missing.then_some(name))
    .collect()
}

/// What is to be laid around a child between fork and exec.
#[derive(Debug, Default)]
pub(crate) struct Domain {
    ruleset: Option<OwnedFd>,
    pub(crate) filter: BpfProgram,
}

impl Domain {
    pub(crate) fn ruleset(&self) -> Option<BorrowedFd<'_>> {
        self.ruleset.as_ref().map(AsFd::as_fd)
    }
}

/// Builds the domains of daemons that share a container; opened paths are shared between them.
pub(crate) struct Builder<'a> {
    privacy: &'a Privacy,
    abi: ABI,
    opened: BTreeMap<PathBuf, Option<(PathFd, bool)>>,
}

impl<'a> Builder<'a> {
    pub(crate) fn new(privacy: &'a Privacy, abi: i32) -> Self {
        // Later interfaces add rights that this table knows nothing of.
        Self { privacy, abi: ABI::from(abi.min(6)), opened: BTreeMap::new() }
    }

    /// The domain of one daemon with the walls that are to stand.
    pub(crate) fn domain(&mut self, row: &DaemonRow, walls: Walls) -> Result<Domain, WallError> {
        let mut ruleset = Ruleset::default().set_compatibility(CompatLevel::HardRequirement);
        let rights = AccessFs::from_all(self.abi);
        if walls.files {
            ruleset = ruleset.handle_access(rights)?;
        }
        if walls.tcp {
            ruleset = ruleset.handle_access(AccessNet::ConnectTcp)?;
        }
        if walls.processes {
            ruleset = ruleset.scope(Scope::AbstractUnixSocket | Scope::Signal)?;
        }
        if walls == Walls::default() {
            return Ok(Domain::default());
        }
        let mut created = ruleset.create()?;
        if walls.files {
            let of_file = rights & AccessFs::from_file(self.abi);
            for path in allowed(&row.name, self.privacy, &entries) {
                let Some((fd, folder)) = self.open(&path) else { continue };
                let rights = if *folder { rights } else { of_file };
                created = created.add_rule(PathBeneath::new(fd, rights))?;
            }
        }
        if walls.tcp {
            for port in row.connect.iter().flatten() {
                created = created.add_rule(NetPort::new(*port, AccessNet::ConnectTcp))?;
            }
        }
        Ok(Domain { ruleset: created.into(), filter: filter(walls)? })
    }

    /// Opens a path once; a link is left out, for what counts is what it leads to.
    fn open(&mut self, path: &Path) -> Option<&(PathFd, bool)> {
        self.opened
            .entry(path.to_owned())
            .or_insert_with(|| {
                let kind = path.symlink_metadata().ok()?.file_type();
                if kind.is_symlink() {
                    return None;
                }
                Some((PathFd::new(path).ok()?, kind.is_dir()))
            })
            .as_ref()
    }
}

/// Why a domain cannot be built.
#[derive(Debug, thiserror::Error)]
pub(crate) enum WallError {
    #[error("cannot lay out a Landlock domain: {0}")]
    Landlock(#[from] landlock::RulesetError),
    #[error("cannot lay out a seccomp filter: {0}")]
    Seccomp(#[from] seccompiler::BackendError),
}

/// Private paths as they are after links, so that a rule on what a link leads to opens none of them.
pub(crate) fn resolved(privacy: &Privacy) -> Privacy {
    let mut resolved = Privacy::default();
    for (path, owners) in privacy.paths() {
        let real = real(Path::new(path));
        for owner in owners {
            resolved.claim(owner, &real.to_string_lossy());
        }
    }
    resolved
}

/// A path with every link resolved as far as it exists.
fn real(path: &Path) -> PathBuf {
    if let Ok(real) = path.canonicalize() {
        return real;
    }
    match (path.parent(), path.file_name()) {
        (Some(parent), Some(name)) => real(parent).join(name),
        _ => path.to_owned(),
    }
}

fn entries(folder: &Path) -> Vec<PathBuf> {
    let mut entries: Vec<PathBuf> = std::fs::read_dir(folder)
        .map(|entries| entries.filter_map(|entry| Some(entry.ok()?.path())).collect())
        .unwrap_or_default();
    entries.sort();
    entries
}

/// The highest paths below which a daemon may do everything: all of the container but what is private to others.
///
/// Folders on the way to such a private path are not among them, so that they can neither be listed nor written.
fn allowed(daemon: &str, privacy: &Privacy, entries: &dyn Fn(&Path) -> Vec<PathBuf>) -> Vec<PathBuf> {
    let mut paths = Vec::new();
    let mut walk = vec![PathBuf::from("/")];
    while let Some(path) = walk.pop() {
        // A name that is not UTF-8 is nobody's private path.
        let (denied, mixed) = path.to_str().map_or((false, false), |text| {
            let denied = privacy.denies(daemon, text);
            let mixed = privacy.paths().any(|(private, _)| {
                private != text && covers(text, private) && privacy.denies(daemon, private) != denied
            });
            (denied, mixed)
        });
        if mixed {
            walk.extend(entries(&path).into_iter().rev());
        } else if !denied {
            paths.push(path);
        }
    }
    paths
}

/// Refuses, with EPERM, what would lead round the walls; everything else passes.
fn filter(walls: Walls) -> Result<BpfProgram, seccompiler::BackendError> {
    let refused = u32::try_from(libc::EPERM).unwrap_or(1);
    let mut rules: BTreeMap<i64, Vec<SeccompRule>> = BTreeMap::new();
    let mut refuse = |call: libc::c_long, conditions: Vec<SeccompCondition>| {
        // A call without a rule is refused whatever its arguments.
        let rule = if conditions.is_empty() { None } else { Some(SeccompRule::new(conditions)?) };
        for number in numbers(call) {
            rules.entry(number).or_default().extend(rule.clone());
        }
        Ok::<(), seccompiler::BackendError>(())
    };
    if walls.processes {
        // Limits of other processes; 0 means the caller itself.
        refuse(libc::SYS_prlimit64, vec![condition(0, SeccompCmpOp::Ne, 0)?])?;
    }
    if walls.tcp {
        // Landlock sees connect(2) alone: a send with MSG_FASTOPEN connects too.
        let fast_open = bits(libc::MSG_FASTOPEN);
        for (call, argument) in [(libc::SYS_sendto, 3), (libc::SYS_sendmsg, 2), (libc::SYS_sendmmsg, 3)] {
            refuse(call, vec![condition(argument, SeccompCmpOp::MaskedEq(fast_open), fast_open)?])?;
        }
        // Landlock knows TCP and none of its relatives.
        for family in [libc::AF_INET, libc::AF_INET6] {
            for protocol in [libc::IPPROTO_MPTCP, libc::IPPROTO_SCTP, libc::IPPROTO_DCCP] {
                let conditions = vec![
                    condition(0, SeccompCmpOp::Eq, bits(family))?,
                    condition(2, SeccompCmpOp::Eq, bits(protocol))?,
                ];
                refuse(libc::SYS_socket, conditions)?;
            }
            let conditions = vec![
                condition(0, SeccompCmpOp::Eq, bits(family))?,
                condition(1, SeccompCmpOp::MaskedEq(0xf), bits(libc::SOCK_SEQPACKET))?,
            ];
            refuse(libc::SYS_socket, conditions)?;
        }
        // Shared-memory sockets fall back to TCP inside the kernel.
        refuse(libc::SYS_socket, vec![condition(0, SeccompCmpOp::Eq, bits(AF_SMC))?])?;
        // Requests of an io_uring pass no filter.
        refuse(libc::SYS_io_uring_setup, Vec::new())?;
    }
    if rules.is_empty() {
        return Ok(BpfProgram::new());
    }
    SeccompFilter::new(
        rules,
        SeccompAction::Allow,
        SeccompAction::Errno(refused),
        std::env::consts::ARCH.try_into()?,
    )?
    .try_into()
}

/// Every number of a call: on x86-64 it has a second one, of the x32 interface.
fn numbers(call: libc::c_long) -> impl Iterator<Item = i64> {
    const X32: i64 = 0x4000_0000;
    [0, X32].into_iter().filter(|bit| *bit == 0 || cfg!(target_arch = "x86_64")).map(move |bit| call | bit)
}

/// `AF_SMC` of linux/socket.h.
const AF_SMC: i32 = 43;

fn condition(
    argument: u8,
    operator: SeccompCmpOp,
    value: u64,
) -> Result<SeccompCondition, seccompiler::BackendError> {
    SeccompCondition::new(argument, SeccompCmpArgLen::Dword, operator, value)
}

fn bits(flag: i32) -> u64 {
    u64::from(flag.cast_unsigned())
}

#[cfg(test)]
mod tests {
    use bottle_contract::daemon::{Chain, table};
    use bottle_contract::handshake::Handshake;

    use super::*;

    const TREE: &[&str] = &[
        "/app",
        "/bin",
        "/etc",
        "/etc/egress",
        "/etc/egress/routes.yaml",
        "/etc/hosts",
        "/etc/pipelock",
        "/git",
        "/git-gate",
        "/git-gate/creds",
        "/git-gate-entrypoint.sh",
        "/tmp",
    ];

    fn tree(folder: &Path) -> Vec<PathBuf> {
        TREE.iter().map(PathBuf::from).filter(|path| path.parent() == Some(folder)).collect()
    }

    fn check(daemon: &str, claims: &[(&str, &str)], expect: &[&str]) {
        let mut privacy = Privacy::default();
        for (owner, path) in claims {
            privacy.claim(owner, path);
        }
        let expect: Vec<PathBuf> = expect.iter().map(PathBuf::from).collect();
        assert_eq!(allowed(daemon, &privacy, &tree), expect, "{daemon} {claims:?}");
    }

    #[test]
    fn everything_is_allowed_but_what_is_private_to_others() {
        check("a", &[], &["/"]);
        check("a", &[("a", "/etc/egress")], &["/"]);
        check(
            "a",
            &[("b", "/etc/egress")],
            &[
                "/app",
                "/bin",
                "/etc/hosts",
                "/etc/pipelock",
                "/git",
                "/git-gate",
                "/git-gate-entrypoint.sh",
                "/tmp",
            ],
        );
        check(
            "a",
            &[("b", "/etc"), ("a", "/etc/egress")],
            &["/app", "/bin", "/etc/egress", "/git", "/git-gate", "/git-gate-entrypoint.sh", "/tmp"],
        );
        check("a", &[("b", "/")], &[]);
        check("a", &[("b", "/"), ("a", "/tmp")], &["/tmp"]);
        check(
            "a",
            &[("a", "/etc"), ("b", "/etc/egress"), ("b", "/git-gate")],
            &["/app", "/bin", "/etc/hosts", "/etc/pipelock", "/git", "/git-gate-entrypoint.sh", "/tmp"],
        );
    }

    #[test]
    fn a_private_path_that_is_not_there_yet_still_closes_its_folder() {
        check(
            "a",
            &[("b", "/tmp/later"), ("b", "/run/queue")],
            &["/app", "/bin", "/etc", "/git", "/git-gate", "/git-gate-entrypoint.sh"],
        );
    }

    #[test]
    fn no_path_of_another_daemon_is_allowed_in_the_built_in_table() {
        let rows = table(Chain::PipelockFirst);
        let privacy = Privacy::of(&rows, &Handshake::default());
        for row in &rows {
            let paths = allowed(&row.name, &privacy, &tree);
            for (private, owners) in privacy.paths().filter(|(_, owners)| !owners.contains(&row.name)) {
                let open = paths.iter().any(|path| covers(path.to_str().unwrap(), private));
                assert!(!open, "{} opens {private} of {owners:?}", row.name);
            }
        }
    }

    #[test]
    fn what_is_missing_is_named() {
        let rows = table(Chain::PipelockFirst);
        let privacy = Privacy::of(&rows, &Handshake::default());
        let asked = asked(&rows[3], &privacy);
        assert_eq!(asked.names(), ["files", "tcp", "processes"]);
        assert_eq!(missing(asked, offered(7, true)), Vec::<&str>::new());
        assert_eq!(missing(asked, offered(4, true)).len(), 1);
        assert_eq!(missing(asked, offered(1, true)).len(), 3);
        assert_eq!(missing(asked, offered(7, false)).len(), 2);
        assert_eq!(super::asked(&rows[0], &privacy).names(), ["files", "processes"]);
    }
}
