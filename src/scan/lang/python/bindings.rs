//! What has to be known of a file before it is searched: other names, constants, variables.

use tree_sitter::Node;

use super::{File, LONGEST, children, imports, last_word, loops, template};
use crate::scan::patterns;
use crate::scan::rules;

impl<'t> File<'_, 't> {
    /// Takes in one node.
    pub(super) fn collect_bindings(&mut self, node: Node<'t>) {
        self.collect_held(node);
        match node.kind() {
            "import_from_statement" => imports::names(node, |name, alias| {
                let original = self.text(name);
                let module = node.child_by_field_name("module_name").map_or("", |module| self.text(module));
                let module = imports::last_part(module, self.name);
                let known = || self.known.of(module, original);
                let visible = self.text(alias.unwrap_or(name)).to_owned();
                if let Some(service) = self.patterns.class(original) {
                    self.held.classes.insert(visible.clone(), service);
                }
                match self.patterns.identifier(original).or_else(known) {
                    Some(found) => {
                        if self.patterns.identifier(&visible).is_none() {
                            self.aliases.insert(visible.clone(), found);
                        }
                        self.helpers.insert(visible);
                    }
                    None if self.known.has_module(original) => {
                        self.modules.insert(visible, original.to_owned());
                    }
                    // Something else by a name that looks like one.
                    None => {
                        self.locals.insert(visible);
                    }
                }
            }),
            "import_statement" => {
                for module in children(node) {
                    let name = module.child_by_field_name("name").unwrap_or(module);
                    let visible = self.text(module.child_by_field_name("alias").unwrap_or(module));
                    self.modules.insert(visible.to_owned(), last_word(self.text(name)).to_owned());
                }
            }
            "decorator" => self.bind_parameters(node),
            "function_definition" => {
                if let Some(name) = node.child_by_field_name("name") {
                    self.helpers.insert(self.text(name).to_owned());
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
            "assignment" => self.assignment(node),
            "lambda" => self.bind_map(node),
            "for_statement" | "for_in_clause" => {
                self.bind_loop(node);
                if let Some(left) =
                    node.child_by_field_name("left").filter(|left| left.kind() == "identifier")
                {
                    self.locals.insert(self.text(left).to_owned());
                }
            }
            _ => {}
        }
    }

    fn assignment(&mut self, node: Node<'t>) {
        let (Some(left), Some(right)) = (node.child_by_field_name("left"), node.child_by_field_name("right"))
        else {
            return;
        };
        if matches!(left.kind(), "identifier" | "attribute") {
            self.bind_command(last_word(self.text(left)), right);
        }
        if left.kind() != "identifier" {
            return;
        }
        let name = self.text(left).to_owned();
        let function = right.child_by_field_name("function").map_or("", |function| self.text(function));
        if matches!(right.kind(), "list" | "tuple" | "set" | "dictionary" | "binary_operator")
            || loops::keeps_elements(function)
        {
            self.lists.insert(name.clone(), right);
        }
        match right.kind() {
            "identifier" | "attribute" => {
                let last = self.text(right).rsplit('.').next().unwrap_or_default();
                let found = self.patterns.identifier(last).or_else(|| self.aliases.get(last).copied());
                // An address is as often a value as a function.
                let found = found.filter(|(rule, _)| rule.id == rules::NAME_HELPER.id);
                if let Some(found) = found.filter(|_| self.patterns.identifier(&name).is_none()) {
                    self.aliases.insert(name, found);
                    return;
                }
            }
            "string" => {
                let text = template::content(self.source, right);
                let shouted = name
                    .bytes()
                    .all(|byte| byte.is_ascii_uppercase() || byte == b'_' || byte.is_ascii_digit());
                let telling = |text: &&str| {
                    shouted || patterns::service(text).is_some() || self.patterns.is_prefix(text)
                };
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
        // The class is around its block, that around the statement, and that around the assignment.
        let class = self.patterns.identifier(&name).is_some()
            && self.around(node).take(3).any(|outer| outer.kind() == "class_definition");
        if !class {
            self.locals.insert(name);
        }
    }

    /// Ends the learning: what is a helper anywhere in the file is no variable.
    pub(super) fn finish_bindings(&mut self) {
        let helpers = &self.helpers;
        self.locals.retain(|name| !helpers.contains(name));
        self.finish_loops();
    }
}
