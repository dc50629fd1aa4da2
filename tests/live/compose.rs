//! A document as the reader takes it in, and as Docker Compose does.

use std::io::Write;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::sync::LazyLock;

use bottle_migrate::compose::{Document, Surroundings, Switches, Unreadable, read, read_text, read_with};
use bottle_model::compose::{Compose, EnvValue};
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

/// Makes a run of Compose cheaper: it is too short to profit from threads and collections.
const RUNTIME: &[(&str, &str)] = &[("GOMAXPROCS", "1"), ("GOGC", "off")];

/// Folder of a text, which nobody has to look into.
const FOLDER: &str = "/srv/project";

/// A call of Compose: files, switches, and what they are read in.
#[derive(Clone, Debug)]
pub(crate) struct Call {
    /// Working directory.
    pub(crate) folder: PathBuf,
    pub(crate) files: Vec<PathBuf>,
    pub(crate) switches: Switches,
    /// Variables beside [`ENVIRONMENT`].
    pub(crate) environment: Vec<(&'static str, &'static str)>,
}

impl Call {
    pub(crate) fn of(files: &[PathBuf]) -> Self {
        Self {
            folder: PathBuf::from("/"),
            files: files.to_vec(),
            switches: Switches::default(),
            environment: Vec::new(),
        }
    }

    fn variable(&self, name: &str) -> Option<String> {
        let own = self.environment.iter().find(|(known, _)| *known == name);
        own.map_or_else(|| variable(name), |(_, value)| Some((*value).to_owned()))
    }

    /// What the reader makes of it.
    pub(crate) fn ours(&self) -> Result<Document, String> {
        let file = |path: &Path| std::fs::read_to_string(path).map_err(|_| Unreadable::Absent);
        let variable = |name: &str| self.variable(name);
        let absolute = |path: &Path| self.folder.join(path);
        let surroundings = Surroundings { variable: &variable, file: &file, absolute: &absolute };
        let files: Vec<PathBuf> = self.files.iter().map(|file| self.folder.join(file)).collect();
        let read = read_with(&files, &self.switches, &surroundings);
        read.map(|(document, _)| document).map_err(|error| format!("the reader refuses it: {error}"))
    }

    /// Compose's own model of it.
    pub(crate) fn model(&self) -> Result<Value, String> {
        printed("", || {
            let mut command = Command::new(&*PROGRAM);
            command.current_dir(&self.folder).env_clear().envs(ENVIRONMENT.iter().copied());
            command.envs(self.environment.iter().copied()).envs(RUNTIME.iter().copied());
            for file in &self.files {
                command.arg("--file").arg(file);
            }
            for file in &self.switches.env_files {
                command.arg("--env-file").arg(file);
            }
            for profile in &self.switches.profiles {
                command.args(["--profile", profile]);
            }
            if let Some(folder) = &self.switches.project_directory {
                command.arg("--project-directory").arg(folder);
            }
            if let Some(name) = &self.switches.project_name {
                command.args(["--project-name", name]);
            }
            command
        })
    }

    /// As [`difference`], with the variables of the call.
    pub(crate) fn difference(&self, ours: &Document, theirs: &Document) -> Option<String> {
        let meaning = |document| meaning_in(document, &|name| self.variable(name));
        told(&meaning(ours), &meaning(theirs))
    }
}

/// Value of a variable in [`ENVIRONMENT`].
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
    /// What the reader makes of them.
    pub(crate) fn ours(&self) -> Result<Document, String> {
        let text = match self {
            Self::Written(files) => return Call::of(files).ours(),
            Self::Text(text) => *text,
        };
        let file = |path: &Path| {
            if path.ends_with("compose.yaml") { Ok(text.to_owned()) } else { Err(Unreadable::Absent) }
        };
        let surroundings = Surroundings { variable: &variable, file: &file, absolute: &Path::to_path_buf };
        let read = read(&[Path::new(FOLDER).join("compose.yaml")], &surroundings);
        read.map(|(document, _)| document).map_err(|error| format!("the reader refuses it: {error}"))
    }

    /// What the reader makes of Compose's own model of them.
    pub(crate) fn theirs(&self) -> Result<Document, String> {
        let model = match self {
            Self::Written(files) => Call::of(files).model()?,
            Self::Text(text) => printed(text, || {
                let mut command = Command::new(&*PROGRAM);
                command.env_clear().envs(ENVIRONMENT.iter().copied()).envs(RUNTIME.iter().copied());
                command.args(["--project-directory", FOLDER, "--file", "-"]);
                command
            })?,
        };
        understood(model)
    }
}

/// What the reader makes of Compose's own model.
pub(crate) fn understood(model: Value) -> Result<Document, String> {
    let json = corrected(model).to_string();
    // Compose prints only what is on.
    let profiles = |name: &str| (name == "COMPOSE_PROFILES").then(|| "*".to_owned());
    read_text(&json, &profiles)
        .map_err(|error| format!("the reader refuses Compose's model: {error}\n{json}"))
}

/// The model that Compose prints.
fn printed(input: &str, command: impl Fn() -> Command) -> Result<Value, String> {
    let mut model: Value = serde_json::from_slice(&output(input, command(), "json")?).unwrap();
    let services = model["services"].as_object();
    // Its JSON lacks the models that its YAML has.
    if services.is_some_and(|services| services.values().any(|service| service.get("models").is_some())) {
        let yaml: Value = serde_yaml::from_slice(&output(input, command(), "yaml")?).unwrap();
        model["models"] = yaml["models"].clone();
    }
    Ok(model)
}

fn output(input: &str, mut command: Command, format: &str) -> Result<Vec<u8>, String> {
    command.args(["config", "--format", format]);
    let mut child =
        command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap();
    child.stdin.take().unwrap().write_all(input.as_bytes()).unwrap();
    let output = child.wait_with_output().unwrap();
    if output.status.success() {
        Ok(output.stdout)
    } else {
        Err(format!("Compose refuses it: {}", String::from_utf8_lossy(&output.stderr)))
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
    told(&meaning(ours), &meaning(theirs))
}

fn told(ours: &Document, theirs: &Document) -> Option<String> {
    (ours != theirs).then(|| {
        let (ours, theirs) = (format!("{ours:#?}"), format!("{theirs:#?}"));
        TextDiff::from_lines(&ours, &theirs).unified_diff().header("ours", "Compose's").to_string()
    })
}

/// The document in an order that no file decides, with the values that inherited variables have.
pub(crate) fn meaning(document: &Document) -> Document {
    meaning_in(document, &variable)
}

fn meaning_in(document: &Document, variable: &dyn Fn(&str) -> Option<String>) -> Document {
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
    let Compose { networks, volumes, configs, secrets, models, .. } = compose;
    for resources in [networks, volumes, configs, secrets, models] {
        resources.sort_keys();
    }
    document
}
