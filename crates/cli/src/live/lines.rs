//! A run in lines for a terminal of some size.
//!
//! When all tasks fit they are drawn with their order, and below them what they are made of. When they do not, those are
//! listed that are at work, then those that failed. The last line always counts.

use std::time::Instant;

use stage::Meter;
use workflow::ResultState;
use workflow::drawing::{self, Node, Picture};
use workflow::pictures::duration;

use super::board::Board;
use super::task::{LiveTask, Phase};
use crate::output::counted;
use crate::progress::filled;

/// Lines that stay free, so that the terminal does not scroll.
const FREE: usize = 2;
/// The most lines below one task.
const MOST_BELOW: usize = 6;
/// How many characters the inside of a bar has.
const BAR: usize = 12;

impl Board {
    /// The run in lines of at most `width` cells, and fewer than `height` of them.
    pub(super) fn lines(&self, width: usize, height: usize, has_colours: bool, now: Instant) -> Vec<String> {
        // A line as wide as the terminal would begin another one.
        let cells = width.saturating_sub(1);
        let width = Some(cells);
        let most = height.saturating_sub(FREE).max(1);
        let room = most - 1;
        let mut lines = Vec::new();
        if self.tasks.len() <= room {
            let picture = self.picture_of((0..self.tasks.len()).collect(), now);
            lines = drawing::rows_with(&picture, width, has_colours, |index| self.below(index, now));
            if lines.len() > room {
                lines = drawing::rows(&picture, width, has_colours);
            }
        } else if room > 0 {
            let picture = Picture { edges: Vec::new(), ..self.picture_of(self.most_telling(room), now) };
            lines = drawing::rows(&picture, width, has_colours);
        }
        lines.push(drawing::fitted(&self.counted(now), cells));
        lines
    }

    /// The tasks at work, then those that failed, the last ones first; at most so many.
    fn most_telling(&self, room: usize) -> Vec<usize> {
        let all = 0..self.tasks.len();
        let at_work = all.clone().filter(|index| self.tasks[*index].is_at_work());
        let failed = all.rev().filter(|index| self.tasks[*index].has_failed());
        at_work.chain(failed).take(room).collect()
    }

    fn picture_of(&self, tasks: Vec<usize>, now: Instant) -> Picture {
        let node = |index: usize| {
            let (task, planned) = (&self.tasks[index], &self.picture.nodes[index]);
            Node {
                key: planned.key.clone(),
                label: note(task).map_or_else(|| planned.label.clone(), |note| vec![note]),
                state: Some(task.state(self.is_blocked(index), now).to_owned()),
                detail: figures(task, now),
            }
        };
        let nodes = tasks.into_iter().map(node).collect();
        Picture { title: String::new(), nodes, edges: self.picture.edges.clone() }
    }

    /// What a task at work is made of: tasks of the workflow that it runs, or its tables when there are several.
    fn below(&self, index: usize, now: Instant) -> Vec<String> {
        let task = &self.tasks[index];
        if !task.is_at_work() {
            return Vec::new();
        }
        let inner: Vec<&(String, LiveTask)> =
            self.inner[index].iter().filter(|(_, inner)| inner.is_at_work() || inner.has_failed()).collect();
        let mut lines: Vec<String> = inner.iter().map(|(name, inner)| told(name, inner, now)).collect();
        if task.tables.len() > 1 {
            lines.extend(task.tables.iter().map(|((_, table), meter)| {
                let share = meter.share().map(|share| format!("  {}", filled(share, BAR))).unwrap_or_default();
                format!("{table}  {}{share}", counted(meter.rows(), "row"))
            }));
        }
        if lines.len() > MOST_BELOW {
            let more = lines.len() - MOST_BELOW + 1;
            lines.truncate(MOST_BELOW - 1);
            lines.push(format!("and {more} more"));
        }
        lines
    }

    /// Such as `run 7 of shop, 12.30 s: 3/9 tasks done, 2 running, 1 failed`.
    fn counted(&self, now: Instant) -> String {
        let count = |is: &dyn Fn(&LiveTask) -> bool| self.tasks.iter().filter(|task| is(task)).count();
        let done = count(&LiveTask::has_ended);
        let so_far = self.started.map(|started| duration((now - started).as_secs_f64())).unwrap_or_default();
        let mut text = format!("{}, {so_far}: {done}/{} done", self.title, counted(self.tasks.len() as u64, "task"));
        let is_skipped = |task: &LiveTask| {
            use ResultState::{Canceled, UpstreamCanceled, UpstreamFailed};
            matches!(task.phase, Phase::Ended(UpstreamFailed | UpstreamCanceled | Canceled))
        };
        let counts = [
            (count(&|task| task.is_at_work() && task.wait(now).is_none()), "running"),
            (count(&|task| task.wait(now).is_some()), "to be tried again"),
            (count(&LiveTask::has_failed), "failed"),
            (count(&is_skipped), "did not run"),
        ];
        for (count, what) in counts.into_iter().filter(|(count, _)| *count > 0) {
            text.push_str(&format!(", {count} {what}"));
        }
        text
    }
}

/// Time, rows, and how far it is in tries and items.
fn figures(task: &LiveTask, now: Instant) -> Vec<String> {
    let time = task.time(now).map(duration).unwrap_or_default();
    let has_rows = task.rows() > 0 || !task.tables.is_empty();
    let rows = if has_rows { counted(task.rows(), "row") } else { String::new() };
    let mut steps = Vec::new();
    match (task.wait(now), task.attempt) {
        (Some(wait), attempt) => steps.push(format!("retry {attempt} in {:.1} s", wait.as_secs_f64())),
        (None, 0) => {}
        (None, attempt) => steps.push(format!("retry {attempt}")),
    }
    if let Some(all) = task.items.all {
        let failed = task.items.failed;
        let failures = if failed > 0 { format!(", {failed} failed") } else { String::new() };
        steps.push(format!("{}/{all} items{failures}", task.items.succeeded + failed));
    }
    steps.extend(task.outcome.map(|outcome| outcome.to_string()));
    vec![time, rows, steps.join(" ")]
}

/// How much of its batch a table has done, for a task with one table at work.
fn note(task: &LiveTask) -> Option<String> {
    match task.tables.values().collect::<Vec<&Meter>>()[..] {
        [meter] => meter.share().map(|share| filled(share, BAR)),
        _ => None,
    }
}

/// A task of another workflow on one line.
fn told(name: &str, task: &LiveTask, now: Instant) -> String {
    let mut parts = vec![format!("{} {name}", drawing::glyph(Some(task.state(false, now))))];
    parts.extend(figures(task, now).into_iter().filter(|figure| !figure.is_empty()));
    parts.extend(note(task));
    parts.join("  ")
}
