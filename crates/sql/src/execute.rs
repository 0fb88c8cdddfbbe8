//! Running plans: streams for data, batches for small results, text for people.

use arrow::array::RecordBatch;
use datafusion::execution::SendableRecordBatchStream;
use datafusion::logical_expr::LogicalPlan;
use datafusion::physical_plan::{displayable, execute_stream_partitioned};
use datafusion::prelude::SessionContext;
use stage::Result;

use crate::classify;

/// Runs the plan as one stream per partition, within the memory of the engine. The work happens as the streams are
/// polled, so each should have a task of its own; dropping them stops it. A query with ORDER BY has one partition.
///
/// Errors inside the streams are for [`classify`].
///
/// # Errors
/// What [`classify`] makes of a plan that cannot be optimised or begun.
pub async fn execute(session: &SessionContext, plan: LogicalPlan) -> Result<Vec<SendableRecordBatchStream>> {
    let state = session.state();
    let physical = state.create_physical_plan(&plan).await.map_err(classify)?;
    execute_stream_partitioned(physical, state.task_ctx()).map_err(classify)
}

/// Runs the plan and keeps its whole result in memory; for results known to be small.
///
/// # Errors
/// What [`classify`] makes of the failure.
pub async fn collect(session: &SessionContext, plan: LogicalPlan) -> Result<Vec<RecordBatch>> {
    let state = session.state();
    let physical = state.create_physical_plan(&plan).await.map_err(classify)?;
    datafusion::physical_plan::collect(physical, state.task_ctx()).await.map_err(classify)
}

