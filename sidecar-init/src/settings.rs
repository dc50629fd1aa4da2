//! From the container's environment and the daemon table to what is started.

use std::collections::{BTreeMap, BTreeSet};
use std::ffi::{OsStr, OsString};
use std::path::{Path, PathBuf};
use std::time::Duration;

use bottle_contract::daemon::{Isolation, table};
use bottle_contract::handshake::{Handshake, HandshakeError};
use bottle_contract::privacy::Privacy;
use bottle_contract::row::{DaemonRow, Limit, Resource};
use bottle_contract::signal;

use crate::sys;
use crate::users::{Accounts, Credentials};
use crate::walls::files::{self, Files, INIT};
use crate::walls::{mounts, real};

/// Time between the first signal of a stop and KILL, where the row says nothing.
pub(crate) const STOP_TIMEOUT: Duration = Duration::from_secs(8);

/// A daemon to start, with everything resolved.
#[derive(Debug)]
pub(crate) struct Launch {
    pub(crate) row: DaemonRow,
    pub(crate) environment: Vec<(OsString, OsString)>,
    pub(crate) user: Credentials,
    pub(crate) workdir: Option<PathBuf>,
    /// Signal that reloads the daemon.
    pub(crate) reload: Option<i32>,
    /// Signal that asks it to end.
    pub(crate) stop_signal: i32,
    /// Time from that signal to KILL.
    pub(crate) stop_timeout: Duration,
    /// Limits of resources.
    pub(crate) rlimits: Vec<sys::Rlimit>,
}

/// What the init is to do.
#[derive(Debug)]
pub(crate) struct Settings {
    pub(crate) launches: Vec<Launch>,
    pub(crate) isolation: Isolation,
    /// Who may open and write what, links resolved.
    pub(crate) files: Files,
}

