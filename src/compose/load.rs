//! From files to one document: project, environment, overriding, extending, including.

use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path, PathBuf};
use std::rc::Rc;

use super::budget::Budget;
use super::dotenv::{Reading, Variables};
use super::interpolate::{self, Interpolation};
use super::paths::{self, Base};
use super::tree::{Failure, Mark, Node, Tree, Value};
use super::{
    Surroundings, Switches, Unmodelled, Unreadable, Unresolved, extends, grammar, include, merge, short,
    unicity, yaml,
};

/// What a file costs, in nodes, beside its content: so that there cannot be too many to number.
const FILE: usize = 10;

/// Documents of one file; each changes all that the ones before it made.
const DOCUMENTS: usize = 32;

/// Everything that one reading has at hand.
pub(super) struct Loader<'a> {
    outside: &'a Surroundings<'a>,
    switches: &'a Switches,
    pub(super) budget: Budget,
    /// Names of the files, by their number.
    pub(super) files: Vec<String>,
    pub(super) unresolved: Vec<Unresolved>,
    /// Attributes that the grammar does not know, each place once.
    pub(super) unmodelled: BTreeSet<Unmodelled>,
    /// Name of the project, once it is known.
    pub(super) project: Option<String>,
    home: Option<String>,
}

/// Variables of `.env` files, the more important first; those of the process come before them.
#[derive(Clone, Default)]
pub(super) struct Env(Vec<Rc<BTreeMap<String, String>>>);

/// A project, or an included one: files with one folder and one environment.
pub(super) struct Unit {
    /// Where its relative paths begin; empty: a text without a file.
    pub(super) folder: String,
    pub(super) env: Env,
    /// Files that led here, for cycles.
    pub(super) trail: Vec<PathBuf>,
}

/// A file's documents, as they were written.
pub(super) struct Parsed {
    pub(super) path: PathBuf,
    pub(super) documents: Vec<Tree>,
}

impl<'a> Loader<'a> {
    pub(super) fn new(outside: &'a Surroundings<'a>, switches: &'a Switches) -> Self {
        Self {
            outside,
            switches,
            budget: Budget::default(),
            files: Vec::new(),
            unresolved: Vec::new(),
            unmodelled: BTreeSet::new(),
            project: None,
            home: (outside.variable)("HOME").filter(|home| !home.is_empty()),
        }
    }

    /// Merges the files of a project.
    pub(super) fn project(&mut self, files: &[PathBuf]) -> Result<(Tree, Unit), Failure> {
        let mut parsed = Vec::with_capacity(files.len());
        for file in files {
            parsed.push(self.parse(file)?);
        }
        let given = self.switches.project_directory.as_ref();
        let folder = match given.filter(|folder| !folder.as_os_str().is_empty()) {
            Some(folder) => clean(&(self.outside.absolute)(folder)),
            None => parsed.first().map(|first| folder_of(&first.path)).unwrap_or_default(),
        };
        let env = self.env(&folder)?;
        self.project = Some(self.name(&parsed, &folder, &env)?);
        let unit = Unit { folder, env, trail: Vec::new() };
        let document = self.merged(parsed, &unit)?;
        Ok((document, unit))
    }

    /// Merges documents that have no file.
    pub(super) fn documents(&mut self, documents: Vec<Tree>) -> Result<(Tree, Unit), Failure> {
        let parsed = Parsed { path: PathBuf::new(), documents };
        let unit = Unit { folder: String::new(), env: Env::default(), trail: Vec::new() };
        let parsed = vec![parsed];
        self.project = self.written_name(&parsed, &unit.env)?;
        let document = self.merged(parsed, &unit)?;
        Ok((document, unit))
    }

