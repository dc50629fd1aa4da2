//! The report for people, as people see it.

use super::*;
use crate::finding::{Finding, Law, Rule, Shown};
use crate::flag::Shape;
use crate::rule::{Columns, RuleId};
use crate::text::Redactor;
use unicode_width::UnicodeWidthStr;

static DROPPED: Rule = Rule {
    id: RuleId::MountDropped,
    law: Law::Conservation,
    severity: Severity::Error,
    columns: Columns { subject: "path", principal: "who", gained: "now" },
    summary: "a mount is gone",
    doc: "",
};
static SHARED: Rule = Rule {
    id: RuleId::MountSecretShared,
    law: Law::Containment,
    severity: Severity::Warning,
    columns: Columns { subject: "path", principal: "whose", gained: "who can open it" },
    summary: "a secret is readable by a neighbour",
    doc: "",
};

fn comparison() -> Comparison {
    let redactor = Redactor::new(false);
    let mut dropped = Entry::of(
        &Finding::lost(
            &DROPPED,
            "egress",
            "/etc/egress/routes.yaml",
            Shown::plain("/srv/routes.yaml (ro)", ""),
        )
        .because(
            "the bundle mounts nothing at /etc/egress/routes.yaml, so egress starts without routes and \
                 refuses every request of the agent",
        ),
        None,
        &redactor,
    );
    dropped.file = Some("examples/full.plan.json".to_owned());
    dropped.line = Some(12);
    dropped.pointer = Some("/egress/routes".to_owned());
    dropped.rendered = Some((Shape::Legacy, 40));
    let shared = |principal: &str| {
        Entry::of(
            &Finding::gained(
                &SHARED,
                principal,
                "/git-gate/creds/key",
                Shown::plain("bind /keys/key (ro)", ""),
            ),
            None,
            &redactor,
        )
    };
    let mut walled = shared("supervise");
    walled.walled = true;
    walled.rendered = Some((Shape::Bundle, 46));
    let mut waived = shared("egress");
    waived.subject = "/etc/pipelock/ca-key.pem".to_owned();
    waived.waived = Some("one trust domain".to_owned());
    Comparison {
        label: "examples/full.plan.json".to_owned(),
        services: (5, 2),
        transitions: vec![
            ("agent-urls", "HTTPS_PROXY names sidecars".to_owned()),
            ("services-merged", "egress, git-gate, pipelock, supervise".to_owned()),
        ],
        entries: vec![walled, dropped, waived],
        untold: Vec::new(),
        text: None,
    }
}

fn shown(options: RenderOptions, comparisons: Vec<Comparison>) -> String {
    let mut summary = Summary { compared: comparisons.len(), ..Summary::default() };
    let mut out = Vec::new();
    let mut human = Human::new(options);
    human.begin(&mut out).unwrap();
    for comparison in comparisons {
        comparison.counts().for_each(|count| summary.add(count));
        human.comparison(comparison, &mut out).unwrap();
    }
    human.end(&[], &summary, &mut out).unwrap();
    String::from_utf8(out).unwrap()
}

const ONE: RenderOptions = RenderOptions {
    color: false,
    verbosity: Verbosity::Normal,
    single: true,
    width: 100,
    threshold: Some(Severity::Error),
};

