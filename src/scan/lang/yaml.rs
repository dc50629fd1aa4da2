//! References in YAML: compose files, workflows, settings.

use std::collections::BTreeSet;

use tree_sitter::Node;

use crate::scan::detect::command::{Command, Word};
use crate::scan::detect::docker;
use crate::scan::detect::{self, Context, Use};
use crate::scan::finding::Match;
use crate::scan::lang::grammar;
use crate::scan::lang::loops::Loops;
use crate::scan::lang::text::{self, Comments};
use crate::scan::lang::variables::Variables;
use crate::scan::patterns::{self, Patterns};
use crate::scan::rules;

/// Deepest nesting that is looked into.
const DEEP: usize = 200;

/// Finds the references in a YAML text; says whether it is within the bounds of the grammar.
///
/// What is beyond them, or no YAML, is searched as plain text.
pub(in crate::scan) fn search(patterns: &Patterns, source: &str, matches: &mut Vec<Match>) -> bool {
    let tree = grammar::parse(&tree_sitter_yaml::LANGUAGE.into(), source, &[]);
    let parsed = tree.is_some();
    match tree {
        Some(tree) if !tree.root_node().has_error() => {
            let loops = Loops::of(patterns, source);
            let before = matches.len();
            Walk {
                patterns,
                source,
                matches,
                path: Vec::new(),
                loops: loops.variables(),
                variables: &Variables::of(patterns, source, false),
                kept: false,
                commands: Vec::new(),
            }
            .node(tree.root_node(), 0);
            loops.report(source, before, matches);
        }
        _ => text::search(patterns, source, Comments::Hash, matches),
    }
    parsed
}

struct Walk<'a, 'h> {
    patterns: &'a Patterns,
    source: &'a str,
    matches: &'h mut Vec<Match>,
    path: Vec<String>,
    /// Variables of a matrix of daemons.
    loops: &'a BTreeSet<String>,
    /// Variables that keys of the file give values to: the environment of a workflow.
    variables: &'a Variables,
    /// Whether a mapping around says that it is about a network: `name: network`, `values: […]`.
    kept: bool,
    /// Docker commands that are lists of words.
    commands: Vec<Command>,
}

impl<'a> Walk<'a, '_> {
    fn text(&self, node: Node<'_>) -> &'a str {
        &self.source[node.byte_range()]
    }

    fn node(&mut self, node: Node<'_>, depth: usize) {
        if depth > DEEP {
            text::search(self.patterns, self.text(node), Comments::Hash, self.matches);
            return;
        }
        match node.kind() {
            "comment" => {}
            "block_mapping_pair" | "flow_pair" => {
                let Some(key) = node.child_by_field_name("key") else { return };
                let name = self.text(key).trim_matches(['"', '\'']).to_owned();
                self.key(&name, key, node.child_by_field_name("value"));
                if let Some(value) = node.child_by_field_name("value") {
                    self.path.push(name);
                    self.node(value, depth + 1);
                    self.path.pop();
                }
            }
            "block_mapping" | "flow_mapping" => {
                let outer = self.kept;
                self.kept |= children(node).into_iter().any(|pair| {
                    let text = |field| pair.child_by_field_name(field).map_or("", |node| self.text(node));
                    matches!(text("key"), "name" | "type" | "kind")
                        && matches!(text("value").trim_matches(['"', '\'']), "network" | "volume")
                });
                self.children(node, depth);
                self.kept = outer;
            }
            "flow_sequence" | "block_sequence" => {
                self.argv(node);
                self.children(node, depth);
            }
            "plain_scalar" | "double_quote_scalar" | "single_quote_scalar" => self.scalar(node),
            "block_scalar" => {
                let start = node.start_byte();
                let before = self.matches.len();
                text::within(self.patterns, self.text(node), Comments::Hash, self.variables, self.matches);
                for matched in &mut self.matches[before..] {
                    matched.moved(start);
                }
            }
            _ => self.children(node, depth),
        }
    }

    fn children(&mut self, node: Node<'_>, depth: usize) {
        for child in children(node) {
            self.node(child, depth + 1);
        }
    }

    /// A docker command as a list of words: `[docker, restart, bot-bottle-egress-x]`.
    fn argv(&mut self, list: Node<'_>) {
        let words = children(list).into_iter().filter_map(|item| {
            let node = scalar(item)?;
            let outer = node.byte_range();
            let quotes = usize::from(node.kind() != "plain_scalar");
            let span = outer.start + quotes..outer.end - quotes;
            Some(Word { text: self.source[span.clone()].to_owned(), span, outer })
        });
        if let Some(command) = Command::of(words.collect(), true) {
            self.matches.extend(docker::services(
                &command,
                Context { loops: Some(self.loops), ..Context::default() },
            ));
            self.commands.push(command);
        }
    }

    /// Whether the path is that of an attribute of a compose service.
    fn attribute(&self, name: &str) -> bool {
        self.path.len() >= 3 && self.path[0] == "services" && self.path[2] == name
    }

    fn found(&mut self, node: Node<'_>, word: &str) {
        if let Some(service) = patterns::service(word) {
            self.matches.push(Match::new(node.byte_range(), &rules::COMPOSE_SERVICE, Some(service)));
        }
    }

    fn key(&mut self, name: &str, key: Node<'_>, value: Option<Node<'_>>) {
        let service = self.path.len() == 1
            && self.path[0] == "services"
            && value.is_none_or(|value| scalar(value).is_none());
        let dependency = self.path.len() == 3 && self.attribute("depends_on");
        if service || dependency {
            self.found(key, name);
        } else {
            let used = self.used();
            let context = Context { used, identifiers: true, ..Context::default() };
            detect::search(self.patterns, self.source, key.byte_range(), context, self.matches);
        }
        let labelled = name == "com.docker.compose.service";
        if let (true, Some(value)) = (labelled, value)
            && let Some(service) = patterns::service(self.text(value).trim_matches(['"', '\'']))
        {
            self.matches.push(Match::new(value.byte_range(), &rules::SERVICE_LABEL, Some(service)));
        }
    }

    fn scalar(&mut self, node: Node<'_>) {
        let word = self.text(node).trim_matches(['"', '\'']);
        let last = self.path.last().map(String::as_str);
        if self.path.len() == 3
            && (self.attribute("depends_on") || self.attribute("links") || self.attribute("volumes_from"))
        {
            self.found(node, word.split(':').next().unwrap_or_default());
            return;
        }
        if self.attribute("extends") && last == Some("service")
            || self.attribute("extends") && self.path.len() == 3
        {
            self.found(node, word);
        }
        if self.attribute("network_mode") || self.attribute("pid") || self.attribute("ipc") {
            self.found(node, word.strip_prefix("service:").unwrap_or_default());
        }
        let start = node.start_byte();
        // Scalars come in the order of the text.
        while self.commands.last().is_some_and(|command| command.end() <= start) {
            self.commands.pop();
        }
        let context = Context {
            used: self.used(),
            identifiers: true,
            command: self.commands.iter().rev().find(|command| command.holds(start)),
            loops: Some(self.loops),
            ..Context::default()
        };
        match self.variables.expand(self.source, node.byte_range()) {
            Some(mapped) if context.command.is_none() => mapped.search(self.patterns, context, self.matches),
            _ => detect::search(self.patterns, self.source, node.byte_range(), context, self.matches),
        }
    }

    /// What a scalar at this place is used for.
    fn used(&self) -> Use {
        if self.kept {
            return Use::Kept;
        }
        for key in self.path.iter().rev() {
            match key.as_str() {
                "networks" | "network" | "network_name" | "volumes" => return Use::Kept,
                "container_name" | "container" | "network_mode" | "pid" | "ipc" => return Use::Container,
                "image" | "tags" => return Use::Image,
                _ => {}
            }
        }
        Use::Open
    }
}

