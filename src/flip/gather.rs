//! Gathers the facts about a project: affected paths, git's answers, plans, scan results and references.

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::path::{Component, Path};

use bottle_model::daemon::Isolation;
use bottle_model::images::Images;
use globset::GlobSet;
use ignore::WalkBuilder;
use toml::Spanned;

use super::facts::{Edit, Facts, Leftover, Plans, Scanned, Vcs};
use super::git::{NoAnswer, Repository};
use super::journal::FOLDER;
use super::path_state::PathState;
use super::references::{Mention, Search, Weight};
use crate::compare::{Comparer, Detail, Project, Wants, plans, source};
use crate::compose::{Surroundings, Switches};
use crate::config::{self, Compare, Config};
use crate::diagnostic::Diagnostic;
use crate::files;
use crate::finding::Severity;
use crate::globs;
use crate::images;
use crate::report::Entry;
use crate::rule::RuleId;
use crate::scan;
use crate::text::Redactor;
use crate::view::Roles;
use crate::waiver::Date;

/// A target and what it is judged by.
#[expect(missing_debug_implementations, reason = "a lookup shows nothing")]
pub struct Target<'a> {
    /// The root, absolute and without links.
    pub root: &'a Path,
    /// The root as the user named it, for messages.
    pub named: &'a Path,
    /// The target's configuration.
    pub config: &'a Config,
    /// Image references in force.
    pub images: Images,
    /// The current day.
    pub today: Date,
    /// Value of an environment variable.
    pub variable: &'a dyn Fn(&str) -> Option<String>,
}

/// Gathers the input of a decision.
///
/// # Errors
///
/// A plan or another file of the target cannot be read.
pub fn gather(target: &Target<'_>) -> Result<Facts, Diagnostic> {
    let Target { root, config, .. } = *target;
    let delete: Vec<String> = config.flip.delete.iter().map(|path| plain(path.get_ref())).collect();
    let site = |edit: &config::Edit| Edit {
        file: plain(edit.file.get_ref()),
        find: edit.find.get_ref().clone(),
        replace: edit.replace.clone(),
    };
    let edits: Vec<Edit> = config.flip.edit.iter().map(site).collect();
    let touched: BTreeSet<&str> = [config::FILE]
        .into_iter()
        .chain(edits.iter().map(|edit| edit.file.as_str()))
        .chain(delete.iter().map(String::as_str))
        .collect();
    let mut entries = BTreeMap::new();
    for path in &touched {
        let entry = PathState::at(root, path)
            .map_err(|error| Diagnostic::in_file(&target.named.join(path), files::reason(&error)))?;
        entries.insert((*path).to_owned(), entry);
    }
    let (vcs, committed) = versions(root, &touched.iter().copied().collect::<Vec<_>>());
    // Before the waivers are judged, as it may need them.
    let (scan, kept) = scanned(target)?;
    let plans = compare(target)?;
    let globs = Globs::of(config)?;
    let mut files = names(target)?;
    files.extend(committed);
    let prose =
        edits.iter().filter(|edit| globs.is_prose(&edit.file)).map(|edit| edit.file.clone()).collect();
    let search = Search::new(delete.iter().collect::<BTreeSet<_>>().into_iter().cloned().collect(), files);
    let mut mentions = Vec::new();
    for path in search.files() {
        if !touched.contains(path) && !plans.files.contains_key(path) {
            mentions.extend(mentions_in(root, path, &search, &globs)?);
        }
    }
    for path in edits.iter().map(|edit| edit.file.as_str()).collect::<BTreeSet<_>>() {
        mentions.extend(mentions_in(root, path, &search, &globs)?);
    }
    for mention in &mut mentions {
        let vouched_for = kept.contains(&(mention.file.clone(), mention.line));
        if vouched_for || globs.exclude.is_match(&mention.file) {
            mention.weight = Weight::Told;
        }
    }
    Ok(Facts {
        config: config::FILE.to_owned(),
        default: config.flag.default,
        scan,
        verify: config.flip.verify.clone(),
        edits,
        delete,
        entries,
        vcs,
        plans,
        mentions,
        search,
        prose,
    })
}

