//! Loops over the names of daemons, in texts that nothing here parses.

use std::collections::{BTreeMap, BTreeSet};
use std::ops::Range;
use std::rc::Rc;

use bottle_model::daemon::Daemon;

use crate::rule::ScanRule;
use crate::scan::finding::Match;
use crate::scan::fix::words;
use crate::scan::lang::text;
use crate::scan::patterns::{self, Patterns};
use crate::scan::rules;

/// Most lists that one loop goes over.
const LISTS: usize = 4;

/// Bytes of a line around a match that are looked at.
const NEAR: usize = 1000;

/// What one of the calls holds that give each element of a list to a block.
const CALLS: [&str; 7] = ["each", "Each", "map", "Map", "filter", "every", "some"];

/// The names of daemons in a list, each where it stands.
type Listed = Vec<(Range<usize>, Daemon)>;

/// A loop, or a matrix, whose variable has the names of daemons as its values.
#[derive(Debug)]
struct Loop {
    /// Each name where it stands; constants are shared by the loops over them.
    names: Vec<Rc<Listed>>,
    /// The variable.
    variable: String,
    /// Where the variable has its values.
    scope: Range<usize>,
}

/// The loops of a text.
#[derive(Debug, Default)]
pub(in crate::scan) struct Loops {
    loops: Vec<Loop>,
    /// The variables of all of them.
    variables: BTreeSet<String>,
}

impl Loops {
    /// Finds the loops of a text.
    pub(in crate::scan) fn of(patterns: &Patterns, source: &str) -> Self {
        let mut out = Self::default();
        if !patterns.service.is_match(source) {
            return out;
        }
        let constants = constants(patterns, source);
        let closings = Closings::of(source);
        let calls = CALLS.iter().any(|call| source.contains(call));
        let given = if calls { source } else { "" };
        for (pattern, text, closes) in [
            (&patterns.loop_in, source, true),
            (&patterns.loop_each, given, false),
            (&patterns.matrix, source, false),
        ] {
            for found in pattern.captures_iter(text) {
                let (Some(whole), Some(list)) = (found.get(0), found.name("list")) else { continue };
                let listed: Vec<_> = listed(patterns, source, list.range()).collect();
                let names: Vec<_> = if listed.is_empty() {
                    let words = patterns.word.find_iter(list.as_str());
                    words.filter_map(|word| constants.get(word.as_str()).cloned()).take(LISTS).collect()
                } else {
                    vec![Rc::new(listed)]
                };
                if names.is_empty() {
                    continue;
                }
                // What a pipe brings goes by a name of its own.
                let variable = found.name("variable").map_or("_", |variable| variable.as_str()).to_owned();
                let body = closes.then(|| closings.end(list.end()));
                let end = body.flatten().unwrap_or(source.len());
                out.variables.insert(variable.clone());
                out.loops.push(Loop { names, variable, scope: whole.start()..end });
            }
        }
        // The variable is bound anew by the next loop of its name.
        out.loops.sort_by_key(|it| it.scope.start);
        let mut next: BTreeMap<&str, usize> = BTreeMap::new();
        for Loop { variable, scope, .. } in out.loops.iter_mut().rev() {
            if let Some(later) = next.get(variable.as_str()).filter(|later| **later > scope.start) {
                scope.end = scope.end.min(*later);
            }
            next.insert(variable, scope.start);
        }
        out
    }

    /// The variables of the loops.
    pub(in crate::scan) fn variables(&self) -> &BTreeSet<String> {
        &self.variables
    }

