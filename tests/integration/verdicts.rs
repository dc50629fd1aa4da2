//! No false pass and no false alarm: kinds of change between two files, each with its control.

use std::collections::BTreeSet;

use bottle_migrate::aspects;
use bottle_migrate::compose::{Document, read_text};
use bottle_migrate::finding::{Finding, Severity};
use bottle_migrate::view::{Roles, Side, View};
use bottle_model::images::Images;

use crate::process::Target;

fn read(text: &str) -> Document {
    read_text(text, &|_| None).unwrap_or_else(|error| panic!("{text}: {error}"))
}

pub(crate) fn compared(legacy: &str, bundle: &str, roles: &Roles) -> Vec<Finding> {
    let (legacy, bundle) = (read(legacy), read(bundle));
    aspects::compare(&View::on(&legacy, roles, Side::Legacy), &View::on(&bundle, roles, Side::Any))
}

fn builtin(legacy: &str, bundle: &str) -> BTreeSet<(&'static str, &'static str, &'static str)> {
    let found = compared(legacy, bundle, &Roles::builtin(&Images::default()));
    found
        .iter()
        .map(|finding| {
            let leak = |text: &str| &*text.to_owned().leak();
            (finding.rule.id.as_str(), leak(&finding.principal), leak(&finding.subject))
        })
        .collect()
}

fn map(text: &str) -> Roles {
    Roles::from_map(text, &Images::default()).unwrap_or_else(|error| panic!("{text}: {error}"))
}

/// A table of one daemon.
const WEB: &str = "[[daemon]]\nname = 'web'\nargv = ['web']\nlisten = [80]\n";

#[test]
fn a_map_gives_a_service_one_principal_and_a_principal_one_service() {
    let two = format!("{WEB}[[daemon]]\nname = 'db'\nargv = ['db']\nlisten = [90]\n");
    for (text, culprit) in [
        (format!("agent = 'app'\n{}", WEB.replace("'web'\nargv", "'agent'\nargv")), "agent"),
        (format!("agent = 'web'\n{WEB}"), "web"),
        (format!("agent = 'x'\nbundle = 'x'\n{WEB}"), "x"),
        (format!("agent = 'front'\n[services]\nweb = 'front'\n{WEB}"), "front"),
        (format!("[services]\nweb = 'one'\ndb = 'one'\n{two}"), "one"),
        (format!("[services]\nweb = 'db'\n{two}"), "db"),
        ("agent = 'pipelock'\n".to_owned(), "pipelock"),
        (
            format!("{WEB}[[image]]\nservice = 'web'\nuser = 'a'\n[[image]]\nservice = 'web'\nuser = 'b'\n"),
            "web",
        ),
        (format!("hop = 'web'\n{}", WEB.replace("listen = [80]\n", "")), "no effect"),
        ("hop = 'egress'\n".to_owned(), "no effect"),
        (format!("dials_any = ['other']\n{WEB}"), "other"),
        ((0..65).map(|at| WEB.replace("web", &format!("d{at}"))).collect(), "65 daemons"),
    ] {
        let error = Roles::from_map(&text, &Images::default()).map(|_| ()).unwrap_err().to_string();
        assert!(error.contains(culprit), "{text}: {error}");
    }
    for text in [
        format!("agent = 'app'\n{WEB}"),
        format!("[services]\nweb = 'db'\ndb = 'web'\n{two}"),
        format!("hop = 'web'\n{WEB}"),
        format!("hop = 'web'\n{}", WEB.replace("[80]", "['127.0.0.1:80']")),
        format!("bundle = 'web'\n{WEB}"),
    ] {
        map(&text);
    }
}

#[test]
fn a_principal_that_runs_twice_is_not_compared_and_says_so() {
    let twice = "services:\n  pipelock: {image: a}\n  sidecars: {image: b, entrypoint: [sidecar-init]}\n";
    let found = builtin(twice, twice);
    assert!(
        found.iter().any(|(rule, principal, _)| *rule == "shape-unexpected" && *principal == "pipelock"),
        "{found:?}"
    );
}

