//! What Compose refuses, the reader refuses too, or tells that it does not know it.

use rayon::prelude::*;

use crate::compose::Files;

/// Documents that make no sense.
const DOCUMENTS: &[&str] = &[
    "",
    "[]",
    "text",
    "services: []",
    "services: text",
    "services: {a: }",
    "services: {a: []}",
    "services: {a b: {image: i}}",
    "name: [x]\nservices: {a: {image: i}}",
    "unknown: 1\nservices: {a: {image: i}}",
    "services: {a: {image: i}, a: {image: j}}",
    "services:\n  a:\n    image: i\n   user: x",
    "services:\n\ta: {image: i}",
    "services: {a: {image: 'i}}",
    "services: {a: {image: i}",
    "services: {a: {image: *nowhere}}",
    "services: &a {a: *a}",
    "services: {a: {<<: x, image: i}}",
    "services: {a: {<<: [x], image: i}}",
    "services: {a: {1: x, image: i}}",
    "services: {a: {image: i, environment: {true: x}}}",
    "services: {a: {image: i, labels: {1: x}}}",
    "services: {a: {image: i, labels: {a: 2024-01-01}}}",
    "services: {a: {image: i}}\nnetworks: {n: x}",
    "services: {a: {image: i}}\nnetworks: {n: {unknown: x}}",
    "services: {a: {image: i}}\nnetworks: {n: {ipam: []}}",
    "services: {a: {image: i}}\nvolumes: {v: []}",
    "services: {a: {image: i}}\nvolumes: {v: {external: true, driver: x}}",
    "services: {a: {image: i}}\nconfigs: {c: {file: x, content: y}}",
    "services: {a: {image: i}}\nconfigs: {c: {}}",
    "services: {a: {image: i}}\nsecrets: {k: {}}",
    "services: {a: {image: i}}\ninclude: absent.yaml",
    "services: {a: {image: i}}\ninclude: [absent.yaml]",
];

/// Bodies of a service that make no sense.
const SERVICES: &[&str] = &[
    "unknown: 1",
    "image: ${SET",
    "image: ${}",
    "image: '${ABSENT:?is needed}'",
    "image: '${EMPTY:?is needed}'",
    "image: '${ABSENT?is needed}'",
    "image: '${SET!x}'",
    "privileged: $SET",
    "mem_limit: ${SET}",
    "command: 'open \"quote'",
    "command: {a: b}",
    "env_file: absent.env",
    "env_file: [{path: absent.env}]",
    "env_file: [{file: x}]",
    "label_file: absent.env",
    "extends: {service: absent}",
    "extends: {service: a}",
    "extends: {file: absent.yaml, service: a}",
    "extends: {file: x}",
    "ports: [65536]",
    "ports: ['80:65536']",
    "ports: ['80-81:80-90']",
    "ports: ['81-80:80-81']",
    "ports: ['x:80']",
    "ports: ['256.0.0.1:80:80']",
    "ports: ['80/icmp']",
    "ports: [{published: 80}]",
    "ports: [{target: x}]",
    "ports: [{target: 80, unknown: x}]",
    "volumes: ['']",
    "volumes: ['/a:/b:ro:x']",
    "volumes: [':/b']",
    "volumes: [{type: bind, target: /b}]",
    "volumes: [{type: odd, source: /a, target: /b}]",
    "volumes: [{source: /a, target: /b}]",
    "volumes: [{type: bind, source: /a, target: /b, unknown: x}]",
    "volumes: [{type: bind, source: /a, target: /b, bind: {recursive: x}}]",
    "{network_mode: host, networks: [n]}",
    "{container_name: c, scale: 2}",
    "{scale: 2, deploy: {replicas: 3}}",
    "{mem_limit: 1g, deploy: {resources: {limits: {memory: 2g}}}}",
    "scale: -1",
    "stop_grace_period: soon",
    "stop_grace_period: 10",
    "healthcheck: {test: [RUN, x]}",
    "healthcheck: {interval: 5}",
    "healthcheck: {interval: x}",
    "healthcheck: {retries: x}",
    "healthcheck: {unknown: x}",
    "depends_on: {z: {condition: odd}}",
    "depends_on: {z: {}}",
    "depends_on: {z: {condition: service_started, required: 'true'}}",
    "mem_limit: 1x",
    "mem_limit: large",
    "cpus: many",
    "shm_size: [1]",
    "ulimits: {nofile: x}",
    "ulimits: {nofile: {soft: 1}}",
    "sysctls: x",
    "cap_add: ALL",
    "devices: [{target: /b}]",
    "extra_hosts: [host]",
    "environment: [1]",
    "environment: x",
    "labels: [1]",
    "networks: {n: {unknown: x}}",
    "networks: [n, n]",
    "depends_on: [z, z]",
    "extra_hosts: ['h:192.0.2.1', 'h:192.0.2.1']",
    "configs: [{target: /x}]",
    "secrets: [{source: k, mode: x}]",
    "gpus: some",
    "gpus: [{count: 1, device_ids: [x]}]",
    "pull_policy: sometimes",
    "cgroup: odd",
    "logging: x",
    "tmpfs: {a: b}",
    "build: [x]",
    "build: {unknown: x}",
    "develop: {watch: [{path: x}]}",
];

#[test]
fn the_reader_refuses_what_compose_refuses() {
    let services = SERVICES.iter().map(|body| {
        let body = body.trim_start_matches('{').trim_end_matches(|c| c == '}' && body.starts_with('{'));
        let image = if body.starts_with("image:") { "" } else { "image: i, " };
        format!("services: {{a: {{{image}{body}}}, z: {{image: i}}}}\nnetworks: {{n: }}\nconfigs: {{c: {{content: x}}}}\nsecrets: {{k: {{file: /k}}}}\n")
    });
    let documents: Vec<String> = DOCUMENTS.iter().map(|text| (*text).to_owned()).chain(services).collect();
    let disagreements: Vec<String> = documents
        .par_iter()
        .filter_map(|text| match (Files::Text(text).theirs(), Files::Text(text).ours()) {
            (Ok(_), _) => Some(format!("Compose takes it:\n{text}")),
            (Err(refusal), Ok(ours)) if ours.unmodelled.is_empty() => Some(format!("{refusal}{text}")),
            _ => None,
        })
        .collect();
    assert!(disagreements.is_empty(), "{} differ:\n{}", disagreements.len(), disagreements.join("\n"));
}
