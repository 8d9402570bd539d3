//! Every limit there is, with its default as the code has it, as the tables of SECURITY.md: those cannot drift, since a
//! test prints them from here. Settings of the library and of the binary alike, as the binary has all of them.

mod table;

use switchboard_io::engine::{self, EngineConfig, SessionConfig};
use switchboard_io::{RecoverySettings, Settings as SocketIoSettings, http1};
use switchboard_ws::{
    DeflateConfig, HandshakeLimits, HubLimits, InboxLimits, Limits, Origins, OutboxLimits, Overflow, PerAddress,
    ServerOptions, fixed,
};

use self::table::{Flags, Table, bytes, count, long_time, on, option, row, same, time};
use crate::cli::Switch;
use crate::units::Bytes;
use crate::{listen, names, relay, settings};

/// Between these lines they stand in SECURITY.md.
pub const BEGIN: &str = "<!-- Printed by `cargo run -p switchboard-server --example limits -- --write`; edit \
                         crates/server/src/limits.rs. -->\n\n";
/// And this is behind them.
pub const END: &str = "\n<!-- The end of what is printed. -->\n";

/// Most tables have these columns.
const HEAD: &[&str] = &["limit", "default", "setting", "when it bites", "counted"];

/// The part of SECURITY.md that lists the limits, in Markdown.
#[must_use]
pub fn markdown() -> String {
    let tables =
        [memory(), messages(), opening(), client(), queues(), topics(), shards(), socketio(), binary(), threads()];
    tables.iter().map(Table::markdown).collect::<Vec<_>>().join("\n")
}

fn memory() -> Table {
    let rows = vec![
        row([
            "what is held for all peers together",
            "none in the library; in the binary half of the machine's memory, or of its control group's",
            "`Config::budget`, `Builder::budget`, `--memory-budget`",
            "at 80 %: what could be recovered goes, and if that is not enough polling sessions that are in no namespace and \
             hold little, the oldest first (closed, or no longer known), until 70 % is held, unless all of them are too few \
             for that; at 90 %: nobody new (503), and those who hold most go, the largest first, until 80 % is held (1013; \
             Socket.IO: disconnected, then closed; cut off who takes nothing), those sessions as if they were one; at 95 \
             %: no buffer grows by 16 KiB or more (1013; a POST: 503), and of those who hold 1 to 4 KiB the newest go \
             until 90 % is held; at 100 %: none grows, outboxes and ports that hold anything are full",
            "refused and limit: `memory_budget`; `switchboard_memory_refused`, `switchboard_memory_evicted`, \
             `switchboard_memory_denied`, `switchboard_memory_held_bytes`",
        ]),
        row([
            "when what is free is given back to the system",
            "when half of the most that was held is gone, and 512 KiB at least, looked at every 10 s",
            "`--give-back-memory`; glibc only",
            "the allocator's free pieces are gone through, in milliseconds",
            "`switchboard_memory_given_back`",
        ]),
        row([
            "what TLS keeps for a client between reads and writes",
            &format!(
                "a record that has not come whole (of a handshake message {}), a record that was decrypted, and four that \
                 were encrypted ({}); its keys count for {}, in the handshake {}",
                bytes(fixed::TLS_KEPT.0),
                bytes(fixed::TLS_KEPT.1),
                bytes(fixed::TLS.1),
                bytes(fixed::TLS.0)
            ),
            "fixed",
            "no more is read, or taken to be written; within the budget: cut off, 1006, as one of those who hold most, or \
             when there is nothing left for it",
            "`memory_budget`, in the handshake refused: `memory_budget`",
        ]),
        row([
            "the least budget of the binary",
            &bytes(settings::LEAST_BUDGET),
            "fixed",
            "the server does not start",
            "none: it says why",
        ]),
    ];
    Table {
        title: "Memory in all: `Budget`",
        before: "Counted are messages that are put together or still in somebody's hands, inflating included, outboxes, ports, \
                 inboxes, output\nthat is not taken, bodies and answers of polling, attachments, what could be recovered \
                 (which goes first), contexts of\ncompression, records of TLS that have not come or left whole, and an \
                 estimate for each connection. A message that many wait\nfor counts once.\n",
        head: HEAD,
        rows,
        after: "\nWhether there is memory for a connection is judged before a byte of it is read: while it is short, a polling \
                client that comes\nby a new connection is told 503 too, though its session is known. To read on would be \
                to let everybody in. By the connection that\nit has it is served.\n\nThe process stays within the budget and a base: what [each thread keeps](#per-thread) and has in hand in a turn \
                (one message,\ntwice while it is copied, or the replies to one read), what the application keeps, what \
                HTTP holds below us, and 256 KiB by\nwhich the count may be behind. Each connection that hyper serves \
                counts for 24 KiB; what hyper has read ahead of a body, which\nwas seen to be 157 KB, does not, and nobody \
                has to go for it: how many such connections there may be is for\n`--max-connections` and \
                `--max-connections-per-address`.\n",
    }
}

