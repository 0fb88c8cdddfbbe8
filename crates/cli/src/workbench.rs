//! An opened project: the lake, the engine, the run history, and stages made from specs.

use std::collections::{BTreeMap, BTreeSet};
use std::path::{Component, Path, PathBuf};

use bronze::kafka::KafkaSecrets;
#[cfg(feature = "kinesis")]
use bronze::kinesis::KinesisSecrets;
use bronze::messages::Sink;
use bronze::spec::{BronzeSpec, SourceSpec};
use bronze::{Bronze, BronzeReplay, Landing, Texts};
use futures::future::try_join_all;
use gold::Gold;
use lake::{Lake, S3Settings, ledger};
use quality::replay::Selection;
use quality::{Audit, Audited};
use silver::spec::SilverSpec;
use silver::{Silver, SilverReplay};
use sql::{Engine, EngineOptions};
use stage::{Error, Layer, Result, Stage, TableName};
use workflow::reference::Workspace;
use workflow::{Breakers, Built, History, Work, Workflow, Workshop};

use crate::project::{Definition, Project, SqlText, Table};
use crate::{memory, tasks};

/// The part of a project's memory that SQL may reserve. The rest is for decoding, keys, row groups being written, and
/// what libraries use without telling the pool.
const MEMORY_FOR_SQL: f64 = 0.5;
/// Where the run history lies, below the project's folder.
const HISTORY_FILE: &str = ".medallion/history.sqlite";

/// An opened project. Clones share the engine and the circuit breakers.
#[derive(Clone)]
pub struct Workbench {
    /// The project.
    pub project: Project,
    /// Its lake.
    pub lake: Lake,
    /// The engine of all queries.
    pub engine: Engine,
    s3: S3Settings,
    breakers: Breakers,
}

impl Workbench {
    /// Opens the lake and the engine of a project. Nothing is read or written yet.
    ///
    /// # Errors
    /// When a secret cannot be had or the lake's location cannot be understood.
    pub fn open(project: Project) -> Result<Workbench> {
        let memory_bytes = (project.memory_bytes as f64 * MEMORY_FOR_SQL) as usize;
        let engine = Engine::new(EngineOptions { memory_bytes, spill_folder: None, threads: project.threads })?;
        memory::watch(project.memory_bytes);
        Workbench::with_engine(project, engine)
    }

    /// Opens the lake of a project for an engine that is there already.
    ///
    /// # Errors
    /// As [`Workbench::open`].
    pub fn with_engine(project: Project, engine: Engine) -> Result<Workbench> {
        let s3 = project.s3()?;
        let lake = Lake::new(&project.lake.path, &s3)?;
        let storage = lake.storage();
        engine.runtime().register_object_store(&storage.root_url(), storage.root.clone());
        Ok(Workbench { project, lake, engine, s3, breakers: Breakers::default() })
    }

    /// The same with the circuit breakers of an earlier one, which know what fails.
    pub(crate) fn with_breakers(self, breakers: Breakers) -> Workbench {
        Workbench { breakers, ..self }
    }

    /// The query of a saved view; `None` for every other table.
    pub fn view(&self, name: &TableName) -> Option<&str> {
        let table = self.project.tables.get(name).filter(|table| table.is_view())?;
        table.sql().map(|sql| sql.text.as_str())
    }

    /// The tables that read this one.
    pub fn readers_of(&self, name: &TableName) -> Vec<TableName> {
        let readers = self.project.tables.values().filter(|table| table.reads().contains(name));
        readers.map(|table| table.name.clone()).collect()
    }

    /// The run history of the project.
    ///
    /// # Errors
    /// When the file cannot be opened or created.
    pub fn history(&self) -> Result<History> {
        History::open(&self.history_path())
    }

    /// Where runs take place, for references in workflows.
    pub fn workspace(&self) -> Workspace {
        Workspace { id: self.project.name.clone(), url: String::new() }
    }

    /// Where the run history lies.
    pub fn history_path(&self) -> PathBuf {
        history_path(&self.project.root)
    }

    /// Rolls the system tables of these tables' pipelines forward.
    ///
    /// # Errors
    /// When the storage fails; the next call finishes it then.
    pub async fn roll_system(&self, tables: &BTreeSet<TableName>) -> Result<()> {
        let names: Vec<TableName> = tables.iter().cloned().collect();
        let pipelines: BTreeSet<&str> = names.iter().map(TableName::pipeline).collect();
        try_join_all(pipelines.into_iter().map(|pipeline| ledger::roll_system(&self.lake, pipeline, &names))).await?;
        Ok(())
    }

