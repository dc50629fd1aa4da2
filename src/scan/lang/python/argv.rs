//! Docker commands as lists of words, and addresses as pairs.

use std::rc::Rc;

use tree_sitter::Node;

use super::{File, LONGEST, children, last_word, tail, template};
use crate::scan::detect::Context;
use crate::scan::detect::command::{Command, Word};
use crate::scan::detect::docker;
use crate::scan::finding::Match;
use crate::scan::patterns;
use crate::scan::rules;

impl<'t> File<'_, 't> {
    /// A list's elements as the words of a command.
    fn words(&self, list: Node<'_>) -> Vec<Word> {
        let mut words = Vec::new();
        for element in children(list).into_iter().filter(|child| child.kind() != "keyword_argument") {
            let outer = element.byte_range();
            if let Some(span) = template::inner(element).filter(|_| element.kind() == "string") {
                words.push(Word { text: self.source[span.clone()].to_owned(), span, outer });
                continue;
            }
            let known = |text: String| Word { text, span: outer.clone(), outer: outer.clone() };
            if element.kind() == "list_splat"
                && let Some(start) = self.start_of_command(element)
            {
                words.extend(start.into_iter().map(known));
                continue;
            }
            let spread = matches!(element.kind(), "list_splat" | "dictionary_splat");
            let constant = self.constants.get(self.text(element)).cloned();
            let variable = self.goes_over(element);
            words.push(known(match constant {
                _ if spread => "*".to_owned(),
                Some(constant) => constant,
                None if variable => format!("{{{}}}", self.text(element)),
                None => String::new(),
            }));
        }
        words
    }

    /// The docker command that a list, or the arguments of a function such as `run_docker`, are.
    pub(super) fn command_of(&self, list: Node<'t>) -> Option<Rc<Command>> {
        if !self.docker {
            return None;
        }
        if let Some(known) = self.commands_of.borrow().get(&list.id()) {
            return known.clone();
        }
        let command = self.read_command(list).map(Rc::new);
        self.commands_of.borrow_mut().insert(list.id(), command.clone());
        command
    }

    fn read_command(&self, list: Node<'t>) -> Option<Command> {
        let mut words = self.words(list);
        if let Some(start) = self.added_to(list) {
            let here = list.start_byte()..list.start_byte();
            let word = |text| Word { text, span: here.clone(), outer: here.clone() };
            words.splice(0..0, start.into_iter().map(word));
        }
        if list.kind() == "argument_list"
            || self.around(list).next().is_some_and(|outer| outer.kind() == "argument_list")
        {
            let arguments = if list.kind() == "argument_list" { list } else { self.parent(list)? };
            let function = self.parent(arguments).and_then(|call| call.child_by_field_name("function"));
            let name =
                function.map_or("", |function| tail(self.text(function), LONGEST)).to_ascii_lowercase();
            let (name, direct) = (last_word(&name), words.iter().any(|word| word.text == "docker"));
            let here = list.start_byte()..list.start_byte();
            let mut lead = |text: &str| {
                words.insert(0, Word { text: text.to_owned(), span: here.clone(), outer: here.clone() });
            };
            if !direct && name.contains("compose") {
                lead("docker-compose");
            } else if !direct && name.contains("docker") {
                lead("docker");
            }
        }
        if !words.iter().any(|word| word.text.contains("docker") || word.text.ends_with("podman")) {
            return None;
        }
        // What a shell is given as one word is a text, and no list.
        if words
            .iter()
            .any(|word| word.text.starts_with("docker ") || word.text.starts_with("docker-compose "))
        {
            return None;
        }
        Command::of(words, true)
    }

    /// The docker command that `node` is a word of.
    pub(super) fn command_around(&self, node: Node<'t>) -> Option<Rc<Command>> {
        if !self.docker {
            return None;
        }
        let holds = |outer: &Node<'_>| matches!(outer.kind(), "list" | "tuple" | "argument_list");
        let stops = |outer: &Node<'_>| outer.kind().ends_with("_statement") || outer.kind() == "block";
        self.around(node)
            .take_while(|outer| !stops(outer))
            .filter(holds)
            .take(4)
            .find_map(|list| self.command_of(list))
    }

    /// Whether a name stands in a word that a docker command acts on.
    pub(super) fn targeted(&self, node: Node<'t>) -> bool {
        self.command_around(node).is_some_and(|command| command.targets(node.start_byte()))
    }

    /// Services that a list of words names, and a host with its port.
    pub(super) fn argv(&mut self, node: Node<'t>) {
        if let Some(command) = self.command_of(node) {
            let context = Context { loops: Some(&self.variables), ..Context::default() };
            self.matches.extend(docker::services(&command, context));
        }
        // `("supervise", 9100)`, `HTTPConnection("supervise", 9100)`
        let parts = children(node);
        let whole =
            node.kind() == "tuple" && parts.len() == 2 || node.kind() == "argument_list" && parts.len() >= 2;
        let port = |part: Node<'_>| {
            let text = self.text(part);
            // A short number is as often a count, or a time.
            let known = text.len() >= 4 || matches!(text, "80" | "443");
            part.kind() == "integer" && known || text.to_ascii_lowercase().ends_with("port")
        };
        if whole && port(parts[1]) {
            self.host(parts[0]);
            if node.kind() == "tuple" && self.goes_over(parts[0]) {
                self.matched(parts[0], &rules::URL_HOST, None);
            }
        }
    }

    /// Reports a string that is the host name of a sidecar.
    pub(super) fn host(&mut self, node: Node<'_>) {
        let service = template::content(self.source, node).and_then(patterns::service);
        if let (Some(service), Some(span)) = (service, template::inner(node)) {
            self.matches.push(Match::new(span, &rules::URL_HOST, Some(service)));
        }
    }
}