fn messages() -> Table {
    let (limits, flags) = (Limits::default(), Flags);
    let message = same([bytes(limits.max_message), bytes(flags.get::<Bytes>("max-message").0)]);
    let ping = same([option(limits.ping_interval), flags.duration("ping-interval")]);
    let idle = same([option(limits.idle_timeout), flags.duration("idle-timeout")]);
    let compression = same([on(limits.deflate.is_some()), on(flags.switch("compression") == Switch::On)]);
    let rows = vec![
        row([
            "bytes of a message, after inflating",
            &message,
            "`max_message`, `--max-message`",
            "1009; told from the header where that is enough",
            "`message_too_big`",
        ]),
        row([
            "bytes of a compressed message, as sent",
            "`max_message` and an eighth, and 1 KiB",
            "follows",
            "1009",
            "`message_too_big`",
        ]),
        row([
            "bytes of a frame",
            &bytes(limits.max_frame),
            "`max_frame`, `--max-message`",
            "1009, from the header",
            "`frame_too_big`",
        ]),
        row([
            "frames in a message, empty ones too",
            &count(limits.max_fragments),
            "`max_fragments`",
            "1008",
            "`too_many_fragments`",
        ]),
        row(["final DEFLATE blocks in a message", &count(fixed::FINAL_BLOCKS), "fixed", "1007", "`invalid_deflate`"]),
        row([
            "kind of messages",
            limits.only.map_or("both", |_| "one"),
            "`only`",
            "1003",
            "`unwanted_text`, `unwanted_binary`",
        ]),
        row([
            "payload of a control frame",
            &format!("{} bytes", fixed::CONTROL),
            "fixed",
            "1002",
            "`control_too_long`",
        ]),
        row([
            "pings waiting for a pong",
            &format!(
                "each is answered while less than {} waits to be written; beyond that 1, the newest",
                bytes(fixed::ENCODED_AHEAD)
            ),
            "fixed",
            "older ones are not answered",
            "none: RFC 6455 §5.5.3 lets the newest answer for all",
        ]),
        row([
            "silence after a heartbeat ping",
            &format!("{}, a ping every {ping}", time(limits.pong_timeout)),
            "`pong_timeout`, `ping_interval`, `--ping-interval`",
            "1008",
            "`pong_timeout`",
        ]),
        row([
            "no message either way",
            &idle,
            "`idle_timeout`, `--idle-timeout`",
            "1001, with a closing handshake",
            "`idle_timeout`",
        ]),
        row([
            "a message, first byte to last",
            &option(limits.message_timeout),
            "`message_timeout`",
            "1008",
            "`message_timeout`",
        ]),
        row([
            "a peer that takes no byte",
            &option(limits.write_timeout),
            "`write_timeout`",
            "cut off, 1006",
            "`write_timeout`",
        ]),
        row(["closing handshake", &time(limits.close_timeout), "`close_timeout`", "cut off, 1006", "`close_timeout`"]),
        row([
            "unmasked frames from a client",
            if limits.accept_unmasked { "taken" } else { "refused" },
            "`accept_unmasked`",
            "1002",
            "`unmasked_frame`",
        ]),
        row(["compression", &compression, "`deflate`, `--compression`", "not agreed on", "none: nobody is refused"]),
        row([
            "contexts of the process that are kept ready",
            &count(DeflateConfig::default().max_live),
            "`max_live`",
            "rebuilt for each message, from a window at most",
            "none: it costs time, and nobody a connection",
        ]),
    ];
    Table { title: "Messages and time: `Limits` (in `ws-proto`: `Config`)", before: "", head: HEAD, rows, after: "" }
}

