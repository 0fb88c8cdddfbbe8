//! A run as it goes on: its tasks and their order on a terminal, redrawn in place.
//!
//! [`Board`] is what is known of the run, from events alone; it draws itself into lines for a terminal of any size. Only
//! [`Live`] touches the terminal.

mod board;
mod lines;
mod task;
#[cfg(test)]
mod tests;

use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use console::Term;
use indicatif::{ProgressBar, ProgressState, ProgressStyle};
use workflow::{Event, Workflow};

use self::board::Board;

/// How often the tasks are drawn.
const TICK: Duration = Duration::from_millis(120);
/// A terminal that does not say how large it is.
const SIZE: (u16, u16) = (24, 80);

/// How many cells a line of stderr has.
pub(crate) fn columns() -> usize {
    size().1.into()
}

/// The tasks of a run on stderr.
pub(crate) struct Live {
    bar: ProgressBar,
    board: Arc<Mutex<Board>>,
}

impl Live {
    /// Shows nothing until the run begins.
    pub(crate) fn new(workflow: &Workflow) -> Live {
        let board = Arc::new(Mutex::new(Board::new(workflow)));
        let bar = ProgressBar::new_spinner();
        let drawn = Arc::clone(&board);
        let has_colours = std::env::var_os("NO_COLOR").is_none_or(|text| text.is_empty());
        let draw = move |_: &ProgressState, text: &mut dyn std::fmt::Write| {
            let (height, width) = size();
            let board = drawn.lock().unwrap_or_else(PoisonError::into_inner);
            let lines = board.lines(width.into(), height.into(), has_colours, Instant::now());
            let _ = text.write_str(&lines.join("\n"));
        };
        if let Ok(style) = ProgressStyle::with_template("{tasks}") {
            bar.set_style(style.with_key("tasks", draw));
        }
        Live { bar, board }
    }

    /// Takes in one event.
    pub(crate) fn follow(&self, event: &Event) {
        self.board.lock().unwrap_or_else(PoisonError::into_inner).follow(event, Instant::now());
        match event {
            Event::RunStarted { .. } => self.bar.enable_steady_tick(TICK),
            Event::RunEnded { .. } => self.bar.finish_and_clear(),
            _ => {}
        }
    }

    /// Does something while nothing is on the screen.
    pub(crate) fn suspended(&self, what: impl FnOnce()) {
        self.bar.suspend(what);
    }
}

/// Lines and columns of stderr.
fn size() -> (u16, u16) {
    Term::stderr().size_checked().unwrap_or(SIZE)
}
