//! Adds the defaults of images to the document, because an engine shows only the final values.

use bottle_model::compose::{EnvValue, Healthcheck, Mount, Probe, Service, Setting, Source};

use super::inspect::{Health, ImageConfig};

/// Where a container has no working directory.
const ROOT: &str = "/";

/// Fills in what a service leaves to its image; `known`: what the image runs and as whom is settled already, so that
/// an image that says otherwise is a difference.
pub(super) fn complete(service: &mut Service, image: &ImageConfig, known: bool) {
    for (name, value) in variables(image) {
        service.environment.entry(name.to_owned()).or_insert_with(|| EnvValue::Literal(value.to_owned()));
    }
    for (name, value) in super::labels(image.labels.as_ref()) {
        service.labels.entry(name.clone()).or_insert_with(|| value.clone());
    }
    for target in image.volumes.iter().flatten().map(|(target, _)| target) {
        if !service.mounts.iter().any(|mount| mount.target == *target) {
            service.mounts.push(Mount {
                target: target.clone(),
                source: Source::Anonymous,
                read_only: false,
                options: std::collections::BTreeMap::new(),
            });
        }
    }
    if let Some(signal) = &image.stop_signal {
        service.settings.entry("stop_signal".to_owned()).or_insert_with(|| Setting::Text(signal.clone()));
    }
    if let Some(theirs) = image.healthcheck.as_ref().map(healthcheck) {
        let own = service.healthcheck.get_or_insert_default();
        if own.test != Some(Probe::Disabled) {
            own.test = own.test.take().or(theirs.test);
            own.interval = own.interval.or(theirs.interval);
            own.timeout = own.timeout.or(theirs.timeout);
            own.retries = own.retries.or(theirs.retries);
            own.start_period = own.start_period.or(theirs.start_period);
            own.start_interval = own.start_interval.or(theirs.start_interval);
        }
    }
    if known {
        return;
    }
    // An overridden ENTRYPOINT takes the image's CMD with it.
    if service.entrypoint.is_none() {
        service.command = service.command.take().or_else(|| image.cmd.clone());
    }
    service.entrypoint = service.entrypoint.take().or_else(|| image.entrypoint.clone());
    service.command.get_or_insert_default();
    service.entrypoint.get_or_insert_default();
    service.user.get_or_insert_with(|| user(&image.user));
    service.working_dir.get_or_insert_with(|| folder(&image.working_dir));
}

/// Variables of a configuration; a name without a value removes the variable.
pub(super) fn variables(config: &ImageConfig) -> impl Iterator<Item = (&str, &str)> {
    config.env.iter().flatten().filter_map(|entry| entry.split_once('='))
}

/// A user as a document names it.
pub(super) fn user(user: &str) -> String {
    if user.is_empty() { "root" } else { user }.to_owned()
}

/// A working directory as a document names it.
pub(super) fn folder(path: &str) -> String {
    if path.is_empty() { ROOT } else { path }.to_owned()
}

/// A probe as a document has it.
pub(super) fn healthcheck(health: &Health) -> Healthcheck {
    let time = |value: u64| (value != 0).then_some(value);
    let test = match health.test.as_deref() {
        None | Some([]) => None,
        Some([kind, ..]) if kind == "NONE" => Some(Probe::Disabled),
        Some([kind, line]) if kind == "CMD-SHELL" => Some(Probe::Shell(line.clone())),
        Some([_, words @ ..]) => Some(Probe::Exec(words.to_vec())),
    };
    Healthcheck {
        test,
        interval: time(health.interval),
        timeout: time(health.timeout),
        retries: time(health.retries),
        start_period: time(health.start_period),
        start_interval: time(health.start_interval),
    }
}
