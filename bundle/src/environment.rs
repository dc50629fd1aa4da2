//! The environment of `sidecars`: every daemon's variables, kept apart by the handshake.

use std::collections::{BTreeMap, BTreeSet};

use bottle_model::compose::EnvValue;
use bottle_model::daemon::Daemon;
use bottle_model::handshake::{Handshake, Names, Unlisted, variable_form};
use bottle_model::plan::{Common, Line, Plan, VariableName};
use indexmap::IndexMap;

use crate::Conflict;

type Blocks<'a> = [(Daemon, Common<'a>)];

/// Writes the variables; `mounts` are the daemons' private paths beyond the table's.
pub(crate) fn of(
    plan: &Plan,
    daemons: &Blocks<'_>,
    mounts: BTreeMap<String, BTreeSet<String>>,
) -> Result<IndexMap<String, EnvValue>, Conflict> {
    let mut handshake = Handshake {
        names: Names::under(plan.prefix()),
        daemons: (daemons.len() < Daemon::ALL.len())
            .then(|| daemons.iter().map(|(daemon, _)| daemon.name().to_owned()).collect()),
        chain: plan.chain,
        isolation: plan.isolation,
        // ENV of the bundle's image is not meant for daemons whose own image did not have it.
        unlisted: Unlisted::Listed,
        mounts,
        ..Handshake::default()
    };
    let mut common = BTreeMap::new();
    let mut addressed = BTreeMap::new();
    for (daemon, block) in daemons {
        let mut claimed = BTreeSet::new();
        for (name, value) in block.environment.iter() {
            if travels_alone(daemons, *daemon, name, value.as_ref())? {
                addressed
                    .insert(format!("{}__{name}", variable_form(daemon.name())), literal(value.as_ref()));
            } else {
                common.insert(name.to_string(), literal(value.as_ref()));
                claimed.insert(name.to_string());
            }
        }
        if let Some(egress) = plan.egress.as_ref().filter(|_| *daemon == Daemon::Egress) {
            for token in egress.tokens.iter() {
                common.insert(token.to_string(), EnvValue::Inherit);
                claimed.insert(token.to_string());
            }
        }
        if !claimed.is_empty() {
            handshake.environment.insert(daemon.name().to_owned(), claimed);
        }
    }
    let handshake =
        handshake.to_environment().into_iter().map(|(name, value)| (name, EnvValue::Literal(value)));
    Ok(handshake.chain(common).chain(addressed).collect())
}

fn literal(value: Option<&Line>) -> EnvValue {
    value.map_or(EnvValue::Inherit, |text| EnvValue::Literal(text.to_string()))
}

/// Whether a variable has to be addressed to its daemon, because its plain name would bring something else or reach
/// others. A name whose value comes from outside has to stay plain: Compose would look for another.
fn travels_alone(
    daemons: &Blocks<'_>,
    daemon: Daemon,
    name: &VariableName,
    value: Option<&Line>,
) -> Result<bool, Conflict> {
    let others = daemons.iter().filter(|(other, _)| *other != daemon);
    let mut differing =
        others.filter(|(_, other)| other.environment.get(name).is_none_or(|held| held.as_ref() != value));
    let text = name.as_str();
    if matches!(text, "HOME" | "USER") {
        return Ok(true);
    }
    // The init passes these to every daemon, list or no list.
    if matches!(text, "PATH" | "LANG" | "TZ") || text.starts_with("LC_") {
        return match (differing.next(), value) {
            (None, _) => Ok(false),
            (Some(_), Some(_)) => Ok(true),
            (Some((other, _)), None) => {
                Err(Conflict::Inherited { variable: text.to_owned(), daemon, other: *other })
            }
        };
    }
    Ok(value.is_some() && differing.any(|(_, other)| other.environment.contains_key(name)))
}
