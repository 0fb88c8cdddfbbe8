//! What people and log collectors see of a stream while it goes on: lines that are redrawn on a terminal, a plain line now
//! and then otherwise, or one JSON event for each batch.

use std::io::IsTerminal as _;
use std::time::Duration;

use chrono::Utc;
use indicatif::{MultiProgress, ProgressBar, ProgressStyle};
use stage::{Kind, Progress, TableName};
use tokio::time::{MissedTickBehavior, interval};
use workflow::stream::{StreamEvent, StreamStatus, TableStatus};

use super::delays::{Delays, Percentiles};
use super::figures::{Pace, headline, seconds, told};
use crate::args::LogFormat;
use crate::output;

/// How often the lines on a terminal are drawn.
const REDRAW: Duration = Duration::from_millis(500);
/// How often a plain line is written.
const LINE: Duration = Duration::from_secs(5);
/// The most tables that have a line of their own on a terminal.
const MOST_LINES: usize = 24;

/// Shows a stream on stderr.
pub(crate) struct Display {
    form: Form,
    delays: Delays,
}

enum Form {
    /// Lines that are redrawn.
    Terminal(MultiProgress),
    /// Lines of text.
    Plain,
    /// JSON events, made by the log.
    Events,
}

impl Display {
    /// A display that fits where stderr goes and how logs are written.
    pub(crate) fn new(log_format: LogFormat) -> Display {
        let form = match log_format {
            LogFormat::Json => Form::Events,
            LogFormat::Text if std::io::stderr().is_terminal() => Form::Terminal(MultiProgress::new()),
            LogFormat::Text => Form::Plain,
        };
        Display { form, delays: Delays::default() }
    }

    /// Tells of one event. A batch is always one event of the log, whose filter decides whether it is written.
    pub(crate) fn tell(&self, event: &StreamEvent) {
        match event {
            StreamEvent::Started { run_id, tables, .. } => self.note(&format!("{run_id} keeps {tables} tables going")),
            StreamEvent::Committed { table, progress, seconds, delay_seconds } => {
                if let Some(delay) = delay_seconds {
                    self.delays.note(table, *delay);
                }
                log_commit(table, progress, *seconds, *delay_seconds);
            }
            StreamEvent::Failed { table, kind, message, failures, will_retry_in } => match &self.form {
                Form::Events => log_failure(table, *kind, message, *failures, *will_retry_in),
                _ => self.note(&failure(table, message, *failures, *will_retry_in)),
            },
            StreamEvent::Recovered { table } => self.note(&format!("{table} goes well again")),
            _ => {}
        }
    }

    /// Says something beside the events.
    pub(crate) fn note(&self, text: &str) {
        match &self.form {
            // What is on the screen is moved down, not written over.
            Form::Terminal(lines) => lines.suspend(|| output::note(text)),
            Form::Plain => output::note(text),
            Form::Events => tracing::info!("{text}"),
        }
    }

    /// Warns of something that does not stop the stream.
    pub(crate) fn warn(&self, text: &str) {
        match &self.form {
            Form::Events => tracing::warn!("{text}"),
            _ => self.note(&format!("warning: {text}")),
        }
    }

    /// Shows how the tables stand for as long as it is polled.
    pub(crate) async fn follow(&self, status: &StreamStatus) {
        let mut pace = Pace::new();
        let lines = match &self.form {
            Form::Terminal(all) => Some(Lines::new(all, status.tables().len())),
            _ => None,
        };
        let mut ticks = interval(if lines.is_some() { REDRAW } else { LINE });
        ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
        ticks.tick().await;
        loop {
            ticks.tick().await;
            let tables = status.tables();
            pace.look(&tables);
            let delay = self.delays.end_to_end();
            match (&lines, &self.form) {
                (Some(lines), _) => lines.draw(&tables, &pace, delay),
                (None, Form::Events) => log_status(&tables, &pace, delay),
                (None, _) => output::note(&plain(&tables, &pace, delay)),
            }
        }
    }

    /// Takes away what was drawn.
    pub(crate) fn finish(&self) {
        if let Form::Terminal(lines) = &self.form {
            // A terminal that is gone needs no clearing.
            let _ = lines.clear();
        }
    }
}

/// The lines on a terminal: the stream as a whole, and its tables.
struct Lines {
    head: ProgressBar,
    tables: Vec<ProgressBar>,
}

impl Lines {
    fn new(all: &MultiProgress, tables: usize) -> Lines {
        let line = |template: &str| {
            let bar = all.add(ProgressBar::new_spinner());
            if let Ok(style) = ProgressStyle::with_template(template) {
                bar.set_style(style);
            }
            bar
        };
        let head = line("{spinner} {wide_msg}");
        Lines { head, tables: (0..tables.min(MOST_LINES)).map(|_| line("  {wide_msg}")).collect() }
    }

    fn draw(&self, tables: &[TableStatus], pace: &Pace, delay: Option<Percentiles>) {
        let now = Utc::now();
        self.head.set_message(headline(tables, pace, delay));
        self.head.tick();
        for (line, table) in self.tables.iter().zip(tables) {
            line.set_message(told(table, now));
        }
    }
}

/// The whole stream in one line: the headline, and the version of each table that has one.
fn plain(tables: &[TableStatus], pace: &Pace, delay: Option<Percentiles>) -> String {
    let version =
        |table: &TableStatus| table.last_commit.map(|commit| format!("{} at {}", table.table, commit.version));
    let versions: Vec<String> = tables.iter().filter_map(version).collect();
    match versions.is_empty() {
        true => headline(tables, pace, delay),
        false => format!("{}; {}", headline(tables, pace, delay), versions.join(", ")),
    }
}

/// The same as a log event.
fn log_status(tables: &[TableStatus], pace: &Pace, delay: Option<Percentiles>) {
    tracing::info!(
        batches = tables.iter().map(|table| table.batches).sum::<u64>(),
        lag = tables.iter().filter_map(TableStatus::total_lag).sum::<u64>(),
        delay_p50_seconds = delay.map(|delay| delay.p50),
        delay_p99_seconds = delay.map(|delay| delay.p99),
        summary = headline(tables, pace, delay),
        "stream goes on"
    );
}

fn failure(table: &TableName, message: &str, failures: u32, will_retry_in: Option<Duration>) -> String {
    match will_retry_in {
        Some(delay) => format!("{table} failed: {message}; trying again in {}", seconds(delay.as_secs_f64())),
        None if failures > 1 => format!("{table} stopped after {failures} failures: {message}"),
        None => format!("{table} stopped: {message}"),
    }
}

fn log_commit(table: &TableName, progress: &Progress, seconds: f64, delay_seconds: Option<f64>) {
    tracing::info!(
        %table,
        version = progress.version,
        rows_read = progress.rows_read,
        rows_written = progress.rows_written,
        rows_quarantined = progress.rows_quarantined,
        rows_dropped = progress.rows_dropped,
        bytes_read = progress.bytes_read,
        seconds,
        delay_seconds,
        "batch committed"
    );
}

fn log_failure(table: &TableName, kind: Kind, error: &str, failures: u32, will_retry_in: Option<Duration>) {
    match will_retry_in.map(|delay| delay.as_secs_f64()) {
        Some(retry_seconds) => tracing::warn!(%table, %kind, error, failures, retry_seconds, "table failed"),
        None => tracing::error!(%table, %kind, error, failures, "table stopped for good"),
    }
}
