//! Where the tree defines the helper that names the bundle, and how a module can import it.

use std::collections::{BTreeMap, BTreeSet};

use super::BUNDLE;
use super::python::Import;
use crate::scan::finding::Edit;

/// The Python modules of a tree.
#[derive(Debug, Default)]
pub(in crate::scan) struct Modules<'a> {
    /// Every Python file, by its path below the root.
    files: BTreeSet<&'a str>,
    /// Files that define the bundle's helper, and whether they import nothing of the tree.
    define: BTreeMap<&'a str, bool>,
    /// Names that an import of the tree may begin with.
    roots: BTreeSet<&'a str>,
}

impl<'a> Modules<'a> {
    /// The modules among `files`; `sources` are those that may define the helper.
    pub(in crate::scan) fn new(
        files: impl Iterator<Item = &'a str>,
        sources: impl Iterator<Item = (&'a str, &'a str)>,
    ) -> Self {
        let files: BTreeSet<&str> = files.collect();
        let parts = files.iter().flat_map(|file| file.trim_end_matches(".py").split('/'));
        let mut modules = Self { roots: parts.collect(), files, define: BTreeMap::new() };
        for (file, source) in sources {
            if defines(source) && modules.files.contains(file) {
                let independent = modules.is_independent(source);
                modules.define.insert(file, independent);
            }
        }
        modules
    }

    /// Whether a module imports nothing of the tree, so that importing it cannot come round to the importer.
    fn is_independent(&self, source: &str) -> bool {
        source.lines().map(str::trim_start).all(|line| {
            let module = line.strip_prefix("from ").or_else(|| line.strip_prefix("import "));
            module.is_none_or(|rest| {
                rest.split(',').all(|module| {
                    let root = module.trim().split(['.', ' ']).next().unwrap_or_default();
                    !root.is_empty() && !self.roots.contains(root)
                })
            })
        })
    }

    /// The file of `module` as the file `importer` names it, if there is exactly one.
    fn resolve(&self, importer: &str, module: &str) -> Option<&'a str> {
        let inner = module.trim_start_matches('.');
        let path = inner.replace('.', "/");
        let dots = module.len() - inner.len();
        if dots > 0 {
            let folder = importer.rsplit('/').skip(dots).collect::<Vec<_>>();
            if importer.matches('/').count() + 1 < dots {
                return None;
            }
            let folder = folder.into_iter().rev().collect::<Vec<_>>().join("/");
            let base = [folder.as_str(), path.as_str()].into_iter().filter(|part| !part.is_empty());
            let base = base.collect::<Vec<_>>().join("/");
            let names = [format!("{base}.py"), format!("{base}/__init__.py")];
            return names.iter().find_map(|name| self.files.get(name.as_str()).copied());
        }
        let names = [format!("{path}.py"), format!("{path}/__init__.py")];
        let ends = |file: &&&str| {
            names.iter().any(|name| {
                file.strip_suffix(name.as_str()).is_some_and(|rest| rest.is_empty() || rest.ends_with('/'))
            })
        };
        let mut found = self.files.iter().filter(ends);
        let first = found.next()?;
        found.next().is_none().then_some(*first)
    }

    /// The edit that imports the bundle's helper into the file `importer`, which imports a helper by `import`.
    ///
    /// # Errors
    ///
    /// What is missing, for people.
    pub(super) fn import(&self, importer: &str, import: &Import) -> Result<Edit, String> {
        let Import { module, name_end, statement } = import;
        let from = self.resolve(importer, module);
        if from.is_some_and(|file| self.define.contains_key(file)) {
            return Ok(Edit { start: *name_end, end: *name_end, text: format!(", {BUNDLE}") });
        }
        let Some(first) = self.define.keys().next() else {
            return Err(format!("no module of the tree defines `{BUNDLE}(slug)`; add it first"));
        };
        let add = format!("add an import of `{BUNDLE}` from {first}");
        let Some(from) = from else { return Err(add) };
        let folder =
            |file: &str| file.rsplit_once('/').map_or(String::new(), |(folder, _)| folder.to_owned());
        let beside: Vec<_> = self.define.iter().filter(|(file, _)| folder(file) == folder(from)).collect();
        let [(file, true)] = beside.as_slice() else { return Err(add) };
        let stem = file.rsplit('/').next().unwrap_or(file).trim_end_matches(".py");
        // The package itself, or the module beside the one that is imported.
        let package = if from.ends_with("__init__.py") {
            module.as_str()
        } else {
            module.rfind('.').map_or("", |dot| &module[..=dot])
        };
        let joined = match (stem, package) {
            ("__init__", _) => return Err(add),
            (stem, package) if package.is_empty() || package.ends_with('.') => format!("{package}{stem}"),
            (stem, package) => format!("{package}.{stem}"),
        };
        if self.resolve(importer, &joined) != Some(*file) {
            return Err(add);
        }
        let text = format!("\nfrom {joined} import {BUNDLE}");
        Ok(Edit { start: statement.end, end: statement.end, text })
    }
}

/// Whether a source defines the bundle's helper at its top level, as a function of one argument.
fn defines(source: &str) -> bool {
    let Some(at) = source.lines().position(|line| line.starts_with(&format!("def {BUNDLE}("))) else {
        return false;
    };
    let line = source.lines().nth(at).unwrap_or_default();
    let Some((parameters, _)) = line.split_once('(').and_then(|(_, rest)| rest.split_once(')')) else {
        return false;
    };
    let parameters: Vec<_> = parameters.split(',').map(str::trim).filter(|name| !name.is_empty()).collect();
    let required = parameters.iter().filter(|name| !name.contains('=')).count();
    !parameters.is_empty() && required <= 1 && !parameters.iter().any(|name| name.starts_with(['*', '/']))
}
