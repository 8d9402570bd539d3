//! A Socket.IO client that says exactly what a test writes and shows exactly what comes back: the packets are text, so
//! a test reads like a record of the wire. Pings are answered by themselves.

use std::future::ready;
use std::net::SocketAddr;

use switchboard_io::{DisconnectReason, Socket, SocketIo};
use switchboard_testkit::{Frame, Response, Wire, frame, within};
use tokio::sync::mpsc::{UnboundedReceiver, UnboundedSender, unbounded_channel};

/// Where the stock client asks for a WebSocket.
pub(crate) const WEBSOCKET: &str = "/socket.io/?EIO=4&transport=websocket";

/// Serves it on a free port, in axum.
pub(crate) async fn serve(io: &SocketIo) -> SocketAddr {
    serve_app(axum::Router::new().layer(io.layer())).await
}

/// Serves an axum application on a free port.
pub(crate) async fn serve_app(app: axum::Router) -> SocketAddr {
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.expect("a free port");
    let address = listener.local_addr().expect("it is bound");
    tokio::spawn(async move { axum::serve(listener, app).await });
    address
}

/// A client over WebSocket.
pub(crate) struct Client {
    wire: Wire,
    /// The id of its socket in the namespace that it joined last.
    pub(crate) id: String,
    /// The secret by which it may come back there, where recovery is on.
    pub(crate) pid: String,
}

/// What a client hears.
#[derive(Debug, PartialEq)]
pub(crate) enum Heard {
    Text(String),
    Binary(Vec<u8>),
    /// With a code, or 1005 without.
    Close(u16),
}

impl Client {
    /// Connects, and is in no namespace.
    pub(crate) async fn open(address: SocketAddr) -> Self {
        Self::open_at(address, WEBSOCKET).await
    }

    /// Connects with another path or query.
    pub(crate) async fn open_at(address: SocketAddr, target: &str) -> Self {
        let mut client = Self::over(Wire::open(address, target).await);
        let handshake = client.text().await;
        assert!(handshake.starts_with("0{"), "{handshake}");
        client
    }

    /// On a WebSocket that is open, whose handshake is still to be heard.
    pub(crate) fn over(wire: Wire) -> Self {
        Self { wire, id: String::new(), pid: String::new() }
    }

    /// Connects and joins the main namespace.
    pub(crate) async fn join(address: SocketAddr) -> Self {
        let mut client = Self::open(address).await;
        client.enter("/").await;
        client
    }

    /// Joins a namespace, and is told its id.
    pub(crate) async fn enter(&mut self, namespace: &str) -> String {
        let place = place(namespace);
        self.say(&format!("40{place}")).await;
        self.welcomed(namespace).await
    }

    /// Is told that it is in a namespace.
    pub(crate) async fn welcomed(&mut self, namespace: &str) -> String {
        let welcome = self.text().await;
        let words = welcome.strip_prefix(&format!("40{}", place(namespace)));
        let words = words.unwrap_or_else(|| panic!("no welcome to {namespace}: {welcome}"));
        self.id = field(words, "sid").unwrap_or_default();
        self.pid = field(words, "pid").unwrap_or_default();
        self.id.clone()
    }

    /// This end's address.
    pub(crate) fn local_addr(&self) -> SocketAddr {
        self.wire.local_addr()
    }

    /// Sends a text.
    pub(crate) async fn say(&mut self, text: &str) {
        self.wire.say(&frame::text(text).masked()).await;
    }

    /// Sends bytes.
    pub(crate) async fn say_bytes(&mut self, bytes: &[u8]) {
        self.wire.say(&frame::binary(bytes).masked()).await;
    }

    /// Sends a frame as it is.
    pub(crate) async fn say_frame(&mut self, frame: &Frame) {
        self.wire.say(frame).await;
    }

    /// The next thing but a ping, which is answered.
    pub(crate) async fn hear(&mut self) -> Heard {
        loop {
            let frame = self.frame().await;
            match frame.first & 0x0f {
                1 => match String::from_utf8(frame.payload).expect("text is UTF-8") {
                    ping if ping == "2" => self.say("3").await,
                    text => return Heard::Text(text),
                },
                2 => return Heard::Binary(frame.payload),
                8 => {
                    let code = frame.payload.first_chunk().map_or(1005, |code| u16::from_be_bytes(*code));
                    return Heard::Close(code);
                }
                other => panic!("a frame of kind {other}"),
            }
        }
    }

    /// The next frame as it is.
    pub(crate) async fn frame(&mut self) -> Frame {
        self.wire.frame().await
    }

    /// The next thing, which is a text.
    pub(crate) async fn text(&mut self) -> String {
        match self.hear().await {
            Heard::Text(text) => text,
            other => panic!("not a text: {other:?}"),
        }
    }

    /// The next thing is this text.
    pub(crate) async fn expect(&mut self, text: &str) {
        assert_eq!(self.text().await, text);
    }

    /// The next thing is these bytes.
    pub(crate) async fn expect_bytes(&mut self, bytes: &[u8]) {
        assert_eq!(self.hear().await, Heard::Binary(bytes.to_vec()));
    }

