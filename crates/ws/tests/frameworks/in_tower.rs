//! `UpgradeService`: alone under hyper, as a route of axum, and as a layer.

use std::convert::Infallible;
use std::future::ready;
use std::net::SocketAddr;

use axum::Router;
use axum::routing::get;
use http::{Request, Response};
use http_body_util::Full;
use hyper::body::{Bytes, Incoming};
use hyper::server::conn::http1;
use hyper_util::rt::TokioIo;
use hyper_util::service::TowerToHyperService;
use switchboard_ws::{CloseCode, Config, MessageRef, OnMessage, UpgradeService};
use tower_layer::Layer;
use tower_service::Service;

use crate::rules;
use crate::wire::{Wire, closing_code, connect, echo, hear, leave, listen, refused, say};

async fn serve<S>(service: S) -> SocketAddr
where
    S: Service<Request<Incoming>, Response = Response<Full<Bytes>>, Error = Infallible> + Clone + Send + 'static,
    S::Future: Send,
{
    let (listener, addr) = listen().await;
    tokio::spawn(async move {
        loop {
            let (stream, _) = listener.accept().await.unwrap();
            let service = TowerToHyperService::new(service.clone());
            tokio::spawn(http1::Builder::new().serve_connection(TokioIo::new(stream), service).with_upgrades());
        }
    });
    addr
}

#[tokio::test]
async fn a_service_of_websockets() {
    let addr = serve(UpgradeService::new(Config::default(), echo)).await;
    rules::check(addr, "/any/path").await;
    rules::refuses_ordinary_requests(addr, "/").await;
}

#[tokio::test]
async fn a_service_of_handlers() {
    let config = Config::default();
    let service = UpgradeService::handler(config.clone(), |info| {
        assert_ne!(info.uri().path(), "/broken", "a bug for the test to find");
        let path = info.uri().path().to_owned();
        OnMessage::new(move |cx, message| {
            assert!(!matches!(message, MessageRef::Text("panic")), "a bug for the test to find");
            cx.send(&*path);
            cx.send(message);
        })
    });
    let addr = serve(service).await;
    let mut client = connect(addr, "/a").await;
    let mut unlucky = connect(addr, "/b").await;
    say(&mut unlucky, "panic").await;
    assert_eq!(closing_code(&mut unlucky).await, 1011);
    assert_eq!(refused(addr, "/broken").await, (500, "The server failed to open this connection.\n".to_owned()));
    assert_eq!(config.get_metrics().snapshot().refused["application"], 1);

    say(&mut client, "still here").await;
    assert_eq!((hear(&mut client).await, hear(&mut client).await), ("/a".into(), "still here".into()));
    config.connections().close_all(CloseCode(1001), "").unwrap();
    assert_eq!(closing_code(&mut client).await, 1001);
}

#[tokio::test]
async fn a_layer_leaves_ordinary_requests_alone() {
    #[derive(Clone)]
    struct Page;

    impl Service<Request<Incoming>> for Page {
        type Response = Response<Full<Bytes>>;
        type Error = Infallible;
        type Future = std::future::Ready<Result<Self::Response, Infallible>>;

        fn poll_ready(&mut self, _: &mut std::task::Context<'_>) -> std::task::Poll<Result<(), Infallible>> {
            std::task::Poll::Ready(Ok(()))
        }

        fn call(&mut self, request: Request<Incoming>) -> Self::Future {
            ready(Ok(Response::new(format!("page of {}", request.uri()).into())))
        }
    }

    let addr = serve(UpgradeService::new(Config::default(), echo).layer(Page)).await;
    rules::check(addr, "/").await;
    for upgrade in ["", "Connection: Upgrade\r\nUpgrade: h2c\r\n"] {
        let request = format!("GET /index HTTP/1.1\r\nHost: localhost\r\n{upgrade}\r\n");
        let (status, _, body) = Wire::send(addr, request).await.response().await;
        assert_eq!((status, &*body), (200, "page of /index"));
    }
}

#[tokio::test]
async fn a_route_and_a_layer_of_axum() {
    let service = UpgradeService::new(Config::default(), echo);
    let app = Router::new()
        .route_service("/ws", service.clone())
        .merge(Router::new().route("/both", get("a page")).layer(service))
        .route("/page", get("a page"));
    let (listener, addr) = listen().await;
    tokio::spawn(async move { axum::serve(listener, app).await });
    rules::check(addr, "/ws").await;
    rules::check(addr, "/both").await;
    rules::refuses_ordinary_requests(addr, "/ws").await;
    for path in ["/both", "/page"] {
        let request = format!("GET {path} HTTP/1.1\r\nHost: localhost\r\n\r\n");
        assert_eq!(Wire::send(addr, request).await.response().await.2, "a page");
    }
    let mut client = connect(addr, "/ws").await;
    leave(&mut client).await;
}
