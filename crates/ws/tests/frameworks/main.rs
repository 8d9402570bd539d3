//! Upgrades inside hyper, axum and tower, over TCP: with tokio-tungstenite as the client, or byte by byte.
#![expect(clippy::unwrap_used, reason = "the helpers of tests are tests")]

mod in_axum;
mod in_hyper;
mod in_tower;
mod rules;
mod wire;
