//! A picture for a terminal: one line for each task, never longer than the terminal is wide.

use std::collections::BTreeMap;

use super::cells::{clean, cut, width as cells};
use super::graph::Graph;
use super::look::Look;
use super::rails::{Row, rails};
use super::{Node, Picture};

/// Rails side by side when the width is not limited.
const MOST_RAILS: usize = 24;
/// Notes that would have less room are left out.
const LEAST_NOTES: usize = 6;

/// The tasks with their dependencies as rails, below a title and above a count of the states.
///
/// `width` is in cells; longer lines are cut, with an ellipsis. `colour` adds ANSI sequences.
pub fn text(picture: &Picture, width: Option<usize>, colour: bool) -> String {
    let mut lines = Vec::new();
    if !picture.title.is_empty() {
        let mut title = Line::default();
        title.push(&clean(&picture.title), "1");
        lines.push(title.finish(width, colour));
    }
    lines.extend(rows(picture, width, colour));
    let mut count = Line::default();
    count.push(&counted(picture), "2");
    lines.push(count.finish(width, colour));
    lines.push(String::new());
    lines.join("\n")
}

/// One line for each task, in topological order: rails to what it waits for, its key, state, figures and what it does.
///
/// `width` is in cells; longer lines are cut, with an ellipsis. `colour` adds ANSI sequences. Lines have no line ends.
pub fn rows(picture: &Picture, width: Option<usize>, colour: bool) -> Vec<String> {
    rows_with(picture, width, colour, |_| Vec::new())
}

/// The same as [`rows`] with lines of one's own below the task of that index, beside the rails that go on.
pub fn rows_with(
    picture: &Picture,
    width: Option<usize>,
    colour: bool,
    below: impl Fn(usize) -> Vec<String>,
) -> Vec<String> {
    let graph = Graph::new(picture);
    let rails = rails(&graph, width.map_or(MOST_RAILS, |width| (width / 6).clamp(2, MOST_RAILS)));
    let columns = Columns::of(picture, &rails, width);
    let mut lines = Vec::new();
    for row in &rails {
        lines.push(line(picture, &graph, row, &columns).finish(width, colour));
        for text in below(row.node) {
            let mut line = Line::default();
            line.push(&row.below, "2");
            line.push(&clean(&text), "");
            lines.push(line.finish(width, colour));
        }
    }
    lines
}

/// How many cells each column takes.
struct Columns {
    /// Rails, glyph and key.
    lead: usize,
    state: usize,
    detail: Vec<usize>,
    /// Whether there is room for words at the end.
    has_notes: bool,
}

impl Columns {
    fn of(picture: &Picture, rails: &[Row], width: Option<usize>) -> Columns {
        let widest = |widths: &mut dyn Iterator<Item = usize>| widths.max().unwrap_or(0);
        let nodes = &picture.nodes;
        let state = widest(&mut nodes.iter().map(|node| cells(&state_of(node))));
        let figures = widest(&mut nodes.iter().map(|node| node.detail.len()));
        let figure = |at: usize| {
            widest(&mut nodes.iter().filter_map(|node| node.detail.get(at)).map(|text| cells(&clean(text))))
        };
        let mut detail: Vec<usize> = (0..figures).map(figure).collect();
        let lead = widest(&mut rails.iter().map(|row| cells(&lead(row)) + cells(&clean(&nodes[row.node].key))));
        let Some(width) = width else { return Columns { lead, state, detail, has_notes: true } };
        // Where not all fits, the words for the states go first, since the glyphs tell them too. Then keys are cut, down
        // to half of the line, and then figures go, the last ones first: a figure that is cut would be another figure.
        let total = |detail: &[usize]| detail.iter().map(|cells| 2 + cells).sum::<usize>();
        let state = if lead + 2 + state + total(&detail) > width { 0 } else { state };
        while lead.min(width.div_ceil(2)) + total(&detail) > width && detail.pop().is_some() {}
        let others = total(&detail) + if state > 0 { 2 + state } else { 0 };
        let lead = lead.min(width.saturating_sub(others));
        let has_notes = lead + others + 2 + LEAST_NOTES <= width;
        Columns { lead, state, detail, has_notes }
    }
}

/// Rails, one cell for the glyph, and a blank.
fn lead(row: &Row) -> String {
    format!("{}○{} ", row.before, row.after)
}

fn state_of(node: &Node) -> String {
    clean(node.state.as_deref().unwrap_or_default())
}

