//! `/metrics`: the counters of the WebSocket endpoint and of Socket.IO in Prometheus' words.

use std::collections::BTreeMap;
use std::fmt;
use std::sync::Arc;

use axum::extract::State;
use axum::http::{StatusCode, header};
use axum::response::{IntoResponse, Response};
use prometheus_client::collector::Collector;
use prometheus_client::encoding::{DescriptorEncoder, EncodeMetric, text};
use prometheus_client::metrics::MetricType;
use prometheus_client::metrics::counter::ConstCounter;
use prometheus_client::metrics::gauge::ConstGauge;
use prometheus_client::registry::Registry;
use switchboard_io::engine::{CloseReason, Limit, Transport};
use switchboard_io::{Namespace, RecoveryCounters};
use switchboard_ws::{Admission, Budget, BudgetPart, Config, Snapshot};

use crate::app::App;
use crate::heap;
use crate::socketio::Sockets;
use crate::tasks::Tasks;

/// All metrics, read anew whenever they are asked for.
pub(crate) async fn metrics(State(app): State<App>) -> Response {
    let mut out = String::new();
    match text::encode(&mut out, &app.metrics) {
        Ok(()) => {
            let content_type = "application/openmetrics-text; version=1.0.0; charset=utf-8";
            ([(header::CONTENT_TYPE, content_type)], out).into_response()
        }
        Err(error) => {
            tracing::error!(%error, "the metrics could not be written");
            StatusCode::INTERNAL_SERVER_ERROR.into_response()
        }
    }
}

/// The registry of everything that this server counts.
#[must_use]
pub fn registry(config: &Config, sockets: Option<&Sockets>, tasks: &Tasks, admission: &Admission) -> Arc<Registry> {
    let mut registry = Registry::with_prefix("switchboard");
    registry.register_collector(Box::new(WebSockets(config.clone())));
    registry.register_collector(Box::new(Memory(config.get_budget().clone())));
    registry.register_collector(Box::new(Process(tasks.clone(), admission.clone())));
    if let Some(sockets) = sockets {
        registry.register_collector(Box::new(Sessions(sockets.clone())));
    }
    Arc::new(registry)
}

#[derive(Debug)]
struct Process(Tasks, Admission);

impl Collector for Process {
    fn encode(&self, mut encoder: DescriptorEncoder<'_>) -> Result<(), fmt::Error> {
        let Self(tasks, admission) = self;
        write(&mut encoder, "tasks", "Tasks of the whole server that have not ended", &gauge(tasks.alive() as u64))?;
        let help = "Connections of any kind now, WebSockets or not, which --max-connections counts";
        write(&mut encoder, "connections_admitted", help, &gauge(admission.count() as u64))
    }
}

#[derive(Debug)]
struct WebSockets(Config);

