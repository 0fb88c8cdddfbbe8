//! Keeps tables fast while they grow: few files, no files that nobody needs, a short log.
//!
//! The one idea: maintenance never gets in the way. Rows stay the same, so readers of changes see nothing of it; writers
//! never wait for it, because it drops its work when it loses; and nothing goes that somebody has yet to read.
//!
//! - [`maintain`] does what is due for one table; call it every [`MaintenanceSettings::interval`].
//! - [`compact`] writes small files together.
//! - [`vacuum`] deletes files that nobody can read any more.
//! - [`clean_log`] deletes old commits that a checkpoint covers. Checkpoints themselves are made by commits, every
//!   `delta.checkpointInterval` of them.
//! - [`slowest_reader`] tells how far the readers of a table are.

mod compact;
mod diary;
mod kept;
mod leftovers;
mod log;
mod plan;
mod readers;
#[cfg(test)]
mod tests;
mod vacuum;

use std::collections::BTreeSet;
use std::time::Duration;

use chrono::{DateTime, Utc};
use serde::Serialize;
use stage::{Layer, Result, TableName};

pub(crate) use self::compact::session;
pub use self::compact::{Compacted, compact};
use self::diary::Diary;
pub use self::log::{LogCleaned, clean_log};
pub use self::plan::CompactionSettings;
pub use self::readers::slowest_reader;
pub use self::vacuum::{VacuumSettings, Vacuumed, vacuum};
use crate::ledger::SYSTEM_TABLES;
use crate::open::Lake;
use crate::writer::TARGET_FILE_SIZE;

const DAY: Duration = Duration::from_secs(24 * 60 * 60);
const HOUR: Duration = Duration::from_secs(60 * 60);
const MINUTE: Duration = Duration::from_secs(60);
/// How often files are vacuumed, at most.
const VACUUM_EVERY: Duration = DAY;
/// How often a log is cleaned, at most.
const CLEAN_LOG_EVERY: Duration = HOUR;
/// How old a file must be before it is compacted in the background.
const COLD_AFTER: Duration = MINUTE;
/// How many files are worth a compaction in the background.
const WORTH_COMPACTING: usize = 8;

/// How tables are looked after.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct MaintenanceSettings {
    /// Bytes a data file should have.
    pub target_file_size: u64,
    /// How long files stay after they were replaced, and staged files that were never committed.
    pub retention: Duration,
    /// How long the log tells of a version.
    pub log_retention: Duration,
    /// How often a table is looked after.
    pub interval: Duration,
}

impl Default for MaintenanceSettings {
    fn default() -> Self {
        MaintenanceSettings {
            target_file_size: TARGET_FILE_SIZE,
            retention: 7 * DAY,
            log_retention: 7 * DAY,
            interval: 5 * MINUTE,
        }
    }
}

impl MaintenanceSettings {
    /// What is compacted in the background, where hot files are left to writers.
    pub fn in_background(&self) -> CompactionSettings {
        CompactionSettings {
            target_file_size: self.target_file_size,
            minimum_files: WORTH_COMPACTING,
            minimum_age: COLD_AFTER,
        }
    }

    /// What is compacted when somebody asks for it: everything that is small.
    pub fn at_once(&self) -> CompactionSettings {
        CompactionSettings { target_file_size: self.target_file_size, minimum_files: 2, minimum_age: Duration::ZERO }
    }
}

/// What was done for a table.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize)]
pub struct Report {
    /// What was compacted.
    pub compacted: Compacted,
    /// What was vacuumed, if that was due.
    pub vacuumed: Option<Vacuumed>,
    /// What went from the log, if that was due.
    pub log_cleaned: Option<LogCleaned>,
}

/// Does what is due for one table: compaction each time, then vacuum once a day, then the log once an hour. When the two
/// were done last stands beside the table.
///
/// `keep_from` is the first version that a reader has yet to read, as [`slowest_reader`] tells; what readers need from
/// then on stays. Dropping the future loses nothing but work.
///
/// # Errors
/// When the storage fails; the next call goes on where this one ended.
pub async fn maintain(
    lake: &Lake,
    name: &TableName,
    settings: &MaintenanceSettings,
    keep_from: Option<u64>,
    now: DateTime<Utc>,
) -> Result<Report> {
    let table = lake.open(name).await?;
    if table.version().is_none() {
        return Ok(Report::default());
    }
    let mut report =
        Report { compacted: compact(lake, name, &settings.in_background(), now).await?, ..Report::default() };
    let mut diary = Diary::read(&table).await?;
    if is_due(diary.vacuumed_at, VACUUM_EVERY, now) {
        let vacuum_settings = VacuumSettings { retention: settings.retention, keep_from, dry_run: false };
        report.vacuumed = Some(vacuum(lake, name, &vacuum_settings, now).await?);
        diary.vacuumed_at = Some(now);
    }
    if is_due(diary.log_cleaned_at, CLEAN_LOG_EVERY, now) {
        report.log_cleaned = Some(clean_log(lake, name, settings.log_retention, keep_from, now).await?);
        diary.log_cleaned_at = Some(now);
    }
    if report.vacuumed.is_some() || report.log_cleaned.is_some() {
        diary.write(&table).await?;
    }
    Ok(report)
}

/// These tables, and the quarantine and system tables that are written with them: all that need to be looked after.
pub fn with_companions(names: impl IntoIterator<Item = TableName>) -> BTreeSet<TableName> {
    let mut all = BTreeSet::new();
    for name in names {
        if Layer::OF_USERS.contains(&name.layer()) {
            all.insert(name.quarantine());
            all.extend(SYSTEM_TABLES.map(|system| name.system(system)));
        }
        all.insert(name);
    }
    all
}

fn is_due(last: Option<DateTime<Utc>>, every: Duration, now: DateTime<Utc>) -> bool {
    last.is_none_or(|last| now.signed_duration_since(last).to_std().is_ok_and(|since| since >= every))
}