/// How the plan would run: the steps of the optimised plan, and of its execution. Nothing is read.
///
/// # Errors
/// What [`classify`] makes of a plan that cannot be optimised.
pub async fn explain(session: &SessionContext, plan: LogicalPlan) -> Result<String> {
    let state = session.state();
    let optimised = state.optimize(&plan).map_err(classify)?;
    let physical = state.create_physical_plan(&plan).await.map_err(classify)?;
    Ok(format!("{}\n\n{}", optimised.display_indent(), displayable(physical.as_ref()).indent(false)))
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use arrow::array::{Array, Float64Array, Int64Array};
    use datafusion::physical_plan::ExecutionPlan;
    use futures::TryStreamExt;

    use super::*;
    use crate::{Engine, EngineOptions, testing};

    async fn rows(engine: &Engine, sql: &str) -> Result<Vec<RecordBatch>> {
        let session = engine.session("shop");
        let plan = crate::plan(&session, "shop", sql, &testing::tables()).await?;
        collect(&session, plan).await
    }

    fn long(rows: &[RecordBatch]) -> i64 {
        let filled = rows.iter().find(|batch| batch.num_rows() > 0).unwrap();
        filled.column(0).as_any().downcast_ref::<Int64Array>().unwrap().value(0)
    }

    /// The first number of the result, and how often operators spilled for it.
    async fn counted(engine: &Engine, sql: &str) -> (i64, usize) {
        let session = engine.session("shop");
        let plan = crate::plan(&session, "shop", sql, &testing::tables()).await.unwrap();
        let physical = session.state().create_physical_plan(&plan).await.unwrap();
        let rows = datafusion::physical_plan::collect(Arc::clone(&physical), session.task_ctx()).await.unwrap();
        (long(&rows), spills(&physical))
    }

    fn spills(plan: &Arc<dyn ExecutionPlan>) -> usize {
        let own = plan.metrics().and_then(|metrics| metrics.spill_count()).unwrap_or(0);
        own + plan.children().into_iter().map(spills).sum::<usize>()
    }

    #[tokio::test]
    async fn a_query_runs_as_streams() {
        let engine = testing::engine();
        let session = engine.session("shop");
        let plan = crate::plan(&session, "shop", "SELECT id FROM bronze.events", &testing::tables()).await.unwrap();
        let mut found = 0;
        for stream in execute(&session, plan).await.unwrap() {
            found += stream.try_collect::<Vec<_>>().await.unwrap().iter().map(RecordBatch::num_rows).sum::<usize>();
        }
        assert_eq!(found, 3);
    }

    #[tokio::test]
    async fn our_functions_take_numbers_of_any_type() {
        let sql = "SELECT normal_cdf(0) AS half, two_proportion_z_test(189, 11034, 104, 11037) AS test,
            two_proportion_z_test(1, 0, 1, 2) IS NULL AS empty FROM bronze.events";
        let found = rows(&testing::engine(), sql).await.unwrap();
        let half = found[0].column(0).as_any().downcast_ref::<Float64Array>().unwrap().value(0);
        assert!((half - 0.5).abs() < 1e-15);
        let picked = "SELECT CAST(round(test['z'] * 1000) AS BIGINT) AS z FROM
            (SELECT two_proportion_z_test(189, 11034, 104, 11037) AS test FROM bronze.events) t";
        assert_eq!(long(&rows(&testing::engine(), picked).await.unwrap()), 5001);
        assert!(found[0].column(2).null_count() == 0 && found[0].num_rows() == 3);
    }

    #[tokio::test(flavor = "multi_thread", worker_threads = 2)]
    async fn concurrent_queries_stay_within_the_memory_by_spilling() {
        let engine = Engine::new(EngineOptions { memory_bytes: 12 << 20, spill_folder: None, threads: 2 }).unwrap();
        let sql = "SELECT count(*) AS n FROM (SELECT value, count(*) AS c FROM
            (SELECT concat('a rather long key of some bytes ', value) AS value FROM generate_series(1, 200000) AS s) t
            GROUP BY value) g";
        let (first, second) = tokio::join!(counted(&engine, sql), counted(&engine, sql));
        assert_eq!((first.0, second.0), (200_000, 200_000));
        assert!(first.1 > 0 && second.1 > 0, "{first:?} {second:?}");
        assert_eq!(engine.reserved_bytes(), 0);
    }

    #[tokio::test]
    async fn what_cannot_spill_says_what_to_raise() {
        let engine = Engine::new(EngineOptions { memory_bytes: 1 << 20, spill_folder: None, threads: 1 }).unwrap();
        let sql = "SELECT count(*) AS n FROM (SELECT value AS a FROM generate_series(1, 300000) AS s) x
            JOIN (SELECT value AS b FROM generate_series(1, 300000) AS s) y ON x.a = y.b";
        let error = rows(&engine, sql).await.unwrap_err();
        assert_eq!(error.kind(), stage::Kind::Data);
        assert!(error.message().contains("raise `memory`"), "{}", error.chain());
    }

    #[tokio::test]
    async fn a_bad_value_is_the_data_s_fault() {
        let error =
            rows(&testing::engine(), "SELECT CAST(user_key AS BIGINT) AS n FROM bronze.events").await.unwrap_err();
        assert_eq!(error.kind(), stage::Kind::Data, "{}", error.chain());
    }

    #[tokio::test]
    async fn a_decimal_sum_beside_a_distinct_count_keeps_its_type() {
        let sql =
            "SELECT user_key, count(DISTINCT id) AS n, sum(CAST(id AS DECIMAL(14, 2))) AS total FROM bronze.events
            GROUP BY user_key";
        let session = testing::engine().session("shop");
        let plan = crate::plan(&session, "shop", sql, &testing::tables()).await.unwrap();
        let promised = crate::output_schema(&plan);
        let delivered = collect(&session, plan).await.unwrap();
        assert_eq!(delivered[0].schema().field(2).data_type(), promised.field(2).data_type());
    }

    #[tokio::test]
    async fn counts_beside_a_distinct_count_stay_right() {
        let sql =
            "SELECT user_key, count(*) AS rows, count(amount) AS amounts, count(DISTINCT CAST(id AS VARCHAR)) AS ids
            FROM bronze.events GROUP BY user_key ORDER BY user_key";
        let plain = "SELECT user_key, count(*) AS rows, count(amount) AS amounts,
            CAST(array_length(array_agg(DISTINCT id)) AS BIGINT) AS ids
            FROM bronze.events GROUP BY user_key ORDER BY user_key";
        let engine = testing::engine();
        let print = |rows: Vec<RecordBatch>| arrow::util::pretty::pretty_format_batches(&rows).unwrap().to_string();
        assert_eq!(print(rows(&engine, sql).await.unwrap()), print(rows(&engine, plain).await.unwrap()));
    }

    #[tokio::test]
    async fn explaining_shows_both_plans() {
        let session = testing::engine().session("shop");
        let sql = "SELECT id FROM bronze.events WHERE amount > 10";
        let plan = crate::plan(&session, "shop", sql, &testing::tables()).await.unwrap();
        let text = explain(&session, plan).await.unwrap();
        assert!(text.contains("TableScan: shop.bronze.events") && text.contains("FilterExec"), "{text}");
    }
}
