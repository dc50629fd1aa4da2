//! What the engine does anyway may be written out: that is no finding, and anything else in its place is one.

use bottle_migrate::view::Roles;
use bottle_model::images::Images;

use crate::verdicts::compared;

/// A file in which one thing of a network, a volume, a mount and the services may be said.
fn file(network: &str, volume: &str, bind: &str, service: &str) -> String {
    format!(
        "services:\n  agent: {{image: a, networks: [n]{service}}}\n  \
         sidecars: {{image: 'bot-bottle-sidecars:latest', networks: [n], volumes: ['data:/data', \
         {{type: bind, source: /x, target: /y, bind: {{create_host_path: true{bind}}}}}]{service}}}\n\
         networks: {{n: {{{network}}}}}\nvolumes: {{data: {{{volume}}}}}\n"
    )
}

#[test]
fn a_default_written_out_is_no_finding() {
    let network = |text: &str| file(text, "", "", "");
    let volume = |text: &str| file("", text, "", "");
    let bind = |text: &str| file("", "", &format!(", {text}"), "");
    let service = |text: &str| file("", "", "", &format!(", {text}"));
    let plain = file("", "", "", "");
    let roles = Roles::builtin(&Images::default());
    for (default, other) in [
        (network("driver: bridge"), network("driver: macvlan")),
        (network("ipam: {driver: default}"), network("ipam: {driver: other}")),
        (network("enable_ipv4: true"), network("enable_ipv4: false")),
        (network("internal: false, attachable: false"), network("attachable: true")),
        (volume("driver: local"), volume("driver: nfs")),
        (bind("propagation: rprivate"), bind("propagation: rshared")),
        (service("shm_size: 64m"), service("shm_size: 65m")),
        (service("cpu_shares: 1024"), service("cpu_shares: 1025")),
        (service("pids_limit: -1"), service("pids_limit: 100")),
        (service("isolation: default"), service("isolation: hyperv")),
        (service("pull_policy: missing"), service("pull_policy: always")),
        (service("deploy: {mode: replicated}"), service("deploy: {mode: global}")),
        (service("restart: 'no', scale: 1, attach: true, stop_grace_period: 10s"), service("scale: 2")),
        (service("privileged: false, read_only: false, init: false"), service("privileged: true")),
    ] {
        for (one, same) in [(&plain, &default), (&default, &plain)] {
            let found = compared(one, same, &roles);
            assert!(found.is_empty(), "{default}: {found:?}");
        }
        for base in [&plain, &default] {
            assert!(!compared(base, &other, &roles).is_empty(), "{base} → {other}");
            assert!(!compared(&other, base, &roles).is_empty(), "{other} → {base}");
        }
    }
    // With something else beside it, the default still says nothing.
    let subnet = "ipam: {config: [{subnet: 10.1.0.0/24}]}";
    let both = network("ipam: {driver: default, config: [{subnet: 10.1.0.0/24}]}, driver: bridge");
    assert!(compared(&network(subnet), &both, &roles).is_empty());
    assert!(!compared(&network("ipam: {config: [{subnet: 10.2.0.0/24}]}"), &both, &roles).is_empty());
}
