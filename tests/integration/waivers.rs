//! Waivers by findings: a waiver silences what it names and nothing else.

use std::collections::BTreeSet;
use std::path::Path;

use bottle_migrate::compare::{Comparer, Detail, PlanText, Wants};
use bottle_migrate::compose::Switches;
use bottle_migrate::finding::{Identity, RuleId};
use bottle_migrate::report::Comparison;
use bottle_migrate::text::Redactor;
use bottle_migrate::view::Roles;
use bottle_migrate::waiver::Waiver;
use bottle_model::daemon::Isolation;
use bottle_model::images::Images;
use regex::Regex;

use crate::process::Target;

/// Rule, principal and subject of a finding.
type Named = (RuleId, String, String);

/// Every finding between the shapes of the examples and of some generated plans, and some whose subjects are odd.
fn findings() -> BTreeSet<Named> {
    let roles = Roles::builtin(&Images::default());
    let plans =
        crate::laws::examples().into_iter().chain(crate::plans::rendering_samples().into_iter().take(12));
    let mut found: BTreeSet<Named> = plans
        .flat_map(|(_, plan)| {
            let (legacy, bundle) = crate::laws::shapes(&plan);
            crate::verdicts::compared(&legacy, &bundle, &roles)
        })
        .map(|finding| (finding.rule.id, finding.principal, finding.subject))
        .collect();
    let odd = ["/a/*", "/a/b", "/a/?", "/a/\\*", "*", "?", "\\", "", "ä", "[a-z]", "a\nb"];
    let odd = odd.into_iter().flat_map(|subject| {
        ["", "egress"].map(|who| (RuleId::MountDropped, who.to_owned(), subject.to_owned()))
    });
    found.extend(odd);
    assert!(found.len() > 60, "hardly any finding: {}", found.len());
    found
}

fn identity((rule, principal, subject): &Named) -> Identity<'_> {
    Identity { rule: *rule, principal, subject }
}

fn waiver(
    rule: Option<RuleId>,
    subject: Option<String>,
    fingerprint: Option<String>,
    who: Option<&str>,
) -> Waiver {
    Waiver::new(rule, subject, fingerprint, who.map(str::to_owned), "why".to_owned(), None, 1)
}

/// What a waiver accepts of them.
fn accepted<'f>(waiver: &Waiver, findings: &'f BTreeSet<Named>) -> BTreeSet<&'f Named> {
    findings.iter().filter(|finding| waiver.covers(&identity(finding))).collect()
}

#[test]
fn a_waiver_for_each_finding_silences_that_one_alone() {
    let findings = findings();
    for finding in &findings {
        let (rule, principal, subject) = finding;
        let exact = subject.replace('*', "\\*").replace('?', "\\?");
        let alone = BTreeSet::from([finding]);
        let named = waiver(Some(*rule), Some(exact.clone()), None, Some(principal));
        // A backslash before `*` or `?` is an escape: such a subject needs its fingerprint.
        if !subject.contains("\\*") {
            assert_eq!(accepted(&named, &findings), alone, "{finding:?}");
        }
        let printed = waiver(None, None, Some(identity(finding).fingerprint()), None);
        assert_eq!(accepted(&printed, &findings), alone, "{finding:?}");
        let of_rule = waiver(Some(*rule), Some(exact), None, None);
        let rest = findings.iter().filter(|(other, _, about)| (other, about) == (rule, subject)).collect();
        if !subject.contains("\\*") {
            assert_eq!(accepted(&of_rule, &findings), rest, "{finding:?}");
        }
    }
}

#[test]
fn a_pattern_silences_what_it_matches_and_no_other_rule_or_principal() {
    let findings = findings();
    for (rule, principal, subject) in &findings {
        let characters: Vec<char> = subject.chars().filter(|c| !matches!(c, '*' | '?' | '\\')).collect();
        let plain: String = characters.iter().collect();
        let half: String = characters[..characters.len() / 2].iter().collect();
        let rest: String = characters[characters.len() / 2..].iter().skip(1).collect();
        for pattern in
            ["*".to_owned(), format!("{half}*"), format!("*{half}"), format!("{half}?{rest}"), plain.clone()]
        {
            let oracle = pattern
                .split('*')
                .map(|part| part.split('?').map(regex::escape).collect::<Vec<_>>().join("(?s:.)"))
                .collect::<Vec<_>>()
                .join("(?s:.*)");
            let oracle = Regex::new(&format!("^{oracle}$")).unwrap();
            let wanted: BTreeSet<&Named> = findings
                .iter()
                .filter(|(id, who, about)| (id, who) == (rule, principal) && oracle.is_match(about))
                .collect();
            let waiver = waiver(Some(*rule), Some(pattern.clone()), None, Some(principal));
            assert_eq!(accepted(&waiver, &findings), wanted, "{pattern}");
        }
    }
}

