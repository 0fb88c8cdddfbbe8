//! The SQLite file: how it is opened, what is in it, and what its errors mean.

use std::fs::File;
use std::io;
use std::path::Path;
use std::time::Duration;

use chrono::Utc;
use rusqlite::{Connection, ErrorCode, TransactionBehavior, ffi};
use stage::{Error, Kind, Result};

use super::LOGS_FOLDER;

/// The layout of the tables below. A history of a later layout is refused rather than damaged.
const LAYOUT: i64 = 2;

/// Times are microseconds since 1970 in UTC. A state is NULL until its run, task or attempt has ended. A run that waits for
/// its turn has no `started_at`; `resumes` counts how often its process died before it ended, since its last repair. The tasks of a run are written when it begins, and the items of a loop (`load[3]`, with what
/// they are run for in `input`) as they begin. A schedule whose
/// `paused` is NULL follows the workflow's file; `trigger` is what `last_due_at` and `state` are about.
const TABLES: &str = "
CREATE TABLE runs (
    number INTEGER PRIMARY KEY AUTOINCREMENT,
    workflow TEXT NOT NULL,
    parameters TEXT NOT NULL,
    cause TEXT NOT NULL DEFAULT '{\"type\":\"manual\"}',
    due_at INTEGER,
    parent INTEGER REFERENCES runs (number),
    process INTEGER NOT NULL,
    repairs INTEGER NOT NULL DEFAULT 0,
    resumes INTEGER NOT NULL DEFAULT 0,
    queued_at INTEGER NOT NULL,
    started_at INTEGER,
    cancel_asked_at INTEGER,
    ended_at INTEGER,
    state TEXT,
    error_kind TEXT,
    error_message TEXT,
    rows_read INTEGER NOT NULL DEFAULT 0,
    rows_written INTEGER NOT NULL DEFAULT 0,
    rows_quarantined INTEGER NOT NULL DEFAULT 0,
    rows_dropped INTEGER NOT NULL DEFAULT 0
) STRICT;
CREATE INDEX runs_not_ended ON runs (number) WHERE state IS NULL;
CREATE INDEX runs_by_workflow ON runs (workflow, number);
CREATE INDEX runs_by_parent ON runs (parent) WHERE parent IS NOT NULL;
CREATE UNIQUE INDEX runs_due_once ON runs (workflow, due_at) WHERE due_at IS NOT NULL AND parent IS NULL;
CREATE TABLE tasks (
    run INTEGER NOT NULL REFERENCES runs (number),
    task_key TEXT NOT NULL,
    position INTEGER NOT NULL,
    depends_on TEXT NOT NULL DEFAULT '[]',
    does TEXT NOT NULL DEFAULT '',
    input TEXT,
    started_at INTEGER,
    ended_at INTEGER,
    state TEXT,
    output TEXT,
    executions INTEGER NOT NULL DEFAULT 0,
    error_kind TEXT,
    error_message TEXT,
    rows_read INTEGER NOT NULL DEFAULT 0,
    rows_written INTEGER NOT NULL DEFAULT 0,
    rows_quarantined INTEGER NOT NULL DEFAULT 0,
    rows_dropped INTEGER NOT NULL DEFAULT 0,
    PRIMARY KEY (run, task_key)
) STRICT, WITHOUT ROWID;
CREATE TABLE attempts (
    run INTEGER NOT NULL REFERENCES runs (number),
    task_key TEXT NOT NULL,
    repair INTEGER NOT NULL DEFAULT 0,
    attempt_number INTEGER NOT NULL,
    started_at INTEGER NOT NULL,
    ended_at INTEGER,
    state TEXT,
    error_kind TEXT,
    error_message TEXT,
    rows_read INTEGER NOT NULL DEFAULT 0,
    rows_written INTEGER NOT NULL DEFAULT 0,
    rows_quarantined INTEGER NOT NULL DEFAULT 0,
    rows_dropped INTEGER NOT NULL DEFAULT 0,
    PRIMARY KEY (run, task_key, repair, attempt_number)
) STRICT, WITHOUT ROWID;
CREATE TABLE schedules (
    workflow TEXT PRIMARY KEY,
    paused INTEGER,
    trigger TEXT,
    last_due_at INTEGER,
    state TEXT
) STRICT, WITHOUT ROWID;
";

/// From layout 1, which had no tasks before a run ended, no causes and no repairs, to layout 2.
const FROM_LAYOUT_1: [&str; 2] = [
    "
DROP INDEX runs_not_ended;
ALTER TABLE runs RENAME TO runs_1;
ALTER TABLE tasks RENAME TO tasks_1;
ALTER TABLE attempts RENAME TO attempts_1;
",
    "
INSERT INTO runs (number, workflow, parameters, process, queued_at, started_at, ended_at, state, error_kind,
    error_message, rows_read, rows_written, rows_quarantined, rows_dropped)
SELECT number, workflow, parameters, process, started_at, started_at, ended_at, state, error_kind, error_message,
    rows_read, rows_written, rows_quarantined, rows_dropped FROM runs_1;
INSERT INTO tasks (run, task_key, position, state) SELECT run, task_key, position, state FROM tasks_1;
INSERT INTO attempts (run, task_key, attempt_number, started_at, ended_at, state, error_kind, error_message, rows_read,
    rows_written, rows_quarantined, rows_dropped)
SELECT run, task_key, attempt_number, started_at, ended_at, state, error_kind, error_message, rows_read, rows_written,
    rows_quarantined, rows_dropped FROM attempts_1;
DROP TABLE attempts_1;
DROP TABLE tasks_1;
DROP TABLE runs_1;
",
];

