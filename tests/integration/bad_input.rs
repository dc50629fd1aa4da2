//! Bad plans and bad configuration: one message that names file and place, exit code 2, never a hang.

use std::fs;
use std::process::Command;

use crate::cli::PLAN;
use crate::process::{Target, ran};

/// Nesting so deep that a parser must refuse it.
const DEEP: usize = 100_000;

/// Refuses the same bytes as a plan of each command, with the place after the file's name.
fn check(bytes: &[u8], place_and_message: &str) {
    let target = Target::new(&[]);
    target.write("p.json", bytes);
    let message = format!("error: p.json{place_and_message}");
    for verb in [&["diff"][..], &["diff", "--format", "json"], &["render", "--shape", "bundle"]] {
        target.refused(&[verb, &["p.json"]].concat(), &message);
    }
    let mut command = target.command(&["diff", "-"]);
    command.stdin(fs::File::open(target.path("p.json")).unwrap());
    let ran = ran(command, "");
    assert_eq!(ran.code, 2, "{}", ran.stderr);
    assert!(ran.stderr.contains(&format!("error: <stdin>{place_and_message}")), "{}", ran.stderr);
}

#[test]
fn plans_are_refused_with_their_place() {
    check(b"", ":1:1: the plan is empty");
    check(b"{", ":1:1: EOF while parsing an object");
    check(b"\x00\x01\x02", ":1:1: expected value");
    check(b"\x7fELF\xff\xfe", ":1:5: not UTF-8 text");
    check(b"{\n\"slug\": \"\xe9\"}", ":2:10: not UTF-8 text");
    check(b"[]", ":1:");
    check(b"null", ":1:");
    check(b"{}", ":1:2: missing field");
    check("[".repeat(DEEP).as_bytes(), ":1:");
    check("{\"agent\":".repeat(DEEP).as_bytes(), ":1:");
    check(&vec![b' '; 50 << 20], ": larger than 4 MiB");
    check(PLAN.replacen('{', "{ \"slug\": \"a\",", 1).as_bytes(), ":");
    check(PLAN.replacen("\"slug\"", "\"slog\"", 1).as_bytes(), ":");
    check(format!("{PLAN}x").as_bytes(), ":");
}

#[test]
fn what_is_no_file_is_refused_before_it_is_opened() {
    let target = Target::new(&[("folder/x.txt", ""), ("file", PLAN)]);
    let fifo = Command::new("mkfifo").arg(target.path("pipe.json")).status().unwrap();
    assert!(fifo.success());
    std::os::unix::fs::symlink("nowhere", target.path("dangling.json")).unwrap();
    std::os::unix::fs::symlink("loop.json", target.path("loop.json")).unwrap();
    for verb in [&["diff"][..], &["render", "--shape", "legacy"]] {
        for (input, message) in [
            ("absent.json", "absent.json: no such file"),
            ("dangling.json", "dangling.json: no such file"),
            ("loop.json", "loop.json: too many levels of symbolic links"),
            ("pipe.json", "pipe.json: is not a regular file"),
            ("/dev/zero", "/dev/zero: is not a regular file"),
            ("file/x", "file/x: a part of the path is not a folder"),
            ("a\u{1b}2J\u{202e}b.json", "a2Jb.json: no such file"),
        ] {
            target.refused(&[verb, &[input]].concat(), message);
        }
    }
    // A folder hides nothing that is named like a plan.
    let ran = target.run(&["diff", "."]);
    assert_eq!((ran.code, ran.stderr.matches("error: ").count()), (2, 3), "{}", ran.stderr);
    target.refused(&["render", "--shape", "legacy", "folder"], "folder: is a folder, not a file");
    target.refused(&["diff", "folder"], "folder: no *.json and no compose file below this folder");
    target.refused(&["diff", "*.yaml"], "*.yaml: no file matches");
    target.refused(&["diff", "[.json"], "[.json: not a glob: ");
    target.refused(&["diff"], "no plan matches `plans/**/*.json`");
    target.refused(&["--root", "absent", "diff", "file"], "--root absent is not a folder");
}

#[test]
fn values_of_variables_are_not_quoted() {
    for (value, message) in [
        ("12345678", "agent.environment.API_TOKEN: invalid type: integer, expected a string"),
        ("[\"hunter2-abc\"]", "agent.environment.API_TOKEN: invalid type: sequence, expected a string"),
        ("\"hunter2-abc\\u0000\"", "agent.environment.API_TOKEN"),
    ] {
        let plan = PLAN.replacen(
            "\"agent\": {",
            &format!("\"agent\": {{ \"environment\": {{ \"API_TOKEN\": {value} }},"),
            1,
        );
        let target = Target::new(&[("p.json", &plan)]);
        target.refused(&["diff", "p.json"], message);
        let ran = target.run(&["diff", "p.json"]);
        assert!(!ran.stderr.contains("12345678") && !ran.stderr.contains("hunter2"), "{}", ran.stderr);
    }
}

