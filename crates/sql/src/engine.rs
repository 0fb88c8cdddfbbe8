//! One engine per process: every query shares its memory, its spill folder and its functions.
//!
//! Building a session from nothing registers some 300 functions and costs milliseconds. The engine does that once and
//! hands out clones with an empty catalog of their own, so a session per query costs microseconds and queries cannot
//! see each other's tables.
//!
//! Memory is a pool that is open to anyone at first and fair when it runs short; see [`crate::pool`].

use std::fmt;
use std::num::NonZeroUsize;
use std::path::PathBuf;
use std::sync::Arc;

use datafusion::catalog::MemoryCatalogProviderList;
use datafusion::execution::SessionStateBuilder;
use datafusion::execution::disk_manager::{DiskManagerBuilder, DiskManagerMode};
use datafusion::execution::memory_pool::TrackConsumersPool;
use datafusion::execution::runtime_env::{RuntimeEnv, RuntimeEnvBuilder};
use datafusion::execution::session_state::SessionState;
use datafusion::prelude::{SessionConfig, SessionContext};
use stage::{Error, Result};

use crate::pool::SharedPool;
use crate::{functions, optimizer};

/// Rows per batch in flight.
const BATCH_ROWS: usize = 8192;

/// How many of the largest consumers an error about memory names.
const NAMED_CONSUMERS: NonZeroUsize = NonZeroUsize::MIN.saturating_add(2);

/// What an engine may use.
#[derive(Debug, Clone)]
pub struct EngineOptions {
    /// Memory for the state of all queries together, in bytes.
    pub memory_bytes: usize,
    /// Where operators spill; the temporary folder of the system when `None`. Created when it is missing.
    pub spill_folder: Option<PathBuf>,
    /// Partitions a query is executed in; at least one.
    pub threads: usize,
}

/// The SQL engine of a process. Cheap to clone; all clones share memory and spill folder.
#[derive(Clone)]
pub struct Engine {
    template: Arc<SessionState>,
    memory_bytes: usize,
}

impl Engine {
    /// An engine within the given bounds.
    ///
    /// # Errors
    /// [`stage::Kind::Unavailable`] when the spill folder cannot be created.
    pub fn new(options: EngineOptions) -> Result<Self> {
        let runtime = runtime(&options)?;
        let mut state = SessionStateBuilder::new_with_default_features()
            .with_config(config(&options))
            .with_runtime_env(runtime)
            .with_optimizer_rules(optimizer::rules())
            .with_physical_optimizer_rules(optimizer::physical_rules())
            .build();
        functions::register(&mut state)
            .map_err(|error| Error::bug("could not register a function").with_source(error))?;
        Ok(Engine { template: Arc::new(state), memory_bytes: options.memory_bytes })
    }

    /// A fresh session for one query of the given pipeline, without tables. Names of two parts are of that pipeline.
    pub fn session(&self, pipeline: &str) -> SessionContext {
        let mut state = self.template.as_ref().clone();
        state.register_catalog_list(Arc::new(MemoryCatalogProviderList::new()));
        state.config_mut().options_mut().catalog.default_catalog = pipeline.to_owned();
        SessionContext::new_with_state(state)
    }

    /// Memory for the state of all queries together, in bytes.
    pub fn memory_bytes(&self) -> usize {
        self.memory_bytes
    }

    /// Bytes that running queries have reserved right now.
    pub fn reserved_bytes(&self) -> usize {
        self.runtime().memory_pool.reserved()
    }

    /// Memory, spill folder and object stores that every session shares.
    pub fn runtime(&self) -> &Arc<RuntimeEnv> {
        self.template.runtime_env()
    }

    /// The state sessions are made from.
    pub(crate) fn state(&self) -> &SessionState {
        &self.template
    }
}

impl fmt::Debug for Engine {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.debug_struct("Engine").field("memory", &self.runtime().memory_pool).finish_non_exhaustive()
    }
}

fn runtime(options: &EngineOptions) -> Result<Arc<RuntimeEnv>> {
    let mode = match &options.spill_folder {
        None => DiskManagerMode::OsTmpDirectory,
        Some(folder) => {
            std::fs::create_dir_all(folder).map_err(|error| {
                Error::unavailable(format!("could not create the spill folder {}", folder.display())).with_source(error)
            })?;
            DiskManagerMode::Directories(vec![folder.clone()])
        }
    };
    // The disk is the limit of what is spilled; a second limit in bytes would only be one more thing to set.
    let disk = DiskManagerBuilder::default().with_mode(mode).with_max_temp_directory_size(u64::MAX);
    let pool = TrackConsumersPool::new(SharedPool::new(options.memory_bytes), NAMED_CONSUMERS);
    RuntimeEnvBuilder::new()
        .with_disk_manager_builder(disk)
        .with_memory_pool(Arc::new(pool))
        .build_arc()
        .map_err(crate::classify)
}

fn config(options: &EngineOptions) -> SessionConfig {
    let threads = options.threads.max(1);
    let mut config = SessionConfig::new()
        .with_target_partitions(threads)
        .with_batch_size(BATCH_ROWS)
        .with_information_schema(false)
        .with_create_default_catalog_and_schema(false)
        .with_collect_statistics(true);
    let settings = config.options_mut();
    settings.sql_parser.collect_spans = true;
    // Column names of Delta tables keep their case (`InvoiceNo`), so a name in SQL is taken as it is written.
    settings.sql_parser.enable_ident_normalization = false;
    settings.sql_parser.map_string_types_to_utf8view = true;
    settings.execution.parquet.schema_force_view_types = true;
    // Statistics, page indexes and bloom filters skip what a filter cannot match. Evaluating filters while decoding stays
    // off: it decodes filter columns apart from the others, which costs more than it saves unless few rows remain.
    settings.execution.parquet.pruning = true;
    settings.execution.parquet.pushdown_filters = false;
    // The bounds of a join's keys are not handed to the scan of its other side: a comparison of CAST(decimal AS BIGINT) would be
    // turned around to one of the decimal, which loses rows such as -0.5, whose key is 0.
    settings.optimizer.enable_join_dynamic_filter_pushdown = false;
    // Every sort sets this much aside for merging what it spilled. With little memory and many partitions the default
    // of 10 MB would leave nothing to sort in.
    let share = options.memory_bytes / (threads * 16);
    settings.execution.sort_spill_reservation_bytes = settings.execution.sort_spill_reservation_bytes.min(share);
    config
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::testing;

    #[test]
    fn sessions_do_not_see_each_others_tables() {
        let engine = testing::engine();
        let (first, second) = (engine.session("shop"), engine.session("shop"));
        let catalog = Arc::new(datafusion::catalog::MemoryCatalogProvider::new());
        first.register_catalog("shop", catalog);
        assert!(first.catalog("shop").is_some());
        assert!(second.catalog("shop").is_none());
    }

    #[test]
    fn the_spill_folder_is_created() {
        let folder = std::env::temp_dir().join(format!("medallion-spill-{}", std::process::id())).join("inner");
        let options = EngineOptions { memory_bytes: 1 << 20, spill_folder: Some(folder.clone()), threads: 1 };
        Engine::new(options).unwrap();
        assert!(folder.is_dir());
        std::fs::remove_dir_all(folder.parent().unwrap()).unwrap();
    }
}
