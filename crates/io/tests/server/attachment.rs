//! Where a server can be mounted, and which requests are its.

use std::net::SocketAddr;

use axum::Router;
use axum::routing::get as route;
use hyper::server::conn::http1;
use hyper_util::rt::TokioIo;
use hyper_util::service::TowerToHyperService;
use switchboard_io::engine::Transport;
use switchboard_io::{Ack, Socket, SocketIo};
use switchboard_ws::PeerAddr;

use crate::client::{Client, Poller, fenced, get, journal, serve, serve_app};

const QUERY: &str = "EIO=4&transport=polling";

/// The status of a polling request for this path.
async fn status(address: SocketAddr, path: &str) -> u16 {
    get(address, &format!("{path}?{QUERY}")).await.status
}

#[tokio::test]
async fn only_its_path_is_its() {
    let io = SocketIo::new();
    let app = Router::new()
        .route("/", route(async || "a page"))
        .route("/socket.io", route(async || "without a slash"))
        .route("/socket.iox/", route(async || "another"));
    let address = serve_app(app.layer(io.layer())).await;
    for (path, body) in [("/", "a page"), ("/socket.io", "without a slash"), ("/socket.iox/", "another")] {
        assert_eq!(get(address, &format!("{path}?{QUERY}")).await.body, body);
    }
    assert_eq!((status(address, "/socket.io/").await, status(address, "/elsewhere/").await), (200, 404));
    // As in Node, what follows the path does not matter.
    assert_eq!(status(address, "/socket.io/more").await, 200);
    Client::join(address).await;
}

#[tokio::test]
async fn the_address_is_known_where_axum_tells_it() {
    let io = SocketIo::new();
    let (tell, mut told) = journal();
    io.on_connect(move |socket: Socket| {
        let _ = tell.send((socket.transport(), socket.handshake().peer()));
        std::future::ready(())
    });
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    let app = Router::new().layer(io.layer()).into_make_service_with_connect_info::<SocketAddr>();
    tokio::spawn(async move { axum::serve(listener, app).await });
    let client = Client::join(address).await;
    assert_eq!(told.next().await, (Transport::WebSocket, client.local_addr().into()));
    Poller::join(address).await;
    let (transport, peer) = told.next().await;
    assert!(transport == Transport::Polling && matches!(peer, PeerAddr::Ip(peer) if peer.ip() == address.ip()));
}

#[tokio::test]
async fn the_path_and_its_slash_can_be_set() {
    let io = SocketIo::builder().path("/custom/").build();
    let address = serve(&io).await;
    assert_eq!([status(address, "/custom/").await, status(address, "/custom").await], [200, 404]);
    assert_eq!(status(address, "/socket.io/").await, 404);
    let io = SocketIo::builder().path("/chat").add_trailing_slash(false).build();
    let address = serve(&io).await;
    assert_eq!([status(address, "/chat").await, status(address, "/chat/").await], [200, 200]);
    Client::open_at(address, "/chat?EIO=4&transport=websocket").await;
}

#[tokio::test]
async fn two_servers_share_a_port() {
    let one = SocketIo::new();
    let two = SocketIo::builder().path("/two").build();
    for (number, io) in [&one, &two].into_iter().enumerate() {
        io.on_connect(move |socket: Socket| std::future::ready(socket.emit("server", &number)));
    }
    let address = serve_app(Router::new().layer(one.layer()).layer(two.layer())).await;
    let mut clients = Vec::new();
    for (number, path) in ["/socket.io/", "/two/"].iter().enumerate() {
        let mut client = Client::open_at(address, &format!("{path}?EIO=4&transport=websocket")).await;
        client.enter("/").await;
        client.expect(&format!(r#"42["server",{number}]"#)).await;
        clients.push(client);
    }
    assert_eq!((one.of("/").count(), two.of("/").count()), (1, 1));
}

#[tokio::test]
async fn as_a_service_it_can_be_routed_to() {
    let io = SocketIo::new();
    io.on_connect(async |socket: Socket| {
        socket.on("ping me", async |ack: Ack| ack.send("pong"));
    });
    let app = Router::new().route("/", route(async || "a page")).route_service("/anywhere/{*rest}", io.service());
    let address = serve_app(app).await;
    let mut client = Client::open_at(address, "/anywhere/at/all?EIO=4&transport=websocket").await;
    client.enter("/").await;
    client.say(r#"420["ping me"]"#).await;
    client.expect(r#"430["pong"]"#).await;
    assert_eq!(get(address, "/").await.body, "a page");
}

#[tokio::test]
async fn hyper_serves_it_without_a_framework() {
    let io = SocketIo::new();
    fenced(&io, "/");
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    let service = io.service();
    tokio::spawn(async move {
        while let Ok((stream, _)) = listener.accept().await {
            let service = TowerToHyperService::new(service.clone());
            tokio::spawn(async move {
                http1::Builder::new().serve_connection(TokioIo::new(stream), service).with_upgrades().await
            });
        }
    });
    assert_eq!(status(address, "/socket.io/").await, 200);
    Client::join(address).await.expect_nothing().await;
}

#[tokio::test]
async fn a_page_can_speak_to_those_who_are_connected() {
    let io = SocketIo::new();
    let telling = io.clone();
    let app = Router::new().route(
        "/tell",
        route(move || {
            let told = telling.emit("told", "by a page");
            async move { told.map_or(0, |told| told.reached).to_string() }
        }),
    );
    let address = serve_app(app.layer(io.layer())).await;
    let mut client = Client::join(address).await;
    assert_eq!(get(address, "/tell").await.body, "1");
    client.expect(r#"42["told","by a page"]"#).await;
}

#[tokio::test]
async fn alone_on_a_listener_it_knows_where_its_clients_are() {
    let (tell, mut told) = journal();
    let io = SocketIo::new();
    io.on_connect(move |socket: Socket| {
        tell.send((socket.transport(), socket.handshake().peer())).expect("the test listens");
        std::future::ready(())
    });
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.expect("a free port");
    let address = listener.local_addr().expect("it is bound");
    let serving = tokio::spawn({
        let io = io.clone();
        async move { io.serve(listener).await }
    });
    let _client = Client::join(address).await;
    let _poller = Poller::join(address).await;
    for wanted in [Transport::WebSocket, Transport::Polling] {
        let (transport, peer) = told.next().await;
        assert_eq!(transport, wanted);
        assert!(matches!(peer, PeerAddr::Ip(peer) if peer.ip().is_loopback()), "{peer:?}");
    }
    serving.abort();
}
