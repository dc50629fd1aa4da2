//! Start, health, stop, restart, labels, logs.

use bottle_model::compose::attributes::duration;
use bottle_model::compose::{Dependency, Setting};

use super::change::Change;
use super::compare::{Difference, differences};
use super::pair::Pair;
use crate::finding::{Finding, Severity, Shown};
use crate::rule::rules;
use crate::view::{Health, Principal};

/// What Compose waits for a container to stop, in nanoseconds.
const DEFAULT_GRACE: u64 = 10_000_000_000;

/// What sidecar-init waits for its daemons to stop, in nanoseconds.
const INIT_DEADLINE: u64 = 8_000_000_000;

rules! {
    comparison:
    DEPENDS = DependsLost Conservation Error "a principal does not wait for another that it waited for"
        "A principal starts without waiting for another that it waited for, or waits for less: for its \
         start where it waited for its health. The agent then runs before its proxy listens, and its \
         first calls fail.\n\n\
         Example: the agent of the bundle has `depends_on: {sidecars: {condition: service_started}}`.\n\n\
         What to do: write `condition: service_healthy`. The probe of the bundle is healthy when every \
         daemon listens.";
    DEPENDS_ADDED = DependsAdded Conservation Warning "a principal waits for more than before"
        "A dependency is new or stricter. It can hold a start up, or fail it, when the other never \
         becomes healthy.\n\n\
         Example: the agent waited for pipelock alone. In the bundle it waits for `sidecars`, and so for \
         every daemon in it.\n\n\
         What to do: nothing, as a rule: to wait for all is safe. Accept it with a waiver, or add the \
         dependency to the legacy shape.";
    ORDER = StartOrderLost Conservation Warning "daemons of one container start in another order"
        "A dependency between daemons became an order inside one container. sidecar-init starts its table \
         from the top: egress, pipelock, git-gate, supervise. What waited for a daemon further down no \
         longer does, and what waited for another's health starts right after it.\n\n\
         Example: the legacy egress depends on git-gate, or the legacy supervise on egress with `condition: \
         service_healthy`.\n\n\
         What to do: let the program try again until its peer answers; most do. With a table of your own, \
         put the rows in the order that is needed.";
    MISSING = HealthMissing Conservation Error "nothing watches a principal's health"
        "The legacy container had a probe and the bundle has none for this principal. `depends_on: \
         service_healthy` then fails or waits for nothing, and a daemon that died goes unnoticed.\n\n\
         Example: `sidecars` has `healthcheck: {disable: true}`.\n\n\
         What to do: use `test: [CMD, /usr/local/bin/sidecar-init, check]`, or leave `healthcheck` out: \
         the image has the same.";
    WEAKENED = HealthWeakened Conservation Error "a health probe misses a principal, or takes longer"
        "The probe of the bundle does not cover this daemon, or notices its death later. `sidecar-init \
         check` covers each enabled daemon: it is alive and its own socket listens. A probe of one port \
         covers one daemon, and `true` covers none.\n\n\
         Example: `sidecars` probes only port 8888 with `nc -z 127.0.0.1 8888`. egress dies, and the \
         container stays healthy.\n\n\
         What to do: use `test: [CMD, /usr/local/bin/sidecar-init, check]`, with an interval, a timeout \
         and a number of retries no larger than those of the legacy probes.";
    HEALTH = HealthChanged Conservation Warning "a health probe differs"
        "Another probe or other times, and as far as the file shows not weaker: a probe where there was \
         none, or a shorter interval, which costs a process each time it runs.\n\n\
         Example: `interval: 10s` became `interval: 1s`.\n\n\
         What to do: copy the legacy times, or accept it with a waiver.";
    GRACE = GraceTooShort Conservation Error "the engine kills a container sooner"
        "A container that does not stop in time is killed, and a daemon may lose what it was writing. The \
         bundle needs more than one daemon did: its init gives all of them a common deadline of 8 s, \
         which has to end before the engine's.\n\n\
         Example: `sidecars` has `stop_grace_period: 5s`.\n\n\
         What to do: use 10 s, which is Compose's default, or the longest of the legacy times.";
    GRACE_CHANGED = GraceChanged Conservation Warning "the engine kills a container later"
        "A stop may take longer than it did, and with it `docker compose down` and every script that \
         waits for it.\n\n\
         Example: `stop_grace_period` is `1m` in the bundle and was unset.\n\n\
         What to do: nothing, if a daemon needs the time. Accept it with a waiver, or set the same in the \
         legacy shape.";
    SIGNAL = StopSignalChanged Conservation Error "another signal stops the container"
        "A program that does not know the signal, or takes it for something else, is killed at the \
         deadline. sidecar-init expects TERM, and passes TERM on to each daemon.\n\n\
         Example: `sidecars` has `stop_signal: SIGKILL`, and no daemon gets the chance to end by itself.\n\n\
         What to do: remove `stop_signal` from `sidecars`.";
    POLICY = RestartPolicyChanged Conservation Error "a container or a daemon is restarted differently"
        "What is restarted, when, and how often. The policy of the bundle restarts the container and so \
         every daemon in it; a daemon that dies alone does not end the container and is not restarted by \
         it.\n\n\
         Example: the legacy egress has `restart: on-failure`, and `sidecars` has none.\n\n\
         What to do: use the policy that the legacy daemons agree on. For one daemon alone there is \
         `restart = \"on-failure\"` in the init's table.";
    LABEL_LOST = LabelLost Conservation Warning ["label"] "a label is gone or has another value"
        "Dashboards, log shippers and clean-up jobs find containers by their labels. What looked for a \
         daemon by a label of its own does not find the bundle.\n\n\
         Example: a dashboard lists containers with `dashboard.service=egress`, and `sidecars` has no \
         such label.\n\n\
         What to do: put the label on `sidecars`, where two daemons do not need different values of it. \
         Otherwise change what looks for it.";
    LABEL_ADDED = LabelAdded Conservation Note ["label"] "the bundle adds a label"
        "Something that selects containers by label may begin to pick this one up: a proxy that publishes \
         what asks for it, an updater, a log shipper.\n\n\
         Example: `sidecars` gained `com.example.scrape: \"true\"`.\n\n\
         What to do: remove the label, or add it to the legacy shape.";
    LOG = LogMerged Conservation Note "logging differs"
        "Another log driver or other options: where the logs go, how much is kept, what they are tagged \
         with. In the bundle all daemons write to one log, each line headed by the name of its daemon.\n\n\
         Example: the legacy egress logs to journald, and `sidecars` has no `logging:`.\n\n\
         What to do: copy the legacy setting. If the daemons had different ones, decide on one for all.";
}

