//! What is known of a run: its tasks, and below them those of workflows that they run.

use std::collections::HashMap;
use std::time::Instant;

use workflow::drawing::Picture;
use workflow::{Event, Workflow, pictures};

use super::task::LiveTask;

/// A run as it goes on.
pub(super) struct Board {
    /// `run 7 of shop`, once it has its number.
    pub(super) title: String,
    pub(super) started: Option<Instant>,
    pub(super) picture: Picture,
    pub(super) tasks: Vec<LiveTask>,
    /// Tasks of workflows that a task runs, by its index, in the order they began.
    pub(super) inner: Vec<Vec<(String, LiveTask)>>,
    indices: HashMap<String, usize>,
}

/// Whom an event is about.
enum About {
    Task(usize),
    ItemOf(usize),
    /// A task of a workflow that a task runs, by its name there.
    Inner(usize, String),
    ItemOfInner(usize, String),
}

impl Board {
    /// The tasks of a workflow, none of which has begun.
    pub(super) fn new(workflow: &Workflow) -> Board {
        let picture = pictures::of_workflow(workflow);
        let keys = picture.nodes.iter().enumerate().map(|(index, node)| (node.key.clone(), index));
        Board {
            title: String::new(),
            started: None,
            tasks: picture.nodes.iter().map(|_| LiveTask::default()).collect(),
            inner: picture.nodes.iter().map(|_| Vec::new()).collect(),
            indices: keys.collect(),
            picture,
        }
    }

    /// Takes in one event.
    pub(super) fn follow(&mut self, event: &Event, now: Instant) {
        if let Event::RunStarted { number, workflow, .. } = event {
            self.title = format!("run {number} of {workflow}");
            self.started = Some(now);
        }
        match task_key(event).and_then(|key| self.about(key)) {
            None => {}
            Some(About::Task(index)) => {
                self.tasks[index].follow(event, now);
                if matches!(event, Event::AttemptFailed { .. }) {
                    self.inner[index].clear();
                }
            }
            Some(About::ItemOf(index)) => self.tasks[index].follow_item(event),
            Some(About::Inner(index, name)) => self.inner(index, name).follow(event, now),
            Some(About::ItemOfInner(index, name)) => self.inner(index, name).follow_item(event),
        }
    }

    /// Whether a task waits for another.
    pub(super) fn is_blocked(&self, index: usize) -> bool {
        let before = self.picture.edges.iter().filter(|edge| edge.to == self.picture.nodes[index].key);
        before.filter_map(|edge| self.indices.get(&edge.from)).any(|before| !self.tasks[*before].has_ended())
    }

    /// A key is `task`, `task[item]`, `task/inner`, `task[item]/inner`, and so on.
    fn about(&self, key: &str) -> Option<About> {
        if let Some(index) = self.indices.get(key) {
            return Some(About::Task(*index));
        }
        let (at, _) = key.match_indices(['/', '[']).find(|(at, _)| self.indices.contains_key(&key[..*at]))?;
        let (index, rest) = (self.indices[&key[..at]], &key[at..]);
        let (name, is_item) = match rest.strip_suffix(']').and_then(|rest| rest.rfind('[')) {
            Some(item) => (&rest[..item], true),
            None => (rest, false),
        };
        let name = name.strip_prefix('/').unwrap_or(name).to_owned();
        Some(match (name.is_empty(), is_item) {
            (true, _) => About::ItemOf(index),
            (false, true) => About::ItemOfInner(index, name),
            (false, false) => About::Inner(index, name),
        })
    }

    fn inner(&mut self, index: usize, name: String) -> &mut LiveTask {
        let inner = &mut self.inner[index];
        let place = inner.iter().position(|(known, _)| *known == name).unwrap_or(inner.len());
        if place == inner.len() {
            inner.push((name, LiveTask::default()));
        }
        &mut inner[place].1
    }
}

fn task_key(event: &Event) -> Option<&str> {
    match event {
        Event::TaskLeft { task_key, .. }
        | Event::TaskStarted { task_key }
        | Event::StageStarted { task_key, .. }
        | Event::StageAdvanced { task_key, .. }
        | Event::StageFailed { task_key, .. }
        | Event::ItemsCounted { task_key, .. }
        | Event::ConditionDecided { task_key, .. }
        | Event::AttemptFailed { task_key, .. }
        | Event::TaskEnded { task_key, .. } => Some(task_key),
        _ => None,
    }
}
