//! The final flip: facts → decision → plan, carried out by one executor that a journal makes reversible.

mod decide;
mod default;
mod execute;
mod facts;
mod fs;
mod gather;
pub mod git;
mod journal;
mod path_state;
mod plan;
mod references;
mod verify;

pub use decide::{Decision, Notes, Refusal, decide};
pub use execute::{Abort, Commit, Left, Outcome, Proof, carry_out, changed_since, undo};
pub use facts::{Edit, Facts, Leftover, Plans, Scanned, Vcs};
pub use fs::{Act, Fs};
pub use gather::{Target, gather};
pub use journal::{FOLDER, Journal, Progress, Record, Unreadable};
pub use path_state::{PathState, State};
pub use plan::{Change, Options, Plan, Stale};
pub use references::{Mention, Search, Weight};
pub use verify::verify;
