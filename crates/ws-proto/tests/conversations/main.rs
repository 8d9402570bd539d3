//! Conversations of frames in virtual time: what one end hears, and what it says and does then.

mod chopping;
mod closing;
mod control;
mod messages;
mod rules;
mod sending;
mod time;
