//! A container of an engine, as a service of a document.

use std::collections::BTreeMap;

use bottle_model::compose::{Compose, Dependency, EnvValue, Mount, Service, Setting, Source};
use indexmap::IndexMap;
use serde::Deserialize;

use super::inspect::{Container, MountPoint};
use super::process::{Observed, Reality};
use super::{Scene, host_config, image, network};

/// A container, and what of it has no place in a service.
///
/// `asked` is the service that the plan renders, if there is one by this name; `compose` has the networks.
pub(super) fn service(
    container: &Container,
    name: &str,
    asked: Option<&Service>,
    compose: &Compose,
    scene: &Scene,
) -> (Service, Vec<String>) {
    let nobody = Service::default();
    let asked = asked.unwrap_or(&nobody);
    let config = &container.config;
    let names: BTreeMap<&str, &str> =
        scene.containers.iter().map(|container| (container.id.as_str(), container.name())).collect();
    let (mut settings, unknown) = host_config::settings(container, &asked.settings, &scene.engine);
    let mode = host_config::network_mode(container, &asked.settings, &names);
    let mut networks = IndexMap::new();
    if let Some(mode) = mode {
        settings.insert("network_mode".to_owned(), Setting::Text(mode));
    } else {
        for (network, endpoint) in container.network_settings.networks.iter().flatten() {
            let key = super::key(compose.networks.iter(), compose, network);
            let asked = asked.networks.get(key);
            networks.insert(key.to_owned(), network::attachment(endpoint, container, name, asked));
        }
    }
    let mut service = Service {
        image: Some(reference(container, scene)),
        container_name: Some(container.name().to_owned()),
        hostname: hostname(container),
        entrypoint: Some(config.entrypoint.clone().unwrap_or_default()),
        command: Some(config.cmd.clone().unwrap_or_default()),
        user: Some(image::user(&config.user)),
        working_dir: Some(image::folder(&config.working_dir)),
        environment: environment(container, asked),
        mounts: mounts(container, asked, compose, scene.observed.get(&container.id)),
        networks,
        extra_hosts: extra_hosts(container),
        depends_on: depends_on(container, asked),
        healthcheck: config.healthcheck.as_ref().map(image::healthcheck),
        labels: super::labels(config.labels.as_ref())
            .map(|(name, value)| (name.clone(), value.clone()))
            .collect(),
        settings,
        ..Service::default()
    };
    service.ports = network::ports(container, compose, &service);
    (service, unknown)
}

/// The image that a container was made from; a tag that has moved on since does not name it any more.
fn reference(container: &Container, scene: &Scene) -> String {
    let name = &container.config.image;
    match scene.ids.get(name) {
        Some(id) if *id != container.image => {
            let short = container.image.trim_start_matches("sha256:").get(..12).unwrap_or_default();
            format!("{name} (of old: {short})")
        }
        _ => name.clone(),
    }
}

/// A host name that somebody chose.
fn hostname(container: &Container) -> Option<String> {
    let own = &container.config.hostname;
    (!own.is_empty() && !container.id.starts_with(own.as_str())).then(|| own.clone())
}

fn environment(container: &Container, asked: &Service) -> IndexMap<String, EnvValue> {
    image::variables(&container.config)
        .map(|(name, value)| {
            let value = match asked.environment.get(name) {
                // Whatever it is, it came from where the plan says.
                Some(EnvValue::Inherit) => EnvValue::Inherit,
                _ => EnvValue::Literal(value.to_owned()),
            };
            (name.to_owned(), value)
        })
        .collect()
}

fn extra_hosts(container: &Container) -> IndexMap<String, Vec<String>> {
    let mut hosts: IndexMap<String, Vec<String>> = IndexMap::new();
    for entry in container.host::<Vec<String>>("ExtraHosts").unwrap_or_default() {
        if let Some((name, address)) = entry.split_once([':', '=']) {
            hosts.entry(name.to_owned()).or_default().push(address.to_owned());
        }
    }
    hosts
}

/// Dependencies that Compose recorded; a container that it did not start has none.
fn depends_on(container: &Container, asked: &Service) -> IndexMap<String, Dependency> {
    let label = container.config.labels.as_ref().and_then(|labels| labels.get(super::DEPENDS));
    let Some(label) = label else { return asked.depends_on.clone() };
    let entries = label.split(',').filter_map(|entry| {
        let mut parts = entry.split(':');
        let (name, condition) = (parts.next()?, parts.next()?);
        let required = asked.depends_on.get(name).is_none_or(|asked| asked.required);
        let restart = parts.next() == Some("true");
        Some((name.to_owned(), Dependency { restart, required, ..Dependency::on(condition) }))
    });
    entries.collect()
}

/// Mounts that a container was created with, in the long syntax.
#[derive(Debug, Default, Deserialize)]
#[serde(rename_all = "PascalCase", default)]
struct Told {
    target: String,
    bind_options: Option<BTreeMap<String, serde_json::Value>>,
    volume_options: Option<BTreeMap<String, serde_json::Value>>,
    tmpfs_options: Option<BTreeMap<String, serde_json::Value>>,
}

