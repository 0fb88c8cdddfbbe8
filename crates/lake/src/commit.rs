//! The one commit function.
//!
//! A commit is a compare-and-swap on the version: the library may neither retry nor judge conflicts, because its checker
//! lets rewrites race with each other. On losing we reload and decide: if our position moved, another writer of the same
//! source was faster and our batch must go; if nothing we removed or read has changed, the same actions go again; else
//! the batch has to be done anew.

use std::collections::{BTreeMap, HashMap};

use arrow::datatypes::SchemaRef;
use chrono::Utc;
use deltalake::DeltaTableError;
use deltalake::kernel::transaction::{CommitBuilder, CommitProperties, TableReference, TransactionError};
use deltalake::kernel::{
    Action, Add, Metadata, MetadataExt as _, Protocol, Remove, Transaction, contains_timestampntz, new_metadata,
};
use deltalake::protocol::{DeltaOperation, SaveMode};
use serde_json::json;
use stage::{Error, OffsetRange, Result};

use crate::guard::Guard;
use crate::record::{KEY, Record};
use crate::schema::{in_flight, to_delta, union};
use crate::table::{Table, record_of};

/// Losing this often in a row means that something is wrong, not that others are busy.
const ATTEMPTS: u32 = 50;

/// What sort of change a commit is, as Delta's history shows it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Operation {
    /// Rows are added; nothing that was read matters.
    Append,
    /// Rows are added that were checked against the rows already there.
    AppendChecked,
    /// All rows are replaced.
    Overwrite,
    /// Some files are replaced.
    Rewrite,
    /// Some files are replaced by others with the same rows: nothing changes for readers.
    Optimize {
        /// Bytes the new files aim at.
        target_file_size: u64,
    },
}

impl Operation {
    /// Whether the rows of the table are others afterwards.
    fn changes_rows(self) -> bool {
        !matches!(self, Operation::Optimize { .. })
    }

    /// Whether the change is wrong once other rows have come or gone since.
    fn is_based_on_rows(self) -> bool {
        !matches!(self, Operation::Append | Operation::Optimize { .. })
    }
}

/// A change of a table, complete but not yet visible.
#[derive(Debug)]
pub struct Commit {
    /// What sort of change it is.
    pub operation: Operation,
    /// The columns of the added rows; they create the table or widen it.
    pub schema: SchemaRef,
    /// The columns the table is partitioned by, when this commit creates it.
    pub partition_by: Vec<String>,
    /// Properties of the table, when this commit creates it.
    pub properties: BTreeMap<String, String>,
    /// Files to add.
    pub add: Vec<Add>,
    /// Files to remove. With [`Operation::Overwrite`] all active files go, and this stays empty.
    pub remove: Vec<Add>,
    /// The positions this commit moves.
    pub range: Option<OffsetRange>,
    /// What the commit tells about itself.
    pub record: Record,
}

impl Table {
    /// Makes the change visible and returns its version. The table is at that version afterwards.
    ///
    /// # Errors
    /// [`stage::Kind::Conflict`] when another writer took the same positions or changed what this change was based on:
    /// nothing is written then, and the batch has to be done anew. Other kinds when the storage fails.
    pub async fn commit(&mut self, commit: Commit) -> Result<u64> {
        self.commit_guarded(commit, None).await
    }

    /// As [`Table::commit`], after a guard has judged what the table would be. It judges again whenever the race is lost, so
    /// no version becomes visible that it has not seen.
    ///
    /// # Errors
    /// As [`Table::commit`], and what the guard says: the table is as it was then.
    pub async fn commit_guarded(&mut self, mut commit: Commit, guard: Option<&dyn Guard>) -> Result<u64> {
        let guard = guard.filter(|guard| guard.is_needed());
        commit.record.id = uuid::Uuid::new_v4().to_string();
        let read_version = self.version();
        // What an attempt writes of other sources is what it finds then, or a lost race would take their positions back.
        let given = std::mem::take(&mut commit.record.positions);
        // The same holds for all that an attempt takes over from the version it is made on.
        let record = commit.record.clone();
        for _ in 0..ATTEMPTS {
            let tried_on = self.version();
            commit.record.clone_from(&record);
            if let Some(guard) = guard {
                let judged = guard.judge(self.candidate(&commit).await?).await?;
                commit.record.rules.extend(judged);
            }
            match self.try_commit(&mut commit, &given).await? {
                Some(version) => return Ok(version),
                None => {
                    self.refresh().await?;
                    if let Some(version) = self.find_own(&commit.record.id, tried_on).await? {
                        return Ok(version);
                    }
                    self.check_still_valid(&commit, read_version).await?;
                }
            }
        }
        Err(Error::conflict(format!("could not commit to {}: other writers were faster {ATTEMPTS} times", self.name)))
    }

