//! Every attribute with every kind of value: what the reader takes, Compose takes too, and both mean the same.

use std::fmt::Write;

use bottle_model::compose::attributes::ATTRIBUTES;
use rayon::prelude::*;

use crate::compose::{Files, difference};

/// Placeholders for a value and for the number of a service.
const VALUE: char = '@';
const NUMBER: char = '#';

/// Kinds of values, and some that are written like others.
const VALUES: &[&str] = &[
    "",
    "''",
    "x",
    "'1'",
    "1",
    "0",
    "1.5",
    "1.0",
    "1e3",
    "1e9",
    "0888",
    "-1",
    "0o17",
    "true",
    "'true'",
    "[]",
    "{}",
    "[x]",
    "[a=b]",
    "{a: b}",
    "[null]",
    "{a: }",
    "[1]",
    "{a: 1}",
    "1s",
    "1m",
    "/p",
    "'1:2'",
    "192.0.2.1",
    "'$$x'",
];

/// Attributes that have no line in the table.
const STRUCTURED: &[&str] = &[
    "command",
    "configs",
    "container_name",
    "depends_on",
    "entrypoint",
    "env_file",
    "environment",
    "extends",
    "extra_hosts",
    "healthcheck",
    "hostname",
    "image",
    "label_file",
    "labels",
    "networks",
    "ports",
    "profiles",
    "secrets",
    "tmpfs",
    "user",
    "volumes",
    "working_dir",
];