#[test]
fn the_bundle_may_have_the_name_of_a_legacy_service() {
    let table = "[[daemon]]\nname = 'proxy'\nargv = ['/proxy']\nlisten = [3128]\n\
                 [[daemon]]\nname = 'cache'\nargv = ['/cache']\nlisten = [11211]\n";
    let images = "[[image]]\nservice = 'proxy'\nentrypoint = ['/proxy']\nuser = 'root'\nworkdir = '/'\nhealth = ['/ok']\n\
                  [[image]]\nservice = 'cache'\nentrypoint = ['/cache']\nuser = 'root'\nworkdir = '/'\nhealth = ['/ok']\n";
    let text = |bundle: &str| format!("agent = 'app'\nbundle = '{bundle}'\n{table}{images}");
    let legacy = "services:\n  app: {image: a, environment: {HTTP_PROXY: 'http://proxy:3128', NO_PROXY: proxy}}\n  \
                  proxy: {image: p}\n  cache: {image: c}\n";
    let bundle = |name: &str| {
        format!(
            "services:\n  app: {{image: a, environment: {{HTTP_PROXY: 'http://{name}:3128', NO_PROXY: proxy}}}}\n  \
             {name}: {{image: b, networks: {{default: {{aliases: [proxy, cache]}}}}}}\n"
        )
    };
    let of = |name: &str| {
        let found = compared(legacy, &bundle(name), &map(&text(name)));
        found
            .iter()
            .map(|finding| (finding.rule.id, finding.principal.clone(), finding.subject.clone()))
            .collect::<Vec<_>>()
    };
    let (own, other) = (of("proxy"), of("sidecars"));
    let quiet = |found: &[(bottle_migrate::finding::RuleId, String, String)], rule: &str| {
        found.iter().filter(|(id, ..)| id.as_str() == rule).count()
    };
    for rule in
        ["env-changed", "env-stale-host", "alias-lost", "alias-added", "reach-lost", "daemon-set-mismatch"]
    {
        assert_eq!(quiet(&own, rule), 0, "{rule}: {own:?}");
    }
    // The control: a legacy daemon that is gone is missed all the same.
    let gone = compared("services: {proxy: {image: p}}", "services: {app: {image: a}}", &map(&text("proxy")));
    assert!(
        gone.iter().any(|finding| finding.rule.id.as_str() == "daemon-set-mismatch"),
        "{gone:?} {other:?}"
    );
}

#[test]
fn another_image_of_who_keeps_a_container_is_found() {
    let roles = map(&format!("agent = 'app'\n{WEB}[[daemon]]\nname = 'db'\nargv = ['db']\nlisten = [90]\n"));
    let file = |app: &str, db: &str| format!("services: {{app: {{image: '{app}'}}, db: {{image: '{db}'}}}}");
    let digest = |digit: &str| format!("d@sha256:{}", digit.repeat(64));
    for (before, after, changed) in [
        (file("a:1", "d:1"), file("a:1", "evil:9"), true),
        (file("a:1", &digest("1")), file("a:1", &digest("2")), true),
        (file("a:1", "d:1"), file("a:2", "d:1"), true),
        (file("a:1", "d:1"), file("a:1", "d:1"), false),
    ] {
        let found = compared(&before, &after, &roles);
        let pins = found.iter().filter(|finding| finding.rule.id.as_str() == "image-pin-changed").count();
        assert_eq!(pins > 0, changed, "{before} → {after}: {found:?}");
    }
    let merged =
        |image: &str| format!("services: {{sidecars: {{image: '{image}', entrypoint: [sidecar-init]}}}}");
    let found = compared(&merged("b:1"), &merged("b:2"), &roles);
    assert!(found.iter().any(|finding| finding.rule.id.as_str() == "image-pin-changed"), "{found:?}");
    assert!(compared(&merged("b:1"), &merged("b:1"), &roles).is_empty());
}