    /// One compare-and-swap. `None`: another commit was first, or the answer was lost.
    async fn try_commit(&mut self, commit: &mut Commit, given: &stage::Checkpoint) -> Result<Option<u64>> {
        let actions = self.build_actions(commit).await?;
        let moved = commit.range.as_ref().map(|range| range.to.clone()).unwrap_or_default();
        commit.record.positions = self.positions().advanced_by(given).advanced_by(&moved);
        commit.record.has_unknown_positions = self.has_unknown_positions();
        if let Some((_, earlier)) = &self.record {
            commit.record.carry_states(earlier, &moved);
        }
        if let Some((_, earlier)) = self.record.as_ref().filter(|_| !commit.operation.changes_rows()) {
            commit.record.stand_for(earlier);
        }
        // Where all rows are replaced, event times begin anew, and so does what is remembered.
        if let Some((_, earlier)) = self.record.as_ref().filter(|_| commit.operation != Operation::Overwrite) {
            commit.record.advance_event_times(earlier);
            commit.record.carry_remembered(earlier);
        }
        if let Some((_, earlier)) = &self.record {
            commit.record.carry_profiled_at(earlier);
        }
        commit.record.replaces_rows = commit.operation == Operation::Overwrite;
        commit.record.earlier_quarantine = self.earlier_quarantine();
        // What is in quarantine when a table is created was refused by one of the same name that is gone.
        commit.record.replaces_quarantine = commit.operation == Operation::Overwrite || self.version().is_none();
        let record = serde_json::to_value(&commit.record)
            .map_err(|error| Error::bug("could not write the record of a commit").with_source(error))?;
        let transactions = moved.iter().map(|(id, next)| Transaction::new(id, next)).collect();
        let properties = CommitProperties::default()
            .with_max_retries(0)
            .with_cleanup_expired_logs(Some(false))
            .with_application_transactions(transactions)
            .with_metadata([(KEY.to_owned(), record)]);
        let operation = delta_operation(commit);
        let reference = self.state().map(|state| state as &dyn TableReference);
        let result = CommitBuilder::from(properties)
            .with_actions(actions)
            .build(reference, self.inner.log_store(), operation)
            .await;
        match result {
            Ok(finalized) => {
                let version = finalized.version();
                self.inner.update_incremental(Some(version)).await.map_err(|error| self.failed("reload", error))?;
                self.record = Some((version, commit.record.clone()));
                Ok(Some(version))
            }
            Err(error) if lost(&error) => Ok(None),
            Err(error) if answer_may_be_lost(&error) => {
                tracing::warn!(table = %self.name, %error, "the answer to a commit did not arrive; looking whether it was made");
                self.refresh().await?;
                match self.find_own(&commit.record.id, None).await? {
                    Some(version) => Ok(Some(version)),
                    None => Err(self.failed("commit to", error)),
                }
            }
            Err(error) => Err(self.failed("commit to", error)),
        }
    }

    /// Protocol and metadata where the table is created or widened, then removed and added files.
    async fn build_actions(&self, commit: &Commit) -> Result<Vec<Action>> {
        let mut actions = Vec::with_capacity(commit.add.len() + commit.remove.len() + 2);
        match self.state() {
            None => {
                let schema = to_delta(&commit.schema)?;
                let has_naive_times = contains_timestampntz(schema.fields());
                let metadata = new_metadata(&schema, &commit.partition_by, &commit.properties)
                    .map_err(|error| self.failed("create", error.into()))?;
                actions.push(Action::Protocol(protocol(has_naive_times)?));
                actions.push(Action::Metadata(metadata));
            }
            // The same rows need no other columns.
            Some(_) if !commit.operation.changes_rows() => {}
            Some(state) => {
                let widened = self.widened(state.metadata(), state.arrow_schema(), commit)?;
                // A table that never held times without a zone cannot take them before its protocol says so.
                if widened.is_some() && contains_timestampntz(to_delta(&commit.schema)?.fields()) {
                    actions.extend(with_naive_times(state.protocol())?.map(Action::Protocol));
                }
                actions.extend(widened);
            }
        }
        let removed = match commit.operation {
            Operation::Overwrite => self.files().await?,
            _ => commit.remove.clone(),
        };
        let now = Utc::now().timestamp_millis();
        let data_change = commit.operation.changes_rows();
        actions.extend(removed.into_iter().map(|add| Action::Remove(remove(add, now, data_change))));
        actions.extend(commit.add.iter().cloned().map(|add| Action::Add(Add { data_change, ..add })));
        Ok(actions)
    }

