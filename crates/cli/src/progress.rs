//! What a run shows while it goes on: its tasks on a terminal (a bar, for a single table), plain lines otherwise.
//!
//! A stage tells its meter how far it is; the bars read the meters whenever they are drawn, so a stage never waits for the
//! terminal.

use std::collections::{HashMap, HashSet};
use std::fmt::Write as _;
use std::io::IsTerminal as _;
use std::sync::{Mutex, PoisonError};
use std::time::Duration;

use indicatif::{MultiProgress, ProgressBar, ProgressState, ProgressStyle};
use stage::{Meter, Progress, TableName};
use workflow::{Event, ResultState, Workflow, drawing};

use crate::live::{self, Live};
use crate::output::{self, counted, thousands};

/// How often a bar is drawn.
const TICK: Duration = Duration::from_millis(120);
/// How many characters the inside of a bar has.
const WIDTH: usize = 24;

/// Shows events on stderr.
pub(crate) struct Display {
    screen: Screen,
    /// The tasks that have told what they did already.
    told: Mutex<HashSet<String>>,
}

enum Screen {
    Lines,
    Bars(Bars),
    Live(Live),
}

struct Bars {
    all: MultiProgress,
    /// The bars on the screen, by task and table.
    running: Mutex<HashMap<(String, TableName), ProgressBar>>,
}

impl Display {
    /// A display of a run of this workflow that fits where stderr goes.
    pub(crate) fn new(workflow: &Workflow) -> Display {
        let is_dumb = std::env::var_os("TERM").is_some_and(|term| term == "dumb");
        let is_single = matches!(workflow.tasks(), [task] if task.key() == workflow.name());
        let screen = match std::io::stderr().is_terminal() && !is_dumb {
            false => Screen::Lines,
            true if is_single => Screen::Bars(Bars::new(MultiProgress::new())),
            true => Screen::Live(Live::new(workflow)),
        };
        Display { screen, told: Mutex::default() }
    }

    /// Shows one event.
    pub(crate) fn show(&self, event: &Event) {
        match &self.screen {
            Screen::Lines => {}
            Screen::Bars(bars) => bars.follow(event),
            Screen::Live(live) => live.follow(event),
        }
        if let Some(line) = self.line(event) {
            match &self.screen {
                Screen::Lines => output::note(&line),
                // What is on the screen is moved down, not written over.
                Screen::Bars(bars) => bars.all.suspend(|| output::note(&line)),
                Screen::Live(live) => live.suspended(|| output::note(&line)),
            }
        }
    }

    /// What stays to be read of an event. Where tasks are seen at work, that is only what needs attention.
    fn line(&self, event: &Event) -> Option<String> {
        let is_seen = matches!(self.screen, Screen::Live(_));
        match event {
            Event::StageAdvanced { task_key, table, progress, seconds } => {
                self.tell(task_key);
                let needs_attention =
                    progress.rows_quarantined > 0 || progress.rows_dropped > 0 || !progress.warnings.is_empty();
                let is_line = !progress.idle && (needs_attention || !is_seen);
                is_line.then(|| format!("{table}: {} in {seconds:.2} s", told(progress)))
            }
            // All of it stands in the log; where tasks are seen, a line says that there is something to be read.
            Event::AttemptFailed { task_key, message, will_retry_in: Some(delay), .. } if is_seen => {
                let line = format!("task `{task_key}` failed, retry in {:.1} s: {message}", delay.as_secs_f64());
                Some(drawing::fitted(&line, live::columns()))
            }
            Event::AttemptFailed { task_key, message, kind, will_retry_in, is_in_vain, .. } => {
                let next = match will_retry_in {
                    Some(delay) => format!("; trying again in {:.1} s", delay.as_secs_f64()),
                    None if *is_in_vain => format!("; {}", workflow::in_vain(*kind)),
                    None => String::new(),
                };
                Some(format!("task `{task_key}` failed: {message}{next}"))
            }
            Event::ConditionDecided { task_key, outcome } => {
                self.tell(task_key);
                (!is_seen).then(|| format!("task `{task_key}`: {outcome}"))
            }
            Event::TaskEnded { task_key, state: ResultState::Success, seconds, .. } => {
                let is_new = !is_seen && self.tell(task_key);
                is_new.then(|| format!("task `{task_key}`: {} in {seconds:.2} s", ResultState::Success))
            }
            _ => None,
        }
    }

    /// Notes that a task has told what it did; whether it is for the first time.
    fn tell(&self, task_key: &str) -> bool {
        self.told.lock().unwrap_or_else(PoisonError::into_inner).insert(task_key.to_owned())
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
pub(crate) fn measured(meter: &Meter, elapsed: Duration) -> String {
    let mut text = meter.share().map(|share| filled(share, WIDTH) + " ").unwrap_or_default();
    let rows = meter.rows();
    text.push_str(&counted(rows, "row"));
    if elapsed >= Duration::from_secs(1) {
        let _ = write!(text, ", {} rows/s", thousands((rows as f64 / elapsed.as_secs_f64()) as u64));
    }
    text
}

/// A bar of so many characters inside, and how much of it is filled.
pub(crate) fn filled(share: f64, width: usize) -> String {
    let filled = (share * width as f64) as usize;
    format!("[{:-<width$}] {:>3.0}%", "#".repeat(filled), (share * 100.0).floor())
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
