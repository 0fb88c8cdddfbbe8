//! `medallion runs prune`: runs that ended long ago go from the history.

use ::stage::{Error, Result};
use chrono::{TimeDelta, Utc};
use serde_json::json;
use workflow::History;

use crate::args::{OutputFormat, PruneArguments};
use crate::output::{self, counted};

/// Deletes the runs that are old enough.
pub(super) async fn run(history: &History, arguments: &PruneArguments, output: OutputFormat) -> Result<u8> {
    let age = TimeDelta::from_std(arguments.older_than.duration()).ok();
    let before = age.and_then(|age| Utc::now().checked_sub_signed(age));
    let before = before.ok_or_else(|| Error::config("--older-than reaches back further than times do"))?;
    let deleted = history.prune(before, arguments.keep).await?;
    output::print(&match output {
        OutputFormat::Table => format!("deleted {}", counted(deleted as u64, "run")),
        OutputFormat::Json => json!({ "deleted": deleted }).to_string(),
        OutputFormat::Csv => output::csv(&["deleted"], &[vec![deleted.to_string()]]),
    });
    Ok(0)
}
