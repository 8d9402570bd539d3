//! Events between the servers of a cluster (`serverSideEmit` in Node): who listens here. They never reach the server
//! that sends them, so a server alone hears none.

use std::collections::HashMap;
use std::future::Future;
use std::pin::Pin;
use std::sync::{Arc, PoisonError, RwLock};

use switchboard_io_proto::socket::{Args, Name};

/// Whether a name is one that Node's namespaces use for events of their own: servers do not send each other such.
pub(crate) fn is_reserved(event: &str) -> bool {
    matches!(event, "connect" | "connection" | "new_namespace")
}

/// What a listener answers; nobody reads it unless the sender wanted acks.
pub(crate) type Answering = Pin<Box<dyn Future<Output = Args> + Send>>;

/// Hears what another server says.
pub(crate) type ServerListener = Arc<dyn Fn(Args) -> Answering + Send + Sync>;

/// The listeners of a namespace.
#[derive(Default)]
pub(crate) struct ServerEvents(RwLock<HashMap<Name, Vec<ServerListener>>>);

impl ServerEvents {
    pub(crate) fn add(&self, event: Name, listener: ServerListener) {
        self.0.write().unwrap_or_else(PoisonError::into_inner).entry(event).or_default().push(listener);
    }

    /// Another server has said this: the listeners' answers.
    pub(crate) fn hear(&self, event: &str, args: &Args) -> Vec<Answering> {
        let listeners = self.0.read().unwrap_or_else(PoisonError::into_inner).get(event).cloned().unwrap_or_default();
        listeners.iter().map(|listener| listener(args.clone())).collect()
    }
}
