//! The limits on what a client may cost, by name: what they are counted under.

/// A limit on what a client may cost. How often one has bitten: [`Metrics::limit`](crate::engine::Metrics::limit).
/// Those that have a counter of their own there are not among these.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
pub enum Limit {
    /// Sessions at once: the client was told 503.
    Sessions,
    /// Sessions of one address at once: the client was told 429.
    AddressSessions,
    /// A WebSocket for a session while another is its candidate: refused with 400.
    Candidates,
    /// Bytes that a client sends while its poll waits for an answer: its connection was closed, and the session ended.
    /// Only where connections are served by [`http1`](crate::http1).
    ReadAhead,
    /// Bytes, or the time, of what is read and forgotten of a body that nobody wants
    /// ([`MOST_UNREAD`](crate::engine::MOST_UNREAD)): its connection was closed.
    UnreadBody,
    /// The time for the body of a POST: 408, and the session ended.
    BodyTime,
    /// The time for a client to take some of an answer: its connection was cut. Only where connections are served by
    /// [`Engine::serve`](crate::engine::Engine::serve).
    WriteTime,
    /// Bytes of a packet with its attachments: closed.
    PacketBytes,
    /// Attachments of a packet: closed.
    Attachments,
    /// The time for a packet's attachments: closed.
    AttachmentsTime,
    /// The depth of data: closed.
    Depth,
    /// The time for joining a namespace: closed.
    ConnectTime,
    /// Namespaces of one client: closed.
    Namespaces,
    /// Bytes of what a client says of itself when it asks for a namespace: refused.
    Auth,
    /// Children of a parent namespace: refused.
    ChildNamespaces,
    /// Child namespaces that the clients of one address have brought into being: refused.
    AddressChildNamespaces,
    /// Acks awaited from one socket: nothing was sent.
    Acks,
    /// Handlers of one client under way: it was not read from for a while.
    Handlers,
    /// Messages of one client that wait for the conversation while another thread calls it: it was not read from for a
    /// while.
    Backlog,
}

impl Limit {
    /// All of them.
    pub const ALL: [Self; 19] = [
        Self::Sessions,
        Self::AddressSessions,
        Self::Candidates,
        Self::ReadAhead,
        Self::UnreadBody,
        Self::BodyTime,
        Self::WriteTime,
        Self::PacketBytes,
        Self::Attachments,
        Self::AttachmentsTime,
        Self::Depth,
        Self::ConnectTime,
        Self::Namespaces,
        Self::Auth,
        Self::ChildNamespaces,
        Self::AddressChildNamespaces,
        Self::Acks,
        Self::Handlers,
        Self::Backlog,
    ];

    /// A short stable name, for metrics and logs.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Self::Sessions => "sessions",
            Self::AddressSessions => "sessions_per_address",
            Self::Candidates => "upgrade_under_way",
            Self::ReadAhead => "behind_a_poll",
            Self::UnreadBody => "unread_body",
            Self::BodyTime => "body_timeout",
            Self::WriteTime => "write_timeout",
            Self::PacketBytes => "packet_too_big",
            Self::Attachments => "too_many_attachments",
            Self::AttachmentsTime => "attachments_timeout",
            Self::Depth => "too_deep",
            Self::ConnectTime => "connect_timeout",
            Self::Namespaces => "too_many_namespaces",
            Self::Auth => "auth_too_big",
            Self::ChildNamespaces => "too_many_child_namespaces",
            Self::AddressChildNamespaces => "child_namespaces_per_address",
            Self::Acks => "too_many_acks",
            Self::Handlers => "handlers_in_flight",
            Self::Backlog => "messages_waiting",
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// They are counted by their places.
    #[test]
    fn each_is_at_its_place() {
        for (place, limit) in Limit::ALL.into_iter().enumerate() {
            assert_eq!(limit as usize, place, "{}", limit.name());
        }
    }
}
