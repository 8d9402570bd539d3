//! Who hears what: bounded outboxes, topics, publish and subscribe, without a runtime.
//!
//! The crate knows no socket, no clock and no async runtime, and it spawns nothing. Waiting is expressed with
//! [`std::task::Waker`] alone, so any executor can drive it. What is carried is up to the user: anything that is a
//! [`Parcel`], usually a message that was encoded once and is cheap to clone.
//!
//! * An [`Outbox`] is the bounded queue of one connection. Publishers [`push`](Outbox::push) and never wait; senders
//!   [`try_push`](Outbox::try_push) or [`send`](Outbox::send) and may wait; one driver pops and writes to the peer.
//! * A [`Hub`] knows which outbox subscribed to which topic. Publishing puts a clone of the parcel into each of them.
//! * A [`Port`] stands for many connections that one task serves, a *shard*. Publishing puts one clone of the parcel into
//!   it, with the list of those of its connections that it is for.
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
//!
//! The same for a shard, which keeps its connections in a table and names their places:
//!
//! ```
//! # use std::sync::Arc;
//! # use std::task::{Context, Waker};
//! # use switchboard_hub::{Hub, Parcel, Port, SlotId};
//! # #[derive(Clone)]
//! # struct Text(Arc<str>);
//! # impl Parcel for Text {
//! #     fn weight(&self) -> usize {
//! #         self.0.len()
//! #     }
//! # }
//! let hub = Hub::default();
//! let port = Arc::new(Port::default());
//! let [ann, ben, cem] = [0, 1, 2].map(|key| hub.join_slot(&port, SlotId { key, generation: 0 }));
//! for member in [&ann, &ben, &cem] {
//!     member.subscribe("lobby")?;
//! }
//! assert_eq!(ann.publish("lobby", Text("hello".into())).reached, 2);
//!
//! // In the shard's task, with its own waker:
//! let mut taken = Vec::new();
//! assert!(port.poll_take(&mut Context::from_waker(Waker::noop()), &mut taken).is_ready());
//! for publication in taken.drain(..) {
//!     assert_eq!(&*publication.parcel().0, "hello");
//!     // Those whose place has another generation by now have left.
//!     assert!(publication.receivers().map(|slot| slot.key).eq([1, 2]));
//! }
//! # Ok::<(), switchboard_hub::HubError>(())
//! ```
//!
//! # Checking it
//!
//! Where threads meet, loom tries the orders in which they can take turns:
//! `RUSTFLAGS="--cfg loom" cargo test -p switchboard-hub --release --test loom`. `./test --only loom` does that, with a
//! target directory of its own, because the flag would make everything else be built anew.
#![forbid(unsafe_code)]

mod audience;
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
mod selection;
mod slot;
mod sync;
mod topic;
mod topics;

pub use audience::Audience;
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
pub use switchboard_budget::Budget;
pub use topic::Topic;
