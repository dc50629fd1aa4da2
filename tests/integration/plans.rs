//! Any valid plan: a generator that covers every field, and what holds for each plan that it makes.

use std::collections::BTreeSet;
use std::fmt;

use bottle_migrate::compose::read_text;
use bottle_model::compose::Compose;
use bottle_model::images::Images;
use bottle_model::plan::{self, Plan};
use proptest::collection::vec;
use proptest::option;
use proptest::prelude::*;
use proptest::strategy::ValueTree;
use proptest::test_runner::{Config, RngSeed, TestCaseError, TestRunner};
use serde_json::{Map, Value, json};

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

/// As many plans as there are cases, for tests that do not shrink.
pub(crate) fn samples() -> Vec<Value> {
    let config = config();
    let cases = config.cases;
    let mut runner = TestRunner::new(config);
    let strategy = plan();
    (0..cases).map(|_| strategy.new_tree(&mut runner).unwrap().current()).collect()
}

/// The samples whose bundle is free of conflicts, by a name for messages.
pub(crate) fn rendering_samples() -> Vec<(String, Plan)> {
    samples()
        .into_iter()
        .map(|plan| plan::read(&plan.to_string()).unwrap())
        .filter(|plan| bottle_bundle::render(plan, &Images::default()).is_ok())
        .enumerate()
        .map(|(at, plan)| (format!("generated plan {at}"), plan))
        .collect()
}

/// Any valid plan, as JSON; about one in twenty asks for what one container cannot give.
pub(crate) fn plan() -> BoxedStrategy<Value> {
    let top = object(vec![
        required("schema", Just(json!("bottle-migrate/plan/1"))),
        required("slug", text("[a-z0-9][a-z0-9-]{0,20}")),
        optional("chain", one_of(&["pipelock-first", "egress-first"])),
        optional("isolation", one_of(&["require", "best-effort", "off"])),
        optional(
            "networks",
            object(vec![
                optional("internal", text("in-[a-z0-9_.]{1,8}")),
                optional("external", text("out-[a-z0-9_.]{1,8}")),
            ]),
        ),
    ]);
    let daemons = (
        option::weighted(0.7, block("egress", 1, egress())),
        block("pipelock", 2, pipelock()),
        option::weighted(0.7, block("git-gate", 3, git_gate())),
        option::weighted(0.7, block("supervise", 4, supervise())),
    );
    let dissent = option::weighted(0.05, (0..4usize, house()));
    (top, block("agent", 0, agent()), daemons, house(), dissent)
        .prop_map(|(top, agent, (egress, pipelock, git_gate, supervise), house, dissent)| {
            let mut plan = top;
            plan["agent"] = agent;
            let mut daemons: Vec<(&str, Value)> = vec![("pipelock", pipelock)];
            daemons.extend(egress.map(|block| ("egress", block)));
            daemons.extend(git_gate.map(|block| ("git-gate", block)));
            daemons.extend(supervise.map(|block| ("supervise", block)));
            for (_, block) in &mut daemons {
                merge(block, &house);
            }
            if let Some((which, other)) = dissent {
                let which = which % daemons.len();
                merge(&mut daemons[which].1, &other);
            }
            for (name, block) in daemons {
                plan[name] = block;
            }
            if plan.get("egress").is_none() {
                plan.as_object_mut().unwrap().remove("chain");
            }
            plan
        })
        .boxed()
}

/// What the daemons of one container have to agree on.
fn house() -> BoxedStrategy<Value> {
    object(vec![
        optional("dns", list(one_of(&["192.0.2.53", "2001:db8::53"]), 1..3)),
        optional("restart", one_of(&["no", "always", "on-failure", "on-failure:3", "unless-stopped"])),
    ])
}