    /// Merges the files of a unit, each over those before it, and makes their paths absolute.
    pub(super) fn merged(&mut self, files: Vec<Parsed>, unit: &Unit) -> Result<Tree, Failure> {
        let mut whole = Tree::map([], Mark::default());
        for Parsed { path, documents } in files {
            for mut document in documents {
                self.unfold(&mut document, &unit.env)?;
                extends::apply(self, &mut document, &path, unit)?;
                include::apply(self, &mut document, &path, unit)?;
                merge::merge(&mut whole, document, &[])?;
                merge::settle(&mut whole);
                unicity::enforce(&mut whole);
                // Compose checks what it has after each file, whatever a later one makes of it.
                let mut unmodelled = Vec::new();
                grammar::document(&Node::root(&whole), &mut unmodelled)?;
                self.unmodelled.extend(unmodelled);
            }
        }
        short::complete(&mut whole);
        self.settle_names(&mut whole, unit);
        self.base(&unit.folder).resolve(&mut whole);
        Ok(whole)
    }

    /// Gives bare names of `environment` the values that the files of the unit have for them. The environment of the
    /// process comes first, and stays a matter of whoever starts the containers.
    fn settle_names(&self, whole: &mut Tree, unit: &Unit) {
        let Some(services) = whole.get_mut("services").and_then(Tree::as_map_mut) else { return };
        let environments =
            services.values_mut().filter_map(|service| service.get_mut("environment")?.as_map_mut());
        for (name, node) in environments.flat_map(|environment| environment.iter_mut()) {
            let value =
                (node.value == Value::Bare && !self.inherited(name)).then(|| unit.env.get(name)).flatten();
            if let Some(value) = value {
                node.value = Value::Text(value);
            }
        }
    }

    /// Interpolates a document and brings it into the long syntax.
    pub(super) fn unfold(&mut self, document: &mut Tree, env: &Env) -> Result<(), Failure> {
        let Value::Map(sections) = &mut document.value else {
            return Err(Failure::at(document.mark, "is no compose file: it is not a map"));
        };
        for (section, node) in sections.iter_mut() {
            match node.as_map_mut().filter(|_| section == "services") {
                Some(services) => {
                    for (name, service) in services.iter_mut() {
                        self.interpolate(service, format!("services.{name}"), name, env)?;
                    }
                }
                None => self.interpolate(node, section.clone(), "", env)?,
            }
        }
        short::unfold(document);
        Ok(())
    }

    pub(super) fn base<'s>(&'s self, folder: &'s str) -> Base<'s> {
        Base { folder, home: self.home.as_deref() }
    }

    /// Reads and parses a file.
    pub(super) fn parse(&mut self, path: &Path) -> Result<Parsed, Failure> {
        let mark = self.register(path);
        let Some(text) = self.open(path, mark)? else { return Err(Failure::at(mark, "no such file")) };
        let documents = yaml::documents(&text, mark.file, &mut self.budget)?;
        if let Some(beyond) = documents.get(DOCUMENTS) {
            return Err(Failure::at(
                beyond.mark,
                format!("is one of more than {DOCUMENTS} documents of one file"),
            ));
        }
        Ok(Parsed { path: PathBuf::from(clean(&(self.outside.absolute)(path))), documents })
    }

    /// Reads a file that may be missing.
    pub(super) fn optional(&mut self, path: &Path) -> Result<Option<(String, Mark)>, Failure> {
        let mark = self.register(path);
        Ok(self.open(path, mark)?.map(|text| (text, mark)))
    }

    /// Gives a file its number; it is called by its way from the working directory.
    pub(super) fn register(&mut self, path: &Path) -> Mark {
        let file = u16::try_from(self.files.len()).unwrap_or(u16::MAX);
        let here = (self.outside.absolute)(Path::new(""));
        let name = path.strip_prefix(here).unwrap_or(path);
        self.files.push(name.to_string_lossy().into_owned());
        Mark { file, ..Mark::default() }
    }

    fn open(&mut self, path: &Path, mark: Mark) -> Result<Option<String>, Failure> {
        match (self.outside.file)(path) {
            Ok(text) => {
                self.budget.spend(FILE, text.len(), mark)?;
                Ok(Some(text))
            }
            Err(Unreadable::Absent) => Ok(None),
            Err(Unreadable::Broken { at, message }) => {
                let mark = at.map_or(mark, |(line, column)| Mark::new(mark.file, line, column));
                Err(Failure::at(mark, message))
            }
        }
    }

