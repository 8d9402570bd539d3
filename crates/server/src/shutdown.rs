//! When to stop: SIGTERM and SIGINT.

use std::future::Future;
use std::io;

/// Asks for SIGTERM and SIGINT; the future waits for the first of them. One that comes before the future is awaited is
/// not lost, and does not kill the process either.
///
/// # Errors
/// The signals could not be asked for.
///
/// # Cancel safety
/// Dropping the future changes nothing.
pub fn requested() -> io::Result<impl Future<Output = &'static str>> {
    use tokio::signal::unix::{SignalKind, signal};
    let mut term = signal(SignalKind::terminate())?;
    let mut interrupt = signal(SignalKind::interrupt())?;
    Ok(async move {
        tokio::select! {
            _ = term.recv() => "SIGTERM",
            _ = interrupt.recv() => "SIGINT",
        }
    })
}
