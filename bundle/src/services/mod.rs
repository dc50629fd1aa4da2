//! Merges services of a compose document: whatever they are, wherever they come from.
//!
//! Each becomes a daemon of one container. What a service says of its process goes into the daemon's row, what it says
//! of its container has to suit all of them: never "last one wins".

mod container;
mod mounts;
mod others;
mod rows;
mod settings;
mod variables;

use std::collections::BTreeSet;
use std::fmt;

use bottle_model::compose::{Compose, Service};
use bottle_model::daemon::{Chain, DaemonRow, Isolation};
use bottle_model::images::INIT;
use indexmap::IndexMap;

/// Path of the daemon table in an image whose init does not have it compiled in.
pub const TABLE: &str = "/etc/sidecar-init/daemons.toml";

/// Which services of a document become one.
#[derive(Clone, Debug)]
pub struct Request<'a> {
    /// The document.
    pub compose: &'a Compose,
    /// Services to merge, each with what is known of its daemon's row, in start order.
    pub daemons: Vec<(&'a str, DaemonRow)>,
    /// Name of the merged service.
    pub name: &'a str,
    /// Its image.
    pub image: String,
    /// Name of its container; `None`: Compose names it.
    pub container_name: Option<String>,
    /// Whether the rows are those that are compiled into sidecar-init.
    pub built_in: bool,
    /// Order of the two built-in proxies.
    pub chain: Chain,
    /// The daemon that listens on loopback alone.
    pub hop: Option<&'a str>,
    /// How far the daemons are kept apart.
    pub isolation: Isolation,
    /// What the project's names begin with, and so those of the handshake's variables.
    pub prefix: &'a str,
    /// Service whose variables shall name the merged service.
    pub agent: Option<&'a str>,
}

/// A document whose services are merged.
#[derive(Clone, Debug)]
pub struct Merged {
    /// The document.
    pub compose: Compose,
    /// The daemon table that its init has to have.
    pub rows: Vec<DaemonRow>,
}

/// What a service asks for.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Claim {
    /// The service.
    pub service: String,
    /// Attribute of the service, with what names the value in it.
    pub place: Vec<String>,
    /// What it asks for, for people.
    pub value: String,
}

/// What one container cannot give to two services.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{what}: {} has {}, {} has {}; {remedy}", first.service, first.value, second.service, second.value)]
pub struct ServiceConflict {
    /// What they cannot share.
    pub what: String,
    /// A service.
    pub first: Claim,
    /// Another, or the rest of the document.
    pub second: Claim,
    /// The way out.
    pub remedy: &'static str,
}

/// A service that becomes a daemon.
struct Member<'a> {
    name: &'a str,
    service: &'a Service,
    row: DaemonRow,
}

impl Member<'_> {
    fn claim(&self, place: &[&str], value: impl fmt::Display) -> Claim {
        Claim {
            service: self.name.to_owned(),
            place: place.iter().map(|part| (*part).to_owned()).collect(),
            value: value.to_string(),
        }
    }
}

/// The members of a merger and what they cannot share.
struct Merger<'a> {
    request: &'a Request<'a>,
    members: Vec<Member<'a>>,
    conflicts: Vec<ServiceConflict>,
}

impl Merger<'_> {
    fn conflict(&mut self, what: impl Into<String>, first: Claim, second: Claim, remedy: &'static str) {
        self.conflicts.push(ServiceConflict { what: what.into(), first, second, remedy });
    }

    fn hides(&self, member: &Member<'_>) -> bool {
        self.request.hop == Some(member.row.name.as_str())
    }
}

/// Merges the services that a request names.
///
/// # Errors
///
/// Everything that one container cannot give to two of them, in the order of the document's attributes.
pub fn merge(request: &Request<'_>) -> Result<Merged, Vec<ServiceConflict>> {
    let members = request.daemons.iter().filter_map(|(name, row)| {
        let service = request.compose.services.get(*name)?;
        Some(Member { name, service, row: row.clone() })
    });
    let mut merger = Merger { request, members: members.collect(), conflicts: Vec::new() };
    let overlays = merger.rows();
    let service = merger.container(overlays);
    let compose = merger.document(service);
    if !merger.conflicts.is_empty() {
        return Err(merger.conflicts);
    }
    Ok(Merged { compose, rows: merger.members.into_iter().map(|member| member.row).collect() })
}

impl Merger<'_> {
    /// The document with the merged service in the place of the first of its daemons.
    fn document(&mut self, merged: Service) -> Compose {
        let gone: BTreeSet<&str> = self.members.iter().map(|member| member.name).collect();
        let mut merged = Some(merged);
        let mut services = IndexMap::new();
        for (name, service) in &self.request.compose.services {
            if gone.contains(name.as_str()) {
                let own = merged.take().map(|merged| (self.request.name.to_owned(), merged));
                services.extend(own);
            } else {
                services.insert(name.clone(), service.clone());
            }
        }
        self.redirect(&mut services);
        Compose { services, ..self.request.compose.clone() }
    }

    fn container(&mut self, overlays: variables::Overlays) -> Service {
        let request = self.request;
        let mut service = Service {
            image: Some(request.image.clone()),
            container_name: request.container_name.clone(),
            hostname: Some(self.hostname()),
            environment: self.environment(overlays),
            mounts: self.mounts(),
            ports: self.ports(),
            networks: self.networks(),
            extra_hosts: self.hosts(),
            depends_on: self.dependencies(),
            healthcheck: Some(self.health()),
            labels: self.labels(),
            settings: self.settings(),
            ..Service::default()
        };
        if !request.built_in {
            service.entrypoint = Some([INIT, "--daemons", TABLE].map(str::to_owned).into());
        }
        service
    }
}
