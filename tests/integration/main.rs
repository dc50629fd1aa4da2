//! The one integration binary: what only a whole process shows.

#[cfg(test)]
mod cli;
mod laws;
mod mutants;
