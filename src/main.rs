//! The command line of bottle-migrate.

#![forbid(unsafe_code)]

use std::process::ExitCode;

fn main() -> ExitCode {
    bottle_migrate::cli::run()
}
