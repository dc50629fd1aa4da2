//! What a service says of its process, as keys of its daemon's row.

use std::collections::BTreeMap;
use std::time::Duration;

use bottle_model::capability::Capabilities;
use bottle_model::compose::{Probe, Service, Setting};
use bottle_model::daemon::DaemonRow;
use bottle_model::overlay::RowOverlay;
use bottle_model::row::{Condition, Health, Limit, Resource};
use bottle_model::span::Span;

use super::variables::Overlays;
use super::{Member, Merger};

const COMPLETED: &str = "start order: sidecar-init starts what waits for the end of another daemon; leave out \
                         service_completed_successfully between merged services, or do not merge them";

impl Merger<'_> {
    /// Lays over each row what its service says. Of built-in rows the handshake has to say it.
    pub(super) fn rows(&mut self) -> Overlays {
        let mut overlays = Overlays::new();
        if self.request.built_in {
            return overlays;
        }
        for at in 0..self.members.len() {
            let overlay = self.overlay(&self.members[at]);
            let row = &mut self.members[at].row;
            if self.request.built_in {
                let before = row.clone();
                overlay.clone().lay_over(row);
                if *row != before {
                    overlays.insert(row.name.clone(), overlay);
                }
            } else {
                fill(row, overlay);
            }
        }
        if !self.request.built_in {
            let private = self.private();
            for member in &mut self.members {
                // In a container of its own it could look up names.
                member.row.udp |= member.row.connect.is_none();
                member.row.private.extend(private.get(&member.row.name).into_iter().flatten().cloned());
            }
        }
        self.sockets();
        overlays
    }

    fn overlay(&self, member: &Member<'_>) -> RowOverlay {
        let service = member.service;
        let text = |name: &str| match service.settings.get(name) {
            Some(Setting::Text(text)) => Some(text.clone()),
            _ => None,
        };
        let groups: Vec<String> = member.items("group_add").cloned().collect();
        let limits = limits(service);
        let mut overlay = RowOverlay {
            stop_signal: text("stop_signal").map(|signal| signal.trim_start_matches("SIG").to_owned()),
            stop_grace: match service.settings.get("stop_grace_period") {
                Some(Setting::Duration(time)) => Some(Span(Duration::from_nanos(*time))),
                _ => None,
            },
            restart: text("restart").filter(|policy| policy != "no").and_then(|policy| policy.parse().ok()),
            oom_score_adj: match service.settings.get("oom_score_adj") {
                Some(Setting::Integer(score)) => i16::try_from(*score).ok(),
                _ => None,
            },
            groups: (!groups.is_empty()).then_some(groups),
            rlimits: (!limits.is_empty()).then_some(limits),
            ..RowOverlay::default()
        };
        if !self.request.built_in {
            overlay.user.clone_from(&service.user);
            overlay.workdir.clone_from(&service.working_dir);
            overlay.health = health(service);
            overlay.after = self.after(member);
        }
        overlay.capabilities = capabilities(service, overlay.user.as_deref().unwrap_or(&member.row.user));
        overlay
    }

    /// Merged services that a service waits for.
    fn after(&self, member: &Member<'_>) -> Option<BTreeMap<String, Condition>> {
        let conditions = member.service.depends_on.iter().filter_map(|(name, dependency)| {
            let other = self.members.iter().find(|other| other.name == name)?;
            let condition = match dependency.condition.as_str() {
                "service_healthy" => Condition::Healthy,
                "service_completed_successfully" => Condition::Completed,
                _ => Condition::Started,
            };
            Some((other.row.name.clone(), condition))
        });
        let conditions: BTreeMap<String, Condition> = conditions.collect();
        (!conditions.is_empty()).then_some(conditions)
    }

    /// Refuses two daemons that listen on one port.
    fn sockets(&mut self) {
        let mut held: BTreeMap<u16, usize> = BTreeMap::new();
        let mut clashes = Vec::new();
        for (at, member) in self.members.iter().enumerate() {
            for socket in &member.row.listen {
                let first = *held.entry(socket.port).or_insert(at);
                if first != at {
                    clashes.push((first, at, socket.port));
                }
            }
        }
        for (first, second, port) in clashes {
            let claim = |at: usize| self.members[at].claim(&["command"], format!("a socket on port {port}"));
            let (first, second) = (claim(first), claim(second));
            let remedy = "in one container a port belongs to one daemon: let one listen elsewhere";
            self.conflict(format!("port {port}"), first, second, remedy);
        }
    }

    /// Refuses a service outside that waits for the end of a daemon: the container goes on when one daemon ends.
    pub(super) fn completed(&mut self, waiting: &str, member: usize) {
        let first = self.members[member].claim(&[], "an end that another service waits for");
        let second = super::Claim {
            service: waiting.to_owned(),
            place: vec!["depends_on".to_owned()],
            value: "condition service_completed_successfully".to_owned(),
        };
        self.conflict("depends_on", first, second, COMPLETED);
    }
}

