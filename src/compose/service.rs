//! A service, from whatever syntax it was written in.

use std::collections::BTreeMap;

use bottle_model::compose::{
    Attachment, Dependency, EnvValue, Healthcheck, Mount, Port, Probe, Service, Source, attributes,
};
use serde_yaml::Value;

use super::node::{Failure, Node};
use super::value;

/// Whether a service is off because it belongs to a profile.
pub(super) fn profiled(node: &Node<'_>) -> Result<bool, Failure> {
    let entries = node.map()?;
    let profiles = entries.iter().find(|(key, _)| key == "profiles");
    profiles.map_or(Ok(false), |(_, node)| Ok(!node.list()?.is_empty()))
}

/// Reads a service; places of what is not modelled go to `unmodelled`.
pub(super) fn read(node: &Node<'_>, unmodelled: &mut Vec<String>) -> Result<Service, Failure> {
    let mut service = Service::default();
    for (key, node) in node.map()? {
        match key.as_str() {
            "image" => service.image = Some(node.text()?),
            "container_name" => service.container_name = Some(node.text()?),
            "hostname" => service.hostname = Some(node.text()?),
            "user" => service.user = Some(node.text()?),
            "working_dir" => service.working_dir = Some(node.text()?),
            "entrypoint" => service.entrypoint = value::words(&node)?,
            "command" => service.command = value::words(&node)?,
            "environment" => {
                for (name, value) in value::pairs(&node)? {
                    service.environment.insert(name, value.map_or(EnvValue::Inherit, EnvValue::Literal));
                }
            }
            "volumes" => {
                for item in node.list()? {
                    service.mounts.push(volume(&item)?);
                }
            }
            "tmpfs" => {
                for item in value::list(&node)? {
                    let (target, options) = item.split_once(':').unwrap_or((item.as_str(), ""));
                    let options =
                        (!options.is_empty()).then(|| ("tmpfs.options".to_owned(), options.to_owned()));
                    service.mounts.push(Mount {
                        target: absolute(&node, target)?,
                        source: Source::Tmpfs,
                        read_only: false,
                        options: options.into_iter().collect(),
                    });
                }
            }
            "configs" | "secrets" => {
                for item in node.list()? {
                    service.mounts.push(grant(&item, key == "configs")?);
                }
            }
            "ports" => {
                for item in node.list()? {
                    ports(&item, &mut service.ports)?;
                }
            }
            "networks" => service.networks = networks(&node)?,
            "extra_hosts" => extra_hosts(&node, &mut service)?,
            "depends_on" => depends_on(&node, &mut service)?,
            "healthcheck" => service.healthcheck = Some(healthcheck(&node)?),
            "labels" => {
                for (name, value) in value::pairs(&node)? {
                    service.labels.insert(name, value.unwrap_or_default());
                }
            }
            "profiles" => {}
            other if other.starts_with("x-") => {}
            other => match attributes::kind(other) {
                Some(_) if node.is_null() => {}
                Some(kind) => {
                    let value = value::setting(&node, other, kind)?;
                    service.settings.insert(other.to_owned(), value);
                }
                None => unmodelled.push(node.place.clone()),
            },
        }
    }
    Ok(service)
}

fn absolute(node: &Node<'_>, path: &str) -> Result<String, Failure> {
    if path.starts_with('/') {
        Ok(value::normalised(path))
    } else {
        Err(node.fail(format!("{path:?} is not an absolute path")))
    }
}

/// A source of a bind mount: absolute ones are normalised, others are kept relative to the file.
fn host_path(path: &str) -> String {
    if path.starts_with('/') { value::normalised(path) } else { path.trim_end_matches('/').to_owned() }
}