/// A block: its own fields, and what every block has. `number` keeps the host ports of blocks apart.
fn block(
    name: &'static str,
    number: u16,
    own: Vec<(&'static str, BoxedStrategy<Option<Value>>)>,
) -> BoxedStrategy<Value> {
    let mut fields = own;
    fields.extend([
        optional("environment", environment(name)),
        optional(
            "volumes",
            slots(["/opt/data", "/var/cache/x", "/srv/we$rd na:me"].map(|path| volume(name, path))),
        ),
        optional("ports", ports(number)),
        optional("extra_hosts", choice(&[("forge.internal", "192.0.2.10"), ("six.internal", "2001:db8::6")])),
        optional("limits", limits()),
        optional("cap_add", slots(["NET_ADMIN", "SYS_PTRACE"].map(constant))),
        optional("cap_drop", slots(["ALL", "NET_RAW"].map(constant))),
        optional("security_opt", slots(["no-new-privileges:true", "seccomp=unconfined"].map(constant))),
        optional("read_only", any::<bool>().prop_map(Value::Bool)),
        optional("devices", slots(["/dev/fuse:/dev/fuse", "/dev/net/tun:/dev/net/tun:rw"].map(constant))),
        optional("sysctls", choice(&[("net.core.somaxconn", "1024"), ("net.ipv4.ip_forward", "0")])),
        optional("labels", choice(&[("team", "research"), ("org.example/cost", "a$b \"c\"")])),
    ]);
    if name == "agent" {
        fields.push(optional("dns", list(one_of(&["192.0.2.53"]), 1..2)));
        fields.push(optional("restart", one_of(&["no", "always"])));
    }
    object(fields)
}

fn agent() -> Vec<(&'static str, BoxedStrategy<Option<Value>>)> {
    vec![
        required("image", text("[a-z]{1,8}(/[a-z]{1,8})?(:[a-z0-9.]{1,6})?")),
        optional("entrypoint", list(line(), 0..3)),
        optional("command", list(line(), 0..3)),
        optional("user", one_of(&["root", "0", "1000:1000", "agent"])),
        optional("working_dir", path("/work")),
        optional("tty", any::<bool>().prop_map(Value::Bool)),
        optional("stdin_open", any::<bool>().prop_map(Value::Bool)),
    ]
}

fn pipelock() -> Vec<(&'static str, BoxedStrategy<Option<Value>>)> {
    vec![
        required("config", path("/srv/pipelock")),
        required("ca_cert", path("/srv/pipelock")),
        required("ca_key", path("/srv/pipelock")),
    ]
}

fn egress() -> Vec<(&'static str, BoxedStrategy<Option<Value>>)> {
    vec![
        required("routes", path("/srv/egress")),
        required("ca_dir", path("/srv/egress")),
        optional("upstream_ca", path("/srv/egress")),
        optional("tokens", slots(["EGRESS_TOKEN_0", "EGRESS_TOKEN_1", "EGRESS_TOKEN_12"].map(constant))),
    ]
}

fn git_gate() -> Vec<(&'static str, BoxedStrategy<Option<Value>>)> {
    let file = |name| optional(name, path("/srv/git-gate/creds"));
    vec![
        required("entrypoint", path("/srv/git-gate")),
        required("pre_receive", path("/srv/git-gate")),
        required("access_hook", path("/srv/git-gate")),
        optional(
            "credentials",
            object(vec![file("id_ed25519"), file("known_hosts"), file("forge@example.org")]),
        ),
    ]
}

fn supervise() -> Vec<(&'static str, BoxedStrategy<Option<Value>>)> {
    vec![required("queue", path("/srv/supervise"))]
}

fn environment(block: &'static str) -> BoxedStrategy<Value> {
    let value = || {
        prop_oneof![
            1 => Just(Value::Null),
            3 => line(),
            1 => one_of(&["", "yes", "~", "1e3", "007", "$HOME", "${X:-y}", "$$", "a: b # c", "http://supervise:9100/mcp"]),
        ]
    };
    let names: &[&str] = if block == "agent" {
        &["HTTP_PROXY", "NO_PROXY", "MCP_SUPERVISE_URL", "HOME", "A", "_b"]
    } else {
        &["HTTPS_PROXY", "SSL_CERT_FILE", "LOG_LEVEL", "HOME", "USER", "A", "_b"]
    };
    object(names.iter().map(|name| optional(name, value())).collect())
}

fn volume(block: &'static str, target: &'static str) -> BoxedStrategy<Option<Value>> {
    let target = if block == "agent" { target.to_owned() } else { format!("{target}/{block}") };
    let volume = object(vec![
        required("source", path("/srv/extra")),
        required("target", Just(Value::from(target))),
        optional("read_only", any::<bool>().prop_map(Value::Bool)),
    ]);
    option::weighted(0.4, volume).boxed()
}

fn ports(number: u16) -> BoxedStrategy<Value> {
    slots([0u16, 1].map(|at| {
        let port = object(vec![
            required("target", Just(json!(7000 + 10 * number + at))),
            optional("published", (1u16..90).prop_map(move |n| json!(20_000 + 1000 * number + 100 * at + n))),
        ]);
        option::weighted(0.5, port).boxed()
    }))
}

fn limits() -> BoxedStrategy<Value> {
    object(vec![
        optional("memory", prop_oneof![(6_291_456i64..1 << 34), Just(1 << 40)].prop_map(Value::from)),
        optional("milli_cpus", (1u32..=64_000).prop_map(Value::from)),
        optional("pids", (1i64..=4096).prop_map(Value::from)),
    ])
}

/// A host path below `root`, sometimes one that YAML, Compose or a shell would trip over.
fn path(root: &'static str) -> BoxedStrategy<Value> {
    let odd = prop::sample::select(vec!["we$rd", "${X}", "a b", "a:b", "#1", "ü.txt", "'q'", "x\\y", "-"]);
    prop_oneof![4 => "[a-z0-9]{1,6}(\\.[a-z]{1,3})?", 1 => odd.prop_map(str::to_owned)]
        .prop_map(move |last| Value::from(format!("{root}/{last}")))
        .boxed()
}

fn line() -> BoxedStrategy<Value> {
    prop_oneof![3 => "[a-z0-9./-]{0,10}", 1 => "[ -~\t]{0,16}", 1 => "\\PC{0,4}"]
        .prop_map(Value::from)
        .boxed()
}

fn text(pattern: &'static str) -> BoxedStrategy<Value> {
    pattern.prop_map(Value::from).boxed()
}

fn one_of(texts: &[&'static str]) -> BoxedStrategy<Value> {
    prop::sample::select(texts.to_vec()).prop_map(Value::from).boxed()
}

fn constant(text: &'static str) -> BoxedStrategy<Option<Value>> {
    option::weighted(0.5, Just(Value::from(text))).boxed()
}

fn list(item: BoxedStrategy<Value>, count: std::ops::Range<usize>) -> BoxedStrategy<Value> {
    vec(item, count).prop_map(Value::Array).boxed()
}

/// A list in which each slot is filled or not.
fn slots(slots: impl IntoIterator<Item = BoxedStrategy<Option<Value>>>) -> BoxedStrategy<Value> {
    let slots: Vec<_> = slots.into_iter().collect();
    slots.prop_map(|items| Value::Array(items.into_iter().flatten().collect())).boxed()
}

/// A map from some of the keys to their values.
fn choice(pairs: &[(&'static str, &'static str)]) -> BoxedStrategy<Value> {
    object(pairs.iter().map(|(key, value)| optional(key, Just(Value::from(*value)))).collect())
}

fn required(
    name: &'static str,
    value: impl Strategy<Value = Value> + 'static,
) -> (&'static str, BoxedStrategy<Option<Value>>) {
    (name, value.prop_map(Some).boxed())
}

fn optional(
    name: &'static str,
    value: impl Strategy<Value = Value> + 'static,
) -> (&'static str, BoxedStrategy<Option<Value>>) {
    (name, option::weighted(0.3, value).boxed())
}

fn object(fields: Vec<(&'static str, BoxedStrategy<Option<Value>>)>) -> BoxedStrategy<Value> {
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

fn merge(into: &mut Value, from: &Value) {
    for (name, value) in from.as_object().unwrap() {
        into[name.as_str()] = value.clone();
    }
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

fn shapes(plan: &Plan) -> Vec<Compose> {
    let images = Images::default();
    let legacy = bottle_legacy::render(plan, &images);
    std::iter::once(legacy).chain(bottle_bundle::render(plan, &images)).collect()
}

#[test]
fn generated_plans_satisfy_the_schema() {
    let schema = jsonschema::validator_for(&plan::schema()).unwrap();
    check(|json, _| {
        let errors: Vec<String> = schema.iter_errors(json).map(|error| error.to_string()).collect();
        prop_assert!(errors.is_empty(), "{errors:?}");
        Ok(())
    });
}

#[test]
fn generated_plans_render_the_same_each_time_and_read_back() {
    check(|_, plan| {
        for (compose, again) in shapes(plan).into_iter().zip(shapes(plan)) {
            let yaml = compose.to_yaml();
            prop_assert_eq!(&yaml, &again.to_yaml());
            let read = read_text(&yaml, &|_| None).map_err(|error| TestCaseError::fail(error.to_string()))?;
            prop_assert!(read.unmodelled.is_empty() && read.unresolved.is_empty());
            prop_assert_eq!(read.compose, compose);
        }
        Ok(())
    });
}

#[test]
fn most_generated_plans_are_free_of_conflicts() {
    let cases = samples().len();
    assert!(rendering_samples().len() * 10 > cases * 9);
}

/// Collects the places of a schema's properties and named values that a plan uses.
fn used(schema: &Value, node: &Value, value: &Value, places: &mut BTreeSet<String>) {
    let node = resolved(schema, node);
    for branch in ["anyOf", "oneOf", "allOf"].iter().filter_map(|key| node.get(*key)).flat_map(branches) {
        used(schema, branch, value, places);
    }
    match value {
        Value::Object(map) => {
            for (key, value) in map {
                if let Some(property) = node.pointer(&format!("/properties/{key}")) {
                    places.insert(format!("{} {key}", identity(node)));
                    used(schema, property, value, places);
                } else if let Some(property) = node.get("additionalProperties") {
                    used(schema, property, value, places);
                }
            }
        }
        Value::Array(items) => {
            for item in items {
                used(schema, &node["items"], item, places);
            }
        }
        value => {
            let named = node.get("enum").into_iter().flat_map(branches).chain(node.get("const"));
            places.extend(named.filter(|name| *name == value).map(|name| format!("value {name}")));
        }
    }
}

/// Collects every place that [`used`] can find.
fn known(node: &Value, places: &mut BTreeSet<String>) {
    match node {
        Value::Object(map) => {
            if let Some(Value::Object(properties)) = map.get("properties") {
                places.extend(properties.keys().map(|key| format!("{} {key}", identity(node))));
            }
            let named = node.get("enum").into_iter().flat_map(branches).chain(node.get("const"));
            places.extend(named.map(|name| format!("value {name}")));
            map.values().for_each(|child| known(child, places));
        }
        Value::Array(items) => items.iter().for_each(|child| known(child, places)),
        _ => {}
    }
}

/// Two objects of a schema with the same properties are one.
fn identity(node: &Value) -> String {
    let properties = node["properties"].as_object().unwrap();
    properties.keys().map(String::as_str).collect::<Vec<_>>().join(",")
}

fn branches(list: &Value) -> &[Value] {
    list.as_array().map_or(&[], Vec::as_slice)
}

fn resolved<'a>(schema: &'a Value, node: &'a Value) -> &'a Value {
    match node.get("$ref").and_then(Value::as_str) {
        Some(reference) => resolved(schema, schema.pointer(reference.trim_start_matches('#')).unwrap()),
        None => node,
    }
}

#[test]
fn the_generator_uses_every_field_and_every_named_value_of_the_schema() {
    let schema = plan::schema();
    let (mut every, mut seen) = (BTreeSet::new(), BTreeSet::new());
    known(&schema, &mut every);
    for plan in samples() {
        used(&schema, &schema, &plan, &mut seen);
    }
    assert!(every.len() > 50, "the walk finds the schema's fields");
    let missing: Vec<&String> = every.difference(&seen).collect();
    assert!(missing.is_empty(), "never generated: {missing:#?}");
}
