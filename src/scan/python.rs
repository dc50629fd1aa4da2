//! References in Python, told apart by the grammar: strings and docstrings, calls, imports, subscripts, comparisons.

mod argv;
mod imports;
mod shapes;
mod template;

use std::collections::{BTreeMap, BTreeSet};

use bottle_model::daemon::Daemon;
use tree_sitter::{Node, Parser, Tree};

use super::finding::Hit;
use super::names::{self, Names};
use super::plain::{self, Comments};
use super::text::{self, Context, Use};
use super::{docker, forms, shell, yaml};
use crate::finding::Rule;

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

/// A form that an identifier has; orders by id.
#[derive(Clone, Copy, Debug)]
pub(super) struct Form(pub(super) &'static Rule);

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
        self.0.id.cmp(other.0.id)
    }
}

/// Parses Python; `None` where the grammar gives up.
pub(super) fn parse(source: &str) -> Option<Tree> {
    let mut parser = Parser::new();
    parser.set_language(&tree_sitter_python::LANGUAGE.into()).ok()?;
    parser.parse(source, None)
}

/// Finds the references in a Python file; `known` are names that other modules pass on.
pub(super) fn search(names: &Names, source: &str, known: &[Alias], hits: &mut Vec<Hit>) {
    let Some(tree) = parse(source) else { return plain::search(names, source, Comments::Hash, hits) };
    let mut file = File::read(names, source, tree.root_node(), known);
    each(tree.root_node(), |node| file.node(node));
    file.names_in_loops(tree.root_node());
    let mut found = std::mem::take(&mut file.hits);
    imports::rewrite(names, source, tree.root_node(), &mut found);
    hits.append(&mut found);
}

/// The names under which a Python module passes on something that goes.
pub(super) fn passed_on(names: &Names, source: &str, module: &str, known: &[Alias]) -> Vec<Alias> {
    let Some(tree) = parse(source) else { return Vec::new() };
    let file = File::read(names, source, tree.root_node(), known);
    let given = file.aliases.into_iter().filter(|(name, _)| names.identifier(name).is_none());
    given
        .map(|(name, (form, service))| Alias { module: module.to_owned(), name, form: Form(form), service })
        .collect()
}

