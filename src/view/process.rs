//! What runs as a principal: argv, user, home, working directory, and the sockets that the argv names.

use std::borrow::Cow;
use std::net::{IpAddr, Ipv4Addr};

use bottle_model::compose::Service;
use bottle_model::daemon::{DaemonRow, Listen};
use bottle_model::sorted::Set;

use super::roles::ImageDefaults;
use crate::images::ImageFacts;

/// An effective process; braces mark what only an unknown image knows.
#[derive(Clone, Debug, Default)]
pub(super) struct Process<'a> {
    /// The program by its path, pipelock's absorbed, listen addresses as `{listen}`.
    pub(super) argv: Vec<Cow<'a, str>>,
    pub(super) user: Cow<'a, str>,
    pub(super) home: Cow<'a, str>,
    pub(super) workdir: &'a str,
    /// Sockets, if the program is one whose options are known.
    pub(super) sockets: Option<Set<Listen>>,
    /// Signal that reloads it.
    pub(super) reload: Option<&'a str>,
}

/// Where the published image has pipelock, and where the bundle's has it.
const PIPELOCK: [&str; 2] = ["/pipelock", "/usr/local/bin/pipelock"];

/// The last component of a path.
pub(super) fn file_name(path: &str) -> &str {
    path.rsplit('/').next().unwrap_or(path)
}

fn words(words: &[String]) -> impl Iterator<Item = Cow<'_, str>> {
    words.iter().map(|word| Cow::Borrowed(word.as_str()))
}

/// The process of a container of its own.
pub(super) fn alone<'a>(service: &'a Service, defaults: &'a ImageDefaults) -> Process<'a> {
    let entrypoint = service.entrypoint.as_ref().or(defaults.entrypoint.as_ref());
    // An overridden ENTRYPOINT takes the image's CMD with it.
    let cmd = match (&service.command, &service.entrypoint) {
        (Some(command), _) => Some(command.as_slice()),
        (None, Some(_)) => Some(&[][..]),
        (None, None) => defaults.cmd.as_deref().or(defaults.entrypoint.as_ref().map(|_| &[][..])),
    };
    let mut argv: Vec<Cow<'a, str>> = match entrypoint {
        Some(entrypoint) => words(entrypoint).collect(),
        None => vec!["{entrypoint of the image}".into()],
    };
    match cmd {
        Some(cmd) => argv.extend(words(cmd)),
        None => argv.push("{command of the image}".into()),
    }
    let (argv, sockets) = canonical(argv);
    let user = match service.user.as_deref() {
        Some(user) => known_user(user, defaults.user.as_deref()),
        None => defaults.user.as_deref().map_or("{user of the image}".into(), canonical_user),
    };
    let home = match &defaults.home {
        Some(home) if service.user.is_none() => home.into(),
        _ => home_of(&user),
    };
    let workdir = service.working_dir.as_deref().or(defaults.workdir.as_deref());
    Process {
        argv,
        home,
        user,
        workdir: workdir.unwrap_or("{working directory of the image}"),
        sockets,
        reload: defaults.reload.as_deref(),
    }
}

/// The process that sidecar-init makes of a row of its table.
pub(super) fn of_row<'a>(
    service: &'a Service,
    row: &'a DaemonRow,
    image: Option<&'a ImageFacts>,
) -> Process<'a> {
    let container = image.and_then(|image| image.user.as_ref()).map(|user| user.value.as_str());
    let (argv, sockets) = canonical(words(&row.argv).collect());
    // Only root may become somebody else.
    let user = match service.user.as_deref().or(container).map(|user| known_user(user, Some(&row.user))) {
        Some(user) if user != "root" => user,
        _ => canonical_user(&row.user),
    };
    Process {
        argv,
        home: match &row.home {
            Some(home) if user == canonical_user(&row.user) => home.into(),
            _ => home_of(&user),
        },
        user,
        workdir: service
            .working_dir
            .as_deref()
            .or(row.workdir.as_deref())
            .or(image.and_then(|image| image.workdir.as_ref()).map(|folder| folder.value.as_str()))
            .unwrap_or("/"),
        sockets,
        reload: row.reload.as_ref().map(|signal| signal.trim_start_matches("SIG")),
    }
}

