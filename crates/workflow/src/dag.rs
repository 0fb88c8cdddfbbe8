//! The order between tasks, proven to have no cycle.

use std::collections::{BTreeSet, VecDeque};

use petgraph::algo::tarjan_scc;
use petgraph::graph::{DiGraph, NodeIndex};

/// Which task depends on which, by index. One with a cycle cannot be made.
#[derive(Debug, Clone)]
pub struct Dag {
    dependencies: Vec<Vec<usize>>,
    dependents: Vec<Vec<usize>>,
}

impl Dag {
    /// The order given by the dependencies of each task.
    ///
    /// # Errors
    /// One shortest cycle out of each knot of tasks that wait for each other, as the indices on the way from a task
    /// back to itself; the first of them is repeated at the end.
    pub fn new(mut dependencies: Vec<Vec<usize>>) -> Result<Dag, Vec<Vec<usize>>> {
        for list in &mut dependencies {
            list.sort_unstable();
            list.dedup();
        }
        let cycles = cycles(&dependencies);
        if !cycles.is_empty() {
            return Err(cycles);
        }
        let mut dependents = vec![Vec::new(); dependencies.len()];
        for (task, list) in dependencies.iter().enumerate() {
            for dependency in list {
                dependents[*dependency].push(task);
            }
        }
        Ok(Dag { dependencies, dependents })
    }

    /// Tasks without any order.
    pub(crate) fn unordered(tasks: usize) -> Dag {
        Dag { dependencies: vec![Vec::new(); tasks], dependents: vec![Vec::new(); tasks] }
    }

    /// The number of tasks.
    pub fn len(&self) -> usize {
        self.dependencies.len()
    }

    /// Whether there are no tasks.
    pub fn is_empty(&self) -> bool {
        self.dependencies.is_empty()
    }

    /// The tasks that `task` waits for.
    pub fn dependencies(&self, task: usize) -> &[usize] {
        &self.dependencies[task]
    }

    /// The tasks that wait for `task`.
    pub fn dependents(&self, task: usize) -> &[usize] {
        &self.dependents[task]
    }

    /// The given tasks and every task after them.
    pub fn downstream(&self, from: impl IntoIterator<Item = usize>) -> BTreeSet<usize> {
        let mut found = BTreeSet::new();
        let mut open: Vec<usize> = from.into_iter().collect();
        while let Some(task) = open.pop() {
            if found.insert(task) {
                open.extend(self.dependents(task));
            }
        }
        found
    }

    /// The tasks in levels: each one stands in the first level after all it waits for.
    pub fn levels(&self) -> Vec<Vec<usize>> {
        let mut missing: Vec<usize> = self.dependencies.iter().map(Vec::len).collect();
        let mut level: Vec<usize> = (0..self.len()).filter(|task| missing[*task] == 0).collect();
        let mut levels = Vec::new();
        while !level.is_empty() {
            let mut next = Vec::new();
            for task in &level {
                for dependent in self.dependents(*task) {
                    missing[*dependent] -= 1;
                    if missing[*dependent] == 0 {
                        next.push(*dependent);
                    }
                }
            }
            next.sort_unstable();
            levels.push(std::mem::replace(&mut level, next));
        }
        levels
    }
}

fn cycles(dependencies: &[Vec<usize>]) -> Vec<Vec<usize>> {
    let mut graph = DiGraph::<(), ()>::with_capacity(dependencies.len(), 0);
    let nodes: Vec<NodeIndex> = dependencies.iter().map(|_| graph.add_node(())).collect();
    for (task, list) in dependencies.iter().enumerate() {
        for dependency in list {
            graph.add_edge(nodes[task], nodes[*dependency], ());
        }
    }
    let mut cycles = Vec::new();
    for knot in tarjan_scc(&graph) {
        let knot: BTreeSet<usize> = knot.into_iter().map(NodeIndex::index).collect();
        cycles.extend(knot.first().and_then(|start| way_back(dependencies, &knot, *start)));
    }
    cycles.sort();
    cycles
}

/// The shortest way from `start` along dependencies inside the knot back to `start`.
fn way_back(dependencies: &[Vec<usize>], knot: &BTreeSet<usize>, start: usize) -> Option<Vec<usize>> {
    let mut came_from = vec![None; dependencies.len()];
    let mut open = VecDeque::from([start]);
    while let Some(task) = open.pop_front() {
        for next in dependencies[task].iter().copied().filter(|next| knot.contains(next)) {
            if next == start {
                let mut way = vec![start, task];
                while let Some(before) = came_from[way[way.len() - 1]] {
                    way.push(before);
                }
                way.reverse();
                return Some(way);
            }
            if came_from[next].is_none() {
                came_from[next] = Some(task);
                open.push_back(next);
            }
        }
    }
    None
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn a_task_that_waits_for_itself_is_a_cycle() {
        assert_eq!(Dag::new(vec![vec![0]]).unwrap_err(), [[0, 0]]);
    }

    #[test]
    fn every_knot_is_reported_once_by_its_shortest_cycle() {
        // 0 -> 1 -> 2 -> 0 with the short cut 1 -> 0, and apart from it 3 -> 4 -> 3.
        let error = Dag::new(vec![vec![1], vec![0, 2], vec![0], vec![4], vec![3]]).unwrap_err();
        assert_eq!(error, vec![vec![0, 1, 0], vec![3, 4, 3]]);
    }

    #[test]
    fn levels_put_a_task_after_all_it_waits_for() {
        let dag = Dag::new(vec![vec![], vec![0], vec![0, 1], vec![]]).unwrap();
        assert_eq!(dag.levels(), vec![vec![0, 3], vec![1], vec![2]]);
        assert_eq!(dag.downstream([1]), BTreeSet::from([1, 2]));
    }

    proptest! {
        #[test]
        fn a_graph_is_either_levelled_whole_or_refused_with_a_real_cycle(
            edges in proptest::collection::vec((0usize..8, 0usize..8), 0..20)
        ) {
            let mut dependencies = vec![Vec::new(); 8];
            for (task, dependency) in edges {
                dependencies[task].push(dependency);
            }
            match Dag::new(dependencies.clone()) {
                Ok(dag) => prop_assert_eq!(dag.levels().concat().len(), 8),
                Err(cycles) => for cycle in cycles {
                    prop_assert_eq!(cycle.first(), cycle.last());
                    for pair in cycle.windows(2) {
                        prop_assert!(dependencies[pair[0]].contains(&pair[1]));
                    }
                },
            }
        }
    }
}