#[test]
fn builds_on_both_sides_may_have_a_dockerfile_each() {
    let roles = Roles::builtin(&Images::default());
    let legacy =
        "services: {egress: {image: 'bot-bottle-egress:latest', build: {context: /b, dockerfile: E}}}";
    let bundle = |build: &str| {
        format!(
            "services: {{sidecars: {{image: 'bot-bottle-sidecars:latest', build: {build}, \
             environment: {{BOT_BOTTLE_SIDECAR_DAEMONS: egress}}}}}}"
        )
    };
    for (build, found) in [
        ("{context: /b, dockerfile: Dockerfile.sidecars}", false),
        ("{context: /b, dockerfile: Dockerfile.sidecars, args: {A: b}}", false),
        ("{context: /evil, dockerfile: Dockerfile.sidecars}", true),
        ("{context: /b, dockerfile: D, privileged: true}", true),
        ("{context: /b, dockerfile: D, network: host}", true),
    ] {
        let findings = compared(legacy, &bundle(build), &roles);
        let pins = findings.iter().any(|finding| finding.rule.id.as_str() == "image-pin-changed");
        assert_eq!(pins, found, "{build}: {findings:?}");
    }
}

#[test]
fn a_default_written_over_an_unknown_image_is_found() {
    let plain = "services: {agent: {image: a}}";
    for (attribute, rule) in [
        ("healthcheck: {disable: true}", "health-missing"),
        ("healthcheck: {test: [NONE]}", "health-missing"),
        ("stop_signal: SIGTERM", "stop-signal-changed"),
        ("user: root", "user-changed"),
        ("working_dir: /", "workdir-changed"),
        ("entrypoint: []", "argv-changed"),
    ] {
        let other = format!("services: {{agent: {{image: a, {attribute}}}}}");
        for (before, after) in [(plain, other.as_str()), (other.as_str(), plain)] {
            let found = builtin(before, after);
            let alike = rule.split('-').next().unwrap_or(rule);
            assert!(found.iter().any(|(id, ..)| id.starts_with(alike)), "{before} → {after}: {found:?}");
        }
    }
    // Of the daemons' own images it is known that they say no such thing.
    for attribute in ["stop_signal: SIGTERM", "user: root", "healthcheck: {disable: true}"] {
        let known = |attribute: &str| {
            format!("services: {{git-gate: {{image: 'bot-bottle-git-gate:latest'{attribute}}}}}")
        };
        let found = builtin(&known(""), &known(&format!(", {attribute}")));
        assert!(found.is_empty(), "{attribute}: {found:?}");
    }
}

#[test]
fn a_variable_that_is_fatal_for_the_init_needs_no_value() {
    let file = |entry: &str| {
        format!("services: {{sidecars: {{image: 'bot-bottle-sidecars:latest', environment: {{{entry}}}}}}}")
    };
    let plain = file("BOT_BOTTLE_SIDECAR_DAEMONS: 'egress,pipelock'");
    for entry in
        ["PIPELOCK__EGRESS_TOKEN_7: ", "PIPELOCK__EGRESS_TOKEN_7: x", "BOT_BOTTLE_SIDECAR_ISOLATION: "]
    {
        let found =
            builtin(&plain, &file(&format!("BOT_BOTTLE_SIDECAR_DAEMONS: 'egress,pipelock', {entry}")));
        assert!(found.iter().any(|(rule, ..)| *rule == "shape-unexpected"), "{entry}: {found:?}");
    }
    let found =
        builtin(&plain, &file("BOT_BOTTLE_SIDECAR_DAEMONS: 'egress,pipelock', EGRESS__EGRESS_TOKEN_7: "));
    assert!(found.iter().all(|(rule, ..)| *rule != "shape-unexpected"), "{found:?}");
}

/// Two daemons, of which one has a host entry.
fn entries(bundle: &str) -> (String, String) {
    let legacy = "services:\n  pipelock: {image: 'ghcr.io/luckypipewrench/pipelock:2.3.0@sha256:3b1a39417b98406ddc5dc2d8fcb42865ddc0c68a43d355db55f0f8cb06bc6de9'}\n  \
                  supervise: {image: 'bot-bottle-supervise:latest'}\n  \
                  git-gate: {image: 'bot-bottle-git-gate:latest', extra_hosts: ['forge:100.64.0.9']}\n";
    let bundle = format!(
        "services: {{sidecars: {{image: 'bot-bottle-sidecars:latest', extra_hosts: [{bundle}], \
         environment: {{BOT_BOTTLE_SIDECAR_DAEMONS: 'pipelock,git-gate,supervise'}}}}}}"
    );
    (legacy.to_owned(), bundle)
}

