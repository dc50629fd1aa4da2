//! The environment from which sidecar-init learns what to run, and which daemon receives which variable.
//!
//! The bundle renderer writes it, sidecar-init obeys it, and the checker's view predicts from it what each
//! daemon receives: one definition, so that the three cannot drift apart.

use std::borrow::Cow;
use std::collections::{BTreeMap, BTreeSet};

use crate::daemon::{Chain, DaemonRow, Isolation};
use crate::overlay::RowOverlay;
use crate::table::{self, TableError};

/// Prefix that is reserved for the handshake; an unknown variable below it is fatal.
pub const PREFIX: &str = "BOT_BOTTLE_SIDECAR_";
/// Gives the names of the other handshake variables another prefix: with `claude-bottle` they begin with
/// `CLAUDE_BOTTLE_SIDECAR_`.
pub const NAMES: &str = "BOT_BOTTLE_SIDECAR_PREFIX";
/// Selects daemons, separated by commas; unset means all.
pub const DAEMONS: &str = "BOT_BOTTLE_SIDECAR_DAEMONS";
/// Picks the built-in argv and listen addresses.
pub const CHAIN: &str = "BOT_BOTTLE_SIDECAR_CHAIN";
/// Says how far the daemons are kept apart.
pub const ISOLATION: &str = "BOT_BOTTLE_SIDECAR_ISOLATION";
/// Says what a daemon without a list receives.
pub const ENV: &str = "BOT_BOTTLE_SIDECAR_ENV";
/// Prefix of the per-daemon lists of variables.
pub const ENV_PREFIX: &str = "BOT_BOTTLE_SIDECAR_ENV_";
/// Prefix of the per-daemon lists of further private paths.
pub const MOUNTS_PREFIX: &str = "BOT_BOTTLE_SIDECAR_MOUNTS_";
/// Prefix of the per-daemon parts of rows, in TOML, that are laid over the table's.
pub const ROW_PREFIX: &str = "BOT_BOTTLE_SIDECAR_ROW_";
/// Variables that never reach any daemon but egress.
pub const TOKEN_PREFIX: &str = "EGRESS_TOKEN_";
const TOKEN_OWNER: &str = "egress";

/// What a daemon receives of the container's environment, beside what always passes and what is addressed to it.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Unlisted {
    /// Its list, or without a list everything that no list claims. Bundles that say nothing were rendered for this.
    #[default]
    Rest,
    /// Its list and nothing else.
    Listed,
}

impl Unlisted {
    /// Name in the handshake.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Rest => "rest",
            Self::Listed => "listed",
        }
    }
}

/// How the names of handshake variables begin.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Names {
    /// The project's prefix as [`NAMES`] has it, and what names begin with; `None`: the usual ones.
    own: Option<(String, String)>,
}

impl Names {
    /// The names of a project whose containers, images and variables have a prefix; `bot-bottle` is the usual one.
    #[must_use]
    pub fn under(prefix: &str) -> Self {
        let form = format!("{}_SIDECAR_", variable_form(prefix));
        Self { own: (form != PREFIX).then(|| (prefix.to_owned(), form)) }
    }

