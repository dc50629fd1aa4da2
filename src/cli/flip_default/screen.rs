//! Texts of a flip: the plan with its diffs, what to check by hand, and the result.

use std::collections::BTreeSet;
use std::fmt::Write;

use owo_colors::{OwoColorize, Style};
use similar::{ChangeTag, TextDiff};

use crate::flip::{Change, FOLDER, Left, Mention, Notes, Plan, State};
use crate::text::{self, Redactor, count};

/// Findings of the scan that are shown.
const LISTED: usize = 20;

/// The plan: one line per file, then the diffs.
pub(super) fn plan(plan: &Plan, color: bool, redactor: &Redactor) -> String {
    let mut out = String::new();
    let _ = writeln!(out, "{}", count(plan.changes.len(), "file") + " to change");
    for change in &plan.changes {
        let _ = writeln!(out, "  {:<8}{}", verb(change), text::strip(&change.path));
    }
    for command in &plan.verify {
        let _ = writeln!(out, "  {:<8}{}", "then", redactor.scrub(command));
    }
    for change in &plan.changes {
        out.push('\n');
        diff(change, color, redactor, &mut out);
    }
    out
}

fn verb(change: &Change) -> &'static str {
    match (&change.before, &change.after) {
        (State::Absent, _) => "create",
        (_, State::Absent) => "delete",
        _ => "rewrite",
    }
}

/// A unified diff of one file.
fn diff(change: &Change, color: bool, redactor: &Redactor, out: &mut String) {
    let paint = |line: &str, style: Style| {
        if color { line.style(style).to_string() } else { line.to_owned() }
    };
    let path = text::strip(&change.path);
    let side =
        |there: bool, name: &str| if there { format!("{name}/{path}") } else { "/dev/null".to_owned() };
    let before = side(change.before != State::Absent, "a");
    let after = side(change.after != State::Absent, "b");
    let _ = writeln!(out, "{}", paint(&format!("--- {before}"), Style::new().bold()));
    let _ = writeln!(out, "{}", paint(&format!("+++ {after}"), Style::new().bold()));
    let old = match change.before {
        State::Link { .. } => format!("(link to {})\n", String::from_utf8_lossy(&change.old)),
        _ => String::from_utf8_lossy(&change.old).into_owned(),
    };
    let new = String::from_utf8_lossy(&change.new).into_owned();
    let lines = TextDiff::from_lines(&old, &new);
    for hunk in lines.unified_diff().context_radius(3).iter_hunks() {
        let _ = writeln!(out, "{}", paint(hunk.header().to_string().trim_end(), Style::new().cyan()));
        for line in hunk.iter_changes() {
            let (sign, style) = match line.tag() {
                ChangeTag::Delete => ('-', Style::new().red()),
                ChangeTag::Insert => ('+', Style::new().green()),
                ChangeTag::Equal => (' ', Style::new()),
            };
            let shown = redactor.scrub(line.value().trim_end_matches(['\n', '\r']));
            let _ = writeln!(out, "{}", paint(&format!("{sign}{shown}"), style));
            if line.missing_newline() {
                out.push_str("\\ No newline at end of file\n");
            }
        }
    }
}

/// What a person has to check; empty if there is nothing.
pub(super) fn by_hand(notes: &Notes) -> String {
    let mut out = String::new();
    let leftovers = notes.leftovers.iter();
    let leftovers = leftovers.map(|found| (found.file.as_str(), found.line, found.form.to_string()));
    let mentions = notes.mentions.chunk_by(|one, next| one.file == next.file).map(of_file);
    let skipped = notes.skipped.iter();
    let skipped = skipped.map(|(file, reason)| (file.as_str(), 1, format!("was not searched: {reason}")));
    let known = notes.leftovers.len();
    let lines: Vec<_> = leftovers.take(LISTED).chain(mentions).chain(skipped).collect();
    if lines.is_empty() {
        return out;
    }
    out.push_str("\nLeft to do by hand\n");
    for (file, line, what) in lines {
        let _ = writeln!(out, "  {}:{line}  {}", text::strip(file), text::strip(&what));
    }
    if known > LISTED {
        let _ = writeln!(out, "  and {} that `bottle-migrate scan-tests` lists", known - LISTED);
    }
    out
}

/// The deleted files that one file names, at the first line that names one.
fn of_file(mentions: &[Mention]) -> (&str, usize, String) {
    let deleted: BTreeSet<&str> = mentions.iter().map(|found| found.deleted.as_str()).collect();
    let lines: BTreeSet<usize> = mentions.iter().map(|found| found.line).collect();
    let mut text = format!("names {}", Vec::from_iter(deleted).join(", "));
    if lines.len() > 1 {
        let _ = write!(text, " ({} lines)", lines.len());
    }
    (&mentions[0].file, lines.first().copied().unwrap_or(1), text)
}

/// What was done, and how to undo it.
pub(super) fn done(plan: &Plan, commit: Option<&str>) -> String {
    let files = count(plan.changes.len(), "file");
    let mut out = if plan.options.keep_dockerfiles {
        format!("flipped: the bundle is the default, {files} changed; a later run deletes the Dockerfiles\n")
    } else {
        format!("flipped: the bundle is the default, {files} changed\n")
    };
    if plan.verify.is_empty() {
        out.push_str("nothing was verified: `[flip] verify` of bottle-migrate.toml has no command\n");
    }
    match commit {
        Some(commit) => {
            let _ = writeln!(
                out,
                "committed as {commit}; to undo it: git revert {commit}",
                commit = short(commit)
            );
        }
        None => out.push_str("to undo it: bottle-migrate flip-default --rollback\n"),
    }
    out
}

/// Files that could not be restored, with the path of each original.
pub(super) fn left(left: &[Left]) -> String {
    let mut out = String::new();
    for left in left {
        let _ = match (&left.original, left.path.as_str()) {
            (_, "") => writeln!(out, "  {FOLDER}: {}", text::strip(&left.reason)),
            (Some(original), path) => writeln!(
                out,
                "  {}: {}; its original is {}",
                text::strip(path),
                text::strip(&left.reason),
                text::strip(original)
            ),
            (None, path) => writeln!(out, "  {}: {}", text::strip(path), text::strip(&left.reason)),
        };
    }
    out
}

/// A commit's name as people write it; a long one would be taken for a secret.
pub(super) fn short(commit: &str) -> &str {
    commit.get(..12).unwrap_or(commit)
}
