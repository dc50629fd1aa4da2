//! The command line of bottle-migrate.

#![forbid(unsafe_code)]

use std::process::ExitCode;

use mimalloc::MiMalloc;

/// A comparison is made of many small texts, which the system's allocator is slow to take back.
#[global_allocator]
static ALLOCATOR: MiMalloc = MiMalloc;

fn main() -> ExitCode {
    bottle_migrate::cli::run()
}