    /// Reads what a container's environment says of the names.
    ///
    /// # Errors
    ///
    /// The prefix is not one of lower-case letters, digits and dashes.
    pub fn of<'a>(environment: impl IntoIterator<Item = (&'a str, &'a str)>) -> Result<Self, HandshakeError> {
        let given = environment.into_iter().find(|(name, _)| *name == NAMES).map(|(_, value)| value);
        let Some(prefix) = given.filter(|value| !value.is_empty()) else { return Ok(Self::default()) };
        let plain = |byte: u8| byte.is_ascii_lowercase() || byte.is_ascii_digit() || byte == b'-';
        if prefix.bytes().all(plain) {
            return Ok(Self::under(prefix));
        }
        Err(HandshakeError::UnknownValue { variable: NAMES.to_owned(), value: prefix.to_owned() })
    }

    /// Whether a variable belongs to the handshake, known or not.
    #[must_use]
    pub fn reserves(&self, variable: &str) -> bool {
        variable.starts_with(PREFIX)
            || self.own.as_ref().is_some_and(|(_, form)| variable.starts_with(form.as_str()))
    }

    /// The name of a handshake variable, given its usual one.
    #[must_use]
    pub fn named(&self, usual: &str) -> String {
        match (&self.own, usual.strip_prefix(PREFIX)) {
            (Some((_, form)), Some(key)) if usual != NAMES => format!("{form}{key}"),
            _ => usual.to_owned(),
        }
    }

    /// The usual name of a handshake variable; `None` if these names do not have it.
    fn usual<'a>(&self, variable: &'a str) -> Option<Cow<'a, str>> {
        match &self.own {
            None => Some(Cow::Borrowed(variable)),
            Some((_, form)) => Some(Cow::Owned(format!("{PREFIX}{}", variable.strip_prefix(form.as_str())?))),
        }
    }
}

/// What the handshake asks for.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Handshake {
    /// How the names of its variables begin.
    pub names: Names,
    /// Names of the selected daemons in table order; `None` means all.
    pub daemons: Option<Vec<String>>,
    /// Order of the two proxies.
    pub chain: Chain,
    /// Strength of the walls.
    pub isolation: Isolation,
    /// What a daemon without a list receives.
    pub unlisted: Unlisted,
    /// Variables that a daemon receives, by daemon name. A list of a daemon that does not run claims them all the same.
    pub environment: BTreeMap<String, BTreeSet<String>>,
    /// Private paths beyond the table's, by daemon name.
    pub mounts: BTreeMap<String, BTreeSet<String>>,
    /// Keys of rows that are laid over the table's, by daemon name.
    pub rows: BTreeMap<String, RowOverlay>,
}

/// Why sidecar-init would refuse to start (exit 2).
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum HandshakeError {
    /// The list of daemons is set and names nothing.
    #[error("{0} is empty: unset it to run every daemon")]
    NoDaemons(String),
    /// A selected daemon is not in the table.
    #[error("{variable} names unknown daemon {daemon:?}")]
    UnknownDaemon {
        /// Name of the variable.
        variable: String,
        /// The daemon.
        daemon: String,
    },
    /// A daemon is selected twice.
    #[error("{variable} names {daemon:?} twice")]
    RepeatedDaemon {
        /// Name of the variable.
        variable: String,
        /// The daemon.
        daemon: String,
    },
    /// A variable has a value that it cannot have.
    #[error("{variable} has unknown value {value:?}")]
    UnknownValue {
        /// Name of the variable.
        variable: String,
        /// The value.
        value: String,
    },
    /// A variable below the reserved prefix is not part of the handshake.
    #[error("unknown handshake variable {0}")]
    UnknownVariable(String),
    /// A variable has the usual prefix where [`NAMES`] gives another.
    #[error("{variable}: {NAMES} says that it is called {named}")]
    OtherPrefix {
        /// Name of the variable.
        variable: String,
        /// The name that it should have.
        named: String,
    },
    /// A private path is not absolute.
    #[error("{variable} holds {path:?}, which is not an absolute path")]
    RelativePath {
        /// Name of the variable.
        variable: String,
        /// The path.
        path: String,
    },
    /// A part of a row cannot be read, or makes a table that cannot be used.
    #[error("{variable}: {error}")]
    Row {
        /// Name of the variable, or of all of them.
        variable: String,
        /// What is wrong.
        error: TableError,
    },
    /// A token of egress is addressed to another daemon.
    #[error("{0} hands a token of egress to another daemon")]
    MisdirectedToken(String),
}

/// Form of a daemon's name in the names of variables: `git-gate` becomes `GIT_GATE`.
#[must_use]
pub fn variable_form(daemon: &str) -> String {
    daemon.chars().map(|c| if c == '-' { '_' } else { c.to_ascii_uppercase() }).collect()
}

