//! axum's own WebSockets (tungstenite under hyper), as in its examples.

use axum::Router;
use axum::extract::ws::{Message, WebSocketUpgrade};
use axum::routing::any;
use axum::serve::ListenerExt;
use peers::{Arguments, CHANNEL, MAX_MESSAGE};
use tokio::sync::broadcast;

fn is_data(message: &Message) -> bool {
    matches!(message, Message::Text(_) | Message::Binary(_))
}

fn main() {
    let arguments = Arguments::parse();
    peers::block_on(async move {
        let listener = peers::listen(arguments.port).await;
        let (everyone, _) = broadcast::channel(CHANNEL);
        let open = move |upgrade: WebSocketUpgrade| {
            let everyone = everyone.clone();
            async move {
                upgrade.max_message_size(MAX_MESSAGE).max_frame_size(MAX_MESSAGE).on_upgrade(move |socket| async move {
                    match arguments.broadcast {
                        false => peers::echo(socket, is_data).await,
                        true => peers::broadcast(socket, everyone, is_data).await,
                    }
                })
            }
        };
        let listener = listener.tap_io(|stream| {
            let _ = stream.set_nodelay(true);
        });
        axum::serve(listener, Router::new().fallback(any(open))).await.expect("a server that never ends");
    });
}
