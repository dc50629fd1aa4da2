//! The bottle's own daemons behind their walls: git daemon with hooks and gitleaks, mitmdump with its addon, the MCP
//! server. They work there, and nothing of theirs opens to a neighbour. The programs are made by
//! tests/live/tools/build; the upstream is a local one behind a stand-in for ssh.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use crate::init::{Place, Setup, row, script};

fn project() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("..").canonicalize().expect("the project")
}

/// A program that tests/live/tools/build makes.
fn tool(name: &str) -> String {
    let path = project().join("target/live").join(name);
    assert!(path.is_file(), "{} is missing: run tests/live/tools/build", path.display());
    path.to_string_lossy().into_owned()
}

/// A file that can be run.
fn executable(path: &Path, text: &str) {
    use std::os::unix::fs::PermissionsExt;
    fs::write(path, text).expect("a program");
    fs::set_permissions(path, fs::Permissions::from_mode(0o755)).expect("its mode");
}

fn run(program: &str, words: &[&str], folder: &Path) -> String {
    let output = Command::new(program).args(words).current_dir(folder).output().expect("it runs");
    assert!(output.status.success(), "{program} {words:?}: {}", String::from_utf8_lossy(&output.stderr));
    String::from_utf8_lossy(&output.stdout).into_owned()
}

/// A container of its own network, in which nothing else holds the daemons' ports.
fn container(rows: &[String], tools: &Path) -> Setup {
    let path = std::env::var("PATH").unwrap_or_default();
    let network = ["unshare", "--net", "sh", "-c", "ip link set lo up && exec \"$@\"", "sh"];
    Setup::new(Place::Pid1, rows)
        .through(&[&network[..], &["env", &format!("PATH={}:{path}", tools.display())]].concat())
        .with("BOT_BOTTLE_SIDECAR_ISOLATION", "require")
}

/// What the client of a test says, until it has done what it was to do.
fn said(setup: Setup) -> Vec<String> {
    let mut init = setup.start();
    init.line("[client] done");
    init.signal("TERM");
    let (_, lines) = init.end();
    lines
}

fn has(lines: &[String], text: &str) -> bool {
    lines.iter().any(|line| line.contains(text))
}

#[test]
fn git_gate_serves_scans_and_pushes() {
    let folder = tempfile::tempdir().expect("a folder");
    let at = |name: &str| folder.path().join(name);
    let text = |name: &str| at(name).to_string_lossy().into_owned();
    for name in ["tools", "creds", "hooks", "work"] {
        fs::create_dir(at(name)).expect("a folder");
    }
    // The command is ssh's last word; nothing of the environment crosses.
    executable(
        &at("tools/ssh"),
        "#!/bin/sh\nfor last; do :; done\nexec env -i PATH=\"$PATH\" sh -c \"$last\"\n",
    );
    std::os::unix::fs::symlink(tool("gitleaks"), at("tools/gitleaks")).expect("a link");
    for hook in ["pre-receive", "access-hook"] {
        fs::copy(project().join("bot_bottle/git_gate").join(hook), at("hooks").join(hook)).expect("a hook");
    }
    fs::write(at("creds/id_ed25519"), "s3cret\n").expect("a key");
    fs::write(at("creds/known_hosts"), "").expect("hosts");
    let author = ["-c", "user.name=a", "-c", "user.email=a@example.org"];
    run("git", &["init", "--quiet", "--bare", "--initial-branch=main", "upstream.git"], folder.path());
    run("git", &["init", "--quiet", "--initial-branch=main", "seed"], folder.path());
    run("git", &[&author[..], &["commit", "--quiet", "--allow-empty", "-m", "first"]].concat(), &at("seed"));
    run("git", &["push", "--quiet", &text("upstream.git"), "main"], &at("seed"));

    let entrypoint = project().join("bot_bottle/git_gate/entrypoint.sh");
    let token = format!("ghp_{}", "k3Jq9vZx7LmN2bRt8YwPsD4fHgAe6UcX1oVi");
    let client = format!(
        "cd {work}; git config --global user.name a; git config --global user.email a@example.org
        until git clone --quiet git://127.0.0.1/project clone 2>/dev/null; do :; done
        cd clone; echo cloned $(git log --format=%s)
        git commit --quiet --allow-empty -m second; git push --quiet origin HEAD:main && echo pushed
        echo 'token = \"{token}\"' >leak; git add leak; git commit --quiet -m third
        git push --quiet origin HEAD:main || echo refused
        cat {creds}/id_ed25519; ls {hooks} {base}
        echo done; exec sleep 1000",
        work = text("work"),
        creds = text("creds"),
        hooks = text("hooks"),
        base = text("git"),
    );
    let private = format!("private = ['{}', '{}', '{}']", text("creds"), text("hooks"), text("git"));
    fs::create_dir(at("git")).expect("a folder");
    let rows = [
        row("git-gate", &[&entrypoint.to_string_lossy()], &format!("{private}\nlisten = [9418]")),
        script("client", &client, "connect = [9418]"),
    ];
    let lines = said(
        container(&rows, &at("tools"))
            .with("GIT_GATE__GIT_GATE_BASE", &text("git"))
            .with("GIT_GATE__GIT_GATE_HOOKS", &text("hooks"))
            .with("GIT_GATE__GIT_GATE_CREDS", &text("creds"))
            .with("GIT_GATE__GIT_GATE_UPSTREAMS", &format!("project=ssh://forge{}", text("upstream.git")))
            .with("CLIENT__HOME", &text("work")),
    );
    for expected in ["[client] cloned first", "[client] pushed", "[client] refused", "Permission denied"] {
        assert!(has(&lines, expected), "{expected}: {lines:#?}");
    }
    assert!(!has(&lines, "[client] s3cret") && !has(&lines, "[client] pre-receive"), "{lines:#?}");
    assert_eq!(run("git", &["log", "-1", "--format=%s", "main"], &at("upstream.git")), "second\n");
}

