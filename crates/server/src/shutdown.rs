//! When to stop: SIGTERM and SIGINT.

use std::io;

/// Waits for the first SIGTERM or SIGINT.
///
/// # Errors
/// The signals could not be asked for.
///
/// # Cancel safety
/// Dropping it changes nothing.
pub async fn requested() -> io::Result<&'static str> {
    #[cfg(unix)]
    {
        use tokio::signal::unix::{SignalKind, signal};
        let mut term = signal(SignalKind::terminate())?;
        let mut interrupt = signal(SignalKind::interrupt())?;
        Ok(tokio::select! {
            _ = term.recv() => "SIGTERM",
            _ = interrupt.recv() => "SIGINT",
        })
    }
    #[cfg(not(unix))]
    {
        tokio::signal::ctrl_c().await?;
        Ok("Ctrl-C")
    }
}
