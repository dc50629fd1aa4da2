//! The merge core: what a plan's own renderer makes of a bottle, merging its legacy file makes too.

use bottle_migrate::aspects;
use bottle_migrate::compose::Document;
use bottle_migrate::finding::Finding;
use bottle_migrate::merging::merged;
use bottle_migrate::view::{Roles, View};
use bottle_model::compose::Compose;
use bottle_model::images::Images;
use bottle_model::plan::Plan;

use crate::plans::rendering_samples;
use crate::process::{Target, ran};

fn between(before: &Compose, after: &Compose, roles: &Roles) -> Vec<Finding> {
    let (before, after): (Document, Document) = (before.clone().into(), after.clone().into());
    aspects::compare(&View::of(&before, roles), &View::of(&after, roles))
}

fn roles_of(plan: &Plan) -> (Images, Roles) {
    let images = Images::default().under(plan.prefix()).into_owned();
    let roles = Roles::builtin(&images);
    (images, roles)
}

#[test]
fn merging_a_rendered_legacy_file_is_rendering_the_bundle() {
    let mut failures = Vec::new();
    let samples = rendering_samples();
    for (name, plan) in &samples {
        let (images, roles) = roles_of(plan);
        let legacy = bottle_legacy::render(plan, &images);
        let rendered = bottle_bundle::render(plan, &images).unwrap();
        match merged(&legacy, &roles, &images, plan.isolation) {
            Err(error) => failures.push(format!("{name}: {error}")),
            Ok(Err(conflicts)) => {
                failures.extend(conflicts.iter().map(|conflict| format!("{name}: {conflict}")));
            }
            Ok(Ok(merged)) => {
                let ways = [("lost", &rendered, &merged.compose), ("gained", &merged.compose, &rendered)];
                for (way, before, after) in ways {
                    let findings = between(before, after, &roles);
                    failures.extend(findings.iter().map(|found| {
                        format!(
                            "{name} {way} {} {} {}: {:?} → {:?}",
                            found.rule.id,
                            found.principal,
                            found.subject,
                            found.before.as_ref().map(|shown| &shown.text),
                            found.after.as_ref().map(|shown| &shown.text)
                        )
                    }));
                }
            }
        }
    }
    assert!(failures.is_empty(), "{} of {}:\n{}", failures.len(), samples.len(), failures.join("\n"));
    assert!(samples.len() >= 20);
}

const WEB: &str = "\
name: shop
services:
  web:
    image: web:1
    ports: ['8080:80']
    networks: [front, back]
  app:
    image: app:1
    environment: {A: '1'}
    networks: [back]
  db:
    image: db:1
    networks: [back]
networks: {front: , back: }
";
const MAP: &str = "\
bundle = 'all'
[[daemon]]
name = 'web'
argv = ['/web']
listen = [80]
[[daemon]]
name = 'app'
argv = ['/app']
";

#[test]
fn a_compose_file_is_compared_and_rendered_where_a_plan_is() {
    let plan =
        std::fs::read_to_string(concat!(env!("CARGO_MANIFEST_DIR"), "/examples/minimal.plan.json")).unwrap();
    let target = Target::new(&[("p.plan.json", &plan)]);
    let legacy = target.run(&["render", "--shape", "legacy", "p.plan.json"]);
    target.write("docker-compose.yml", legacy.stdout.as_bytes());
    let bundle = target.run(&["render", "--shape", "bundle", "p.plan.json"]);
    let merged = target.run(&["render", "--shape", "bundle", "docker-compose.yml"]);
    // The order of mounts is that of the file which was read.
    let sorted = |text: &str| {
        let mut lines: Vec<String> = text.lines().map(str::to_owned).collect();
        lines.sort();
        lines
    };
    assert_eq!((merged.code, sorted(&merged.stdout)), (0, sorted(&bundle.stdout)), "{}", merged.stderr);
    let canonical = target.run(&["render", "--shape", "legacy", "docker-compose.yml"]);
    assert_eq!(
        (canonical.code, sorted(&canonical.stdout)),
        (0, sorted(&legacy.stdout)),
        "{}",
        canonical.stderr
    );
    // One by one, as overrides of nothing, from stdin and by folder.
    for arguments in
        [&["diff", "docker-compose.yml"][..], &["diff", "--legacy", "docker-compose.yml"], &["diff", "."]]
    {
        let ran = target.run(arguments);
        assert_eq!(ran.code, 0, "{arguments:?} {}{}", ran.stdout, ran.stderr);
        assert!(
            ran.stdout.contains("docker-compose.yml: 2 services → 2") || arguments[1] == ".",
            "{}",
            ran.stdout
        );
    }
    let piped = ran(target.command(&["diff", "-"]), &legacy.stdout);
    assert_eq!(piped.code, 0, "{}", piped.stderr);
    let required = target.run(&["diff", "docker-compose.yml", "--isolation", "require", "--format", "json"]);
    assert!(!required.stdout.contains("isolation-weakened"), "{}", required.stdout);
    let default = target.run(&["diff", "docker-compose.yml", "--format", "json"]);
    assert!(default.stdout.contains("isolation-weakened"), "{}", default.stdout);
}

