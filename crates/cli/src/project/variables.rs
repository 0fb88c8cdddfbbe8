//! The variables of `medallion.toml`: which value wins, and what the values refer to.
//!
//! `--var` wins over `MEDALLION_VAR_<name>`, that over the target's value, that over the default. What wins from outside
//! is taken as it is; what stands in the file may refer to other variables.

use std::collections::{BTreeMap, BTreeSet};
use std::ops::Range;

use super::LoadOptions;
use super::document::{Document, Node, Text, Value};
use super::finding::Finding;
use super::nearest::hint;
use super::reference::{Part, Reference, Scope, parts, place_of};

/// A variable before anything is put in.
enum Given {
    /// From outside: the value as it is.
    Value(String),
    /// From the file: a text that may hold references, and its place.
    Template(String, Range<usize>),
    /// Not a text; the shape of the file reports it.
    Malformed,
}

/// Fills `scope` with the variables of a project, and reports what is wrong with them. Those in `elsewhere` may be given
/// too, and are none of them.
pub(crate) fn resolve(
    document: &Document,
    options: &LoadOptions,
    elsewhere: &[&str],
    scope: &mut Scope,
    findings: &mut Vec<Finding>,
) {
    let mut given = written(document, options.target.as_deref());
    for (name, value) in &mut given {
        if let Some(text) = options.environment.get(&format!("MEDALLION_VAR_{name}")) {
            *value = Given::Value(text.clone());
        }
    }
    for (name, text) in &options.variables {
        let hint = hint(name, given.keys().map(String::as_str).chain(elsewhere.iter().copied()));
        match given.get_mut(name) {
            Some(value) => *value = Given::Value(text.clone()),
            None if elsewhere.contains(&name.as_str()) => {}
            None => findings.push(Finding::of_file(
                format!("--var {name}"),
                format!("unknown variable `{name}`{hint}; variables stand in [variables] of medallion.toml"),
            )),
        }
    }
    scope.variables = given.keys().map(|name| (name.clone(), None)).collect();
    put_in(given, document, scope, findings);
}

/// The variables of the file and of the target.
fn written(document: &Document, target: Option<&str>) -> BTreeMap<String, Given> {
    let mut given = BTreeMap::new();
    let of_target = target.and_then(|target| document.root.get("targets")?.get(target)?.get("variables"));
    for table in document.root.get("variables").into_iter().chain(of_target) {
        for entry in table.entries() {
            let value = match &entry.value.value {
                Value::Text(text) => Given::Template(text.text.clone(), entry.value.span.clone()),
                _ => Given::Malformed,
            };
            given.insert(entry.key.clone(), value);
        }
    }
    given
}

/// Resolves one variable after the other, each once all it refers to are resolved. What remains is a cycle, or refers
/// to one.
fn put_in(given: BTreeMap<String, Given>, document: &Document, scope: &mut Scope, findings: &mut Vec<Finding>) {
    let mut open: BTreeMap<String, (String, Range<usize>, BTreeSet<String>)> = BTreeMap::new();
    for (name, value) in given {
        match value {
            Given::Value(text) => {
                scope.variables.insert(name, Some(Text { text, referring: true, secret: false }));
            }
            Given::Template(text, span) => {
                let needs = variables_in(&text);
                open.insert(name, (text, span, needs));
            }
            Given::Malformed => {}
        }
    }
    while let Some(name) = open
        .iter()
        .find(|(_, (_, _, needs))| needs.iter().all(|need| !open.contains_key(need)))
        .map(|(name, _)| name.clone())
    {
        let Some((text, span, _)) = open.remove(&name) else { break };
        match scope.resolve(&text) {
            Ok(value) => {
                scope.variables.insert(name, value);
            }
            Err(mistakes) => findings.extend(
                mistakes
                    .into_iter()
                    .map(|(written, why)| document.finding(place_of(&written, span.clone(), document), why)),
            ),
        }
    }
    report_cycles(&open, document, findings);
}

fn variables_in(text: &str) -> BTreeSet<String> {
    let parts = parts(text).unwrap_or_default();
    let names = parts.into_iter().filter_map(|part| match part {
        Part::Reference(Reference::Variable(name)) => Some(name),
        _ => None,
    });
    names.collect()
}

