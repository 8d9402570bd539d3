//! The conversation: a client sends messages of all kinds, a server echoes them, then they measure the round trip and
//! close.

use std::io::ErrorKind;
use std::sync::{Arc, LazyLock, Mutex};
use std::time::Duration;

use switchboard_testkit::{Fault, Faults};
use switchboard_ws::{
    AcceptError, Client, CloseCode, Config, ConnectError, Context, DeflateConfig, Error, Handler, Io, Limits, Message,
    MessageRef, Outcome, accept, serve,
};
#[cfg(feature = "tls")]
use switchboard_ws::{ClientTls, ServerTls};

/// One of the two.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum End {
    Server,
    Client,
}

/// How both talk.
#[derive(Debug, Clone, Default)]
pub(crate) struct Setup {
    pub(crate) deflate: bool,
    /// Handlers in place of sockets.
    pub(crate) handlers: bool,
    #[cfg(feature = "tls")]
    pub(crate) tls: Option<(ServerTls, ClientTls)>,
}

/// What one end has seen.
#[derive(Debug, Default)]
pub(crate) struct Report {
    pub(crate) heard: Vec<Message>,
    /// So many of its own messages were told to be with the transport.
    pub(crate) flushed: usize,
    pub(crate) end: Option<Blame>,
}

/// Why it ended.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Blame {
    /// With both Close frames.
    Nobody,
    /// The transport failed.
    Transport(ErrorKind),
    /// The peer went away.
    Peer,
    Other(String),
}

pub(crate) type Shared = Arc<Mutex<Report>>;

/// What the client says: short and long, text and binary, empty, compressible and read in place.
pub(crate) fn messages() -> &'static [Message] {
    static MESSAGES: LazyLock<Vec<Message>> = LazyLock::new(|| {
        let long: Vec<u8> = (0..=250).cycle().take(20_000).collect();
        vec![
            Message::text("one"),
            Message::text("é".repeat(300)),
            Message::binary(long),
            Message::text(""),
            Message::binary(vec![7; 3000]),
            Message::text("é".repeat(300)),
        ]
    });
    &MESSAGES
}

impl Setup {
    pub(crate) fn has_tls(&self) -> bool {
        #[cfg(feature = "tls")]
        return self.tls.is_some();
        #[cfg(not(feature = "tls"))]
        false
    }

    pub(crate) fn config(&self) -> Config {
        let deflate = self.deflate.then(DeflateConfig::default);
        Config::default().limits(Limits { deflate, ..Limits::default() })
    }

    /// The server's end, until the connection is over.
    pub(crate) async fn serve(&self, io: impl Io, config: &Config, report: &Shared) {
        #[cfg(feature = "tls")]
        if let Some((tls, _)) = &self.tls {
            let end = match tls.accept(io, Duration::from_secs(10)).await {
                Ok(io) => self.serve_plain(io, config, report).await,
                Err(error) => Blame::Transport(error.kind()),
            };
            report.lock().unwrap().end = Some(end);
            return;
        }
        let end = self.serve_plain(io, config, report).await;
        report.lock().unwrap().end = Some(end);
    }

    async fn serve_plain(&self, io: impl Io, config: &Config, report: &Shared) -> Blame {
        if self.handlers {
            let echo = Scribe { report: Arc::clone(report), end: End::Server };
            return serve(io, config, echo).await.map_or_else(Blame::from, Blame::from);
        }
        let mut socket = match accept(io, config).await {
            Ok(socket) => socket,
            Err(error) => return error.into(),
        };
        while let Ok(Some(message)) = socket.recv().await {
            report.lock().unwrap().heard.push(message.clone());
            // What has come is read also when nothing can be sent any more.
            if socket.send(message).await.is_ok() && socket.flush().await.is_ok() {
                report.lock().unwrap().flushed += 1;
            }
        }
        socket.sender().ended().await.into()
    }

    /// The client's end, until the connection is over.
    pub(crate) async fn connect(&self, io: impl Io, config: &Config, report: &Shared) {
        #[cfg(feature = "tls")]
        let client = match &self.tls {
            Some((_, tls)) => Client::new("wss://localhost/").tls(tls.clone()),
            None => Client::new("ws://localhost/"),
        };
        #[cfg(not(feature = "tls"))]
        let client = Client::new("ws://localhost/");
        let client = client.config(config.clone());
        let end = if self.handlers {
            let scribe = Scribe { report: Arc::clone(report), end: End::Client };
            client.serve_over(io, scribe).await.map_or_else(Blame::from, Blame::from)
        } else {
            talk(client.connect_over(io), report).await
        };
        report.lock().unwrap().end = Some(end);
    }
}