    /// The tables that a work brings up to date.
    pub fn tables_of(&self, work: &Work) -> BTreeSet<TableName> {
        self.project.tables.keys().filter(|name| work.writes(name)).cloned().collect()
    }

    /// The stage of a gold table; `None` for every other table.
    pub fn gold(&self, table: &Table) -> Option<Gold> {
        let Definition::Gold { spec, sql } = &table.definition else { return None };
        let (lake, engine) = (self.lake.clone(), self.engine.clone());
        Some(Gold::new(table.name.clone(), spec.clone(), sql.text.clone(), lake, engine))
    }

    /// The stages of a work, in waves.
    ///
    /// # Errors
    /// When a table is not there, or its secrets cannot be had.
    pub fn waves(&self, work: &Work) -> Result<Vec<Vec<Box<dyn Stage>>>> {
        match work {
            Work::Bronze(name) | Work::Silver(name) | Work::Gold(name) => Ok(vec![vec![self.stage(name)?]]),
            Work::Quality(name) => Ok(vec![vec![self.audit(name)?]]),
            Work::Pipeline { .. } => {
                let waves = self.waves_of(&self.tables_of(work));
                waves.iter().map(|wave| wave.iter().map(|name| self.stage(name)).collect()).collect()
            }
            Work::Optimize(_) | Work::Vacuum { .. } | Work::Sql { .. } | Work::Shell { .. } => {
                Err(Error::config(format!("`{work}` brings no table up to date")))
            }
        }
    }

    fn stage(&self, name: &TableName) -> Result<Box<dyn Stage>> {
        let table = self.table(name)?;
        let (lake, engine) = (self.lake.clone(), self.engine.clone());
        let name = name.clone();
        Ok(match &table.definition {
            Definition::Bronze(spec) => self.bronze(name, spec.clone())?,
            Definition::Silver { spec, from, sql } => Box::new(self.silver(name, spec, from, sql.as_ref())),
            Definition::Gold { spec, sql } => Box::new(Gold::new(name, spec.clone(), sql.text.clone(), lake, engine)),
        })
    }

    fn bronze(&self, name: TableName, spec: BronzeSpec) -> Result<Box<dyn Stage>> {
        let (lake, engine) = (self.lake.clone(), self.engine.clone());
        let Project { threads, memory_bytes, .. } = self.project;
        let secret = |text: &str| self.project.secret(text);
        Ok(match spec.source.clone() {
            SourceSpec::Files(files) => {
                let source = source_name(&self.project, &files.path);
                Box::new(Bronze::new(name, spec, source, lake, self.s3.clone(), engine, threads))
            }
            SourceSpec::Kafka(kafka) => {
                let secrets = KafkaSecrets::read(&kafka, secret)?;
                bronze::kafka::stage(kafka, secrets, Sink { name, spec, lake, engine, threads, memory_bytes })
            }
            #[cfg(feature = "kinesis")]
            SourceSpec::Kinesis(kinesis) => {
                let secrets = KinesisSecrets::read(&kinesis, secret)?;
                bronze::kinesis::stage(kinesis, secrets, Sink { name, spec, lake, engine, threads, memory_bytes })
            }
            // `check` says so at its place; nothing runs before it.
            #[cfg(not(feature = "kinesis"))]
            SourceSpec::Kinesis(_) => return Err(Error::config(bronze::kinesis::NEEDS_FEATURE)),
        })
    }

    fn silver(&self, name: TableName, spec: &SilverSpec, from: &TableName, sql: Option<&SqlText>) -> Silver {
        let sql = sql.map(|sql| sql.text.clone());
        let memory_bytes = usize::try_from(self.project.memory_bytes).unwrap_or(usize::MAX);
        Silver::new(name, from.clone(), spec.clone(), sql, self.lake.clone(), self.engine.clone(), memory_bytes)
    }

