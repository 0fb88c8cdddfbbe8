//! A project: the folder a user edits, read once, checked, and from then on trusted.
//!
//! `medallion.toml` holds the settings, `pipelines/<pipeline>/<layer>/<table>.toml` (and `.sql`) the tables,
//! `workflows/*.json` the workflows, and so does a bundle in `databricks.yml`. [`load`] reads all of it and reports every [`Finding`] at once; [`Project::check`]
//! then plans every SQL text against the schemas that are known, without touching the lake.

mod allowed;
mod bundle;
mod check;
mod document;
mod files;
mod finding;
mod graph;
mod json;
mod load;
mod maintenance;
mod nearest;
mod plan;
#[cfg(test)]
mod planning_tests;
mod reference;
mod secrets;
mod settings;
mod shape;
#[cfg(test)]
mod tests;
mod variables;
mod workflows;
mod writes;
mod yaml;

use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path, PathBuf};

use bronze::spec::BronzeSpec;
use gold::spec::{GoldSpec, Materialized};
use lake::maintenance::MaintenanceSettings;
use notify::NotificationsSpec;
use silver::spec::SilverSpec;
use stage::{Error, Result, Secret, TableName};
use workflow::Workflow;

use crate::testing::Case;

pub(crate) use self::document::Document;
pub use self::finding::Finding;
pub use self::load::load;
pub use self::nearest::{hint, nearest};
pub(crate) use self::reference::exposed;
pub use self::secrets::Secrets;
pub(crate) use self::settings::location;
pub use self::settings::{LakeSettings, SettingsSpec};
pub(crate) use self::shape::schema_of;

/// The file that makes a folder a project.
pub const SETTINGS_FILE: &str = "medallion.toml";

/// What decides the values in a project besides its files.
#[derive(Debug, Clone)]
pub struct LoadOptions {
    /// The target that was chosen with `--target`.
    pub target: Option<String>,
    /// The variables given with `--var`.
    pub variables: BTreeMap<String, String>,
    /// The environment; that of the process by default.
    pub environment: BTreeMap<String, String>,
}

impl Default for LoadOptions {
    fn default() -> Self {
        let texts =
            std::env::vars_os().filter_map(|(name, value)| Some((name.into_string().ok()?, value.into_string().ok()?)));
        LoadOptions { target: None, variables: BTreeMap::new(), environment: texts.collect() }
    }
}

/// A project as it was read. As long as nothing was found wrong with it, everything in it can be trusted.
#[derive(Debug, Clone)]
pub struct Project {
    /// The name.
    pub name: String,
    /// What the project is for.
    pub description: String,
    /// The absolute folder of `medallion.toml`.
    pub root: PathBuf,
    /// Where the lake is.
    pub lake: LakeSettings,
    /// Where secrets come from.
    pub secrets: Secrets,
    /// The memory everything together may use, in bytes.
    pub memory_bytes: u64,
    /// How many threads work; at least one.
    pub threads: usize,
    /// How tables are kept fast while they grow.
    pub maintenance: MaintenanceSettings,
    /// The values of all variables; those that refer to a secret show the reference.
    pub variables: BTreeMap<String, String>,
    /// The tables.
    pub tables: BTreeMap<TableName, Table>,
    /// The workflows by name.
    pub workflows: BTreeMap<String, Workflow>,
    /// The names of the workflows that are jobs of a bundle, by the keys of the jobs.
    pub job_keys: BTreeMap<String, String>,
    /// How people and programs outside are told of runs. Paths are absolute.
    pub notifications: NotificationsSpec,
    /// What is worth knowing about the files and keeps nothing from running, such as fields that are ignored.
    pub notes: Vec<Finding>,
    /// The tests of the pipelines, those with mistakes left out.
    pub(crate) tests: Vec<Case>,
    /// The mistakes in tests. They keep nothing from running but the tests.
    pub(crate) test_findings: Vec<Finding>,
}

/// A table and what its user wrote of it.
#[derive(Debug, Clone)]
pub struct Table {
    /// The name, which is where its file lies.
    pub name: TableName,
    /// The spec's file, relative to the project's folder.
    pub file: String,
    /// The spec as it is written.
    pub text: String,
    /// What it says.
    pub definition: Definition,
    /// The tables that the SQL names.
    named: BTreeSet<TableName>,
    /// Those, and the one that is read incrementally.
    reads: BTreeSet<TableName>,
    document: Document,
}

/// What is written of a table, by layer.
#[derive(Debug, Clone)]
pub enum Definition {
    /// Rows as they landed. Local folders are absolute.
    Bronze(BronzeSpec),
    /// Cleaned and enriched rows.
    Silver {
        /// What is declared.
        spec: SilverSpec,
        /// The table that is read incrementally.
        from: TableName,
        /// The SQL over its changed rows.
        sql: Option<SqlText>,
    },
    /// Aggregates people read.
    Gold {
        /// What is declared.
        spec: GoldSpec,
        /// The query.
        sql: SqlText,
    },
}

/// The text of a `.sql` file.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SqlText {
    /// The file, relative to the project's folder.
    pub file: String,
    /// What is written in it.
    pub text: String,
}

impl Table {
    /// What the table holds, in a sentence.
    pub fn description(&self) -> &str {
        match &self.definition {
            Definition::Bronze(spec) => &spec.description,
            Definition::Silver { spec, .. } => &spec.description,
            Definition::Gold { spec, .. } => &spec.description,
        }
    }

    /// The SQL of the table, if it has any.
    pub fn sql(&self) -> Option<&SqlText> {
        match &self.definition {
            Definition::Bronze(_) => None,
            Definition::Silver { sql, .. } => sql.as_ref(),
            Definition::Gold { sql, .. } => Some(sql),
        }
    }

