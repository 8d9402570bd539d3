//! `/echo`: says hello, then gives everything back.

use axum::extract::Query;
use axum::response::Response;
use serde::Deserialize;
use switchboard_ws::{Context, Handler, Message, MessageRef, Pass, WebSocketUpgrade};

/// What `/echo` says first.
pub const GREETING: &str = "This is Switchboard. It echoes what you send.";

#[derive(Debug, Deserialize)]
pub(crate) struct Options {
    /// `greet=0`: no greeting, for test suites.
    greet: Option<String>,
}

/// Opens an echoing WebSocket.
pub(crate) async fn echo(Query(options): Query<Options>, upgrade: WebSocketUpgrade) -> Response {
    upgrade.serve(|_| Echo::new(&options, None))
}

/// Gives everything back.
pub(crate) struct Echo {
    greet: bool,
    /// What admitted the client, where its transport does not hold that.
    _pass: Option<Pass>,
}

impl Echo {
    pub(crate) fn new(options: &Options, pass: Option<Pass>) -> Self {
        Self { greet: options.greet.as_deref() != Some("0"), _pass: pass }
    }
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

    fn on_owned_message(&mut self, cx: &mut Context<'_>, message: Message) {
        cx.send_owned(message);
    }
}
