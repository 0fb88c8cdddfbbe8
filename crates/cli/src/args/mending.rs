//! The arguments of the commands that find what is missing in tables, and bring it in.

use clap::{Args, Subcommand, ValueEnum};

#[derive(Debug, Args)]
pub(crate) struct GapsArguments {
    /// The table, such as shop.silver.orders
    pub(crate) table: String,
    /// The column of times or dates; by default the `event_time` of a silver table
    #[arg(long)]
    pub(crate) column: Option<String>,
    /// The length of an interval
    #[arg(long, value_enum, default_value_t = Every::Day)]
    pub(crate) every: Every,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub(crate) enum Every {
    /// Days in UTC
    Day,
    /// Hours in UTC
    Hour,
}

impl Every {
    /// The name of the unit in SQL.
    pub(crate) fn name(self) -> &'static str {
        match self {
            Every::Day => "day",
            Every::Hour => "hour",
        }
    }

    /// The length in microseconds.
    pub(crate) fn micros(self) -> i64 {
        match self {
            Every::Day => 86_400_000_000,
            Every::Hour => 3_600_000_000,
        }
    }
}

#[derive(Debug, Subcommand)]
pub(crate) enum QuarantineCommand {
    /// Count rows in quarantine by rule, run and state
    List {
        /// The table, such as shop.silver.orders; all tables when left out
        table: Option<String>,
    },
    /// Show rows in quarantine, with what became of them
    Show(ShowQuarantineArguments),
    /// Evaluate rows in quarantine again by today's rules and steps; those that pass enter the table, once
    Replay(ReplayArguments),
}

#[derive(Debug, Args)]
pub(crate) struct ShowQuarantineArguments {
    /// The table, such as shop.silver.orders
    pub(crate) table: String,
    /// Only rows that this rule refuses
    #[arg(long)]
    pub(crate) rule: Option<String>,
    /// Only rows that this run refused first: its number or its name
    #[arg(long)]
    pub(crate) run: Option<String>,
    /// The most rows to show; 0 for all
    #[arg(long, default_value_t = 20)]
    pub(crate) limit: usize,
}

#[derive(Debug, Args)]
pub(crate) struct ReplayArguments {
    /// The table, such as shop.silver.orders
    pub(crate) table: String,
    /// Only rows that this rule refuses
    #[arg(long)]
    pub(crate) rule: Option<String>,
    /// Only rows that this run refused first: its number or its name
    #[arg(long)]
    pub(crate) run: Option<String>,
}
