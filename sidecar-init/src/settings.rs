//! From the container's environment and the daemon table to what is started.

use std::collections::{BTreeMap, BTreeSet};
use std::ffi::{OsStr, OsString};
use std::path::{Path, PathBuf};

use bottle_contract::daemon::{DaemonRow, Isolation, Restart, table};
use bottle_contract::handshake::{self, Handshake, HandshakeError};
use bottle_contract::privacy::Privacy;
use bottle_contract::signal;

use crate::users::{Accounts, Credentials};
use crate::walls;

/// A daemon to start, with everything settled.
#[derive(Debug)]
pub(crate) struct Launch {
    pub(crate) row: DaemonRow,
    pub(crate) environment: Vec<(OsString, OsString)>,
    pub(crate) user: Credentials,
    pub(crate) workdir: Option<PathBuf>,
    /// Signal that reloads the daemon.
    pub(crate) reload: Option<i32>,
}

impl Launch {
    pub(crate) fn restarts(&self) -> bool {
        matches!(self.row.restart, Restart::OnFailure(_))
    }
}

/// What the init is to do.
#[derive(Debug)]
pub(crate) struct Settings {
    pub(crate) launches: Vec<Launch>,
    pub(crate) isolation: Isolation,
    /// Private paths, links resolved.
    pub(crate) privacy: Privacy,
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
    #[error("daemon {daemon:?} works in {workdir:?}, which is not a folder")]
    NoWorkdir { daemon: String, workdir: String },
}

/// The daemon table: the built-in one of a chain, or a file's.
///
/// # Errors
///
/// What is wrong with the file.
pub(crate) fn daemons(
    file: Option<&Path>,
    chain: bottle_contract::daemon::Chain,
) -> Result<Vec<DaemonRow>, SettingsError> {
    let Some(file) = file else { return Ok(table(chain)) };
    let text = std::fs::read_to_string(file)
        .map_err(|error| SettingsError::Unreadable { file: file.to_owned(), error })?;
    bottle_contract::table::read(&text)
        .map_err(|error| SettingsError::Table { file: file.to_owned(), message: error.to_string() })
}

/// Settles everything; nothing is started.
///
/// # Errors
///
/// What is wrong with the handshake, the table, a user or a folder.
pub(crate) fn settle(
    environment: &[(OsString, OsString)],
    file: Option<&Path>,
    accounts: &Accounts,
) -> Result<Settings, SettingsError> {
    let lossy: Vec<(String, String)> = environment
        .iter()
        .map(|(name, value)| (name.to_string_lossy().into_owned(), value.to_string_lossy().into_owned()))
        .collect();
    let pairs = || lossy.iter().map(|(name, value)| (name.as_str(), value.as_str()));
    let chain = chain(&lossy)?;
    let rows = daemons(file, chain)?;
    let handshake = Handshake::parse(pairs(), &rows)?;
    let rows = handshake.table(&rows)?;
    let privacy = walls::resolved(&Privacy::of(&rows, &handshake));
    let selected = rows.iter().filter(|row| handshake.selects(&row.name));
    let launches = selected
        .map(|row| {
            let user = accounts.find(&row.user).ok_or_else(|| SettingsError::UnknownUser {
                daemon: row.name.clone(),
                user: row.user.clone(),
            })?;
            if let Some(workdir) = row.workdir.as_deref().filter(|path| !Path::new(path).is_dir()) {
                return Err(SettingsError::NoWorkdir {
                    daemon: row.name.clone(),
                    workdir: workdir.to_owned(),
                });
            }
            let delivered = handshake.deliver(&row.name, &rows, lossy.iter().map(|(name, _)| name.as_str()));
            Ok(Launch {
                environment: own_environment(&delivered, environment, &lossy, row, &user),
                workdir: row.workdir.as_ref().map(PathBuf::from),
                reload: row.reload.as_deref().and_then(signal::number),
                row: row.clone(),
                user,
            })
        })
        .collect::<Result<Vec<Launch>, SettingsError>>()?;
    Ok(Settings { launches, isolation: handshake.isolation, privacy })
}

/// The chain alone: the table hangs on it, and the rest of the handshake on the table.
fn chain(environment: &[(String, String)]) -> Result<bottle_contract::daemon::Chain, HandshakeError> {
    let own = environment.iter().filter(|(name, _)| name == handshake::CHAIN);
    Ok(Handshake::parse(own.map(|(name, value)| (name.as_str(), value.as_str())), &[])?.chain)
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
        settle(&pairs(environment), Some(file.path()), &Accounts::read()).map_err(|error| error.to_string())
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
    fn what_cannot_be_had_is_named_before_anything_starts() {
        let row = |extra: &str| format!("[[daemon]]\nname = 'one'\nargv = ['true']\n{extra}\n");
        for (table, culprit) in [
            (row("user = 'nobody-of-that-name'"), "nobody-of-that-name"),
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
