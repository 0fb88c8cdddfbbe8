//! `medallion new <folder>`: a small project that runs.

use ::stage::Result;

use crate::args::NewArguments;
use crate::{output, scaffold};

/// Writes the project.
pub(super) fn run(arguments: &NewArguments) -> Result<u8> {
    for file in scaffold::write(&arguments.folder)? {
        output::print(&file.display().to_string());
    }
    output::note(&format!("now: cd {} && medallion check && medallion run shop", arguments.folder.display()));
    Ok(0)
}