#[test]
fn configurations_are_refused_with_their_place() {
    for (text, message) in [
        ("[flga]\n", ":1:2: unknown field `flga`"),
        ("[flag]\ndefault = 1\n", ":2:11: "),
        ("[flag]\nname = \"a\"\nname = \"b\"\n", ":3:1: duplicate key"),
        ("x", ":1:2: "),
        (
            "[[waiver]]\nrule = \"mount-droped\"\nsubject = \"/x\"\nreason = \"r\"\n",
            ":2:8: unknown rule `mount-droped`",
        ),
        ("[[waiver]]\nrule = \"mount-dropped\"\nsubject = \"/x\"\n", ":1:1: missing field `reason`"),
        ("a = \"\u{0}\"\n", ":1:6: "),
    ] {
        let target = Target::new(&[("p.json", PLAN), ("bottle-migrate.toml", text)]);
        target.refused(&["diff", "p.json"], &format!("error: bottle-migrate.toml{message}"));
        target.refused(&["render", "p.json"], &format!("error: bottle-migrate.toml{message}"));
    }
    for (bytes, message) in [
        (b"a = \"\xff\"".to_vec(), ":1:6: not UTF-8 text"),
        (vec![b'#'; 50 << 20], ": larger than 4 MiB"),
        (format!("a = {}", "[".repeat(DEEP)).into_bytes(), ":1:"),
        (format!("a = {}", "{a=".repeat(DEEP)).into_bytes(), ":1:"),
        (format!("{}x = 1", "a.".repeat(DEEP)).into_bytes(), ":1:"),
        (format!("[{}x]", "a.".repeat(DEEP)).into_bytes(), ":1:"),
    ] {
        let target = Target::new(&[("p.json", PLAN)]);
        target.write("bottle-migrate.toml", bytes);
        target.refused(&["diff", "p.json"], &format!("error: bottle-migrate.toml{message}"));
    }
    let target = Target::new(&[("p.json", PLAN), ("bottle-migrate.toml/x", "")]);
    target.refused(&["diff", "p.json"], "error: bottle-migrate.toml: is a folder, not a file");
}

#[test]
fn what_one_container_cannot_give_to_two_daemons_is_refused_where_it_stands() {
    for (agent, pipelock, egress, message) in [
        (
            "",
            r#""dns": ["9.9.9.9"]"#,
            "",
            "3:70: pipelock.dns: dns: egress has none and pipelock has 9.9.9.9",
        ),
        (
            "",
            r#""sysctls": {"net.core.somaxconn": "1"}"#,
            r#""sysctls": {"net.core.somaxconn": "2"}"#,
            "3:97: pipelock.sysctls.net.core.somaxconn: sysctls net.core.somaxconn: egress has 2 and pipelock",
        ),
        (
            r#""environment": {"URL": "http://egress:9099/"}"#,
            "",
            "",
            "2:48: agent.environment.URL: URL names egress, which",
        ),
        (
            "",
            r#""volumes": [{"source": "/a", "target": "/t"}]"#,
            r#""volumes": [{"source": "/b", "target": "/t"}]"#,
            "3:102: pipelock.volumes[0].target: /t: egress mounts /b there",
        ),
        ("", "", r#""ports": [{"target": 8888}]"#, "4:53: egress.ports: port 8888/tcp: egress publishes it"),
    ] {
        let block =
            |own: &str, more: &str| if more.is_empty() { own.to_owned() } else { format!("{own}, {more}") };
        let plan = format!(
            "{{\"schema\": \"bottle-migrate/plan/1\", \"slug\": \"a\",\n\"agent\": {{{}}},\n\"pipelock\": {{{}}},\n\"egress\": {{{}}}}}",
            block("\"image\": \"a\"", agent),
            block("\"config\": \"/p\", \"ca_cert\": \"/c\", \"ca_key\": \"/k\"", pipelock),
            block("\"routes\": \"/r\", \"ca_dir\": \"/d\"", egress),
        );
        let target = Target::new(&[("p.json", &plan)]);
        let ran = target.run(&["diff", "p.json", "--format", "json"]);
        assert_eq!(ran.code, 1, "{}", ran.stderr);
        let report: serde_json::Value = serde_json::from_str(&ran.stdout).unwrap();
        let [finding] = report["findings"].as_array().unwrap().as_slice() else { panic!("{report}") };
        assert_eq!(finding["rule"], "merge-conflict");
        let line = message.split(':').next().unwrap().parse::<u64>().unwrap();
        assert_eq!(finding["line"], line, "{finding}");
        let said = finding["message"].as_str().unwrap();
        assert!(message.contains(&said[..20]), "{said}");
        target.refused(&["render", "--shape", "bundle", "p.json"], &format!("error: p.json:{message}"));
    }
}