#[test]
fn supervise_takes_proposals_and_dials_nobody() {
    let folder = tempfile::tempdir().expect("a folder");
    let queue = folder.path().join("queue");
    fs::create_dir(&queue).expect("a folder");
    let client = r#"
import json, os, sys, urllib.request
def call(method, params):
    body = json.dumps({"jsonrpc": "2.0", "id": 1, "method": method, "params": params}).encode()
    request = urllib.request.Request("http://127.0.0.1:9100/mcp", body, {"Content-Type": "application/json"})
    while True:
        try:
            return json.load(urllib.request.urlopen(request))
        except urllib.error.URLError as error:
            if not isinstance(error.reason, ConnectionRefusedError):
                raise
about = {"protocolVersion": "2025-03-26", "capabilities": {}, "clientInfo": {"name": "c", "version": "1"}}
print("hello", call("initialize", about)["result"]["serverInfo"]["name"])
proposal = {"kind": "route", "title": "a host", "detail": "why"}
print("answer", json.dumps(call("tools/call", {"name": "propose", "arguments": proposal})))
try:
    os.listdir(sys.argv[1])
    print("listed")
except PermissionError:
    print("kept out")
print("done", flush=True)
os.pause() if hasattr(os, "pause") else __import__("signal").pause()
"#;
    let server = project().join("bot_bottle/supervise_server.py");
    let path = queue.to_string_lossy();
    let rows = [
        row(
            "supervise",
            &["python3", &server.to_string_lossy()],
            &format!("private = ['{path}']\nconnect = []\nlisten = [9100]"),
        ),
        row("client", &["python3", "-c", client, &path], "connect = [9100]"),
    ];
    let lines = said(container(&rows, folder.path()).with("SUPERVISE__SUPERVISE_QUEUE", &path));
    assert!(has(&lines, "[client] hello") && has(&lines, "[client] kept out"), "{lines:#?}");
    let proposals: Vec<String> = fs::read_dir(&queue)
        .expect("the queue")
        .map(|entry| fs::read_to_string(entry.expect("an entry").path()).expect("a proposal"))
        .collect();
    assert!(proposals.len() == 1 && proposals[0].contains("a host"), "{proposals:?}: {lines:#?}");
}

