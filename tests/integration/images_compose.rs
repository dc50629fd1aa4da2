//! Images that compose files build: every form of `build` is read, on both sides, and so is a map.

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::path::Path;
use std::process::Command;

use serde_json::{Value, json};

use crate::images::bottle;

/// A project: `deploy/` has the compose files, `legacy/` and `bundle/` the build contexts.
struct Project(tempfile::TempDir);

impl Project {
    /// Files of the fixture bottle in both contexts, each with its Dockerfile under the default name.
    fn new() -> Self {
        let folder = tempfile::tempdir().unwrap();
        for (context, dockerfile) in [("legacy", "Dockerfile.supervise"), ("bundle", "Dockerfile.sidecars")] {
            let context = folder.path().join(context);
            fs::create_dir_all(&context).unwrap();
            for entry in fs::read_dir(bottle()).unwrap() {
                let entry = entry.unwrap();
                fs::copy(entry.path(), context.join(entry.file_name())).unwrap();
            }
            fs::rename(context.join(dockerfile), context.join("Dockerfile")).unwrap();
        }
        let project = Self(folder);
        for shape in ["legacy", "bundle"] {
            let plan = bottle().join("plan.json");
            let output = program().args(["render", "--shape", shape]).arg(plan).output().unwrap();
            project.write(&format!("deploy/{shape}.yaml"), &String::from_utf8(output.stdout).unwrap());
        }
        project
    }

    fn path(&self) -> &Path {
        self.0.path()
    }

    fn write(&self, file: &str, text: &str) {
        let path = self.path().join(file);
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        fs::write(path, text).unwrap();
    }

    fn edit(&self, file: &str, from: &str, to: &str) {
        let text = fs::read_to_string(self.path().join(file)).unwrap();
        assert!(text.contains(from), "{file} does not hold {from}");
        self.write(file, &text.replacen(from, to, 1));
    }

    /// `diff` of both files with overrides that build, from the folder `from`: exit code, findings, stderr.
    fn diff(&self, from: &str, legacy: &Value, bundle: &Value, map: Option<&str>) -> Ran {
        self.write("deploy/legacy.build.yaml", &json!({ "services": legacy }).to_string());
        self.write("deploy/bundle.build.yaml", &json!({ "services": bundle }).to_string());
        let deploy = self.path().join("deploy");
        let mut command = program();
        command.current_dir(self.path().join(from)).args(["diff", "--format", "json"]);
        command.arg("--legacy").args([deploy.join("legacy.yaml"), deploy.join("legacy.build.yaml")]);
        command.arg("--bundle").args([deploy.join("bundle.yaml"), deploy.join("bundle.build.yaml")]);
        if let Some(map) = map {
            self.write("deploy/map.toml", map);
            command.arg("--map").arg(deploy.join("map.toml"));
        }
        let output = command.output().unwrap();
        let said = String::from_utf8_lossy(&output.stderr).into_owned();
        let report: Value = serde_json::from_slice(&output.stdout).unwrap_or_default();
        let findings = report["findings"].as_array().cloned().unwrap_or_default();
        let text = |finding: &Value, key: &str| finding[key].as_str().unwrap_or_default().to_owned();
        let found = findings.iter().filter(|finding| text(finding, "rule").starts_with("image-"));
        let found = found.map(|finding| {
            format!("{} {} {}", text(finding, "rule"), text(finding, "principal"), text(finding, "subject"))
        });
        Ran { code: output.status.code(), found: found.collect(), said }
    }
}

#[derive(Debug)]
struct Ran {
    code: Option<i32>,
    found: BTreeSet<String>,
    said: String,
}

fn program() -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_bottle-migrate"));
    command.env_clear();
    command
}

fn build(build: &Value) -> Value {
    json!({ "supervise": { "build": build } })
}

fn merged(build: &Value) -> Value {
    json!({ "sidecars": { "build": build } })
}

/// What a COPY without `start.sh` loses.
const LOST: &str = "image-path-lost supervise /app/start.sh";
const COPY: &str = "supervise.py start.sh /app/";

