//! Keys of a daemon's row that the bundle's compose file sets (`BOT_BOTTLE_SIDECAR_ROW_<DAEMON>`).

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use crate::capability::Capabilities;
use crate::listen::{Listen, Scalar};
use crate::row::{Condition, DaemonRow, Health, Limit, Ports, Resource, Restart, Umask};
use crate::span::Span;
use crate::table::{self, TableError};

/// A part of a row, laid over the built-in one or that of a file: what is `None` stays as it is.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
#[expect(missing_docs, reason = "the keys are those of DaemonRow")]
pub struct RowOverlay {
    #[serde(skip_serializing_if = "Option::is_none")]
    pub argv: Option<Vec<String>>,
    #[serde(skip_serializing_if = "Option::is_none", deserialize_with = "scalar")]
    pub user: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none", deserialize_with = "scalars")]
    pub groups: Option<Vec<String>>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub home: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub workdir: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub listen: Option<Vec<Listen>>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub bind: Option<Ports>,
    /// `"any"` takes the limit of the row away.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub connect: Option<Ports>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub udp: Option<bool>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub reload: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub stop_signal: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub stop_grace: Option<Span>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub private: Option<Vec<String>>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub writable: Option<Vec<String>>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub capabilities: Option<Capabilities>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub umask: Option<Umask>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub nice: Option<i8>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub oom_score_adj: Option<i16>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub restart: Option<Restart>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub critical: Option<bool>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub after: Option<BTreeMap<String, Condition>>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub rlimits: Option<BTreeMap<Resource, Limit>>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub health: Option<Health>,
}

impl RowOverlay {
    /// Reads the value of the variable: TOML, as between two `[[daemon]]` of a table, without `name`.
    ///
    /// # Errors
    ///
    /// An unknown key, or a value that its key cannot have.
    pub fn from_toml(text: &str) -> Result<Self, TableError> {
        table::parse(text)
    }

    /// Writes the value of the variable: one line per key, then the tables.
    #[must_use]
    pub fn to_toml(&self) -> String {
        // Every type here has a form in TOML, tables last.
        basic_toml::to_string(self).unwrap_or_default()
    }

    /// Lays what is set over a row.
    pub fn lay_over(self, row: &mut DaemonRow) {
        fn set<T>(key: &mut T, value: Option<T>) {
            if let Some(value) = value {
                *key = value;
            }
        }
        fn some<T>(key: &mut Option<T>, value: Option<T>) {
            if value.is_some() {
                *key = value;
            }
        }
        let Self {
            argv,
            user,
            groups,
            home,
            workdir,
            listen,
            bind,
            connect,
            udp,
            reload,
            stop_signal,
            stop_grace,
            private,
            writable,
            capabilities,
            umask,
            nice,
            oom_score_adj,
            restart,
            critical,
            after,
            rlimits,
            health,
        } = self;
        set(&mut row.argv, argv);
        set(&mut row.user, user);
        set(&mut row.groups, groups);
        some(&mut row.home, home);
        some(&mut row.workdir, workdir);
        set(&mut row.listen, listen);
        some(&mut row.bind, bind);
        set(
            &mut row.connect,
            connect.map(|ports| match ports {
                Ports::Any => None,
                Ports::Only(ports) => Some(ports),
            }),
        );
        set(&mut row.udp, udp);
        some(&mut row.reload, reload);
        some(&mut row.stop_signal, stop_signal);
        some(&mut row.stop_grace, stop_grace);
        set(&mut row.private, private);
        some(&mut row.writable, writable);
        some(&mut row.capabilities, capabilities);
        some(&mut row.umask, umask);
        some(&mut row.nice, nice);
        some(&mut row.oom_score_adj, oom_score_adj);
        set(&mut row.restart, restart);
        set(&mut row.critical, critical);
        set(&mut row.after, after);
        set(&mut row.rlimits, rlimits);
        some(&mut row.health, health);
    }
}

