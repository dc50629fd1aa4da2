//! The command line of bottle-migrate.

use std::process::ExitCode;

fn main() -> ExitCode {
    bottle_migrate::cli::run()
}
