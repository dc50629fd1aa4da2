//! The report for people: a verdict first, then what stands and why.

use std::cmp::Reverse;
use std::io::{self, Write};

use owo_colors::{OwoColorize, Style};

use super::{Entry, Projection, Section, Summary};
use crate::finding::Severity;

/// Columns that a line keeps to where its words allow.
const WIDTH: usize = 100;

/// Longest value shown whole, in characters.
const VALUE: usize = 240;

/// How much to say.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Volume {
    /// Only what stands.
    Quiet,
    /// A line for each clean plan too.
    #[default]
    Normal,
    /// Everything, of clean plans too.
    Loud,
}

/// How a report for people looks.
#[derive(Clone, Copy, Debug, Default)]
pub struct Manner {
    /// Use colours.
    pub color: bool,
    /// How much to say.
    pub volume: Volume,
    /// Whether there is one comparison only.
    pub single: bool,
}

/// Writes for a terminal.
#[derive(Debug)]
pub struct Human {
    manner: Manner,
    held: Option<Section>,
}

impl Human {
    /// A report in the given manner.
    #[must_use]
    pub const fn new(manner: Manner) -> Self {
        Self { manner, held: None }
    }

    fn paint(&self, text: &str, style: Style) -> String {
        if self.manner.color { text.style(style).to_string() } else { text.to_owned() }
    }

    fn severity(&self, severity: Severity, width: usize) -> String {
        let (name, style) = match severity {
            Severity::Error => ("error", Style::new().red().bold()),
            Severity::Warning => ("warning", Style::new().yellow().bold()),
            Severity::Note => ("note", Style::new().cyan()),
        };
        self.paint(&format!("{name:width$}"), style)
    }

    fn verdict(&self, summary: &Summary) -> String {
        let style = if summary.failed > 0 || summary.errors > 0 {
            Style::new().red().bold()
        } else {
            Style::new().green().bold()
        };
        let line = verdict(summary);
        match line.split_once(':') {
            Some((word, rest)) => format!("{}:{rest}", self.paint(word, style)),
            None => self.paint(&line, style),
        }
    }

    fn heading(&self, text: &str, out: &mut dyn Write) -> io::Result<()> {
        writeln!(out, "\n{}", self.paint(text, Style::new().bold()))
    }

    fn transitions(&self, section: &Section, out: &mut dyn Write) -> io::Result<()> {
        if section.transitions.is_empty() || self.manner.volume == Volume::Quiet {
            return Ok(());
        }
        self.heading("Intended changes", out)?;
        let width = section.transitions.iter().map(|(name, _)| name.len()).max().unwrap_or_default();
        let mut last = "";
        for (name, detail) in &section.transitions {
            let shown = if *name == last { "" } else { name };
            last = name;
            let lead = format!("  {}  ", self.paint(&format!("{shown:width$}"), Style::new().green()));
            wrap(out, &lead, width + 4, detail)?;
        }
        Ok(())
    }

    fn findings(&self, entries: &[Entry], out: &mut dyn Write) -> io::Result<()> {
        for (principals, group) in grouped(entries) {
            self.heading(&principals, out)?;
            for entry in group {
                self.finding(entry, out)?;
            }
        }
        Ok(())
    }

    fn finding(&self, entry: &Entry, out: &mut dyn Write) -> io::Result<()> {
        let subject = self.paint(&entry.subject, Style::new().bold());
        let mark =
            if entry.broadening { self.paint("  broadening", Style::new().magenta()) } else { String::new() };
        writeln!(out, "  {}  {}  {subject}{mark}", self.severity(entry.severity, 7), entry.rule)?;
        let indent = " ".repeat(11);
        wrap(out, &indent, 11, &entry.message)?;
        let value = |text: &Option<String>| text.as_deref().map_or_else(|| "nothing".to_owned(), shorten);
        if entry.before.is_some() || entry.after.is_some() {
            let (before, after) = (value(&entry.before), value(&entry.after));
            let red = self.paint(&before, Style::new().red());
            let green = self.paint(&after, Style::new().green());
            if before.chars().count() + after.chars().count() + 14 <= WIDTH {
                writeln!(out, "{indent}{red} → {green}")?;
            } else {
                writeln!(out, "{indent}before  {red}\n{indent}after   {green}")?;
            }
        }
        let mut places = Vec::new();
        if let Some((shape, line)) = entry.rendered {
            places.push(format!("{} line {line}", shape.name()));
        }
        if let (Some(file), Some(line)) = (&entry.file, entry.line) {
            let pointer = entry.pointer.as_deref().filter(|pointer| !pointer.is_empty());
            places.push(format!("{file}:{line}{}", pointer.map_or_else(String::new, |at| format!(" {at}"))));
        }
        places.push(format!("explain {}", entry.rule));
        wrap(out, &format!("{indent}{}", self.dim()), 11, &places.join(" · "))?;
        out.write_all(self.plain().as_bytes())
    }

