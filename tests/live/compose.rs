//! Docker Compose as a process, and the comparison with what it makes of a document.

use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::sync::LazyLock;

use bottle_migrate::compose::{Document, read_text};
use similar::TextDiff;

/// The program that `tests/live/tools/build` builds.
static PROGRAM: LazyLock<PathBuf> = LazyLock::new(|| {
    let program = Path::new(env!("CARGO_MANIFEST_DIR")).join("target/live/docker-compose");
    assert!(program.is_file(), "Docker Compose is missing: run tests/live/tools/build");
    program
});

/// What `docker-compose config` prints, as JSON; what it says on stderr when it refuses.
pub(crate) fn config(folder: &Path, files: &[&str], environment: &[(&str, &str)]) -> Result<String, String> {
    let mut command = Command::new(&*PROGRAM);
    for file in files {
        command.args(["--file", file]);
    }
    command.args(["config", "--format", "json"]);
    command.env_clear().env("HOME", folder).envs(environment.iter().copied());
    let output = command.current_dir(folder).stdin(Stdio::null()).output().unwrap();
    if output.status.success() {
        Ok(String::from_utf8(output.stdout).unwrap())
    } else {
        Err(String::from_utf8(output.stderr).unwrap())
    }
}

/// Compose's own model of a text.
pub(crate) fn normalised(text: &str) -> Result<String, String> {
    let folder = tempfile::tempdir().unwrap();
    std::fs::write(folder.path().join("compose.yaml"), text).unwrap();
    config(folder.path(), &["compose.yaml"], &[])
}

/// What the reader makes of Compose's own model.
pub(crate) fn read_back(json: &str) -> Document {
    read_text(json, &|_| None).unwrap_or_else(|error| panic!("{error} in Compose's own words:\n{json}"))
}

/// Lines by which two documents differ, `None` for equal ones.
pub(crate) fn difference(ours: &Document, theirs: &Document) -> Option<String> {
    if ours == theirs {
        return None;
    }
    let (ours, theirs) = (format!("{:#?}", sorted(ours)), format!("{:#?}", sorted(theirs)));
    Some(TextDiff::from_lines(&ours, &theirs).unified_diff().header("ours", "Compose's").to_string())
}

/// The document in an order that no file decides.
fn sorted(document: &Document) -> Document {
    let mut document = document.clone();
    let compose = &mut document.compose;
    compose.services.sort_keys();
    for service in compose.services.values_mut() {
        service.environment.sort_keys();
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
