//! Keys of existing rows that a stream remembers from one batch to the next.
//!
//! Batches come several times a second, and each would read the keys of the same files. The one idea: keys are remembered
//! with the files they were read from, and hold as long as no commit takes rows away; where compaction moves rows, what is
//! known of the old files is known of the new ones.

use std::collections::HashSet;

use ::stage::Result;
use lake::{Add, Moved, Table, rows_told};
use sql::KeySet;

use crate::keys::BYTES_PER_KEY;

/// Keys of one table as far as they were read.
#[derive(Debug)]
pub(crate) struct KnownKeys {
    keys: KeySet,
    /// Paths of the files whose keys are all known.
    files: HashSet<String>,
    /// The identity of the table, and the version up to which its commits were followed.
    seen: Option<(String, u64)>,
    limit: usize,
}

impl KnownKeys {
    /// Nothing is known yet; at most about `memory_bytes` will be.
    pub(crate) fn new(memory_bytes: usize) -> KnownKeys {
        KnownKeys { keys: KeySet::default(), files: HashSet::new(), seen: None, limit: memory_bytes / BYTES_PER_KEY }
    }

    /// Follows the table to its version, and forgets everything if rows may have gone since.
    ///
    /// # Errors
    /// When the log cannot be read.
    pub(crate) async fn follow(&mut self, table: &Table) -> Result<()> {
        let (Some(id), Some(version)) = (table.id(), table.version()) else { return Ok(()) };
        match &self.seen {
            Some((known, seen)) if *known == id && *seen <= version => {
                match table.changes(seen + 1).await {
                    Ok(changes) if changes.rewritten.is_none() && !changes.is_reshaped => {
                        self.move_rows(&changes.moved)
                    }
                    // The log was cleaned too far, or rows have gone.
                    Ok(_) => self.forget(),
                    Err(error) if error.kind() == ::stage::Kind::Data => self.forget(),
                    Err(error) => return Err(error),
                }
            }
            _ => self.forget(),
        }
        self.seen = Some((id, version));
        Ok(())
    }

    /// Those of the files whose keys have to be read before all are known; `None` when there is no room for them. What was
    /// remembered of other files makes room if that helps for a while.
    pub(crate) fn missing(&mut self, files: &[Add]) -> Option<Vec<Add>> {
        let unknown: Vec<Add> = files.iter().filter(|file| !self.files.contains(&file.path)).cloned().collect();
        if self.keys.len() + rows(&unknown)? <= self.limit {
            return Some(unknown);
        }
        self.forget();
        (rows(files)? <= self.limit / 2).then(|| files.to_vec())
    }

    /// Remembers keys of a file that was missing.
    pub(crate) fn learn(&mut self, keys: &[u128]) {
        self.keys.extend(keys);
    }

    /// All keys of these files have been learned.
    pub(crate) fn learned(&mut self, files: &[Add]) {
        self.files.extend(files.iter().map(|file| file.path.clone()));
    }

    /// Every key that is known.
    pub(crate) fn keys(&self) -> &KeySet {
        &self.keys
    }

    fn forget(&mut self) {
        self.keys = KeySet::default();
        self.files.clear();
    }

    fn move_rows(&mut self, moved: &[Moved]) {
        for Moved { from, to } in moved {
            let are_known = from.iter().all(|path| self.files.contains(path));
            for path in from {
                self.files.remove(path);
            }
            if are_known {
                self.files.extend(to.iter().cloned());
            }
        }
    }
}