fn opening() -> Table {
    let options = ServerOptions::default();
    let HandshakeLimits { max_head_bytes, max_headers, timeout } = options.limits;
    let origin = if matches!(options.origins, Origins::SameOrigin) { "same origin" } else { "another" };
    let (linger, lingering) = fixed::REFUSED;
    let rows = vec![
        row(["bytes of the head", &bytes(max_head_bytes), "`max_head_bytes`", "431", "refused: `head_too_long`"]),
        row(["header lines", &count(max_headers), "`max_headers`", "431", "refused: `too_many_headers`"]),
        row([
            "time for the head; for the answer; for TLS before it",
            &format!("{} each", time(timeout)),
            "`timeout`",
            "408; closed; closed",
            "refused: `handshake_timeout`; `io`; in the binary `tls`, in `Server` none: whoever calls `accept` has the error",
        ]),
        row(["origin", origin, "`origins`, `--allow-origin`", "403", "refused: `origin`"]),
        row([
            "time for a refused client to read why",
            &format!("{}, {}", time(linger), bytes(lingering)),
            "fixed",
            "closed",
            "none: it was counted for why",
        ]),
        row(["a client that says nothing", &time(timeout), "`timeout`", "closed", "on shards refused: `silent`"]),
        row([
            "handshakes at once in `Server::accept` and `serve`",
            &count(fixed::HANDSHAKES),
            "fixed",
            "the next ones wait in the kernel, or on shards are told 503",
            "refused: `max_handshakes`",
        ]),
        row([
            "connections at once in all, and of one address (IPv6: of its first 64 bits)",
            "as many as come",
            "`Server::admission`, `Builder::admission` of `io`",
            "503; 429. With TLS closed without an answer",
            "refused: `max_connections`; `max_connections_per_address`",
        ]),
        row([
            "clients of an endpoint that are being told why they are refused",
            &format!("{}, each for {}", count(fixed::REFUSALS), time(linger)),
            "fixed",
            "further ones are dropped",
            "refused: `too_many_refusals`",
        ]),
        row([
            "messages that an `OnMessageAsync` works on at a time",
            &count(fixed::IN_FLIGHT),
            "`in_flight`",
            "reading pauses",
            "`switchboard_inbox_full`",
        ]),
    ];
    Table {
        title: "Opening handshake: `HandshakeLimits` in `ServerOptions`",
        before: "These hold for `accept`, `serve` and `Server`. Inside hyper and axum the framework's limits hold in their place.\n",
        head: HEAD,
        rows,
        after: "",
    }
}

fn client() -> Table {
    let HandshakeLimits { max_head_bytes, max_headers, .. } = HandshakeLimits::default();
    let told = "none: whoever connects is told";
    let rows = vec![
        row([
            "resolving, connecting, TLS and handshake together",
            &time(fixed::CONNECT),
            "`Client::timeout`",
            "`TimedOut`, with the step",
            told,
        ]),
        row([
            "bytes and header lines of the answer",
            &format!("{}, {}", bytes(max_head_bytes), count(max_headers)),
            "`HandshakeLimits` of the `Config`",
            "`Handshake`",
            told,
        ]),
        row(["body of a refusal", &bytes(fixed::REFUSAL_BODY), "fixed", "the rest is not read", told]),
        row([
            "head start of an address before the next is tried too",
            &time(fixed::HEAD_START),
            "fixed",
            "the next is tried",
            "none: it ends nothing",
        ]),
    ];
    Table { title: "Client", before: "", head: HEAD, rows, after: "" }
}

