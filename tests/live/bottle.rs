//! A bottle that really runs, on the engine of `tests/live/engine/up`.

use std::collections::BTreeSet;
use std::fs;
use std::os::unix::fs::{PermissionsExt, chown};
use std::path::{Path, PathBuf};
use std::process::{Command, Output};
use std::time::{Duration, Instant};

use serde_json::{Value, json};

/// What a step may take before the test has failed.
const PATIENCE: Duration = Duration::from_mins(2);

pub(crate) fn project() -> &'static Path {
    Path::new(env!("CARGO_MANIFEST_DIR"))
}

/// A command that talks to the engine.
pub(crate) fn engine(program: impl AsRef<std::ffi::OsStr>) -> Command {
    let socket = project().join("target/live/engine/docker.sock");
    assert!(socket.exists(), "no engine runs: run tests/live/engine/up");
    let mut command = Command::new(program);
    command
        .env("DOCKER_HOST", format!("unix://{}", socket.display()))
        .env("EGRESS_TOKEN_0", "tok-0f7QmZ2xLp9rVw4cKd81");
    command
}

pub(crate) fn done(command: &mut Command) -> Output {
    let output = command.output().unwrap();
    let said = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "{command:?}: {said}{}", String::from_utf8_lossy(&output.stdout));
    output
}

pub(crate) fn docker(words: &[&str]) -> String {
    String::from_utf8(done(engine("docker").args(words)).stdout).unwrap()
}

pub(crate) fn until(what: &str, mut holds: impl FnMut() -> bool) {
    let start = Instant::now();
    while !holds() {
        assert!(start.elapsed() < PATIENCE, "in vain: {what}");
    }
}

#[derive(Clone, Copy, PartialEq)]
pub(crate) enum Shape {
    Legacy,
    Bundle,
}

impl Shape {
    pub(crate) const fn name(self) -> &'static str {
        match self {
            Self::Legacy => "legacy",
            Self::Bundle => "bundle",
        }
    }
}

/// A running bottle, and an origin that echoes the credential it was shown. Both are removed on drop.
pub(crate) struct Bottle {
    pub(crate) shape: Shape,
    pub(crate) slug: String,
    folder: tempfile::TempDir,
}

/// What the agent runs: the request goes through the proxy that its environment names.
pub(crate) const ASK: &str = "import json, ssl, sys, urllib.error, urllib.request
more = json.loads(sys.argv[2]) if len(sys.argv) > 2 else {}
headers = {'Authorization': 'Bearer of-the-agent', **more.get('headers', {})}
body = more['body'].encode() if 'body' in more else None
request = urllib.request.Request(sys.argv[1], body, headers, method='GET')
trust = ssl.create_default_context(cadata=more.get('ca'))
try: print(urllib.request.urlopen(request, timeout=20, context=trust).read().decode())
except urllib.error.HTTPError as error: print(error.code, error.read().decode() if 'why' in more else '')
except urllib.error.URLError as error: print(error.reason)";

/// A call of an MCP tool.
pub(crate) const PROPOSE: &str = "import json, os, urllib.request
def call(method, params):
    body = json.dumps({'jsonrpc': '2.0', 'id': 1, 'method': method, 'params': params}).encode()
    request = urllib.request.Request(os.environ['MCP_SUPERVISE_URL'], body, {'Content-Type': 'application/json'})
    direct = urllib.request.build_opener(urllib.request.ProxyHandler({}))
    return json.load(direct.open(request, timeout=20))
print(call('tools/call', {'name': 'propose', 'arguments': {'kind': 'route', 'title': 'a host', 'detail': 'why'}}))";

/// User and group that the folder of proposals belongs to.
pub(crate) const DECIDER: u32 = 4711;

/// What must not leave: pipelock knows it.
pub(crate) const SECRET: &str = "planted-0f1e2d3c4b5a69788796a5b4c3d2e1f0";

/// Whether a socket can be dialled.
pub(crate) const DIAL: &str = "import socket, sys
try: socket.create_connection((sys.argv[1], int(sys.argv[2])), 5); print('open')
except OSError: print('closed')";

/// Answers with the Authorization that it was shown, as often as a connection asks.
const ORIGIN: &str = "import http.server, ssl, threading
class Origin(http.server.BaseHTTPRequestHandler):
    protocol_version = 'HTTP/1.1'
    def do_GET(self):
        self.rfile.read(int(self.headers['Content-Length'] or 0))
        shown = ('shown ' + str(self.headers['Authorization'])).encode()
        self.send_response(200); self.send_header('Content-Length', str(len(shown))); self.end_headers()
        self.wfile.write(shown)
