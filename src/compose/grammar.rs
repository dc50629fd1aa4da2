//! What a compose file may hold: keys and types, as Compose's own schema has them.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::LazyLock;

use super::Unmodelled;
use super::scalar::Number;
use super::tree::{Failure, Node, Value};

/// Objects and their keys, each with its types: `s` string, `b` truth value, `n` number, `i` whole number, `w` whole number without point and exponent, `0` null, `[…]` list,
/// `<…>` list without repetition, `{…}` map of any keys, `=word` that word; everything else is the name of an object, or of types in [`TYPES`].
/// A key with a `*` has to be there. An object whose name ends in `!` has no extensions.
const OBJECTS: &[(&str, &str)] = &[
    (
        "document",
        "version:s name:s include:[s|include] services:{service} networks:{network|0} volumes:{volume|0} \
         configs:{config} secrets:{secret} models:{model}",
    ),
    ("include!", "path:list env_file:list project_directory:s"),
    (
        "service",
        "annotations:dict attach:b|s blkio_config:blkio build:s|build cap_add:[s] cap_drop:[s] \
         cgroup:=host|=private cgroup_parent:s command:command configs:[s|grant] container_name:s cpu_count:i|s \
         cpu_percent:i|s cpu_period:n|s cpu_quota:n|s cpu_rt_period:n|s cpu_rt_runtime:n|s cpu_shares:n|s cpus:n|s \
         cpuset:s credential_spec:credential_spec depends_on:[s]|{dependency} deploy:deploy|0 \
         device_cgroup_rules:<s> devices:[s|device] develop:develop|0 dns:list dns_opt:[s] dns_search:list \
         domainname:s entrypoint:command env_file:s|[s|env_file] environment:dict expose:[w|s] extends:s|extends \
         external_links:<s> extra_hosts:hosts gpus:=all|[request] group_add:<w|s> healthcheck:healthcheck \
         hostname:s image:s init:b|s ipc:s isolation:s label_file:list labels:dict links:[s] logging:logging \
         mac_address:s mem_limit:n|s mem_reservation:i|s mem_swappiness:i|s memswap_limit:n|s \
         models:[s]|{service_model|0} network_mode:s networks:[s]|{attachment|0} oom_kill_disable:b|s \
         oom_score_adj:i|s pid:s pids_limit:n|s platform:s ports:[w|s|port] post_start:[hook] pre_stop:[hook] \
         privileged:b|s profiles:[s] provider:provider pull_policy:s pull_refresh_after:s read_only:b|s restart:s \
         runtime:s scale:i|s secrets:[s|grant] security_opt:<s> shm_size:n|s stdin_open:b|s stop_grace_period:s \
         stop_signal:s storage_opt:{w|s|0} sysctls:dict tmpfs:list tty:b|s ulimits:{w|s|ulimit} \
         use_api_socket:b user:s userns_mode:s uts:s volumes:[s|mount] volumes_from:<s> working_dir:s",
    ),
    (
        "build",
        "additional_contexts:{s|n|b}|<s> args:dict cache_from:[s] cache_to:[s] context:s dockerfile:s dockerfile_inline:s \
         entitlements:[s] extra_hosts:hosts isolation:s labels:dict network:s no_cache:b|s platforms:[s] \
         privileged:b|s provenance:s|b pull:b|s sbom:s|b secrets:[s|grant] shm_size:i|s ssh:dict tags:[s] \
         target:s ulimits:{w|ulimit}",
    ),
    (
        "blkio!",
        "device_read_bps:[throttle] device_read_iops:[throttle] device_write_bps:[throttle] \
         device_write_iops:[throttle] weight:i weight_device:[weight]",
    ),
    ("throttle!", "path:s rate:i|s"),
    ("weight!", "path:s weight:i"),
    ("credential_spec", "config:s file:s registry:s"),
    (
        "dependency",
        "condition*:=service_started|=service_healthy|=service_completed_successfully required:b restart:b|s",
    ),
    ("device", "source*:s target*:s permissions:s"),
    ("env_file!", "path*:s format:s required:b|s"),
    ("extends!", "file:s service*:s"),
    ("provider", "type*:s options:{s|n|b|[s|n|b]}"),
    ("logging", "driver:s options:{s|n|0}"),
    ("service_model", "endpoint_var:s model_var:s"),
    (
        "attachment",
        "aliases:[s] driver_opts:{s|n} gw_priority:i interface_name:s ipv4_address:s ipv6_address:s \
         link_local_ips:[s] mac_address:s priority:i",
    ),
    ("port", "app_protocol:s host_ip:s mode:s name:s protocol:s published:w|s target:i|s"),
    ("hook", "command*:command environment:dict privileged:b|s user:s working_dir:s"),
    (
        "mount",
        "bind:bind consistency:s image:image_mount read_only:b|s source:s target:s tmpfs:tmpfs \
         type*:=bind|=volume|=tmpfs|=cluster|=npipe|=image volume:volume_mount",
    ),
    (
        "bind",
        "create_host_path:b|s propagation:s recursive:=enabled|=disabled|=writable|=readonly selinux:=z|=Z",
    ),
    ("volume_mount", "labels:dict nocopy:b|s subpath:s"),
    ("tmpfs", "mode:i size:i|s"),
    ("image_mount", "subpath:s"),
    (
        "healthcheck",
        "disable:b|s interval:s retries:n|s start_interval:s start_period:s test:s|[s] timeout:s",
    ),
    ("develop", "watch:[watch]"),
    (
        "watch",
        "action*:=rebuild|=sync|=restart|=sync+restart|=sync+exec exec:hook ignore:s|<s> include:s|<s> \
         initial_sync:b path*:s target:s",
    ),
    (
        "deploy",
        "endpoint_mode:s labels:dict mode:s placement:placement replicas:i|s resources:resources \
         restart_policy:restart_policy rollback_config:update update_config:update",
    ),
    (
        "update",
        "delay:s failure_action:s max_failure_ratio:n|s monitor:s order:=start-first|=stop-first parallelism:i|s",
    ),
    ("resources", "limits:limits reservations:reservations"),
    ("limits", "cpus:n|s memory:s pids:i|s"),
    ("reservations", "cpus:n|s devices:[reserved] generic_resources:[generic] memory:s"),
    ("generic", "discrete_resource_spec:discrete"),
    ("discrete", "kind:s value:n|s"),
    ("reserved", "capabilities*:<s> count:w|s device_ids:<s> driver:s options:dict"),
    ("request", "capabilities:<s> count:w|s device_ids:<s> driver:s options:dict"),
    ("restart_policy", "condition:s delay:s max_attempts:i|s window:s"),
    ("placement", "constraints:[s] max_replicas_per_node:i|s preferences:[preference]"),
    ("preference", "spread:s"),
    ("grant", "gid:s mode:w|s source:s target:s uid:s"),
    ("ulimit", "hard*:w|s soft*:w|s"),
    (
        "network",
        "attachable:b|s driver:s driver_opts:{s|n} enable_ipv4:b|s enable_ipv6:b|s external:b|s|external \
         internal:b|s ipam:ipam labels:dict name:s",
    ),
    ("ipam", "config:[pool] driver:s options:{s}"),
    ("pool", "aux_addresses:{s} gateway:s ip_range:s subnet:s"),
    ("volume", "driver:s driver_opts:{s|n} external:b|s|external labels:dict name:s"),
    ("config", "content:s environment:s external:b|s|external file:s labels:dict name:s template_driver:s"),
    (
        "secret",
        "driver:s driver_opts:{s|n} environment:s external:b|s|external file:s labels:dict name:s \
         template_driver:s",
    ),
    ("external", "name:s"),
    ("model", "context_size:i model*:s name:s runtime_flags:[s]"),
];

