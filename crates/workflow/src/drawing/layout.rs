//! Where everything stands: a box for each node and a way for each link, in whole pixels.

use super::crossings::reduce_crossings;
use super::graph::Graph;
use super::layers::Layers;
use super::places::{Distances, places};

/// Which way links run.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Direction {
    /// Layers are columns.
    Right,
    /// Layers are rows.
    Down,
}

/// A rectangle with its corner at the top left.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(super) struct Rectangle {
    pub(super) x: i32,
    pub(super) y: i32,
    pub(super) width: i32,
    pub(super) height: i32,
}

/// A stretch of a way that runs straight: it enters a layer, passes it, and leaves it. Between two stretches the way
/// bends, and there are no boxes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Stretch {
    /// Along the direction, where it begins and ends.
    pub(super) along: (i32, i32),
    /// Across the direction.
    pub(super) across: i32,
}

/// The whole drawing, from (0, 0) to its width and height.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Layout {
    pub(super) direction: Direction,
    pub(super) width: i32,
    pub(super) height: i32,
    /// For each node.
    pub(super) boxes: Vec<Rectangle>,
    /// For each link: from where it leaves its first node (a stretch without length) to where it enters its last.
    pub(super) ways: Vec<Vec<Stretch>>,
}

/// Sizes in pixels.
pub(super) struct Sizes {
    /// For each node, the width that its text needs.
    pub(super) widths: Vec<i32>,
    /// The height of every box.
    pub(super) height: i32,
    /// Between layers at least, when links run right and when they run down.
    pub(super) gaps: (i32, i32),
}

const BETWEEN: f64 = 16.0;
const BETWEEN_PARTS: f64 = 26.0;
const BESIDE_LINK: f64 = 12.0;
/// Up to so many layers run right, however wide that is.
const LAYERS_TO_THE_RIGHT: usize = 6;

/// The layout of a graph; see the modules for each step.
pub(super) fn layout(graph: &Graph<'_>, sizes: &Sizes) -> Layout {
    let mut layers = Layers::new(graph);
    reduce_crossings(&mut layers);
    let direction = direction(&layers, sizes);
    let widest = sizes.widths.iter().copied().max().unwrap_or(0);
    let node = if direction == Direction::Right { sizes.height } else { widest };
    let distances =
        Distances { node: node.into(), between: BETWEEN, between_parts: BETWEEN_PARTS, beside_link: BESIDE_LINK };
    let across = rounded(&places(&layers, &distances));
    let along = along(&layers, sizes, direction, &across);
    let mut layout = Layout {
        direction,
        width: 0,
        height: 0,
        boxes: vec![Rectangle::default(); sizes.widths.len()],
        ways: layers.routes.iter().map(|route| way(&layers, route, &along, &across)).collect(),
    };
    for (cell, centre) in layers.cells.iter().zip(&across) {
        if let Some(number) = cell.node {
            layout.boxes[number] = placed(direction, along[cell.layer], (centre - node / 2, centre - node / 2 + node));
        }
    }
    layout.extend_to(&layers, &across);
    layout.add_alone(&layers.alone, widest, sizes.height);
    layout
}

fn rounded(centres: &[f64]) -> Vec<i32> {
    centres.iter().map(|centre| centre.round() as i32).collect()
}

/// To the right while that is not much wider than downwards: pages scroll down more easily.
fn direction(layers: &Layers, sizes: &Sizes) -> Direction {
    let count = layers.layers.len();
    let widest = sizes.widths.iter().copied().max().unwrap_or(0);
    let most =
        layers.layers.iter().map(|layer| layer.iter().filter(|cell| layers.cells[**cell].node.is_some()).count());
    let right = count as i32 * (widest + sizes.gaps.0);
    let down = most.max().unwrap_or(0) as i32 * (widest + BETWEEN as i32);
    if count > LAYERS_TO_THE_RIGHT && right > down * 3 / 2 { Direction::Down } else { Direction::Right }
}