fn queues() -> Table {
    let (flags, outbox, inbox) = (Flags, OutboxLimits::default(), InboxLimits::default());
    let policy = match outbox.overflow {
        Overflow::Close => "close",
        Overflow::DropOldest => "the oldest go",
        Overflow::DropNewest => "the newest goes",
    };
    let ahead = bytes(fixed::ENCODED_AHEAD);
    let rows = vec![
        row([
            "outbox: messages; bytes",
            &format!(
                "{}; {}",
                same([count(outbox.messages), count(flags.get::<u32>("outbox-messages"))]),
                same([bytes(outbox.bytes), bytes(flags.get::<Bytes>("outbox-bytes").0)])
            ),
            "`messages`, `bytes`; `--outbox-messages`, `--outbox-bytes`",
            "`send` waits, `try_send` says full; a publish follows the policy",
            "none: whoever sends is told",
        ]),
        row([
            "policy of a full outbox",
            policy,
            "`overflow`",
            "`Close`: 1013. `DropOldest`, `DropNewest`: a message is lost",
            "`outbox_overflow`; `switchboard_outbox_dropped`, added up while the peer lags and when the connection ends; \
             `switchboard_publications_lost`",
        ]),
        row([
            "encoded and not yet written",
            &format!("{ahead} and one message"),
            "fixed",
            "the rest stays in the outbox",
            "none: nothing is lost",
        ]),
        row([
            "the same, sent straight from a handler",
            &format!("`bytes` of the outbox, {} for the replies to one read, and one message", bytes(fixed::REPLIES)),
            "`bytes`",
            "goes to the outbox; reading stops",
            "none: nothing is lost",
        ]),
        row([
            "inbox (stream style): messages; bytes",
            &format!("{}; {}", count(inbox.messages), bytes(inbox.bytes)),
            "`messages`, `bytes`",
            "reading stops, and TCP makes the peer wait",
            "`switchboard_inbox_full`",
        ]),
    ];
    Table {
        title: "Queues: `OutboxLimits`, `InboxLimits`",
        before: "",
        head: HEAD,
        rows,
        after: "\nOne message is always taken by an empty queue, however long it is. Pieces that a handler sends with `send_piece` are not\nqueued and have no limit.\n",
    }
}

fn topics() -> Table {
    let HubLimits { topics_per_member, topic_bytes } = HubLimits::default();
    let counted = "`switchboard_subscriptions_refused`";
    let rows = vec![
        row([
            "topics per connection",
            &count(topics_per_member),
            "`topics_per_member`",
            "`subscribe` is refused",
            counted,
        ]),
        row([
            "bytes of a topic's name",
            &count(topic_bytes),
            "`topic_bytes`",
            "`subscribe` is refused; the binary answers 400 before it comes to that",
            counted,
        ]),
    ];
    Table { title: "Topics: `HubLimits`", before: "", head: HEAD, rows, after: "" }
}

fn shards() -> Table {
    let (publications, most) = fixed::port();
    let rows = vec![row([
        "publications that wait for one shard; their bytes, each message once, with lists made for one",
        &format!("{}; {}", count(publications), bytes(most)),
        "`publications`, `bytes`",
        "the newest is lost for all its receivers of that shard",
        "`switchboard_publications_lost`, `Port::refused`",
    ])];
    Table { title: "Shards: `PortLimits` in `hub`", before: "", head: HEAD, rows, after: "" }
}

