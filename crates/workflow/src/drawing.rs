//! Tasks and their order as people see them: in a terminal, as Mermaid and as SVG.
//!
//! A [`Picture`] is plain data and knows nothing of workflows, so that a plan, a run in progress and a finished run are
//! drawn by the same code. The same picture always gives the same text, byte for byte.
//!
//! | Function | Is for |
//! |---|---|
//! | [`rows`] | a terminal that is redrawn while the run goes: one line for each task, its dependencies as rails on the left |
//! | [`text`] | the same with a title and a count below |
//! | [`mermaid`] | documentation: a `flowchart LR` |
//! | [`svg`] | a browser: layers from left to right (or downwards, when there are many), [`STYLE`] inside |
//!
//! Names may hold anything. What a terminal, Mermaid or a browser would take for an instruction is escaped or replaced.

mod cells;
mod crossings;
mod graph;
mod layers;
mod layout;
mod look;
mod mermaid;
mod places;
mod rails;
mod svg;
#[cfg(test)]
mod tests;
mod text;

pub use mermaid::mermaid;
pub use svg::{STYLE, svg};
pub use text::{rows, rows_with, text};

/// One cell that tells a state apart without colours; none is a plan.
pub fn glyph(state: Option<&str>) -> &'static str {
    look::Look::of(state).glyph()
}

/// A text on one line of at most so many cells, without anything that would steer a terminal.
pub fn fitted(text: &str, width: usize) -> String {
    cells::cut(&cells::clean(text), width)
}

/// What is drawn.
///
/// The edges are taken to have no cycle, which [`crate::Dag`] proves. An edge that names no node, or that would close a
/// cycle, is left out.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Picture {
    /// Stands above everything; nothing stands there when it is empty.
    pub title: String,
    /// The tasks, in the order in which they are declared; tasks that could change places stand in this order.
    pub nodes: Vec<Node>,
    /// What waits for what.
    pub edges: Vec<Edge>,
}

/// A task.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Node {
    /// Its name, by which edges call it. Of two nodes with one name, edges mean the first.
    pub key: String,
    /// What it does, in lines of one to a few words.
    pub label: Vec<String>,
    /// Where it stands: a result state or a life cycle state of Jobs JSON, such as `SUCCESS` or `RUNNING`. None in a plan.
    pub state: Option<String>,
    /// Figures such as rows, seconds and the attempt. In a terminal the figures of one position form a column.
    pub detail: Vec<String>,
}

/// A task waits for another one.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Edge {
    /// The task that comes first.
    pub from: String,
    /// The task that waits for it.
    pub to: String,
    /// The outcome it waits for, `true` or `false` of a condition.
    pub label: Option<String>,
}