#[test]
fn a_host_entry_that_reaches_a_proxy_is_an_error() {
    let (legacy, bundle) = entries("'forge:100.64.0.9'");
    let found = compared(&legacy, &bundle, &Roles::builtin(&Images::default()));
    let of = |who: &str| {
        let mut found = found.iter().filter(|finding| finding.rule.id.as_str() == "hosts-scope-widened");
        found.find(|finding| finding.principal == who).map(|finding| (finding.severity, finding.broadening()))
    };
    assert_eq!(of("pipelock"), Some((Severity::Error, false)));
    assert_eq!(of("supervise"), Some((Severity::Warning, true)));
    assert_eq!(of("git-gate"), None);
    // In a map the daemons that dial for others are named.
    let table = "[[daemon]]\nname = 'web'\nargv = ['web']\n[[daemon]]\nname = 'db'\nargv = ['db']\n";
    let legacy = "services: {web: {image: w}, db: {image: d, extra_hosts: ['forge:100.64.0.9']}}";
    let bundle = "services: {sidecars: {image: s, extra_hosts: ['forge:100.64.0.9']}}";
    for (keys, severity) in [("", Severity::Warning), ("dials_any = ['web']\n", Severity::Error)] {
        let found = compared(legacy, bundle, &map(&format!("{keys}{table}")));
        let hit = found.iter().find(|finding| finding.rule.id.as_str() == "hosts-scope-widened").unwrap();
        assert_eq!(hit.severity, severity, "{keys}");
    }
}

#[test]
fn an_init_that_nothing_vouches_for_is_trusted_with_nothing() {
    let legacy = "services:\n  egress: {image: 'bot-bottle-egress:latest', environment: [EGRESS_TOKEN_0]}\n  \
                  pipelock: {image: 'ghcr.io/luckypipewrench/pipelock:2.3.0@sha256:3b1a39417b98406ddc5dc2d8fcb42865ddc0c68a43d355db55f0f8cb06bc6de9'}\n";
    let bundle = |attributes: &str| {
        format!("services: {{sidecars: {{{attributes}}}}}")
            .replace("ENV", "environment: [EGRESS_TOKEN_0, 'BOT_BOTTLE_SIDECAR_DAEMONS=egress,pipelock']")
    };
    let leaks = |bundle: &str| {
        let found = builtin(legacy, bundle);
        let leak = found.contains(&("env-scope-widened", "pipelock", "EGRESS_TOKEN_0"));
        let asks = found.contains(&("shape-unexpected", "", "init"));
        (leak, asks)
    };
    let unknown = "image: 'claude-bottle-sidecars:latest', environment: [EGRESS_TOKEN_0]";
    assert_eq!(leaks(&bundle(unknown)), (true, true));
    assert_eq!(leaks(&bundle(&format!("{unknown}, entrypoint: [python3, /app/our_init.py]"))), (true, false));
    for evidence in [
        "image: x, ENV",
        "image: x, environment: [EGRESS_TOKEN_0], entrypoint: [/usr/local/bin/sidecar-init]",
        "image: 'bot-bottle-sidecars:latest', environment: [EGRESS_TOKEN_0]",
    ] {
        assert_eq!(leaks(&bundle(evidence)), (false, false), "{evidence}");
    }
    // What is said of the init in passing is said only where it is known.
    let said = |attributes: &str| {
        let (document, roles) = (read(&bundle(attributes)), Roles::builtin(&Images::default()));
        View::of(&document, &roles).transitions.iter().any(|change| change.name == "no-new-privileges")
    };
    assert!(said("image: x, ENV") && !said(unknown));
    // It is not the same unknown on both sides.
    assert!(builtin(&bundle(unknown), &bundle(unknown)).contains(&("shape-unexpected", "", "init")));
}

/// The agent and both proxies; `agent` is its environment, `sidecars` more of the bundle.
fn chain(agent: [&str; 2], sidecars: &str) -> (String, String) {
    let legacy = format!(
        "services:\n  agent: {{image: a, environment: {{{}}}}}\n  egress: {{image: 'bot-bottle-egress:latest'}}\n  \
         pipelock: {{image: 'ghcr.io/luckypipewrench/pipelock:2.3.0@sha256:3b1a39417b98406ddc5dc2d8fcb42865ddc0c68a43d355db55f0f8cb06bc6de9'}}\n",
        agent[0]
    );
    let bundle = format!(
        "services:\n  agent: {{image: a, environment: {{{}}}}}\n  sidecars: {{image: 'bot-bottle-sidecars:latest', \
         environment: {{BOT_BOTTLE_SIDECAR_DAEMONS: 'egress,pipelock'}}{sidecars}}}\n",
        agent[1]
    );
    (legacy, bundle)
}

