//! Hostile and broken compose files: each gets one message with file and place, within two seconds of processor time and
//! 200 MB.

use std::ffi::OsStr;
use std::process::Command;

use crate::process::{Target, ran};

/// Nesting so deep that a parser must refuse it.
const DEEP: usize = 100_000;

/// Refuses the bytes as each side of a comparison, within the limits.
fn check(bytes: impl AsRef<[u8]>, place_and_message: &str) {
    let target = Target::new(&[("good.yaml", "services: {agent: {image: x}}\n")]);
    target.write("bad.yaml", bytes);
    for sides in [["bad.yaml", "good.yaml"], ["good.yaml", "bad.yaml"]] {
        let program = target.command(&["diff", "--legacy", sides[0], "--bundle", sides[1]]);
        let mut limited = Command::new("/bin/sh");
        limited.args(["-c", "ulimit -t 2; ulimit -d 204800; exec \"$0\" \"$@\""]);
        limited.arg(program.get_program()).args(program.get_args().collect::<Vec<&OsStr>>());
        limited.current_dir(target.path("")).env_clear();
        let ran = ran(limited, "");
        assert_eq!(ran.code, 2, "{place_and_message}: {}", ran.stderr);
        assert_eq!(ran.stderr.matches("error: ").count(), 1, "{}", ran.stderr);
        let message = format!("error: bad.yaml{place_and_message}");
        assert!(ran.stderr.starts_with(&message), "{message:?} in {}", ran.stderr);
        assert!(!ran.stderr.trim_end().contains(|c: char| c.is_control() && c != '\n'), "{:?}", ran.stderr);
    }
}

#[test]
fn what_is_no_text_or_no_compose_file_is_refused() {
    check("", ": is empty");
    check("  \n", ": is empty");
    check(b"\x7fELF\x00\x01\xff\xfe", ":1:7: not UTF-8 text");
    check(b"services:\n  a: \"\xe9\"\n", ":2:7: not UTF-8 text");
    check("services:\0\n", ":1:10: is not YAML: holds the character U+0000");
    check("services: {a: {image: \u{1b}[2J}}\n", ":1:23: is not YAML: holds the character U+001B");
    check("services:\n\ta: 1\n", ":2:1: is not YAML");
    check(vec![b'#'; 50 << 20], ": larger than 4 MiB");
    check("hello\n", ":1:1: is no compose file: it is not a map");
    check("- a\n", ":1:1: is no compose file: it is not a map");
    check("services: 5\n", ":1:1: services has to be a map");
    check("services: {a: 5}\n", ":1:12: services.a has to be a map");
}

#[test]
fn what_grows_without_end_is_refused() {
    check(format!("services: {}", "[".repeat(DEEP)), ":1:74: nests deeper than 64 levels");
    check(format!("services: {}", "{a: ".repeat(DEEP)), ":1:263: nests deeper than 64 levels");
    let block: Vec<String> = (0..2000).map(|depth| format!("{}a:\n", " ".repeat(depth))).collect();
    check(block.concat(), ":65:65: nests deeper than 64 levels");
    let wider = |level: u32| format!("x-{level}: &n{level} [{}]\n", format!("*n{}, ", level - 1).repeat(9));
    let bomb: String = (1..16).map(wider).collect();
    check(format!("x-0: &n0 [x]\n{bomb}"), ":6:6: the files unfold to more than");
    check("a: &a [*a]\nservices: {s: {image: x}}\n", ":1:8: the alias a stands inside of what it names");
    let anchors: Vec<String> = (0..150_000).map(|at| format!("x-{at}: &n{at} x\n")).collect();
    check(anchors.concat(), ":99996:10: the files unfold to more than");
    check(format!("services: {{\"{}\": {{image: x}}}}", "a".repeat(3 << 20)), ":1:");
    let defaults = format!("{}{}", "${A:-".repeat(DEEP), "}".repeat(DEEP));
    check(
        format!("services: {{a: {{image: \"{defaults}\"}}}}\n"),
        ":1:16: services.a.image has defaults within defaults",
    );
    check("services: {a: {extends: {service: a}}}\n", ":1:16: services.a.extends leads round in a circle");
    check("include: [bad.yaml]\nservices: {}\n", ":1:11: include leads round in a circle");
}

#[test]
fn what_is_of_the_wrong_kind_is_refused() {
    check("services:\n  a: {image: x}\n  a: {image: y}\n", ":3:3: the key a stands in line 2 already");
    check("services: {a: {image: 5}}\r\n", ":1:16: services.a.image has to be a string");
    check("services: {\"a\\u001b[2J\": {image: x}}\n", ":1:12: a key holds a control character");
    check("services: {a: {image: x, ports: 5}}\n", ":1:26: services.a.ports has to be a list");
    for port in ["\"0:0\"", "\"1:65536\"", "\"-1:80\"", "{target: 65536}", "{target: 0}"] {
        check(format!("services: {{a: {{image: x, ports: [{port}]}}}}\n"), ":1:34: services.a.ports.0");
    }
    check("services: {a: {image: \"${X\"}}\n", ":1:16: services.a.image ${X is no variable reference");
    check("services: {a: {image: \"${X:?must\\u001b be}\"}}\n", ":1:16: services.a.image the variable X");
    check(
        "services: {a: {image: x, env_file: absent}}\n",
        ":1:26: services.a.env_file.0.path there is no file",
    );
}
