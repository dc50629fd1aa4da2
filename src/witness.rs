//! Holds what the renderers make of a plan to the plan itself.
//!
//! The two shapes of a plan are compared with each other, so what both renderers read wrongly in the same way would show
//! nowhere. This module knows the ports and files of the four daemons in literals, and uses the plan's fields alone:
//! nothing that the plan derives from them.

use std::collections::{BTreeMap, BTreeSet};

use bottle_model::compose::{EnvValue, Source};
use bottle_model::daemon::{Chain, Isolation};
use bottle_model::plan::{Common, HostName, Network, Place, Plan, Slug};

use crate::finding::{Finding, Shown};
use crate::flag::Shape;
use crate::rule::rules;
use crate::view::{Endpoint, Principal, Reach, View};

rules! {
    comparison:
    DISREGARDED = PlanDisregarded Conservation Error "a rendered shape does not do what the plan asks for"
        "`diff` compares the two shapes of a plan with each other, and each of them with the plan: which daemons run, \
         the order of the proxies, the walls, the credentials, networks, addresses and standard files. A renderer that \
         forgets one of these in both shapes would otherwise show no difference.\n\n\
         Example: the plan has `\"isolation\": \"require\"`, and `sidecars` has no \
         `BOT_BOTTLE_SIDECAR_ISOLATION`, so that the daemons share a container without walls.\n\n\
         What to do: this is a fault of a renderer and not of the plan. Report it, with the plan.";
}

/// A block of the plan: its principal, its port, and what every block has.
type Block<'a> = (&'static str, u16, Common<'a>);

/// Compares the view of one rendered shape with the plan.
#[must_use]
pub fn check(plan: &Plan, view: &View<'_>, shape: Shape) -> Vec<Finding> {
    let mut daemons: Vec<Block<'_>> = vec![("pipelock", 8888, plan.pipelock.common())];
    daemons.extend(plan.egress.as_ref().map(|block| ("egress", 9099, block.common())));
    daemons.extend(plan.git_gate.as_ref().map(|block| ("git-gate", 9418, block.common())));
    daemons.extend(plan.supervise.as_ref().map(|block| ("supervise", 9100, block.common())));
    let mut witness = Witness { plan, view, shape, daemons, findings: Vec::new() };
    witness.principals();
    witness.walls();
    witness.chain();
    witness.tokens();
    witness.networks();
    witness.places();
    witness.files();
    witness.ports();
    witness.findings
}

struct Witness<'a, 'v> {
    plan: &'a Plan,
    view: &'v View<'v>,
    shape: Shape,
    daemons: Vec<Block<'a>>,
    findings: Vec<Finding>,
}

