//! Which rewrites of a Python file are safe: commands that are written out in full, whose result nothing uses.

use std::collections::{BTreeMap, BTreeSet};
use std::ops::Range;

use tree_sitter::Node;

use super::BUNDLE;
use crate::scan::lang::python;
use crate::scan::patterns::Patterns;

/// Functions that run the command that they are given, by module.
const RUNNERS: [(&str, &str); 6] = [
    ("subprocess", "run"),
    ("subprocess", "call"),
    ("subprocess", "check_call"),
    ("subprocess", "check_output"),
    ("subprocess", "Popen"),
    ("os", "system"),
];

/// Keyword arguments of a runner that do not change what is run.
const KEYWORDS: [&str; 8] =
    ["check", "capture_output", "text", "timeout", "shell", "universal_newlines", "stdout", "stderr"];

/// The import of a helper.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Import {
    /// The module as it is written, `.names` or `bot.names`.
    pub(super) module: String,
    /// Byte behind the imported name.
    pub(super) name_end: usize,
    /// First byte of the statement, and the byte behind it.
    pub(super) statement: Range<usize>,
}

/// A command that a Python file runs, and that is written out in full.
#[derive(Debug)]
struct Run {
    range: Range<usize>,
    /// `subprocess` in `subprocess.run`, or the name of the function itself.
    root: String,
    /// The function's own name, where `root` is a module.
    function: Option<String>,
}

/// What the safety of rewrites depends on.
#[derive(Debug, Default)]
pub(super) struct Facts {
    runs: Vec<Run>,
    /// Imports of helpers at the top of the module, by name.
    imports: BTreeMap<String, Vec<Import>>,
    /// Names that something else than those imports binds.
    bound: BTreeSet<String>,
    /// Names of the modules `subprocess` and `os`, and of functions from them.
    modules: BTreeMap<String, String>,
    functions: BTreeMap<String, (String, String)>,
    /// Where the module itself binds the bundle's helper.
    pub(super) bundle: Option<usize>,
    /// Whether attributes of `subprocess` or `os` are replaced, or names come by `*`.
    uncertain: bool,
}

impl Facts {
    /// The facts of a Python source; `None`: it cannot be parsed.
    pub(super) fn of(patterns: &Patterns, source: &str) -> Option<Self> {
        let tree = python::parse(source).filter(|tree| !tree.root_node().has_error())?;
        let mut facts = Self::default();
        let mut path: Vec<Node<'_>> = Vec::new();
        let mut cursor = tree.walk();
        loop {
            let node = cursor.node();
            facts.node(patterns, source, node, &path);
            path.push(node);
            if cursor.goto_first_child() {
                continue;
            }
            path.pop();
            while !cursor.goto_next_sibling() {
                if !cursor.goto_parent() {
                    return Some(facts);
                }
                path.pop();
            }
        }
    }

    /// Whether the byte `at` is in a command that is written out in full and whose result nothing uses.
    pub(super) fn runs(&self, at: usize) -> bool {
        let known = |run: &Run| {
            let (module, function) = match &run.function {
                Some(function) => (self.modules.get(&run.root).map(String::as_str), function.as_str()),
                None => match self.functions.get(&run.root) {
                    Some((module, function)) => (Some(module.as_str()), function.as_str()),
                    None => (None, ""),
                },
            };
            !self.bound.contains(&run.root)
                && module.is_some_and(|module| RUNNERS.contains(&(module, function)))
        };
        let behind = self.runs.partition_point(|run| run.range.start <= at);
        !self.uncertain
            && behind.checked_sub(1).is_some_and(|number| {
                let run = &self.runs[number];
                run.range.contains(&at) && known(run)
            })
    }

    /// The one import that binds a helper for a call at `at`, if nothing else binds it.
    pub(super) fn import(&self, helper: &str, at: usize) -> Option<&Import> {
        let [import] = self.imports.get(helper)?.as_slice() else { return None };
        (!self.bound.contains(helper) && import.statement.end <= at).then_some(import)
    }

    /// Whether the name of the bundle's helper is free, or bound before `at` by the module itself.
    pub(super) fn may_name_bundle(&self, at: usize) -> bool {
        !self.bound.contains(BUNDLE) && self.bundle.is_none_or(|end| end <= at)
    }