/// How many rows the files hold; `None` when one of them does not say.
fn rows(files: &[Add]) -> Option<usize> {
    files.iter().map(|file| rows_told(file).and_then(|rows| usize::try_from(rows).ok())).sum()
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;
    use std::sync::Arc;

    use ::stage::TableName;
    use arrow::array::{Int64Array, RecordBatch};
    use arrow::datatypes::{DataType, Field, Schema};
    use lake::{Commit, Lake, Operation, Record, S3Settings};

    use super::*;

    struct Shelf {
        _folder: tempfile::TempDir,
        lake: Lake,
        name: TableName,
    }

    impl Shelf {
        fn new() -> Shelf {
            let folder = tempfile::tempdir().unwrap();
            let lake = Lake::new(folder.path().to_str().unwrap(), &S3Settings::default()).unwrap();
            Shelf { _folder: folder, lake, name: "shop.silver.orders".parse().unwrap() }
        }

        async fn commit(&self, operation: Operation, id: i64, remove: Vec<Add>) -> Table {
            let mut table = self.lake.open(&self.name).await.unwrap();
            let schema = Arc::new(Schema::new(vec![Field::new("id", DataType::Int64, true)]));
            let mut writer = table.staging().writer(schema.clone(), &[]);
            let rows = RecordBatch::try_new(schema.clone(), vec![Arc::new(Int64Array::from(vec![id]))]).unwrap();
            writer.write(&rows).await.unwrap();
            let commit = Commit {
                operation,
                schema,
                partition_by: Vec::new(),
                properties: BTreeMap::new(),
                add: writer.close().await.unwrap(),
                remove,
                range: None,
                record: Record::default(),
            };
            table.commit(commit).await.unwrap();
            table
        }
    }

    async fn learn(known: &mut KnownKeys, table: &Table) {
        known.follow(table).await.unwrap();
        let missing = known.missing(&table.files().await.unwrap()).unwrap();
        known.learn(&(0..missing.len() as u128).collect::<Vec<_>>());
        known.learned(&missing);
    }

    #[tokio::test]
    async fn only_files_that_came_since_are_unknown() {
        let (shelf, mut known) = (Shelf::new(), KnownKeys::new(1 << 20));
        let first = shelf.commit(Operation::Append, 1, Vec::new()).await;
        learn(&mut known, &first).await;
        let second = shelf.commit(Operation::AppendChecked, 2, Vec::new()).await;
        known.follow(&second).await.unwrap();
        let missing = known.missing(&second.files().await.unwrap()).unwrap();
        assert_eq!((missing.len(), known.keys().len()), (1, 1));
        assert!(!first.files().await.unwrap().iter().any(|file| file.path == missing[0].path));
    }

    #[tokio::test]
    async fn what_is_known_of_compacted_files_is_known_of_the_new_ones() {
        let (shelf, mut known) = (Shelf::new(), KnownKeys::new(1 << 20));
        let table = shelf.commit(Operation::Append, 1, Vec::new()).await;
        learn(&mut known, &table).await;
        let old = table.files().await.unwrap();
        let table = shelf.commit(Operation::Optimize { target_file_size: 1 }, 1, old).await;
        known.follow(&table).await.unwrap();
        assert!(known.missing(&table.files().await.unwrap()).unwrap().is_empty());
        assert_eq!(known.keys().len(), 1);
    }

    #[tokio::test]
    async fn nothing_is_known_once_rows_have_gone() {
        let (shelf, mut known) = (Shelf::new(), KnownKeys::new(1 << 20));
        learn(&mut known, &shelf.commit(Operation::Append, 1, Vec::new()).await).await;
        let table = shelf.commit(Operation::Overwrite, 2, Vec::new()).await;
        known.follow(&table).await.unwrap();
        assert_eq!((known.missing(&table.files().await.unwrap()).unwrap().len(), known.keys().len()), (1, 0));
    }

    #[tokio::test]
    async fn old_files_make_room_for_new_ones_and_too_many_are_not_read_in_vain() {
        let (shelf, mut known) = (Shelf::new(), KnownKeys::new(2 * BYTES_PER_KEY));
        let mut newest = Vec::new();
        for id in 1..=3 {
            let before = shelf.lake.open(&shelf.name).await.unwrap().files().await.unwrap();
            let table = shelf.commit(Operation::Append, id, Vec::new()).await;
            known.follow(&table).await.unwrap();
            newest = table.files().await.unwrap();
            newest.retain(|file| !before.iter().any(|other| other.path == file.path));
            assert_eq!(known.missing(&newest).unwrap().len(), 1);
            known.learn(&[id as u128]);
            known.learned(&newest);
        }
        assert_eq!(known.keys().iter().copied().collect::<Vec<_>>(), [3]);
        let all = shelf.lake.open(&shelf.name).await.unwrap().files().await.unwrap();
        assert!(known.missing(&all).is_none());
        assert_eq!(known.missing(&newest).unwrap().len(), 1);
    }
}
