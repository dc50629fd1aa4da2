//! Constants that are the start of docker commands: `COMPOSE = ["docker", "compose"]`.

use tree_sitter::Node;

use super::{File, children, last_word, template};
use crate::scan::detect::command;

/// Longest start of a command that is followed, in words: lists that name each other may double at every step.
const MOST: usize = 256;

impl<'t> File<'_, 't> {
    /// Takes in a name whose value is the start of a docker command.
    pub(super) fn bind_command(&mut self, name: &str, value: Node<'t>) {
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
        let known = words.len() <= MOST && words.first().is_some_and(|first| command::program(first));
        known.then_some(words)
    }

    /// The words of a command to which a list is added: `COMPOSE + [ … ]`.
    pub(super) fn added_to(&self, list: Node<'t>) -> Option<Vec<String>> {
        let outer = self.parent(list).filter(|outer| outer.kind() == "binary_operator")?;
        let left = outer.child_by_field_name("left").filter(|left| *left != list)?;
        self.start_of_command(left)
    }
}

#[cfg(test)]
mod tests {
    use crate::scan::lang::python::{Known, search};
    use crate::scan::patterns::Patterns;

    #[test]
    fn a_constant_begins_a_command() {
        let patterns = Patterns::new(&["bot-bottle".to_owned()], "FLAG");
        for (start, command) in [
            ("C = ['docker', 'compose']", "[*C, 'restart', 'egress']"),
            ("C = ('docker', 'compose')", "C + ('-f', x, 'restart', 'egress')"),
            ("C = 'docker compose -f x'.split()", "C + ['restart', 'egress']"),
            ("C = shlex.split('docker compose')", "[*C, 'exec', '-T', 'egress', 'ls']"),
            ("B = ['docker']\nC = B + ['compose']", "[*C, 'logs', 'egress']"),
            ("B = ['docker']\nC = [*B, 'compose']", "list(C) + ['logs', 'egress']"),
            ("class C: pass\nself.c = ['docker', 'compose']", "[*self.c, 'logs', 'egress']"),
            ("C = ['docker', 'compose']", "run(*C, 'logs', 'egress')"),
        ] {
            let source = format!("{start}\nrun({command})\n");
            let mut matches = Vec::new();
            search(&patterns, &source, "x.py", &Known::default(), &mut matches);
            let found: Vec<_> = matches
                .iter()
                .map(|matched| (&source[matched.span.clone()], matched.rule.id.as_str()))
                .collect();
            assert_eq!(found, [("egress", "compose-cli")], "{source}");
        }
        for source in [
            "C = ['make', 'x']\nrun([*C, 'restart', 'egress'])\n",
            "C = ['docker', 'compose']\nrun([*C, 'restart', 'agent'])\n",
            "C = ['docker', 'compose']\nrun(C + ['exec', 'sidecars', 'sidecar-init', 'restart', 'egress'])\n",
        ] {
            let mut matches = Vec::new();
            search(&patterns, source, "x.py", &Known::default(), &mut matches);
            assert!(matches.is_empty(), "{source}: {matches:?}");
        }
    }

    #[test]
    fn a_verb_that_comes_from_a_constant_is_not_rewritten() {
        let patterns = Patterns::new(&["bot-bottle".to_owned()], "FLAG");
        let source = "K = ['docker', 'kill']\nrun([*K, '-s', 'HUP', 'bot-bottle-egress-x'])\n";
        let mut matches = Vec::new();
        search(&patterns, source, "x.py", &Known::default(), &mut matches);
        assert_eq!(matches.len(), 1);
        assert!(matches[0].edits.is_empty(), "{matches:?}");
    }
}
