//! Which path does what.

use std::sync::Arc;

use axum::Router;
use axum::http::StatusCode;
use axum::routing::get;

use crate::app::App;
use crate::paths::{ECHO, HEALTH, METRICS, ROOM};
use crate::{echo, hardening, metrics, pages, rooms};

/// All routes; with the chat page or without.
pub fn router(app: App, demo: bool) -> Router {
    let mut router = Router::new()
        .route(ECHO, get(echo::echo))
        .route(ROOM, get(rooms::room))
        .route(HEALTH, get(health))
        .route(METRICS, get(metrics::metrics));
    if demo {
        let attributes: Arc<str> =
            app.sockets.as_ref().map_or("data-socketio=\"off\"", |sockets| &*sockets.attributes).into();
        for file in pages::FILES {
            let attributes = Arc::clone(&attributes);
            router = router.route(file.path, get(async move || file.with_attributes(&attributes)));
        }
    }
    // By the extension, requests that are no proper ones are counted where all others are.
    let configured = axum::Extension(app.websocket.clone());
    router = router.fallback(not_found).method_not_allowed_fallback(not_allowed);
    if let Some(sockets) = &app.sockets {
        router = router.layer(sockets.server.layer());
    }
    router.layer(axum::middleware::map_response(hardening::harden)).layer(configured).with_state(app)
}

async fn health() -> &'static str {
    "ok\n"
}

async fn not_found() -> (StatusCode, &'static str) {
    (StatusCode::NOT_FOUND, "There is nothing here. Try /echo or /rooms/lobby with a WebSocket, /health or /metrics.\n")
}

async fn not_allowed() -> (StatusCode, &'static str) {
    (StatusCode::METHOD_NOT_ALLOWED, "Only GET is understood here.\n")
}
