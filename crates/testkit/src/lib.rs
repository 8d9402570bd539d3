//! Test tools: frames written as words ([`frame`]), and one end of a connection that a test talks to in virtual time
//! ([`Side`]). Nothing but tests depends on this crate.
#![forbid(unsafe_code)]

pub mod frame;
mod side;

pub use frame::Frame;
pub use side::{Heard, Side};
