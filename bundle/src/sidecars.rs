//! The service with every daemon.

use bottle_model::compose::{Healthcheck, Probe, Service, Setting};
use bottle_model::daemon::Daemon;
use bottle_model::images::{INIT, Images};
use bottle_model::plan::{Common, Health, Plan, Seconds};

use crate::merge::{keyed, merged};
use crate::mounts::Mounted;
use crate::settings::texts;
use crate::{Conflict, environment, mounts, ports, resources};

pub(crate) fn service(plan: &Plan, images: &Images) -> Result<Service, Conflict> {
    let daemons = plan.daemons();
    let own = mounts::each(plan, &daemons);
    let mounted: Vec<Mounted<'_>> = own.iter().map(Mounted::of).collect();
    let environment = environment::of(plan, &daemons, mounts::private(plan, &mounted))?;
    let first = mounts::first(&mounted)?;
    let mut service = Service {
        image: Some(images.bundle.clone()),
        container_name: Some(format!("{}-sidecars-{}", plan.prefix(), plan.slug)),
        hostname: Some("sidecars".to_owned()),
        environment,
        mounts: mounts::merged(own, &first),
        ports: ports::of(plan, &daemons)?,
        healthcheck: Some(health(&daemons)?),
        settings: merged(plan, &daemons)?,
        ..Service::default()
    };
    // The init's own deadline of 8 s has to fit inside.
    service.settings.insert("stop_grace_period".to_owned(), Setting::Duration(10_000_000_000));
    let mut internal = resources::shared(plan, &daemons, "internal")?;
    let facing = daemons.iter().filter(|(daemon, _)| plan.hop() != Some(*daemon));
    internal.aliases.extend(facing.map(|(daemon, _)| daemon.name().to_owned()));
    service.networks.insert("internal".to_owned(), internal);
    service.networks.insert("external".to_owned(), resources::shared(plan, &daemons, "external")?);
    let hosts = daemons.iter().map(|(daemon, common)| (*daemon, texts(common.extra_hosts.iter())));
    let hosts = keyed("extra_hosts", hosts)?;
    service.extra_hosts = hosts.into_iter().map(|(name, address)| (name, vec![address])).collect();
    if let Some(hop) = plan.hop() {
        service.extra_hosts.insert(hop.name().to_owned(), vec!["127.0.0.1".to_owned()]);
    }
    let labels = daemons.iter().map(|(daemon, common)| (*daemon, texts(common.labels.iter())));
    service.labels = keyed("label", labels)?.into_iter().collect();
    Ok(service)
}

/// One probe for all: its times are the ones on which the daemons agree, else those of the image.
fn health(daemons: &[(Daemon, Common<'_>)]) -> Result<Healthcheck, Conflict> {
    let times = |common: &Common<'_>| {
        let Health { interval, timeout, retries, start_period, start_interval } =
            common.health.clone().unwrap_or_default();
        Healthcheck {
            test: Some(Probe::Exec(vec![INIT.to_owned(), "check".to_owned()])),
            interval: Some(interval.map_or(2_000_000_000, Seconds::nanoseconds)),
            timeout: Some(timeout.map_or(5_000_000_000, Seconds::nanoseconds)),
            retries: Some(retries.map_or(2, |count| count.get().unsigned_abs())),
            start_period: Some(start_period.map_or(30_000_000_000, Seconds::nanoseconds)),
            start_interval: start_interval.map(Seconds::nanoseconds),
        }
    };
    let (first, common) = &daemons[0];
    let health = times(common);
    match daemons.iter().find(|(_, common)| times(common) != health) {
        None => Ok(health),
        Some((second, common)) => Err(Conflict::Disagreement {
            what: "health".to_owned(),
            first: *first,
            one: shown(&health),
            second: *second,
            other: shown(&times(common)),
        }),
    }
}

fn shown(health: &Healthcheck) -> String {
    let seconds = |time: Option<u64>| time.unwrap_or_default() / 1_000_000_000;
    format!(
        "interval {} s, timeout {} s, {} retries, start period {} s, start interval {} s",
        seconds(health.interval),
        seconds(health.timeout),
        health.retries.unwrap_or_default(),
        seconds(health.start_period),
        seconds(health.start_interval),
    )
}
