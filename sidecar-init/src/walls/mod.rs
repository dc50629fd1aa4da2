//! What keeps the daemons of one container apart: a Landlock domain each, and a small seccomp filter for the ways round it.

mod calls;
pub(crate) mod files;
pub(crate) mod mounts;

use std::collections::BTreeMap;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::path::{Path, PathBuf};

use bottle_contract::row::{DaemonRow, Ports};
use bottle_contract::status::Walls;
use landlock::{
    ABI, AccessFs, AccessNet, BitFlags, CompatLevel, Compatible, NetPort, PathBeneath, PathFd, Ruleset,
    RulesetAttr, RulesetCreated, RulesetCreatedAttr, Scope,
};
use seccompiler::BpfProgram;

use self::files::{Files, Rules};

/// What the table asks for: private files where another daemon has some, TCP where the row limits it.
pub(crate) fn asked(row: &DaemonRow, files: &Files) -> Walls {
    Walls {
        files: files.privacy.paths().any(|(_, owners)| !owners.contains(&row.name)),
        writes: true,
        tcp: row.connect.is_some(),
        bind: row.binds() != Ports::Any,
        processes: true,
        sockets: true,
    }
}

/// What a kernel offers, by its Landlock ABI: on ABI 1 git's renames fail, truncation came with 3, TCP with 4, scopes
/// with 6.
pub(crate) const fn offered(abi: i32, seccomp: bool) -> Walls {
    Walls {
        files: abi >= 2,
        writes: abi >= 3,
        tcp: abi >= 4 && seccomp,
        bind: abi >= 4,
        processes: abi >= 6 && seccomp,
        sockets: seccomp,
    }
}

/// Names of the walls that are asked for and not offered, with what they need.
pub(crate) fn missing(asked: Walls, offered: Walls) -> Vec<&'static str> {
    [
        (asked.files && !offered.files, "files (Landlock ABI 2)"),
        (asked.writes && !offered.writes, "writes (Landlock ABI 3)"),
        (asked.tcp && !offered.tcp, "tcp (Landlock ABI 4 and seccomp)"),
        (asked.bind && !offered.bind, "bind (Landlock ABI 4)"),
        (asked.processes && !offered.processes, "processes (Landlock ABI 6 and seccomp)"),
        (asked.sockets && !offered.sockets, "sockets (seccomp)"),
    ]
    .into_iter()
    .filter_map(|(missing, name)| missing.then_some(name))
    .collect()
}

/// What the child builds around itself between fork and exec.
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
    files: &'a Files,
    abi: ABI,
    opened: BTreeMap<PathBuf, Option<(PathFd, bool)>>,
    listed: BTreeMap<PathBuf, Vec<PathBuf>>,
}

impl<'a> Builder<'a> {
    pub(crate) fn new(files: &'a Files, abi: i32) -> Self {
        // Later interfaces add rights that this table does not know.
        Self { files, abi: ABI::from(abi.min(6)), opened: BTreeMap::new(), listed: BTreeMap::new() }
    }

    /// The domain of one daemon with the walls that are to be built.
    pub(crate) fn domain(&mut self, row: &DaemonRow, walls: Walls) -> Result<Domain, WallError> {
        if walls == Walls::default() {
            return Ok(Domain::default());
        }
        let read = AccessFs::from_read(self.abi);
        let mut write = AccessFs::from_write(self.abi);
        let mut ruleset = Ruleset::default().set_compatibility(CompatLevel::HardRequirement);
        if walls.files {
            ruleset = ruleset.handle_access(read)?;
        }
        if walls.writes || walls.files {
            ruleset = ruleset.handle_access(write)?;
        }
        if walls.tcp {
            ruleset = ruleset.handle_access(AccessNet::ConnectTcp)?;
        }
        if walls.bind {
            ruleset = ruleset.handle_access(AccessNet::BindTcp)?;
        }
        if walls.processes {
            ruleset = ruleset.scope(Scope::AbstractUnixSocket | Scope::Signal)?;
        }
        let filter = calls::filter(row, walls)?;
        if !(walls.files || walls.writes || walls.tcp || walls.bind || walls.processes) {
            return Ok(Domain { ruleset: None, filter });
        }
        let mut created = ruleset.create()?;
        if walls.files {
            created = self.allow(created, &self.files.readable(&row.name), read)?;
        }
        if walls.writes {
            // Device files are the engine's to make.
            if row.capabilities.is_none() {
                write.remove(AccessFs::MakeChar | AccessFs::MakeBlock);
            }
            created = self.allow(created, &self.files.written(&row.name), write)?;
        } else if walls.files {
            created = self.allow(created, &self.files.readable(&row.name), write)?;
        }
        if walls.tcp {
            for port in row.connect.iter().flatten() {
                created = created.add_rule(NetPort::new(*port, AccessNet::ConnectTcp))?;
            }
        }
        if walls.bind
            && let Ports::Only(ports) = row.binds()
        {
            for port in ports {
                created = created.add_rule(NetPort::new(port, AccessNet::BindTcp))?;
            }
        }
        Ok(Domain { ruleset: created.into(), filter })
    }

    /// Adds rights below the highest paths that rules allow.
    fn allow(
        &mut self,
        mut created: RulesetCreated,
        rules: &Rules,
        rights: BitFlags<AccessFs>,
    ) -> Result<RulesetCreated, WallError> {
        let of_file = rights & AccessFs::from_file(self.abi);
        let listed = std::cell::RefCell::new(std::mem::take(&mut self.listed));
        let paths = rules.highest(&|folder| {
            listed.borrow_mut().entry(folder.to_owned()).or_insert_with(|| entries(folder)).clone()
        });
        self.listed = listed.into_inner();
        for path in paths {
            let Some((fd, folder)) = self.open(&path) else { continue };
            let rights = if *folder { rights } else { of_file };
            created = created.add_rule(PathBeneath::new(fd, rights))?;
        }
        Ok(created)
    }

    /// Opens a path once; a link is left out, since a rule is about what it leads to.
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
    #[error("cannot build a Landlock domain: {0}")]
    Landlock(#[from] landlock::RulesetError),
    #[error("cannot build a seccomp filter: {0}")]
    Seccomp(#[from] seccompiler::BackendError),
}

/// A path with every link resolved as far as it exists.
pub(crate) fn real(path: &str) -> String {
    resolve(Path::new(path)).to_string_lossy().into_owned()
}

fn resolve(path: &Path) -> PathBuf {
    if let Ok(real) = path.canonicalize() {
        return real;
    }
    match (path.parent(), path.file_name()) {
        (Some(parent), Some(name)) => resolve(parent).join(name),
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

#[cfg(test)]
mod tests {
    use bottle_contract::daemon::{Chain, table};
    use bottle_contract::handshake::Handshake;
    use bottle_contract::privacy::Privacy;

    use super::*;

    #[test]
    fn what_is_missing_is_named() {
        let rows = table(Chain::PipelockFirst);
        let files = Files { privacy: Privacy::of(&rows, &Handshake::default()), ..Files::default() };
        let every = asked(&rows[3], &files);
        assert_eq!(every.names(), ["files", "writes", "tcp", "bind", "processes", "sockets"]);
        assert_eq!(missing(every, offered(7, true)), Vec::<&str>::new());
        assert_eq!(missing(every, offered(4, true)), ["processes (Landlock ABI 6 and seccomp)"]);
        assert_eq!(missing(every, offered(1, true)).len(), 5);
        assert_eq!(missing(every, offered(7, false)).len(), 3);
        assert_eq!(asked(&rows[0], &files).names(), ["files", "writes", "bind", "processes", "sockets"]);
    }
}
