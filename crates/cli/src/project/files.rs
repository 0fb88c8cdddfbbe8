//! The files of a project: which tables and workflows there are, by where their files lie.

use std::collections::{BTreeMap, BTreeSet};
use std::io::ErrorKind;
use std::path::Path;

use stage::{Layer, TableName};

use super::finding::Finding;
use super::nearest::hint;

/// The folder of a pipeline that holds its tests.
const TESTS: &str = "tests";

/// What lies in `pipelines/` and `workflows/`. Files are named relative to the project's folder.
#[derive(Debug, Default)]
pub(crate) struct Files {
    /// The spec of each table, and the SQL beside it.
    pub(crate) tables: BTreeMap<TableName, TableFiles>,
    /// The workflows.
    pub(crate) workflows: Vec<String>,
    /// The tests, each with its pipeline.
    pub(crate) tests: Vec<(String, String)>,
    /// Every pipeline that has a folder.
    pub(crate) pipelines: BTreeSet<String>,
}

/// The files of one table.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct TableFiles {
    pub(crate) spec: String,
    pub(crate) sql: Option<String>,
}

impl Files {
    /// Looks what is there; everything that is out of place is reported.
    pub(crate) fn find(root: &Path, findings: &mut Vec<Finding>) -> Files {
        let mut files = Files::default();
        for (name, is_folder) in entries(root, "pipelines", findings) {
            let path = format!("pipelines/{name}");
            if !is_folder {
                report_stray(&path, "a table's files lie at pipelines/<pipeline>/<layer>/<table>.toml", findings);
                continue;
            }
            files.find_pipeline(root, &name, findings);
            files.pipelines.insert(name);
        }
        for (name, is_folder) in entries(root, "workflows", findings) {
            let path = format!("workflows/{name}");
            if !is_folder && name.ends_with(".json") {
                files.workflows.push(path);
            } else {
                report_stray(&path, "workflows are read from workflows/<name>.json", findings);
            }
        }
        files
    }

    fn find_pipeline(&mut self, root: &Path, pipeline: &str, findings: &mut Vec<Finding>) {
        let folder = format!("pipelines/{pipeline}");
        if let Err(error) = TableName::new(pipeline, Layer::Bronze, "x") {
            findings.push(Finding::of_file(&folder, error.message()));
            return;
        }
        for (name, is_folder) in entries(root, &folder, findings) {
            let path = format!("{folder}/{name}");
            let layer = Layer::OF_USERS.into_iter().find(|layer| layer.name() == name);
            match layer {
                Some(layer) if is_folder => self.find_layer(root, pipeline, layer, findings),
                _ if is_folder && name == TESTS => self.find_tests(root, pipeline, findings),
                _ if is_folder => {
                    let hint = hint(&name, Layer::OF_USERS.map(Layer::name).into_iter().chain([TESTS]));
                    let message = format!("`{name}` is not a layer{hint}; expected bronze, silver, gold or tests");
                    findings.push(Finding::of_file(path, message));
                }
                _ => report_stray(
                    &path,
                    "a table's files lie in the folder of its layer: bronze, silver or gold",
                    findings,
                ),
            }
        }
    }

    fn find_tests(&mut self, root: &Path, pipeline: &str, findings: &mut Vec<Finding>) {
        let folder = format!("pipelines/{pipeline}/{TESTS}");
        for (name, is_folder) in entries(root, &folder, findings) {
            let path = format!("{folder}/{name}");
            if !is_folder && name.ends_with(".toml") {
                self.tests.push((pipeline.to_owned(), path));
            } else {
                report_stray(&path, "tests are read from tests/<name>.toml", findings);
            }
        }
    }

