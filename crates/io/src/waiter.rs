//! Who waits for an ack: a task, or a function that is called in any case.

use switchboard_io_proto::socket::Args;
use tokio::sync::oneshot;

use crate::error::AckError;
use crate::guarded::guarded;

/// Who is told of an ack. Dropped, it will not come.
pub(crate) enum Waiter {
    Task(oneshot::Sender<Args>),
    Function(Then),
}

impl Waiter {
    /// The answer has come.
    pub(crate) fn tell(self, args: Args) {
        match self {
            // Whoever asked may have lost interest.
            Self::Task(task) => drop(task.send(args)),
            Self::Function(then) => then.call(Ok(args)),
        }
    }
}

/// A function that is to be called once: at the latest when it is dropped, as the ack of a socket that is gone.
pub(crate) struct Then(Option<Box<Function>>);

type Function = dyn FnOnce(Result<Args, AckError>) + Send;

impl Then {
    pub(crate) fn new(then: impl FnOnce(Result<Args, AckError>) + Send + 'static) -> Self {
        Self(Some(Box::new(then)))
    }

    pub(crate) fn call(mut self, answer: Result<Args, AckError>) {
        if let Some(then) = self.0.take() {
            then(answer);
        }
    }

    /// It is not called at all.
    pub(crate) fn disarm(mut self) {
        self.0 = None;
    }
}

impl Drop for Then {
    fn drop(&mut self) {
        if let Some(then) = self.0.take() {
            // Of many that are dropped together a second panic would end the process.
            guarded("a function that waits for an ack", || then(Err(AckError::Disconnected)));
        }
    }
}
