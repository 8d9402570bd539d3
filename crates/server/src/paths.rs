//! Where this server answers, besides Socket.IO, and what another answer there would hide.

use crate::pages;

/// A WebSocket that answers everything.
pub const ECHO: &str = "/echo";
/// The WebSocket of a room.
pub const ROOM: &str = "/rooms/{name}";
/// Whether the server is there.
pub const HEALTH: &str = "/health";
/// Its counters.
pub const METRICS: &str = "/metrics";

/// What of this server's own nobody could reach any more if something else were answered at a path and below it: the
/// first such route.
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
