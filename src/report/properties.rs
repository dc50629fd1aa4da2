//! Properties of every format, for any input.

use proptest::prelude::*;

use super::*;
use crate::rule::{Columns, RuleId};
use crate::text;

static RULE: Rule = Rule {
    id: RuleId::EnvChanged,
    law: Law::Containment,
    severity: Severity::Error,
    columns: Columns { subject: "variable", principal: "who", gained: "now" },
    summary: "a variable changed",
    doc: "What it catches.",
};

const SECRET: &str = "s3cr3t-Value-77";

fn reporters() -> Vec<(&'static str, Box<dyn Reporter>)> {
    let human = |single, verbosity| {
        Human::new(RenderOptions { single, verbosity, width: 60, ..RenderOptions::default() })
    };
    vec![
        ("human", Box::new(human(true, Verbosity::Loud))),
        ("human, many", Box::new(human(false, Verbosity::Normal))),
        ("json", Box::new(Json::default())),
        ("sarif", Box::new(Sarif::new(vec![RuleId::EnvChanged.description()]))),
        ("github", Box::new(GitHub)),
        ("junit", Box::new(JUnit::new(Some(Severity::Error)))),
        ("markdown", Box::new(Markdown)),
        ("html", Box::new(Html)),
    ]
}

/// Every format's report of one comparison, of one that failed and of one finding about the run.
fn reports(comparison: &Comparison, failed: &Failed) -> Vec<(&'static str, String)> {
    let mut summary = Summary { compared: 1, failed: 1, ..Summary::default() };
    comparison.counts().for_each(|count| summary.add(count));
    let write = |(name, mut reporter): (&'static str, Box<dyn Reporter>)| {
        let mut out = Vec::new();
        reporter.begin(&mut out).unwrap();
        reporter.comparison(comparison.clone(), &mut out).unwrap();
        reporter.failed(failed, &mut out).unwrap();
        reporter.end(&comparison.entries[..1], &summary, &mut out).unwrap();
        (name, String::from_utf8(out).unwrap())
    };
    reporters().into_iter().map(write).collect()
}

/// A comparison about `texts`, as a command makes it of its input.
fn comparison(texts: &[String; 6], redactor: &Redactor) -> Comparison {
    let [principal, subject, before, after, message, name] = texts;
    let plain = Finding::changed(
        &RULE,
        principal,
        subject.clone(),
        Shown::plain(before.clone(), ""),
        Shown::plain(after.clone(), ""),
    )
    .because(message.clone());
    let secret = Finding { before: Some(Shown::secret(SECRET, "")), ..plain.clone() };
    let mut entries: Vec<Entry> =
        [plain, secret].iter().map(|finding| Entry::of(finding, None, redactor)).collect();
    let mut waived = entries[0].clone();
    waived.waived = Some(redactor.scrub(message));
    entries.push(waived);
    let label = text::strip(name).into_owned();
    for entry in &mut entries {
        entry.file = Some(label.clone());
    }
    Comparison {
        label,
        transitions: vec![("agent-urls", redactor.scrub(message))],
        text: Some(redactor.scrub_lines(message)),
        entries,
        ..Comparison::default()
    }
}

/// Text with whatever terminals, markup and annotations take for theirs.
fn texts() -> impl Strategy<Value = [String; 6]> {
    let piece = prop_oneof![
        any::<String>(),
        "[\\PC\u{0}-\u{1f}\u{7f}-\u{9f}\u{202a}-\u{202e}\u{2066}-\u{2069}\u{200b}-\u{200f}]{0,12}",
        "[`|<>&\"'%:,*_\\\\\\[\\]#~\r\n\t -]{0,12}",
        Just("]]>\u{1b}[31m::error::x%0A</code><script>".to_owned()),
    ];
    proptest::array::uniform6(piece)
}

