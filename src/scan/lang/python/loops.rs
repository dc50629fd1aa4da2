//! Loops over the names of daemons: statements, comprehensions, and the parameters of tests.

use std::collections::{BTreeMap, BTreeSet};
use std::ops::Range;

use tree_sitter::Node;

use super::{File, children, each, last_word, template};
use crate::rule::ScanRule;
use crate::scan::finding::Match;
use crate::scan::fix::words;
use crate::scan::patterns;
use crate::scan::rules;

/// Most elements of a list that are followed.
const MOST: usize = 256;

/// Steps from a variable to the list that it stands for.
const STEPS: usize = 4;

/// Variables, what they go over, and where they have its elements.
pub(super) struct Loop<'t> {
    variables: Vec<String>,
    over: Node<'t>,
    scope: Node<'t>,
}

/// Functions whose value has the elements of their arguments.
pub(super) fn keeps_elements(function: &str) -> bool {
    matches!(
        last_word(function),
        "sorted"
            | "list"
            | "tuple"
            | "set"
            | "frozenset"
            | "reversed"
            | "enumerate"
            | "zip"
            | "iter"
            | "product"
    )
}

impl<'t> File<'_, 't> {
    /// Takes in a `for`.
    pub(super) fn bind_loop(&mut self, node: Node<'t>) {
        let (Some(left), Some(over)) = (node.child_by_field_name("left"), node.child_by_field_name("right"))
        else {
            return;
        };
        let scope = if node.kind() == "for_in_clause" { self.parent(node).unwrap_or(node) } else { node };
        let mut variables = Vec::new();
        each(left, |inner| {
            if inner.kind() == "identifier" {
                variables.push(self.text(inner).to_owned());
            }
        });
        self.loops.push(Loop { variables, over, scope });
    }

    /// Takes in what `map` and its like call with each element: `map(lambda svc: …, services)`.
    pub(super) fn bind_map(&mut self, node: Node<'t>) {
        let Some(arguments) = self.parent(node).filter(|outer| outer.kind() == "argument_list") else {
            return;
        };
        let function = self.parent(arguments).and_then(|call| call.child_by_field_name("function"));
        let name = function.map_or("", |function| last_word(self.text(function)));
        let over = children(arguments).into_iter().nth(1);
        let parameters = node.child_by_field_name("parameters").map(children).unwrap_or_default();
        if let Some(over) = over.filter(|_| matches!(name, "map" | "filter" | "starmap")) {
            let variables = parameters.into_iter().map(|parameter| self.text(parameter).to_owned()).collect();
            self.loops.push(Loop { variables, over, scope: node });
        }
    }

    /// Takes in a decorator that gives a test its parameters.
    pub(super) fn bind_parameters(&mut self, node: Node<'t>) {
        let (Some(call), Some(scope)) = (node.named_child(0), self.parent(node)) else { return };
        let (Some(function), Some(arguments)) =
            (call.child_by_field_name("function"), call.child_by_field_name("arguments"))
        else {
            return;
        };
        let arguments = children(arguments);
        let keyword = |name: &str| {
            let named = arguments.iter().find(|argument| {
                argument.child_by_field_name("name").is_some_and(|key| self.text(key) == name)
            });
            named.and_then(|argument| argument.child_by_field_name("value"))
        };
        let (variables, over) = match last_word(self.text(function)) {
            "parametrize" => {
                let first = keyword("argnames").or_else(|| arguments.first().copied());
                let over = keyword("argvalues").or_else(|| arguments.get(1).copied());
                let mut variables = Vec::new();
                if let Some(first) = first {
                    each(first, |inner| {
                        let text = template::content(self.source, inner).unwrap_or_default();
                        variables.extend(text.split(',').map(|name| name.trim().to_owned()));
                    });
                }
                (variables, over)
            }
            "fixture" => (vec!["param".to_owned()], keyword("params")),
            "expand" | "data" => {
                let parameters = scope
                    .child_by_field_name("definition")
                    .and_then(|function| function.child_by_field_name("parameters"));
                let patterns = parameters.map(children).unwrap_or_default();
                let patterns = patterns.into_iter().map(|name| self.text(name).to_owned());
                let over = if arguments.len() == 1 {
                    arguments.first().copied()
                } else {
                    call.child_by_field_name("arguments")
                };
                (patterns.collect(), over)
            }
            _ => return,
        };
        let variables: Vec<_> = variables.into_iter().filter(|name| !name.is_empty()).collect();
        if let Some(over) = over.filter(|_| !variables.is_empty()) {
            self.loops.push(Loop { variables, over, scope });
        }
    }

    /// Whether an expression is the variable of a loop over names of daemons.
    pub(super) fn goes_over(&self, node: Node<'_>) -> bool {
        node.kind() == "identifier" && self.variables.contains(self.text(node))
    }

    /// Leaves the loops over names of daemons.
    pub(super) fn finish_loops(&mut self) {
        let loops = std::mem::take(&mut self.loops);
        let mut known: BTreeMap<usize, bool> = BTreeMap::new();
        let mut goes_over_daemons = |it: &Loop<'t>| {
            *known
                .entry(self.list_of(it.over).id())
                .or_insert_with(|| !self.elements(it.over, STEPS).is_empty())
        };
        self.loops = loops.into_iter().filter(|it| goes_over_daemons(it)).collect();
        self.variables = self.loops.iter().flat_map(|it| it.variables.iter().cloned()).collect();
    }

    /// What a name stands for, if it is that of a list.
    fn list_of(&self, over: Node<'t>) -> Node<'t> {
        match over.kind() {
            "identifier" | "attribute" => self.lists.get(last_word(self.text(over))).copied().unwrap_or(over),
            _ => over,
        }
    }

    /// The strings in what a loop goes over that name daemons.
    fn elements(&self, over: Node<'t>, steps: usize) -> Vec<Node<'t>> {
        let mut out = self.all_elements(over, steps);
        out.truncate(MOST);
        out
    }

    fn all_elements(&self, over: Node<'t>, steps: usize) -> Vec<Node<'t>> {
        let Some(steps) = steps.checked_sub(1) else { return Vec::new() };
        let named = |node: &Node<'t>| {
            template::content(self.source, *node)
                .is_some_and(|text| patterns::service(text).is_some() || text == "git_gate")
        };
        let all = |nodes: Vec<Node<'t>>| {
            nodes.into_iter().flat_map(|node| self.elements(node, steps)).take(MOST).collect()
        };
        match over.kind() {
            "list" | "tuple" | "set" | "argument_list" => children(over)
                .into_iter()
                .flat_map(|element| match element.kind() {
                    "tuple" | "list" => children(element),
                    // `pytest.param("egress", id="x")`
                    "call" => element.child_by_field_name("arguments").map(children).unwrap_or_default(),
                    "list_splat" => self.elements(element, steps),
                    _ => vec![element],
                })
                .filter(named)
                .take(MOST)
                .collect(),
            "dictionary" => {
                let keys = children(over).into_iter().filter_map(|pair| pair.child_by_field_name("key"));
                keys.filter(named).collect()
            }
            "identifier" | "attribute" => {
                let list = self.lists.get(last_word(self.text(over)));
                list.map(|list| self.elements(*list, steps)).unwrap_or_default()
            }
            "call" => {
                let function = over.child_by_field_name("function");
                let name = function.map_or("", |function| self.text(function));
                if keeps_elements(name) {
                    return all(over.child_by_field_name("arguments").map(children).unwrap_or_default());
                }
                let object = function.and_then(|function| function.child_by_field_name("object"));
                let same = matches!(last_word(name), "items" | "keys" | "copy");
                object.filter(|_| same).map(|object| self.elements(object, steps)).unwrap_or_default()
            }
            "binary_operator" | "parenthesized_expression" | "list_splat" => all(children(over)),
            _ => Vec::new(),
        }
    }

    /// Reports the names over which loops go that make references of them.
    pub(super) fn names_in_loops(&mut self) {
        if self.loops.is_empty() {
            return;
        }
        // By each word of the statements around them, in the order of the text.
        let mut open: BTreeMap<&str, Vec<(Range<usize>, &'static ScanRule)>> = BTreeMap::new();
        let taken = std::mem::take(&mut self.open);
        // A statement with many of them is read once.
        let mut last = ("", BTreeSet::new());
        for (span, rule, statement) in &taken {
            if !std::ptr::eq(last.0, *statement) {
                let named = words(statement).filter(|word| self.variables.contains(*word));
                last = (*statement, named.collect());
            }
            for word in &last.1 {
                open.entry(*word).or_default().push((span.clone(), *rule));
            }
        }
        for of_word in open.values_mut() {
            of_word.sort_by_key(|(span, _)| span.start);
        }
        // One list is reported once for each rule, however many loops go over it.
        let mut reported: BTreeSet<(usize, &str)> = BTreeSet::new();
        for Loop { variables, over, scope } in std::mem::take(&mut self.loops) {
            let used = variables.iter().find_map(|variable| {
                let of_word = open.get(variable.as_str())?;
                let first = of_word.partition_point(|(span, _)| span.start < scope.start_byte());
                of_word.get(first).filter(|(span, _)| span.end <= scope.end_byte()).map(|(_, rule)| *rule)
            });
            let Some(rule) = used.or_else(|| self.asked_of_services(scope, &variables)) else { continue };
            if !reported.insert((self.list_of(over).id(), rule.id.as_str())) {
                continue;
            }
            for element in self.elements(over, STEPS) {
                let text = template::content(self.source, element);
                let service = text.and_then(patterns::daemon).filter(|service| !rules::keeps(rule, *service));
                if let (Some(service), Some(span)) = (service, template::inner(element)) {
                    self.matches.push(Match::new(span, rule, Some(service)));
                }
            }
        }
    }

    /// `all(name in services for name in (…))`, `services[name]`
    fn asked_of_services(&self, scope: Node<'t>, variables: &[String]) -> Option<&'static ScanRule> {
        if !self.source.contains("services") {
            return None;
        }
        let mut found = None;
        each(scope, |inner| {
            if inner.kind() == "comparison_operator" || inner.kind() == "subscript" {
                let parts = children(inner);
                let named = parts.iter().any(|part| variables.iter().any(|name| name == self.text(*part)));
                if named && parts.iter().any(|part| self.services(*part)) {
                    found = Some(&rules::SERVICE_SUBSCRIPT);
                }
            }
        });
        found
    }
}

#[cfg(test)]
mod tests {
    use crate::scan::lang::python::{Known, search};
    use crate::scan::patterns::Patterns;

    /// Forms that are reported, each with the word that it stands on or `-`.
    fn reported(source: &str) -> Vec<(String, &'static str)> {
        let patterns = Patterns::new(&["bot-bottle".to_owned()], "FLAG");
        let mut matches = Vec::new();
        search(&patterns, source, "tests/x.py", &Known::default(), &mut matches);
        matches.sort_by_key(|matched| matched.span.start);
        let word = |matched: &crate::scan::finding::Match| {
            matched.service.map_or("-".to_owned(), |it| it.to_string())
        };
        matches.iter().map(|matched| (word(matched), matched.rule.id.as_str())).collect()
    }

    #[test]
    fn names_stand_where_what_a_loop_goes_over_lists_them() {
        for (source, rule) in [
            ("for s in ('egress', 'supervise'):\n    f(f'bot-bottle-{s}-x')\n", "container-name"),
            (
                "A = {'egress', 'supervise'}\nfor s in sorted(A):\n    f(f'bot-bottle-{s}-x')\n",
                "container-name",
            ),
            (
                "A = {'egress': 1, 'supervise': 2}\nfor s, n in A.items():\n    f('bot-bottle-%s' % s)\n",
                "container-name",
            ),
            (
                "class C:\n    A = ['egress', 'supervise']\n    x = [f'bot-bottle-{s}-x' for s in A]\n",
                "container-name",
            ),
            ("x = map(lambda s: f'bot-bottle-{s}-x', ('egress', 'supervise'))\n", "container-name"),
            (
                "@m.parametrize('s', ['egress', 'supervise'])\ndef test(s):\n    run(['docker', 'rm', f'bot-bottle-{s}-x'])\n",
                "docker-cli",
            ),
            (
                "@m.parametrize('s,n', [('egress', 1), m.param('supervise', 2, id='x')])\ndef test(s, n):\n    f(f'bot-bottle-{s}-x')\n",
                "container-name",
            ),
            (
                "@m.parametrize(argnames=['s'], argvalues=['egress', 'supervise'])\ndef test(s):\n    f(f'http://{s}:80/')\n",
                "url-host",
            ),
            (
                "@fixture(params=['egress', 'supervise'])\ndef made(request):\n    return 'bot-bottle-' + request.param\n",
                "container-name",
            ),
            (
                "@expand(['egress', ('supervise',)])\ndef test(self, s):\n    run(f'docker rm bot-bottle-{s}-x')\n",
                "docker-cli",
            ),
            ("for s in ('egress', 'supervise'):\n    getattr(m, f'{s}_container_name')\n", "name-helper"),
            ("for s in ('egress', 'supervise'):\n    container_name(s, 'x')\n", "name-helper"),
            (
                "for s in ('egress', 'supervise'):\n    run(['docker', 'compose', 'restart', s])\n",
                "compose-cli",
            ),
            ("for s in ('egress', 'supervise'):\n    connect((s, 9099))\n", "url-host"),
        ] {
            let mut found = reported(source);
            found.sort();
            found.dedup();
            let expected = ["-", "egress", "supervise"].map(|word| (word.to_owned(), rule));
            assert_eq!(found, expected, "{source}");
        }
    }

    #[test]
    fn a_loop_that_makes_no_names_is_none() {
        for source in [
            "for s in ('egress', 'ingress'):\n    f(f'{s}-rules')\n",
            "for s in ('egress', 'supervise'):\n    f(f'bot-bottle-sidecars-x', s)\n",
            "for s in ('egress', 'supervise'):\n    f(s)\nf(f'bot-bottle-{t}-x')\n",
            "@m.parametrize('s', ['egress', 'supervise'])\ndef test(s):\n    assert status[s] == 'running'\n",
            "for net in ('internal', 'egress'):\n    getattr(m, f'{net}_network_name')\n",
        ] {
            assert_eq!(reported(source), [], "{source}");
        }
    }
}
