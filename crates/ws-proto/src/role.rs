//! The two ends of a connection.

/// Which end of the connection the machine is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Role {
    /// Takes masked frames and sends unmasked ones; closes the transport first.
    Server,
    /// Sends masked frames and takes unmasked ones.
    Client,
}
