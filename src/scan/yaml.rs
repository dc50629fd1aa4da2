//! References in YAML: compose files, workflows, settings.

use tree_sitter::{Node, Parser};

use super::finding::Hit;
use super::forms;
use super::names::{self, Names};
use super::plain::{self, Comments};
use super::text::{self, Context, Use};

/// Deepest nesting that is looked into.
const DEEP: usize = 200;

/// Finds the references in a YAML text; what the grammar cannot read is searched as plain text.
pub(super) fn search(names: &Names, source: &str, hits: &mut Vec<Hit>) {
    let mut parser = Parser::new();
    let language = tree_sitter_yaml::LANGUAGE.into();
    let tree = parser.set_language(&language).ok().and_then(|()| parser.parse(source, None));
    match tree {
        Some(tree) if !tree.root_node().has_error() => {
            Walk { names, source, hits, path: Vec::new() }.node(tree.root_node(), 0);
        }
        _ => plain::search(names, source, Comments::Hash, hits),
    }
}

struct Walk<'a, 'h> {
    names: &'a Names,
    source: &'a str,
    hits: &'h mut Vec<Hit>,
    path: Vec<String>,
}

impl<'a> Walk<'a, '_> {
    fn text(&self, node: Node<'_>) -> &'a str {
        &self.source[node.byte_range()]
    }

    fn node(&mut self, node: Node<'_>, depth: usize) {
        if depth > DEEP {
            plain::search(self.names, self.text(node), Comments::Hash, self.hits);
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
            "plain_scalar" | "double_quote_scalar" | "single_quote_scalar" => self.scalar(node),
            "block_scalar" => {
                let start = node.start_byte();
                let before = self.hits.len();
                plain::search(self.names, self.text(node), Comments::Hash, self.hits);
                for hit in &mut self.hits[before..] {
                    hit.moved(start);
                }
            }
            _ => {
                let mut cursor = node.walk();
                let children: Vec<_> = node.named_children(&mut cursor).collect();
                for child in children {
                    self.node(child, depth + 1);
                }
            }
        }
    }

    /// Whether the path is that of an attribute of a compose service.
    fn attribute(&self, name: &str) -> bool {
        self.path.len() >= 3 && self.path[0] == "services" && self.path[2] == name
    }

    fn found(&mut self, node: Node<'_>, word: &str) {
        if let Some(service) = names::service(word) {
            self.hits.push(Hit::new(node.byte_range(), &forms::COMPOSE_SERVICE, Some(service)));
        }
    }

    fn key(&mut self, name: &str, key: Node<'_>, value: Option<Node<'_>>) {
        let service =
            self.path.len() == 1 && self.path[0] == "services" && value.is_none_or(|value| !is_scalar(value));
        let dependency = self.path.len() == 3 && self.attribute("depends_on");
        if service || dependency {
            self.found(key, name);
        } else {
            let used = self.used();
            let context = Context { used, identifiers: true, ..Context::default() };
            text::search(self.names, self.source, key.byte_range(), context, self.hits);
        }
        let labelled = name == "com.docker.compose.service";
        if let (true, Some(value)) = (labelled, value)
            && let Some(service) = names::service(self.text(value).trim_matches(['"', '\'']))
        {
            self.hits.push(Hit::new(value.byte_range(), &forms::SERVICE_LABEL, Some(service)));
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
        let context = Context { used: self.used(), identifiers: true, ..Context::default() };
        text::search(self.names, self.source, node.byte_range(), context, self.hits);
    }

    /// What a scalar at this place is used for.
    fn used(&self) -> Use {
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

fn is_scalar(node: Node<'_>) -> bool {
    match node.kind() {
        "plain_scalar" | "double_quote_scalar" | "single_quote_scalar" | "block_scalar" => true,
        "flow_node" | "block_node" => {
            let last = u32::try_from(node.named_child_count()).unwrap_or_default().checked_sub(1);
            last.and_then(|at| node.named_child(at)).is_some_and(is_scalar)
        }
        _ => false,
    }
}
