//! What processes show of themselves, put in place of what was predicted of them.

use std::borrow::Cow;
use std::collections::BTreeSet;

use bottle_model::compose::EnvValue;
use bottle_model::daemon::Listen;
use bottle_model::sorted::Set;
use bottle_model::status::{DaemonStatus, Status};

use super::inspect::Container;
use super::process::{Observed, Process};
use super::{Scene, image};
use crate::rule::RuleId;
use crate::view::{Anomaly, Endpoint, Place, Principal, Reach, Variable, View, Word};

/// A variable of which only the name is known.
static INHERITED: EnvValue = EnvValue::Inherit;

/// Corrects a view of what runs by what its processes show; `hop` hides on loopback where daemons are merged.
pub fn observe<'a>(view: &mut View<'a>, scene: &'a Scene, project: &str, hop: Option<&str>) {
    let mut dead = Vec::new();
    let mut exposed = Vec::new();
    for (name, principal) in view.principals.iter_mut() {
        let found =
            scene.containers.iter().find(|container| container.service(project) == Some(principal.service));
        let Some((container, observed)) =
            found.and_then(|found| Some((found, scene.observed.get(&found.id)?)))
        else {
            continue;
        };
        let status = match &observed.init {
            _ if principal.walls.is_none() => None,
            Some(Err(why)) => {
                view.anomalies.insert(Anomaly {
                    rule: RuleId::ShapeUnexpected,
                    principal: String::new(),
                    subject: "sidecar-init".to_owned(),
                    message: format!("sidecar-init does not report the status of its daemons: {why}"),
                    place: format!("services.{}", principal.service),
                    closed: true,
                });
                continue;
            }
            Some(Ok(init)) => {
                let Some(status) = init.daemons.iter().find(|daemon| daemon.name == *name) else {
                    dead.push(*name);
                    continue;
                };
                walls(principal, init, status);
                Some(status)
            }
            None => continue,
        };
        if status.is_some_and(|status| status.state != "running") {
            dead.push(*name);
            continue;
        }
        let leader = observed.processes.iter().find(|process| match status {
            Some(status) => process.inner.is_some() && process.inner == status.pid,
            None => process.pid == container.state.pid,
        });
        let Some(leader) = leader else { continue };
        user(principal, leader, observed);
        variables(principal, leader, container);
        if *name != "agent" {
            argv(principal, leader);
            let hidden = hop == Some(name) && principal.walls.is_some();
            exposed.extend(listening(principal, leader, observed, hidden).map(|port| (*name, port)));
        }
    }
    for name in dead {
        view.principals.remove(name);
    }
    if let Some(agent) = view.principals.get_mut("agent") {
        let reach = exposed.into_iter().map(|(principal, port)| (Endpoint { principal, port }, Reach::Open));
        agent.reach.extend(reach);
    }
}

/// Under `require`, a daemon that lacks one wall counts as without walls.
fn walls(principal: &mut Principal<'_>, init: &Status, status: &DaemonStatus) {
    let predicted = principal.walls.as_deref();
    if predicted != Some("require") {
        return;
    }
    if init.isolation != "require" {
        principal.walls = Some(init.isolation.clone().into());
    } else if !status.missing.is_empty() {
        principal.walls = Some(format!("require, without {}", status.missing.join(", ")).into());
    }
}

fn user(principal: &mut Principal<'_>, leader: &Process, observed: &Observed) {
    let name = principal.user.split(':').next().unwrap_or_default();
    let number = match name {
        "root" => Some(0),
        _ => name.parse().ok().or_else(|| observed.users.get(name).copied()),
    };
    if number.is_some_and(|number| number != leader.user) {
        principal.user = format!("uid {}", leader.user).into();
    }
}

/// A predicted variable that did not arrive, and one of the container's that arrived all the same. What a program
/// adds by itself is its own affair.
fn variables<'a>(principal: &mut Principal<'a>, leader: &'a Process, container: &'a Container) {
    let Some(names) = &leader.variables else { return };
    principal.environment.retain(|name, _| names.contains(*name));
    let usual = ["HOME", "HOSTNAME", "USER"];
    for (name, _) in image::variables(&container.config) {
        let inner = name.split_once("__").map_or(name, |(_, inner)| inner);
        for name in BTreeSet::from([name, inner]) {
            if names.contains(name) && !usual.contains(&name) && !principal.environment.contains_key(name) {
                let place = Place::Variable(principal.service, name);
                principal.environment.insert(name, Variable { value: &INHERITED, word: None, place });
            }
        }
    }
}

/// The predicted arguments come last in what runs: an interpreter may come first.
fn argv<'a>(principal: &mut Principal<'a>, leader: &'a Process) {
    let (Some(real), Some((_, wanted))) = (&leader.argv, principal.argv.split_first()) else { return };
    let same = |real: &String, wanted: &Word<'_>| wanted.raw.contains("{listen}") || *real == *wanted.raw;
    let start = real.len().checked_sub(wanted.len());
    let fits =
        start.is_some_and(|start| real[start..].iter().zip(wanted).all(|(real, wanted)| same(real, wanted)));
    if !wanted.is_empty() && !fits {
        principal.argv = real
            .iter()
            .map(|word| Word { raw: Cow::Borrowed(word), canonical: Cow::Borrowed(word), ..Word::default() })
            .collect();
    }
}

/// Sockets of a daemon and of what it started; gives the port of a hop that others can dial after all.
fn listening(
    principal: &mut Principal<'_>,
    leader: &Process,
    observed: &Observed,
    hidden: bool,
) -> Option<u16> {
    let mut family = vec![leader];
    let mut at = 0;
    while let Some(parent) = family.get(at).map(|process| process.pid) {
        let children = observed.processes.iter().filter(|process| process.parent == parent);
        family.extend(children);
        at += 1;
    }
    let mut real = Set::new();
    let mut open = None;
    for socket in family.into_iter().map(|process| process.listening.as_ref()) {
        for socket in socket? {
            let every = socket.address.is_unspecified() || (hidden && socket.address.is_loopback());
            if hidden && !socket.address.is_loopback() {
                open = Some(socket.port);
            }
            real.insert(if every { Listen::any(socket.port) } else { *socket });
        }
    }
    if principal.listen != real {
        principal.listen = real;
    }
    open
}
