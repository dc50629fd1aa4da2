//! The report for people: the verdict, then errors, expected changes, warnings and notes.

use std::collections::{BTreeMap, BTreeSet};
use std::io::{self, Write};

use owo_colors::Style;

use super::fold::{self, Row};
use super::layout;
use super::pen::Pen;
use super::{Comparison, Count, Entry, Reporter, Summary, Verdict};
use crate::finding::{Rule, Severity};
use crate::text::{count, plural};

/// Longest value shown whole, in characters, unless everything is asked for.
const VALUE: usize = 240;
/// Characters that two long values have in common before the difference that is shown.
const CONTEXT: usize = 20;

/// Lines of a file that are named before the rest is left out.
const LINES: usize = 6;

/// How much a report shows.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Verbosity {
    /// The verdict and errors.
    Quiet,
    /// Everything for one plan; for several plans the errors of each and a tally of the rest.
    #[default]
    Normal,
    /// Everything, with fingerprints and whole values.
    Loud,
}

/// How a report for people looks.
#[derive(Clone, Copy, Debug)]
pub struct RenderOptions {
    /// Use colours.
    pub color: bool,
    /// How much a report shows.
    pub verbosity: Verbosity,
    /// Whether there is one comparison only.
    pub single: bool,
    /// Columns that a line may fill.
    pub width: usize,
    /// Lowest severity that fails the run; `None`: no finding does.
    pub threshold: Option<Severity>,
}

impl Default for RenderOptions {
    fn default() -> Self {
        Self {
            color: false,
            verbosity: Verbosity::Normal,
            single: false,
            width: 100,
            threshold: Some(Severity::Error),
        }
    }
}

/// How often a rule fired, for findings that are not listed.
#[derive(Debug)]
struct Tally {
    rule: &'static Rule,
    findings: usize,
    comparisons: usize,
}

/// Writes for a terminal.
#[derive(Debug)]
pub struct Human {
    options: RenderOptions,
    pen: Pen,
    held: Option<Comparison>,
    tally: BTreeMap<&'static str, Tally>,
    /// Whether something was written.
    begun: bool,
    /// Whether an empty line has to come before the next comparison.
    apart: bool,
}

impl Human {
    /// A report in the given options.
    #[must_use]
    pub const fn new(options: RenderOptions) -> Self {
        let pen = Pen { color: options.color, width: options.width };
        Self { options, pen, held: None, tally: BTreeMap::new(), begun: false, apart: false }
    }

    fn quiet(&self) -> bool {
        self.options.verbosity == Verbosity::Quiet
    }

    fn loud(&self) -> bool {
        self.options.verbosity == Verbosity::Loud
    }

    /// Writes the verdict, after `label`.
    fn verdict(&self, label: &str, summary: &Summary, more: &str, out: &mut dyn Write) -> io::Result<()> {
        let good = summary.failed == 0 && summary.errors == 0;
        let style = if good { Style::new().green().bold() } else { Style::new().red().bold() };
        let sentence = format!("{label}{}{more}", summary.sentence());
        let word = summary.word();
        for line in layout::wrap(&sentence, self.options.width) {
            writeln!(out, "{}", line.replacen(word, &self.pen.paint(word, style), 1))?;
        }
        Ok(())
    }

    /// A value, shortened unless everything is asked for.
    fn value(&self, text: Option<&String>) -> String {
        match text {
            None => "nothing".to_owned(),
            Some(text) if text.is_empty() => "(empty)".to_owned(),
            Some(text) => match text.char_indices().nth(VALUE) {
                Some((at, _)) if !self.loud() => {
                    format!("{}… ({} characters, -v shows them)", &text[..at], text.chars().count())
                }
                _ => text.clone(),
            },
        }
    }

    /// Both values of an entry. Values that differ also look different.
    pub(super) fn values(&self, entry: &Entry) -> (String, String) {
        let (was, is) = (entry.before.as_ref(), entry.after.as_ref());
        let (before, after) = (self.value(was), self.value(is));
        if before != after || was == is {
            return (before, after);
        }
        let characters = |text: Option<&String>| text.map_or(0, |text| text.chars().count());
        if characters(was).max(characters(is)) <= VALUE {
            // One of them may be a word of this report, such as `nothing`.
            let quoted =
                |text: Option<&String>| text.map_or_else(|| self.value(None), |text| format!("{text:?}"));
            return (quoted(was), quoted(is));
        }
        let both = was.zip(is);
        let alike = both.map_or(0, |(was, is)| {
            was.chars().zip(is.chars()).take_while(|(one, other)| one == other).count()
        });
        let rest = |text: Option<&String>| {
            let rest = text.map(|text| text.chars().skip(alike.saturating_sub(CONTEXT)).collect::<String>());
            format!("…{}", self.value(rest.as_ref()))
        };
        (rest(was), rest(is))
    }