fn scalar<'de, D: serde::Deserializer<'de>>(deserializer: D) -> Result<Option<String>, D::Error> {
    Scalar::deserialize(deserializer).map(|scalar| Some(scalar.into()))
}

fn scalars<'de, D: serde::Deserializer<'de>>(deserializer: D) -> Result<Option<Vec<String>>, D::Error> {
    Ok(Some(Vec::<Scalar>::deserialize(deserializer)?.into_iter().map(String::from).collect()))
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Every key, none at its default.
    const EVERY: &str = "\
argv = ['x', '-c', 'a\\b']
user = 1000
groups = ['audio', 7]
home = '/h'
workdir = '/w'
listen = [80, '127.0.0.1:81']
bind = [80, 0]
connect = [443]
udp = true
reload = 'HUP'
stop_signal = 'INT'
stop_grace = '1m'
private = ['/p']
writable = ['/v']
capabilities = ['NET_RAW']
umask = '027'
nice = -5
oom_score_adj = 500
restart = 'on-failure:5'
critical = true
after = { db = 'healthy', once = 'completed', other = 'started' }
rlimits = { nofile = { soft = 1024, hard = 2048 }, core = -1 }
health = { test = ['true'], interval = 2, timeout = '500ms', retries = 2, start_period = 1.5, start_interval = '1s' }
";

    #[test]
    fn every_key_of_a_row_is_read_written_and_laid_over() {
        let overlay = RowOverlay::from_toml(EVERY).unwrap();
        assert_eq!(RowOverlay::from_toml(&overlay.to_toml()), Ok(overlay.clone()), "{}", overlay.to_toml());
        let rows = "[[daemon]]\nname = 'a'\n".to_owned() + EVERY;
        let other = |name: &str| format!("[[daemon]]\nname = '{name}'\nargv = ['x']\n");
        let rows = table::read(&(rows + &["db", "once", "other"].map(other).concat())).unwrap();
        let mut row = DaemonRow::new("a", vec!["y".to_owned()]);
        overlay.lay_over(&mut row);
        assert_eq!(row, rows[0], "a key of the table is missing in the overlay");
        let default = DaemonRow::new("a", rows[0].argv.clone());
        let keys = |row: &DaemonRow| basic_toml::to_string(row).unwrap().matches(" = ").count();
        assert!(keys(&rows[0]) > keys(&default) + 15);
    }

    #[test]
    fn what_is_not_set_stays() {
        let mut row = DaemonRow::new("a", vec!["y".to_owned()]);
        RowOverlay::from_toml(EVERY).unwrap().lay_over(&mut row);
        let before = row.clone();
        RowOverlay::default().lay_over(&mut row);
        assert_eq!(row, before);
        RowOverlay::from_toml("connect = 'any'").unwrap().lay_over(&mut row);
        assert_eq!(row.connect, None);
        assert_eq!(RowOverlay::from_toml(""), Ok(RowOverlay::default()));
        assert_eq!(RowOverlay::default().to_toml(), "");
    }

    #[test]
    fn a_mistake_is_named() {
        for (text, culprit) in [
            ("name = 'b'", "name"),
            ("argv = 'x'", "line 1"),
            ("nice = 1\nnise = 2", "nise"),
            ("umask = '8'", "octal"),
            ("umask = '1000'", "octal"),
            ("restart = 'sometimes'", "sometimes"),
            ("restart = 'on-failure:'", "on-failure"),
            ("bind = 'all'", "any"),
            ("capabilities = ['NET_RAWW']", "NET_RAWW"),
            ("rlimits = { nofiles = 1 }", "nofiles"),
            ("rlimits = { nofile = -2 }", "-2"),
            ("rlimits = { nofile = { soft = 2, hard = 1 } }", "soft"),
            ("stop_grace = '8'", "8"),
            ("after = { db = 'ready' }", "ready"),
            ("health = {}", "test"),
            ("health = { test = ['x'], interval = 'often' }", "often"),
        ] {
            let error = RowOverlay::from_toml(text).unwrap_err().to_string();
            assert!(error.contains(culprit), "{text}\n{error}");
        }
    }
}
