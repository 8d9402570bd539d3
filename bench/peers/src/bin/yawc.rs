//! yawc, upgraded in hyper. Options: `deflate`, and `tuned` for the buffer sizes of its own benchmark.

use futures_util::StreamExt;
use http_body_util::Empty;
use hyper::body::{Bytes, Incoming};
use hyper::server::conn::http1;
use hyper::service::service_fn;
use hyper::{Request, Response};
use hyper_util::rt::TokioIo;
use peers::{Arguments, CHANNEL, MAX_MESSAGE};
use tokio::net::TcpStream;
use tokio::sync::broadcast::{self, Sender};
use yawc::{Frame, OpCode, Options, WebSocket, WebSocketError};

fn is_data(frame: &Frame) -> bool {
    matches!(frame.opcode(), OpCode::Text | OpCode::Binary)
}

fn options(arguments: &Arguments) -> Options {
    let mut options = Options::default().with_utf8().with_limits(MAX_MESSAGE, 2 * MAX_MESSAGE);
    options = match arguments.has("deflate") {
        true => options.with_balanced_compression(),
        false => options.without_compression(),
    };
    match arguments.has("tuned") {
        true => options.with_read_buffer_capacity(128 << 10).with_backpressure_boundary(64 << 10),
        false => options,
    }
}

async fn serve(stream: TcpStream, arguments: Arguments, everyone: Sender<Frame>) {
    let service = service_fn(move |mut request: Request<Incoming>| {
        let (everyone, broadcast) = (everyone.clone(), arguments.broadcast);
        let options = options(&arguments);
        async move {
            let (response, upgraded) = WebSocket::upgrade_with_options(&mut request, options)?;
            tokio::spawn(async move {
                let Ok(socket) = upgraded.await else { return };
                let socket = socket.map(Ok::<_, WebSocketError>);
                match broadcast {
                    false => peers::echo(socket, is_data).await,
                    true => peers::broadcast(socket, everyone, is_data).await,
                }
            });
            Ok::<Response<Empty<Bytes>>, WebSocketError>(response)
        }
    });
    let _ = http1::Builder::new().serve_connection(TokioIo::new(stream), service).with_upgrades().await;
}

fn main() {
    let arguments = Arguments::parse();
    peers::block_on(async move {
        let listener = peers::listen(arguments.port).await;
        let (everyone, _) = broadcast::channel(CHANNEL);
        loop {
            let stream = peers::accept(&listener).await;
            tokio::spawn(serve(stream, arguments.clone(), everyone.clone()));
        }
    });
}