#[test]
fn a_folder_takes_all_that_a_bundle_of_another_project_needs() {
    let target = Target::new(&[("c.yml", WEB), ("map.toml", MAP)]);
    let ran = target.run(&["render", "c.yml", "--map", "map.toml", "--shape", "bundle", "-o", "out/"]);
    assert_eq!(ran.code, 0, "{}", ran.stderr);
    let read = |name: &str| std::fs::read_to_string(target.path(name)).unwrap();
    let rows = bottle_model::table::read(&read("out/daemons.toml")).unwrap();
    assert_eq!(rows.iter().map(|row| row.name.as_str()).collect::<Vec<_>>(), ["web", "app"]);
    let compose = read("out/compose.yaml");
    assert!(
        compose.contains("  all:\n") && compose.contains("  db:\n") && !compose.contains("  web:\n"),
        "{compose}"
    );
    let dockerfile = read("out/Dockerfile.all");
    for line in ["FROM web:1 AS from-web", "COPY --from=from-app /app /app", "COPY --chmod=755 sidecar-init"]
    {
        assert!(dockerfile.contains(line), "{dockerfile}");
    }
    // What was rendered is what is compared.
    target.write("map.out.toml", format!("bundle = 'all'\n{}", read("out/daemons.toml")).as_bytes());
    let own = target.run(&[
        "diff",
        "--legacy",
        "c.yml",
        "--bundle",
        "out/compose.yaml",
        "--map",
        "map.out.toml",
        "--format",
        "json",
    ]);
    let made = target.run(&["diff", "c.yml", "--map", "map.toml", "--format", "json"]);
    let rules = |text: &str| -> Vec<String> {
        let report: serde_json::Value = serde_json::from_str(text).unwrap();
        let findings = report["findings"].as_array().unwrap();
        findings
            .iter()
            .map(|found| format!("{} {} {}", found["rule"], found["principal"], found["subject"]))
            .collect()
    };
    assert_eq!(rules(&own.stdout), rules(&made.stdout));
    assert!(!rules(&made.stdout).is_empty());
}

/// What two services cannot share, and what the message has to name.
const CONFLICTS: &[(&str, &str, &[&str])] = &[
    ("ports: ['80']", "ports: ['81:80']", &["port 80/tcp"]),
    ("volumes: ['/a:/x']", "volumes: ['/b:/x']", &["/a on /x", "/b on /x"]),
    ("volumes: ['/a:/x']", "volumes: ['/b:/x/y']", &["/x/y"]),
    ("volumes: ['/a:/usr/local']", "", &["sidecar-init"]),
    ("volumes: ['/a:/bin']", "entrypoint: [/bin/b]", &["/bin/b"]),
    ("dns: 1.1.1.1", "", &["dns", "1.1.1.1", "none"]),
    ("network_mode: host", "", &["network_mode", "host"]),
    ("pid: host", "", &["pid", "host"]),
    ("userns_mode: host", "", &["userns_mode", "host"]),
    ("privileged: true", "", &["privileged", "true"]),
    (
        "security_opt: ['seccomp=a.json']",
        "security_opt: ['seccomp=b.json']",
        &["security_opt", "a.json", "b.json"],
    ),
    ("runtime: runsc", "", &["runtime", "runsc"]),
    ("platform: linux/arm64", "", &["platform"]),
    ("sysctls: {a.b: 1}", "sysctls: {a.b: 2}", &["a.b"]),
    ("devices: ['/dev/a:/dev/x']", "devices: ['/dev/b:/dev/x']", &["/dev/x"]),
    ("labels: {l: '1'}", "labels: {l: '2'}", &["labels l"]),
    ("extra_hosts: ['h:1.1.1.1']", "extra_hosts: ['h:2.2.2.2']", &["h"]),
    ("logging: {driver: none}", "", &["logging"]),
    (
        "networks: {n: {ipv4_address: 10.0.0.2}}",
        "networks: {n: {ipv4_address: 10.0.0.3}}",
        &["10.0.0.2", "10.0.0.3"],
    ),
    ("environment: [LANG]", "environment: {LANG: C}", &["variable LANG"]),
    ("depends_on: [x]", "", &["depends_on"]),
];

