//! `/rooms/{name}`: what a member sends goes to the other members, Socket.IO clients that joined the room among them.

use axum::Json;
use axum::extract::{Path, Query, State};
use axum::http::StatusCode;
use axum::response::{IntoResponse, Response};
use serde::Deserialize;
use switchboard_io::{Namespace, NamespaceName};
use switchboard_ws::{CloseCode, Context, Handler, MessageRef, Parcel, Pass, Prepared, WebSocketUpgrade};

use crate::app::App;
use crate::names::LONGEST_ROOM;

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
    if name.len() > LONGEST_ROOM {
        let sentence = format!("The name of a room has {LONGEST_ROOM} bytes at most; this one has {}.\n", name.len());
        return (StatusCode::BAD_REQUEST, sentence).into_response();
    }
    let Some(upgrade) = upgrade else { return members(&app, &name) };
    upgrade.serve(|_| Member::new(&app, &name, &options, None))
}

fn members(app: &App, name: &str) -> Response {
    let members = match &app.sockets {
        // Of some of its members the hub does not know.
        Some(sockets) => sockets.main.count_in(name),
        None => app.hub().count(&topic(name)),
    };
    Json(serde_json::json!({ "room": name, "members": members })).into_response()
}

/// What the hub calls a room: the same as Socket.IO's main namespace does.
fn topic(name: &str) -> String {
    switchboard_io::topic(NamespaceName::root(), name)
}

/// One in a room.
pub(crate) struct Member {
    topic: String,
    include_self: bool,
    /// The Socket.IO clients that may be in the room too.
    sockets: Option<Namespace>,
    /// What admitted the client, where its transport does not hold that.
    _pass: Option<Pass>,
}

impl Member {
    pub(crate) fn new(app: &App, room: &str, options: &Options, pass: Option<Pass>) -> Self {
        Self {
            topic: topic(room),
            include_self: options.include_self.as_deref() == Some("1"),
            sockets: app.sockets.as_ref().map(|sockets| sockets.main.clone()),
            _pass: pass,
        }
    }
}

impl Handler for Member {
    fn on_open(&mut self, cx: &mut Context<'_>) {
        if let Err(error) = cx.subscribe(&self.topic) {
            // The name was measured before; a hub with other limits still says what is wrong.
            let _ = cx.close(CloseCode::POLICY, &error.to_string());
        }
    }

    fn on_message(&mut self, cx: &mut Context<'_>, message: MessageRef<'_>) {
        let mut publish = |parcel: Parcel| match self.include_self {
            true => cx.publish_parcel_to_all(&self.topic, parcel),
            false => cx.publish_parcel(&self.topic, parcel),
        };
        match &self.sockets {
            Some(sockets) => sockets.share(&self.topic, message, publish),
            None => publish(Prepared::from(message).into()),
        };
    }
}
