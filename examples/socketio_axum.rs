//! Socket.IO beside the pages of axum: `/` is a page with the number of clients, `/socket.io/` is for the stock client.
//! `cargo run --example socketio_axum --features axum -- 127.0.0.1:3000`.

use std::net::SocketAddr;

use axum::Router;
use axum::extract::State;
use axum::routing::get;
use switchboard::io::{Ack, Data, EmitError, Socket, SocketIo};
use tokio::net::TcpListener;

async fn page(State(io): State<SocketIo>) -> String {
    format!("Clients here: {}\n", io.of("/").count())
}

async fn shout(socket: Socket, Data(text): Data<String>, ack: Ack) -> Result<(), EmitError> {
    let told = socket.broadcast().emit("shouted", &text)?;
    ack.send(&told.reached)
}

#[tokio::main]
async fn main() -> std::io::Result<()> {
    let address = std::env::args().nth(1).unwrap_or_else(|| "127.0.0.1:3000".into());
    let listener = TcpListener::bind(address).await?;
    println!("listening on http://{}/", listener.local_addr()?);
    let io = SocketIo::new();
    io.on_connect(async |socket: Socket| {
        socket.on("shout", shout);
    });
    // Around the whole router: what is for Socket.IO never gets to its routes.
    let router = Router::new().route("/", get(page)).with_state(io.clone()).layer(io.layer());
    // With it the server knows its clients' addresses.
    axum::serve(listener, router.into_make_service_with_connect_info::<SocketAddr>()).await
}