    /// New metadata if the commit brings columns the table lacks, or replaces rows under another schema or partitioning.
    fn widened(&self, metadata: &Metadata, current: SchemaRef, commit: &Commit) -> Result<Option<Action>> {
        let current = in_flight(&current);
        let needed = match commit.operation {
            Operation::Overwrite => in_flight(&commit.schema),
            _ => union(&current, &in_flight(&commit.schema))
                .map_err(|error| error.context(format!("cannot add rows to {}", self.name)))?,
        };
        let is_moved = *metadata.partition_columns() != commit.partition_by;
        if is_moved && commit.operation != Operation::Overwrite {
            return Err(Error::config(format!(
                "{} is partitioned by {:?} but partition_by is {:?} now; change it back, or rebuild the table with --full-refresh if it is silver or gold",
                self.name,
                metadata.partition_columns(),
                commit.partition_by,
            )));
        }
        if needed == current && !is_moved {
            return Ok(None);
        }
        let widened =
            metadata.clone().with_schema(&to_delta(&needed)?).map_err(|error| self.failed("widen", error.into()))?;
        let partitioned = partitioned(&widened, &commit.partition_by)
            .map_err(|error| Error::bug("could not make a Delta metadata action").with_source(error))?;
        Ok(Some(Action::Metadata(partitioned)))
    }

    fn earlier_quarantine(&self) -> Option<u64> {
        self.record.as_ref().and_then(|(version, record)| {
            if record.tells_quarantine() { Some(*version) } else { record.earlier_quarantine }
        })
    }

    /// Whether one of the commits after `since` is ours: then the answer was lost, not the race.
    async fn find_own(&self, id: &str, since: Option<u64>) -> Result<Option<u64>> {
        let Some(newest) = self.version() else { return Ok(None) };
        let first = since.map_or(newest.saturating_sub(u64::from(ATTEMPTS)), |version| version + 1);
        for version in (first..=newest).rev() {
            let record = self.actions(version).await?.as_deref().and_then(record_of);
            if record.is_some_and(|record| record.id == id) {
                return Ok(Some(version));
            }
        }
        Ok(None)
    }

    async fn check_still_valid(&self, commit: &Commit, read_version: Option<u64>) -> Result<()> {
        if let Some(range) = &commit.range
            && !range.continues(&self.positions())
        {
            return Err(self.overtaken("this batch was dropped"));
        }
        if commit.operation.is_based_on_rows() && self.rows_changed_since(read_version).await? {
            return Err(Error::conflict(format!(
                "{} changed while this batch was made from its rows; this batch was dropped",
                self.name
            )));
        }
        if commit.record.replay.is_some() && self.was_rebuilt_since(read_version).await? {
            return Err(Error::conflict(format!(
                "all rows of {} were checked anew while some were replayed; the replay was dropped",
                self.name
            )));
        }
        // A file whose rows were deleted by a vector beside it is another one under the same path.
        let active: HashMap<_, _> = match commit.remove.is_empty() {
            true => HashMap::new(),
            false => self.files().await?.into_iter().map(|add| (add.path, add.deletion_vector)).collect(),
        };
        if commit.remove.iter().any(|add| active.get(&add.path) != Some(&add.deletion_vector)) {
            return Err(Error::conflict(format!("files of {} that this batch replaces are gone", self.name)));
        }
        Ok(())
    }

    /// Whether all rows were checked anew, those in quarantine among them.
    async fn was_rebuilt_since(&self, version: Option<u64>) -> Result<bool> {
        let first = version.map_or(0, |version| version + 1);
        let Some(newest) = self.version() else { return Ok(false) };
        for version in first..=newest {
            let Some(actions) = self.actions(version).await? else { return Ok(true) };
            if record_of(&actions).is_some_and(|record| record.replaces_quarantine) {
                return Ok(true);
            }
        }
        Ok(false)
    }

    /// Whether commits after the newest one of ours changed rows, such as a restore by another program.
    ///
    /// # Errors
    /// When the log cannot be read.
    pub async fn has_foreign_rows(&self) -> Result<bool> {
        match &self.record {
            Some((version, _)) if self.version() > Some(*version) => self.rows_changed_since(Some(*version)).await,
            _ => Ok(false),
        }
    }