#[test]
fn what_one_container_cannot_give_to_two_services_is_named_with_both() {
    for (a, b, named) in CONFLICTS {
        let program = |name: &str, own: &str| {
            let entrypoint =
                if own.contains("entrypoint") { "" } else { &format!(", entrypoint: [/srv/{name}]") };
            let own = if own.is_empty() { String::new() } else { format!(", {own}") };
            format!("  {name}: {{image: {name}{entrypoint}{own}}}\n")
        };
        // In the last case the first waits for somebody who waits for the second.
        let compose = format!(
            "services:\n{}{}  x: {{image: x, depends_on: [b]}}\nnetworks: {{n: {{ipam: {{config: [{{subnet: 10.0.0.0/24}}]}}}}}}\n",
            program("a", a),
            program("b", b)
        );
        let path = if b.contains("/bin/b") { "/bin/b" } else { "/srv/b" };
        let map =
            format!("[[daemon]]\nname = 'a'\nargv = ['/srv/a']\n[[daemon]]\nname = 'b'\nargv = ['{path}']\n");
        let target = Target::new(&[("c.yml", &compose), ("map.toml", &map)]);
        let ran = target.run(&["diff", "c.yml", "--map", "map.toml", "--format", "json"]);
        assert_eq!(ran.code, 1, "{a} | {b}: {}{}", ran.stdout, ran.stderr);
        let report: serde_json::Value = serde_json::from_str(&ran.stdout).unwrap();
        let findings = report["findings"].as_array().unwrap();
        assert!(
            !findings.is_empty() && findings.iter().all(|found| found["rule"] == "merge-conflict"),
            "{a} | {b}: {report}"
        );
        let said = findings[0]["message"].as_str().unwrap();
        for word in *named {
            assert!(said.contains(word), "{word} in {said}");
        }
        assert!(said.contains("a has") || said.contains("b has"), "{said}");
        assert!(findings[0]["line"].as_u64().is_some_and(|line| line > 1), "{report}");
        let render = target.run(&["render", "c.yml", "--map", "map.toml", "--shape", "bundle"]);
        assert_eq!((render.code, render.stdout.as_str()), (2, ""), "{}", render.stderr);
        assert!(render.stderr.contains(said), "{said} in {}", render.stderr);
    }
}

#[test]
fn the_configuration_knows_the_files() {
    let config = "[compare]\nlegacy = ['c.yml']\nmap = 'map.toml'\n";
    let target = Target::new(&[("c.yml", WEB), ("map.toml", MAP), ("bottle-migrate.toml", config)]);
    let named = target.run(&["diff", "c.yml", "--map", "map.toml", "--format", "json"]);
    let bare = target.run(&["diff", "--format", "json"]);
    assert_eq!((bare.code, &bare.stdout), (named.code, &named.stdout), "{}", bare.stderr);
    assert!(bare.stdout.contains("\"principal\":\"web\""), "{}", bare.stdout);
    // flip-default compares them too, and their errors refuse it.
    let flip = target.run(&["flip-default", "--dry-run"]);
    assert!(flip.stderr.contains("c.yml") && flip.code == 3, "{} {}", flip.code, flip.stderr);
    for (config, message) in [
        ("[compare]\nlegacy = ['../c.yml']\n", "leaves the root"),
        ("[compare]\nbundle = ['c.yml']\n", "without compare.legacy"),
        ("[compare]\nlegcy = ['c.yml']\n", "did you mean `legacy`?"),
        ("[compare]\nlegacy = ['absent.yml']\n", "absent.yml: no such file"),
    ] {
        target.write("bottle-migrate.toml", config.as_bytes());
        target.refused(&["diff"], message);
    }
}

#[test]
fn a_draft_of_a_map_is_refused_until_it_is_complete() {
    let target = Target::new(&[("c.yml", WEB)]);
    let ran = target.run(&["map", "c.yml", "--merge", "web,app", "--bundle", "all", "-o", "map.toml"]);
    assert_eq!((ran.code, ran.stdout.as_str()), (0, ""), "{}", ran.stderr);
    target.refused(&["diff", "c.yml", "--map", "map.toml"], "map.toml:6:1: missing field `argv`");
    target.refused(&["map", "c.yml", "--merge", "web,ap"], "did you mean `app`?");
    target.refused(
        &["map", "c.yml", "--merge", "web", "--agent", "web"],
        "cannot be the agent and merged as well",
    );
    target.write("map.toml", b"bundel = 'all'\n");
    target.refused(&["diff", "c.yml", "--map", "map.toml"], "did you mean `bundle`?");
    target.refused(&["diff", "c.yml"], "none of its services is a daemon that is merged");
}