proptest! {
    #[test]
    fn no_format_lets_a_control_character_through(texts in texts()) {
        let redactor = Redactor::new(false);
        let failed = Failed {
            file: text::strip(&texts[5]).into_owned(),
            line: Some(1),
            message: redactor.scrub(&texts[4]),
        };
        for (name, report) in reports(&comparison(&texts, &redactor), &failed) {
            let bad = report.chars().find(|c| *c != '\n' && text::strip(&c.to_string()) != c.to_string());
            prop_assert_eq!(bad, None, "{}: {:?}", name, report);
            match name {
                "json" => {
                    let report: serde_json::Value = serde_json::from_str(&report).unwrap();
                    prop_assert_eq!(report["findings"].as_array().unwrap().len(), 4);
                }
                "sarif" => {
                    let report: serde_json::Value = serde_json::from_str(&report).unwrap();
                    prop_assert_eq!(report["runs"][0]["results"].as_array().unwrap().len(), 4);
                }
                "junit" => {
                    let document = roxmltree::Document::parse(&report).unwrap();
                    let cases = document.descendants().filter(|node| node.has_tag_name("testcase"));
                    prop_assert_eq!(cases.count(), 5);
                }
                "github" => prop_assert_eq!(report.lines().count(), 3 + 1 + 1, "{}", report),
                "html" => {
                    prop_assert!(!report.contains("<script") && !report.contains("href=") && !report.contains("src="));
                }
                _ => {}
            }
        }
    }

    #[test]
    fn no_format_shows_a_secret(texts in texts(), around in prop::sample::select(vec![
        "{}", "run --token {} x", "run --password '{}'", "https://user:{}@host/x", "API_KEY={}", "{\"secret\": \"{}\"}",
        "Authorization: Bearer {}", "curl -u user:{} x",
    ]), known in any::<bool>()) {
        let redactor = Redactor::new(false);
        // A bare word is a secret only to who knows it.
        let known = known || around == "{}";
        let redactor = if known { redactor.knowing([SECRET]) } else { redactor };
        let text = around.replace("{}", SECRET);
        // Apart from what comes before, or `://` and the like would take it in.
        let mut texts = texts.map(|before| format!("{} ; {text}", before.replace(['\'', '"', '`'], "")));
        // Names of files are shown as they are.
        texts[5] = "plan.json".to_owned();
        let failed = Failed { file: String::new(), line: None, message: redactor.scrub(&text) };
        for (name, report) in reports(&comparison(&texts, &redactor), &failed) {
            prop_assert!(!report.contains(SECRET), "{}: {:?}", name, report);
        }
    }
}

/// Two texts, most of which differ in what is hard to see.
fn alike() -> impl Strategy<Value = (String, String)> {
    let tail = prop_oneof![
        Just(String::new()),
        "[\u{0}-\u{1f}\u{7f}-\u{9f}\u{200b}-\u{200f}\u{202a}-\u{202e}\u{feff} ]{0,3}",
        "\\PC{0,3}",
        "[a-z]{0,300}",
        " --password [a-z]{6,9}",
    ];
    let common =
        prop_oneof!["[a-z]{0,5}", "[a-z ]{230,250}", Just("(empty)".to_owned()), Just("nothing".to_owned())];
    (common, tail.clone(), tail, 0..4usize).prop_map(|(common, one, other, how)| match how {
        0 => (format!("{common}{one}"), format!("{common}{other}")),
        1 => (format!("{one}{common}"), format!("{other}{common}")),
        2 => (String::new(), common),
        _ => (format!("{common}{one}{common}"), format!("{common}{other}{common}")),
    })
}

