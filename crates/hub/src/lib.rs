//! Who hears what: bounded outboxes, topics, publish and subscribe, without a runtime.
//!
//! The crate knows no socket, no clock and no async runtime, and it spawns nothing. Waiting is expressed with
//! [`std::task::Waker`] alone, so any executor can drive it. What is carried is up to the user: anything that is a
//! [`Parcel`], usually a message that was encoded once and is cheap to clone.
//!
//! * An [`Outbox`] is the bounded queue of one connection. Publishers [`push`](Outbox::push) and never wait; senders
//!   [`try_push`](Outbox::try_push) or [`send`](Outbox::send) and may wait; one driver pops and writes to the peer.
//! * A [`Hub`] knows which outbox subscribed to which topic. Publishing puts a clone of the parcel into each of them.
//!
//! ```
//! use std::sync::Arc;
//! use switchboard_hub::{Hub, Limits, Outbox, Parcel};
//!
//! #[derive(Clone)]
//! struct Text(Arc<str>);
//! impl Parcel for Text {
//!     fn weight(&self) -> usize {
//!         self.0.len()
//!     }
//! }
//!
//! let hub = Hub::default();
//! let queue = Arc::new(Outbox::new(Limits::default()));
//! let ann = hub.join(Arc::new(Outbox::new(Limits::default())));
//! let ben = hub.join(Arc::clone(&queue));
//! ann.subscribe("lobby")?;
//! ben.subscribe("lobby")?;
//!
//! let delivery = ann.publish("lobby", Text("hello".into())); // to everyone but Ann
//! assert_eq!(delivery.reached, 1);
//! assert_eq!(queue.len(), 1);
//!
//! drop(ben); // a member that is dropped leaves every topic
//! assert_eq!(hub.count("lobby"), 1);
//! # Ok::<(), switchboard_hub::HubError>(())
//! ```
#![forbid(unsafe_code)]

mod door;
mod error;
mod flush;
mod hub;
mod limits;
mod line;
mod list;
mod member;
mod outbox;
mod outcome;
mod parcel;
mod port;
mod publication;
mod push;
mod roster;
mod slot;
mod sync;
mod topic;
mod topics;

pub use door::MemberId;
pub use error::{Closed, HubError, Refused};
pub use flush::Flush;
pub use hub::{Counters, Hub};
pub use limits::{HubLimits, Limits, Overflow, PortLimits};
pub use member::Member;
pub use outbox::Outbox;
pub use outcome::{Accepted, Delivery, Pushed};
pub use parcel::Parcel;
pub use port::Port;
pub use publication::Publication;
pub use push::Push;
pub use slot::SlotId;
pub use topic::Topic;
