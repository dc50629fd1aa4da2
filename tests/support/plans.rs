//! A generator of valid plans that uses every field of the format.
//!
//! Plans are generated as JSON, field by field, so that a failing one shrinks to the fields that matter.

use std::fmt;

use bottle_model::images::Images;
use bottle_model::plan::{self, Plan};
use proptest::collection::vec;
use proptest::option;
use proptest::prelude::*;
use proptest::sample::select;
use proptest::strategy::ValueTree;
use proptest::test_runner::{Config, RngSeed, TestCaseError, TestRunner};
use serde_json::{Map, Value, json};

use crate::plan_parts::{health, limits, logging, networks, path, ports, security, tmpfs, ulimits, volumes};

/// A field of an object: its name, and its value where it is present.
pub(crate) type Field = (&'static str, BoxedStrategy<Option<Value>>);

/// 200 cases with a fixed seed, unless `PROPTEST_CASES` and `PROPTEST_RNG_SEED` say otherwise.
pub(crate) fn config() -> Config {
    let given = Config::default();
    let set = |variable| std::env::var_os(variable).is_some();
    Config {
        cases: if set("PROPTEST_CASES") { given.cases } else { 200 },
        rng_seed: if set("PROPTEST_RNG_SEED") { given.rng_seed } else { RngSeed::Fixed(24) },
        failure_persistence: None,
        ..given
    }
}

/// A number of plans, for tests that do not shrink.
pub(crate) fn samples(count: u32) -> Vec<Value> {
    let mut runner = TestRunner::new(config());
    let strategy = plan();
    (0..count).map(|_| strategy.new_tree(&mut runner).unwrap().current()).collect()
}

/// As many plans as there are cases, each free of conflicts, by a name for messages.
pub(crate) fn rendering_samples() -> Vec<(String, Plan)> {
    let mut runner = TestRunner::new(config());
    let strategy = plan();
    let renders = |plan: &Plan| bottle_bundle::render(plan, &Images::default()).is_ok();
    let plans = std::iter::repeat_with(|| {
        let json = strategy.new_tree(&mut runner).unwrap().current();
        plan::read(&json.to_string()).unwrap()
    });
    let named = plans.filter(renders).enumerate().map(|(at, plan)| (format!("generated plan {at}"), plan));
    named.take(config().cases as usize).collect()
}

/// A plan that a failing test prints as JSON, ready to be tried.
struct Shown(Value);

impl fmt::Debug for Shown {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}", self.0)
    }
}

/// Runs a check on generated plans, shrinking the first that fails.
pub(crate) fn check(check: impl Fn(&Value, &Plan) -> Result<(), TestCaseError>) {
    let result = TestRunner::new(config()).run(&plan().prop_map(Shown), |Shown(json)| {
        let plan = plan::read(&json.to_string()).map_err(|error| TestCaseError::fail(error.to_string()))?;
        check(&json, &plan)
    });
    if let Err(error) = result {
        panic!("{error}");
    }
}

/// Any valid plan, as JSON; about one in twenty asks for what one container cannot give.
pub(crate) fn plan() -> BoxedStrategy<Value> {
    let top = object(vec![
        required("schema", Just(json!("bottle-migrate/plan/1"))),
        required("slug", text("[a-z0-9][a-z0-9-]{0,20}")),
        rare("prefix", one_of(&["claude-bottle", "bot-bottle", "x"])),
        optional("chain", one_of(&["pipelock-first", "egress-first"])),
        optional("isolation", one_of(&["require", "best-effort", "off"])),
        optional("networks", networks()),
        optional("volumes", volumes()),
    ]);
    let daemons = (
        block("pipelock", 1, pipelock()),
        option::weighted(0.7, block("egress", 2, egress())),
        option::weighted(0.7, block("git-gate", 3, git_gate())),
        option::weighted(0.7, block("supervise", 4, supervise())),
    );
    let dissent = option::weighted(0.05, (0..4usize, house()));
    (top, block("agent", 0, agent()), daemons, house(), dissent)
        .prop_map(|(top, agent, (pipelock, egress, git_gate, supervise), house, dissent)| {
            let mut plan = top;
            plan["agent"] = agent;
            let optional = [("egress", egress), ("git-gate", git_gate), ("supervise", supervise)];
            let present = optional.into_iter().filter_map(|(name, block)| Some((name, block?)));
            let mut daemons: Vec<(&str, Value)> =
                [("pipelock", pipelock)].into_iter().chain(present).collect();
            for (name, block) in &mut daemons {
                merge(block, &house);
                plan[*name] = block.clone();
            }
            match dissent {
                Some((which, other)) => merge(&mut plan[daemons[which % daemons.len()].0], &other),
                None => settle(&mut plan),
            }
            complete(&mut plan);
            plan
        })
        .boxed()
}

