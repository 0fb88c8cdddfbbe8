//! Where the cells of each layer stand, so that links run straight and nothing overlaps.
//!
//! A sweep gives every cell a wish, the mean place of its neighbours, and then fulfils the wishes of a layer as well as
//! the distances allow: least squares under order, which pooling of adjacent violators solves exactly in one pass
//! (Ayer and others, 1955). Joints between virtual cells weigh most, so that long links stay straight.

use super::layers::Layers;

/// Distances across a layer, in pixels.
pub(super) struct Distances {
    /// How much room a node takes.
    pub(super) node: f64,
    /// Between two nodes.
    pub(super) between: f64,
    /// Between two parts of the graph.
    pub(super) between_parts: f64,
    /// Between a node and a passing link, and between two passing links.
    pub(super) beside_link: f64,
}

/// Cells and joints that may be visited over all sweeps.
const BUDGET: usize = 1_500_000;
/// Sweeps at most, each once down and once up.
const MOST_SWEEPS: usize = 24;

/// A bend of up to so many pixels looks like a mistake, and is taken out where there is room.
const NEAR: f64 = 20.0;

/// The centre of each cell across its layer; the smallest edge of anything lies at 0.
pub(super) fn places(layers: &Layers, distances: &Distances) -> Vec<f64> {
    let size = layers.cells.len() + layers.after.iter().map(Vec::len).sum::<usize>();
    let sweeps = (BUDGET / (6 * size.max(1))).clamp(1, MOST_SWEEPS);
    let offsets = offsets(layers, distances);
    let mut centres = offsets.clone();
    let count = layers.layers.len();
    for _ in 0..sweeps {
        for at in 0..count {
            settle(layers, &offsets, &mut centres, at, (true, false));
        }
        for at in (0..count).rev() {
            settle(layers, &offsets, &mut centres, at, (false, true));
        }
    }
    for at in (0..count).chain((0..count).rev()) {
        settle(layers, &offsets, &mut centres, at, (true, true));
    }
    straighten(layers, &offsets, &mut centres, true);
    straighten(layers, &offsets, &mut centres, false);
    stack(layers, distances, &mut centres);
    centres
}

/// Puts the parts of the graph one beside the other, the first one at 0.
fn stack(layers: &Layers, distances: &Distances, centres: &mut [f64]) {
    let parts = layers.cells.iter().map(|cell| cell.part + 1).max().unwrap_or(0);
    let mut bounds = vec![(f64::INFINITY, f64::NEG_INFINITY); parts];
    for (cell, centre) in layers.cells.iter().zip(&*centres) {
        let (least, most) = &mut bounds[cell.part];
        *least = least.min(centre - extent(cell.node, distances));
        *most = most.max(centre + extent(cell.node, distances));
    }
    let mut end = 0.0;
    let mut shifts = Vec::with_capacity(parts);
    for (least, most) in bounds {
        shifts.push(end - least);
        end += most - least + distances.between_parts;
    }
    for (cell, centre) in layers.cells.iter().zip(centres) {
        *centre += shifts[cell.part];
    }
}

fn extent(node: Option<usize>, distances: &Distances) -> f64 {
    if node.is_some() { distances.node / 2.0 } else { 0.0 }
}

/// Where each cell stands when its layer is packed as tightly as it can be.
fn offsets(layers: &Layers, distances: &Distances) -> Vec<f64> {
    let mut offsets = vec![0.0; layers.cells.len()];
    for layer in &layers.layers {
        for pair in layer.windows(2) {
            let nodes = (layers.cells[pair[0]].node, layers.cells[pair[1]].node);
            let gap = if nodes.0.is_some() && nodes.1.is_some() { distances.between } else { distances.beside_link };
            offsets[pair[1]] = offsets[pair[0]] + extent(nodes.0, distances) + gap + extent(nodes.1, distances);
        }
    }
    offsets
}

/// A run of cells that stand as tightly as they can, at the mean of their wishes.
struct Pool {
    part: usize,
    cells: usize,
    weight: f64,
    wish: f64,
}

/// Moves the cells of a layer towards their neighbours before it, after it, or both.
fn settle(layers: &Layers, offsets: &[f64], centres: &mut [f64], at: usize, (before, after): (bool, bool)) {
    let layer = &layers.layers[at];
    let mut pools: Vec<Pool> = Vec::with_capacity(layer.len());
    for cell in layer {
        let (mut weight, mut sum) = (0.0, 0.0);
        let sides = [(before, &layers.before[*cell]), (after, &layers.after[*cell])];
        for other in sides.iter().filter(|(wanted, _)| *wanted).flat_map(|(_, list)| list.iter()) {
            let joint = joint_weight(layers, *cell, *other);
            weight += joint;
            sum += joint * centres[*other];
        }
        // What has no neighbours on that side stays, but gives way to what has.
        let (weight, wish) = if weight > 0.0 { (weight, sum / weight) } else { (0.01, centres[*cell]) };
        let part = layers.cells[*cell].part;
        let mut pool = Pool { part, cells: 1, weight, wish: wish - offsets[*cell] };
        while let Some(last) = pools.pop_if(|last| last.part == part && last.wish >= pool.wish) {
            let weight = last.weight + pool.weight;
            let wish = (last.weight * last.wish + pool.weight * pool.wish) / weight;
            pool = Pool { part, cells: last.cells + pool.cells, weight, wish };
        }
        pools.push(pool);
    }
    let wishes = pools.iter().flat_map(|pool| std::iter::repeat_n(pool.wish, pool.cells));
    for (cell, wish) in layer.iter().zip(wishes) {
        centres[*cell] = wish + offsets[*cell];
    }
}

/// Moves a cell in line with the only one before it (or after it), where that is near and its neighbours leave room.
fn straighten(layers: &Layers, offsets: &[f64], centres: &mut [f64], forwards: bool) {
    let sides = if forwards { &layers.before } else { &layers.after };
    let count = layers.layers.len();
    for step in 0..count {
        let layer = &layers.layers[if forwards { step } else { count - 1 - step }];
        for (at, cell) in layer.iter().enumerate() {
            let [other] = sides[*cell].as_slice() else { continue };
            let wish = centres[*other];
            let fits = |beside: &usize| {
                let room = (offsets[*beside] - offsets[*cell]).abs();
                layers.cells[*beside].part != layers.cells[*cell].part || (centres[*beside] - wish).abs() >= room
            };
            let is_near = (wish - centres[*cell]).abs() <= NEAR;
            let has_room = layer[..at].last().is_none_or(fits) && layer.get(at + 1).is_none_or(fits);
            if is_near && has_room && is_only(layers, *cell, *other) {
                centres[*cell] = wish;
            }
        }
    }
}

/// Whether a joint is the only one between its layers for both of its cells.
fn is_only(layers: &Layers, one: usize, other: usize) -> bool {
    let (first, second) = if layers.cells[one].layer < layers.cells[other].layer { (one, other) } else { (other, one) };
    layers.after[first].len() == 1 && layers.before[second].len() == 1
}

/// After Gansner and others, "A technique for drawing directed graphs" (1993), where joints weigh 1, 2 and 8 by the number
/// of their virtual ends; here a joint that could be straight without bending another one weighs most, too.
fn joint_weight(layers: &Layers, one: usize, other: usize) -> f64 {
    match (layers.cells[one].node, layers.cells[other].node) {
        (None, None) => 8.0,
        _ if is_only(layers, one, other) => 8.0,
        (Some(_), Some(_)) => 1.0,
        _ => 2.0,
    }
}