    fn find_layer(&mut self, root: &Path, pipeline: &str, layer: Layer, findings: &mut Vec<Finding>) {
        let folder = format!("pipelines/{pipeline}/{layer}");
        let entries = entries(root, &folder, findings);
        let has = |file: &str| entries.iter().any(|(name, is_folder)| !is_folder && name == file);
        for (name, is_folder) in &entries {
            let path = format!("{folder}/{name}");
            match name.rsplit_once('.') {
                Some((stem, "toml")) if !is_folder => match TableName::new(pipeline, layer, stem) {
                    Ok(table) => {
                        let sql = format!("{stem}.sql");
                        let sql = has(&sql).then(|| format!("{folder}/{sql}"));
                        self.tables.insert(table, TableFiles { spec: path, sql });
                    }
                    Err(error) => findings.push(Finding::of_file(path, error.message())),
                },
                Some((stem, "sql")) if !is_folder => {
                    if layer == Layer::Bronze {
                        let message =
                            "a bronze table has no SQL; it keeps what landed, and silver decides what it means";
                        findings.push(Finding::of_file(path, message));
                    } else if !has(&format!("{stem}.toml")) {
                        let message = format!("there is no spec beside this file; write {folder}/{stem}.toml");
                        findings.push(Finding::of_file(path, message));
                    }
                }
                _ => report_stray(&path, "tables are read from <table>.toml and <table>.sql", findings),
            }
        }
    }
}

/// What lies in a folder, in order of the names, without hidden files. A folder that is not there is empty.
fn entries(root: &Path, folder: &str, findings: &mut Vec<Finding>) -> Vec<(String, bool)> {
    let mut found = Vec::new();
    let listing = match std::fs::read_dir(root.join(folder)) {
        Ok(listing) => listing,
        Err(error) if error.kind() == ErrorKind::NotFound => return found,
        Err(error) => {
            findings.push(Finding::of_file(folder, format!("the folder cannot be read: {error}")));
            return found;
        }
    };
    for entry in listing {
        match entry.and_then(|entry| Ok((entry.file_name(), std::fs::metadata(entry.path())?.is_dir()))) {
            Ok((name, is_folder)) => {
                let name = name.to_string_lossy().into_owned();
                if !name.starts_with('.') {
                    found.push((name, is_folder));
                }
            }
            Err(error) => findings.push(Finding::of_file(folder, format!("a file in it cannot be read: {error}"))),
        }
    }
    found.sort();
    found
}

/// Notes for people may lie anywhere; anything else that is not read was meant to be.
fn report_stray(path: &str, expected: &str, findings: &mut Vec<Finding>) {
    if !(path.ends_with(".md") || path.ends_with(".txt") || path.ends_with('~')) {
        findings.push(Finding::of_file(path, format!("this is not read; {expected}")));
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn tables_are_named_by_their_place_and_what_is_out_of_place_is_reported() {
        let folder = tempfile::tempdir().unwrap();
        for file in [
            "pipelines/shop/bronze/orders.toml",
            "pipelines/shop/bronze/orders.sql",
            "pipelines/shop/silver/orders.toml",
            "pipelines/shop/silver/orders.sql",
            "pipelines/shop/silver/README.md",
            "pipelines/shop/slver/orders.toml",
            "pipelines/shop/gold/kpi.sql",
            "pipelines/shop/gold/k-p.toml",
            "pipelines/shop/gold/kpi.yaml",
            "pipelines/orders.toml",
            "workflows/shop.json",
            "workflows/shop.yaml",
        ] {
            let path = folder.path().join(file);
            std::fs::create_dir_all(path.parent().unwrap()).unwrap();
            std::fs::write(path, "").unwrap();
        }
        let mut findings = Vec::new();
        let files = Files::find(folder.path(), &mut findings);
        let names: Vec<String> = files.tables.keys().map(ToString::to_string).collect();
        assert_eq!(names, ["shop.bronze.orders", "shop.silver.orders"]);
        let silver = &files.tables[&"shop.silver.orders".parse().unwrap()];
        assert_eq!(silver.sql.as_deref(), Some("pipelines/shop/silver/orders.sql"));
        assert_eq!(files.workflows, ["workflows/shop.json"]);
        let found: Vec<String> = findings.iter().map(|finding| finding.file.clone()).collect();
        assert_eq!(
            found,
            [
                "pipelines/orders.toml",
                "pipelines/shop/bronze/orders.sql",
                "pipelines/shop/gold/k-p.toml",
                "pipelines/shop/gold/kpi.sql",
                "pipelines/shop/gold/kpi.yaml",
                "pipelines/shop/slver",
                "workflows/shop.yaml"
            ]
        );
        assert!(findings[5].message.contains("nearest is `silver`"));
    }
}
