//! What a run shows while it goes on: a bar for each table at work on a terminal, plain lines otherwise.
//!
//! A stage tells its meter how far it is; the bars read the meters whenever they are drawn, so a stage never waits for the
//! terminal.

use std::collections::HashMap;
use std::fmt::Write as _;
use std::io::IsTerminal as _;
use std::sync::{Mutex, PoisonError};
use std::time::Duration;

use indicatif::{MultiProgress, ProgressBar, ProgressState, ProgressStyle};
use stage::{Meter, Progress, TableName};
use workflow::Event;

use crate::output::{self, counted, thousands};

/// How often a bar is drawn.
const TICK: Duration = Duration::from_millis(120);
/// How many characters the inside of a bar has.
const WIDTH: usize = 24;

/// Shows events on stderr.
pub(crate) struct Display {
    bars: Option<Bars>,
}

struct Bars {
    all: MultiProgress,
    /// The bars on the screen, by task and table.
    running: Mutex<HashMap<(String, TableName), ProgressBar>>,
}

impl Display {
    /// A display that fits where stderr goes.
    pub(crate) fn new() -> Display {
        let is_terminal = std::io::stderr().is_terminal();
        Display { bars: is_terminal.then(|| Bars::new(MultiProgress::new())) }
    }

    /// Shows one event.
    pub(crate) fn show(&self, event: &Event) {
        if let Some(bars) = &self.bars {
            bars.follow(event);
        }
        match event {
            Event::StageAdvanced { table, progress, seconds, .. } if !progress.idle => {
                self.line(&format!("{table}: {} in {seconds:.2} s", told(progress)));
            }
            Event::AttemptFailed { task_key, message, kind, will_retry_in, is_in_vain, .. } => {
                let next = match will_retry_in {
                    Some(delay) => format!("; trying again in {:.1} s", delay.as_secs_f64()),
                    None if *is_in_vain => format!("; {}", workflow::in_vain(*kind)),
                    None => String::new(),
                };
                self.line(&format!("task `{task_key}` failed: {message}{next}"));
            }
            _ => {}
        }
    }

    fn line(&self, text: &str) {
        match &self.bars {
            // Bars that are on the screen are moved down, not written over.
            Some(bars) => bars.all.suspend(|| output::note(text)),
            None => output::note(text),
        }
    }
}

impl Bars {
    fn new(all: MultiProgress) -> Bars {
        Bars { all, running: Mutex::default() }
    }

    /// Begins a bar where a stage starts and ends it where the stage does, or its attempt.
    fn follow(&self, event: &Event) {
        match event {
            Event::StageStarted { task_key, table, meter } => self.begin(task_key, table, meter.clone()),
            Event::StageAdvanced { task_key, table, progress, .. } if progress.idle => {
                self.end(|task, done| task == task_key && done == table);
            }
            Event::StageFailed { task_key, table, .. } => self.end(|task, failed| task == task_key && failed == table),
            Event::AttemptFailed { task_key, .. } | Event::TaskEnded { task_key, .. } => {
                self.end(|task, _| task == task_key);
            }
            _ => {}
        }
    }

    fn begin(&self, task_key: &str, table: &TableName, meter: Meter) {
        let bar = self.all.add(ProgressBar::new_spinner());
        let draw = move |state: &ProgressState, line: &mut dyn std::fmt::Write| {
            let _ = line.write_str(&measured(&meter, state.elapsed()));
        };
        if let Ok(style) = ProgressStyle::with_template("{spinner} {prefix} {measured} {elapsed}") {
            bar.set_style(style.with_key("measured", draw));
        }
        let name = table.to_string();
        bar.set_prefix(if task_key == name { name } else { format!("{task_key}: {name}") });
        bar.enable_steady_tick(TICK);
        self.running().insert((task_key.to_owned(), table.clone()), bar);
    }

