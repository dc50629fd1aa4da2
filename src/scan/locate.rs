//! From bytes to lines: one finding per line and daemon, the most telling form first.

use std::collections::{BTreeMap, BTreeSet};
use std::ops::Range;
use std::path::Path;

use bottle_model::daemon::Daemon;

use crate::rule::RuleId;
use crate::scan::finding::{Certainty, Finding, Match, Zone};
use crate::scan::patterns::Patterns;
use crate::scan::rules;
use crate::scan::suppress;

/// Starts of the lines of a text.
pub(in crate::scan) struct Lines<'a> {
    source: &'a str,
    starts: Vec<usize>,
}

impl<'a> Lines<'a> {
    pub(in crate::scan) fn of(source: &'a str) -> Self {
        let starts = std::iter::once(0).chain(source.match_indices('\n').map(|(at, _)| at + 1)).collect();
        Self { source, starts }
    }

    /// Number of the line, from 0, that has the byte `at`.
    pub(in crate::scan) fn number(&self, at: usize) -> usize {
        self.starts.partition_point(|start| *start <= at).saturating_sub(1)
    }

    fn range(&self, number: usize) -> Range<usize> {
        let start = self.starts.get(number).copied().unwrap_or(self.source.len());
        let end = self.starts.get(number + 1).copied().unwrap_or(self.source.len());
        start..end
    }

    pub(in crate::scan) fn text(&self, number: usize) -> &'a str {
        self.source[self.range(number)].trim_end_matches(['\n', '\r'])
    }
}

/// The findings of one file.
pub(in crate::scan) fn findings(
    patterns: &Patterns,
    file: &str,
    zone: Zone,
    source: &str,
    mut matches: Vec<Match>,
) -> Vec<Finding> {
    let lines = Lines::of(source);
    // A word `egress-lab` by itself may be the slug of a bottle, whose agent is `bot-bottle-egress-lab`.
    let slugs: BTreeSet<&str> = patterns
        .slug
        .captures_iter(source)
        .filter_map(|found| found.name("slug"))
        .map(|slug| slug.as_str())
        .collect();
    for matched in matches
        .iter_mut()
        .filter(|matched| matches!(matched.rule.id, RuleId::ContainerName | RuleId::DockerCli))
    {
        let text = source.get(matched.span.clone()).unwrap_or_default();
        if text.contains(['{', '$', '%', '<']) {
            matched.unsure = false;
        }
        let slug = patterns.service.find(text).map_or("", |found| &text[found.start()..]);
        if slugs.contains(slug) {
            matched.unsure = true;
        }
    }
    let mut grouped: BTreeMap<(usize, Option<Daemon>, bool), Vec<Match>> = BTreeMap::new();
    for matched in matches {
        let flag = matched.rule.id == rules::FLAG_REFERENCE.id;
        grouped.entry((lines.number(matched.span.start), matched.service, flag)).or_default().push(matched);
    }
    // A line that names daemons needs no finding that names none.
    let telling: BTreeSet<usize> =
        grouped.keys().filter(|(_, service, _)| service.is_some()).map(|(line, _, _)| *line).collect();
    grouped.retain(|(line, service, flag), _| service.is_some() || *flag || !telling.contains(line));
    let mut out = Vec::new();
    for ((number, service, _), mut group) in grouped {
        group.sort_by_key(|matched| (rules::rank(matched.rule), matched.unsure, matched.span.start));
        let edits: Vec<_> = group
            .iter()
            .filter(|matched| !matched.unsure)
            .flat_map(|matched| matched.edits.clone())
            .collect();
        let all = group.iter().all(|matched| !matched.edits.is_empty());
        let first = &group[0];
        let text = lines.text(number);
        let start = lines.range(number).start;
        let before = &source[start..first.span.start.max(start)];
        let inside = &source[first.span.start..first.span.end.min(start + text.len()).max(first.span.start)];
        out.push(Finding {
            file: file.to_owned(),
            line: number + 1,
            column: before.trim_start_matches('\u{feff}').chars().count() + 1,
            width: inside.chars().count().max(1),
            form: first.rule.id,
            service,
            zone,
            text: text.trim_start_matches('\u{feff}').to_owned(),
            suggestion: first.suggestion.clone(),
            edits: if all && !first.unsure { edits } else { Vec::new() },
            certainty: if first.unsure { Certainty::Unsure } else { Certainty::Sure },
            waived: None,
        });
    }
    suppress::apply(file, zone, source, out)
}

