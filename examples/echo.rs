//! Echoes every message, in the stream style: `cargo run --example echo -- 127.0.0.1:3000`.

use switchboard::ws::{Config, Error, Server, Socket};

#[tokio::main]
async fn main() -> std::io::Result<()> {
    let address = std::env::args().nth(1).unwrap_or_else(|| "127.0.0.1:3000".into());
    let mut server = Server::bind(address, Config::default()).await?;
    println!("listening on ws://{}/", server.local_addr()?);
    loop {
        let socket = server.accept().await;
        tokio::spawn(async move {
            if let Err(error) = echo(socket).await {
                eprintln!("{error}");
            }
        });
    }
}

async fn echo(mut socket: Socket) -> Result<(), Error> {
    while let Some(message) = socket.recv().await? {
        socket.send(message).await?;
    }
    Ok(())
}