impl Handshake {
    /// Reads the handshake from a container's environment, against the names of a daemon table.
    ///
    /// # Errors
    ///
    /// What would make sidecar-init exit with 2 before it starts anything.
    pub fn parse<'a>(
        environment: impl IntoIterator<Item = (&'a str, &'a str), IntoIter: Clone>,
        table: &[DaemonRow],
    ) -> Result<Self, HandshakeError> {
        let environment = environment.into_iter();
        let mut handshake = Self { names: Names::of(environment.clone())?, ..Self::default() };
        for (variable, value) in environment {
            if let Some((owner, name)) = addressed(variable, table) {
                if name.starts_with(TOKEN_PREFIX) && owner != TOKEN_OWNER {
                    return Err(HandshakeError::MisdirectedToken(variable.to_owned()));
                }
                continue;
            }
            if !handshake.names.reserves(variable) || variable == NAMES {
                continue;
            }
            let Some(usual) = handshake.names.usual(variable) else {
                let named = handshake.names.named(variable);
                return Err(HandshakeError::OtherPrefix { variable: variable.to_owned(), named });
            };
            handshake.read((variable, &usual), value, table)?;
        }
        handshake.table(table)?;
        Ok(handshake)
    }

    /// The chain alone: the table depends on it, and the rest of the handshake on the table.
    ///
    /// # Errors
    ///
    /// Its value, or that of [`NAMES`], is unknown.
    pub fn chain<'a>(
        environment: impl IntoIterator<Item = (&'a str, &'a str), IntoIter: Clone>,
    ) -> Result<Chain, HandshakeError> {
        let environment = environment.into_iter();
        let chain = Names::of(environment.clone())?.named(CHAIN);
        let own = environment.filter(|(name, _)| *name == NAMES || *name == chain);
        Ok(Self::parse(own, &[])?.chain)
    }

    /// The daemon table with what the handshake lays over its rows.
    ///
    /// # Errors
    ///
    /// A row that cannot be used then, or not under the handshake's isolation.
    pub fn table(&self, table: &[DaemonRow]) -> Result<Vec<DaemonRow>, HandshakeError> {
        let mut rows = table.to_vec();
        for row in &mut rows {
            if let Some(overlay) = self.rows.get(&row.name) {
                overlay.clone().lay_over(row);
            }
        }
        let fault = |variable: &str| {
            let variable = variable.to_owned();
            move |error| HandshakeError::Row { variable, error }
        };
        if !self.rows.is_empty() {
            table::check(&rows).map_err(fault(&self.names.named(&format!("{ROW_PREFIX}*"))))?;
        }
        let selected = rows.iter().filter(|row| self.selects(&row.name));
        table::check_isolation(selected, self.isolation).map_err(fault(&self.names.named(ISOLATION)))?;
        Ok(rows)
    }

    /// Reads one variable, given its name in the environment and its usual one.
    fn read(
        &mut self,
        (variable, usual): (&str, &str),
        value: &str,
        table: &[DaemonRow],
    ) -> Result<(), HandshakeError> {
        let unknown_value =
            || HandshakeError::UnknownValue { variable: variable.to_owned(), value: value.to_owned() };
        if usual == DAEMONS {
            self.daemons = Some(selection(variable, value, table)?);
            return Ok(());
        }
        let list = |prefix: &str| {
            let form = usual.strip_prefix(prefix)?;
            table.iter().find(|row| variable_form(&row.name) == form).map(|row| row.name.clone())
        };
        if let Some(daemon) = list(ENV_PREFIX) {
            if !value.is_empty() {
                self.environment.insert(daemon, items(value, ',').map(str::to_owned).collect());
            }
        } else if let Some(daemon) = list(MOUNTS_PREFIX) {
            if let Some(path) = items(value, ':').find(|path| !path.starts_with('/')) {
                return Err(HandshakeError::RelativePath {
                    variable: variable.to_owned(),
                    path: path.to_owned(),
                });
            }
            if !value.is_empty() {
                self.mounts.insert(daemon, items(value, ':').map(str::to_owned).collect());
            }
        } else if let Some(daemon) = list(ROW_PREFIX) {
            if !value.trim().is_empty() {
                let overlay = RowOverlay::from_toml(value)
                    .map_err(|error| HandshakeError::Row { variable: variable.to_owned(), error })?;
                self.rows.insert(daemon, overlay);
            }
        } else if usual == ENV {
            self.unlisted = match value {
                "" | "rest" => Unlisted::Rest,
                "listed" => Unlisted::Listed,
                _ => return Err(unknown_value()),
            };
        } else if usual == CHAIN {
            if !value.is_empty() {
                self.chain = Chain::from_name(value).ok_or_else(unknown_value)?;
            }
        } else if usual == ISOLATION {
            if !value.is_empty() {
                self.isolation = Isolation::from_name(value).ok_or_else(unknown_value)?;
            }
        } else {
            return Err(HandshakeError::UnknownVariable(variable.to_owned()));
        }
        Ok(())
    }

    /// Writes the handshake as variables, without defaults.
    #[must_use]
    pub fn to_environment(&self) -> Vec<(String, String)> {
        let mut variables = Vec::new();
        if let Some((prefix, _)) = &self.names.own {
            variables.push((NAMES.to_owned(), prefix.clone()));
        }
        if let Some(daemons) = &self.daemons {
            variables.push((DAEMONS.to_owned(), daemons.join(",")));
        }
        if self.chain != Chain::default() {
            variables.push((CHAIN.to_owned(), self.chain.name().to_owned()));
        }
        if self.isolation != Isolation::default() {
            variables.push((ISOLATION.to_owned(), self.isolation.name().to_owned()));
        }
        if self.unlisted != Unlisted::default() {
            variables.push((ENV.to_owned(), self.unlisted.name().to_owned()));
        }
        for (prefix, lists, separator) in
            [(ENV_PREFIX, &self.environment, ","), (MOUNTS_PREFIX, &self.mounts, ":")]
        {
            for (daemon, list) in lists.iter().filter(|(_, list)| !list.is_empty()) {
                let list: Vec<&str> = list.iter().map(String::as_str).collect();
                variables.push((format!("{prefix}{}", variable_form(daemon)), list.join(separator)));
            }
        }
        for (daemon, overlay) in &self.rows {
            let text = overlay.to_toml();
            if !text.is_empty() {
                variables.push((format!("{ROW_PREFIX}{}", variable_form(daemon)), text));
            }
        }
        variables.into_iter().map(|(name, value)| (self.names.named(&name), value)).collect()
    }

    /// Whether a daemon of the table runs.
    #[must_use]
    pub fn selects(&self, daemon: &str) -> bool {
        self.daemons.as_ref().is_none_or(|daemons| daemons.iter().any(|name| name == daemon))
    }

    /// The variables of a container's environment that reach one daemon, as `(name there, name here)`.
    ///
    /// `HOME` and `USER` are left to the daemon's user unless they are addressed to it.
    pub fn deliver<'a>(
        &self,
        daemon: &str,
        table: &[DaemonRow],
        names: impl IntoIterator<Item = &'a str>,
    ) -> BTreeMap<&'a str, &'a str> {
        let mut delivered = Vec::new();
        let mut own = Vec::new();
        for name in names {
            match addressed(name, table) {
                Some((owner, inner)) if owner == daemon => own.push((inner, name)),
                None if self.passes(daemon, name) => delivered.push((name, name)),
                Some(_) | None => {}
            }
        }
        delivered.into_iter().chain(own).collect()
    }

    fn passes(&self, daemon: &str, name: &str) -> bool {
        if self.names.reserves(name) || name == "HOME" || name == "USER" {
            return false;
        }
        if matches!(name, "PATH" | "LANG" | "TZ") || name.starts_with("LC_") {
            return true;
        }
        if name.starts_with(TOKEN_PREFIX) && daemon != TOKEN_OWNER {
            return false;
        }
        match self.environment.get(daemon) {
            Some(list) => list.contains(name),
            None if self.unlisted == Unlisted::Listed => false,
            None => !self.environment.values().any(|list| list.contains(name)),
        }
    }
}

