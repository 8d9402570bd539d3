//! The binary `switchboard`.
#![forbid(unsafe_code)]

use std::process::ExitCode;

fn main() -> ExitCode {
    switchboard_server::main()
}
