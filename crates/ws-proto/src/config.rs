//! The limits and deadlines of one connection. Every limit is finite by default, and each says what it costs to raise.

use std::time::Duration;

use switchboard_budget::Budget;

use crate::deflate::DeflateConfig;
use crate::message::Kind;

/// Settings of an open connection, shared by all connections of an endpoint.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Config {
    /// The largest message taken from the peer, in bytes, counted after inflating. Default: 16 MiB. The worst case of
    /// memory per connection is proportional to it. Longer: the connection is failed with 1009.
    pub max_message: usize,
    /// The largest single frame taken from the peer, in bytes as they are on the wire. Default: 16 MiB. Longer: 1009,
    /// told from the header, before any of the payload is read.
    pub max_frame: usize,
    /// The most frames that one message may come in, empty ones included. Default: 131,072. Fragments are appended to
    /// one buffer, so that their number costs time and no memory. More: 1008.
    pub max_fragments: u32,
    /// Take only messages of this kind; one of the other kind fails the connection with 1003. Default: both kinds.
    pub only: Option<Kind>,
    /// Send a ping this often. Default: 30 s. `None`: no heartbeat, and a peer that vanished without a word is noticed
    /// only when something is sent to it.
    pub ping_interval: Option<Duration>,
    /// How long the peer may stay silent after a heartbeat ping; any byte counts as life, not only the pong. Default:
    /// 20 s. Later: 1008, and the cause is [`Timeout::Pong`](crate::Timeout::Pong).
    pub pong_timeout: Duration,
    /// Close (1001) a connection on which no message went either way for this long; pings and pongs do not count.
    /// Default: `None`, never.
    pub idle_timeout: Option<Duration>,
    /// How long a message may take from its first byte to its last. Default: 120 s. Longer: 1008. `None` lets a peer
    /// hold `max_message` bytes for as long as it answers pings.
    pub message_timeout: Option<Duration>,
    /// How long the peer may take none of the bytes that wait for it. Default: 30 s. Longer: the connection is cut,
    /// as there is no room for a Close frame either. `None` lets a slow reader hold its outbox for ever.
    pub write_timeout: Option<Duration>,
    /// How long the closing handshake may take in all. Default: 10 s. Longer: the connection is cut (1006).
    pub close_timeout: Duration,
    /// A server takes unmasked frames from its client. Default: no. RFC 6455 §5.1 forbids it: for tests and for links
    /// where both ends are yours.
    pub accept_unmasked: bool,
    /// A peer whose connection is failed is told why in a sentence, the reason of the Close frame. Default: yes.
    /// Without, it is told by the code alone, but for one that has to go because memory is short.
    pub explain: bool,
    /// How messages are compressed when the handshake agreed on permessage-deflate. Default: `None`, no compression.
    pub deflate: Option<DeflateConfig>,
    /// What the messages that are put together count in, those of all connections together. Default: no limit. What it
    /// has no room for is not allocated: the connection is failed with 1013.
    pub budget: Budget,
}

impl Default for Config {
    fn default() -> Self {
        Self {
            max_message: 16 << 20,
            max_frame: 16 << 20,
            max_fragments: 128 << 10,
            only: None,
            ping_interval: Some(Duration::from_secs(30)),
            pong_timeout: Duration::from_secs(20),
            idle_timeout: None,
            message_timeout: Some(Duration::from_secs(120)),
            write_timeout: Some(Duration::from_secs(30)),
            close_timeout: Duration::from_secs(10),
            accept_unmasked: false,
            explain: true,
            deflate: None,
            budget: Budget::default(),
        }
    }
}
