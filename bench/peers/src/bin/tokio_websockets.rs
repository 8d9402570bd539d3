//! tokio-websockets.

use peers::{Arguments, CHANNEL};
use tokio::net::TcpStream;
use tokio::sync::broadcast::{self, Sender};
use tokio_websockets::{Config, Limits, Message, ServerBuilder};

fn is_data(message: &Message) -> bool {
    message.is_text() || message.is_binary()
}

async fn serve(stream: TcpStream, everyone: Option<Sender<Message>>) {
    let config = Config::default().frame_size(usize::MAX);
    let opened = ServerBuilder::new().config(config).limits(Limits::unlimited()).accept(stream).await;
    let Ok((_, socket)) = opened else { return };
    match everyone {
        None => peers::echo_gathered(socket, is_data).await,
        Some(everyone) => peers::broadcast(socket, everyone, is_data).await,
    }
}

fn main() {
    let arguments = Arguments::parse();
    peers::block_on(async move {
        let listener = peers::listen(arguments.port).await;
        let everyone = arguments.broadcast.then(|| broadcast::channel(CHANNEL).0);
        loop {
            tokio::spawn(serve(peers::accept(&listener).await, everyone.clone()));
        }
    });
}