#[test]
fn egress_injects_what_the_agent_cannot_read() {
    let folder = tempfile::tempdir().expect("a folder");
    let at = |name: &str| folder.path().join(name).to_string_lossy().into_owned();
    let routes = "routes:\n  - host: localhost\n    ports:\n      - 8000\n    token: EGRESS_TOKEN_0\n    token_over_http: true\n";
    fs::create_dir(at("egress")).expect("a folder");
    fs::create_dir(at("state")).expect("a folder");
    fs::write(at("egress/routes.yaml"), routes).expect("routes");
    let client = r#"
import http.server, threading, urllib.error, urllib.request
class Origin(http.server.BaseHTTPRequestHandler):
    def do_GET(self):
        print("origin saw", self.headers["Authorization"], flush=True)
        self.send_response(204)
        self.end_headers()
    def log_message(self, *_):
        pass
threading.Thread(target=http.server.HTTPServer(("127.0.0.1", 8000), Origin).serve_forever, daemon=True).start()
agent = urllib.request.build_opener(urllib.request.ProxyHandler({"http": "http://127.0.0.1:9099"}))
def ask(url):
    request = urllib.request.Request(url, headers={"Authorization": "Bearer of-the-agent"})
    while True:
        try:
            return agent.open(request).status
        except urllib.error.HTTPError as error:
            return error.code
        except urllib.error.URLError as error:
            if not isinstance(error.reason, ConnectionRefusedError):
                raise
print("allowed", ask("http://localhost:8000/"))
print("denied", ask("http://elsewhere.example:8000/"))
print("done", flush=True)
threading.Event().wait()
"#;
    // The addon reads its routes where the image has them.
    let addon = format!(
        "import sys\nfrom pathlib import Path\nsys.path.insert(0, {:?})\nfrom egress_addon import Egress\naddons = \
         [Egress(Path({:?}))]\n",
        project().join("bot_bottle"),
        at("egress/routes.yaml"),
    );
    fs::write(at("addon.py"), addon).expect("an addon");
    let state = format!("confdir={}", at("state"));
    let argv = [
        &tool("mitmproxy/bin/mitmdump"),
        "--mode",
        "regular",
        "--listen-host",
        "127.0.0.1",
        "--listen-port",
        "9099",
        "--set",
        &state,
        "--scripts",
        &at("addon.py"),
    ];
    let rows = [
        row(
            "egress",
            &argv,
            &format!(
                "private = ['{}', '{}']\nlisten = ['127.0.0.1:9099']\nudp = true",
                at("egress"),
                at("state")
            ),
        ),
        row("client", &["python3", "-c", client], "connect = [9099]\nlisten = [8000]"),
    ];
    let lines = said(container(&rows, folder.path()).with("EGRESS_TOKEN_0", "of-egress"));
    for expected in ["[client] origin saw Bearer of-egress", "[client] allowed 204", "[client] denied 403"] {
        assert!(has(&lines, expected), "{expected}: {lines:#?}");
    }
    assert!(!has(&lines, "saw Bearer of-the-agent"), "{lines:#?}");
}

/// Ways round Landlock that the filter closes; without walls each is open, or the test would show nothing.
#[test]
fn ways_round_the_walls_are_closed() {
    let attempts = r#"
import os, resource, socket
port = int(os.environ["PORT"])
def attempt(name, act):
    try:
        act()
        print(name, "open")
    except PermissionError:
        print(name, "closed")
attempt("fast open", lambda: socket.socket().sendto(b"x", socket.MSG_FASTOPEN, ("127.0.0.1", port)))
multipath = lambda: socket.socket(socket.AF_INET, socket.SOCK_STREAM, 262).connect(("127.0.0.1", port))
attempt("multipath", multipath)
attempt("limits", lambda: resource.prlimit(os.getppid(), resource.RLIMIT_NOFILE))
"#;
    let listener = std::net::TcpListener::bind("127.0.0.1:0").expect("a port");
    let port = listener.local_addr().expect("an address").port().to_string();
    for (isolation, expected) in [("off", "open"), ("require", "closed")] {
        let rows = [row("a", &["python3", "-c", attempts], "connect = []")];
        let setup = Setup::new(Place::Pid1, &rows).with("BOT_BOTTLE_SIDECAR_ISOLATION", isolation);
        let output = setup.with("PORT", &port).output();
        let said = String::from_utf8_lossy(&output.stdout).into_owned();
        let lines: Vec<String> =
            ["fast open", "multipath", "limits"].map(|way| format!("[a] {way} {expected}")).into();
        assert_eq!(said.lines().collect::<Vec<_>>(), lines, "{}", String::from_utf8_lossy(&output.stderr));
    }
}
