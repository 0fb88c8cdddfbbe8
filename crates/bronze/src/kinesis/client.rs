//! What a source asks of Kinesis, so that tests can answer in its place.

use async_trait::async_trait;
use chrono::{DateTime, Utc};

use super::failure::Failure;
use super::shards::{Place, Shard};

/// A stream as it is now.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Stream {
    /// `kinesis/<account>/<region>/<stream>`.
    pub(crate) position: String,
    pub(crate) name: String,
    /// When it was made, in milliseconds since 1970; a stream made anew under the same name has another.
    pub(crate) created: i64,
    /// For how long records are kept.
    pub(crate) retention_hours: i64,
    /// What time it is by the clock of the service.
    pub(crate) now: DateTime<Utc>,
}

/// One record as it was put.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Record {
    pub(crate) key: String,
    pub(crate) sequence_number: String,
    /// When it came to the stream, in milliseconds since 1970.
    pub(crate) arrived: Option<i64>,
    pub(crate) payload: Vec<u8>,
}

/// Some records of a shard.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(crate) struct Records {
    pub(crate) records: Vec<Record>,
    /// What to ask for the next ones with; `None` at the end of a closed shard.
    pub(crate) next: Option<String>,
    /// How far behind the newest record these are.
    pub(crate) behind_millis: u64,
}

/// One stream of Kinesis. Nothing is tried again here.
#[async_trait]
pub(crate) trait Client: Send + Sync + 'static {
    /// The stream.
    /// [`DescribeStreamSummary`](https://docs.aws.amazon.com/kinesis/latest/APIReference/API_DescribeStreamSummary.html).
    async fn stream(&self) -> Result<Stream, Failure>;

    /// Every shard that is kept, closed ones included.
    /// [`ListShards`](https://docs.aws.amazon.com/kinesis/latest/APIReference/API_ListShards.html).
    async fn shards(&self) -> Result<Vec<Shard>, Failure>;

    /// What to ask for the records from `place` on with; it is good for five minutes.
    /// [`GetShardIterator`](https://docs.aws.amazon.com/kinesis/latest/APIReference/API_GetShardIterator.html).
    async fn iterator(&self, shard: &str, place: &Place) -> Result<String, Failure>;

    /// The next records, at most 10 MB and 10,000 of them.
    /// [`GetRecords`](https://docs.aws.amazon.com/kinesis/latest/APIReference/API_GetRecords.html).
    async fn records(&self, iterator: &str) -> Result<Records, Failure>;
}
