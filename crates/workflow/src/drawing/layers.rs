//! A graph in layers, with a place kept free wherever a long link passes a layer.
//!
//! A node stands in the first layer after all it waits for (longest-path layering). A link over several layers goes
//! through virtual cells, so that every step joins neighbouring layers (Sugiyama, Tagawa and Toda, 1981). Links that
//! leave one node for the same outcome share their virtual cells: they run as one line and branch off where they must.

use std::collections::HashMap;

use super::graph::Graph;

/// Cells are numbered: first those of the nodes that have links, then the virtual ones.
pub(super) struct Layers {
    pub(super) cells: Vec<Cell>,
    /// The cells of each layer, in the order in which they stand beside each other.
    pub(super) layers: Vec<Vec<usize>>,
    /// For each cell, the cells of the layer before that lead to it.
    pub(super) before: Vec<Vec<usize>>,
    /// For each cell, the cells of the layer after to which it leads.
    pub(super) after: Vec<Vec<usize>>,
    /// For each link of the graph, its cells from the first node to the last.
    pub(super) routes: Vec<Vec<usize>>,
    /// Nodes without any link; they have no cell.
    pub(super) alone: Vec<usize>,
}

/// A place in a layer.
pub(super) struct Cell {
    pub(super) layer: usize,
    /// None where only a link passes.
    pub(super) node: Option<usize>,
    /// Which part of the graph it belongs to; no links lead from part to part. Parts are numbered in the order of their
    /// first nodes, and stand in that order in every layer.
    pub(super) part: usize,
}

impl Layers {
    pub(super) fn new(graph: &Graph<'_>) -> Layers {
        let depths = graph.depths();
        let is_alone = |node: &usize| graph.incoming[*node].is_empty() && graph.outgoing[*node].is_empty();
        let mut layers = Layers {
            cells: Vec::new(),
            layers: Vec::new(),
            before: Vec::new(),
            after: Vec::new(),
            routes: Vec::with_capacity(graph.links.len()),
            alone: (0..depths.len()).filter(is_alone).collect(),
        };
        let mut cell_of = vec![0; depths.len()];
        for node in graph.order.iter().copied().filter(|node| !is_alone(node)) {
            cell_of[node] = layers.add(Cell { layer: depths[node], node: Some(node), part: 0 });
        }
        // The virtual cell of a first node and an outcome in a layer.
        let mut shared = HashMap::new();
        for link in &graph.links {
            let mut route = vec![cell_of[link.from]];
            for layer in depths[link.from] + 1..depths[link.to] {
                let cell = *shared
                    .entry((link.from, link.label, layer))
                    .or_insert_with(|| layers.add(Cell { layer, node: None, part: 0 }));
                layers.join(route[route.len() - 1], cell);
                route.push(cell);
            }
            layers.join(route[route.len() - 1], cell_of[link.to]);
            route.push(cell_of[link.to]);
            layers.routes.push(route);
        }
        layers.find_parts();
        layers.arrange();
        layers
    }

    fn add(&mut self, cell: Cell) -> usize {
        self.cells.push(cell);
        self.before.push(Vec::new());
        self.after.push(Vec::new());
        self.cells.len() - 1
    }

    fn join(&mut self, from: usize, to: usize) {
        // Links that share their way join the same cells one after another.
        if self.after[from].last() != Some(&to) && !self.after[from].contains(&to) {
            self.after[from].push(to);
            self.before[to].push(from);
        }
    }

    fn find_parts(&mut self) {
        let mut seen = vec![false; self.cells.len()];
        let mut parts = 0;
        for start in 0..self.cells.len() {
            let mut open = vec![start];
            let is_new = !seen[start];
            while let Some(cell) = open.pop() {
                if !std::mem::replace(&mut seen[cell], true) {
                    self.cells[cell].part = parts;
                    open.extend(self.before[cell].iter().chain(&self.after[cell]));
                }
            }
            parts += usize::from(is_new);
        }
    }

    /// A first order: depth first, so that what belongs together stands together.
    fn arrange(&mut self) {
        let depth = self.cells.iter().map(|cell| cell.layer + 1).max().unwrap_or(0);
        self.layers = vec![Vec::new(); depth];
        let mut seen = vec![false; self.cells.len()];
        let mut open: Vec<usize> = (0..self.cells.len()).filter(|cell| self.before[*cell].is_empty()).collect();
        open.sort_by_key(|cell| std::cmp::Reverse((self.cells[*cell].part, *cell)));
        while let Some(cell) = open.pop() {
            if !std::mem::replace(&mut seen[cell], true) {
                self.layers[self.cells[cell].layer].push(cell);
                open.extend(self.after[cell].iter().rev());
            }
        }
    }
}
