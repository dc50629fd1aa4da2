//! Environment variables, and to whom they go.

use bottle_model::compose::EnvValue;

use super::Pair;
use super::compare::{Difference, differences, rules};
use crate::finding::{Finding, Shown};
use crate::view::Variable;

rules! {
    DROPPED = "env-dropped" Conservation Error "a variable no longer reaches its principal"
        "The daemon or the agent runs without a value that it had.";
    CHANGED = "env-changed" Conservation Error "a variable has another value"
        "Host names that moved with the daemons count as the same.";
    CONFLICT = "env-conflict" Conservation Error "a variable has a neighbour's value"
        "Two daemons had different values under one name, and in the union one of them won.";
    STALE = "env-stale-host" Conservation Error "a value names a host that the merger left behind"
        "The agent's URLs name the bundle; a legacy name lives on as an alias for the window only, and the hop's not at all.";
    SCOPE = "env-scope-widened" Containment Error "a variable reaches a principal that did not have it"
        "HTTPS_PROXY sends git's traffic through the proxy; a token in pipelock's environment makes its leak detector block it.";
    NULL = "env-null-vs-empty" Conservation Warning "unset and empty changed places"
        "A bare name that is unset is not passed at all; an empty value is.";
}

fn show(variable: &Variable) -> Shown {
    let text = match &variable.value {
        EnvValue::Literal(text) => text.clone(),
        EnvValue::Inherit => {
            return Shown::plain("(from the environment of docker compose)", variable.place.clone());
        }
    };
    Shown::secret(text, variable.place.clone())
}

fn same(before: &Variable, after: &Variable) -> bool {
    match (&before.word, &after.word) {
        (Some(before), Some(after)) => before.means(after),
        _ => before.value == after.value,
    }
}

fn kind(name: &str) -> &'static str {
    let upper = name.to_ascii_uppercase();
    if ["TOKEN", "SECRET", "PASSWORD", "KEY", "CREDENTIAL"].iter().any(|word| upper.contains(word)) {
        "the secret"
    } else if upper.ends_with("_PROXY") || upper.contains("CERT") || upper.contains("CA_BUNDLE") {
        "the proxy or CA setting"
    } else {
        "the variable"
    }
}

pub(super) fn parties(pair: &Pair<'_>, findings: &mut Vec<Finding>) {
    for difference in differences(&pair.before.environment, &pair.after.environment, same) {
        findings.push(match difference {
            Difference::Lost(name, was) => Finding::lost(&DROPPED, pair.name, name.clone(), show(was))
                .because(format!("{} does not receive {name} any more", pair.name)),
            Difference::Gained(name, is) => {
                let owner = pair.neighbour_had(|party| party.environment.contains_key(name));
                let whose = owner.map_or_else(String::new, |owner| format!(", which was {owner}'s"));
                Finding::gained(&SCOPE, pair.name, name.clone(), show(is)).because(format!(
                    "{} receives {} {name}{whose}",
                    pair.name,
                    kind(name)
                ))
            }
            Difference::Changed(name, was, is) => {
                let empty = |variable: &Variable| variable.value == EnvValue::Literal(String::new());
                let unset = |variable: &Variable| variable.value == EnvValue::Inherit;
                let stale = was.word.as_ref().zip(is.word.as_ref()).is_some_and(|(was, is)| {
                    let mut fresh = is.clone();
                    fresh.stale.clear();
                    was.means(&fresh)
                });
                let neighbour = pair.neighbour_had(|party| {
                    party.environment.get(name).is_some_and(|theirs| theirs.value == is.value)
                });
                let (rule, why) = if (empty(was) && unset(is)) || (unset(was) && empty(is)) {
                    (&NULL, "unset and empty differ".to_owned())
                } else if stale {
                    (&STALE, "it names a host of the legacy shape".to_owned())
                } else if let Some(neighbour) = neighbour {
                    (&CONFLICT, format!("it has the value of {neighbour}"))
                } else {
                    (&CHANGED, "its value differs".to_owned())
                };
                Finding::changed(rule, pair.name, name.clone(), show(was), show(is)).because(why)
            }
        });
    }
}