fn line(picture: &Picture, graph: &Graph<'_>, row: &Row, columns: &Columns) -> Line {
    let node = &picture.nodes[row.node];
    let look = Look::of(node.state.as_deref());
    let mut line = Line::default();
    line.push(&row.before, "2");
    line.push(look.glyph(), look.ansi());
    line.push(&format!("{} ", row.after), "2");
    let key = cut(&clean(&node.key), columns.lead.saturating_sub(line.cells));
    line.push(&key, if look == Look::Running { "1" } else { "" });
    line.pad_to(columns.lead);
    if columns.state > 0 {
        line.push("  ", "");
        let end = line.cells + columns.state;
        line.push(&state_of(node), look.ansi());
        line.pad_to(end);
    }
    for (at, cells_here) in columns.detail.iter().enumerate() {
        let figure = clean(node.detail.get(at).map_or("", String::as_str));
        let end = line.cells + 2 + cells_here;
        line.pad_to(end.saturating_sub(cells(&figure)));
        line.push(&figure, "");
    }
    let notes = notes(picture, graph, row);
    if columns.has_notes && !notes.is_empty() {
        line.push("  ", "");
        line.push(&notes, "2");
    }
    line
}

/// What the rails cannot tell, then what the task does.
fn notes(picture: &Picture, graph: &Graph<'_>, row: &Row) -> String {
    let key = |node: usize| clean(&picture.nodes[node].key);
    let mut notes = Vec::new();
    if !row.untold.is_empty() {
        let keys: Vec<String> = row.untold.iter().map(|link| key(graph.links[*link].from)).collect();
        notes.push(format!("after {}", keys.join(", ")));
    }
    for link in graph.incoming[row.node].iter().map(|link| graph.links[*link]) {
        if let Some(label) = link.label {
            notes.push(format!("if {} is {}", key(link.from), clean(label)));
        }
    }
    notes.extend(picture.nodes[row.node].label.iter().map(|label| clean(label)));
    notes.join(" · ")
}

/// Such as `3 tasks: 2 SUCCESS, 1 RUNNING`, in the order in which the states first come.
fn counted(picture: &Picture) -> String {
    let tasks = picture.nodes.len();
    let mut first_seen = Vec::new();
    let mut counts = BTreeMap::new();
    for state in picture.nodes.iter().map(state_of).filter(|state| !state.is_empty()) {
        let count = counts.entry(state.clone()).or_insert(0_usize);
        *count += 1;
        if *count == 1 {
            first_seen.push(state);
        }
    }
    let counts: Vec<String> = first_seen.iter().map(|state| format!("{} {state}", counts[state])).collect();
    let colon = if counts.is_empty() { "" } else { ": " };
    format!("{tasks} {}{colon}{}", if tasks == 1 { "task" } else { "tasks" }, counts.join(", "))
}

/// Pieces of one line, each with its ANSI parameters, and their cells so far.
#[derive(Default)]
struct Line {
    pieces: Vec<(String, &'static str)>,
    cells: usize,
}

impl Line {
    fn push(&mut self, text: &str, ansi: &'static str) {
        self.cells += cells(text);
        self.pieces.push((text.to_owned(), ansi));
    }

    fn pad_to(&mut self, end: usize) {
        let blanks = " ".repeat(end.saturating_sub(self.cells));
        self.push(&blanks, "");
    }

    /// The line without blanks at its end, cut to the width.
    fn finish(mut self, width: Option<usize>, colour: bool) -> String {
        while self.pieces.pop_if(|(text, _)| text.trim_end().is_empty()).is_some() {}
        if let Some((text, _)) = self.pieces.last_mut() {
            text.truncate(text.trim_end().len());
        }
        let total: usize = self.pieces.iter().map(|(text, _)| cells(text)).sum();
        let mut left = width.unwrap_or(usize::MAX);
        let mut line = String::new();
        // The ellipsis stands where the line ends, even where a piece ends just before it.
        let is_cut = total > left;
        for (text, ansi) in &self.pieces {
            let here = cells(text);
            let last = is_cut && here >= left;
            let shown = if last { cut(&format!("{text}…"), left) } else { text.clone() };
            left -= cells(&shown).min(left);
            match (colour && !ansi.is_empty() && !shown.trim().is_empty(), shown) {
                (true, shown) => line.push_str(&format!("\u{1b}[{ansi}m{shown}\u{1b}[0m")),
                (false, shown) => line.push_str(&shown),
            }
            if last {
                break;
            }
        }
        line
    }
}
