//! Plain sockets whose peer does the worst it can at each byte of the conversation: resets, ends, half an end, and
//! reading and writing next to nothing. Shards drive them, and then a task each.

use std::net::SocketAddr;
use std::time::Duration;

use switchboard_testkit::faults::throw;
use switchboard_testkit::{Frame, frame};
use switchboard_ws::{
    Config, Context, Error, Handler, Limits, Message, MessageRef, OutboxLimits, Outcome, Overflow, Server,
};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpSocket, TcpStream};
use tokio::sync::mpsc::{UnboundedReceiver, UnboundedSender, unbounded_channel};

const REQUEST: &str = "GET / HTTP/1.1\r\nHost: localhost\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n\
                       Sec-WebSocket-Version: 13\r\nSec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n\r\n";

/// What takes longer than this has failed.
const LONG: Duration = Duration::from_secs(60);

/// What a connection has heard, and how it ended.
type Report = (Vec<Message>, Outcome);

struct Echo {
    heard: Vec<Message>,
    told: UnboundedSender<Report>,
}

impl Handler for Echo {
    fn on_message(&mut self, cx: &mut Context<'_>, message: MessageRef<'_>) {
        self.heard.push(message.to_owned());
        match message.as_text() {
            // Far more than the kernel takes for a peer that does not read.
            Some("much") => {
                for number in 0..8_u8 {
                    cx.send(&vec![number; 60_000][..]);
                }
            }
            _ => {
                cx.send(message);
            }
        }
    }

    fn on_close(&mut self, outcome: &Outcome) {
        // The test may have ended, with its healthy connection.
        let _ = self.told.send((std::mem::take(&mut self.heard), outcome.clone()));
    }
}

/// A server, and a client that is well the whole time.
struct Host {
    config: Config,
    address: SocketAddr,
    reports: UnboundedReceiver<Report>,
    healthy: TcpStream,
}

impl Host {
    async fn new(task_each: bool) -> Self {
        let limits = Limits { ping_interval: None, ..Limits::default() };
        let outbox = OutboxLimits { overflow: Overflow::DropNewest, ..OutboxLimits::default() };
        let config = Config::default().limits(limits).outbox(outbox);
        let config = if task_each { config.task_per_connection() } else { config };
        let server = Server::bind("127.0.0.1:0", config.clone()).await.unwrap();
        let address = server.local_addr().unwrap();
        let (tell, reports) = unbounded_channel();
        tokio::spawn(server.serve(move |_| Echo { heard: Vec::new(), told: tell.clone() }));
        let mut healthy = TcpStream::connect(address).await.unwrap();
        healthy.write_all(REQUEST.as_bytes()).await.unwrap();
        read_head(&mut healthy).await;
        Self { config, address, reports, healthy }
    }

    /// The healthy client notices nothing, and nothing is left of the others.
    async fn is_well(&mut self) {
        self.is_well_beside(usize::MAX - 1).await;
        while self.config.connections().count() > 1 {
            tokio::task::yield_now().await;
        }
        let counted = self.config.get_metrics().snapshot();
        assert_eq!(counted.open, 1, "{counted:?}");
        assert!(counted.limits.is_empty(), "{counted:?}");
        assert!(counted.failures.keys().all(|name| matches!(*name, "disconnected" | "io")), "{counted:?}");
    }

    /// A round trip of the healthy client, while others are there.
    async fn is_well_beside(&mut self, others: usize) {
        let hello = frame::text("hello");
        self.healthy.write_all(&hello.clone().masked().bytes()).await.unwrap();
        let mut answer = vec![0; hello.bytes().len()];
        self.healthy.read_exact(&mut answer).await.unwrap();
        assert_eq!(answer, hello.bytes());
        assert!(self.config.connections().count() <= 1 + others);
    }

    fn refused(&self) -> u64 {
        self.config.get_metrics().snapshot().refused.values().sum()
    }

    /// Waits until somebody's connection has ended, or was none: what it was.
    async fn ended(&mut self, refused_before: u64) -> Option<Report> {
        loop {
            if let Ok(report) = self.reports.try_recv() {
                return Some(report);
            }
            if self.refused() > refused_before {
                return None;
            }
            tokio::task::yield_now().await;
        }
    }
}

