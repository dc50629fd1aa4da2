//! What a file is that a command was given: a plan, or a compose file.

use std::collections::BTreeMap;
use std::path::Path;

use serde_json::value::RawValue;

use crate::config::Config;
use crate::diagnostic::Diagnostic;
use crate::files;
use crate::images::{Built, target};
use crate::view::{Roles, Side};

/// Whether a text is meant as a plan: what is not called YAML and looks like no compose file.
#[must_use]
pub fn is_plan(file: &Path, text: &str) -> bool {
    let extension = file.extension().and_then(|extension| extension.to_str()).unwrap_or_default();
    let text = text.trim_start_matches('\u{feff}').trim_start();
    if matches!(extension, "yml" | "yaml") && !text.starts_with('{') {
        return false;
    }
    if !text.starts_with('{') {
        let keys = ["services:", "include:"];
        return extension == "json" || !keys.iter().any(|key| text.lines().any(|line| line.starts_with(key)));
    }
    // Recognises most plans without reading them twice.
    if text.contains("\"schema\"") {
        return true;
    }
    match serde_json::from_str::<BTreeMap<String, &RawValue>>(text) {
        Ok(keys) => !["services", "include"].iter().any(|key| keys.contains_key(*key)),
        Err(_) => !matches!(extension, "yml" | "yaml"),
    }
}

/// Variables of this process, with PWD, which Compose sets where the shell did not.
pub(crate) fn with_folder(variable: &dyn Fn(&str) -> Option<String>) -> impl Fn(&str) -> Option<String> {
    let folder = || files::absolute(Path::new("")).into_os_string().into_string().ok();
    move |name| variable(name).or_else(|| if name == "PWD" { folder() } else { None })
}

/// A cast with what is known of its images: those that the map names, and those of the target.
pub(crate) fn with_images(
    roles: Roles,
    map: Option<&Path>,
    root: &Path,
    config: &Config,
) -> Result<Roles, Diagnostic> {
    let folder = map.and_then(Path::parent).unwrap_or(Path::new(""));
    let mapped = target::read(folder, roles.builds().clone())?;
    let own = target::contents(root, &config.images)?;
    Ok(roles.with_contents(own).with_built(Built { images: mapped, ..Built::default() }, Side::Any))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn plans_and_compose_files_are_told_apart() {
        for (file, text, plan) in [
            ("p.json", r#"{"schema": "bottle-migrate/plan/1"}"#, true),
            ("-", "\u{feff}\n {\"schema\": 1}", true),
            ("p.json", "{}", true),
            ("p.json", "{", true),
            ("p.json", "[]", true),
            ("p.json", "", true),
            ("compose.json", r#"{"services": {}}"#, false),
            ("-", r#"{"name": "x", "services": {}}"#, false),
            ("compose.yml", "services: {}", false),
            ("compose.yml", "{services: {}}", false),
            ("-", "name: x\nservices: {}", false),
            ("-", "", true),
            ("-", "null", true),
            ("compose.yml", "", false),
        ] {
            assert_eq!(is_plan(Path::new(file), text), plan, "{file} {text}");
        }
    }
}