/// Splits `EGRESS__NAME` into the daemon that it is addressed to and the name that it has there.
fn addressed<'a, 't>(variable: &'a str, table: &'t [DaemonRow]) -> Option<(&'t str, &'a str)> {
    let (form, name) = variable.split_once("__")?;
    if name.is_empty() {
        return None;
    }
    table
        .iter()
        .find(|row| form.len() == row.name.len() && variable_form(&row.name) == form)
        .map(|row| (row.name.as_str(), name))
}

fn selection(variable: &str, value: &str, table: &[DaemonRow]) -> Result<Vec<String>, HandshakeError> {
    let mut chosen = BTreeSet::new();
    for name in items(value, ',') {
        if !table.iter().any(|row| row.name == name) {
            let (variable, daemon) = (variable.to_owned(), name.to_owned());
            return Err(HandshakeError::UnknownDaemon { variable, daemon });
        }
        if !chosen.insert(name) {
            let (variable, daemon) = (variable.to_owned(), name.to_owned());
            return Err(HandshakeError::RepeatedDaemon { variable, daemon });
        }
    }
    if chosen.is_empty() {
        return Err(HandshakeError::NoDaemons(variable.to_owned()));
    }
    Ok(table.iter().map(|row| &row.name).filter(|name| chosen.contains(name.as_str())).cloned().collect())
}

