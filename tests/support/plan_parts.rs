//! Parts of generated plans that have a structure of their own.

use proptest::option;
use proptest::prelude::*;
use proptest::sample::select;
use serde_json::{Value, json};

use crate::plans::{Field, choice, distinct, object, one_of, optional, required, slots, text};

fn flag(name: &'static str) -> Field {
    optional(name, any::<bool>().prop_map(Value::Bool))
}

fn number(name: &'static str, range: std::ops::RangeInclusive<i64>) -> Field {
    let (first, last) = (*range.start(), *range.end());
    optional(name, prop_oneof![8 => range, 1 => Just(first), 1 => Just(last)].prop_map(Value::from))
}

/// A host path below `root`, sometimes one that YAML, Compose or a shell would trip over.
pub(crate) fn path(root: &'static str) -> BoxedStrategy<Value> {
    let odd = select(vec!["we$rd", "${X}", "a b", "a:b", "#1", "ü.txt", "'q'", "x\\y", "-", "~", "*"]);
    prop_oneof![4 => "[a-z0-9]{1,6}(\\.[a-z]{1,3})?", 1 => odd.prop_map(str::to_owned)]
        .prop_map(move |last| Value::from(format!("{root}/{last}")))
        .boxed()
}

pub(crate) fn networks() -> BoxedStrategy<Value> {
    let network = |name: &'static str, number: u8| {
        let four = object(vec![
            required("subnet", Just(json!(format!("10.{number}.0.0/24")))),
            optional("ip_range", Just(json!(format!("10.{number}.0.128/25")))),
            optional("gateway", Just(json!(format!("10.{number}.0.254")))),
        ]);
        let six = object(vec![required("subnet", Just(json!(format!("fd00:{number}::/64"))))]);
        let own = object(vec![
            optional(
                "name",
                text("[A-Za-z0-9][a-z0-9_.-]{0,8}")
                    .prop_map(move |text| json!(format!("{name}-{}", text.as_str().unwrap_or_default()))),
            ),
            optional("driver", one_of(&["bridge", "ipvlan"])),
            optional(
                "driver_opts",
                choice(&[
                    ("com.docker.network.bridge.enable_icc", "false"),
                    ("parent", "eth$0"),
                    ("mtu", "1400"),
                ]),
            ),
            optional("labels", choice(&[("team", "research"), ("org.example.on", "true"), ("1", "1.0")])),
        ]);
        (own, option::weighted(0.5, four), option::weighted(0.3, six), option::weighted(0.2, Just(())))
            .prop_map(move |(own, four, six, exists)| {
                let mut network = own;
                if exists.is_some() && name == "out" {
                    return json!({ "external": true, "name": "already-there" });
                }
                if six.is_some() {
                    network["enable_ipv6"] = json!(true);
                }
                let subnets: Vec<Value> = four.into_iter().chain(six).collect();
                if !subnets.is_empty() {
                    network["subnets"] = json!(subnets);
                }
                network
            })
            .boxed()
    };
    object(vec![optional("internal", network("in", 77)), optional("external", network("out", 78))])
}

/// A block's place in the networks: its number in the pool of addresses.
pub(crate) fn places(block: &'static str, number: u16) -> BoxedStrategy<Value> {
    let place = |network: u8| {
        let alias = one_of(&["bottle.internal", "www", "x_y"]);
        object(vec![
            optional("aliases", distinct(alias, 0..3)),
            optional("ipv4_address", Just(json!(format!("10.{network}.0.{}", 10 + number)))),
            optional("ipv6_address", Just(json!(format!("fd00:{network}::{}", 10 + number)))),
        ])
    };
    let mut fields = vec![optional("internal", place(77))];
    if !matches!(block, "agent" | "supervise") {
        fields.push(optional("external", place(78)));
    }
    object(fields)
}

/// Declarations of named volumes.
pub(crate) fn volumes() -> BoxedStrategy<Value> {
    let volume = prop_oneof![
        4 => object(vec![
            optional("name", text("[A-Za-z0-9][a-z0-9_.-]{0,8}")),
            optional("driver", one_of(&["local", "nfs"])),
            optional("driver_opts", choice(&[("type", "nfs"), ("o", "addr=192.0.2.9,rw"), ("device", ":/$x")])),
            optional("labels", choice(&[("team", "research"), ("org.example.on", "true")])),
        ]),
        1 => object(vec![required("external", Just(json!(true))), optional("name", Just(json!("theirs")))]),
    ];
    object(vec![optional("cache", volume.clone()), optional("mirror", volume)])
}

