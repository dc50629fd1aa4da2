//! A page of its own, without scripts and without anything from elsewhere.

use std::io::{self, Write};

use super::markup::{TITLES, cells, escape, why};
use super::{Comparison, Entry, Failed, Reporter, Summary, fold};
use crate::text::count;

/// Writes a page with a table for each comparison.
#[derive(Debug, Default)]
pub struct Html;

const HEAD: &str = r#"<!DOCTYPE html>
<html lang="en">
<head>
<meta charset="utf-8">
<meta http-equiv="Content-Security-Policy" content="default-src 'none'; style-src 'unsafe-inline'">
<meta name="viewport" content="width=device-width">
<title>bottle-migrate</title>
<style>
:root { color-scheme: light dark; }
body { display: flex; flex-direction: column; font: 1rem/1.5 system-ui, sans-serif; margin: 2rem auto; max-width: 80rem; padding: 0 1rem; }
header { order: -1; }
table { border-collapse: collapse; font-size: .875rem; width: 100%; }
th, td { border-bottom: 1px solid #8884; overflow-wrap: anywhere; padding: .3rem .6rem; text-align: left; vertical-align: top; }
td.error { color: #d1242f; font-weight: bold; }
td.warning { color: #9a6700; }
td.waived, td.note { opacity: .7; }
code { font-size: .85rem; }
</style>
</head>
<body>
"#;

fn table(entries: &[Entry], out: &mut dyn Write) -> io::Result<()> {
    if entries.is_empty() {
        return Ok(());
    }
    writeln!(out, "<table>\n<tr><th>{}</th><th>why</th></tr>", TITLES.join("</th><th>"))?;
    for row in fold::rows(entries.iter()) {
        let [severity, values @ ..] = cells(&row);
        write!(out, "<tr><td class=\"{severity}\">{severity}</td>")?;
        for value in values {
            write!(out, "<td><code>{}</code></td>", escape(&value))?;
        }
        writeln!(out, "<td>{}</td></tr>", escape(why(&row)))?;
    }
    writeln!(out, "</table>")
}

impl Reporter for Html {
    fn begin(&mut self, out: &mut dyn Write) -> io::Result<()> {
        out.write_all(HEAD.as_bytes())
    }

    fn comparison(&mut self, comparison: Comparison, out: &mut dyn Write) -> io::Result<()> {
        let summary = comparison.summary();
        writeln!(out, "<section>\n<h2>{}</h2>\n<p>{}</p>", escape(&comparison.label), summary.sentence())?;
        if !comparison.transitions.is_empty() {
            writeln!(out, "<details>\n<summary>Changed on purpose</summary>\n<dl>")?;
            for (name, detail) in &comparison.transitions {
                writeln!(out, "<dt>{name}</dt><dd>{}</dd>", escape(detail))?;
            }
            writeln!(out, "</dl>\n</details>")?;
        }
        table(&comparison.entries, out)?;
        writeln!(out, "</section>")
    }

    fn failed(&mut self, failed: &Failed, out: &mut dyn Write) -> io::Result<()> {
        let line = failed.line.map_or_else(String::new, |line| format!("line {line}: "));
        let (file, message) = (escape(&failed.file), escape(&failed.message));
        writeln!(out, "<section>\n<h2>{file}</h2>\n<p>NOT checked: {line}{message}</p>\n</section>")
    }

    fn end(&mut self, closing: &[Entry], summary: &Summary, out: &mut dyn Write) -> io::Result<()> {
        if !closing.is_empty() {
            writeln!(out, "<section>\n<h2>Waivers</h2>")?;
            table(closing, out)?;
            writeln!(out, "</section>")?;
        }
        // The verdict is known last and shown first, so that a page can be streamed.
        let of = count(summary.compared, "comparison");
        writeln!(out, "<header>\n<h1>{}</h1>\n<p>{of}</p>\n</header>\n</body>\n</html>", summary.sentence())
    }
}
