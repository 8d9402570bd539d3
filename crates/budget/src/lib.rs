//! How much memory a server may hold for its peers: counted, bounded, and who has to go when it is short.
//!
//! Limits of single connections do not bound a server: their sum does not. A [`Budget`] is that bound. Whatever is held
//! for a peer beyond a turn of its driver (a message that is put together, a queue, a buffer between two polls) is
//! counted by a [`Hold`], or, where many queues share it, by a [`Charge`].
//!
//! * From 80 % on what [nobody needs](Reserve) goes, and [strangers](Holder::is_stranger) if together they hold what is
//!   too much, until what is left is 70 %: so there is room for who needs much at once.
//! * From [90 %](Budget::is_tight) on nobody new is [admitted](Budget::admit), and those who hold most are
//!   [evicted](Holder::evict), the largest first, until what is left is 80 %.
//! * From 95 % on no buffer grows by 16 KiB or more, and those who hold little go too until what is left is 90 %. At
//!   [100 %](Budget::is_full) none grows at all: what [`Hold::try_set`] refuses is not allocated.
//!
//! Counting is two additions in a cache line of the thread's own. The sum that decisions are made by follows in steps
//! of 16 KiB per lane, of which there are 16: it is at most 256 KiB behind.
//!
//! ```
//! use switchboard_budget::{Budget, Part};
//!
//! let budget = Budget::new(64 << 20);
//! let mut hold = budget.hold(Part::Reading);
//! hold.try_set(1 << 20)?; // before the megabyte is allocated
//! assert_eq!(budget.usage().expect("it has a limit").used, 1 << 20);
//! drop(hold); // with the megabyte
//! assert!(budget.admit());
//! # Ok::<(), switchboard_budget::Exhausted>(())
//! ```
//!
//! The crate knows no socket, no clock and no runtime.
#![forbid(unsafe_code)]

mod budget;
mod charge;
mod hold;
mod holder;
mod ledger;
mod part;

pub use budget::{Budget, Usage};
pub use charge::Charge;
pub use hold::{Exhausted, Hold};
pub use holder::{Holder, LEAST, Reserve, Watch};
pub use part::Part;
