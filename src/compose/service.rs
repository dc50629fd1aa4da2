//! A service, from its merged and unfolded tree.

use std::collections::{BTreeMap, BTreeSet};

use bottle_model::compose::{
    Attachment, Dependency, Healthcheck, Mount, Port, Probe, Service, Setting, Source, attributes,
};
use indexmap::IndexMap;

use super::load::{Loader, Unit};
use super::tree::{Failure, Mark, Node, Value};
use super::{deploy, environment, hooks, paths, ports, value, volume};

/// A service, and where its mounts and ports stand.
pub(super) struct Read {
    pub(super) service: Service,
    pub(super) mounts: Vec<Mark>,
    pub(super) ports: Vec<Mark>,
}

/// Reads a service; one that is not active has to be right for itself only.
pub(super) fn read(
    node: &Node<'_>,
    loader: &mut Loader<'_>,
    unit: &Unit,
    active: bool,
) -> Result<Read, Failure> {
    let mut service = Service::default();
    let mut mounts: Vec<(Mount, Mark)> = Vec::new();
    let mut published: Vec<(Port, Mark)> = Vec::new();
    for (key, node) in node.plain()? {
        match key {
            "image" => service.image = filled(&node)?,
            "container_name" => {
                service.container_name = Some(named(&node)?);
            }
            "hostname" => service.hostname = filled(&node)?,
            "user" => service.user = filled(&node)?,
            "working_dir" => service.working_dir = filled(&node)?,
            "entrypoint" => service.entrypoint = value::command(&node)?,
            "command" => service.command = value::command(&node)?,
            "volumes" => {
                for item in node.items()? {
                    mounts.push((volume::mount(&item)?, item.tree.mark));
                }
            }
            "tmpfs" => {
                for item in node.items()? {
                    mounts.push((tmpfs(&item)?, item.tree.mark));
                }
            }
            "configs" | "secrets" => {
                for item in node.items()? {
                    mounts.push((grant(&item, key == "configs")?, item.tree.mark));
                }
            }
            "ports" => {
                for item in node.items()? {
                    ports::read(&item, &mut loader.budget, &mut published)?;
                }
            }
            "networks" => service.networks = networks(&node)?,
            "extra_hosts" => service.extra_hosts = extra_hosts(&node)?,
            "depends_on" => service.depends_on = depends_on(&node)?,
            "healthcheck" => {
                service.healthcheck = Some(healthcheck(&node)?).filter(|h| *h != Healthcheck::default());
            }
            "environment" | "env_file" | "labels" | "label_file" | "profiles" | "deploy" => {}
            other => {
                if let Some(setting) = setting(&node, other, loader, unit)? {
                    service.settings.insert(other.to_owned(), setting);
                }
            }
        }
    }
    service.environment = environment::variables(node, loader, unit, active)?;
    service.labels = environment::labels(node, loader, active)?;
    if let Some(node) = node.get("deploy") {
        // What is off may say one thing twice, and differently.
        let mut apart = Service::default();
        deploy::read(&node, if active { &mut service } else { &mut apart })?;
    }
    if active {
        implied(node, &mut service)?;
        targets(node)?;
    }
    // The engine orders mounts by their targets; of several on one target the last counts.
    mounts.sort_by(|(one, _), (other, _)| one.target.cmp(&other.target));
    mounts.dedup_by(|(later, _), (earlier, _)| later == earlier);
    let published = ports::distinct(published);
    let (mounted, mount_marks) = mounts.into_iter().unzip();
    let (ports, port_marks) = published.into_iter().unzip();
    service.mounts = mounted;
    service.ports = ports;
    Ok(Read { service, mounts: mount_marks, ports: port_marks })
}

pub(super) fn filled(node: &Node<'_>) -> Result<Option<String>, Failure> {
    Ok(Some(node.text()?.to_owned()).filter(|text| !text.is_empty()))
}

