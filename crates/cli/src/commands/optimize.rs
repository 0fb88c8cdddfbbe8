//! `medallion optimize <table>`: writes its small files together.

use ::stage::Result;
use chrono::Utc;
use lake::maintenance::{Compacted, compact};

use crate::args::{OptimizeArguments, OutputFormat};
use crate::output::{self, thousands};
use crate::workbench::Workbench;

/// Compacts everything that is small, and says what that was.
pub(super) async fn run(workbench: Workbench, arguments: &OptimizeArguments, output: OutputFormat) -> Result<u8> {
    let name = super::any_table_name(&workbench, &arguments.table)?;
    super::expect_existing(&workbench, &name).await?;
    let settings = workbench.project.maintenance.at_once();
    let done = compact(&workbench.lake, &name, &settings, Utc::now()).await?;
    output::print(&match output {
        OutputFormat::Json => serde_json::json!(done).to_string(),
        OutputFormat::Csv => {
            let header = ["files_removed", "files_added", "bytes_removed", "bytes_added", "rows", "conflicts"];
            let row =
                [done.files_removed, done.files_added, done.bytes_removed, done.bytes_added, done.rows, done.conflicts];
            output::csv(&header, &[row.map(|number| number.to_string()).to_vec()])
        }
        OutputFormat::Table => told(&name.to_string(), &done),
    });
    Ok(0)
}

/// What was done, for people.
pub(crate) fn told(name: &str, done: &Compacted) -> String {
    let mut text = match done.files_removed {
        0 => format!("{name} has no small files to write together"),
        files => format!(
            "{name}: {} files into {}, {} bytes into {}, {} rows",
            thousands(files),
            thousands(done.files_added),
            thousands(done.bytes_removed),
            thousands(done.bytes_added),
            thousands(done.rows),
        ),
    };
    if done.conflicts > 0 {
        text.push_str("; other writers replaced some of its files first, run it again for the rest");
    }
    text
}
