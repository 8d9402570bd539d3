//! Pages and WebSockets on one port, with axum: `/` is a page, `/ws/{name}` a WebSocket.
//! `cargo run --example one_port_axum --features axum -- 127.0.0.1:3000`.

use axum::Router;
use axum::extract::Path;
use axum::response::{Html, Response};
use axum::routing::get;
use axum::serve::ListenerExt;
use switchboard::ws::{Socket, WebSocketUpgrade};
use tokio::net::TcpListener;

async fn page() -> Html<&'static str> {
    Html("<!doctype html><title>One port</title><p>This page and /ws/you are on one port.")
}

async fn greet(Path(name): Path<String>, upgrade: WebSocketUpgrade) -> Response {
    upgrade.protocols(["v1"]).on_upgrade(|socket| talk(socket, name))
}

async fn talk(mut socket: Socket, name: String) {
    if socket.send(format!("Hello, {name}.")).await.is_err() {
        return;
    }
    while let Ok(Some(message)) = socket.recv().await {
        if socket.send(message).await.is_err() {
            return;
        }
    }
}

#[tokio::main]
async fn main() -> std::io::Result<()> {
    let address = std::env::args().nth(1).unwrap_or_else(|| "127.0.0.1:3000".into());
    let listener = TcpListener::bind(address).await?;
    println!("listening on http://{}/", listener.local_addr()?);
    // Small messages should leave at once; they are gathered by the connection, not by the kernel.
    let listener = listener.tap_io(|stream| {
        let _ = stream.set_nodelay(true);
    });
    axum::serve(listener, Router::new().route("/", get(page)).route("/ws/{name}", get(greet))).await
}
