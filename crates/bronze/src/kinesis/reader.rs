//! Asks for records: a task for each shard that may be read, and one above them that starts those of shards that came
//! later.

use std::collections::BTreeSet;
use std::convert::Infallible;
use std::future::Future;
use std::panic::AssertUnwindSafe;
use std::sync::Arc;
use std::time::Duration;

use chrono::Utc;
use futures::FutureExt as _;
use stage::{Error, Result};
use tokio::sync::Semaphore;
use tokio::task::{AbortHandle, JoinSet};
use tokio::time::{Instant, sleep, sleep_until};

use super::buffer::Buffer;
use super::client::{Client, Records};
use super::failure::{Cause, Failure};
use super::shards::{Place, Shard, ShardState, found_later, lost, ready};
use crate::messages::spec::OnDataLoss;

/// The least time between two questions to a shard. It answers five times a second, for all who read it.
const PACE: Duration = Duration::from_millis(250);
/// How often shards are listed although none has ended.
const REFRESH: Duration = Duration::from_secs(10);
/// How long one who is asked too often may refuse.
const PATIENCE_THROTTLED: Duration = Duration::from_secs(120);
/// How long the service may be away while reading goes on.
const PATIENCE_AWAY: Duration = Duration::from_secs(20);
/// How long the service may be away before reading has begun.
pub(crate) const PATIENCE_AT_FIRST: Duration = Duration::from_secs(3);
/// The first pause after a failure; each further one is twice as long, up to the longest.
const FIRST_PAUSE: Duration = Duration::from_millis(500);
const LONGEST_PAUSE: Duration = Duration::from_secs(8);
/// Megabytes of the largest answer there is.
const LARGEST_ANSWER: u32 = 10;

/// What all tasks of a stream share.
#[derive(Clone)]
struct Reader {
    client: Arc<dyn Client>,
    buffer: Arc<Buffer>,
    name: String,
    on_data_loss: OnDataLoss,
    /// The megabytes that answers may take while they are read.
    memory: Arc<Semaphore>,
    megabytes: u32,
}

/// Reading that goes on until this is dropped.
pub(crate) struct Reading(AbortHandle);

impl Drop for Reading {
    fn drop(&mut self) {
        self.0.abort();
    }
}

/// Starts to read the shards that are listed, from where the buffer says they were read so far.
pub(crate) fn start(
    client: Arc<dyn Client>,
    buffer: Arc<Buffer>,
    name: &str,
    on_data_loss: OnDataLoss,
    memory_bytes: u64,
    listed: Vec<Shard>,
) -> Reading {
    let megabytes = u32::try_from(memory_bytes >> 20).unwrap_or(u32::MAX).clamp(LARGEST_ANSWER, 1 << 20);
    let memory = Arc::new(Semaphore::new(megabytes as usize));
    let reader = Reader { client, buffer, name: name.to_owned(), on_data_loss, memory, megabytes };
    let task = tokio::spawn(async move {
        // Whoever waits for records must learn that none will come.
        let read = AssertUnwindSafe(reader.read(listed)).catch_unwind().await;
        let error = match read {
            Ok(error) => error,
            Err(_) => Error::bug("the task that reads from Kinesis panicked"),
        };
        reader.buffer.fail(error);
    });
    Reading(task.abort_handle())
}

impl Reader {
    /// Keeps a task for every shard that may be read, and says why that ended.
    async fn read(&self, listed: Vec<Shard>) -> Error {
        match self.keep_reading(listed).await {
            Ok(never) => match never {},
            Err(error) => error,
        }
    }

    async fn keep_reading(&self, mut listed: Vec<Shard>) -> Result<Infallible> {
        let mut tasks: JoinSet<Result<()>> = JoinSet::new();
        let mut begun: BTreeSet<String> = BTreeSet::new();
        let mut ended = 0;
        loop {
            let known = self.buffer.lock().reached.clone();
            let found = found_later(&listed, &known);
            found
                .iter()
                .for_each(|(id, _)| tracing::info!(shard = %format!("{}/{id}", self.name), "found a new shard"));
            self.buffer.found(found);
            let known = self.buffer.lock().reached.clone();
            for shard in ready(&listed, &known) {
                if begun.insert(shard.clone()) {
                    let reader = self.clone();
                    tasks.spawn(async move { reader.read_shard(&shard).await });
                }
            }
            let closed = listed.iter().filter(|shard| shard.is_closed).map(|shard| shard.id.clone());
            self.buffer.settle(ended, closed.collect());
            tokio::select! {
                Some(joined) = tasks.join_next() => {
                    joined.map_err(|error| Error::bug("reading a shard ended unexpectedly").with_source(error))??;
                }
                () = sleep(REFRESH) => {}
            }
            ended = self.buffer.lock().ended;
            listed = patiently(PATIENCE_AWAY, || self.client.shards()).await?;
        }
    }

