//! The final flip: facts → decision → plan, carried out by one executor that a journal makes reversible.

mod decide;
mod default;
mod disk;
mod entry;
mod execute;
mod facts;
pub mod git;
mod journal;
mod plan;
mod references;
mod verify;

pub use decide::{Decision, Notes, Options, Refusal, decide};
pub use disk::{Act, Disk};
pub use entry::Entry;
pub use execute::{Commit, Left, Outcome, Proof, Stop, carry_out, changed_since, undo};
pub use facts::{Facts, Leftover, Plans, Scanned, Site, Vcs};
pub use journal::{FOLDER, Journal, Progress, Record, Unreadable};
pub use plan::{Change, Plan, Stale, State};
pub use references::{Mention, Search, Weight};
pub use verify::verify;