/// Compares an example under some waivers; also gives the subjects of the waivers that accepted nothing.
fn compared(waivers: &[Waiver]) -> (Comparison, Vec<String>) {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("examples/full.plan.json");
    let text = std::fs::read_to_string(&path).unwrap();
    let redactor = Redactor::new(false);
    let comparer = Comparer {
        isolation: Isolation::default(),
        switches: Switches::default(),
        images: Images::default(),
        roles: Roles::builtin(&Images::default()),
        waivers,
        today: "2026-06-01".parse().unwrap(),
        redactor: &redactor,
        wants: Wants { detail: Detail::Document, text: false },
    };
    let comparison = comparer.plan(PlanText { file: &path, text: &text }, false).unwrap();
    let closing = comparer.closing(Path::new("bottle-migrate.toml"), true);
    (comparison, closing.into_iter().map(|entry| entry.subject).collect())
}

#[test]
fn a_report_with_one_waiver_differs_in_that_finding_alone() {
    let (open, _) = compared(&[]);
    assert!(open.entries.len() > 5 && open.entries.iter().all(|entry| entry.waived.is_none()));
    for accepted in &open.entries {
        let own =
            waiver(Some(accepted.rule.id), Some(accepted.subject.clone()), None, Some(&accepted.principal));
        let (report, unused) = compared(&[own]);
        assert!(unused.is_empty(), "{unused:?}");
        for (entry, before) in report.entries.iter().zip(&open.entries) {
            let silenced = entry.waived.is_some();
            assert_eq!(silenced, entry.fingerprint == accepted.fingerprint, "{entry:?}");
            assert_eq!((&entry.rule.id, &entry.subject), (&before.rule.id, &before.subject));
        }
    }
    let nobody = waiver(Some(RuleId::MountDropped), Some("/no/such/*".to_owned()), None, None);
    assert_eq!(compared(&[nobody]).1, ["mount-dropped /no/such/*"]);
}

#[test]
fn a_waiver_that_can_match_nothing_says_so() {
    let pair = "services: {agent: {image: a}}";
    let bundle = "services: {agent: {image: a}, sidecars: {image: s, entrypoint: [sidecar-init]}}";
    let target = Target::new(&[("a.yml", pair), ("b.yml", bundle)]);
    let run = |waiver: &str| {
        target.write("bottle-migrate.toml", format!("[[waiver]]\nreason = 'why'\n{waiver}"));
        target.run(&["diff", "--legacy", "a.yml", "--bundle", "b.yml"])
    };
    for (waiver, said) in [
        ("rule = 'mount-dropped'\nsubject = ''", "an empty subject matches no finding"),
        ("rule = 'mount-droped'\nsubject = '*'", "did you mean `mount-dropped`?"),
        (
            "rule = 'mount-dropped'\nprincipal = 'egress'\nsubject = '/a'\nfingerprint = '0123456789abcdef'",
            "no finding has this fingerprint",
        ),
    ] {
        let ran = run(waiver);
        assert_eq!(ran.code, 2, "{waiver}: {}{}", ran.stdout, ran.stderr);
        assert!(ran.stderr.contains(said), "{waiver}: {}", ran.stderr);
    }
    let ran = run("rule = 'mount-dropped'\nsubject = '/data/*'");
    assert!(
        ran.stderr
            .contains("bottle-migrate.toml:3: no finding here needs the waiver of mount-dropped /data/*"),
        "{}",
        ran.stderr
    );
    let ran = run("rule = 'daemon-set-mismatch'\nsubject = '*'");
    assert!(!ran.stderr.contains("needs the waiver"), "{}", ran.stderr);
}
