//! The task driver: one task per connection, over any `AsyncRead + AsyncWrite`. It owns no buffer while idle: bytes are
//! read into the thread's buffer, or with a long message into the message's own, and output is the thread's too until
//! the transport refuses some of it.

use std::any::Any;
use std::future::{Future, poll_fn};
use std::io::{self, IoSlice};
use std::pin::Pin;
use std::task::{Context, Poll, ready};
use std::time::Instant;

use switchboard_ws_proto::Disconnect;
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::time::Sleep;

use crate::backlog::Backlog;
use crate::connections::{Seat, Watch};
use crate::error::Outcome;
use crate::handler::Handler;
use crate::scratch;
use crate::session::Session;
use crate::turn::{Turn, now};

/// A transport that a WebSocket can run over. (That it is `Any` lets a plain socket be recognised in a box.)
pub trait Io: AsyncRead + AsyncWrite + Any + Send + Unpin {}
impl<T: AsyncRead + AsyncWrite + Any + Send + Unpin> Io for T {}

/// So many reads in a row, then other tasks have their turn.
pub(crate) const READS_PER_TURN: usize = 16;
/// So many slices are written at once.
pub(crate) const SLICES: usize = 16;

/// Drives a connection to its end. `said`: what its handler has sent before there was a transport; `leftover`: bytes
/// that came together with the handshake. No `async fn`: that would keep its arguments beside the driver that they were
/// moved into, for as long as the connection lasts.
pub(crate) fn drive<S: Io, H: Handler>(
    io: S,
    mut session: Session<H>,
    said: Backlog,
    leftover: Vec<u8>,
) -> impl Future<Output = Outcome> + Send {
    session.enter();
    let connections = session.config().connections();
    let (seat, watch) = (connections.enter(), connections.watch());
    let mut driver = Driver { io, session, watch, backlog: said, timer: None, flush: Flush::Idle, _seat: seat };
    let mut unopened = Some(leftover);
    poll_fn(move |cx| {
        if let Some(mut leftover) = unopened.take() {
            driver.turn(|driver, turn| {
                driver.session.open(turn);
                driver.session.received(&mut leftover, turn);
            });
        }
        driver.poll(cx)
    })
}

struct Driver<S, H: Handler> {
    io: S,
    session: Session<H>,
    watch: Watch,
    /// Output that the transport refused. The thread's output is used while there is none.
    backlog: Backlog,
    timer: Option<Timer>,
    flush: Flush,
    /// Left after all else is over.
    _seat: Seat,
}

/// Whether the transport itself holds bytes back (TLS records, say), and whether its write side is shut down.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Flush {
    Idle,
    Due,
    ShutDown,
}

struct Timer {
    sleep: Pin<Box<Sleep>>,
    at: Instant,
}

/// Whether there may be more to do at once.
enum Progress {
    Made,
    Blocked,
}

impl<S: Io, H: Handler> Driver<S, H> {
    fn poll(&mut self, cx: &mut Context<'_>) -> Poll<Outcome> {
        if let Some(frame) = self.watch.poll_close(cx) {
            self.session.start_close(&frame, now());
        }
        for _ in 0..READS_PER_TURN {
            match self.turn(|driver, turn| driver.steps(turn, cx)) {
                Ok(Progress::Made) => {
                    // A peer that never pauses is under its deadlines too.
                    self.poll_timer(cx);
                    break;
                }
                Ok(Progress::Blocked) => match self.end(cx) {
                    Poll::Ready(outcome) => return Poll::Ready(outcome),
                    Poll::Pending if self.poll_timer(cx) => {}
                    Poll::Pending => return Poll::Pending,
                },
                Err(error) => {
                    self.session.failed(error);
                    return Poll::Ready(self.session.finish());
                }
            }
        }
        cx.waker().wake_by_ref();
        Poll::Pending
    }

    /// Steps until the transport blocks, or others should have their turn. What a read brings about is written in the
    /// same turn, so that the output is the thread's again when that ends.
    fn steps(&mut self, turn: &mut Turn, cx: &mut Context<'_>) -> io::Result<Progress> {
        for _ in 0..READS_PER_TURN {
            if let Progress::Blocked = self.step(turn, cx)? {
                return Ok(Progress::Blocked);
            }
            if self.session.has_unheard() {
                self.session.pump(cx, turn);
                self.write(turn, cx)?;
                break;
            }
        }
        Ok(Progress::Made)
    }