/// A path without `.` components.
fn plain(path: &str) -> String {
    let names = Path::new(path).components().filter_map(|part| match part {
        Component::Normal(name) => name.to_str(),
        _ => None,
    });
    names.collect::<Vec<_>>().join("/")
}

/// State of paths in version control, and tracked files that its ignore files name, which are kept as well.
fn versions(root: &Path, paths: &[&str]) -> (Vcs, Vec<String>) {
    let answer = Repository::of(root)
        .and_then(|repository| Ok((repository.unclean(paths)?, repository.ignored_but_tracked()?)));
    match answer {
        Ok((unclean, committed)) => (Vcs::Git(unclean), committed),
        Err(NoAnswer::NoRepository) => (Vcs::Absent, Vec::new()),
        Err(NoAnswer::Failed(message)) => (Vcs::Silent(message), Vec::new()),
    }
}

/// Compares every plan and compose file that the configuration names with its bundle, as `diff` does.
fn compare(target: &Target<'_>) -> Result<Plans, Diagnostic> {
    let Target { root, named, config, .. } = *target;
    let globs: Vec<&str> = config.plans.include.iter().map(|glob| glob.get_ref().as_str()).collect();
    let found = plans::included(named, &globs)?;
    let redactor = Redactor::new(false);
    let comparer = Comparer {
        images: target.images.clone(),
        isolation: Isolation::default(),
        switches: Switches::default(),
        roles: Roles::builtin(&target.images).with_contents(images::target::contents(root, &config.images)?),
        waivers: &config.waivers,
        today: target.today,
        redactor: &redactor,
        wants: Wants { detail: Detail::Document, text: false },
    };
    let mut result = Plans::default();
    let base = files::tidy(named);
    for path in &found {
        let name = path.strip_prefix(&base).unwrap_or(path).to_string_lossy().into_owned();
        let text = files::read(path)?;
        let comparison = comparer.source(path, &text, true, target.variable)?;
        let state = PathState::at(root, &name)
            .map_err(|error| Diagnostic::in_file(path, files::reason(&error)))?
            .state();
        result.findings.extend(comparison.entries.iter().filter_map(|entry| standing(&name, entry)));
        result.files.insert(name, state);
    }
    let [legacy, bundle] = [&config.compare.legacy, &config.compare.bundle]
        .map(|files| Project { files: Compare::below(named, files), switches: Switches::default() });
    if !legacy.files.is_empty() {
        let comparer = Comparer {
            roles: mapped(target)?,
            images: target.images.clone(),
            switches: Switches::default(),
            ..comparer
        };
        let variable = source::with_folder(target.variable);
        let surroundings =
            Surroundings { variable: &variable, file: &files::text_of, absolute: &files::absolute };
        let comparison = if bundle.files.is_empty() {
            comparer.merger(&legacy, &surroundings)?
        } else {
            images::target::below(Path::new("/"), |tree| {
                comparer.pair((&legacy, &bundle), false, &surroundings, tree)
            })?
        };
        let name = config.compare.legacy[0].get_ref();
        result.findings.extend(comparison.entries.iter().filter_map(|entry| standing(name, entry)));
        for file in config.compare.legacy.iter().chain(&config.compare.bundle).chain(&config.compare.map) {
            let state = PathState::at(root, file.get_ref())
                .map_err(|error| Diagnostic::in_file(&named.join(file.get_ref()), files::reason(&error)))?;
            result.files.insert(plain(file.get_ref()), state.state());
        }
    }
    let everything = !found.is_empty() || !legacy.files.is_empty();
    let closing = comparer.closing(&files::tidy(&named.join(config::FILE)), everything);
    result.findings.extend(closing.iter().filter_map(|entry| standing(config::FILE, entry)));
    Ok(result)
}

/// The cast that `[compare]` names.
fn mapped(target: &Target<'_>) -> Result<Roles, Diagnostic> {
    let map = target.config.compare.map(target.named);
    let roles = match &map {
        Some(map) => Roles::from_map(&files::read(map)?, &target.images)
            .map_err(|error| Diagnostic::in_file(map, error.to_string()).at(error.line.unwrap_or(1), 1))?,
        None => Roles::builtin(&target.images),
    };
    source::with_images(roles, map.as_deref(), target.root, target.config)
}