fn volume(node: &Node<'_>) -> Result<Mount, Failure> {
    if let Value::String(text) = node.value {
        let mut parts: Vec<&str> = text.split(':').collect();
        let mode = if parts.len() > 2 { parts.pop() } else { None };
        let (source, target) = match parts.as_slice() {
            [target] => (Source::Anonymous, *target),
            [source, target] if source.starts_with(['/', '.', '~']) => {
                (Source::Bind(host_path(source)), *target)
            }
            [source, target] => (Source::Volume((*source).to_owned()), *target),
            _ => return Err(node.fail("is not SOURCE:TARGET[:MODE]")),
        };
        let mut mount =
            Mount { target: absolute(node, target)?, source, read_only: false, options: BTreeMap::new() };
        for flag in mode.into_iter().flat_map(|mode| mode.split(',')) {
            match flag {
                "ro" => mount.read_only = true,
                "rw" => {}
                "nocopy" => {
                    mount.options.insert("volume.nocopy".to_owned(), "true".to_owned());
                }
                "z" | "Z" => {
                    mount.options.insert("bind.selinux".to_owned(), flag.to_owned());
                }
                flag if flag.trim_start_matches('r').ends_with("shared")
                    || flag.contains("private")
                    || flag.contains("slave") =>
                {
                    mount.options.insert("bind.propagation".to_owned(), flag.to_owned());
                }
                _ => return Err(node.fail(format!("{flag:?} is not a mode of a mount"))),
            }
        }
        return Ok(mount);
    }
    let (mut kind, mut source, mut target) = (String::new(), None, None);
    let mut mount = Mount {
        target: String::new(),
        source: Source::Anonymous,
        read_only: false,
        options: BTreeMap::new(),
    };
    for (key, child) in node.map()? {
        match key.as_str() {
            "type" => kind = child.text()?,
            "source" | "src" => source = Some(child.text()?),
            "target" | "dst" | "destination" => target = Some(child.text()?),
            "read_only" | "readonly" => mount.read_only = child.boolean()?,
            other if other.starts_with("x-") => {}
            other => value::leaves(&child, other, &mut mount.options)?,
        }
    }
    // The default of a bind; false is what makes a difference.
    if mount.options.get("bind.create_host_path").is_some_and(|value| value == "true") {
        mount.options.remove("bind.create_host_path");
    }
    mount.target = absolute(node, &target.ok_or_else(|| node.fail("has no target"))?)?;
    let named = source.clone().ok_or_else(|| node.fail("has no source"));
    mount.source = match kind.as_str() {
        "bind" => Source::Bind(host_path(&named?)),
        "volume" => source.map_or(Source::Anonymous, Source::Volume),
        "tmpfs" => Source::Tmpfs,
        "image" => Source::Image(named?),
        "npipe" | "cluster" => Source::Other(kind, named?),
        other => return Err(node.fail(format!("{other:?} is not a type of mount"))),
    };
    Ok(mount)
}

fn grant(node: &Node<'_>, config: bool) -> Result<Mount, Failure> {
    let mut mount =
        Mount { target: String::new(), source: Source::Tmpfs, read_only: true, options: BTreeMap::new() };
    let (mut name, mut target) = (String::new(), None);
    if let Value::String(text) = node.value {
        name.clone_from(text);
    } else {
        for (key, child) in node.map()? {
            match key.as_str() {
                "source" => name = child.text()?,
                "target" => target = Some(child.text()?),
                "uid" | "gid" | "mode" => {
                    mount.options.insert(key, child.text()?);
                }
                _ => return Err(child.fail("is not known here")),
            }
        }
    }
    let target = target.unwrap_or_else(|| name.clone());
    mount.target = match (target.starts_with('/'), config) {
        (true, _) => value::normalised(&target),
        (false, true) => format!("/{target}"),
        (false, false) => format!("/run/secrets/{target}"),
    };
    mount.source = if config { Source::Config(name) } else { Source::Secret(name) };
    Ok(mount)
}

fn ports(node: &Node<'_>, ports: &mut Vec<Port>) -> Result<(), Failure> {
    let number = |text: &str| match text.parse::<u16>() {
        Ok(port @ 1..) => Ok(port),
        _ => Err(node.fail(format!("{text:?} is not a port from 1 to 65535"))),
    };
    let range = |text: &str| -> Result<(u16, u16), Failure> {
        let (start, end) = text.split_once('-').unwrap_or((text, text));
        let (start, end) = (number(start)?, number(end)?);
        if start <= end { Ok((start, end)) } else { Err(node.fail(format!("{text:?} runs backwards"))) }
    };
    let mut port = Port {
        target: 0,
        protocol: "tcp".to_owned(),
        host_ip: None,
        published: None,
        options: BTreeMap::new(),
    };
    let target;
    if let Value::Mapping(_) = node.value {
        let mut given = None;
        for (key, child) in node.map()? {
            match key.as_str() {
                "target" => given = Some(child.text()?),
                "published" => port.published = Some(child.text()?).filter(|text| !text.is_empty()),
                "host_ip" => port.host_ip = Some(child.text()?),
                "protocol" => port.protocol = child.text()?,
                "mode" => {
                    let mode = child.text()?;
                    if mode != "ingress" {
                        port.options.insert(key, mode);
                    }
                }
                "name" | "app_protocol" => {
                    port.options.insert(key, child.text()?);
                }
                other if other.starts_with("x-") => {}
                _ => return Err(child.fail("is not known here")),
            }
        }
        target = given.ok_or_else(|| node.fail("has no target"))?;
        if let Some(published) = &port.published {
            range(published)?;
        }
    } else {
        let text = node.text()?;
        let (rest, protocol) = text.split_once('/').unwrap_or((text.as_str(), "tcp"));
        protocol.clone_into(&mut port.protocol);
        let (host, container) = match rest.rsplit_once(':') {
            None => (None, rest),
            Some((host, container)) => (Some(host), container),
        };
        if let Some(host) = host {
            let (ip, published) = match host.rsplit_once(':') {
                None => (None, host),
                Some((ip, published)) => (Some(ip.trim_matches(['[', ']'])), published),
            };
            port.host_ip = ip.filter(|ip| !ip.is_empty()).map(str::to_owned);
            port.published = Some(published.to_owned()).filter(|text| !text.is_empty());
        }
        target = container.to_owned();
    }
    if !matches!(port.protocol.as_str(), "tcp" | "udp" | "sctp") {
        return Err(node.fail(format!("{:?} is not a protocol", port.protocol)));
    }
    if let Some(ip) = &port.host_ip
        && ip.parse::<std::net::IpAddr>().is_err()
    {
        return Err(node.fail(format!("{ip:?} is not an IP address")));
    }
    let (first, last) = range(&target)?;
    let published = port.published.as_deref().map(range).transpose()?;
    for number in first..=last {
        let host = match published {
            Some((start, end)) if end - start == last - first => Some((start + (number - first)).to_string()),
            _ => port.published.clone(),
        };
        ports.push(Port { target: number, published: host, ..port.clone() });
    }
    Ok(())
}

