//! Everything behind the `medallion` command.
//!
//! [`main`] parses the arguments, starts the runtime and runs one command of `commands`; each has a file of its own. A
//! [`Workbench`] is an opened project: lake, engine, run history, and the stages made from specs.

mod args;
#[cfg(test)]
mod batch_cuts;
mod commands;
mod live;
mod memory;
mod notifying;
mod output;
mod page;
mod progress;
pub mod project;
pub mod scaffold;
mod scheduling;
pub mod schema;
mod signals;
mod streaming;
mod tasks;
mod testing;
mod workbench;

use std::process::ExitCode;

use clap::Parser as _;
use stage::{Error, Result};
use tracing_subscriber::EnvFilter;
use tracing_subscriber::fmt::format::FmtSpan;

use self::args::{Arguments, LogFormat};
pub use self::workbench::Workbench;

/// Stages decode and encode on these threads, so there are more than cores: the operating system then shares the cores
/// fairly between tables, where the runtime would let a busy one go first.
const THREADS_PER_CORE: usize = 4;

/// Runs the command of this process. Errors are printed as one line on stderr.
pub fn main() -> ExitCode {
    let arguments = Arguments::parse();
    start_logging(arguments.log_format);
    keep_workers_quiet();
    // Two libraries bring a TLS implementation each; one has to be chosen before either is used. A second choice fails,
    // which is harmless.
    let _ = rustls::crypto::aws_lc_rs::default_provider().install_default();
    match run(arguments) {
        Ok(code) => ExitCode::from(code),
        Err(error) => {
            output::error(&error);
            ExitCode::from(error.kind().exit_code())
        }
    }
}

fn run(arguments: Arguments) -> Result<u8> {
    let runtime = tokio::runtime::Builder::new_multi_thread()
        .worker_threads(cores() * THREADS_PER_CORE)
        .enable_all()
        .build()
        .map_err(|error| Error::unavailable("could not start threads").with_source(error))?;
    let code = runtime.block_on(commands::run(arguments));
    // A blocking read of a slow source must not keep the process alive after its result no longer matters.
    runtime.shutdown_background();
    code
}

/// A panic on a worker becomes an error where its work is awaited, and libraries catch some of their own. Only one of the
/// main thread is told as it happens.
fn keep_workers_quiet() {
    let tell = std::panic::take_hook();
    std::panic::set_hook(Box::new(move |panic| match std::thread::current().name() {
        Some("main") => tell(panic),
        _ => tracing::debug!(%panic, "a worker panicked"),
    }));
}

fn cores() -> usize {
    std::thread::available_parallelism().map_or(1, usize::from)
}

fn start_logging(format: LogFormat) {
    // Delta and DataFusion report as errors what our commit function handles; the user sees what we make of it.
    let filter = EnvFilter::try_from_env("MEDALLION_LOG").unwrap_or_else(|_| {
        // Where logs are read by programs, each batch of a stream is one event.
        let own = if format == LogFormat::Json { ",medallion::streaming=info" } else { "" };
        EnvFilter::new(format!("warn,deltalake=off,deltalake_core=off,buoyant_kernel=off,delta_kernel=off{own}"))
    });
    let builder =
        tracing_subscriber::fmt().with_env_filter(filter).with_writer(std::io::stderr).with_span_events(FmtSpan::NONE);
    match format {
        LogFormat::Text => builder.with_target(false).init(),
        LogFormat::Json => builder.json().init(),
    }
}
