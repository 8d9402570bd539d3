//! tokio-tungstenite. Option: `tuned` reads into 8 KiB instead of the default 128 KiB.

use peers::{Arguments, CHANNEL};
use tokio::net::TcpStream;
use tokio::sync::broadcast::{self, Sender};
use tokio_tungstenite::accept_async_with_config;
use tokio_tungstenite::tungstenite::Message;
use tokio_tungstenite::tungstenite::protocol::WebSocketConfig;

fn is_data(message: &Message) -> bool {
    message.is_text() || message.is_binary()
}

async fn serve(stream: TcpStream, config: WebSocketConfig, everyone: Option<Sender<Message>>) {
    let Ok(socket) = accept_async_with_config(stream, Some(config)).await else { return };
    match everyone {
        None => peers::echo(socket, is_data).await,
        Some(everyone) => peers::broadcast(socket, everyone, is_data).await,
    }
}

fn main() {
    let arguments = Arguments::parse();
    let config = match arguments.has("tuned") {
        true => WebSocketConfig::default().read_buffer_size(8 << 10).write_buffer_size(16 << 10),
        false => WebSocketConfig::default(),
    };
    peers::block_on(async move {
        let listener = peers::listen(arguments.port).await;
        let everyone = arguments.broadcast.then(|| broadcast::channel(CHANNEL).0);
        loop {
            tokio::spawn(serve(peers::accept(&listener).await, config, everyone.clone()));
        }
    });
}
