//! What a variable holds: the name of a sidecar's container, or an object that starts and stops one.
//!
//! The last value before counts, in the innermost function around that binds the variable; attributes of `self` are
//! looked up in the class.

use std::collections::BTreeMap;
use std::rc::Rc;

use bottle_model::daemon::Daemon;
use tree_sitter::Node;

use super::{File, children, last_word};
use crate::scan::finding::Match;
use crate::scan::rules;

/// Steps from a variable to its value.
const STEPS: usize = 4;

/// Methods that start a container and return its name or address.
const STARTS: [&str; 6] = ["start", "run", "up", "launch", "create", "__enter__"];

/// Methods that act on a container.
const ACTS: [&str; 14] = [
    "start",
    "run",
    "up",
    "launch",
    "create",
    "__enter__",
    "stop",
    "restart",
    "down",
    "close",
    "kill",
    "reload",
    "remove",
    "cleanup",
];

/// What a value is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Held {
    /// The name of a container.
    Name,
    /// What starts and stops a container.
    Object,
    /// What starting it returned.
    Started,
}

/// A value of a variable.
struct Value<'t> {
    at: usize,
    node: Node<'t>,
    /// The function that returns it.
    inside: Option<usize>,
}

/// The values of variables, by the function or class that binds them; 0 is the module.
#[derive(Default)]
pub(super) struct Values<'t> {
    by_scope: BTreeMap<(usize, String), Vec<Value<'t>>>,
    /// Names of classes that start and stop containers, by another name.
    pub(super) classes: BTreeMap<String, Daemon>,
    /// Names of containers that are reported so far, by where they begin.
    pub(super) reported: BTreeMap<usize, Daemon>,
}

