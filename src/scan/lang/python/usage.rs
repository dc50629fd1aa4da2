//! What the code around a string uses it for.

use std::rc::Rc;

use tree_sitter::Node;

use super::{File, LONGEST, children, clipped, last_word, tail, template};
use crate::scan::detect::Use;

/// The start of what gives something a name; a longer one names many things.
fn brief(text: &str) -> &str {
    text.get(..2 * LONGEST).unwrap_or(text)
}

impl<'t> File<'_, 't> {
    /// What the code around a string uses it for.
    pub(super) fn used(&self, node: Node<'t>) -> Use {
        let mut inner = node;
        for outer in self.around(node) {
            let said = match outer.kind() {
                "keyword_argument" => outer.child_by_field_name("name").map(|name| match self.text(name) {
                    "name" if self.is_filter(outer) => self.listed_kind(outer),
                    name => Use::of(name),
                }),
                "assignment" => outer.child_by_field_name("left").map(|left| Use::of(brief(self.text(left)))),
                "named_expression" => outer.child_by_field_name("name").map(|left| Use::of(self.text(left))),
                "default_parameter" | "typed_default_parameter" => {
                    outer.child_by_field_name("name").map(|left| Use::of(self.text(left)))
                }
                "pair" => outer.child_by_field_name("key").map(|key| {
                    match brief(self.text(key)).trim_matches(['"', '\'']) {
                        "name" if self.is_filter(outer) => self.listed_kind(outer),
                        key => Use::of(key),
                    }
                }),
                "subscript" => outer
                    .child_by_field_name("value")
                    .map(|value| Use::of(last_word(tail(self.text(value), 2 * LONGEST)))),
                "comparison_operator" => Some(self.others_say(outer, inner)),
                "argument_list" => {
                    let call = self.parent(outer).and_then(|call| call.child_by_field_name("function"));
                    let function = call.map_or("", |function| tail(self.text(function), 2 * LONGEST));
                    let asserted = function.to_ascii_lowercase().contains("assert");
                    let mut said = Use::of(last_word(function));
                    if said == Use::Open && function.len() <= LONGEST {
                        said = Use::of(function);
                    }
                    if asserted && said == Use::Open {
                        said = self.others_say(outer, inner);
                    }
                    Some(said)
                }
                "list" | "tuple" => self.option_says(outer, inner),
                "function_definition" => {
                    let returned = self
                        .around(node)
                        .take_while(|other| *other != outer)
                        .any(|n| n.kind() == "return_statement");
                    let name = outer.child_by_field_name("name").map_or("", |name| self.text(name));
                    let said = Use::of(name);
                    // A function about a project does not only have names of projects in it.
                    if returned || said == Use::Kept && !name.contains("project") {
                        return said;
                    }
                    None
                }
                "for_statement" => {
                    outer.child_by_field_name("left").map(|left| Use::of(brief(self.text(left))))
                }
                "class_definition" => {
                    let name = outer.child_by_field_name("name").map_or("", |name| self.text(name));
                    return if name.contains("Network") { Use::Kept } else { Use::Open };
                }
                "decorator" => {
                    let text = clipped(self.text(outer));
                    Some(if text.contains("network") { Use::Kept } else { Use::Open })
                }
                _ => None,
            };
            if let Some(said) = said.filter(|said| *said != Use::Open) {
                return said;
            }
            inner = outer;
        }
        Use::Open
    }

    /// What each child of a node says, by where it begins, if it is `kept`; it is read once, however many children ask.
    fn said(&self, outer: Node<'t>, say: fn(&str) -> Use, kept: fn(Use) -> bool) -> Rc<Vec<(usize, Use)>> {
        if let Some(known) = self.says.borrow().get(&outer.id()) {
            return Rc::clone(known);
        }
        let each =
            children(outer).into_iter().map(|child| (child.start_byte(), say(clipped(self.text(child)))));
        let said = Rc::new(each.filter(|(_, used)| kept(*used)).collect::<Vec<_>>());
        self.says.borrow_mut().insert(outer.id(), Rc::clone(&said));
        said
    }

    /// What the first of the other children of a node that says something says.
    fn others_say(&self, outer: Node<'t>, inner: Node<'t>) -> Use {
        let said = self.said(outer, Use::of, |used| used != Use::Open);
        let mut others = said.iter().filter(|(start, _)| *start != inner.start_byte());
        others.next().map_or(Use::Open, |(_, used)| *used)
    }

    /// What the option before an element of a list says.
    fn option_says(&self, list: Node<'t>, inner: Node<'t>) -> Option<Use> {
        let said = self.said(
            list,
            |text| match text.trim_matches(['"', '\'']) {
                "--network" | "--net" | "-v" | "--volume" | "--mount" => Use::Kept,
                "--name" | "--link" => Use::Container,
                _ => Use::Open,
            },
            |_| true,
        );
        let at = said.partition_point(|(start, _)| *start < inner.start_byte());
        at.checked_sub(1).map(|before| said[before].1)
    }

    /// Whether a pair is one of filters of a look-up: `filters={"name": …}`, `{"name": "^…"}`, `dict(name=…)`.
    fn is_filter(&self, pair: Node<'t>) -> bool {
        let value = pair.child_by_field_name("value").and_then(template::inner);
        if value.is_some_and(|value| self.source[value].starts_with('^')) {
            return true;
        }
        self.around(pair).take(3).any(|outer| {
            let name = ["name", "left", "key"].iter().find_map(|field| outer.child_by_field_name(field));
            name.is_some_and(|name| brief(self.text(name)).to_ascii_lowercase().contains("filter"))
        })
    }

    /// What the call that a filter is given to lists: containers, unless it says otherwise.
    fn listed_kind(&self, pair: Node<'t>) -> Use {
        let call = self.around(pair).filter(|outer| outer.kind() == "call").last();
        let function = call.and_then(|call| call.child_by_field_name("function"));
        match function.map_or(Use::Open, |function| Use::of(brief(self.text(function)))) {
            Use::Kept => Use::Kept,
            _ => Use::Filter,
        }
    }
}

