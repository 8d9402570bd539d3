//! The way in that takes no detour: shards accept clients and read what they ask for. A WebSocket at one of our paths
//! is opened on the spot; everyone else is handed to the HTTP server, with what was read.

use axum::extract::Query;
use http::{Request, Uri};
use percent_encoding::percent_decode_str;
use switchboard_ws::{Config, Gate, Handler, NoRoom, Pass, PeerAddr, Reason, Visitor};

use crate::app::App;
use crate::listen::{Service, Visit};
use crate::socketio::Sockets;
use crate::{echo, hardening, names, rooms};

/// Knows who comes in, and where to.
#[derive(Debug)]
pub struct Doorkeeper {
    app: App,
    service: Service,
}

/// Socket.IO, if it would open a WebSocket for this request.
fn sockets<'a>(app: &'a App, request: &Request<()>) -> Option<&'a Sockets> {
    app.sockets.as_ref().filter(|sockets| sockets.server.engine().opens(request))
}

impl Doorkeeper {
    /// Opens what the routes would open; `service` answers everything else.
    #[must_use]
    pub fn new(app: App, service: Service) -> Self {
        Self { app, service }
    }
}

impl Gate for Doorkeeper {
    fn admit(&self, peer: PeerAddr) -> Result<Pass, NoRoom> {
        self.service.admit(peer)
    }

    fn config(&self, request: &Request<()>) -> Option<Config> {
        sockets(&self.app, request).map(|sockets| sockets.websocket.clone())
    }

    fn open(&self, request: &Request<()>, peer: PeerAddr, pass: Pass) -> Result<Box<dyn Handler>, Pass> {
        if let Some(sockets) = sockets(&self.app, request) {
            return sockets.server.engine().open(request, peer, pass);
        }
        let uri = request.uri();
        match uri.path() {
            "/echo" => match options(uri) {
                Some(options) => Ok(Box::new(echo::Echo::new(&options, Some(pass)))),
                None => Err(pass),
            },
            path => match (room(path, names::LONGEST_ROOM), options(uri)) {
                (Some(name), Some(options)) => Ok(Box::new(rooms::Member::new(&self.app, &name, &options, Some(pass)))),
                _ => Err(pass),
            },
        }
    }

    fn visit(&self, mut visitor: Visitor) {
        match &mut visitor.reason {
            Reason::TooSlow(rejection) => {
                hardening::add(rejection.headers_mut());
                let websocket = self.app.websocket.clone();
                tokio::spawn(async move {
                    let peer = visitor.peer;
                    let error = visitor.refuse(&websocket).await;
                    tracing::debug!(%peer, %error, "a client was too slow");
                });
            }
            // The same words as for those who come by other ways.
            _ => {
                let Visitor { io, read, peer, pass, .. } = visitor;
                self.service.visit(Visit { io, read, peer, pass });
            }
        }
    }
}

/// What the query says; nothing, when it is not understood: the HTTP server then says what is wrong with it.
fn options<T: serde::de::DeserializeOwned>(uri: &Uri) -> Option<T> {
    Query::try_from_uri(uri).ok().map(|Query(options)| options)
}

/// The name of a room in the path, unless there is something wrong with it.
fn room(path: &str, longest: usize) -> Option<String> {
    let name = path.strip_prefix("/rooms/").filter(|name| !name.is_empty() && !name.contains('/'))?;
    let name = percent_decode_str(name).decode_utf8().ok()?;
    (name.len() <= longest).then(|| name.into_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn rooms_are_read_as_the_routes_read_them() {
        for (path, name) in [
            ("/rooms/lobby", Some("lobby")),
            ("/rooms/a%20b", Some("a b")),
            ("/rooms/%C3%BC", Some("ü")),
            ("/rooms/a%2Fb", Some("a/b")),
            ("/rooms/%FF", None),
            ("/rooms/", None),
            ("/rooms/a/b", None),
            ("/rooms", None),
            ("/echo", None),
        ] {
            assert_eq!(room(path, 10).as_deref(), name, "{path}");
        }
        assert_eq!(room("/rooms/%C3%BC%C3%BC", 3), None, "four bytes are too many");
    }
}