/// What the daemons of one container have to agree on.
fn house() -> BoxedStrategy<Value> {
    let memory = (1i64 << 26..1 << 36, option::of(0i64..1 << 36)).prop_map(|(memory, swap)| match swap {
        Some(swap) => json!({ "memory": memory, "memory_swap": memory + swap }),
        None => json!({ "memory": memory }),
    });
    let cpuset = object(vec![optional("cpuset", one_of(&["0", "0-3", "0,2-3"]))]);
    let together = (memory, cpuset).prop_map(|(mut memory, cpuset)| {
        merge(&mut memory, &cpuset);
        memory
    });
    object(vec![
        rare("dns", distinct(one_of(&["192.0.2.53", "2001:db8::53"]), 1..3)),
        rare("dns_search", distinct(one_of(&["internal", "example.org"]), 1..3)),
        rare("dns_opt", distinct(one_of(&["ndots:2", "use-vc"]), 1..3)),
        rare("restart", one_of(&["no", "always", "on-failure", "on-failure:3", "unless-stopped"])),
        rare("logging", logging()),
        rare("health", health()),
        rare("runtime", one_of(&["runsc", "runc"])),
        rare("platform", one_of(&["linux/amd64", "linux/arm64/v8"])),
        rare("oom_score_adj", (-1000i64..=1000).prop_map(Value::from)),
        rare("ulimits", ulimits()),
        rare("limits", together),
        rare("tmpfs", distinct(tmpfs("/tmp"), 1..2)),
        rare("security_opt", distinct(one_of(&["apparmor=bottle"]), 1..2)),
    ])
}

/// A block: its own fields, and what every block has. `number` keeps ports and addresses of blocks apart.
fn block(name: &'static str, number: u16, own: Vec<Field>) -> BoxedStrategy<Value> {
    let mut fields = own;
    fields.extend([
        optional("environment", environment(name)),
        optional("volumes", crate::plan_parts::mounts(name)),
        rare("tmpfs", distinct(tmpfs(&format!("/var/cache/{name}")), 1..2)),
        optional("ports", ports(number)),
        optional("extra_hosts", choice(&HOSTS)),
        rare("networks", crate::plan_parts::places(name, number)),
        rare("limits", limits()),
        rare("cap_add", distinct(one_of(&CAPABILITIES[..21]), 1..3)),
        rare("cap_drop", distinct(one_of(&CAPABILITIES[21..]), 1..3)),
        rare("security_opt", security()),
        rare("read_only", any::<bool>().prop_map(Value::Bool)),
        rare("devices", crate::plan_parts::devices()),
        rare(
            "sysctls",
            choice(&[
                ("net.core.somaxconn", "1024"),
                ("net.ipv4.ip_forward", "0"),
                ("kernel.sem", "1 2 3 4"),
            ]),
        ),
        rare("labels", choice(&[("team", "research"), ("org.example/cost", "a$b \"c\""), ("on", "true")])),
        rare("annotations", choice(&[("org.example.note", "x: y"), ("run.oci.keep_original_groups", "1")])),
    ]);
    if name == "agent" {
        return (object(fields), option::weighted(0.5, house()))
            .prop_map(|(mut agent, house): (Value, Option<Value>)| {
                if let Some(house) = house {
                    merge(&mut agent, &house);
                }
                agent
            })
            .boxed();
    }
    object(fields)
}

const HOSTS: [(&str, &str); 4] = [
    ("forge.internal", "192.0.2.10"),
    ("six.internal", "2001:db8::6"),
    ("host.docker.internal", "host-gateway"),
    ("here", "127.0.0.1"),
];

/// Those from which the first half is added and the second dropped.
const CAPABILITIES: [&str; 42] = [
    "AUDIT_CONTROL",
    "AUDIT_READ",
    "AUDIT_WRITE",
    "BLOCK_SUSPEND",
    "BPF",
    "CHECKPOINT_RESTORE",
    "CHOWN",
    "DAC_OVERRIDE",
    "DAC_READ_SEARCH",
    "FOWNER",
    "FSETID",
    "IPC_LOCK",
    "IPC_OWNER",
    "KILL",
    "LEASE",
    "LINUX_IMMUTABLE",
    "MAC_ADMIN",
    "MAC_OVERRIDE",
    "MKNOD",
    "NET_ADMIN",
    "NET_BIND_SERVICE",
    "ALL",
    "NET_BROADCAST",
    "NET_RAW",
    "PERFMON",
    "SETFCAP",
    "SETGID",
    "SETPCAP",
    "SETUID",
    "SYSLOG",
    "SYS_ADMIN",
    "SYS_BOOT",
    "SYS_CHROOT",
    "SYS_MODULE",
    "SYS_NICE",
    "SYS_PACCT",
    "SYS_PTRACE",
    "SYS_RAWIO",
    "SYS_RESOURCE",
    "SYS_TIME",
    "SYS_TTY_CONFIG",
    "WAKE_ALARM",
];

