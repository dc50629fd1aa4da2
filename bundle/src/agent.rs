//! The agent's service, whose URLs name `sidecars`.

use std::collections::BTreeMap;

use bottle_model::compose::{Attachment, Dependency, EnvValue, Mount, Port, Service, Setting, Source};
use bottle_model::daemon::Daemon;
use bottle_model::plan::{Agent, Plan};

use crate::Conflict;

pub(crate) fn service(plan: &Plan) -> Result<Service, Conflict> {
    let agent = &plan.agent;
    let mut service = Service {
        image: Some(agent.image.to_string()),
        container_name: Some(format!("bot-bottle-{}", plan.slug)),
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
    service.networks.insert("internal".to_owned(), Attachment::default());
    service.depends_on.insert("sidecars".to_owned(), Dependency::on("service_healthy"));
    attributes(&mut service, agent);
    Ok(service)
}

fn attributes(service: &mut Service, agent: &Agent) {
    for volume in &agent.volumes {
        service.mounts.push(Mount {
            target: volume.target.to_string(),
            source: Source::Bind(volume.source.to_string()),
            read_only: volume.read_only,
            options: BTreeMap::from([("bind.create_host_path".to_owned(), "false".to_owned())]),
        });
    }
    for port in agent.ports.iter().flatten() {
        service.ports.push(Port {
            target: port.target.get(),
            protocol: "tcp".to_owned(),
            host_ip: Some("127.0.0.1".to_owned()),
            published: port.published.map(|port| port.to_string()),
            options: BTreeMap::new(),
        });
    }
    for (name, address) in agent.extra_hosts.iter() {
        service.extra_hosts.insert(name.to_string(), vec![address.to_string()]);
    }
    for (name, value) in agent.labels.iter() {
        service.labels.insert(name.to_string(), value.to_string());
    }
    service.settings = crate::attributes::own(agent.common());
    for (name, value) in [("tty", agent.tty), ("stdin_open", agent.stdin_open)] {
        if value {
            service.settings.insert(name.to_owned(), Setting::Bool(true));
        }
    }
}

/// Names `sidecars` wherever a value addresses a daemon that the agent may talk to.
fn rewritten(plan: &Plan, variable: &str, text: &str) -> Result<String, Conflict> {
    if variable.eq_ignore_ascii_case("no_proxy") {
        let listed = |daemon: &Daemon| text.split(',').any(|item| item.trim() == daemon.name());
        let any = plan.daemons().iter().any(|(daemon, _)| listed(daemon));
        return Ok(if any { format!("{text},sidecars") } else { text.to_owned() });
    }
    let mut text = text.to_owned();
    for (daemon, _) in plan.daemons() {
        for name in [daemon.name().to_owned(), format!("bot-bottle-{daemon}-{}", plan.slug)] {
            let (replaced, found) = replace_host(&text, &name);
            if found && plan.hop() == Some(daemon) {
                return Err(Conflict::HiddenHop { variable: variable.to_owned(), hop: name });
            }
            text = replaced;
        }
    }
    Ok(text)
}

/// Replaces a host in URLs and in `host:port`; a bare word is left alone, the aliases keep it alive.
fn replace_host(text: &str, host: &str) -> (String, bool) {
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
            out.push_str("sidecars");
            found = true;
        } else {
            out.push_str(host);
        }
        rest = after;
    }
    out.push_str(rest);
    (out, found)
}
