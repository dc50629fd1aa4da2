//! The walk over the tree, and which of its files are worth a parser.

use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::sync::{Mutex, MutexGuard, PoisonError};

use ignore::{WalkBuilder, WalkState};
use rayon::prelude::*;
use thiserror::Error;
use toml::Spanned;

use super::prefilter::{Look, Needles};
use super::zones::{Zones, globs};
use crate::config::{self, Config};
use crate::scan::Skipped;

/// Left out unless they are named: they tell what was.
const HISTORY: [&str; 16] = [
    "**/CHANGELOG*",
    "**/Changelog*",
    "**/changelog*",
    "**/CHANGES*",
    "**/HISTORY*",
    "**/NEWS*",
    "**/RELEASE-NOTES*",
    "**/prds/**",
    "**/prd/**",
    "**/PRD*",
    "**/docs/research/**",
    "**/docs/decisions/**",
    "**/docs/adr/**",
    "**/docs/adrs/**",
    "**/adr/**",
    "**/docs/**/[12][0-9][0-9][0-9]-[01][0-9]-[0-3][0-9]*",
];

/// A path that cannot be searched.
#[derive(Debug, Error)]
#[error("{reason}")]
pub struct Unreadable {
    /// The path.
    pub path: PathBuf,
    /// Why.
    pub reason: String,
}

/// A file that is worth a parser.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(in crate::scan) struct Candidate {
    /// Relative to the root, with `/`.
    pub(in crate::scan) name: String,
    /// Where it is.
    pub(in crate::scan) path: PathBuf,
}

/// What was found in the tree.
#[derive(Default)]
pub(in crate::scan) struct Found {
    pub(in crate::scan) candidates: Vec<Candidate>,
    /// Files that are worth a parser if the tree is about bottles.
    pub(in crate::scan) weak: Vec<Candidate>,
    /// Every Python file, worth a parser or not.
    pub(in crate::scan) python: Vec<Candidate>,
    /// Files that are named like tests.
    pub(in crate::scan) test_files: BTreeSet<String>,
    pub(in crate::scan) skipped: Vec<Skipped>,
}

/// The tree as a whole.
pub(in crate::scan) struct Tree {
    pub(in crate::scan) found: Found,
    pub(in crate::scan) files: usize,
    pub(in crate::scan) tests: usize,
    pub(in crate::scan) zones: Zones,
    /// Whether the tree is about bottles at all.
    pub(in crate::scan) evident: bool,
}

fn texts(globs: &[Spanned<String>]) -> impl Iterator<Item = &str> {
    globs.iter().map(|glob| glob.get_ref().as_str())
}

/// Name of `path` relative to `root`, with `/`; as it is if it lies elsewhere.
fn relative(root: &Path, path: &Path) -> String {
    // What the walk itself puts together is tidy.
    if let Ok(inner) = path.strip_prefix(root)
        && !inner.as_os_str().as_encoded_bytes().starts_with(b"./")
        && !inner.to_string_lossy().contains("/./")
    {
        return inner.to_string_lossy().into_owned();
    }
    let tidy = |path: &Path| {
        path.components().filter(|part| *part != std::path::Component::CurDir).collect::<PathBuf>()
    };
    let (root, path) = (tidy(root), tidy(path));
    let inner = path.strip_prefix(&root).map(Path::to_owned);
    let inner = inner.or_else(|_| {
        let absolute = |path: &Path| std::path::absolute(path).unwrap_or_else(|_| path.to_owned());
        absolute(&path).strip_prefix(absolute(&root)).map(Path::to_owned)
    });
    inner.unwrap_or(path).to_string_lossy().into_owned()
}

