//! Compose files that are large, or small and ask for much.

use super::Family;
use crate::process::Target;

/// A file against itself.
const ITSELF: [&str; 6] = ["diff", "--legacy", "a.yaml", "--bundle", "a.yaml", "--allow-unmerged"];

/// One piece of text for each number below n.
fn repeat(n: usize, piece: impl Fn(usize) -> String) -> String {
    (0..n).fold(String::new(), |mut text, at| {
        text.push_str(&piece(at));
        text
    })
}

/// Writes `a.yaml`, which is compared with itself.
fn itself(target: &Target, text: &str) -> Vec<&'static str> {
    target.write("a.yaml", text);
    ITSELF.to_vec()
}

/// A service `agent` with something in it that repeats.
fn agent(target: &Target, n: usize, head: &str, piece: impl Fn(usize) -> String) -> Vec<&'static str> {
    itself(target, &format!("services:\n  agent:\n    image: i\n{head}{}", repeat(n, piece)))
}

/// A base and an override file on the legacy side.
fn overridden(
    target: &Target,
    n: usize,
    attribute: &str,
    piece: impl Fn(usize) -> String,
) -> Vec<&'static str> {
    let head = "services:\n  agent:\n    image: i\n";
    target.write("a.yaml", format!("{head}    {attribute}:\n{}", repeat(n, &piece)));
    target.write("b.yaml", format!("{head}    {attribute}:\n{}", repeat(n, |at| piece(at + n / 2))));
    vec!["diff", "--allow-unmerged", "--legacy", "a.yaml", "b.yaml", "--bundle", "a.yaml", "b.yaml"]
}

pub(super) const FAMILIES: &[Family] = &[
    Family {
        name: "variables of one service",
        input: |target, n| agent(target, n, "    environment:\n", |at| format!("      V{at}: x\n")),
        most: 60_000,
    },
    Family {
        name: "variables against none",
        input: |target, n| {
            agent(target, n, "    environment:\n", |at| format!("      V{at}: x\n"));
            target.write("b.yaml", "services: {agent: {image: i}}");
            vec!["diff", "--allow-unmerged", "--legacy", "a.yaml", "--bundle", "b.yaml"]
        },
        most: 60_000,
    },
    Family {
        name: "services that wait for the one before",
        input: |target, n| {
            let waiting = |at: usize| format!("  s{}: {{image: i, depends_on: [s{at}]}}\n", at + 1);
            itself(target, &format!("services:\n  s0: {{image: i}}\n{}", repeat(n, waiting)))
        },
        most: 20_000,
    },
    Family {
        name: "services that wait for many others",
        input: |target, n| {
            let waiting = |at: usize| {
                let before = repeat(at.min(40), |other| format!("s{},", at - 1 - other));
                format!("  s{at}: {{image: i, depends_on: [{before}]}}\n")
            };
            itself(target, &format!("services:\n{}", repeat(n, waiting)))
        },
        most: 3_000,
    },
    Family {
        name: "exclamation marks in a string",
        input: |target, n| agent(target, n, "    working_dir: /'", |_| "!".to_owned()),
        most: 1 << 20,
    },
    Family {
        name: "exclamation marks in a comment",
        input: |target, n| agent(target, n, "    # ", |_| "!".to_owned()),
        most: 1 << 20,
    },
    Family {
        name: "exclamation marks and commas",
        input: |target, n| agent(target, n, "    # ", |_| "!,".to_owned()),
        most: 1 << 19,
    },
    Family {
        name: "unknown attributes",
        input: |target, n| agent(target, n, "", |at| format!("    unknown-{at}: x\n")),
        most: 30_000,
    },
    Family {
        name: "unset variables in labels",
        input: |target, n| agent(target, n, "    labels:\n", |at| format!("      l{at}: a${{UNSET{at}}}\n")),
        most: 18_000,
    },
    Family {
        name: "documents of one file",
        input: |target, n| {
            itself(
                target,
                &repeat(n, |at| format!("---\nservices: {{agent: {{image: i, labels: {{l{at}: x}}}}}}\n")),
            )
        },
        most: 5_000,
    },
    Family {
        name: "name servers in an override file",
        input: |target, n| {
            overridden(target, n, "dns", |at| {
                format!("    - 10.{}.{}.{}\n", at >> 16, at >> 8 & 255, at & 255)
            })
        },
        most: 12_000,
    },
    Family {
        name: "hosts in an override file",
        input: |target, n| overridden(target, n, "extra_hosts", |at| format!("    - h{at}:192.0.2.1\n")),
        most: 12_000,
    },
    Family {
        name: "addresses of one host in an override file",
        input: |target, n| {
            let address = |at: usize| format!("    - h:10.{}.{}.{}\n", at >> 16, at >> 8 & 255, at & 255);
            overridden(target, n, "extra_hosts", address)
        },
        most: 12_000,
    },
    Family {
        name: "ports in an override file",
        input: |target, n| {
            overridden(target, n, "ports", |at| format!("    - '{}:{}'\n", at % 60_000 + 1, at % 60_000 + 1))
        },
        most: 12_000,
    },
    Family {
        name: "devices in an override file",
        input: |target, n| overridden(target, n, "devices", |at| format!("    - /dev/d{at}\n")),
        most: 12_000,
    },
    Family {
        name: "port ranges that do not overlap",
        input: |target, n| {
            let range =
                |at: usize| format!("    - '{}-{}:{}-{}'\n", 2 * at + 1, 2 * at + 2, 2 * at + 1, 2 * at + 2);
            agent(target, n, "    ports:\n", range)
        },
        most: 16_000,
    },
    Family {
        name: "one large port range",
        input: |target, n| agent(target, 1, "    ports:\n", |_| format!("    - '1-{n}:1-{n}'\n")),
        most: 65_000,
    },
    Family {
        name: "mounts of one service",
        input: |target, n| agent(target, n, "    volumes:\n", |at| format!("    - /v{at}:/w{at}\n")),
        most: 30_000,
    },
    Family {
        name: "references to one anchor",
        input: |target, n| {
            let entry = |at: usize| format!("  s{at}: *a\n");
            itself(target, &format!("x-a: &a {{image: i}}\nservices:\n{}", repeat(n, entry)))
        },
        most: 20_000,
    },
    Family {
        name: "keys that a merge key brings",
        input: |target, n| {
            let keys = repeat(n, |at| format!("  V{at}: x\n"));
            itself(
                target,
                &format!("x-a: &a\n{keys}services: {{agent: {{image: i, environment: {{<<: *a}}}}}}\n"),
            )
        },
        most: 40_000,
    },
    Family {
        name: "services that extend the one before",
        input: |target, n| {
            let extending = |at: usize| format!("  s{}: {{extends: s{at}}}\n", at + 1);
            itself(target, &format!("services:\n  s0: {{image: i}}\n{}", repeat(n, extending)))
        },
        most: 20_000,
    },
    Family {
        name: "services that extend one",
        input: |target, n| {
            let extending = |at: usize| format!("  s{at}: {{extends: base}}\n");
            itself(target, &format!("services:\n  base: {{image: i}}\n{}", repeat(n, extending)))
        },
        most: 20_000,
    },
    Family {
        name: "references in one value",
        input: |target, n| agent(target, n, "    labels:\n      l: ", |at| format!("${{V{at}:-x}}")),
        most: 100_000,
    },
    Family {
        name: "dollars in one value",
        input: |target, n| agent(target, n, "    labels:\n      l: ", |_| "$".to_owned()),
        most: 1 << 20,
    },
];