    /// The next thing is the end, without a code: so Node's server ends connections, whatever the reason.
    pub(crate) async fn expect_end(&mut self) {
        self.expect_end_with(1005).await;
    }

    /// The next thing is the end, of which a limit's code tells.
    pub(crate) async fn expect_end_with(&mut self, code: u16) {
        assert_eq!(self.hear().await, Heard::Close(code));
    }

    /// Nothing has been said to it: it asks and gets the answer next. Needs [`fenced`].
    pub(crate) async fn expect_nothing(&mut self) {
        self.expect_nothing_in("/").await;
    }

    /// The same in a namespace.
    pub(crate) async fn expect_nothing_in(&mut self, namespace: &str) {
        let place = place(namespace);
        self.say(&format!("42{place}777[\"fence\"]")).await;
        self.expect(&format!("43{place}777[]")).await;
    }
}

/// Has sockets of a namespace answer [`Client::expect_nothing`].
pub(crate) fn fenced(io: &SocketIo, namespace: &str) {
    io.of(namespace).on_connect(async |socket: Socket| {
        socket.on("fence", async |ack: switchboard_io::Ack| ack.send(&()));
    });
}

/// What a packet has of its namespace.
fn place(namespace: &str) -> String {
    if namespace == "/" { String::new() } else { format!("{namespace},") }
}

/// A field of a flat object of strings.
fn field(json: &str, name: &str) -> Option<String> {
    let (_, rest) = json.split_once(&format!("\"{name}\":\""))?;
    rest.split_once('"').map(|(value, _)| value.to_owned())
}

/// A client that polls.
#[derive(Clone)]
pub(crate) struct Poller {
    address: SocketAddr,
    target: String,
}

impl Poller {
    /// Opens a session.
    pub(crate) async fn open(address: SocketAddr) -> Self {
        let target = "/socket.io/?EIO=4&transport=polling";
        let opened = get(address, target).await;
        let sid = field(&opened.body, "sid").expect("a session");
        Self { address, target: format!("{target}&sid={sid}") }
    }

    /// Opens a session and joins the main namespace.
    pub(crate) async fn join(address: SocketAddr) -> Self {
        let poller = Self::open(address).await;
        poller.say("40").await;
        let welcome = poller.poll().await;
        assert!(welcome.starts_with("40{"), "{welcome}");
        poller
    }

    /// Goes over to a WebSocket.
    pub(crate) async fn upgrade(&self) -> Client {
        let target = self.target.replace("transport=polling", "transport=websocket");
        let mut client = Client::over(Wire::open(self.address, &target).await);
        client.say("2probe").await;
        client.expect("3probe").await;
        client.say("5").await;
        client
    }

    /// Says something.
    pub(crate) async fn say(&self, text: &str) {
        let answer = post(self.address, &self.target, text).await;
        assert_eq!((answer.status, answer.body.as_str()), (200, "ok"));
    }

    /// What there is to hear, now or as soon as there is something.
    pub(crate) async fn poll(&self) -> String {
        self.begin_poll().await.response().await.body
    }

    /// A poll whose answer is still to be read.
    pub(crate) async fn begin_poll(&self) -> Wire {
        let mut wire = Wire::connect(self.address).await;
        wire.send(format!("GET {} HTTP/1.1\r\nHost: localhost\r\n\r\n", self.target)).await;
        wire
    }
}

/// Gets a page.
pub(crate) async fn get(address: SocketAddr, target: &str) -> Response {
    Wire::connect(address).await.get(target).await
}

/// Posts a text.
async fn post(address: SocketAddr, target: &str, body: &str) -> Response {
    let mut wire = Wire::connect(address).await;
    let length = body.len();
    wire.send(format!("POST {target} HTTP/1.1\r\nHost: localhost\r\nContent-Length: {length}\r\n\r\n{body}")).await;
    wire.response().await
}

/// Tells of each socket of the main namespace and of `/a` that has left: of which it was, and why it left.
pub(crate) fn goodbyes(io: &SocketIo) -> Journal<(String, DisconnectReason)> {
    let (tell, told) = journal();
    for name in ["/", "/a"] {
        let tell = tell.clone();
        io.of(name).on_connect(move |socket: Socket| {
            let tell = tell.clone();
            socket.on_disconnect(move |socket: Socket, reason: DisconnectReason| {
                let _ = tell.send((socket.namespace().to_owned(), reason));
                ready(())
            });
            ready(())
        });
    }
    told
}

/// What a server's handlers tell a test.
pub(crate) struct Journal<T>(UnboundedReceiver<T>);

/// A journal, and who writes it.
pub(crate) fn journal<T>() -> (UnboundedSender<T>, Journal<T>) {
    let (tell, told) = unbounded_channel();
    (tell, Journal(told))
}

impl<T> Journal<T> {
    /// The next entry.
    pub(crate) async fn next(&mut self) -> T {
        within("an entry in the journal", self.0.recv()).await.expect("there is still a writer")
    }

    /// What was written by now.
    pub(crate) fn so_far(&mut self) -> Vec<T> {
        std::iter::from_fn(|| self.0.try_recv().ok()).collect()
    }
}
