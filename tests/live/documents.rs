//! What people write: each folder of `tests/fixtures/compose` means to the reader what it means to Compose.

use std::path::{Path, PathBuf};

use rayon::prelude::*;

use crate::compose::{Files, difference};

/// Attributes that bottles have no use for and that the writer writes in a form that Compose does not take back:
/// limits of a build as texts, a reservation or a restart policy in two places, lists of a provider's options.
const READ_ONLY: [&str; 4] = ["build", "foreign-swarm", "limits-deploy", "provider"];

/// How a folder's document differs from what Compose makes of it, or of what is written of it again.
fn disagreement(folder: &Path) -> Result<Option<String>, String> {
    let names = ["compose.yaml", "compose.yml", "compose.override.yaml", "compose.override.yml"];
    let files: Vec<PathBuf> =
        names.iter().map(|name| folder.join(name)).filter(|file| file.is_file()).collect();
    let files = Files::Written(&files);
    let (ours, theirs) = (files.ours()?, files.theirs()?);
    if let Some(difference) = difference(&ours, &theirs) {
        return Ok(Some(difference));
    }
    if READ_ONLY.iter().any(|name| folder.ends_with(name)) {
        return Ok(None);
    }
    let text = ours.compose.to_yaml();
    let again = Files::Text(&text).theirs().map_err(|refusal| format!("written again:\n{text}{refusal}"))?;
    Ok(difference(&again, &theirs).map(|difference| format!("written again:\n{text}{difference}")))
}

#[test]
fn compose_and_the_reader_agree_on_what_people_write() {
    let fixtures = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/fixtures/compose");
    let folders: Vec<PathBuf> =
        std::fs::read_dir(fixtures).unwrap().map(|entry| entry.unwrap().path()).collect();
    assert!(folders.len() >= 12, "the fixtures are missing");
    let mut disagreements: Vec<String> = folders
        .par_iter()
        .filter_map(|folder| {
            let disagreement = disagreement(folder).unwrap_or_else(Some)?;
            Some(format!("{}: {disagreement}", folder.display()))
        })
        .collect();
    disagreements.sort();
    assert!(disagreements.is_empty(), "{} differ:\n{}", disagreements.len(), disagreements.join("\n"));
}
