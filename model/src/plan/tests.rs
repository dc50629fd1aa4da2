//! What is wrong with a plan, case by case: the message, and the place that it names.

use serde_json::{Value, json};

use super::read;

/// A plan in which nothing is wrong.
fn good() -> Value {
    json!({
        "schema": "bottle-migrate/plan/1",
        "slug": "demo",
        "agent": { "image": "agent:1" },
        "pipelock": { "config": "/p/pipelock.yaml", "ca_cert": "/p/ca.pem", "ca_key": "/p/key.pem" },
        "egress": { "routes": "/e/routes.yaml", "ca_dir": "/e/mitmproxy" },
        "supervise": { "queue": "/s/queue" },
    })
}

/// Merges as RFC 7396 has it: maps are merged, null takes away, all else replaces.
fn merge(target: &mut Value, change: &Value) {
    let Value::Object(change) = change else {
        *target = change.clone();
        return;
    };
    if !target.is_object() {
        *target = json!({});
    }
    for (key, value) in change {
        if value.is_null() {
            target.as_object_mut().unwrap().remove(key);
        } else {
            merge(&mut target[key], value);
        }
    }
}

/// Checks what is said of the good plan with a change, and that the place is that of the path.
fn check(change: &Value, path: &str, message: &str) {
    let mut plan = good();
    merge(&mut plan, change);
    let text = serde_json::to_string_pretty(&plan).unwrap();
    let error = read(&text).unwrap_err();
    assert_eq!((error.path.as_str(), error.message.as_str()), (path, message));
    let pointer = path.replace('[', ".").replace(']', "");
    let value = pointer.split('.').fold(&plan, |value, step| match step.parse::<usize>() {
        Ok(index) if value.is_array() => &value[index],
        _ => &value[step],
    });
    let first = serde_json::to_string(value).unwrap();
    let first = if value.is_object() || value.is_array() { &first[..1] } else { &first };
    let line = text.lines().nth(error.line - 1).unwrap();
    let shown: String = line.chars().skip(error.column - 1).collect();
    assert!(shown.starts_with(first), "{path} is not at {}:{}: {line}", error.line, error.column);
}

/// The same, in a block.
fn check_agent(change: &Value, path: &str, message: &str) {
    check(&json!({ "agent": change }), &format!("agent.{path}"), message);
}

#[test]
fn the_good_plan_is_good() {
    read(&good().to_string()).unwrap();
}

#[test]
fn the_blocks_have_to_fit_together() {
    check(&json!({ "chain": "egress-first", "egress": null }), "chain", "egress-first needs an egress block");
    check(
        &json!({ "egress": { "tokens": ["EGRESS_TOKEN_0", "EGRESS_TOKEN_X"] } }),
        "egress.tokens[1]",
        "EGRESS_TOKEN_X is not EGRESS_TOKEN_<number>",
    );
    let published = json!([{ "target": 80, "published": 8080 }]);
    check(
        &json!({ "agent": { "ports": published }, "egress": { "ports": published } }),
        "egress.ports[0]",
        "agent publishes on 127.0.0.1:8080/tcp already",
    );
    let everywhere = json!([{ "target": 80, "published": 8080, "host_ip": "0.0.0.0" }]);
    check(
        &json!({ "agent": { "ports": published }, "egress": { "ports": everywhere } }),
        "egress.ports[0]",
        "agent publishes on 0.0.0.0:8080/tcp already",
    );
}

#[test]
fn volumes_are_declared_and_mounted() {
    let data = json!([{ "source": "data", "target": "/data" }]);
    check_agent(&json!({ "volumes": data }), "volumes[0].source", "the plan has no volume data");
    check(&json!({ "volumes": { "data": {} } }), "volumes.data", "no block mounts the volume");
    check(
        &json!({ "agent": { "volumes": data }, "volumes": { "data": { "external": true, "driver": "local" } } }),
        "volumes.data",
        "a volume that exists already has its driver, options and labels",
    );
    let near = json!({ "agent": { "volumes": data }, "volumes": { "date": {} } });
    let mut plan = good();
    merge(&mut plan, &near);
    assert_eq!(read(&plan.to_string()).unwrap_err().hint.as_deref(), Some("did you mean date?"));
}

#[test]
fn networks_are_what_they_are_for() {
    let networks = |internal: Value, external: Value| json!({ "networks": { "internal": internal, "external": external } });
    check(
        &networks(json!({ "name": "one" }), json!({ "name": "one" })),
        "networks",
        "internal and external have the same name",
    );
    check(
        &networks(json!({ "external": true }), json!({})),
        "networks.internal.external",
        "the internal network is the boundary, and of a network that exists already nothing says that it is internal",
    );
    check(
        &networks(json!({}), json!({ "external": true, "driver": "bridge" })),
        "networks.external",
        "a network that exists already has its driver, options, subnets and labels",
    );
    let subnets = |subnets: Value| networks(json!({ "subnets": subnets }), json!({}));
    check(
        &subnets(json!([{ "subnet": "10.1.0.0/24", "gateway": "10.2.0.1" }])),
        "networks.internal.subnets[0].gateway",
        "10.2.0.1 lies outside of 10.1.0.0/24",
    );
    check(
        &subnets(json!([{ "subnet": "10.1.0.0/24", "ip_range": "10.1.0.0/16" }])),
        "networks.internal.subnets[0].ip_range",
        "10.1.0.0/16 lies outside of 10.1.0.0/24",
    );
    check(
        &subnets(json!([{ "subnet": "10.1.0.0/24" }, { "subnet": "10.1.0.0/24" }])),
        "networks.internal.subnets[1]",
        "the subnet is listed twice",
    );
    check(
        &subnets(json!([{ "subnet": "fd00::/64" }])),
        "networks.internal.subnets[0]",
        "an IPv6 subnet needs enable_ipv6",
    );
}