/// Calls `visit` with every node, parents first; a node for which it says no is not descended into.
fn each<'t>(root: Node<'t>, mut visit: impl FnMut(Node<'t>) -> bool) {
    let mut cursor = root.walk();
    loop {
        let inner = visit(cursor.node());
        if inner && cursor.goto_first_child() || cursor.goto_next_sibling() {
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

/// The nodes around `node`, nearest first.
fn around(node: Node<'_>) -> impl Iterator<Item = Node<'_>> {
    std::iter::successors(node.parent(), Node::parent)
}

/// The named children of a node.
fn children(node: Node<'_>) -> Vec<Node<'_>> {
    let mut cursor = node.walk();
    node.named_children(&mut cursor).filter(|child| child.kind() != "comment").collect()
}

struct File<'a> {
    names: &'a Names,
    source: &'a str,
    /// Other names of what goes.
    aliases: BTreeMap<String, (&'static Rule, Daemon)>,
    /// Names of plain strings.
    constants: BTreeMap<String, String>,
    /// Names that are variables or parameters here, and no helpers.
    locals: BTreeSet<String>,
    /// Names of what has the services of a compose document as its value.
    collections: BTreeSet<String>,
    /// What other modules pass on.
    known: &'a [Alias],
    /// Whether docker is spoken of at all.
    docker: bool,
    hits: Vec<Hit>,
}

impl<'a> File<'a> {
    /// What has to be known of a file before it is searched.
    fn read(names: &'a Names, source: &'a str, root: Node<'_>, known: &'a [Alias]) -> Self {
        let mut file = Self {
            names,
            source,
            aliases: BTreeMap::new(),
            constants: BTreeMap::new(),
            locals: BTreeSet::new(),
            collections: BTreeSet::new(),
            known,
            docker: ["docker", "podman", "compose"].iter().any(|name| source.contains(name)),
            hits: Vec::new(),
        };
        let mut helpers = BTreeSet::new();
        each(root, |node| {
            file.learn(node, known, &mut helpers);
            true
        });
        for helper in helpers {
            file.locals.remove(&helper);
        }
        file
    }

    fn text(&self, node: Node<'_>) -> &'a str {
        &self.source[node.byte_range()]
    }

    fn learn(&mut self, node: Node<'_>, known: &[Alias], helpers: &mut BTreeSet<String>) {
        match node.kind() {
            "import_from_statement" => imports::names(node, |name, alias| {
                let original = self.text(name);
                let module = node.child_by_field_name("module_name").map_or("", |module| self.text(module));
                let module = module.rsplit('.').next().unwrap_or_default();
                let known = || {
                    let same = |other: &&Alias| other.name == original && other.module == module;
                    known.iter().find(same).map(|other| (other.form.0, other.service))
                };
                let visible = self.text(alias.unwrap_or(name)).to_owned();
                match self.names.identifier(original).or_else(known) {
                    Some(found) => {
                        if self.names.identifier(&visible).is_none() {
                            self.aliases.insert(visible.clone(), found);
                        }
                        helpers.insert(visible);
                    }
                    // Something else by a name that looks like one.
                    None => {
                        self.locals.insert(visible);
                    }
                }
            }),
            "function_definition" => {
                if let Some(name) = node.child_by_field_name("name") {
                    helpers.insert(self.text(name).to_owned());
                }
                if let Some(parameters) = node.child_by_field_name("parameters") {
                    for parameter in children(parameters) {
                        let name = match parameter.kind() {
                            "identifier" => Some(parameter),
                            "typed_parameter" => parameter.named_child(0),
                            _ => parameter.child_by_field_name("name"),
                        };
                        self.locals.extend(name.map(|name| self.text(name).to_owned()));
                    }
                }
            }
            "assignment" => self.learn_assignment(node),
            "for_statement" | "for_in_clause" => {
                if let Some(left) =
                    node.child_by_field_name("left").filter(|left| left.kind() == "identifier")
                {
                    self.locals.insert(self.text(left).to_owned());
                }
            }
            _ => {}
        }
    }

    fn learn_assignment(&mut self, node: Node<'_>) {
        let (Some(left), Some(right)) = (node.child_by_field_name("left"), node.child_by_field_name("right"))
        else {
            return;
        };
        if left.kind() != "identifier" {
            return;
        }
        let name = self.text(left).to_owned();
        match right.kind() {
            "identifier" | "attribute" => {
                let last = self.text(right).rsplit('.').next().unwrap_or_default();
                let found = self.names.identifier(last).or_else(|| self.aliases.get(last).copied());
                // An address is as often a value as a function.
                let found = found.filter(|(form, _)| form.id == forms::NAME_HELPER.id);
                if let Some(found) = found.filter(|_| self.names.identifier(&name).is_none()) {
                    self.aliases.insert(name, found);
                    return;
                }
            }
            "string" => {
                let text = template::content(self.source, right);
                let shouted = name
                    .bytes()
                    .all(|byte| byte.is_ascii_uppercase() || byte == b'_' || byte.is_ascii_digit());
                let telling =
                    |text: &&str| shouted || names::service(text).is_some() || self.names.is_prefix(text);
                if let Some(text) = text.filter(|text| text.len() <= LONGEST).filter(telling) {
                    self.constants.insert(name.clone(), text.to_owned());
                }
            }
            _ => {}
        }
        if self.services(right) {
            self.collections.insert(name.clone());
        }
        // Within a class it may stand in for a helper of the same name.
        let class = around(left).take(3).any(|node| node.kind() == "class_definition");
        if !class && around(left).nth(3).is_none_or(|node| node.kind() != "class_definition") {
            self.locals.insert(name);
        }
    }

    fn hit(&mut self, node: Node<'_>, form: &'static Rule, service: Option<Daemon>) {
        self.hits.push(Hit::new(node.byte_range(), form, service));
    }

    /// Looks at one node; says whether to look into it.
    fn node(&mut self, node: Node<'_>) -> bool {
        match node.kind() {
            "comment" => return false,
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
        true
    }

    fn identifier(&mut self, node: Node<'_>) {
        let name = self.text(node);
        let found = match self.names.identifier(name) {
            Some(found) => found,
            None => match self.aliases.get(name) {
                Some(found) if !is_attribute(node) => *found,
                _ if self.names.flag.find(name).is_some_and(|found| found.len() == name.len()) => {
                    self.hit(node, &forms::FLAG_REFERENCE, None);
                    return;
                }
                _ => return,
            },
        };
        let (form, service) = found;
        let parent = node.parent();
        // `f(egress_url=…)` names a parameter of `f`, `x.egress_url` an attribute that may be anything.
        if form.id == forms::URL_HELPER.id {
            let named = parent.is_some_and(|parent| {
                parent.kind() == "keyword_argument" && parent.child_by_field_name("name") == Some(node)
            });
            let called = |function: Node<'_>| {
                function.parent().is_some_and(|call| {
                    call.kind() == "call" && call.child_by_field_name("function") == Some(function)
                })
            };
            let attribute = is_attribute(node);
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

    fn string(&mut self, node: Node<'_>) {
        let Some(range) = template::inner(node) else { return };
        let parent = node.parent();
        // A string that is a statement of its own documents something.
        if parent.is_some_and(|parent| parent.kind() == "expression_statement") {
            return plain::prose(self.names, self.source, range, &mut self.hits);
        }
        let text = &self.source[range.clone()];
        if !self.names.tells(text)
            && self.constants.is_empty()
            && self.aliases.is_empty()
            && self.known.is_empty()
        {
            return;
        }
        // Parts of a longer text are searched with it.
        if template::part_of_longer(node) {
            return;
        }
        if template::content(self.source, node).is_some() && self.dotted(node, text) {
            return;
        }
        let command = self.command_around(node);
        let used = self.used(node);
        let context = Context { used, command: command.as_ref(), ..Context::default() };
        match template::of(self.source, node, &self.constants) {
            Some(template) => template.search(self.names, context, &mut self.hits),
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
                    at <= before || matches!(hit.form.id, "name-helper" | "image-constant" | "url-helper")
                }
            });
        }
        for hit in &mut self.hits[before..] {
            hit.moved(start);
        }
    }

    /// A whole string that names a helper: a mock's path, a re-export, an attribute by name.
    fn dotted(&mut self, node: Node<'_>, text: &str) -> bool {
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
    fn listed_by_name(&self, node: Node<'_>) -> bool {
        around(node).take(4).any(|outer| match outer.kind() {
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

    fn template(&mut self, node: Node<'_>) {
        if template::part_of_longer(node) {
            return;
        }
        let Some(template) = template::of(self.source, node, &self.constants) else { return };
        let before = self.hits.len();
        let context = Context { used: self.used(node), ..Context::default() };
        template.search(self.names, context, &mut self.hits);
        let Some(command) = self.command_around(node) else { return };
        // What is put together is a word of the command as a whole.
        let found = self.hits.split_off(before);
        self.hits.extend(found.into_iter().filter_map(|hit| match hit.service {
            Some(service) if hit.form.id == forms::CONTAINER_NAME.id => {
                let renamed = hit.span.clone();
                docker::part(&command, hit.span, service, &renamed).map(|mut hit| {
                    hit.edits.clear();
                    hit
                })
            }
            _ => Some(hit),
        }));
    }

    /// What the code around a string uses it for.
    fn used(&self, node: Node<'_>) -> Use {
        let mut inner = node;
        for outer in around(node) {
            let said = match outer.kind() {
                "keyword_argument" => outer.child_by_field_name("name").map(|name| Use::of(self.text(name))),
                "assignment" => outer.child_by_field_name("left").map(|left| Use::of(self.text(left))),
                "named_expression" => outer.child_by_field_name("name").map(|left| Use::of(self.text(left))),
                "default_parameter" | "typed_default_parameter" => {
                    outer.child_by_field_name("name").map(|left| Use::of(self.text(left)))
                }
                "pair" => outer.child_by_field_name("key").map(|key| Use::of(self.text(key))),
                "subscript" => {
                    outer.child_by_field_name("value").map(|value| Use::of(last_word(self.text(value))))
                }
                "comparison_operator" => {
                    let others = children(outer).into_iter().filter(|child| *child != inner);
                    Some(others.fold(Use::Open, |used, other| used.or(Use::of(self.text(other)))))
                }
                "argument_list" => {
                    let call = outer.parent().and_then(|call| call.child_by_field_name("function"));
                    let function = call.map_or("", |function| self.text(function));
                    let asserted = function.to_ascii_lowercase().contains("assert");
                    let mut said = Use::of(last_word(function));
                    if said == Use::Open && function.len() <= LONGEST {
                        said = Use::of(function);
                    }
                    if asserted && said == Use::Open {
                        let others = children(outer).into_iter().filter(|child| *child != inner);
                        said = others.fold(Use::Open, |used, other| used.or(Use::of(self.text(other))));
                    }
                    Some(said)
                }
                "list" | "tuple" => inner.prev_named_sibling().map(|option| {
                    match self.text(option).trim_matches(['"', '\'']) {
                        "--network" | "--net" | "-v" | "--volume" | "--mount" => Use::Kept,
                        "--name" | "--link" => Use::Container,
                        _ => Use::Open,
                    }
                }),
                "function_definition" => {
                    let returned = around(node)
                        .take_while(|other| *other != outer)
                        .any(|n| n.kind() == "return_statement");
                    let name = outer.child_by_field_name("name").map_or("", |name| self.text(name));
                    let said = Use::of(name);
                    if returned || said == Use::Kept {
                        return said;
                    }
                    None
                }
                "for_statement" => outer.child_by_field_name("left").map(|left| Use::of(self.text(left))),
                "class_definition" => {
                    let name = outer.child_by_field_name("name").map_or("", |name| self.text(name));
                    return if name.contains("Network") { Use::Kept } else { Use::Open };
                }
                "decorator" => {
                    let text = self.text(outer);
                    Some(if text.contains("network") { Use::Kept } else { Use::Open })
                }
                _ => None,
            };
            if let Some(said) = said.filter(|said| *said != Use::Open) {
                return said;
            }
            inner = outer;
        }
        Use::Open
    }
}

/// Whether an identifier is the attribute of something.
fn is_attribute(node: Node<'_>) -> bool {
    node.parent().is_some_and(|parent| {
        parent.kind() == "attribute" && parent.child_by_field_name("attribute") == Some(node)
    })
}

/// The last word of a dotted name.
fn last_word(text: &str) -> &str {
    text.rsplit('.').next().unwrap_or(text)
}
