//! All open connections of an endpoint, so that they can be closed at once and waited for.

use std::collections::HashMap;
use std::future::poll_fn;
use std::sync::{Arc, Mutex, MutexGuard, OnceLock, PoisonError};
use std::task::{Context, Poll, Waker};

use switchboard_ws_proto::{CloseCode, CloseFrame, SendError};

/// The open connections of an endpoint. Clones are the same set.
#[derive(Debug, Clone, Default)]
pub struct Connections(Arc<Inner>);

#[derive(Debug, Default)]
struct Inner {
    /// How everyone is to close, once that was decided.
    frame: OnceLock<CloseFrame>,
    state: Mutex<State>,
}

#[derive(Debug, Default)]
struct State {
    open: usize,
    drivers: HashMap<u64, Waker>,
    next: u64,
    /// Those who wait for the last connection to end.
    emptied: Vec<Waker>,
}

impl Connections {
    /// How many are open.
    #[must_use]
    pub fn count(&self) -> usize {
        self.lock().open
    }

    /// Closes all of them, each with the closing handshake, and every one that is opened later. The first call decides.
    ///
    /// # Errors
    /// [`SendError::InvalidCloseCode`] for a code that may not be sent: nothing is closed.
    pub fn close_all(&self, code: CloseCode, reason: &str) -> Result<(), SendError> {
        let frame = CloseFrame::new(code, reason)?;
        if self.0.frame.set(frame).is_ok() {
            let drivers = std::mem::take(&mut self.lock().drivers);
            drivers.into_values().for_each(Waker::wake);
        }
        Ok(())
    }

    /// Waits until none is open.
    ///
    /// # Cancel safety
    /// Dropping it changes nothing.
    pub async fn wait_closed(&self) {
        poll_fn(|cx| {
            let waker = cx.waker().clone();
            let mut state = self.lock();
            if state.open == 0 {
                return Poll::Ready(());
            }
            if !state.emptied.iter().any(|waiting| waiting.will_wake(&waker)) {
                state.emptied.push(waker);
            }
            Poll::Pending
        })
        .await;
    }

    /// Whether both are the same set.
    #[cfg(unix)]
    pub(crate) fn is(&self, other: &Self) -> bool {
        Arc::ptr_eq(&self.0, &other.0)
    }

    /// Hears when everyone is to close, without being a connection: for a driver of many of them.
    pub(crate) fn watch(&self) -> Watch {
        let mut state = self.lock();
        state.next += 1;
        Watch { connections: self.clone(), id: state.next, waker: None, told: false }
    }

    /// A seat for a connection that is opened now.
    pub(crate) fn enter(&self) -> Seat {
        self.enter_unseated();
        Seat { connections: self.clone() }
    }

    /// [`enter`](Self::enter) for those who remember by themselves to [`leave`](Self::leave).
    pub(crate) fn enter_unseated(&self) {
        self.lock().open += 1;
    }

    /// A connection is over.
    pub(crate) fn leave(&self) {
        let emptied = {
            let mut state = self.lock();
            state.open -= 1;
            if state.open == 0 { std::mem::take(&mut state.emptied) } else { Vec::new() }
        };
        emptied.into_iter().for_each(Waker::wake);
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        self.0.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// One connection's place among the open ones.
#[derive(Debug)]
pub(crate) struct Seat {
    connections: Connections,
}

impl Drop for Seat {
    fn drop(&mut self) {
        self.connections.leave();
    }
}

/// A driver's ear for when everyone is to close.
#[derive(Debug)]
pub(crate) struct Watch {
    connections: Connections,
    id: u64,
    /// Whom the set would wake. Kept here as well, so that a driver whose task stays the same takes no lock.
    waker: Option<Waker>,
    told: bool,
}

impl Watch {
    /// How to close, told once, when everyone is to close.
    pub(crate) fn poll_close(&mut self, cx: &mut Context<'_>) -> Option<CloseFrame> {
        if self.told {
            return None;
        }
        if !self.waker.as_ref().is_some_and(|waker| waker.will_wake(cx.waker())) {
            let waker = cx.waker().clone();
            self.waker = Some(waker.clone());
            let displaced = self.connections.lock().drivers.insert(self.id, waker);
            drop(displaced);
        }
        // Looked at after the waker is in place: whoever decides in between wakes it.
        let frame = self.connections.0.frame.get()?;
        self.told = true;
        Some(frame.clone())
    }

    /// How to close, if that was decided: for connections that come later.
    #[cfg(unix)]
    pub(crate) fn decided(&self) -> Option<CloseFrame> {
        self.connections.0.frame.get().cloned()
    }
}

impl Drop for Watch {
    fn drop(&mut self) {
        self.connections.lock().drivers.remove(&self.id);
    }
}
