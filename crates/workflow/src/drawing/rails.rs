//! A graph as rows, one for each node, with a rail from every node down to the last one that waits for it.
//!
//! What a node waits for is what its own row touches: `├` and `┼` go on to others, `└` and `┴` end here, and a `│` in a
//! horizontal line is passed behind. A node stands to the right of all it touches, as in a tree, unless that would be
//! too far; then it takes the first free place. Rails that find no place are told in words by the caller.

use super::graph::Graph;

/// The rails of one node.
pub(super) struct Row {
    pub(super) node: usize,
    /// Left of the glyph.
    pub(super) before: String,
    /// Right of the glyph.
    pub(super) after: String,
    /// The rails that go on below the row, in columns as wide as those of the row.
    pub(super) below: String,
    /// The links to this node that have no rail.
    pub(super) untold: Vec<usize>,
}

/// A row for each node in topological order, with at most so many rails side by side.
pub(super) fn rails(graph: &Graph<'_>, most: usize) -> Vec<Row> {
    let mut board = Board { rails: Vec::new(), most };
    let mut left: Vec<usize> = graph.outgoing.iter().map(Vec::len).collect();
    graph.order.iter().map(|node| row(graph, &mut board, &mut left, *node)).collect()
}

/// What runs down in each column: the node where the rail started.
struct Board {
    rails: Vec<Option<usize>>,
    most: usize,
}

impl Board {
    /// The first free column from the given one on, else the first free one at all. Beyond the last there is always room
    /// for a glyph, never for a rail.
    fn place(&self, from: usize) -> usize {
        let is_free = |column: &usize| self.rails.get(*column).is_none_or(Option::is_none);
        (from..self.most).find(is_free).or_else(|| (0..from).find(is_free)).unwrap_or(self.most)
    }

    /// What runs on below a row with its glyph in that column, up to behind the glyph.
    fn below(&self, column: usize) -> String {
        let rail = |at: usize| if self.rails.get(at).is_some_and(Option::is_some) { "│ " } else { "  " };
        (0..self.rails.len().max(column + 1)).map(rail).collect()
    }

    fn start(&mut self, column: usize, node: usize) {
        if column < self.most {
            self.rails.resize(self.rails.len().max(column + 1), None);
            self.rails[column] = Some(node);
        }
    }
}

/// How a rail meets a row.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Meets {
    Passes,
    GoesOn,
    Ends,
}

fn row(graph: &Graph<'_>, board: &mut Board, left: &mut [usize], node: usize) -> Row {
    let mut meets: Vec<Option<Meets>> = board.rails.iter().map(|rail| rail.map(|_| Meets::Passes)).collect();
    let mut untold = Vec::new();
    for link in &graph.incoming[node] {
        let from = graph.links[*link].from;
        left[from] -= 1;
        match board.rails.iter().position(|rail| *rail == Some(from)) {
            Some(column) => meets[column] = Some(if left[from] == 0 { Meets::Ends } else { Meets::GoesOn }),
            None => untold.push(*link),
        }
    }
    let touched = |meets: &Option<Meets>| matches!(meets, Some(Meets::GoesOn | Meets::Ends));
    let first = meets.iter().position(touched);
    let last = meets.iter().rposition(touched);
    let column = board.place(last.map_or(0, |last| last + 1));
    let span = (first.unwrap_or(column).min(column), last.unwrap_or(column).max(column));
    let (before, after) = drawn(&meets, column, span);
    for (rail, meets) in board.rails.iter_mut().zip(&meets) {
        if *meets == Some(Meets::Ends) {
            *rail = None;
        }
    }
    if left[node] > 0 {
        board.start(column, node);
    }
    while board.rails.last().is_some_and(Option::is_none) {
        board.rails.pop();
    }
    Row { node, before, after, below: board.below(column), untold }
}

/// The row left and right of the column of the glyph; `span` is what its horizontal line covers.
fn drawn(meets: &[Option<Meets>], column: usize, span: (usize, usize)) -> (String, String) {
    let (first, last) = span;
    let mut sides = (String::new(), String::new());
    for at in 0..meets.len().max(column + 1) {
        let side = if at < column { &mut sides.0 } else { &mut sides.1 };
        if at != column {
            side.push(match meets.get(at).copied().flatten() {
                Some(Meets::Passes) => '│',
                Some(Meets::GoesOn) if at == first => '├',
                Some(Meets::GoesOn) if at == last => '┤',
                Some(Meets::GoesOn) => '┼',
                Some(Meets::Ends) if at == first => '└',
                Some(Meets::Ends) if at == last => '┘',
                Some(Meets::Ends) => '┴',
                None if first < at && at < last => '─',
                None => ' ',
            });
        }
        side.push(if first <= at && at < last { '─' } else { ' ' });
    }
    sides.1.truncate(sides.1.trim_end().len());
    sides
}
