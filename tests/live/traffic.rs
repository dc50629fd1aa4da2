//! What passes a bottle, in both shapes: TLS with egress's CA, git over SSH, a reload, a restart beside an open
//! connection.

use std::fs;
use std::io::{BufRead, BufReader, Write};
use std::process::Stdio;

use serde_json::{Value, json};

use crate::bottle::{ASK, Bottle, Shape, docker, done, engine, until};

/// Runs git commands in a folder of their own and prints what they say; stops at the first that fails.
const GIT: &str = "import json, os, subprocess, sys, tempfile
os.chdir(tempfile.mkdtemp())
for words in json.loads(sys.argv[1]):
    words = [word.replace('GATE', os.environ['GIT_GATE_URL']) for word in words]
    ran = subprocess.run(words, capture_output=True, text=True)
    print(ran.stdout + ran.stderr, end='')
    if ran.returncode: print('failed:', *words); break";

/// Calls supervise twice over one connection, and waits for a line in between.
const HOLD: &str = "import http.client, json, os, sys, urllib.parse
where = urllib.parse.urlsplit(os.environ['MCP_SUPERVISE_URL'])
line = http.client.HTTPConnection(where.hostname, where.port, timeout=20)
line.auto_open = False
line.connect()
def ask():
    body = json.dumps({'jsonrpc': '2.0', 'id': 1, 'method': 'tools/list', 'params': {}})
    line.request('POST', where.path or '/', body, {'Content-Type': 'application/json'})
    return 'result' in json.loads(line.getresponse().read())
print(ask(), flush=True)
sys.stdin.readline()
try: print(ask(), flush=True)
except (OSError, http.client.HTTPException) as error: print('lost', type(error).__name__, flush=True)";

fn secured(bottle: &Bottle) {
    let ca = fs::read_to_string(bottle.at("ca/mitmproxy-ca-cert.pem")).unwrap();
    let url = "https://origin:8443/";
    let shown = bottle.agent(ASK, &[url, &json!({ "ca": ca }).to_string()]);
    assert_eq!(shown, "shown Bearer token-of-egress");
    // With the origin's own CA the agent would trust whoever egress is not.
    let own = fs::read_to_string(bottle.at("origin/cert.pem")).unwrap();
    let shown = bottle.agent(ASK, &[url, &json!({ "ca": own }).to_string()]);
    assert!(shown.contains("CERTIFICATE_VERIFY_FAILED"), "{shown}");
}

fn git(bottle: &Bottle) {
    let run = |commands: Value| bottle.agent(GIT, &[&commands.to_string()]);
    let commit = |text: &str| {
        run(json!([
            ["git", "init", "--quiet", "--initial-branch=main"],
            ["sh", "-c", format!("echo '{text}' >README")],
            ["git", "add", "."],
            [
                "git",
                "-c",
                "user.name=a",
                "-c",
                "user.email=a@example.org",
                "commit",
                "--quiet",
                "--message",
                "x"
            ],
            ["git", "push", "--quiet", "--force", "GATE/project", "HEAD:refs/heads/main"],
        ]))
    };
    let upstream = || {
        docker(&[
            "exec",
            "--user",
            "git",
            &bottle.upstream(),
            "git",
            "-C",
            "/home/git/project.git",
            "show",
            "main:README",
        ])
    };
    until("the upstream listens", || {
        done(engine("docker").args(["logs", &bottle.upstream()]))
            .stderr
            .windows(9)
            .any(|word| word == b"listening")
    });
    let said = commit("nothing of note");
    assert!(!said.contains("failed:"), "{said}");
    assert_eq!(upstream(), "nothing of note\n");
    let said = run(json!([["git", "clone", "--quiet", "GATE/project", "here"], ["cat", "here/README"]]));
    assert_eq!(said, "nothing of note");
    let said = commit("token = \"ghp_k3Jq9vZx7LmN2bRt8YwPsD4fHgAe6UcX1oVi\"");
    assert!(said.contains("gitleaks found a secret") && said.contains("failed:"), "{said}");
    assert_eq!(upstream(), "nothing of note\n");
}

/// The container that HUP is sent to for a daemon.
fn container(bottle: &Bottle, daemon: &str) -> String {
    match bottle.shape {
        Shape::Legacy => format!("bot-bottle-{daemon}-{}", bottle.slug),
        Shape::Bundle => bottle.sidecars(),
    }
}

/// New routes hold from the HUP on, and not before (I6).
fn reloads(bottle: &Bottle) {
    let ask = || bottle.agent(ASK, &["http://origin:8000/"]);
    let routes = fs::read_to_string(bottle.at("routes.yaml")).unwrap();
    assert!(ask().starts_with("shown"));
    fs::write(bottle.at("routes.yaml"), routes.replace("host: origin", "host: elsewhere")).unwrap();
    assert!(ask().starts_with("shown"), "nobody was told yet");
    docker(&["kill", "--signal", "HUP", &container(bottle, "egress")]);
    until("the new routes hold", || ask() == "403");
    fs::write(bottle.at("routes.yaml"), routes).unwrap();
    docker(&["kill", "--signal", "HUP", &container(bottle, "egress")]);
    until("the old routes hold again", || ask().starts_with("shown"));
}

/// Whether an open connection to supervise outlives something.
fn outlives(bottle: &Bottle, what: &[&str]) -> String {
    let agent = format!("bot-bottle-{}", bottle.slug);
    let mut held = engine("docker")
        .args(["exec", "--interactive", &agent, "python3", "-c", HOLD])
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .spawn()
        .unwrap();
    let mut lines = BufReader::new(held.stdout.take().unwrap()).lines();
    assert_eq!(lines.next().unwrap().unwrap(), "True");
    docker(what);
    held.stdin.take().unwrap().write_all(b"\n").unwrap();
    let answer = lines.next().unwrap().unwrap();
    held.wait().unwrap();
    answer
}

/// A restart of pipelock leaves the agent's connection to supervise alone; that of all daemons does not (I7).
fn keeps_connections(bottle: &Bottle) {
    let pid = || {
        let status = bottle.status();
        status.iter().find(|daemon| daemon["name"] == "pipelock").unwrap()["pid"].clone()
    };
    let before = pid();
    let sidecars = bottle.sidecars();
    assert_eq!(outlives(bottle, &["exec", &sidecars, "sidecar-init", "restart", "pipelock"]), "True");
    assert_ne!(before, pid());
    let answer = outlives(bottle, &["restart", &sidecars]);
    assert!(answer.starts_with("lost"), "{answer}");
}

fn passes(shape: Shape) -> Bottle {
    let bottle = Bottle::up("traffic", "egress-first", shape);
    bottle.meet_origin();
    bottle.meet_upstream();
    secured(&bottle);
    git(&bottle);
    reloads(&bottle);
    bottle
}

#[test]
fn traffic_passes_the_legacy_shape() {
    passes(Shape::Legacy);
}

#[test]
fn traffic_passes_the_bundle_and_outlives_a_restart_of_one_daemon() {
    keeps_connections(&passes(Shape::Bundle));
}
