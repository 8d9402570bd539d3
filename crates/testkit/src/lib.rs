//! Test tools: frames written as words ([`frame`]), and one end of a connection that a test talks to in virtual time
//! ([`Side`]). For tests of whole programs (feature `live`): the program, and a client that says whatever it likes on its
//! sockets. Nothing but tests depends on this crate.
#![forbid(unsafe_code)]

pub mod frame;
#[cfg(feature = "live")]
mod program;
mod side;
#[cfg(feature = "live")]
mod wire;

pub use frame::Frame;
#[cfg(feature = "live")]
pub use program::{Ended, Program, within};
pub use side::{Heard, Side};
#[cfg(feature = "live")]
pub use wire::{Response, Wire};
