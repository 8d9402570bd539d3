//! How plain WebSockets in the topics of rooms hear what is sent to sockets there: as a function of the application's
//! says.

use std::fmt;
use std::sync::Arc;

use switchboard_io_proto::socket::{Args, Name};
use switchboard_ws::Prepared;

/// How plain WebSockets hear events.
#[derive(Clone)]
pub(crate) struct PlainForm(Arc<Tell>);

type Tell = dyn Fn(&Name, &Args) -> Option<Prepared> + Send + Sync;

impl PlainForm {
    pub(crate) fn new(form: impl Fn(&Name, &Args) -> Option<Prepared> + Send + Sync + 'static) -> Self {
        Self(Arc::new(form))
    }

    pub(crate) fn tell(&self, event: &Name, args: &Args) -> Option<Prepared> {
        (self.0)(event, args)
    }
}

impl fmt::Debug for PlainForm {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("PlainForm(..)")
    }
}
