//! What the types alone cannot say of one block.

use std::collections::BTreeSet;

use super::check::{is_path, is_principal};
use super::read::{Flaw, at};
use super::{Common, Limits};
use crate::daemon::Daemon;
use crate::handshake::{self, Names};

/// Checks a block by its name; `standard` are the targets of its standard mounts, `reserved` the handshake's names.
pub(super) fn check(
    name: &str,
    common: Common<'_>,
    standard: &[String],
    reserved: &Names,
) -> Result<(), Flaw> {
    environment(name, common, reserved)?;
    mounts(name, common, standard)?;
    names(name, common)?;
    limits(name, common.limits)?;
    for (limit, value) in common.ulimits.iter() {
        let (soft, hard) = (value.soft.get(), value.hard.get());
        if hard != -1 && (soft == -1 || soft > hard) {
            return Err(Flaw::new(at![name, "ulimits", limit.as_str()], "soft is above hard"));
        }
    }
    if let Some(both) = common.cap_add.iter().find(|capability| common.cap_drop.contains(capability)) {
        return Err(Flaw::new(at![name, "cap_drop"], format!("{both} is both added and dropped")));
    }
    for (index, option) in common.security_opt.iter().enumerate() {
        let kind = |text: &str| text.split(['=', ':']).next().unwrap_or_default().to_owned();
        let repeats = |other: &super::SecurityOption| {
            let kind = kind(other.as_str());
            kind != "label" && option.as_str().starts_with(&kind)
        };
        if common.security_opt[..index].iter().any(repeats) {
            return Err(Flaw::new(at![name, "security_opt", index], "the option is listed twice"));
        }
    }
    let mut devices = BTreeSet::new();
    for (index, device) in common.devices.iter().enumerate() {
        if !devices.insert(device.target()) {
            let why = format!("there is a device at {} already", device.target());
            return Err(Flaw::new(at![name, "devices", index], why));
        }
    }
    let mut ports = BTreeSet::new();
    for (index, port) in common.ports.iter().flatten().enumerate() {
        if !ports.insert((port.target, port.protocol, port.host_ip.as_ref(), port.published)) {
            return Err(Flaw::new(at![name, "ports", index], "the port is listed twice"));
        }
    }
    Ok(())
}

fn environment(name: &str, common: Common<'_>, reserved: &Names) -> Result<(), Flaw> {
    for (variable, value) in common.environment.iter() {
        let variable = variable.as_str();
        let flaw = |why: &str| Err(Flaw::new(at![name, "environment", variable], why));
        if reserved.reserves(variable) {
            return flaw("the handshake's variables are the renderer's to set");
        }
        if variable.starts_with(handshake::TOKEN_PREFIX) {
            return flaw("tokens belong into egress.tokens");
        }
        let addressed = variable.split_once("__").is_some_and(|(form, rest)| {
            let forms = || Daemon::ALL.iter().map(|daemon| handshake::variable_form(daemon.name()));
            !rest.is_empty() && forms().any(|other| other == form)
        });
        if addressed {
            return flaw("a name of this form addresses a daemon of the bundle");
        }
        if name != "agent" && value.is_none() && matches!(variable, "HOME" | "USER") {
            return flaw("it comes from the daemon's user, or has a value here");
        }
    }
    Ok(())
}

fn mounts(name: &str, common: Common<'_>, standard: &[String]) -> Result<(), Flaw> {
    let mut targets: BTreeSet<&str> = standard.iter().map(String::as_str).collect();
    let volumes = common.volumes.iter().map(|volume| &volume.target).enumerate();
    let folders = common.tmpfs.iter().map(|tmpfs| &tmpfs.target).enumerate();
    for (list, index, target) in volumes
        .map(|(index, target)| ("volumes", index, target))
        .chain(folders.map(|(index, target)| ("tmpfs", index, target)))
    {
        if !targets.insert(target.as_str()) {
            let why = format!("something is mounted on {target} already");
            return Err(Flaw::new(at![name, list, index, "target"], why));
        }
    }
    for (index, volume) in common.volumes.iter().enumerate() {
        let path = is_path(&volume.source);
        for (given, attribute, why) in [
            (volume.bind.is_some() && !path, "bind", "a named volume has no options of a host path"),
            (volume.volume.is_some() && path, "volume", "a host path has no options of a named volume"),
        ] {
            if given {
                return Err(Flaw::new(at![name, "volumes", index, attribute], why));
            }
        }
    }
    Ok(())
}

fn names(name: &str, common: Common<'_>) -> Result<(), Flaw> {
    let taken = "the name is a principal's";
    if let Some(host) = common.extra_hosts.keys().find(|host| is_principal(host.as_str())) {
        return Err(Flaw::new(at![name, "extra_hosts", host.as_str()], taken));
    }
    for (key, place) in [("internal", &common.networks.internal), ("external", &common.networks.external)] {
        if let Some(index) = place.aliases.iter().position(|alias| is_principal(alias.as_str())) {
            return Err(Flaw::new(at![name, "networks", key, "aliases", index], taken));
        }
    }
    if let Some(label) = common.labels.keys().find(|label| label.as_str().starts_with("com.docker.compose."))
    {
        return Err(Flaw::new(at![name, "labels", label.as_str()], "the label is Compose's own"));
    }
    Ok(())
}

fn limits(name: &str, limits: &Limits) -> Result<(), Flaw> {
    let flaw = |attribute: &str, why: &str| Err(Flaw::new(at![name, "limits", attribute], why));
    if limits.memory_reservation.zip(limits.memory).is_some_and(|(reservation, memory)| reservation > memory)
    {
        return flaw("memory_reservation", "it is above memory");
    }
    match (limits.memory_swap, limits.memory) {
        (Some(_), None) => flaw("memory_swap", "it needs memory"),
        (Some(swap), Some(memory)) if swap < memory => {
            flaw("memory_swap", "it counts memory and swap together, and is below memory")
        }
        _ => Ok(()),
    }
}
