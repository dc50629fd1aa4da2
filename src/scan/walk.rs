//! The tree: which files are looked at, and which of them are worth a parser.

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::io::Read;
use std::path::{Path, PathBuf};
use std::sync::Mutex;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};

use aho_corasick::{AhoCorasick, AhoCorasickBuilder};
use globset::{GlobBuilder, GlobSet, GlobSetBuilder};
use ignore::{WalkBuilder, WalkState};
use rayon::prelude::*;
use thiserror::Error;
use toml::Spanned;

use super::{Skipped, Zone};
use crate::config::{self, Config};

/// Largest file that is searched, in bytes.
const LARGEST: u64 = 8 * 1024 * 1024;

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

/// What a reference that names a daemon cannot do without, in any letter case.
const NEEDLES: [&str; 9] = [
    "pipelock",
    "git-gate",
    "git_gate",
    "gitgate",
    "egress",
    "supervise",
    "sidecar_bundle",
    "dockerfile.",
    "com.docker.compose.service",
];

/// What one that names none cannot do without; it counts in a tree that is about bottles.
const WEAK: [&str; 7] = ["services)", "services\"", "services'", "five", "four ", "sidecar", "-services "];

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
pub(super) struct Tree {
    pub(super) candidates: Vec<Candidate>,
    /// Files that are worth one if the tree is about bottles.
    pub(super) weak: Vec<Candidate>,
    /// Every Python file, worth a parser or not.
    pub(super) python: Vec<Candidate>,
    /// Files that are named like tests.
    pub(super) test_files: BTreeSet<String>,
    pub(super) files: usize,
    pub(super) tests: usize,
    pub(super) skipped: Vec<Skipped>,
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
    let mut lead = config.scan.prefixes.clone();
    lead.extend(config.scan.prefixes.iter().map(|prefix| prefix.replace('-', "_")));
    lead.push("pipelock".to_owned());
    let flag = config.flag.name().to_ascii_lowercase();
    let strong =
        NEEDLES.iter().map(|needle| (*needle).to_owned()).chain([flag]).chain(lead.iter().cloned()).collect();
    let Some(needles) = Needles::new(strong, &lead) else {
        let reason = "`[scan] prefixes` are too many to be looked for".to_owned();
        return Err(Unreadable { path: root.join(config::FILE), reason });
    };
    let starts = if paths.is_empty() { vec![root.to_owned()] } else { resolve(root, paths)? };
    let found = Mutex::new((Vec::new(), Vec::new(), BTreeSet::new(), Vec::new(), Vec::new()));
    let (files, tests, evident) = (AtomicUsize::new(0), AtomicUsize::new(0), AtomicBool::new(false));
    let mut builder = WalkBuilder::new(&starts[0]);
    for start in &starts[1..] {
        builder.add(start);
    }
    builder.standard_filters(false).git_ignore(true).git_exclude(true).parents(true).require_git(false);
    let threads = std::thread::available_parallelism().map_or(1, std::num::NonZero::get);
    builder.threads(threads).build_parallel().run(|| {
        Box::new(|entry| {
            let entry = match entry {
                Ok(entry) => entry,
                Err(error) => {
                    push(&found, |found| {
                        found.3.push(Skipped { file: String::new(), reason: error.to_string() });
                    });
                    return WalkState::Continue;
                }
            };
            let name = relative(root, entry.path());
            let folder = entry.file_type().is_some_and(|kind| kind.is_dir());
            if left_out.is_match(&name) || folder && left_out.is_match(format!("{name}/x")) && name == ".git"
            {
                return WalkState::Skip;
            }
            // What is named on the command line is searched, whatever it is.
            if entry.depth() > 0 && history.is_match(&name)
                || !entry.file_type().is_some_and(|kind| kind.is_file())
            {
                return WalkState::Continue;
            }
            files.fetch_add(1, Ordering::Relaxed);
            if zones.of(&name) == Zone::Test {
                tests.fetch_add(1, Ordering::Relaxed);
            }
            if name.contains("test") || name.contains("spec") {
                push(&found, |found| {
                    found.2.insert(name.clone());
                });
            }
            let candidate = Candidate { name, path: entry.path().to_owned() };
            let python = candidate.path.extension() == Some("py".as_ref());
            match needles.look(&candidate.path) {
                Ok(Look { hit, told, faint }) => {
                    if told {
                        evident.store(true, Ordering::Relaxed);
                    }
                    if python {
                        push(&found, |found| found.1.push(candidate.clone()));
                    }
                    if hit {
                        push(&found, |found| found.0.push(candidate));
                    } else if faint {
                        push(&found, |found| found.4.push(candidate));
                    }
                }
                Err(reason) => {
                    push(&found, |found| found.3.push(Skipped { file: candidate.name.clone(), reason }));
                }
            }
            WalkState::Continue
        })
    });
    let (mut candidates, mut python, test_files, mut skipped, mut weak) =
        found.into_inner().unwrap_or_else(std::sync::PoisonError::into_inner);
    candidates.sort();
    candidates.dedup();
    python.sort();
    weak.sort();
    weak.dedup();
    let halves = candidates.iter().filter(|candidate| text(&candidate.path).is_some_and(|(_, whole)| !whole));
    skipped.extend(halves.map(|candidate| Skipped {
        file: candidate.name.clone(),
        reason: "not UTF-8 text: searched without the bytes that are none".to_owned(),
    }));
    Ok(Tree {
        candidates,
        weak,
        python,
        test_files,
        files: files.into_inner(),
        tests: tests.into_inner(),
        skipped,
        zones,
        evident: evident.into_inner() || root.join(config::FILE).exists(),
    })
}

