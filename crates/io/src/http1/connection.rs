//! A connection of a client that polls: request after request, for as long as they are plain ones of the engine's.

use std::fmt;
use std::future::{Future, poll_fn};
use std::io;
use std::pin::Pin;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use bytes::Bytes;
use http::{HeaderMap, Request, Response};
use switchboard_ws::{BudgetHold, HttpIo, PeerAddr};
use tokio::io::AsyncWriteExt as _;
use tokio::sync::watch;
use tokio::time::timeout;

use super::linger::Linger;
use super::reply::Reply;
use super::request::{Asked, Plain, Reader};
use super::stop::stop;
use super::wire::{Incoming, TooFarAhead, Wire, attended, lock};
use crate::engine::{Begun, Engine, Limit, MOST_UNREAD, Secure, begin};

/// What the connections of a listener are served with.
#[derive(Debug)]
pub struct Terms {
    /// The engine whose clients poll.
    pub engine: Engine,
    /// Whether clients come over TLS.
    pub secure: Secure,
    /// How long a head may take, and how long the client may take between two requests.
    pub head_timeout: Duration,
    /// The most bytes of a head. A longer one is for the HTTP library to refuse.
    pub max_head: usize,
    /// Adds what every answer is to carry.
    pub headers: fn(&mut HeaderMap),
    /// Becomes true when no further requests are to be taken: a request that has begun is answered. `None`: never.
    pub stopping: Option<watch::Receiver<bool>>,
}

/// How a connection has come to its end here.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum End {
    /// It is closed, also because its client asked for nothing more for as long as it may wait.
    Closed,
    /// It is closed, as its client took longer for a head than it may, or never asked for anything.
    TooSlow,
    /// The next request is for hyper: [`Connection::into_io`] has it as its first bytes, and [`Foreign`](super::Foreign)
    /// serves it.
    Foreign,
}

/// A connection of HTTP/1.1 whose requests are answered here while they are the engine's.
///
/// Taken are GET and POST for a path of the engine's in HTTP/1.1, with one `Host` and at most one `Content-Length` (a
/// POST has one, a GET none or 0), and without `Transfer-Encoding`, `Expect`, `Upgrade` or a `Connection` of other
/// options than `close` and `keep-alive`. Everything else, and all that is in any doubt, is for an HTTP library.
pub struct Connection {
    wire: Mutex<Wire>,
    peer: PeerAddr,
    terms: Arc<Terms>,
}

/// What comes next on a connection.
enum Next {
    Plain(Box<Plain>),
    End(End),
}

impl Connection {
    /// A connection whose client has not been answered yet. `hold` counts it, and what is read of it ahead of being
    /// wanted.
    #[must_use]
    pub fn new(io: HttpIo, hold: BudgetHold, peer: PeerAddr, terms: Arc<Terms>) -> Self {
        Self { wire: Mutex::new(Wire::new(io, hold)), peer, terms }
    }

    /// Where the client is.
    #[must_use]
    pub fn peer(&self) -> PeerAddr {
        self.peer
    }

    /// What it is served with.
    #[must_use]
    pub fn terms(&self) -> &Arc<Terms> {
        &self.terms
    }

    /// Answers requests until one is not the engine's, or the connection ends.
    ///
    /// # Errors
    /// The transport failed, or the client went while it was being answered: a poll that waited is given up then, and
    /// its session ends. [`HttpIo::has_timed_out`]: the client did not take its answer.
    ///
    /// # Cancel safety
    /// Dropped, the request under way is given up.
    pub async fn serve(&mut self) -> io::Result<End> {
        self.wire().io.ready().await?;
        let mut is_first = true;
        loop {
            // In boxes of their own, so that nothing is kept for them while a poll waits.
            let asked = match Box::pin(self.next(is_first)).await? {
                Next::Plain(asked) => asked,
                Next::End(end) => {
                    if end == End::Closed {
                        // One that is gone already hears nothing of it.
                        let _ = self.wire().io.shutdown().await;
                    }
                    return Ok(end);
                }
            };
            is_first = false;
            let is_last = asked.is_last;
            let answer = self.answer(asked).await.inspect_err(|error| self.count(error))?;
            if Box::pin(self.write(answer, is_last)).await? {
                return Ok(End::Closed);
            }
        }
    }

    /// The transport, with what was read of it and not answered.
    #[must_use]
    pub fn into_io(self) -> HttpIo {
        self.wire.into_inner().unwrap_or_else(PoisonError::into_inner).into_io()
    }

    fn wire(&mut self) -> &mut Wire {
        self.wire.get_mut().unwrap_or_else(PoisonError::into_inner)
    }

