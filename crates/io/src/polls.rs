//! Acks that many sockets were asked for at once: who still owes one, and where the answers go.

use std::collections::{HashMap, HashSet};
use std::sync::{Mutex, MutexGuard, PoisonError};

use switchboard_io_proto::socket::{AckId, Args, Name};
use tokio::sync::mpsc;

/// The open polls of a namespace.
#[derive(Debug, Default)]
pub(crate) struct Polls(Mutex<HashMap<AckId, Poll>>);

#[derive(Debug)]
struct Poll {
    owing: HashSet<Name>,
    answers: mpsc::UnboundedSender<(Name, Args)>,
}

impl Polls {
    /// Asks these sockets. The end of the channel that is given is let go of when all have answered; it gets one answer
    /// of each at most.
    pub(crate) fn open(&self, id: AckId, owing: HashSet<Name>, answers: mpsc::UnboundedSender<(Name, Args)>) {
        if !owing.is_empty() {
            self.lock().insert(id, Poll { owing, answers });
        }
    }

    /// A socket has answered; one that was not asked, or has answered before, is not heard.
    pub(crate) fn answer(&self, id: AckId, from: &Name, args: Args) {
        let mut polls = self.lock();
        let Some(poll) = polls.get_mut(&id) else { return };
        if !poll.owing.remove(from) {
            return;
        }
        let answers = poll.answers.clone();
        if poll.owing.is_empty() {
            polls.remove(&id);
        }
        drop(polls);
        // Who asked may have lost interest.
        let _ = answers.send((from.clone(), args));
    }

    /// Nobody is interested any more.
    pub(crate) fn close(&self, id: AckId) {
        self.lock().remove(&id);
    }

    fn lock(&self) -> MutexGuard<'_, HashMap<AckId, Poll>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_of_those_asked_is_heard_once() {
        let polls = Polls::default();
        let [ann, ben, eve] = ["ann", "ben", "eve"].map(Name::from);
        let (tell, mut answers) = mpsc::unbounded_channel();
        polls.open(7, HashSet::from([ann.clone(), ben.clone()]), tell);
        polls.answer(7, &eve, Args::default());
        polls.answer(7, &ann, Args::default());
        polls.answer(7, &ann, Args::default());
        assert_eq!(answers.try_recv().expect("Ann was asked").0, ann);
        assert_eq!(answers.try_recv(), Err(mpsc::error::TryRecvError::Empty));
        polls.answer(7, &ben, Args::default());
        assert_eq!(answers.try_recv().expect("Ben was asked").0, ben);
        assert_eq!(answers.try_recv(), Err(mpsc::error::TryRecvError::Disconnected), "all have answered");
    }

    #[test]
    fn a_poll_of_nobody_is_over_at_once() {
        let (tell, mut answers) = mpsc::unbounded_channel();
        Polls::default().open(1, HashSet::new(), tell);
        assert_eq!(answers.try_recv(), Err(mpsc::error::TryRecvError::Disconnected));
    }
}
