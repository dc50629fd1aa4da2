//! What an incident shows itself by, on a bottle that runs, whoever started it and however well.

use std::collections::BTreeSet;
use std::fs;
use std::io::{BufRead, BufReader, Write};
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use serde_json::json;

use crate::bottle::{ASK, Bottle, PROPOSE, docker, done, engine, until};

/// A word that only this daemon's command line contains.
pub(super) const DAEMONS: [(&str, &str); 4] = [
    ("egress", "mitmdump"),
    ("git-gate", "git-daemon"),
    ("pipelock", "pipelock run"),
    ("supervise", "supervise_server"),
];

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

/// A git-gate that does not heed TERM, and notes that it came.
const STUBBORN: &str = "#!/bin/sh
exec sh -c \"trap ': >/git/asked' TERM; : >/git/ready; sleep 1000 & while :; do wait; done\" git-daemon
";

/// Number of a daemon's process on this machine, if it has one.
fn found(bottle: &Bottle, daemon: &str) -> Option<i32> {
    let mark = DAEMONS.iter().find(|(name, _)| *name == daemon).unwrap().1;
    let listed = docker(&["top", &bottle.container(daemon), "-eo", "pid,args"]);
    let own = listed.lines().find(|line| line.contains(mark))?;
    own.split_whitespace().next().unwrap().parse().ok()
}

/// Number of a daemon's process on this machine.
pub(super) fn process(bottle: &Bottle, daemon: &str) -> i32 {
    found(bottle, daemon).unwrap_or_else(|| panic!("{daemon} does not run"))
}

fn folder(bottle: &Bottle, daemon: &str) -> PathBuf {
    PathBuf::from(format!("/proc/{}", process(bottle, daemon)))
}

/// Sends a daemon a signal past its init.
pub(super) fn signal(bottle: &Bottle, daemon: &str, name: &str) {
    done(Command::new("kill").args(["-s", name, &process(bottle, daemon).to_string()]));
}

/// What the agent gets from the origin over TLS if it trusts only one CA: docs/incidents.md#i1.
pub(super) fn trusting(bottle: &Bottle, ca: &str) -> String {
    bottle.agent(ASK, &["https://origin:8443/", &json!({ "ca": ca }).to_string()])
}

/// The CA that egress is given, which the agent trusts.
pub(super) fn given_ca(bottle: &Bottle) -> String {
    fs::read_to_string(bottle.at("ca/cert.pem")).unwrap()
}

/// What the agent gets from the origin through both proxies, or why it is refused: docs/incidents.md#i2 and
/// docs/incidents.md#i4.
pub(super) fn asking(bottle: &Bottle) -> String {
    bottle.agent(ASK, &["http://origin:8000/", &json!({ "why": true }).to_string()])
}

/// Daemons whose environment has a variable (docs/incidents.md#i3).
pub(super) fn having(bottle: &Bottle, variable: &str) -> BTreeSet<&'static str> {
    of_those(|daemon| {
        let environment = fs::read(folder(bottle, daemon).join("environ")).unwrap();
        let start = format!("{variable}=");
        environment.split(|byte| *byte == 0).any(|entry| entry.starts_with(start.as_bytes()))
    })
}

/// Daemons whose file of hosts has a name (docs/incidents.md#i8).
pub(super) fn resolving(bottle: &Bottle, host: &str) -> BTreeSet<&'static str> {
    of_those(|daemon| {
        let hosts = fs::read_to_string(folder(bottle, daemon).join("root/etc/hosts")).unwrap();
        hosts.split_whitespace().any(|word| word == host)
    })
}

fn of_those(has: impl Fn(&str) -> bool) -> BTreeSet<&'static str> {
    DAEMONS.into_iter().map(|(daemon, _)| daemon).filter(|daemon| has(daemon)).collect()
}

/// Takes the origin out of egress's routes, in place, or brings it back.
pub(super) fn allow(bottle: &Bottle, origin: bool) {
    let (from, to) = if origin { ("elsewhere", "origin") } else { ("origin", "elsewhere") };
    let path = bottle.at("routes.yaml");
    let routes = fs::read_to_string(&path).unwrap();
    fs::write(path, routes.replace(&format!("host: {from}"), &format!("host: {to}"))).unwrap();
}

/// Whether egress lets the agent through to the origin, as its routes say (docs/incidents.md#i6).
pub(super) fn allowed(bottle: &Bottle) -> bool {
    let answer = trusting(bottle, &given_ca(bottle));
    assert!(answer.starts_with("shown") || answer.contains("403"), "{answer}");
    answer.starts_with("shown")
}

/// Whether the agent's connection to supervise survives a command: `True`, or `lost` and why. See
/// docs/incidents.md#i7.
pub(super) fn outlives(bottle: &Bottle, what: &[&str]) -> String {
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

/// Whether a file of the host is in a container as it is now (docs/incidents.md#i10).
pub(super) fn fresh(bottle: &Bottle, host: &str, inside: &str) -> bool {
    docker(&["exec", &bottle.sidecars(), "cat", inside]) == fs::read_to_string(bottle.at(host)).unwrap()
}

/// Writes a file again as editors do: a new one takes its name.
pub(super) fn replace(bottle: &Bottle, host: &str) {
    let path = bottle.at(host);
    let text = fs::read_to_string(&path).unwrap();
    fs::write(bottle.at("new"), text + "# replaced\n").unwrap();
    fs::rename(bottle.at("new"), path).unwrap();
}

/// Whether a log line of supervise appears before a restart of git-gate ends, which ignores TERM here. See
/// docs/incidents.md#i12.
pub(super) fn heard_meanwhile(bottle: &Bottle, mut restart: impl FnMut()) -> bool {
    let entrypoint = bottle.at("git/entrypoint.sh");
    let obedient = fs::read_to_string(&entrypoint).unwrap();
    fs::write(&entrypoint, STUBBORN).unwrap();
    restart();
    let noted = |pid: i32, what: &str| Path::new(&format!("/proc/{pid}/root/git/{what}")).exists();
    until("the stubborn one runs", || found(bottle, "git-gate").is_some_and(|pid| noted(pid, "ready")));
    let stubborn = process(bottle, "git-gate");
    fs::write(&entrypoint, obedient).unwrap();

    let lines = || {
        let logs = done(engine("docker").args(["logs", &bottle.sidecars()]));
        let logs = String::from_utf8([logs.stdout, logs.stderr].concat()).unwrap();
        logs.lines().filter(|line| line.starts_with("[supervise]") && line.contains("POST")).count()
    };
    let before = lines();
    restart();
    until("it is asked to end", || noted(stubborn, "asked"));
    bottle.agent(PROPOSE, &[]);
    let gone = || !Path::new(&format!("/proc/{stubborn}")).exists();
    let mut heard = false;
    until("either comes", || {
        heard = lines() > before && !gone();
        heard || gone()
    });
    heard
}
