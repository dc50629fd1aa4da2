//! Drafts a map file: what a compose file, and the images that could be looked at, say of services that are to be merged.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt::Write;

use bottle_model::compose::{Compose, Probe, Service, Setting};
use serde_json::Value;

use crate::images::ImageFacts;
use crate::running::inspect::ImageConfig;

/// What is asked for.
#[derive(Clone, Copy, Debug)]
pub struct Wanted<'a> {
    /// The compose file, for the first comment.
    pub file: &'a str,
    /// Its document.
    pub compose: &'a Compose,
    /// Services to merge, in the order in which they start.
    pub merge: &'a [String],
    /// The untrusted service, if there is one.
    pub agent: Option<&'a str>,
    /// Name of the merged service.
    pub bundle: &'a str,
    /// Images that were looked at, by service.
    pub images: &'a BTreeMap<String, Known>,
}

/// What is known of an image.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Known {
    /// Where it was found out, for comments.
    pub from: String,
    /// ENTRYPOINT.
    pub entrypoint: Option<Vec<String>>,
    /// CMD.
    pub cmd: Option<Vec<String>>,
    /// USER; `None`: not known.
    pub user: Option<String>,
    /// Home folder of that user.
    pub home: Option<String>,
    /// WORKDIR; `None`: not known.
    pub workdir: Option<String>,
    /// TCP ports of EXPOSE.
    pub ports: BTreeSet<u16>,
    /// HEALTHCHECK, in exec form.
    pub health: Option<Vec<String>>,
    /// STOPSIGNAL.
    pub stop_signal: Option<String>,
}

impl Known {
    /// What a Dockerfile settles.
    #[must_use]
    pub fn of_facts(from: String, facts: &ImageFacts) -> Self {
        let settled = |value: Option<String>, default: &str| {
            value.or_else(|| facts.base_known.then(|| default.to_owned()))
        };
        let user = settled(facts.user.as_ref().map(|fact| fact.value.clone()), "root");
        let home = user.as_deref().and_then(|user| {
            let name = user.split(':').next().unwrap_or(user);
            match facts.users.get(name) {
                Some(known) => known.value.home.clone(),
                None => matches!(name, "root" | "0").then(|| "/root".to_owned()),
            }
        });
        Self {
            from,
            entrypoint: facts.entrypoint.as_ref().map(|fact| fact.value.clone()),
            cmd: facts.cmd.as_ref().map(|fact| fact.value.clone()),
            home,
            workdir: settled(facts.workdir.as_ref().map(|fact| fact.value.clone()), "/"),
            ports: facts.exposed.keys().filter_map(|port| tcp(port)).collect(),
            health: facts
                .health
                .as_ref()
                .map(|fact| fact.value.command.clone())
                .filter(|words| !words.is_empty()),
            stop_signal: facts.stop_signal.as_ref().map(|fact| fact.value.clone()),
            user,
        }
    }

    /// What an engine says of an image.
    #[must_use]
    pub fn of_engine(config: &ImageConfig) -> Self {
        let or = |text: &str, default: &str| {
            Some(if text.is_empty() { default.to_owned() } else { text.to_owned() })
        };
        let user = or(&config.user, "root");
        let health = config.healthcheck.as_ref().and_then(|health| health.test.clone());
        Self {
            from: "the engine".to_owned(),
            entrypoint: config.entrypoint.clone(),
            cmd: config.cmd.clone(),
            home: user
                .as_deref()
                .filter(|user| matches!(user.split(':').next(), Some("root" | "0")))
                .map(|_| "/root".to_owned()),
            user,
            workdir: or(&config.working_dir, "/"),
            ports: BTreeSet::new(),
            health: health.and_then(|test| match test.split_first() {
                Some((kind, words)) if kind == "CMD" => Some(words.to_vec()),
                Some((kind, [line])) if kind == "CMD-SHELL" => Some(shell(line)),
                _ => None,
            }),
            stop_signal: config.stop_signal.clone(),
        }
    }
}

fn shell(line: &str) -> Vec<String> {
    vec!["/bin/sh".to_owned(), "-c".to_owned(), line.to_owned()]
}