/// A container's name has to be one that the engine takes.
fn named(node: &Node<'_>) -> Result<String, Failure> {
    let name = node.text()?;
    let fits = name.chars().all(|c| c.is_ascii_alphanumeric() || matches!(c, '_' | '.' | '-'));
    if fits && name.len() > 1 && name.starts_with(|c: char| c.is_ascii_alphanumeric()) {
        Ok(name.to_owned())
    } else {
        Err(node.fail("is not a container name: letters, digits, `_`, `.` and `-`, two at least"))
    }
}

/// Refuses two mounts on one target, as Compose does: of volumes and of `tmpfs`. Two volumes whose targets are
/// written alike are left to the comparison, since Compose keeps the last of them without a word.
fn targets(node: &Node<'_>) -> Result<(), Failure> {
    let mut taken: BTreeMap<String, String> = BTreeMap::new();
    let (tmpfs, volumes) = (node.get("tmpfs"), node.get("volumes"));
    let tmpfs = tmpfs.as_ref().map(|node| node.items()).transpose()?.into_iter().flatten();
    for item in tmpfs {
        let path = item.text()?.split(':').next().unwrap_or_default().to_owned();
        if taken.insert(path.clone(), String::new()).is_some() {
            return Err(item.fail(format!("mounts something on {path} again")));
        }
    }
    let volumes = volumes.as_ref().map(|node| node.items()).transpose()?.into_iter().flatten();
    for item in volumes {
        let Some(written) = item.get("target").and_then(|target| target.tree.as_text()) else { continue };
        let path = paths::clean(written);
        if taken.get(&path).is_some_and(|earlier| earlier != written) {
            return Err(item.fail(format!("mounts something on {path} again")));
        }
        taken.insert(path, written.to_owned());
    }
    Ok(())
}

/// An attribute that [`Service`] has no field for.
fn setting(
    node: &Node<'_>,
    name: &str,
    loader: &Loader<'_>,
    unit: &Unit,
) -> Result<Option<Setting>, Failure> {
    // What has no kind was told by the grammar.
    let Some(kind) = attributes::kind(name) else { return Ok(None) };
    let mut tree = BTreeMap::new();
    match name {
        "build" => {
            return deploy::build(node, &|name| loader.variable(&unit.env, name));
        }
        "ulimits" => deploy::ulimits(node, "", &mut tree)?,
        "gpus" => {
            for (at, request) in node.items()?.enumerate() {
                deploy::request(&request, &at.to_string(), &mut tree)?;
            }
        }
        "devices" => {
            let devices: Result<BTreeSet<_>, Failure> = node.items()?.map(|item| device(&item)).collect();
            return Ok(Some(devices?).filter(|devices| !devices.is_empty()).map(Setting::Set));
        }
        "models" => {
            for (name, model) in node.entries()? {
                tree.insert(name.to_owned(), String::new());
                for key in ["endpoint_var", "model_var"] {
                    let variable = model.get(key).map_or(Ok(None), |node| filled(&node))?;
                    tree.extend(variable.map(|variable| (format!("{name}.{key}"), variable)));
                }
            }
        }
        "restart" => {
            let text = node.text()?;
            let (condition, attempts) = text.split_once(':').unwrap_or((text, "0"));
            let attempts =
                attempts.parse().map_err(|_| node.fail("has no number of attempts behind the colon"))?;
            let policy = deploy::policy(condition, attempts);
            return Ok(Some(Setting::Text(policy)).filter(|_| !text.is_empty()));
        }
        "pull_policy" => {
            let policy = match node.text()? {
                "if_not_present" => "missing",
                policy @ ("always" | "never" | "build" | "missing" | "refresh" | "daily" | "weekly") => {
                    policy
                }
                policy if policy.starts_with("every_") => policy,
                _ => return Err(node.fail("is not a policy like always or missing")),
            };
            return Ok(Some(Setting::Text(policy.to_owned())));
        }
        "security_opt" => {
            let setting = value::setting(node, name, kind)?;
            let Some(Setting::Set(options)) = setting else { return Ok(setting) };
            let base = loader.base(&unit.folder);
            let options = options.into_iter().map(|option| match option.strip_prefix("seccomp=") {
                Some(file) if !matches!(file, "unconfined" | "builtin") => {
                    format!("seccomp={}", base.path(file))
                }
                _ => option,
            });
            return Ok(Some(Setting::Set(options.collect())));
        }
        "blkio_config" => {
            for (key, child) in node.plain()? {
                if key == "weight" {
                    let weight = weight(&child)?;
                    tree.extend((weight > 0).then(|| (key.to_owned(), weight.to_string())));
                    continue;
                }
                for (at, limit) in child.items()?.enumerate() {
                    let weight = limit.get("weight").map(|node| weight(&node)).transpose()?;
                    tree.extend(weight.map(|weight| (format!("{key}.{at}.weight"), weight.to_string())));
                    let path = limit.get("path").map(|path| path.scalar()).transpose()?;
                    let rate = limit.get("rate").map(|rate| value::bytes(&rate)).transpose()?;
                    tree.extend(path.map(|path| (format!("{key}.{at}.path"), path)));
                    tree.extend(rate.map(|rate| (format!("{key}.{at}.rate"), rate.to_string())));
                }
            }
        }
        "develop" => hooks::develop(node, &mut tree)?,
        "post_start" | "pre_stop" => {
            for (at, item) in node.items()?.enumerate() {
                hooks::hook(&item, &at.to_string(), &mut tree)?;
            }
        }
        "cpu_percent" => {
            let percent = value::decimal(node)?;
            if !percent.parse().is_ok_and(|percent: u8| percent <= 100) {
                return Err(node.fail("has to be a whole number from 0 to 100"));
            }
            return value::setting(node, name, kind);
        }
        "oom_score_adj" => {
            let score = node.integer()?;
            if !(-1000..=1000).contains(&score) {
                return Err(node.fail("has to be from -1000 to 1000"));
            }
            return value::setting(node, name, kind);
        }
        _ => return value::setting(node, name, kind),
    }
    Ok((!tree.is_empty()).then_some(Setting::Map(tree)))
}

