//! Settings of the Socket.IO half; those of the engine are the engine's own.

use std::any::{Any, TypeId};
use std::collections::HashMap;
use std::sync::Arc;
use std::time::Duration;

use switchboard_io_proto::socket::{Limits, Parser};
use switchboard_ws::PerAddress;

use crate::plain_form::PlainForm;

/// What is set once for a server and all its namespaces. Public for documents that list defaults, and no further.
#[derive(Debug, Clone)]
pub struct Settings {
    pub(crate) parser: Parser,
    /// Of a packet that a client sends.
    pub limits: Limits,
    /// Attachments of a packet that this server sends.
    pub outgoing_attachments: usize,
    /// A client joins a namespace within this time, or is closed.
    pub connect_timeout: Duration,
    /// The attachments of a packet come within this time, or the client is closed.
    pub attachments_timeout: Duration,
    /// How long acks are awaited that were asked for without a timeout of their own; `None`: as long as the socket
    /// lasts.
    pub(crate) ack_timeout: Option<Duration>,
    /// Acks awaited from one socket.
    pub max_acks: usize,
    /// Namespaces that one client may be in.
    pub max_namespaces: usize,
    /// Bytes that a client may say of itself when it asks for a namespace: its `auth`, and the name.
    pub max_auth: usize,
    /// Child namespaces that all clients together may have made.
    pub max_child_namespaces: usize,
    /// Of those, the ones that the clients of one address may have made.
    pub child_namespaces_per_address: PerAddress,
    /// Handlers of one client that may be under way.
    pub in_flight: usize,
    pub(crate) cleanup_empty_child_namespaces: bool,
    pub(crate) state: States,
    /// How plain WebSockets hear events. `None`: not at all.
    pub(crate) plain_form: Option<PlainForm>,
}

impl Default for Settings {
    fn default() -> Self {
        Self {
            parser: Parser::default(),
            limits: Limits::default(),
            outgoing_attachments: 10,
            connect_timeout: Duration::from_secs(45),
            attachments_timeout: Duration::from_secs(60),
            ack_timeout: None,
            max_acks: 1024,
            max_namespaces: 64,
            max_auth: 16 << 10,
            max_child_namespaces: 10_000,
            child_namespaces_per_address: PerAddress::Unlimited,
            in_flight: 64,
            cleanup_empty_child_namespaces: false,
            state: States::default(),
            plain_form: None,
        }
    }
}

/// What handlers get by the extractor `State`: one value of each type.
#[derive(Debug, Clone, Default)]
pub(crate) struct States(HashMap<TypeId, Arc<dyn Any + Send + Sync>>);

impl States {
    pub(crate) fn insert<T: Send + Sync + 'static>(&mut self, state: T) {
        self.0.insert(TypeId::of::<T>(), Arc::new(state));
    }

    pub(crate) fn get<T: Send + Sync + 'static>(&self) -> Option<&T> {
        self.0.get(&TypeId::of::<T>())?.downcast_ref()
    }
}
