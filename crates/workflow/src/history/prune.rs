//! Retention: runs that ended long ago are deleted, with everything that is known of them.

use chrono::{DateTime, Utc};
use rusqlite::params;
use stage::Result;

use super::History;
use super::record::count;

/// How many runs are deleted at a time, so that others who write never wait for long.
const AT_A_TIME: usize = 500;

impl History {
    /// Deletes the runs that ended before a time, with their tasks, attempts and logs; of each workflow at least the newest
    /// `keep` stay. Runs that have not ended always stay, and so does a run whose task ran another one as long as that one.
    /// Returns how many were deleted. Their numbers are not given again.
    ///
    /// # Errors
    /// As [`History::open`]; [`stage::Kind::Unavailable`] also when a log cannot be deleted.
    pub async fn prune(&self, ended_before: DateTime<Utc>, keep: usize) -> Result<usize> {
        let mut pruned = 0;
        loop {
            let numbers = self.prune_some(ended_before, keep).await?;
            pruned += numbers.len();
            for number in &numbers {
                self.logs.remove(*number)?;
            }
            // Those that ran others go after them.
            if numbers.is_empty() {
                return Ok(pruned);
            }
        }
    }

    async fn prune_some(&self, ended_before: DateTime<Utc>, keep: usize) -> Result<Vec<i64>> {
        self.change("delete old runs from the run history", move |transaction| {
            // An interrupted run has no end; its beginning stands for it.
            let sql = "SELECT number FROM (
                    SELECT number, state, coalesce(ended_at, started_at, queued_at) AS ended,
                        row_number() OVER (PARTITION BY workflow ORDER BY number DESC) AS place FROM runs) AS old
                WHERE state IS NOT NULL AND ended < ?1 AND place > ?2
                    AND NOT EXISTS (SELECT 1 FROM runs AS inner_runs WHERE inner_runs.parent = old.number)
                ORDER BY number LIMIT ?3";
            let limits = params![ended_before.timestamp_micros(), count(keep as u64), count(AT_A_TIME as u64)];
            let mut select = transaction.prepare_cached(sql)?;
            let numbers: Vec<i64> = select.query_map(limits, |row| row.get(0))?.collect::<rusqlite::Result<_>>()?;
            for number in &numbers {
                for sql in ["DELETE FROM attempts WHERE run = ?1", "DELETE FROM tasks WHERE run = ?1"] {
                    transaction.prepare_cached(sql)?.execute([number])?;
                }
                transaction.prepare_cached("DELETE FROM runs WHERE number = ?1")?.execute([number])?;
            }
            Ok(numbers)
        })
        .await
    }
}
