//! The plan of a flip: the changes, with the state before and after, and the input files.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use super::path_state::State;

/// Name and version of a saved plan.
const SCHEMA: &str = "bottle-migrate/flip-plan/1";

/// Checks that a flip may skip.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
#[expect(clippy::struct_excessive_bools, reason = "each is an option of the command line")]
pub struct Options {
    /// Keep the Dockerfiles.
    pub keep_dockerfiles: bool,
    /// Change files that have uncommitted changes.
    pub allow_dirty: bool,
    /// Run outside a git repository.
    pub allow_no_vcs: bool,
    /// Accept a project without plans or tests.
    pub allow_empty: bool,
}

/// One file that is made, rewritten or deleted.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Change {
    /// Path below the root.
    pub path: String,
    /// What is there.
    pub before: State,
    /// What will be there.
    pub after: State,
    /// Contents before, or the target of a link, for people.
    #[serde(skip)]
    pub old: Vec<u8>,
    /// Contents after.
    #[serde(skip)]
    pub new: Vec<u8>,
}

/// What one flip will do.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Plan {
    /// Checks that it skipped.
    pub options: Options,
    /// In the order in which they are made.
    pub changes: Vec<Change>,
    /// Commands that must succeed afterwards.
    pub verify: Vec<String>,
    /// Its input files.
    pub rests_on: BTreeMap<String, State>,
}

/// The plan as it is saved.
#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct Saved {
    schema: String,
    options: Options,
    changes: Vec<Change>,
    verify: Vec<String>,
    rests_on: BTreeMap<String, State>,
}

/// Why a saved plan is stale.
#[derive(Debug, PartialEq, Eq)]
pub enum Stale {
    /// These files differ from those that it was made from.
    Files(Vec<String>),
    /// The same files now need other changes.
    Decision,
}

impl Plan {
    /// The plan as one JSON document.
    ///
    /// # Errors
    ///
    /// Never fails for a plan.
    pub fn save(&self) -> serde_json::Result<String> {
        let saved = Saved {
            schema: SCHEMA.to_owned(),
            options: self.options,
            changes: self.changes.clone(),
            verify: self.verify.clone(),
            rests_on: self.rests_on.clone(),
        };
        serde_json::to_string_pretty(&saved).map(|text| text + "\n")
    }

    /// Reads a saved plan.
    ///
    /// # Errors
    ///
    /// What is no plan of this version, with line and column.
    pub fn load(text: &str) -> Result<Self, (usize, usize, String)> {
        let saved: Saved = serde_json::from_str(text).map_err(|error| {
            let message = error.to_string();
            let message = message.split(" at line ").next().unwrap_or(&message).to_owned();
            (error.line(), error.column(), message)
        })?;
        if saved.schema != SCHEMA {
            return Err((1, 1, format!("`{}` is not a plan of this version, {SCHEMA}", saved.schema)));
        }
        let Saved { options, changes, verify, rests_on, .. } = saved;
        Ok(Self { options, changes, verify, rests_on })
    }

    /// Files of this plan that `now` finds in another state.
    pub fn moved(&self, now: impl Fn(&str) -> State) -> Vec<String> {
        let differs = |(path, state): (&String, &State)| (now(path) != *state).then(|| path.clone());
        self.rests_on.iter().filter_map(differs).collect()
    }

    /// Whether a plan that was made again is the same.
    #[must_use]
    pub fn agrees(&self, again: &Self) -> bool {
        let steps = |plan: &Self| -> Vec<(String, State, State)> {
            let step = |change: &Change| (change.path.clone(), change.before.clone(), change.after.clone());
            plan.changes.iter().map(step).collect()
        };
        steps(self) == steps(again) && self.verify == again.verify && self.rests_on == again.rests_on
    }
}