impl<'t> File<'_, 't> {
    /// The function or class around what is visited, without itself.
    fn scope(&self, node: Node<'t>, kinds: &[&str]) -> usize {
        self.around(node).find(|outer| kinds.contains(&outer.kind())).map_or(0, |outer| outer.id())
    }

    fn hold(&mut self, scope: usize, name: &str, value: Node<'t>, inside: Option<usize>) {
        let values = self.held.by_scope.entry((scope, name.to_owned())).or_default();
        values.push(Value { at: value.start_byte(), node: value, inside });
    }

    /// Takes in a value that a node gives to a variable, an attribute, or the callers of a function.
    pub(super) fn collect_held(&mut self, node: Node<'t>) {
        const SCOPES: [&str; 2] = ["function_definition", "class_definition"];
        let (target, value) = match node.kind() {
            "assignment" => (node.child_by_field_name("left"), node.child_by_field_name("right")),
            "default_parameter" | "typed_default_parameter" => {
                (node.child_by_field_name("name"), node.child_by_field_name("value"))
            }
            "as_pattern" => {
                let alias = node.child_by_field_name("alias").and_then(|alias| alias.named_child(0));
                (alias, node.named_child(0))
            }
            "return_statement" | "yield" => {
                let Some(value) = node.named_child(0) else { return };
                let Some(function) = self.around(node).find(|outer| outer.kind() == "function_definition")
                else {
                    return;
                };
                if let Some(name) = function.child_by_field_name("name") {
                    let scope = self.scope(function, &SCOPES);
                    self.hold(scope, self.text(name), value, Some(function.id()));
                }
                return;
            }
            _ => return,
        };
        let (Some(target), Some(value)) = (target, value) else { return };
        match target.kind() {
            "identifier" => {
                let scope = self.scope(node, &SCOPES);
                self.hold(scope, self.text(target), value, None);
            }
            "attribute" if self.is_of_self(target) => {
                let scope = self.scope(node, &["class_definition"]);
                self.hold(scope, last_word(self.text(target)), value, None);
            }
            _ => {}
        }
    }

    fn is_of_self(&self, attribute: Node<'_>) -> bool {
        attribute
            .child_by_field_name("object")
            .is_some_and(|object| matches!(self.text(object), "self" | "cls"))
    }

    /// What an expression that is visited, or is within it, holds.
    pub(super) fn held(&self, node: Node<'t>) -> Option<(Held, Daemon)> {
        let around = |kind: &str| {
            self.path.iter().rev().filter(move |outer| outer.kind() == kind).map(Node::id).collect::<Vec<_>>()
        };
        let mut functions = around("function_definition");
        functions.push(0);
        let class = around("class_definition").first().copied().unwrap_or_default();
        self.value(node, &Rc::new(functions), class, STEPS)
    }

    fn value(
        &self,
        node: Node<'t>,
        functions: &Rc<Vec<usize>>,
        class: usize,
        steps: usize,
    ) -> Option<(Held, Daemon)> {
        let steps = steps.checked_sub(1)?;
        let follow = |node: Node<'t>| self.value(node, functions, class, steps);
        match node.kind() {
            "identifier" => functions
                .iter()
                .find_map(|scope| self.last(*scope, self.text(node), node.start_byte()))
                .and_then(|value| self.of_value(value, functions, class, steps)),
            "attribute" if self.is_of_self(node) => {
                let value = self.last(class, last_word(self.text(node)), node.start_byte())?;
                self.of_value(value, functions, class, steps)
            }
            "call" => {
                let function = node.child_by_field_name("function")?;
                let name = last_word(self.text(function));
                let class_of = || self.held.classes.get(name).copied().or_else(|| self.patterns.class(name));
                if let Some(service) = class_of() {
                    return Some((Held::Object, service));
                }
                let helper = self.patterns.identifier(name).or_else(|| self.aliases.get(name).copied());
                if let Some((rule, service)) = helper {
                    return (rule.id == rules::NAME_HELPER.id).then_some((Held::Name, service));
                }
                let first = || {
                    let arguments = node.child_by_field_name("arguments").map(children).unwrap_or_default();
                    arguments.last().copied()
                };
                match name {
                    "enter_context" | "enterContext" | "get" | "getenv" | "str" => return follow(first()?),
                    _ => {}
                }
                if let Some(object) =
                    function.child_by_field_name("object").filter(|_| STARTS.contains(&name))
                    && let Some((Held::Object, service)) = follow(object)
                {
                    return Some((Held::Started, service));
                }
                follow(function)
            }
            "string" | "concatenated_string" | "binary_operator" => {
                let (_, service) = self.held.reported.range(node.byte_range()).next()?;
                Some((Held::Name, *service))
            }
            "parenthesized_expression" | "await" | "yield" => follow(node.named_child(0)?),
            _ => None,
        }
    }

    fn of_value(
        &self,
        value: &Value<'t>,
        functions: &Rc<Vec<usize>>,
        class: usize,
        steps: usize,
    ) -> Option<(Held, Daemon)> {
        match value.inside {
            Some(inside) => {
                let functions = std::iter::once(inside).chain(functions.iter().copied()).collect();
                self.value(value.node, &Rc::new(functions), class, steps)
            }
            None => self.value(value.node, functions, class, steps),
        }
    }

    /// The last value that a scope gives to a name before `at`, or the first of all.
    fn last(&self, scope: usize, name: &str, at: usize) -> Option<&Value<'t>> {
        let values = self.held.by_scope.get(&(scope, name.to_owned()))?;
        let behind = values.partition_point(|value| value.at < at);
        values.get(behind.saturating_sub(1))
    }

    /// Reports what a docker command, which is a list, does to containers that variables name.
    pub(super) fn targets_held(&mut self, list: Node<'t>) {
        let Some(command) = self.command_of(list).filter(|command| !command.invocation.compose) else {
            return;
        };
        for element in children(list) {
            let own = match element.kind() {
                "identifier" | "attribute" => true,
                // A helper that is known by its name is reported by that.
                "call" => element.child_by_field_name("function").is_some_and(|function| {
                    let name = last_word(self.text(function));
                    self.patterns.identifier(name).is_none() && !self.aliases.contains_key(name)
                }),
                _ => false,
            };
            if !own || !command.targets(element.start_byte()) {
                continue;
            }
            if let Some((Held::Name | Held::Started, service)) = self.held(element) {
                let suggestion = crate::scan::detect::docker::suggestion(&command.invocation.verb, service);
                let matched = Match::new(element.byte_range(), &rules::DOCKER_CLI, Some(service));
                self.matches.push(matched.suggest(suggestion));
            }
        }
    }

    /// Reports a method that starts or stops a sidecar's container: `proxy.start(plan)`, `addCleanup(proxy.stop)`.
    pub(super) fn acts(&mut self, attribute: Node<'t>) {
        let Some(name) = attribute.child_by_field_name("attribute") else { return };
        if !ACTS.contains(&self.text(name)) {
            return;
        }
        let object = attribute.child_by_field_name("object").and_then(|object| self.held(object));
        if let Some((Held::Object, service)) = object {
            self.matched(name, &rules::NAME_HELPER, Some(service));
            if let Some(matched) = self.matches.last_mut() {
                "the bundle's container, which has all four daemons".clone_into(&mut matched.suggestion);
            }
        }
    }

    /// The containers that values within a string name, by where each begins; addresses of started ones are reported.
    pub(super) fn held_within(&mut self, string: Node<'t>) -> BTreeMap<usize, Daemon> {
        let mut names = BTreeMap::new();
        if self.held.by_scope.is_empty() {
            return names;
        }
        for child in children(string).into_iter().filter(|child| child.kind() == "interpolation") {
            let Some(expression) = child.named_child(0) else { continue };
            match self.held(expression) {
                Some((Held::Name, service)) => {
                    names.insert(expression.start_byte(), service);
                }
                Some((Held::Started, service)) => {
                    let address = self.source[..child.start_byte()].ends_with("://")
                        || self.source[child.end_byte()..].starts_with(['/', ':']);
                    if address {
                        self.matched(expression, &rules::URL_HOST, Some(service));
                    }
                    names.insert(expression.start_byte(), service);
                }
                _ => {}
            }
        }
        names
    }
}

