//! What a commit tells about itself, under `medallion` in its commit info.
//!
//! The record is atomic with the rows. Quarantine, `system.files`, `system.quality` and `system.events` are made from it
//! afterwards, so none of them can disagree with the table for long.

use std::collections::BTreeMap;

use deltalake::kernel::Add;
use serde::{Deserialize, Serialize};
use serde_json::Value;
use stage::Checkpoint;

/// The key of the record in the commit info.
pub(crate) const KEY: &str = "medallion";

/// The folder below a table in which its [`Remembered`] changes lie. Other Delta programs leave names that begin with `_`
/// alone.
pub const REMEMBERED_FOLDER: &str = "_remembered";

/// The folder below a table in which the files of [`Record::kept`] lie.
pub const KEPT_FOLDER: &str = "_kept";

/// Actions of commits whose rows are not those of one more batch.
pub const BESIDE_BATCHES: [&str; 2] = ["replay", "backfill"];

/// What one commit did and why.
#[derive(Debug, Clone, Default, Serialize, Deserialize)]
#[serde(default)]
pub struct Record {
    /// Names this commit; a writer that lost the answer to its request finds itself by it.
    pub id: String,
    /// The run this belongs to.
    pub run: String,
    /// Number of the batch: for bronze counted from 0 by each source, else from 1 by each table.
    pub batch: i64,
    /// What was done: append, unique_key, merge, overwrite, refresh.
    pub action: String,
    /// Why it was done this way, for people.
    pub reason: String,
    /// Every position of the table after this commit. The same positions stand in `txn` actions; here they can be read
    /// at once.
    pub positions: Checkpoint,
    /// Whether positions may be missing above, because the log no longer held the record before this one. The `txn` actions
    /// have them.
    pub has_unknown_positions: bool,
    /// What positions stand for where a number alone does not say it, by position id: a stream of Kinesis counts its batches,
    /// and its state says where each shard stands. Commits that do not move a position repeat its state.
    pub states: BTreeMap<String, Value>,
    /// Rows read from upstream.
    pub rows_read: u64,
    /// Rows this commit added.
    pub rows_written: u64,
    /// Rows kept in quarantine.
    pub rows_quarantined: u64,
    /// Rows left out on purpose.
    pub rows_dropped: u64,
    /// How each expectation fared.
    pub rules: Vec<RuleOutcome>,
    /// Files read, unless there are too many to stand here.
    pub files: Vec<IngestedFile>,
    /// Where the list of files read is staged when it is long, relative to the table.
    pub manifest: Option<String>,
    /// Quarantine files staged beside the table, to be committed there.
    pub quarantine: Vec<Add>,
    /// The newest version before this one of which the quarantine table has to know.
    pub earlier_quarantine: Option<u64>,
    /// Whether all rows were checked anew, so that what was refused before is refused again or not any more.
    pub replaces_quarantine: bool,
    /// Where this commit brings in rows that were refused before: what became of each.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub replay: Option<Replay>,
    /// The versions of other tables that were read.
    pub reads: BTreeMap<String, u64>,
    /// A fingerprint of the spec and SQL that made these rows.
    pub fingerprint: Option<String>,
    /// Files in [`KEPT_FOLDER`] from which the next commit can go on, by what they hold. They are not rows of the table; a
    /// newer commit names its own, or none.
    #[serde(skip_serializing_if = "BTreeMap::is_empty")]
    pub kept: BTreeMap<String, Vec<Add>>,
    /// The ways of doing it that were looked at, the one that was taken first.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub considered: Vec<Considered>,
    /// Rows upstream that came or went since the commit before.
    pub rows_changed: u64,
    /// How long the work took, in milliseconds.
    pub milliseconds: u64,
    /// What a million rows took the last time, in milliseconds, by the way it was done.
    #[serde(skip_serializing_if = "BTreeMap::is_empty")]
    pub paces: BTreeMap<String, u64>,
    /// The greatest event time so far of each source that has a watermark, in microseconds since 1970. A source is the
    /// position id of the upstream table, with `/<partition>` behind it where each partition has its own, and `#<column>`
    /// at its end. The watermark itself is the delay of the spec before this.
    #[serde(skip_serializing_if = "BTreeMap::is_empty")]
    pub greatest_event_times: BTreeMap<String, i64>,
    /// What a merged table remembers beside its rows. A commit that says nothing keeps what was remembered, unless it
    /// replaces all rows.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub remembered: Option<Remembered>,
    /// Where the profile of the rows is staged, relative to the table: a list of [`ProfiledColumn`] as JSON.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub profile: Option<String>,
    /// When rows of this table were last profiled, in microseconds since 1970. Commits without a profile repeat it.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub profiled_at: Option<i64>,
    /// Whether all rows were replaced.
    #[serde(skip_serializing_if = "std::ops::Not::not")]
    pub replaces_rows: bool,
}

/// Changes that no row of a table shows, but by which later ones have to be judged: deletes, above all.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
#[serde(default)]
pub struct Remembered {
    /// Files in [`REMEMBERED_FOLDER`] below the table, the oldest first. For a key, the newest that has it counts.
    pub files: Vec<Add>,
    /// The sequence before which nothing counts any more, because the table was emptied as of it: a text for each column,
    /// or nothing at all.
    pub horizon: Vec<Option<String>>,
}

