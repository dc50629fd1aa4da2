//! References in Python, told apart by the grammar: strings and docstrings, calls, imports, subscripts, comparisons.

mod argv;
mod bindings;
mod commands;
mod cut;
mod held;
mod imports;
mod lines;
mod loops;
mod shapes;
mod template;
mod usage;

use std::cell::RefCell;
use std::collections::{BTreeMap, BTreeSet};
use std::ops::Range;
use std::rc::Rc;

use bottle_model::daemon::Daemon;
use tree_sitter::{Node, Tree};

use crate::rule::{RuleId, ScanRule};
use crate::scan::detect::command::Command;
use crate::scan::detect::docker;
use crate::scan::detect::prose;
use crate::scan::detect::{self, Context, Use};
use crate::scan::finding::Match;
use crate::scan::lang::grammar;
use crate::scan::lang::shell;
use crate::scan::lang::text::{self, Comments};
use crate::scan::lang::yaml;
use crate::scan::patterns::Patterns;
use crate::scan::rules;
use held::Values;
pub(in crate::scan) use imports::names as imported;
use loops::Loop;

/// Longest constant that is followed, in bytes.
const LONGEST: usize = 80;

/// A name under which another module passes on something that goes.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(in crate::scan) struct Alias {
    /// Last part of the module's name.
    pub(in crate::scan) module: String,
    /// The name.
    pub(in crate::scan) name: String,
    /// What it is another name of.
    pub(in crate::scan) rule: ByRule,
    /// The daemon.
    pub(in crate::scan) service: Daemon,
}

/// Another name that a file has for what goes.
#[derive(Debug)]
pub(in crate::scan) struct Other {
    name: String,
    rule: ByRule,
    service: Daemon,
}

impl Alias {
    /// The name that `module` passes on.
    pub(in crate::scan) fn new(module: &str, Other { name, rule, service }: Other) -> Self {
        Self { module: module.to_owned(), name, rule, service }
    }
}