#[cfg(test)]
mod tests {
    use crate::scan::lang::python::{Known, search};
    use crate::scan::patterns::Patterns;

    /// Lines and forms that are reported, in order, without the first line.
    fn reported(source: &str) -> Vec<(usize, &'static str)> {
        let patterns = Patterns::new(&["bot-bottle".to_owned()], "FLAG");
        let mut matches = Vec::new();
        search(&patterns, source, "tests/x.py", &Known::default(), &mut matches);
        let line = |at: usize| source[..at].matches('\n').count() + 1;
        let mut found: Vec<_> =
            matches.iter().map(|matched| (line(matched.span.start), matched.rule.id.as_str())).collect();
        found.sort_unstable();
        found.dedup();
        found
    }

    #[test]
    fn a_command_on_a_variable_is_reported_where_it_is_written() {
        for (source, form) in [
            ("name = f'bot-bottle-egress-{s}'\nrun(['docker', 'restart', name])\n", "container-name"),
            ("NAME = 'bot-bottle-egress-x'\ndef f(): run(['docker', 'rm', '-f', NAME])\n", "container-name"),
            ("name = egress_container_name(s)\nrun(['docker', 'kill', '-s', 'HUP', name])\n", "name-helper"),
            ("def f(c='bot-bottle-egress-x'):\n  run(['docker', 'logs', c])\n", "container-name"),
            ("def f(s): return f'bot-bottle-egress-{s}'\nrun(['docker', 'rm', f(1)])\n", "container-name"),
            ("gate = f'bot-bottle-egress-{s}'\nrun(f'docker logs {gate}', shell=True)\n", "container-name"),
            (
                "class T:\n  def a(self): self.n = 'bot-bottle-egress-x'; self.go()\n  def b(self): docker('rm', self.n)\n",
                "",
            ),
        ] {
            let found = reported(source);
            if form.is_empty() {
                assert_eq!(found, [(2, "container-name"), (3, "docker-cli")], "{source}");
            } else {
                assert_eq!(found, [(1, form), (2, "docker-cli")], "{source}");
            }
        }
    }

    #[test]
    fn a_variable_is_what_it_was_given_last() {
        let other = "n = 'bot-bottle-egress-x'\nn = 'bot-bottle-sidecars-x'\nrun(['docker', 'rm', n])\n";
        assert_eq!(reported(other), [(1, "container-name")]);
        let inner =
            "def f():\n  n = 'bot-bottle-egress-x'\ndef g():\n  n = agent(1)\n  run(['docker', 'rm', n])\n";
        assert_eq!(reported(inner), [(2, "container-name")]);
        let network = "network = 'bot-bottle-egress-x'\nrun(['docker', 'network', 'rm', network])\n";
        assert_eq!(reported(network), []);
        let printed = "n = 'bot-bottle-egress-x'\nprint(n)\nprint(f'{n} is up')\n";
        assert_eq!(reported(printed), [(1, "container-name")]);
    }

    #[test]
    fn what_starts_and_stops_a_sidecar_is_reported() {
        let helper = "name-helper";
        for (source, found) in [
            (
                "from d import DockerEgress\nproxy = DockerEgress()\nname = proxy.start(plan)\nproxy.stop(name)\n",
                vec![(1, helper), (2, helper), (3, helper), (4, helper)],
            ),
            (
                "from d import DockerGitGate as Gate\nclass T:\n  def setUp(self):\n    self.gate = Gate()\n    self.addCleanup(self.gate.stop, 1)\n",
                vec![(1, helper), (4, helper), (5, helper)],
            ),
            ("with DockerEgress() as proxy:\n  proxy.restart()\n", vec![(1, helper), (2, helper)]),
            (
                "proxy = DockerEgress()\nurl = proxy.start(1)\nget(f'{url}/health')\nget(f'http://{url}')\n",
                vec![(1, helper), (2, helper), (3, "url-host"), (4, "url-host")],
            ),
            (
                "def made():\n  egress = DockerEgress()\n  yield egress.start(1)\ndef test(made):\n  run(['docker', 'logs', made])\n",
                vec![(2, helper), (3, helper), (5, "docker-cli")],
            ),
            ("thread = Thread()\nthread.start()\nthread.stop()\n# egress\n", vec![]),
        ] {
            assert_eq!(reported(source), found, "{source}");
        }
    }
}