/// Types that many keys share.
const TYPES: &[(&str, &str)] =
    &[("dict", "{s|n|b|0}|<s>"), ("hosts", "{s|[s]}|<s>"), ("list", "s|[s]"), ("command", "0|s|[s]")];

/// What a value may be: any of these.
type Types = Vec<Type>;

enum Type {
    Text,
    Word(&'static str),
    Bool,
    Number,
    Whole,
    /// A whole number that is written as one, not as `1.0` or `1e3`.
    Plain,
    Null,
    List(Types),
    /// A list that holds nothing twice.
    Unique(Types),
    Map(Types),
    Object(&'static str),
}

struct Object {
    keys: BTreeMap<&'static str, Types>,
    needed: Vec<&'static str>,
    extensible: bool,
}

static GRAMMAR: LazyLock<BTreeMap<&'static str, Object>> = LazyLock::new(|| {
    let object = |(name, keys): &(&'static str, &'static str)| {
        let mut object =
            Object { keys: BTreeMap::new(), needed: Vec::new(), extensible: !name.ends_with('!') };
        for (key, written) in keys.split_whitespace().filter_map(|entry| entry.split_once(':')) {
            let name = key.trim_end_matches('*');
            object.keys.insert(name, types(written));
            object.needed.extend((name != key).then_some(name));
        }
        (name.trim_end_matches('!'), object)
    };
    OBJECTS.iter().map(object).collect()
});

/// Reads alternatives, up to the end or the bracket that closes them.
fn types(written: &'static str) -> Types {
    let mut types = Vec::new();
    let mut rest = written;
    while !rest.is_empty() {
        let mut depth = 0usize;
        let end = rest.bytes().position(|byte| {
            match byte {
                b'[' | b'<' | b'{' => depth += 1,
                b']' | b'>' | b'}' => depth -= 1,
                _ => {}
            }
            byte == b'|' && depth == 0
        });
        let (one, after) = end.map_or((rest, ""), |end| (&rest[..end], &rest[end + 1..]));
        rest = after;
        match (one, one.as_bytes().first()) {
            ("s", _) => types.push(Type::Text),
            ("b", _) => types.push(Type::Bool),
            ("n", _) => types.push(Type::Number),
            ("i", _) => types.push(Type::Whole),
            ("w", _) => types.push(Type::Plain),
            ("0", _) => types.push(Type::Null),
            (_, Some(b'=')) => types.push(Type::Word(&one[1..])),
            (_, Some(b'[')) => types.push(Type::List(self::types(&one[1..one.len() - 1]))),
            (_, Some(b'<')) => types.push(Type::Unique(self::types(&one[1..one.len() - 1]))),
            (_, Some(b'{')) => types.push(Type::Map(self::types(&one[1..one.len() - 1]))),
            (name, _) => match TYPES.iter().find(|(shared, _)| *shared == name) {
                Some((_, written)) => types.extend(self::types(written)),
                None => types.push(Type::Object(name)),
            },
        }
    }
    types
}

