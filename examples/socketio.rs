//! A Socket.IO server for the stock client: `cargo run --example socketio -- 127.0.0.1:3000`. A page says
//! `socket.emit("enter", "lobby", (members) => …)`, then `socket.emit("say", "hello")`, and hears `said` of the others.

use switchboard::io::{AckError, ArgsError, Data, DisconnectReason, Socket, SocketIo, TypedEvent};
use tokio::net::TcpListener;

/// A client enters a room by its name; the answer is how many are there then.
const ENTER: TypedEvent<String, usize> = TypedEvent::new("enter");

async fn enter(socket: Socket, room: String) -> Result<usize, String> {
    socket.join(&room).map_err(|error| error.to_string())?;
    socket.set_data(&room).map_err(|error| error.to_string())?;
    Ok(socket.nsp().count_in(&room))
}

async fn say(socket: Socket, Data(text): Data<String>) -> Result<(), AckError> {
    let room: String = socket.data()?;
    socket.to(room).emit("said", &text)?;
    Ok(())
}

async fn gone(socket: Socket, reason: DisconnectReason) -> Result<(), ArgsError> {
    let room: Option<String> = socket.data()?;
    println!("{} has left {}: {reason}", socket.id(), room.as_deref().unwrap_or("before it was anywhere"));
    Ok(())
}

#[tokio::main]
async fn main() -> std::io::Result<()> {
    let address = std::env::args().nth(1).unwrap_or_else(|| "127.0.0.1:3000".into());
    let listener = TcpListener::bind(address).await?;
    println!("listening on http://{}/socket.io/", listener.local_addr()?);
    let io = SocketIo::new();
    io.on_connect(async |socket: Socket| {
        ENTER.on(&socket, enter);
        socket.on("say", say);
        socket.on_disconnect(gone);
    });
    io.serve(listener).await
}
