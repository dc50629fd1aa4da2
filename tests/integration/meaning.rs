//! The oracle of the laws: a canonical document with image defaults filled in and the handshake applied. It knows the
//! images and sidecar-init, and no rule.

use std::collections::{BTreeMap, BTreeSet};

use bottle_migrate::compose::Document;
use bottle_model::compose::{EnvValue, Probe, Service, Setting};
use bottle_model::daemon::{Chain, Isolation, table};
use bottle_model::handshake::{Handshake, NAMES, Names};
use bottle_model::images::INIT;
use bottle_model::privacy::Privacy;

/// Two documents that mean the same are equal.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct Meaning {
    document: Document,
    /// Each service that runs sidecar-init, after the handshake.
    splits: BTreeMap<String, Result<Split, String>>,
}

/// The environment after the handshake.
#[derive(Clone, Debug, PartialEq)]
struct Split {
    daemons: Vec<String>,
    chain: Chain,
    isolation: Isolation,
    /// Variables by daemon.
    delivered: BTreeMap<String, BTreeMap<String, EnvValue>>,
    /// Variables that reach no daemon.
    stranded: BTreeSet<String>,
    /// Where the walls begin: path → daemons that may not open what lies there, where it differs from above.
    walls: BTreeMap<String, BTreeSet<String>>,
}

impl Meaning {
    pub(crate) fn of(document: &Document) -> Self {
        let mut document = document.clone();
        let mut splits = BTreeMap::new();
        for network in document.compose.networks.values_mut() {
            network.settings.retain(|name, value| {
                let setting = (name.as_str(), value.as_str());
                !matches!(
                    setting,
                    ("driver", "bridge") | ("enable_ipv4", "true") | ("ipam.driver", "default")
                )
            });
        }
        for volume in document.compose.volumes.values_mut() {
            volume.settings.retain(|name, value| (name.as_str(), value.as_str()) != ("driver", "local"));
        }
        for (name, service) in &mut document.compose.services {
            complete(name, service);
            if runs_init(name, service) {
                let environment = std::mem::take(&mut service.environment);
                splits.insert(name.clone(), split(&environment.into_iter().collect()));
            }
        }
        Self { document, splits }
    }

    /// The meaning for whom the daemons are one house: labels tell about each container, and what no daemon may gain
    /// as the init denies it anyway is asked for once.
    pub(crate) fn of_one_house(&self) -> Self {
        let mut house = self.clone();
        let mut told: BTreeMap<String, BTreeSet<String>> = BTreeMap::new();
        let daemons = house.document.compose.services.iter_mut().filter(|(name, _)| *name != "agent");
        for (key, service) in daemons {
            // The merged service may be called after itself.
            if service.hostname.as_ref() == Some(key) {
                service.hostname = None;
            }
            for (name, value) in std::mem::take(&mut service.labels) {
                told.entry(name).or_default().insert(value);
            }
            if let Some(Setting::Set(options)) = service.settings.get_mut("security_opt")
                && options.remove("no-new-privileges:true")
            {
                told.entry("no-new-privileges".to_owned()).or_default();
                if options.is_empty() {
                    service.settings.remove("security_opt");
                }
            }
        }
        let labels = told.into_iter().map(|(name, values)| (name, format!("{values:?}"))).collect();
        let told = Service { labels, ..Service::default() };
        house.document.compose.services.insert("every daemon".to_owned(), told);
        house
    }
}