/// Sets the keys that a row leaves open.
fn fill(row: &mut DaemonRow, overlay: RowOverlay) {
    let open = DaemonRow::new(&row.name, row.argv.clone());
    let RowOverlay {
        user,
        groups,
        workdir,
        stop_signal,
        stop_grace,
        capabilities,
        oom_score_adj,
        restart,
        after,
        rlimits,
        health,
        ..
    } = overlay;
    if row.user == open.user {
        row.user = user.unwrap_or(open.user);
    }
    if row.groups.is_empty() {
        row.groups = groups.unwrap_or_default();
    }
    row.workdir = row.workdir.take().or(workdir);
    row.stop_signal = row.stop_signal.take().or(stop_signal);
    row.stop_grace = row.stop_grace.take().or(stop_grace);
    row.capabilities = row.capabilities.or(capabilities);
    row.oom_score_adj = row.oom_score_adj.or(oom_score_adj);
    if row.restart == open.restart {
        row.restart = restart.unwrap_or_default();
    }
    if row.after.is_empty() {
        row.after = after.unwrap_or_default();
    }
    if row.rlimits.is_empty() {
        row.rlimits = rlimits.unwrap_or_default();
    }
    row.health = row.health.take().or(health);
}

/// Capabilities that a container of its own gives to a process; `None`: those that every container does.
///
/// A user other than root has none that are effective (`capabilities(7)`, "Capabilities and execution of programs by
/// root").
fn capabilities(service: &Service, user: &str) -> Option<Capabilities> {
    let names = |name: &str| match service.settings.get(name) {
        Some(Setting::Set(items)) => items.iter().map(String::as_str).collect(),
        _ => Vec::new(),
    };
    let (added, dropped) = (names("cap_add"), names("cap_drop"));
    if added.is_empty() && dropped.is_empty() {
        return None;
    }
    if !matches!(user.split(':').next(), Some("root" | "0" | "")) {
        return Some(Capabilities::default());
    }
    let set =
        |names: &[&str]| if names.contains(&"ALL") { Capabilities::ALL } else { Capabilities::of(names) };
    let kept = if added.contains(&"ALL") {
        return Some(Capabilities::ALL.without(Capabilities::of(&dropped)));
    } else {
        Capabilities::DEFAULT.without(set(&dropped))
    };
    Some(Capabilities::from_bits(kept.bits() | set(&added).bits()))
}

fn limits(service: &Service) -> BTreeMap<Resource, Limit> {
    let Some(Setting::Map(map)) = service.settings.get("ulimits") else { return BTreeMap::new() };
    let number = |text: &String| text.parse::<i64>().ok().map(|number| u64::try_from(number).ok());
    let mut limits: BTreeMap<Resource, Limit> = BTreeMap::new();
    for (name, value) in map {
        let (resource, kind) = name.rsplit_once('.').unwrap_or((name, ""));
        let (Ok(resource), Some(value)) = (Resource::try_from(resource.to_owned()), number(value)) else {
            continue;
        };
        let limit = limits.entry(resource).or_insert(Limit { soft: value, hard: value });
        match kind {
            "soft" => limit.soft = value,
            "hard" => limit.hard = value,
            _ => {}
        }
    }
    limits
}

fn health(service: &Service) -> Option<Health> {
    let own = service.healthcheck.as_ref()?;
    let test = match own.test.as_ref()? {
        Probe::Disabled => return None,
        Probe::Exec(words) => words.clone(),
        Probe::Shell(line) => vec!["/bin/sh".to_owned(), "-c".to_owned(), line.clone()],
    };
    let mut health = Health::new(test);
    let span = |time: Option<u64>| time.map(|time| Span(Duration::from_nanos(time)));
    for (key, time) in [
        (&mut health.interval, own.interval),
        (&mut health.timeout, own.timeout),
        (&mut health.start_period, own.start_period),
        (&mut health.start_interval, own.start_interval),
    ] {
        if let Some(time) = span(time) {
            *key = time;
        }
    }
    if let Some(retries) = own.retries {
        health.retries = u32::try_from(retries).unwrap_or(u32::MAX);
    }
    Some(health)
}