    /// The stage that looks again at rows of a table that are in quarantine.
    ///
    /// # Errors
    /// [`stage::Kind::Config`] for a table whose rows are not read one by one.
    pub fn replay(&self, name: &TableName, selection: Selection) -> Result<Box<dyn Stage>> {
        match &self.table(name)?.definition {
            Definition::Bronze(spec) => {
                let (texts, spec) = (self.texts(spec)?, spec.clone());
                let (lake, engine) = (self.lake.clone(), self.engine.clone());
                Ok(Box::new(BronzeReplay::new(name.clone(), spec, texts, selection, lake, engine)))
            }
            Definition::Silver { spec, from, sql } => {
                let silver = self.silver(name.clone(), spec, from, sql.as_ref());
                Ok(Box::new(SilverReplay::new(silver, selection)))
            }
            Definition::Gold { .. } => Err(Error::config(format!("{name} is made anew by its query"))),
        }
    }

    /// How text of a source that was refused is decoded again.
    fn texts(&self, spec: &BronzeSpec) -> Result<Texts> {
        Ok(match &spec.source {
            SourceSpec::Files(files) => {
                let source = source_name(&self.project, &files.path);
                Texts::Files(Box::new(Landing::open(files, &source, &self.s3)?))
            }
            SourceSpec::Kafka(kafka) => {
                let secrets = KafkaSecrets::read(kafka, |text| self.project.secret(text))?;
                Texts::Messages(bronze::kafka::replay(kafka, &secrets)?)
            }
            SourceSpec::Kinesis(_) => Texts::Unknown("records of Kinesis that did not decode cannot be replayed yet"),
        })
    }

    fn audit(&self, name: &TableName) -> Result<Box<dyn Stage>> {
        let table = self.table(name)?;
        let audited = Audited {
            expectations: table.expectations().to_vec(),
            checks: table.checks().to_vec(),
            keys: table.keys().to_vec(),
        };
        Ok(Box::new(Audit::new(name.clone(), audited, self.lake.clone(), self.engine.clone())))
    }

    fn table(&self, name: &TableName) -> Result<&Table> {
        let found = self.project.tables.get(name);
        found.ok_or_else(|| Error::config(format!("there is no table `{name}` in this project")))
    }

    /// The tables of a pipeline in waves: those of a wave only read tables of earlier ones.
    fn waves_of(&self, tables: &BTreeSet<TableName>) -> Vec<Vec<TableName>> {
        let mut waves: Vec<Vec<TableName>> = Vec::new();
        let mut depth: BTreeMap<&TableName, usize> = BTreeMap::new();
        for name in self.project.order().into_iter().filter(|name| tables.contains(*name)) {
            let upstreams = self.project.upstreams(name);
            let below = upstreams.iter().filter_map(|upstream| depth.get(*upstream)).map(|depth| depth + 1).max();
            let wave = below.unwrap_or(0);
            depth.insert(name, wave);
            waves.resize_with(waves.len().max(wave + 1), Vec::new);
            waves[wave].push(name.clone());
        }
        waves
    }
}

impl Workshop for Workbench {
    fn build(&self, work: &Work) -> Result<Built> {
        match tasks::action(self, work) {
            Some(action) => Ok(Built::Action(action)),
            None => self.waves(work).map(Built::Waves),
        }
    }

    fn workflow(&self, name: &str) -> Result<Workflow> {
        self.project.workflow(name).cloned()
    }

    fn breakers(&self) -> Option<&Breakers> {
        Some(&self.breakers)
    }
}

/// Where the run history of the project in a folder lies.
pub(crate) fn history_path(root: &Path) -> PathBuf {
    root.join(HISTORY_FILE)
}

/// The name of a file source: its location, or for a folder inside the project, the project's name and the folder in it.
/// So a project that is moved or copied as a whole goes on where it stood.
fn source_name(project: &Project, path: &str) -> String {
    match Path::new(path).strip_prefix(&project.root) {
        Ok(inside) => {
            let parts: Vec<_> = inside.components().filter(|part| *part != Component::CurDir).collect();
            let inside: PathBuf = parts.into_iter().collect();
            format!("{}/{}", project.name, inside.display())
        }
        Err(_) => path.trim_end_matches('/').to_owned(),
    }
}

/// The layer a stage command is for, checked against the table's.
///
/// # Errors
/// [`stage::Kind::Config`] when the table is in another layer.
pub fn expect_layer(name: &TableName, layer: Layer) -> Result<()> {
    match name.layer() {
        found if found == layer => Ok(()),
        found => Err(Error::config(format!("{name} is a {found} table; run `medallion {found} {name}`"))),
    }
}
