//! Small files into larger ones, while others write.
//!
//! The one idea: what is written here holds the same rows as what it replaces, and says so (`dataChange` is false), so
//! readers of changes pass over it. A writer never waits: whoever replaces one of the files first wins, and compaction
//! drops its work and tries again another time. Memory holds one row group, however large the table is.

use std::collections::{BTreeMap, HashSet};
use std::sync::Arc;

use arrow::datatypes::Schema;
use chrono::{DateTime, Utc};
use deltalake::datafusion::execution::TaskContext;
use deltalake::datafusion::physical_plan::execute_stream_partitioned;
use deltalake::datafusion::prelude::{SessionConfig, SessionContext};
use deltalake::kernel::Add;
use futures::StreamExt as _;
use serde::Serialize;
use stage::{Error, Kind, Result, TableName};

use super::plan::{Bundle, CompactionSettings, plan};
use crate::commit::{Commit, Operation};
use crate::error::classify_delta;
use crate::open::Lake;
use crate::record::Record;
use crate::statistics::rows_told;
use crate::table::Table;

/// Bytes that are replaced by one commit: few enough that little is lost when another writer is faster.
const BYTES_PER_COMMIT: u64 = 512 << 20;
/// A file may outgrow the size aimed at by this factor before it is cut, so that no bundle leaves a crumb.
const LEEWAY: u64 = 2;
/// Who stands as the run in the record of a compaction.
const RUN: &str = "maintenance";

/// What a compaction did.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize)]
pub struct Compacted {
    /// Files that were replaced.
    pub files_removed: u64,
    /// Files that replace them.
    pub files_added: u64,
    /// Bytes of the files that were replaced.
    pub bytes_removed: u64,
    /// Bytes of the files that replace them.
    pub bytes_added: u64,
    /// Rows that moved.
    pub rows: u64,
    /// Commits that were dropped because another writer was faster. Their files are compacted another time.
    pub conflicts: u64,
}

/// Writes small files of a table together.
///
/// Dropping the future loses nothing but work: what was staged is left to vacuum.
///
/// # Errors
/// When the storage fails or a file cannot be read. The table holds the same rows then.
pub async fn compact(
    lake: &Lake,
    name: &TableName,
    settings: &CompactionSettings,
    now: DateTime<Utc>,
) -> Result<Compacted> {
    let mut table = lake.open(name).await?;
    let mut done = Compacted::default();
    // Without a record of ours at hand, the positions of the table could not be carried over.
    if table.record().is_none() {
        return Ok(done);
    }
    let bundles = plan(table.files().await?, settings, now.timestamp_millis());
    let session = session(lake);
    for group in groups(bundles) {
        let group = still_active(&table, group).await?;
        if !group.is_empty() {
            replace(&session, &mut table, group, settings, &mut done).await?;
        }
    }
    Ok(done)
}

/// One thread, so that writers keep the others.
pub(crate) fn session(lake: &Lake) -> SessionContext {
    let session = SessionContext::new_with_config(SessionConfig::new().with_target_partitions(1));
    let storage = lake.storage();
    session.runtime_env().register_object_store(&storage.root_url(), storage.root.clone());
    session
}

/// Bundles that are replaced by one commit.
fn groups(bundles: Vec<Bundle>) -> Vec<Vec<Bundle>> {
    let mut groups: Vec<(u64, Vec<Bundle>)> = Vec::new();
    for bundle in bundles {
        match groups.last_mut() {
            Some((bytes, group)) if *bytes + bundle.bytes() <= BYTES_PER_COMMIT => {
                *bytes += bundle.bytes();
                group.push(bundle);
            }
            _ => groups.push((bundle.bytes(), vec![bundle])),
        }
    }
    groups.into_iter().map(|(_, group)| group).collect()
}

/// The bundles none of whose files was replaced since the plan was made.
async fn still_active(table: &Table, group: Vec<Bundle>) -> Result<Vec<Bundle>> {
    let active: HashSet<String> = table.files().await?.into_iter().map(|file| file.path).collect();
    let is_active = |bundle: &Bundle| bundle.files.iter().all(|file| active.contains(&file.path));
    Ok(group.into_iter().filter(is_active).collect())
}

async fn replace(
    session: &SessionContext,
    table: &mut Table,
    group: Vec<Bundle>,
    settings: &CompactionSettings,
    done: &mut Compacted,
) -> Result<()> {
    let staged = stage(session, table, group, settings)
        .await
        .map_err(|error| error.context(format!("could not compact {}", table.name())))?;
    match table.commit(staged.commit(table, settings)).await {
        Ok(version) => {
            let (removed, added) = (staged.removed.len(), staged.added.len());
            tracing::info!(table = %table.name(), version, removed, added, "compacted");
            done.count(&staged);
            Ok(())
        }
        Err(error) if error.kind() == Kind::Conflict => {
            tracing::info!(table = %table.name(), reason = %error, "compaction was dropped; it is tried again later");
            table.staging().discard(&staged.added).await;
            done.conflicts += 1;
            Ok(())
        }
        // Whether the commit was made is not known, so what it may name stays.
        Err(error) => Err(error),
    }
}