/// Number of a TCP port as EXPOSE writes it.
fn tcp(port: &str) -> Option<u16> {
    port.strip_suffix("/tcp").unwrap_or(port).parse().ok()
}

/// Writes the draft.
#[must_use]
pub fn draft(wanted: &Wanted<'_>) -> String {
    let mut text = format!(
        "# Which services of {} become one, and what is known of their daemons.\n\
         # Where a comment says that something is not known, look it up and write it down: what is missing is reported\n\
         # by `bottle-migrate diff`.\n",
        wanted.file
    );
    if let Some(agent) = wanted.agent {
        line(&mut text, "agent", agent);
    }
    line(&mut text, "bundle", wanted.bundle);
    for name in wanted.merge {
        if let Some(service) = wanted.compose.services.get(name) {
            row(&mut text, wanted, name, service);
        }
    }
    for name in wanted.merge {
        if let Some(service) = wanted.compose.services.get(name) {
            image(&mut text, wanted, name, service);
        }
    }
    text
}

/// Name of a daemon: a name of a service may have characters that a name of a variable cannot.
fn daemon(service: &str) -> String {
    let plain = |c: char| if c.is_ascii_alphanumeric() || c == '-' { c.to_ascii_lowercase() } else { '-' };
    service.chars().map(plain).collect::<String>().trim_matches('-').to_owned()
}

fn row(out: &mut String, wanted: &Wanted<'_>, name: &str, service: &Service) {
    let known = wanted.images.get(name);
    let _ = write!(out, "\n[[daemon]]\n");
    line(out, "name", daemon(name));
    let entrypoint = service.entrypoint.as_ref().or(known.and_then(|known| known.entrypoint.as_ref()));
    let cmd = match (&service.command, &service.entrypoint) {
        (Some(command), _) => Some(command),
        (None, Some(_)) => None,
        (None, None) => known.and_then(|known| known.cmd.as_ref()),
    };
    let looked = |what: &str| looked(what, service, known);
    // An image without ENTRYPOINT runs its command.
    let whole = entrypoint.is_some() || known.is_some();
    let argv: Vec<&String> = entrypoint.into_iter().chain(cmd).flatten().collect();
    if whole && !argv.is_empty() {
        line(out, "argv", argv.into_iter().cloned().collect::<Vec<_>>());
    } else {
        let given: Vec<String> = argv.into_iter().map(|word| quoted(word)).collect();
        let given = if given.is_empty() { String::new() } else { format!(", then {}", given.join(", ")) };
        let _ = writeln!(
            out,
            "# argv = […]: not known: the program of the image{given}; {}",
            looked("ENTRYPOINT")
        );
    }
    match service.user.as_ref().or(known.and_then(|known| known.user.as_ref())) {
        Some(user) => line(out, "user", user.as_str()),
        None => {
            let _ = writeln!(out, "# user = \"…\": not known, root if it stays out; {}", looked("USER"));
        }
    }
    if let Some(home) = known.and_then(|known| known.home.as_ref()).filter(|_| service.user.is_none()) {
        line(out, "home", home.as_str());
    }
    if let Some(folder) = service.working_dir.as_ref().or(known.and_then(|known| known.workdir.as_ref())) {
        line(out, "workdir", folder.as_str());
    }
    ports(out, service, known);
    let _ = writeln!(out, "udp = true # without it the daemon can look up no names");
    let _ =
        writeln!(out, "# writable = [\"/…\"]: what it writes to beside its mounts, its HOME, /tmp and /run");
    let setting = |name: &str| match service.settings.get(name) {
        Some(Setting::Text(text)) => Some(text.clone()),
        Some(Setting::Duration(time)) => Some(bottle_model::compose::attributes::duration(*time)),
        _ => None,
    };
    let signal = setting("stop_signal").or_else(|| known.and_then(|known| known.stop_signal.clone()));
    let signal = signal.map(|signal| signal.trim_start_matches("SIG").to_owned());
    for (key, value) in [
        ("stop_signal", signal),
        ("stop_grace", setting("stop_grace_period")),
        ("restart", setting("restart").filter(|policy| policy != "no")),
    ] {
        if let Some(value) = value {
            line(out, key, value.as_str());
        }
    }
    after(out, wanted, service);
    probe(out, service, known);
}

