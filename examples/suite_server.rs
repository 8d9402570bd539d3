//! A server for the public protocol suites. `--eio`: an Engine.IO echo at `/engine.io/`, ping 300/200 ms, payloads of a
//! million bytes. `--v3` allows clients of protocol v3.
//!
//! `cargo run -p switchboard-io --example suite_server -- --eio --port 3000`

use std::net::Ipv4Addr;
use std::sync::Arc;
use std::time::Duration;

use clap::Parser;
use hyper::server::conn::http1;
use hyper_util::rt::TokioIo;
use hyper_util::service::TowerToHyperService;
use switchboard_io::engine::{
    App, Conversation, Cors, Engine, EngineConfig, ParcelOptions, Session, SessionConfig, parcel,
};
use switchboard_ws::{Hub, Message, MessageRef};
use tokio::net::TcpListener;

#[derive(Parser)]
struct Options {
    /// Where to listen, on the loopback interface.
    #[arg(long, default_value_t = 3000)]
    port: u16,
    /// A bare Engine.IO echo.
    #[arg(long, required = true)]
    eio: bool,
    /// Serve protocol v3 as well.
    #[arg(long)]
    v3: bool,
    /// Milliseconds between pings.
    #[arg(long, default_value_t = 300)]
    ping_interval: u64,
    /// Milliseconds that a client may take to answer one.
    #[arg(long, default_value_t = 200)]
    ping_timeout: u64,
}

/// Gives everything back.
struct Echo;

impl App<Session> for Echo {
    fn open(&self, _: &Session) -> Box<dyn Conversation<Session>> {
        Box::new(Self)
    }
}

impl Conversation<Session> for Echo {
    fn message(&self, session: &Session, message: MessageRef<'_>) {
        match message {
            MessageRef::Text(text) => session.send_text(&format!("4{text}")),
            MessageRef::Binary(bytes) => session.send(parcel([Message::from(bytes)], ParcelOptions::default())),
        };
    }
}

#[tokio::main]
async fn main() -> std::io::Result<()> {
    let options = Options::parse();
    let session = SessionConfig {
        ping_interval: Duration::from_millis(options.ping_interval),
        ping_timeout: Duration::from_millis(options.ping_timeout),
        max_payload: 1_000_000,
        allow_eio3: options.v3,
        ..SessionConfig::default()
    };
    let config = EngineConfig { session, cors: Some(Cors::default()), ..EngineConfig::default() };
    let engine = Engine::new(config, Arc::new(Echo), Hub::default());
    let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, options.port)).await?;
    println!("listening on {}", listener.local_addr()?);
    loop {
        let (stream, _) = listener.accept().await?;
        stream.set_nodelay(true)?;
        let service = TowerToHyperService::new(engine.service());
        tokio::spawn(http1::Builder::new().serve_connection(TokioIo::new(stream), service).with_upgrades());
    }
}