/// Everything that is mounted, and really there.
fn mounts(
    container: &Container,
    asked: &Service,
    compose: &Compose,
    observed: Option<&Observed>,
) -> Vec<Mount> {
    let told: Vec<Told> = container.host("Mounts").unwrap_or_default();
    let real = observed.and_then(|observed| observed.mounts.as_ref());
    let points = container.mounts.iter().flatten();
    let mut mounts: Vec<Mount> = points
        .map(|point| mount(point, told.iter().find(|told| told.target == point.destination), asked, compose))
        .collect();
    for (target, options) in container.host::<BTreeMap<String, String>>("Tmpfs").unwrap_or_default() {
        mounts.push(tmpfs(target, &options));
    }
    if let Some(real) = real {
        mounts.retain(|mount| !matches!(real.get(&mount.target), None | Some(Reality::Foreign(_))));
        for (target, reality) in real {
            let own = mounts.iter_mut().find(|mount| mount.target == *target);
            match (reality, own) {
                (Reality::Stale, Some(mount)) => {
                    if let Source::Bind(path) = &mut mount.source {
                        path.push_str(" (replaced since)");
                    }
                }
                (Reality::Foreign(source), _) => mounts.push(Mount {
                    target: target.clone(),
                    source: Source::Other("mounted from inside".to_owned(), source.clone()),
                    read_only: false,
                    options: BTreeMap::new(),
                }),
                _ => {}
            }
        }
    }
    mounts.sort_by(|a, b| a.target.cmp(&b.target));
    mounts
}

fn mount(point: &MountPoint, told: Option<&Told>, asked: &Service, compose: &Compose) -> Mount {
    let mut options = BTreeMap::new();
    let source = match point.kind.as_str() {
        "bind" => {
            if !matches!(point.propagation.as_str(), "" | "rprivate") {
                options.insert("bind.propagation".to_owned(), point.propagation.clone());
            }
            Source::Bind(point.source.clone())
        }
        "volume" if is_anonymous(&point.name) => Source::Anonymous,
        "volume" => Source::Volume(super::key(compose.volumes.iter(), compose, &point.name).to_owned()),
        "tmpfs" => Source::Tmpfs,
        "image" => Source::Image(point.source.clone()),
        other => Source::Other(other.to_owned(), point.source.clone()),
    };
    for flag in point.mode.split(',') {
        match flag {
            "z" => _ = options.insert("bind.selinux".to_owned(), "z".to_owned()),
            "Z" => _ = options.insert("bind.selinux".to_owned(), "Z".to_owned()),
            "nocopy" => _ = options.insert("volume.nocopy".to_owned(), "true".to_owned()),
            _ => {}
        }
    }
    if let Some(told) = told {
        let parts =
            [("bind", &told.bind_options), ("volume", &told.volume_options), ("tmpfs", &told.tmpfs_options)];
        for (kind, part) in parts {
            for (name, value) in part.iter().flatten() {
                option(&mut options, kind, name, value);
            }
        }
    }
    let wanted = asked.mounts.iter().find(|mount| mount.target == point.destination);
    if let Some(wanted) = wanted.filter(|_| matches!(source, Source::Bind(_))) {
        // Whether the engine would have made the path leaves no trace once it is there.
        let made = "bind.create_host_path";
        options.extend(wanted.options.get(made).map(|value| (made.to_owned(), value.clone())));
    }
    Mount { target: point.destination.clone(), source, read_only: !point.writable, options }
}

/// An option of the long syntax.
fn option(options: &mut BTreeMap<String, String>, kind: &str, name: &str, value: &serde_json::Value) {
    let name = match name {
        "SizeBytes" => "size",
        "Mode" => "mode",
        "NoCopy" => "nocopy",
        "Subpath" => "subpath",
        // Told of the mount itself, and of how it came about.
        "Propagation" | "CreateMountpoint" | "Labels" | "DriverConfig" => return,
        other => other,
    };
    let text = match value {
        serde_json::Value::String(text) => text.clone(),
        serde_json::Value::Number(number) => number.to_string(),
        serde_json::Value::Bool(true) => "true".to_owned(),
        _ => return,
    };
    options.insert(format!("{kind}.{name}"), text);
}

/// A folder in memory in the short syntax, `size=1m,mode=1777`.
fn tmpfs(target: String, options: &str) -> Mount {
    let options = options.split(',').filter(|option| !option.is_empty()).map(|option| {
        let (name, value) = option.split_once('=').unwrap_or((option, "true"));
        let value = match name {
            "mode" => {
                u32::from_str_radix(value, 8).map_or_else(|_| value.to_owned(), |mode| mode.to_string())
            }
            _ => value.to_owned(),
        };
        (format!("tmpfs.{name}"), value)
    });
    Mount { target, source: Source::Tmpfs, read_only: false, options: options.collect() }
}

/// Whether the engine made up the name of a volume.
fn is_anonymous(name: &str) -> bool {
    name.len() == 64 && name.bytes().all(|byte| byte.is_ascii_hexdigit())
}