/// A weight; Compose keeps its lowest 16 bits.
fn weight(node: &Node<'_>) -> Result<i64, Failure> {
    Ok(value::count(node)? & 0xffff)
}

/// `SOURCE:TARGET`, with permissions where they are not the usual ones.
fn device(node: &Node<'_>) -> Result<String, Failure> {
    let part = |key| node.get(key).map_or(Ok(None), |node| filled(&node));
    let (Some(source), Some(target)) = (part("source")?, part("target")?) else {
        return Err(node.fail("is not SOURCE:TARGET[:PERMISSIONS]"));
    };
    let permissions = part("permissions")?.filter(|permissions| permissions != "rwm");
    let permissions = permissions.map_or_else(String::new, |permissions| format!(":{permissions}"));
    Ok(format!("{source}:{target}{permissions}"))
}

/// Dependencies that other attributes imply, and attributes that exclude each other.
fn implied(node: &Node<'_>, service: &mut Service) -> Result<(), Failure> {
    let text = |service: &Service, name: &str| match service.settings.get(name) {
        Some(Setting::Text(text)) => Some(text.clone()),
        _ => None,
    };
    let items = |service: &Service, name: &str| match service.settings.get(name) {
        Some(Setting::Set(items)) => items.iter().cloned().collect(),
        _ => Vec::new(),
    };
    let depend = |service: &mut Service, on: &str, restart: bool| {
        let dependency = Dependency { restart, ..Dependency::on("service_started") };
        service.depends_on.entry(on.to_owned()).or_insert(dependency);
    };
    for link in items(service, "links") {
        let other = link.split_once(':').filter(|(_, alias)| !alias.contains(':'));
        depend(service, other.map_or(link.as_str(), |(other, _)| other), true);
    }
    for name in ["network_mode", "ipc", "pid", "uts", "cgroup"] {
        let shared = text(service, name);
        if let Some(other) = shared.as_deref().and_then(|mode| mode.strip_prefix("service:")) {
            depend(service, other, true);
        }
    }
    for volumes in items(service, "volumes_from") {
        if !volumes.starts_with("container:") {
            depend(service, volumes.split(':').next().unwrap_or_default(), false);
        }
    }
    let mode = node.get("network_mode");
    if mode.is_some_and(|mode| mode.tree.as_text() == Some("")) && service.networks.is_empty() {
        // Compose adds no default network to a service with a network mode, even an empty one.
        service.settings.insert("network_mode".to_owned(), Setting::Text("none".to_owned()));
    }
    if service.settings.contains_key("network_mode") && !service.networks.is_empty() {
        return Err(node.fail("has both network_mode and networks"));
    }
    // A service that names no network is in the default one.
    if service.networks.len() == 1 && service.networks.get("default") == Some(&Attachment::default()) {
        service.networks.clear();
    }
    match service.settings.get("scale") {
        Some(Setting::Integer(count)) if *count < 0 => Err(node.fail("scale cannot be negative")),
        Some(Setting::Integer(2..)) if service.container_name.is_some() => {
            Err(node.fail("has a container_name and runs more than once"))
        }
        _ => Ok(()),
    }
}

