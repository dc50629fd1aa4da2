//! What a file is that a command was given: a plan, or a compose file.

use std::collections::BTreeMap;
use std::path::Path;

use serde::de::IgnoredAny;

/// Whether a text is meant as a plan: a JSON object, unless it has what a compose file has and no `schema`.
#[must_use]
pub fn is_plan(file: &Path, text: &str) -> bool {
    let extension = file.extension().and_then(|extension| extension.to_str()).unwrap_or_default();
    let text = text.trim_start_matches('\u{feff}').trim_start();
    if !text.starts_with('{') {
        return extension == "json";
    }
    // Most plans are told without reading them twice.
    if text.contains("\"schema\"") {
        return true;
    }
    match serde_json::from_str::<BTreeMap<&str, IgnoredAny>>(text) {
        Ok(keys) => !["services", "include"].iter().any(|key| keys.contains_key(key)),
        Err(_) => !matches!(extension, "yml" | "yaml"),
    }
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
            ("-", "services: {}", false),
            ("compose.yml", "", false),
        ] {
            assert_eq!(is_plan(Path::new(file), text), plan, "{file} {text}");
        }
    }
}