    fn errors(&self, entries: &[&Entry], out: &mut dyn Write) -> io::Result<()> {
        let errors = entries.iter().copied().filter(|entry| entry.severity == Severity::Error);
        let rows = fold::rows(errors);
        if rows.is_empty() {
            return Ok(());
        }
        self.pen.heading("Errors", Style::new().red(), out)?;
        for (principals, rows) in fold::by_principal(rows) {
            writeln!(out, "\n  {}", self.pen.paint(&principals, Style::new().bold()))?;
            for row in rows {
                self.error(&row, out)?;
            }
        }
        Ok(())
    }

    fn error(&self, row: &Row<'_>, out: &mut dyn Write) -> io::Result<()> {
        let entry = row.entry;
        let id = (entry.rule.id.as_str(), Style::new().red().bold());
        self.pen.titled(4, id, (&entry.subject, Style::new().bold()), out)?;
        let mark = if entry.broadening { "broadening: " } else { "" };
        let message = row.message().unwrap_or(entry.rule.summary);
        self.pen.prose(8, &format!("{mark}{message}"), Style::new(), out)?;
        let dim = Style::new().dimmed();
        if entry.before.is_some() || entry.after.is_some() {
            let (before, after) = self.values(entry);
            self.pen.labelled((8, "before", 6), &before, (dim, Style::new().red()), out)?;
            self.pen.labelled((8, "after", 6), &after, (dim, Style::new().green()), out)?;
        }
        let mut places = places(std::slice::from_ref(row));
        if let Some(pointer) = entry.pointer.as_deref().filter(|pointer| !pointer.is_empty()) {
            places = format!("{places} {pointer}");
        }
        if !places.is_empty() {
            self.pen.labelled((8, "at", 6), &places, (dim, dim), out)?;
        }
        if self.loud() {
            for entry in row.all() {
                self.pen.labelled((8, "print", 6), &entry.fingerprint, (dim, dim), out)?;
            }
        }
        Ok(())
    }

    /// Warnings and notes: a table for each rule.
    fn tables(&self, title: &str, entries: &[&Entry], out: &mut dyn Write) -> io::Result<()> {
        let rows = fold::rows(entries.iter().copied());
        if rows.is_empty() {
            return Ok(());
        }
        self.pen.heading(title, Style::new().yellow(), out)?;
        for (rule, rows) in fold::by_rule(rows) {
            writeln!(out)?;
            self.pen.titled(
                2,
                (rule.id.as_str(), Style::new().yellow()),
                (rule.summary, Style::new()),
                out,
            )?;
            let message = rows[0].message().filter(|first| {
                *first != rule.summary && rows.iter().all(|row| row.message() == Some(first))
            });
            if let Some(message) = message {
                self.pen.prose(6, message, Style::new(), out)?;
            }
            self.table(rule, &rows, out)?;
            if let Some(reason) = &rows[0].entry.waived {
                self.pen.prose(6, &format!("reason: {reason}"), Style::new(), out)?;
                continue;
            }
            let places = places(&rows);
            if !places.is_empty() {
                self.pen.prose(6, &places, Style::new().dimmed(), out)?;
            }
            if rows.iter().flat_map(Row::all).all(|entry| entry.walled) {
                let remedy = "\"isolation\": \"require\" in the plan removes it";
                self.pen.prose(6, remedy, Style::new().green(), out)?;
            }
        }
        Ok(())
    }

    fn table(&self, rule: &Rule, rows: &[Row<'_>], out: &mut dyn Write) -> io::Result<()> {
        // A value that only repeats the subject says nothing.
        let adds =
            |value: &Option<String>, subject: &String| value.as_ref().is_some_and(|value| value != subject);
        let before = rows.iter().any(|row| adds(&row.entry.before, &row.entry.subject));
        let after = rows.iter().any(|row| adds(&row.entry.after, &row.entry.subject));
        let columns = &rule.columns;
        let mut titles = vec![columns.subject, columns.principal];
        if before {
            titles.push("before");
        }
        if after {
            titles.push(if before { "after" } else { columns.gained });
        }
        if self.loud() {
            titles.push("fingerprint");
        }
        let cells = |row: &Row<'_>| {
            let mut cells = vec![row.entry.subject.clone(), row.principals()];
            let values = self.values(row.entry);
            cells.extend(before.then_some(values.0));
            cells.extend(after.then_some(values.1));
            if self.loud() {
                cells.push(row.all().map(|entry| entry.fingerprint.as_str()).collect::<Vec<_>>().join(" "));
            }
            cells
        };
        let cells: Vec<Vec<String>> = rows.iter().map(cells).collect();
        self.pen.table(6, &titles, &cells, out)
    }