fn socketio() -> Table {
    let (config, settings, flags) = (EngineConfig::default(), SocketIoSettings::default(), Flags);
    let SessionConfig { max_payload, ping_timeout, ping_interval, upgrade_timeout, .. } = config.session;
    let recovery = RecoverySettings::default();
    let HubLimits { topics_per_member, topic_bytes } = HubLimits::default();
    let payload = same([count(max_payload), count(flags.get::<Bytes>("socketio-max-payload").0)]);
    let attachments = same([count(settings.limits.attachments), flags.default("socketio-max-attachments")]);
    let timeout = same([time(ping_timeout), flags.duration("socketio-ping-timeout")]);
    let interval = same([time(ping_interval), flags.duration("socketio-ping-interval")]);
    let upgrade = same([time(upgrade_timeout), flags.duration("socketio-upgrade-timeout")]);
    let connect = same([time(settings.connect_timeout), flags.duration("socketio-connect-timeout")]);
    let attachments_time = same([time(settings.attachments_timeout), flags.duration("socketio-attachments-timeout")]);
    let waiting = same([count(config.outbox.messages), count(flags.get::<u32>("socketio-outbox-messages"))]);
    let waiting_bytes = same([bytes(config.outbox.bytes), bytes(flags.get::<Bytes>("socketio-outbox-bytes").0)]);
    let write = Limits::default().write_timeout.map_or_else(|| "never".to_owned(), time);
    let recovers = same(["off".to_owned(), flags.default("socketio-recovery")]);
    let sessions =
        config.max_sessions.map_or_else(|| "as many as come; in the binary `--max-connections`".to_owned(), count);
    let per_address = match config.sessions_per_address {
        PerAddress::Unlimited => "as many; in the binary as many as connections",
        PerAddress::Public(_) | PerAddress::Every(_) => "another",
    };
    let rows = vec![
        row([
            "bytes of a message, and of a poll's payload",
            &payload,
            "`max_http_buffer_size`, `--socketio-max-payload`",
            &format!(
                "WebSocket: 1009; a POST: 413, and at most {} of it are read and forgotten",
                bytes(engine::MOST_UNREAD)
            ),
            "limit: `message_too_big`; for POSTs `switchboard_socketio_payloads_too_large`, and beyond what is forgotten \
             `unread_body`",
        ]),
        row([
            "bytes of a packet with its attachments",
            &format!("{}: that much for each", count(settings.limits.bytes)),
            "`limits`",
            "closed",
            "`packet_too_big`",
        ]),
        row([
            "attachments of a packet; their time",
            &format!("{attachments}; {attachments_time}"),
            "`limits`, `--socketio-max-attachments`; `attachments_timeout`, `--socketio-attachments-timeout`",
            "closed",
            "`too_many_attachments`, `attachments_timeout`",
        ]),
        row([
            "attachments of a packet of our own",
            &same([count(settings.outgoing_attachments), flags.default("socketio-max-attachments")]),
            "`outgoing_attachments`, `--socketio-max-attachments`",
            "nothing is sent: `TooManyAttachments`",
            "none: whoever sends is told",
        ]),
        row([
            "depth of JSON and msgpack",
            &same([count(settings.limits.depth), flags.default("socketio-max-depth")]),
            "`limits`, `--socketio-max-depth`",
            "closed",
            "`too_deep`",
        ]),
        row([
            "messages and bytes that wait for one client",
            &format!("{waiting}; {waiting_bytes}"),
            "`outbox`, `--socketio-outbox-messages`, `--socketio-outbox-bytes`",
            "closed",
            "`switchboard_socketio_overflows`",
        ]),
        row([
            "an answer to a ping",
            &format!("{timeout}, a ping every {interval}"),
            "`ping_timeout`, `ping_interval` and their flags",
            "closed, \"ping timeout\"",
            "`switchboard_socketio_sessions_closed`",
        ]),
        row([
            "going over to a WebSocket",
            &upgrade,
            "`upgrade_timeout`, `--socketio-upgrade-timeout`",
            "the session stays on polling",
            "`switchboard_socketio_upgrades`",
        ]),
        row([
            "WebSockets at once that want to take one session over",
            "1",
            "fixed",
            "further ones are closed at once, as Node does it",
            "`upgrade_under_way`",
        ]),
        row([
            "joining a namespace",
            &connect,
            "`connect_timeout`, `--socketio-connect-timeout`",
            "closed",
            "`connect_timeout`",
        ]),
        row([
            "namespaces of one client",
            &same([count(settings.max_namespaces), flags.default("socketio-max-namespaces")]),
            "`max_namespaces`, `--socketio-max-namespaces`",
            "closed",
            "`too_many_namespaces`",
        ]),
        row([
            "`auth` of a client in a namespace, with the name",
            &same([bytes(settings.max_auth), bytes(flags.get::<Bytes>("socketio-max-auth").0)]),
            "`max_auth`, `--socketio-max-auth`",
            "refused",
            "`auth_too_big`",
        ]),
        row([
            "children of a parent namespace",
            &same([count(settings.max_child_namespaces), count(flags.get::<u32>("socketio-max-child-namespaces"))]),
            "`max_child_namespaces`, `--socketio-max-child-namespaces`",
            "\"Invalid namespace\"",
            "`too_many_child_namespaces`",
        ]),
        row([
            "of those, of all parents: made by the clients of one address, whoever is in them",
            "as many; in the binary a tenth of `--socketio-max-child-namespaces` for the addresses that \
             `--max-connections-per-address` holds for",
            "`child_namespaces_per_address`",
            "\"Invalid namespace\"",
            "`child_namespaces_per_address`",
        ]),
        row([
            "acks awaited from one socket",
            &count(settings.max_acks),
            "`max_acks`",
            "nothing more that asks for one is sent",
            "`too_many_acks`",
        ]),
        row([
            "handlers of one client under way, beside as many as there are acks awaited from it",
            &same([count(settings.in_flight), flags.default("socketio-in-flight")]),
            "`in_flight`, `--socketio-in-flight`",
            "nothing is read from it",
            "`handlers_in_flight`",
        ]),
        row([
            "messages of one client that wait while another thread calls its handlers; their bytes",
            &format!("{}; {}", count(engine::BACKLOG_CALLS), bytes(engine::BACKLOG_BYTES)),
            "fixed",
            "nothing is read from it",
            "`messages_waiting`",
        ]),
        row(["sessions", &sessions, "`max_clients`", "503 and `Retry-After`", "`sessions`"]),
        row([
            "sessions of one address (IPv6: of its first 64 bits), over however few connections",
            per_address,
            "`clients_per_address`",
            "429 and `Retry-After`",
            "`sessions_per_address`",
        ]),
        row([
            "recovery: packets; bytes; lost clients; their absence",
            &format!(
                "{}; {}, and as many for lost clients; {}; {}; {recovers} by default",
                same([count(recovery.max_packets), count(flags.get::<u32>("socketio-recovery-packets"))]),
                same([bytes(recovery.max_bytes), bytes(flags.get::<Bytes>("socketio-recovery-bytes").0)]),
                same([count(recovery.max_sessions), count(flags.get::<u32>("socketio-recovery-clients"))]),
                long_time(recovery.max_disconnection_duration)
            ),
            "`RecoverySettings`, `--socketio-recovery-packets`, `…-bytes`, `…-clients`, `--socketio-recovery`",
            "the oldest go; who missed one of them, or more than may wait for a client, is new",
            "`switchboard_socketio_recovery_dropped`, `switchboard_socketio_recoveries`",
        ]),
        row([
            "rooms of one client, in all namespaces; a room's name",
            &format!(
                "{}; {topic_bytes} bytes with the namespace's, in the binary {} bytes and {} for the namespace's",
                same([count(topics_per_member), count(flags.get::<u32>("socketio-max-rooms"))]),
                names::LONGEST_ROOM,
                names::LONGEST_NAMESPACE
            ),
            "`HubLimits`, `--socketio-max-rooms`; fixed in the binary",
            "`join` is refused",
            "`switchboard_subscriptions_refused`",
        ]),
        row([
            "body of a POST, from the request's head to the last byte",
            &same([time(config.body_timeout), flags.duration("socketio-body-timeout")]),
            "`body_timeout`, `--socketio-body-timeout`",
            "408, and the session is over",
            "`body_timeout`",
        ]),
        row([
            "a client of `SocketIo::serve` that takes nothing of an answer; not all of it",
            &format!("`write_timeout` of its WebSockets, {write}; four times that"),
            "`websockets`",
            "cut off",
            "`write_timeout`",
        ]),
        row([
            "what a client sends behind the last answer of its connection, in the binary to any request",
            &format!("{}, for {}", bytes(engine::MOST_UNREAD), time(fixed::REFUSED.0)),
            "fixed",
            "it is read and forgotten, so that the answer arrives; then closed",
            "none: what is beyond is not read",
        ]),
        row([
            "what a client sends behind a poll that waits",
            &format!("{}, and one read of {}", bytes(http1::READ_AHEAD), bytes(http1::READ)),
            "fixed",
            "closed, and its session ends",
            "`behind_a_poll`",
        ]),
    ];
    Table {
        title: "Socket.IO: `Builder` of `io`",
        before: "",
        head: HEAD,
        rows,
        after: "\nIn the binary one message of a plain WebSocket (`--max-message`) may be longer than all that may wait for a Socket.IO\nclient in the same room (`--socketio-outbox-bytes`). An empty queue takes one such message. Whoever polls, and is sent\nanother before it has fetched that, is closed, as is one whose WebSocket lags so: counted in\n`switchboard_socketio_overflows`. Where both kinds share rooms and such messages are common, make the one smaller or the\nother larger.\n",
    }
}