/// Places inside of attributes.
const NESTED: &[&str] = &[
    "annotations: {a: @}",
    "blkio_config: {weight: @}",
    "build: {args: @}",
    "build: {context: @}",
    "build: {dockerfile: @}",
    "build: {labels: @}",
    "build: {no_cache: @}",
    "build: {shm_size: @}",
    "build: {target: @}",
    "build: {ulimits: {nofile: @}}",
    "configs: [@]",
    "configs: [{source: c, mode: @}]",
    "configs: [{source: c, target: @}]",
    "configs: [{source: c, uid: @}]",
    "credential_spec: {file: @}",
    "depends_on: [z, @]",
    "depends_on: {z: @}",
    "depends_on: {z: {condition: @}}",
    "depends_on: {z: {condition: service_started, required: @}}",
    "depends_on: {z: {condition: service_started, restart: @}}",
    "deploy: {endpoint_mode: @}",
    "deploy: {labels: @}",
    "deploy: {mode: @}",
    "deploy: {placement: {constraints: @}}",
    "deploy: {replicas: @}",
    "deploy: {resources: {limits: {cpus: @}}}",
    "deploy: {resources: {limits: {memory: @}}}",
    "deploy: {resources: {limits: {pids: @}}}",
    "deploy: {resources: {reservations: {devices: [{capabilities: [gpu], count: @}]}}}",
    "deploy: {restart_policy: {condition: @}}",
    "deploy: {restart_policy: {delay: @}}",
    "deploy: {restart_policy: {max_attempts: @}}",
    "deploy: {update_config: {parallelism: @}}",
    "develop: {watch: @}",
    "devices: [@]",
    "devices: [{source: /dev/a, permissions: @}]",
    "devices: [{source: /dev/a, target: @}]",
    "env_file: [{path: @, required: false}]",
    "environment: {A: @}",
    "extra_hosts: {a: @}",
    "gpus: [{count: @}]",
    "gpus: [{driver: @}]",
    "healthcheck: {disable: @}",
    "healthcheck: {interval: @}",
    "healthcheck: {retries: @}",
    "healthcheck: {start_interval: @}",
    "healthcheck: {start_period: @}",
    "healthcheck: {test: @}",
    "healthcheck: {test: [@]}",
    "healthcheck: {test: [CMD, @]}",
    "healthcheck: {test: x, disable: @}",
    "labels: {a: @}",
    "logging: {driver: @}",
    "logging: {options: @}",
    "logging: {options: {a: @}}",
    "network_mode: 'service:@'",
    "networks: {n: @}",
    "networks: {n: {aliases: @}}",
    "networks: {n: {driver_opts: @}}",
    "networks: {n: {gw_priority: @}}",
    "networks: {n: {ipv4_address: @}}",
    "networks: {n: {link_local_ips: @}}",
    "networks: {n: {mac_address: @}}",
    "networks: {n: {priority: @}}",
    "pid: 'service:@'",
    "ports: [@]",
    "ports: [{target: @}]",
    "ports: [{target: 80, app_protocol: @}]",
    "ports: [{target: 80, host_ip: @}]",
    "ports: [{target: 80, mode: @}]",
    "ports: [{target: 80, protocol: @}]",
    "ports: [{target: 80, published: @}]",
    "post_start: [{command: @}]",
    "provider: {type: @}",
    "secrets: [@]",
    "secrets: [{source: k, mode: @}]",
    "secrets: [{source: k, target: @}]",
    "storage_opt: {a: @}",
    "sysctls: {a: @}",
    "ulimits: {nofile: @}",
    "ulimits: {nofile: {soft: @, hard: 2}}",
    "volumes: [@]",
    "volumes: ['/a:@']",
    "volumes: ['/a:/b:@']",
    "volumes: ['@:/b']",
    "volumes: [{type: @, source: v, target: /b}]",
    "volumes: [{type: bind, source: @, target: /b}]",
    "volumes: [{type: bind, source: /a, target: @}]",
    "volumes: [{type: bind, source: /a, target: /b, bind: @}]",
    "volumes: [{type: bind, source: /a, target: /b, bind: {create_host_path: @}}]",
    "volumes: [{type: bind, source: /a, target: /b, bind: {propagation: @}}]",
    "volumes: [{type: bind, source: /a, target: /b, bind: {recursive: @}}]",
    "volumes: [{type: bind, source: /a, target: /b, bind: {selinux: @}}]",
    "volumes: [{type: bind, source: /a, target: /b, consistency: @}]",
    "volumes: [{type: bind, source: /a, target: /b, read_only: @}]",
    "volumes: [{type: image, source: i, target: /b, image: {subpath: @}}]",
    "volumes: [{type: tmpfs, target: /b, tmpfs: {mode: @}}]",
    "volumes: [{type: tmpfs, target: /b, tmpfs: {size: @}}]",
    "volumes: [{type: volume, source: @, target: /b}]",
    "volumes: [{type: volume, source: v, target: /b, volume: @}]",
    "volumes: [{type: volume, source: v, target: /b, volume: {labels: @}}]",
    "volumes: [{type: volume, source: v, target: /b, volume: {nocopy: @}}]",
    "volumes: [{type: volume, source: v, target: /b, volume: {subpath: @}}]",
];

/// Places of top-level entries: the section, how a service uses its entry, and keys.
const SECTIONS: &[(&str, &str, &[&str])] = &[
    (
        "networks",
        "networks: [r#]",
        &[
            "attachable",
            "driver",
            "driver_opts",
            "enable_ipv4",
            "enable_ipv6",
            "external",
            "internal",
            "ipam",
            "labels",
            "name",
        ],
    ),
    ("volumes", "volumes: ['r#:/b']", &["driver", "driver_opts", "external", "labels", "name"]),
    (
        "configs",
        "configs: [r#]",
        &["content", "environment", "external", "file", "labels", "name", "template_driver"],
    ),
    (
        "secrets",
        "secrets: [r#]",
        &["driver", "environment", "external", "file", "labels", "name", "template_driver"],
    ),
];

/// Values that Compose's model prints as if they were unset.
const UNTOLD: &[&str] = &[
    "deploy: {resources: {reservations: {devices: [{capabilities: [gpu], count: 0}]}}}",
    "gpus: [{count: 0}]",
    "provider: {type: ''}",
    "{content: ''}",
];

/// Refusals of a service that are findings to the checker: a name leads nowhere, or nothing is to run.
const FINDINGS: &[&str] =
    &["depends on undefined", "refers to undefined", "has neither an image nor a build"];

