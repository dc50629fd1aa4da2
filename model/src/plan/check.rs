//! What the types alone cannot say of a plan.

use std::collections::BTreeSet;

use super::{Common, Plan, PlanError};
use crate::daemon::{Chain, Daemon};
use crate::handshake;

impl Plan {
    /// Checks what concerns more than one field.
    pub(super) fn check(&self) -> Result<(), PlanError> {
        if self.chain == Chain::EgressFirst && self.egress.is_none() {
            return fail("chain", "egress-first needs an egress block");
        }
        if self.internal_network() == self.external_network() {
            return fail("networks", "internal and external have the same name");
        }
        block("agent", self.agent.common(), &[])?;
        for (daemon, common) in self.daemons() {
            block(daemon.name(), common, &self.standard_targets(daemon))?;
        }
        let mut tokens = BTreeSet::new();
        for (at, token) in self.egress.iter().flat_map(|egress| egress.tokens.iter().enumerate()) {
            let number = token.as_str().strip_prefix(handshake::TOKEN_PREFIX);
            if !number.is_some_and(|n| !n.is_empty() && n.bytes().all(|b| b.is_ascii_digit())) {
                return fail(
                    &format!("egress.tokens[{at}]"),
                    &format!("{token} is not EGRESS_TOKEN_<number>"),
                );
            }
            if !tokens.insert(token) {
                return fail(&format!("egress.tokens[{at}]"), &format!("{token} stands twice"));
            }
        }
        Ok(())
    }

    /// Targets of a daemon's standard mounts.
    fn standard_targets(&self, daemon: Daemon) -> Vec<String> {
        let fixed: &[&str] = match daemon {
            Daemon::Egress => {
                &["/etc/egress/routes.yaml", "/home/mitmproxy/.mitmproxy", "/etc/egress/upstream-ca.pem"]
            }
            Daemon::Pipelock => {
                &["/etc/pipelock/pipelock.yaml", "/etc/pipelock/ca.pem", "/etc/pipelock/ca-key.pem"]
            }
            Daemon::GitGate => {
                &["/git-gate-entrypoint.sh", "/etc/git-gate/pre-receive", "/etc/git-gate/access-hook"]
            }
            Daemon::Supervise => &["/run/supervise/queue"],
        };
        let credentials = self.git_gate.iter().filter(|_| daemon == Daemon::GitGate);
        fixed
            .iter()
            .map(|target| (*target).to_owned())
            .chain(
                credentials
                    .flat_map(|gate| gate.credentials.keys().map(|name| format!("/git-gate/creds/{name}"))),
            )
            .collect()
    }
}

fn fail(path: &str, message: &str) -> Result<(), PlanError> {
    Err(PlanError { line: 0, column: 0, path: path.to_owned(), message: message.to_owned(), hint: None })
}

fn block(name: &str, common: Common<'_>, standard: &[String]) -> Result<(), PlanError> {
    for variable in common.environment.keys().map(super::VariableName::as_str) {
        let path = format!("{name}.environment.{variable}");
        if variable.starts_with(handshake::PREFIX) {
            return fail(&path, "the handshake's variables are the renderer's to set");
        }
        if variable.starts_with(handshake::TOKEN_PREFIX) {
            return fail(&path, "tokens belong into egress.tokens");
        }
        let addressed = variable.split_once("__").is_some_and(|(form, rest)| {
            !rest.is_empty()
                && Daemon::ALL.iter().any(|daemon| handshake::variable_form(daemon.name()) == form)
        });
        if addressed {
            return fail(&path, "a name of this form addresses a daemon of the bundle");
        }
        let passes = matches!(variable, "PATH" | "LANG" | "TZ") || variable.starts_with("LC_");
        if name != "agent" && passes {
            return fail(&path, "this variable would reach every daemon of the bundle");
        }
    }
    let mut targets: BTreeSet<&str> = standard.iter().map(String::as_str).collect();
    for (at, volume) in common.volumes.iter().enumerate() {
        if !targets.insert(volume.target.as_str()) {
            let message = format!("something is mounted on {} already", volume.target);
            return fail(&format!("{name}.volumes[{at}]"), &message);
        }
    }
    for host in common.extra_hosts.keys().map(super::Name::as_str) {
        if Daemon::from_name(host).is_some() || matches!(host, "agent" | "sidecars") {
            return fail(&format!("{name}.extra_hosts.{host}"), "the name is a principal's");
        }
    }
    let mut ports = BTreeSet::new();
    for (at, port) in common.ports.unwrap_or_default().iter().enumerate() {
        if !ports.insert((port.target, port.published)) {
            return fail(&format!("{name}.ports[{at}]"), "the port stands twice");
        }
    }
    Ok(())
}
