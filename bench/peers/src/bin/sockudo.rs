//! sockudo-ws: its own handshake and `WebSocketStream`, and its `PubSub` for broadcasts. Option: `deflate`.

use std::sync::Arc;

use bytes::BytesMut;
use peers::{Arguments, MAX_MESSAGE};
use sockudo_ws::deflate::{DeflateConfig, negotiate_server_deflate};
use sockudo_ws::handshake::{build_response, generate_accept_key, parse_request};
use sockudo_ws::pubsub::PubSub;
use sockudo_ws::{CompressedWebSocketStream, Config, Message, WebSocketStream};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio::sync::mpsc;

fn is_data(message: &Message) -> bool {
    matches!(message, Message::Text(_) | Message::Binary(_))
}

async fn handshake(stream: &mut TcpStream, deflate: bool) -> Option<()> {
    let mut received = BytesMut::with_capacity(1024);
    loop {
        if stream.read_buf(&mut received).await.ok()? == 0 {
            return None;
        }
        let Some((request, _)) = parse_request(&received).ok()? else { continue };
        let negotiated = deflate.then(|| negotiate_server_deflate("permessage-deflate", &DeflateConfig::default()));
        let extension = negotiated.flatten().map(|agreed| agreed.to_response_header());
        let response = build_response(&generate_accept_key(request.key), None, extension.as_deref());
        return stream.write_all(&response).await.ok();
    }
}

async fn broadcast(socket: WebSocketStream<TcpStream>, everyone: Arc<PubSub>) {
    let (mut stream, mut sink) = socket.split();
    let (sender, mut published) = mpsc::unbounded_channel();
    let subscriber = everyone.create_subscriber(sender);
    everyone.subscribe(subscriber, "all");
    loop {
        tokio::select! {
            message = stream.next() => match message {
                Some(Ok(message)) => if is_data(&message) { everyone.publish("all", message); },
                _ => break,
            },
            Some(message) = published.recv() => if sink.send(message).await.is_err() { break },
        }
    }
    everyone.remove_subscriber(subscriber);
}

async fn serve(mut stream: TcpStream, arguments: Arguments, everyone: Arc<PubSub>) {
    let deflate = arguments.has("deflate");
    if handshake(&mut stream, deflate).await.is_none() {
        return;
    }
    let config = Config::builder().max_payload_length(MAX_MESSAGE).build();
    if deflate {
        let socket = CompressedWebSocketStream::server(stream, config, DeflateConfig::default());
        return peers::echo(socket, is_data).await;
    }
    let socket = WebSocketStream::server(stream, config);
    match arguments.broadcast {
        false => peers::echo(socket, is_data).await,
        true => broadcast(socket, everyone).await,
    }
}

fn main() {
    let arguments = Arguments::parse();
    peers::block_on(async move {
        let listener = peers::listen(arguments.port).await;
        let everyone = Arc::new(PubSub::new());
        loop {
            let stream = peers::accept(&listener).await;
            tokio::spawn(serve(stream, arguments.clone(), Arc::clone(&everyone)));
        }
    });
}
