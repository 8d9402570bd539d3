//! The server that the public protocol suites of Socket.IO and Engine.IO can be pointed at:
//! `cargo run --release --example suite_server -- --port 3000`.

use std::time::Duration;

use clap::Parser;
use switchboard::hub::Hub;
use switchboard::io::engine::{
    App, Conversation, Cors, Engine, EngineConfig, ParcelOptions, Session, SessionConfig, parcel,
};
use switchboard::io::{Ack, Args, Auth, EmitError, Socket, SocketIo, Value};
use switchboard::ws::{Message, MessageRef};
use tokio::net::TcpListener;

#[derive(Parser)]
struct Arguments {
    /// Where to listen on 127.0.0.1; 0 takes a free port.
    #[arg(long, default_value_t = 0)]
    port: u16,
    /// Bare Engine.IO at `/engine.io/`, which sends every message back as it came.
    #[arg(long)]
    eio: bool,
    /// Let in clients of version 3 of Engine.IO too.
    #[arg(long)]
    v3: bool,
    /// In milliseconds.
    #[arg(long, default_value_t = 300)]
    ping_interval: u64,
    /// In milliseconds.
    #[arg(long, default_value_t = 200)]
    ping_timeout: u64,
    /// In milliseconds: how long a client of Socket.IO may take to enter a namespace.
    #[arg(long, default_value_t = 1000)]
    connect_timeout: u64,
}

/// The suites wait for one message at a time. Of two that come in one read they never see the second: the welcome and what is
/// said at once after it leave here in one write, and Node's in two.
const APART: Duration = Duration::from_millis(10);

// The suites send a GET and a POST at once on two connections, and expect them to be taken in that order.
#[tokio::main(flavor = "current_thread")]
async fn main() -> std::io::Result<()> {
    let arguments = Arguments::parse();
    let listener = TcpListener::bind(("127.0.0.1", arguments.port)).await?;
    println!("listening {}", listener.local_addr()?.port());
    if arguments.eio { engine(&arguments).serve(listener).await } else { server(&arguments).serve(listener).await }
}

fn server(arguments: &Arguments) -> SocketIo {
    let io = SocketIo::builder()
        .ping_interval(Duration::from_millis(arguments.ping_interval))
        .ping_timeout(Duration::from_millis(arguments.ping_timeout))
        .max_http_buffer_size(1_000_000)
        .connect_timeout(Duration::from_millis(arguments.connect_timeout))
        .cors(Cors::default())
        .allow_eio3(arguments.v3)
        .build();
    io.on_connect(async |socket: Socket, Auth(auth): Auth<Value>| {
        socket.on("message", async |socket: Socket, args: Args| socket.emit("message-back", &args));
        socket.on("message-with-ack", async |args: Args, ack: Ack| ack.send(&args));
        greet(&socket, auth).await
    });
    io.of("/custom").on_connect(async |socket: Socket, Auth(auth): Auth<Value>| greet(&socket, auth).await);
    io
}

/// Tells a client what it has said for itself.
async fn greet(socket: &Socket, auth: Value) -> Result<(), EmitError> {
    tokio::time::sleep(APART).await;
    let auth = if auth.is_null() { Value::Object(Vec::new()) } else { auth };
    socket.emit("auth", &auth)
}

fn engine(arguments: &Arguments) -> Engine {
    let session = SessionConfig {
        ping_interval: Duration::from_millis(arguments.ping_interval),
        ping_timeout: Duration::from_millis(arguments.ping_timeout),
        max_payload: 1_000_000,
        allow_eio3: arguments.v3,
        ..SessionConfig::default()
    };
    let config = EngineConfig { session, cors: Some(Cors::default()), ..EngineConfig::default() };
    Engine::new(config, std::sync::Arc::new(Echo), Hub::default())
}

/// Sends every message back.
struct Echo;

impl App<Session> for Echo {
    fn open(&self, _: &Session) -> Box<dyn Conversation<Session>> {
        Box::new(Self)
    }
}

impl Conversation<Session> for Echo {
    fn message(&mut self, session: &Session, message: MessageRef<'_>) {
        match message {
            // A finished packet, of the type "message".
            MessageRef::Text(text) => session.send_text(&format!("4{text}")),
            MessageRef::Binary(bytes) => {
                session.send(parcel([Message::from(bytes.to_vec())], ParcelOptions::default()))
            }
        };
    }
}