/// Why nothing can be started (exit code 2).
#[derive(Debug, thiserror::Error)]
pub(crate) enum SettingsError {
    #[error(transparent)]
    Handshake(#[from] HandshakeError),
    #[error("cannot read {}: {error}", file.display())]
    Unreadable { file: PathBuf, error: std::io::Error },
    #[error("{}: {message}", file.display())]
    Table { file: PathBuf, message: String },
    #[error("daemon {daemon:?} runs as {user:?}, who does not exist")]
    UnknownUser { daemon: String, user: String },
    #[error("daemon {daemon:?} is in group {group:?}, which does not exist")]
    UnknownGroup { daemon: String, group: String },
    #[error("daemon {daemon:?} works in {workdir:?}, which is not a folder")]
    NoWorkdir { daemon: String, workdir: String },
}

/// The daemon table: the built-in one of a chain, or a file's.
///
/// # Errors
///
/// What is wrong with the file.
fn daemons(
    file: Option<&Path>,
    chain: bottle_contract::daemon::Chain,
) -> Result<Vec<DaemonRow>, SettingsError> {
    let Some(file) = file else { return Ok(table(chain)) };
    let text = std::fs::read_to_string(file)
        .map_err(|error| SettingsError::Unreadable { file: file.to_owned(), error })?;
    bottle_contract::table::read(&text)
        .map_err(|error| SettingsError::Table { file: file.to_owned(), message: error.to_string() })
}

/// Resolves everything; nothing is started.
///
/// # Errors
///
/// What is wrong with the handshake, the table, a user or a folder.
pub(crate) fn resolve(
    environment: &[(OsString, OsString)],
    file: Option<&Path>,
    accounts: &Accounts,
) -> Result<Settings, SettingsError> {
    let lossy: Vec<(String, String)> = environment
        .iter()
        .map(|(name, value)| (name.to_string_lossy().into_owned(), value.to_string_lossy().into_owned()))
        .collect();
    let pairs = || lossy.iter().map(|(name, value)| (name.as_str(), value.as_str()));
    let rows = daemons(file, Handshake::chain(pairs())?)?;
    let handshake = Handshake::parse(pairs(), &rows)?;
    let rows = handshake.table(&rows)?;
    let launches = rows
        .iter()
        .filter(|row| handshake.selects(&row.name))
        .map(|row| {
            let delivered = handshake.deliver(&row.name, &rows, lossy.iter().map(|(name, _)| name.as_str()));
            let user = credentials(row, accounts)?;
            if let Some(workdir) = row.workdir.as_deref().filter(|path| !Path::new(path).is_dir()) {
                return Err(SettingsError::NoWorkdir {
                    daemon: row.name.clone(),
                    workdir: workdir.to_owned(),
                });
            }
            Ok(Launch {
                environment: own_environment(&delivered, environment, &lossy, row, &user),
                workdir: row.workdir.as_ref().map(PathBuf::from),
                reload: row.reload.as_deref().and_then(signal::number),
                stop_signal: row.stop_signal.as_deref().and_then(signal::number).unwrap_or(libc::SIGTERM),
                stop_timeout: row.stop_grace.map_or(STOP_TIMEOUT, |span| span.0),
                rlimits: rlimits(row, handshake.isolation),
                row: row.clone(),
                user,
            })
        })
        .collect::<Result<Vec<Launch>, SettingsError>>()?;
    let files = paths(&rows, &handshake, &launches, file);
    Ok(Settings { launches, isolation: handshake.isolation, files })
}

fn credentials(row: &DaemonRow, accounts: &Accounts) -> Result<Credentials, SettingsError> {
    let mut user = accounts
        .find(&row.user)
        .ok_or_else(|| SettingsError::UnknownUser { daemon: row.name.clone(), user: row.user.clone() })?;
    for group in &row.groups {
        let unknown = || SettingsError::UnknownGroup { daemon: row.name.clone(), group: group.clone() };
        user.groups.push(accounts.group(group).ok_or_else(unknown)?);
    }
    user.groups.sort_unstable();
    user.groups.dedup();
    Ok(user)
}

/// The row's limits; under walls there are no core dumps unless the row says so.
fn rlimits(row: &DaemonRow, isolation: Isolation) -> Vec<sys::Rlimit> {
    let mut limits = row.rlimits.clone();
    if isolation != Isolation::Off {
        limits.entry(Resource::Core).or_insert(Limit { soft: Some(0), hard: Some(0) });
    }
    let value = |limit: Option<u64>| limit.unwrap_or(libc::RLIM_INFINITY);
    limits
        .into_iter()
        .map(|(resource, limit)| {
            let limit = libc::rlimit { rlim_cur: value(limit.soft), rlim_max: value(limit.hard) };
            (number(resource), limit)
        })
        .collect()
}

const fn number(resource: Resource) -> u32 {
    match resource {
        Resource::As => libc::RLIMIT_AS,
        Resource::Core => libc::RLIMIT_CORE,
        Resource::Cpu => libc::RLIMIT_CPU,
        Resource::Data => libc::RLIMIT_DATA,
        Resource::Fsize => libc::RLIMIT_FSIZE,
        Resource::Locks => libc::RLIMIT_LOCKS,
        Resource::Memlock => libc::RLIMIT_MEMLOCK,
        Resource::Msgqueue => libc::RLIMIT_MSGQUEUE,
        Resource::Nice => libc::RLIMIT_NICE,
        Resource::Nofile => libc::RLIMIT_NOFILE,
        Resource::Nproc => libc::RLIMIT_NPROC,
        Resource::Rss => libc::RLIMIT_RSS,
        Resource::Rtprio => libc::RLIMIT_RTPRIO,
        Resource::Rttime => libc::RLIMIT_RTTIME,
        Resource::Sigpending => libc::RLIMIT_SIGPENDING,
        Resource::Stack => libc::RLIMIT_STACK,
    }
}

/// Who may open and write what.
fn paths(rows: &[DaemonRow], handshake: &Handshake, launches: &[Launch], table: Option<&Path>) -> Files {
    if handshake.isolation == Isolation::Off {
        return Files::default();
    }
    let mut files = Files::default();
    for (path, owners) in Privacy::of(rows, handshake).paths() {
        for owner in owners {
            files.privacy.claim(owner, &real(path));
        }
    }
    for row in rows {
        let own = row.writable.iter().flatten().map(|path| (row.name.clone(), real(path)));
        files.writable.extend(own);
    }
    for launch in launches {
        let home = launch.row.home.as_ref().unwrap_or(&launch.user.home);
        if Path::new(home).is_dir() {
            files.homes.push((launch.row.name.clone(), real(home)));
        }
        let path = launch.environment.iter().find(|(name, _)| name == "PATH");
        let path = path.map_or("/usr/bin:/bin".into(), |(_, path)| path.to_string_lossy());
        let is_file = |path: &str| Path::new(path).is_file();
        let programs = files::programs(&launch.row, &path, &is_file);
        files.programs.extend(programs.iter().map(|path| (Some(launch.row.name.clone()), real(path))));
    }
    let own = std::env::current_exe().ok().into_iter().chain(table.map(Path::to_owned));
    files.programs.extend(own.map(|path| (None, real(&path.to_string_lossy()))));
    files.claim_homes();
    let mounts = mounts::parse(&std::fs::read_to_string("/proc/self/mountinfo").unwrap_or_default());
    files.claim_aliases(&mounts);
    files.mounts = mounts.into_iter().filter(|mount| !mount.read_only).map(|mount| mount.target).collect();
    for terminal in sys::terminals() {
        files.privacy.claim(INIT, &real(&terminal));
    }
    files
}

/// A daemon's environment: what the handshake delivers, and HOME and USER of its user.
fn own_environment(
    delivered: &BTreeMap<&str, &str>,
    environment: &[(OsString, OsString)],
    lossy: &[(String, String)],
    row: &DaemonRow,
    user: &Credentials,
) -> Vec<(OsString, OsString)> {
    let mut own: Vec<(OsString, OsString)> = Vec::with_capacity(delivered.len() + 2);
    let mut named = BTreeSet::new();
    for (there, here) in delivered {
        let Some(at) = lossy.iter().position(|(name, _)| name == here) else { continue };
        named.insert(*there);
        // A name that is not UTF-8 is nobody's, and stays as it is.
        let name = if there == here { environment[at].0.clone() } else { OsString::from(there) };
        own.push((name, environment[at].1.clone()));
    }
    let home = row.home.as_ref().unwrap_or(&user.home);
    for (name, value) in [("HOME", home), ("USER", &user.name)] {
        if !named.contains(name) {
            own.push((OsString::from(name), OsStr::new(value).to_owned()));
        }
    }
    own
}

#[cfg(test)]
mod tests {
    use super::*;