impl<'v> Witness<'_, 'v> {
    fn principal(&self, name: &str) -> Option<&'v Principal<'v>> {
        self.view.principals.get(name)
    }

    /// Reports a fact that the shape has otherwise than the plan.
    fn fact(&mut self, principal: &str, subject: &str, wanted: &str, found: &str) {
        if wanted != found {
            let place = self.principal(principal).map(|principal| format!("services.{}", principal.service));
            let shape = self.shape.name();
            self.findings.push(
                Finding::changed(
                    &DISREGARDED,
                    principal,
                    format!("{shape} {subject}"),
                    Shown::plain(wanted, ""),
                    Shown::plain(found, place.unwrap_or_default()),
                )
                .because(format!("the plan and the {shape} shape differ in {subject}")),
            );
        }
    }

    fn principals(&mut self) {
        let wanted: BTreeSet<&str> = self.daemons.iter().map(|(name, ..)| *name).chain(["agent"]).collect();
        let found: BTreeSet<&str> = self.view.principals.keys().copied().collect();
        self.fact("", "principals", &listed(&wanted), &listed(&found));
    }

    fn walls(&mut self) {
        let wanted = match (self.shape, self.plan.isolation) {
            (Shape::Legacy, _) => "a container of its own",
            (Shape::Bundle, Isolation::Require) => "require",
            (Shape::Bundle, Isolation::BestEffort) => "best-effort",
            (Shape::Bundle, Isolation::Off) => "off",
        };
        for (name, ..) in self.daemons.clone() {
            let walls = self.principal(name).and_then(|principal| principal.walls.as_deref());
            // What undoes walls is judged where it shows.
            let found =
                walls.map_or("a container of its own", |walls| walls.split(',').next().unwrap_or(walls));
            self.fact(name, "walls", wanted, found);
        }
    }

    /// The agent talks to the first proxy and cannot reach the one behind it.
    fn chain(&mut self) {
        let chain = self.plan.egress.as_ref().map(|_| self.plan.chain);
        let (first, hop) = match chain {
            None => (("pipelock", 8888), None),
            Some(Chain::PipelockFirst) => (("pipelock", 8888), Some(("egress", 9099))),
            Some(Chain::EgressFirst) => (("egress", 9099), Some(("pipelock", 8888))),
        };
        let Some(agent) = self.principal("agent") else { return };
        for variable in ["HTTP_PROXY", "HTTPS_PROXY"] {
            if self.plan.agent.environment.keys().any(|name| name.as_str() == variable) {
                continue;
            }
            let word = agent.environment.get(variable).and_then(|variable| variable.word.as_ref());
            let found = word.map_or_else(|| "nothing".to_owned(), crate::view::Word::leads);
            self.fact("agent", variable, &format!("leads to {} at port {}", first.0, first.1), &found);
        }
        let reach = |(principal, port): (&'static str, u16)| {
            let reach = agent.reach.get(&Endpoint { principal, port }).copied();
            if reach == Some(Reach::Open) { "open" } else { "out of reach" }
        };
        self.fact("agent", "first proxy", "open", reach(first));
        if let Some(hop) = hop {
            self.fact("agent", "hop", "out of reach", reach(hop));
        }
        let argv = self.principal("egress").map(|egress| egress.argv.iter().map(|word| &*word.raw).collect());
        if let Some(argv) = argv {
            let argv: Vec<&str> = argv;
            let mode = argv.iter().position(|word| *word == "--mode").and_then(|at| argv.get(at + 1));
            let wanted = match chain {
                Some(Chain::EgressFirst) => "upstream:http://pipelock:8888",
                _ => "regular",
            };
            self.fact("egress", "mode", wanted, mode.unwrap_or(&"none"));
        }
    }

    /// Credentials come from outside, and to egress alone.
    fn tokens(&mut self) {
        const PREFIX: &str = "EGRESS_TOKEN_";
        let agent = ("agent", 0, self.plan.agent.common());
        for (name, _, common) in self.daemons.clone().into_iter().chain([agent]) {
            let own = common.environment.keys().map(|name| name.as_str().to_owned());
            let mut wanted: BTreeSet<String> = own.filter(|name| name.starts_with(PREFIX)).collect();
            if let Some(egress) = self.plan.egress.as_ref().filter(|_| name == "egress") {
                wanted.extend(egress.tokens.iter().map(|token| token.as_str().to_owned()));
            }
            let Some(principal) = self.principal(name) else { continue };
            let held = principal.environment.iter().filter(|(name, _)| name.starts_with(PREFIX));
            let found: BTreeSet<String> = held
                .map(|(name, variable)| match variable.value {
                    EnvValue::Inherit => (*name).to_owned(),
                    EnvValue::Literal(_) => format!("{name} with a value of its own"),
                })
                .collect();
            self.fact(name, "credentials", &listed(&wanted), &listed(&found));
        }
    }

    fn names(&self) -> [String; 2] {
        let slug = &self.plan.slug;
        let prefix = self.plan.prefix.as_ref().map_or("bot-bottle", Slug::as_str);
        [(&self.plan.networks.internal, "internal"), (&self.plan.networks.external, "egress")].map(
            |(network, kind)| match &network.name {
                Some(name) => name.as_str().to_owned(),
                None => format!("{prefix}-{kind}-{slug}"),
            },
        )
    }

    fn networks(&mut self) {
        let [internal, external] = self.names();
        let networks =
            [(internal, &self.plan.networks.internal, true), (external, &self.plan.networks.external, false)];
        let declared: BTreeSet<&str> = networks.iter().map(|(name, ..)| name.as_str()).collect();
        let found: BTreeSet<&str> = self.view.networks.keys().map(|name| &**name).collect();
        let (declared, found) = (listed(&declared), listed(&found));
        self.fact("", "networks", &declared, &found);
        for (name, network, internal) in networks {
            let Some(view) = self.view.networks.get(&*name) else { continue };
            let text = |internal: bool, external: bool, settings: &BTreeMap<String, String>| {
                format!("internal={internal} external={external} {settings:?}")
            };
            let wanted = text(internal, network.external, &settings(network));
            let found = text(view.internal, view.external, view.settings);
            self.fact("", &format!("network {name}"), &wanted, &found);
        }
    }

    /// Networks, addresses and further names of each principal.
    fn places(&mut self) {
        let [internal, external] = self.names();
        let agent = ("agent", 0, self.plan.agent.common());
        let bundle = self.shape == Shape::Bundle;
        for (name, _, common) in self.daemons.clone().into_iter().chain([agent]) {
            let Some(principal) = self.principal(name) else { continue };
            let merged = bundle && name != "agent";
            let outside = merged || !matches!(name, "agent" | "supervise");
            let mut wanted = BTreeSet::from([internal.as_str()]);
            wanted.extend(outside.then_some(external.as_str()));
            let found: BTreeSet<&str> = principal.networks.keys().map(|name| &**name).collect();
            self.fact(name, "networks", &listed(&wanted), &listed(&found));
            for (network, inside) in [(&internal, true), (&external, false)] {
                let Some(options) = principal.networks.get(&**network) else { continue };
                let place = |common: &Common<'_>| -> BTreeMap<String, String> {
                    addresses(if inside { &common.networks.internal } else { &common.networks.external })
                };
                // One container has the addresses of all of its daemons.
                let wanted: BTreeMap<String, String> = if merged {
                    self.daemons.iter().flat_map(|(_, _, common)| place(common)).collect()
                } else {
                    place(&common)
                };
                let (wanted, found) = (format!("{wanted:?}"), format!("{options:?}"));
                self.fact(name, &format!("addresses in {network}"), &wanted, &found);
                let place = if inside { &common.networks.internal } else { &common.networks.external };
                let names = principal.names.get(&**network);
                let lacking: BTreeSet<&str> = place
                    .aliases
                    .iter()
                    .map(HostName::as_str)
                    .filter(|alias| !names.is_some_and(|names| names.contains(*alias)))
                    .collect();
                self.fact(name, &format!("names missing in {network}"), "", &listed(&lacking));
            }
        }
    }

    /// The files that each daemon works with.
    fn files(&mut self) {
        let plan = self.plan;
        let mut files: Vec<(&str, String, &str, bool)> = vec![
            ("pipelock", "/etc/pipelock/pipelock.yaml".to_owned(), plan.pipelock.config.as_str(), true),
            ("pipelock", "/etc/pipelock/ca.pem".to_owned(), plan.pipelock.ca_cert.as_str(), true),
            ("pipelock", "/etc/pipelock/ca-key.pem".to_owned(), plan.pipelock.ca_key.as_str(), true),
        ];
        if let Some(egress) = &plan.egress {
            files.push(("egress", "/etc/egress/routes.yaml".to_owned(), egress.routes.as_str(), true));
            files.push(("egress", "/home/mitmproxy/.mitmproxy".to_owned(), egress.ca_dir.as_str(), false));
            let ca = egress.upstream_ca.as_ref();
            files
                .extend(ca.map(|ca| ("egress", "/etc/egress/upstream-ca.pem".to_owned(), ca.as_str(), true)));
        }
        if let Some(gate) = &plan.git_gate {
            for (target, source) in [
                ("/git-gate-entrypoint.sh", &gate.entrypoint),
                ("/etc/git-gate/pre-receive", &gate.pre_receive),
                ("/etc/git-gate/access-hook", &gate.access_hook),
            ] {
                files.push(("git-gate", target.to_owned(), source.as_str(), true));
            }
            for (name, path) in gate.credentials.iter() {
                files.push(("git-gate", format!("/git-gate/creds/{name}"), path.as_str(), true));
            }
        }
        if let Some(supervise) = &plan.supervise {
            files.push(("supervise", "/run/supervise/queue".to_owned(), supervise.queue.as_str(), false));
        }
        for (name, target, source, read_only) in files {
            let Some(principal) = self.principal(name) else { continue };
            let mode = |read_only| if read_only { "read-only" } else { "writable" };
            let wanted = format!("{source}, {}", mode(read_only));
            let found = principal.mounts.at(&target).map(|mount| match &*mount.source {
                Source::Bind(path) => format!("{path}, {}", mode(mount.read_only)),
                other => format!("{other:?}"),
            });
            let found = found.collect::<Vec<_>>().join(" and ");
            self.fact(name, &target, &wanted, if found.is_empty() { "nothing" } else { &found });
        }
    }

    /// A daemon whose block says nothing of ports is published on the host's loopback, the hop aside.
    fn ports(&mut self) {
        let hop = self.plan.egress.as_ref().map(|_| match self.plan.chain {
            Chain::PipelockFirst => "egress",
            Chain::EgressFirst => "pipelock",
        });
        for (name, port, common) in self.daemons.clone() {
            let Some(principal) = self.principal(name).filter(|_| common.ports.is_none()) else { continue };
            let wanted = if hop == Some(name) { String::new() } else { format!("127.0.0.1 any {port}/tcp") };
            let found = principal.ports.iter().map(|port| {
                let published = port.published.unwrap_or("any");
                format!("{} {published} {}/{}", port.host_ip, port.target, port.protocol)
            });
            // Ports of neighbours that do not listen are listed for every principal.
            let own = found.filter(|found| found.ends_with(&format!(" {port}/tcp")));
            let found = own.collect::<Vec<_>>().join(", ");
            self.fact(name, "published port", &wanted, &found);
        }
    }
}