    const fn dim(&self) -> &'static str {
        if self.manner.color { "\u{1b}[2m" } else { "" }
    }

    const fn plain(&self) -> &'static str {
        if self.manner.color { "\u{1b}[0m" } else { "" }
    }

    fn waived(&self, entries: &[Entry], out: &mut dyn Write) -> io::Result<()> {
        let waived: Vec<Entry> = entries.iter().filter(|entry| entry.waived.is_some()).cloned().collect();
        if waived.is_empty() || self.manner.volume == Volume::Quiet {
            return Ok(());
        }
        self.heading("Waived", out)?;
        let mut last = None;
        for (principals, entry) in folded(waived.iter()) {
            writeln!(
                out,
                "  {}  {}  {}",
                entry.rule,
                entry.subject,
                self.paint(&principals, Style::new().dimmed())
            )?;
            if last != entry.waived {
                wrap(out, "      ", 6, entry.waived.as_deref().unwrap_or_default())?;
            }
            last.clone_from(&entry.waived);
        }
        Ok(())
    }

    fn text(&self, section: &Section, out: &mut dyn Write) -> io::Result<()> {
        let Some(text) = &section.text else { return Ok(()) };
        writeln!(out)?;
        for line in text.lines() {
            let style = match line.as_bytes().first() {
                Some(b'+') => Style::new().green(),
                Some(b'-') => Style::new().red(),
                Some(b'@') => Style::new().cyan(),
                _ => Style::new(),
            };
            writeln!(out, "{}", self.paint(line, style))?;
        }
        Ok(())
    }

    fn whole(&self, section: &Section, closing: &[Entry], out: &mut dyn Write) -> io::Result<()> {
        self.transitions(section, out)?;
        let standing: Vec<Entry> =
            section.entries.iter().chain(closing).filter(|entry| entry.waived.is_none()).cloned().collect();
        self.findings(&standing, out)?;
        self.waived(&section.entries, out)?;
        self.text(section, out)
    }
}

impl Projection for Human {
    fn begin(&mut self, _out: &mut dyn Write) -> io::Result<()> {
        Ok(())
    }

    fn section(&mut self, section: Section, out: &mut dyn Write) -> io::Result<()> {
        if self.manner.single {
            self.held = Some(section);
            return Ok(());
        }
        let mut summary = Summary { compared: 1, ..Summary::default() };
        section.entries.iter().for_each(|entry| summary.add(entry));
        let clean = summary.errors + summary.warnings + summary.notes == 0;
        if clean && self.manner.volume == Volume::Quiet {
            return self.text(&section, out);
        }
        writeln!(out, "{}  {}", section.label, self.verdict(&summary))?;
        if clean && self.manner.volume != Volume::Loud {
            return self.text(&section, out);
        }
        if self.manner.volume == Volume::Loud {
            self.whole(&section, &[], out)?;
        } else {
            let standing: Vec<Entry> =
                section.entries.iter().filter(|entry| entry.waived.is_none()).cloned().collect();
            self.findings(&standing, out)?;
            self.text(&section, out)?;
        }
        writeln!(out)
    }

