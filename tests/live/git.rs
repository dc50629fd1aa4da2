//! The agent clones and pushes through git-gate, which alone has the key to the upstream.

use serde_json::{Value, json};

use crate::bottle::{Bottle, Shape, docker, done, engine, until};

/// Runs git commands in a folder of their own and prints what they say; stops at the first that fails.
const GIT: &str = "import json, os, subprocess, sys, tempfile
os.chdir(tempfile.mkdtemp())
for words in json.loads(sys.argv[1]):
    words = [word.replace('GATE', os.environ['GIT_GATE_URL']) for word in words]
    ran = subprocess.run(words, capture_output=True, text=True)
    print(ran.stdout + ran.stderr, end='')
    if ran.returncode: print('failed:', *words); break";

fn passes(shape: Shape) {
    let bottle = Bottle::up("git", "egress-first", shape);
    bottle.meet_upstream();
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

#[test]
fn git_passes_the_legacy_shape() {
    passes(Shape::Legacy);
}

#[test]
fn git_passes_the_bundle() {
    passes(Shape::Bundle);
}