fn items(value: &str, separator: char) -> impl Iterator<Item = &str> {
    value.split(separator).map(str::trim).filter(|item| !item.is_empty())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::daemon::table;

    fn parse(environment: &[(&str, &str)]) -> Result<Handshake, HandshakeError> {
        Handshake::parse(environment.iter().copied(), &table(Chain::PipelockFirst))
    }

    #[test]
    fn unset_means_all_and_empty_is_fatal() {
        assert_eq!(parse(&[]).map(|h| h.daemons), Ok(None));
        for (value, message) in [
            (" , ", "BOT_BOTTLE_SIDECAR_DAEMONS is empty: unset it to run every daemon"),
            ("pipelock,egres", "BOT_BOTTLE_SIDECAR_DAEMONS names unknown daemon \"egres\""),
            ("egress,egress", "BOT_BOTTLE_SIDECAR_DAEMONS names \"egress\" twice"),
        ] {
            assert_eq!(parse(&[(DAEMONS, value)]).unwrap_err().to_string(), message);
        }
    }

    #[test]
    fn selection_follows_the_table() {
        let daemons = parse(&[(DAEMONS, "supervise,egress")]).unwrap().daemons;
        assert_eq!(daemons, Some(vec!["egress".to_owned(), "supervise".to_owned()]));
    }

    #[test]
    fn a_typo_is_fatal() {
        assert_eq!(
            parse(&[("BOT_BOTTLE_SIDECAR_ISOLATON", "require")]),
            Err(HandshakeError::UnknownVariable("BOT_BOTTLE_SIDECAR_ISOLATON".into()))
        );
        assert!(parse(&[(ISOLATION, "requires")]).is_err());
        assert!(parse(&[("BOT_BOTTLE_SIDECAR_MOUNTS_EGRESS", "etc")]).is_err());
        assert!(parse(&[("PIPELOCK__EGRESS_TOKEN_0", "x")]).is_err());
    }

    #[test]
    fn delivery_keeps_claims_apart() {
        let rows = table(Chain::PipelockFirst);
        let handshake = parse(&[("BOT_BOTTLE_SIDECAR_ENV_EGRESS", "HTTPS_PROXY,EGRESS_TOKEN_0")]).unwrap();
        let names = ["PATH", "HTTPS_PROXY", "EGRESS_TOKEN_0", "FREE", "GIT_GATE__MODE", "HOME", DAEMONS];
        let of = |daemon| handshake.deliver(daemon, &rows, names).keys().copied().collect::<Vec<_>>();
        assert_eq!(of("egress"), ["EGRESS_TOKEN_0", "HTTPS_PROXY", "PATH"]);
        assert_eq!(of("pipelock"), ["FREE", "PATH"]);
        assert_eq!(of("git-gate"), ["FREE", "MODE", "PATH"]);
    }

    #[test]
    fn under_listed_a_daemon_receives_its_list_alone() {
        let rows = table(Chain::PipelockFirst);
        let names = ["PATH", "LC_ALL", "GPG_KEY", "ONE", "PIPELOCK__TWO", "EGRESS_TOKEN_0"];
        for (mode, pipelock, supervise) in [
            ("listed", ["LC_ALL", "PATH", "TWO"].as_slice(), ["LC_ALL", "PATH"].as_slice()),
            ("rest", &["GPG_KEY", "LC_ALL", "PATH", "TWO"], &["GPG_KEY", "LC_ALL", "PATH"]),
        ] {
            let handshake =
                parse(&[(ENV, mode), ("BOT_BOTTLE_SIDECAR_ENV_EGRESS", "ONE,EGRESS_TOKEN_0")]).unwrap();
            let of = |daemon| handshake.deliver(daemon, &rows, names).keys().copied().collect::<Vec<_>>();
            assert_eq!(of("egress"), ["EGRESS_TOKEN_0", "LC_ALL", "ONE", "PATH"], "{mode}");
            assert_eq!(of("pipelock"), pipelock, "{mode}");
            assert_eq!(of("supervise"), supervise, "{mode}");
        }
        assert!(parse(&[(ENV, "list")]).is_err());
    }

    #[test]
    fn a_list_of_a_daemon_that_does_not_run_claims_its_variables() {
        let rows = table(Chain::PipelockFirst);
        let handshake = parse(&[(DAEMONS, "pipelock"), ("BOT_BOTTLE_SIDECAR_ENV_SUPERVISE", "KEY")]).unwrap();
        assert!(!handshake.deliver("pipelock", &rows, ["KEY"]).contains_key("KEY"));
    }

    #[test]
    fn a_part_of_a_row_is_laid_over_the_table() {
        let rows = table(Chain::PipelockFirst);
        let text = "nice = 5\nafter = { egress = 'healthy' }";
        let handshake = parse(&[("BOT_BOTTLE_SIDECAR_ROW_GIT_GATE", text)]).unwrap();
        let laid = handshake.table(&rows).unwrap();
        assert_eq!(laid[2].nice, Some(5));
        assert_eq!((&laid[2].argv, &laid[2].private), (&rows[2].argv, &rows[2].private));
        assert_eq!((&laid[0], &laid[1], &laid[3]), (&rows[0], &rows[1], &rows[3]));
        for (variable, text, culprit) in [
            ("BOT_BOTTLE_SIDECAR_ROW_GIT_GATE", "nise = 5", "nise"),
            ("BOT_BOTTLE_SIDECAR_ROW_GIT_GATE", "name = 'x'", "name"),
            ("BOT_BOTTLE_SIDECAR_ROW_GIT_GATE", "nice = 50", "50"),
            ("BOT_BOTTLE_SIDECAR_ROW_GIT_GATE", "after = { git = 'started' }", "\"git\""),
            ("BOT_BOTTLE_SIDECAR_ROW_GIT", "nice = 5", "ROW_GIT"),
        ] {
            let error = parse(&[(variable, text)]).unwrap_err().to_string();
            assert!(error.contains(culprit) && error.contains("BOT_BOTTLE_SIDECAR_ROW_"), "{text}: {error}");
        }
        let admin = ("BOT_BOTTLE_SIDECAR_ROW_SUPERVISE", "capabilities = ['NET_ADMIN']");
        assert!(parse(&[admin]).is_ok());
        assert!(parse(&[admin, (ISOLATION, "require")]).is_err());
        assert!(parse(&[admin, (ISOLATION, "require"), (DAEMONS, "egress")]).is_ok());
    }

    #[test]
    fn an_addressed_variable_beats_a_common_one() {
        let rows = table(Chain::PipelockFirst);
        let handshake = Handshake::default();
        let delivered = handshake.deliver("egress", &rows, ["EGRESS__MODE", "MODE"]);
        assert_eq!(delivered.get("MODE"), Some(&"EGRESS__MODE"));
    }

    #[test]
    fn a_project_with_a_prefix_has_names_of_its_own() {
        let rows = table(Chain::PipelockFirst);
        let names = (NAMES, "claude-bottle");
        let environment = [
            names,
            ("CLAUDE_BOTTLE_SIDECAR_DAEMONS", "egress,pipelock"),
            ("CLAUDE_BOTTLE_SIDECAR_CHAIN", "egress-first"),
            ("CLAUDE_BOTTLE_SIDECAR_ISOLATION", "require"),
            ("CLAUDE_BOTTLE_SIDECAR_ENV_EGRESS", "A"),
            ("CLAUDE_BOTTLE_SIDECAR_MOUNTS_EGRESS", "/a"),
            ("CLAUDE_BOTTLE_SIDECAR_ROW_EGRESS", "nice = 5\n"),
        ];
        let own = parse(&environment).unwrap();
        let usual: Vec<(String, &str)> =
            environment[1..].iter().map(|(name, value)| (name.replace("CLAUDE_", "BOT_"), *value)).collect();
        let usual: Vec<(&str, &str)> = usual.iter().map(|(name, value)| (name.as_str(), *value)).collect();
        assert_eq!(own, Handshake { names: Names::under("claude-bottle"), ..parse(&usual).unwrap() });
        assert_eq!(
            own.to_environment(),
            environment.map(|(name, value)| (name.to_owned(), value.to_owned()))
        );
        assert_eq!(Handshake::chain(environment), Ok(Chain::EgressFirst));
        // None of them reaches a daemon.
        let all = environment.map(|(name, _)| name);
        assert_eq!(own.deliver("egress", &rows, all).len(), 0);
        // A typo is fatal, and so is a name of the usual prefix, which would be ignored otherwise.
        for (name, value, culprit) in [
            ("CLAUDE_BOTTLE_SIDECAR_ISOLATON", "require", "unknown handshake variable"),
            ("BOT_BOTTLE_SIDECAR_ISOLATION", "require", "is called CLAUDE_BOTTLE_SIDECAR_ISOLATION"),
            ("CLAUDE_BOTTLE_SIDECAR_DAEMONS", "x", "CLAUDE_BOTTLE_SIDECAR_DAEMONS names unknown daemon"),
        ] {
            let error = parse(&[names, (name, value)]).unwrap_err().to_string();
            assert!(error.contains(culprit), "{error}");
        }
        for bad in ["Claude", "a b", "a=b", "ä"] {
            assert!(parse(&[(NAMES, bad)]).is_err() && Handshake::chain([(NAMES, bad)]).is_err(), "{bad}");
        }
        for usual in ["", "bot-bottle"] {
            assert_eq!(parse(&[(NAMES, usual), (ISOLATION, "require")]), parse(&[(ISOLATION, "require")]));
        }
    }

    #[test]
    fn writes_what_it_reads() {
        let text = [
            (DAEMONS, "egress,pipelock"),
            (CHAIN, "egress-first"),
            (ISOLATION, "require"),
            (ENV, "listed"),
            ("BOT_BOTTLE_SIDECAR_ENV_EGRESS", "A,B"),
            ("BOT_BOTTLE_SIDECAR_MOUNTS_GIT_GATE", "/a:/b"),
            ("BOT_BOTTLE_SIDECAR_ROW_PIPELOCK", "nice = 5\n"),
        ];
        let written = parse(&text).unwrap().to_environment();
        assert_eq!(written, text.map(|(name, value)| (name.to_owned(), value.to_owned())));
    }
}
