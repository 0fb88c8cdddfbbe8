//! Notices on their way out.

use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use futures::StreamExt as _;
use futures::future::BoxFuture;
use notify::{Destination, Notice, Notifier};
use stage::Result;
use tokio::sync::mpsc;
use tokio::task::JoinHandle;

use crate::output;

/// How many notices may wait. One more is dropped, with a warning.
const MOST_WAITING: usize = 1000;
/// How many are sent at the same time.
const AT_A_TIME: usize = 8;
/// How long the end of a process waits for what is on its way.
pub(crate) const PATIENCE: Duration = Duration::from_secs(30);

/// How one notice is brought to one destination.
pub(super) type Send = dyn Fn(Notice, Destination) -> BoxFuture<'static, Result<()>> + std::marker::Send + Sync;

/// A notice, where it goes, and how it gets there.
type Waiting = (Notice, Destination, Arc<Send>);

/// Sends notices in the background. Clones are the same outbox.
#[derive(Clone)]
pub(crate) struct Outbox {
    queue: mpsc::Sender<Waiting>,
    send: Arc<Send>,
    sending: Arc<Mutex<Option<JoinHandle<()>>>>,
}

impl Outbox {
    /// An outbox that sends as a notifier does.
    pub(crate) fn new(notifier: Notifier) -> Outbox {
        Outbox::sending_by(by(notifier))
    }

    /// The same outbox, where notices are put in that are sent in another way.
    pub(super) fn with(&self, send: Arc<Send>) -> Outbox {
        Outbox { send, ..self.clone() }
    }

    pub(super) fn sending_by(send: Arc<Send>) -> Outbox {
        let (queue, mut waiting) = mpsc::channel(MOST_WAITING);
        let notices = futures::stream::poll_fn(move |context| waiting.poll_recv(context));
        let sending = tokio::spawn(notices.for_each_concurrent(AT_A_TIME, |(notice, to, send): Waiting| async move {
            let (headline, place) = (notice.headline(), to.to_string());
            if let Err(error) = send(notice, to).await {
                output::note(&format!("warning: `{headline}` was not sent to {place}: {}", error.chain()));
            }
        }));
        Outbox { queue, send, sending: Arc::new(Mutex::new(Some(sending))) }
    }

    /// Puts a notice in line. It does not wait.
    pub(crate) fn put(&self, notice: Notice, to: Destination) {
        let waiting = (notice, to, Arc::clone(&self.send));
        if let Err(mpsc::error::TrySendError::Full((notice, to, _))) = self.queue.try_send(waiting) {
            let headline = notice.headline();
            output::note(&format!("warning: `{headline}` was not sent to {to}: too many notices are waiting"));
        }
    }

    /// Waits until everything is sent, but not for long. Nothing is sent afterwards.
    pub(crate) async fn close(self) {
        let Outbox { queue, sending, .. } = self;
        drop(queue);
        let sending = sending.lock().unwrap_or_else(PoisonError::into_inner).take();
        let Some(mut sending) = sending else { return };
        if tokio::time::timeout(PATIENCE, &mut sending).await.is_err() {
            sending.abort();
            output::note(&format!("warning: notices were not sent within {PATIENCE:?} and are given up"));
        }
    }
}

/// Sends as a notifier does.
pub(super) fn by(notifier: Notifier) -> Arc<Send> {
    Arc::new(move |notice, to| {
        let notifier = notifier.clone();
        Box::pin(async move { notifier.send(&notice, &to).await })
    })
}