fn agent() -> Vec<Field> {
    let signals = ["SIGHUP", "SIGINT", "SIGKILL", "SIGQUIT", "SIGTERM", "SIGUSR1", "SIGUSR2", "SIGWINCH"];
    let flag = || any::<bool>().prop_map(Value::Bool);
    vec![
        required("image", text("[a-z]{1,8}(/[a-z]{1,8})?(:[a-z0-9.]{1,6})?")),
        optional("hostname", text("[a-z]{1,8}-host")),
        optional("entrypoint", vec(line(), 0..3).prop_map(Value::Array)),
        optional("command", vec(line(), 0..3).prop_map(Value::Array)),
        optional("user", one_of(&["root", "0", "1000:1000", "node", "_x:10"])),
        optional("group_add", distinct(one_of(&["docker", "44", "video"]), 0..3)),
        optional("working_dir", Just(Value::from("/work space"))),
        optional("tty", flag()),
        optional("stdin_open", flag()),
        optional("init", flag()),
        optional("stop_signal", one_of(&signals)),
        optional("stop_grace_period", (1i64..=86_400).prop_map(Value::from)),
    ]
}

fn pipelock() -> Vec<Field> {
    ["config", "ca_cert", "ca_key"].map(|file| required(file, path("/srv/pipelock"))).into()
}

fn egress() -> Vec<Field> {
    let tokens = ["EGRESS_TOKEN_0", "EGRESS_TOKEN_1", "EGRESS_TOKEN_12"];
    vec![
        required("routes", path("/srv/egress")),
        required("ca_dir", path("/srv/egress")),
        optional("upstream_ca", path("/srv/egress")),
        optional("tokens", distinct(one_of(&tokens), 0..4)),
    ]
}

fn git_gate() -> Vec<Field> {
    let files = ["id_ed25519", "known_hosts", "forge@example.org"];
    let credentials = files.map(|name| optional(name, path("/srv/git-gate/creds"))).into();
    let mut fields: Vec<Field> =
        ["entrypoint", "pre_receive", "access_hook"].map(|file| required(file, path("/srv/git-gate"))).into();
    fields.push(optional("credentials", object(credentials)));
    fields
}

fn supervise() -> Vec<Field> {
    vec![required("queue", path("/srv/supervise"))]
}

fn environment(block: &str) -> BoxedStrategy<Value> {
    let agent = block == "agent";
    let names: &[&str] = if agent {
        &["HTTP_PROXY", "NO_PROXY", "MCP_SUPERVISE_URL", "HOME", "TZ", "A", "_b"]
    } else {
        &["HTTPS_PROXY", "SSL_CERT_FILE", "LOG_LEVEL", "HOME", "USER", "TZ", "LC_ALL", "PATH", "A", "_b"]
    };
    let value = |name: &str| {
        let own = matches!(name, "HOME" | "USER" | "TZ" | "LC_ALL" | "PATH") && !agent;
        let odd =
            ["", "yes", "~", "1e3", "007", "$HOME", "${X:-y}", "$$", "a: b # c", "http://supervise:9100/mcp"];
        prop_oneof![
            u32::from(!own) => Just(Value::Null),
            3 => line(),
            1 => one_of(&odd),
        ]
    };
    object(names.iter().map(|name| optional(name, value(name))).collect())
}

/// Removes what makes two daemons conflict.
fn settle(plan: &mut Value) {
    let hop = match plan["chain"].as_str() {
        Some("egress-first") if plan.get("egress").is_some() => "pipelock",
        _ => "egress",
    };
    let mut taken: Vec<String> = Vec::new();
    for name in DAEMONS {
        let hides = name == hop && plan.get("egress").is_some();
        let Some(block) = plan.get_mut(name).and_then(Value::as_object_mut) else { continue };
        if hides {
            block.remove("networks");
        }
        let places = block.get_mut("networks").and_then(Value::as_object_mut);
        for (network, place) in places.into_iter().flatten() {
            for address in ["ipv4_address", "ipv6_address"] {
                let place = place.as_object_mut().unwrap();
                let key = format!("{network} {address}");
                if place.contains_key(address) && taken.contains(&key) {
                    place.remove(address);
                } else if place.contains_key(address) {
                    taken.push(key);
                }
            }
        }
    }
}

pub(crate) const DAEMONS: [&str; 4] = ["pipelock", "egress", "git-gate", "supervise"];

