//! Acks that this server asked for: of one socket, a future; of many, a stream of answers, or all of them at once.

use std::collections::HashMap;
use std::fmt;
use std::marker::PhantomData;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};

use futures_core::Stream;
use serde::de::DeserializeOwned;
use switchboard_io_proto::socket::{AckId, Args, ArgsError, Name};
use tokio::sync::{mpsc, oneshot};
use tokio::time::{Instant, Sleep, sleep_until, timeout_at};

use crate::error::AckError;
use crate::in_place::AwaitsAck;
use crate::peer::Peer;
use crate::space::Space;

/// Waits for the ack of one socket. Dropped, nobody waits any more.
pub(crate) struct Awaited {
    pub(crate) peer: Arc<Peer>,
    pub(crate) id: AckId,
    pub(crate) answer: oneshot::Receiver<Args>,
    pub(crate) until: Option<Instant>,
}

impl Awaited {
    pub(crate) async fn args(mut self) -> Result<Args, AckError> {
        let _waits = AwaitsAck::begin(&self.peer.in_flight, &self.peer.session);
        let answer = &mut self.answer;
        let answered = match self.until {
            Some(until) => timeout_at(until, answer).await.map_err(|_| AckError::Timeout)?,
            None => answer.await,
        };
        answered.map_err(|_| AckError::Disconnected)
    }
}

impl Drop for Awaited {
    fn drop(&mut self) {
        drop(self.peer.take_ack(self.id));
    }
}

/// The answers of many sockets to one event, as they come, each with the id of its socket: a [`Stream`], which ends
/// when all have answered or the time is over. [`all`](Self::all) collects them.
///
/// An answer of another type than `T` is an error of its own and ends nothing. Dropped, nobody waits any more.
#[must_use = "streams do nothing unless polled"]
pub struct Answers<T> {
    space: Arc<Space<Peer>>,
    id: AckId,
    /// Those who have not answered yet. However many handlers of theirs wait, perhaps for these very answers, they are
    /// read from.
    owing: HashMap<Name, AwaitsAck>,
    answers: mpsc::UnboundedReceiver<(Name, Args)>,
    time: Pin<Box<Sleep>>,
    is_over: bool,
    wanted: PhantomData<fn() -> T>,
}

/// Not all of those asked have answered, in time and in kind.
#[derive(Debug, Clone, PartialEq)]
pub struct Unanswered<T> {
    /// The answers that did come.
    pub answers: Vec<T>,
    /// The ids of the sockets that did not answer in time.
    pub missing: Vec<Name>,
    /// Answers of another type than was asked for, by the id of the socket.
    pub wrong: Vec<(Name, ArgsError)>,
}

impl<T> Answers<T> {
    pub(crate) fn new(
        space: Arc<Space<Peer>>,
        id: AckId,
        owing: HashMap<Name, AwaitsAck>,
        answers: mpsc::UnboundedReceiver<(Name, Args)>,
        until: Instant,
    ) -> Self {
        let time = Box::pin(sleep_until(until));
        Self { space, id, owing, answers, time, is_over: false, wanted: PhantomData }
    }

    /// How many have not answered yet.
    #[must_use]
    pub fn owing(&self) -> usize {
        self.owing.len()
    }
}

impl<T: DeserializeOwned> Answers<T> {
    /// Waits for all of them.
    ///
    /// # Errors
    /// [`Unanswered`], with the answers that came, when the time is over first.
    ///
    /// # Cancel safety
    /// Dropped, the answers that came are lost.
    pub async fn all(mut self) -> Result<Vec<T>, Unanswered<T>> {
        let (mut answers, mut wrong) = (Vec::new(), Vec::new());
        while let Some((id, answer)) = std::future::poll_fn(|cx| Pin::new(&mut self).poll_next(cx)).await {
            match answer {
                Ok(answer) => answers.push(answer),
                Err(error) => wrong.push((id, error)),
            }
        }
        if self.owing.is_empty() && wrong.is_empty() {
            return Ok(answers);
        }
        Err(Unanswered { answers, missing: self.owing.keys().cloned().collect(), wrong })
    }
}

impl<T: DeserializeOwned> Stream for Answers<T> {
    type Item = (Name, Result<T, ArgsError>);

    fn poll_next(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<Self::Item>> {
        if self.is_over {
            return Poll::Ready(None);
        }
        if let Poll::Ready(answer) = self.answers.poll_recv(cx) {
            let Some((id, args)) = answer else {
                self.is_over = true;
                return Poll::Ready(None);
            };
            self.owing.remove(&id);
            return Poll::Ready(Some((id, args.extract())));
        }
        match self.time.as_mut().poll(cx) {
            Poll::Ready(()) => {
                self.is_over = true;
                Poll::Ready(None)
            }
            Poll::Pending => Poll::Pending,
        }
    }
}

impl<T> Drop for Answers<T> {
    fn drop(&mut self) {
        self.space.polls.close(self.id);
    }
}

impl<T> fmt::Debug for Answers<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Answers").field("owing", &self.owing.len()).finish_non_exhaustive()
    }
}

impl<T> fmt::Display for Unanswered<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { answers, missing, wrong } = self;
        let asked = answers.len() + missing.len() + wrong.len();
        write!(f, "of {asked} sockets {} did not answer in time", missing.len())?;
        match wrong.len() {
            0 => Ok(()),
            wrong => write!(f, ", and {wrong} answered something else than was asked for"),
        }
    }
}

impl<T: fmt::Debug> std::error::Error for Unanswered<T> {}
