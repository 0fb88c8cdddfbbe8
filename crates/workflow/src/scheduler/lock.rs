//! One scheduler at a time: a lock on a file that the system takes back when its process dies, however that happens.

use std::fs::{File, OpenOptions, TryLockError};
use std::io::{Read as _, Seek as _, Write as _};
use std::path::Path;

use chrono::{SecondsFormat, Utc};
use stage::{Error, Result};

/// The lock, held until it is dropped.
#[derive(Debug)]
pub(super) struct Lock {
    /// Closing it gives the lock back. The file stays: one that is removed could be locked by two.
    _file: File,
}

impl Lock {
    /// Takes the lock at `path`, and leaves there who holds it.
    ///
    /// # Errors
    /// [`stage::Kind::Unavailable`] when somebody holds it, with who that is; [`stage::Kind::Config`] when the file cannot
    /// be written.
    pub(super) fn take(path: &Path) -> Result<Lock> {
        let unusable = |error: std::io::Error| {
            Error::config(format!("could not lock {} for the scheduler", path.display())).with_source(error)
        };
        let mut file =
            OpenOptions::new().create(true).truncate(false).read(true).write(true).open(path).map_err(unusable)?;
        match file.try_lock() {
            Ok(()) => {}
            Err(TryLockError::WouldBlock) => {
                let mut holder = String::new();
                // Who has just taken it may not have written yet.
                let _ = file.read_to_string(&mut holder);
                let holder = if holder.is_empty() { "another process" } else { holder.trim() };
                return Err(Error::unavailable(format!(
                    "a scheduler of this project is running already: {holder}; stop it first"
                )));
            }
            Err(TryLockError::Error(error)) => return Err(unusable(error)),
        }
        let since = Utc::now().to_rfc3339_opts(SecondsFormat::Secs, true);
        let holder = format!("process {} since {since}\n", std::process::id());
        let written = file.set_len(0).and_then(|()| file.rewind()).and_then(|()| file.write_all(holder.as_bytes()));
        written.map_err(unusable)?;
        Ok(Lock { _file: file })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_second_one_is_told_who_holds_the_lock() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("scheduler.lock");
        let first = Lock::take(&path).unwrap();
        let refused = Lock::take(&path).unwrap_err();
        assert_eq!(refused.kind(), stage::Kind::Unavailable);
        assert!(refused.message().contains(&format!("process {} since", std::process::id())), "{refused}");
        drop(first);
        Lock::take(&path).unwrap();
    }
}