impl Record {
    /// Whether the quarantine table has to know of this commit.
    pub(crate) fn tells_quarantine(&self) -> bool {
        !self.quarantine.is_empty() || self.replaces_quarantine || self.replay.is_some()
    }

    /// Whether the rows are those of one more batch. Rows of a replay or of an interval made anew stand for themselves.
    pub(crate) fn is_next_batch(&self) -> bool {
        self.replay.is_none() && !BESIDE_BATCHES.contains(&self.action.as_str())
    }

    /// Takes over the states of positions that this commit does not move.
    pub(crate) fn carry_states(&mut self, earlier: &Record, moved: &Checkpoint) {
        let others = earlier.states.iter().filter(|(id, _)| moved.get(id).is_none());
        self.states.extend(others.map(|(id, state)| (id.clone(), state.clone())));
    }

    /// Takes over what says where the table stands, so that a commit that changed no rows can be the newest one.
    pub(crate) fn stand_for(&mut self, earlier: &Record) {
        self.batch = earlier.batch;
        self.reads = earlier.reads.clone();
        self.fingerprint = earlier.fingerprint.clone();
        self.kept = earlier.kept.clone();
        self.considered = earlier.considered.clone();
        self.paces = earlier.paces.clone();
    }

    /// Takes over what is remembered, if this commit does not say that itself.
    pub(crate) fn carry_remembered(&mut self, earlier: &Record) {
        if self.remembered.is_none() {
            self.remembered.clone_from(&earlier.remembered);
        }
    }

    /// Takes over when rows were last profiled, unless this commit is newer.
    pub(crate) fn carry_profiled_at(&mut self, earlier: &Record) {
        if self.profile.is_none() {
            self.profiled_at = earlier.profiled_at;
        }
    }

    /// Takes over event times that are greater than those known here, or not known here, so that none is ever taken back.
    pub(crate) fn advance_event_times(&mut self, earlier: &Record) {
        for (source, time) in &earlier.greatest_event_times {
            let known = self.greatest_event_times.entry(source.clone()).or_insert(*time);
            *known = (*known).max(*time);
        }
    }
}

/// A way of bringing a table up to date that was looked at.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct Considered {
    /// What it is called.
    pub technique: String,
    /// About how many rows it reads; unknown when it cannot be done.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub rows: Option<u64>,
    /// About how long it takes, in milliseconds, where earlier commits tell.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub milliseconds: Option<u64>,
    /// A word for why it cannot be done, for programs.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub code: Option<String>,
    /// Why it cannot be done, for people.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub refusal: Option<String>,
}

/// A second look at rows in quarantine, as the commit that lets some of them in tells of it.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
pub struct Replay {
    /// What was decided of each row, staged beside the quarantine table; see [`crate::replay`].
    pub decided: Vec<Add>,
    /// Rows that are no longer refused.
    pub passed: u64,
    /// Rows that are refused again.
    pub refused: u64,
    /// When it was decided, in microseconds since 1970.
    pub at_micros: i64,
}

impl Replay {
    /// What it came to, for people.
    pub fn reason(&self) -> String {
        let Replay { passed, refused, .. } = self;
        format!(
            "{} rows in quarantine looked at again: {passed} no longer refused, {refused} still are",
            passed + refused
        )
    }
}

/// How one expectation or check fared.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct RuleOutcome {
    /// The rule's name.
    pub rule: String,
    /// What happens to rows that violate it; empty for checks, which are about the table as a whole.
    pub on_fail: String,
    /// `expectation` or `check`.
    pub kind: String,
    /// `warn` or `fail`: whether a violation refuses the batch, or ends an audit as failed.
    pub severity: String,
    /// Rows checked.
    pub checked: u64,
    /// Rows that violated it.
    pub failed: u64,
    /// What a check found, for people.
    #[serde(skip_serializing_if = "String::is_empty")]
    pub detail: String,
    /// Some of the rows that violated it, each as a JSON object of its key columns.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub sample: Vec<String>,
    /// Stands for the rule as it was written; it changes when the rule means something else.
    #[serde(skip_serializing_if = "String::is_empty")]
    pub fingerprint: String,
}

/// What the rows of a commit hold in one column.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
#[serde(default)]
pub struct ProfiledColumn {
    /// The column.
    pub column: String,
    /// Its type, as specs name it.
    pub type_name: String,
    /// Rows.
    pub rows: u64,
    /// Rows without a value.
    pub nulls: u64,
    /// About how many different values there are.
    pub distinct: u64,
    /// The least value, in words.
    pub minimum: Option<String>,
    /// The greatest value, in words.
    pub maximum: Option<String>,
    /// The mean of numbers; of dates in days and of times in microseconds since 1970; of booleans the share of true.
    pub mean: Option<f64>,
    /// The standard deviation.
    pub deviation: Option<f64>,
    /// About the values below which 5, 25, 50, 75 and 95 % of all lie.
    pub quantiles: Option<[f64; 5]>,
    /// The most frequent values with about how often each is there, as JSON.
    pub top: String,
    /// What lets profiles merge; only its writer reads it.
    pub sketch: String,
}

/// One file that was read, and what identifies its content.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct IngestedFile {
    /// The source's own name, the same as in the position id.
    pub source: String,
    /// The file, below the source's path.
    pub path: String,
    /// The etag on S3; size and modification time on a local disk.
    pub etag: String,
    /// Bytes as stored.
    pub size: u64,
    /// Rows read from it, quarantined ones included.
    pub rows: u64,
}
