//! Which path does what.

use axum::Router;
use axum::http::StatusCode;
use axum::response::IntoResponse as _;
use axum::routing::get;

use crate::app::App;
use crate::{echo, hardening, metrics, pages, rooms};

/// What is answered beside the chat page.
const ECHO: &str = "/echo";
const ROOM: &str = "/rooms/{name}";
const HEALTH: &str = "/health";
const METRICS: &str = "/metrics";

/// What of this server's own nobody could reach any more if something else were answered at a path and below it: the first
/// such route.
#[must_use]
pub fn hidden_by(path: &str) -> Option<&'static str> {
    let path = path.trim_end_matches('/');
    let is_below =
        |one: &str, other: &str| one.strip_prefix(other).is_some_and(|rest| rest.is_empty() || rest.starts_with('/'));
    let hides = |route: &str| {
        // Whatever name a room has.
        let is_room = route == ROOM && path.starts_with(ROOM.trim_end_matches("{name}"));
        is_room || is_below(route.trim_end_matches('/'), path)
    };
    let pages = pages::FILES.iter().map(|file| file.path);
    [ECHO, ROOM, HEALTH, METRICS].into_iter().chain(pages).find(|route| hides(route))
}

/// All routes; with the chat page or without.
pub fn router(app: App, demo: bool) -> Router {
    let mut router = Router::new()
        .route(ECHO, get(echo::echo))
        .route(ROOM, get(rooms::room))
        .route(HEALTH, get(health))
        .route(METRICS, get(metrics::metrics));
    if demo {
        for file in pages::FILES {
            let sockets = app.sockets.is_some();
            let answer =
                move || async move { if sockets { file.into_response() } else { file.answer_without_socketio() } };
            router = router.route(file.path, get(answer));
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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_a_path_hides_is_found() {
        for (path, route) in [
            ("/echo", ECHO),
            ("/echo/", ECHO),
            ("/rooms", ROOM),
            ("/rooms/", ROOM),
            ("/rooms/lobby", ROOM),
            ("/health", HEALTH),
            ("/metrics", METRICS),
            ("/chat.js", "/chat.js"),
            ("/", ECHO),
        ] {
            assert_eq!(hidden_by(path), Some(route), "{path}");
        }
        for path in ["/socket.io", "/echoes", "/room", "/roomsful", "/metrics.io", "/a/echo"] {
            assert_eq!(hidden_by(path), None, "{path}");
        }
    }
}