/// A service, and the top-level entry that it uses: section and value.
#[derive(Clone, Debug)]
struct Case {
    service: String,
    entry: Option<(&'static str, String)>,
}

/// One case for each value in each place.
fn cases() -> Vec<Case> {
    let attributes = ATTRIBUTES.iter().map(|(name, _)| *name).chain(STRUCTURED.iter().copied());
    let places =
        attributes.map(|name| format!("{name}: @")).chain(NESTED.iter().map(|place| (*place).to_owned()));
    let of_services = places.map(|place| Case { service: place, entry: None });
    let of_sections = SECTIONS.iter().flat_map(|(section, service, keys)| {
        let whole = std::iter::once("@".to_owned());
        whole
            .chain(keys.iter().map(|key| format!("{{{key}: @}}")))
            .map(|entry| Case { service: (*service).to_owned(), entry: Some((*section, entry)) })
    });
    of_services
        .chain(of_sections)
        .flat_map(|case| {
            VALUES.iter().map(move |value| Case {
                service: case.service.replace(VALUE, value),
                entry: case.entry.as_ref().map(|(section, entry)| (*section, entry.replace(VALUE, value))),
            })
        })
        .filter(|case| {
            let told = |text: &str| !UNTOLD.contains(&text);
            told(&case.service) && case.entry.as_ref().is_none_or(|(_, entry)| told(entry))
        })
        .collect()
}

/// One document for several cases, with what they may refer to.
fn document(cases: &[Case]) -> String {
    let mut text = "name: p\nservices:\n  z: {image: i}\n".to_owned();
    for (at, case) in cases.iter().enumerate() {
        let image = if case.service.starts_with("image:") { "" } else { "image: i, " };
        let service = case.service.replace(NUMBER, &at.to_string());
        writeln!(text, "  s{at}: {{{image}{service}}}").unwrap();
    }
    for (section, known) in [
        ("networks", "n: "),
        ("volumes", "v: "),
        ("configs", "c: {content: x}"),
        ("secrets", "k: {file: /k}"),
    ] {
        writeln!(text, "{section}:\n  {known}").unwrap();
        for (at, case) in cases.iter().enumerate() {
            if let Some((of, entry)) = &case.entry
                && *of == section
            {
                writeln!(text, "  r{at}: {entry}").unwrap();
            }
        }
    }
    text
}

/// Number of the case that a refusal is about, if it is a finding to the checker.
fn finding(refusal: &str) -> Option<usize> {
    let (_, rest) = refusal.split_once("service \"s")?;
    let (number, rest) = rest.split_once('"')?;
    FINDINGS.iter().any(|finding| rest.trim_start().starts_with(finding)).then(|| number.parse().ok())?
}

/// Disagreements about cases that the reader accepts. One document contains all cases, unless Compose refuses it.
fn disagreements(cases: &[Case]) -> Vec<String> {
    let text = document(cases);
    let files = Files::Text(&text);
    let both = files.ours().and_then(|ours| Ok((ours, files.theirs()?)));
    let fault = both.map_or_else(Some, |(ours, theirs)| difference(&ours, &theirs));
    if let Some(number) = fault.as_deref().and_then(finding) {
        return disagreements(&[&cases[..number], &cases[number + 1..]].concat());
    }
    match (fault, cases) {
        (None, _) => Vec::new(),
        (Some(fault), [case]) => vec![format!("{case:?}: {fault}")],
        (Some(_), several) => {
            let (first, second) = several.split_at(several.len() / 2);
            [disagreements(first), disagreements(second)].concat()
        }
    }
}

#[test]
fn what_the_reader_takes_compose_takes_too() {
    let taken: Vec<Case> = cases()
        .into_par_iter()
        .filter(|case| {
            let ours = Files::Text(&document(std::slice::from_ref(case))).ours();
            ours.is_ok_and(|document| document.unmodelled.is_empty())
        })
        .collect();
    assert!(taken.len() > 500, "the reader refuses nearly everything");
    let disagreements: Vec<String> = taken.par_chunks(32).flat_map_iter(disagreements).collect();
    assert!(disagreements.is_empty(), "{} differ:\n{}", disagreements.len(), disagreements.join("\n"));
}
