//! The `ringmaster` program: see `cli`.

use std::process::ExitCode;

fn main() -> ExitCode {
    ringmaster::cli::main()
}
