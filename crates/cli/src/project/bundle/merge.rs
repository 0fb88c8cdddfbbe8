//! How parts of a bundle are put over each other: included files over the root, a target over both.
//!
//! Tables are merged key by key, what is written later wins, and lists are put one behind the other; in the lists of a job
//! whose items have a name, items of the same name are merged.

use crate::project::document::{Node, Value};

/// The lists whose items have a name, and the key of that.
const NAMED_LISTS: &[(&str, &str)] = &[
    ("tasks", "task_key"),
    ("parameters", "name"),
    ("job_clusters", "job_cluster_key"),
    ("environments", "environment_key"),
];

/// Puts a node over another one.
pub(super) fn put_over(below: &mut Node, above: Node) {
    put_over_at(below, above, None);
}

fn put_over_at(below: &mut Node, above: Node, name_of_items: Option<&str>) {
    match (&mut below.value, above.value) {
        (_, Value::Null) => {}
        (Value::Table(entries), Value::Table(more)) => {
            for entry in more {
                match entries.iter_mut().find(|own| own.key == entry.key) {
                    Some(own) => put_over_at(&mut own.value, entry.value, name_of_items_in(&entry.key)),
                    None => entries.push(entry),
                }
            }
        }
        (Value::List(items), Value::List(more)) => {
            for item in more {
                let same = name_of_items.and_then(|key| {
                    let name = name(&item, key)?;
                    items.iter_mut().find(|own| self::name(own, key) == Some(name))
                });
                match same {
                    Some(own) => put_over_at(own, item, None),
                    None => items.push(item),
                }
            }
        }
        (_, value) => *below = Node::new(value, above.span),
    }
}

fn name_of_items_in(list: &str) -> Option<&'static str> {
    NAMED_LISTS.iter().find(|(name, _)| *name == list).map(|(_, key)| *key)
}

fn name<'a>(item: &'a Node, key: &str) -> Option<&'a str> {
    match &item.get(key)?.value {
        Value::Text(text) => Some(&text.text),
        _ => None,
    }
}
