//! Reports of this tool that somebody saved in the tree: they quote references and have none.

use crate::rule::RuleId;

/// Bytes at the start of a file that say what it is.
const HEAD: usize = 1024;

/// Whether a text is a report of this tool, or what `explain` says of a rule.
pub(in crate::scan) fn is_report(source: &str) -> bool {
    let head = &source[..source.floor_char_boundary(HEAD)];
    let first = head.trim_start().lines().next().unwrap_or_default();
    let compact: String = head.chars().filter(|c| !c.is_whitespace()).collect();
    let sarif = || {
        compact.contains("sarif")
            && ["\"name\": \"bottle-migrate\"", "\"name\":\"bottle-migrate\""]
                .iter()
                .any(|name| source.contains(name))
    };
    compact.contains("\"schema\":\"bottle-migrate/")
        || compact.starts_with('{') && sarif()
        || head.contains("<title>bottle-migrate</title>")
        || head.contains("<testsuites name=\"bottle-migrate\">")
        || head.contains("| severity | rule | who | what |")
        || first.starts_with("::") && first.contains(",title=")
        || is_screen(head)
        || is_explanation(first)
}

/// Whether the start of a text is what a scan shows on a screen: lines of a file, marks below them, and advice.
fn is_screen(head: &str) -> bool {
    let behind = |line: &str| line.trim_start().strip_prefix('│').map(|rest| rest.trim_start().to_owned());
    head.lines().filter_map(behind).any(|rest| rest.starts_with('→'))
}

/// Whether a line is the first of what `explain` says of a rule.
fn is_explanation(first: &str) -> bool {
    let rule = first.split_once(": ").and_then(|(id, summary)| Some((RuleId::of(id)?, summary)));
    rule.is_some_and(|(id, summary)| id.description().summary == summary)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn reports_are_told_from_what_speaks_of_them() {
        for text in [
            "{\"schema\":\"bottle-migrate/scan/1\",\n\"findings\":[]}",
            "{\n  \"schema\": \"bottle-migrate/report/1\"}",
            "{\"$schema\": \"https://json.schemastore.org/sarif-2.1.0.json\", \"driver\": {\"name\": \"bottle-migrate\"}}",
            "<!doctype html><title>bottle-migrate</title>",
            "<?xml version=\"1.0\"?>\n<testsuites name=\"bottle-migrate\">",
            "### a\n\n| severity | rule | who | what | before |",
            "::error file=a.py,line=2,title=url-host::x",
            "Tests\n\na.py\n   2 │ x\n     │ ^ url-host egress\n     │ → `sidecars`",
        ] {
            assert!(is_report(text), "{text}");
        }
        for id in RuleId::ALL {
            assert!(is_report(&format!("{id}: {}\nerror\n", id.description().summary)), "{id}");
        }
        for text in [
            "",
            "the scan writes \"bottle-migrate/scan/1\"",
            "{\"name\": \"bottle-migrate\"}",
            "{\"version\": \"sarif\", \"name\": \"other\"}",
            "::set-output name=x::bot-bottle-egress-x",
            "container-name: bot-bottle-egress-x",
            "│ egress │ → │",
        ] {
            assert!(!is_report(text), "{text}");
        }
    }
}