/// An item of `tmpfs`: `TARGET[:OPTION,…]`.
fn tmpfs(node: &Node<'_>) -> Result<Mount, Failure> {
    let text = node.text()?;
    let (target, options) = text.split_once(':').unwrap_or((text, ""));
    let mut mount = Mount {
        target: value::absolute(node, target)?,
        source: Source::Tmpfs,
        read_only: false,
        options: BTreeMap::new(),
    };
    let mut rest = Vec::new();
    for option in options.split(',').filter(|option| !option.is_empty()) {
        match option.split_once('=') {
            None if option == "rw" => mount.read_only = false,
            None if option == "ro" => mount.read_only = true,
            Some((key, value)) => {
                let number = match key {
                    "size" => value::size(value),
                    "mode" => i64::from_str_radix(value, 8).ok(),
                    _ => None,
                };
                match number {
                    Some(number) => {
                        mount.options.insert(format!("tmpfs.{key}"), number.to_string());
                    }
                    None => rest.push(option),
                }
            }
            None => rest.push(option),
        }
    }
    if !rest.is_empty() {
        rest.sort_unstable();
        mount.options.insert("tmpfs.options".to_owned(), rest.join(","));
    }
    Ok(mount)
}

/// An item of `configs` or `secrets`.
fn grant(node: &Node<'_>, config: bool) -> Result<Mount, Failure> {
    let text = |key| node.get(key).map(|node| node.text().map(str::to_owned)).transpose();
    let name = text("source")?.ok_or_else(|| node.fail("has no source"))?;
    let target = text("target")?.filter(|target| !target.is_empty()).unwrap_or_else(|| name.clone());
    let target = match (target.starts_with('/'), config) {
        (true, _) => target,
        (false, true) => format!("/{target}"),
        (false, false) => format!("/run/secrets/{target}"),
    };
    let mut options = BTreeMap::new();
    for key in ["uid", "gid"] {
        let given = text(key)?.filter(|value| !value.is_empty());
        options.extend(given.map(|value| (key.to_owned(), value)));
    }
    if let Some(mode) = node.get("mode") {
        let bits = match &mode.tree.value {
            Value::Text(text) => i64::from_str_radix(text, 8).ok(),
            _ => mode.integer().ok(),
        };
        let bits = bits.filter(|bits| *bits >= 0).ok_or_else(|| mode.fail("is not a mode like 0440"))?;
        options.insert("mode".to_owned(), format!("0{bits:o}"));
    }
    Ok(Mount {
        target: paths::clean(&target),
        source: if config { Source::Config(name) } else { Source::Secret(name) },
        read_only: false,
        options,
    })
}

