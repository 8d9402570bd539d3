//! Echo and broadcast over any WebSocket that is a stream and a sink, batched: what is ready is answered by one flush.

use futures_util::{FutureExt, Sink, SinkExt, Stream, StreamExt};
use tokio::sync::broadcast::Sender;

/// Messages answered by one flush, at most.
const BATCH: usize = 32;

/// Sends every message back; feeds each as it comes.
pub async fn echo<S, M, E>(mut socket: S, is_data: fn(&M) -> bool)
where
    S: Stream<Item = Result<M, E>> + Sink<M> + Unpin,
{
    while let Some(Ok(message)) = socket.next().await {
        if !is_data(&message) {
            continue;
        }
        if socket.feed(message).await.is_err() {
            return;
        }
        for _ in 1..BATCH {
            match socket.next().now_or_never() {
                Some(Some(Ok(message))) => {
                    if is_data(&message) && socket.feed(message).await.is_err() {
                        return;
                    }
                }
                Some(_) => return,
                None => break,
            }
        }
        if socket.flush().await.is_err() {
            return;
        }
    }
}

/// [`echo`] for streams that flush whenever they are polled: gathers what is ready first, then feeds it all.
pub async fn echo_gathered<S, M, E>(mut socket: S, is_data: fn(&M) -> bool)
where
    S: Stream<Item = Result<M, E>> + Sink<M> + Unpin,
{
    let mut batch = Vec::new();
    while let Some(Ok(message)) = socket.next().await {
        batch.push(message);
        while batch.len() < BATCH {
            match socket.next().now_or_never() {
                Some(Some(Ok(message))) => batch.push(message),
                Some(_) => return,
                None => break,
            }
        }
        for message in batch.drain(..).filter(is_data) {
            if socket.feed(message).await.is_err() {
                return;
            }
        }
        if socket.flush().await.is_err() {
            return;
        }
    }
}

/// Sends every message to everyone who shares the channel.
pub async fn broadcast<S, M, E>(socket: S, everyone: Sender<M>, is_data: fn(&M) -> bool)
where
    S: Stream<Item = Result<M, E>> + Sink<M>,
    M: Clone,
{
    let mut published = everyone.subscribe();
    let (mut sink, mut stream) = socket.split();
    loop {
        tokio::select! {
            message = stream.next() => match message {
                Some(Ok(message)) => if is_data(&message) { let _ = everyone.send(message); },
                _ => return,
            },
            Ok(message) = published.recv() => {
                if sink.feed(message).await.is_err() {
                    return;
                }
                while let Ok(message) = published.try_recv() {
                    if sink.feed(message).await.is_err() {
                        return;
                    }
                }
                if sink.flush().await.is_err() {
                    return;
                }
            }
        }
    }
}
