//! Loops over the names of daemons, in texts that nothing here parses.

use std::collections::BTreeMap;
use std::ops::Range;

use bottle_model::daemon::Daemon;

use super::finding::Hit;
use super::forms;
use super::names::{self, Names};
use super::plain;

/// What one of the calls holds that give each element of a list to a block.
const CALLS: [&str; 7] = ["each", "Each", "map", "Map", "filter", "every", "some"];

/// A loop, or a matrix, whose variable has the names of daemons as its values.
#[derive(Debug)]
struct Loop {
    /// Each name where it stands.
    names: Vec<(Range<usize>, Daemon)>,
    /// Where the variable has its values.
    scope: Range<usize>,
}

/// The loops of a text.
#[derive(Debug, Default)]
pub(super) struct Loops {
    loops: Vec<Loop>,
    /// The variable of each.
    variables: Vec<String>,
}

impl Loops {
    /// Finds the loops of a text.
    pub(super) fn of(names: &Names, source: &str) -> Self {
        let mut out = Self::default();
        if !names.service.is_match(source) {
            return out;
        }
        let constants = constants(names, source);
        let calls = CALLS.iter().any(|call| source.contains(call));
        let given = if calls { source } else { "" };
        for (pattern, text, closes) in
            [(&names.loop_in, source, true), (&names.loop_each, given, false), (&names.matrix, source, false)]
        {
            for found in pattern.captures_iter(text) {
                let (Some(whole), Some(list)) = (found.get(0), found.name("list")) else { continue };
                let mut listed: Vec<_> = listed(names, source, list.range()).collect();
                if listed.is_empty() {
                    let words = names.word.find_iter(list.as_str());
                    let known = words.filter_map(|word| constants.get(word.as_str()));
                    listed = known.flatten().cloned().collect();
                }
                if listed.is_empty() {
                    continue;
                }
                // What a pipe brings goes by a name of its own.
                let variable = found.name("variable").map_or("_", |variable| variable.as_str());
                let body = closes.then(|| done(source, list.end()));
                let end = body.flatten().unwrap_or(source.len());
                out.loops.push(Loop { names: listed, scope: whole.start()..end });
                out.variables.push(variable.to_owned());
            }
        }
        for at in 0..out.loops.len() {
            let (start, variable) = (out.loops[at].scope.start, &out.variables[at]);
            // The variable is bound anew by the next loop of its name.
            let later = out
                .loops
                .iter()
                .zip(&out.variables)
                .filter(|(other, name)| other.scope.start > start && *name == variable);
            if let Some(next) = later.map(|(other, _)| other.scope.start).min() {
                let scope = &mut out.loops[at].scope;
                scope.end = scope.end.min(next);
            }
        }
        out
    }

    /// The variables of the loops.
    pub(super) fn variables(&self) -> &[String] {
        &self.variables
    }

    /// Reports each name over which a loop goes whose variable is a part of one of `hits[from..]`.
    pub(super) fn report(&self, source: &str, from: usize, hits: &mut Vec<Hit>) {
        let open: Vec<_> = hits[from..]
            .iter()
            .filter(|hit| hit.service.is_none() && forms::is_named(hit.form))
            .map(|hit| (hit.span.start, hit.form))
            .collect();
        for (Loop { names, scope }, variable) in self.loops.iter().zip(&self.variables) {
            let form =
                open.iter().find(|(at, _)| scope.contains(at) && has_word(line(source, *at), variable));
            let Some((_, form)) = form else { continue };
            for (span, service) in names {
                if !forms::keeps(form, *service) {
                    hits.push(Hit::new(span.clone(), form, Some(*service)));
                }
            }
        }
    }
}

/// The names of daemons in a list, each a word of its own.
fn listed<'a>(
    names: &'a Names,
    source: &'a str,
    list: Range<usize>,
) -> impl Iterator<Item = (Range<usize>, Daemon)> + 'a {
    let text = &source[list.clone()];
    names.service.find_iter(text).filter_map(move |found| {
        let service = names::service(found.as_str())?;
        names::alone(text, &found.range(), b"-./")
            .then_some((list.start + found.start()..list.start + found.end(), service))
    })
}

/// Lists of names that are assigned to a name.
fn constants<'a>(names: &Names, source: &'a str) -> BTreeMap<&'a str, Vec<(Range<usize>, Daemon)>> {
    let mut out = BTreeMap::new();
    for line in plain::lines(source, 0..source.len()) {
        let text = &source[line.clone()];
        let Some(at) = text.find('=').filter(|at| !text[at + 1..].starts_with(['=', '>'])) else { continue };
        let listed: Vec<_> = listed(names, source, line.start + at..line.end).collect();
        // A type may stand between the name and its value.
        let name = names.word.find_iter(text[..at].split(':').next().unwrap_or_default()).last();
        if let Some(name) = name.filter(|_| !listed.is_empty()) {
            out.insert(&source[line.start + name.start()..line.start + name.end()], listed);
        }
    }
    out
}

/// The end of the `done` that closes the loop whose list ends at `from`.
fn done(source: &str, from: usize) -> Option<usize> {
    let mut depth = 0_usize;
    let word = |c: char| c.is_alphanumeric() || c == '_';
    let mut at = from;
    for part in source[from..].split(|c| !word(c)) {
        match part {
            "do" => depth += 1,
            "done" if depth <= 1 => return Some(at + part.len()),
            "done" => depth -= 1,
            _ => {}
        }
        at += part.len();
        at += source[at..].chars().next().map_or(0, char::len_utf8);
    }
    None
}

/// The line of the byte `at`.
fn line(source: &str, at: usize) -> &str {
    let start = source[..at].rfind('\n').map_or(0, |at| at + 1);
    source[start..].split('\n').next().unwrap_or_default()
}

/// Whether a text has a word.
pub(super) fn has_word(text: &str, word: &str) -> bool {
    text.match_indices(word).any(|(at, _)| names::alone(text, &(at..at + word.len()), b""))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::scan::plain::Comments;

    /// The words that a search of `source` reports, and the form of the first.
    fn reported(source: &str) -> (Vec<&str>, &'static str) {
        let names = Names::new(&["bot-bottle".to_owned()], "FLAG");
        let mut hits = Vec::new();
        plain::search(&names, source, Comments::Hash, &mut hits);
        hits.retain(|hit| hit.service.is_some());
        hits.sort_by_key(|hit| hit.span.start);
        let form = hits.first().map_or("", |hit| hit.form.id.as_str());
        (hits.into_iter().map(|hit| &source[hit.span]).collect(), form)
    }

    #[test]
    fn names_stand_where_a_loop_lists_them() {
        let both = vec!["egress", "supervise"];
        for (source, form) in [
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
            assert_eq!(reported(source), (both.clone(), form), "{source}");
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
