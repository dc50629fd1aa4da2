//! Decides for each daemon which walls and capabilities it gets, and refuses where walls are required and missing.

use bottle_contract::capability::Capabilities;
use bottle_contract::daemon::Isolation;
use bottle_contract::row::WITHHELD;
use bottle_contract::status::Walls;

use crate::settings::{Launch, Settings};
use crate::supervisor::Daemon;
use crate::sys::{self, Held};
use crate::walls::{self, Builder, Domain};

/// What one daemon is confined by.
#[derive(Debug)]
pub(crate) struct Confinement {
    pub(crate) domain: Domain,
    pub(crate) walls: Walls,
    /// What its row asks for and does not get.
    pub(crate) missing: Vec<String>,
    pub(crate) capabilities: Held,
}

/// A required wall that cannot be built.
#[derive(Debug, thiserror::Error)]
#[error("isolation is required and {daemon} cannot have: {missing}")]
pub(crate) struct Refusal {
    daemon: String,
    missing: String,
}

/// Capabilities of the init's process.
#[derive(Clone, Copy)]
struct Own {
    bounding: Capabilities,
    permitted: Capabilities,
}

/// Prepares every daemon with its walls.
pub(crate) fn confine(settings: Settings) -> Result<Vec<Daemon>, Refusal> {
    let isolation = settings.isolation;
    let abi = sys::landlock_abi();
    let offered = match isolation {
        Isolation::Off => Walls::default(),
        Isolation::BestEffort | Isolation::Require => walls::offered(abi, sys::has_seccomp()),
    };
    let permitted = sys::capabilities().map(|(_, permitted)| permitted).unwrap_or_default();
    let own = Own { bounding: sys::bounding(), permitted };
    let mut builder = Builder::new(&settings.files, abi);
    let mut daemons = Vec::with_capacity(settings.launches.len());
    for launch in settings.launches {
        let asked = match isolation {
            Isolation::Off => Walls::default(),
            Isolation::BestEffort | Isolation::Require => walls::asked(&launch.row, &settings.files),
        };
        let mut missing: Vec<String> =
            walls::missing(asked, offered).into_iter().map(str::to_owned).collect();
        let capabilities = capabilities(&launch, isolation, own, &mut missing);
        let mut walls = asked.and(offered);
        let domain = builder.domain(&launch.row, walls).unwrap_or_else(|error| {
            missing.push(error.to_string());
            walls = Walls::default();
            Domain::default()
        });
        if isolation == Isolation::Require && !missing.is_empty() {
            return Err(Refusal { daemon: launch.row.name, missing: missing.join(", ") });
        }
        daemons.push(Daemon::new(launch, Confinement { domain, walls, missing, capabilities }));
    }
    Ok(daemons)
}

/// Capabilities of one daemon; what it cannot have, or cannot lose, is added to what is missing.
fn capabilities(launch: &Launch, isolation: Isolation, own: Own, missing: &mut Vec<String>) -> Held {
    let Some(held) = launch.row.capabilities_under(isolation) else { return Held::Inherited };
    let list = |set: Capabilities| set.names().collect::<Vec<&str>>().join(", ");
    let surplus = own.bounding.without(held);
    let may_drop = !own.permitted.and(Capabilities::of(&["SETPCAP"])).is_empty();
    if launch.user.uid == 0 && !surplus.is_empty() && !may_drop {
        missing.push(format!("fewer capabilities (without SETPCAP the init cannot drop {})", list(surplus)));
        return Held::Inherited;
    }
    let bypass = held.and(own.permitted).and(Capabilities::of(&WITHHELD));
    if isolation != Isolation::Off && !bypass.is_empty() {
        missing.push(format!("processes ({} bypasses the wall)", list(bypass)));
    }
    if launch.row.capabilities.is_none() {
        return Held::AtMost(held);
    }
    let lacking = held.without(own.permitted);
    if !lacking.is_empty() {
        missing.push(format!("capabilities that the container lacks ({})", list(lacking)));
    }
    Held::Exactly(held.and(own.permitted))
}

/// What is and is not enforced, in one line.
pub(crate) fn summary(isolation: Isolation, daemons: &[Daemon]) -> String {
    let each: Vec<String> = daemons
        .iter()
        .map(|daemon| {
            let Confinement { walls, missing, .. } = &daemon.confinement;
            let mut text = format!("{} {}", daemon.name(), walls.names().join("+"));
            if *walls == Walls::default() {
                text.push_str("no walls");
            }
            if !missing.is_empty() {
                text = format!("{text} (missing: {})", missing.join(", "));
            }
            text
        })
        .collect();
    format!("isolation {}: {}", isolation.name(), each.join("; "))
}
