//! Daemon tables of other projects: the TOML that `sidecar-init --daemons` and a map file of the checker hold.

use std::collections::BTreeMap;
use std::time::Duration;

use serde::{Deserialize, Serialize};

use crate::capability::Capabilities;
use crate::daemon::Isolation;
use crate::handshake::variable_form;
use crate::row::{DaemonRow, UNDOES_CONNECT, WITHHELD};
use crate::signal;

/// A daemon table that cannot be used.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{}{message}", line.map_or_else(String::new, |line| format!("line {line}: ")))]
pub struct TableError {
    /// 1-based line, where known.
    pub line: Option<usize>,
    /// What is wrong.
    pub message: String,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Table {
    daemon: Vec<DaemonRow>,
}

/// Writes a table as [`read`] takes it.
#[must_use]
pub fn write(rows: &[DaemonRow]) -> String {
    #[derive(Serialize)]
    struct Table<'a> {
        daemon: &'a [DaemonRow],
    }
    // Every type of a row has a form in TOML, and those that are tables come last.
    basic_toml::to_string(&Table { daemon: rows }).unwrap_or_default()
}

/// Reads `[[daemon]]` tables.
///
/// # Errors
///
/// What is wrong with the text, or what [`check`] refuses.
pub fn read(text: &str) -> Result<Vec<DaemonRow>, TableError> {
    let table: Table = parse(text)?;
    if table.daemon.is_empty() {
        return Err(TableError { line: None, message: "there is no daemon in the table".to_owned() });
    }
    check(&table.daemon)?;
    Ok(table.daemon)
}

/// Brackets that may be open at one place; the parser recurses for each.
const DEEPEST: usize = 64;

pub(crate) fn parse<T: serde::de::DeserializeOwned>(text: &str) -> Result<T, TableError> {
    let mut depth = 0usize;
    for (at, c) in text.char_indices() {
        match c {
            '[' | '{' => depth += 1,
            ']' | '}' => depth = depth.saturating_sub(1),
            _ => {}
        }
        if depth > DEEPEST {
            let line = Some(text[..at].matches('\n').count() + 1);
            return Err(TableError { line, message: format!("more than {DEEPEST} open brackets") });
        }
    }
    basic_toml::from_str(text).map_err(|error| {
        let message = error.to_string();
        // The place has a field of its own.
        let message = message.rsplit_once(" at line ").map_or(message.as_str(), |(message, _)| message);
        TableError { line: error.line_col().map(|(line, _)| line + 1), message: message.to_owned() }
    })
}

/// Checks what the types alone cannot say of a table.
///
/// # Errors
///
/// The first row that cannot be used, by name.
pub fn check(rows: &[DaemonRow]) -> Result<(), TableError> {
    let mut forms = BTreeMap::new();
    for row in rows {
        let name = &row.name;
        let plain = |c: char| c.is_ascii_alphanumeric() || matches!(c, '-' | '_');
        if name.is_empty() || !name.chars().all(plain) {
            return fail(format!("daemon name {name:?} is not letters, digits, - and _"));
        }
        if name == "sidecar-init" {
            return fail("the name sidecar-init is the init's own".to_owned());
        }
        if let Some(other) = forms.insert(variable_form(name), name) {
            return fail(if other == name {
                format!("daemon {name:?} is defined twice")
            } else {
                format!("daemons {other:?} and {name:?} have the same form in variable names")
            });
        }
        program(row)?;
        paths(row)?;
        numbers(row)?;
        let signals = [("reload", &row.reload), ("stop_signal", &row.stop_signal)];
        for (key, signal) in signals {
            if let Some(signal) = signal.as_ref().filter(|signal| signal::number(signal).is_none()) {
                return fail(format!("daemon {name:?} has {key} {signal:?}, which is no signal"));
            }
        }
        if let Some(other) = row.after.keys().find(|other| !rows.iter().any(|row| row.name == **other)) {
            return fail(format!("daemon {name:?} starts after {other:?}, which the table does not have"));
        }
    }
    circle(rows)
}

/// Checks what required walls forbid.
///
/// # Errors
///
/// The first row that asks for a capability which would undo a wall of its own or of others, by name.
pub fn check_isolation<'a>(
    rows: impl IntoIterator<Item = &'a DaemonRow>,
    isolation: Isolation,
) -> Result<(), TableError> {
    if isolation != Isolation::Require {
        return Ok(());
    }
    for row in rows {
        let Some(held) = row.capabilities else { continue };
        let bypass = held.and(Capabilities::of(&WITHHELD));
        let undone = held.and(Capabilities::of(&UNDOES_CONNECT));
        let name = &row.name;
        if let Some(capability) = bypass.names().next() {
            return fail(format!("daemon {name:?} has {capability}, which would bypass required walls"));
        }
        if let Some(capability) = undone.names().next().filter(|_| row.connect.is_some()) {
            return fail(format!(
                "daemon {name:?} has {capability}, which would undo its limit on connections (`connect`)"
            ));
        }
    }
    Ok(())
}

fn fail(message: String) -> Result<(), TableError> {
    Err(TableError { line: None, message })
}