    fn pairs(environment: &[(&str, &str)]) -> Vec<(OsString, OsString)> {
        environment.iter().map(|(name, value)| (OsString::from(name), OsString::from(value))).collect()
    }

    fn table_file(text: &str) -> tempfile::NamedTempFile {
        let file = tempfile::NamedTempFile::new().unwrap();
        std::fs::write(file.path(), text).unwrap();
        file
    }

    fn settled(environment: &[(&str, &str)], table: &str) -> Result<Settings, String> {
        let file = table_file(table);
        resolve(&pairs(environment), Some(file.path()), &Accounts::read()).map_err(|error| error.to_string())
    }

    const TWO: &str = "[[daemon]]\nname = 'one'\nargv = ['true']\n[[daemon]]\nname = 'two'\nargv = ['true']\nhome = '/srv'\n";

    #[test]
    fn each_daemon_gets_its_own_environment() {
        let environment = [
            ("BOT_BOTTLE_SIDECAR_ENV_ONE", "KEY"),
            ("KEY", "k"),
            ("FREE", "f"),
            ("TWO__MODE", "m"),
            ("HOME", "/elsewhere"),
        ];
        let settings = settled(&environment, TWO).unwrap();
        let of = |at: usize| {
            let mut pairs: Vec<String> = settings.launches[at]
                .environment
                .iter()
                .map(|(name, value)| format!("{}={}", name.to_string_lossy(), value.to_string_lossy()))
                .collect();
            pairs.sort();
            pairs
        };
        assert_eq!(of(0), ["HOME=/root", "KEY=k", "USER=root"]);
        assert_eq!(of(1), ["FREE=f", "HOME=/srv", "MODE=m", "USER=root"]);
    }

    #[test]
    fn a_project_with_a_prefix_has_variables_of_its_own() {
        let named = ("BOT_BOTTLE_SIDECAR_PREFIX", "claude-bottle");
        let daemons = ("CLAUDE_BOTTLE_SIDECAR_DAEMONS", "two");
        let started = |environment: &[(&str, &str)]| {
            let settings = settled(environment, TWO)?;
            Ok::<_, String>(
                settings.launches.iter().map(|launch| launch.row.name.clone()).collect::<Vec<_>>(),
            )
        };
        assert_eq!(started(&[named, daemons]).unwrap(), ["two"]);
        // Without the prefix it is a variable like any other.
        assert_eq!(started(&[daemons]).unwrap(), ["one", "two"]);
        let error = started(&[named, ("BOT_BOTTLE_SIDECAR_DAEMONS", "two")]).unwrap_err();
        assert!(error.contains("CLAUDE_BOTTLE_SIDECAR_DAEMONS"), "{error}");
    }

    #[test]
    fn what_is_missing_is_named_before_anything_starts() {
        let row = |extra: &str| format!("[[daemon]]\nname = 'one'\nargv = ['true']\n{extra}\n");
        for (table, culprit) in [
            (row("user = 'nobody-of-that-name'"), "nobody-of-that-name"),
            (row("user = 4294967295"), "4294967295"),
            (row("user = '0:4294967295'"), "4294967295"),
            (row("groups = ['no-such-group']"), "no-such-group"),
            (row("groups = [4294967295]"), "4294967295"),
            (row("workdir = '/no/such/folder'"), "/no/such/folder"),
            (row("reload = 'HUPP'"), "HUPP"),
            (row("unknown = 1"), "unknown"),
            (row("[[daemon]]\nname = 'one'\nargv = ['true']"), "one"),
            ("[[daemon]]\nname = 'one'\nargv = []\n".to_owned(), "argv"),
            ("[[daemon]]\nargv = ['true']\n".to_owned(), "name"),
            (String::new(), "daemon"),
        ] {
            let error = settled(&[], &table).map(|settings| settings.launches.len()).unwrap_err();
            assert!(error.contains(culprit), "{table}\n{error}");
        }
        let error = settled(&[("BOT_BOTTLE_SIDECAR_DAEMONS", "one,three")], TWO).map(|_| ()).unwrap_err();
        assert!(error.contains("three"), "{error}");
    }
}
