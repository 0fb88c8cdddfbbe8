//! Which table reads which, and the order that follows from it.

use std::collections::{BTreeMap, BTreeSet};

use quality::checks::spec::When;
use stage::{Layer, TableName};

use super::{Project, Table};

impl Project {
    /// The tables of this project that a table reads directly.
    pub fn upstreams(&self, name: &TableName) -> BTreeSet<&TableName> {
        self.tables.get(name).map(|table| upstreams_of(table, &self.tables)).unwrap_or_default()
    }

    /// The tables of this project that read a table directly.
    pub fn downstreams(&self, name: &TableName) -> BTreeSet<&TableName> {
        let reads = |table: &&Table| upstreams_of(table, &self.tables).contains(name);
        self.tables.values().filter(reads).map(|table| &table.name).collect()
    }

    /// All tables, each after those it reads; layer by layer and by name where that leaves a choice.
    pub fn order(&self) -> Vec<&TableName> {
        let edges = edges(&self.tables);
        let mut open: BTreeMap<&TableName, BTreeSet<&TableName>> = edges;
        let mut order = Vec::with_capacity(open.len());
        while let Some(next) = open
            .iter()
            .filter(|(_, needs)| needs.iter().all(|need| !open.contains_key(need)))
            .map(|(name, _)| *name)
            .min_by_key(|name| (name.layer(), *name))
        {
            open.remove(next);
            order.push(next);
        }
        // Tables in a cycle, which is a finding, stand at the end.
        order.extend(open.into_keys());
        order
    }
}

/// The cycles among tables, each as the way from a table back to itself without repeating it.
pub(crate) fn cycles(tables: &BTreeMap<TableName, Table>) -> Vec<Vec<&TableName>> {
    let edges = edges(tables);
    let mut reported: BTreeSet<&TableName> = BTreeSet::new();
    let mut cycles = Vec::new();
    for start in edges.keys() {
        if reported.contains(start) {
            continue;
        }
        if let Some(cycle) = way_back(start, &edges) {
            reported.extend(&cycle);
            cycles.push(cycle);
        }
    }
    cycles
}

/// The shortest way from a table back to itself.
fn way_back<'a>(
    start: &'a TableName,
    edges: &BTreeMap<&'a TableName, BTreeSet<&'a TableName>>,
) -> Option<Vec<&'a TableName>> {
    let mut came_from: BTreeMap<&TableName, &TableName> = BTreeMap::new();
    let mut level = vec![start];
    while !level.is_empty() {
        let mut next_level = Vec::new();
        for table in level {
            for next in edges.get(table).into_iter().flatten() {
                if *next == start {
                    let mut way = vec![table];
                    while let Some(last) = way.last().and_then(|last| came_from.get(last)) {
                        way.push(last);
                    }
                    way.reverse();
                    return Some(way);
                }
                if !came_from.contains_key(next) {
                    came_from.insert(next, table);
                    next_level.push(*next);
                }
            }
        }
        level = next_level;
    }
    None
}

fn edges(tables: &BTreeMap<TableName, Table>) -> BTreeMap<&TableName, BTreeSet<&TableName>> {
    tables.values().map(|table| (&table.name, upstreams_of(table, tables))).collect()
}

fn upstreams_of<'a>(table: &Table, tables: &'a BTreeMap<TableName, Table>) -> BTreeSet<&'a TableName> {
    let known =
        |name: &TableName| written_by(name).and_then(|writer| tables.get_key_value(&writer)).map(|(name, _)| name);
    // What is checked before a commit has to be there by then.
    let before_commit = table.checks().iter().filter(|check| check.when == When::Commit).cloned();
    let checked = quality::checks::reads(&before_commit.collect::<Vec<_>>(), table.name.pipeline());
    let others = checked.iter().filter(|name| **name != table.name);
    table.reads.iter().chain(others).filter_map(known).collect()
}

/// The table whose stage writes a table: a quarantine table is written with the table beside it, system tables by all.
pub(crate) fn written_by(name: &TableName) -> Option<TableName> {
    match name.layer() {
        Layer::Bronze | Layer::Silver | Layer::Gold => Some(name.clone()),
        Layer::Quarantine => {
            let (layer, table) = name.table().split_once('_')?;
            TableName::new(name.pipeline(), layer.parse().ok()?, table).ok()
        }
        Layer::System => None,
    }
}