fn program(row: &DaemonRow) -> Result<(), TableError> {
    let name = &row.name;
    let probe = row.health.as_ref().map(|health| ("health test", &health.test));
    for (what, argv) in [("argv", &row.argv)].into_iter().chain(probe) {
        if argv.first().is_none_or(String::is_empty) {
            return fail(format!("daemon {name:?} has an empty {what}"));
        }
        if argv.iter().any(|word| word.contains('\0')) {
            return fail(format!("daemon {name:?} has a NUL in its {what}"));
        }
    }
    if row.user.is_empty() || row.groups.iter().any(String::is_empty) {
        return fail(format!("daemon {name:?} has an empty user or group"));
    }
    Ok(())
}

fn paths(row: &DaemonRow) -> Result<(), TableError> {
    let mut every =
        row.private.iter().chain(row.writable.iter().flatten()).chain(&row.workdir).chain(&row.home);
    match every.find(|path| {
        !path.starts_with('/')
            || path.contains('\0')
            || path.split('/').any(|part| matches!(part, "." | ".."))
    }) {
        Some(path) => fail(format!(
            "daemon {:?} names {path:?}, which is not an absolute path without . and ..",
            row.name
        )),
        None => Ok(()),
    }
}

fn numbers(row: &DaemonRow) -> Result<(), TableError> {
    let name = &row.name;
    if row.connect.as_ref().is_some_and(|ports| ports.contains(&0)) {
        return fail(format!("daemon {name:?} connects to port 0, which no one listens on"));
    }
    if let Some(nice) = row.nice.filter(|nice| !(-20..=19).contains(nice)) {
        return fail(format!("daemon {name:?} has nice {nice}, which is not in -20..=19"));
    }
    if let Some(score) = row.oom_score_adj.filter(|score| !(-1000..=1000).contains(score)) {
        return fail(format!("daemon {name:?} has oom_score_adj {score}, which is not in -1000..=1000"));
    }
    let Some(health) = &row.health else { return Ok(()) };
    if health.retries == 0 {
        return fail(format!("daemon {name:?} has health retries 0"));
    }
    for (key, span) in [
        ("interval", health.interval),
        ("timeout", health.timeout),
        ("start_interval", health.start_interval),
    ] {
        if span.0 < Duration::from_millis(1) {
            return fail(format!("daemon {name:?} has a health {key} of less than 1 ms"));
        }
    }
    Ok(())
}

