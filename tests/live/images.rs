//! What the checker takes for granted of images, in the images that the engine built.

use std::collections::BTreeSet;
use std::process::Stdio;

use bottle_model::daemon::{Chain, Daemon, table};
use bottle_model::images::{self, INIT, Images};
use serde_json::Value;

use crate::bottle::{docker, engine};

/// An image: its files, and the folders in which it looks for programs.
struct Built {
    files: BTreeSet<String>,
    path: Vec<String>,
    entrypoint: Vec<String>,
}

impl Built {
    fn of(image: &str) -> Self {
        let config = docker(&["image", "inspect", "--format", "{{json .Config}}", image]);
        let config: Value = serde_json::from_str(&config).unwrap();
        let words = |value: &Value| -> Vec<String> {
            value.as_array().into_iter().flatten().map(|word| word.as_str().unwrap().to_owned()).collect()
        };
        let variables = words(&config["Env"]);
        let path = variables.iter().find_map(|variable| variable.strip_prefix("PATH=")).unwrap_or("/bin");
        let container = docker(&["create", image, "none"]);
        let container = container.trim();
        let mut export = engine("docker").args(["export", container]).stdout(Stdio::piped()).spawn().unwrap();
        let archive = export.stdout.take().unwrap();
        let listed = std::process::Command::new("tar").arg("-t").stdin(archive).output().unwrap();
        let exported = export.wait().unwrap();
        docker(&["rm", container]);
        assert!(exported.success() && listed.status.success(), "{image} cannot be listed");
        let files = String::from_utf8_lossy(&listed.stdout).lines().map(|file| format!("/{file}")).collect();
        Self {
            files,
            path: path.split(':').map(str::to_owned).collect(),
            entrypoint: words(&config["Entrypoint"]),
        }
    }

    /// Whether a program is there: by its path, through links of whole folders, or in one of the folders of PATH.
    fn has(&self, program: &str) -> bool {
        let usual = |path: &str| self.files.contains(path) || self.files.contains(&format!("/usr{path}"));
        if program.starts_with('/') {
            usual(program)
        } else {
            self.path.iter().any(|folder| usual(&format!("{folder}/{program}")))
        }
    }
}

#[test]
fn the_bundles_image_has_the_program_and_the_files_of_every_row() {
    let bundle = Built::of(&Images::default().bundle);
    assert!(bundle.has(INIT) && bundle.entrypoint == [INIT], "{:?}", bundle.entrypoint);
    for chain in [Chain::PipelockFirst, Chain::EgressFirst] {
        for row in table(chain) {
            assert!(bundle.has(&row.argv[0]), "{} starts {}", row.name, row.argv[0]);
            for script in row.argv.iter().filter(|word| word.starts_with("/app/")) {
                assert!(bundle.has(script), "{} runs {script}", row.name);
            }
        }
    }
    for daemon in Daemon::ALL {
        for file in images::files(daemon) {
            assert!(bundle.has(file), "{daemon} runs from {file}");
        }
    }
    // The control: what no image has is missed.
    assert!(!bundle.has("/pipelock") && !bundle.has("no-such-program"));
}

#[test]
fn each_legacy_image_has_its_own_program() {
    let defaults = Images::default();
    for (daemon, image, program) in [
        (Daemon::Egress, defaults.of(Daemon::Egress), "mitmdump"),
        (Daemon::Pipelock, "bottle-live/pipelock-used", "/pipelock"),
        (Daemon::GitGate, defaults.of(Daemon::GitGate), "git"),
        (Daemon::Supervise, defaults.of(Daemon::Supervise), "python3"),
    ] {
        let built = Built::of(image);
        assert!(built.has(program), "{daemon}: {program}");
        for file in images::files(daemon).iter().filter(|file| file.starts_with("/app/")) {
            assert!(built.has(file), "{daemon} runs from {file}");
        }
    }
}
