//! What a run shows while it goes: a line for each running task on a terminal, plain lines otherwise.

use std::collections::HashMap;
use std::io::IsTerminal as _;
use std::sync::{Mutex, PoisonError};
use std::time::Duration;

use indicatif::{MultiProgress, ProgressBar, ProgressStyle};
use stage::Progress;
use workflow::Event;

use crate::output::{self, thousands};

/// How often a running task's line is drawn.
const TICK: Duration = Duration::from_millis(120);

/// Shows events on stderr.
pub(crate) struct Display {
    bars: Option<Bars>,
}

struct Bars {
    all: MultiProgress,
    running: Mutex<HashMap<String, (ProgressBar, Progress)>>,
}

impl Display {
    /// A display that fits where stderr goes.
    pub(crate) fn new() -> Display {
        let is_terminal = std::io::stderr().is_terminal();
        Display { bars: is_terminal.then(|| Bars { all: MultiProgress::new(), running: Mutex::default() }) }
    }

    /// Shows one event.
    pub(crate) fn show(&self, event: &Event) {
        match (&self.bars, event) {
            (Some(bars), Event::TaskStarted { task_key }) => bars.begin(task_key),
            (Some(bars), Event::TaskEnded { task_key, .. }) => bars.end(task_key),
            (_, Event::StageAdvanced { task_key, table, progress, seconds }) if !progress.idle => {
                if let Some(bars) = &self.bars {
                    bars.advance(task_key, progress);
                }
                self.line(&format!("{table}: {} in {seconds:.2} s", told(progress)));
            }
            (_, Event::AttemptFailed { task_key, message, will_retry_in, .. }) => {
                let next = will_retry_in.map(|delay| format!("; trying again in {:.1} s", delay.as_secs_f64()));
                self.line(&format!("task `{task_key}` failed: {message}{}", next.unwrap_or_default()));
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
    fn begin(&self, task_key: &str) {
        let bar = self.all.add(ProgressBar::new_spinner());
        if let Ok(style) = ProgressStyle::with_template("{spinner} {prefix} {msg} {elapsed}") {
            bar.set_style(style);
        }
        bar.set_prefix(task_key.to_owned());
        bar.enable_steady_tick(TICK);
        self.running().insert(task_key.to_owned(), (bar, Progress::default()));
    }

    fn advance(&self, task_key: &str, progress: &Progress) {
        if let Some((bar, total)) = self.running().get_mut(task_key) {
            total.add(progress);
            bar.set_message(format!("{} rows", thousands(total.rows_written)));
        }
    }

    fn end(&self, task_key: &str) {
        if let Some((bar, _)) = self.running().remove(task_key) {
            bar.finish_and_clear();
        }
    }

    fn running(&self) -> std::sync::MutexGuard<'_, HashMap<String, (ProgressBar, Progress)>> {
        self.running.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

fn told(progress: &Progress) -> String {
    let mut text = match progress.version {
        Some(_) => format!("{} rows", thousands(progress.rows_written)),
        None => format!("{} rows checked", thousands(progress.rows_read)),
    };
    if progress.files_read > 0 {
        text.push_str(&format!(" from {} files", thousands(progress.files_read)));
    }
    for (count, what) in [(progress.rows_quarantined, "in quarantine"), (progress.rows_dropped, "left out")] {
        if count > 0 {
            text.push_str(&format!(", {} {what}", thousands(count)));
        }
    }
    for (rule, rows) in &progress.warnings {
        text.push_str(&format!(", {} violate `{rule}`", thousands(*rows)));
    }
    text
}
