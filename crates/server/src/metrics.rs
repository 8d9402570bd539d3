//! `/metrics`: the counters of the WebSocket endpoint in Prometheus' words.

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
use switchboard_ws::{Config, Snapshot};

use crate::app::App;

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
pub fn registry(config: &Config) -> Arc<Registry> {
    let mut registry = Registry::with_prefix("switchboard");
    registry.register_collector(Box::new(WebSockets(config.clone())));
    Arc::new(registry)
}

#[derive(Debug)]
struct WebSockets(Config);

impl Collector for WebSockets {
    fn encode(&self, mut encoder: DescriptorEncoder<'_>) -> Result<(), fmt::Error> {
        let counted = self.0.get_metrics().snapshot();
        let Snapshot { open, total, messages_in, messages_out, bytes_in, bytes_out, .. } = counted;
        let Snapshot { dropped, inbox_full, unsharded, ref closes, ref limits, ref failures, ref refused, .. } =
            counted;
        let gauge = |value: u64| ConstGauge::new(i64::try_from(value).unwrap_or(i64::MAX));
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
            write(&mut encoder, "room_members", "Connections that are in a room", &members)?;
            write(&mut encoder, "rooms", "Rooms with members", &gauge(hub.topics() as u64))?;
            let counters = hub.counters();
            let refused = BTreeMap::from([
                ("topic_too_long", counters.topic_too_long),
                ("too_many_topics", counters.too_many_topics),
            ]);
            let help = "Subscriptions refused by a limit of the rooms";
            write_labelled(&mut encoder, "subscriptions_refused", help, "limit", &refused)?;
        }
        Ok(())
    }
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
