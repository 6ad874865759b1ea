//! SIGINT and SIGTERM: the first stops gracefully, the second at once.

use std::time::Duration;

use tokio_util::sync::CancellationToken;

/// How long a graceful stop may take.
const PATIENCE: Duration = Duration::from_mins(1);
/// Exit code of a program that a signal ended (128 + SIGINT), as shells expect it.
const SIGNALED: i32 = 130;

/// A token that the first signal cancels.
pub fn stop_on_signal() -> CancellationToken {
    let stop = CancellationToken::new();
    tokio::spawn(cancel_on_signal(stop.clone()));
    stop
}

/// Cancels `stop` at the first signal and ends the process at the second, or when the stop takes too long.
pub async fn cancel_on_signal(stop: CancellationToken) {
    signal().await;
    tracing::warn!("Stopping; signal again to end at once");
    stop.cancel();
    tokio::select! {
        () = signal() => tracing::warn!("Ended at the second signal"),
        () = tokio::time::sleep(PATIENCE) => tracing::error!("Ended: the stop took over {PATIENCE:?}"),
    }
    std::process::exit(SIGNALED);
}

#[cfg(unix)]
async fn signal() {
    use tokio::signal::unix::{SignalKind, signal};
    let mut terminate = signal(SignalKind::terminate()).expect("SIGTERM can be listened to");
    tokio::select! {
        _ = terminate.recv() => {}
        result = tokio::signal::ctrl_c() => result.expect("SIGINT can be listened to"),
    }
}

#[cfg(not(unix))]
async fn signal() {
    tokio::signal::ctrl_c().await.expect("Ctrl-C can be listened to");
}
