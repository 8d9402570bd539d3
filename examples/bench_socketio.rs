//! The Socket.IO server that the bench measures, on the public API with default limits:
//! `cargo run --release --example bench_socketio -- --port 9001 --mode echo`.

use clap::{Parser, ValueEnum};
use switchboard::io::{Ack, Args, Socket, SocketIo};

#[derive(Parser)]
struct Arguments {
    #[arg(long, default_value_t = 9001)]
    port: u16,
    #[arg(long, value_enum, default_value_t = Mode::Echo)]
    mode: Mode,
}

#[derive(Clone, Copy, ValueEnum)]
enum Mode {
    /// Event `m` is acked with its arguments.
    Echo,
    /// Event `m` goes to every client, the sender included.
    Bcast,
}

#[tokio::main(flavor = "current_thread")]
async fn main() -> std::io::Result<()> {
    let Arguments { port, mode } = Arguments::parse();
    let io = SocketIo::new();
    match mode {
        Mode::Echo => io.on_connect(async |socket: Socket| {
            socket.on("m", async |args: Args, ack: Ack| ack.send(&args));
        }),
        Mode::Bcast => {
            let everyone = io.clone();
            io.on_connect(move |socket: Socket| {
                let everyone = everyone.clone();
                async move {
                    socket.on("m", move |args: Args| {
                        let sent = everyone.emit("m", &args);
                        async move { sent }
                    });
                }
            })
        }
    };
    let listener = tokio::net::TcpListener::bind(("127.0.0.1", port)).await?;
    println!("listening on http://{}/socket.io/", listener.local_addr()?);
    io.serve(listener).await
}
