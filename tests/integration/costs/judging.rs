//! Plans, merged services and reports that are large.

use serde_json::{Value, json};

use super::Family;
use crate::process::Target;

const HEAD: &str = "services:\n  agent:\n    image: i\n";

/// Two files without a merged service.
const PAIR: [&str; 6] = ["diff", "--legacy", "a.yaml", "--bundle", "b.yaml", "--allow-unmerged"];

/// One piece of text for each number below n.
fn repeat(n: usize, piece: impl Fn(usize) -> String) -> String {
    (0..n).fold(String::new(), |mut text, at| {
        text.push_str(&piece(at));
        text
    })
}

/// A file against another.
fn pair(target: &Target, before: &str, after: &str) -> Vec<&'static str> {
    target.write("a.yaml", format!("{HEAD}{before}"));
    target.write("b.yaml", format!("{HEAD}{after}"));
    PAIR.to_vec()
}

/// One label that holds a text n times, before and after.
fn label(target: &Target, n: usize, text: &str) -> Vec<&'static str> {
    let label = |end: &str| format!("    labels:\n      note: \"{}{end}\"\n", text.repeat(n));
    pair(target, &label("1"), &label("2"))
}

/// A plan with a list or map of any size.
fn plan(target: &Target, place: &str, value: Value) -> Vec<&'static str> {
    let text = include_str!("../../../examples/require.plan.json");
    let mut plan: Value = serde_json::from_str(text).unwrap();
    let (parent, key) = place.rsplit_once('/').unwrap();
    plan.pointer_mut(parent).unwrap()[key] = value;
    target.write("p.json", plan.to_string());
    vec!["diff", "p.json"]
}

pub(super) const FAMILIES: &[Family] = &[
    Family {
        name: "passwords in a label",
        input: |target, n| label(target, n, "password=abc "),
        most: 40_000,
    },
    Family {
        name: "user names of URLs in a label",
        input: |target, n| label(target, n, "http://a@"),
        most: 50_000,
    },
    Family {
        name: "names of credentials without an end",
        input: |target, n| label(target, n, "token="),
        most: 80_000,
    },
    Family {
        name: "beginnings of tokens in a label",
        input: |target, n| label(target, n, "ghp_"),
        most: 120_000,
    },
    Family {
        name: "secrets with as many findings",
        input: |target, n| {
            let variables = |value: &str| {
                let one = |at| format!("      V{at}_TOKEN: {value}{at}\n");
                format!("    environment:\n{}", repeat(n, one))
            };
            pair(target, &variables("before-"), &variables("after-"))
        },
        most: 8_000,
    },
    Family {
        name: "aliases of the merged service",
        input: |target, n| {
            let aliases = repeat(n, |at| format!("          - a{at}\n"));
            target.write("a.yaml", "services: {agent: {image: i}, pipelock: {image: i}}");
            let merged = format!(
                "services:\n  agent: {{image: i}}\n  sidecars:\n    image: i\n    entrypoint: [sidecar-init]\n    networks:\n      default:\n        aliases:\n{aliases}"
            );
            target.write("b.yaml", merged);
            vec!["diff", "--legacy", "a.yaml", "--bundle", "b.yaml", "--format", "json"]
        },
        most: 10_000,
    },
    Family {
        name: "networks of two services",
        input: |target, n| {
            let of = |service: &str| {
                let networks = repeat(n, |at| format!("      n{at}: {{aliases: [{service}{at}]}}\n"));
                format!("  {service}:\n    image: i\n    networks:\n{networks}")
            };
            let declared = repeat(n, |at| format!("  n{at}: {{}}\n"));
            let text = format!("services:\n{}{}networks:\n{declared}", of("agent"), of("pipelock"));
            target.write("a.yaml", &text);
            target.write("b.yaml", &text);
            PAIR.to_vec()
        },
        most: 9_000,
    },
    Family {
        name: "credentials of a plan",
        input: |target, n| {
            let tokens: Vec<String> = (0..n).map(|at| format!("EGRESS_TOKEN_{at}")).collect();
            plan(target, "/egress/tokens", json!(tokens))
        },
        most: 35_000,
    },
    Family {
        name: "volumes of a plan",
        input: |target, n| {
            let volume = |at| json!({ "source": "/srv/x", "target": format!("/opt/v{at}") });
            plan(target, "/pipelock/volumes", (0..n).map(volume).collect())
        },
        most: 10_000,
    },
];