impl Collector for WebSockets {
    fn encode(&self, mut encoder: DescriptorEncoder<'_>) -> Result<(), fmt::Error> {
        let counted = self.0.get_metrics().snapshot();
        let Snapshot { open, total, messages_in, messages_out, bytes_in, bytes_out, .. } = counted;
        let Snapshot { dropped, inbox_full, unsharded, ref closes, ref limits, ref failures, ref refused, .. } =
            counted;
        let plain = [
            ("connections", "WebSocket connections since the start", total),
            ("messages_received", "Messages received", messages_in),
            ("messages_sent", "Messages sent", messages_out),
            ("received_bytes", "Bytes received after the handshake, framing included", bytes_in),
            ("sent_bytes", "Bytes sent after the handshake, framing included", bytes_out),
            ("outbox_dropped", "Messages that full outboxes threw away", dropped),
            ("connections_with_a_task", "Connections whose transport no shard can drive", unsharded),
            ("inbox_full", "Times that reading stopped because what was read before had not been taken", inbox_full),
        ];
        write(&mut encoder, "connections_open", "WebSocket connections open now", &gauge(open))?;
        for (name, help, value) in plain {
            write(&mut encoder, name, help, &ConstCounter::new(value))?;
        }
        let labelled = [
            ("connections_refused", "Connections refused before they were open, by reason", "reason", refused),
            ("connections_closed", "Connections ended, by close code", "code", closes),
            ("limits_hit", "Connections ended by a limit, a deadline or a broken rule", "limit", limits),
            ("connections_failed", "Connections lost without a Close frame, or by a fault of ours", "reason", failures),
        ];
        for (name, help, label, values) in labelled {
            write_labelled(&mut encoder, name, help, label, values)?;
        }
        if let Some(hub) = self.0.get_hub() {
            let members = gauge(hub.members() as u64);
            write(
                &mut encoder,
                "room_members",
                "Connections that are in a room, and all Socket.IO sessions",
                &members,
            )?;
            write(
                &mut encoder,
                "rooms",
                "Rooms with members, and Socket.IO namespaces with clients",
                &gauge(hub.topics() as u64),
            )?;
            let counters = hub.counters();
            let refused = BTreeMap::from([
                ("topic_too_long", counters.topic_too_long),
                ("too_many_topics", counters.too_many_topics),
            ]);
            let lost = BTreeMap::from([("dropped", counters.dropped), ("overflowed", counters.overflowed)]);
            let help = "Receivers that a publication did not reach: it was dropped, or their outbox was full for good";
            write_labelled(&mut encoder, "publications_lost", help, "how", &lost)?;
            let help = "Subscriptions refused by a limit of the rooms";
            write_labelled(&mut encoder, "subscriptions_refused", help, "limit", &refused)?;
        }
        Ok(())
    }
}

/// What is held for clients.
#[derive(Debug)]
struct Memory(Budget);

impl Collector for Memory {
    fn encode(&self, mut encoder: DescriptorEncoder<'_>) -> Result<(), fmt::Error> {
        let Some(usage) = self.0.usage() else { return Ok(()) };
        let gauge = |value: usize| ConstGauge::new(i64::try_from(value).unwrap_or(i64::MAX));
        write(
            &mut encoder,
            "memory_budget_bytes",
            "The most memory that may be held for clients",
            &gauge(usage.limit),
        )?;
        let help = "Memory that is held for clients now, by what for";
        let mut family = encoder.encode_descriptor("memory_held_bytes", help, None, MetricType::Gauge)?;
        for (part, bytes) in BudgetPart::ALL.into_iter().zip(usage.parts) {
            gauge(bytes).encode(family.encode_family(&[("part", part.name())])?)?;
        }
        for (name, help, value) in [
            ("memory_refused", "Clients that were not let in because memory was short", usage.refused),
            (
                "memory_evicted",
                "Clients that were closed because memory was short and much was held for them",
                usage.evicted,
            ),
            ("memory_given_back", "Times that memory was given back to the system", heap::given_back()),
            ("memory_denied", "Times that something was not allocated because the budget was used up", usage.denied),
        ] {
            write(&mut encoder, name, help, &ConstCounter::new(value))?;
        }
        Ok(())
    }
}

/// Socket.IO's.
#[derive(Debug)]
struct Sessions(Sockets);

/// Why a request was refused, by Node's codes.
const REFUSALS: [&str; 6] =
    ["unknown_transport", "unknown_session", "bad_method", "bad_request", "forbidden", "unsupported_version"];
const REASONS: [(&str, CloseReason); 6] = [
    ("transport_error", CloseReason::TransportError),
    ("transport_close", CloseReason::TransportClose),
    ("forced_close", CloseReason::ForcedClose),
    ("ping_timeout", CloseReason::PingTimeout),
    ("parse_error", CloseReason::ParseError),
    ("server_shutting_down", CloseReason::ServerShuttingDown),
];

