//! Merges findings that differ only in the principal into one row.

use std::collections::BTreeMap;

use super::Entry;
use crate::finding::Rule;

/// A finding, with every principal that has it.
pub(super) struct Row<'a> {
    /// The first of the findings.
    pub(super) entry: &'a Entry,
    /// The others.
    pub(super) others: Vec<&'a Entry>,
}

impl<'a> Row<'a> {
    /// All findings of the row.
    pub(super) fn all(&self) -> impl Iterator<Item = &'a Entry> {
        std::iter::once(self.entry).chain(self.others.iter().copied())
    }

    /// Names of the principals.
    pub(super) fn principals(&self) -> String {
        let mut names: Vec<&str> = self.all().map(|entry| entry.principal.as_str()).collect();
        names.sort_unstable();
        names.dedup();
        if names == [""] { "the whole document".to_owned() } else { names.join(", ") }
    }

    /// The sentence, if it is the same for all principals.
    pub(super) fn message(&self) -> Option<&'a str> {
        let message = self.entry.message.as_str();
        self.others.iter().all(|entry| entry.message == message).then_some(message)
    }
}

/// Puts findings that differ in the principal alone into one row, in the order of their first.
pub(super) fn rows<'a>(entries: impl Iterator<Item = &'a Entry>) -> Vec<Row<'a>> {
    let mut rows: Vec<Row<'a>> = Vec::new();
    let mut known = BTreeMap::new();
    for entry in entries {
        let key = (entry.rule.id, &entry.subject, &entry.before, &entry.after, &entry.waived, &entry.file);
        if let Some(row) = known.get(&key).and_then(|at: &usize| rows.get_mut(*at)) {
            row.others.push(entry);
        } else {
            known.insert(key, rows.len());
            rows.push(Row { entry, others: Vec::new() });
        }
    }
    rows
}

/// Rows under the principals that they name: those of the whole document first, then the agent's.
pub(super) fn by_principal(rows: Vec<Row<'_>>) -> Vec<(String, Vec<Row<'_>>)> {
    let mut groups: BTreeMap<(u8, String), Vec<Row<'_>>> = BTreeMap::new();
    for row in rows {
        let rank = match row.entry.principal.as_str() {
            "" => 0,
            "agent" => 1,
            _ => 2,
        };
        groups.entry((rank, row.principals())).or_default().push(row);
    }
    groups.into_iter().map(|((_, principals), rows)| (principals, rows)).collect()
}

/// Rows under their rule and the reason for which they are waived, in the order of the first of each.
pub(super) fn by_rule(rows: Vec<Row<'_>>) -> Vec<(&'static Rule, Vec<Row<'_>>)> {
    let mut groups: Vec<(&'static Rule, Vec<Row<'_>>)> = Vec::new();
    for row in rows {
        let same = |group: &&mut (&'static Rule, Vec<Row<'_>>)| {
            group.0.id == row.entry.rule.id
                && group.1.first().is_none_or(|first| first.entry.waived == row.entry.waived)
        };
        match groups.iter_mut().find(same) {
            Some((_, group)) => group.push(row),
            None => groups.push((row.entry.rule, vec![row])),
        }
    }
    groups
}
