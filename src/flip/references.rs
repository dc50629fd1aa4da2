//! References to deleted files in compose files, CI, Makefiles, scripts and sources, by name or by a pattern.

use std::collections::BTreeSet;
use std::ffi::OsStr;
use std::path::{Component, Path, PathBuf};

use crate::compose::{self, Built};

/// Whether a reference breaks.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Weight {
    /// Breaks without the file.
    Breaks,
    /// Prose, a comment, a list of what to ignore, or a pattern that may mean the file.
    Told,
}

/// A line that names a deleted file.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Mention {
    /// File below the root.
    pub file: String,
    /// Line, from 1.
    pub line: usize,
    /// The deleted file.
    pub deleted: String,
    /// How much it weighs.
    pub weight: Weight,
}

/// Names of files that only say what to leave out, or whose it is.
const LISTS: &[&str] =
    &["CODEOWNERS", "dockerignore", "eslintignore", "gitattributes", "gitignore", "prettierignore"];

/// Names that an engine looks for by itself in the folder that it builds.
const IMPLIED: &[&str] = &["Dockerfile", "Containerfile"];

/// A search for deleted files in the texts of a target.
#[derive(Clone, Debug, Default)]
pub struct Search {
    deleted: Vec<String>,
    files: BTreeSet<String>,
}

impl Search {
    /// A search for `deleted` files among all `files` of the target, both below the root, without `.` and `..`.
    #[must_use]
    pub const fn new(deleted: Vec<String>, files: BTreeSet<String>) -> Self {
        Self { deleted, files }
    }

    /// Files of the target.
    pub fn files(&self) -> impl Iterator<Item = &str> {
        self.files.iter().map(String::as_str)
    }

    /// Mentions in a file; `prose`: whether it is a document.
    #[must_use]
    pub fn mentions(&self, file: &str, bytes: &[u8], prose: bool) -> Vec<Mention> {
        if self.deleted.is_empty() || bytes.iter().take(8192).any(|byte| *byte == 0) {
            return Vec::new();
        }
        let text = String::from_utf8_lossy(bytes);
        let list = file.rsplit(['/', '.']).next().is_some_and(|name| LISTS.contains(&name));
        let mut mentions = Vec::new();
        for deleted in &self.deleted {
            for (number, line) in text.lines().enumerate() {
                let Some((at, sure)) = self.names(file, line, deleted, &text) else { continue };
                let mentioned = prose || list || !sure || comment(line, at);
                mentions.push(Mention {
                    file: file.to_owned(),
                    line: number + 1,
                    deleted: deleted.clone(),
                    weight: if mentioned { Weight::Told } else { Weight::Breaks },
                });
            }
        }
        let extension = Path::new(file).extension().and_then(OsStr::to_str);
        if matches!(extension, Some("yaml" | "yml")) {
            for mention in self.built(file, &text) {
                let known = |one: &Mention| (one.line, &one.deleted) == (mention.line, &mention.deleted);
                if !mentions.iter().any(known) {
                    mentions.push(mention);
                }
            }
        }
        mentions
    }

    /// What the services of a compose file are built from, also where no line names it.
    fn built(&self, file: &str, text: &str) -> Vec<Mention> {
        let mention = |built: Built| {
            let deleted = resolve(file, &built.dockerfile).filter(|path| self.deleted.contains(path))?;
            Some(Mention { file: file.to_owned(), line: built.line, deleted, weight: Weight::Breaks })
        };
        compose::builds(text).into_iter().filter_map(mention).collect()
    }

    /// The mention that a link is; `target` is what it says.
    #[must_use]
    pub fn link(&self, file: &str, target: &str) -> Option<Mention> {
        let deleted = resolve(file, target).filter(|path| self.deleted.contains(path))?;
        Some(Mention { file: file.to_owned(), line: 1, deleted, weight: Weight::Breaks })
    }

