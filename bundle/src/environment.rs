//! The environment of `sidecars`: every daemon's variables, kept apart by the handshake.

use std::collections::{BTreeMap, BTreeSet};

use bottle_model::compose::EnvValue;
use bottle_model::daemon::{Daemon, row};
use bottle_model::handshake::{Handshake, variable_form};
use bottle_model::plan::{Common, Plan};
use indexmap::IndexMap;

pub(crate) fn of(plan: &Plan, daemons: &[(Daemon, Common<'_>)]) -> IndexMap<String, EnvValue> {
    let mut handshake = Handshake {
        daemons: (daemons.len() < Daemon::ALL.len())
            .then(|| daemons.iter().map(|(daemon, _)| daemon.name().to_owned()).collect()),
        chain: plan.chain,
        isolation: plan.isolation,
        ..Handshake::default()
    };
    let mut common = BTreeMap::new();
    let mut addressed = BTreeMap::new();
    for (daemon, block) in daemons {
        let mut claimed = BTreeSet::new();
        let mut listed = false;
        for (name, value) in block.environment.iter() {
            let value = value.as_ref().map_or(EnvValue::Inherit, |text| EnvValue::Literal(text.to_string()));
            let clashes = daemons.iter().any(|(_, other)| {
                other.environment.get(name).is_some_and(|other| differs(other.as_ref(), &value))
            });
            if clashes || matches!(name.as_str(), "HOME" | "USER") {
                addressed.insert(format!("{}__{name}", variable_form(daemon.name())), value);
            } else {
                common.insert(name.to_string(), value);
                claimed.insert(name.to_string());
                listed = true;
            }
        }
        if let Some(egress) = plan.egress.as_ref().filter(|_| *daemon == Daemon::Egress) {
            for token in &egress.tokens {
                common.insert(token.to_string(), EnvValue::Inherit);
                claimed.insert(token.to_string());
            }
        }
        // A lone daemon needs no list, and neither does one with nothing but tokens: those are egress's anyway.
        if listed && daemons.len() > 1 {
            handshake.environment.insert(daemon.name().to_owned(), claimed);
        }
        let table = row(*daemon, plan.chain);
        let private = block
            .volumes
            .iter()
            .map(|volume| volume.target.as_str())
            .filter(|target| !table.private.iter().any(|path| below(path, target)))
            .filter(|target| {
                let shares = |(other, block): &(Daemon, Common<'_>)| {
                    other != daemon && block.volumes.iter().any(|volume| volume.target.as_str() == *target)
                };
                daemons.len() > 1 && !daemons.iter().any(shares)
            });
        handshake.mounts.insert(daemon.name().to_owned(), private.map(str::to_owned).collect());
    }
    let handshake =
        handshake.to_environment().into_iter().map(|(name, value)| (name, EnvValue::Literal(value)));
    handshake.chain(common).chain(addressed).collect()
}

/// Whether another daemon has the name with another value.
fn differs(other: Option<&bottle_model::plan::Line>, value: &EnvValue) -> bool {
    match (other, value) {
        (None, EnvValue::Inherit) => false,
        (Some(text), EnvValue::Literal(value)) => text.as_str() != value,
        _ => true,
    }
}

fn below(above: &str, path: &str) -> bool {
    path.strip_prefix(above).is_some_and(|rest| rest.is_empty() || rest.starts_with('/'))
}
