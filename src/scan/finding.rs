//! What a scan finds.

use std::ops::Range;

use bottle_model::daemon::Daemon;
use schemars::JsonSchema;
use serde::Serialize;

use crate::finding::Identity;
use crate::rule::{RuleId, ScanRule};

/// What a file is to the target (docs/design.md#scan-tests).
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub enum Zone {
    /// A test.
    Test,
    /// Neither a test nor a document.
    Code,
    /// A document.
    Doc,
}

impl Zone {
    /// Every zone, in the order of reports.
    pub const ALL: [Self; 3] = [Self::Test, Self::Code, Self::Doc];

    /// Name of the zone.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Test => "test",
            Self::Code => "code",
            Self::Doc => "doc",
        }
    }
}

/// Whether a text is certainly a reference.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub enum Certainty {
    /// It is one.
    Sure,
    /// It may as well name the agent's container, and is never rewritten.
    Unsure,
}

/// A replacement of a stretch of bytes.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Edit {
    /// Byte offset of its first byte.
    pub start: usize,
    /// Byte offset behind its last byte.
    pub end: usize,
    /// What takes its place.
    pub text: String,
}

/// A reference that the migration breaks.
#[derive(Clone, Debug)]
pub struct Finding {
    /// File, relative to the root, with `/`.
    pub file: String,
    /// Line on which the name stands, from 1; 0: the file as a whole.
    pub line: usize,
    /// Column of the name in characters, from 1.
    pub column: usize,
    /// Characters that the name fills on its line.
    pub width: usize,
    /// The rule.
    pub form: RuleId,
    /// The daemon that is named; absent where a line means all of them.
    pub service: Option<Daemon>,
    /// What the file is.
    pub zone: Zone,
    /// The line, as it is written.
    pub text: String,
    /// What to write instead.
    pub suggestion: String,
    /// What `--fix` writes; empty: a person has to decide.
    pub edits: Vec<Edit>,
    /// Whether it is certainly a reference.
    pub certainty: Certainty,
    /// Reason of the waiver that accepts it.
    pub waived: Option<String>,
}

impl Finding {
    /// What waivers and fingerprints go by: the file is the subject, and the daemon the principal.
    #[must_use]
    pub fn identity(&self) -> Identity<'_> {
        let principal = self.service.map_or("", |service| service.name());
        Identity { rule: self.form, principal, subject: &self.file }
    }

    /// Whether `--fix` rewrites it.
    #[must_use]
    pub fn safe(&self) -> bool {
        !self.edits.is_empty()
    }

    /// Whether it has to be gone before the default can be flipped.
    #[must_use]
    pub fn blocks(&self) -> bool {
        self.waived.is_none()
            && self.certainty == Certainty::Sure
            && self.zone != Zone::Doc
            && self.form != RuleId::FlagReference
    }
}

/// A reference within one file, before it has a line.
#[derive(Clone, Debug)]
pub(in crate::scan) struct Match {
    /// Bytes of the name.
    pub(in crate::scan) span: Range<usize>,
    /// The form.
    pub(in crate::scan) rule: &'static ScanRule,
    /// The daemon that is named.
    pub(in crate::scan) service: Option<Daemon>,
    /// What to write instead.
    pub(in crate::scan) suggestion: String,
    /// What `--fix` may write.
    pub(in crate::scan) edits: Vec<Edit>,
    /// Whether it may as well be something else.
    pub(in crate::scan) unsure: bool,
}

impl Match {
    /// A certain reference that is not rewritten, with the form's own suggestion.
    pub(in crate::scan) fn new(span: Range<usize>, rule: &'static ScanRule, service: Option<Daemon>) -> Self {
        Self {
            suggestion: crate::scan::rules::advice(rule, service),
            span,
            rule,
            service,
            edits: Vec::new(),
            unsure: false,
        }
    }

    /// Sets what to write instead.
    pub(in crate::scan) fn suggest(mut self, text: impl Into<String>) -> Self {
        self.suggestion = text.into();
        self
    }

    /// Shifts it by `bytes`, where a part of a file was searched by itself.
    pub(in crate::scan) fn moved(&mut self, bytes: usize) {
        self.span = self.span.start + bytes..self.span.end + bytes;
        for edit in &mut self.edits {
            edit.start += bytes;
            edit.end += bytes;
        }
    }

    /// Adds a rewrite.
    pub(in crate::scan) fn rewrite(mut self, span: Range<usize>, text: impl Into<String>) -> Self {
        self.edits.push(Edit { start: span.start, end: span.end, text: text.into() });
        self
    }
}
