//! Start, health, stop, restart, labels, logs.

use bottle_model::compose::Setting;

use super::Pair;
use super::compare::{Difference, differences, rules};
use crate::finding::{Finding, Law, Shown};

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
    let dependency = |d: &bottle_model::compose::Dependency, place: String| {
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
            Difference::Changed(name, was, is) => findings.push(
                Finding::changed(
                    &DEPENDS,
                    pair.name,
                    name.clone(),
                    dependency(was, pair.was("depends_on")),
                    dependency(is, pair.is("depends_on")),
                )
                .because(format!("{} waits for {name} in another way", pair.name)),
            ),
        }
    }
    health(pair, findings);
    for difference in differences(&before.settings, &after.settings, |a, b| a == b) {
        let (Difference::Lost(name, _) | Difference::Gained(name, _) | Difference::Changed(name, ..)) =
            difference;
        let rule = match name.as_str() {
            "stop_grace_period" => {
                let time = |party: &crate::view::Party| match party.settings.get("stop_grace_period") {
                    Some(Setting::Duration(time)) => *time,
                    _ => 10_000_000_000,
                };
                if time(after) < time(before) { &GRACE } else { &GRACE_CHANGED }
            }
            "stop_signal" => &SIGNAL,
            "restart" => &POLICY,
            "logging" => &LOG,
            _ => continue,
        };
        findings.push(super::privilege::setting(pair, rule, name, "it differs"));
    }
    for difference in differences(&before.labels, &after.labels, |a, b| a == b) {
        let shown = |value: &String, place: String| Shown::plain(value.clone(), place);
        match difference {
            Difference::Lost(name, was) => findings.push(
                Finding::lost(&LABEL_LOST, pair.name, name.clone(), shown(was, pair.was("labels")))
                    .because("the label is gone"),
            ),
            Difference::Changed(name, was, is) => findings.push(
                Finding::changed(
                    &LABEL_LOST,
                    pair.name,
                    name.clone(),
                    shown(was, pair.was("labels")),
                    shown(is, pair.is("labels")),
                )
                .because("the label has another value"),
            ),
            Difference::Gained(name, is) => {
                if pair.neighbour_had(|party| party.labels.get(name) == Some(is)).is_none() {
                    findings.push(
                        Finding::gained(&LABEL_ADDED, pair.name, name.clone(), shown(is, pair.is("labels")))
                            .because("the label is new"),
                    );
                }
            }
        }
    }
}

fn health(pair: &Pair<'_>, findings: &mut Vec<Finding>) {
    let show = |health: &crate::view::Health, place: String| {
        Shown::plain(format!("{} {:?}", health.probe, health.timing), place)
    };
    match (&pair.before.health, &pair.after.health) {
        (Some(was), None) => findings.push(
            Finding::lost(&MISSING, pair.name, "health", show(was, pair.was("healthcheck")))
                .because(format!("nothing watches {}", pair.name)),
        ),
        (None, Some(is)) => findings.push(Finding {
            law: Law::Conservation,
            ..Finding::gained(&HEALTH, pair.name, "health", show(is, pair.is("healthcheck")))
                .because("nothing watched it before")
        }),
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