    fn node(&mut self, patterns: &Patterns, source: &str, node: Node<'_>, path: &[Node<'_>]) {
        let text = |node: Node<'_>| &source[node.byte_range()];
        let top = path.len() == 1;
        match node.kind() {
            "import_from_statement" => self.import_from(patterns, source, node, top),
            "import_statement" => {
                let mut cursor = node.walk();
                for module in node.named_children(&mut cursor) {
                    let name = text(module.child_by_field_name("name").unwrap_or(module));
                    let visible = text(module.child_by_field_name("alias").unwrap_or(module));
                    self.modules.insert(visible.to_owned(), name.to_owned());
                }
            }
            "wildcard_import" => self.uncertain = true,
            "function_definition" | "class_definition" => {
                if let Some(name) = node.child_by_field_name("name") {
                    let name = text(name);
                    if name == BUNDLE && top && self.bundle.is_none() {
                        self.bundle = Some(node.end_byte());
                    } else {
                        self.bound.insert(name.to_owned());
                    }
                }
            }
            "assignment" | "augmented_assignment" => {
                let left = node.child_by_field_name("left").filter(|left| left.kind() == "attribute");
                let root = left.map(|left| text(left).split('.').next().unwrap_or_default());
                self.uncertain |= root.is_some_and(|root| {
                    matches!(root, "subprocess" | "os") || self.modules.contains_key(root)
                });
            }
            "identifier" if path.last().is_some_and(|parent| binds(*parent, node)) => {
                self.bound.insert(text(node).to_owned());
            }
            "call" => self.call(source, node, path),
            _ => {}
        }
    }

    fn import_from(&mut self, patterns: &Patterns, source: &str, statement: Node<'_>, top: bool) {
        let text = |node: Node<'_>| source[node.byte_range()].to_owned();
        let module = statement.child_by_field_name("module_name").map(text).unwrap_or_default();
        python::imported(statement, |name, alias| {
            let (original, visible) = (text(name), text(alias.unwrap_or(name)));
            let helper = patterns.identifier(&original).is_some();
            if matches!(module.as_str(), "subprocess" | "os") {
                self.functions.insert(visible, (module.clone(), original));
            } else if original == BUNDLE && alias.is_none() && top {
                self.bundle.get_or_insert(statement.end_byte());
            } else if helper && top {
                let name_end = alias.unwrap_or(name).end_byte();
                let import = Import { module: module.clone(), name_end, statement: statement.byte_range() };
                self.imports.entry(visible).or_default().push(import);
            } else {
                self.bound.insert(visible);
            }
        });
    }

    fn call(&mut self, source: &str, call: Node<'_>, path: &[Node<'_>]) {
        let (Some(function), Some(arguments)) =
            (call.child_by_field_name("function"), call.child_by_field_name("arguments"))
        else {
            return;
        };
        let name = &source[function.byte_range()];
        let statement = path.last().is_some_and(|parent| parent.kind() == "expression_statement");
        let (root, own) = match name.rsplit_once('.') {
            Some((root, own)) => (root, Some(own)),
            None => (name, None),
        };
        let last = own.unwrap_or(root);
        if statement && is_in_sight(source, arguments, last == "system") {
            let own = own.map(str::to_owned);
            self.runs.push(Run { range: call.byte_range(), root: root.to_owned(), function: own });
        }
    }
}

/// Whether a runner's arguments are one command, written out in full, and options that do not change it.
fn is_in_sight(source: &str, arguments: Node<'_>, by_shell: bool) -> bool {
    let text = |node: Node<'_>| &source[node.byte_range()];
    let mut cursor = arguments.walk();
    let given: Vec<_> =
        arguments.named_children(&mut cursor).filter(|child| child.kind() != "comment").collect();
    let Some((command, options)) = given.split_first() else { return false };
    let mut shell = by_shell;
    for option in options {
        let (Some(name), Some(value)) =
            (option.child_by_field_name("name"), option.child_by_field_name("value"))
        else {
            return false;
        };
        if !KEYWORDS.contains(&text(name))
            || text(name).starts_with("std") && !text(value).starts_with("subprocess.")
        {
            return false;
        }
        shell |= text(name) == "shell" && text(value) == "True";
    }
    match command.kind() {
        "list" if !shell => {
            let mut cursor = command.walk();
            let words: Vec<_> =
                command.named_children(&mut cursor).filter(|child| child.kind() != "comment").collect();
            let program = words.first().map_or("", |first| text(*first).trim_matches(['"', '\'']));
            is_program(program)
                && words.iter().all(|word| matches!(word.kind(), "string" | "call" | "identifier"))
        }
        "string" if shell => {
            let whole = text(*command);
            let inner = whole.trim_start_matches(['f', 'F']).trim_matches(['"', '\'']);
            is_program(inner.split(' ').next().unwrap_or_default())
                && !inner.contains(['|', ';', '&', '<', '>', '`', '$', '(', '\n', '\\', '*', '"', '\''])
        }
        _ => false,
    }
}

/// Whether a word is the client of an engine by its plain name.
pub(super) fn is_program(word: &str) -> bool {
    matches!(word, "docker" | "podman" | "nerdctl" | "sudo")
}

/// Whether an identifier gets a value where it is written.
fn binds(parent: Node<'_>, node: Node<'_>) -> bool {
    let field = |name| parent.child_by_field_name(name) == Some(node);
    match parent.kind() {
        "parameters"
        | "lambda_parameters"
        | "typed_parameter"
        | "list_splat_pattern"
        | "dictionary_splat_pattern"
        | "pattern_list"
        | "tuple_pattern"
        | "list_pattern"
        | "as_pattern_target"
        | "global_statement"
        | "nonlocal_statement"
        | "delete_statement"
        | "case_pattern"
        | "keyword_pattern" => true,
        "default_parameter" | "typed_default_parameter" | "named_expression" => field("name"),
        "assignment" | "augmented_assignment" | "for_statement" | "for_in_clause" => field("left"),
        "except_clause" => field("alias"),
        _ => false,
    }
}
