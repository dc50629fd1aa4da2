//! Start, health, stop, restart, labels, logs.

use bottle_model::compose::attributes::duration;
use bottle_model::compose::{Dependency, Setting};

use super::Pair;
use super::compare::{Difference, differences, rules};
use crate::finding::{Finding, Shown};
use crate::view::{Health, Party};

/// What Compose waits for a container to stop, in nanoseconds.
const DEFAULT_GRACE: u64 = 10_000_000_000;

/// What sidecar-init waits for its daemons to stop, in nanoseconds.
const INIT_DEADLINE: u64 = 8_000_000_000;

rules! {
    DEPENDS = "depends-lost" Conservation Error "a principal no longer waits"
        "Without depends_on the agent starts before its proxy listens.";
    DEPENDS_ADDED = "depends-added" Conservation Warning "a principal waits for another that it did not wait for"
        "A dependency can hold a start up, or fail it.";
    ORDER = "start-order-lost" Conservation Warning "daemons of one container start in another order"
        "sidecar-init starts its table from the top and does not wait for health in between.";
    MISSING = "health-missing" Conservation Error "nothing watches a principal's health"
        "depends_on: service_healthy waits for nothing, and a dead daemon goes unnoticed.";
    WEAKENED = "health-weakened" Conservation Error "a health probe misses a principal, or takes longer"
        "A probe that does not cover the daemon, or notices its death later.";
    HEALTH = "health-changed" Conservation Warning "health is watched in another way"
        "Another probe or other times, not weaker.";
    GRACE = "grace-too-short" Conservation Error "a container is killed sooner"
        "The init's own deadline of 8 s has to fit inside the container's.";
    GRACE_CHANGED = "grace-changed" Conservation Warning "a container is killed later"
        "A stop may take longer.";
    SIGNAL = "stop-signal-changed" Conservation Error "another signal stops the container"
        "A program that does not know the signal is killed at the deadline.";
    POLICY = "restart-policy-changed" Conservation Warning "the restart policy differs"
        "What is restarted, and when.";
    LABEL_LOST = "label-lost" Conservation Warning "a label is gone or has another value"
        "Dashboards and clean-up find containers by label.";
    LABEL_ADDED = "label-added" Conservation Note "a label is new"
        "Something that selects by label may pick the container up.";
    LOG = "log-merged" Conservation Note "logging differs"
        "In the bundle all daemons write to one log, each line headed by the daemon's name.";
}

pub(super) fn parties(pair: &Pair<'_>, findings: &mut Vec<Finding>) {
    let (before, after) = (pair.before, pair.after);
    let dependency = |d: &Dependency, place: String| {
        Shown::plain(format!("{} restart={} required={}", d.condition, d.restart, d.required), place)
    };
    for difference in differences(&before.depends, &after.depends, |a, b| a == b) {
        match difference {
            Difference::Lost(name, was) => {
                let shown = dependency(was, pair.was("depends_on"));
                let together = after.together.contains(name);
                if !(together && after.starts_after.contains(name)) {
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
    grace(pair, findings);
    health(pair, findings);
    for difference in differences(&before.labels, &after.labels, |a, b| a == b) {
        let shown = |name: &String, value: &String, place: String| {
            let secret = crate::text::names_credential(name);
            Shown { secret, ..Shown::plain(value.clone(), place) }
        };
        match difference {
            Difference::Lost(name, was) => findings.push(
                Finding::lost(&LABEL_LOST, pair.name, name.clone(), shown(name, was, pair.was("labels")))
                    .because("the label is gone"),
            ),
            Difference::Changed(name, was, is) => findings.push(
                Finding::changed(
                    &LABEL_LOST,
                    pair.name,
                    name.clone(),
                    shown(name, was, pair.was("labels")),
                    shown(name, is, pair.is("labels")),
                )
                .because("the label has another value"),
            ),
            Difference::Gained(name, is) => {
                if pair.neighbour_had(|party| party.labels.get(name) == Some(is)).is_none() {
                    findings.push(
                        Finding::gained(
                            &LABEL_ADDED,
                            pair.name,
                            name.clone(),
                            shown(name, is, pair.is("labels")),
                        )
                        .because("the label is new"),
                    );
                }
            }
        }
    }
}

/// Time that a stopped container is given; one that is merged now has to outlast its init's own deadline.
fn grace(pair: &Pair<'_>, findings: &mut Vec<Finding>) {
    let setting = |party: &Party| party.settings.get("stop_grace_period").cloned();
    let time = |setting: &Option<Setting>| match setting {
        Some(Setting::Duration(time)) => *time,
        _ => DEFAULT_GRACE,
    };
    let (was, is) = (setting(pair.before), setting(pair.after));
    let merged = pair.before.walls.is_none() && pair.after.walls.is_some();
    let (rule, why) = if time(&is) < time(&was) {
        (&GRACE, "the container is killed sooner")
    } else if merged && time(&is) <= INIT_DEADLINE {
        (&GRACE, "the container is killed before its init has stopped every daemon")
    } else if time(&is) > time(&was) {
        (&GRACE_CHANGED, "the container is killed later")
    } else {
        return;
    };
    let shown = |setting: &Option<Setting>, place| Shown::plain(duration(time(setting)), place);
    let (was, is) = (shown(&was, pair.was("stop_grace_period")), shown(&is, pair.is("stop_grace_period")));
    findings.push(Finding::changed(rule, pair.name, "stop_grace_period", was, is).because(why));
}

/// Whether a dependency waits for all that another waits for, and for more.
fn stricter(was: &Dependency, is: &Dependency) -> bool {
    let condition = was.condition == is.condition
        || (was.condition == "service_started" && is.condition != "service_started");
    condition && (is.required || !was.required) && (is.restart || !was.restart)
}

fn health(pair: &Pair<'_>, findings: &mut Vec<Finding>) {
    let show =
        |health: &Health, place: String| Shown::plain(format!("{} {:?}", health.probe, health.timing), place);
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
            let slower = was.timing.iter().any(|(name, value)| is.timing[name] > *value);
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
