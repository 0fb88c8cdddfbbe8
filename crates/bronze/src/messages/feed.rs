//! An open source of messages, and how a batch is gathered from it.
//!
//! A source reads on its own, into a buffer. A batch of a stream is what has come; a run that is no stream reads up to the
//! end that is found when it begins, in as many batches as that takes.

use std::collections::BTreeMap;
use std::future::Future;
use std::time::Duration;

use chrono::{DateTime, Utc};
use lake::Table;
use serde_json::Value;
use stage::{Context, Gauge, OffsetRange, Result};
use tokio::time::Instant;

use super::kind::MessageKind;
use super::piece::Piece;
use super::waiting::Taken;

/// How long one look at the buffer waits, so that a stop is noticed.
const LOOK: Duration = Duration::from_millis(200);

/// What is said of messages whose table another writer has brought forward.
pub(crate) const DROPPED: &str = "what was read since was dropped";

/// What each kind of source does in its own way, once it is open. Dropping it ends the reading.
pub(crate) trait Feed: Send + Sync + 'static {
    /// What its messages are.
    const KIND: MessageKind;
    /// How far the parts of the source are read with a batch.
    type Moved: Default + IntoIterator + Extend<<Self::Moved as IntoIterator>::Item> + Send + Sync;
    /// Where a run that is no stream ends.
    type End: Send + Sync;

    /// Takes what was read for the batch that already has `rows` and `bytes`. Pieces that may still grow are only taken
    /// with `unfinished`.
    ///
    /// # Errors
    /// When reading failed. What came before is not handed out then.
    fn take(&self, rows: u64, bytes: u64, unfinished: bool) -> Result<Taken<Self::Moved>>;

    /// Ends when something may have changed since the last time.
    fn news(&self) -> impl Future<Output = ()> + Send;

    /// How long until there is a batch for a stream: at once when there is enough or reading failed, never when there is
    /// nothing.
    fn due_in(&self, trigger: Duration) -> Option<Duration>;

    /// Where the source ends now.
    ///
    /// # Errors
    /// When the source does not answer.
    fn find_end(&self) -> impl Future<Output = Result<Self::End>> + Send;

    /// Whether everything up to the end was read. It is waited for since `since`.
    ///
    /// # Errors
    /// When nothing comes any more although it should.
    fn is_at_end(&self, end: &Self::End, since: Instant) -> impl Future<Output = Result<bool>> + Send;

    /// Makes sure that the table stands where this source left it.
    ///
    /// # Errors
    /// [`stage::Kind::Conflict`] when another writer has read the same.
    fn check_held(&self, table: &Table) -> impl Future<Output = Result<()>> + Send;

    /// Whether a batch without rows must be committed all the same, because the table has to know how far was read.
    fn is_worth_a_commit(&self, moved: &Self::Moved) -> bool;

    /// The number of the next batch.
    fn number(&self, table: &Table) -> i64;

    /// The positions that a batch moves.
    fn range(&self, moved: &Self::Moved) -> OffsetRange;

    /// What the commit of a batch says beside positions, where those cannot hold how far was read.
    ///
    /// # Errors
    /// [`stage::Kind::Bug`] when it cannot be written.
    fn states(&self, _moved: &Self::Moved) -> Result<BTreeMap<String, Value>> {
        Ok(BTreeMap::new())
    }

    /// Notes that a batch was committed.
    fn committed(&mut self, moved: &Self::Moved);

    /// How far behind the table is, where the source tells.
    fn lag(&self) -> Vec<Gauge> {
        Vec::new()
    }
}

/// An open source.
pub(crate) struct Opened<F: Feed> {
    pub(crate) feed: F,
    /// Where a run that is no stream ends; `None` until it begins.
    end: Option<F::End>,
    /// The time of the newest message that was committed.
    newest: Option<DateTime<Utc>>,
}

