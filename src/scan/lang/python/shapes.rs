//! What code assumes of a compose document: entries, counts and sets of services.

use tree_sitter::Node;

use super::{File, LONGEST, children, last_word, tail, template};
use crate::rule::ScanRule;
use crate::scan::finding::Match;
use crate::scan::patterns;
use crate::scan::rules;

/// Whether an expression is the services of a compose document, or what one of them depends on.
fn is_services(text: &str) -> bool {
    let text = tail(text, LONGEST).trim_end_matches([')', '(', ']', '"', '\'']).to_ascii_lowercase();
    let text = text.trim_end_matches(".keys").trim_end_matches(['(', ')', ']', '"', '\'']);
    text.ends_with("services") || text.ends_with("depends_on") || text.ends_with("service_names")
}

/// Whether a name is that of a variable for host names.
fn is_host(name: &str) -> bool {
    let name = name.to_ascii_lowercase();
    matches!(name.as_str(), "host" | "hostname" | "server_hostname")
        || name.ends_with("_host")
        || name.ends_with("_hostname")
}

impl File<'_, '_> {
    /// Whether an expression has the services of a compose document as its value.
    pub(super) fn services(&self, node: Node<'_>) -> bool {
        match node.kind() {
            // `set(services)`, `sorted(doc["services"].keys())`
            "call" => {
                let function =
                    node.child_by_field_name("function").map_or("", |function| self.text(function));
                let wrapped = matches!(
                    last_word(function),
                    "set" | "sorted" | "list" | "len" | "tuple" | "frozenset" | "dict"
                );
                let arguments = node.child_by_field_name("arguments").map(children).unwrap_or_default();
                if wrapped {
                    return arguments.first().is_some_and(|first| self.services(*first));
                }
                let first = arguments.first().and_then(|first| template::content(self.source, *first));
                if last_word(function) == "get" {
                    return first.is_some_and(is_services);
                }
                let object =
                    node.child_by_field_name("function").and_then(|f| f.child_by_field_name("object"));
                let same = matches!(last_word(function), "keys" | "items" | "copy");
                same && object.is_some_and(|object| self.services(object)) || is_services(function)
            }
            "identifier" | "attribute" => {
                is_services(self.text(node)) || self.collections.contains(self.text(node))
            }
            // `set(services) - {"agent"}`
            "binary_operator" => node.child_by_field_name("left").is_some_and(|left| self.services(left)),
            "subscript" => node
                .child_by_field_name("subscript")
                .is_some_and(|key| template::content(self.source, key).is_some_and(is_services)),
            "set_comprehension"
            | "list_comprehension"
            | "parenthesized_expression"
            | "generator_expression" => {
                let clause = children(node).into_iter().find(|child| child.kind() == "for_in_clause");
                let over = clause.and_then(|clause| clause.child_by_field_name("right"));
                over.or_else(|| node.named_child(0)).is_some_and(|inner| self.services(inner))
            }
            _ => false,
        }
    }

    /// Reports a string that is a service's name.
    pub(super) fn named(&mut self, node: Node<'_>, rule: &'static ScanRule) -> bool {
        let service = template::content(self.source, node).and_then(patterns::service);
        if let (Some(service), Some(span)) = (service, template::inner(node)) {
            self.matches.push(Match::new(span, rule, Some(service)));
            return true;
        }
        false
    }

    pub(super) fn subscript(&mut self, node: Node<'_>) {
        let (Some(value), Some(key)) =
            (node.child_by_field_name("value"), node.child_by_field_name("subscript"))
        else {
            return;
        };
        if self.services(value) {
            self.named(key, &rules::SERVICE_SUBSCRIPT);
        }
        // `labels["com.docker.compose.service"]` is searched with what it is compared with.
    }

    pub(super) fn call(&mut self, node: Node<'_>) {
        let (Some(function), Some(arguments)) =
            (node.child_by_field_name("function"), node.child_by_field_name("arguments"))
        else {
            return;
        };
        let arguments = children(arguments);
        let name = last_word(self.text(function));
        let object = function.child_by_field_name("object");
        if matches!(
            name,
            "get"
                | "pop"
                | "setdefault"
                | "__getitem__"
                | "index"
                | "count"
                | "remove"
                | "issubset"
                | "issuperset"
                | "isdisjoint"
        ) && object.is_some_and(|object| self.services(object))
        {
            for argument in arguments.iter().take(1) {
                self.named(*argument, &rules::SERVICE_SUBSCRIPT);
                self.listed(*argument, &rules::SERVICE_COUNT);
            }
        }
        if object.is_some_and(|object| self.services(object)) {
            match name {
                "append" | "add" | "insert" => {
                    for argument in &arguments {
                        self.named(*argument, &rules::COMPOSE_SERVICE);
                    }
                }
                "extend" | "update" | "union" => {
                    for argument in &arguments {
                        self.entries(*argument, &rules::COMPOSE_SERVICE);
                    }
                }
                _ => {}
            }
        }
        for argument in &arguments {
            if argument.kind() == "keyword_argument"
                && argument.child_by_field_name("name").is_some_and(|key| self.text(key) == "depends_on")
                && let Some(value) = argument.child_by_field_name("value")
            {
                self.entries(value, &rules::COMPOSE_SERVICE);
            }
        }
        let lower = name.to_ascii_lowercase();
        if lower.contains("container_name")
            || lower.contains("sidecar_name")
            || lower.contains("containername")
        {
            for argument in &arguments {
                if self.goes_over(*argument) {
                    self.matched(*argument, &rules::NAME_HELPER, None);
                }
                self.named(*argument, &rules::NAME_HELPER);
            }
        }
        if lower.starts_with("assert") || lower.contains("equal") {
            self.compared(&arguments);
        }
        for argument in &arguments {
            if argument.kind() == "keyword_argument"
                && let (Some(key), Some(value)) =
                    (argument.child_by_field_name("name"), argument.child_by_field_name("value"))
                && is_host(self.text(key))
            {
                self.host(value);
            }
        }
    }

