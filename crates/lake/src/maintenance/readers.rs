//! Who has not read a table to its end yet: what they still need must stay.
//!
//! Readers are other tables that follow this one's versions, and the system and quarantine tables that repeat what its
//! commits tell.

use stage::{Layer, Result, TableName};

use crate::ledger::{SYSTEM_TABLES, pending_quarantine, position_of};
use crate::open::Lake;
use crate::table::Table;

/// The first version of `name` that one of `readers` has not read yet; `None` when none of them follows its versions. A
/// reader that does not exist yet, or never read the table, begins with the newest snapshot and needs no version.
///
/// # Errors
/// When the storage fails.
pub async fn slowest_reader(lake: &Lake, name: &TableName, readers: &[TableName]) -> Result<Option<u64>> {
    let table = lake.open(name).await?;
    if table.version().is_none() {
        return Ok(None);
    }
    let position = position_of(&table)?;
    let mut slowest: Option<u64> = None;
    for reader in readers {
        let next = lake.open(reader).await?.position(&position).await?;
        if let Ok(next) = u64::try_from(next)
            && next > 0
        {
            slowest = Some(slowest.map_or(next, |slowest| slowest.min(next)));
        }
    }
    Ok(slowest)
}

/// The first version whose record the system and quarantine tables have not repeated yet; `None` for a table of which
/// they tell nothing.
pub(super) async fn first_untold(lake: &Lake, table: &Table) -> Result<Option<u64>> {
    if !Layer::OF_USERS.contains(&table.name().layer()) {
        return Ok(None);
    }
    let position = position_of(table)?;
    let quarantine = lake.open(&table.name().quarantine()).await?;
    let mut first = pending_quarantine(&quarantine, table).await?.first().map(|(version, _)| *version);
    for system in SYSTEM_TABLES {
        let told = lake.open(&table.name().system(system)).await?.position(&position).await?;
        let told = u64::try_from(told).unwrap_or(0);
        first = Some(first.map_or(told, |first| first.min(told)));
    }
    Ok(first)
}

/// Files that commits of other tables staged in this quarantine table and that it does not hold yet.
pub(super) async fn staged_quarantine(lake: &Lake, name: &TableName) -> Result<Vec<String>> {
    let Some(checked) = checked_table(name) else { return Ok(Vec::new()) };
    let table = lake.open(&checked).await?;
    let mut files = Vec::new();
    for (_, record) in pending_quarantine(&lake.open(name).await?, &table).await? {
        let decided = record.replay.into_iter().flat_map(|replay| replay.decided);
        files.extend(record.quarantine.into_iter().chain(decided).map(|file| file.path));
    }
    Ok(files)
}

/// The table whose rejected rows a quarantine table keeps.
fn checked_table(quarantine: &TableName) -> Option<TableName> {
    if quarantine.layer() != Layer::Quarantine {
        return None;
    }
    let (layer, table) = quarantine.table().split_once('_')?;
    TableName::new(quarantine.pipeline(), layer.parse().ok()?, table).ok()
}
