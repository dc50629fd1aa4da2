//! Settings that say what Compose or the engine does without them, and options that change nothing: no finding.

use bottle_migrate::aspects;
use bottle_migrate::compose::{Document, read_text};
use bottle_migrate::finding::Finding;
use bottle_migrate::view::{Roles, View};
use bottle_model::images::Images;

fn read(text: &str) -> Document {
    read_text(text, &|_| None).unwrap_or_else(|error| panic!("{text}: {error}"))
}

fn findings(before: &Document, after: &Document) -> Vec<Finding> {
    let roles = Roles::builtin(&Images::default());
    aspects::compare(&View::of(before, &roles), &View::of(after, &roles))
}

/// A document with an agent and whatever it names.
fn document(agent: &str, top: &str) -> String {
    format!("name: p\nservices:\n  agent: {{image: i, {agent}}}\n{top}\n")
}

/// Attributes of the agent and the top level, without and with what says nothing.
const EQUAL: &[[(&str, &str); 2]] = &[
    [
        ("networks: [n]", "networks: {n: {internal: true}}"),
        ("networks: [n]", "networks: {n: {internal: true, driver: bridge}}"),
    ],
    [("networks: [n]", "networks: {n: }"), ("networks: [n]", "networks: {n: {ipam: {driver: default}}}")],
    [("networks: [n]", "networks: {n: }"), ("networks: [n]", "networks: {n: {enable_ipv4: true}}")],
    [
        ("networks: [n]", "networks: {n: {ipam: {config: [{subnet: 10.0.0.0/24}]}}}"),
        ("networks: [n]", "networks: {n: {ipam: {driver: default, config: [{subnet: 10.0.0.0/24}]}}}"),
    ],
    [("networks: [n]", "networks: {n: }"), ("networks: {n: {priority: 0}}", "networks: {n: {name: p_n}}")],
    [("volumes: ['v1:/v']", "volumes: {v1: }"), ("volumes: ['v1:/v']", "volumes: {v1: {driver: local}}")],
    [
        ("volumes: ['/a:/b']", ""),
        (
            "volumes: [{type: bind, source: /a, target: /b, bind: {propagation: rprivate, create_host_path: true}}]",
            "",
        ),
    ],
    [("volumes: ['/a:/b']", ""), ("volumes: ['/a:/b:rprivate']", "")],
    [("volumes: ['/a:/b']", ""), ("volumes: ['/a:/b', '/a:/b']", "")],
    [("volumes: ['/a:/b']", ""), ("volumes: ['/a:/b', '/a:/b:rw']", "")],
    [("devices: [/dev/a]", ""), ("devices: ['/dev/a:/dev/a:rwm']", "")],
    [("pull_policy: missing", ""), ("user: ''", "")],
    [("pull_policy: missing", ""), ("pull_policy: if_not_present", "")],
    [("ports: ['80:80']", ""), ("ports: [{target: 80, published: 80, protocol: tcp, mode: ingress}]", "")],
    [("ports: ['80:80']", ""), ("ports: [{target: 80, published: 80, name: web}]", "")],
    [("ports: ['80:80']", ""), ("ports: [{target: 80, published: 80, app_protocol: http}]", "")],
    [("ports: ['80:80']", ""), ("ports: [{target: 80, published: 80, mode: host}]", "")],
    [
        ("ports: [{target: 80, published: 80, name: web}]", ""),
        ("ports: [{target: 80, published: 80, name: api, app_protocol: http2, mode: host}]", ""),
    ],
    [
        ("networks: [n]", "networks: {n: {external: true}}"),
        ("networks: [n]", "networks: {n: {external: true, driver: x, labels: [a=b], ipam: {driver: y}}}"),
    ],
    [
        ("secrets: [k]", "secrets: {k: {file: /k}}"),
        ("secrets: [{source: k, mode: 0400, uid: '7', gid: '8'}]", "secrets: {k: {file: /k}}"),
    ],
    [
        ("models: [m]", "models: {m: {model: ai/x}}"),
        (
            "models: {m: {endpoint_var: ''}}",
            "models: {m: {model: ai/x, context_size: 0, runtime_flags: []}, unused: {model: y}}",
        ),
    ],
    [
        ("develop: {watch: [{path: /x, action: sync, target: /t, ignore: node_modules, include: src}]}", ""),
        (
            "develop: {watch: [{path: /x, action: sync, target: /t, ignore: [node_modules], include: [src], initial_sync: false}]}",
            "",
        ),
    ],
    [
        (
            "develop: {watch: [{path: /x, action: sync+exec, target: /t, exec: {command: run it, environment: [A=b]}}]}",
            "",
        ),
        (
            "develop: {watch: [{path: /x, action: sync+exec, target: /t, exec: {command: [run, it], environment: {A: b}, privileged: false}}]}",
            "",
        ),
    ],
    [
        ("post_start: [{command: run it}]", ""),
        ("post_start: [{command: [run, it], user: '', privileged: false}]", ""),
    ],
];

