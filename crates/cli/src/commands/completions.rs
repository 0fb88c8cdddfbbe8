//! `medallion completions <shell>`: what a shell needs to complete commands.

use ::stage::Result;
use clap::CommandFactory as _;

use crate::args::{Arguments, CompletionsArguments};
use crate::output;

/// Prints the completions.
pub(super) fn run(arguments: &CompletionsArguments) -> Result<u8> {
    let mut text = Vec::new();
    clap_complete::generate(arguments.shell, &mut Arguments::command(), "medallion", &mut text);
    output::print(&String::from_utf8_lossy(&text));
    Ok(0)
}