/// The last part of each path, with the paths that end with it.
pub(in crate::scan) fn by_last_part(paths: &BTreeSet<String>) -> BTreeMap<&str, Vec<&str>> {
    let mut by_last: BTreeMap<&str, Vec<&str>> = BTreeMap::new();
    for path in paths {
        by_last.entry(path.rsplit('/').next().unwrap_or(path)).or_default().push(path);
    }
    by_last
}

/// Tests that a document names and that do not exist; `existing` has the files of tests by the last part of their paths.
pub(in crate::scan) fn deleted_tests(
    patterns: &Patterns,
    source: &str,
    root: &Path,
    file: &str,
    existing: &BTreeMap<&str, Vec<&str>>,
    matches: &mut Vec<Match>,
) {
    let folder = Path::new(file).parent().unwrap_or(Path::new(""));
    for found in patterns.test.captures_iter(source) {
        // A word by itself is a file's name only where the tests are listed.
        let listed = found
            .name("bare")
            .filter(|_| folder.components().any(|part| part.as_os_str().to_string_lossy().contains("test")));
        let module = found.name("module").or_else(|| found.name("dotted")).or(listed);
        let Some(name) = found.name("file").or(module) else { continue };
        let dotted = module.is_some();
        let path =
            if dotted { format!("{}.py", name.as_str().replace('.', "/")) } else { name.as_str().to_owned() };
        // What another project's address leads to is not expected here.
        if name.as_str().starts_with("//")
            && source[..name.start()].ends_with(':')
            && patterns.foreign(name.as_str())
        {
            continue;
        }
        let path = path.trim_start_matches("./").trim_start_matches('/');
        let last = path.rsplit('/').next().unwrap_or(path).to_ascii_lowercase();
        let service =
            patterns.service.find(&last).and_then(|found| crate::scan::patterns::daemon(found.as_str()));
        if service.is_none() && !last.contains("sidecar") {
            continue;
        }
        let there = [root.join(path), root.join(folder).join(path)].iter().any(|path| path.exists());
        let ending = format!("/{path}");
        let of_name = existing.get(path.rsplit('/').next().unwrap_or(path)).into_iter().flatten();
        let elsewhere = of_name.into_iter().any(|other| *other == path || other.ends_with(&ending));
        if !there && !elsewhere {
            matches.push(Match::new(name.range(), &rules::DOC_DELETED, service));
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_test_that_is_gone_is_missed_in_back_quotes_too() {
        let patterns = Patterns::new(&["bot-bottle".to_owned()], "FLAG");
        let root = tempfile::tempdir().unwrap();
        for (text, missed) in [
            ("- `test_egress_smoke`: the proxy", 1),
            ("| `test_pipelock_container` | x |", 1),
            ("see `tests.test_egress_smoke`", 1),
            ("see `tests/test_egress_smoke.py`", 1),
            ("run `pytest tests/test_supervise.py`", 1),
            ("the case `test_egress_smoke` is slow", 0),
            ("- `test_egress_there`", 0),
            ("- `test_nothing`", 0),
        ] {
            let mut matches = Vec::new();
            let there = BTreeMap::from([("test_egress_there.py", vec!["tests/test_egress_there.py"])]);
            deleted_tests(&patterns, text, root.path(), "tests/README.md", &there, &mut matches);
            assert_eq!(matches.len(), missed, "{text}");
        }
        let mut matches = Vec::new();
        deleted_tests(
            &patterns,
            "- `test_egress_smoke`",
            root.path(),
            "docs/a.md",
            &BTreeMap::new(),
            &mut matches,
        );
        assert!(matches.is_empty());
    }

    #[test]
    fn a_test_of_another_project_is_not_missed_here() {
        let patterns = Patterns::new(&["bot-bottle".to_owned()], "FLAG");
        let root = tempfile::tempdir().unwrap();
        for (text, missed) in [
            ("see tests/test_egress.py", 1),
            ("see https://example.com/us/bot-bottle/blob/main/tests/test_egress.py", 1),
            ("see https://example.com/acme/proxy/blob/main/tests/test_egress.py", 0),
            ("see <https://example.com/test_egress.sh>", 0),
        ] {
            let mut matches = Vec::new();
            deleted_tests(&patterns, text, root.path(), "README.md", &BTreeMap::new(), &mut matches);
            assert_eq!(matches.len(), missed, "{text}");
        }
    }
}