/// What can be said of a daemon below an init that the checker does not know: what the container says.
///
/// A lone daemon may be what the container runs; that of several one is, says nothing of the others.
pub(super) fn under_foreign_init<'a>(
    service: &'a Service,
    entrypoint: Option<&'a [String]>,
    lone: bool,
) -> Process<'a> {
    let user = service.user.as_deref().map_or("root".into(), canonical_user);
    let mut argv: Vec<Cow<'a, str>> = match entrypoint {
        Some(entrypoint) => words(entrypoint).collect(),
        None => vec!["{entrypoint of the image}".into()],
    };
    match &service.command {
        Some(command) => argv.extend(words(command)),
        None if entrypoint.is_none() => argv.push("{command of the image}".into()),
        None => {}
    }
    let (argv, sockets) = if lone { canonical(argv) } else { (argv, None) };
    Process {
        argv,
        home: home_of(&user),
        user,
        workdir: service.working_dir.as_deref().unwrap_or("/"),
        sockets,
        reload: None,
    }
}

/// A user by name, if it is the one that the image knows under that number: mitmproxy has 1000 in its image, user and
/// group.
fn known_user<'a>(user: &'a str, known: Option<&str>) -> Cow<'a, str> {
    let is_mitmproxy = |part: &str| matches!(part, "1000" | "mitmproxy");
    if known == Some("mitmproxy") && user.split(':').all(is_mitmproxy) {
        return "mitmproxy".into();
    }
    canonical_user(user)
}

/// Writes root as `root`, and leaves out its group; what group another user has by default, only its image knows.
fn canonical_user(user: &str) -> Cow<'_, str> {
    fn name(part: &str) -> &str {
        if part == "0" { "root" } else { part }
    }
    match user.split_once(':') {
        Some((user, group)) if name(user) == "root" && name(group) == "root" => "root".into(),
        Some((user, group)) => format!("{}:{}", name(user), name(group)).into(),
        None => name(user).into(),
    }
}

fn home_of(user: &str) -> Cow<'static, str> {
    match user.split(':').next() {
        Some("root") => "/root".into(),
        Some("mitmproxy") => "/home/mitmproxy".into(),
        _ => format!("{{home of {user}}}").into(),
    }
}

/// Names pipelock alike wherever its two images have it, and takes the listen address out of the argv of the programs
/// whose options are known (pipelock, mitmdump).
fn canonical(mut argv: Vec<Cow<'_, str>>) -> (Vec<Cow<'_, str>>, Option<Set<Listen>>) {
    let Some(program) = argv.first_mut() else { return (argv, None) };
    if PIPELOCK.contains(&&**program) {
        *program = PIPELOCK[1].into();
    }
    let sockets = match &**program {
        // A bare name is another program, for PATH decides which; it takes pipelock's options all the same.
        "pipelock" | "/usr/local/bin/pipelock" => {
            let socket = match take(&mut argv, &["--listen"], "{listen}") {
                Some(text) => go_address(&text),
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

/// An address as a Go program takes it: the port follows a colon, and without a host it means every address.
fn go_address(text: &str) -> Option<Listen> {
    let (host, port) = text.rsplit_once(':')?;
    if host.is_empty() { port.parse().ok() } else { text.parse().ok() }
}

/// The value of an option, in either spelling.
fn value<'w>(argv: &'w [Cow<'_, str>], options: &[&str]) -> Option<&'w str> {
    let (at, inline) = find(argv, options)?;
    if inline {
        argv[at].split_once('=').map(|(_, value)| value)
    } else {
        argv.get(at + 1).map(|word| &**word)
    }
}

/// Replaces the value of an option and returns it.
fn take<'a>(argv: &mut [Cow<'a, str>], options: &[&str], placeholder: &'static str) -> Option<Cow<'a, str>> {
    let (at, inline) = find(argv, options)?;
    if inline {
        let (option, value) = argv[at].split_once('=')?;
        let (replaced, value) = (format!("{option}={placeholder}"), value.to_owned());
        argv[at] = replaced.into();
        Some(value.into())
    } else {
        argv.get_mut(at + 1).map(|word| std::mem::replace(word, placeholder.into()))
    }
}

fn find(argv: &[Cow<'_, str>], options: &[&str]) -> Option<(usize, bool)> {
    argv.iter().enumerate().find_map(|(at, word)| {
        if options.contains(&&**word) {
            return Some((at, false));
        }
        let (option, _) = word.split_once('=')?;
        options.contains(&option).then_some((at, true))
    })
}
