//! What a query reads, and what happened to it since the table was last made.

use std::collections::{BTreeMap, HashSet};
use std::sync::Arc;

use ::stage::{Checkpoint, Context, Error, Kind, Result, TableName};
use futures::future::try_join_all;
use lake::{Add, Lake, Record, Table, ledger};
use sql::{Refusal, TableProvider};

/// Tables by their names, as a query is planned over them.
pub(crate) type Tables = BTreeMap<TableName, Arc<dyn TableProvider>>;

/// Bytes that a row is taken for where the log does not tell how many rows a file has.
const BYTES_OF_A_ROW: u64 = 64;

/// What commits say they did when they replaced rows.
const REPLACING: [&str; 2] = ["merge", "scd2"];

/// The tables of a query.
pub(crate) struct Inputs {
    by_name: BTreeMap<TableName, Input>,
}

/// A table that a query reads.
pub(crate) struct Input {
    pub(crate) table: Table,
    /// Its position id, and the version to go on from after this refresh.
    position: String,
    next: u64,
    /// About how many rows it has, once they were counted.
    rows: u64,
    pub(crate) change: Change,
}

/// What happened to a table.
#[derive(Debug)]
pub(crate) enum Change {
    /// Its rows are the ones that were read last.
    Nothing,
    /// Rows of these files came, and rows of those have gone.
    Rows { added: Vec<Add>, removed: Vec<Add> },
    /// So much that all of it has to be read.
    Everything(Refusal),
}

impl Inputs {
    /// Opens the tables at the same time; `None` while one of them does not exist.
    pub(crate) async fn open(
        lake: &Lake,
        reader: &TableName,
        names: impl IntoIterator<Item = TableName>,
        context: &Context,
    ) -> Result<Option<Inputs>> {
        let names: Vec<TableName> = names.into_iter().collect();
        let opened: Vec<Table> = try_join_all(names.iter().map(|name| lake.open(name))).await?;
        let mut by_name = BTreeMap::new();
        for (name, table) in names.into_iter().zip(opened) {
            let Some(version) = table.version() else {
                // A stream looks again and again until the first rows come.
                match context.streaming {
                    true => {
                        tracing::debug!(table = %reader, missing = %name, "a table that is read does not exist yet")
                    }
                    false => {
                        tracing::warn!(table = %reader, missing = %name, "a table that is read does not exist yet")
                    }
                }
                return Ok(None);
            };
            let position = ledger::position_of(&table)?;
            by_name.insert(name, Input { table, position, next: version + 1, rows: 0, change: Change::Nothing });
        }
        Ok(Some(Inputs { by_name }))
    }

    /// Finds out what happened to each table since `reader` was last made.
    pub(crate) async fn compare(&mut self, reader: &Table) -> Result<()> {
        let last = reader.record().map(|(_, record)| record);
        for (name, input) in &mut self.by_name {
            input.change = input.changed(name, reader, last).await?;
        }
        Ok(())
    }

    /// Counts the rows of each table, as far as the log tells. All files are listed for it, so it waits until there is
    /// something to do.
    pub(crate) async fn count_rows(&mut self) -> Result<()> {
        for input in self.by_name.values_mut() {
            input.rows = rows_of(&input.table.files().await?);
        }
        Ok(())
    }

    /// Takes all tables as changed altogether.
    pub(crate) fn take_everything(&mut self, refusal: &Refusal) {
        for input in self.by_name.values_mut() {
            input.change = Change::Everything(refusal.clone());
        }
    }

    pub(crate) fn get(&self, name: &TableName) -> Result<&Input> {
        self.by_name.get(name).ok_or_else(|| Error::bug(format!("{name} was not opened")))
    }

    pub(crate) fn iter(&self) -> impl Iterator<Item = (&TableName, &Input)> {
        self.by_name.iter()
    }

    /// The tables to which something happened.
    pub(crate) fn changed(&self) -> impl Iterator<Item = (&TableName, &Input)> {
        self.iter().filter(|(_, input)| !matches!(input.change, Change::Nothing))
    }

    /// The version of each table.
    pub(crate) fn reads(&self) -> BTreeMap<String, u64> {
        self.iter().map(|(name, input)| (name.to_string(), input.version())).collect()
    }

