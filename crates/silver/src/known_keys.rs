//! Keys of existing rows that a stream remembers from one batch to the next.
//!
//! Batches come several times a second, and each would read the keys of the same files. The one idea: keys are remembered
//! with the files they were read from, and hold as long as no commit takes rows away; where compaction moves rows, what is
//! known of the old files is known of the new ones.

use std::collections::HashSet;

use ::stage::Result;
use lake::{Add, Moved, Table};
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
                    Ok(changes) if changes.rewritten.is_none() && !changes.is_reshaped => self.move_rows(&changes.moved),
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

    /// Those of the files whose keys are not known.
    pub(crate) fn unknown(&self, files: &[Add]) -> Vec<Add> {
        files.iter().filter(|file| !self.files.contains(&file.path)).cloned().collect()
    }

    /// Remembers keys. Says whether there is room for them; if not, nothing is known any more.
    pub(crate) fn learn(&mut self, keys: &[u128]) -> bool {
        if self.keys.len() + keys.len() > self.limit {
            self.forget();
            return false;
        }
        self.keys.extend(keys);
        true
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
