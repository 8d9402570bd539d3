//! A running `switchboard` on a free port, and other people's clients for it.

use std::collections::BTreeMap;
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::atomic::{AtomicU32, Ordering};

use futures_util::{SinkExt, StreamExt};
use switchboard_testkit::{Ended, Program, Response, Wire, within};
use tokio::net::TcpStream;
use tokio_tungstenite::tungstenite::Message;
use tokio_tungstenite::{MaybeTlsStream, WebSocketStream, connect_async};

/// tokio-tungstenite's.
pub(crate) type Client = WebSocketStream<MaybeTlsStream<TcpStream>>;

/// The running server.
pub(crate) struct Server {
    pub(crate) program: Program,
    /// What it printed when it was ready.
    pub(crate) lines: Vec<String>,
}

impl Server {
    /// Starts it on a free port.
    pub(crate) async fn start(flags: &[&str]) -> Self {
        Self::run(&[&["--listen", "127.0.0.1:0"], flags].concat(), &[]).await
    }

    /// Starts it with these flags and this environment.
    pub(crate) async fn run(flags: &[&str], environment: &[(&str, &str)]) -> Self {
        Self::run_until("  curl ", flags, environment).await
    }

    /// Starts it. It is ready once it has printed a line that begins like `last`.
    pub(crate) async fn run_until(last: &str, flags: &[&str], environment: &[(&str, &str)]) -> Self {
        let mut program = Program::start(command(flags, environment));
        let mut lines = vec![program.line().await];
        while !lines[lines.len() - 1].starts_with(last) {
            lines.push(program.line().await);
        }
        Self { program, lines }
    }

    /// The addresses that it printed.
    pub(crate) fn addresses(&self) -> Vec<SocketAddr> {
        let urls = self.lines.iter().filter_map(|line| line.strip_prefix("Switchboard ")?.split_once("://"));
        urls.map(|(_, rest)| rest.trim_end_matches('/').parse().unwrap()).collect()
    }

    pub(crate) fn address(&self) -> SocketAddr {
        self.addresses()[0]
    }

    pub(crate) fn url(&self, path: &str) -> String {
        format!("ws://{}{path}", self.address())
    }

    /// A page.
    pub(crate) async fn get(&self, path: &str) -> Response {
        Wire::connect(self.address()).await.get(path).await
    }

    /// A client whose connection is open on the server's side too, not only its request answered.
    pub(crate) async fn join(&self, path: &str) -> Client {
        let mut client = self.connect(path).await;
        client.send(Message::Ping("joined".into())).await.unwrap();
        assert_eq!(next(&mut client).await, Message::Pong("joined".into()));
        client
    }

    pub(crate) async fn connect(&self, path: &str) -> Client {
        within("a WebSocket", connect_async(self.url(path))).await.unwrap().0
    }

    /// All that `/metrics` tells, by name and labels.
    pub(crate) async fn metrics(&self) -> BTreeMap<String, u64> {
        let response = self.get("/metrics").await;
        assert_eq!(response.status, 200);
        let samples = response.body.lines().filter(|line| !line.starts_with('#'));
        samples
            .map(|line| line.rsplit_once(' ').map(|(name, value)| (name.into(), value.parse().unwrap())).unwrap())
            .collect()
    }

    /// Waits until a page says what it is to say. It does in the end: what happened on one connection is counted a
    /// little later than its client knows of it.
    pub(crate) async fn eventually(&self, path: &str, what: impl Fn(&Response) -> bool) -> Response {
        let mut wire = Wire::connect(self.address()).await;
        within(path, async {
            loop {
                let response = wire.get(path).await;
                if what(&response) {
                    return response;
                }
            }
        })
        .await
    }

    /// Waits until metrics have these values.
    pub(crate) async fn counts(&self, expected: &[(&str, u64)]) {
        let found = |response: &Response| {
            let line = |name: &str, value| format!("switchboard_{name} {value}");
            expected.iter().all(|(name, value)| response.body.lines().any(|found| found == line(name, value)))
        };
        self.eventually("/metrics", found).await;
    }

    /// Stops it by a signal and waits for its end.
    pub(crate) async fn stop(self, signal: &str) -> Ended {
        self.program.signal(signal).await;
        self.program.end().await
    }
}

/// Runs a server that refuses to start, and gives back the sentence that says why.
pub(crate) async fn refusal(flags: &[&str]) -> String {
    let ended = Program::start(command(flags, &[])).end().await;
    assert_eq!((ended.code, &*ended.stdout), (Some(1), ""));
    ended.stderr
}

/// The binary, and no setting of whoever runs the tests.
fn command(flags: &[&str], environment: &[(&str, &str)]) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_switchboard"));
    command.args(flags).env_clear().envs(environment.iter().copied());
    command
}

pub(crate) async fn say(client: &mut Client, message: impl Into<Message>) {
    within("the server to read", client.send(message.into())).await.unwrap();
}

pub(crate) async fn next(client: &mut Client) -> Message {
    within("a message", client.next()).await.expect("the connection goes on").unwrap()
}

pub(crate) async fn hear(client: &mut Client) -> String {
    next(client).await.into_text().unwrap().to_string()
}

/// The code that the server closes with, 1005 if it says none. The closing handshake is done then.
pub(crate) async fn closing_code(client: &mut Client) -> u16 {
    let Message::Close(frame) = next(client).await else { panic!("not closed") };
    assert!(within("the end", client.next()).await.is_none(), "something after the Close frame");
    frame.map_or(1005, |frame| frame.code.into())
}

/// Closes, and waits until the server has closed too.
pub(crate) async fn leave(mut client: Client) {
    client.close(None).await.unwrap();
    while within("the end", client.next()).await.is_some() {}
}

/// A directory that is gone after the test.
pub(crate) struct Directory(PathBuf);

impl Directory {
    pub(crate) fn new() -> Self {
        static COUNT: AtomicU32 = AtomicU32::new(0);
        // Paths of sockets must be short, so this is not the build's own directory.
        let name = format!("switchboard-{}-{}", std::process::id(), COUNT.fetch_add(1, Ordering::Relaxed));
        let path = std::env::temp_dir().join(name);
        std::fs::create_dir(&path).unwrap();
        Self(path)
    }

    pub(crate) fn join(&self, name: impl AsRef<Path>) -> String {
        self.0.join(name).into_os_string().into_string().unwrap()
    }
}

impl Drop for Directory {
    fn drop(&mut self) {
        // What is left of it is in the system's directory for such things.
        let _ = std::fs::remove_dir_all(&self.0);
    }
}