async fn talk(
    connecting: impl Future<Output = Result<switchboard_ws::Socket, ConnectError>>,
    report: &Shared,
) -> Blame {
    let mut socket = match connecting.await {
        Ok(socket) => socket,
        Err(error) => return error.into(),
    };
    let all = messages();
    let talked = async {
        for message in all {
            socket.send(message.clone()).await?;
        }
        socket.flush().await?;
        report.lock().unwrap().flushed = all.len();
        for _ in all {
            let Some(message) = socket.recv().await? else { return Ok(()) };
            report.lock().unwrap().heard.push(message);
        }
        socket.ping().await?;
        socket.close(CloseCode::NORMAL, "done").await.map(drop)
    };
    let talked: Result<(), Error> = talked.await;
    let outcome = socket.sender().ended().await;
    // A peer that closes in the middle of it has done nothing wrong.
    let is_told = talked.is_ok() || !outcome.is_clean() || matches!(talked, Err(Error::Closed));
    assert!(is_told, "{talked:?}, but {outcome:?}");
    outcome.into()
}

/// Either end as a handler.
struct Scribe {
    report: Shared,
    end: End,
}

impl Handler for Scribe {
    fn on_open(&mut self, cx: &mut Context<'_>) {
        if self.end == End::Client {
            for message in messages() {
                cx.send_owned(message.clone());
            }
        }
    }

    fn on_message(&mut self, cx: &mut Context<'_>, message: MessageRef<'_>) {
        if self.end == End::Server {
            cx.send(message);
        }
        let mut report = self.report.lock().unwrap();
        report.heard.push(message.to_owned());
        if self.end == End::Client && report.heard.len() == messages().len() {
            cx.ping().unwrap();
        }
    }

    fn on_pong(&mut self, cx: &mut Context<'_>, _: &[u8], _: Option<Duration>) {
        cx.close(CloseCode::NORMAL, "done").unwrap();
    }

    fn on_close(&mut self, outcome: &Outcome) {
        let earlier = self.report.lock().unwrap().end.replace(outcome.clone().into());
        assert_eq!(earlier, None, "the end is told once");
    }
}

impl From<Outcome> for Blame {
    fn from(outcome: Outcome) -> Self {
        match outcome.error() {
            None => Self::Nobody,
            Some(Error::Io(error)) => Self::Transport(error.kind()),
            Some(Error::Disconnected) => Self::Peer,
            Some(other) => Self::Other(other.to_string()),
        }
    }
}

impl From<AcceptError> for Blame {
    fn from(error: AcceptError) -> Self {
        match error {
            AcceptError::Io(error) => Self::Transport(error.kind()),
            AcceptError::Disconnected => Self::Peer,
            other => Self::Other(other.to_string()),
        }
    }
}

impl From<ConnectError> for Blame {
    fn from(error: ConnectError) -> Self {
        match error {
            ConnectError::Io { error, .. } => Self::Transport(error.kind()),
            #[cfg(feature = "tls")]
            ConnectError::Tls(error) => Self::Transport(error.kind()),
            ConnectError::Disconnected => Self::Peer,
            other => Self::Other(other.to_string()),
        }
    }
}

/// Whom an end with the faults may blame for them.
pub(crate) fn is_the_fault(blame: &Blame, faults: &Faults) -> bool {
    match (faults.fault(), blame) {
        (Some(Fault::Dead(kind)), Blame::Transport(told)) => kind == *told,
        // What those who try again are told is another thing.
        (Some(Fault::Interrupted), Blame::Transport(_))
        | (Some(Fault::End), Blame::Transport(ErrorKind::BrokenPipe | ErrorKind::UnexpectedEof))
        | (Some(Fault::End | Fault::Dead(ErrorKind::UnexpectedEof)), Blame::Peer) => true,
        _ => false,
    }
}

/// Whom the other end may blame: it sees a peer that is gone.
pub(crate) fn is_left_alone(blame: &Blame) -> bool {
    matches!(blame, Blame::Peer | Blame::Transport(ErrorKind::BrokenPipe | ErrorKind::UnexpectedEof))
}

/// What must hold for either end, whatever happened.
pub(crate) fn holds_anyway(report: &Report, config: &Config) {
    let all = messages();
    let heard = &report.heard;
    assert!(all.starts_with(heard), "{} messages came, and not those that were sent", heard.len());
    let counted = config.get_metrics().snapshot();
    assert_eq!((config.connections().count(), counted.open), (0, 0), "{counted:?}");
    assert_eq!(counted.closes.values().sum::<u64>(), counted.total, "{counted:?}");
    // An end that was dropped at its first word may have counted what nobody heard.
    assert!(counted.messages_in >= heard.len() as u64, "{counted:?}");
}