/// Fills in defaults of the engine and the images.
fn complete(name: &str, service: &mut Service) {
    // Defaults of Compose and the engine; the bundle spells out the grace because the init's deadline has to fit in.
    service.settings.entry("stop_grace_period".to_owned()).or_insert(Setting::Duration(10_000_000_000));
    // Of any other image nothing is known: it may name a signal and a probe of its own.
    let known = matches!(name, "egress" | "pipelock" | "git-gate" | "supervise" | "sidecars");
    if known {
        service.settings.entry("stop_signal".to_owned()).or_insert(Setting::Text("SIGTERM".to_owned()));
    }
    service.settings.retain(|name, value| match (name.as_str(), value) {
        ("restart", Setting::Text(policy)) => policy != "no",
        ("scale", Setting::Integer(count)) => *count != 1,
        ("pull_policy", Setting::Text(policy)) => !matches!(policy.as_str(), "missing" | "if_not_present"),
        ("isolation", Setting::Text(kind)) => kind != "default",
        ("cpu_shares", Setting::Integer(share)) => !matches!(share, 0 | 1024),
        ("pids_limit", Setting::Integer(limit)) => !matches!(limit, -1 | 0),
        ("shm_size", Setting::Bytes(size)) => *size != 64 << 20,
        ("ipc", Setting::Text(mode)) => mode != "private",
        ("attach", Setting::Bool(attach)) => !*attach,
        (_, Setting::Bool(asked)) => *asked,
        (_, Setting::Set(items)) => !items.is_empty(),
        (_, Setting::List(items)) => !items.is_empty(),
        (_, Setting::Map(map)) => !map.is_empty(),
        _ => true,
    });
    // The order of mounts with other targets, and of ports, means nothing.
    service.mounts.sort_by(|a, b| a.target.cmp(&b.target));
    for mount in &mut service.mounts {
        mount
            .options
            .retain(|name, value| (name.as_str(), value.as_str()) != ("bind.propagation", "rprivate"));
    }
    service.ports.sort();
    for port in &mut service.ports {
        port.host_ip.get_or_insert_with(|| "0.0.0.0".to_owned());
        // Names for tools, and a mode for swarms.
        port.options.clear();
    }
    let words = |words: &[&str]| words.iter().map(|word| (*word).to_owned()).collect::<Vec<_>>();
    // An entrypoint takes the image's command with it.
    let command = match name {
        "egress" => {
            let listen = ["--listen-host", "0.0.0.0", "--listen-port", "9099"];
            Some(words(
                &[&["--mode", "regular"], &listen[..], &["--scripts", "/app/egress_addon.py"]].concat(),
            ))
        }
        "pipelock" => Some(words(&["run", "--listen", "0.0.0.0:8888"])),
        "git-gate" | "supervise" | "sidecars" => Some(Vec::new()),
        _ => None,
    };
    service.user = service.user.take().map(|user| canonical_user(name, &user));
    if service.user.is_none() {
        service.user = image_user(name).map(str::to_owned);
    }
    for value in service.environment.values_mut() {
        if let EnvValue::Literal(text) = value
            && let Some((url, "9418")) = text.rsplit_once(':')
            && url.starts_with("git://")
        {
            *text = url.to_owned();
        }
    }
    if service.entrypoint.is_none() {
        service.command = service.command.take().or(command);
    } else {
        service.command.get_or_insert_default();
    }
    for name in ["cap_add", "cap_drop"] {
        if let Some(Setting::Set(capabilities)) = service.settings.get_mut(name)
            && capabilities.contains("ALL")
        {
            capabilities.retain(|capability| capability == "ALL");
        }
    }
    let test = service.healthcheck.as_mut().and_then(|health| health.test.take());
    let test = test.or(match name {
        "sidecars" => Some(Probe::Exec(words(&[INIT, "check"]))),
        "pipelock" => Some(Probe::Exec(words(&["/pipelock", "healthcheck"]))),
        _ => None,
    });
    // The address that the program takes by itself.
    let addressed = Probe::Exec(words(&["/pipelock", "healthcheck", "--addr", "127.0.0.1:8888"]));
    let test = test
        .map(|test| if test == addressed { Probe::Exec(words(&["/pipelock", "healthcheck"])) } else { test });
    let given = service.healthcheck.take();
    if known && test.is_none() && given.is_none() {
        return;
    }
    let mut health = given.unwrap_or_default();
    health.test = test;
    health.interval.get_or_insert(30_000_000_000);
    health.timeout.get_or_insert(30_000_000_000);
    health.retries.get_or_insert(3);
    health.start_period.get_or_insert(0);
    health.start_interval.get_or_insert(5_000_000_000);
    service.healthcheck = Some(health);
}

/// USER of an image, where it is known.
fn image_user(name: &str) -> Option<&'static str> {
    match name {
        "egress" => Some("mitmproxy"),
        "pipelock" | "git-gate" | "supervise" | "sidecars" => Some("root"),
        _ => None,
    }
}

fn canonical_user(service: &str, user: &str) -> String {
    let all = |names: [&str; 2]| user.split(':').all(|part| names.contains(&part));
    match user {
        _ if all(["root", "0"]) => "root".to_owned(),
        _ if service == "egress" && all(["mitmproxy", "1000"]) => "mitmproxy".to_owned(),
        _ => user.to_owned(),
    }
}

fn runs_init(name: &str, service: &Service) -> bool {
    name == "sidecars"
        && service.entrypoint.as_ref().is_none_or(|words| words.first().is_some_and(|word| word == INIT))
}

fn split(environment: &BTreeMap<String, EnvValue>) -> Result<Split, String> {
    let given = environment.get(NAMES).and_then(|value| match value {
        EnvValue::Literal(prefix) => Some((NAMES, prefix.as_str())),
        EnvValue::Inherit => None,
    });
    let names = Names::of(given).map_err(|error| error.to_string())?;
    let literals = environment.iter().filter_map(|(name, value)| match value {
        EnvValue::Literal(value) => Some((name.as_str(), value.as_str())),
        EnvValue::Inherit => (!names.reserves(name)).then_some((name.as_str(), "")),
    });
    let handshake =
        Handshake::parse(literals, &table(Chain::default())).map_err(|error| error.to_string())?;
    let rows = table(handshake.chain);
    let selected: Vec<&str> =
        rows.iter().map(|row| row.name.as_str()).filter(|name| handshake.selects(name)).collect();
    let mut delivered = BTreeMap::new();
    let mut stranded: BTreeSet<String> = environment.keys().cloned().collect();
    // Handshake variables are applied, unless their value comes from the host's environment.
    stranded.retain(|name| !names.reserves(name) || environment[name] == EnvValue::Inherit);
    for daemon in &selected {
        let variables = handshake.deliver(daemon, &rows, environment.keys().map(String::as_str));
        for here in variables.values() {
            stranded.remove(*here);
        }
        let values = variables.into_iter().map(|(there, here)| (there.to_owned(), environment[here].clone()));
        delivered.insert((*daemon).to_owned(), values.collect());
    }
    Ok(Split {
        walls: walls(&Privacy::of(&rows, &handshake), &selected, handshake.isolation),
        daemons: selected.into_iter().map(str::to_owned).collect(),
        chain: handshake.chain,
        isolation: handshake.isolation,
        delivered,
        stranded,
    })
}

fn walls(privacy: &Privacy, daemons: &[&str], isolation: Isolation) -> BTreeMap<String, BTreeSet<String>> {
    if isolation == Isolation::Off {
        return BTreeMap::new();
    }
    let denied = |path: &str| -> BTreeSet<String> {
        let denied = daemons.iter().filter(|daemon| privacy.denies(daemon, path));
        denied.map(|daemon| (*daemon).to_owned()).collect()
    };
    let above = |path: &str| path.rsplit_once('/').map_or_else(BTreeSet::new, |(above, _)| denied(above));
    let paths = privacy.paths().map(|(path, _)| (path.to_owned(), denied(path)));
    paths.filter(|(path, denied)| *denied != above(path)).collect()
}