async fn read_head(stream: &mut TcpStream) {
    let mut head = Vec::new();
    while !head.ends_with(b"\r\n\r\n") {
        head.push(stream.read_u8().await.unwrap());
    }
    assert!(head.starts_with(b"HTTP/1.1 101 "));
}

/// All that a client says, and where its request, its messages and its Close frame end.
struct Script {
    bytes: Vec<u8>,
    messages: Vec<(usize, Message)>,
    replies: Vec<(usize, Frame)>,
}

impl Script {
    fn new() -> Self {
        let mut script = Self { bytes: REQUEST.into(), messages: Vec::new(), replies: Vec::new() };
        script.message(&[frame::text("short")], Message::text("short"));
        script.message(&[frame::binary([7; 300])], Message::binary(vec![7; 300]));
        script.say(&frame::ping("?"), Some(frame::pong("?")));
        let pieces = [frame::text("in ").fin(false), frame::continuation("pieces")];
        script.message(&pieces, Message::text("in pieces"));
        script.say(&frame::close(1000, "bye"), Some(frame::close(1000, "")));
        script
    }

    fn say(&mut self, frame: &Frame, reply: Option<Frame>) {
        self.bytes.extend(frame.clone().masked().bytes());
        self.replies.extend(reply.map(|reply| (self.bytes.len(), reply)));
    }

    fn message(&mut self, frames: &[Frame], message: Message) {
        frames.iter().for_each(|frame| self.say(frame, None));
        let echo = match &message {
            Message::Text(text) => frame::text(text.as_bytes()),
            Message::Binary(bytes) => frame::binary(bytes),
        };
        self.replies.push((self.bytes.len(), echo));
        self.messages.push((self.bytes.len(), message));
    }

    /// What a server has heard when so many bytes have come.
    fn heard(&self, bytes: usize) -> Vec<Message> {
        self.messages.iter().filter(|(end, _)| *end <= bytes).map(|(_, message)| message.clone()).collect()
    }

    fn replies(&self, bytes: usize) -> Vec<Frame> {
        self.replies.iter().filter(|(end, _)| *end <= bytes).map(|(_, reply)| reply.clone()).collect()
    }
}

/// What a client does at the n-th byte.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Fault {
    /// Ends its side, and reads on.
    HalfEnd,
    /// Is gone, with what it was sent and has not read.
    Gone,
    /// Resets the connection.
    Reset,
}

async fn try_fault(host: &mut Host, script: &Script, fault: Fault, at: usize) {
    let refused = host.refused();
    let mut client = TcpStream::connect(host.address).await.unwrap();
    client.write_all(&script.bytes[..at]).await.unwrap();
    let mut answer = Vec::new();
    match fault {
        Fault::HalfEnd => {
            client.shutdown().await.unwrap();
            client.read_to_end(&mut answer).await.unwrap();
        }
        Fault::Gone => {}
        Fault::Reset => client.set_zero_linger().unwrap(),
    }
    drop(client);
    let report = host.ended(refused).await;
    if at < REQUEST.len() {
        assert!(report.is_none() && answer.is_empty(), "no connection before there is a request");
        return;
    }
    let complete = script.heard(at);
    match report {
        // Before the handler was made: with the reset, what the kernel had is gone.
        None => assert_ne!(fault, Fault::HalfEnd),
        Some((heard, outcome)) => {
            assert!(complete.starts_with(&heard), "{heard:?}");
            let is_lost = matches!(outcome.error(), Some(Error::Disconnected | Error::Io(_)));
            assert!(is_lost || (outcome.is_clean() && at == script.bytes.len()), "{outcome:?}");
            if fault == Fault::HalfEnd {
                assert_eq!(heard, complete);
                assert_eq!(outcome.is_clean(), at == script.bytes.len(), "{outcome:?}");
            }
        }
    }
    if fault == Fault::HalfEnd {
        let head = answer.windows(4).position(|end| end == b"\r\n\r\n").unwrap() + 4;
        assert_eq!(Frame::parse_all(&answer[head..]), script.replies(at), "whole, in order, and all of them");
    }
}

