//! What could not be compared, and who is there at all. Fails closed.

use super::compare::rules;
use crate::finding::{Finding, Shown};
use crate::view::View;

rules! {
    UNMAPPED = "service-unmapped" Conservation Error "a service is no known principal"
        "A service that is neither the agent, a daemon nor the bundle is not compared, so that anything could hide in it. Name it in a map file.";
    UNMODELLED = "attribute-unmodelled" Conservation Error "an attribute is not modelled"
        "What the checker does not understand is an error and never a pass. Extensions (x-…) are left alone.";
    DAEMONS = "daemon-set-mismatch" Conservation Error "the shapes hold different principals"
        "A daemon that runs in one shape and not in the other, for example because BOT_BOTTLE_SIDECAR_DAEMONS leaves it out.";
    SHAPE = "shape-unexpected" Conservation Error "a document fits no shape"
        "A daemon that stands both alone and in the bundle, a handshake that sidecar-init would refuse, or an init whose arguments cannot be followed.";
    UNRESOLVED = "env-unresolved" Conservation Error "an interpolated variable is not set"
        "Compose puts nothing in the place of an unset ${NAME}. What is effective then depends on who runs it.";
}

pub(super) fn documents(before: &View, after: &View, findings: &mut Vec<Finding>) {
    for (view, other, first) in [(before, after, true), (after, before, false)] {
        for odd in &view.anomalies {
            let Some(rule) = RULES.iter().find(|rule| rule.id == odd.rule) else { continue };
            let closed = rule.id == UNMAPPED.id || rule.id == UNMODELLED.id;
            if !closed && other.anomalies.contains(odd) {
                continue;
            }
            let shown = Shown::plain(odd.subject.clone(), odd.place.clone());
            let finding = if first {
                Finding::lost(rule, &odd.principal, odd.subject.clone(), shown)
            } else {
                Finding::gained(rule, &odd.principal, odd.subject.clone(), shown)
            };
            findings.push(finding.because(odd.message.clone()));
        }
        for name in view.parties.keys().filter(|name| !other.parties.contains_key(*name)) {
            let place = format!("services.{}", view.parties[name].service);
            let shown = Shown::plain(name.clone(), place);
            findings.push(if first {
                Finding::lost(&DAEMONS, name, name.clone(), shown).because(format!("{name} no longer runs"))
            } else {
                Finding::gained(&DAEMONS, name, name.clone(), shown)
                    .because(format!("{name} did not run before"))
            });
        }
    }
}
