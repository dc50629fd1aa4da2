//! From arguments to the list of plans: files, folders, globs and stdin, each plan once.

use std::collections::BTreeSet;
use std::fs;
use std::path::{Component, Path, PathBuf};

use walkdir::WalkDir;

use crate::diagnostic::Diagnostic;
use crate::files;
use crate::globs;

/// Finds every plan that the arguments name, in their order.
pub(crate) fn expand(arguments: &[PathBuf]) -> Result<Vec<PathBuf>, Diagnostic> {
    let mut found = Vec::new();
    // One folder without links cannot name a plan twice, and asking the system for each would take its time.
    let mut linked = false;
    for argument in arguments {
        if argument.as_os_str() == files::STANDARD {
            found.push(argument.clone());
        } else if argument.is_dir() {
            let before = found.len();
            linked |= walk(argument, &mut |path| {
                if is_source(path) {
                    found.push(path.to_owned());
                }
            })?;
            if found.len() == before {
                return Err(Diagnostic::in_file(argument, "no *.json and no compose file below this folder"));
            }
        } else if let Some((base, pattern)) = glob(argument).filter(|_| argument.symlink_metadata().is_err())
        {
            let before = found.len();
            let set = globs::set([pattern.as_str()])
                .map_err(|message| Diagnostic::in_file(argument, format!("not a glob: {message}")))?;
            if base.is_dir() {
                linked |= walk(&base, &mut |path| {
                    if set.is_match(path.strip_prefix(&base).unwrap_or(path)) {
                        found.push(path.to_owned());
                    }
                })?;
            }
            if found.len() == before {
                return Err(Diagnostic::in_file(argument, "no file matches"));
            }
        } else {
            found.push(argument.clone());
        }
    }
    let mut found: Vec<PathBuf> = found.into_iter().map(|path| files::tidy(&path)).collect();
    if arguments.len() > 1 || linked {
        unique(&mut found);
    }
    Ok(found)
}

/// Plans below `root` that match any of the globs, sorted.
pub(crate) fn included(root: &Path, globs: &[&str]) -> Result<Vec<PathBuf>, Diagnostic> {
    let set = globs::set(globs.iter().map(|glob| glob.strip_prefix("./").unwrap_or(glob)))
        .map_err(Diagnostic::new)?;
    let mut found = Vec::new();
    // Only what the globs can reach is walked, not the whole target.
    let bases: BTreeSet<PathBuf> = globs
        .iter()
        .map(|pattern| glob(Path::new(pattern)).map_or_else(|| PathBuf::from(pattern), |(base, _)| base))
        .map(|base| files::tidy(&base))
        .collect();
    let mut linked = bases.len() > 1;
    for base in bases {
        let start = root.join(&base);
        if start.symlink_metadata().is_ok() {
            linked |= walk(&start, &mut |path| {
                let path = files::tidy(path);
                if set.is_match(path.strip_prefix(files::tidy(root)).unwrap_or(&path)) {
                    found.push(path);
                }
            })?;
        }
    }
    found.sort();
    if linked {
        unique(&mut found);
    }
    Ok(found)
}

/// Names that Compose looks for by itself.
const COMPOSE_FILES: [&str; 4] = ["compose.yaml", "compose.yml", "docker-compose.yaml", "docker-compose.yml"];

/// Whether a file of a folder is taken for a source: a plan by its extension, a compose file by its name.
fn is_source(path: &Path) -> bool {
    path.extension().is_some_and(|extension| extension == "json")
        || path.file_name().is_some_and(|name| COMPOSE_FILES.iter().any(|known| name == *known))
}

/// Identity of a plan, whatever name it goes by.
pub(crate) fn identity(path: &Path) -> PathBuf {
    fs::canonicalize(path).unwrap_or_else(|_| path.to_owned())
}

fn unique(found: &mut Vec<PathBuf>) {
    let mut seen = BTreeSet::new();
    found.retain(|path| seen.insert(identity(path)));
}