    async fn rows_changed_since(&self, version: Option<u64>) -> Result<bool> {
        let first = version.map_or(0, |version| version + 1);
        let Some(newest) = self.version() else { return Ok(false) };
        for version in first..=newest {
            let Some(actions) = self.actions(version).await? else { return Ok(true) };
            let changed = actions.iter().any(|action| match action {
                Action::Add(add) => add.data_change,
                Action::Remove(remove) => remove.data_change,
                _ => false,
            });
            if changed {
                return Ok(true);
            }
        }
        Ok(false)
    }
}

fn protocol(has_naive_times: bool) -> Result<Protocol> {
    let value = match has_naive_times {
        false => json!({ "minReaderVersion": 1, "minWriterVersion": 2 }),
        true => json!({
            "minReaderVersion": 3, "minWriterVersion": 7,
            "readerFeatures": ["timestampNtz"], "writerFeatures": ["timestampNtz"],
        }),
    };
    serde_json::from_value(value)
        .map_err(|error| Error::bug("could not make a Delta protocol action").with_source(error))
}

/// The protocol with the feature of times without a zone; `None` when it has it. What the version implied until now has to
/// be named from then on.
fn with_naive_times(protocol: &Protocol) -> Result<Option<Protocol>> {
    const FEATURE: &str = "timestampNtz";
    let failed = |error| Error::bug("could not make a Delta protocol action").with_source(error);
    let mut value = serde_json::to_value(protocol).map_err(failed)?;
    let features = |value: &serde_json::Value, key: &str, implied: &[&str]| match value[key].as_array() {
        Some(named) => named.iter().filter_map(|name| name.as_str().map(str::to_owned)).collect::<Vec<String>>(),
        None => implied.iter().map(|name| (*name).to_owned()).collect(),
    };
    let mut reader = features(&value, "readerFeatures", &[]);
    let mut writer = features(&value, "writerFeatures", &["appendOnly", "invariants"]);
    if reader.iter().any(|name| name == FEATURE) {
        return Ok(None);
    }
    reader.push(FEATURE.to_owned());
    writer.push(FEATURE.to_owned());
    value["minReaderVersion"] = json!(3);
    value["minWriterVersion"] = json!(7);
    value["readerFeatures"] = json!(reader);
    value["writerFeatures"] = json!(writer);
    serde_json::from_value(value).map(Some).map_err(failed)
}

/// The metadata with other partition columns.
fn partitioned(metadata: &Metadata, partition_by: &[String]) -> serde_json::Result<Metadata> {
    let mut value = serde_json::to_value(metadata)?;
    value["partitionColumns"] = json!(partition_by);
    serde_json::from_value(value)
}

fn remove(add: Add, now: i64, data_change: bool) -> Remove {
    Remove {
        path: add.path,
        data_change,
        deletion_timestamp: Some(now),
        extended_file_metadata: Some(true),
        partition_values: Some(add.partition_values),
        size: Some(add.size),
        tags: None,
        deletion_vector: add.deletion_vector,
        base_row_id: None,
        default_row_commit_version: None,
    }
}

fn delta_operation(commit: &Commit) -> DeltaOperation {
    let mode = match commit.operation {
        Operation::Append | Operation::AppendChecked => SaveMode::Append,
        Operation::Overwrite | Operation::Rewrite => SaveMode::Overwrite,
        Operation::Optimize { target_file_size } => {
            let target_size = i64::try_from(target_file_size).unwrap_or(i64::MAX);
            return DeltaOperation::Optimize { predicate: None, target_size };
        }
    };
    let partition_by = (!commit.partition_by.is_empty()).then(|| commit.partition_by.clone());
    DeltaOperation::Write { mode, partition_by, predicate: None }
}

/// Another commit has our version.
fn lost(error: &DeltaTableError) -> bool {
    match error {
        DeltaTableError::VersionAlreadyExists(_) => true,
        DeltaTableError::Transaction { source } => {
            matches!(source, TransactionError::MaxCommitAttempts(_) | TransactionError::VersionAlreadyExists(_))
        }
        _ => false,
    }
}

/// The request may have been carried out although it failed for us.
fn answer_may_be_lost(error: &DeltaTableError) -> bool {
    matches!(error, DeltaTableError::ObjectStore { source: deltalake::ObjectStoreError::Generic { .. } })
}

#[cfg(test)]
mod tests;