/// Daemons that wait for each other would never start.
fn circle(rows: &[DaemonRow]) -> Result<(), TableError> {
    let mut left: Vec<&DaemonRow> = rows.iter().collect();
    loop {
        let before = left.len();
        let waiting = left.clone();
        left.retain(|row| row.after.keys().any(|other| waiting.iter().any(|row| row.name == *other)));
        if left.is_empty() {
            return Ok(());
        }
        if left.len() == before {
            let names: Vec<&str> = left.iter().map(|row| row.name.as_str()).collect();
            return fail(format!("these daemons start after each other: {}", names.join(", ")));
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn error(text: &str) -> String {
        read(text).map(|rows| rows.len()).unwrap_err().to_string()
    }

    #[test]
    fn a_row_needs_a_name_and_an_argv() {
        let rows = read(
            "[[daemon]]\nname = 'web'\nargv = ['web', '-f']\nuser = 1000\nlisten = [80, '127.0.0.1:81', '82']\n\
             connect = []\nreload = 'SIGHUP'\nprivate = ['/srv/web']\nrestart = 'on-failure'\n",
        )
        .unwrap();
        assert_eq!(rows[0].user, "1000");
        let listen: Vec<String> = rows[0].listen.iter().map(ToString::to_string).collect();
        assert_eq!(listen, ["0.0.0.0:80", "127.0.0.1:81", "0.0.0.0:82"]);
        assert_eq!(rows[0].connect, Some(Vec::new()));
    }

    #[test]
    fn a_mistake_is_named() {
        for (text, culprit) in [
            ("[[daemon]]\nargv = ['x']\n", "name"),
            ("[[daemon]]\nname = 'a'\n", "argv"),
            ("[[daemon]]\nname = 'a'\nargv = []\n", "argv"),
            ("[[daemon]]\nname = 'a b'\nargv = ['x']\n", "a b"),
            ("[[daemon]]\nname = 'sidecar-init'\nargv = ['x']\n", "sidecar-init"),
            ("[[daemon]]\nname = 'a'\nargv = ['x']\n[[daemon]]\nname = 'a'\nargv = ['x']\n", "twice"),
            ("[[daemon]]\nname = 'a-b'\nargv = ['x']\n[[daemon]]\nname = 'a_b'\nargv = ['x']\n", "form"),
            ("[[daemon]]\nname = 'a'\nargv = ['x']\nport = 1\n", "port"),
            ("[[daemon]]\nname = 'a'\nargv = ['x']\nprivate = ['etc']\n", "etc"),
            ("[[daemon]]\nname = 'a'\nargv = ['x']\nprivate = ['/etc/../x']\n", "/etc/../x"),
            ("[[daemon]]\nname = 'a'\nargv = ['x']\nlisten = [0]\n", "0"),
            ("[[daemon]]\nname = 'a'\nargv = ['x']\nconnect = [0]\n", "port 0"),
            ("[[daemon]]\nname = 'a'\nargv = ['x']\nrestart = 'sometimes'\n", "sometimes"),
            ("[[daemon]]\nname = 'a'\nargv = ['x']\nreload = 'HUPP'\n", "HUPP"),
            ("[[daemon]]\nname = 'a'\nargv = ['x']\nstop_signal = 'SIGNAL'\n", "SIGNAL"),
            ("[[daemon]]\nname = 'a'\nargv = ['x']\nwritable = ['/a/../b']\n", "/a/../b"),
            ("[[daemon]]\nname = 'a'\nargv = ['x']\nnice = 20\n", "20"),
            ("[[daemon]]\nname = 'a'\nargv = ['x']\noom_score_adj = 1001\n", "1001"),
            ("[[daemon]]\nname = 'a'\nargv = ['x']\nuser = ''\n", "user"),
            ("[[daemon]]\nname = 'a'\nargv = ['x']\nhealth = { test = [] }\n", "health test"),
            ("[[daemon]]\nname = 'a'\nargv = ['x']\nhealth = { test = ['x'], retries = 0 }\n", "retries"),
            ("[[daemon]]\nname = 'a'\nargv = ['x']\nhealth = { test = ['x'], interval = 0 }\n", "interval"),
            ("[[daemon]]\nname = 'a'\nargv = ['x']\nafter = { b = 'started' }\n", "\"b\""),
            ("[[daemon]]\nname = 'a'\nargv = ['x']\nafter = { a = 'started' }\n", "each other: a"),
            ("[[deamon]]\n", "deamon"),
            ("daemon = []\n", "no daemon"),
            ("= 1", "line 1"),
            ("\n[[daemon]]\nname = 'a'\nargv = [1]\n", "line 4: "),
            ("\n[[daemon]]\nname = 'a'\nargv = ['x']\nrestart = 7\n", "line 5: "),
        ] {
            assert!(error(text).contains(culprit), "{text}\n{}", error(text));
        }
    }

    #[test]
    fn nesting_is_bounded() {
        let text = format!("\n[[daemon]]\nname = 'a'\nargv = {}1", "[".repeat(100_000));
        assert_eq!(error(&text), "line 4: more than 64 open brackets");
    }

    #[test]
    fn a_circle_of_waiting_daemons_is_named() {
        let row = |name: &str, after: &str| {
            format!("[[daemon]]\nname = '{name}'\nargv = ['x']\nafter = {{{after}}}\n")
        };
        let rows =
            |c: &str| row("a", "b = 'started'") + &row("b", "c = 'healthy'") + &row("c", c) + &row("d", "");
        assert_eq!(error(&rows("a = 'completed'")), "these daemons start after each other: a, b, c");
        assert!(read(&rows("d = 'completed'")).is_ok());
    }

    #[test]
    fn required_walls_refuse_what_would_undo_them() {
        let rows = |more: &str| read(&format!("[[daemon]]\nname = 'a'\nargv = ['x']\n{more}\n")).unwrap();
        for (more, culprit) in [
            ("capabilities = ['SYS_ADMIN']", Some("SYS_ADMIN")),
            ("capabilities = ['ALL']", Some("SYS_ADMIN")),
            ("capabilities = ['PERFMON']", Some("PERFMON")),
            ("capabilities = ['NET_ADMIN']", None),
            ("capabilities = ['NET_ADMIN']\nconnect = [80]", Some("NET_ADMIN")),
            ("capabilities = ['SYS_PTRACE']\nconnect = []", Some("SYS_PTRACE")),
            ("capabilities = ['NET_RAW']\nconnect = []", None),
            ("connect = []", None),
        ] {
            let rows = rows(more);
            let refused = check_isolation(&rows, Isolation::Require).map_err(|error| error.to_string());
            match culprit {
                Some(culprit) => assert!(refused.unwrap_err().contains(culprit), "{more}"),
                None => assert_eq!(refused, Ok(()), "{more}"),
            }
            assert_eq!(check_isolation(&rows, Isolation::BestEffort), Ok(()), "{more}");
        }
    }

    #[test]
    fn capabilities_depend_on_the_walls() {
        let held = |more: &str, isolation| {
            let rows = read(&format!("[[daemon]]\nname = 'a'\nargv = ['x']\n{more}\n")).unwrap();
            rows[0].capabilities_under(isolation)
        };
        let default = Capabilities::DEFAULT;
        let raw = Capabilities::of(&["NET_RAW"]);
        assert_eq!(held("", Isolation::Off), None);
        assert_eq!(held("", Isolation::Require), Some(default));
        assert_eq!(held("connect = []", Isolation::BestEffort), Some(default.without(raw)));
        assert_eq!(held("connect = []\ncapabilities = ['NET_RAW']", Isolation::Off), Some(raw));
        assert_eq!(
            held("connect = []\ncapabilities = ['NET_RAW']", Isolation::Require),
            Some(Capabilities::default())
        );
    }
}