/// Holds a document to the grammar; keys that it does not know go to `unknown`.
pub(super) fn document(node: &Node<'_>, unknown: &mut Vec<Unmodelled>) -> Result<(), Failure> {
    object(node, "document", unknown)
}

fn check(node: &Node<'_>, types: &[Type], unknown: &mut Vec<Unmodelled>) -> Result<(), Failure> {
    let fits = types.iter().find(|kind| match (kind, &node.tree.value) {
        (Type::Word(word), Value::Text(text)) => word == text,
        (Type::Whole, Value::Number(number)) => {
            number.whole().is_some() || matches!(number, Number::Large(_))
        }
        (Type::Text, Value::Text(_))
        | (Type::Bool, Value::Bool(_))
        | (Type::Number, Value::Number(_))
        | (Type::Plain, Value::Number(Number::Whole(_) | Number::Large(_)))
        | (Type::Null, Value::Null | Value::Bare)
        | (Type::List(_) | Type::Unique(_), Value::List(_))
        | (Type::Map(_) | Type::Object(_), Value::Map(_)) => true,
        _ => false,
    });
    match fits {
        Some(Type::List(types)) => node.items()?.try_for_each(|item| check(&item, types, unknown)),
        Some(Type::Unique(types)) => {
            node.items()?.try_for_each(|item| check(&item, types, unknown))?;
            repeated(node)
        }
        Some(Type::Map(types)) => node.entries()?.try_for_each(|(_, entry)| check(&entry, types, unknown)),
        Some(Type::Object(name)) => object(node, name, unknown),
        Some(_) => Ok(()),
        None => Err(node.fail(format!("has to be {}", expected(types)))),
    }
}

/// Refuses a list of scalars that has one of them twice.
fn repeated(node: &Node<'_>) -> Result<(), Failure> {
    let mut seen = BTreeSet::new();
    for item in node.items()? {
        let text = matches!(item.tree.value, Value::Text(_));
        if !seen.insert((text, item.scalar()?)) {
            return Err(item.fail("stands in the list already"));
        }
    }
    Ok(())
}

fn object(node: &Node<'_>, name: &str, unknown: &mut Vec<Unmodelled>) -> Result<(), Failure> {
    let Some(object) = GRAMMAR.get(name) else { return Ok(()) };
    for (key, entry) in node.entries()? {
        match object.keys.get(key) {
            Some(types) => check(&entry, types, unknown)?,
            None if object.extensible && key.starts_with("x-") => {}
            None => unknown.push(Unmodelled {
                service: node.service(),
                attribute: key.to_owned(),
                place: entry.place(),
            }),
        }
    }
    match object.needed.iter().find(|key| node.tree.get(key).is_none()) {
        Some(key) => Err(node.fail(format!("has no {key}"))),
        None => Ok(()),
    }
}

fn expected(types: &[Type]) -> String {
    let names: Vec<&str> = types
        .iter()
        .map(|kind| match kind {
            Type::Text => "a string",
            Type::Word(word) => word,
            Type::Bool => "true or false",
            Type::Number => "a number",
            Type::Whole => "a whole number",
            Type::Plain => "a whole number without point and exponent",
            Type::Null => "nothing",
            Type::List(_) | Type::Unique(_) => "a list",
            Type::Map(_) | Type::Object(_) => "a map",
        })
        .collect();
    match names.split_last() {
        Some((last, [])) => (*last).to_owned(),
        Some((last, rest)) => format!("{} or {last}", rest.join(", ")),
        None => String::new(),
    }
}

#[cfg(test)]
mod tests {
    use bottle_model::compose::attributes::ATTRIBUTES;

    use super::*;

    #[test]
    fn every_object_that_is_named_is_there() {
        fn walk(types: &[Type]) {
            for kind in types {
                match kind {
                    Type::Object(name) => assert!(GRAMMAR.contains_key(name), "{name}"),
                    Type::List(types) | Type::Unique(types) | Type::Map(types) => walk(types),
                    _ => {}
                }
            }
        }
        GRAMMAR.values().flat_map(|object| object.keys.values()).for_each(|types| walk(types));
        for (name, _) in ATTRIBUTES {
            assert!(GRAMMAR["service"].keys.contains_key(name), "{name}");
        }
    }
}
