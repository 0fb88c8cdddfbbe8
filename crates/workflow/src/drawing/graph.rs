//! A picture by index: links between nodes, and an order that puts every node after all it waits for.

use std::collections::{HashMap, HashSet};

use super::Picture;

/// Nodes are their positions in [`Picture::nodes`].
pub(super) struct Graph<'a> {
    /// Every edge that is drawn, once, from the earlier node to the later one.
    pub(super) links: Vec<Link<'a>>,
    /// Every node once, after all it waits for; what follows from a node comes as soon as it can after it.
    pub(super) order: Vec<usize>,
    /// For each node, the links that end at it.
    pub(super) incoming: Vec<Vec<usize>>,
    /// For each node, the links that start at it.
    pub(super) outgoing: Vec<Vec<usize>>,
}

/// An edge by index.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub(super) struct Link<'a> {
    pub(super) from: usize,
    pub(super) to: usize,
    pub(super) label: Option<&'a str>,
}

impl<'a> Graph<'a> {
    pub(super) fn new(picture: &'a Picture) -> Graph<'a> {
        let nodes = picture.nodes.len();
        let mut links = links(picture);
        let order = order(nodes, &links);
        let mut position = vec![0; nodes];
        for (at, node) in order.iter().enumerate() {
            position[*node] = at;
        }
        links.retain(|link| position[link.from] < position[link.to]);
        Graph {
            incoming: grouped(nodes, links.iter().map(|link| link.to)),
            outgoing: grouped(nodes, links.iter().map(|link| link.from)),
            links,
            order,
        }
    }

    /// For each node, the number of links on the longest way to it.
    pub(super) fn depths(&self) -> Vec<usize> {
        let mut depths = vec![0; self.order.len()];
        for node in &self.order {
            depths[*node] =
                self.incoming[*node].iter().map(|link| depths[self.links[*link].from] + 1).max().unwrap_or(0);
        }
        depths
    }
}

fn links(picture: &Picture) -> Vec<Link<'_>> {
    let mut numbers = HashMap::with_capacity(picture.nodes.len());
    for (number, node) in picture.nodes.iter().enumerate() {
        numbers.entry(node.key.as_str()).or_insert(number);
    }
    let mut seen = HashSet::with_capacity(picture.edges.len());
    let known = picture.edges.iter().filter_map(|edge| {
        let (from, to) = (*numbers.get(edge.from.as_str())?, *numbers.get(edge.to.as_str())?);
        Some(Link { from, to, label: edge.label.as_deref() })
    });
    known.filter(|link| seen.insert(*link)).collect()
}

fn grouped(groups: usize, members: impl Iterator<Item = usize>) -> Vec<Vec<usize>> {
    let mut grouped = vec![Vec::new(); groups];
    for (member, group) in members.enumerate() {
        grouped[group].push(member);
    }
    grouped
}

/// Depth first, so that a chain stays together. Nodes on a cycle, of which there should be none, are taken as declared.
fn order(nodes: usize, links: &[Link<'_>]) -> Vec<usize> {
    let outgoing = grouped(nodes, links.iter().map(|link| link.from));
    let mut missing = vec![0_usize; nodes];
    for link in links {
        missing[link.to] += 1;
    }
    let mut order = Vec::with_capacity(nodes);
    let mut placed = vec![false; nodes];
    let mut open: Vec<usize> = (0..nodes).rev().filter(|node| missing[*node] == 0).collect();
    let mut declared = 0..nodes;
    while let Some(node) = open.pop().or_else(|| declared.find(|node| !placed[*node])) {
        if std::mem::replace(&mut placed[node], true) {
            continue;
        }
        order.push(node);
        let mut ready = Vec::new();
        for link in &outgoing[node] {
            let next = links[*link].to;
            missing[next] -= 1;
            if missing[next] == 0 {
                ready.push(next);
            }
        }
        ready.sort_unstable_by(|a, b| b.cmp(a));
        open.extend(ready);
    }
    order
}