fn networks(node: &Node<'_>) -> Result<IndexMap<String, Attachment>, Failure> {
    let mut networks = IndexMap::new();
    for (name, node) in node.entries()? {
        let mut attachment = Attachment::default();
        for (key, child) in node.plain()? {
            match key {
                "aliases" => attachment.aliases = child.texts()?.into_iter().collect(),
                "priority" | "gw_priority" => {
                    attachment.options.insert(key.to_owned(), child.integer()?.to_string());
                }
                _ => value::leaves(&child, key, &mut attachment.options)?,
            }
        }
        // What is not set, and what is set to the engine's default.
        attachment.options.retain(|key, value| {
            !(value.is_empty() || (value == "0" && matches!(key.as_str(), "priority" | "gw_priority")))
        });
        networks.insert(name.to_owned(), attachment);
    }
    Ok(networks)
}

fn extra_hosts(node: &Node<'_>) -> Result<IndexMap<String, Vec<String>>, Failure> {
    let mut hosts = IndexMap::new();
    for (host, node) in node.entries()? {
        if host.is_empty() || host.contains([':', '=']) {
            return Err(node.fail(format!("{host:?} is not the name of a host")));
        }
        let mut addresses: Vec<String> = node
            .texts()?
            .into_iter()
            .map(|text| match text.strip_prefix('[').and_then(|text| text.strip_suffix(']')) {
                Some(inner) => inner.to_owned(),
                None => text,
            })
            .collect();
        addresses.sort_unstable();
        addresses.dedup();
        if !addresses.is_empty() {
            hosts.insert(host.to_owned(), addresses);
        }
    }
    Ok(hosts)
}

fn depends_on(node: &Node<'_>) -> Result<IndexMap<String, Dependency>, Failure> {
    let mut dependencies = IndexMap::new();
    for (name, node) in node.entries()? {
        let truth = |key: &str, default| node.get(key).map_or(Ok(default), |node| node.boolean());
        let condition = node.get("condition").map(|node| node.text().map(str::to_owned)).transpose()?;
        let dependency = Dependency {
            condition: condition.unwrap_or_else(|| "service_started".to_owned()),
            restart: truth("restart", false)?,
            required: truth("required", true)?,
        };
        dependencies.insert(name.to_owned(), dependency);
    }
    Ok(dependencies)
}

fn healthcheck(node: &Node<'_>) -> Result<Healthcheck, Failure> {
    let mut health = Healthcheck::default();
    for (key, child) in node.plain()? {
        match key {
            "test" => health.test = health.test.or(probe(&child)?),
            "disable" if child.boolean()? => health.test = Some(Probe::Disabled),
            "interval" => health.interval = Some(value::duration(&child)?),
            "timeout" => health.timeout = Some(value::duration(&child)?),
            "start_period" => health.start_period = Some(value::duration(&child)?),
            "start_interval" => health.start_interval = Some(value::duration(&child)?),
            "retries" => {
                let count = u64::try_from(child.integer()?);
                health.retries = Some(count.map_err(|_| child.fail("cannot be negative"))?);
            }
            _ => {}
        }
    }
    Ok(health)
}

fn probe(node: &Node<'_>) -> Result<Option<Probe>, Failure> {
    if let Some(line) = node.tree.as_text() {
        return Ok(Some(Probe::Shell(line.to_owned())));
    }
    let words = node.texts()?;
    Ok(match words.split_first() {
        None => None,
        Some((kind, _)) if kind == "NONE" => Some(Probe::Disabled),
        Some((kind, rest)) if kind == "CMD" => Some(Probe::Exec(rest.to_vec())),
        Some((kind, [line])) if kind == "CMD-SHELL" => Some(Probe::Shell(line.clone())),
        _ => return Err(node.fail("has to begin with NONE, CMD or CMD-SHELL, the last with one line")),
    })
}