    /// The next version of each table, by its position id.
    pub(crate) fn positions(&self) -> Checkpoint {
        self.by_name.values().map(|input| (input.position.clone(), input.next as i64)).collect()
    }

    /// Every table whole.
    pub(crate) async fn whole(&self) -> Result<Tables> {
        let mut tables = Tables::new();
        for (name, input) in &self.by_name {
            tables.insert(name.clone(), input.table.provider().await?);
        }
        Ok(tables)
    }

    /// Rows that came or went, as far as the log tells.
    pub(crate) fn rows_changed(&self) -> u64 {
        self.by_name.values().map(|input| input.rows_changed()).sum()
    }
}

impl Input {
    /// About how many rows it has.
    pub(crate) fn rows(&self) -> u64 {
        self.rows
    }

    /// About how many rows came or went.
    pub(crate) fn rows_changed(&self) -> u64 {
        match &self.change {
            Change::Nothing => 0,
            Change::Rows { added, removed } => rows_of(added) + rows_of(removed),
            Change::Everything(_) => self.rows,
        }
    }

    /// Whether rows may leave it: some did this time, or its newest commit took some out.
    pub(crate) fn may_lose_rows(&self) -> bool {
        let lost_some = matches!(&self.change, Change::Rows { removed, .. } if !removed.is_empty());
        lost_some || self.table.record().is_some_and(|(_, record)| REPLACING.contains(&record.action.as_str()))
    }

    /// Some files of it as a table.
    ///
    /// # Errors
    /// As [`Table::scan`].
    pub(crate) fn scan(&self, files: &[Add]) -> Result<Arc<dyn TableProvider>> {
        let schema = self.table.schema().ok_or_else(|| Error::bug("an opened table has no schema"))?;
        self.table.scan(files, &schema, &self.table.partition_columns())
    }

    pub(crate) fn version(&self) -> u64 {
        self.next.saturating_sub(1)
    }

    async fn changed(&self, name: &TableName, reader: &Table, last: Option<&Record>) -> Result<Change> {
        let everything = |code, text: String| Ok(Change::Everything(Refusal::new(code, text)));
        if last.is_some_and(|last| last.reads.get(&name.to_string()) == Some(&self.version()))
            && reader.positions().get(&self.position).is_some()
        {
            return Ok(Change::Nothing);
        }
        let Some(from) = reader.positions().get(&self.position) else {
            return everything("made_anew", format!("{name} was created anew"));
        };
        let changes = match self.table.changes(from as u64).await {
            Ok(changes) => changes,
            // A log that was cleaned too far is no failure here: the whole query does not need it.
            Err(error) if error.kind() == Kind::Data => return everything("log_cleaned", error.message().to_owned()),
            Err(error) => return Err(error),
        };
        if changes.is_reshaped {
            return everything("columns_changed", format!("the columns of {name} changed"));
        }
        // A file that came and was put together with others since is no longer among those that vacuum surely keeps.
        let moved: HashSet<&str> = changes.moved.iter().flat_map(|moved| &moved.from).map(String::as_str).collect();
        let moved_on = changes.added.iter().filter(|file| moved.contains(file.path.as_str()));
        let doubtful: Vec<Add> = moved_on.chain(&changes.removed).cloned().collect();
        if !self.table.has_files(&doubtful).await? {
            return everything("files_gone", format!("files that {name} no longer needs were deleted too early"));
        }
        if let Some(refused) = [&changes.added, &changes.removed].into_iter().find_map(|files| self.scan(files).err()) {
            return everything("not_by_file", refused.message().to_owned());
        }
        match changes.added.is_empty() && changes.removed.is_empty() {
            // Files were only put together there, or every row of a batch was refused.
            true => Ok(Change::Nothing),
            false => Ok(Change::Rows { added: changes.added, removed: changes.removed }),
        }
    }
}

/// About how many rows files have.
pub(crate) fn rows_of(files: &[Add]) -> u64 {
    files.iter().map(|file| lake::rows_told(file).unwrap_or(file.size.unsigned_abs() / BYTES_OF_A_ROW)).sum()
}