    fn end(&mut self, closing: &[Entry], summary: &Summary, out: &mut dyn Write) -> io::Result<()> {
        if let Some(section) = self.held.take() {
            writeln!(out, "{}", self.verdict(summary))?;
            if self.manner.volume != Volume::Quiet {
                let (before, after) = section.services;
                writeln!(out, "{}: {before} services → {after}", section.label)?;
            }
            return self.whole(&section, closing, out);
        }
        self.findings(closing, out)?;
        if !closing.is_empty() {
            writeln!(out)?;
        }
        let of = match summary.compared {
            1 => "1 comparison".to_owned(),
            count => format!("{count} comparisons"),
        };
        writeln!(out, "{} ({of})", self.verdict(summary))
    }
}

/// One line: whether the shapes are equivalent, and the counts.
pub(super) fn verdict(summary: &Summary) -> String {
    let word = if summary.errors > 0 {
        "NOT equivalent"
    } else if summary.failed > 0 {
        "NOT checked"
    } else {
        "equivalent"
    };
    let count = |number: usize, name: &str| match number {
        0 => None,
        1 => Some(format!("1 {name}")),
        _ => Some(format!("{number} {name}s")),
    };
    let mut parts: Vec<String> = [
        count(summary.errors, "error"),
        count(summary.warnings, "warning"),
        count(summary.notes, "note"),
        (summary.waived > 0).then(|| format!("{} waived", summary.waived)),
        count(summary.failed, "input").map(|inputs| format!("{inputs} not checked")),
    ]
    .into_iter()
    .flatten()
    .collect();
    if parts.is_empty() {
        parts.push("no findings".to_owned());
    }
    format!("{word}: {}", parts.join(", "))
}

/// Entries that say the same of several principals, as one, with the principals' names.
fn folded<'a>(entries: impl Iterator<Item = &'a Entry>) -> Vec<(String, &'a Entry)> {
    let mut folded: Vec<(Vec<&str>, &Entry)> = Vec::new();
    for entry in entries {
        let same = folded.iter_mut().find(|(_, first)| {
            first.rule == entry.rule
                && first.subject == entry.subject
                && first.before == entry.before
                && first.after == entry.after
                && first.waived == entry.waived
        });
        match same {
            Some((principals, _)) => principals.push(&entry.principal),
            None => folded.push((vec![&entry.principal], entry)),
        }
    }
    folded
        .into_iter()
        .map(|(mut principals, entry)| {
            principals.sort_unstable();
            principals.dedup();
            let names = principals.join(", ");
            (if names.is_empty() { "the whole document".to_owned() } else { names }, entry)
        })
        .collect()
}

/// Folded entries under the principals that they name, the heaviest first.
fn grouped(entries: &[Entry]) -> Vec<(String, Vec<&Entry>)> {
    let mut groups: Vec<(String, Vec<&Entry>)> = Vec::new();
    for (principals, entry) in folded(entries.iter()) {
        match groups.iter_mut().find(|(name, _)| *name == principals) {
            Some((_, group)) => group.push(entry),
            None => groups.push((principals, vec![entry])),
        }
    }
    for (_, group) in &mut groups {
        group.sort_by_key(|entry| Reverse(entry.severity));
    }
    groups.sort_by_key(|(_, group)| Reverse(group.iter().map(|entry| entry.severity).max()));
    groups
}

fn shorten(text: &str) -> String {
    if text.is_empty() {
        return "(empty)".to_owned();
    }
    match text.char_indices().nth(VALUE) {
        None => text.to_owned(),
        Some((at, _)) => format!("{}… ({} characters)", &text[..at], text.chars().count()),
    }
}