    /// Services that are written as the keys of a dictionary or the elements of a list.
    fn entries(&mut self, node: Node<'_>, rule: &'static ScanRule) {
        if node.kind() == "dictionary" {
            for key in children(node).into_iter().filter_map(|pair| pair.child_by_field_name("key")) {
                self.named(key, rule);
            }
        } else {
            self.listed(node, rule);
        }
    }

    /// `depends_on += ["egress"]`, `services |= {"egress": …}`
    pub(super) fn added(&mut self, node: Node<'_>) {
        if let (Some(left), Some(right)) =
            (node.child_by_field_name("left"), node.child_by_field_name("right"))
            && self.services(left)
        {
            self.entries(right, &rules::COMPOSE_SERVICE);
        }
    }

    /// `host = "egress"`, `services = {"egress": …}`, `depends_on = ["egress"]`
    pub(super) fn assigned(&mut self, node: Node<'_>) {
        if let (Some(left), Some(right)) =
            (node.child_by_field_name("left"), node.child_by_field_name("right"))
        {
            let name = tail(self.text(left), LONGEST).trim_end_matches(['"', '\'', ']']);
            if name.ends_with("depends_on") || name.ends_with("services") && right.kind() == "dictionary" {
                self.entries(right, &rules::COMPOSE_SERVICE);
            }
        }
        if let (Some(left), Some(right)) =
            (node.child_by_field_name("left"), node.child_by_field_name("right"))
            && is_host(last_word(self.text(left)))
        {
            self.host(right);
        }
    }

    pub(super) fn comparison(&mut self, node: Node<'_>) {
        self.compared(&children(node));
        let label =
            children(node).into_iter().any(|part| self.text(part).contains("com.docker.compose.service"));
        if label {
            for part in children(node) {
                if !self.named(part, &rules::SERVICE_LABEL) && matches!(part.kind(), "tuple" | "list" | "set")
                {
                    for element in children(part) {
                        self.named(element, &rules::SERVICE_LABEL);
                    }
                }
            }
        }
    }

    /// What is compared with services: a number of them, their names, one of their names.
    fn compared(&mut self, parts: &[Node<'_>]) {
        if !parts.iter().any(|part| self.services(*part)) {
            return;
        }
        let counted = parts.iter().any(|part| {
            part.kind() == "call"
                && part.child_by_field_name("function").is_some_and(|f| self.text(f) == "len")
        });
        let depends = parts.iter().any(|part| self.text(*part).contains("depends_on"));
        let rule = if depends { &rules::COMPOSE_SERVICE } else { &rules::SERVICE_COUNT };
        for part in parts {
            if counted && matches!(self.text(*part), "3" | "4" | "5") {
                self.matched(*part, &rules::SERVICE_COUNT, None);
            }
            if !self.named(*part, &rules::SERVICE_SUBSCRIPT) {
                self.listed(*part, rule);
            }
        }
    }

    /// The services in a list, or in a call that makes one.
    fn listed(&mut self, node: Node<'_>, rule: &'static ScanRule) {
        match node.kind() {
            "list" | "set" | "tuple" | "parenthesized_expression" | "argument_list" => {
                for element in children(node) {
                    if !self.named(element, rule) {
                        self.listed(element, rule);
                    }
                }
            }
            "binary_operator" => {
                for side in children(node) {
                    self.listed(side, rule);
                }
            }
            "call" => {
                let function =
                    node.child_by_field_name("function").map_or("", |function| self.text(function));
                if matches!(function, "set" | "sorted" | "list" | "frozenset" | "tuple")
                    && let Some(arguments) = node.child_by_field_name("arguments")
                {
                    self.listed(arguments, rule);
                }
            }
            _ => {}
        }
    }

    /// A set with the agent among daemons is one of services.
    pub(super) fn set(&mut self, node: Node<'_>) {
        let elements = children(node);
        let words: Vec<_> =
            elements.iter().filter_map(|element| template::content(self.source, *element)).collect();
        let daemons = words.iter().filter(|word| patterns::service(word).is_some()).count();
        if words.contains(&"agent") && daemons > 0 {
            self.listed(node, &rules::SERVICE_COUNT);
        }
    }

    /// `{"services": {"egress": …}}`, `{"com.docker.compose.service": "egress"}`, `{"depends_on": ["egress"]}`.
    pub(super) fn pair(&mut self, node: Node<'_>) {
        let (Some(key), Some(value)) = (node.child_by_field_name("key"), node.child_by_field_name("value"))
        else {
            return;
        };
        match template::content(self.source, key) {
            Some(key) if is_host(key) => self.host(value),
            Some("services" | "depends_on") if value.kind() == "dictionary" => {
                for pair in children(value) {
                    if let Some(key) = pair.child_by_field_name("key") {
                        self.named(key, &rules::COMPOSE_SERVICE);
                    }
                }
            }
            Some("depends_on") => {
                for element in children(value) {
                    self.named(element, &rules::COMPOSE_SERVICE);
                }
            }
            Some("com.docker.compose.service") => {
                self.named(value, &rules::SERVICE_LABEL);
            }
            _ => {}
        }
    }
}