fn listed<T: AsRef<str>>(names: &BTreeSet<T>) -> String {
    names.iter().map(AsRef::as_ref).collect::<Vec<_>>().join(", ")
}

fn addresses(place: &Place) -> BTreeMap<String, String> {
    let four = place.ipv4_address.iter().map(|address| ("ipv4_address".to_owned(), address.to_string()));
    let six = place.ipv6_address.iter().map(|address| ("ipv6_address".to_owned(), address.to_string()));
    four.chain(six).collect()
}

fn settings(network: &Network) -> BTreeMap<String, String> {
    let mut settings = BTreeMap::new();
    let mut set = |name: String, value: String| settings.insert(name, value);
    // Without one, the engine takes this driver.
    if let Some(driver) = network.driver.as_ref().filter(|driver| driver.as_str() != "bridge") {
        set("driver".to_owned(), driver.to_string());
    }
    for (name, value) in network.driver_opts.iter() {
        set(format!("driver_opts.{name}"), value.to_string());
    }
    for (name, value) in network.labels.iter() {
        set(format!("labels.{name}"), value.to_string());
    }
    if network.enable_ipv6 {
        set("enable_ipv6".to_owned(), "true".to_owned());
    }
    for (at, subnet) in network.subnets.iter().enumerate() {
        set(format!("ipam.config.{at}.subnet"), subnet.subnet.to_string());
        if let Some(range) = &subnet.ip_range {
            set(format!("ipam.config.{at}.ip_range"), range.to_string());
        }
        if let Some(gateway) = &subnet.gateway {
            set(format!("ipam.config.{at}.gateway"), gateway.to_string());
        }
    }
    settings
}
