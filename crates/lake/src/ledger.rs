//! Rolls quarantine and system tables forward from the records of commits.
//!
//! A table's commit decides; what is written here only repeats it elsewhere, under the same number, so doing it twice or
//! after a crash changes nothing. Every start first finishes what is missing.

use arrow::datatypes::SchemaRef;
use deltalake::kernel::Action;
use stage::{Checkpoint, Error, OffsetRange, Result, TableName};

use crate::commit::{Commit, Operation};
use crate::open::Lake;
use crate::profiles;
use crate::record::{IngestedFile, Record, RuleOutcome};
use crate::replay;
use crate::system_rows::SystemRows;
use crate::table::{Table, record_of};

/// The system tables of a pipeline.
pub const SYSTEM_TABLES: [&str; 4] = ["files", "quality", "profiles", "events"];

/// After so many versions that tell a system table nothing, its position moves all the same: else they would be read again
/// each time, and their log could never be cleaned.
const SILENT_VERSIONS: i64 = 100;

/// The folder below a table in which long lists are staged; readers of Delta ignore names that start with `_`.
pub(crate) const MANIFEST_FOLDER: &str = "_medallion";

/// Commits to the quarantine table what commits of `table` staged there and what is not there yet. Where a commit checked
/// all rows anew, what it refused takes the place of what was refused before.
///
/// # Errors
/// When the storage fails; the next start finishes it then.
pub async fn roll_quarantine(lake: &Lake, table: &Table, schema: &SchemaRef) -> Result<()> {
    let Some((version, record)) = table.record() else { return Ok(()) };
    let newest = if record.tells_quarantine() { Some(*version) } else { record.earlier_quarantine };
    let Some(newest) = newest else { return Ok(()) };
    let position = position_of(table)?;
    if lake.rolled_to(&position) > newest {
        return Ok(());
    }
    let mut quarantine = lake.open(&table.name().quarantine()).await?;
    for (version, record) in pending_quarantine(&quarantine, table).await? {
        let from = quarantine.position(&position).await?;
        let (operation, add, remove) = match &record.replay {
            Some(replay) => {
                let noted = replay::noted(lake, &quarantine, replay, &record.run, version, schema).await?;
                let (operation, mut add, remove) = noted;
                add.extend(record.quarantine.iter().cloned());
                (operation, add, remove)
            }
            None if record.replaces_quarantine => (Operation::Overwrite, record.quarantine.clone(), Vec::new()),
            None => (Operation::Append, record.quarantine.clone(), Vec::new()),
        };
        let commit = Commit {
            operation,
            schema: schema.clone(),
            partition_by: Vec::new(),
            properties: Default::default(),
            add,
            remove,
            range: Some(OffsetRange {
                from: Checkpoint::of(&position, from),
                to: Checkpoint::of(&position, version as i64 + 1),
            }),
            record: Record {
                run: record.run.clone(),
                batch: record.batch,
                action: if record.replay.is_some() { "replay" } else { "quarantine" }.into(),
                ..Record::default()
            },
        };
        commit_once(&mut quarantine, commit, &position, version).await?;
    }
    lake.note_rolled(position, newest + 1);
    Ok(())
}

/// The commits of `table` that its quarantine table has yet to repeat, oldest first. Those before one that checked all
/// rows anew are not among them.
///
/// # Errors
/// When the log cannot be read.
pub(crate) async fn pending_quarantine(quarantine: &Table, table: &Table) -> Result<Vec<(u64, Record)>> {
    let Some((newest, record)) = table.record() else { return Ok(Vec::new()) };
    let done = u64::try_from(quarantine.position(&position_of(table)?).await?).unwrap_or(0);
    let mut next = if record.tells_quarantine() { Some(*newest) } else { record.earlier_quarantine };
    let mut pending = Vec::new();
    while let Some(version) = next.filter(|version| *version >= done) {
        let Some(record) = table.actions(version).await?.as_deref().and_then(record_of) else { break };
        next = record.earlier_quarantine.filter(|_| !record.replaces_quarantine);
        pending.push((version, record));
    }
    let replaces_nothing = |(_, record): &(u64, Record)| record.quarantine.is_empty();
    if pending.last().is_some_and(replaces_nothing) && quarantine.files().await?.is_empty() {
        pending.pop();
    }
    pending.reverse();
    Ok(pending)
}

