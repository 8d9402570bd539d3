//! The answer that a client waits for.

use std::fmt;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use switchboard_io_proto::socket::{AckId, Arguments};

use crate::error::EmitError;
use crate::peer::Peer;
use crate::publish;

/// The answer that a client waits for, as an argument of a handler. An event that wants none comes with an `Ack` too;
/// what is sent by it goes nowhere. So does a second answer, also where several handlers hear one event.
pub struct Ack {
    peer: Arc<Peer>,
    id: Option<AckId>,
    answered: Answered,
}

/// Whether there was an answer.
enum Answered {
    Own(AtomicBool),
    /// By one of several handlers.
    Shared(Arc<AtomicBool>),
}

impl Ack {
    pub(crate) fn new(peer: &Arc<Peer>, id: Option<AckId>, shared: Option<Arc<AtomicBool>>) -> Self {
        let answered = shared.map_or_else(|| Answered::Own(AtomicBool::new(false)), Answered::Shared);
        Self { peer: Arc::clone(peer), id, answered }
    }

    /// Whether the client waits for an answer, and has none yet.
    #[must_use]
    pub fn is_wanted(&self) -> bool {
        self.id.is_some() && !self.answered().load(Ordering::Acquire)
    }

    /// Answers. A tuple is several arguments, `()` is none, everything else is one.
    ///
    /// # Errors
    /// It cannot be written (then there can still be another answer), or the socket is not connected any more.
    pub fn send<A: Arguments + ?Sized>(&self, args: &A) -> Result<(), EmitError> {
        let Some(id) = self.id else { return Ok(()) };
        if self.answered().swap(true, Ordering::AcqRel) {
            return Ok(());
        }
        let sent = publish::answer(&self.peer, id, args);
        if matches!(sent, Err(EmitError::Encode(_) | EmitError::TooManyAttachments { .. })) {
            self.answered().store(false, Ordering::Release);
        }
        sent
    }

    fn answered(&self) -> &AtomicBool {
        match &self.answered {
            Answered::Own(answered) => answered,
            Answered::Shared(answered) => answered,
        }
    }
}

impl fmt::Debug for Ack {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Ack").field("is_wanted", &self.is_wanted()).finish_non_exhaustive()
    }
}
