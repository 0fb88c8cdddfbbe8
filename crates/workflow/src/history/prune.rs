//! Retention: runs that ended long ago are deleted, with everything that is known of them.

use chrono::{DateTime, Utc};
use rusqlite::{Transaction, params};
use serde_json::Value;
use stage::{Error, Result};

use super::History;
use super::record::count;

/// How many runs are deleted at a time, so that others who write never wait for long.
const AT_A_TIME: usize = 100;

impl History {
    /// Deletes the runs that ended before a time, with their tasks, attempts and logs; of each workflow at least the newest
    /// `keep` stay. Runs that have not ended always stay, and so does a run whose task ran another one as long as that one.
    /// Returns how many were deleted. Their numbers are not given again.
    ///
    /// # Errors
    /// As [`History::open`]; [`stage::Kind::Unavailable`] also when a log cannot be deleted: its run stays, the others are
    /// deleted all the same.
    pub async fn prune(&self, ended_before: DateTime<Utc>, keep: usize) -> Result<usize> {
        let mut pruned = 0;
        let mut refused = Refused::default();
        loop {
            let numbers;
            (numbers, refused) = self.prune_some(ended_before, keep, refused).await?;
            pruned += numbers;
            // Those that ran others go after them.
            if numbers == 0 {
                return refused.error.map_or(Ok(pruned), Err);
            }
        }
    }

    /// Deletes some runs, the logs first: what is left of them if this process dies is found by the next one. Nobody can open
    /// a run once more while this goes on.
    async fn prune_some(&self, before: DateTime<Utc>, keep: usize, mut refused: Refused) -> Result<(usize, Refused)> {
        let logs = self.logs.clone();
        self.change("delete old runs from the run history", move |transaction| {
            let mut pruned = 0;
            let numbers = old_runs(transaction, before, keep, &refused.runs)?;
            for number in numbers {
                if let Err(error) = logs.remove(number) {
                    refused.runs.push(number);
                    refused.error.get_or_insert(error);
                    continue;
                }
                for sql in ["DELETE FROM attempts WHERE run = ?1", "DELETE FROM tasks WHERE run = ?1"] {
                    transaction.prepare_cached(sql)?.execute([number])?;
                }
                transaction.prepare_cached("DELETE FROM runs WHERE number = ?1")?.execute([number])?;
                pruned += 1;
            }
            Ok((pruned, refused))
        })
        .await
    }
}

/// The runs whose logs could not be removed, which therefore stay.
#[derive(Debug, Default)]
struct Refused {
    runs: Vec<i64>,
    /// The first error.
    error: Option<Error>,
}

fn old_runs(
    transaction: &Transaction<'_>,
    ended_before: DateTime<Utc>,
    keep: usize,
    refused: &[i64],
) -> rusqlite::Result<Vec<i64>> {
    // An interrupted run has no end; its beginning stands for it.
    let sql = "SELECT number FROM (
            SELECT number, state, coalesce(ended_at, started_at, queued_at) AS ended,
                row_number() OVER (PARTITION BY workflow ORDER BY number DESC) AS place FROM runs) AS old
        WHERE state IS NOT NULL AND ended < ?1 AND place > ?2
            AND number NOT IN (SELECT value FROM json_each(?4))
            AND NOT EXISTS (SELECT 1 FROM runs AS inner_runs WHERE inner_runs.parent = old.number)
        ORDER BY number LIMIT ?3";
    let (keep, most) = (count(keep as u64), count(AT_A_TIME as u64));
    let limits = params![ended_before.timestamp_micros(), keep, most, Value::from(refused).to_string()];
    transaction.prepare_cached(sql)?.query_map(limits, |row| row.get(0))?.collect()
}
