//! Fewer crossings: each layer in turn is sorted by where the neighbours of its cells stand.

use super::layers::Layers;

/// Cells and joints that may be visited over all sweeps; it keeps large graphs quick and small ones good.
const BUDGET: usize = 1_500_000;
/// Sweeps at most, each once down or once up.
const MOST_SWEEPS: usize = 32;
/// Sweeps without any gain after which the search ends.
const PATIENCE: usize = 6;

/// Sorts the layers until sweeps no longer help, and keeps the best order that was seen.
pub(super) fn reduce_crossings(layers: &mut Layers) {
    let size = layers.cells.len() + layers.after.iter().map(Vec::len).sum::<usize>();
    let sweeps = (BUDGET / (4 * size.max(1))).clamp(2, MOST_SWEEPS);
    let mut place = vec![0; layers.cells.len()];
    layers.layers.iter().for_each(|layer| number(layer, &mut place));
    let mut best = (crossings(layers, &place), layers.layers.clone());
    let mut in_vain = 0;
    for sweep in 0..sweeps {
        if best.0 == 0 || in_vain == PATIENCE {
            break;
        }
        let down = sweep % 2 == 0;
        sort(layers, &mut place, down);
        swap_neighbours(layers, &mut place);
        let found = crossings(layers, &place);
        if found < best.0 {
            best = (found, layers.layers.clone());
            in_vain = 0;
        } else {
            in_vain += 1;
        }
    }
    layers.layers = best.1;
}

fn number(layer: &[usize], place: &mut [usize]) {
    for (at, cell) in layer.iter().enumerate() {
        place[*cell] = at;
    }
}

/// One sweep: every layer by part, and then by the mean place (the barycentre) of the neighbours it came from; without any, by its own.
fn sort(layers: &mut Layers, place: &mut [usize], down: bool) {
    let count = layers.layers.len();
    for step in 1..count {
        let at = if down { step } else { count - 1 - step };
        let neighbours = if down { &layers.before } else { &layers.after };
        let mean = |cell: usize| match neighbours[cell].as_slice() {
            [] => place[cell] as f64,
            list => list.iter().map(|other| place[*other] as f64).sum::<f64>() / list.len() as f64,
        };
        let mut sorted: Vec<(f64, usize)> = layers.layers[at].iter().map(|cell| (mean(*cell), *cell)).collect();
        let part = |cell: usize| layers.cells[cell].part;
        sorted.sort_by(|a, b| part(a.1).cmp(&part(b.1)).then(a.0.total_cmp(&b.0)));
        layers.layers[at] = sorted.into_iter().map(|(_, cell)| cell).collect();
        number(&layers.layers[at], place);
    }
}

/// Swaps cells that stand side by side where that alone leaves fewer crossings.
fn swap_neighbours(layers: &mut Layers, place: &mut [usize]) {
    for at in 0..layers.layers.len() {
        for right in 1..layers.layers[at].len() {
            let (a, b) = (layers.layers[at][right - 1], layers.layers[at][right]);
            let gain = |sides: &[Vec<usize>]| gain(&sides[a], &sides[b], place);
            let is_one_part = layers.cells[a].part == layers.cells[b].part;
            if is_one_part && gain(&layers.before) + gain(&layers.after) > 0 {
                layers.layers[at].swap(right - 1, right);
                (place[a], place[b]) = (place[b], place[a]);
            }
        }
    }
}

/// The crossings that a swap of two cells removes, less those it makes, towards one side.
fn gain(one: &[usize], other: &[usize], place: &[usize]) -> isize {
    // Cells with very many neighbours are left to the sorting.
    if one.len() * other.len() > 256 {
        return 0;
    }
    let pairs = one.iter().flat_map(|x| other.iter().map(|y| (place[*x], place[*y])));
    pairs.map(|(x, y)| isize::from(x > y) - isize::from(x < y)).sum()
}

/// All crossings, counted layer by layer with a tree of sums (Barth, Jünger and Mutzel, 2002).
fn crossings(layers: &Layers, place: &[usize]) -> usize {
    let pairs = layers.layers.windows(2);
    pairs.map(|pair| crossings_between(layers, &pair[0], pair[1].len(), place)).sum()
}

fn crossings_between(layers: &Layers, upper: &[usize], lower: usize, place: &[usize]) -> usize {
    let mut sums = vec![0_usize; lower + 1];
    let (mut seen, mut found) = (0, 0);
    let mut ends = Vec::new();
    for cell in upper {
        ends.clear();
        ends.extend(layers.after[*cell].iter().map(|other| place[*other]));
        ends.sort_unstable();
        for end in &ends {
            // Of the ends seen so far, those not beyond this one.
            let (mut at, mut within) = (end + 1, 0);
            while at > 0 {
                within += sums[at];
                at &= at - 1;
            }
            found += seen - within;
        }
        for end in &ends {
            let mut at = end + 1;
            while at <= lower {
                sums[at] += 1;
                at += at & at.wrapping_neg();
            }
            seen += 1;
        }
    }
    found
}
