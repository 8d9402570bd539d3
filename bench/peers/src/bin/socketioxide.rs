//! socketioxide under axum, with default settings.

use axum::Router;
use axum::serve::ListenerExt;
use peers::Arguments;
use socketioxide::SocketIo;
use socketioxide::extract::{AckSender, Data, SocketRef};

fn main() {
    let arguments = Arguments::parse();
    peers::block_on(async move {
        let listener = peers::listen(arguments.port).await.tap_io(|stream| {
            let _ = stream.set_nodelay(true);
        });
        let (layer, io) = SocketIo::new_layer();
        io.ns("/", async move |socket: SocketRef| match arguments.broadcast {
            false => socket.on("m", async |Data::<String>(data), ack: AckSender| {
                let _ = ack.send(&data);
            }),
            true => socket.on("m", async |io: SocketIo, Data::<String>(data)| {
                let _ = io.emit("m", &data).await;
            }),
        });
        axum::serve(listener, Router::new().layer(layer)).await.expect("a server that never ends");
    });
}
