//! The text diff of both shapes.

use bottle_model::compose::{Compose, EnvValue, Probe, Service};
use similar::TextDiff;

use crate::text::{self, Redactor};

/// Unified diff of both shapes as `render` prints them, secrets hidden.
pub(super) fn unified(before: &Compose, after: &Compose, redactor: &Redactor) -> String {
    let shown = |compose: &Compose| {
        let mut compose = compose.clone();
        compose.services.values_mut().for_each(|service| hide(service, redactor));
        redactor.scrub_lines(&compose.to_yaml())
    };
    let (before, after) = (shown(before), shown(after));
    TextDiff::from_lines(&before, &after).unified_diff().header("legacy", "bundle").to_string()
}

/// Hides values that are secret by their place: in YAML a value is not always next to its name.
fn hide(service: &mut Service, redactor: &Redactor) {
    for value in service.environment.values_mut() {
        if let EnvValue::Literal(text) = value {
            *text = redactor.secret(text);
        }
    }
    for (_, value) in service.labels.iter_mut().filter(|(name, _)| text::names_credential(name)) {
        *value = redactor.secret(value);
    }
    let probe = match service.healthcheck.as_mut().and_then(|health| health.test.as_mut()) {
        Some(Probe::Exec(argv)) => Some(argv),
        _ => None,
    };
    for argv in [service.entrypoint.as_mut(), service.command.as_mut(), probe].into_iter().flatten() {
        for at in 1..argv.len() {
            let option = &argv[at - 1];
            if option.starts_with('-') && !option.contains('=') && text::names_credential(option) {
                argv[at] = redactor.secret(&argv[at]);
            }
        }
    }
}

/// Values of the variables that are credentials by their name.
pub(super) fn secrets(compose: &Compose) -> impl Iterator<Item = &str> {
    let variables = compose.services.values().flat_map(|service| &service.environment);
    variables.filter_map(|(name, value)| match value {
        EnvValue::Literal(text) if text::names_credential(name) => Some(text.as_str()),
        _ => None,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn no_secret_is_shown_and_a_difference_is() {
        let read = |token: &str| {
            let text = format!(
                "services:\n  a:\n    image: x\n    environment: {{API_TOKEN: {token}, PLAIN: value-{token}}}\n    \
                 command: [run, --password, {token}, --port, '80']\n    labels: {{api-token: {token}}}\n    \
                 healthcheck: {{test: [CMD, x, --secret, {token}]}}\n"
            );
            crate::compose::read_text(&text, &|_| None).unwrap().compose
        };
        let (before, after) = (read("first-one"), read("second-one"));
        let redactor = Redactor::new(false).knowing(secrets(&before).chain(secrets(&after)));
        let text = unified(&before, &after, &redactor);
        assert!(!text.contains("first-one") && !text.contains("second-one"), "{text}");
        let changed = |sign: &str| text.lines().filter(|line| line.starts_with(sign)).count();
        assert_eq!((changed("-  "), changed("+  ")), (5, 5), "{text}");
        assert!(text.contains("'80'") || text.contains("\"80\"") || text.contains("- 80"), "{text}");
    }
}