#[test]
fn an_address_of_the_hidden_hop_is_found() {
    let proxies = "HTTPS_PROXY: 'http://pipelock:8888'";
    let (legacy, bundle) = chain(
        [
            &format!("{proxies}, X: 'http://egress:9099'"),
            "HTTPS_PROXY: 'http://sidecars:8888', X: 'http://sidecars:9099'",
        ],
        "",
    );
    let found = builtin(&legacy, &bundle);
    assert!(found.contains(&("env-changed", "agent", "X")), "{found:?}");
    assert!(found.contains(&("address-unreachable", "agent", "sidecars:9099")), "{found:?}");
    // The control: the first proxy is heard.
    assert!(!found.contains(&("env-changed", "agent", "HTTPS_PROXY")), "{found:?}");
    // In both shapes.
    let dead = "services: {agent: {image: a, environment: {X: 'http://pipelock:1'}}, pipelock: {image: p}}";
    assert!(builtin(dead, dead).contains(&("address-unreachable", "agent", "pipelock:1")));
    let exposed = dead.replace("image: p}", "image: p, expose: ['1']}");
    assert!(builtin(&exposed, &exposed).is_empty());
    // An entry of the hosts file comes before DNS.
    let own = dead.replace("pipelock:1", "pipelock:8888");
    assert!(builtin(&own, &own).is_empty());
    let shadowed = own.replace("image: a,", "image: a, extra_hosts: ['pipelock:192.0.2.1'],");
    assert!(builtin(&own, &shadowed).contains(&("env-changed", "agent", "X")));
}

#[test]
fn a_chain_that_nothing_tells_is_asked_for() {
    let (legacy, bundle) = chain(["A: b", "A: b"], "");
    assert!(builtin(&legacy, &bundle).contains(&("reach-lost", "agent", "egress:9099")));
    let (legacy, bundle) =
        chain(["HTTPS_PROXY: 'http://pipelock:8888'", "HTTPS_PROXY: 'http://sidecars:8888'"], "");
    assert!(!builtin(&legacy, &bundle).contains(&("reach-lost", "agent", "egress:9099")));
    // Both files speak of the other chain than the init starts.
    let (legacy, bundle) =
        chain(["HTTPS_PROXY: 'http://egress:9099'", "HTTPS_PROXY: 'http://sidecars:9099'"], "");
    let found = builtin(&legacy, &bundle);
    assert!(found.contains(&("reach-lost", "agent", "egress:9099")), "{found:?}");
    assert!(found.contains(&("env-changed", "agent", "HTTPS_PROXY")), "{found:?}");
}

#[test]
fn a_port_whose_sockets_are_all_on_loopback_publishes_nothing() {
    let roles = |address: &str| {
        map(&format!(
            "[[daemon]]\nname = 'web'\nargv = ['web']\nlisten = ['{address}:80']\n[[image]]\nservice = 'web'\nlisten = [80]\n"
        ))
    };
    let (legacy, bundle) = (
        "services: {web: {image: w, ports: ['80:80']}}",
        "services: {sidecars: {image: s, ports: ['80:80']}}",
    );
    for (address, lost) in [("127.0.0.1", true), ("0.0.0.0", false)] {
        let found = compared(legacy, bundle, &roles(address));
        let ineffective = found.iter().find(|finding| finding.rule.id.as_str() == "port-ineffective");
        assert_eq!(
            ineffective.map(|finding| finding.severity),
            lost.then_some(Severity::Error),
            "{address}: {found:?}"
        );
    }
}

