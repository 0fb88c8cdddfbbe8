//! Signals of the operating system as a cancellation.

use std::sync::Arc;
use std::sync::atomic::{AtomicU8, Ordering};

use tokio_util::sync::CancellationToken;

/// The exit code after a first ctrl-c.
const INTERRUPTED: u8 = 130;
/// The exit code after a first SIGTERM.
const TERMINATED: u8 = 143;

/// Waits for signals in the background: the first asks for a clean end, a second ends at once.
#[derive(Debug, Clone)]
pub(crate) struct Signals {
    /// Set by the first signal.
    pub(crate) cancellation: CancellationToken,
    code: Arc<AtomicU8>,
}

impl Signals {
    /// Begins to listen.
    pub(crate) fn listen() -> Signals {
        let signals = Signals { cancellation: CancellationToken::new(), code: Arc::default() };
        let listening = signals.clone();
        tokio::spawn(async move {
            let code = next_signal().await;
            listening.code.store(code, Ordering::SeqCst);
            listening.cancellation.cancel();
            crate::output::note("stopping; what is not committed is dropped, press ctrl-c again to end at once");
            let code = next_signal().await;
            std::process::exit(i32::from(code));
        });
        signals
    }

    /// The exit code of the signal that arrived, if one did.
    pub(crate) fn exit_code(&self) -> Option<u8> {
        Some(self.code.load(Ordering::SeqCst)).filter(|code| *code != 0)
    }
}

#[cfg(unix)]
async fn next_signal() -> u8 {
    use tokio::signal::unix::{SignalKind, signal};
    let Ok(mut terminate) = signal(SignalKind::terminate()) else {
        let _ = tokio::signal::ctrl_c().await;
        return INTERRUPTED;
    };
    tokio::select! {
        _ = tokio::signal::ctrl_c() => INTERRUPTED,
        _ = terminate.recv() => TERMINATED,
    }
}

#[cfg(not(unix))]
async fn next_signal() -> u8 {
    let _ = tokio::signal::ctrl_c().await;
    INTERRUPTED
}
