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
    /// Begins to listen for a command that drops what is not committed.
    pub(crate) fn listen() -> Signals {
        Signals::listen_and_say("stopping; what is not committed is dropped, press ctrl-c again to end at once")
    }

    /// Begins to listen, and says that when the first signal comes.
    pub(crate) fn listen_and_say(stopping: &'static str) -> Signals {
        let signals = Signals { cancellation: CancellationToken::new(), code: Arc::default() };
        let listening = signals.clone();
        // Taken once, before any work begins: a signal that arrives between two takings would be lost.
        let mut arriving = Arriving::new();
        tokio::spawn(async move {
            let code = arriving.next().await;
            listening.code.store(code, Ordering::SeqCst);
            listening.cancellation.cancel();
            crate::output::note(stopping);
            let code = arriving.next().await;
            std::process::exit(i32::from(code));
        });
        signals
    }

    /// The exit code of the signal that arrived, if one did.
    pub(crate) fn exit_code(&self) -> Option<u8> {
        Some(self.code.load(Ordering::SeqCst)).filter(|code| *code != 0)
    }
}

/// The signals that ask for an end; `None` is one that the system does not let us have.
#[cfg(unix)]
struct Arriving {
    interrupt: Option<tokio::signal::unix::Signal>,
    terminate: Option<tokio::signal::unix::Signal>,
}

#[cfg(unix)]
impl Arriving {
    fn new() -> Arriving {
        use tokio::signal::unix::{SignalKind, signal};
        Arriving { interrupt: signal(SignalKind::interrupt()).ok(), terminate: signal(SignalKind::terminate()).ok() }
    }

    async fn next(&mut self) -> u8 {
        tokio::select! {
            () = received(self.interrupt.as_mut()) => INTERRUPTED,
            () = received(self.terminate.as_mut()) => TERMINATED,
        }
    }
}

#[cfg(unix)]
async fn received(signal: Option<&mut tokio::signal::unix::Signal>) {
    if let Some(signal) = signal
        && signal.recv().await.is_some()
    {
        return;
    }
    std::future::pending().await
}

#[cfg(not(unix))]
struct Arriving;

#[cfg(not(unix))]
impl Arriving {
    fn new() -> Arriving {
        Arriving
    }

    async fn next(&mut self) -> u8 {
        let _ = tokio::signal::ctrl_c().await;
        INTERRUPTED
    }
}
