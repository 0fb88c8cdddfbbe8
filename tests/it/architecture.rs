//! Imports point one way, and a heavy dependency has one home.

use std::collections::{BTreeMap, BTreeSet};
use std::process::Command;

use serde_json::Value;

use crate::project::repository;

/// Which crates of this workspace each may depend on.
const ALLOWED: [(&str, &[&str]); 14] = [
    ("stage", &[]),
    ("lake", &["stage"]),
    ("frame", &["stage"]),
    ("sql", &["stage", "lake"]),
    ("quality", &["stage", "lake", "frame", "sql"]),
    ("bronze", &["stage", "lake", "frame", "sql", "quality"]),
    ("silver", &["stage", "lake", "frame", "sql", "quality"]),
    ("gold", &["stage", "lake", "frame", "sql", "quality"]),
    ("generate", &["stage"]),
    ("workflow", &["stage"]),
    ("notify", &["stage"]),
    ("web", &["stage", "workflow"]),
    (
        "cli",
        &[
            "stage", "lake", "frame", "sql", "quality", "bronze", "silver", "gold", "generate", "workflow", "notify",
            "web",
        ],
    ),
    ("medallion-tests", &[]),
];

/// The crates that may name a heavy dependency.
const HOMES: [(&str, &[&str]); 9] = [
    ("axum", &["web"]),
    ("polars", &["frame"]),
    ("polars-arrow", &["frame"]),
    ("deltalake", &["lake"]),
    ("buoyant_kernel", &["lake"]),
    ("datafusion", &["sql"]),
    ("rdkafka", &["bronze"]),
    ("rusqlite", &["workflow"]),
    ("clap", &["cli"]),
];

fn cargo(arguments: &[&str]) -> String {
    let output = Command::new(env!("CARGO"))
        .args(arguments)
        .args(["--offline", "--locked"])
        .current_dir(repository())
        .output()
        .unwrap();
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    String::from_utf8(output.stdout).unwrap()
}

/// The normal dependencies of each crate of the workspace; those of tests are free.
fn dependencies() -> BTreeMap<String, BTreeSet<String>> {
    let metadata: Value = serde_json::from_str(&cargo(&["metadata", "--no-deps", "--format-version", "1"])).unwrap();
    let named = |value: &Value| value["name"].as_str().unwrap().to_owned();
    let of = |package: &Value| {
        let normal =
            package["dependencies"].as_array().unwrap().iter().filter(|dependency| dependency["kind"].is_null());
        (named(package), normal.map(named).collect())
    };
    metadata["packages"].as_array().unwrap().iter().map(of).collect()
}

#[test]
fn crates_depend_on_each_other_in_one_direction() {
    let found = dependencies();
    let own: BTreeSet<&str> = found.keys().map(String::as_str).collect();
    let allowed = BTreeMap::from(ALLOWED);
    assert_eq!(own, allowed.keys().copied().collect(), "a new crate needs a line in ALLOWED");
    for (name, dependencies) in &found {
        for dependency in dependencies.iter().filter(|dependency| own.contains(dependency.as_str())) {
            assert!(allowed[name.as_str()].contains(&dependency.as_str()), "{name} must not depend on {dependency}");
        }
    }
}

#[test]
fn a_heavy_dependency_has_one_home() {
    let found = dependencies();
    for (heavy, homes) in HOMES {
        for (name, _) in found.iter().filter(|(_, dependencies)| dependencies.contains(heavy)) {
            assert!(homes.contains(&name.as_str()), "{name} must not depend on {heavy}; its home is {}", homes[0]);
        }
    }
}

#[test]
fn the_workflow_crate_knows_nothing_of_frames_tables_or_queries() {
    let tree = cargo(&["tree", "-p", "workflow", "-e", "normal", "--prefix", "none", "--format", "{p}"]);
    for heavy in ["arrow", "polars", "datafusion", "deltalake", "parquet", "object_store"] {
        let found =
            tree.lines().find(|line| line.starts_with(&format!("{heavy} ")) || line.starts_with(&format!("{heavy}-")));
        assert_eq!(found, None);
    }
}
