//! References in Python, told apart by the grammar: strings and docstrings, calls, imports, subscripts, comparisons.

mod argv;
mod commands;
mod cut;
mod imports;
mod learn;
mod lines;
mod loops;
mod shapes;
mod template;
mod usage;

use std::collections::{BTreeMap, BTreeSet};

use bottle_model::daemon::Daemon;
use tree_sitter::{Node, Parser, Tree};

use super::command::Command;
use super::finding::Hit;
use super::names::Names;
use super::plain::{self, Comments};
use super::text::{self, Context};
use super::{docker, forms, prose, shell, yaml};
use crate::rule::{RuleId, ScanRule};
use loops::Loop;

/// Longest constant that is followed, in bytes.
const LONGEST: usize = 80;

/// A name under which another module passes on something that goes.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct Alias {
    /// Last part of the module's name.
    pub(super) module: String,
    /// The name.
    pub(super) name: String,
    /// What it is another name of.
    pub(super) form: Form,
    /// The daemon.
    pub(super) service: Daemon,
}

/// Another name that a file has for what goes.
#[derive(Debug)]
pub(super) struct Other {
    name: String,
    form: Form,
    service: Daemon,
}

impl Alias {
    /// The name that `module` passes on.
    pub(super) fn new(module: &str, Other { name, form, service }: Other) -> Self {
        Self { module: module.to_owned(), name, form, service }
    }
}