pub(super) fn principals(pair: &Pair<'_>, findings: &mut Vec<Finding>) {
    let (before, after) = (pair.before, pair.after);
    let dependency = |d: &Dependency, place: String| {
        Shown::plain(format!("{} restart={} required={}", d.condition, d.restart, d.required), place)
    };
    for difference in differences(&before.depends, &after.depends, |a, b| a == b) {
        match difference {
            Difference::Lost(name, was) => {
                let shown = dependency(was, pair.was("depends_on"));
                let together = after.together.contains(&**name);
                // The init keeps the order, and does not wait for health.
                let started = was.condition == "service_started" && !was.restart;
                if !(together && started && after.starts_after.contains(&**name)) {
                    let rule = if together { &ORDER } else { &DEPENDS };
                    findings.push(
                        Finding::lost(rule, pair.name, name.clone(), shown)
                            .because(format!("{} does not wait for {name} any more", pair.name)),
                    );
                }
            }
            Difference::Gained(name, is) => findings.push(
                Finding::gained(
                    &DEPENDS_ADDED,
                    pair.name,
                    name.clone(),
                    dependency(is, pair.is("depends_on")),
                )
                .because(format!("{} waits for {name}", pair.name)),
            ),
            Difference::Changed(name, was, is) => {
                let (rule, how) = if stricter(was, is) {
                    (&DEPENDS_ADDED, "more strictly")
                } else {
                    (&DEPENDS, "in another way")
                };
                let (was, is) =
                    (dependency(was, pair.was("depends_on")), dependency(is, pair.is("depends_on")));
                findings.push(
                    Finding::changed(rule, pair.name, name.clone(), was, is)
                        .because(format!("{} waits for {name} {how}", pair.name)),
                );
            }
        }
    }
    for name in before.starts_after.difference(&after.starts_after) {
        if pair.views.1.principals.contains_key(name) && !after.depends.contains_key(*name) {
            findings.push(
                Finding::lost(&ORDER, pair.name, *name, Shown::plain(*name, pair.was("environment")))
                    .because(format!("{} does not start after {name} any more", pair.name)),
            );
        }
    }
    grace(pair, findings);
    health(pair, findings);
    restart(pair, findings);
    for difference in differences(&before.labels, &after.labels, |a, b| a == b) {
        let shown = |name: &str, value: &str, place: String| {
            let secret = crate::text::names_credential(name);
            Shown { secret, ..Shown::plain(value, place) }
        };
        match difference {
            Difference::Lost(name, was) => findings.push(
                Finding::lost(&LABEL_LOST, pair.name, *name, shown(name, was, pair.was("labels")))
                    .because("the label is gone"),
            ),
            Difference::Changed(name, was, is) => findings.push(
                Finding::changed(
                    &LABEL_LOST,
                    pair.name,
                    *name,
                    shown(name, was, pair.was("labels")),
                    shown(name, is, pair.is("labels")),
                )
                .because("the label has another value"),
            ),
            Difference::Gained(name, is) => {
                if pair.neighbour_had(|principal| principal.labels.get(name) == Some(is)).is_none() {
                    findings.push(
                        Finding::gained(&LABEL_ADDED, pair.name, *name, shown(name, is, pair.is("labels")))
                            .because("the label is new"),
                    );
                }
            }
        }
    }
}

