//! Constants that are the start of docker commands: `COMPOSE = ["docker", "compose"]`.

use tree_sitter::Node;

use super::{File, children, last_word, template};
use crate::scan::command;

impl<'t> File<'_, 't> {
    /// Takes in a name whose value is the start of a docker command.
    pub(super) fn learn_command(&mut self, name: &str, value: Node<'t>) {
        if !self.docker {
            return;
        }
        if let Some(words) = self.start_of_command(value) {
            self.commands.insert(name.to_owned(), words);
        }
    }

    /// The words that an expression begins a docker command with; those that are not known are empty.
    pub(super) fn start_of_command(&self, node: Node<'_>) -> Option<Vec<String>> {
        let words = match node.kind() {
            "list" | "tuple" => {
                let mut words = Vec::new();
                for element in children(node) {
                    match self.start_of_command(element).filter(|_| element.kind() == "list_splat") {
                        Some(more) => words.extend(more),
                        None => {
                            words
                                .push(template::content(self.source, element).unwrap_or_default().to_owned());
                        }
                    }
                }
                words
            }
            "identifier" | "attribute" => self.commands.get(last_word(self.text(node)))?.clone(),
            "list_splat" | "parenthesized_expression" => return self.start_of_command(node.named_child(0)?),
            "binary_operator" => {
                let mut words = self.start_of_command(node.child_by_field_name("left")?)?;
                let right = node.child_by_field_name("right")?;
                if matches!(right.kind(), "list" | "tuple") {
                    let text =
                        |element| template::content(self.source, element).unwrap_or_default().to_owned();
                    words.extend(children(right).into_iter().map(text));
                }
                words
            }
            // `"docker compose".split()`, `shlex.split("docker compose")`, `list(COMPOSE)`
            "call" => {
                let function = node.child_by_field_name("function")?;
                let argument = node.child_by_field_name("arguments").and_then(|list| list.named_child(0));
                match last_word(self.text(function)) {
                    "split" => {
                        let object = function.child_by_field_name("object");
                        let mut texts = [object, argument].into_iter().flatten();
                        let known = |node: Node<'_>| {
                            let constant = self.constants.get(self.text(node)).map(String::as_str);
                            template::content(self.source, node).or(constant).map(str::to_owned)
                        };
                        texts.find_map(known)?.split_whitespace().map(str::to_owned).collect()
                    }
                    "list" | "tuple" => return self.start_of_command(argument?),
                    _ => return None,
                }
            }
            _ => return None,
        };
        words.first().is_some_and(|first| command::program(first)).then_some(words)
    }

    /// The words of a command to which a list is added: `COMPOSE + [ … ]`.
    pub(super) fn added_to(&self, list: Node<'t>) -> Option<Vec<String>> {
        let outer = self.parent(list).filter(|outer| outer.kind() == "binary_operator")?;
        let left = outer.child_by_field_name("left").filter(|left| *left != list)?;
        self.start_of_command(left)
    }
}
