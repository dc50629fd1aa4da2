//! What runs as a principal: argv, user, home, working directory, and the sockets that the argv tells of.

use std::collections::BTreeSet;
use std::net::{IpAddr, Ipv4Addr};

use bottle_model::compose::Service;
use bottle_model::daemon::{DaemonRow, Listen};

use super::roles::ImageDefaults;

/// An effective process; what only an unknown image knows stands in braces.
#[derive(Clone, Debug)]
pub(super) struct Process {
    /// The program by its file name, listen addresses as `{listen}`.
    pub(super) argv: Vec<String>,
    pub(super) user: String,
    pub(super) home: String,
    pub(super) workdir: String,
    /// Sockets, if the program is one whose options are known.
    pub(super) sockets: Option<BTreeSet<Listen>>,
    /// Signals that reload it.
    pub(super) reload: Option<String>,
}

/// The last component of a path.
pub(super) fn file_name(path: &str) -> &str {
    path.rsplit('/').next().unwrap_or(path)
}

/// The process of a container of its own.
pub(super) fn alone(service: &Service, defaults: &ImageDefaults) -> Process {
    let entrypoint = service.entrypoint.as_ref().or(defaults.entrypoint.as_ref());
    // An overridden ENTRYPOINT takes the image's CMD with it.
    let cmd = match (&service.command, &service.entrypoint) {
        (Some(command), _) => Some(command.as_slice()),
        (None, Some(_)) => Some(&[][..]),
        (None, None) => defaults.cmd.as_deref().or(defaults.entrypoint.as_ref().map(|_| &[][..])),
    };
    let mut argv: Vec<String> =
        entrypoint.cloned().unwrap_or_else(|| vec!["{entrypoint of the image}".to_owned()]);
    match cmd {
        Some(cmd) => argv.extend(cmd.iter().cloned()),
        None => argv.push("{command of the image}".to_owned()),
    }
    let (argv, sockets) = canonical(argv);
    let user = match service.user.as_deref() {
        Some(user) => known_user(user, defaults.user.as_deref()),
        None => defaults.user.as_deref().map_or_else(|| "{user of the image}".to_owned(), canonical_user),
    };
    let home = match &defaults.home {
        Some(home) if service.user.is_none() => home.clone(),
        _ => home_of(&user),
    };
    Process {
        argv,
        home,
        user,
        workdir: service
            .working_dir
            .clone()
            .or_else(|| defaults.workdir.clone())
            .unwrap_or_else(|| "{working directory of the image}".to_owned()),
        sockets,
        reload: defaults.reload.clone(),
    }
}

/// The process that sidecar-init makes of a row of its table.
pub(super) fn of_row(service: &Service, row: &DaemonRow) -> Process {
    let (argv, sockets) = canonical(row.argv.clone());
    // Only root may become somebody else.
    let user = match service.user.as_deref().map(|user| known_user(user, Some(&row.user))) {
        Some(user) if user != "root" => user,
        _ => canonical_user(&row.user),
    };
    Process {
        argv,
        home: match &row.home {
            Some(home) if user == canonical_user(&row.user) => home.clone(),
            _ => home_of(&user),
        },
        user,
        workdir: service
            .working_dir
            .clone()
            .or_else(|| row.workdir.clone())
            .unwrap_or_else(|| "/".to_owned()),
        sockets,
        reload: row.reload.as_ref().map(|signal| signal.trim_start_matches("SIG").to_owned()),
    }
}

/// What can be said of a daemon below an init that the checker does not know: what the container says.
pub(super) fn under_foreign_init(service: &Service, entrypoint: &[String]) -> Process {
    let user = service.user.as_deref().map_or_else(|| "root".to_owned(), canonical_user);
    Process {
        argv: entrypoint.iter().chain(service.command.iter().flatten()).cloned().collect(),
        home: home_of(&user),
        user,
        workdir: service.working_dir.clone().unwrap_or_else(|| "/".to_owned()),
        sockets: None,
        reload: None,
    }
}

/// A user by name, if it is the one that the image knows under that number: mitmproxy has 1000 in its image.
fn known_user(user: &str, known: Option<&str>) -> String {
    let number = canonical_user(user);
    if number == "1000" && known == Some("mitmproxy") { "mitmproxy".to_owned() } else { number }
}

/// Writes root as `root`, and leaves out a group of the same name.
fn canonical_user(user: &str) -> String {
    let name = |part: &str| if part == "0" { "root".to_owned() } else { part.to_owned() };
    match user.split_once(':') {
        Some((user, group)) if name(user) == name(group) => name(user),
        Some((user, group)) => format!("{}:{}", name(user), name(group)),
        None => name(user),
    }
}

fn home_of(user: &str) -> String {
    match user.split(':').next() {
        Some("root") => "/root".to_owned(),
        Some("mitmproxy") => "/home/mitmproxy".to_owned(),
        _ => format!("{{home of {user}}}"),
    }
}

/// Names the program by its file, and takes the listen address out of the argv of the programs whose options
/// are known (pipelock, mitmdump).
fn canonical(mut argv: Vec<String>) -> (Vec<String>, Option<BTreeSet<Listen>>) {
    let Some(program) = argv.first_mut() else { return (argv, None) };
    *program = file_name(program).to_owned();
    let sockets = match program.as_str() {
        "pipelock" => {
            let socket = match take(&mut argv, &["--listen"], "{listen}") {
                Some(text) => text.parse().ok(),
                None => Some(Listen::loopback(8888)),
            };
            Some(socket.into_iter().collect())
        }
        "mitmdump" => {
            let host = take(&mut argv, &["--listen-host"], "{listen}")
                .map_or(Some(IpAddr::V4(Ipv4Addr::UNSPECIFIED)), |host| host.parse().ok());
            let port = value(&argv, &["--listen-port", "-p"]).map_or(Some(8080), |port| port.parse().ok());
            Some(host.zip(port).map(|(address, port)| Listen { address, port }).into_iter().collect())
        }
        _ => None,
    };
    (argv, sockets)
}

/// The value of an option, in either spelling.
fn value<'a>(argv: &'a [String], options: &[&str]) -> Option<&'a str> {
    let (at, inline) = find(argv, options)?;
    if inline {
        argv[at].split_once('=').map(|(_, value)| value)
    } else {
        argv.get(at + 1).map(String::as_str)
    }
}

/// Replaces the value of an option and returns it.
fn take(argv: &mut [String], options: &[&str], placeholder: &str) -> Option<String> {
    let (at, inline) = find(argv, options)?;
    if inline {
        let (option, value) = argv[at].split_once('=')?;
        let (option, value) = (option.to_owned(), value.to_owned());
        argv[at] = format!("{option}={placeholder}");
        Some(value)
    } else {
        argv.get_mut(at + 1).map(|word| std::mem::replace(word, placeholder.to_owned()))
    }
}

fn find(argv: &[String], options: &[&str]) -> Option<(usize, bool)> {
    argv.iter().enumerate().find_map(|(at, word)| {
        if options.contains(&word.as_str()) {
            return Some((at, false));
        }
        let (option, _) = word.split_once('=')?;
        options.contains(&option).then_some((at, true))
    })
}