/// What an error that no waiver accepts says.
fn standing(file: &str, entry: &Entry) -> Option<(String, String)> {
    let counts = entry.waived.is_none() && entry.severity == Severity::Error;
    let about =
        [entry.principal.as_str(), entry.subject.as_str()].into_iter().filter(|text| !text.is_empty());
    let about = about.collect::<Vec<_>>().join(", ");
    counts.then(|| (file.to_owned(), format!("{} ({about}): {}", entry.rule.id, entry.message)))
}

/// How the configuration classifies files.
struct Globs {
    test: GlobSet,
    doc: GlobSet,
    exclude: GlobSet,
}

impl Globs {
    fn of(config: &Config) -> Result<Self, Diagnostic> {
        let set = |globs: &[Spanned<String>]| {
            globs::set(globs.iter().map(|glob| glob.get_ref().as_str())).map_err(Diagnostic::new)
        };
        Ok(Self {
            test: set(&config.scan.test)?,
            doc: set(&config.scan.doc)?,
            exclude: set(&config.scan.exclude)?,
        })
    }

    fn is_prose(&self, path: &str) -> bool {
        self.doc.is_match(path) && !self.test.is_match(path)
    }
}

/// Names of the target's files, but for those that are ignored.
fn names(target: &Target<'_>) -> Result<BTreeSet<String>, Diagnostic> {
    let root = target.root;
    let mut files = BTreeSet::new();
    let own = |name: &std::ffi::OsStr| name == ".git" || name == FOLDER;
    let walk = WalkBuilder::new(root)
        .standard_filters(false)
        .git_ignore(true)
        .git_exclude(true)
        .parents(true)
        .require_git(false)
        .filter_entry(move |entry| entry.depth() == 0 || !own(entry.file_name()))
        .build();
    for entry in walk {
        let entry = entry.map_err(|error| {
            let message = error.io_error().map_or_else(|| error.to_string(), files::reason);
            Diagnostic::in_file(target.named, format!("cannot be looked through: {message}"))
        })?;
        if entry.file_type().is_some_and(|kind| kind.is_file() || kind.is_symlink()) {
            let path = entry.path().strip_prefix(root).unwrap_or(entry.path());
            files.insert(path.to_string_lossy().into_owned());
        }
    }
    Ok(files)
}

/// References to deleted files in one file.
fn mentions_in(root: &Path, path: &str, search: &Search, globs: &Globs) -> Result<Vec<Mention>, Diagnostic> {
    let full = root.join(path);
    if let Ok(target) = fs::read_link(&full) {
        return Ok(search.link(path, &target.to_string_lossy()).into_iter().collect());
    }
    // Only regular files are read: reading a pipe could wait for ever.
    if !fs::symlink_metadata(&full).is_ok_and(|found| found.is_file()) {
        return Ok(Vec::new());
    }
    let bytes =
        fs::read(&full).map_err(|error| Diagnostic::in_file(Path::new(path), files::reason(&error)))?;
    Ok(search.mentions(path, &bytes, globs.is_prose(path)))
}

/// What the scan finds, with the places at which a deleted file may be named.
fn scanned(target: &Target<'_>) -> Result<(Scanned, BTreeSet<(String, usize)>), Diagnostic> {
    let report = scan::scan(target.named, target.config, &[], target.today)
        .map_err(|error| Diagnostic::in_file(&error.path, error.reason))?;
    let is_named = |found: &&scan::Finding| found.form == RuleId::Dockerfile;
    let kept = report.findings.iter().filter(|found| found.waived.is_some()).filter(is_named);
    let kept = kept.map(|found| (found.file.clone(), found.line)).collect();
    let leftover = |found: &scan::Finding| Leftover {
        file: found.file.clone(),
        line: found.line,
        form: found.form,
        blocks: found.blocks(),
    };
    let standing = report.findings.iter().filter(|found| found.waived.is_none());
    let found = standing.map(leftover).collect();
    let skipped = report.skipped.into_iter().map(|skipped| (skipped.file, skipped.reason)).collect();
    Ok((Scanned { files: report.files, tests: report.tests, found, skipped }, kept))
}