    fn transitions(&self, comparison: &Comparison, out: &mut dyn Write) -> io::Result<()> {
        if comparison.transitions.is_empty() {
            return Ok(());
        }
        self.pen.heading("Changed on purpose", Style::new().green(), out)?;
        let width = comparison.transitions.iter().map(|(name, _)| name.len()).max().unwrap_or_default();
        let mut last = "";
        for (name, detail) in &comparison.transitions {
            let shown = if *name == last { "" } else { name };
            last = name;
            self.pen.labelled((2, shown, width), detail, (Style::new().green(), Style::new()), out)?;
        }
        Ok(())
    }

    fn text(&self, comparison: &Comparison, out: &mut dyn Write) -> io::Result<()> {
        let Some(text) = &comparison.text else { return Ok(()) };
        writeln!(out)?;
        for line in text.lines() {
            let style = match line.as_bytes().first() {
                Some(b'+') => Style::new().green(),
                Some(b'-') => Style::new().red(),
                Some(b'@') => Style::new().cyan(),
                _ => Style::new(),
            };
            writeln!(out, "{}", self.pen.paint(line, style))?;
        }
        Ok(())
    }

    /// A whole comparison, as far as the verbosity allows.
    fn whole(&self, comparison: &Comparison, closing: &[Entry], out: &mut dyn Write) -> io::Result<()> {
        let all: Vec<&Entry> = comparison.entries.iter().chain(closing).collect();
        let pick = |wanted: &dyn Fn(&Entry) -> bool| {
            all.iter().copied().filter(|entry| wanted(entry)).collect::<Vec<&Entry>>()
        };
        self.errors(&pick(&|entry| entry.waived.is_none()), out)?;
        if self.quiet() {
            return self.text(comparison, out);
        }
        self.transitions(comparison, out)?;
        let weighs = |entry: &Entry, severity| entry.waived.is_none() && entry.severity == severity;
        let broadenings = pick(&|entry| weighs(entry, Severity::Warning) && entry.broadening);
        self.tables("Broadenings", &broadenings, out)?;
        let others = pick(&|entry| weighs(entry, Severity::Warning) && !entry.broadening);
        self.tables("Other warnings", &others, out)?;
        self.tables("Notes", &pick(&|entry| weighs(entry, Severity::Note)), out)?;
        self.tables("Waived", &pick(&|entry| entry.waived.is_some()), out)?;
        self.text(comparison, out)
    }

    /// Adds warnings and notes that are not listed to the tally.
    fn count(&mut self, comparison: &Comparison) {
        let mut seen = BTreeSet::new();
        for Count { rule, severity, waived, .. } in comparison.counts() {
            if !waived && severity != Severity::Error {
                let tally =
                    self.tally.entry(rule.id.as_str()).or_insert(Tally { rule, findings: 0, comparisons: 0 });
                tally.findings += 1;
                tally.comparisons += usize::from(seen.insert(rule.id));
            }
        }
    }

    fn tallied(&self, out: &mut dyn Write) -> io::Result<()> {
        if self.tally.is_empty() || self.quiet() {
            return Ok(());
        }
        self.pen.heading("Warnings and notes of all comparisons", Style::new().yellow(), out)?;
        let rows: Vec<Vec<String>> = self
            .tally
            .values()
            .map(|Tally { rule, findings, comparisons }| {
                vec![
                    rule.id.to_string(),
                    findings.to_string(),
                    comparisons.to_string(),
                    rule.summary.to_owned(),
                ]
            })
            .collect();
        self.pen.table(2, &["rule", "findings", "comparisons", "what"], &rows, out)
    }