#[test]
fn walls_that_cut_a_daemon_off_are_found() {
    let table = |connect: &str| {
        map(&format!(
            "[[daemon]]\nname = 'front'\nargv = ['front']\nlisten = [80]\n{connect}\n\
             [[daemon]]\nname = 'back'\nargv = ['back']\nlisten = [90]\n\
             [[image]]\nservice = 'front'\nlisten = [80]\n[[image]]\nservice = 'back'\nlisten = [90]\n"
        ))
    };
    let legacy = "services: {front: {image: f}, back: {image: b}}";
    let bundle = "services: {sidecars: {image: s, environment: {BOT_BOTTLE_SIDECAR_ISOLATION: require}}}";
    for (connect, cut) in
        [("", false), ("connect = [90, 443]", false), ("connect = [443]", true), ("connect = []", true)]
    {
        let found = compared(legacy, bundle, &table(connect));
        let lost = found.iter().any(|finding| {
            finding.rule.id.as_str() == "reach-lost"
                && finding.principal == "front"
                && finding.subject == "back:90"
        });
        assert_eq!(lost, cut, "{connect}: {found:?}");
        let narrower = found.iter().any(|finding| finding.subject == "ports that it may dial");
        assert_eq!(narrower, !connect.is_empty(), "{connect}");
    }
}

#[test]
fn a_daemon_that_nobody_starts_again_is_found() {
    let table =
        |restart: &str| map(&format!("[[daemon]]\nname = 'web'\nargv = ['web']\nlisten = [80]\n{restart}\n"));
    for (policy, row, severity) in [
        ("on-failure", "", Some(Severity::Error)),
        ("always", "restart = 'on-failure'", Some(Severity::Error)),
        ("on-failure", "restart = 'on-failure'", None),
        ("'no'", "restart = 'on-failure'", Some(Severity::Warning)),
        ("'no'", "", None),
    ] {
        let legacy = format!("services: {{web: {{image: w, restart: {policy}}}}}");
        let bundle = format!("services: {{sidecars: {{image: s, restart: {policy}}}}}");
        let found = compared(&legacy, &bundle, &table(row));
        let hit = found.iter().find(|finding| finding.rule.id.as_str() == "restart-policy-changed");
        assert_eq!(hit.map(|finding| finding.severity), severity, "{policy} {row}: {found:?}");
    }
}

#[test]
fn what_is_lost_is_an_error() {
    let side = |service: &str| {
        format!(
            "services: {{agent: {{image: a, environment: {{T: x}}}}, supervise: {{image: 'bot-bottle-supervise:latest'{service}}}}}"
        )
    };
    for (was, is, rule) in [
        (", environment: [API_TOKEN]", ", environment: ['API_TOKEN=']", "env-null-vs-empty"),
        (", working_dir: /a", ", working_dir: /b", "workdir-changed"),
        (", dns_search: [a.example]", "", "dns-changed"),
        (", restart: always", "", "restart-policy-changed"),
        ("", ", ulimits: {nofile: 10}", "limit-collapsed"),
        (
            ", ulimits: {nofile: {soft: 10, hard: 20}}",
            ", ulimits: {nofile: {soft: 10, hard: 15}}",
            "limit-collapsed",
        ),
        (", mem_limit: 2g", ", mem_limit: 1g", "limit-collapsed"),
    ] {
        let found = compared(&side(was), &side(is), &Roles::builtin(&Images::default()));
        let hit = found.iter().find(|finding| finding.rule.id.as_str() == rule);
        assert_eq!(hit.map(|finding| finding.severity), Some(Severity::Error), "{was} → {is}: {found:?}");
    }
    // The control: what is given instead weighs less.
    let found =
        compared(&side(", mem_limit: 1g"), &side(", mem_limit: 2g"), &Roles::builtin(&Images::default()));
    assert!(found.iter().all(|finding| finding.severity < Severity::Error), "{found:?}");
}

