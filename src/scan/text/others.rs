//! What is neither a container nor a host: Dockerfiles, labels, entries, the flag.

use bottle_model::daemon::Daemon;

use super::Region;
use crate::scan::finding::Hit;
use crate::scan::{forms, names};

impl Region<'_> {
    /// Finds the references of one line's kind.
    pub(super) fn others(&self, hits: &mut Vec<Hit>) {
        self.labels(hits);
        self.filters_by_service(hits);
        self.composed(hits);
        for found in self.names.dockerfile.captures_iter(self.text) {
            let Some(whole) = found.get(0) else { continue };
            let rest = &self.text[whole.end()..];
            let longer = rest.starts_with(|c: char| c.is_alphanumeric() || matches!(c, '-' | '_'))
                || rest.starts_with('.') && rest[1..].starts_with(|c: char| c.is_alphanumeric());
            let service = found.name("service").and_then(|name| names::service(name.as_str()));
            let gone = found
                .name("service")
                .is_none_or(|_| service.is_some_and(|service| service != Daemon::Pipelock));
            if !longer && gone {
                hits.push(Hit::new(self.span(whole.range()), &forms::DOCKERFILE, service));
            }
        }
        for found in self.names.subscript.captures_iter(self.text) {
            let (Some(whole), Some(name)) = (found.get(0), found.name("service")) else { continue };
            let before = self.text[..whole.start()].chars().next_back();
            let alone = names::alone(self.text, &name.range(), b"-");
            if alone
                && before.is_none_or(|c| !c.is_alphanumeric())
                && let Some(service) = names::service(name.as_str())
            {
                hits.push(Hit::new(self.span(name.range()), &forms::SERVICE_SUBSCRIPT, Some(service)));
            }
        }
        for found in self.names.flag.find_iter(self.text) {
            if names::alone(self.text, &found.range(), b"") {
                hits.push(Hit::new(self.span(found.range()), &forms::FLAG_REFERENCE, None));
            }
        }
        for found in self.names.count.find_iter(self.text) {
            let line = found.as_str().rfind('\n').map_or(0, |feed| feed + 1);
            hits.push(Hit::new(self.span(found.start() + line..found.end()), &forms::SERVICE_COUNT, None));
        }
    }

    /// Compose's label with the name of a sidecar's service.
    fn labels(&self, hits: &mut Vec<Hit>) {
        for found in self.names.label.captures_iter(self.text) {
            let (Some(whole), Some(rest)) = (found.get(0), found.name("value")) else { continue };
            let value = label_value(rest.as_str());
            let start = rest.start() + value.start;
            let value = &rest.as_str()[value];
            let mut named = false;
            for name in self.names.service.find_iter(value) {
                let range = start + name.start()..start + name.end();
                named = true;
                if names::alone(self.text, &range, b"-./")
                    && let Some(service) = names::service(name.as_str())
                {
                    hits.push(Hit::new(self.span(range), &forms::SERVICE_LABEL, Some(service)));
                }
            }
            if !named && rest.as_str().starts_with('=') && self.names.hole_at(value).is_some() {
                hits.push(Hit::new(
                    self.span(whole.start()..start + value.len()),
                    &forms::SERVICE_LABEL,
                    None,
                ));
            }
        }
    }

    /// Look-ups with `name=egress` as a filter of its own, and no part of another label's name.
    fn filters_by_service(&self, hits: &mut Vec<Hit>) {
        for (start, lead) in self.text.match_indices("name=") {
            let rest = self.text[start + lead.len()..].trim_start_matches(['^', '/']);
            let at = self.text.len() - rest.len();
            if let Some(found) = self.names.service.find(rest).filter(|found| found.start() == 0)
                && names::alone(self.text, &(start..start + lead.len() - 1), b".-/")
                && names::alone(self.text, &(at..at + found.end()), b".-")
                && self.line(start).contains("filter")
                && let Some(service) = names::service(found.as_str())
            {
                hits.push(Hit::new(self.span(at..at + found.end()), &forms::SERVICE_LABEL, Some(service)));
            }
        }
    }

    /// Helpers by a name that is put together: `getattr(names, f"{svc}_container_name")`.
    fn composed(&self, hits: &mut Vec<Hit>) {
        for found in self.names.composed.captures_iter(self.text) {
            let (Some(whole), Some(hole)) = (found.get(0), found.name("hole")) else { continue };
            if self.goes_by_service(hole.as_str()) {
                hits.push(Hit::new(self.span(whole.range()), &forms::NAME_HELPER, None));
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
    use crate::scan::names::Names;
    use crate::scan::plain::{self, Comments};

    /// Words that are reported, with their forms.
    fn reported(source: &str) -> Vec<(&str, &'static str)> {
        let names = Names::new(&["bot-bottle".to_owned()], "FLAG");
        let mut hits = Vec::new();
        plain::search(&names, source, Comments::Hash, &mut hits);
        hits.into_iter().map(|hit| (&source[hit.span], hit.form.id.as_str())).collect()
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
            let names = Names::new(&["bot-bottle".to_owned()], "FLAG");
            let mut hits = Vec::new();
            crate::scan::shell::search(&names, source, &mut hits);
            let found: Vec<_> =
                hits.into_iter().map(|hit| (&source[hit.span], hit.form.id.as_str())).collect();
            assert_eq!(found, [(count, "service-count")], "{source}");
        }
    }
}