/// What is gathered for one batch.
pub(crate) struct Gathered<F: Feed> {
    rows: u64,
    bytes: u64,
    /// What of it are bytes of messages.
    pub(crate) message_bytes: u64,
    /// How far the parts of the source are read with it.
    pub(crate) moved: F::Moved,
    /// The time of the newest message, in microseconds since 1970.
    newest: Option<i64>,
    /// Whether nothing is left that belongs to the run.
    pub(crate) is_last: bool,
}

impl<F: Feed> Opened<F> {
    /// A source that was opened just now, and where it ended then.
    pub(crate) fn new(feed: F, end: F::End) -> Opened<F> {
        Opened { feed, end: Some(end), newest: None }
    }

    /// The next pieces of a batch; none when it is complete. A stream takes what has come and does not wait.
    ///
    /// # Errors
    /// When reading failed or is to stop.
    pub(crate) async fn gather(&mut self, gathered: &mut Gathered<F>, context: &Context) -> Result<Vec<Piece>> {
        if gathered.is_last {
            return Ok(Vec::new());
        }
        if context.streaming {
            gathered.is_last = true;
            return gathered.take(&self.feed, true).map(|(pieces, _)| pieces);
        }
        let end = match self.end.take() {
            Some(end) => end,
            None => self.feed.find_end().await?,
        };
        let pieces = self.gather_until(&end, gathered, context).await?;
        self.end = (!gathered.is_last).then_some(end);
        Ok(pieces)
    }

    async fn gather_until(&self, end: &F::End, gathered: &mut Gathered<F>, context: &Context) -> Result<Vec<Piece>> {
        let since = Instant::now();
        loop {
            context.check()?;
            let (pieces, is_full) = gathered.take(&self.feed, false)?;
            if !pieces.is_empty() || is_full {
                return Ok(pieces);
            }
            if self.feed.is_at_end(end, since).await? {
                let (pieces, is_full) = gathered.take(&self.feed, true)?;
                gathered.is_last = !is_full;
                return Ok(pieces);
            }
            // A time-out only means to look again.
            let _ = tokio::time::timeout(LOOK, self.feed.news()).await;
        }
    }

    /// Notes that a batch was committed.
    pub(crate) fn committed(&mut self, gathered: &Gathered<F>) {
        self.newest = gathered.newest.and_then(DateTime::from_timestamp_micros).max(self.newest);
        self.feed.committed(&gathered.moved);
    }

    /// How far behind the table is, and how new.
    pub(crate) fn gauges(&self) -> Vec<Gauge> {
        self.feed.lag().into_iter().chain(self.newest.map(Gauge::EventTime)).collect()
    }
}

impl<F: Feed> Gathered<F> {
    /// Nothing yet.
    pub(crate) fn new() -> Gathered<F> {
        Gathered { rows: 0, bytes: 0, message_bytes: 0, moved: F::Moved::default(), newest: None, is_last: false }
    }