/// A form that an identifier has; orders by id.
#[derive(Clone, Copy, Debug)]
pub(super) struct Form(pub(super) &'static ScanRule);

impl PartialEq for Form {
    fn eq(&self, other: &Self) -> bool {
        self.0.id == other.0.id
    }
}

impl Eq for Form {}

impl PartialOrd for Form {
    fn partial_cmp(&self, other: &Self) -> Option<std::cmp::Ordering> {
        Some(self.cmp(other))
    }
}

impl Ord for Form {
    fn cmp(&self, other: &Self) -> std::cmp::Ordering {
        self.0.id.cmp(&other.0.id)
    }
}

/// Parses Python; `None` where the grammar gives up.
pub(super) fn parse(source: &str) -> Option<Tree> {
    parse_ranges(source, &[])
}

/// Parses the `ranges` of a Python file as if nothing stood between them, or all of it if there are none.
fn parse_ranges(source: &str, ranges: &[tree_sitter::Range]) -> Option<Tree> {
    let mut parser = Parser::new();
    parser.set_language(&tree_sitter_python::LANGUAGE.into()).ok()?;
    parser.set_included_ranges(ranges).ok()?;
    parser.parse(source, None)
}

/// Finds the references in the Python file `name`; `known` are names that other modules pass on.
///
/// Gives the other names that the file itself has for what goes.
pub(super) fn search(
    names: &Names,
    source: &str,
    name: &str,
    known: &[Alias],
    hits: &mut Vec<Hit>,
) -> Vec<Other> {
    let cut = cut::ranges(names, source, known);
    if cut.as_ref().is_some_and(Vec::is_empty) {
        return Vec::new();
    }
    let tree = cut.and_then(|ranges| parse_ranges(source, &ranges));
    let tree = tree.filter(|tree| !tree.root_node().has_error()).or_else(|| parse(source));
    if let Some(tree) = tree {
        return found(names, (source, name), &tree, known, hits);
    }
    plain::search(names, source, Comments::Hash, hits);
    Vec::new()
}

/// Finds the references in what was parsed.
fn found(
    names: &Names,
    (source, name): (&str, &str),
    tree: &Tree,
    known: &[Alias],
    hits: &mut Vec<Hit>,
) -> Vec<Other> {
    let root = tree.root_node();
    let mut file = File::new(names, source, name, known);
    file.walk(root, File::learn);
    file.settle();
    file.walk(root, File::node);
    file.names_in_loops(root);
    imports::rewrite(names, source, root, &mut file.hits);
    hits.append(&mut file.hits);
    let given = file.aliases.into_iter().filter(|(name, _)| names.identifier(name).is_none());
    given.map(|(name, (form, service))| Other { name, form: Form(form), service }).collect()
}

/// Calls `visit` with every node, parents first.
fn each<'t>(root: Node<'t>, mut visit: impl FnMut(Node<'t>)) {
    let mut cursor = root.walk();
    loop {
        visit(cursor.node());
        if cursor.goto_first_child() || cursor.goto_next_sibling() {
            continue;
        }
        loop {
            if !cursor.goto_parent() {
                return;
            }
            if cursor.goto_next_sibling() {
                break;
            }
        }
    }
}

/// The named children of a node.
fn children(node: Node<'_>) -> Vec<Node<'_>> {
    let mut cursor = node.walk();
    node.named_children(&mut cursor).filter(|child| child.kind() != "comment").collect()
}

struct File<'a, 't> {
    names: &'a Names,
    source: &'a str,
    /// Other names of what goes.
    aliases: BTreeMap<String, (&'static ScanRule, Daemon)>,
    /// Names of plain strings.
    constants: BTreeMap<String, String>,
    /// Names of functions, and of what is imported as one.
    helpers: BTreeSet<String>,
    /// Names that are variables or parameters here, and no helpers.
    locals: BTreeSet<String>,
    /// Names of what has the services of a compose document as its value.
    collections: BTreeSet<String>,
    /// Lists and dictionaries by name.
    lists: BTreeMap<String, Node<'t>>,
    /// Starts of docker commands by name.
    commands: BTreeMap<String, Vec<String>>,
    /// Loops over the names of daemons, and their variables.
    loops: Vec<Loop<'t>>,
    variables: Vec<String>,
    /// What other modules pass on.
    known: &'a [Alias],
    /// Names of the modules among them that are imported here, and the last parts of their own names.
    modules: BTreeMap<String, String>,
    /// Name of the file.
    name: &'a str,
    /// Whether docker is spoken of at all.
    docker: bool,
    /// The node that is looked at, after those around it: to ask a node for its parent is to walk from the root.
    path: Vec<Node<'t>>,
    hits: Vec<Hit>,
}

impl<'a, 't> File<'a, 't> {
    fn new(names: &'a Names, source: &'a str, name: &'a str, known: &'a [Alias]) -> Self {
        Self {
            names,
            source,
            aliases: BTreeMap::new(),
            constants: BTreeMap::new(),
            helpers: BTreeSet::new(),
            locals: BTreeSet::new(),
            collections: BTreeSet::new(),
            lists: BTreeMap::new(),
            commands: BTreeMap::new(),
            loops: Vec::new(),
            variables: Vec::new(),
            known,
            modules: BTreeMap::new(),
            name,
            docker: ["docker", "podman", "compose"].iter().any(|name| source.contains(name)),
            path: Vec::new(),
            hits: Vec::new(),
        }
    }

    /// Visits every node with its path, parents first; comments are passed by.
    fn walk(&mut self, root: Node<'t>, visit: fn(&mut Self, Node<'t>)) {
        let mut cursor = root.walk();
        loop {
            let node = cursor.node();
            self.path.push(node);
            if node.kind() != "comment" {
                visit(self, node);
            }
            if cursor.goto_first_child() {
                continue;
            }
            self.path.pop();
            while !cursor.goto_next_sibling() {
                if !cursor.goto_parent() {
                    return;
                }
                self.path.pop();
            }
        }
    }

    /// The node around `node`.
    fn parent(&self, node: Node<'t>) -> Option<Node<'t>> {
        match self.path.iter().rposition(|other| other.id() == node.id()) {
            Some(at) => at.checked_sub(1).map(|at| self.path[at]),
            None => node.parent(),
        }
    }

    /// The nodes around `node`, nearest first.
    fn around(&self, node: Node<'t>) -> impl Iterator<Item = Node<'t>> {
        std::iter::successors(self.parent(node), |inner| self.parent(*inner))
    }

    fn text(&self, node: Node<'_>) -> &'a str {
        &self.source[node.byte_range()]
    }

    /// Whether an identifier is the attribute of something.
    fn is_attribute(&self, node: Node<'t>) -> bool {
        self.parent(node).is_some_and(|parent| {
            parent.kind() == "attribute" && parent.child_by_field_name("attribute") == Some(node)
        })
    }

    fn hit(&mut self, node: Node<'_>, form: &'static ScanRule, service: Option<Daemon>) {
        self.hits.push(Hit::new(node.byte_range(), form, service));
    }

    /// Looks at one node.
    fn node(&mut self, node: Node<'t>) {
        match node.kind() {
            "identifier" => self.identifier(node),
            "string" => self.string(node),
            "concatenated_string" | "binary_operator" => self.template(node),
            "call" => {
                self.template(node);
                self.call(node);
            }
            "subscript" => self.subscript(node),
            "comparison_operator" => self.comparison(node),
            "assignment" => self.assigned(node),
            "set" => self.set(node),
            "pair" => self.pair(node),
            "list" | "tuple" | "argument_list" => self.argv(node),
            _ => {}
        }
    }

    fn identifier(&mut self, node: Node<'t>) {
        let name = self.text(node);
        let found = match self.names.identifier(name) {
            Some(found) => found,
            None => match self.aliases.get(name) {
                Some(found) if !self.is_attribute(node) => *found,
                _ if let Some(found) = self.of_module(node) => found,
                _ if self.names.flag.find(name).is_some_and(|found| found.len() == name.len()) => {
                    self.hit(node, &forms::FLAG_REFERENCE, None);
                    return;
                }
                _ => return,
            },
        };
        let (form, service) = found;
        let parent = self.parent(node);
        // `f(egress_url=…)` names a parameter of `f`, `x.egress_url` an attribute that may be anything.
        if form.id == forms::URL_HELPER.id {
            let named = parent.is_some_and(|parent| {
                parent.kind() == "keyword_argument" && parent.child_by_field_name("name") == Some(node)
            });
            let called = |function: Node<'_>| {
                self.parent(function).is_some_and(|call| {
                    call.kind() == "call" && call.child_by_field_name("function") == Some(function)
                })
            };
            let attribute = self.is_attribute(node);
            let uncalled = attribute && !parent.is_some_and(called);
            if named || uncalled || !attribute && self.locals.contains(name) {
                return;
            }
        }
        if form.id == forms::IMAGE_CONSTANT.id
            && self.locals.contains(name)
            && name.starts_with(char::is_lowercase)
        {
            return;
        }
        let mut hit = Hit::new(node.byte_range(), form, Some(service));
        if form.id == forms::NAME_HELPER.id {
            self.rewrite_helper(node, &mut hit);
            if self.targeted(node) {
                hit.form = &forms::DOCKER_CLI;
            }
        }
        self.hits.push(hit);
    }

    fn string(&mut self, node: Node<'t>) {
        let Some(range) = template::inner(node) else { return };
        let parent = self.parent(node);
        // A string that is a statement of its own documents something.
        if parent.is_some_and(|parent| parent.kind() == "expression_statement") {
            return prose::search(self.names, self.source, range, &mut self.hits);
        }
        let text = &self.source[range.clone()];
        if !self.names.tells(text)
            && self.constants.is_empty()
            && self.aliases.is_empty()
            && self.variables.is_empty()
            && self.known.is_empty()
        {
            return;
        }
        // Parts of a longer text are searched with it.
        if self.part_of_longer(node) {
            return;
        }
        if template::content(self.source, node).is_some() && self.dotted(node, text) {
            return;
        }
        let command = self.command_around(node);
        let used = self.used(node);
        let context =
            Context { used, command: command.as_ref(), loops: &self.variables, ..Context::default() };
        match template::of(self.source, node, &self.constants) {
            Some(template) => {
                let before = self.hits.len();
                template.search(self.names, context, &mut self.hits);
                self.of_command(before, command.as_ref());
            }
            None => text::search(self.names, self.source, range.clone(), context, &mut self.hits),
        }
        if text.contains('\n') {
            self.embedded(range.start, text);
        }
    }

    /// A compose document or a script inside a string.
    fn embedded(&mut self, start: usize, text: &str) {
        let before = self.hits.len();
        // A backslash at the start joins the first line to the next.
        let (start, text) = text.strip_prefix("\\\n").map_or((start, text), |rest| (start + 2, rest));
        if shell::yaml_like(text) {
            yaml::search(self.names, text, &mut self.hits);
        } else {
            let context = Context { identifiers: true, ..Context::default() };
            text::search(self.names, text, 0..text.len(), context, &mut self.hits);
            self.hits.retain({
                let mut at = 0;
                move |hit| {
                    at += 1;
                    at <= before
                        || matches!(
                            hit.form.id,
                            RuleId::NameHelper | RuleId::ImageConstant | RuleId::UrlHelper
                        )
                }
            });
        }
        for hit in &mut self.hits[before..] {
            hit.moved(start);
        }
    }

    /// A whole string that names a helper: a mock's path, a re-export, an attribute by name.
    fn dotted(&mut self, node: Node<'t>, text: &str) -> bool {
        let (path, last) = text.rsplit_once('.').map_or(("", text), |(path, last)| (path, last));
        if !text.bytes().all(|byte| byte.is_ascii_alphanumeric() || matches!(byte, b'_' | b'.')) {
            return false;
        }
        let module = path.rsplit('.').next().unwrap_or_default();
        let passed = || {
            let same = |alias: &&Alias| alias.name == last && alias.module == module;
            self.known.iter().find(same).map(|alias| (alias.form.0, alias.service))
        };
        let here =
            || self.aliases.get(last).copied().filter(|_| path.is_empty() && self.listed_by_name(node));
        let Some((form, service)) = self.names.identifier(last).or_else(passed).or_else(here) else {
            return false;
        };
        if form.id == forms::URL_HELPER.id && path.is_empty() && !self.listed_by_name(node) {
            return false;
        }
        let end = node.end_byte() - 1;
        let mut hit = Hit::new(end - last.len()..end, form, Some(service));
        if template::inner(node).is_some_and(|range| range.end != end) {
            hit.span = template::inner(node).unwrap_or_default();
        }
        self.hits.push(hit);
        true
    }

    /// Whether a string stands for a name: in a mock, in `getattr`, in `__all__`.
    fn listed_by_name(&self, node: Node<'t>) -> bool {
        self.around(node).take(4).any(|outer| match outer.kind() {
            "call" => {
                let function =
                    outer.child_by_field_name("function").map_or("", |function| self.text(function));
                ["patch", "setattr", "getattr", "hasattr", "delattr", "object"]
                    .iter()
                    .any(|name| function.contains(name))
            }
            "assignment" | "augmented_assignment" => {
                outer.child_by_field_name("left").is_some_and(|left| self.text(left) == "__all__")
            }
            _ => false,
        })
    }

    fn template(&mut self, node: Node<'t>) {
        if self.part_of_longer(node) {
            return;
        }
        let Some(template) = template::of(self.source, node, &self.constants) else { return };
        let before = self.hits.len();
        let context = Context { used: self.used(node), loops: &self.variables, ..Context::default() };
        template.search(self.names, context, &mut self.hits);
        let command = self.command_around(node);
        self.of_command(before, command.as_ref());
    }

    /// Tells what the names in a text that is put together are to the command of which it is a word.
    fn of_command(&mut self, before: usize, command: Option<&Command>) {
        let Some(command) = command else { return };
        let found = self.hits.split_off(before);
        self.hits.extend(found.into_iter().filter_map(|hit| match hit.service {
            Some(service) if hit.form.id == forms::CONTAINER_NAME.id => {
                let renamed = hit.span.clone();
                docker::part(command, hit.span, service, &renamed).map(|mut hit| {
                    hit.edits.clear();
                    hit
                })
            }
            None if hit.form.id == forms::CONTAINER_NAME.id => {
                let form = if command.targets(hit.span.start) { &forms::DOCKER_CLI } else { hit.form };
                Some(Hit::new(hit.span, form, None))
            }
            _ => Some(hit),
        }));
    }
}

/// The last word of a dotted name.
fn last_word(text: &str) -> &str {
    text.rsplit('.').next().unwrap_or(text)
}
