//! A bottle that really runs, in both shapes and both chains, on the engine of `tests/live/engine/up`.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Command, Output};
use std::time::{Duration, Instant};

use serde_json::{Value, json};

/// What a step may take before the test has failed.
const PATIENCE: Duration = Duration::from_mins(2);

fn project() -> &'static Path {
    Path::new(env!("CARGO_MANIFEST_DIR"))
}

/// A command that talks to the engine.
fn engine(program: impl AsRef<std::ffi::OsStr>) -> Command {
    let socket = project().join("target/live/engine/docker.sock");
    assert!(socket.exists(), "no engine runs: run tests/live/engine/up");
    let mut command = Command::new(program);
    command
        .env("DOCKER_HOST", format!("unix://{}", socket.display()))
        .env("EGRESS_TOKEN_0", "token-of-egress");
    command
}

fn done(command: &mut Command) -> Output {
    let output = command.output().unwrap();
    let said = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "{command:?}: {said}{}", String::from_utf8_lossy(&output.stdout));
    output
}

pub(crate) fn docker(words: &[&str]) -> String {
    String::from_utf8(done(engine("docker").args(words)).stdout).unwrap()
}

fn until(what: &str, mut holds: impl FnMut() -> bool) {
    let start = Instant::now();
    while !holds() {
        assert!(start.elapsed() < PATIENCE, "in vain: {what}");
    }
}

#[derive(Clone, Copy, PartialEq)]
enum Shape {
    Legacy,
    Bundle,
}

/// A bottle that is up, with an origin beside it that tells whose credential it was shown; taken down at the end.
pub(crate) struct Bottle {
    shape: Shape,
    slug: String,
    folder: tempfile::TempDir,
}

/// What the agent runs: the request goes through the proxy that its environment names.
pub(crate) const ASK: &str = "import json, sys, urllib.error, urllib.request
more = json.loads(sys.argv[2]) if len(sys.argv) > 2 else {}
headers = {'Authorization': 'Bearer of-the-agent', **more.get('headers', {})}
body = more['body'].encode() if 'body' in more else None
request = urllib.request.Request(sys.argv[1], body, headers, method='GET')
try: print(urllib.request.urlopen(request, timeout=20).read().decode())
except urllib.error.HTTPError as error: print(error.code)";

/// A call of an MCP tool.
const PROPOSE: &str = "import json, os, urllib.request
def call(method, params):
    body = json.dumps({'jsonrpc': '2.0', 'id': 1, 'method': method, 'params': params}).encode()
    request = urllib.request.Request(os.environ['MCP_SUPERVISE_URL'], body, {'Content-Type': 'application/json'})
    direct = urllib.request.build_opener(urllib.request.ProxyHandler({}))
    return json.load(direct.open(request, timeout=20))
print(call('tools/call', {'name': 'propose', 'arguments': {'kind': 'route', 'title': 'a host', 'detail': 'why'}}))";

/// What must not leave: pipelock knows it.
pub(crate) const SECRET: &str = "planted-0f1e2d3c4b5a69788796a5b4c3d2e1f0";

/// Whether a socket can be dialled.
const DIAL: &str = "import socket, sys
try: socket.create_connection((sys.argv[1], int(sys.argv[2])), 5); print('open')
except OSError: print('closed')";

/// Answers with the Authorization that it was shown.
const ORIGIN: &str = "import http.server
class Origin(http.server.BaseHTTPRequestHandler):
    def do_GET(self):
        self.send_response(200); self.end_headers()
        self.wfile.write(('shown ' + str(self.headers['Authorization'])).encode())
http.server.HTTPServer(('', 8000), Origin).serve_forever()";

impl Bottle {
    fn up(chain: &str, shape: Shape) -> Self {
        let kind = if shape == Shape::Legacy { "legacy" } else { "bundle" };
        let slug = format!("{chain}-{kind}");
        let bottle = Self { shape, slug, folder: tempfile::tempdir().unwrap() };
        bottle.write(chain);
        let mut render = Command::new(env!("CARGO_BIN_EXE_bottle-migrate"));
        render.args(["render", "--shape", kind, "-o", "compose.yaml", "plan.json"]);
        render
            .env("BOT_BOTTLE_PIPELOCK_IMAGE", "bottle-live/pipelock-used")
            .current_dir(bottle.folder.path());
        done(&mut render);
        done(bottle.compose().args(["up", "--detach", "--wait", "--wait-timeout", "90"]));
        let network = format!("bot-bottle-egress-{}", bottle.slug);
        let (origin, image) = (bottle.origin(), "bottle-live/debian");
        docker(&[
            "run",
            "--detach",
            "--rm",
            "--name",
            &origin,
            "--network",
            &network,
            "--network-alias",
            "origin",
            image,
            "python3",
            "-c",
            ORIGIN,
        ]);
        bottle
    }

