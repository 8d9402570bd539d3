//! What a socket listens to.

use std::sync::Arc;
use std::sync::atomic::Ordering;

use switchboard_io_proto::socket::{Args, Name, is_reserved};

use crate::handler::{Erased, Handler, Middleware};
use crate::listeners::{For, ListenerId};
use crate::socket::Socket;

/// Listeners. Any number may be added for an event; they are called in the order in which they were added.
impl Socket {
    /// Calls a handler for each event of this name.
    ///
    /// As in Node, `disconnect` and `disconnecting` mean the end of the socket, as by
    /// [`on_disconnect`](Self::on_disconnect) and [`on_disconnecting`](Self::on_disconnecting), and who listens to
    /// `error` is told of failures as well, as by [`on_error`](Self::on_error).
    ///
    /// ```no_run
    /// # use switchboard_io::{Ack, Data, Socket, EmitError};
    /// # fn connected(socket: &Socket) {
    /// socket.on("say", async |socket: Socket, Data((room, text)): Data<(String, String)>, ack: Ack| {
    ///     socket.to(room).emit("said", &text)?;
    ///     ack.send("ok")
    /// });
    /// # }
    /// ```
    ///
    /// # Panics
    /// No client can send an event of this name: it is one of the others that are [reserved](crate::is_reserved).
    #[track_caller]
    pub fn on<M: 'static>(&self, event: impl Into<Name>, handler: impl Handler<M>) -> ListenerId {
        self.0.listeners.add(audible(event.into()), false, false, Erased::new(handler))
    }

    /// Calls a handler for the next event of this name, and not again.
    ///
    /// # Panics
    /// As [`on`](Self::on).
    #[track_caller]
    pub fn once<M: 'static>(&self, event: impl Into<Name>, handler: impl Handler<M>) -> ListenerId {
        self.0.listeners.add(audible(event.into()), true, false, Erased::new(handler))
    }

    /// Removes all handlers for events of this name.
    pub fn off(&self, event: impl Into<Name>) {
        self.0.listeners.remove_all(&For::name(event.into()));
    }

    /// Removes one listener of any kind; `false` if it is not there any more.
    pub fn remove_listener(&self, listener: ListenerId) -> bool {
        let was_onlooker = self.0.listeners.is_onlooker(listener);
        let removed = self.0.listeners.remove(listener);
        if removed && was_onlooker {
            self.0.space.onlookers.fetch_sub(1, Ordering::Relaxed);
        }
        removed
    }

    /// Removes all handlers but those for every event; these, functions that see what is sent, and middlewares stay, as in
    /// Node.
    pub fn remove_all_listeners(&self) {
        self.0.listeners.remove_named();
    }

    /// The names by which there are handlers, each once, in the order in which they were added.
    #[must_use]
    pub fn event_names(&self) -> Vec<Name> {
        self.0.listeners.names()
    }

    /// How many handlers there are for events of this name.
    #[must_use]
    pub fn listener_count(&self, event: impl Into<Name>) -> usize {
        self.0.listeners.count(&For::name(event.into()))
    }

    /// Calls a handler for every event that comes, before those for the event itself. The event's name comes by the
    /// extractor [`Event`](crate::Event).
    pub fn on_any<M: 'static>(&self, handler: impl Handler<M>) -> ListenerId {
        self.0.listeners.add(For::Any, false, false, Erased::new(handler))
    }

    /// [`on_any`](Self::on_any), before all other listeners.
    pub fn prepend_any<M: 'static>(&self, handler: impl Handler<M>) -> ListenerId {
        self.0.listeners.add(For::Any, false, true, Erased::new(handler))
    }

    /// Removes all handlers for every event that comes.
    pub fn off_any(&self) {
        self.0.listeners.remove_all(&For::Any);
    }

    /// How many handlers there are for every event that comes.
    #[must_use]
    pub fn any_listener_count(&self) -> usize {
        self.0.listeners.count(&For::Any)
    }

    /// Calls a function with the name and the arguments of every event that is sent to this socket, broadcasts
    /// included. It is called by whoever sends, and should not block.
    pub fn on_any_outgoing(&self, see: impl Fn(&str, &Args) + Send + Sync + 'static) -> ListenerId {
        self.0.space.onlookers.fetch_add(1, Ordering::Relaxed);
        self.0.listeners.add_onlooker(false, Arc::new(see))
    }

    /// [`on_any_outgoing`](Self::on_any_outgoing), before the others.
    pub fn prepend_any_outgoing(&self, see: impl Fn(&str, &Args) + Send + Sync + 'static) -> ListenerId {
        self.0.space.onlookers.fetch_add(1, Ordering::Relaxed);
        self.0.listeners.add_onlooker(true, Arc::new(see))
    }

    /// Removes all functions that see what is sent.
    pub fn off_any_outgoing(&self) {
        let removed = self.0.listeners.remove_onlookers();
        self.0.space.onlookers.fetch_sub(removed, Ordering::Relaxed);
    }

    /// How many functions see what is sent.
    #[must_use]
    pub fn any_outgoing_listener_count(&self) -> usize {
        self.0.listeners.count_onlookers()
    }

    /// Asks a middleware about each event before its handlers are called, in the order in which middlewares were added.
    /// One that refuses keeps the event from them; [`on_error`](Self::on_error) listeners are told.
    pub fn use_<M: 'static>(&self, middleware: impl Middleware<M>) {
        self.0.listeners.add_guard(Erased::new(middleware));
    }

    /// Calls a handler when the socket is about to leave, still in its rooms. Why comes by
    /// [`DisconnectReason`](crate::DisconnectReason).
    pub fn on_disconnecting<M: 'static>(&self, handler: impl Handler<M>) -> ListenerId {
        self.0.listeners.add(For::Disconnecting, false, false, Erased::new(handler))
    }

    /// Calls a handler when the socket has left.
    pub fn on_disconnect<M: 'static>(&self, handler: impl Handler<M>) -> ListenerId {
        self.0.listeners.add(For::Disconnect, false, false, Erased::new(handler))
    }

    /// Calls a handler when the client has gone over from polling to a WebSocket (Node: `socket.conn.on("upgrade")`), with
    /// the word `websocket`. A client does that once at most, and may have done it before the handler is there:
    /// [`transport`](Self::transport), asked after this, tells.
    pub fn on_upgrade<M: 'static>(&self, handler: impl Handler<M>) -> ListenerId {
        self.0.listeners.add(For::Upgrade, false, false, Erased::new(handler))
    }

    /// Calls a handler when something could not be done for this socket: its client broke a rule of the protocol, sent
    /// arguments that no handler asks for, was refused by a middleware, or a handler returned an error. What it was
    /// comes as a sentence, and a refusal's details behind it: `Data<(String, Value)>`. What the handler itself fails
    /// with goes to the log.
    pub fn on_error<M: 'static>(&self, handler: impl Handler<M>) -> ListenerId {
        self.0.listeners.add(For::Error, false, false, Erased::new(handler))
    }
}

/// What a handler is to hear by this name. One that could never be called is a mistake of whoever adds it, and would be
/// a puzzle if it were taken.
#[track_caller]
fn audible(event: Name) -> For {
    let what = For::name(event);
    if let For::Event(name) = &what {
        assert!(!is_reserved(name), "`{name}` is reserved: no client can send an event of this name");
    }
    what
}
