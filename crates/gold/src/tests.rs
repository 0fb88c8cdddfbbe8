//! Whatever technique is chosen, the table holds what the whole query would give.

use std::collections::BTreeMap;
use std::sync::Arc;

use arrow::array::{ArrayRef, Int64Array, RecordBatch, StringViewArray};
use arrow::util::pretty::pretty_format_batches;
use lake::{Commit, Lake, Operation, Record, RollingWriter, S3Settings};
use proptest::prelude::*;
use sql::{Engine, EngineOptions};
use stage::{Context, Stage as _, TableName};

use crate::Gold;
use crate::spec::{GoldSpec, Refresh};

const QUERIES: [(&str, &str); 6] = [
    ("SELECT country, COUNT(*) AS n, SUM(amount) AS total FROM silver.orders GROUP BY country", "merge groups"),
    ("SELECT MIN(amount) AS least, MAX(amount) AS most, COUNT(amount) AS n FROM silver.orders", "merge groups"),
    (
        "SELECT r.region, SUM(o.amount) AS total FROM silver.orders o LEFT JOIN silver.regions r
            ON o.country = r.country WHERE o.amount <> 3 GROUP BY r.region",
        "merge groups",
    ),
    ("SELECT country, amount * 2 AS double FROM silver.orders WHERE amount > 0", "append"),
    ("SELECT country, AVG(amount) AS mean FROM silver.orders GROUP BY country", "refresh"),
    ("SELECT COUNT(DISTINCT country) AS n FROM silver.orders", "refresh"),
];

/// One change of the table that is read: rows that come, or all that is there from now on.
#[derive(Debug, Clone)]
struct Step {
    rows: Vec<(Option<u8>, Option<i64>)>,
    replaces: bool,
}

fn steps() -> impl Strategy<Value = Vec<Step>> {
    let row = (proptest::option::weighted(0.9, 0u8..4), proptest::option::weighted(0.9, -5i64..6));
    let step = (proptest::collection::vec(row, 0..12), proptest::bool::weighted(0.15));
    proptest::collection::vec(step.prop_map(|(rows, replaces)| Step { rows, replaces }), 1..5)
}

struct Shop {
    lake: Lake,
    engine: Engine,
    _folder: tempfile::TempDir,
}

fn name(text: &str) -> TableName {
    text.parse().unwrap()
}

impl Shop {
    async fn new() -> Shop {
        let folder = tempfile::tempdir().unwrap();
        let lake = Lake::new(folder.path().to_str().unwrap(), &S3Settings::default()).unwrap();
        let options = EngineOptions { memory_bytes: 64 << 20, spill_folder: None, threads: 2 };
        let shop = Shop { lake, engine: Engine::new(options).unwrap(), _folder: folder };
        let regions: Vec<ArrayRef> = vec![
            Arc::new(StringViewArray::from(vec!["c0", "c1", "c2"])),
            Arc::new(StringViewArray::from(vec!["north", "south", "north"])),
        ];
        shop.commit("shop.silver.regions", &["country", "region"], regions, Operation::Append).await;
        shop
    }

    async fn take(&self, step: &Step) {
        let countries: StringViewArray =
            step.rows.iter().map(|(country, _)| country.map(|country| format!("c{country}"))).collect();
        let amounts: Int64Array = step.rows.iter().map(|(_, amount)| *amount).collect();
        let operation = if step.replaces { Operation::Overwrite } else { Operation::Append };
        let columns: Vec<ArrayRef> = vec![Arc::new(countries), Arc::new(amounts)];
        self.commit("shop.silver.orders", &["country", "amount"], columns, operation).await;
    }

    async fn commit(&self, table: &str, names: &[&str], columns: Vec<ArrayRef>, operation: Operation) {
        let columns = names.iter().zip(columns).map(|(name, column)| (*name, column, true));
        let rows = RecordBatch::try_from_iter_with_nullable(columns).unwrap();
        let mut table = self.lake.open(&name(table)).await.unwrap();
        let mut writer = RollingWriter::new(table.staging(), &[]);
        writer.write(&rows).await.unwrap();
        let commit = Commit {
            operation,
            schema: rows.schema(),
            partition_by: Vec::new(),
            properties: BTreeMap::new(),
            add: writer.close().await.unwrap(),
            remove: Vec::new(),
            range: None,
            record: Record::default(),
        };
        table.commit(commit).await.unwrap();
    }

    /// Brings the gold table up to date; returns its rows in order, and what was done last.
    async fn refreshed(&self, table: &str, query: &str, refresh: Refresh) -> (String, String) {
        let name = name(table);
        let spec = GoldSpec { refresh, ..GoldSpec::default() };
        let mut gold = Gold::new(name.clone(), spec, query.to_owned(), self.lake.clone(), self.engine.clone());
        gold.advance(&Context::new("run")).await.unwrap();
        let table = self.lake.open(&name).await.unwrap();
        let session = self.engine.session("shop");
        let tables = BTreeMap::from([(name.clone(), table.provider().await.unwrap())]);
        let columns = table.schema().map_or(0, |schema| schema.fields().len());
        let order: Vec<String> = (1..=columns).map(|column| column.to_string()).collect();
        let all = format!("SELECT * FROM {}.{} ORDER BY {}", name.layer(), name.table(), order.join(", "));
        let plan = sql::plan(&session, "shop", &all, &tables).await.unwrap();
        let rows = sql::collect(&session, plan).await.unwrap();
        let action = table.record().map(|(_, record)| record.action.clone()).unwrap_or_default();
        (pretty_format_batches(&rows).unwrap().to_string(), action)
    }
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 12, ..ProptestConfig::default() })]

    #[test]
    fn a_refreshed_table_holds_what_the_whole_query_gives(steps in steps()) {
        let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(2).build().unwrap();
        runtime.block_on(async {
            let shop = Shop::new().await;
            for step in &steps {
                shop.take(step).await;
                for (index, (query, _)) in QUERIES.iter().enumerate() {
                    let (found, _) = shop.refreshed(&format!("shop.gold.auto{index}"), query, Refresh::Auto).await;
                    let (expected, _) = shop.refreshed(&format!("shop.gold.full{index}"), query, Refresh::Full).await;
                    assert_eq!(found, expected, "{query}");
                }
            }
        });
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_cheapest_technique_that_is_right_is_taken() {
    let shop = Shop::new().await;
    let step = |replaces| Step { rows: vec![(Some(1), Some(2)), (None, Some(4))], replaces };
    for (expected_first, step) in [(true, step(false)), (false, step(false))] {
        shop.take(&step).await;
        for (index, (query, action)) in QUERIES.iter().enumerate() {
            let (_, done) = shop.refreshed(&format!("shop.gold.auto{index}"), query, Refresh::Auto).await;
            assert_eq!(done, if expected_first { "refresh" } else { *action }, "{query}");
        }
    }
    shop.take(&step(true)).await;
    let (_, done) = shop.refreshed("shop.gold.auto0", QUERIES[0].0, Refresh::Auto).await;
    assert_eq!(done, "refresh", "rows that were read are gone");
}
