//! One message that looks different on different kinds of connections: encoded once for each kind, and published once.

use std::fmt::Debug;

use switchboard_budget::Budget;
use switchboard_ws_proto::Prepared;

/// A kind of connection, numbered by the protocol that is spoken over it. A connection has the default, zero, until
/// [`Context::set_form`](crate::Context::set_form) says otherwise: a WebSocket and no more.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Form(pub u8);

/// A message in all its forms, for [`Parcel`](crate::Parcel). None of these methods should block or take long: they may
/// be asked once for each receiver, while that has its turn. (A form that is costly to make is made when it is first
/// asked for, and kept.) A connection whose form panics does without the message, which is counted as dropped.
pub trait Forms: Debug + Send + Sync + 'static {
    /// The messages to send on connections of this kind, in a row and with no other message in between. None: it is not
    /// for them.
    fn frames(&self, form: Form) -> &[Prepared];

    /// The bytes that it takes on the wire, about: what counts towards the bounds of outboxes.
    fn weight(&self) -> usize;

    /// Whether it is to be thrown away for a peer that lags, in place of being queued. Default: no. See
    /// [`Parcel`](crate::Parcel).
    fn is_volatile(&self) -> bool {
        false
    }

    /// Counts itself in a budget, once for as long as it lives, however many queues hold it. `false`, as by default:
    /// each queue counts its [weight](Self::weight).
    fn count(&self, budget: &Budget) -> bool {
        let _ = budget;
        false
    }

    /// Whether it is to be compressed, where that was negotiated and it is long enough. Default: yes.
    fn is_compressed(&self) -> bool {
        true
    }
}
