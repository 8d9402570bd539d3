//! What the Rust peers have in common: their arguments, a listener, and the two things a server does here. Usage of
//! each: `NAME echo|bcast PORT [OPTION]`.

mod conversation;

use std::future::Future;

use tokio::net::{TcpListener, TcpSocket, TcpStream};

pub use conversation::{broadcast, echo, echo_gathered};

/// Messages a slow subscriber of a broadcast channel may lag behind.
pub const CHANNEL: usize = 1024;
/// The largest message the peers accept, where they have such a limit.
pub const MAX_MESSAGE: usize = 64 << 20;

#[derive(Debug, Clone)]
pub struct Arguments {
    /// Each message goes to everyone, not back to its sender.
    pub broadcast: bool,
    pub port: u16,
    option: Option<String>,
}

impl Arguments {
    /// # Panics
    /// When they are not `echo|bcast PORT [OPTION]`.
    pub fn parse() -> Self {
        let mut arguments = std::env::args().skip(1);
        let broadcast = match arguments.next().as_deref() {
            Some("echo") => false,
            Some("bcast") => true,
            other => panic!("echo or bcast, not {other:?}"),
        };
        let port = arguments.next().and_then(|port| port.parse().ok()).expect("a port");
        Self { broadcast, port, option: arguments.next() }
    }

    pub fn has(&self, option: &str) -> bool {
        self.option.as_deref() == Some(option)
    }
}

/// Runs a server on one thread, as all peers do.
pub fn block_on<F: Future>(server: F) -> F::Output {
    tokio::runtime::Builder::new_current_thread().enable_all().build().expect("a runtime").block_on(server)
}

/// # Panics
/// When the port is taken.
pub async fn listen(port: u16) -> TcpListener {
    let socket = TcpSocket::new_v4().expect("a socket");
    socket.set_reuseaddr(true).expect("an option that exists");
    socket.bind(([127, 0, 0, 1], port).into()).expect("a free port");
    socket.listen(4096).expect("a bound socket")
}

pub async fn accept(listener: &TcpListener) -> TcpStream {
    loop {
        if let Ok((stream, _)) = listener.accept().await {
            let _ = stream.set_nodelay(true);
            return stream;
        }
    }
}