/// Files that are ready to replace others.
#[derive(Debug)]
pub(super) struct Staged {
    pub(super) added: Vec<Add>,
    removed: Vec<Add>,
    rows: u64,
}

/// Writes the rows of a group again.
pub(super) async fn stage(
    session: &SessionContext,
    table: &Table,
    group: Vec<Bundle>,
    settings: &CompactionSettings,
) -> Result<Staged> {
    let mut staged = Staged { added: Vec::new(), removed: Vec::new(), rows: 0 };
    for bundle in group {
        match rewrite(session, table, &bundle, settings).await {
            Ok(written) => {
                staged.rows += written.rows;
                staged.added.extend(written.files);
                staged.removed.extend(bundle.files);
            }
            Err(error) => {
                table.staging().discard(&staged.added).await;
                return Err(error);
            }
        }
    }
    Ok(staged)
}

impl Staged {
    pub(super) fn commit(&self, table: &Table, settings: &CompactionSettings) -> Commit {
        Commit {
            operation: Operation::Optimize { target_file_size: settings.target_file_size },
            schema: table.schema().unwrap_or_else(|| Arc::new(Schema::empty())),
            partition_by: table.partition_columns(),
            properties: BTreeMap::new(),
            add: self.added.clone(),
            remove: self.removed.clone(),
            range: None,
            record: Record {
                run: RUN.to_owned(),
                action: "optimize".to_owned(),
                reason: format!("{} small files into {}", self.removed.len(), self.added.len()),
                ..Record::default()
            },
        }
    }
}

impl Compacted {
    fn count(&mut self, staged: &Staged) {
        let bytes = |files: &[Add]| files.iter().map(|file| file.size.unsigned_abs()).sum::<u64>();
        self.files_removed += staged.removed.len() as u64;
        self.files_added += staged.added.len() as u64;
        self.bytes_removed += bytes(&staged.removed);
        self.bytes_added += bytes(&staged.added);
        self.rows += staged.rows;
    }
}

struct Written {
    files: Vec<Add>,
    rows: u64,
}

/// Writes the rows of a bundle again, in their order.
async fn rewrite(
    session: &SessionContext,
    table: &Table,
    bundle: &Bundle,
    settings: &CompactionSettings,
) -> Result<Written> {
    let schema = table.schema().ok_or_else(|| Error::bug("a table with files has no schema"))?;
    let partition_by = table.partition_columns();
    let rows_of = table.scan(&bundle.files, &schema, &partition_by)?;
    let size = settings.target_file_size.saturating_mul(LEEWAY);
    let mut writer = table.staging().with_file_size(size).writer(rows_of.schema(), &partition_by);
    let doing = || format!("could not read rows of {}", table.name());
    let context = Arc::new(TaskContext::from(session));
    let plan = rows_of
        .scan(&session.state(), None, &[], None)
        .await
        .map_err(|error| classify_delta(&doing(), error.into()))?;
    let streams = execute_stream_partitioned(plan, context).map_err(|error| classify_delta(&doing(), error.into()))?;
    for mut stream in streams {
        while let Some(batch) = stream.next().await {
            writer.write(&batch.map_err(|error| classify_delta(&doing(), error.into()))?).await?;
        }
    }
    let rows = writer.rows();
    let mut files = writer.close().await?;
    for file in &mut files {
        file.partition_values = bundle.partition_values();
        file.data_change = false;
    }
    match expect_all_rows(table, bundle, &files, rows) {
        Ok(()) => Ok(Written { files, rows }),
        Err(error) => {
            table.staging().discard(&files).await;
            Err(error)
        }
    }
}

/// Holds what was read against what the log says of the files: a table must never lose a row here.
fn expect_all_rows(table: &Table, bundle: &Bundle, written: &[Add], rows: u64) -> Result<()> {
    let expected: Option<u64> = bundle.files.iter().map(rows_told).sum();
    let told: Option<u64> = written.iter().map(rows_told).sum();
    if expected.is_some_and(|expected| expected != rows) || told != Some(rows) {
        return Err(Error::bug(format!(
            "compacting {} files of {} gave {rows} rows where the log tells of {expected:?}; nothing was changed",
            bundle.files.len(),
            table.name(),
        )));
    }
    Ok(())
}