secured = http.server.ThreadingHTTPServer(('', 8443), Origin)
identity = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER); identity.load_cert_chain('/identity/cert.pem', '/identity/key.pem')
secured.socket = identity.wrap_socket(secured.socket, server_side=True)
threading.Thread(target=secured.serve_forever, daemon=True).start()
http.server.ThreadingHTTPServer(('', 8000), Origin).serve_forever()";

/// What egress lets through, and with which token.
const ROUTES: &str = "routes:
  - host: origin
    ports:
      - 8000
      - 8443
    token: EGRESS_TOKEN_0
    token_over_http: true
";

impl Bottle {
    /// A bottle as its plan renders it.
    pub(crate) fn up(name: &str, chain: &str, shape: Shape) -> Self {
        let bottle = Self::rendered(name, chain, shape);
        bottle.start();
        bottle
    }

    /// A bottle that does not run yet.
    pub(crate) fn rendered(name: &str, chain: &str, shape: Shape) -> Self {
        let bottle =
            Self { shape, slug: format!("{name}-{}", shape.name()), folder: tempfile::tempdir().unwrap() };
        bottle.write(chain);
        done(bottle.migrate().args(["render", "--shape", shape.name(), "-o", "compose.yaml", "plan.json"]));
        bottle
    }

    /// Starts what the compose file says, or what has changed in it.
    pub(crate) fn start(&self) {
        done(self.compose().args(["up", "--detach", "--wait", "--wait-timeout", "90"]));
    }

    /// Findings of a comparison as `rule principal subject`, and the exit code.
    pub(crate) fn findings(&self, comparison: &[&str]) -> (BTreeSet<String>, i32) {
        let output = self.migrate().args(["diff", "--format", "json"]).args(comparison).output().unwrap();
        let code = output.status.code().unwrap();
        let said = String::from_utf8_lossy(&output.stderr).into_owned();
        assert!(code < 2 && said.is_empty(), "{code}: {said}");
        let report: Value = serde_json::from_slice(&output.stdout).unwrap();
        let text = |finding: &Value, field: &str| finding[field].as_str().unwrap().to_owned();
        let finding = |finding| ["rule", "principal", "subject"].map(|field| text(finding, field)).join(" ");
        (report["findings"].as_array().unwrap().iter().map(finding).collect(), code)
    }

    /// This project's program, where the bottle's plan is.
    pub(crate) fn migrate(&self) -> Command {
        let mut command = engine(env!("CARGO_BIN_EXE_bottle-migrate"));
        command.env("BOT_BOTTLE_PIPELOCK_IMAGE", "bottle-live/pipelock-used").current_dir(self.folder.path());
        command
    }

    /// A path of the host that the bottle mounts.
    pub(crate) fn at(&self, name: &str) -> PathBuf {
        self.folder.path().join(name)
    }