    /// Takes pieces, and says whether the batch is full.
    fn take(&mut self, feed: &F, unfinished: bool) -> Result<(Vec<Piece>, bool)> {
        let taken = feed.take(self.rows, self.bytes, unfinished)?;
        for piece in &taken.pieces {
            self.rows += piece.rows() as u64;
            self.bytes += piece.bytes() as u64;
            self.message_bytes += F::KIND.bytes_of(piece) as u64;
            self.newest = self.newest.max(piece.newest());
        }
        self.moved.extend(taken.moved);
        Ok((taken.pieces, taken.is_full))
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Mutex;

    use stage::Checkpoint;

    use super::super::piece::Message;
    use super::super::waiting::{Limits, Waiting};
    use super::*;

    /// A source whose messages have all come before it is opened, and are taken two at a time.
    struct Fake {
        waiting: Mutex<Waiting>,
        come: i64,
        asked_for_end: Mutex<u32>,
    }

    impl Fake {
        fn with(messages: i64) -> Opened<Fake> {
            let mut waiting = Waiting::new(Limits { held_bytes: 1 << 20, max_rows: 2, max_bytes: 1 << 20 });
            for position in 0..messages {
                let (payload, is_tombstone, key, detail) = (&b"{}"[..], false, None, None);
                let millis = Some(position);
                let message = Message { payload, is_tombstone, key, detail, millis, position, part: 0 };
                waiting.add(|piece| piece.push(&message));
            }
            let (waiting, asked_for_end) = (Mutex::new(waiting), Mutex::default());
            Opened::new(Fake { waiting, come: messages, asked_for_end }, messages)
        }
    }

    impl Feed for Fake {
        const KIND: MessageKind = crate::kafka::KIND;
        type Moved = BTreeMap<u32, i64>;
        type End = i64;

        fn take(&self, rows: u64, bytes: u64, unfinished: bool) -> Result<Taken<BTreeMap<u32, i64>>> {
            let Taken { pieces, is_full, .. } = self.waiting.lock().unwrap().take(rows, bytes, unfinished)?;
            let moved = pieces.iter().flat_map(|piece| piece.positions.last()).map(|last| (0, last + 1)).collect();
            Ok(Taken { pieces, moved, is_full })
        }

        async fn news(&self) {}

        fn due_in(&self, trigger: Duration) -> Option<Duration> {
            self.waiting.lock().unwrap().due_in(trigger)
        }

        async fn find_end(&self) -> Result<i64> {
            *self.asked_for_end.lock().unwrap() += 1;
            Ok(self.come)
        }

        async fn is_at_end(&self, end: &i64, _since: Instant) -> Result<bool> {
            Ok(self.come >= *end)
        }

        async fn check_held(&self, _table: &Table) -> Result<()> {
            Ok(())
        }

        fn is_worth_a_commit(&self, _moved: &BTreeMap<u32, i64>) -> bool {
            false
        }

        fn number(&self, _table: &Table) -> i64 {
            0
        }

        fn range(&self, _moved: &BTreeMap<u32, i64>) -> OffsetRange {
            OffsetRange { from: Checkpoint::new(), to: Checkpoint::new() }
        }

        fn committed(&mut self, _moved: &BTreeMap<u32, i64>) {}
    }

    /// Gathers one batch: how many messages it has, and what is known of it.
    async fn batch(opened: &mut Opened<Fake>, context: &Context) -> (usize, Gathered<Fake>) {
        let (mut rows, mut gathered) = (0, Gathered::new());
        loop {
            let pieces = opened.gather(&mut gathered, context).await.unwrap();
            if pieces.is_empty() {
                return (rows, gathered);
            }
            rows += pieces.iter().map(Piece::rows).sum::<usize>();
        }
    }

    #[tokio::test]
    async fn a_run_reads_in_batches_up_to_the_end_it_found_and_then_looks_for_the_next() {
        let (mut opened, context) = (Fake::with(5), Context::new("run"));
        let mut batches = Vec::new();
        for _ in 0..3 {
            let (rows, gathered) = batch(&mut opened, &context).await;
            batches.push((rows, gathered.moved[&0], gathered.is_last));
            opened.committed(&gathered);
        }
        assert_eq!(batches, [(2, 2, false), (2, 4, false), (1, 5, true)]);
        assert_eq!(opened.gauges(), [Gauge::EventTime(DateTime::from_timestamp_millis(4).unwrap())]);
        assert_eq!(*opened.feed.asked_for_end.lock().unwrap(), 0, "the end that was found when it was opened");
        let (rows, gathered) = batch(&mut opened, &context).await;
        assert_eq!((rows, gathered.is_last), (0, true));
        assert_eq!(*opened.feed.asked_for_end.lock().unwrap(), 1);
    }

    #[tokio::test]
    async fn a_batch_of_a_stream_is_what_has_come_and_is_not_waited_for() {
        let (mut opened, mut context) = (Fake::with(1), Context::new("run"));
        context.streaming = true;
        let (rows, gathered) = batch(&mut opened, &context).await;
        assert_eq!((rows, gathered.message_bytes, gathered.is_last), (1, 2, true));
        assert_eq!(opened.feed.due_in(Duration::ZERO), None);
        assert_eq!(batch(&mut opened, &context).await.0, 0);
    }
}