/// Visits every file below a folder in order of names; says whether there were links.
fn walk(folder: &Path, each: &mut dyn FnMut(&Path)) -> Result<bool, Diagnostic> {
    let mut linked = false;
    for entry in WalkDir::new(folder).sort_by_file_name() {
        let entry = entry.map_err(|error| {
            let path = error.path().unwrap_or(folder);
            let message = error.io_error().map_or_else(|| error.to_string(), files::reason);
            Diagnostic::in_file(path, message)
        })?;
        let kind = entry.file_type();
        linked |= kind.is_symlink();
        // What is no file, a pipe or a link to nothing, is left to its reader to refuse.
        let folder = kind.is_dir() || (kind.is_symlink() && entry.path().is_dir());
        if !folder {
            each(entry.path());
        }
    }
    Ok(linked)
}

/// Splits a glob into the folder before its first wildcard and the rest; `None` without one.
fn glob(argument: &Path) -> Option<(PathBuf, String)> {
    let wild = |part: &Component<'_>| part.as_os_str().to_string_lossy().contains(['*', '?', '[', '{']);
    let parts: Vec<Component<'_>> = argument.components().collect();
    let first = parts.iter().position(wild)?;
    let base: PathBuf = parts[..first].iter().collect();
    let pattern: PathBuf = parts[first..].iter().collect();
    let base = if base.as_os_str().is_empty() { PathBuf::from(".") } else { base };
    Some((base, pattern.to_str()?.to_owned()))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn tree() -> tempfile::TempDir {
        let folder = tempfile::tempdir().unwrap();
        for path in ["a/1.json", "a/b/2.json", "a/b/x.txt", "c/3.json"] {
            let path = folder.path().join(path);
            fs::create_dir_all(path.parent().unwrap()).unwrap();
            fs::write(path, "{}").unwrap();
        }
        folder
    }

    fn names(root: &Path, found: &[PathBuf]) -> Vec<String> {
        found.iter().map(|path| path.strip_prefix(root).unwrap_or(path).display().to_string()).collect()
    }

    /// Checks what arguments below the tree's root give.
    fn check(arguments: &[&str], expected: &[&str]) {
        let folder = tree();
        let arguments: Vec<PathBuf> = arguments.iter().map(|path| folder.path().join(path)).collect();
        assert_eq!(names(folder.path(), &expand(&arguments).unwrap()), expected);
    }

    #[test]
    fn files_folders_and_globs_keep_their_order() {
        check(&["c", "a/1.json"], &["c/3.json", "a/1.json"]);
        check(&["a"], &["a/1.json", "a/b/2.json"]);
        check(&["*/*.json"], &["a/1.json", "c/3.json"]);
        check(&["a/**/*.json"], &["a/1.json", "a/b/2.json"]);
        check(&["{c,a}/?.json"], &["a/1.json", "c/3.json"]);
    }

    #[test]
    fn nothing_comes_twice() {
        check(&["a", "a/1.json", "a/../a/b", "**/*.json"], &["a/1.json", "a/b/2.json", "c/3.json"]);
    }

    #[test]
    fn a_link_is_the_plan_that_it_points_to() {
        let folder = tree();
        std::os::unix::fs::symlink("1.json", folder.path().join("a/0.json")).unwrap();
        let found = expand(&[folder.path().join("a")]).unwrap();
        assert_eq!(names(folder.path(), &found), ["a/0.json", "a/b/2.json"]);
    }

    #[test]
    fn what_names_nothing_is_an_error_and_an_absent_file_is_left_to_its_reader() {
        let folder = tree();
        fs::create_dir(folder.path().join("empty")).unwrap();
        assert!(expand(&[folder.path().join("empty")]).is_err());
        assert!(expand(&[folder.path().join("*.yaml")]).is_err());
        assert_eq!(expand(&[folder.path().join("absent.json")]).unwrap().len(), 1);
        assert_eq!(expand(&[PathBuf::from("-"), PathBuf::from("-")]).unwrap(), [PathBuf::from("-")]);
    }

    #[test]
    fn included_plans_are_relative_to_the_root() {
        let folder = tree();
        let found = included(folder.path(), &["a/**/*.json", "./c/3.json"]).unwrap();
        assert_eq!(names(folder.path(), &found), ["a/1.json", "a/b/2.json", "c/3.json"]);
        assert!(included(folder.path(), &["absent/*.json"]).unwrap().is_empty());
    }
}