/// How long to wait for other processes that write.
const PATIENCE: Duration = Duration::from_secs(10);

pub(super) fn open(path: &Path) -> Result<Connection> {
    let folder = match path.parent() {
        Some(folder) if !folder.as_os_str().is_empty() => folder,
        _ => Path::new("."),
    };
    std::fs::create_dir_all(folder).map_err(|error| {
        let message = format!("could not create the folder of the run history, {}", folder.display());
        Error::config(message).with_source(error)
    })?;
    let opened = prepared(path, folder).map_err(explained("open the run history"));
    let (connection, layout) = opened.map_err(|error| error.context(format!("cannot use {}", path.display())))?;
    if layout > LAYOUT {
        let message = format!(
            "the run history {} was written by a newer medallion (layout {layout}, this one knows {LAYOUT}); \
             use that one, or move the file away",
            path.display()
        );
        return Err(Error::config(message));
    }
    Ok(connection)
}

fn prepared(path: &Path, folder: &Path) -> rusqlite::Result<(Connection, i64)> {
    let mut connection = Connection::open(path)?;
    connection.busy_timeout(PATIENCE)?;
    // A crash of the machine may lose the last runs from the history, never damage it; and nothing waits for the disk.
    // Tests open thousands of histories, and their machine does not crash.
    connection.pragma_update(None, "synchronous", if cfg!(test) { "OFF" } else { "NORMAL" })?;
    let mut layout = layout_of(&connection)?;
    if layout < LAYOUT {
        let _one_at_a_time = locked(folder);
        layout = lay_out(&mut connection, folder)?;
    }
    Ok((connection, layout))
}

/// SQLite does not wait for others while it changes the journal, so those who find a new file take turns. The system
/// ends the turn with the file; where folders cannot be locked there are no turns.
fn locked(folder: &Path) -> Option<File> {
    let file = File::open(folder).ok()?;
    file.lock().ok()?;
    Some(file)
}

/// Makes the tables, or makes them of the ones of an earlier layout, unless somebody else did in the meantime.
fn lay_out(connection: &mut Connection, folder: &Path) -> rusqlite::Result<i64> {
    if layout_of(connection)? == 0 {
        // Where the file system cannot share memory the journal stays as it is, which is slower and just as right.
        connection.pragma_update_and_check(None, "journal_mode", "WAL", |_| Ok(()))?;
    }
    let transaction = connection.transaction_with_behavior(TransactionBehavior::Immediate)?;
    match layout_of(&transaction)? {
        0 => {
            transaction.execute_batch(TABLES)?;
            set_logs_aside(folder)?;
        }
        1 => {
            let [before, after] = FROM_LAYOUT_1;
            transaction.execute_batch(before)?;
            transaction.execute_batch(TABLES)?;
            transaction.execute_batch(after)?;
        }
        layout => return Ok(layout),
    }
    transaction.pragma_update(None, "user_version", LAYOUT)?;
    transaction.commit()?;
    Ok(LAYOUT)
}

/// A new history counts its runs from 1: the logs of one that is gone must not mix with those of its runs. Nobody has
/// begun a run before the tables are committed.
fn set_logs_aside(folder: &Path) -> rusqlite::Result<()> {
    let seconds = Utc::now().timestamp();
    let (logs, aside) = (folder.join(LOGS_FOLDER), folder.join(format!("{LOGS_FOLDER}-before-{seconds}")));
    match std::fs::rename(&logs, &aside) {
        Err(error) if error.kind() != io::ErrorKind::NotFound => {
            let message = format!("the old logs {} could not be set aside: {error}", logs.display());
            Err(rusqlite::Error::SqliteFailure(ffi::Error::new(ffi::SQLITE_CANTOPEN), Some(message)))
        }
        _ => Ok(()),
    }
}

fn layout_of(connection: &Connection) -> rusqlite::Result<i64> {
    connection.pragma_query_value(None, "user_version", |row| row.get(0))
}

/// An error of SQLite while doing something, in our kinds.
pub(super) fn explained(doing: &'static str) -> impl FnOnce(rusqlite::Error) -> Error {
    move |error| {
        let kind = match error.sqlite_error_code() {
            Some(
                ErrorCode::DatabaseBusy | ErrorCode::DatabaseLocked | ErrorCode::DiskFull | ErrorCode::SystemIoFailure,
            ) => Kind::Unavailable,
            Some(
                ErrorCode::CannotOpen
                | ErrorCode::NotADatabase
                | ErrorCode::DatabaseCorrupt
                | ErrorCode::ReadOnly
                | ErrorCode::PermissionDenied,
            ) => Kind::Config,
            _ => Kind::Bug,
        };
        Error::new(kind, format!("could not {doing}")).with_source(error)
    }
}
