//! `extends`: a service that takes over what another one has (compose-spec, "extends").

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use super::Unresolved;
use super::load::{Loader, Parsed, Unit, folder_of};
use super::merge;
use super::tree::{Failure, Map, Mark, Tag, Tree, Value};

/// Chains longer than this are refused.
const DEPTH: usize = 32;

/// Services of one file, resolved as they are asked for.
struct Scope {
    path: PathBuf,
    /// Where `file:` begins.
    folder: String,
    services: Map,
    /// What the file refers to and nobody sets, until a service that is extended makes it count.
    unset: Vec<Unresolved>,
}

struct Work<'l, 'a> {
    loader: &'l mut Loader<'a>,
    unit: &'l Unit,
    /// Further files, by path.
    others: BTreeMap<PathBuf, Scope>,
    /// Services that are being resolved, for cycles.
    trail: Vec<(PathBuf, String)>,
}

/// Resolves every `extends` of a document.
pub(super) fn apply(
    loader: &mut Loader<'_>,
    document: &mut Tree,
    path: &Path,
    unit: &Unit,
) -> Result<(), Failure> {
    let Some(services) = document.get_mut("services").and_then(Tree::as_map_mut) else { return Ok(()) };
    if services.values().all(|service| service.get("extends").is_none()) {
        return Ok(());
    }
    let mut scope = Scope {
        path: path.to_owned(),
        folder: unit.folder.clone(),
        services: std::mem::take(services),
        unset: Vec::new(),
    };
    let mut work = Work { loader, unit, others: BTreeMap::new(), trail: Vec::new() };
    let names: Vec<String> = scope.services.keys().cloned().collect();
    for name in &names {
        work.resolve(&mut scope, name)?;
    }
    *services = scope.services;
    Ok(())
}

/// `extends` of a service.
struct Extends {
    service: String,
    file: Option<String>,
    mark: Mark,
}

impl Extends {
    fn of(tree: &Tree) -> Option<Self> {
        let file = tree.get("file").map(Tree::as_text);
        Some(Self {
            service: tree.get("service")?.as_text()?.to_owned(),
            file: file.map_or(Some(None), |file| file.map(|file| Some(file.to_owned())))?,
            mark: tree.mark,
        })
    }
}

impl Work<'_, '_> {
    /// Resolves a service in its scope.
    fn resolve(&mut self, scope: &mut Scope, name: &str) -> Result<(), Failure> {
        let Some(written) = scope.services.get(name).and_then(|service| service.get("extends")) else {
            return Ok(());
        };
        let place = || format!("services.{name}.extends");
        let mark = written.mark;
        let fail = |message: String| Failure { mark, place: place(), message };
        let Some(extends) = Extends::of(written) else {
            return Err(fail("has to be a string, or a map with service and perhaps file".to_owned()));
        };
        let step = (scope.path.clone(), name.to_owned());
        if self.trail.contains(&step) {
            let way: Vec<&str> = self.trail.iter().map(|(_, name)| name.as_str()).chain([name]).collect();
            return Err(fail(format!("leads round in a circle: {}", way.join(" → "))));
        }
        if self.trail.len() >= DEPTH {
            return Err(fail(format!("is one of a chain of more than {DEPTH}")));
        }
        self.trail.push(step);
        let base = match &extends.file {
            None => {
                self.resolve(scope, &extends.service)?;
                self.copy(scope, &extends, name)?
            }
            Some(file) => self.foreign(file, scope, &extends, name)?,
        };
        self.trail.pop();
        let Some(mut base) = base else {
            let file = extends.file.as_deref().unwrap_or("this file");
            return Err(fail(format!("there is no service {} in {file}", extends.service)));
        };
        merge::settle(&mut base);
        let Some(own) = scope.services.get_mut(name) else { return Ok(()) };
        if let Some(map) = own.as_map_mut() {
            map.shift_remove("extends");
        }
        if matches!(base.value, Value::Map(_)) {
            let (tag, mark) = (std::mem::replace(&mut own.tag, Tag::None), own.mark);
            let later = std::mem::replace(own, base);
            merge::merge(own, later, &["services", name])?;
            (own.tag, own.mark) = (tag, mark);
        }
        Ok(())
    }

    /// A resolved service of another file, its paths made absolute.
    fn foreign(
        &mut self,
        file: &str,
        scope: &Scope,
        extends: &Extends,
        name: &str,
    ) -> Result<Option<Tree>, Failure> {
        let path = PathBuf::from(self.loader.base(&scope.folder).path(file));
        let mut other = match self.others.remove(&path) {
            Some(other) => other,
            None => self.open(&path)?,
        };
        self.resolve(&mut other, &extends.service)?;
        let base = self.copy(&mut other, extends, name);
        self.others.insert(path, other);
        base
    }

    fn open(&mut self, path: &Path) -> Result<Scope, Failure> {
        let before = self.loader.unresolved.len();
        let Parsed { path, documents } = self.loader.parse(path)?;
        let folder = folder_of(&path);
        let mut whole = Tree::map([], Mark::default());
        for mut document in documents {
            self.loader.unfold(&mut document, &self.unit.env)?;
            merge::merge(&mut whole, document, &[])?;
        }
        self.loader.base(&folder).resolve(&mut whole);
        let services = whole.get_mut("services").and_then(Tree::as_map_mut).map(std::mem::take);
        let unset = self.loader.unresolved.split_off(before);
        Ok(Scope { path, folder, services: services.unwrap_or_default(), unset })
    }

    /// A copy of the service that is extended, paid for.
    fn copy(&mut self, scope: &mut Scope, extends: &Extends, name: &str) -> Result<Option<Tree>, Failure> {
        let Some(service) = scope.services.get(&extends.service) else { return Ok(None) };
        let (nodes, bytes) = service.weight();
        self.loader.budget.spend(nodes, bytes, extends.mark)?;
        let counts = scope.unset.iter().filter(|unset| unset.service == extends.service);
        self.loader.unresolved.extend(counts.map(|unset| Unresolved {
            service: name.to_owned(),
            place: format!("services.{name}.extends"),
            ..unset.clone()
        }));
        Ok(Some(service.clone()))
    }
}
