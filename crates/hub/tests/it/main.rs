//! Conversations with outboxes and hubs, by their public API alone.
#![cfg(not(loom))]

mod budget;
mod flush;
mod handover;
mod hub;
mod hub_model;
mod outbox;
mod outbox_model;
mod port;
mod push;
mod support;
mod threads;
