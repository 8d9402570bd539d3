//! The shard driver: one task drives very many plain sockets. Connections are small slots on a poller of the shard's
//! own, which the runtime watches through one descriptor; they share one read buffer, one output and one wheel of
//! deadlines. Per message that costs what the kernel costs and little more; per idle connection, a slot.

mod driver;
mod handle;
mod listening;
mod mailbox;
mod opening;
mod poller;
#[cfg(feature = "simulation")]
mod simulated;
mod slot;
mod transport;
mod wheel;

#[cfg(feature = "simulation")]
pub use self::driver::simulation::Simulation;
pub(crate) use self::driver::spawn;
pub(crate) use self::handle::{Arrival, Shard};
pub(crate) use self::listening::Listening;
pub(crate) use self::opening::Door;
pub(crate) use self::slot::{NewSlot, Unread};
pub(crate) use self::transport::{Listener, Socket};
