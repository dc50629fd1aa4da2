//! The tree: which files are looked at, and which of them are worth a parser.

mod needles;

use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::sync::{Mutex, MutexGuard, PoisonError};

use globset::{GlobBuilder, GlobSet, GlobSetBuilder};
use ignore::{WalkBuilder, WalkState};
use rayon::prelude::*;
use thiserror::Error;
use toml::Spanned;

use super::{Skipped, Zone};
use crate::config::{self, Config};
use needles::{Look, Needles};
pub(super) use needles::{holding, text};

/// Left out unless they are named: they tell what was.
const HISTORY: [&str; 10] = [
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
pub(super) struct Candidate {
    /// Relative to the root, with `/`.
    pub(super) name: String,
    /// Where it is.
    pub(super) path: PathBuf,
}

/// Globs that say what a file is.
pub(super) struct Zones {
    test: GlobSet,
    doc: GlobSet,
}

impl Zones {
    /// What the file `name` is.
    pub(super) fn of(&self, name: &str) -> Zone {
        if self.test.is_match(name) {
            Zone::Test
        } else if self.doc.is_match(name) {
            Zone::Doc
        } else {
            Zone::Code
        }
    }
}

/// What was found in the tree.
#[derive(Default)]
pub(super) struct Found {
    pub(super) candidates: Vec<Candidate>,
    /// Files that are worth a parser if the tree is about bottles.
    pub(super) weak: Vec<Candidate>,
    /// Every Python file, worth a parser or not.
    pub(super) python: Vec<Candidate>,
    /// Files that are named like tests.
    pub(super) test_files: BTreeSet<String>,
    pub(super) skipped: Vec<Skipped>,
}

/// The tree as a whole.
pub(super) struct Tree {
    pub(super) found: Found,
    pub(super) files: usize,
    pub(super) tests: usize,
    pub(super) zones: Zones,
    /// Whether the tree is about bottles at all.
    pub(super) evident: bool,
}

fn globs<'a>(patterns: impl IntoIterator<Item = &'a str>) -> GlobSet {
    let mut set = GlobSetBuilder::new();
    for pattern in patterns {
        // The configuration was read with the same library.
        if let Ok(glob) = GlobBuilder::new(pattern).literal_separator(true).build() {
            set.add(glob);
        }
    }
    set.build().unwrap_or_default()
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
pub(super) fn tree(root: &Path, config: &Config, paths: &[PathBuf]) -> Result<Tree, Unreadable> {
    let zones = Zones { test: globs(texts(&config.scan.test)), doc: globs(texts(&config.scan.doc)) };
    let doomed = texts(&config.flip.delete).map(globset::escape).collect::<Vec<_>>();
    let own = [config::FILE, ".bottle-migrate/**", "**/.git/**", ".git", "**/.gitignore"];
    let left_out = globs(
        texts(&config.scan.exclude)
            .chain(texts(&config.plans.include))
            .chain(own)
            .chain(doomed.iter().map(String::as_str)),
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
                        Look::Hit | Look::Told => found.candidates.push(candidate),
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
pub(super) fn each<'t, T: Send>(
    candidates: impl IntoParallelIterator<Item = &'t Candidate>,
    read: impl Fn(&Candidate) -> Option<T> + Sync,
) -> BTreeMap<&'t str, T> {
    let found: Vec<_> = candidates
        .into_par_iter()
        .filter_map(|candidate| Some((candidate.name.as_str(), read(candidate)?)))
        .collect();
    found.into_iter().collect()
}