/// Adds to the system tables of `pipeline` what the commits of `tables` tell and what is not there yet. Nothing is
/// written when nothing is missing.
///
/// # Errors
/// When the storage fails; the next call finishes it then.
pub async fn roll_system(lake: &Lake, pipeline: &str, tables: &[TableName]) -> Result<()> {
    let Some(any) = tables.iter().find(|name| name.pipeline() == pipeline) else { return Ok(()) };
    let opened = open_all(lake, tables.iter().filter(|name| name.pipeline() == pipeline)).await?;
    let system = open_all(lake, SYSTEM_TABLES.iter().map(|table| any.system(table)).collect::<Vec<_>>().iter()).await?;
    for (kind, mut target) in SYSTEM_TABLES.into_iter().zip(system) {
        let mut rows = SystemRows::new(kind);
        let mut from = Checkpoint::new();
        let mut to = Checkpoint::new();
        let mut furthest = 0;
        for table in &opened {
            let Some(newest) = table.version() else { continue };
            let position = position_of(table)?;
            let done = target.position(&position).await?.max(0);
            for version in done as u64..=newest {
                let Some(actions) = table.actions(version).await? else { continue };
                if let Some(told) = tell(table, version, &actions).await? {
                    rows.push(&told);
                    if let Some(profile) = told.record.profile.as_ref().filter(|_| kind == "profiles") {
                        rows.push_profile(&told, &profiles::read(table, profile).await?);
                    }
                }
            }
            if newest as i64 + 1 > done {
                from.set(&position, done);
                to.set(&position, newest as i64 + 1);
                furthest = furthest.max(newest as i64 + 1 - done);
            }
        }
        if rows.count() > 0 || furthest >= SILENT_VERSIONS {
            append(&mut target, rows, Some(OffsetRange { from, to })).await?;
        }
    }
    Ok(())
}

/// What an audit of a table at rest found.
#[derive(Debug)]
pub struct Audited<'a> {
    /// The table as it was.
    pub table: &'a Table,
    /// The run.
    pub run: &'a str,
    /// When, in milliseconds since 1970.
    pub timestamp: i64,
    /// How each rule fared.
    pub rules: Vec<RuleOutcome>,
}

/// Adds what an audit found to `system.quality`. An audit has no commit of its own, so it stands there as often as it is
/// made.
///
/// # Errors
/// When the storage fails.
pub async fn tell_audit(lake: &Lake, audited: Audited<'_>) -> Result<()> {
    let Audited { table, run, timestamp, rules } = audited;
    if rules.is_empty() {
        return Ok(());
    }
    let told = Told {
        table: table.name().to_string(),
        table_id: table.id().unwrap_or_default(),
        version: table.version().unwrap_or_default(),
        timestamp,
        record: Record { run: run.to_owned(), rules, ..Record::default() },
    };
    let mut rows = SystemRows::new("quality");
    rows.push_audit(&told);
    let mut target = lake.open(&table.name().system("quality")).await?;
    append(&mut target, rows, None).await
}

/// Files that commits of `table` read since version `from`, oldest first.
///
/// # Errors
/// When the log or a manifest cannot be read. [`stage::Kind::Data`] when the log was cleaned past `from`: what it told of
/// is not known then, and must not be taken for files that were never read.
pub async fn files_since(table: &Table, from: u64) -> Result<Vec<IngestedFile>> {
    let Some(newest) = table.version() else { return Ok(Vec::new()) };
    let mut files = Vec::new();
    for version in from..=newest {
        let Some(actions) = table.actions(version).await? else {
            return Err(Error::data(format!(
                "which files {} has read is no longer known: its log was cleaned past version {version}, and {} does not tell of it; bring that table back, or delete the folder of this one in the lake and run with --full-refresh",
                table.name(),
                table.name().system("files"),
            )));
        };
        if let Some(told) = tell(table, version, &actions).await? {
            files.extend(told.record.files);
        }
    }
    Ok(files)
}