    /// Reads a shard until it ends, which an open one does not.
    async fn read_shard(&self, shard: &str) -> Result<()> {
        let mut iterator = None;
        let mut weight = LARGEST_ANSWER;
        let mut trouble = Trouble::default();
        loop {
            self.buffer.room().await;
            let permit = self.memory.acquire_many(weight.min(self.megabytes)).await;
            let permit = permit.map_err(|error| Error::bug("memory for answers was taken away").with_source(error))?;
            let asked = Asked { at: Instant::now(), was_closed: self.buffer.lock().closed.contains(shard) };
            let at = asked.at;
            match self.ask(shard, &mut iterator).await {
                Ok(records) => {
                    trouble = Trouble::default();
                    weight = weight_of(&records);
                    if self.take(shard, records, asked, &mut iterator) {
                        return Ok(());
                    }
                }
                Err(failure) if failure.cause == Cause::ExpiredIterator => iterator = None,
                Err(failure) if failure.cause == Cause::NoSuchPlace && iterator.is_none() => {
                    self.begin_anew(shard, failure)?
                }
                Err(failure) => {
                    drop(permit);
                    trouble.pause(failure).await?;
                    continue;
                }
            }
            drop(permit);
            sleep_until(at + PACE).await;
        }
    }

    async fn ask(&self, shard: &str, iterator: &mut Option<String>) -> Result<Records, Failure> {
        let current = match iterator.take() {
            Some(current) => current,
            None => self.client.iterator(shard, &self.state_of(shard).place).await?,
        };
        // Kept, so that what failed can be asked again.
        self.client.records(iterator.insert(current)).await
    }

    /// Hands records to the buffer and says whether they were the last.
    fn take(&self, shard: &str, answer: Records, asked: Asked, iterator: &mut Option<String>) -> bool {
        let Asked { at: asked, was_closed } = asked;
        let is_at_tip = answer.behind_millis == 0;
        let is_end = answer.next.is_none() || (answer.records.is_empty() && is_at_tip && was_closed);
        *iterator = answer.next;
        if is_end {
            self.buffer.push(shard, &answer.records, Place::Closed, None);
            return true;
        }
        let place = answer.records.last().map(|last| Place::After(last.sequence_number.clone()));
        let place = place.unwrap_or_else(|| self.state_of(shard).place);
        let seen = Utc::now().timestamp_millis() - asked.elapsed().as_millis() as i64 - answer.behind_millis as i64;
        let tip = asked.checked_sub(Duration::from_millis(answer.behind_millis)).map(|tip| (tip, seen));
        self.buffer.push(shard, &answer.records, place, tip);
        false
    }

    /// What is done when the place where a shard was read last does not exist.
    fn begin_anew(&self, shard: &str, failure: Failure) -> Result<()> {
        let Place::After(number) = self.state_of(shard).place else { return Err(failure.error) };
        let what = format!(
            "{}/{shard} is to be read behind sequence number {number}, which it does not know: {}",
            self.name,
            failure.error.message()
        );
        let warning = lost(self.on_data_loss, what, "begin with its oldest record")?;
        tracing::warn!("{warning}");
        self.buffer.push(shard, &[], Place::TrimHorizon, None);
        Ok(())
    }

    fn state_of(&self, shard: &str) -> ShardState {
        let unknown = ShardState { place: Place::TrimHorizon, rows: 0, seen: None };
        self.buffer.lock().reached.get(shard).cloned().unwrap_or(unknown)
    }
}

/// A question for records.
struct Asked {
    at: Instant,
    /// Whether the shard was known to be closed already: a shard may get records and be closed while an answer is under way.
    was_closed: bool,
}

/// The megabytes that the next answer is likely to take.
fn weight_of(answer: &Records) -> u32 {
    let bytes: usize = answer.records.iter().map(|record| record.payload.len()).sum();
    u32::try_from(bytes >> 20).unwrap_or(LARGEST_ANSWER).saturating_mul(2).clamp(1, LARGEST_ANSWER)
}

/// Failures one after the other.
#[derive(Default)]
struct Trouble {
    since: Option<Instant>,
    pause: Option<Duration>,
}

impl Trouble {
    /// Waits before asking again, longer each time.
    ///
    /// # Errors
    /// The failure, when asking again does not help or has not for too long.
    async fn pause(&mut self, failure: Failure) -> Result<()> {
        let patience = if failure.cause == Cause::Throttled { PATIENCE_THROTTLED } else { PATIENCE_AWAY };
        self.pause_within(patience, failure).await
    }

    async fn pause_within(&mut self, patience: Duration, failure: Failure) -> Result<()> {
        let since = *self.since.get_or_insert_with(Instant::now);
        if !failure.may_pass() || since.elapsed() >= patience {
            return Err(failure.error);
        }
        tracing::debug!(error = %failure.error.chain(), "asking again");
        let pause = self.pause.map_or(FIRST_PAUSE, |last| (last * 2).min(LONGEST_PAUSE));
        self.pause = Some(pause);
        sleep(pause).await;
        Ok(())
    }
}

/// Asks again while that may help, but no longer than `patience`.
///
/// # Errors
/// The last failure.
pub(crate) async fn patiently<T, F>(patience: Duration, mut ask: impl FnMut() -> F) -> Result<T>
where
    F: Future<Output = Result<T, Failure>>,
{
    let mut trouble = Trouble::default();
    loop {
        match ask().await {
            Ok(answer) => return Ok(answer),
            Err(failure) => trouble.pause_within(patience, failure).await?,
        }
    }
}