/// What a block mounts.
pub(crate) fn mounts(block: &'static str) -> BoxedStrategy<Value> {
    let propagation = ["private", "rprivate", "rshared", "rslave", "shared", "slave"];
    let at = |path: &str| required("target", Just(json!(format!("{path}/{block}"))));
    let bind = |target| {
        let options = object(vec![
            optional("propagation", one_of(&propagation)),
            flag("create_host_path"),
            optional("selinux", one_of(&["z", "Z"])),
        ]);
        object(vec![
            required("source", path("/srv/extra")),
            at(target),
            flag("read_only"),
            optional("bind", options),
        ])
    };
    let named = |name, target| {
        let options = object(vec![flag("nocopy"), optional("subpath", one_of(&["a", "a/b c"]))]);
        let source = required("source", Just(json!(name)));
        object(vec![source, at(target), flag("read_only"), optional("volume", options)])
    };
    let together = json!({ "source": "/srv/both", "target": "/opt/both", "read_only": true });
    slots(vec![
        bind("/opt/data"),
        bind("/srv/we$rd dir"),
        named("cache", "/var/lib"),
        named("mirror", "/mirror"),
        Just(together).boxed(),
    ])
}

pub(crate) fn tmpfs(target: &str) -> BoxedStrategy<Value> {
    object(vec![
        required("target", Just(json!(target))),
        number("size", 4096..=1 << 40),
        optional("mode", one_of(&["1777", "700", "0755"])),
    ])
}

pub(crate) fn ports(number: u16) -> BoxedStrategy<Value> {
    let port = |at: u16, protocol: Option<&'static str>| {
        let mut fields = vec![
            required("target", Just(json!(7000 + 10 * number + at))),
            optional("published", (1u16..90).prop_map(move |n| json!(20_000 + 1000 * number + 100 * at + n))),
            optional("host_ip", one_of(&["127.0.0.1", "0.0.0.0", "192.0.2.7", "::1"])),
        ];
        fields.extend(protocol.map(|protocol| required("protocol", Just(json!(protocol)))));
        object(fields)
    };
    let mut ports = vec![port(0, None), port(1, Some("tcp")), port(2, Some("udp")), port(3, Some("sctp"))];
    let own = [0, 8888, 9099, 9418, 9100][usize::from(number)];
    if number == 3 || number == 4 {
        ports.push(Just(json!({ "target": own })).boxed());
    }
    slots(ports)
}

pub(crate) fn limits() -> BoxedStrategy<Value> {
    object(vec![
        number("memory", 1 << 26..=1 << 36),
        number("memory_reservation", 6_291_456..=1 << 26),
        number("milli_cpus", 1..=1_000_000),
        number("cpu_shares", 2..=65_536),
        number("pids", 1..=4_194_304),
        number("shm_size", 4096..=1 << 40),
    ])
}

pub(crate) fn ulimits() -> BoxedStrategy<Value> {
    let names = [
        "core",
        "cpu",
        "data",
        "fsize",
        "locks",
        "memlock",
        "msgqueue",
        "nice",
        "nofile",
        "nproc",
        "rss",
        "rtprio",
        "rttime",
        "sigpending",
        "stack",
    ];
    let limit = || {
        (0i64..=1 << 20, option::weighted(0.8, 0i64..=1 << 20)).prop_map(|(soft, more)| match more {
            Some(more) => json!({ "soft": soft, "hard": soft + more }),
            None => json!({ "soft": soft, "hard": -1 }),
        })
    };
    object(names.map(|name| optional(name, limit())).into())
}

pub(crate) fn logging() -> BoxedStrategy<Value> {
    object(vec![
        optional("driver", one_of(&["json-file", "local", "journald"])),
        optional(
            "options",
            choice(&[("max-size", "10m"), ("max-file", "3"), ("tag", "{{.Name}}"), ("compress", "true")]),
        ),
    ])
}

pub(crate) fn health() -> BoxedStrategy<Value> {
    object(vec![
        number("interval", 1..=86_400),
        number("timeout", 1..=86_400),
        number("retries", 1..=1000),
        number("start_period", 1..=86_400),
        number("start_interval", 1..=86_400),
    ])
}

pub(crate) fn security() -> BoxedStrategy<Value> {
    let options = ["no-new-privileges:true", "seccomp=unconfined", "label=disable", "systempaths=unconfined"];
    slots(options.map(|option| Just(Value::from(option)).boxed()).into())
}

pub(crate) fn devices() -> BoxedStrategy<Value> {
    let tun = json!({ "source": "/dev/net/tun", "access": "rw" });
    let other = object(vec![
        required("source", one_of(&["/dev/fuse"])),
        required("target", Just(json!("/dev/other"))),
        required("access", one_of(&["r", "w", "m", "rw", "rm", "wm", "rwm"])),
    ]);
    prop_oneof![3 => distinct(prop_oneof![Just(tun), Just(json!({ "source": "/dev/kvm" }))].boxed(), 0..3), 1 => distinct(other, 1..2)]
        .boxed()
}
