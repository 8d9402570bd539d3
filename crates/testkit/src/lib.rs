//! Test tools: frames written as words ([`frame`]), and one end of a connection that a test talks to in virtual time
//! ([`Side`]). For tests of whole programs (feature `live`): the program, and a client that says whatever it likes on
//! its sockets, which notes how it is refused ([`refusals`]). For tests of what transports can do to us (feature
//! `faults`): [`Faults`]. For tests of what we allocate (feature `counting`): [`Counting`](counting::Counting). Nothing
//! but tests depends on this crate.

#[cfg(feature = "counting")]
pub mod blocking;
#[cfg(feature = "counting")]
pub mod counting;
#[cfg(feature = "faults")]
pub mod faults;
pub mod frame;
#[cfg(feature = "live")]
mod program;
#[cfg(feature = "live")]
pub mod refusals;
mod side;
#[cfg(feature = "live")]
mod wire;

#[cfg(feature = "faults")]
pub use faults::{Fault, Faults};
pub use frame::Frame;
#[cfg(feature = "live")]
pub use program::{Ended, Program, within};
pub use side::{Heard, Side};
#[cfg(feature = "live")]
pub use wire::{Response, Wire};
