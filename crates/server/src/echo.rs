//! `/echo`: says hello, then gives everything back.

use axum::extract::Query;
use axum::response::Response;
use serde::Deserialize;
use switchboard_ws::{Context, Handler, MessageRef, WebSocketUpgrade};

/// What `/echo` says first.
pub const GREETING: &str = "This is Switchboard. It echoes what you send.";

#[derive(Debug, Deserialize)]
pub(crate) struct Options {
    /// `greet=0`: no greeting, for test suites.
    greet: Option<String>,
}

/// Opens an echoing WebSocket.
pub(crate) async fn echo(Query(options): Query<Options>, upgrade: WebSocketUpgrade) -> Response {
    let greet = options.greet.as_deref() != Some("0");
    upgrade.serve(|_| Echo { greet })
}

#[derive(Debug)]
struct Echo {
    greet: bool,
}

impl Handler for Echo {
    fn on_open(&mut self, cx: &mut Context<'_>) {
        if self.greet {
            cx.send(GREETING);
        }
    }

    fn on_message(&mut self, cx: &mut Context<'_>, message: MessageRef<'_>) {
        cx.send(message);
    }
}