    fn end(&self, is_over: impl Fn(&str, &TableName) -> bool) {
        self.running().retain(|(task_key, table), bar| {
            let over = is_over(task_key, table);
            if over {
                bar.finish_and_clear();
            }
            !over
        });
    }

    fn running(&self) -> std::sync::MutexGuard<'_, HashMap<(String, TableName), ProgressBar>> {
        self.running.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// How far a stage is: a bar with its percentage where it is known how much there is to do, and the rows so far.
fn measured(meter: &Meter, elapsed: Duration) -> String {
    let mut text = String::new();
    if let Some(share) = meter.share() {
        let filled = (share * WIDTH as f64) as usize;
        let _ = write!(text, "[{:-<WIDTH$}] {:>3.0}% ", "#".repeat(filled), (share * 100.0).floor());
    }
    let rows = meter.rows();
    text.push_str(&counted(rows, "row"));
    if elapsed >= Duration::from_secs(1) {
        let _ = write!(text, ", {} rows/s", thousands((rows as f64 / elapsed.as_secs_f64()) as u64));
    }
    text
}

fn told(progress: &Progress) -> String {
    let mut text = match progress.version {
        Some(_) => counted(progress.rows_written, "row"),
        None => format!("{} checked", counted(progress.rows_read, "row")),
    };
    if progress.files_read > 0 {
        let _ = write!(text, " from {}", counted(progress.files_read, "file"));
    }
    for (count, what) in [(progress.rows_quarantined, "in quarantine"), (progress.rows_dropped, "left out")] {
        if count > 0 {
            let _ = write!(text, ", {} {what}", thousands(count));
        }
    }
    for (rule, rows) in &progress.warnings {
        let _ = write!(text, ", {} violate `{rule}`", thousands(*rows));
    }
    text
}

#[cfg(test)]
mod tests {
    use indicatif::ProgressDrawTarget;

    use super::*;

    #[test]
    fn a_percentage_is_shown_once_it_is_known_how_much_there_is_to_do() {
        let meter = Meter::default();
        meter.add_rows(1500);
        assert_eq!(measured(&meter, Duration::from_millis(10)), "1,500 rows");
        assert_eq!(measured(&meter, Duration::from_secs(2)), "1,500 rows, 750 rows/s");
        meter.expect(4000);
        meter.did(1999);
        assert_eq!(measured(&meter, Duration::ZERO), "[###########-------------]  49% 1,500 rows");
        meter.did(2001);
        assert_eq!(measured(&meter, Duration::ZERO), "[########################] 100% 1,500 rows");
    }

    #[test]
    fn one_row_from_one_file_is_told_as_one() {
        let progress = Progress { rows_written: 1, files_read: 1, version: Some(0), ..Progress::default() };
        assert_eq!(told(&progress), "1 row from 1 file");
    }

    #[test]
    fn a_bar_stays_as_long_as_its_stage_is_at_work() {
        let bars = Bars::new(MultiProgress::with_draw_target(ProgressDrawTarget::hidden()));
        let start = |task: &str, table: &str| {
            let (task_key, table) = (task.to_owned(), table.parse().unwrap());
            bars.follow(&Event::StageStarted { task_key, table, meter: Meter::default() });
        };
        let advanced = |idle: bool| {
            let progress = Progress { idle, ..Progress::default() };
            let (task_key, table) = ("one".to_owned(), "shop.bronze.a".parse().unwrap());
            bars.follow(&Event::StageAdvanced { task_key, table, progress, seconds: 0.1 });
            bars.running().len()
        };
        start("one", "shop.bronze.a");
        start("one", "shop.bronze.b");
        start("two", "shop.bronze.c");
        assert_eq!((advanced(false), advanced(true)), (3, 2));
        let (state, progress) = (workflow::ResultState::Canceled, Progress::default());
        bars.follow(&Event::TaskEnded { task_key: "one".into(), state, progress, seconds: 1.0 });
        assert_eq!(bars.running().keys().map(|(task, _)| task.clone()).collect::<Vec<_>>(), ["two"]);
    }
}
