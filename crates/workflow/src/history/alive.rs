//! Which runs are alive: each holds a lock on a file of its own beside the history.
//!
//! The system takes a lock back when its process dies, however that happens. Process ids would be reused, and mean
//! nothing across containers that share a folder.

use std::collections::HashMap;
use std::fs::{File, OpenOptions, TryLockError};
use std::io;
use std::path::{Path, PathBuf};

#[derive(Debug)]
pub(super) struct Alive {
    history: PathBuf,
    held: HashMap<i64, File>,
}

impl Alive {
    pub(super) fn beside(history: &Path) -> Self {
        Alive { history: history.to_owned(), held: HashMap::new() }
    }

    /// Says that this process runs the run.
    pub(super) fn hold(&mut self, run: i64) -> io::Result<()> {
        // A number is given again when the run that had it could not be committed.
        self.held.remove(&run);
        let file = OpenOptions::new().create(true).truncate(false).write(true).open(self.path(run))?;
        // Nobody looks at the lock of a run that was not committed yet.
        file.try_lock().map_err(io::Error::from)?;
        self.held.insert(run, file);
        Ok(())
    }

    /// Says that the run has ended, once that is recorded.
    pub(super) fn release(&mut self, run: i64) {
        if self.held.remove(&run).is_some() {
            self.clear(run);
        }
    }

    /// Whether the process of a run that has not ended is still there. In doubt it is.
    pub(super) fn is_alive(&self, run: i64) -> bool {
        match File::open(self.path(run)) {
            // Shared, so that two processes that look at the same time do not take each other for the run.
            Ok(file) => matches!(file.try_lock_shared(), Err(TryLockError::WouldBlock | TryLockError::Error(_))),
            Err(error) => error.kind() != io::ErrorKind::NotFound,
        }
    }

    /// Removes what a run left behind.
    pub(super) fn clear(&self, run: i64) {
        // A file that stays does no harm: numbers are not given twice.
        let _ = std::fs::remove_file(self.path(run));
    }

    fn path(&self, run: i64) -> PathBuf {
        let mut name = self.history.file_name().unwrap_or_default().to_owned();
        name.push(format!("-run-{run}.lock"));
        self.history.with_file_name(name)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_run_is_alive_while_its_holder_is() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("history.db");
        let mut holder = Alive::beside(&path);
        let looker = Alive::beside(&path);
        assert!(!looker.is_alive(1));
        holder.hold(1).unwrap();
        assert!(looker.is_alive(1));
        drop(holder);
        assert!(!looker.is_alive(1));
        looker.clear(1);
        assert_eq!(std::fs::read_dir(folder.path()).unwrap().count(), 0);
    }
}