/// A form of `build`: its name, how each side builds, the bundle's file that has the COPY, and what it copies there.
type Form = (&'static str, fn(&Project) -> (Value, Value), &'static str, &'static str);

#[test]
fn every_form_of_build_is_compared_on_both_sides() {
    let inline = |project: &Project, file: &str| fs::read_to_string(project.path().join(file)).unwrap();
    let forms: &[Form] = &[
        ("short", |_| (json!("../legacy"), json!("../bundle")), "bundle/Dockerfile", " start.sh"),
        (
            "context and dockerfile",
            |project| {
                project.write(
                    "bundle/build/Images",
                    &fs::read_to_string(project.path().join("bundle/Dockerfile")).unwrap(),
                );
                (
                    json!({"context": "../legacy"}),
                    json!({"context": "../bundle", "dockerfile": "build/Images"}),
                )
            },
            "bundle/build/Images",
            " start.sh",
        ),
        (
            "arguments",
            |project| {
                project.edit(
                    "bundle/Dockerfile",
                    "COPY supervise_server",
                    "ARG FILES=supervise.py\nCOPY supervise_server",
                );
                project.edit("bundle/Dockerfile", COPY, "${FILES} start.sh /app/");
                (json!("../legacy"), json!({"context": "../bundle", "args": {"FILES": "supervise.py"}}))
            },
            "bundle/Dockerfile",
            " start.sh",
        ),
        (
            "target",
            |project| {
                project.edit(
                    "bundle/Dockerfile",
                    "COPY sidecar-init",
                    "FROM scratch AS other\nFROM base\nCOPY sidecar-init",
                );
                project.edit("bundle/Dockerfile", "00285\n", "00285 AS base\n");
                project.edit("bundle/Dockerfile", "FROM base\n", "FROM base AS sidecars\n");
                let text = fs::read_to_string(project.path().join("bundle/Dockerfile")).unwrap();
                project.write("bundle/Dockerfile", &(text + "FROM other\n"));
                (json!("../legacy"), json!({"context": "../bundle", "target": "sidecars"}))
            },
            "bundle/Dockerfile",
            " start.sh",
        ),
        (
            "another context",
            |project| {
                project.edit(
                    "bundle/Dockerfile",
                    COPY,
                    "supervise.py /app/\nCOPY --from=scripts start.sh start.sh /app/",
                );
                project.edit("bundle/Dockerfile", "start.sh start.sh", "start.sh");
                fs::remove_file(project.path().join("bundle/start.sh")).unwrap();
                // The legacy side takes it from the same context, so that both name the same source.
                project.edit(
                    "legacy/Dockerfile",
                    COPY,
                    "supervise.py /app/\nCOPY --from=scripts start.sh /app/",
                );
                let contexts = json!({"scripts": "../legacy"});
                (
                    json!({"context": "../legacy", "additional_contexts": contexts}),
                    json!({"context": "../bundle", "additional_contexts": contexts}),
                )
            },
            "bundle/Dockerfile",
            "COPY --from=scripts start.sh /app/\n",
        ),
    ];
    for (name, prepare, file, copy) in forms {
        for from in ["deploy", "legacy", ""] {
            let project = Project::new();
            let (legacy, bundle) = prepare(&project);
            let whole = project.diff(from, &build(&legacy), &merged(&bundle), None);
            assert!(!whole.found.iter().any(|found| found.contains("image-path")), "{name}: {whole:?}");
            assert!(whole.said.is_empty(), "{name}: {whole:?}");
            project.edit(file, copy, "");
            let less = project.diff(from, &build(&legacy), &merged(&bundle), None);
            assert!(less.found.contains(LOST), "{name} from {from:?}: {less:?}");
            assert_eq!(less.code, Some(1), "{name}");
        }
    }
    let project = Project::new();
    let texts = (inline(&project, "legacy/Dockerfile"), inline(&project, "bundle/Dockerfile"));
    let inline = |text: &str, context: &str| {
        // Compose would expand the variables itself.
        json!({"context": context, "dockerfile_inline": text.replace('$', "$$")})
    };
    let run = |bundle: &str| {
        let (legacy, bundle) = (inline(&texts.0, "../legacy"), inline(bundle, "../bundle"));
        project.diff("deploy", &build(&legacy), &merged(&bundle), None)
    };
    let whole = run(&texts.1);
    assert!(whole.said.is_empty() && !whole.found.contains(LOST), "{whole:?}");
    assert!(run(&texts.1.replace(" start.sh", "")).found.contains(LOST));
}

#[test]
fn a_map_names_dockerfiles() {
    let project = Project::new();
    let map = "[[image]]\nservice = \"supervise\"\ndockerfile = \"../legacy/Dockerfile\"\ncontext = \"../legacy\"\n\
               entrypoint = [\"python3\", \"/app/supervise_server.py\"]\n\
               [[image]]\nservice = \"sidecars\"\ndockerfile = \"../bundle/Dockerfile\"\ncontext = \"../bundle\"\n";
    let none = json!({});
    let run = || project.diff("legacy", &none, &none, Some(map));
    assert!(run().found.iter().all(|found| !found.contains("image-path")), "{:?}", run());
    project.edit("bundle/Dockerfile", " start.sh", "");
    assert!(run().found.contains(LOST), "{:?}", run());
    let alone = "[[image]]\nservice = \"supervise\"\ncontext = \"x\"\n";
    let ran = project.diff("legacy", &none, &none, Some(alone));
    assert!(ran.said.contains("context, target and args need a dockerfile"), "{ran:?}");
    let absent = "[[image]]\nservice = \"supervise\"\ndockerfile = \"nowhere\"\n";
    let ran = project.diff("legacy", &none, &none, Some(absent));
    assert_eq!(ran.code, Some(2), "{ran:?}");
    assert!(ran.said.contains("nowhere: no such file"), "{ran:?}");
}

#[test]
fn what_cannot_be_built_here_is_said() {
    let project = Project::new();
    let legacy = build(&json!("../legacy"));
    for (bundle, subject) in [
        (json!("https://example.com/x.git"), "services.sidecars.build"),
        (json!({"context": "service:base"}), "services.sidecars.build"),
        (json!("../nowhere"), "services.sidecars.build"),
    ] {
        let ran = project.diff("deploy", &legacy, &merged(&bundle), None);
        assert!(ran.found.contains(&format!("image-not-understood  {subject}")), "{bundle}: {ran:?}");
        assert!(!ran.found.iter().any(|found| found.starts_with("image-path-lost")), "{bundle}: {ran:?}");
    }
    project.edit("bundle/Dockerfile", "WORKDIR /", "NOPE");
    let ran = project.diff("deploy", &legacy, &merged(&json!("../bundle")), None);
    assert_eq!(ran.code, Some(2));
    let line = fs::read_to_string(project.path().join("bundle/Dockerfile")).unwrap();
    let line = line.lines().position(|line| line == "NOPE").unwrap() + 1;
    assert!(ran.said.contains(&format!("bundle/Dockerfile:{line}:1: unknown instruction")), "{ran:?}");
}

#[test]
fn the_agent_keeps_what_its_image_has() {
    let project = Project::new();
    let base = "FROM python:3.13-slim-trixie@sha256:9d2e5553305c7c7b0097999bb17187c69b921ccd6bc9d40e4bb5ebe652c00285\n";
    let text = format!(
        "{base}RUN apt-get install -y git\nCOPY start.sh /start.sh\nENV A=1\nUSER 1000\n\
                        HEALTHCHECK CMD [\"git\", \"version\"]\nENTRYPOINT [\"/start.sh\"]\n"
    );
    let changes: BTreeMap<&str, (&str, &str)> = [
        ("image-package-lost agent git", ("RUN apt-get install -y git\n", "")),
        ("image-package-gained agent curl", ("install -y git", "install -y git curl")),
        ("image-path-lost agent /start.sh", ("COPY start.sh /start.sh\n", "")),
        ("image-env-lost agent A", ("ENV A=1\n", "")),
        ("image-env-gained agent B", ("ENV A=1\n", "ENV A=1 B=2\n")),
        ("image-health-lost agent HEALTHCHECK", ("git\", \"version", "true")),
        ("image-path-gained agent /plan.json", ("USER", "COPY plan.json /\nUSER")),
    ]
    .into();
    project.write("legacy/agent.Dockerfile", &text);
    let agent =
        |context: &str| json!({"agent": {"build": {"context": context, "dockerfile": "agent.Dockerfile"}}});
    let run = |text: &str| {
        project.write("bundle/agent.Dockerfile", text);
        project.diff("deploy", &agent("../legacy"), &agent("../bundle"), None).found
    };
    let unchanged = run(&text);
    for (finding, (from, to)) in changes {
        assert!(!unchanged.contains(finding), "{unchanged:?}");
        let found = run(&text.replacen(from, to, 1));
        assert!(found.contains(finding), "{finding}: {found:?}");
    }
}
