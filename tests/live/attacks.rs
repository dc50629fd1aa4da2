//! Some attacks of `bot_bottle/attacks` on the daemons inside the images, with controls.

use crate::bottle::{Bottle, docker, done, engine};

/// Sends parts of a conversation to the proxy or to a host, and says what came back.
const TALK: &str = "import os, socket, sys, urllib.parse
proxy = urllib.parse.urlsplit(os.environ.get('HTTP_PROXY', 'http://origin:8000'))
stream = socket.create_connection((proxy.hostname, proxy.port), 20); stream.settimeout(5)
for part in sys.argv[1:]:
    heard = b''
    try:
        stream.sendall(part.encode('latin-1'))
        while piece := stream.recv(65536):
            heard += piece
            if len(sys.argv) > 2 and part is not sys.argv[-1]: break
    except OSError: pass
    print(heard.decode('latin-1'))";

/// Attacks on egress: the last part alone is what reaches the origin if nothing guards it.
const ON_EGRESS: [(&str, &[&str]); 5] = [
    (
        "smuggled",
        &[
            "GET http://origin:8000/ HTTP/1.1\r\nHost: origin:8000\r\nContent-Length: 0\r\nTransfer-Encoding: chunked\r\n\r\n\
         GET /hidden-smuggled HTTP/1.1\r\nHost: origin:8000\r\n\r\n",
        ],
    ),
    (
        "upgrade",
        &[
            "GET http://origin:8000/hidden-upgrade HTTP/1.1\r\nHost: origin:8000\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n\
         Sec-WebSocket-Version: 13\r\nSec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n\r\n",
        ],
    ),
    (
        "token",
        &["GET http://origin:8000/hidden-token HTTP/1.1\r\nHost: origin:8000\r\nX: a\rX-Second: b\r\n\r\n"],
    ),
    ("bytes", &["CONNECT origin:8000 HTTP/1.1\r\nHost: origin:8000\r\n\r\n", "hidden-bytes\r\n\r\n"]),
    (
        "method",
        &[
            "CONNECT origin:8000 HTTP/1.1\r\nHost: origin:8000\r\n\r\n",
            "TRACE /hidden-method HTTP/1.1\r\nHost: origin:8000\r\n\r\n",
        ],
    ),
];

/// Pushes a file that has a text where one of gitleaks' chunks ends.
const PUSH: &str = "import os, subprocess, sys, tempfile
def git(*words): return subprocess.run(['git', '-c', 'user.name=a', '-c', 'user.email=a@example.org', *words], capture_output=True, text=True)
os.chdir(tempfile.mkdtemp())
lines = 'all work\\n' * 11109
git('init', '--quiet'); open('notes', 'w').write(lines + sys.argv[1] + '\\n' + lines); git('add', '.'); git('commit', '--quiet', '--message', 'x')
print(git('push', os.environ['GIT_GATE_URL'] + '/project', 'HEAD:refs/heads/long').stderr)";

/// Asks supervise under a name.
const CALL: &str = "import http.client, os, sys, urllib.parse
url = urllib.parse.urlsplit(os.environ['MCP_SUPERVISE_URL'])
client = http.client.HTTPConnection(url.hostname, url.port, timeout=20)
call = '{\"jsonrpc\": \"2.0\", \"id\": 1, \"method\": \"tools/list\"}'
client.request('POST', url.path, call, {'Content-Type': 'application/json', 'Host': sys.argv[1]})
print(client.getresponse().status)";

/// Every attack, and its control.
pub(crate) fn fail(bottle: &Bottle, chain: &str) {
    if chain == "egress-first" {
        on_egress(bottle);
    }
    let said = bottle.agent(PUSH, &["token = 'ghp_k3Jq9vZx7LmN2bRt8YwPsD4fHgAe6UcX1oVi'"]);
    assert!(said.contains("gitleaks found a secret"), "{said}");
    let said = bottle.agent(PUSH, &["token = 'nothing of note'"]);
    assert!(
        said.contains("the upstream did not take the push") && !said.contains("gitleaks found"),
        "{said}"
    );

    assert_eq!(bottle.agent(CALL, &["rebound.example"]), "403");
    assert_eq!(bottle.agent(CALL, &["supervise"]), "200", "a name without dots");
}

/// What the origin has written down so far.
fn seen(bottle: &Bottle) -> String {
    let logs = done(engine("docker").args(["logs", &bottle.origin()]));
    String::from_utf8([logs.stdout, logs.stderr].concat()).unwrap()
}

fn on_egress(bottle: &Bottle) {
    for (name, parts) in ON_EGRESS {
        let heard = bottle.agent(TALK, parts);
        assert!(!heard.contains("shown"), "{name}: {heard}");
        assert!(!seen(bottle).contains("hidden-"), "{name}: {}", seen(bottle));
    }
    let allowed = "GET http://origin:8000/allowed HTTP/1.1\r\nHost: origin:8000\r\nConnection: close\r\n\r\n";
    assert!(bottle.agent(TALK, &[allowed]).contains("shown"));
    assert!(seen(bottle).contains("/allowed"), "the origin writes down what arrives");

    let network = format!("bot-bottle-egress-{}", bottle.slug);
    for (name, parts) in ON_EGRESS {
        let last = parts[parts.len() - 1];
        docker(&["run", "--rm", "--network", &network, "bottle-live/debian", "python3", "-c", TALK, last]);
        assert!(seen(bottle).contains(&format!("hidden-{name}")), "{name} works without the guard");
    }
}