    async fn next(&mut self, is_first: bool) -> io::Result<Next> {
        let Self { wire, terms, .. } = self;
        let Terms { engine, head_timeout, max_head, stopping, .. } = &**terms;
        let wire = wire.get_mut().unwrap_or_else(PoisonError::into_inner);
        let mut reader = Reader::new(*max_head);
        let reading = async {
            loop {
                match reader.read(wire.ahead(), |path| engine.config().owns(path)) {
                    Asked::Plain(plain) => return Ok(Next::Plain(plain)),
                    Asked::Foreign => return Ok(Next::End(End::Foreign)),
                    Asked::Unfinished => {}
                }
                let is_between = wire.ahead().is_empty();
                let count = tokio::select! {
                    count = poll_fn(|cx| wire.poll_fill(cx)) => count?,
                    () = stop(stopping) => return Ok(Next::End(End::Closed)),
                };
                match (count, is_between) {
                    (0, true) => return Ok(Next::End(End::Closed)),
                    (0, false) => return Err(io::ErrorKind::UnexpectedEof.into()),
                    _ => {}
                }
            }
        };
        match timeout(*head_timeout, reading).await {
            Ok(next) => next,
            // It has had its answers, and wants nothing more.
            Err(_) if !is_first && wire.ahead().is_empty() => Ok(Next::End(End::Closed)),
            Err(_) => Ok(Next::End(End::TooSlow)),
        }
    }

    fn count(&self, error: &io::Error) {
        if TooFarAhead::is(error) {
            self.terms.engine.metrics().hit(Limit::ReadAhead);
        }
    }

    async fn answer(&self, asked: Box<Plain>) -> io::Result<Response<Bytes>> {
        let mut beginning = self.begin(asked);
        let begun = attended(&self.wire, |cx| beginning.as_mut().poll(cx)).await;
        // What works on requests is large. What waits for something to tell is not, and alone is there meanwhile.
        drop(beginning);
        let mut waiting = match begun? {
            Begun::Done(answer) => return Ok(answer),
            Begun::Waits(waiting) => waiting,
        };
        attended(&self.wire, |cx| waiting.poll_answer(cx)).await
    }

    fn begin(&self, asked: Box<Plain>) -> Pin<Box<impl Future<Output = Begun> + Send + '_>> {
        let Plain { mut parts, head, body, .. } = *asked;
        lock(&self.wire).begin(head, body);
        parts.extensions.insert(self.peer);
        parts.extensions.insert(self.terms.secure);
        Box::pin(begin(self.terms.engine.core(), Request::from_parts(parts, Incoming(&self.wire))))
    }

    /// Returns whether that was the connection's last answer.
    async fn write(&mut self, answer: Response<Bytes>, is_last: bool) -> io::Result<bool> {
        let is_stopping = self.terms.stopping.as_ref().is_some_and(|stopping| *stopping.borrow());
        let Self { wire, terms, .. } = self;
        let Terms { headers, engine, stopping, .. } = &**terms;
        let wire = wire.get_mut().unwrap_or_else(PoisonError::into_inner);
        // What nobody wants of a body is read all the same: closing over it would reset the connection, and take the
        // answer along.
        let unread = wire.skip();
        let is_too_long = unread > MOST_UNREAD;
        let mut reply = Reply::new(answer, is_last || is_stopping || is_too_long, *headers);
        let io = &mut wire.io;
        io.write_all_buf(&mut reply.bytes).await?;
        io.flush().await?;
        if is_too_long {
            engine.metrics().hit(Limit::UnreadBody);
        }
        let mut closes = reply.is_last;
        if !closes && unread > 0 {
            let forgotten = tokio::select! {
                forgotten = timeout(engine.config().body_timeout, wire.forget(MOST_UNREAD)) => forgotten,
                // What has been answered holds up nobody's shutdown.
                () = stop(stopping) => Ok(Ok(false)),
            };
            if forgotten.is_err() {
                engine.metrics().hit(Limit::UnreadBody);
            }
            closes = !forgotten.unwrap_or(Ok(false))?;
        }
        if closes {
            wire.io.shutdown().await?;
            let mut linger = Linger::new(stopping.clone());
            poll_fn(|cx| linger.poll(&mut wire.io, cx)).await;
        }
        Ok(closes)
    }
}

impl fmt::Debug for Connection {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Connection").field("peer", &self.peer).field("terms", &self.terms).finish_non_exhaustive()
    }
}
#[cfg(test)]
mod tests {
    use switchboard_ws::BudgetPart;

    use super::*;
    use crate::SocketIo;

    /// What a client that polls costs here for nearly all of its time.
    #[tokio::test]
    async fn a_connection_is_small() {
        let engine = SocketIo::new().engine().clone();
        let hold = engine.core().budget().hold(BudgetPart::Connections);
        let terms = Terms {
            engine,
            secure: Secure(false),
            head_timeout: Duration::from_secs(15),
            max_head: 16 << 10,
            headers: |_| {},
            stopping: None,
        };
        let io = HttpIo::new(Box::new(tokio::io::empty()), Vec::new(), None, None);
        let mut connection = Connection::new(io, hold, PeerAddr::Unknown, Arc::new(terms));
        assert!(size_of_val(&connection) <= 224, "{}", size_of_val(&connection));
        let serving = connection.serve();
        assert!(size_of_val(&serving) <= 256, "{}", size_of_val(&serving));
    }
}
