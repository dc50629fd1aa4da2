//! Which files are searched: the walk over the tree, the first look at each file's bytes, and the zones.

mod own;
mod prefilter;
mod walk;
mod zones;

pub(in crate::scan) use own::is_report;
pub(in crate::scan) use prefilter::{holding, text};
pub use walk::Unreadable;
pub(in crate::scan) use walk::{Candidate, Tree, each, tree};
