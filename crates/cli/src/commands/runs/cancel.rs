//! `medallion runs cancel N`: a run that goes on is asked to stop, one that waits for its turn is taken out.

use ::stage::{Error, Result};
use serde_json::json;
use workflow::History;
use workflow::history::RunStatus;

use super::details;
use crate::args::OutputFormat;
use crate::output;

/// Cancels the run.
pub(super) async fn run(history: &History, number: i64, output: OutputFormat) -> Result<u8> {
    let before = details(history, number).await?.run.status();
    if !history.ask_cancel(number).await? {
        let state = details(history, number).await?.run.status();
        return Err(Error::config(format!("run {number} has ended already: {state}")));
    }
    let (result, said) = match before {
        RunStatus::Queued => ("cancelled", "is cancelled; it had not begun"),
        _ => ("asked", "is asked to stop; what is not committed is dropped"),
    };
    output::print(&match output {
        OutputFormat::Table => format!("run {number} {said}"),
        OutputFormat::Json => json!({ "run": number, "result": result }).to_string(),
        OutputFormat::Csv => output::csv(&["run", "result"], &[vec![number.to_string(), result.to_owned()]]),
    });
    Ok(0)
}