fn children(node: Node<'_>) -> Vec<Node<'_>> {
    let mut cursor = node.walk();
    node.named_children(&mut cursor).collect()
}

/// The scalar that a node is.
fn scalar(node: Node<'_>) -> Option<Node<'_>> {
    match node.kind() {
        "plain_scalar" | "double_quote_scalar" | "single_quote_scalar" | "block_scalar" => Some(node),
        "flow_node" | "block_node" | "block_sequence_item" => scalar(*children(node).last()?),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Words that are reported, with their forms.
    fn reported(source: &str) -> Vec<(&str, &'static str)> {
        let patterns = Patterns::new(&["bot-bottle".to_owned()], "FLAG");
        let mut matches = Vec::new();
        search(&patterns, source, &mut matches);
        matches.into_iter().map(|matched| (&source[matched.span], matched.rule.id.as_str())).collect()
    }

    #[test]
    fn a_command_may_be_a_list() {
        for (source, found) in [
            ("x: [docker, restart, bot-bottle-egress-x]\n", ("bot-bottle-egress-x", "docker-cli")),
            ("x:\n  - docker\n  - compose\n  - logs\n  - \"egress\"\n", ("egress", "compose-cli")),
            ("run: |\n  docker compose logs egress\n", ("egress", "compose-cli")),
        ] {
            assert_eq!(reported(source), [found], "{source}");
        }
    }

    #[test]
    fn a_key_gives_a_variable_its_value() {
        for command in [
            "run: docker logs \"$GATE\"",
            "run: |\n  docker logs $GATE",
            "- docker logs {{.GATE}}",
            "run: docker logs ${{ env.GATE }}",
        ] {
            let source =
                format!("env:\n  GATE: bot-bottle-git-gate-x\njobs:\n  {}\n", command.replace('\n', "\n  "));
            let found: Vec<_> = reported(&source).into_iter().map(|(_, form)| form).collect();
            assert_eq!(found, ["container-name", "docker-cli"], "{source}");
        }
    }

    #[test]
    fn a_mapping_may_say_that_it_is_about_a_network() {
        assert_eq!(reported("- name: network\n  values: [bot-bottle-egress-x]\n"), []);
        assert_eq!(reported("type: volume\nsource: bot-bottle-egress-x\n"), []);
        let found = [("bot-bottle-egress-x", "container-name")];
        assert_eq!(reported("- name: name\n  values: [bot-bottle-egress-x]\n"), found);
    }
}
