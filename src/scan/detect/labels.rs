//! What is neither a container nor a host: Dockerfiles, labels, entries, the flag.

use bottle_model::daemon::Daemon;

use super::Region;
use super::around::Mark;
use crate::scan::finding::Match;
use crate::scan::patterns;
use crate::scan::rules;

/// Bytes in which the name of a service is.
const LONGEST: usize = 16;

impl Region<'_> {
    /// Finds the references of one line's kind.
    pub(in crate::scan) fn others(&self, matches: &mut Vec<Match>) {
        self.labels(matches);
        self.filters_by_service(matches);
        self.composed(matches);
        for found in self.patterns.dockerfile.captures_iter(self.text) {
            let Some(whole) = found.get(0) else { continue };
            let rest = &self.text[whole.end()..];
            let longer = rest.starts_with(|c: char| c.is_alphanumeric() || matches!(c, '-' | '_'))
                || rest.starts_with('.') && rest[1..].starts_with(|c: char| c.is_alphanumeric());
            let service = found.name("service").and_then(|name| patterns::service(name.as_str()));
            let gone = found
                .name("service")
                .is_none_or(|_| service.is_some_and(|service| service != Daemon::Pipelock));
            if !longer && gone {
                matches.push(Match::new(self.span(whole.range()), &rules::DOCKERFILE, service));
            }
        }
        for found in self.patterns.subscript.captures_iter(self.text) {
            let (Some(whole), Some(name)) = (found.get(0), found.name("service")) else { continue };
            let before = self.text[..whole.start()].chars().next_back();
            let alone = patterns::alone(self.text, &name.range(), b"-");
            if alone
                && before.is_none_or(|c| !c.is_alphanumeric())
                && let Some(service) = patterns::service(name.as_str())
            {
                matches.push(Match::new(self.span(name.range()), &rules::SERVICE_SUBSCRIPT, Some(service)));
            }
        }
        for found in self.patterns.flag.find_iter(self.text) {
            if patterns::alone(self.text, &found.range(), b"") {
                matches.push(Match::new(self.span(found.range()), &rules::FLAG_REFERENCE, None));
            }
        }
        for found in self.patterns.count.find_iter(self.text) {
            let line = found.as_str().rfind('\n').map_or(0, |feed| feed + 1);
            matches.push(Match::new(
                self.span(found.start() + line..found.end()),
                &rules::SERVICE_COUNT,
                None,
            ));
        }
    }

    /// Compose's label with the name of a sidecar's service.
    fn labels(&self, matches: &mut Vec<Match>) {
        for found in self.patterns.label.captures_iter(self.text) {
            let (Some(whole), Some(rest)) = (found.get(0), found.name("value")) else { continue };
            let value = label_value(rest.as_str());
            let start = rest.start() + value.start;
            let value = &rest.as_str()[value];
            let mut named = false;
            for name in self.patterns.service.find_iter(value) {
                let range = start + name.start()..start + name.end();
                named = true;
                if patterns::alone(self.text, &range, b"-./")
                    && let Some(service) = patterns::service(name.as_str())
                {
                    matches.push(Match::new(self.span(range), &rules::SERVICE_LABEL, Some(service)));
                }
            }
            if !named && rest.as_str().starts_with('=') && self.patterns.placeholder_at(value).is_some() {
                matches.push(Match::new(
                    self.span(whole.start()..start + value.len()),
                    &rules::SERVICE_LABEL,
                    None,
                ));
            }
        }
    }

    /// Look-ups with `name=egress` as a filter of its own, and no part of another label's name.
    fn filters_by_service(&self, matches: &mut Vec<Match>) {
        for (start, lead) in self.text.match_indices("name=") {
            let behind = &self.text[start + lead.len()..];
            let marks = behind.bytes().take(4).take_while(|byte| matches!(byte, b'^' | b'/')).count();
            let rest = &behind[marks..];
            let at = self.text.len() - rest.len();
            let mut near = rest.len().min(LONGEST);
            while !rest.is_char_boundary(near) {
                near -= 1;
            }
            if let Some(found) = self.patterns.service.find(&rest[..near]).filter(|found| found.start() == 0)
                && patterns::alone(self.text, &(start..start + lead.len() - 1), b".-/")
                && patterns::alone(self.text, &(at..at + found.end()), b".-")
                && self.around.has(Mark::Filter, start)
                && let Some(service) = patterns::service(found.as_str())
            {
                matches.push(Match::new(
                    self.span(at..at + found.end()),
                    &rules::SERVICE_LABEL,
                    Some(service),
                ));
            }
        }
    }

    /// Helpers by a name that is put together: `getattr(names, f"{svc}_container_name")`.
    fn composed(&self, matches: &mut Vec<Match>) {
        for found in self.patterns.composed.captures_iter(self.text) {
            let (Some(whole), Some(placeholder)) = (found.get(0), found.name("placeholder")) else {
                continue;
            };
            if self.goes_by_service(placeholder.as_str()) {
                matches.push(Match::new(self.span(whole.range()), &rules::NAME_HELPER, None));
            }
        }
    }
}

