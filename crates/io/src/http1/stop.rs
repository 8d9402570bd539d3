//! When no further requests are to be taken.

use std::future::pending;

use tokio::sync::watch;

/// Waits until no further requests are to be taken. `None`: for ever.
pub(super) async fn stop(stopping: &Option<watch::Receiver<bool>>) {
    match stopping {
        // Were the sender gone, that would mean to stop as well.
        Some(stopping) => drop(stopping.clone().wait_for(|stopping| *stopping).await),
        None => pending().await,
    }
}