/// TCP ports that the daemon is said to listen on.
fn ports(out: &mut String, service: &Service, known: Option<&Known>) {
    let mut ports: BTreeSet<u16> =
        service.ports.iter().filter(|port| port.protocol == "tcp").map(|port| port.target).collect();
    if let Some(Setting::Set(exposed)) = service.settings.get("expose") {
        ports.extend(exposed.iter().filter_map(|port| tcp(port)));
    }
    let said = !ports.is_empty();
    ports.extend(known.into_iter().flat_map(|known| &known.ports));
    if ports.is_empty() {
        let _ = writeln!(
            out,
            "# listen = [PORT, …]: no port is published or exposed; name those that it listens on"
        );
        return;
    }
    let from = if said { "ports and expose" } else { "EXPOSE of its image" };
    let _ = writeln!(out, "# from {from}; check that it listens there, and nowhere else");
    line(out, "listen", ports.into_iter().map(i64::from).collect::<Vec<_>>());
}

fn after(out: &mut String, wanted: &Wanted<'_>, service: &Service) {
    let waits = service.depends_on.iter().filter(|(name, _)| wanted.merge.contains(name));
    let waits: Vec<String> = waits
        .map(|(name, dependency)| {
            let condition = match dependency.condition.as_str() {
                "service_healthy" => "healthy",
                "service_completed_successfully" => "completed",
                _ => "started",
            };
            format!("{} = {}", daemon(name), quoted(condition))
        })
        .collect();
    if !waits.is_empty() {
        let _ = writeln!(out, "after = {{ {} }}", waits.join(", "));
    }
}

fn probe(out: &mut String, service: &Service, known: Option<&Known>) {
    let own = service.healthcheck.as_ref();
    let command = match own.and_then(|own| own.test.as_ref()) {
        Some(Probe::Disabled) => return,
        Some(Probe::Exec(words)) => Some(words.clone()),
        Some(Probe::Shell(line)) => Some(shell(line)),
        None => known.and_then(|known| known.health.clone()),
    };
    let Some(command) = command else { return };
    let mut keys = vec![format!("test = {}", toml(command))];
    let time = |key: &str, time: Option<u64>| {
        time.map(|time| format!("{key} = {}", quoted(&bottle_model::compose::attributes::duration(time))))
    };
    if let Some(own) = own {
        keys.extend(time("interval", own.interval));
        keys.extend(time("timeout", own.timeout));
        keys.extend(own.retries.map(|retries| format!("retries = {retries}")));
        keys.extend(time("start_period", own.start_period));
        keys.extend(time("start_interval", own.start_interval));
    }
    let _ = writeln!(out, "health = {{ {} }}", keys.join(", "));
}

/// What is known of the image in the service's own container.
fn image(out: &mut String, wanted: &Wanted<'_>, name: &str, service: &Service) {
    let Some(known) = wanted.images.get(name) else {
        if service.entrypoint.is_none() || service.user.is_none() || service.working_dir.is_none() {
            let _ = write!(
                out,
                "\n# [[image]] of {name}: {}.\n# Without it, what the row says cannot be compared with what the \
                 image says.\n",
                looked("ENTRYPOINT, USER and WORKDIR", service, None)
            );
        }
        return;
    };
    let _ = write!(out, "\n# from {}\n[[image]]\n", known.from);
    line(out, "service", name);
    if let Some(reference) = &service.image {
        line(out, "image", reference.as_str());
    }
    for (key, words) in [("entrypoint", &known.entrypoint), ("cmd", &known.cmd), ("health", &known.health)] {
        if let Some(words) = words {
            line(out, key, words.clone());
        }
    }
    for (key, value) in [("user", &known.user), ("home", &known.home), ("workdir", &known.workdir)] {
        if let Some(value) = value {
            line(out, key, value.as_str());
        }
    }
    if !known.ports.is_empty() {
        line(out, "listen", known.ports.iter().map(|port| i64::from(*port)).collect::<Vec<_>>());
    }
}