/// A form that an identifier has; orders by id.
#[derive(Clone, Copy, Debug)]
pub(in crate::scan) struct ByRule(pub(in crate::scan) &'static ScanRule);

impl PartialEq for ByRule {
    fn eq(&self, other: &Self) -> bool {
        self.0.id == other.0.id
    }
}

impl Eq for ByRule {}

impl PartialOrd for ByRule {
    fn partial_cmp(&self, other: &Self) -> Option<std::cmp::Ordering> {
        Some(self.cmp(other))
    }
}

impl Ord for ByRule {
    fn cmp(&self, other: &Self) -> std::cmp::Ordering {
        self.0.id.cmp(&other.0.id)
    }
}

/// Parses Python; `None`: it is beyond the bounds of the grammar.
pub(in crate::scan) fn parse(source: &str) -> Option<Tree> {
    parse_ranges(source, &[])
}

/// Parses the `ranges` of a Python file as if nothing stood between them, or all of it if there are none.
fn parse_ranges(source: &str, ranges: &[tree_sitter::Range]) -> Option<Tree> {
    grammar::parse(&tree_sitter_python::LANGUAGE.into(), source, ranges)
}

/// Finds the references in the Python file `name`; `known` are names that other modules pass on.
///
/// Returns the other names that the file itself has for what goes; `None`: it was searched as plain text.
pub(in crate::scan) fn search(
    patterns: &Patterns,
    source: &str,
    name: &str,
    known: &Known,
    matches: &mut Vec<Match>,
) -> Option<Vec<Other>> {
    let cut = cut::ranges(patterns, source, known);
    if cut.as_ref().is_some_and(Vec::is_empty) {
        return Some(Vec::new());
    }
    let tree = cut.and_then(|ranges| parse_ranges(source, &ranges));
    let tree = tree.filter(|tree| !tree.root_node().has_error()).or_else(|| parse(source));
    if let Some(tree) = tree {
        return Some(found(patterns, (source, name), &tree, known, matches));
    }
    text::search(patterns, source, Comments::Hash, matches);
    None
}

/// Finds the references in what was parsed.
fn found(
    patterns: &Patterns,
    (source, name): (&str, &str),
    tree: &Tree,
    known: &Known,
    matches: &mut Vec<Match>,
) -> Vec<Other> {
    let root = tree.root_node();
    let mut file = File::new(patterns, source, name, known);
    file.walk(root, File::collect_bindings);
    file.finish_bindings();
    file.walk(root, File::visit);
    file.names_in_loops();
    matches.append(&mut file.matches);
    let given = file.aliases.into_iter().filter(|(name, _)| patterns.identifier(name).is_none());
    given.map(|(name, (rule, service))| Other { name, rule: ByRule(rule), service }).collect()
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

/// What each child of a node says about the others, by where it begins.
type Said = Vec<(usize, Use)>;

struct File<'a, 't> {
    patterns: &'a Patterns,
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
    variables: BTreeSet<String>,
    /// What variables hold.
    held: Values<'t>,
    /// What other modules pass on.
    known: &'a Known,
    /// Names of the modules among them that are imported here, and the last parts of their own names.
    modules: BTreeMap<String, String>,
    /// Name of the file.
    name: &'a str,
    /// Whether docker is spoken of at all.
    docker: bool,
    /// The node that is looked at, after those around it: to ask a node for its parent is to walk from the root.
    path: Vec<Node<'t>>,
    /// Matches whose daemon a variable names, with the statements around them.
    open: Vec<(Range<usize>, &'static ScanRule, &'a str)>,
    /// Docker commands by the lists that they are.
    commands_of: RefCell<BTreeMap<usize, Option<Rc<Command>>>>,
    /// What each child of a list or of a comparison says about the others, by the node around them.
    says: RefCell<BTreeMap<usize, Rc<Said>>>,
    matches: Vec<Match>,
}

impl<'a, 't> File<'a, 't> {
    fn new(patterns: &'a Patterns, source: &'a str, name: &'a str, known: &'a Known) -> Self {
        Self {
            patterns,
            source,
            aliases: BTreeMap::new(),
            constants: BTreeMap::new(),
            helpers: BTreeSet::new(),
            locals: BTreeSet::new(),
            collections: BTreeSet::new(),
            lists: BTreeMap::new(),
            commands: BTreeMap::new(),
            loops: Vec::new(),
            variables: BTreeSet::new(),
            held: Values::default(),
            known,
            modules: BTreeMap::new(),
            name,
            docker: ["docker", "podman", "compose"].iter().any(|name| source.contains(name)),
            path: Vec::new(),
            open: Vec::new(),
            commands_of: RefCell::default(),
            says: RefCell::default(),
            matches: Vec::new(),
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
        let at = self.path.iter().rposition(|other| other.id() == node.id());
        let (apart, at) = match at {
            Some(at) => (None, at),
            // A child of what is visited.
            None => (node.parent(), 0),
        };
        let apart = std::iter::successors(apart, Node::parent);
        self.path[..at].iter().rev().copied().chain(apart)
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

    fn matched(&mut self, node: Node<'_>, rule: &'static ScanRule, service: Option<Daemon>) {
        self.matches.push(Match::new(node.byte_range(), rule, service));
    }

    /// Looks at one node, and keeps the statement around each match whose daemon a variable names.
    fn visit(&mut self, node: Node<'t>) {
        let before = self.matches.len();
        self.node(node);
        for number in before..self.matches.len() {
            let matched = &self.matches[number];
            if let Some(service) = matched.service
                && [rules::CONTAINER_NAME.id, rules::NAME_HELPER.id].contains(&matched.rule.id)
            {
                self.held.reported.insert(matched.span.start, service);
            }
            if matched.service.is_none() && rules::is_named(matched.rule) {
                let open = (matched.span.clone(), matched.rule);
                let statement = self.statement();
                self.open.push((open.0, open.1, statement));
            }
        }
    }

    /// The text of the innermost statement, or comprehension, around what is visited.
    fn statement(&self) -> &'a str {
        let encloses = |node: &&Node<'t>| {
            let kind = node.kind();
            kind.ends_with("_statement")
                || kind == "lambda"
                || kind.ends_with("_comprehension")
                || kind == "generator_expression"
        };
        self.path.iter().rev().find(encloses).map_or("", |node| clipped(self.text(*node)))
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
            "list" | "tuple" | "argument_list" => {
                self.argv(node);
                self.targets_held(node);
            }
            "attribute" => self.acts(node),
            "augmented_assignment" => self.added(node),
            _ => {}
        }
    }

    fn identifier(&mut self, node: Node<'t>) {
        let name = self.text(node);
        let found = match self.patterns.identifier(name) {
            Some(found) => found,
            None => match self.aliases.get(name) {
                Some(found) if !self.is_attribute(node) => *found,
                _ if let Some(found) = self.of_module(node) => found,
                _ if self.patterns.flag.find(name).is_some_and(|found| found.len() == name.len()) => {
                    self.matched(node, &rules::FLAG_REFERENCE, None);
                    return;
                }
                _ => return,
            },
        };
        let (rule, service) = found;
        let parent = self.parent(node);
        // `f(egress_url=…)` names a parameter of `f`, `x.egress_url` an attribute that may be anything.
        if rule.id == rules::URL_HELPER.id {
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
        // The value of a constant is reported by itself.
        let valued = parent.filter(|parent| {
            parent.kind() == "assignment" && parent.child_by_field_name("left") == Some(node)
        });
        let literal = valued
            .and_then(|parent| parent.child_by_field_name("right"))
            .is_some_and(|it| it.kind() == "string");
        if literal && name.ends_with(|c: char| c.is_ascii_uppercase()) && rule.id != rules::IMAGE_CONSTANT.id
        {
            return;
        }
        if [rules::IMAGE_CONSTANT.id, rules::COMPOSE_SERVICE.id].contains(&rule.id)
            && self.locals.contains(name)
            && name.starts_with(char::is_lowercase)
        {
            return;
        }
        let mut matched = Match::new(node.byte_range(), rule, Some(service));
        if rule.id == rules::NAME_HELPER.id
            && self.patterns.class(name).is_none()
            && !self.held.classes.contains_key(name)
        {
            self.rewrite_helper(node, &mut matched);
            if self.targeted(node) {
                matched.rule = &rules::DOCKER_CLI;
            }
        }
        self.matches.push(matched);
    }

    fn string(&mut self, node: Node<'t>) {
        let Some(range) = template::inner(node) else { return };
        let parent = self.parent(node);
        // A string that is a statement of its own documents something.
        if parent.is_some_and(|parent| parent.kind() == "expression_statement") {
            return prose::search(self.patterns, self.source, range, &mut self.matches);
        }
        let text = &self.source[range.clone()];
        if !self.patterns.tells(text)
            && self.constants.is_empty()
            && self.aliases.is_empty()
            && self.variables.is_empty()
            && self.known.is_empty()
            && self.held.classes.is_empty()
            && !text.contains('{')
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
        let command_text = self.docker && text.contains("docker");
        let held =
            if command_text || text.contains(['/', ':']) { self.held_within(node) } else { BTreeMap::new() };
        let held = if command_text { held } else { BTreeMap::new() };
        let context =
            Context { used, command: command.as_deref(), loops: Some(&self.variables), ..Context::default() };
        let patterns = self.patterns;
        let example = |at: usize| held.get(&at).map(|service| patterns.example(*service));
        match template::of(self.source, node, &self.constants, &example) {
            Some(template) => {
                let before = self.matches.len();
                template.search(self.patterns, context, &mut self.matches);
                self.of_command(before, command.as_deref());
            }
            None => detect::search(self.patterns, self.source, range.clone(), context, &mut self.matches),
        }
        if text.contains('\n') {
            self.embedded(range.start, text);
        }
    }

    /// A compose document or a script inside a string.
    fn embedded(&mut self, start: usize, text: &str) {
        let before = self.matches.len();
        // A backslash at the start joins the first line to the next.
        let (start, text) = text.strip_prefix("\\\n").map_or((start, text), |rest| (start + 2, rest));
        if shell::yaml_like(text) {
            yaml::search(self.patterns, text, &mut self.matches);
        } else {
            let context = Context { identifiers: true, ..Context::default() };
            detect::search(self.patterns, text, 0..text.len(), context, &mut self.matches);
            let found = self.matches.split_off(before);
            let kept = |matched: &Match| {
                matches!(matched.rule.id, RuleId::NameHelper | RuleId::ImageConstant | RuleId::UrlHelper)
            };
            self.matches.extend(found.into_iter().filter(kept));
        }
        for matched in &mut self.matches[before..] {
            matched.moved(start);
        }
    }

    /// A whole string that names a helper: a mock's path, a re-export, an attribute by name.
    fn dotted(&mut self, node: Node<'t>, text: &str) -> bool {
        let (path, last) = text.rsplit_once('.').map_or(("", text), |(path, last)| (path, last));
        if !text.bytes().all(|byte| byte.is_ascii_alphanumeric() || matches!(byte, b'_' | b'.')) {
            return false;
        }
        let module = path.rsplit('.').next().unwrap_or_default();
        let passed = || self.known.of(module, last);
        let here =
            || self.aliases.get(last).copied().filter(|_| path.is_empty() && self.listed_by_name(node));
        let Some((rule, service)) = self.patterns.identifier(last).or_else(passed).or_else(here) else {
            return false;
        };
        if rule.id == rules::URL_HELPER.id && path.is_empty() && !self.listed_by_name(node) {
            return false;
        }
        let end = node.end_byte() - 1;
        let mut matched = Match::new(end - last.len()..end, rule, Some(service));
        if template::inner(node).is_some_and(|range| range.end != end) {
            matched.span = template::inner(node).unwrap_or_default();
        }
        self.matches.push(matched);
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
        let Some(template) = template::of(self.source, node, &self.constants, &|_| None) else { return };
        let before = self.matches.len();
        let context = Context { used: self.used(node), loops: Some(&self.variables), ..Context::default() };
        template.search(self.patterns, context, &mut self.matches);
        let command = self.command_around(node);
        self.of_command(before, command.as_deref());
    }

    /// Tells what the names in a text that is put together are to the command of which it is a word.
    fn of_command(&mut self, before: usize, command: Option<&Command>) {
        let Some(command) = command else { return };
        let found = self.matches.split_off(before);
        self.matches.extend(found.into_iter().filter_map(|matched| match matched.service {
            Some(service) if matched.rule.id == rules::CONTAINER_NAME.id => {
                let renamed = matched.span.clone();
                docker::part(command, matched.span, service, &renamed).map(|mut matched| {
                    matched.edits.clear();
                    matched
                })
            }
            None if matched.rule.id == rules::CONTAINER_NAME.id => {
                let rule =
                    if command.targets(matched.span.start) { &rules::DOCKER_CLI } else { matched.rule };
                Some(Match::new(matched.span, rule, None))
            }
            _ => Some(matched),
        }));
    }
}

/// What other modules pass on.
#[derive(Debug, Default)]
pub(in crate::scan) struct Known {
    names: BTreeMap<String, BTreeMap<String, (&'static ScanRule, Daemon)>>,
}

impl Known {
    /// What `aliases` say.
    pub(in crate::scan) fn new<'a>(aliases: impl IntoIterator<Item = &'a Alias>) -> Self {
        let mut known = Self::default();
        for alias in aliases {
            let names = known.names.entry(alias.module.clone()).or_default();
            names.entry(alias.name.clone()).or_insert((alias.rule.0, alias.service));
        }
        known
    }

    fn is_empty(&self) -> bool {
        self.names.is_empty()
    }

    /// Whether a module passes something on.
    fn has_module(&self, module: &str) -> bool {
        self.names.contains_key(module)
    }

    /// What the name that a module passes on is.
    fn of(&self, module: &str, name: &str) -> Option<(&'static ScanRule, Daemon)> {
        self.names.get(module)?.get(name).copied()
    }

    /// Every name that is passed on.
    fn names(&self) -> impl Iterator<Item = &str> {
        self.names.values().flat_map(|names| names.keys().map(String::as_str))
    }
}

/// Longest text around a match that is looked at, in bytes.
const CLIP: usize = 4096;

/// The start of a long text.
fn clipped(text: &str) -> &str {
    let mut end = text.len().min(CLIP);
    while !text.is_char_boundary(end) {
        end -= 1;
    }
    &text[..end]
}

/// The end of a long text.
fn tail(text: &str, bytes: usize) -> &str {
    let mut start = text.len().saturating_sub(bytes);
    while !text.is_char_boundary(start) {
        start += 1;
    }
    &text[start..]
}

/// The last word of a dotted name.
fn last_word(text: &str) -> &str {
    text.rsplit('.').next().unwrap_or(text)
}