    /// Writes what there is, then reads once; what the read brought about is written before the next one.
    fn step(&mut self, turn: &mut Turn, cx: &mut Context<'_>) -> io::Result<Progress> {
        self.session.pump(cx, turn);
        if self.write(turn, cx)? {
            return Ok(Progress::Made);
        }
        if self.session.disconnect() == Disconnect::Now || !self.session.wants_read(turn.out.len()) {
            return Ok(Progress::Blocked);
        }
        if self.session.has_unheard() {
            self.session.hear_more(turn);
            return Ok(Progress::Made);
        }
        match self.read(turn, cx) {
            Poll::Pending => Ok(Progress::Blocked),
            Poll::Ready(result) => result.map(|()| Progress::Made),
        }
    }

    /// `true`: there is more to encode, now that there is room.
    fn write(&mut self, turn: &mut Turn, cx: &mut Context<'_>) -> io::Result<bool> {
        let out = &mut turn.out;
        let waited = out.len();
        while !out.is_empty() {
            let mut slices = [IoSlice::new(&[]); SLICES];
            let filled = out.slices(&mut slices);
            match Pin::new(&mut self.io).poll_write_vectored(cx, &slices[..filled]) {
                Poll::Ready(Ok(0)) => return Err(io::ErrorKind::WriteZero.into()),
                Poll::Ready(Ok(count)) => {
                    out.advance(count);
                    self.flush = Flush::Due;
                }
                Poll::Ready(Err(error)) => return Err(error),
                Poll::Pending => break,
            }
        }
        let count = waited - out.len();
        let was_due = self.flush == Flush::Due;
        if was_due && let Poll::Ready(flushed) = Pin::new(&mut self.io).poll_flush(cx) {
            flushed?;
            self.flush = Flush::Idle;
        }
        // Nothing is said to have left that the transport may still lose.
        let held_back = self.flush == Flush::Due;
        Ok((waited > 0 || was_due) && self.session.wrote(count, held_back, turn))
    }

    fn read(&mut self, turn: &mut Turn, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        let Self { io, session, .. } = self;
        if let Some(room) = session.room() {
            let mut read = ReadBuf::new(room);
            ready!(Pin::new(io).poll_read(cx, &mut read))?;
            match read.filled().len() {
                0 => session.eof(),
                count => session.received_in_room(count, turn),
            }
            return Poll::Ready(Ok(()));
        }
        let most = session.reads_at_most(turn.out.len());
        scratch::with_read_buffer(|buffer| {
            let most = most.min(buffer.len());
            let mut read = ReadBuf::new(&mut buffer[..most]);
            ready!(Pin::new(io).poll_read(cx, &mut read))?;
            match read.filled_mut() {
                [] => session.eof(),
                bytes => session.received(bytes, turn),
            }
            Poll::Ready(Ok(()))
        })
    }

    /// Whether the connection is over. While it lingers, the write side is shut down and reading goes on.
    fn end(&mut self, cx: &mut Context<'_>) -> Poll<Outcome> {
        let disconnect = self.session.disconnect();
        if disconnect == Disconnect::No {
            return Poll::Pending;
        }
        if disconnect != Disconnect::Now {
            if !self.backlog.is_empty() {
                return Poll::Pending;
            }
            if self.flush != Flush::ShutDown {
                // A transport that cannot be shut down is one that is gone.
                let _ = ready!(Pin::new(&mut self.io).poll_shutdown(cx));
                self.flush = Flush::ShutDown;
            }
            if disconnect == Disconnect::Linger {
                return Poll::Pending;
            }
        }
        Poll::Ready(self.session.finish())
    }

    /// Arms the timer for the session's next deadline; `true` when that has passed and was acted on. A timer that is
    /// armed too early is left alone: to move it with every message would cost more than to wake once in vain.
    fn poll_timer(&mut self, cx: &mut Context<'_>) -> bool {
        let Some(deadline) = self.session.deadline() else { return false };
        let timer = self
            .timer
            .get_or_insert_with(|| Timer { sleep: Box::pin(tokio::time::sleep_until(deadline.into())), at: deadline });
        if deadline < timer.at {
            timer.sleep.as_mut().reset(deadline.into());
            timer.at = deadline;
        }
        if timer.sleep.as_mut().poll(cx).is_pending() {
            return false;
        }
        let at = timer.at;
        self.timer = None;
        self.turn(|driver, turn| {
            turn.now = turn.now.max(at);
            driver.session.timeout(turn);
        });
        true
    }

    fn turn<R>(&mut self, run: impl FnOnce(&mut Self, &mut Turn) -> R) -> R {
        let mut turn = Turn::begin(&mut self.backlog);
        let result = run(self, &mut turn);
        turn.end(&mut self.backlog, self.session.config());
        result
    }
}