/// The id under which a system or quarantine table notes how far it has read `table`.
///
/// # Errors
/// [`stage::Kind::Bug`] when the table does not exist.
pub fn position_of(table: &Table) -> Result<String> {
    let id = table.id().ok_or_else(|| Error::bug(format!("{} has no identity before it exists", table.name())))?;
    Ok(format!("table/{id}"))
}

/// Stages a long list of files beside the table and returns where it lies.
///
/// # Errors
/// When the storage fails.
pub async fn stage_manifest(table: &Table, files: &[IngestedFile]) -> Result<String> {
    let path = format!("{MANIFEST_FOLDER}/{}.json", uuid::Uuid::new_v4());
    let bytes =
        serde_json::to_vec(files).map_err(|error| Error::bug("could not write a manifest").with_source(error))?;
    let store = table.inner.log_store().object_store(None);
    object_store::ObjectStoreExt::put(store.as_ref(), &object_store::path::Path::from(path.as_str()), bytes.into())
        .await
        .map_err(|error| {
            crate::classify_store(&format!("could not stage the files read into {}", table.name()), error)
        })?;
    Ok(path)
}

pub(crate) struct Told {
    pub(crate) table: String,
    /// The identity of the table, which a table created anew under the same name does not share.
    pub(crate) table_id: String,
    pub(crate) version: u64,
    /// In milliseconds since 1970.
    pub(crate) timestamp: i64,
    pub(crate) record: Record,
}

/// The record of one commit, with a manifest read in.
async fn tell(table: &Table, version: u64, actions: &[Action]) -> Result<Option<Told>> {
    let Some(mut record) = record_of(actions) else { return Ok(None) };
    let timestamp = actions.iter().find_map(|action| match action {
        Action::CommitInfo(info) => info.timestamp,
        _ => None,
    });
    if let Some(manifest) = &record.manifest {
        let store = table.inner.log_store().object_store(None);
        let doing = format!("could not read the list of files of {} version {version}", table.name());
        let path = object_store::path::Path::from(manifest.as_str());
        let got = object_store::ObjectStoreExt::get(store.as_ref(), &path)
            .await
            .map_err(|error| crate::classify_store(&doing, error))?;
        let bytes = got.bytes().await.map_err(|error| crate::classify_store(&doing, error))?;
        record.files = serde_json::from_slice(&bytes).map_err(|error| Error::data(doing).with_source(error))?;
    }
    let table_id = table.id().unwrap_or_default();
    let timestamp = timestamp.unwrap_or_default();
    Ok(Some(Told { table: table.name().to_string(), table_id, version, timestamp, record }))
}

async fn open_all<'a>(lake: &Lake, names: impl Iterator<Item = &'a TableName>) -> Result<Vec<Table>> {
    futures::future::try_join_all(names.map(|name| lake.open(name))).await
}

async fn append(target: &mut Table, rows: SystemRows, range: Option<OffsetRange>) -> Result<()> {
    let schema = rows.schema();
    let batch = rows.finish()?;
    let mut writer = target.staging().writer(schema.clone(), &[]);
    writer.write(&batch).await?;
    let commit = Commit {
        operation: Operation::Append,
        schema,
        partition_by: Vec::new(),
        properties: Default::default(),
        add: writer.close().await?,
        remove: Vec::new(),
        range,
        record: Record { action: "roll_forward".into(), ..Record::default() },
    };
    match target.commit(commit).await {
        // Another process rolled the same commits forward; its rows are ours.
        Err(error) if error.kind() == stage::Kind::Conflict => Ok(()),
        other => other.map(|_| ()),
    }
}

/// Commits unless another process did the same in the meantime.
async fn commit_once(target: &mut Table, commit: Commit, position: &str, version: u64) -> Result<()> {
    match target.commit(commit).await {
        Err(error) if error.kind() == stage::Kind::Conflict => {
            target.refresh().await?;
            if target.position(position).await? > version as i64 { Ok(()) } else { Err(error) }
        }
        other => other.map(|_| ()),
    }
}