/// Where a thing was looked for.
fn looked(what: &str, service: &Service, known: Option<&Known>) -> String {
    match (known, &service.image) {
        (Some(known), _) => format!("{} does not settle {what}", known.from),
        (None, Some(image)) => {
            format!("the file does not say {what}, and {image} was not looked at (--images)")
        }
        (None, None) => format!("the file does not say {what}, and its Dockerfile was not found"),
    }
}

fn quoted(text: &str) -> String {
    toml(Value::from(text))
}

/// Strings, numbers and lists of JSON are those of TOML, but for one character.
fn toml(value: impl Into<Value>) -> String {
    value.into().to_string().replace('\u{7f}', "\\u007F")
}

fn line(out: &mut String, key: &str, value: impl Into<Value>) {
    let _ = writeln!(out, "{key} = {}", toml(value));
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::compose::read_text;
    use crate::view::Roles;
    use bottle_model::images::Images;

    const FILE: &str = "\
services:
  app:
    image: app:1
  web.server:
    image: web:1
    entrypoint: [/bin/web]
    command: [--port, '80']
    user: '33'
    working_dir: /srv
    ports: ['80', '53/udp']
    expose: ['81']
    stop_signal: SIGQUIT
    stop_grace_period: 1m30s
    restart: on-failure:3
    depends_on: {job: {condition: service_completed_successfully}, app: {condition: service_started}}
    healthcheck: {test: curl -f \"http://x\", interval: 5s, retries: 2}
  job:
    image: job:1
    command: [run, \"it's \\u007f\"]
";

    fn draft_of(images: &BTreeMap<String, Known>) -> String {
        let document = read_text(FILE, &|_| None).unwrap();
        let merge = ["job".to_owned(), "web.server".to_owned()];
        let wanted = Wanted {
            file: "c.yml",
            compose: &document.compose,
            merge: &merge,
            agent: Some("app"),
            bundle: "b",
            images,
        };
        draft(&wanted)
    }

    #[test]
    fn what_the_file_says_is_written_down() {
        let text = draft_of(&BTreeMap::new());
        for line in [
            "agent = \"app\"",
            "bundle = \"b\"",
            "name = \"web-server\"",
            "argv = [\"/bin/web\",\"--port\",\"80\"]",
            "user = \"33\"",
            "workdir = \"/srv\"",
            "listen = [80,81]",
            "stop_signal = \"QUIT\"",
            "stop_grace = \"1m30s\"",
            "restart = \"on-failure:3\"",
            "after = { job = \"completed\" }",
            "health = { test = [\"/bin/sh\",\"-c\",\"curl -f \\\"http://x\\\"\"], interval = \"5s\", retries = 2 }",
        ] {
            assert!(text.lines().any(|own| own == line), "{line} in\n{text}");
        }
        assert!(text.contains("# argv = […]: not known"), "{text}");
        assert!(!text.lines().any(|line| line.len() > 160), "{text}");
        // The row that lacks its program is refused, and nothing else is wrong.
        let error = Roles::from_map(&text, &Images::default()).unwrap_err();
        assert!(error.message.contains("argv"), "{error}");
        let whole = text.replacen("# argv = […]", "argv = [\"x\"] #", 1);
        Roles::from_map(&whole, &Images::default()).unwrap_or_else(|error| panic!("{error}\n{whole}"));
    }

    #[test]
    fn what_images_say_completes_it() {
        let known = Known {
            from: "Dockerfile".to_owned(),
            entrypoint: Some(vec!["/job".to_owned()]),
            cmd: Some(vec!["never".to_owned()]),
            user: Some("nobody".to_owned()),
            workdir: Some("/".to_owned()),
            ports: [9000].into(),
            ..Known::default()
        };
        let text = draft_of(&[("job".to_owned(), known)].into());
        assert!(text.contains("argv = [\"/job\",\"run\",\"it's \\u007F\"]"), "{text}");
        assert!(text.contains("[[image]]\nservice = \"job\""), "{text}");
        Roles::from_map(&text, &Images::default()).unwrap_or_else(|error| panic!("{error}\n{text}"));
    }
}
