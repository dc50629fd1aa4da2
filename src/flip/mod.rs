//! The final flip: facts → decision → plan, carried out by one executor that a journal makes reversible.

mod decide;
mod default;
mod execute;
mod facts;
mod fs;
pub mod git;
mod journal;
mod path_state;
mod plan;
mod references;
mod verify;

pub use decide::{Decision, Notes, Options, Refusal, decide};
pub use execute::{Abort, Commit, Left, Outcome, Proof, carry_out, changed_since, undo};
pub use facts::{Edit, Facts, Leftover, Plans, Scanned, Vcs};
pub use fs::{Act, Fs};
pub use journal::{FOLDER, Journal, Progress, Record, Unreadable};
pub use path_state::PathState;
pub use plan::{Change, Plan, Stale, State};
pub use references::{Mention, Search, Weight};
pub use verify::verify;