impl Collector for Sessions {
    fn encode(&self, mut encoder: DescriptorEncoder<'_>) -> Result<(), fmt::Error> {
        let Sockets { server, plain, .. } = &self.0;
        let (engine, counted) = (server.engine(), server.engine().metrics());
        let sockets = server.namespaces().iter().map(Namespace::count).sum();
        for (name, help, value) in [
            ("socketio_sessions_open", "Socket.IO sessions open now", engine.sessions()),
            ("socketio_sockets", "Socket.IO clients in namespaces, in each counted anew", sockets),
        ] {
            write(&mut encoder, name, help, &gauge(value as u64))?;
        }
        let opened = BTreeMap::from([
            ("polling", counted.opened(Transport::Polling)),
            ("websocket", counted.opened(Transport::WebSocket)),
        ]);
        let upgrades = BTreeMap::from([
            ("begun", counted.upgrades_begun()),
            ("done", counted.upgrades_done()),
            ("dropped", counted.upgrades_dropped()),
        ]);
        let refused = (0..).zip(REFUSALS).map(|(code, reason)| (reason, counted.refused(code))).collect();
        let closed = REASONS.iter().map(|(words, reason)| (*words, counted.closed(*reason))).collect();
        let limits = Limit::ALL.iter().map(|limit| (limit.name(), counted.limit(*limit))).collect();
        for (name, help, label, values) in [
            ("socketio_limits_hit", "Times that a limit of Socket.IO has bitten", "limit", limits),
            ("socketio_sessions", "Socket.IO sessions since the start, by first transport", "transport", opened),
            ("socketio_sessions_closed", "Socket.IO sessions that ended, by reason", "reason", closed),
            ("socketio_requests_refused", "Socket.IO requests refused, by reason", "reason", refused),
            ("socketio_upgrades", "WebSockets that came for a polling session, by outcome", "outcome", upgrades),
        ] {
            write_labelled(&mut encoder, name, help, label, &values)?;
        }
        for (name, help, value) in [
            ("socketio_payloads_too_large", "POSTs longer than allowed", counted.payloads_too_large()),
            ("socketio_overflows", "Sessions ended for what their client did not take", counted.overflowed()),
            (
                "socketio_events_too_long",
                "Events that plain WebSockets were not told, too long as text",
                plain.too_long(),
            ),
            ("socketio_panics", "Panics of handlers, by which sockets or sessions ended", counted.panics()),
        ] {
            write(&mut encoder, name, help, &ConstCounter::new(value))?;
        }
        server.recovery().map_or(Ok(()), |counted| write_recovery(&mut encoder, counted))
    }
}

fn write_recovery(encoder: &mut DescriptorEncoder<'_>, counted: RecoveryCounters) -> Result<(), fmt::Error> {
    let clients = BTreeMap::from([("recovered", counted.recovered), ("failed", counted.failed)]);
    write_labelled(encoder, "socketio_recoveries", "Clients that came back, by outcome", "outcome", &clients)?;
    let dropped = BTreeMap::from([("packets", counted.packets_dropped), ("sessions", counted.sessions_dropped)]);
    let help = "What a limit threw away that could have been recovered";
    write_labelled(encoder, "socketio_recovery_dropped", help, "what", &dropped)
}

fn gauge(value: u64) -> ConstGauge<i64> {
    ConstGauge::new(i64::try_from(value).unwrap_or(i64::MAX))
}

fn write<M: EncodeMetric>(
    encoder: &mut DescriptorEncoder<'_>,
    name: &str,
    help: &str,
    metric: &M,
) -> Result<(), fmt::Error> {
    metric.encode(encoder.encode_descriptor(name, help, None, metric.metric_type())?)
}

fn write_labelled(
    encoder: &mut DescriptorEncoder<'_>,
    name: &str,
    help: &str,
    label: &str,
    values: &BTreeMap<&'static str, u64>,
) -> Result<(), fmt::Error> {
    let mut family = encoder.encode_descriptor(name, help, None, MetricType::Counter)?;
    for (value, count) in values {
        let labels = [(label, *value)];
        ConstCounter::new(*count).encode(family.encode_family(&labels)?)?;
    }
    Ok(())
}