type Found = (Vec<Candidate>, Vec<Candidate>, BTreeSet<String>, Vec<Skipped>, Vec<Candidate>);

fn push(found: &Mutex<Found>, add: impl FnOnce(&mut Found)) {
    add(&mut found.lock().unwrap_or_else(std::sync::PoisonError::into_inner));
}

fn needles(words: impl IntoIterator<Item = String>) -> Option<AhoCorasick> {
    AhoCorasickBuilder::new().ascii_case_insensitive(true).build(words).ok()
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

/// What a first look at a file's bytes tells.
#[derive(Default)]
struct Look {
    /// It holds what a reference that names a daemon cannot do without.
    hit: bool,
    /// It shows that the tree is about bottles.
    told: bool,
    /// It holds anything that is looked for.
    faint: bool,
}

/// Everything that is looked for, as one automaton.
struct Needles {
    words: AhoCorasick,
    /// Number of the first of [`WEAK`].
    first_weak: usize,
    /// Which of those before it show that the tree is about bottles.
    tells: Vec<bool>,
}

impl Needles {
    fn new(strong: Vec<String>, tells: &[String]) -> Option<Self> {
        let first_weak = strong.len();
        let tells = strong.iter().map(|needle| tells.contains(needle)).collect();
        let words = strong.into_iter().chain(WEAK.map(str::to_owned));
        Some(Self { words: needles(words)?, first_weak, tells })
    }

    /// Looks at a file's bytes, in one pass.
    fn look(&self, path: &Path) -> Result<Look, String> {
        let fail = |error: std::io::Error| {
            error.to_string().split(" (os error").next().unwrap_or_default().to_lowercase()
        };
        let mut file = fs::File::open(path).map_err(fail)?;
        let size = file.metadata().map_err(fail)?.len();
        if size > LARGEST {
            return Err(format!("larger than {} MiB", LARGEST / (1024 * 1024)));
        }
        let mut bytes = Vec::with_capacity(usize::try_from(size).unwrap_or_default() + 1);
        file.by_ref().take(LARGEST).read_to_end(&mut bytes).map_err(fail)?;
        let mut look = Look::default();
        for found in self.words.find_overlapping_iter(&bytes) {
            let needle = found.pattern().as_usize();
            look.faint = true;
            if needle < self.first_weak {
                look.hit = true;
                look.told |= self.tells[needle];
            }
            if look.told {
                break;
            }
        }
        let binary = look.faint && bytes.iter().take(8192).any(|byte| *byte == 0);
        match (binary, look.hit) {
            (false, _) => Ok(look),
            (true, true) => Err("binary, and holds one of the names".to_owned()),
            (true, false) => Ok(Look::default()),
        }
    }
}

/// Text of a file, and whether that is all of it: bytes that are no UTF-8 become `?`, so that offsets hold.
pub(super) fn text(path: &Path) -> Option<(String, bool)> {
    let bytes = fs::read(path).ok()?;
    match String::from_utf8(bytes) {
        Ok(text) => Some((text, true)),
        Err(error) => {
            let mut bytes = error.into_bytes();
            while let Err(error) = std::str::from_utf8(&bytes) {
                let at = error.valid_up_to();
                let length = error.error_len().unwrap_or(bytes.len() - at);
                bytes[at..at + length].fill(b'?');
            }
            Some((String::from_utf8(bytes).unwrap_or_default(), false))
        }
    }
}

/// Those of `files` in which one of `words` stands.
pub(super) fn holding(files: &[Candidate], words: &[&str]) -> Vec<Candidate> {
    let needles = needles(words.iter().map(|word| (*word).to_owned()));
    let holds = |file: &&Candidate| {
        fs::read(&file.path)
            .is_ok_and(|bytes| needles.as_ref().is_none_or(|needles| needles.is_match(&bytes)))
    };
    files.par_iter().filter(holds).cloned().collect()
}

/// Calls `read` with every candidate, on all cores.
pub(super) fn each<T: Send>(
    candidates: &[Candidate],
    read: impl Fn(&Candidate) -> Option<T> + Sync,
) -> BTreeMap<&str, T> {
    let found: Vec<_> = candidates
        .par_iter()
        .filter_map(|candidate| Some((candidate.name.as_str(), read(candidate)?)))
        .collect();
    found.into_iter().collect()
}