    /// Value of a variable that a document refers to.
    pub(super) fn variable(&self, env: &Env, name: &str) -> Option<String> {
        self.environment(env)(name)
    }

    /// Variables that a document may refer to.
    pub(super) fn environment<'e>(&self, env: &'e Env) -> impl Fn(&str) -> Option<String> + use<'a, 'e> {
        let (outside, project) = (self.outside, self.project.clone());
        move |name| match &project {
            Some(project) if name == "COMPOSE_PROJECT_NAME" => Some(project.clone()),
            _ => (outside.variable)(name).or_else(|| env.get(name)),
        }
    }

    /// Profiles that are on.
    pub(super) fn profiles(&self, env: &Env) -> BTreeSet<String> {
        if self.switches.profiles.is_empty() {
            let named = self.variable(env, "COMPOSE_PROFILES").unwrap_or_default();
            return named.split(',').map(|name| name.trim().to_owned()).collect();
        }
        self.switches.profiles.iter().cloned().collect()
    }

    /// Whether a variable's value comes from the environment of the process.
    pub(super) fn inherited(&self, name: &str) -> bool {
        (self.outside.variable)(name).is_some()
    }

    /// The environment that the given files make, or a folder's `.env`, if it has one.
    fn env(&mut self, folder: &str) -> Result<Env, Failure> {
        const DISABLE: &str = "COMPOSE_DISABLE_ENV_FILE";
        let mut files = self.switches.env_files.clone();
        if files.is_empty() {
            let named = (self.outside.variable)("COMPOSE_ENV_FILES").unwrap_or_default();
            files.extend(named.split(',').filter(|name| !name.is_empty()).map(PathBuf::from));
        }
        if !files.is_empty() {
            let files: Vec<String> = files.iter().map(|file| clean(&(self.outside.absolute)(file))).collect();
            return self.more_env(&Env::default(), &files, true);
        }
        let disabled = |word: Option<String>| match word.as_deref() {
            None | Some("0" | "f" | "F" | "false" | "FALSE" | "False") => Ok(false),
            Some("1" | "t" | "T" | "true" | "TRUE" | "True") => Ok(true),
            Some(word) => {
                let message = format!("{DISABLE} is {word:?}: Compose takes only true and false, 1 and 0");
                Err(Failure::at(Mark::default(), message))
            }
        };
        let outside = (self.outside.variable)(DISABLE);
        if disabled(outside.clone())? {
            return Ok(Env::default());
        }
        let env = self.more_env(&Env::default(), &[format!("{folder}/.env")], false)?;
        // Compose sets its own variables of the file before it asks for this one.
        if outside.is_none() && disabled(env.get(DISABLE))? {
            return Ok(env.only(|name| name.starts_with("COMPOSE_")));
        }
        Ok(env)
    }

    /// An environment with further files behind it.
    pub(super) fn more_env(&mut self, env: &Env, files: &[String], needed: bool) -> Result<Env, Failure> {
        let mut variables = Variables::new();
        for file in files {
            let path = Path::new(file);
            let Some((text, mark)) = self.optional(path)? else {
                if needed {
                    return Err(Failure::at(self.register(path), "no such file"));
                }
                continue;
            };
            let mut unset = Vec::new();
            let lookup = self.environment(env);
            let mut reading =
                Reading { file: mark.file, lookup: &lookup, budget: &mut self.budget, unset: &mut unset };
            reading.parse(&text, &mut variables)?;
            self.unresolved.extend(unset.into_iter().map(|variable| Unresolved {
                service: String::new(),
                variable,
                place: String::new(),
            }));
        }
        let layer = variables.into_iter().filter_map(|(name, value)| Some((name, value?))).collect();
        let mut env = env.clone();
        env.0.push(Rc::new(layer));
        Ok(env)
    }

    fn interpolate(
        &mut self,
        tree: &mut Tree,
        place: String,
        service: &str,
        env: &Env,
    ) -> Result<(), Failure> {
        let lookup = self.environment(env);
        let mut work = Interpolation { lookup: &lookup, budget: &mut self.budget, unresolved: Vec::new() };
        let mut place = place;
        interpolate::interpolate(tree, &mut place, &mut work)?;
        let found = work.unresolved.into_iter();
        self.unresolved.extend(found.map(|(place, variable)| Unresolved {
            service: service.to_owned(),
            variable,
            place,
        }));
        Ok(())
    }

    /// Name of the project: the environment's, the files' last, or the folder's.
    fn name(&self, files: &[Parsed], folder: &str, env: &Env) -> Result<String, Failure> {
        const VARIABLE: &str = "COMPOSE_PROJECT_NAME";
        let switch = self.switches.project_name.clone().map(|name| ("--project-name", name));
        let given = switch.filter(|(_, name)| !name.is_empty());
        let given = given.or_else(|| Some((VARIABLE, self.variable(env, VARIABLE)?)));
        if let Some((origin, given)) = given.filter(|(_, name)| !name.is_empty()) {
            return if normal_name(&given) == given {
                Ok(given)
            } else {
                let rule = "a project name has lowercase letters, digits, - and _, and begins with a letter or digit";
                Err(Failure::at(Mark::default(), format!("{origin} is {given:?}: {rule}")))
            };
        }
        if let Some(name) = self.written_name(files, env)? {
            return Ok(name);
        }
        let name = Path::new(folder).file_name().map(|name| normal_name(&name.to_string_lossy()));
        name.filter(|name| !name.is_empty()).ok_or_else(|| {
            Failure::at(Mark::default(), "the project has no name, and the folder's makes none")
        })
    }

    /// `name:` of the last document that has one.
    fn written_name(&self, files: &[Parsed], env: &Env) -> Result<Option<String>, Failure> {
        let mut names =
            files.iter().flat_map(|file| &file.documents).filter_map(|document| document.get("name"));
        let Some(written) = names.rfind(|name| name.as_text() != Some("")) else { return Ok(None) };
        let Some(text) = written.as_text() else {
            return Err(Failure {
                place: "name".to_owned(),
                ..Failure::at(written.mark, "has to be a string")
            });
        };
        let lookup = self.environment(env);
        // What is not set is told where the document is interpolated.
        let expanded = interpolate::expand(text, &lookup, &mut Vec::new());
        let name = expanded
            .map_err(|message| Failure { place: "name".to_owned(), ..Failure::at(written.mark, message) })?;
        match normal_name(&name) {
            name if name.is_empty() => {
                let message = format!("{text:?} makes no name of a project");
                Err(Failure { place: "name".to_owned(), ..Failure::at(written.mark, message) })
            }
            name => Ok(Some(name)),
        }
    }
}