/// Makes a plan valid where its parts depend on each other.
fn complete(plan: &mut Value) {
    if plan.get("egress").is_none() {
        plan.as_object_mut().unwrap().remove("chain");
    }
    let mut mounted = Vec::new();
    for name in DAEMONS.into_iter().chain(["agent"]) {
        for network in ["internal", "external"] {
            let attribute = |name| plan.pointer(&format!("/networks/{network}/{name}"));
            let exists = attribute("external") == Some(&Value::Bool(true));
            let subnets = attribute("subnets").map_or_else(String::new, Value::to_string);
            let place =
                plan.pointer_mut(&format!("/{name}/networks/{network}")).and_then(Value::as_object_mut);
            if let Some(place) = place.filter(|_| !exists) {
                place.retain(|key, _| match key.as_str() {
                    "ipv4_address" => subnets.contains("10."),
                    "ipv6_address" => subnets.contains("fd00:"),
                    _ => true,
                });
            }
        }
        let volumes = plan.pointer(&format!("/{name}/volumes")).and_then(Value::as_array);
        let sources = volumes.into_iter().flatten().filter_map(|volume| volume["source"].as_str());
        mounted.extend(sources.filter(|source| !source.starts_with('/')).map(str::to_owned));
    }
    let declared = plan.as_object_mut().unwrap().entry("volumes").or_insert_with(|| json!({}));
    let declared = declared.as_object_mut().unwrap();
    declared.retain(|name, _| mounted.contains(name));
    for name in mounted {
        declared.entry(name).or_insert_with(|| json!({}));
    }
}

pub(crate) fn line() -> BoxedStrategy<Value> {
    prop_oneof![3 => "[a-z0-9./-]{0,10}", 1 => "[ -~\t]{0,16}", 1 => "\\PC{0,4}"]
        .prop_map(Value::from)
        .boxed()
}

pub(crate) fn text(pattern: &'static str) -> BoxedStrategy<Value> {
    pattern.prop_map(Value::from).boxed()
}

pub(crate) fn one_of(texts: &[&'static str]) -> BoxedStrategy<Value> {
    select(texts.to_vec()).prop_map(Value::from).boxed()
}

/// A list without duplicates.
pub(crate) fn distinct(item: BoxedStrategy<Value>, count: std::ops::Range<usize>) -> BoxedStrategy<Value> {
    vec(item, count)
        .prop_map(|items| {
            let first = |at: &usize| !items[..*at].contains(&items[*at]);
            Value::Array((0..items.len()).filter(first).map(|at| items[at].clone()).collect())
        })
        .boxed()
}

/// A list in which each slot is filled or not.
pub(crate) fn slots(slots: Vec<BoxedStrategy<Value>>) -> BoxedStrategy<Value> {
    let slots: Vec<_> = slots.into_iter().map(|slot| option::weighted(0.5, slot)).collect();
    slots.prop_map(|items| Value::Array(items.into_iter().flatten().collect())).boxed()
}

/// A map from some of the keys to their values.
pub(crate) fn choice(pairs: &[(&'static str, &'static str)]) -> BoxedStrategy<Value> {
    object(pairs.iter().map(|(key, value)| optional(key, Just(Value::from(*value)))).collect())
}

pub(crate) fn required(name: &'static str, value: impl Strategy<Value = Value> + 'static) -> Field {
    (name, value.prop_map(Some).boxed())
}

pub(crate) fn optional(name: &'static str, value: impl Strategy<Value = Value> + 'static) -> Field {
    (name, option::weighted(0.4, value).boxed())
}

/// A field that few bottles have.
pub(crate) fn rare(name: &'static str, value: impl Strategy<Value = Value> + 'static) -> Field {
    (name, option::weighted(0.15, value).boxed())
}

pub(crate) fn object(fields: Vec<Field>) -> BoxedStrategy<Value> {
    let (names, values): (Vec<_>, Vec<_>) = fields.into_iter().unzip();
    values
        .prop_map(move |values| {
            let present = names.iter().zip(values);
            let map: Map<String, Value> =
                present.filter_map(|(name, value)| Some(((*name).to_owned(), value?))).collect();
            Value::Object(map)
        })
        .boxed()
}

/// Adds one object to another: lists grow, objects merge, the rest is replaced.
fn merge(into: &mut Value, from: &Value) {
    for (name, value) in from.as_object().unwrap() {
        match (into.get_mut(name), value) {
            (Some(held @ Value::Object(_)), Value::Object(_)) => merge(held, value),
            (Some(Value::Array(held)), Value::Array(more)) => {
                let known = |item: &Value| held.iter().any(|held| held == item || same_target(held, item));
                let fresh: Vec<Value> = more.iter().filter(|item| !known(item)).cloned().collect();
                held.extend(fresh);
            }
            _ => into[name.as_str()] = value.clone(),
        }
    }
}

fn same_target(one: &Value, other: &Value) -> bool {
    one.get("target").is_some_and(|target| Some(target) == other.get("target"))
}
