//! The agent's service.

use std::collections::BTreeSet;

use bottle_model::compose::{Dependency, EnvValue, Service, Setting};
use bottle_model::daemon::Daemon;
use bottle_model::plan::{Line, Plan};

use crate::service::{attachment, attributes};

pub(crate) fn service(plan: &Plan) -> Service {
    let agent = &plan.agent;
    let words = |words: &Option<Vec<Line>>| {
        words.as_ref().map(|words| words.iter().map(Line::to_string).collect::<Vec<_>>())
    };
    let mut service = Service {
        image: Some(agent.image.to_string()),
        container_name: Some(format!("{}-{}", plan.prefix(), plan.slug)),
        entrypoint: words(&agent.entrypoint),
        command: words(&agent.command),
        hostname: agent.hostname.as_ref().map(ToString::to_string),
        user: agent.user.as_ref().map(ToString::to_string),
        working_dir: agent.working_dir.as_ref().map(ToString::to_string),
        ..Service::default()
    };
    for (name, value) in urls(plan) {
        service.environment.insert(name.to_owned(), EnvValue::Literal(value));
    }
    service.networks.insert("internal".to_owned(), attachment(&agent.networks.internal));
    for (daemon, _) in plan.daemons() {
        service.depends_on.insert(daemon.name().to_owned(), Dependency::on("service_healthy"));
    }
    attributes(&mut service, agent.common());
    for (name, value) in [("tty", agent.tty), ("stdin_open", agent.stdin_open), ("init", agent.init)] {
        if value {
            service.settings.insert(name.to_owned(), Setting::Bool(true));
        }
    }
    let groups: BTreeSet<String> = agent.group_add.iter().map(ToString::to_string).collect();
    let grace = agent.stop_grace_period.map(|time| Setting::Duration(time.nanoseconds()));
    for (name, value) in [
        ("group_add", (!groups.is_empty()).then_some(Setting::Set(groups))),
        ("stop_signal", agent.stop_signal.map(|signal| Setting::Text(signal.to_string()))),
        ("stop_grace_period", grace),
    ] {
        service.settings.extend(value.map(|value| (name.to_owned(), value)));
    }
    service
}

/// Where the agent finds the daemons; the plan may say otherwise.
fn urls(plan: &Plan) -> Vec<(&'static str, String)> {
    let proxy = plan.first_proxy();
    let url = format!("http://{proxy}:{}", proxy.port());
    let mut direct = vec!["localhost", "127.0.0.1"];
    let mut urls = vec![("HTTP_PROXY", url.clone()), ("HTTPS_PROXY", url)];
    if plan.git_gate.is_some() {
        direct.push(Daemon::GitGate.name());
        urls.push(("GIT_GATE_URL", "git://git-gate:9418".to_owned()));
    }
    if plan.supervise.is_some() {
        direct.push(Daemon::Supervise.name());
        urls.push(("MCP_SUPERVISE_URL", "http://supervise:9100".to_owned()));
    }
    urls.push(("NO_PROXY", direct.join(",")));
    urls
}
