//! The command line of bottle-migrate.

fn main() {}