    /// Starts an origin outside, on the network that leads out.
    pub(crate) fn meet_origin(&self) {
        let network = format!("bot-bottle-egress-{}", self.slug);
        let (origin, image) = (self.origin(), "bottle-live/debian");
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
            "--volume",
            &format!("{}:/identity:ro", self.at("origin").display()),
            image,
            "python3",
            "-c",
            ORIGIN,
        ]);
    }

    /// Starts the forge behind git-gate.
    pub(crate) fn meet_upstream(&self) {
        let network = format!("bot-bottle-egress-{}", self.slug);
        let keys = format!("{}:/keys:ro", self.at("keys").display());
        let words = [
            "run",
            "--detach",
            "--rm",
            "--network",
            &network,
            "--network-alias",
            "upstream",
            "--volume",
            &keys,
        ];
        docker(&[&words[..], &["--name", &self.upstream(), "bottle-live/upstream"]].concat());
    }

    pub(crate) fn upstream(&self) -> String {
        format!("upstream-{}", self.slug)
    }

    pub(crate) fn origin(&self) -> String {
        format!("origin-{}", self.slug)
    }

    /// Writes the plan and what it mounts.
    fn write(&self, chain: &str) {
        let at = |name: &str| self.at(name);
        let path = |name: &str| at(name).to_string_lossy().into_owned();
        for folder in ["ca", "queue", "git", "origin", "keys"] {
            fs::create_dir(at(folder)).unwrap();
        }
        chown(at("ca"), Some(1000), Some(1000)).unwrap();
        // Whoever decides on proposals is of this group, and so is what lands here.
        chown(at("queue"), Some(DECIDER), Some(DECIDER)).unwrap();
        fs::set_permissions(at("queue"), fs::Permissions::from_mode(0o2775)).unwrap();
        fs::write(at("routes.yaml"), ROUTES).unwrap();
        self.certify("origin", "subjectAltName=DNS:origin");
        self.certify("ca", "keyUsage=critical,keyCertSign,cRLSign");
        let read = |name: &str| fs::read_to_string(at(name)).unwrap();
        fs::write(at("ca/mitmproxy-ca.pem"), read("ca/key.pem") + &read("ca/cert.pem")).unwrap();
        chown(at("ca/mitmproxy-ca.pem"), Some(1000), Some(1000)).unwrap();
        for (name, key) in [("host", at("keys/host")), ("git-gate", at("id_ed25519"))] {
            let mut make = Command::new("ssh-keygen");
            done(make.args(["-q", "-t", "ed25519", "-N", "", "-C", name, "-f"]).arg(key));
        }
        fs::rename(at("id_ed25519.pub"), at("keys/authorized")).unwrap();
        let host = fs::read_to_string(at("keys/host.pub")).unwrap();
        fs::write(at("known_hosts"), format!("upstream {host}")).unwrap();
        let lock = "mode: strict\napi_allowlist: [origin]\nforward_proxy: {enabled: true}\nrequest_body_scanning: \
                    {enabled: true, action: block, scan_headers: true, header_mode: all}\nssrf: {ip_allowlist: [172.16.0.0/12, 192.168.0.0/16, 10.0.0.0/8]}\n";
        fs::write(at("pipelock.yaml"), lock).unwrap();
        for file in ["ca.pem", "ca-key.pem"] {
            fs::write(at(file), "").unwrap();
        }
        for script in ["entrypoint.sh", "pre-receive", "access-hook"] {
            fs::copy(project().join("bot_bottle/git_gate").join(script), at("git").join(script)).unwrap();
        }
        let plan = json!({
            "schema": "bottle-migrate/plan/1", "slug": self.slug, "chain": chain, "isolation": "require",
            "agent": {
                "image": "bot-bottle-git-gate", "entrypoint": ["sleep", "infinity"], "init": true, "dns": ["127.0.0.1"],
            },
            "pipelock": {
                "environment": { "PLANTED": SECRET }, "config": path("pipelock.yaml"), "ca_cert": path("ca.pem"), "ca_key": path("ca-key.pem"),
            },
            "egress": {
                "routes": path("routes.yaml"), "ca_dir": path("ca"), "upstream_ca": path("origin/cert.pem"), "tokens": ["EGRESS_TOKEN_0"],
                "environment": { "HTTPS_PROXY": "http://proxy.example:3128" },
            },
            "git-gate": {
                "entrypoint": path("git/entrypoint.sh"), "pre_receive": path("git/pre-receive"),
                "access_hook": path("git/access-hook"),
                "environment": { "GIT_GATE_UPSTREAMS": "project=ssh://git@upstream/home/git/project.git" },
                "credentials": { "id_ed25519": path("id_ed25519"), "known_hosts": path("known_hosts") },
                "extra_hosts": { "forge": "192.0.2.10" },
            },
            "supervise": { "queue": path("queue") },
        });
        fs::write(at("plan.json"), plan.to_string()).unwrap();
    }

    /// Makes a key and a certificate that signs itself.
    fn certify(&self, name: &str, extension: &str) {
        let mut make = Command::new("openssl");
        make.args("req -x509 -newkey rsa:2048 -nodes -days 2 -addext".split(' ')).arg(extension);
        make.args(["-subj", &format!("/CN={name}"), "-keyout"]).arg(self.at(&format!("{name}/key.pem")));
        done(make.arg("-out").arg(self.at(&format!("{name}/cert.pem"))));
    }

    pub(crate) fn compose(&self) -> Command {
        let mut command = engine(project().join("target/live/docker-compose"));
        command.arg("--file").arg(self.folder.path().join("compose.yaml"));
        command
    }

    /// Services with their states, as Compose lists them.
    pub(crate) fn services(&self) -> Vec<Value> {
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

    pub(crate) fn sidecars(&self) -> String {
        format!("bot-bottle-sidecars-{}", self.slug)
    }

    /// The container that a daemon runs in.
    pub(crate) fn container(&self, daemon: &str) -> String {
        match self.shape {
            Shape::Legacy => format!("bot-bottle-{daemon}-{}", self.slug),
            Shape::Bundle => self.sidecars(),
        }
    }

    pub(crate) fn status(&self) -> Vec<Value> {
        let text = docker(&["exec", &self.sidecars(), "sidecar-init", "status", "--json"]);
        let status: Value = serde_json::from_str(&text).unwrap();
        status.as_array().or_else(|| status["daemons"].as_array()).unwrap().clone()
    }
}

impl Drop for Bottle {
    fn drop(&mut self) {
        let _ = engine("docker").args(["rm", "--force", &self.origin(), &self.upstream()]).output();
        let _ = self.compose().args(["down", "--timeout", "1", "--volumes"]).output();
    }
}
