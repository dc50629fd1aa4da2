//! Daemon tables of other projects: the TOML that `sidecar-init --daemons` and a map file of the checker hold.

use std::collections::BTreeMap;

use serde::Deserialize;

use crate::daemon::DaemonRow;
use crate::handshake::variable_form;

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

fn parse<T: serde::de::DeserializeOwned>(text: &str) -> Result<T, TableError> {
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
        let fail = |message: String| Err(TableError { line: None, message });
        let plain = |c: char| c.is_ascii_alphanumeric() || matches!(c, '-' | '_');
        if name.is_empty() || !name.chars().all(plain) {
            return fail(format!("daemon name {name:?} is not letters, digits, - and _"));
        }
        if name == "sidecar-init" {
            return fail("the name sidecar-init is the init's own".to_owned());
        }
        if let Some(other) = forms.insert(variable_form(name), name) {
            return fail(if other == name {
                format!("daemon {name:?} stands twice")
            } else {
                format!("daemons {other:?} and {name:?} have the same form in variable names")
            });
        }
        if row.argv.first().is_none_or(String::is_empty) {
            return fail(format!("daemon {name:?} has an empty argv"));
        }
        if row.argv.iter().any(|word| word.contains('\0')) {
            return fail(format!("daemon {name:?} has a NUL in its argv"));
        }
        if let Some(path) = row.private.iter().chain(&row.workdir).chain(&row.home).find(|path| {
            !path.starts_with('/')
                || path.contains('\0')
                || path.split('/').any(|part| matches!(part, "." | ".."))
        }) {
            return fail(format!(
                "daemon {name:?} names {path:?}, which is not an absolute path without . and .."
            ));
        }
        if row.connect.as_ref().is_some_and(|ports| ports.contains(&0)) {
            return fail(format!("daemon {name:?} connects to port 0, which no one listens on"));
        }
    }
    Ok(())
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
            ("[[daemon]]\nname = 'a'\nargv = ['x']\nrestart = 'always'\n", "always"),
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
}
