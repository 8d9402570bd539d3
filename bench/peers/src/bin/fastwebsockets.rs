//! fastwebsockets, as in its echo example: hyper's upgrade, `FragmentCollector`, an unconstrained task.

use fastwebsockets::upgrade::{UpgradeFut, upgrade};
use fastwebsockets::{FragmentCollector, FragmentCollectorRead, Frame, OpCode, Payload, WebSocketError};
use http_body_util::Empty;
use hyper::body::{Bytes, Incoming};
use hyper::server::conn::http1;
use hyper::service::service_fn;
use hyper::{Request, Response};
use hyper_util::rt::TokioIo;
use peers::{Arguments, CHANNEL};
use tokio::net::TcpStream;
use tokio::sync::broadcast::{self, Sender};
use tokio::task::unconstrained;

type Message = (OpCode, Bytes);

async fn echo(upgraded: UpgradeFut) -> Result<(), WebSocketError> {
    let mut socket = FragmentCollector::new(upgraded.await?);
    loop {
        let frame = socket.read_frame().await?;
        match frame.opcode {
            OpCode::Close => return Ok(()),
            OpCode::Text | OpCode::Binary => socket.write_frame(frame).await?,
            _ => {}
        }
    }
}

async fn broadcast(upgraded: UpgradeFut, everyone: Sender<Message>) -> Result<(), WebSocketError> {
    let mut published = everyone.subscribe();
    let (read, mut write) = upgraded.await?.split(tokio::io::split);
    let mut read = FragmentCollectorRead::new(read);
    tokio::spawn(async move {
        while let Ok((opcode, payload)) = published.recv().await {
            if write.write_frame(Frame::new(true, opcode, None, Payload::Borrowed(&payload))).await.is_err() {
                return;
            }
        }
    });
    loop {
        let frame = read.read_frame::<_, WebSocketError>(&mut |_| async { Ok(()) }).await?;
        match frame.opcode {
            OpCode::Close => return Ok(()),
            OpCode::Text | OpCode::Binary => {
                let _ = everyone.send((frame.opcode, Bytes::copy_from_slice(&frame.payload)));
            }
            _ => {}
        }
    }
}

async fn serve(stream: TcpStream, everyone: Option<Sender<Message>>) {
    let service = service_fn(move |mut request: Request<Incoming>| {
        let everyone = everyone.clone();
        async move {
            let (response, upgraded) = upgrade(&mut request)?;
            match everyone {
                Some(everyone) => tokio::spawn(async move { drop(broadcast(upgraded, everyone).await) }),
                None => tokio::spawn(unconstrained(async move { drop(echo(upgraded).await) })),
            };
            Ok::<Response<Empty<Bytes>>, WebSocketError>(response)
        }
    });
    let _ = http1::Builder::new().serve_connection(TokioIo::new(stream), service).with_upgrades().await;
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