/// Time that a stopped container is given; one that is merged now has to outlast its init's own deadline.
fn grace(pair: &Pair<'_>, findings: &mut Vec<Finding>) {
    let time = |principal: &Principal<'_>| match principal.settings.get("stop_grace_period") {
        Some(Setting::Duration(time)) => *time,
        _ => DEFAULT_GRACE,
    };
    let (was, is) = (time(pair.before), time(pair.after));
    let merged = pair.before.walls.is_none() && pair.after.walls.is_some();
    let (rule, why) = if is < was {
        (&GRACE, "the container is killed sooner")
    } else if merged && is <= INIT_DEADLINE {
        (&GRACE, "the container is killed before its init has stopped every daemon")
    } else if is > was {
        (&GRACE_CHANGED, "the container is killed later")
    } else {
        return;
    };
    let shown = |time, place| Shown::plain(duration(time), place);
    let (was, is) = (shown(was, pair.was("stop_grace_period")), shown(is, pair.is("stop_grace_period")));
    findings.push(Finding::changed(rule, pair.name, "stop_grace_period", was, is).because(why));
}

/// How much a restart policy takes on itself.
fn zeal(policy: &str) -> u8 {
    match policy {
        "no" | "" => 0,
        "always" | "unless-stopped" => 2,
        _ => 1,
    }
}

/// The policy of a container; one where there was none takes nothing away.
pub(super) fn policy(change: &Change<'_>) -> Finding {
    let finding = change.whole(&POLICY);
    if change.was.is_none() { finding.weighing(Severity::Warning) } else { finding }
}

/// What starts a daemon again: in a container of its own the engine, in a merged one sidecar-init, by its row.
fn restart(pair: &Pair<'_>, findings: &mut Vec<Finding>) {
    let (was, is) = (pair.before.restart, pair.after.restart);
    if !(pair.before.supervised || pair.after.supervised) || zeal(was) == zeal(is) {
        return;
    }
    let shown = |policy: &str, place| Shown::plain(policy, place);
    let severity = if zeal(is) < zeal(was) { Severity::Error } else { Severity::Warning };
    findings.push(
        Finding::changed(
            &POLICY,
            pair.name,
            "restart of the daemon",
            shown(was, pair.was("restart")),
            shown(is, pair.is("environment")),
        )
        .because("the engine restarts a container, and sidecar-init a daemon as its row says")
        .weighing(severity),
    );
}

/// Whether a dependency waits for all that another waits for, and for more.
fn stricter(was: &Dependency, is: &Dependency) -> bool {
    let condition = was.condition == is.condition
        || (was.condition == "service_started" && is.condition != "service_started");
    condition && (is.required || !was.required) && (is.restart || !was.restart)
}

fn health(pair: &Pair<'_>, findings: &mut Vec<Finding>) {
    let show = |health: &Health<'_>, place: String| {
        Shown::plain(format!("{} {:?}", health.probe, health.timing), place)
    };
    match (&pair.before.health, &pair.after.health) {
        (Some(was), None) => findings.push(
            Finding::lost(&MISSING, pair.name, "health", show(was, pair.was("healthcheck")))
                .because(format!("nothing watches {}", pair.name)),
        ),
        (None, Some(is)) => findings.push(
            Finding::gained(&HEALTH, pair.name, "health", show(is, pair.is("healthcheck")))
                .because("nothing watched it before"),
        ),
        (Some(was), Some(is)) if was != is => {
            // Until a death is known, failing probes have to add up.
            let time = |health: &Health<'_>, name| u128::from(*health.timing.get(name).unwrap_or(&0));
            let detection = |health: &Health<'_>| {
                time(health, "retries") * (time(health, "interval") + time(health, "timeout"))
            };
            let start = |health: &Health<'_>| (time(health, "start_period"), time(health, "start_interval"));
            let (before, after) = (detection(was), detection(is));
            let later = start(was).0 < start(is).0 || start(was).1 < start(is).1;
            let slower = after > before || (after == before && later);
            let rule = if (was.covers && !is.covers) || slower { &WEAKENED } else { &HEALTH };
            findings.push(
                Finding::changed(
                    rule,
                    pair.name,
                    "health",
                    show(was, pair.was("healthcheck")),
                    show(is, pair.is("healthcheck")),
                )
                .because("health is watched in another way"),
            );
        }
        _ => {}
    }
}