    pub(crate) fn origin(&self) -> String {
        format!("origin-{}", self.slug)
    }

    /// Writes the plan and what it mounts.
    fn write(&self, chain: &str) {
        let at = |name: &str| self.folder.path().join(name);
        let path = |name: &str| at(name).to_string_lossy().into_owned();
        for folder in ["ca", "queue", "git"] {
            fs::create_dir(at(folder)).unwrap();
        }
        std::os::unix::fs::chown(at("ca"), Some(1000), Some(1000)).unwrap();
        let route = "routes:\n  - host: origin\n    ports:\n      - 8000\n    token: EGRESS_TOKEN_0\n    token_over_http: true\n";
        fs::write(at("routes.yaml"), route).unwrap();
        let lock = "api_allowlist: [origin]\nforward_proxy: {enabled: true}\nrequest_body_scanning: \
                    {enabled: true, action: block, scan_headers: true, header_mode: all}\nssrf: {ip_allowlist: [172.16.0.0/12, 192.168.0.0/16, 10.0.0.0/8]}\n";
        fs::write(at("pipelock.yaml"), lock).unwrap();
        for file in ["ca.pem", "ca-key.pem", "id_ed25519", "known_hosts"] {
            fs::write(at(file), "").unwrap();
        }
        for script in ["entrypoint.sh", "pre-receive", "access-hook"] {
            fs::copy(project().join("bot_bottle/git_gate").join(script), at("git").join(script)).unwrap();
        }
        let plan = json!({
            "schema": "bottle-migrate/plan/1", "slug": self.slug, "chain": chain, "isolation": "require",
            "agent": { "image": "bot-bottle-git-gate", "entrypoint": ["sleep", "infinity"], "init": true },
            "pipelock": {
                "environment": { "PLANTED": SECRET }, "config": path("pipelock.yaml"), "ca_cert": path("ca.pem"), "ca_key": path("ca-key.pem"),
            },
            "egress": { "routes": path("routes.yaml"), "ca_dir": path("ca"), "tokens": ["EGRESS_TOKEN_0"] },
            "git-gate": {
                "entrypoint": path("git/entrypoint.sh"), "pre_receive": path("git/pre-receive"),
                "access_hook": path("git/access-hook"),
                "environment": { "GIT_GATE_UPSTREAMS": "project=ssh://git@upstream.invalid/project" },
                "credentials": { "id_ed25519": path("id_ed25519"), "known_hosts": path("known_hosts") },
            },
            "supervise": { "queue": path("queue") },
        });
        fs::write(at("plan.json"), plan.to_string()).unwrap();
    }

    fn compose(&self) -> Command {
        let mut command = engine(project().join("target/live/docker-compose"));
        command.arg("--file").arg(self.folder.path().join("compose.yaml"));
        command
    }

    /// Services with their states, as Compose lists them.
    fn services(&self) -> Vec<Value> {
        let output = done(self.compose().args(["ps", "--all", "--format", "json"]));
        String::from_utf8(output.stdout)
            .unwrap()
            .lines()
            .map(|line| serde_json::from_str(line).unwrap())
            .collect()
    }

    pub(crate) fn agent(&self, program: &str, words: &[&str]) -> String {
        let container = format!("bot-bottle-{}", self.slug);
        docker(&[&["exec", &container, "python3", "-c", program], words].concat()).trim().to_owned()
    }

    fn sidecars(&self) -> String {
        format!("bot-bottle-sidecars-{}", self.slug)
    }

    fn status(&self) -> Vec<Value> {
        let text = docker(&["exec", &self.sidecars(), "sidecar-init", "status", "--json"]);
        let status: Value = serde_json::from_str(&text).unwrap();
        status.as_array().or_else(|| status["daemons"].as_array()).unwrap().clone()
    }
}

impl Drop for Bottle {
    fn drop(&mut self) {
        let _ = engine("docker").args(["rm", "--force", &self.origin()]).output();
        let _ = self.compose().args(["down", "--timeout", "1", "--volumes"]).output();
    }
}

