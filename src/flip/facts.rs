//! Input of a decision.

use std::collections::BTreeMap;

use super::git::Unclean;
use super::path_state::{PathState, State};
use super::references::{Mention, Search};
use crate::flag::Shape;
use crate::rule::RuleId;

/// Facts about a project before a flip.
#[derive(Debug)]
pub struct Facts {
    /// Name of the configuration's file.
    pub config: String,
    /// Shape while the flag is unset.
    pub default: Shape,
    /// Other places that set the default.
    pub edits: Vec<Edit>,
    /// Files to delete, without `.` components.
    pub delete: Vec<String>,
    /// Commands that must succeed afterwards.
    pub verify: Vec<String>,
    /// What is at each path that may be touched.
    pub entries: BTreeMap<String, PathState>,
    /// What version control says of those paths.
    pub vcs: Vcs,
    /// The plans.
    pub plans: Plans,
    /// The scan.
    pub scan: Scanned,
    /// References to the deleted files, in files that the flip does not change.
    pub mentions: Vec<Mention>,
    /// Finds such references in files that the flip changes.
    pub search: Search,
    /// Of the files that are edited, those that are documents.
    pub prose: Vec<String>,
}

/// A text to replace.
#[derive(Clone, Debug)]
pub struct Edit {
    /// File below the root, without `.` components.
    pub file: String,
    /// Text that occurs exactly once.
    pub find: String,
    /// Replacement.
    pub replace: String,
}

/// What version control says.
#[derive(Debug)]
pub enum Vcs {
    /// No version control.
    Absent,
    /// Git failed, with its message.
    Silent(String),
    /// Paths with uncommitted changes.
    Git(BTreeMap<String, Unclean>),
}

/// What the comparison of the plans gave.
#[derive(Debug, Default)]
pub struct Plans {
    /// Each plan below the root, as it was read.
    pub files: BTreeMap<String, State>,
    /// Findings that no waiver accepts: file and message.
    pub findings: Vec<(String, String)>,
}

/// What the scan gave.
#[derive(Debug, Default)]
pub struct Scanned {
    /// Number of files that were looked at.
    pub files: usize,
    /// How many of them are tests.
    pub tests: usize,
    /// What was found.
    pub found: Vec<Leftover>,
    /// Files that were not searched completely, and why.
    pub skipped: Vec<(String, String)>,
}

/// A reference that the migration breaks.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Leftover {
    /// File below the root.
    pub file: String,
    /// Line, from 1; 0: the file as a whole.
    pub line: usize,
    /// The form's id.
    pub form: RuleId,
    /// Whether it keeps the flip from being made: it is certain, in a test or in code, and not just the flag.
    pub blocks: bool,
}