/// Where each layer begins and ends along the direction. The gap before a layer grows with how far its links go
/// sideways, so that they do not run too steeply.
fn along(layers: &Layers, sizes: &Sizes, direction: Direction, across: &[i32]) -> Vec<(i32, i32)> {
    let gap = if direction == Direction::Right { sizes.gaps.0 } else { sizes.gaps.1 };
    let mut along = Vec::with_capacity(layers.layers.len());
    let mut end = 0;
    for layer in &layers.layers {
        let nodes = layer.iter().filter_map(|cell| layers.cells[*cell].node);
        let extent = match direction {
            Direction::Right => nodes.map(|node| sizes.widths[node]).max().unwrap_or(0),
            Direction::Down => sizes.height,
        };
        let shift =
            |cell: &usize| layers.before[*cell].iter().map(|other| (across[*other] - across[*cell]).abs()).max();
        let furthest = layer.iter().filter_map(shift).max();
        let start = end + furthest.map_or(0, |furthest| gap + (furthest / 8).min(gap * 2));
        end = start + extent;
        along.push((start, end));
    }
    along
}

fn placed(direction: Direction, along: (i32, i32), across: (i32, i32)) -> Rectangle {
    let ((x, right), (y, bottom)) = match direction {
        Direction::Right => (along, across),
        Direction::Down => (across, along),
    };
    Rectangle { x, y, width: right - x, height: bottom - y }
}

fn way(layers: &Layers, route: &[usize], along: &[(i32, i32)], across: &[i32]) -> Vec<Stretch> {
    let last = route.len() - 1;
    let stretch = |(at, cell): (usize, &usize)| {
        let (start, end) = along[layers.cells[*cell].layer];
        let along = if at == 0 {
            (end, end)
        } else if at == last {
            (start, start)
        } else {
            (start, end)
        };
        Stretch { along, across: across[*cell] }
    };
    route.iter().enumerate().map(stretch).collect()
}

impl Layout {
    /// Moves everything to where no coordinate is negative, and grows to hold it.
    fn extend_to(&mut self, layers: &Layers, across: &[i32]) {
        let least = across.iter().copied().min().unwrap_or(0).min(0);
        let most = across.iter().copied().max().unwrap_or(0) - least;
        for one in &mut self.boxes {
            match self.direction {
                Direction::Right => one.y -= least,
                Direction::Down => one.x -= least,
            }
        }
        self.ways.iter_mut().flatten().for_each(|stretch| stretch.across -= least);
        let placed = || layers.cells.iter().filter_map(|cell| cell.node).map(|node| self.boxes[node]);
        let (mut width, mut height) = (0, 0);
        for one in placed() {
            width = width.max(one.x + one.width);
            height = height.max(one.y + one.height);
        }
        match self.direction {
            Direction::Right => height = height.max(most),
            Direction::Down => width = width.max(most),
        }
        (self.width, self.height) = (width, height);
    }

    /// Puts the nodes without links below, in as many columns as fill the width, and at least a nearly square block.
    fn add_alone(&mut self, alone: &[usize], width: i32, height: i32) {
        if alone.is_empty() {
            return;
        }
        let gap = BETWEEN as i32;
        // A box is about three times as wide as it is high.
        let square = (alone.len() as f64 / 3.0).sqrt().ceil() as i32;
        let columns = ((self.width + gap) / (width + gap)).max(square);
        let top = if self.height > 0 { self.height + BETWEEN_PARTS as i32 } else { 0 };
        for (at, node) in alone.iter().enumerate() {
            let (row, column) = (at as i32 / columns, at as i32 % columns);
            let one = Rectangle { x: column * (width + gap), y: top + row * (height + gap), width, height };
            self.boxes[*node] = one;
            self.width = self.width.max(one.x + width);
            self.height = self.height.max(one.y + height);
        }
    }
}