#[tokio::test]
async fn a_peer_that_ends_at_any_byte_ends_alone() {
    let script = Script::new();
    for task_each in [false, true] {
        let mut host = Host::new(task_each).await;
        for fault in [Fault::HalfEnd, Fault::Gone, Fault::Reset] {
            for at in 0..=script.bytes.len() {
                let tried = async {
                    try_fault(&mut host, &script, fault, at).await;
                    host.is_well().await;
                };
                let tried = tokio::time::timeout(LONG, tried).await;
                assert!(tried.is_ok(), "{fault:?} at byte {at} of {}, task each: {task_each}", script.bytes.len());
            }
        }
    }
}

#[tokio::test]
async fn a_peer_that_writes_byte_by_byte_is_heard() {
    let script = Script::new();
    for task_each in [false, true] {
        let mut host = Host::new(task_each).await;
        let mut client = TcpStream::connect(host.address).await.unwrap();
        client.set_nodelay(true).unwrap();
        for byte in &script.bytes {
            client.write_all(&[*byte]).await.unwrap();
            // The server takes it before there is another.
            host.is_well_beside(1).await;
        }
        let mut answer = Vec::new();
        tokio::time::timeout(LONG, client.read_to_end(&mut answer)).await.unwrap().unwrap();
        let head = answer.windows(4).position(|end| end == b"\r\n\r\n").unwrap() + 4;
        assert_eq!(Frame::parse_all(&answer[head..]), script.replies(script.bytes.len()));
        drop(client);
        let (heard, outcome) = tokio::time::timeout(LONG, host.ended(u64::MAX)).await.unwrap().unwrap();
        assert_eq!(heard, script.heard(script.bytes.len()));
        assert!(outcome.is_clean(), "{outcome:?}");
    }
}

/// A client with as little room as the kernel allows.
async fn narrow(address: SocketAddr) -> TcpStream {
    let socket = TcpSocket::new_v4().unwrap();
    socket.set_recv_buffer_size(1024).unwrap();
    socket.connect(address).await.unwrap()
}

/// Reads next to nothing at a time, and after so many reads is gone.
async fn sip(host: &mut Host, sips: usize, dice: &mut u64) -> Option<Vec<u8>> {
    let mut client = narrow(host.address).await;
    client.write_all(REQUEST.as_bytes()).await.unwrap();
    read_head(&mut client).await;
    let said: Vec<u8> = ["one", "much", "two"].iter().flat_map(|text| frame::text(text).masked().bytes()).collect();
    client.write_all(&said).await.unwrap();
    let mut got = Vec::new();
    for _ in 0..sips {
        let most = 1 + usize::try_from(throw(dice) % 3000).unwrap();
        let mut some = vec![0; most];
        match client.read(&mut some).await.unwrap() {
            0 => break,
            count => got.extend_from_slice(&some[..count]),
        }
        if got.ends_with(&frame::text("two").bytes()) {
            client.write_all(&frame::close(1000, "").masked().bytes()).await.unwrap();
            client.read_to_end(&mut got).await.unwrap();
            return Some(got);
        }
    }
    if throw(dice).is_multiple_of(2) {
        client.set_zero_linger().unwrap();
    }
    None
}

#[tokio::test]
async fn a_peer_that_reads_next_to_nothing_gets_it_all_or_ends_alone() {
    for task_each in [false, true] {
        let mut host = Host::new(task_each).await;
        let mut dice = 7;
        for sips in (0..40).chain([100, usize::MAX]) {
            let tried = async {
                let got = sip(&mut host, sips, &mut dice).await;
                let (heard, outcome) = host.ended(u64::MAX).await.unwrap();
                host.is_well().await;
                (got, heard, outcome)
            };
            let (got, heard, outcome) = tokio::time::timeout(LONG, tried).await.expect("it ends");
            let Some(got) = got else {
                assert!(matches!(outcome.error(), Some(Error::Disconnected | Error::Io(_))), "{outcome:?}");
                continue;
            };
            assert!(outcome.is_clean() && heard.len() == 3, "{outcome:?}");
            let much = (0..8).map(|number| frame::binary(vec![number; 60_000]));
            let all: Vec<_> = std::iter::once(frame::text("one"))
                .chain(much)
                .chain([frame::text("two"), frame::close(1000, "")])
                .collect();
            assert!(Frame::parse_all(&got) == all, "all that was sent came, in order");
        }
    }
}