    /// The variables of the loops, each where it is written.
    fn places<'a>(&self, source: &'a str) -> Vec<(usize, &'a str)> {
        let named = words(source).filter(|word| self.variables.contains(*word));
        named.map(|word| (word.as_ptr().addr() - source.as_ptr().addr(), word)).collect()
    }

    /// Reports each name over which a loop goes whose variable is a part of one of `matches[from..]`.
    pub(in crate::scan) fn report(&self, source: &str, from: usize, matches: &mut Vec<Match>) {
        if self.loops.is_empty() {
            return;
        }
        // By each word of their lines, in the order of the text.
        let mut open: BTreeMap<&str, Vec<(usize, &'static ScanRule)>> = BTreeMap::new();
        let named = |matched: &&Match| matched.service.is_none() && rules::is_named(matched.rule);
        let places = self.places(source);
        for matched in matches[from..].iter().filter(named) {
            let at = matched.span.start;
            let line = around(source, at);
            let first = places.partition_point(|(place, _)| *place < line.start);
            let near = places[first..].iter().take_while(|(place, _)| *place < line.end);
            let words: BTreeSet<&str> = near.map(|(_, word)| *word).collect();
            for word in words {
                open.entry(word).or_default().push((at, matched.rule));
            }
        }
        for of_word in open.values_mut() {
            of_word.sort_by_key(|(at, _)| *at);
        }
        // One list is reported once for each rule, however many loops go over it.
        let mut reported: BTreeSet<(*const Listed, &str)> = BTreeSet::new();
        for Loop { names, variable, scope } in &self.loops {
            let Some(of_word) = open.get(variable.as_str()) else { continue };
            let first = of_word.partition_point(|(at, _)| *at < scope.start);
            let Some((_, rule)) = of_word.get(first).filter(|(at, _)| *at < scope.end) else { continue };
            for list in names.iter().filter(|list| reported.insert((Rc::as_ptr(list), rule.id.as_str()))) {
                let gone = list.iter().filter(|(_, service)| !rules::keeps(rule, *service));
                matches.extend(gone.map(|(span, service)| Match::new(span.clone(), rule, Some(*service))));
            }
        }
    }
}

/// The names of daemons in a list, each a word of its own.
fn listed<'a>(
    patterns: &'a Patterns,
    source: &'a str,
    list: Range<usize>,
) -> impl Iterator<Item = (Range<usize>, Daemon)> + 'a {
    let text = &source[list.clone()];
    patterns.service.find_iter(text).filter_map(move |found| {
        let service = patterns::service(found.as_str())?;
        patterns::alone(text, &found.range(), b"-./")
            .then_some((list.start + found.start()..list.start + found.end(), service))
    })
}

/// Lists of names that are assigned to a name.
fn constants<'a>(patterns: &Patterns, source: &'a str) -> BTreeMap<&'a str, Rc<Listed>> {
    let mut out = BTreeMap::new();
    for line in text::lines(source, 0..source.len()) {
        let text = &source[line.clone()];
        let Some(at) = text.find('=').filter(|at| !text[at + 1..].starts_with(['=', '>'])) else { continue };
        let listed: Vec<_> = listed(patterns, source, line.start + at..line.end).collect();
        // A type may stand between the name and its value.
        let name = patterns.word.find_iter(text[..at].split(':').next().unwrap_or_default()).last();
        if let Some(name) = name.filter(|_| !listed.is_empty()) {
            out.insert(&source[line.start + name.start()..line.start + name.end()], Rc::new(listed));
        }
    }
    out
}

/// What closes a `do`; a `done` closes by itself.
enum Closing {
    Open,
    At(usize),
    Itself,
}

/// Where loops of a shell end.
struct Closings {
    /// The `do` and `done` of a text: the byte behind it, and for a `do` the byte behind its `done`.
    words: Vec<(usize, Closing)>,
}

impl Closings {
    fn of(source: &str) -> Self {
        let mut words: Vec<(usize, Closing)> = Vec::new();
        let mut open = Vec::new();
        let word = |c: char| c.is_alphanumeric() || c == '_';
        let mut at = 0;
        for part in source.split(|c| !word(c)) {
            let end = at + part.len();
            match part {
                "do" => {
                    open.push(words.len());
                    words.push((end, Closing::Open));
                }
                "done" => {
                    if let Some(number) = open.pop() {
                        words[number].1 = Closing::At(end);
                    }
                    words.push((end, Closing::Itself));
                }
                _ => {}
            }
            at = end + source[end..].chars().next().map_or(0, char::len_utf8);
        }
        Self { words }
    }

    /// The end of the `done` that closes the loop whose list ends at `from`.
    fn end(&self, from: usize) -> Option<usize> {
        let first = self.words.partition_point(|(end, _)| *end <= from);
        match self.words.get(first)? {
            (_, Closing::Open) => None,
            (_, Closing::At(done)) => Some(*done),
            (end, Closing::Itself) => Some(*end),
        }
    }
}