/// Writes words after `lead`, which fills `indent` columns; further lines are indented as far.
fn wrap(out: &mut dyn Write, lead: &str, indent: usize, text: &str) -> io::Result<()> {
    out.write_all(lead.as_bytes())?;
    let mut column = indent;
    for (number, word) in text.split_whitespace().enumerate() {
        let length = word.chars().count();
        if number > 0 && column + 1 + length > WIDTH {
            write!(out, "\n{}", " ".repeat(indent))?;
            column = indent;
        } else if number > 0 {
            out.write_all(b" ")?;
            column += 1;
        }
        out.write_all(word.as_bytes())?;
        column += length;
    }
    writeln!(out)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::finding::{Finding, Law, Rule, Shown};
    use crate::flag::Shape;
    use crate::text::Redactor;

    static DROPPED: Rule = Rule {
        id: "mount-dropped",
        law: Law::Conservation,
        severity: Severity::Error,
        summary: "a mount is gone",
        doc: "",
    };
    static SHARED: Rule = Rule {
        id: "mount-secret-shared",
        law: Law::Containment,
        severity: Severity::Warning,
        summary: "a secret is readable by a neighbour",
        doc: "",
    };

    fn section() -> Section {
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
        let mut waived = shared("egress");
        waived.subject = "/etc/pipelock/ca-key.pem".to_owned();
        waived.waived = Some("one trust domain".to_owned());
        Section {
            label: "examples/full.plan.json".to_owned(),
            services: (5, 2),
            transitions: vec![
                ("agent-urls", "HTTPS_PROXY names sidecars".to_owned()),
                ("services-merged", "egress, git-gate, pipelock, supervise".to_owned()),
            ],
            entries: vec![shared("supervise"), dropped, shared("egress"), waived],
            text: None,
        }
    }

    fn shown(manner: Manner, sections: Vec<Section>) -> String {
        let mut summary = Summary { compared: sections.len(), ..Summary::default() };
        let mut out = Vec::new();
        let mut human = Human::new(manner);
        human.begin(&mut out).unwrap();
        for section in sections {
            section.entries.iter().for_each(|entry| summary.add(entry));
            human.section(section, &mut out).unwrap();
        }
        human.end(&[], &summary, &mut out).unwrap();
        String::from_utf8(out).unwrap()
    }

    #[test]
    fn one_plan_is_told_in_full() {
        let text = shown(Manner { single: true, ..Manner::default() }, vec![section()]);
        insta::assert_snapshot!(text, @"
        NOT equivalent: 1 error, 2 warnings, 1 waived
        examples/full.plan.json: 5 services → 2

        Intended changes
          agent-urls       HTTPS_PROXY names sidecars
          services-merged  egress, git-gate, pipelock, supervise

        egress
          error    mount-dropped  /etc/egress/routes.yaml
                   the bundle mounts nothing at /etc/egress/routes.yaml, so egress starts without routes and
                   refuses every request of the agent
                   /srv/routes.yaml (ro) → nothing
                   legacy line 40 · examples/full.plan.json:12 /egress/routes · explain mount-dropped

        egress, supervise
          warning  mount-secret-shared  /git-gate/creds/key  broadening
                   a secret is readable by a neighbour
                   nothing → bind /keys/key (ro)
                   explain mount-secret-shared

        Waived
          mount-secret-shared  /etc/pipelock/ca-key.pem  egress
              one trust domain
        ");
        assert!(text.lines().all(|line| line.chars().count() <= WIDTH));
    }

    #[test]
    fn of_many_plans_only_what_stands_is_told() {
        let clean = Section { label: "b.json".to_owned(), services: (3, 2), ..Section::default() };
        let text = shown(Manner::default(), vec![clean.clone(), section()]);
        insta::assert_snapshot!(text, @"
        b.json  equivalent: no findings
        examples/full.plan.json  NOT equivalent: 1 error, 2 warnings, 1 waived

        egress
          error    mount-dropped  /etc/egress/routes.yaml
                   the bundle mounts nothing at /etc/egress/routes.yaml, so egress starts without routes and
                   refuses every request of the agent
                   /srv/routes.yaml (ro) → nothing
                   legacy line 40 · examples/full.plan.json:12 /egress/routes · explain mount-dropped

        egress, supervise
          warning  mount-secret-shared  /git-gate/creds/key  broadening
                   a secret is readable by a neighbour
                   nothing → bind /keys/key (ro)
                   explain mount-secret-shared

        NOT equivalent: 1 error, 2 warnings, 1 waived (2 comparisons)
        ");
        let text = shown(Manner { volume: Volume::Quiet, ..Manner::default() }, vec![clean.clone(), clean]);
        assert_eq!(text, "equivalent: no findings (2 comparisons)\n");
    }

    #[test]
    fn colour_is_only_used_when_asked_for() {
        assert!(!shown(Manner::default(), vec![section()]).contains('\u{1b}'));
        assert!(shown(Manner { color: true, ..Manner::default() }, vec![section()]).contains('\u{1b}'));
    }
}