fn binary() -> Table {
    let flags = Flags;
    let connections = count(flags.get::<u32>("max-connections"));
    let away = format!(
        "503 and `Retry-After`, to {} clients at a time and for {} each; further ones, and those with TLS, are closed without an answer",
        count(fixed::REFUSALS),
        time(fixed::REFUSED.0)
    );
    let timeout = same([time(HandshakeLimits::default().timeout), flags.duration("handshake-timeout")]);
    let write = flags.duration("write-timeout");
    let lines = same([count(HandshakeLimits::default().max_headers), "100".to_owned()]);
    let rows = vec![
        row([
            "connections at once, HTTP ones too; as many sessions of Socket.IO",
            &connections,
            "`--max-connections`",
            &away,
            "refused: `max_connections`; now: `switchboard_connections_admitted`; `sessions`",
        ]),
        row([
            "connections of one address at once, and sessions of Socket.IO; of IPv6 the first 64 bits count",
            "a tenth of `--max-connections`, and any number from this machine and private networks",
            "`--max-connections-per-address`: a number is for all addresses, `off` for none",
            "429, as above",
            "refused: `max_connections_per_address`; `sessions_per_address`",
        ]),
        row([
            "an event with binary data as plain WebSockets in the room hear it, as text",
            &bytes(flags.get::<Bytes>("max-message").0),
            "`--max-message`",
            "they are not told; the others in the room are",
            "`switchboard_socketio_events_too_long`",
        ]),
        row([
            "rooms named in one `join` or `leave`",
            &relay::MOST_NAMED.to_string(),
            "fixed",
            "refused in the answer",
            "none: that client alone asks for it, and is told",
        ]),
        row(["TLS handshake", &timeout, "`--handshake-timeout`", "closed", "refused: `tls`"]),
        row(["bytes of a request's head", &bytes(listen::MAX_HEAD), "fixed", "431", "refused: `bad_head`"]),
        row(["header lines", &lines, "fixed", "431", "refused: `bad_head`"]),
        row([
            "time for the first head of a connection without TLS",
            &timeout,
            "`--handshake-timeout`",
            "408, or closed when nothing came",
            "refused: `handshake_timeout`; `silent`",
        ]),
        row([
            "time for further heads, and until the next request; with TLS for the first too",
            &flags.duration("request-timeout"),
            "`--request-timeout`",
            "closed",
            "refused: `head_timeout`; not between two requests",
        ]),
        row([
            "a client that takes nothing of an answer (with TLS: less than 64 KiB); that does not take all of it",
            &format!("{write}; four times that"),
            "`--write-timeout`",
            "cut off",
            "refused: `write_timeout`",
        ]),
        row(["a WebSocket's peer that takes no byte", &write, "`--write-timeout`", "cut off, 1006", "`write_timeout`"]),
        row([
            "body of a request, but for Socket.IO's",
            &format!("{}, in the time of a head", bytes(engine::MOST_UNREAD)),
            "fixed, `--request-timeout`",
            "it is read and forgotten, so that the answer arrives; beyond that the connection is cut",
            "refused: `unread_body`",
        ]),
        row([
            "shutdown",
            &flags.duration("shutdown-timeout"),
            "`--shutdown-timeout`",
            "what is still open is cut",
            "none: nobody could ask any more; the log has how many",
        ]),
    ];
    Table { title: "The binary", before: "", head: HEAD, rows, after: "" }
}