#[test]
fn addresses_lie_in_their_network_and_are_one_containers() {
    let at = |agent: &str, pipelock: &str| {
        json!({
            "networks": { "internal": { "subnets": [{ "subnet": "10.1.0.0/24", "gateway": "10.1.0.1" }] } },
            "agent": { "networks": { "internal": { "ipv4_address": agent } } },
            "pipelock": { "networks": { "internal": { "ipv4_address": pipelock } } },
        })
    };
    let agent = "agent.networks.internal.ipv4_address";
    check(&at("10.2.0.2", "10.1.0.3"), agent, "10.2.0.2 lies in no subnet of the internal network");
    check(&at("fd00::2", "10.1.0.3"), agent, "fd00::2 is of the other family");
    check(&at("10.1.0.1", "10.1.0.3"), agent, "10.1.0.1 is the address of the gateway already");
    let pipelock = "pipelock.networks.internal.ipv4_address";
    check(&at("10.1.0.2", "10.1.0.2"), pipelock, "10.1.0.2 is the address of agent already");
    for block in ["agent", "supervise"] {
        check(
            &json!({ block: { "networks": { "external": { "aliases": ["x"] } } } }),
            &format!("{block}.networks.external"),
            &format!("{block} is not on the external network"),
        );
    }
}

#[test]
fn a_block_does_not_contradict_itself() {
    check_agent(
        &json!({ "ulimits": { "nofile": { "soft": 2, "hard": 1 } } }),
        "ulimits.nofile",
        "soft is above hard",
    );
    check_agent(
        &json!({ "ulimits": { "nofile": { "soft": -1, "hard": 1 } } }),
        "ulimits.nofile",
        "soft is above hard",
    );
    check_agent(
        &json!({ "cap_add": ["NET_ADMIN"], "cap_drop": ["NET_ADMIN"] }),
        "cap_drop",
        "NET_ADMIN is both added and dropped",
    );
    check_agent(
        &json!({ "security_opt": ["seccomp=unconfined", "seccomp=/x.json"] }),
        "security_opt[1]",
        "the option is listed twice",
    );
    check_agent(
        &json!({ "devices": [{ "source": "/dev/null", "target": "/dev/x" }, { "source": "/dev/x" }] }),
        "devices[1]",
        "there is a device at /dev/x already",
    );
    check_agent(
        &json!({ "ports": [{ "target": 80 }, { "target": 80 }] }),
        "ports[1]",
        "the port is listed twice",
    );
    let limits = |limits: Value, attribute: &str, message: &str| {
        check_agent(&json!({ "limits": limits }), &format!("limits.{attribute}"), message);
    };
    limits(
        json!({ "memory": 8_388_608, "memory_reservation": 9_437_184 }),
        "memory_reservation",
        "it is above memory",
    );
    limits(json!({ "memory_swap": 8_388_608 }), "memory_swap", "it needs memory");
    limits(
        json!({ "memory": 9_437_184, "memory_swap": 8_388_608 }),
        "memory_swap",
        "it counts memory and swap together, and is below memory",
    );
}

#[test]
fn variables_are_the_blocks_own() {
    let variable = |name: &str, message: &str| {
        check_agent(&json!({ "environment": { name: "x" } }), &format!("environment.{name}"), message);
    };
    variable("BOT_BOTTLE_SIDECAR_DAEMONS", "the handshake's variables are the renderer's to set");
    variable("EGRESS_TOKEN_0", "tokens belong into egress.tokens");
    variable("GIT_GATE__PATH", "a name of this form addresses a daemon of the bundle");
}

#[test]
fn a_target_has_one_mount() {
    let volume = |target: &str| json!({ "source": "/x", "target": target });
    check_agent(
        &json!({ "volumes": [volume("/a"), volume("/a")] }),
        "volumes[1].target",
        "something is mounted on /a already",
    );
    check_agent(
        &json!({ "volumes": [volume("/a")], "tmpfs": [{ "target": "/a" }] }),
        "tmpfs[0].target",
        "something is mounted on /a already",
    );
    check(
        &json!({ "pipelock": { "volumes": [volume("/etc/pipelock/pipelock.yaml")] } }),
        "pipelock.volumes[0].target",
        "something is mounted on /etc/pipelock/pipelock.yaml already",
    );
}

#[test]
fn names_of_principals_mean_principals() {
    check_agent(
        &json!({ "extra_hosts": { "pipelock": "10.0.0.1" } }),
        "extra_hosts.pipelock",
        "the name is a principal's",
    );
    check_agent(
        &json!({ "networks": { "internal": { "aliases": ["a", "sidecars"] } } }),
        "networks.internal.aliases[1]",
        "the name is a principal's",
    );
}

#[test]
fn what_no_type_takes_is_named_with_its_nearest_neighbour() {
    let mut plan = good();
    plan["agent"]["enviroment"] = json!({});
    let error = read(&plan.to_string()).unwrap_err();
    assert_eq!(error.to_string(), "agent.enviroment: unknown field `enviroment`");
    assert_eq!(error.hint.as_deref(), Some("did you mean environment?"));
    let mut plan = good();
    plan["supervise"]["zzz"] = json!({});
    let error = read(&plan.to_string()).unwrap_err();
    assert!(error.message.starts_with("unknown field `zzz`, expected one of `queue`, "), "{error}");
    assert_eq!((error.path.as_str(), error.hint), ("supervise.zzz", None));
}