/// What every bottle does, whatever its shape.
fn works(bottle: &Bottle, chain: &str) {
    let services = bottle.services();
    let count = if bottle.shape == Shape::Legacy { 5 } else { 2 };
    assert_eq!(services.len(), count, "{services:#?}");
    for service in services.iter().filter(|service| service["Service"] != "agent") {
        assert_eq!(service["Health"], "healthy", "{service}");
    }
    let published: Vec<(&str, u64)> = services
        .iter()
        .flat_map(|service| {
            let ports = service["Publishers"].as_array().into_iter().flatten();
            ports.filter(|port| port["PublishedPort"] != 0).map(|port| {
                assert_eq!(port["URL"], "127.0.0.1", "{port}");
                (service["Service"].as_str().unwrap(), port["TargetPort"].as_u64().unwrap())
            })
        })
        .collect();
    let first = if chain == "egress-first" { ("egress", 9099) } else { ("pipelock", 8888) };
    let expected = if bottle.shape == Shape::Legacy {
        // supervise stands on an internal network alone.
        vec![first, ("git-gate", 9418)]
    } else {
        vec![("sidecars", first.1), ("sidecars", 9100), ("sidecars", 9418)]
    };
    let sorted = |mut ports: Vec<(&str, u64)>| {
        ports.sort_unstable();
        ports.into_iter().map(|(name, port)| (name.to_owned(), port)).collect::<Vec<_>>()
    };
    assert_eq!(sorted(published), sorted(expected));

    let shown = bottle.agent(ASK, &["http://origin:8000/"]);
    if chain == "egress-first" {
        assert_eq!(shown, "shown Bearer token-of-egress");
    } else {
        // What passes pipelock alone carries no token.
        assert_eq!(shown, "shown Bearer of-the-agent");
    }
    assert_eq!(bottle.agent(ASK, &["http://elsewhere.example/"]), "403");
    assert!(bottle.agent(PROPOSE, &[]).contains("result"));
    let queue: Vec<PathBuf> = fs::read_dir(bottle.folder.path().join("queue"))
        .unwrap()
        .map(|entry| entry.unwrap().path())
        .collect();
    assert!(matches!(&queue[..], [one] if fs::read_to_string(one).unwrap().contains("a host")), "{queue:?}");
    crate::escapes::fail(bottle);
}

/// What only the bundle has to show.
fn holds(bottle: &Bottle, chain: &str) {
    let hop = if chain == "egress-first" { "8888" } else { "9099" };
    assert_eq!(bottle.agent(DIAL, &["sidecars", hop]), "closed");
    assert_eq!(bottle.agent(DIAL, &["sidecars", "9418"]), "open");

    let logs = done(engine("docker").args(["logs", &bottle.sidecars()]));
    let logs = String::from_utf8([logs.stdout, logs.stderr].concat()).unwrap();
    assert!(logs.lines().all(|line| line.starts_with('[')), "{logs}");
    // mitmdump says nothing before its first request.
    for daemon in ["pipelock", "git-gate", "supervise"] {
        let head = format!("[{daemon}] ");
        assert!(logs.lines().any(|line| line.starts_with(&head)), "{daemon}: {logs}");
    }
    let before = bottle.status();
    assert_eq!(before.len(), 4, "{before:#?}");
    docker(&["exec", &bottle.sidecars(), "sidecar-init", "signal", "git-gate", "KILL"]);
    let health = || docker(&["inspect", "--format", "{{.State.Health.Status}}", &bottle.sidecars()]);
    until("a dead daemon turns the container unhealthy", || health().trim() == "unhealthy");
    let after = bottle.status();
    assert_eq!(after.len(), 4, "{after:#?}");
    for daemon in after.iter().filter(|daemon| daemon["name"] != "git-gate") {
        let was = before.iter().find(|was| was["name"] == daemon["name"]).unwrap();
        assert_eq!(was["pid"], daemon["pid"], "{daemon}");
    }
    docker(&["exec", &bottle.sidecars(), "sidecar-init", "restart", "git-gate"]);
    until("a restarted daemon makes it healthy", || health().trim() == "healthy");
    docker(&["stop", &bottle.sidecars()]);
    assert_eq!(docker(&["inspect", "--format", "{{.State.ExitCode}}", &bottle.sidecars()]).trim(), "0");
}

#[test]
fn the_legacy_shape_runs_with_pipelock_first() {
    works(&Bottle::up("pipelock-first", Shape::Legacy), "pipelock-first");
}

#[test]
fn the_legacy_shape_runs_with_egress_first() {
    works(&Bottle::up("egress-first", Shape::Legacy), "egress-first");
}

#[test]
fn the_bundle_runs_and_holds_with_pipelock_first() {
    let bottle = Bottle::up("pipelock-first", Shape::Bundle);
    works(&bottle, "pipelock-first");
    holds(&bottle, "pipelock-first");
}

#[test]
fn the_bundle_runs_and_holds_with_egress_first() {
    let bottle = Bottle::up("egress-first", Shape::Bundle);
    works(&bottle, "egress-first");
    holds(&bottle, "egress-first");
}
