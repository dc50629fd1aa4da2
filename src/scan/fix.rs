//! Safe rewrites, by byte offset.

use std::fs;
use std::hash::{DefaultHasher, Hash, Hasher};
use std::io;
use std::path::{Path, PathBuf};

use super::{Edit, Report, python};

/// A file as it is and as it would be.
#[derive(Clone, Debug)]
pub struct Change {
    /// File, relative to the root.
    pub file: String,
    /// Where it is.
    pub path: PathBuf,
    /// Its text.
    pub before: String,
    /// Its text with the rewrites.
    pub after: String,
}

/// A file whose rewrites are refused, and why.
#[derive(Clone, Debug)]
pub struct Refused {
    /// File, relative to the root.
    pub file: String,
    /// Why.
    pub reason: String,
}

/// The rewrites of a report's findings, file by file.
///
/// # Errors
///
/// A file that can no longer be read.
pub fn changes(root: &Path, report: &Report) -> io::Result<(Vec<Change>, Vec<Refused>)> {
    let (mut changes, mut refused) = (Vec::new(), Vec::new());
    for group in report.findings.chunk_by(|one, other| one.file == other.file) {
        let mut edits: Vec<&Edit> = group
            .iter()
            .filter(|finding| finding.waived.is_none())
            .flat_map(|finding| &finding.edits)
            .collect();
        edits.sort();
        edits.dedup();
        if edits.is_empty() {
            continue;
        }
        let file = &group[0].file;
        let refuse = |reason: &str| Refused { file: file.clone(), reason: reason.to_owned() };
        if edits.windows(2).any(|pair| pair[0].end > pair[1].start) {
            refused.push(refuse("two rewrites overlap"));
            continue;
        }
        let path = root.join(file);
        let before = String::from_utf8(fs::read(&path)?).ok();
        let same = |text: &String| report.digests.get(file) == Some(&digest(text));
        let Some(before) = before.filter(same) else {
            refused.push(refuse("it changed while it was searched"));
            continue;
        };
        match apply(&before, &edits) {
            Some(after)
                if Path::new(file).extension() != Some("py".as_ref())
                    || parses(&after)
                    || !parses(&before) =>
            {
                changes.push(Change { file: file.clone(), path, before, after });
            }
            Some(_) => refused.push(refuse("it would no longer parse")),
            None => refused.push(refuse("it changed while it was searched")),
        }
    }
    Ok((changes, refused))
}

/// What tells one text from another, within one run.
pub(super) fn digest(text: &str) -> u64 {
    let mut hasher = DefaultHasher::new();
    text.hash(&mut hasher);
    hasher.finish()
}

/// The text with the edits done, last one first; `None`: they do not fit.
fn apply(text: &str, edits: &[&Edit]) -> Option<String> {
    let mut out = text.to_owned();
    for edit in edits.iter().rev() {
        out.get(edit.start..edit.end)?;
        out.replace_range(edit.start..edit.end, &edit.text);
    }
    Some(out)
}

fn parses(source: &str) -> bool {
    python::parse(source).is_some_and(|tree| !tree.root_node().has_error())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::Config;
    use crate::waiver::Date;

    #[test]
    fn a_file_that_changed_since_it_was_searched_is_left_alone() {
        let folder = tempfile::tempdir().unwrap();
        let file = folder.path().join("a.py");
        fs::write(&file, "url = \"http://egress:9099/\"\n").unwrap();
        let day = Date::of(std::time::UNIX_EPOCH);
        let report = crate::scan::scan(folder.path(), &Config::default(), &[], day).unwrap();
        let (changed, refused) = changes(folder.path(), &report).unwrap();
        assert_eq!((changed.len(), refused.len()), (1, 0));
        fs::write(&file, "url = \"http://egress:9100/\"\n").unwrap();
        let (changed, refused) = changes(folder.path(), &report).unwrap();
        assert!(changed.is_empty());
        assert_eq!(refused[0].reason, "it changed while it was searched");
    }
}
