//! Published ports: both syntaxes, ranges expanded.

use std::collections::BTreeMap;
use std::net::IpAddr;

use bottle_model::compose::Port;

use super::budget::Budget;
use super::tree::{Failure, Mark, Node, Value};

/// Reads an entry of `ports`; what it publishes goes to `ports`, each with the place where it stands.
pub(super) fn read(
    node: &Node<'_>,
    budget: &mut Budget,
    ports: &mut Vec<(Port, Mark)>,
) -> Result<(), Failure> {
    let mut port = Port {
        target: 0,
        protocol: "tcp".to_owned(),
        host_ip: None,
        published: None,
        options: BTreeMap::new(),
    };
    let target = match &node.tree.value {
        Value::Map(_) => long(node, &mut port)?,
        _ => short(node, &mut port)?,
    };
    port.protocol.make_ascii_lowercase();
    if !matches!(port.protocol.as_str(), "tcp" | "udp" | "sctp") {
        return Err(node.fail(format!("{:?} is not a protocol", port.protocol)));
    }
    let (first, last) = range(node, &target)?;
    if first == 0 {
        return Err(node.fail("0 is not a port from 1 to 65535"));
    }
    let published = port.published.take().map(|text| range(node, &text)).transpose()?;
    let span = |(start, end): (u16, u16)| end - start;
    if first != last && published.is_some_and(|published| span(published) != last - first) {
        return Err(node.fail("the ranges of host and container differ in length"));
    }
    budget.spend(usize::from(last - first) + 1, 0, node.tree.mark)?;
    for target in first..=last {
        let published = published.and_then(|(start, end)| match (first == last && start != end, start) {
            (true, _) => Some(format!("{start}-{end}")),
            // The engine chooses.
            (false, 0) => None,
            (false, start) => Some((start + (target - first)).to_string()),
        });
        ports.push((Port { target, published, ..port.clone() }, node.tree.mark));
    }
    Ok(())
}

/// Of several ports with one address, host port, container port and protocol the last counts, whatever it is called;
/// a missing address is `0.0.0.0`.
pub(super) fn distinct(ports: Vec<(Port, Mark)>) -> Vec<(Port, Mark)> {
    let mut kept: BTreeMap<_, (Port, Mark)> = BTreeMap::new();
    for (port, mark) in ports {
        let address = port.host_ip.clone().unwrap_or_else(|| "0.0.0.0".to_owned());
        let identity = (address, port.published.clone(), port.target, port.protocol.clone());
        kept.insert(identity, (port, mark));
    }
    let mut ports: Vec<_> = kept.into_values().collect();
    ports.sort_by(|(one, _), (other, _)| one.cmp(other));
    ports
}

/// `{target: 80, published: 8080, …}`; returns the target.
fn long(node: &Node<'_>, port: &mut Port) -> Result<String, Failure> {
    let mut target = None;
    for (key, child) in node.plain()? {
        let text = child.scalar()?;
        match key {
            "target" => target = Some(child.integer()?.to_string()),
            "published" => port.published = Some(text).filter(|text| !text.is_empty()),
            "host_ip" => port.host_ip = Some(address(&child, &text)?),
            "protocol" => port.protocol = text,
            "mode" if text == "ingress" => {}
            _ if text.is_empty() => {}
            _ => {
                port.options.insert(key.to_owned(), text);
            }
        }
    }
    target.ok_or_else(|| node.fail("has no target"))
}

/// `[[IP:]PUBLISHED:]TARGET[/PROTOCOL]`; returns the target.
fn short(node: &Node<'_>, port: &mut Port) -> Result<String, Failure> {
    let text = node.scalar()?;
    let (host, container) = match text.rsplit_once(':') {
        None => (None, text.as_str()),
        Some((host, container)) => (Some(host), container),
    };
    let (target, protocol) = container.split_once('/').unwrap_or((container, ""));
    if !protocol.is_empty() {
        protocol.clone_into(&mut port.protocol);
    }
    if let Some(host) = host {
        let (ip, published) = host.rsplit_once(':').map_or((None, host), |(ip, port)| (Some(ip), port));
        let ip = ip.map(|ip| ip.strip_prefix('[').and_then(|ip| ip.strip_suffix(']')).unwrap_or(ip));
        port.host_ip = ip.filter(|ip| !ip.is_empty()).map(|ip| address(node, ip)).transpose()?;
        port.published = Some(published.to_owned()).filter(|text| !text.is_empty());
    }
    Ok(target.to_owned())
}

fn address(node: &Node<'_>, text: &str) -> Result<String, Failure> {
    let address: IpAddr = text.parse().map_err(|_| node.fail(format!("{text:?} is not an IP address")))?;
    Ok(address.to_string())
}

fn range(node: &Node<'_>, text: &str) -> Result<(u16, u16), Failure> {
    let number = |text: &str| {
        let digits = !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_digit());
        let number = text.parse::<u16>().ok().filter(|_| digits);
        number.ok_or_else(|| node.fail(format!("{text:?} is not a port from 1 to 65535")))
    };
    let (start, end) = text.split_once('-').unwrap_or((text, text));
    let (start, end) = (number(start)?, number(end)?);
    if start <= end { Ok((start, end)) } else { Err(node.fail(format!("{text:?} runs backwards"))) }
}
