//! The arguments of the commands that run workflows, now or by their schedules.

use clap::Args;

use super::key_value;

#[derive(Debug, Args)]
pub(crate) struct RunArguments {
    /// The workflow: its name, or its file
    pub(crate) workflow: String,
    /// Run only these tasks; what they depend on is taken as done
    #[arg(long, value_name = "TASK", value_delimiter = ',')]
    pub(crate) only: Vec<String>,
    /// Run these tasks and all that come after them; with --to, the first time of an interval, such as 2024-01-01
    #[arg(long, value_name = "TASK|TIME", value_delimiter = ',')]
    pub(crate) from: Vec<String>,
    /// Make the event times from --from up to, but without, this time anew in silver, and refresh gold
    #[arg(long, value_name = "TIME", requires = "from", conflicts_with = "full_refresh")]
    pub(crate) to: Option<String>,
    /// Rebuild every silver and gold table from all of its upstream
    #[arg(long)]
    pub(crate) full_refresh: bool,
    /// A parameter of the workflow; may be repeated
    #[arg(long = "param", value_name = "NAME=VALUE", value_parser = key_value)]
    pub(crate) parameters: Vec<(String, String)>,
    /// Print what the run would do, with every reference filled in that is known before it, and do nothing
    #[arg(long)]
    pub(crate) dry_run: bool,
}

#[derive(Debug, Args)]
pub(crate) struct ServeArguments {
    /// Serve the page and the HTTP interface here, such as 127.0.0.1:9601. On an address that others can reach, everything
    /// needs the token; put something in front of it that speaks TLS
    #[arg(long, value_name = "ADDRESS:PORT")]
    pub(crate) listen: Option<std::net::SocketAddr>,
    /// A name besides the address and `localhost` under which browsers may ask for the page; may be given several times
    #[arg(long = "allow-host", value_name = "NAME", requires = "listen")]
    pub(crate) names: Vec<String>,
}

#[derive(Debug, Args)]
pub(crate) struct NextArguments {
    /// The workflow: its name, or its file; all of them when left out
    pub(crate) workflow: Option<String>,
    /// The most runs to show of each workflow; 5 for one that is named, else 1
    #[arg(long, value_name = "N", value_parser = next_count)]
    pub(crate) count: Option<usize>,
}

#[derive(Debug, Args)]
pub(crate) struct PauseArguments {
    /// The workflow: its name, or its file
    pub(crate) workflow: String,
}

#[derive(Debug, Args)]
pub(crate) struct StreamArguments {
    /// The workflow, its file, or a pipeline
    pub(crate) name: String,
    /// Serve /metrics (for Prometheus), /health and /ready here, such as 127.0.0.1:9600
    #[arg(long, value_name = "ADDRESS")]
    pub(crate) listen: Option<std::net::SocketAddr>,
    /// Keep only the tables of these tasks going
    #[arg(long, value_name = "TASK", value_delimiter = ',')]
    pub(crate) only: Vec<String>,
    /// After how many failures in a row a table stops, while the others go on
    #[arg(long, value_name = "COUNT", default_value_t = 10, value_parser = clap::value_parser!(u32).range(1..))]
    pub(crate) max_failures: u32,
    /// A parameter of the workflow; may be repeated
    #[arg(long = "param", value_name = "NAME=VALUE", value_parser = key_value)]
    pub(crate) parameters: Vec<(String, String)>,
}

fn next_count(text: &str) -> Result<usize, String> {
    let count = text.parse().ok().filter(|count| (1..=10_000).contains(count));
    count.ok_or_else(|| format!("expected 1 to 10000 runs, found `{text}`"))
}
