//! The server that the bench measures, on the public API with default limits:
//! `cargo run --release --example bench_server -- --port 9001 --mode echo`. Any path will do.

use std::path::PathBuf;

use clap::{Parser, ValueEnum};
use switchboard::ws::{
    Config, Context, DeflateConfig, Handler, Hub, Identity, Limits, Message, MessageRef, Server, ServerTls,
};

#[derive(Parser)]
struct Arguments {
    #[arg(long, default_value_t = 9001)]
    port: u16,
    #[arg(long, value_enum, default_value_t = Mode::Echo)]
    mode: Mode,
    /// Compress: with a context per connection, or with one that all connections share.
    #[arg(long, value_enum)]
    deflate: Option<Deflate>,
    /// Serve `wss://` with this certificate, in PEM.
    #[arg(long, value_name = "FILE", requires = "tls_key")]
    tls_cert: Option<PathBuf>,
    /// The certificate's key, in PEM.
    #[arg(long, value_name = "FILE", requires = "tls_cert")]
    tls_key: Option<PathBuf>,
}

#[derive(Clone, Copy, ValueEnum)]
enum Mode {
    /// Each message goes back to its sender.
    Echo,
    /// Each message goes to every connection, the sender included.
    Bcast,
    /// Each message goes to every connection that came by the same path, the sender included.
    Topics,
}

#[derive(Clone, Copy, PartialEq, ValueEnum)]
enum Deflate {
    Takeover,
    Shared,
}

struct Echo;

impl Handler for Echo {
    fn on_message(&mut self, cx: &mut Context<'_>, message: MessageRef<'_>) {
        cx.send(message);
    }

    fn on_owned_message(&mut self, cx: &mut Context<'_>, message: Message) {
        cx.send_owned(message);
    }
}

struct Publisher {
    topic: String,
}

impl Handler for Publisher {
    fn on_open(&mut self, cx: &mut Context<'_>) {
        cx.subscribe(&self.topic).expect("the bench's paths are short");
    }

    fn on_message(&mut self, cx: &mut Context<'_>, message: MessageRef<'_>) {
        cx.publish_to_all(&self.topic, message);
    }
}

#[tokio::main(flavor = "current_thread")]
async fn main() -> std::io::Result<()> {
    let Arguments { port, mode, deflate, tls_cert, tls_key } = Arguments::parse();
    let deflate = deflate.map(|deflate| DeflateConfig {
        own_context_takeover: deflate == Deflate::Takeover,
        peer_context_takeover: deflate == Deflate::Takeover,
        ..DeflateConfig::default()
    });
    let limits = Limits { deflate, ..Limits::default() };
    let config = Config::default().limits(limits).hub(Hub::default()).keep_request(false);
    let mut server = Server::bind(("127.0.0.1", port), config).await?;
    let mut scheme = "ws";
    if let (Some(cert), Some(key)) = (tls_cert, tls_key) {
        let identity = Identity::files(cert, key).map_err(std::io::Error::other)?;
        server = server.tls(ServerTls::new(&identity));
        scheme = "wss";
    }
    println!("listening on {scheme}://{}/", server.local_addr()?);
    match mode {
        Mode::Echo => server.serve(|_| Echo).await,
        Mode::Bcast => server.serve(|_| Publisher { topic: "all".to_owned() }).await,
        Mode::Topics => server.serve(|request| Publisher { topic: request.uri().path().to_owned() }).await,
    }
    Ok(())
}
