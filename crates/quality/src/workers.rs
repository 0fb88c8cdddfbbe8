//! Workers that bring the rows of one batch into staged files, all at the same time.
//!
//! The first error wins: it stops the others, and it is returned when all of them have ended, so that nothing of a batch
//! that failed is still going on when it is tried again.

use std::future::Future;

use lake::Add;
use stage::{Error, Result};
use tokio::task::JoinSet;

/// What was staged, by one worker or by all.
#[derive(Debug, Default)]
pub struct Staged {
    /// The staged files.
    pub added: Vec<Add>,
    /// Rows in them.
    pub rows: u64,
    /// Rows left out because their key was met before.
    pub duplicates: u64,
}

/// Workers that stage rows at the same time. Dropping them stops all but the blocking ones.
#[derive(Debug, Default)]
pub struct Workers {
    tasks: JoinSet<Result<Staged>>,
}

impl Staged {
    fn absorb(&mut self, other: Staged) {
        self.added.extend(other.added);
        self.rows += other.rows;
        self.duplicates += other.duplicates;
    }
}

impl Workers {
    /// Starts a worker.
    pub fn spawn(&mut self, worker: impl Future<Output = Result<Staged>> + Send + 'static) {
        self.tasks.spawn(worker);
    }

    /// Starts one that hands work to the others on a blocking thread and stages nothing itself. It cannot be stopped, so
    /// it must end when the others are gone.
    pub fn spawn_blocking(&mut self, worker: impl FnOnce() -> Result<()> + Send + 'static) {
        self.tasks.spawn_blocking(move || worker().map(|()| Staged::default()));
    }

    /// Waits for all workers.
    ///
    /// # Errors
    /// The first error of any of them.
    pub async fn join(mut self) -> Result<Staged> {
        let mut staged = Staged::default();
        let mut failure: Option<Error> = None;
        while let Some(joined) = self.tasks.join_next().await {
            let part = joined.unwrap_or_else(|error| Err(Error::bug("a worker ended unexpectedly").with_source(error)));
            match part {
                Ok(part) => staged.absorb(part),
                Err(error) => {
                    self.tasks.abort_all();
                    // A worker that was stopped because another failed says nothing new.
                    failure = failure.or(Some(error));
                }
            }
        }
        failure.map_or(Ok(staged), Err)
    }
}

#[cfg(test)]
mod tests {
    use std::sync::mpsc;

    use super::*;

    async fn staged(rows: u64) -> Result<Staged> {
        Ok(Staged { rows, ..Staged::default() })
    }

    #[tokio::test]
    async fn what_all_staged_is_summed() {
        let mut workers = Workers::default();
        workers.spawn(staged(2));
        workers.spawn(staged(3));
        workers.spawn_blocking(|| Ok(()));
        assert_eq!(workers.join().await.unwrap().rows, 5);
    }

    #[tokio::test]
    async fn the_first_error_stops_the_others_and_waits_for_them() {
        let (held, waiting) = mpsc::channel::<()>();
        let (ended, has_ended) = mpsc::channel();
        let (begin, begun) = tokio::sync::oneshot::channel();
        let mut workers = Workers::default();
        workers.spawn(async move {
            std::future::pending::<()>().await;
            drop(held);
            staged(1).await
        });
        // Goes on until the worker above is gone, as the reader of files does.
        workers.spawn_blocking(move || {
            let _ = begin.send(());
            let is_alone = waiting.recv().is_err();
            ended.send(is_alone).map_err(|_| Error::bug("nobody waits"))
        });
        workers.spawn(async {
            let _ = begun.await;
            Err(Error::data("first"))
        });
        assert_eq!(workers.join().await.unwrap_err().message(), "first");
        assert_eq!(has_ended.try_recv(), Ok(true));
    }

    #[tokio::test]
    async fn a_worker_that_panics_is_a_bug() {
        let mut workers = Workers::default();
        workers.spawn(async { panic!("on purpose") });
        assert_eq!(workers.join().await.unwrap_err().kind(), stage::Kind::Bug);
    }
}