/// Walks `paths`, or all of `root`; ignored files are left out, hidden ones are not.
pub(in crate::scan) fn tree(root: &Path, config: &Config, paths: &[PathBuf]) -> Result<Tree, Unreadable> {
    let zones = Zones::new(config);
    let deleted = texts(&config.flip.delete).map(globset::escape).collect::<Vec<_>>();
    let own = [config::FILE, ".bottle-migrate/**", "**/.git/**", ".git", "**/.gitignore"];
    let left_out = globs(
        texts(&config.scan.exclude)
            .chain(texts(&config.plans.include))
            .chain(own)
            .chain(deleted.iter().map(String::as_str)),
    );
    let history = globs(HISTORY);
    let Some(needles) = Needles::new(&config.scan.prefixes, config.flag.name()) else {
        let reason = "`[scan] prefixes` are too many to be looked for".to_owned();
        return Err(Unreadable { path: root.join(config::FILE), reason });
    };
    let starts = if paths.is_empty() { vec![root.to_owned()] } else { resolve(root, paths)? };
    let found = Mutex::new(Found::default());
    let (files, tests, evident) = (AtomicUsize::new(0), AtomicUsize::new(0), AtomicBool::new(false));
    let mut builder = WalkBuilder::new(&starts[0]);
    for start in &starts[1..] {
        builder.add(start);
    }
    builder.standard_filters(false).git_ignore(true).git_exclude(true).parents(true).require_git(false);
    let threads = std::thread::available_parallelism().map_or(1, std::num::NonZero::get);
    builder.threads(threads).build_parallel().run(|| {
        let (found, files, tests, evident) = (&found, &files, &tests, &evident);
        let (zones, left_out, history, needles) = (&zones, &left_out, &history, &needles);
        let mut buffer = Vec::new();
        Box::new(move |entry| {
            let entry = match entry {
                Ok(entry) => entry,
                Err(error) => {
                    hold(found).skipped.push(Skipped { file: String::new(), reason: error.to_string() });
                    return WalkState::Continue;
                }
            };
            let name = relative(root, entry.path());
            let tested = globset::Candidate::new(&name);
            if left_out.is_match_candidate(&tested) {
                return WalkState::Skip;
            }
            // What is named on the command line is searched, whatever it is.
            if !entry.file_type().is_some_and(|kind| kind.is_file())
                || entry.depth() > 0 && history.is_match_candidate(&tested)
            {
                return WalkState::Continue;
            }
            files.fetch_add(1, Ordering::Relaxed);
            if zones.test.is_match_candidate(&tested) {
                tests.fetch_add(1, Ordering::Relaxed);
            }
            if name.contains("test") || name.contains("spec") {
                hold(found).test_files.insert(name.clone());
            }
            let look = needles.look(entry.path(), &mut buffer);
            let candidate = Candidate { name, path: entry.into_path() };
            let mut found = hold(found);
            match look {
                Ok(look) => {
                    if look == Look::Told {
                        evident.store(true, Ordering::Relaxed);
                    }
                    if candidate.path.extension() == Some("py".as_ref()) {
                        found.python.push(candidate.clone());
                    }
                    match look {
                        Look::Nothing => {}
                        Look::Faint => found.weak.push(candidate),
                        Look::Named | Look::Told => found.candidates.push(candidate),
                    }
                }
                Err(reason) => found.skipped.push(Skipped { file: candidate.name, reason }),
            }
            WalkState::Continue
        })
    });
    let mut found = found.into_inner().unwrap_or_else(PoisonError::into_inner);
    for files in [&mut found.candidates, &mut found.weak, &mut found.python] {
        files.sort();
        files.dedup();
    }
    Ok(Tree {
        found,
        files: files.into_inner(),
        tests: tests.into_inner(),
        zones,
        evident: evident.into_inner() || root.join(config::FILE).exists(),
    })
}

fn hold(found: &Mutex<Found>) -> MutexGuard<'_, Found> {
    found.lock().unwrap_or_else(PoisonError::into_inner)
}

fn resolve(root: &Path, paths: &[PathBuf]) -> Result<Vec<PathBuf>, Unreadable> {
    paths
        .iter()
        .map(|path| {
            // As the shell completes them, or relative to the root.
            let found =
                [path.clone(), root.join(path)].into_iter().find(|path| path.symlink_metadata().is_ok());
            found
                .ok_or_else(|| Unreadable { path: path.clone(), reason: "no such file or folder".to_owned() })
        })
        .collect()
}

/// Calls `read` with every candidate, on all cores.
pub(in crate::scan) fn each<'t, T: Send>(
    candidates: impl IntoParallelIterator<Item = &'t Candidate>,
    read: impl Fn(&Candidate) -> Option<T> + Sync,
) -> BTreeMap<&'t str, T> {
    let found: Vec<_> = candidates
        .into_par_iter()
        .filter_map(|candidate| Some((candidate.name.as_str(), read(candidate)?)))
        .collect();
    found.into_iter().collect()
}