impl Env {
    /// The variables whose names fit.
    fn only(&self, fits: impl Fn(&str) -> bool) -> Self {
        let kept = |layer: &Rc<BTreeMap<String, String>>| {
            let entries = layer.iter().filter(|(name, _)| fits(name));
            Rc::new(entries.map(|(name, value)| (name.clone(), value.clone())).collect())
        };
        Self(self.0.iter().map(kept).collect())
    }

    pub(super) fn get(&self, name: &str) -> Option<String> {
        self.0.iter().find_map(|layer| layer.get(name).cloned())
    }
}

/// What Compose makes of a project's name.
fn normal_name(name: &str) -> String {
    let kept = name.to_lowercase();
    let kept =
        kept.chars().filter(|c| c.is_ascii_lowercase() || c.is_ascii_digit() || matches!(c, '-' | '_'));
    kept.collect::<String>().trim_start_matches(['-', '_']).to_owned()
}

/// Folder of a file, as text.
pub(super) fn folder_of(path: &Path) -> String {
    path.parent().map(|folder| folder.to_string_lossy().into_owned()).unwrap_or_default()
}

/// An absolute path without `.` and `..`.
fn clean(path: &Path) -> String {
    let text = path.to_string_lossy();
    if text.is_empty() { String::new() } else { paths::clean(&text) }
}
