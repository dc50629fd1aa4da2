//! Which services of a compose file become one, and what comes of it.

use std::fmt::Write as _;

use bottle_bundle::Conflict;
use bottle_bundle::services::{Claim, Merged, Request, ServiceConflict, TABLE, merge};
use bottle_model::compose::{Compose, EnvValue};
use bottle_model::daemon::{Chain, Daemon, DaemonRow, Isolation};
use bottle_model::images::{INIT, Images};

use crate::finding::{Finding, Shown};
use crate::rule::rules;
use crate::view::Roles;

rules! {
    comparison:
    CONFLICT = MergeConflict Conservation Error ["what"] "one container cannot give both services what they need"
        "Two services ask for what one container has once: a port, a mount at one path, a DNS server, a \
         restriction of the whole container. The merger does not choose between them, and writes no file.\n\n\
         Example: `web` and `admin` both listen on port 8080, or `web` is `read_only` and `worker` is not.\n\n\
         What to do: what the message says; or leave one of the two services out of the merger, by a map \
         file without it.";
}

/// Why nothing can be merged.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Unmergeable {
    /// No service is known as a daemon.
    #[error("none of its services is a daemon that is merged")]
    NoDaemon,
    /// The name of the merged service is taken.
    #[error("it has a service `{0}` already, which is not merged")]
    NameTaken(String),
    /// Nothing says which proxy comes first.
    #[error("it does not say which of its two proxies comes first")]
    UnknownChain,
}

impl Unmergeable {
    /// What to do about it.
    #[must_use]
    pub const fn hint(&self) -> &'static str {
        match self {
            Self::NoDaemon => {
                "services of a bottle are called egress, pipelock, git-gate and supervise; for others, name who is \
                 merged in a map file and pass it with --map"
            }
            Self::NameTaken(_) => "name the merged service otherwise: `bundle = NAME` in a map file",
            Self::UnknownChain => "set the agent's HTTPS_PROXY to the first proxy, egress or pipelock",
        }
    }
}

/// Merges the services of a document that are daemons.
///
/// # Errors
///
/// [`Unmergeable`]: there is nothing to merge, or it is not known how. The inner error: what two services cannot share.
pub fn merged(
    compose: &Compose,
    roles: &Roles,
    images: &Images,
    isolation: Isolation,
) -> Result<Result<Merged, Vec<ServiceConflict>>, Unmergeable> {
    let chain = chain(compose, roles)?;
    let rows = roles.rows(chain);
    let daemons: Vec<_> = rows
        .iter()
        .map(|row| (roles.service(&row.name), row.clone()))
        .filter(|(service, _)| compose.services.contains_key(*service))
        .collect();
    if daemons.is_empty() {
        return Err(Unmergeable::NoDaemon);
    }
    let name = roles.bundle();
    if compose.services.contains_key(name) && !daemons.iter().any(|(service, _)| *service == name) {
        return Err(Unmergeable::NameTaken(name.to_owned()));
    }
    let hop = roles.hop_of(chain).filter(|hop| {
        // Alone, there is nothing to hide behind.
        daemons.len() > 1
            && daemons.iter().any(|(_, row)| row.name == *hop)
            && (!roles.is_built_in() || daemons.iter().any(|(_, row)| row.name == chain.first().name()))
    });
    let image = match roles.pin(name) {
        Some(pin) => pin.to_owned(),
        None if roles.is_built_in() => images.bundle.clone(),
        None => format!("{name}:latest"),
    };
    let container_name = if roles.is_built_in() { container_name(compose, &daemons[0], name) } else { None };
    Ok(merge(&Request {
        compose,
        container_name,
        daemons,
        name,
        image,
        built_in: roles.is_built_in(),
        chain,
        hop,
        isolation,
        prefix: roles.prefix(),
        agent: Some(roles.agent()).filter(|_| roles.is_built_in()),
    }))
}

/// The name of a bottle's container, with the merged service in the place of its first daemon.
fn container_name(compose: &Compose, (service, row): &(&str, DaemonRow), name: &str) -> Option<String> {
    let held = compose.services.get(*service)?.container_name.as_ref()?;
    let part = format!("-{}-", row.name);
    held.contains(&part).then(|| held.replacen(&part, &format!("-{name}-"), 1))
}