fn report_cycles(
    open: &BTreeMap<String, (String, Range<usize>, BTreeSet<String>)>,
    document: &Document,
    findings: &mut Vec<Finding>,
) {
    let mut reported: BTreeSet<&str> = BTreeSet::new();
    for start in open.keys() {
        let mut path: Vec<&str> = vec![start];
        while let Some(next) =
            path.last().and_then(|last| open.get(*last)?.2.iter().find(|need| open.contains_key(*need)))
        {
            if let Some(begin) = path.iter().position(|name| name == next) {
                let cycle = &path[begin..];
                if cycle.iter().all(|name| !reported.contains(name)) {
                    reported.extend(cycle);
                    let place = open.get(next.as_str()).map_or(0, |(_, span, _)| span.start);
                    let way = cycle.iter().chain([&next.as_str()]).copied().collect::<Vec<_>>().join(" -> ");
                    findings
                        .push(document.finding(place, format!("these variables refer to each other for ever: {way}")));
                }
                break;
            }
            path.push(next);
        }
    }
}

/// Reports what is wrong with the references in a part of the file that is not used now, as far as it can be known
/// without the environment.
pub(crate) fn check_unused(node: &Node, document: &Document, findings: &mut Vec<Finding>) {
    match &node.value {
        Value::List(items) => items.iter().for_each(|item| check_unused(item, document, findings)),
        Value::Table(entries) => entries.iter().for_each(|entry| check_unused(&entry.value, document, findings)),
        Value::Text(text) => {
            let mistakes = parts(&text.text).err().unwrap_or_default();
            findings.extend(
                mistakes
                    .into_iter()
                    .map(|(written, why)| document.finding(place_of(&written, node.span.clone(), document), why)),
            );
        }
        _ => {}
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn resolved(text: &str, options: &LoadOptions) -> (BTreeMap<String, String>, Vec<String>) {
        let document = Document::toml("medallion.toml", text.to_owned()).unwrap();
        let mut scope = Scope { environment: options.environment.clone(), ..Scope::default() };
        let mut findings = Vec::new();
        resolve(&document, options, &[], &mut scope, &mut findings);
        let values = scope.variables.into_iter().filter_map(|(name, value)| Some((name, value?.text))).collect();
        (values, findings.iter().map(ToString::to_string).collect())
    }

    fn options(environment: &[(&str, &str)]) -> LoadOptions {
        let environment = environment.iter().map(|(name, value)| ((*name).to_owned(), (*value).to_owned())).collect();
        LoadOptions { environment, target: None, variables: BTreeMap::new() }
    }

    const FILE: &str = "[variables]\nbase = \"${env.ROOT}/x\"\nlanding = \"${var.base}/landing\"\n\
                        [targets.prod.variables]\nbase = \"s3://prod\"\n";

    #[test]
    fn the_nearest_value_wins_and_values_may_refer_to_others() {
        let mut options = options(&[("ROOT", "/data")]);
        assert_eq!(resolved(FILE, &options).0["landing"], "/data/x/landing");
        options.target = Some("prod".into());
        assert_eq!(resolved(FILE, &options).0["landing"], "s3://prod/landing");
        options.environment.insert("MEDALLION_VAR_base".into(), "/env".into());
        assert_eq!(resolved(FILE, &options).0["landing"], "/env/landing");
        options.variables.insert("base".into(), "/${x}".into());
        assert_eq!(resolved(FILE, &options), (resolved(FILE, &options).0, vec![]));
        assert_eq!(resolved(FILE, &options).0["landing"], "/${x}/landing");
    }

    #[test]
    fn an_unknown_name_on_the_command_line_is_reported() {
        let mut options = options(&[("ROOT", "/data")]);
        options.variables.insert("landin".into(), "x".into());
        let found = resolved(FILE, &options).1;
        assert!(found[0].starts_with("--var landin: unknown variable `landin`; nearest is `landing`"), "{found:?}");
    }

    #[test]
    fn a_cycle_is_reported_once_and_a_mistake_where_it_stands() {
        let text = "[variables]\na = \"${var.b}\"\nb = \"x${var.a}\"\nc = \"${var.a}\"\nd = \"x ${var.nope}\"\n";
        let (values, found) = resolved(text, &options(&[]));
        assert!(values.is_empty(), "{values:?}");
        assert_eq!(found.len(), 2, "{found:?}");
        assert!(found[0].starts_with("medallion.toml:5:8: unknown variable `nope`"), "{found:?}");
        assert!(
            found[1].starts_with("medallion.toml:2:5: these variables refer to each other for ever: a -> b -> a"),
            "{found:?}"
        );
    }
}