proptest! {
    #[test]
    fn two_values_that_differ_never_print_the_same(
        (before, after) in alike(), secret in any::<bool>(), open in any::<bool>(), loud in any::<bool>(),
    ) {
        prop_assume!(before != after);
        let shown = |text: &String| if secret { Shown::secret(text, "") } else { Shown::plain(text, "") };
        let finding = Finding::changed(&RULE, "egress", "X", shown(&before), shown(&after));
        let entry = Entry::of(&finding, None, &Redactor::new(open));
        prop_assert_ne!(&entry.before, &entry.after);
        let verbosity = if loud { Verbosity::Loud } else { Verbosity::Normal };
        let human = Human::new(RenderOptions { verbosity, ..RenderOptions::default() });
        let values = human.values(&entry);
        prop_assert_ne!(values.0, values.1);
        let gone = Entry { before: None, ..entry };
        let values = human.values(&gone);
        prop_assert_ne!(values.0, values.1);
    }
}

#[test]
fn sarif_has_the_structure_that_code_scanning_reads() {
    let texts = ["egress", "X", "a", "b", "it differs", "plans/a b.json"].map(str::to_owned);
    let comparison = comparison(&texts, &Redactor::new(false));
    let failed = Failed { file: "c.json".to_owned(), line: Some(3), message: "no plan".to_owned() };
    let (_, report) = reports(&comparison, &failed).swap_remove(3);
    let report: serde_json::Value = serde_json::from_str(&report).unwrap();
    // The parts of the schema of SARIF 2.1.0 (OASIS) that apply.
    let text = serde_json::json!({
        "type": "object", "required": ["text"], "properties": { "text": { "type": "string", "minLength": 1 } }
    });
    let location = serde_json::json!({
        "type": "object", "required": ["physicalLocation"],
        "properties": { "physicalLocation": {
            "type": "object", "required": ["artifactLocation"],
            "properties": {
                "artifactLocation": {
                    "type": "object", "required": ["uri"], "properties": { "uri": { "pattern": "^[^ <>]+$" } }
                },
                "region": { "properties": { "startLine": { "type": "integer", "minimum": 1 } } },
            },
        } },
    });
    let level = serde_json::json!({ "enum": ["none", "note", "warning", "error"] });
    let schema = serde_json::json!({
        "type": "object",
        "required": ["version", "runs", "$schema"],
        "additionalProperties": false,
        "properties": {
            "$schema": { "type": "string" },
            "version": { "const": "2.1.0" },
            "runs": { "type": "array", "minItems": 1, "maxItems": 1, "items": {
                "type": "object",
                "required": ["tool", "results", "invocations"],
                "additionalProperties": false,
                "properties": {
                    "columnKind": { "enum": ["utf16CodeUnits", "unicodeCodePoints"] },
                    "tool": { "required": ["driver"], "properties": { "driver": {
                        "required": ["name", "version", "rules"],
                        "properties": { "rules": { "items": {
                            "required": ["id", "shortDescription", "fullDescription", "help", "defaultConfiguration"],
                            "properties": { "help": text, "shortDescription": text, "fullDescription": text },
                        } } },
                    } } },
                    "results": { "type": "array", "minItems": 4, "items": {
                        "type": "object",
                        "required": ["ruleId", "level", "message", "locations", "partialFingerprints"],
                        "properties": {
                            "level": level, "message": text,
                            "locations": { "type": "array", "minItems": 1, "items": location },
                            "partialFingerprints": { "additionalProperties": { "type": "string" } },
                            "suppressions": { "items": {
                                "required": ["kind"], "properties": { "kind": { "enum": ["inSource", "external"] } }
                            } },
                        },
                    } },
                    "invocations": { "items": {
                        "required": ["executionSuccessful"],
                        "properties": {
                            "executionSuccessful": { "const": false },
                            "toolExecutionNotifications": {
                                "minItems": 1,
                                "items": { "required": ["message"], "properties": { "level": level, "message": text } },
                            },
                        },
                    } },
                },
            } },
        },
    });
    let validator = jsonschema::validator_for(&schema).unwrap();
    let errors: Vec<String> = validator.iter_errors(&report).map(|error| error.to_string()).collect();
    assert_eq!(errors, [""; 0]);
    assert!(report["runs"][0]["results"][2]["suppressions"][0]["justification"].is_string());
}
