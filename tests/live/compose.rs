//! A document as the reader takes it in, and as Docker Compose does.

use std::io::Write;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::sync::LazyLock;

use bottle_migrate::compose::{Document, Surroundings, Unreadable, read, read_text};
use bottle_model::compose::EnvValue;
use serde_json::Value;
use similar::TextDiff;

/// The program that `tests/live/tools/build` builds.
static PROGRAM: LazyLock<PathBuf> = LazyLock::new(|| {
    let program = Path::new(env!("CARGO_MANIFEST_DIR")).join("target/live/docker-compose");
    assert!(program.is_file(), "Docker Compose is missing: run tests/live/tools/build");
    program
});

/// The environment in which every document is read.
const ENVIRONMENT: &[(&str, &str)] =
    &[("SET", "set"), ("EMPTY", ""), ("PROCESS_WINS", "yes"), ("HOME", "/home/live")];

/// Value of a variable in that environment.
fn variable(name: &str) -> Option<String> {
    ENVIRONMENT.iter().find(|(known, _)| *known == name).map(|(_, value)| (*value).to_owned())
}

/// Files of a project, the first with a folder that relative paths begin in.
pub(crate) enum Files<'a> {
    Written(&'a [PathBuf]),
    /// One file, by its text alone.
    Text(&'a str),
}

impl Files<'_> {
    /// Folder of a text, which nobody has to look into.
    const FOLDER: &'static str = "/srv/project";

    /// What the reader makes of them.
    pub(crate) fn ours(&self) -> Result<Document, String> {
        let file = |path: &Path| match self {
            Self::Written(_) => std::fs::read_to_string(path).map_err(|_| Unreadable::Absent),
            Self::Text(text) if path.ends_with("compose.yaml") => Ok((*text).to_owned()),
            Self::Text(_) => Err(Unreadable::Absent),
        };
        let surroundings = Surroundings { variable: &variable, file: &file, absolute: &Path::to_path_buf };
        let read = match self {
            Self::Written(files) => read(files, &surroundings),
            Self::Text(_) => read(&[Path::new(Self::FOLDER).join("compose.yaml")], &surroundings),
        };
        read.map(|(document, _)| document).map_err(|error| format!("the reader refuses it: {error}"))
    }

    /// What the reader makes of Compose's own model of them.
    pub(crate) fn theirs(&self) -> Result<Document, String> {
        let mut command = Command::new(&*PROGRAM);
        command.env_clear().envs(ENVIRONMENT.iter().copied());
        let text = match self {
            Self::Written(files) => {
                for file in *files {
                    command.arg("--file").arg(file);
                }
                ""
            }
            Self::Text(text) => {
                command.args(["--project-directory", Self::FOLDER, "--file", "-"]);
                *text
            }
        };
        command.args(["config", "--format", "json"]);
        let mut child =
            command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap();
        child.stdin.take().unwrap().write_all(text.as_bytes()).unwrap();
        let output = child.wait_with_output().unwrap();
        if !output.status.success() {
            return Err(format!("Compose refuses it: {}", String::from_utf8_lossy(&output.stderr)));
        }
        let json = corrected(serde_json::from_slice(&output.stdout).unwrap()).to_string();
        // Compose prints only what is on.
        let profiles = |name: &str| (name == "COMPOSE_PROFILES").then(|| "*".to_owned());
        read_text(&json, &profiles)
            .map_err(|error| format!("the reader refuses Compose's model: {error}\n{json}"))
    }
}

/// What Compose prints as Compose would take it back: it doubles each `$` in keys too, where it undoes none, prints
/// the keys of block devices as its program names them, and leaves out limits of 0.
fn corrected(model: Value) -> Value {
    match model {
        Value::Object(map) => map
            .into_iter()
            .map(|(key, mut value)| {
                let key = match key.as_str() {
                    "Path" | "Rate" | "Weight" => key.to_lowercase(),
                    key => key.replace("$$", "$"),
                };
                // Compose prints -1 as a text, and takes it back as a number only.
                if (key.starts_with("mem") || key == "shm_size") && value == "-1" {
                    value = (-1).into();
                }
                // What has neither is in no network, as if its mode were empty.
                if key == "services" {
                    let services =
                        value.as_object_mut().unwrap().values_mut().filter_map(Value::as_object_mut);
                    for service in services.filter(|service| !service.contains_key("provider")) {
                        if !service.contains_key("networks") {
                            service.entry("network_mode").or_insert_with(|| "".into());
                        }
                    }
                }
                if key == "ulimits" {
                    let limits = value.as_object_mut().unwrap().values_mut().filter_map(Value::as_object_mut);
                    for limit in limits {
                        limit.entry("soft").or_insert_with(|| 0.into());
                        limit.entry("hard").or_insert_with(|| 0.into());
                    }
                }
                (key, corrected(value))
            })
            .collect(),
        Value::Array(items) => items.into_iter().map(corrected).collect(),
        scalar => scalar,
    }
}

/// Lines by which two documents differ in what they mean, `None` for equal ones.
pub(crate) fn difference(ours: &Document, theirs: &Document) -> Option<String> {
    let (ours, theirs) = (meaning(ours), meaning(theirs));
    (ours != theirs).then(|| {
        let (ours, theirs) = (format!("{ours:#?}"), format!("{theirs:#?}"));
        TextDiff::from_lines(&ours, &theirs).unified_diff().header("ours", "Compose's").to_string()
    })
}

/// The document in an order that no file decides, with the values that inherited variables have.
pub(crate) fn meaning(document: &Document) -> Document {
    let mut document = document.clone();
    // Compose's model no longer shows what was unset.
    document.unresolved.clear();
    let compose = &mut document.compose;
    compose.services.sort_keys();
    for service in compose.services.values_mut() {
        for (name, value) in &mut service.environment {
            if let (EnvValue::Inherit, Some(text)) = (&value, variable(name)) {
                *value = EnvValue::Literal(text);
            }
        }
        service.environment.sort_keys();
        service.mounts.sort();
        service.ports.sort();
        service.networks.sort_keys();
        service.extra_hosts.sort_keys();
        service.depends_on.sort_keys();
        service.labels.sort_keys();
    }
    for resources in [&mut compose.networks, &mut compose.volumes, &mut compose.configs, &mut compose.secrets]
    {
        resources.sort_keys();
    }
    document
}