/// Which of a bottle's two proxies the agent talks to.
fn chain(compose: &Compose, roles: &Roles) -> Result<Chain, Unmergeable> {
    let service = |daemon: Daemon| compose.services.get(roles.service(daemon.name()));
    let (Some(egress), Some(pipelock)) = (service(Daemon::Egress), service(Daemon::Pipelock)) else {
        return Ok(Chain::default());
    };
    if !roles.is_built_in() {
        return Ok(Chain::default());
    }
    let agent = compose.services.get(roles.agent());
    let proxies =
        ["HTTPS_PROXY", "https_proxy", "HTTP_PROXY", "http_proxy"].into_iter().filter_map(
            |name| match agent?.environment.get(name)? {
                EnvValue::Literal(url) => Some(host(url)),
                EnvValue::Inherit => None,
            },
        );
    let named = |proxy: &bottle_model::compose::Service, daemon: Daemon, host: &str| {
        let mut aliases = proxy.networks.values().flat_map(|attachment| &attachment.aliases);
        host == roles.service(daemon.name())
            || proxy.container_name.as_deref() == Some(host)
            || aliases.any(|alias| alias == host)
    };
    for host in proxies {
        if named(pipelock, Daemon::Pipelock, host) {
            return Ok(Chain::PipelockFirst);
        }
        if named(egress, Daemon::Egress, host) {
            return Ok(Chain::EgressFirst);
        }
    }
    // A mitmproxy that dials another proxy is the first of the two.
    let mut words = egress.entrypoint.iter().chain(&egress.command).flatten();
    if words.any(|word| word.starts_with("upstream:")) {
        return Ok(Chain::EgressFirst);
    }
    Err(Unmergeable::UnknownChain)
}

/// Host of a URL or of `host:port`.
fn host(url: &str) -> &str {
    let rest = url.split_once("://").map_or(url, |(_, rest)| rest);
    let authority = rest.split(['/', '?', '#']).next().unwrap_or(rest);
    let host = authority.rsplit('@').next().unwrap_or(authority);
    host.split(':').next().unwrap_or(host)
}

/// The finding of what two blocks of a plan cannot share.
#[must_use]
pub fn finding_of(conflict: &Conflict) -> Finding {
    let mut finding = Finding::alone(&CONFLICT, "").because(conflict.to_string());
    if let Some((block, what)) = conflict.places().first() {
        (*block).clone_into(&mut finding.principal);
        (*what).clone_into(&mut finding.subject);
    }
    finding
}

/// A finding for each thing that two services cannot share.
#[must_use]
pub fn findings(conflicts: &[ServiceConflict]) -> Vec<Finding> {
    let shown = |claim: &Claim| {
        let mut place = format!("services.{}", claim.service);
        for part in &claim.place {
            place.push('.');
            place.push_str(part);
        }
        Shown::plain(format!("{}: {}", claim.service, claim.value), place)
    };
    let finding = |conflict: &ServiceConflict| {
        let (first, second) = (shown(&conflict.first), shown(&conflict.second));
        let subject =
            format!("{} of {} and {}", conflict.what, conflict.first.service, conflict.second.service);
        Finding::changed(&CONFLICT, "", subject, first, second).because(conflict.to_string())
    };
    conflicts.iter().map(finding).collect()
}

/// A draft of the image of the merged service: where each daemon comes from, and what is left to copy.
#[must_use]
pub fn dockerfile(
    compose: &Compose,
    rows: &[DaemonRow],
    service: &dyn Fn(&str) -> String,
    bundle: &str,
) -> String {
    let project = compose.project.as_deref().unwrap_or("project");
    let image = |name: &str| {
        let found = compose.services.get(name).and_then(|service| service.image.clone());
        found.unwrap_or_else(|| format!("{project}-{name}"))
    };
    let mut text = format!(
        "# A draft of the image of `{bundle}`: complete it with what each daemon needs of its own image.\n\
         # `sidecar-init` is the program of that name, built for the base.\n"
    );
    for row in rows {
        let name = service(&row.name);
        let _ = writeln!(text, "FROM {} AS {}", image(&name), stage(&name));
    }
    let first = rows.first().map(|row| service(&row.name)).unwrap_or_default();
    let _ = writeln!(text, "\n# The base is the image of the first daemon.\nFROM {}", stage(&first));
    for row in rows.iter().skip(1) {
        let name = service(&row.name);
        let program = row.argv.first().map_or("", String::as_str);
        let _ = writeln!(text, "\n# {} runs {program}; copy it with its libraries and files.", row.name);
        if program.starts_with('/') {
            let _ = writeln!(text, "COPY --from={} {program} {program}", stage(&name));
        }
    }
    let words = |words: &[&str]| serde_json::to_string(words).unwrap_or_default();
    let _ = write!(
        text,
        "\nCOPY --chmod=755 sidecar-init {INIT}\n\
         COPY --chmod=644 daemons.toml {TABLE}\n\
         USER root\n\
         ENTRYPOINT {}\n\
         CMD []\n\
         HEALTHCHECK CMD {}\n",
        words(&[INIT, "--daemons", TABLE]),
        words(&[INIT, "check"]),
    );
    text
}

/// A service's name as the name of a build stage, which is in lower case.
fn stage(service: &str) -> String {
    format!("from-{}", service.to_ascii_lowercase())
}
