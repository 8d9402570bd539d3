//! Acks that this server asked for: of one socket, a future; of many, a stream of answers, or all of them at once.

use std::collections::HashMap;
use std::fmt;
use std::marker::PhantomData;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};

use futures_core::Stream;
use serde::de::DeserializeOwned;
use smallvec::SmallVec;
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

/// The answers of many sockets to one event, as they come: a [`Stream`], which ends when all have answered or the time is
/// over. [`all`](Self::all) collects them.
///
/// With each answer comes the id of its socket where that is known: of all sockets of this server. The servers of a
/// cluster, as Node's adapters have it, tell each other answers and how many sockets were asked, and not which.
///
/// An answer of another type than `T` is an error of its own and ends nothing. Dropped, nobody waits any more.
#[must_use = "streams do nothing unless polled"]
pub struct Answers<T> {
    /// The namespaces that were asked, most often one, and by which id.
    asked: SmallVec<[(Arc<Space<Peer>>, AckId); 1]>,
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
#[non_exhaustive]
pub struct Unanswered<T> {
    /// The answers that did come.
    pub answers: Vec<T>,
    /// How many sockets did not answer in time.
    pub missing: usize,
    /// The ids of those of them whose id is known: of all that are on this server.
    pub missing_ids: Vec<Name>,
    /// Answers of another type than was asked for, by the id of the socket where that is known.
    pub wrong: Vec<(Option<Name>, ArgsError)>,
}

impl<T> Answers<T> {
    /// Nobody is asked yet.
    pub(crate) fn new(answers: mpsc::UnboundedReceiver<(Name, Args)>, until: Instant) -> Self {
        let time = Box::pin(sleep_until(until));
        let (asked, owing) = (SmallVec::new(), HashMap::new());
        Self { asked, owing, answers, time, is_over: false, wanted: PhantomData }
    }

    /// These sockets of a namespace are asked by an event of this id. Their poll is closed when this is dropped.
    pub(crate) fn expect(&mut self, space: &Arc<Space<Peer>>, id: AckId, owing: HashMap<Name, AwaitsAck>) {
        self.asked.push((Arc::clone(space), id));
        if self.owing.is_empty() {
            self.owing = owing;
        } else {
            self.owing.extend(owing);
        }
    }

    /// How many have not answered yet, of those who are known to be asked: other servers of a cluster tell only later how
    /// many of theirs are.
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
        let missing_ids: Vec<Name> = self.owing.keys().cloned().collect();
        Err(Unanswered { answers, missing: missing_ids.len(), missing_ids, wrong })
    }
}

impl<T: DeserializeOwned> Stream for Answers<T> {
    type Item = (Option<Name>, Result<T, ArgsError>);

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
            return Poll::Ready(Some((Some(id), args.extract())));
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
        self.asked.iter().for_each(|(space, id)| space.polls.close(*id));
    }
}

impl<T> fmt::Debug for Answers<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Answers").field("owing", &self.owing.len()).finish_non_exhaustive()
    }
}

impl<T> fmt::Display for Unanswered<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { answers, missing, wrong, .. } = self;
        let asked = answers.len() + missing + wrong.len();
        write!(f, "of {asked} sockets {missing} did not answer in time")?;
        match wrong.len() {
            0 => Ok(()),
            wrong => write!(f, ", and {wrong} answered something else than was asked for"),
        }
    }
}

impl<T: fmt::Debug> std::error::Error for Unanswered<T> {}