    /// Says how to accept findings, and why the exit code is what it is.
    fn close(&self, summary: &Summary, walled: usize, out: &mut dyn Write) -> io::Result<()> {
        writeln!(out)?;
        let plain = Style::new();
        if walled > 0 {
            let hint = format!(
                "\"isolation\": \"require\" in the plan removes {walled} of {}: the bundle then refuses to \
                 start without walls between its daemons.",
                count(summary.broadenings, "broadening")
            );
            self.pen.prose(0, &hint, plain, out)?;
        }
        if !self.tally.is_empty() {
            self.pen.prose(0, "-v lists every finding of every comparison.", plain, out)?;
        }
        if summary.errors + summary.warnings > 0 {
            let hint = "To accept a finding, add a [[waiver]] with a reason to bottle-migrate.toml. \
                        `bottle-migrate explain RULE` describes a rule.";
            self.pen.prose(0, hint, plain, out)?;
        }
        let line = match (summary.verdict(self.options.threshold), self.options.threshold) {
            (Verdict::Clean, None) => "exit code 0: findings are reported only (--fail-on never)",
            (Verdict::Clean, Some(Severity::Error)) => "exit code 0: no errors",
            (Verdict::Clean, Some(_)) => "exit code 0: no errors and no warnings",
            (Verdict::Findings, Some(Severity::Error)) => "exit code 1: errors found",
            (Verdict::Findings, _) => "exit code 1: errors or warnings found",
            (Verdict::Unchecked, _) => "exit code 2: not everything could be checked",
        };
        writeln!(out, "{}", self.pen.dim(line))
    }
}

impl Reporter for Human {
    fn begin(&mut self, _out: &mut dyn Write) -> io::Result<()> {
        Ok(())
    }

    fn comparison(&mut self, comparison: Comparison, out: &mut dyn Write) -> io::Result<()> {
        if self.options.single {
            self.held = Some(comparison);
            return Ok(());
        }
        let summary = comparison.summary();
        if summary.errors == 0 && self.quiet() {
            return self.text(&comparison, out);
        }
        let listed = self.loud() || summary.errors > 0 || comparison.text.is_some();
        if self.apart || (listed && self.begun) {
            writeln!(out)?;
        }
        (self.begun, self.apart) = (true, listed);
        self.verdict(&format!("{}  ", comparison.label), &summary, "", out)?;
        if self.loud() {
            return self.whole(&comparison, &[], out);
        }
        self.count(&comparison);
        let counted: Vec<&Entry> = comparison.entries.iter().filter(|entry| entry.waived.is_none()).collect();
        self.errors(&counted, out)?;
        self.text(&comparison, out)
    }

    fn end(&mut self, closing: &[Entry], summary: &Summary, out: &mut dyn Write) -> io::Result<()> {
        let mut walled = 0;
        if let Some(comparison) = self.held.take() {
            walled = comparison.entries.iter().filter(|entry| entry.walled && entry.waived.is_none()).count();
            self.verdict("", summary, "", out)?;
            if !self.quiet() {
                let (before, after) = comparison.services;
                writeln!(out, "{}: {} → {after}", comparison.label, count(before, "service"))?;
            }
            self.whole(&comparison, closing, out)?;
        } else {
            let closing: Vec<&Entry> = closing.iter().collect();
            self.errors(&closing, out)?;
            self.tallied(out)?;
            if self.begun || !closing.is_empty() {
                writeln!(out)?;
            }
            self.verdict("", summary, &format!(" ({})", count(summary.compared, "comparison")), out)?;
        }
        if self.quiet() { Ok(()) } else { self.close(summary, walled, out) }
    }
}

/// Where the findings of some rows are: lines of the rendered files, then of the inputs.
fn places(rows: &[Row<'_>]) -> String {
    let mut rendered: BTreeMap<&str, BTreeSet<usize>> = BTreeMap::new();
    let mut files: BTreeMap<&str, BTreeSet<usize>> = BTreeMap::new();
    for entry in rows.iter().flat_map(Row::all) {
        if let Some((shape, line)) = entry.rendered {
            rendered.entry(shape.name()).or_default().insert(line);
        }
        if let Some(file) = &entry.file {
            files.entry(file).or_default().extend(entry.line);
        }
    }
    let list = |lines: &BTreeSet<usize>| {
        let mut shown: Vec<String> = lines.iter().take(LINES).map(usize::to_string).collect();
        if lines.len() > LINES {
            shown.push("…".to_owned());
        }
        shown.join(", ")
    };
    let rendered = rendered
        .iter()
        .map(|(shape, lines)| format!("{shape} {} {}", plural(lines.len(), "line"), list(lines)));
    let files = files.iter().map(|(file, lines)| match lines.len() {
        0 => (*file).to_owned(),
        1 => format!("{file}:{}", list(lines)),
        _ => format!("{file} {} {}", plural(lines.len(), "line"), list(lines)),
    });
    rendered.chain(files).collect::<Vec<_>>().join(" · ")
}

#[cfg(test)]
mod tests;