    /// Whether the table is a saved query only.
    pub fn is_view(&self) -> bool {
        matches!(&self.definition, Definition::Gold { spec, .. } if spec.materialized == Materialized::View)
    }

    /// The columns the table is partitioned by.
    pub fn partition_by(&self) -> &[String] {
        match &self.definition {
            Definition::Bronze(spec) => &spec.partition_by,
            Definition::Silver { spec, .. } => &spec.partition_by,
            Definition::Gold { spec, .. } => &spec.partition_by,
        }
    }

    /// What every row must fulfil.
    pub fn expectations(&self) -> &[quality::spec::ExpectationSpec] {
        match &self.definition {
            Definition::Bronze(spec) => &spec.expect,
            Definition::Silver { spec, .. } => &spec.expect,
            Definition::Gold { spec, .. } => &spec.expect,
        }
    }

    /// What the table as a whole must fulfil.
    pub fn checks(&self) -> &[quality::checks::spec::CheckSpec] {
        match &self.definition {
            Definition::Bronze(spec) => &spec.check,
            Definition::Silver { spec, .. } => &spec.check,
            Definition::Gold { spec, .. } => &spec.check,
        }
    }

    /// The columns that name a row, as far as the spec says.
    pub fn keys(&self) -> &[String] {
        match &self.definition {
            Definition::Bronze(_) => &[],
            Definition::Silver { spec, .. } => spec.keys(),
            Definition::Gold { spec, .. } => &spec.key,
        }
    }

    /// What is profiled of the rows.
    pub fn profile(&self) -> &quality::profile::spec::ProfileSpec {
        match &self.definition {
            Definition::Bronze(spec) => &spec.profile,
            Definition::Silver { spec, .. } => &spec.profile,
            Definition::Gold { spec, .. } => &spec.profile,
        }
    }

    /// Every table this one reads, system and quarantine tables included.
    pub fn reads(&self) -> &BTreeSet<TableName> {
        &self.reads
    }
}

impl Project {
    /// The table of that name; the name may leave out the pipeline if only one pipeline has such a table.
    ///
    /// # Errors
    /// [`stage::Kind::Config`] with the nearest known name.
    pub fn table(&self, name: &str) -> Result<&Table> {
        let short = format!(".{name}");
        let fits = |table: &&Table| {
            let full = table.name.to_string();
            full == name || (name.matches('.').count() == 1 && full.ends_with(&short))
        };
        let found: Vec<&Table> = self.tables.values().filter(fits).collect();
        match found.as_slice() {
            [table] => Ok(table),
            [] => {
                let known: Vec<String> = self.tables.keys().map(ToString::to_string).collect();
                let hint = hint(name, known.iter().map(String::as_str));
                Err(Error::config(format!("there is no table `{name}` in this project{hint}")))
            }
            several => {
                let names: Vec<String> = several.iter().map(|table| table.name.to_string()).collect();
                Err(Error::config(format!("`{name}` may be {}; write the full name", names.join(" or "))))
            }
        }
    }

    /// The workflow of that name, or of that key in a bundle.
    ///
    /// # Errors
    /// [`stage::Kind::Config`] with the nearest known name.
    pub fn workflow(&self, name: &str) -> Result<&Workflow> {
        let of_key = || self.workflows.get(self.job_keys.get(name)?);
        self.workflows.get(name).or_else(of_key).ok_or_else(|| {
            let hint = hint(name, self.workflows.keys().chain(self.job_keys.keys()).map(String::as_str));
            Error::config(format!("there is no workflow `{name}` in this project{hint}"))
        })
    }

    /// A text with the secrets in it that it refers to; call it when they are used.
    ///
    /// # Errors
    /// When a secret cannot be had.
    pub fn secret(&self, text: &str) -> Result<Secret> {
        reference::expose(text, &self.secrets)
    }

    /// How S3 is reached, with the secrets in it; call it when the lake is opened.
    ///
    /// # Errors
    /// When a secret cannot be had.
    pub fn s3(&self) -> Result<lake::S3Settings> {
        self.lake.s3(&self.secrets)
    }
}

/// The pipeline that names of two parts belong to outside of pipelines: the only one there is.
pub(crate) fn only_pipeline(project: &Project) -> &str {
    let mut pipelines = project.tables.keys().map(TableName::pipeline);
    match pipelines.next() {
        Some(only) if pipelines.all(|pipeline| pipeline == only) => only,
        // Names of two parts belong to no pipeline then; the planner says which parts are missing.
        _ => "pipeline",
    }
}

/// The files of the bundle in a project's folder, as far as they can be read, relative to the folder.
pub(crate) fn bundle_files(root: &Path) -> Vec<String> {
    bundle::Bundle::read(root, &mut Vec::new()).map(|bundle| bundle.files()).unwrap_or_default()
}

/// The folder of the project that `start` lies in: the nearest one upwards with a `medallion.toml`.
///
/// # Errors
/// [`stage::Kind::Config`] when there is none.
pub fn find_root(start: &Path) -> Result<PathBuf> {
    let absolute = std::path::absolute(start).map_err(|error| {
        Error::config(format!("could not look for a project in {}", start.display())).with_source(error)
    })?;
    let found = absolute.ancestors().find(|folder| folder.join(SETTINGS_FILE).is_file());
    found.map(Path::to_path_buf).ok_or_else(|| {
        Error::config(format!(
            "there is no {SETTINGS_FILE} in {} or above it; name the project's folder with --project, or make one with \
             `medallion new <folder>`",
            absolute.display()
        ))
    })
}