/// As above, with something else in the second.
const DIFFERENT: &[[(&str, &str); 2]] = &[
    [("networks: [n]", "networks: {n: }"), ("networks: [n]", "networks: {n: {driver: macvlan}}")],
    [("networks: [n]", "networks: {n: }"), ("networks: [n]", "networks: {n: {ipam: {driver: other}}}")],
    [("networks: [n]", "networks: {n: }"), ("networks: [n]", "networks: {n: {enable_ipv4: false}}")],
    [("volumes: ['v1:/v']", "volumes: {v1: }"), ("volumes: ['v1:/v']", "volumes: {v1: {driver: nfs}}")],
    [("volumes: ['/a:/b']", ""), ("volumes: ['/a:/b:rshared']", "")],
    [("volumes: ['/a:/b']", ""), ("volumes: ['/a:/b', '/c:/b']", "")],
    [("devices: [/dev/a]", ""), ("devices: ['/dev/a:/dev/a:r']", "")],
    [("pull_policy: missing", ""), ("pull_policy: always", "")],
    [("ports: ['80:80']", ""), ("ports: ['81:80']", "")],
    [("ports: ['127.0.0.1:80:80']", ""), ("ports: [{target: 80, published: 80, name: web}]", "")],
    [
        ("secrets: [k]", "secrets: {k: {environment: K}}"),
        ("secrets: [{source: k, mode: 0400}]", "secrets: {k: {environment: K}}"),
    ],
    [("models: [m]", "models: {m: {model: ai/x}}"), ("models: [m]", "models: {m: {model: ai/y}}")],
    [
        ("models: [m]", "models: {m: {model: ai/x}}"),
        ("models: [m]", "models: {m: {model: ai/x, runtime_flags: [--a]}}"),
    ],
    [
        ("models: [m]", "models: {m: {model: ai/x}}"),
        ("models: {m: {model_var: M}}", "models: {m: {model: ai/x}}"),
    ],
    [("tty: false", "models: {m: {model: ai/x}}"), ("models: [m]", "models: {m: {model: ai/x}}")],
    [
        ("develop: {watch: [{path: /x, action: sync, target: /t, ignore: node_modules}]}", ""),
        ("develop: {watch: [{path: /x, action: sync, target: /t, ignore: [other]}]}", ""),
    ],
    [("post_start: [{command: run it}]", ""), ("post_start: [{command: run it, privileged: true}]", "")],
];

#[test]
fn what_says_nothing_has_no_finding() {
    for [one, other] in EQUAL {
        let [one, other] = [one, other].map(|(agent, top)| read(&document(agent, top)));
        for (before, after) in [(&one, &other), (&other, &one)] {
            let found = findings(before, after);
            assert!(found.is_empty(), "{before:#?}\n{after:#?}\n{found:#?}");
        }
        assert_eq!(read(&one.compose.to_yaml()), one, "{}", one.compose.to_yaml());
        assert_eq!(read(&other.compose.to_yaml()), other, "{}", other.compose.to_yaml());
    }
}

#[test]
fn what_says_something_has_a_finding_with_two_texts() {
    for pair in DIFFERENT {
        let [one, other] = pair.map(|(agent, top)| read(&document(agent, top)));
        for (before, after) in [(&one, &other), (&other, &one)] {
            let found = findings(before, after);
            assert!(!found.is_empty(), "{pair:?}");
            for finding in &found {
                let texts = finding.before.as_ref().zip(finding.after.as_ref());
                let differ = texts.is_none_or(|(before, after)| before.text != after.text);
                assert!(differ, "{pair:?}: {finding:#?}");
            }
        }
    }
}

#[test]
fn what_compose_has_as_a_list_is_not_reset_by_name() {
    for (first, second, kept) in [
        ("[A=1, B=2]", "{A: !reset null}", &["A", "B"][..]),
        ("[A=1, B=2]", "{A: !reset null, C: 3}", &["A", "B", "C"]),
        ("{A: 1, B: 2}", "{A: !reset null}", &["B"]),
        ("{A: 1, B: 2}", "!reset null", &[]),
        ("[A=1, B=2]", "!reset null", &[]),
        // Two maps that were merged are a list.
        ("{A: 1}\n---\nservices: {agent: {environment: {B: 2}}}", "{A: !reset null}", &["A", "B"]),
    ] {
        let text = format!(
            "services:\n  agent:\n    image: i\n    environment: {first}\n---\nservices: {{agent: {{environment: {second}}}}}\n"
        );
        let document = read(&text);
        let mut names: Vec<&str> =
            document.compose.services["agent"].environment.keys().map(String::as_str).collect();
        names.sort_unstable();
        assert_eq!(names, kept, "{text}");
    }
}