#[test]
fn what_takes_nothing_is_no_error() {
    let proxies = "HTTPS_PROXY: 'http://pipelock:8888'";
    // A port's options, and a host name that nobody gave.
    let port = |options: &str| {
        format!(
            "services: {{git-gate: {{image: 'bot-bottle-git-gate:latest', ports: [{{target: 9418, published: '9418'{options}}}]}}}}"
        )
    };
    for options in [", name: git", ", app_protocol: tcp", ", mode: host"] {
        let found = builtin(&port(""), &port(options));
        assert!(found.is_empty(), "{options}: {found:?}");
    }
    let (legacy, bundle) = chain([proxies, "HTTPS_PROXY: 'http://sidecars:8888'"], "");
    let found = builtin(&legacy, &bundle);
    assert!(!found.iter().any(|(rule, ..)| *rule == "name-changed"), "{found:?}");
    // A name that the merged service keeps, and an address of the same container.
    let (legacy, bundle) = chain([proxies, proxies], ", networks: {default: {aliases: [pipelock]}}");
    let found = compared(&legacy, &bundle, &Roles::builtin(&Images::default()));
    let stale = found.iter().find(|finding| finding.rule.id.as_str() == "env-stale-host");
    assert_eq!(stale.map(|finding| finding.severity), Some(Severity::Note), "{found:?}");
    let upstream = |value: &str| {
        let (legacy, bundle) = chain([proxies, "HTTPS_PROXY: 'http://sidecars:8888'"], "");
        let legacy = legacy.replace(
            "egress:latest'",
            "egress:latest', environment: {EGRESS_UPSTREAM_PROXY: 'http://pipelock:8888'}",
        );
        let bundle = bundle.replace(
            "environment: {BOT",
            &format!("environment: {{EGRESS__EGRESS_UPSTREAM_PROXY: '{value}', BOT"),
        );
        builtin(&legacy, &bundle).iter().any(|(rule, ..)| *rule == "env-changed")
    };
    assert!(
        !upstream("http://127.0.0.1:8888")
            && !upstream("http://localhost:8888")
            && upstream("http://127.0.0.1:9099")
    );
    // A health check that finds out sooner, although its start may take longer.
    let health =
        |times: &str| format!("services: {{agent: {{image: a, healthcheck: {{test: [CMD, x], {times}}}}}}}");
    for (was, is, weaker) in [
        ("interval: 30s, retries: 3", "interval: 2s, retries: 2, timeout: 5s, start_period: 60s", false),
        ("interval: 30s, retries: 3", "interval: 30s, retries: 3, start_period: 60s", true),
        ("interval: 30s, retries: 3", "interval: 31s, retries: 3", true),
        ("interval: 30s, retries: 3", "interval: 2s, retries: 300", true),
    ] {
        let found = builtin(&health(was), &health(is));
        assert_eq!(
            found.iter().any(|(rule, ..)| *rule == "health-weakened"),
            weaker,
            "{was} → {is}: {found:?}"
        );
        assert!(!found.is_empty());
    }
}

#[test]
fn agent_urls_are_told_only_of_variables_that_name_the_merged_service() {
    let told = |url: &str| {
        let (_, bundle) =
            chain(["A: b", &format!("HTTPS_PROXY: '{url}'")], ", networks: {default: {aliases: [pipelock]}}");
        let (document, roles) = (read(&bundle), Roles::builtin(&Images::default()));
        View::of(&document, &roles).transitions.iter().any(|change| change.name == "agent-urls")
    };
    assert!(told("http://sidecars:8888") && !told("http://pipelock:8888"));
}

#[test]
fn names_follow_the_prefix_of_the_plan_or_of_the_configuration() {
    let text =
        std::fs::read_to_string(concat!(env!("CARGO_MANIFEST_DIR"), "/examples/minimal.plan.json")).unwrap();
    let mut plan: serde_json::Value = serde_json::from_str(&text).unwrap();
    let target =
        Target::new(&[("p.json", &text), ("bottle-migrate.toml", "[names]\nprefix = 'claude-bottle'\n")]);
    plan["prefix"] = "other".into();
    target.write("q.json", plan.to_string());
    for (file, prefix) in [("p.json", "claude-bottle"), ("q.json", "other")] {
        for shape in ["legacy", "bundle"] {
            let yaml = target.run(&["render", file, "--shape", shape]).stdout;
            let slug = plan["slug"].as_str().unwrap();
            assert!(yaml.contains(&format!("container_name: {prefix}-{slug}")), "{yaml}");
            assert!(yaml.contains(&format!("name: {prefix}-internal-{slug}")), "{yaml}");
            assert!(!yaml.contains("name: bot-bottle"), "{yaml}");
            let image = format!("{prefix}-sidecars:latest");
            assert_eq!(yaml.contains(&image), shape == "bundle", "{yaml}");
            let form = prefix.to_uppercase().replace('-', "_");
            let named =
                [&format!("BOT_BOTTLE_SIDECAR_PREFIX: {prefix}"), &format!("{form}_SIDECAR_ENV: listed")];
            for handshake in named {
                assert_eq!(yaml.contains(handshake), shape == "bundle", "{handshake}: {yaml}");
            }
            let usual = yaml.replace(&form, "").replace("BOT_BOTTLE_SIDECAR_PREFIX", "");
            assert!(!usual.contains("BOT_BOTTLE_"), "{yaml}");
        }
        let ran = target.run(&["diff", file]);
        assert_eq!(ran.code, 0, "{}{}", ran.stdout, ran.stderr);
        assert!(!ran.stdout.contains("image-"), "{}", ran.stdout);
    }
    // The flag has the prefix as well.
    let mut command = target.command(&["render", "p.json"]);
    command.env("CLAUDE_BOTTLE_SIDECAR_BUNDLE", "1");
    assert!(crate::process::ran(command, "").stdout.contains("claude-bottle-sidecars:latest"));
}

