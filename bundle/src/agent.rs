//! The agent's service, whose URLs name `sidecars`.

use bottle_model::compose::{Dependency, EnvValue, Healthcheck, Service, Setting};
use bottle_model::daemon::Daemon;
use bottle_model::plan::{Agent, Plan, Seconds};

use crate::resources::attachment;
use crate::settings::{own, texts};
use crate::{Conflict, mounts, ports};

pub(crate) fn service(plan: &Plan) -> Result<Service, Conflict> {
    let agent = &plan.agent;
    let mut service = Service {
        image: Some(agent.image.to_string()),
        container_name: Some(format!("{}-{}", plan.prefix(), plan.slug)),
        hostname: agent.hostname.as_ref().map(ToString::to_string),
        entrypoint: agent.entrypoint.as_ref().map(|words| words.iter().map(ToString::to_string).collect()),
        command: agent.command.as_ref().map(|words| words.iter().map(ToString::to_string).collect()),
        user: agent.user.as_ref().map(ToString::to_string),
        working_dir: agent.working_dir.as_ref().map(ToString::to_string),
        ..Service::default()
    };
    let proxy = format!("http://sidecars:{}", plan.first_proxy().port());
    let mut defaults = vec![("HTTP_PROXY", proxy.clone()), ("HTTPS_PROXY", proxy)];
    let mut direct = "localhost,127.0.0.1".to_owned();
    for (present, variable, url, name) in [
        (plan.git_gate.is_some(), "GIT_GATE_URL", "git://sidecars:9418", "git-gate"),
        (plan.supervise.is_some(), "MCP_SUPERVISE_URL", "http://sidecars:9100", "supervise"),
    ] {
        if present {
            defaults.push((variable, url.to_owned()));
            direct = format!("{direct},{name}");
        }
    }
    if plan.git_gate.is_some() || plan.supervise.is_some() {
        direct.push_str(",sidecars");
    }
    defaults.push(("NO_PROXY", direct));
    for (name, value) in defaults {
        service.environment.insert(name.to_owned(), EnvValue::Literal(value));
    }
    for (name, value) in agent.environment.iter() {
        let value = match value {
            None => EnvValue::Inherit,
            Some(text) => EnvValue::Literal(rewritten(plan, name.as_str(), text.as_str())?),
        };
        service.environment.insert(name.to_string(), value);
    }
    service.networks.insert("internal".to_owned(), attachment(&agent.networks.internal));
    service.depends_on.insert("sidecars".to_owned(), Dependency::on("service_healthy"));
    attributes(&mut service, agent);
    Ok(service)
}

fn attributes(service: &mut Service, agent: &Agent) {
    let common = agent.common();
    service.mounts = mounts::extra(common).collect();
    service.ports = common.ports.iter().flatten().map(ports::published).collect();
    let hosts = texts(common.extra_hosts.iter()).into_iter();
    service.extra_hosts = hosts.map(|(name, address)| (name, vec![address])).collect();
    service.labels = texts(common.labels.iter()).into_iter().collect();
    let health = common.health.as_ref().map(|times| Healthcheck {
        test: None,
        interval: times.interval.map(Seconds::nanoseconds),
        timeout: times.timeout.map(Seconds::nanoseconds),
        retries: times.retries.map(|count| count.get().unsigned_abs()),
        start_period: times.start_period.map(Seconds::nanoseconds),
        start_interval: times.start_interval.map(Seconds::nanoseconds),
    });
    service.healthcheck = health.filter(|health| *health != Healthcheck::default());
    service.settings = own(common);
    let mut set = |name: &str, value: Setting| service.settings.insert(name.to_owned(), value);
    for (name, value) in [("tty", agent.tty), ("stdin_open", agent.stdin_open), ("init", agent.init)] {
        if value {
            set(name, Setting::Bool(true));
        }
    }
    if !agent.group_add.is_empty() {
        set("group_add", Setting::Set(agent.group_add.iter().map(ToString::to_string).collect()));
    }
    if let Some(signal) = agent.stop_signal {
        set("stop_signal", Setting::Text(signal.to_string()));
    }
    if let Some(time) = agent.stop_grace_period {
        set("stop_grace_period", Setting::Duration(time.nanoseconds()));
    }
}

/// Names `sidecars` wherever a value addresses a daemon that the agent may talk to.
fn rewritten(plan: &Plan, variable: &str, text: &str) -> Result<String, Conflict> {
    if variable.eq_ignore_ascii_case("no_proxy") {
        let listed = |daemon: &Daemon| text.split(',').any(|item| item.trim() == daemon.name());
        let any = plan.daemons().iter().any(|(daemon, _)| listed(daemon));
        return Ok(if any { format!("{text},sidecars") } else { text.to_owned() });
    }
    // Both a URL and `host:port` have a colon; HOME is a path, whatever it contains.
    if !text.contains(':') || variable == "HOME" {
        return Ok(text.to_owned());
    }
    let mut text = text.to_owned();
    for (daemon, _) in plan.daemons() {
        for name in [daemon.name().to_owned(), format!("{}-{daemon}-{}", plan.prefix(), plan.slug)] {
            let (replaced, found) = replace_host(&text, &name, "sidecars");
            if found && plan.hop() == Some(daemon) {
                return Err(Conflict::HiddenHop {
                    variable: variable.to_owned(),
                    host: name,
                    first: plan.first_proxy(),
                });
            }
            text = replaced;
        }
    }
    Ok(text)
}

/// Replaces a host in URLs and in `host:port`; a bare word is left alone, the aliases keep it alive.
pub(crate) fn replace_host(text: &str, host: &str, instead: &str) -> (String, bool) {
    let mut out = String::with_capacity(text.len());
    let mut rest = text;
    let mut found = false;
    while let Some(at) = rest.find(host) {
        let after = &rest[at + host.len()..];
        out.push_str(&rest[..at]);
        let url = out.ends_with("://")
            || (out.ends_with('@') && out.rfind("://").is_some_and(|start| !out[start + 3..].contains('/')));
        let starts = out.is_empty() || out.ends_with([',', ';', '=', ' ', '"', '\'', '@']);
        let ends = after.is_empty() || after.starts_with(['/', ':', '?', '#', ',', ';', ' ', '"', '\'']);
        let port = after.strip_prefix(':').is_some_and(|rest| rest.starts_with(|c: char| c.is_ascii_digit()));
        if (url && ends) || (starts && port) {
            out.push_str(instead);
            found = true;
        } else {
            out.push_str(host);
        }
        rest = after;
    }
    out.push_str(rest);
    (out, found)
}