#[test]
fn one_plan_is_told_in_full() {
    insta::assert_snapshot!(shown(ONE, vec![comparison()]), @r#"
    NOT equivalent: 1 error; 1 broadening; 1 waived
    examples/full.plan.json: 5 services → 2

    Errors

      egress
        mount-dropped  /etc/egress/routes.yaml
            the bundle mounts nothing at /etc/egress/routes.yaml, so egress starts without routes and
            refuses every request of the agent
            before  /srv/routes.yaml (ro)
            after   nothing
            at      legacy line 40 · examples/full.plan.json:12 /egress/routes

    Changed on purpose
      agent-urls       HTTPS_PROXY names sidecars
      services-merged  egress, git-gate, pipelock, supervise

    Broadenings

      mount-secret-shared  a secret is readable by a neighbour
          path                 whose      who can open it
          /git-gate/creds/key  supervise  bind /keys/key (ro)
          bundle line 46
          "isolation": "require" in the plan removes it

    Waived

      mount-secret-shared  a secret is readable by a neighbour
          path                      whose   who can open it
          /etc/pipelock/ca-key.pem  egress  bind /keys/key (ro)
          reason: one trust domain

    "isolation": "require" in the plan removes 1 of 1 broadening: the bundle then refuses to start
    without walls between its daemons.
    To accept a finding, add a [[waiver]] with a reason to bottle-migrate.toml. `bottle-migrate explain
    RULE` describes a rule.
    exit code 1: errors found
    "#);
}

#[test]
fn of_many_plans_errors_are_told_and_the_rest_is_counted() {
    let clean = Comparison { label: "b.json".to_owned(), services: (3, 2), ..Comparison::default() };
    let many = RenderOptions { single: false, ..ONE };
    insta::assert_snapshot!(shown(many, vec![clean.clone(), comparison()]), @"
    b.json  equivalent: nothing is lost and nothing is gained

    examples/full.plan.json  NOT equivalent: 1 error; 1 broadening; 1 waived

    Errors

      egress
        mount-dropped  /etc/egress/routes.yaml
            the bundle mounts nothing at /etc/egress/routes.yaml, so egress starts without routes and
            refuses every request of the agent
            before  /srv/routes.yaml (ro)
            after   nothing
            at      legacy line 40 · examples/full.plan.json:12 /egress/routes

    Warnings and notes of all comparisons
      rule                 findings  comparisons  what
      mount-secret-shared  1         1            a secret is readable by a neighbour

    NOT equivalent: 1 error; 1 broadening; 1 waived (2 comparisons)

    -v lists every finding of every comparison.
    To accept a finding, add a [[waiver]] with a reason to bottle-migrate.toml. `bottle-migrate explain
    RULE` describes a rule.
    exit code 1: errors found
    ");
    let text = shown(RenderOptions { verbosity: Verbosity::Quiet, ..many }, vec![clean.clone(), clean]);
    assert_eq!(text, "equivalent: nothing is lost and nothing is gained (2 comparisons)\n");
}

#[test]
fn quiet_is_the_verdict_and_the_errors() {
    insta::assert_snapshot!(shown(RenderOptions { verbosity: Verbosity::Quiet, ..ONE }, vec![comparison()]), @"
    NOT equivalent: 1 error; 1 broadening; 1 waived

    Errors

      egress
        mount-dropped  /etc/egress/routes.yaml
            the bundle mounts nothing at /etc/egress/routes.yaml, so egress starts without routes and
            refuses every request of the agent
            before  /srv/routes.yaml (ro)
            after   nothing
            at      legacy line 40 · examples/full.plan.json:12 /egress/routes
    ");
}

#[test]
fn loud_shows_fingerprints_and_whole_values() {
    let mut comparison = comparison();
    comparison.entries[1].before = Some("x".repeat(VALUE + 1));
    let normal = shown(ONE, vec![comparison.clone()]);
    assert!(normal.contains("x… (241"), "{normal}");
    let loud = shown(RenderOptions { verbosity: Verbosity::Loud, ..ONE }, vec![comparison.clone()]);
    assert!(!loud.contains('…'), "{loud}");
    assert!(comparison.entries.iter().all(|entry| loud.contains(&entry.fingerprint)), "{loud}");
}

#[test]
fn lines_keep_to_the_width() {
    for width in [40, 60, 100] {
        let text = shown(RenderOptions { width, verbosity: Verbosity::Loud, ..ONE }, vec![comparison()]);
        let long: Vec<&str> = text.lines().filter(|line| line.width() > width).collect();
        assert_eq!(long, [""; 0], "{width}");
    }
    insta::assert_snapshot!(shown(RenderOptions { width: 40, ..ONE }, vec![comparison()]), @r#"
    NOT equivalent: 1 error; 1 broadening; 1
    waived
    examples/full.plan.json: 5 services → 2

    Errors

      egress
        mount-dropped
            /etc/egress/routes.yaml
            the bundle mounts nothing at
            /etc/egress/routes.yaml, so
            egress starts without routes and
            refuses every request of the
            agent
            before  /srv/routes.yaml (ro)
            after   nothing
            at      legacy line 40 ·
                    examples/full.plan.json:
                    12 /egress/routes

    Changed on purpose
      agent-urls       HTTPS_PROXY names
                       sidecars
      services-merged  egress, git-gate,
                       pipelock, supervise

    Broadenings

      mount-secret-shared
          a secret is readable by a
          neighbour
          path             /git-gate/creds/k
                           ey
          whose            supervise
          who can open it  bind /keys/key
                           (ro)
          bundle line 46
          "isolation": "require" in the plan
          removes it

    Waived

      mount-secret-shared
          a secret is readable by a
          neighbour
          path             /etc/pipelock/ca-
                           key.pem
          whose            egress
          who can open it  bind /keys/key
                           (ro)
          reason: one trust domain

    "isolation": "require" in the plan
    removes 1 of 1 broadening: the bundle
    then refuses to start without walls
    between its daemons.
    To accept a finding, add a [[waiver]]
    with a reason to bottle-migrate.toml.
    `bottle-migrate explain RULE` describes
    a rule.
    exit code 1: errors found
    "#);
}

#[test]
fn colour_is_only_used_when_asked_for() {
    assert!(!shown(ONE, vec![comparison()]).contains('\u{1b}'));
    assert!(shown(RenderOptions { color: true, ..ONE }, vec![comparison()]).contains('\u{1b}'));
}