/// The line of the byte `at`, as far as it is near.
fn around(source: &str, at: usize) -> Range<usize> {
    let (mut start, mut end) = (at.saturating_sub(NEAR), source.len().min(at + NEAR));
    while !source.is_char_boundary(start) {
        start += 1;
    }
    while !source.is_char_boundary(end) {
        end -= 1;
    }
    let start = source[start..at].rfind('\n').map_or(start, |feed| start + feed + 1);
    start..source[at..end].find('\n').map_or(end, |more| at + more)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::scan::lang::text::Comments;

    /// The words that a search of `source` reports, and the form of the first.
    fn reported(source: &str) -> (Vec<&str>, &'static str) {
        let patterns = Patterns::new(&["bot-bottle".to_owned()], "FLAG");
        let mut matches = Vec::new();
        text::search(&patterns, source, Comments::Hash, &mut matches);
        matches.retain(|matched| matched.service.is_some());
        matches.sort_by_key(|matched| matched.span.start);
        let rule = matches.first().map_or("", |matched| matched.rule.id.as_str());
        (matches.into_iter().map(|matched| &source[matched.span]).collect(), rule)
    }

    #[test]
    fn names_stand_where_a_loop_lists_them() {
        let both = vec!["egress", "supervise"];
        for (source, rule) in [
            ("for c in egress supervise; do\n  docker rm bot-bottle-$c-$SLUG\ndone", "docker-cli"),
            (
                "\tfor c in egress supervise; do \\\n\t docker rm bot-bottle-$$c-$(SLUG); \\\n\tdone",
                "docker-cli",
            ),
            ("for x in egress \\\n  supervise\ndo echo \"bot-bottle-${x}\"; done", "container-name"),
            ("for s in egress supervise; do docker compose logs \"$s\"; done", "compose-cli"),
            ("for h in egress supervise; do curl http://$h:80/; done", "url-host"),
            ("for f in egress supervise; do docker build -f Dockerfile.$f .; done", "dockerfile"),
            ("for i in egress supervise\n docker push bot-bottle-$i:latest\nend", "image-constant"),
            ("foreach ($s in 'egress', 'supervise') { docker stop \"bot-bottle-$s-x\" }", "docker-cli"),
            ("'egress', 'supervise' | ForEach-Object { docker stop \"bot-bottle-$_-x\" }", "docker-cli"),
            (
                "for (const s of [\"egress\", \"supervise\"]) { f(`bot-bottle-${s}-${slug}`) }",
                "container-name",
            ),
            ("['egress', 'supervise'].map((s) => `bot-bottle-${s}-${slug}`)", "container-name"),
            ("%w[egress supervise].each do |s|\n  puts \"bot-bottle-#{s}-x\"\nend", "container-name"),
            ("  svc: [egress, supervise]\n  run: docker rm bot-bottle-${{ matrix.svc }}-x", "docker-cli"),
            (
                "  it:\n    - egress\n    - supervise\n  run: docker rm bot-bottle-${{ matrix.it }}-x",
                "docker-cli",
            ),
            (
                "ALL = egress supervise\nx:\n\tfor s in $(ALL); do docker rm bot-bottle-$$s-x; done",
                "docker-cli",
            ),
            (
                "all=(egress supervise)\nfor s in \"${all[@]}\"; do docker rm bot-bottle-$s-x; done",
                "docker-cli",
            ),
            (
                "const A = ['egress', 'supervise'];\nA.forEach((s) => f(`bot-bottle-${s}-x`));",
                "container-name",
            ),
            (
                "for _, s := range []string{\"egress\", \"supervise\"} { f(\"bot-bottle-\" + s) }",
                "container-name",
            ),
            (
                "for _, s := range []string{\"egress\", \"supervise\"} { f(\"bot-bottle-%s\", s) }",
                "container-name",
            ),
            ("cat <<E\nfor s in egress supervise; do docker rm bot-bottle-\\$s-x; done\nE", "docker-cli"),
        ] {
            assert_eq!(reported(source), (both.clone(), rule), "{source}");
        }
    }

    #[test]
    fn a_loop_that_makes_no_names_is_none() {
        for source in [
            "for c in egress supervise; do echo $c; done",
            "for c in egress supervise; do docker exec bot-bottle-sidecars-x sidecar-init restart $c; done",
            "for c in egress supervise; do echo $c; done\ndocker rm bot-bottle-$c-x",
            "for c in egress-lab x; do docker rm bot-bottle-$c-x; done",
            "for c in egress supervise; do docker network rm bot-bottle-$c-x; done",
            "for c in egress supervise; do cat etc/$c/bot-bottle-$d-x; done",
        ] {
            assert_eq!(reported(source).0, [""; 0], "{source}");
        }
    }
}