#[cfg(test)]
mod tests {
    use crate::scan::lang::python::{Known, search};
    use crate::scan::patterns::Patterns;

    #[test]
    fn what_code_does_with_a_name_says_what_it_is() {
        let patterns = Patterns::new(&["bot-bottle".to_owned()], "FLAG");
        for (source, rule) in [
            ("client.containers.list(filters={'name': 'bot-bottle-egress-'})", Some("service-label")),
            ("client.containers.list(filters=dict(name='bot-bottle-egress-'))", Some("service-label")),
            ("call({'name': '^bot-bottle-egress-'})", Some("service-label")),
            ("client.containers.get('bot-bottle-egress-x')", Some("container-name")),
            ("re.match(r'^bot-bottle-egress-x$', name)", Some("container-name")),
            ("client.networks.list(filters={'name': 'bot-bottle-egress-x'})", None),
            ("client.containers.list(filters={'network': 'bot-bottle-egress-x'})", None),
            ("run(['docker', 'inspect', '--type=network', 'bot-bottle-egress-x'])", None),
            ("connect(('egress', 9099))", Some("url-host")),
            ("connect(('egress', 443))", Some("url-host")),
            ("count(('egress', 2))", None),
            ("wait('egress', 30)", None),
            ("str.join('-', ('bot-bottle', 'egress', slug))", Some("container-name")),
            ("'bot-bottle-{1}-{0}'.format(slug, 'egress')", Some("container-name")),
            ("'%(p)s-%(s)s-x' % {'p': 'bot-bottle', 's': 'egress'}", Some("container-name")),
        ] {
            let mut matches = Vec::new();
            search(&patterns, source, "x.py", &Known::default(), &mut matches);
            assert_eq!(matches.first().map(|matched| matched.rule.id.as_str()), rule, "{source}");
        }
    }
}
