//! Load for a WebSocket or Socket.IO server from one thread: preformatted masked frames, edge-triggered epoll without
//! waiting, and a line of JSON with what came of it. Fails when a reply is wrong or stays away.

mod broadcast;
mod churn;
mod client;
mod connect;
mod echo;
mod engineio;
mod frame;
mod histogram;
mod http;
mod idle;
mod meter;
mod payload;
mod poller;
mod process;
mod replies;
mod report;
mod script;
mod session;
mod settings;
mod settle;
mod socket;
mod socketio;
mod stream;
mod tls;
mod window;

use std::process::ExitCode;

use clap::Parser;

use crate::settings::{Load, Settings};

/// Why a run says nothing about the server's speed: it answered wrongly, or not at all.
type Result<T> = std::result::Result<T, Box<dyn std::error::Error>>;

fn main() -> ExitCode {
    let settings = Settings::parse();
    process::raise_descriptor_limit();
    let report = match settings.load {
        Load::Echo => echo::run(&settings),
        Load::Bcast => broadcast::run(&settings),
        Load::Idle => idle::run(&settings),
        Load::Conn => churn::run(&settings),
    };
    match report {
        Ok(report) => {
            println!("{report}");
            ExitCode::SUCCESS
        }
        Err(error) => {
            eprintln!("{error}");
            ExitCode::FAILURE
        }
    }
}