    /// Where a line names the deleted file, and whether that is certain.
    fn names(&self, file: &str, line: &str, deleted: &str, text: &str) -> Option<(usize, bool)> {
        let (folder, name) = deleted.rsplit_once('/').unwrap_or(("", deleted));
        let escaped = name.replace(' ', "\\ ");
        let plain = whole(line, name).chain(whole(line, &escaped).filter(|_| escaped != *name));
        let mut found = plain.filter(|at| self.leads_to(file, &line[..*at], folder, name));
        if let Some(at) = found.next() {
            return Some((at, true));
        }
        if IMPLIED.contains(&name)
            && !folder.is_empty()
            && (line.contains("build") || line.contains("context"))
        {
            let built = whole(line, folder).find(|at| !line[at + folder.len()..].starts_with('/'));
            if let Some(at) = built {
                return Some((at, true));
            }
            let (_, last) = folder.rsplit_once('/').unwrap_or(("", folder));
            let near = whole(line, last).find(|at| {
                let prefix = path_before(&line[..*at]);
                resolve(file, &format!("{prefix}{last}")).is_some_and(|path| path == folder)
            });
            if let Some(at) = near {
                return Some((at, true));
            }
        }
        let (at, rest) = pattern(line, name)?;
        // A glob takes what is there.
        let glob = line[at..].starts_with(&format!("{}*", &name[..name.len() - rest.len()]));
        Some((at, !glob && whole(text, rest).next().is_some()))
    }

    /// Whether a name behind `before` is that of the deleted file, and not that of another one that stays.
    fn leads_to(&self, file: &str, before: &str, folder: &str, name: &str) -> bool {
        if before.ends_with('/') && !folder.is_empty() && before[..before.len() - 1].ends_with(folder) {
            return true;
        }
        let written = format!("{}{name}", path_before(before));
        let deleted = if folder.is_empty() { name.to_owned() } else { format!("{folder}/{name}") };
        let places: Vec<String> = resolve("", &written).into_iter().chain(resolve(file, &written)).collect();
        if places.contains(&deleted) {
            return true;
        }
        if places.iter().any(|place| self.files.contains(place)) {
            return false;
        }
        // A variable, a folder that is changed into: whoever has a name of his own is meant.
        let suffix = format!("/{name}");
        !IMPLIED.contains(&name)
            && !self
                .files
                .iter()
                .any(|other| *other != deleted && (other.ends_with(&suffix) || other == name))
    }
}

/// Places at which `name` occurs as a whole name.
fn whole<'a>(text: &'a str, name: &'a str) -> impl Iterator<Item = usize> + 'a {
    let part = |c: char| c.is_alphanumeric() || c == '_' || c == '-';
    text.match_indices(name).map(|(at, _)| at).filter(move |at| {
        let before = text[..*at].chars().next_back();
        let mut after = text[at + name.len()..].chars();
        let (next, second) = (after.next(), after.next());
        !before.is_some_and(|c| part(c) || c == '.' && !text[..*at].ends_with(".."))
            && !next.is_some_and(|c| part(c) || c == '.' && second.is_some_and(part))
    })
}

/// The path that a text ends with.
fn path_before(text: &str) -> &str {
    let inside = |c: char| c.is_alphanumeric() || "/._-".contains(c);
    &text[text
        .rfind(|c| !inside(c))
        .map_or(0, |at| at + text[at..].chars().next().map_or(0, char::len_utf8))..]
}

/// A path as it is written in `file`, below the root; `None` if it leaves it.
fn resolve(file: &str, written: &str) -> Option<String> {
    let mut path = Path::new(file).parent().map(Path::to_path_buf).unwrap_or_default();
    for part in Path::new(written).components() {
        match part {
            Component::Normal(name) => path.push(name),
            Component::CurDir => {}
            Component::ParentDir if path == PathBuf::new() => return None,
            Component::ParentDir => {
                path.pop();
            }
            _ => return None,
        }
    }
    path.to_str().map(str::to_owned)
}

/// A pattern that may mean the deleted file, `Dockerfile.$service`, and the part of the name that it leaves open.
fn pattern<'a>(line: &str, name: &'a str) -> Option<(usize, &'a str)> {
    let (stem, rest) = name.split_once('.')?;
    if stem.is_empty() || rest.is_empty() {
        return None;
    }
    let stem = format!("{stem}.");
    let open = |at: &usize| line[at + stem.len()..].starts_with(['$', '{', '%', '*', '"', '\'']);
    let at = line.match_indices(stem.as_str()).map(|(at, _)| at).find(open)?;
    Some((at, rest))
}