#[test]
fn a_handshake_with_a_prefix_counts_where_the_init_knows_the_prefix() {
    let roles = Roles::builtin(&Images::named("claude-bottle", |_| None));
    let bundle = |environment: &str| {
        read(&format!(
            "services: {{sidecars: {{image: 'claude-bottle-sidecars:latest', environment: {{{environment}}}}}}}"
        ))
    };
    let of = |environment: &str| {
        let document = bundle(environment);
        let view = View::of(&document, &roles);
        let walls = view.principals.get("pipelock").unwrap().walls.as_deref().map(str::to_owned);
        let odd: Vec<String> = view.anomalies.iter().map(|odd| odd.subject.clone()).collect();
        (walls.unwrap(), odd)
    };
    let own = "CLAUDE_BOTTLE_SIDECAR_ISOLATION: require";
    let (walls, odd) = of(&format!("BOT_BOTTLE_SIDECAR_PREFIX: claude-bottle, {own}"));
    assert_eq!((&*walls, &*odd), ("require", &[][..]));
    // Without it the init does not read the variable, and the file says something that is not so.
    let (walls, odd) = of(own);
    assert_eq!((&*walls, &*odd), ("best-effort", &["CLAUDE_BOTTLE_SIDECAR_ISOLATION".to_owned()][..]));
    for fatal in [
        "BOT_BOTTLE_SIDECAR_PREFIX: claude-bottle, BOT_BOTTLE_SIDECAR_ISOLATION: require",
        "BOT_BOTTLE_SIDECAR_PREFIX: claude-bottle, CLAUDE_BOTTLE_SIDECAR_ISOLATON: require",
        "BOT_BOTTLE_SIDECAR_PREFIX: Claude",
    ] {
        assert!(of(fatal).1.contains(&"handshake".to_owned()), "{fatal}");
    }
    assert!(of("BOT_BOTTLE_SIDECAR_PREFIX: ").1.contains(&"BOT_BOTTLE_SIDECAR_PREFIX".to_owned()));
}

#[test]
fn a_bundle_that_merges_nothing_is_not_compared() {
    let five = "services:\n  agent: {image: a}\n  pipelock: {image: p}\n  egress: {image: e}\n";
    let target = Target::new(&[
        ("five.yml", five),
        ("two.yml", "services: {agent: {image: a}, sidecars: {image: s}}"),
    ]);
    let ran = target.run(&["diff", "--legacy", "five.yml", "--bundle", "five.yml"]);
    assert_eq!(ran.code, 2, "{}{}", ran.stdout, ran.stderr);
    assert!(
        ran.stderr.contains("merges no daemons") && ran.stderr.contains("--allow-unmerged"),
        "{}",
        ran.stderr
    );
    let ran = target.run(&["diff", "--legacy", "five.yml", "--bundle", "five.yml", "--allow-unmerged"]);
    assert_eq!(ran.code, 0, "{}{}", ran.stdout, ran.stderr);
    let ran = target.run(&["diff", "--legacy", "five.yml", "--bundle", "two.yml"]);
    assert_eq!(ran.code, 1, "{}{}", ran.stdout, ran.stderr);
}
