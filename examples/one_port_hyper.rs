//! Pages and WebSockets on one port, with hyper alone: `/` is a page, `/ws` a WebSocket.
//! `cargo run --example one_port_hyper --features hyper -- 127.0.0.1:3000`.

use std::convert::Infallible;

use http::{Request, Response, StatusCode};
use http_body_util::Full;
use hyper::body::{Bytes, Incoming};
use hyper::server::conn::http1;
use hyper::service::service_fn;
use hyper_util::rt::TokioIo;
use switchboard::ws::{self, Config, OnMessage};
use tokio::net::TcpListener;

async fn route(mut request: Request<Incoming>, config: Config) -> Result<Response<Full<Bytes>>, Infallible> {
    Ok(match request.uri().path() {
        "/" => Response::new("This page and /ws are on one port.\n".into()),
        "/ws" => match ws::upgrade(&mut request, &config) {
            Ok((response, upgrade)) => {
                tokio::spawn(upgrade.serve(OnMessage::new(|cx, message| {
                    cx.send(message);
                })));
                response
            }
            Err(rejection) => rejection.into_response().map(Full::new),
        },
        _ => {
            let mut response = Response::new("There is nothing here.\n".into());
            *response.status_mut() = StatusCode::NOT_FOUND;
            response
        }
    })
}

#[tokio::main]
async fn main() -> std::io::Result<()> {
    let address = std::env::args().nth(1).unwrap_or_else(|| "127.0.0.1:3000".into());
    let listener = TcpListener::bind(address).await?;
    println!("listening on http://{}/", listener.local_addr()?);
    let config = Config::default();
    loop {
        let (stream, _) = listener.accept().await?;
        // Small messages should leave at once; they are gathered by the connection, not by the kernel.
        stream.set_nodelay(true)?;
        let config = config.clone();
        tokio::spawn(async move {
            let service = service_fn(move |request| route(request, config.clone()));
            if let Err(error) =
                http1::Builder::new().serve_connection(TokioIo::new(stream), service).with_upgrades().await
            {
                eprintln!("{error}");
            }
        });
    }
}