/// Where the value is in what stands behind a label's name: its own one, no other label's.
fn label_value(rest: &str) -> std::ops::Range<usize> {
    let ends = |text: &str, marks: &[char]| text.find(marks).unwrap_or(text.len());
    // `label=value`
    if let Some(value) = rest.strip_prefix('=').filter(|value| !value.starts_with(['=', ' '])) {
        let value = value.trim_start_matches('~');
        let start = rest.len() - value.len();
        let quoted = value.starts_with(['"', '\'']);
        let marks: &[char] = if quoted { &['"', '\''] } else { &['"', '\'', '`', ' ', ','] };
        let open = usize::from(quoted);
        return start + open..start + open + ends(&value[open..], marks);
    }
    // `"label": "value"`, `labels["label"] == "value"`, `labels.get("label") in (…)`
    let closed = rest.trim_start_matches(['"', '\'', '`', ']', ')', '}', ' ', '\\']);
    let value = closed.trim_start_matches([':', '=', '!', '>', ',', ' ', '"', '\'', '\\']);
    let start = rest.len() - value.len();
    let joined = closed.len() > value.len() && !value.starts_with(['[', '(', '{', '$']);
    if joined { start..start + ends(value, &['"', '\'', '`', ',']) } else { start..rest.len() }
}

#[cfg(test)]
mod tests {
    use crate::scan::lang::text::{self, Comments};
    use crate::scan::patterns::Patterns;

    /// Words that are reported, with their forms.
    fn reported(source: &str) -> Vec<(&str, &'static str)> {
        let patterns = Patterns::new(&["bot-bottle".to_owned()], "FLAG");
        let mut matches = Vec::new();
        text::search(&patterns, source, Comments::Hash, &mut matches);
        matches.into_iter().map(|matched| (&source[matched.span], matched.rule.id.as_str())).collect()
    }

    #[test]
    fn a_label_has_a_value_of_its_own() {
        for source in [
            "docker ps --filter label=com.docker.compose.service=egress",
            "{\"com.docker.compose.service\": \"egress\", \"tier\": \"supervise\"}",
            "labels[\"com.docker.compose.service\"] == \"egress\"",
            "labels.get('com.docker.compose.service') in ['egress', 'agent']",
            "{{index .Config.Labels \"com.docker.compose.service\"}}' x)\" = egress ]",
            "com_docker_compose_service=~\"egress|agent\"",
            "['com.docker.compose.service=egress', 'tier=supervise']",
        ] {
            assert_eq!(reported(source), [("egress", "service-label")], "{source}");
        }
        for source in [
            "['com.docker.compose.service=agent', 'tier=egress']",
            "{\"com.docker.compose.service\": \"agent\", \"tier\": \"egress\"}",
            "docker ps --filter label=app.kubernetes.io/name=egress",
            "docker ps --filter label=com.docker.compose.service=agent --filter label=tier=egress",
        ] {
            assert_eq!(reported(source), [], "{source}");
        }
    }

    #[test]
    fn what_is_counted_may_stand_above() {
        for (source, count) in [
            (
                "run docker compose config --services\n[ \"${#lines[@]}\" -eq 5 ]\n",
                "[ \"${#lines[@]}\" -eq 5",
            ),
            ("n=$(docker compose config --services | wc -l)\n[ \"$n\" -eq 4 ]\n", "[ \"$n\" -eq 4"),
        ] {
            let patterns = Patterns::new(&["bot-bottle".to_owned()], "FLAG");
            let mut matches = Vec::new();
            crate::scan::lang::shell::search(&patterns, source, &mut matches);
            let found: Vec<_> = matches
                .into_iter()
                .map(|matched| (&source[matched.span], matched.rule.id.as_str()))
                .collect();
            assert_eq!(found, [(count, "service-count")], "{source}");
        }
    }
}