/// Whether `at` is in a comment of the line.
fn comment(line: &str, at: usize) -> bool {
    let start = line.trim_start();
    if ["#", "//", "/*", "* ", "<!--", "-- ", ";"].iter().any(|mark| start.starts_with(mark)) {
        return true;
    }
    line[..at].match_indices(" #").any(|(mark, _)| {
        let before = &line[..mark];
        ['"', '\''].iter().all(|quote| before.matches(*quote).count() % 2 == 0)
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Checks how a line in `file` counts for one deleted file.
    fn check(deleted: &str, file: &str, line: &str, expected: Option<Weight>) {
        let files = [deleted, "other/Dockerfile.egress", "other/Dockerfile", "Makefile"];
        let search =
            Search::new(vec![deleted.to_owned()], files.iter().map(|&file| file.to_owned()).collect());
        let found = search.mentions(file, line.as_bytes(), file == "README.md");
        assert_eq!(found.first().map(|mention| mention.weight), expected, "{line}");
    }

    #[test]
    fn a_name_counts_as_a_whole_and_where_it_leads_to_the_file() {
        const BREAKS: Option<Weight> = Some(Weight::Breaks);
        const TOLD: Option<Weight> = Some(Weight::Told);
        for (file, line, expected) in [
            ("compose.yaml", "      dockerfile: Dockerfile.egress", BREAKS),
            ("ci/x.yml", "run: docker build -f ../Dockerfile.egress ..", BREAKS),
            ("Makefile", "\tdocker build -f Dockerfile.egress .", BREAKS),
            ("a.py", "path = ROOT / \"Dockerfile.egress\"", BREAKS),
            ("a.sh", "docker build -f ./Dockerfile.egress # one", BREAKS),
            ("a.sh", "docker build . # not Dockerfile.egress", TOLD),
            ("a.sh", "# was: Dockerfile.egress", TOLD),
            ("README.md", "`Dockerfile.egress` goes", TOLD),
            (".dockerignore", "Dockerfile.egress", TOLD),
            ("a.sh", "cat Dockerfile.egress.bak MyDockerfile.egress Dockerfile.egress-old", None),
            ("a.sh", "cat other/Dockerfile.egress", None),
            ("other/a.sh", "cat Dockerfile.egress", BREAKS),
        ] {
            check("Dockerfile.egress", file, line, expected);
        }
    }

    #[test]
    fn a_pattern_counts_where_it_can_mean_the_file() {
        check(
            "Dockerfile.egress",
            "a.sh",
            "for s in egress; do build Dockerfile.$s; done",
            Some(Weight::Breaks),
        );
        check("Dockerfile.egress", "a.sh", "docker build -f Dockerfile.{egress,x} .", Some(Weight::Breaks));
        check("Dockerfile.egress", "a.sh", "docker build -f Dockerfile.$s .", Some(Weight::Told));
        check("Dockerfile.egress", "a.py", "ROOT.glob('Dockerfile.*')['egress']", Some(Weight::Told));
        check("Dockerfile.egress", "a.sh", "docker build -f Dockerfile.sidecars .", None);
    }

    #[test]
    fn a_folder_that_is_built_names_the_file_in_it() {
        for (file, line, expected) in [
            ("compose.yaml", "    build: ./docker/egress", true),
            ("docker/compose.yaml", "    build: egress", true),
            ("compose.yaml", "    build: docker/egress-new", false),
            ("compose.yaml", "    image: docker/egress", false),
            ("compose.yaml", "      dockerfile: other/Dockerfile", false),
            ("compose.yaml", "      dockerfile: docker/egress/Dockerfile", true),
            ("compose.yaml", "      dockerfile: Dockerfile", false),
        ] {
            check("docker/egress/Dockerfile", file, line, expected.then_some(Weight::Breaks));
        }
    }

    #[test]
    fn a_service_that_names_no_dockerfile_is_built_from_the_one_of_its_context() {
        let text = "services:\n  a:\n    build:\n      context: ..\n  b: {build: ../x}\n";
        for (deleted, line) in [("Dockerfile", Some(3)), ("x/Dockerfile", Some(5)), ("y/Dockerfile", None)] {
            let search = Search::new(vec![deleted.to_owned()], BTreeSet::new());
            let found = search.mentions("ci/compose.yaml", text.as_bytes(), false);
            assert_eq!(
                found.first().map(|mention| (mention.line, mention.weight)),
                line.map(|line| (line, Weight::Breaks))
            );
        }
    }

    #[test]
    fn names_may_have_spaces_and_any_letters() {
        check(
            "docker files/Dockerfile größe",
            "a.sh",
            "x 'docker files/Dockerfile größe'",
            Some(Weight::Breaks),
        );
        check(
            "docker files/Dockerfile größe",
            "a.sh",
            "x docker\\ files/Dockerfile\\ größe",
            Some(Weight::Breaks),
        );
    }
}