fn networks(node: &Node<'_>) -> Result<indexmap::IndexMap<String, Attachment>, Failure> {
    if let Value::Sequence(_) = node.value {
        return Ok(node.texts()?.into_iter().map(|name| (name, Attachment::default())).collect());
    }
    node.map()?
        .into_iter()
        .map(|(name, node)| {
            let mut attachment = Attachment::default();
            for (key, child) in node.map()? {
                if key == "aliases" {
                    attachment.aliases = child.texts()?.into_iter().collect();
                } else if !key.starts_with("x-") {
                    value::leaves(&child, &key, &mut attachment.options)?;
                }
            }
            Ok((name, attachment))
        })
        .collect()
}

fn extra_hosts(node: &Node<'_>, service: &mut Service) -> Result<(), Failure> {
    let mut add = |name: &str, address: &str| {
        let address = address.trim_matches(['[', ']']).to_owned();
        service.extra_hosts.entry(name.to_owned()).or_default().push(address);
    };
    if let Value::Sequence(_) = node.value {
        for item in node.list()? {
            let text = item.text()?;
            let (name, address) = text
                .split_once('=')
                .or_else(|| text.split_once(':'))
                .ok_or_else(|| item.fail("is not HOST=ADDRESS"))?;
            add(name, address);
        }
        return Ok(());
    }
    for (name, child) in node.map()? {
        for address in value::list(&child).or_else(|_| child.text().map(|text| vec![text]))? {
            add(&name, &address);
        }
    }
    Ok(())
}

fn depends_on(node: &Node<'_>, service: &mut Service) -> Result<(), Failure> {
    if let Value::Sequence(_) = node.value {
        for name in node.texts()? {
            service.depends_on.insert(name, Dependency::on("service_started"));
        }
        return Ok(());
    }
    for (name, child) in node.map()? {
        let mut dependency = Dependency::on("service_started");
        for (key, value) in child.map()? {
            match key.as_str() {
                "condition" => dependency.condition = value.text()?,
                "restart" => dependency.restart = value.boolean()?,
                "required" => dependency.required = value.boolean()?,
                _ => return Err(value.fail("is not known here")),
            }
        }
        service.depends_on.insert(name, dependency);
    }
    Ok(())
}

fn healthcheck(node: &Node<'_>) -> Result<Healthcheck, Failure> {
    let mut health = Healthcheck::default();
    for (key, child) in node.map()? {
        match key.as_str() {
            "test" => {
                let words = if let Value::String(text) = child.value {
                    vec!["CMD-SHELL".to_owned(), text.clone()]
                } else {
                    child.texts()?
                };
                health.test = Some(match words.split_first() {
                    Some((kind, [])) if kind == "NONE" => Probe::Disabled,
                    Some((kind, rest)) if kind == "CMD" => Probe::Exec(rest.to_vec()),
                    Some((kind, [line])) if kind == "CMD-SHELL" => Probe::Shell(line.clone()),
                    _ => return Err(child.fail("has to begin with NONE, CMD or CMD-SHELL")),
                });
            }
            "disable" => {
                if child.boolean()? {
                    health.test = Some(Probe::Disabled);
                }
            }
            "interval" => health.interval = Some(value::duration(&child)?),
            "timeout" => health.timeout = Some(value::duration(&child)?),
            "start_period" => health.start_period = Some(value::duration(&child)?),
            "start_interval" => health.start_interval = Some(value::duration(&child)?),
            "retries" => {
                let count = child.integer()?;
                health.retries = Some(u64::try_from(count).map_err(|_| child.fail("cannot be negative"))?);
            }
            other if other.starts_with("x-") => {}
            _ => return Err(child.fail("is not known here")),
        }
    }
    Ok(health)
}
