//! What people write: each folder of `tests/fixtures/compose` means to the reader what it means to Compose.

use std::path::{Path, PathBuf};

use bottle_migrate::compose::{Document, read};
use bottle_model::compose::EnvValue;
use rayon::prelude::*;

use crate::compose::{config, difference, normalised, read_back};

/// The environment in which every document is read.
const ENVIRONMENT: &[(&str, &str)] =
    &[("SET", "set"), ("EMPTY", ""), ("FROM_PROCESS", "here"), ("PROCESS_WINS", "yes")];

fn variable(name: &str) -> Option<String> {
    ENVIRONMENT.iter().find(|(known, _)| *known == name).map(|(_, value)| (*value).to_owned())
}

/// Compose prints the value that an inherited variable has, where it has one.
fn inherited(mut document: Document) -> Document {
    for service in document.compose.services.values_mut() {
        for (name, value) in &mut service.environment {
            if let (EnvValue::Inherit, Some(text)) = (&value, variable(name)) {
                *value = EnvValue::Literal(text);
            }
        }
    }
    document
}

/// Differences between a folder's document and what Compose makes of it.
fn disagreement(folder: &Path) -> Option<String> {
    let files: Vec<&str> = ["compose.yaml", "compose.override.yaml"]
        .into_iter()
        .filter(|file| folder.join(file).is_file())
        .collect();
    let paths: Vec<PathBuf> = files.iter().map(|file| folder.join(file)).collect();
    let ours = match read(&paths, &variable) {
        Ok(document) => inherited(document),
        Err(error) => return Some(format!("the reader refuses it: {error}")),
    };
    let json = match config(folder, &files, ENVIRONMENT) {
        Ok(json) => json,
        Err(refusal) => return Some(format!("Compose refuses it: {refusal}")),
    };
    let theirs = read_back(&json);
    difference(&ours, &theirs).or_else(|| {
        let again = normalised(&ours.compose.to_yaml()).unwrap();
        difference(&read_back(&again), &theirs)
    })
}

#[test]
fn compose_and_the_reader_agree_on_what_people_write() {
    let fixtures = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/fixtures/compose");
    let folders: Vec<PathBuf> =
        std::fs::read_dir(fixtures).unwrap().map(|entry| entry.unwrap().path()).collect();
    assert!(folders.len() >= 12, "the fixtures are missing");
    let mut disagreements: Vec<String> = folders
        .par_iter()
        .filter_map(|folder| Some(format!("{}:\n{}", folder.display(), disagreement(folder)?)))
        .collect();
    disagreements.sort();
    assert!(disagreements.is_empty(), "{} differ:\n{}", disagreements.len(), disagreements.join("\n"));
}