fn threads() -> Table {
    let codecs = fixed::IDLE_CODECS;
    let none = "none: it ends nothing, and what is beyond goes back or waits";
    let rows = vec![
        row(["read buffer", &bytes(fixed::READ), none]),
        row(["large buffers of messages", &format!("{} at most", bytes(fixed::POOLED)), none]),
        row(["output kept between turns", &format!("{} at most", bytes(fixed::OUTPUT)), none]),
        row([
            "idle compressors and inflaters",
            &format!("{codecs} of each: {codecs} × 160 KiB and {codecs} × {} at most", bytes(fixed::INFLATER)),
            none,
        ]),
        row([
            "what one block of DEFLATE says, and a piece of what comes out of one",
            &format!("128 KiB at most, and {}", bytes(fixed::INFLATED_AT_ONCE)),
            none,
        ]),
        row(["reads in a row for one connection", &format!("{}, then others have their turn", fixed::READS), none]),
        row([
            "messages of one read, or packets of one POST, heard in a row",
            &format!(
                "those of {}, looked at after every {}; then others have their turn",
                time(fixed::STINT.0),
                fixed::STINT.1
            ),
            none,
        ]),
    ];
    Table { title: "Per thread", before: "", head: &["what", "how much", "counted"], rows, after: "" }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn security_md_says_what_the_code_does() {
        let written = include_str!("../../../SECURITY.md");
        let (_, rest) = written.split_once(BEGIN).expect("there is a place for the limits");
        let (written, _) = rest.split_once(END).expect("and an end of it");
        let printed = markdown();
        for (written, printed) in written.lines().zip(printed.lines()) {
            assert_eq!(written, printed, "change limits.rs, or print it anew");
        }
        assert_eq!(written, printed, "change limits.rs, or print it anew");
    }
}
