//! `/rooms/{name}`: what a member sends goes to the other members.

use axum::Json;
use axum::extract::{Path, Query, State};
use axum::http::StatusCode;
use axum::response::{IntoResponse, Response};
use serde::Deserialize;
use switchboard_ws::{CloseCode, Context, Handler, Hub, MessageRef, Pass, WebSocketUpgrade};

use crate::app::App;

#[derive(Debug, Deserialize)]
pub(crate) struct Options {
    /// `self=1`: the sender hears its own messages too.
    #[serde(rename = "self")]
    include_self: Option<String>,
}

/// Joins a room as a WebSocket, or tells how many are in it.
pub(crate) async fn room(
    State(app): State<App>,
    Path(name): Path<String>,
    Query(options): Query<Options>,
    upgrade: Option<WebSocketUpgrade>,
) -> Response {
    let longest = app.hub().limits().topic_bytes;
    if name.len() > longest {
        let sentence = format!("The name of a room has {longest} bytes at most; this one has {}.\n", name.len());
        return (StatusCode::BAD_REQUEST, sentence).into_response();
    }
    let Some(upgrade) = upgrade else { return members(app.hub(), &name) };
    upgrade.serve(|_| Member::new(name, &options, None))
}

fn members(hub: &Hub, name: &str) -> Response {
    Json(serde_json::json!({ "room": name, "members": hub.count(name) })).into_response()
}

/// One in a room.
pub(crate) struct Member {
    room: String,
    include_self: bool,
    /// What admitted the client, where its transport does not hold that.
    _pass: Option<Pass>,
}

impl Member {
    pub(crate) fn new(room: String, options: &Options, pass: Option<Pass>) -> Self {
        Self { room, include_self: options.include_self.as_deref() == Some("1"), _pass: pass }
    }
}

impl Handler for Member {
    fn on_open(&mut self, cx: &mut Context<'_>) {
        if let Err(error) = cx.subscribe(&self.room) {
            // The name was measured before; a hub with other limits still says what is wrong.
            let _ = cx.close(CloseCode::POLICY, &error.to_string());
        }
    }

    fn on_message(&mut self, cx: &mut Context<'_>, message: MessageRef<'_>) {
        match self.include_self {
            true => cx.publish_to_all(&self.room, message),
            false => cx.publish(&self.room, message),
        };
    }
}
