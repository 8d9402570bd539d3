//! The server behind the binary `switchboard`, as a library so that its tests can run it.
//!
//! From bottom to top: [`units`] and [`cli`] say what is wanted, [`settings`] what of it is possible; [`listen`]
//! accepts, [`rooms`], [`echo`], [`socketio`], [`pages`] and [`metrics`] answer, [`routes`] knows which of them,
//! [`gate`] opens WebSockets without asking them, [`workers`] are the threads that do all this, and [`run`] is the
//! server's life in order.

pub mod app;
pub mod cli;
pub mod echo;
pub mod error;
pub mod gate;
mod hardening;
mod heap;
pub mod limits;
pub mod listen;
pub mod memory;
pub mod metrics;
pub mod names;
pub mod pages;
pub mod paths;
pub mod patience;
pub mod plain;
mod relay;
pub mod rooms;
pub mod routes;
pub mod run;
pub mod settings;
pub mod shutdown;
pub mod socketio;
pub mod tasks;
pub mod units;
pub mod workers;

use std::process::ExitCode;

use clap::Parser;

/// What the binary does: reads the command line, runs the server, and says in one sentence what went wrong.
#[must_use]
pub fn main() -> ExitCode {
    let cli = cli::Cli::parse();
    let options = match cli.command {
        Some(cli::Command::Serve(options)) => *options,
        None => cli.serve,
    };
    let result = settings::Settings::try_from(options).and_then(run::run);
    match result {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("switchboard: {error}");
            ExitCode::FAILURE
        }
    }
}
