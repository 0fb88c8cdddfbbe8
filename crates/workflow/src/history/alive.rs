//! Which runs are alive: each holds a lock on a file of its own beside the history.
//!
//! The system takes a lock back when its process dies, however that happens. Process ids would be reused, and mean
//! nothing across containers that share a folder. A lock file is removed only by who holds its lock, so that nobody removes
//! the one of a run that was just opened once more.

use std::collections::HashMap;
use std::fs::{File, OpenOptions, TryLockError};
use std::io;
use std::os::unix::fs::MetadataExt as _;
use std::path::{Path, PathBuf};
use std::time::Duration;

/// How often to try for a lock that somebody else is letting go of or looking at, which takes microseconds.
const TRIES: usize = 20;
/// How long to wait between two tries.
const BETWEEN_TRIES: Duration = Duration::from_millis(5);

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
    ///
    /// # Errors
    /// [`io::ErrorKind::WouldBlock`] while another process holds its lock.
    pub(super) fn hold(&mut self, run: i64) -> io::Result<()> {
        // A number is given again when the run that had it could not be committed.
        self.held.remove(&run);
        let path = self.path(run);
        for _ in 0..TRIES {
            let file = OpenOptions::new().create(true).truncate(false).write(true).open(&path)?;
            match file.try_lock() {
                Ok(()) if lies_at(&file, &path) => {
                    self.held.insert(run, file);
                    return Ok(());
                }
                // Who held the lock has removed the file meanwhile: this lock is nobody's.
                Ok(()) => {}
                Err(TryLockError::WouldBlock) => std::thread::sleep(BETWEEN_TRIES),
                Err(TryLockError::Error(error)) => return Err(error),
            }
        }
        Err(io::ErrorKind::WouldBlock.into())
    }

    /// Says that the run has ended, once that is recorded.
    pub(super) fn release(&mut self, run: i64) {
        if let Some(held) = self.held.remove(&run) {
            self.remove(run, held);
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

    /// Removes what a run left behind, unless somebody holds it.
    pub(super) fn clear(&self, run: i64) {
        let path = self.path(run);
        let Ok(file) = File::open(&path) else { return };
        if file.try_lock().is_ok() && lies_at(&file, &path) {
            self.remove(run, file);
        }
    }

    /// Removes the file whose lock is held, and only then lets go of the lock.
    fn remove(&self, run: i64, held: File) {
        // A file that stays does no harm: numbers are not given twice.
        let _ = std::fs::remove_file(self.path(run));
        drop(held);
    }

    fn path(&self, run: i64) -> PathBuf {
        let mut name = self.history.file_name().unwrap_or_default().to_owned();
        name.push(format!("-run-{run}.lock"));
        self.history.with_file_name(name)
    }
}

/// Whether it is this file that others find there.
fn lies_at(file: &File, path: &Path) -> bool {
    let identity = |metadata: std::fs::Metadata| (metadata.dev(), metadata.ino());
    match (file.metadata(), std::fs::metadata(path)) {
        (Ok(open), Ok(there)) => identity(open) == identity(there),
        _ => false,
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

    #[test]
    fn the_lock_of_a_run_that_was_opened_once_more_is_not_cleared_by_others() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("history.db");
        let (mut first, mut second) = (Alive::beside(&path), Alive::beside(&path));
        first.hold(1).unwrap();
        assert_eq!(second.hold(1).unwrap_err().kind(), io::ErrorKind::WouldBlock);
        first.release(1);
        second.hold(1).unwrap();
        first.clear(1);
        first.release(1);
        assert!(first.is_alive(1), "its file is still there");
    }

    #[test]
    fn whoever_takes_a_lock_over_is_found_at_its_path() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("history.db");
        std::thread::scope(|scope| {
            for _ in 0..4 {
                scope.spawn(|| {
                    let mut own = Alive::beside(&path);
                    for _ in 0..200 {
                        if own.hold(1).is_ok() {
                            assert!(own.is_alive(1), "the lock that was taken has no name");
                            own.release(1);
                        }
                        own.clear(1);
                    }
                });
            }
        });
    }
}
