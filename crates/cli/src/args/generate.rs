//! The arguments of `medallion generate`.

use std::path::PathBuf;

use clap::{Args, ValueEnum};

#[derive(Debug, Args)]
pub(crate) struct GenerateArguments {
    /// What to generate
    #[arg(value_enum)]
    pub(crate) kind: GenerateKind,
    /// How many events; by default 100,000 into a folder, and to Kafka as many as there is time for
    #[arg(long)]
    pub(crate) rows: Option<u64>,
    /// The same seed gives the same data; by default 42, and to Kafka another one each time
    #[arg(long)]
    pub(crate) seed: Option<u64>,
    /// Share of events with something wrong in them, from 0 to 1
    #[arg(long)]
    pub(crate) bad: Option<f64>,
    /// Share of events that repeat an earlier one
    #[arg(long)]
    pub(crate) duplicate: Option<f64>,
    /// Share of events that arrive later than their time
    #[arg(long)]
    pub(crate) late: Option<f64>,
    /// Where to write: a folder, by default the variable `landing` of the project; or `kafka`, as it happens (behavior only)
    #[arg(long, value_name = "FOLDER|kafka")]
    pub(crate) to: Option<Destination>,
    /// The first day, as YYYY-MM-DD
    #[arg(long, value_name = "DATE", help_heading = INTO_FOLDER)]
    pub(crate) start: Option<chrono::NaiveDate>,
    /// How many days the events spread over
    #[arg(long, help_heading = INTO_FOLDER)]
    pub(crate) days: Option<u32>,
    /// Where in the time span a new attribute appears, from 0 to 1
    #[arg(long, value_name = "SHARE", help_heading = INTO_FOLDER)]
    pub(crate) new_attribute_from: Option<f64>,
    /// Events a second (5000)
    #[arg(long, value_parser = clap::value_parser!(u64).range(1..=10_000_000), help_heading = TO_KAFKA)]
    pub(crate) rate: Option<u64>,
    /// For how long, such as 30s; until ctrl-c when neither this nor --rows is given
    #[arg(long = "for", value_name = "TIME", help_heading = TO_KAFKA)]
    pub(crate) duration: Option<frame::TimeSpan>,
    /// The cluster, as host:port,..; when left out, a stand-in is started in this process and lives until ctrl-c
    #[arg(long, value_name = "LIST", help_heading = TO_KAFKA)]
    pub(crate) brokers: Option<String>,
    /// The topic (behavior)
    #[arg(long, value_name = "NAME", help_heading = TO_KAFKA)]
    pub(crate) topic: Option<String>,
}

const INTO_FOLDER: &str = "Into a folder";
const TO_KAFKA: &str = "To Kafka";

/// Where generated data goes.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Destination {
    Folder(PathBuf),
    Kafka,
}

impl From<&str> for Destination {
    /// A folder that is called `kafka` is written as `./kafka`.
    fn from(text: &str) -> Destination {
        if text == "kafka" { Destination::Kafka } else { Destination::Folder(text.into()) }
    }
}

#[derive(Debug, Clone, Copy, ValueEnum)]
pub(crate) enum GenerateKind {
    /// Feature-flag events in hour folders, and conversions
    Experiments,
    /// A shop: customers, products, clicks, page views, purchases, reviews
    Behavior,
}
