//! Conversations of frames in virtual time: what one end hears, and what it says and does then.
#![expect(clippy::unwrap_used, reason = "a test fails by panicking")]

mod chopping;
mod closing;
mod compression;
mod control;
mod memory;
mod messages;
mod room;
mod rules;
mod sending;
mod time;
