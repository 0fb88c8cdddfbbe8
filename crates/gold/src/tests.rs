//! Whatever technique is chosen, the table holds what the whole query would give. `PROPTEST_CASES` asks for more cases.

use std::collections::BTreeMap;
use std::sync::Arc;

use arrow::array::{ArrayRef, Decimal128Array, Int64Array, RecordBatch, StringViewArray};
use arrow::util::pretty::pretty_format_batches;
use lake::{Commit, Lake, Operation, Record, RollingWriter, S3Settings};
use proptest::prelude::*;
use sql::{Engine, EngineOptions};
use stage::{Context, Stage as _, TableName};

use crate::Gold;
use crate::spec::{GoldSpec, Refresh};

/// A query, and how it is brought up to date when rows came and when rows went.
const QUERIES: [(&str, &str, &str); 12] = [
    (
        "SELECT country, COUNT(*) AS n, SUM(amount) AS total FROM silver.orders GROUP BY country",
        "merge_groups",
        PARTITIONS,
    ),
    (
        "SELECT MIN(amount) AS least, MAX(amount) AS most, COUNT(amount) AS n FROM silver.orders",
        "merge_groups",
        "refresh",
    ),
    (
        "SELECT r.region, SUM(o.amount) AS total FROM silver.orders o LEFT JOIN silver.regions r
            ON o.country = r.country WHERE o.amount <> 3 GROUP BY r.region",
        "merge_groups",
        "refresh",
    ),
    ("SELECT country, amount * 2 AS double FROM silver.orders WHERE amount > 0", "append", PARTITIONS),
    ("SELECT country, AVG(amount) AS mean, AVG(price) AS price FROM silver.orders GROUP BY country", GROUPS, GROUPS),
    ("SELECT COUNT(DISTINCT buyer) AS n FROM silver.orders", GROUPS, GROUPS),
    (
        "SELECT country, COUNT(DISTINCT buyer) FILTER (WHERE amount > 0) AS buyers, COUNT(DISTINCT amount) AS amounts
            FROM silver.orders GROUP BY country HAVING COUNT(*) > 1",
        GROUPS,
        GROUPS,
    ),
    ("SELECT country, MEDIAN(amount) AS middle FROM silver.orders GROUP BY country", GROUPS, GROUPS),
    (
        "SELECT r.region, t.total, RANK() OVER (ORDER BY t.total, r.region) AS place FROM silver.regions r
            LEFT JOIN (SELECT country, SUM(amount) AS total FROM silver.orders GROUP BY country) t
            ON t.country = r.country",
        GROUPS,
        GROUPS,
    ),
    (
        "SELECT n, COUNT(*) AS buyers FROM (SELECT buyer, COUNT(*) AS n FROM silver.orders GROUP BY buyer) b GROUP BY n",
        GROUPS,
        GROUPS,
    ),
    ("SELECT DISTINCT country, buyer FROM silver.orders WHERE amount > -3", GROUPS, GROUPS),
    ("SELECT country, amount, now() AS at FROM silver.orders WHERE FALSE", "refresh", "refresh"),
];
const GROUPS: &str = "kept_groups";
const PARTITIONS: &str = "affected_partitions";

type Order = (Option<u8>, Option<i64>, u8);

/// One change of the tables that are read.
#[derive(Debug, Clone)]
enum Step {
    /// Orders come.
    Come(Vec<Order>),
    /// Those of one file are replaced by others.
    Change(usize, Vec<Order>),
    /// All are replaced.
    Replace(Vec<Order>),
    /// A country is in a region.
    Region(u8),
}

fn steps() -> impl Strategy<Value = Vec<Step>> {
    let row = (proptest::option::weighted(0.9, 0u8..4), proptest::option::weighted(0.9, -5i64..6), 0u8..5);
    let rows = proptest::collection::vec(row, 0..12).boxed();
    let step = prop_oneof![
        5 => rows.clone().prop_map(Step::Come),
        3 => (0usize..4, rows.clone()).prop_map(|(file, rows)| Step::Change(file, rows)),
        1 => rows.prop_map(Step::Replace),
        1 => (0u8..5).prop_map(Step::Region),
    ];
    proptest::collection::vec(step, 2..6)
}

/// A query made of parts that fit together in any way.
fn query() -> impl Strategy<Value = String> {
    let source = prop::sample::select(vec![
        "silver.orders o",
        "silver.orders o JOIN silver.regions r ON o.country = r.country",
        "silver.orders o LEFT JOIN silver.regions r ON o.country = r.country",
        "silver.regions r LEFT JOIN silver.orders o ON o.country = r.country",
        "(SELECT DISTINCT country, amount, buyer, price FROM silver.orders) o",
        "(SELECT * FROM silver.orders UNION ALL SELECT * FROM silver.orders WHERE amount > 1) o",
        "(SELECT country, buyer, MAX(amount) AS amount, SUM(price) AS price FROM silver.orders GROUP BY country, buyer) o",
        "silver.orders o JOIN (SELECT country, COUNT(*) AS n FROM silver.orders GROUP BY country) c
            ON o.country = c.country AND c.n > 1",
    ]);
    let filter = prop::sample::select(vec![
        "",
        " WHERE o.amount > -2",
        " WHERE o.amount > (SELECT MIN(amount) FROM silver.orders)",
        " WHERE o.country IN (SELECT country FROM silver.regions)",
    ]);
    let group =
        prop::sample::subsequence(vec!["o.country", "o.amount % 3", "CAST(o.price AS BIGINT)", "o.buyer"], 0..=2);
    let aggregates = prop::sample::subsequence(
        vec![
            "COUNT(*)",
            "COUNT(o.amount) FILTER (WHERE o.amount > 0)",
            "SUM(o.amount)",
            "SUM(o.price)",
            "MIN(o.buyer)",
            "MAX(o.price)",
            "AVG(o.amount)",
            "AVG(o.price)",
            "COUNT(DISTINCT o.buyer)",
            "COUNT(DISTINCT o.amount)",
            "COUNT(DISTINCT CASE WHEN o.amount > 0 THEN o.buyer END)",
            "ROUND(100.0 * COUNT(DISTINCT o.buyer) / NULLIF(COUNT(*), 0), 2)",
            "MEDIAN(o.amount)",
            "BOOL_OR(o.amount > 2)",
            "SUM(o.amount - (SELECT MIN(amount) FROM silver.orders))",
            "MAX(o.amount + (SELECT COUNT(*) FROM silver.regions))",
        ],
        1..=4,
    );
    let top = prop::sample::select(vec!["", " HAVING COUNT(*) > 1"]);
    (source, filter, group, aggregates, top).prop_map(|(source, filter, group, aggregates, top)| {
        let columns = group.iter().enumerate().map(|(place, group)| format!("{group} AS g{place}"));
        let values = aggregates.iter().enumerate().map(|(place, value)| format!("{value} AS a{place}"));
        let columns: Vec<String> = columns.chain(values).collect();
        let groups = if group.is_empty() { String::new() } else { format!(" GROUP BY {}", group.join(", ")) };
        format!("SELECT {} FROM {source}{filter}{groups}{top}", columns.join(", "))
    })
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
        let known = regions(&[("c0", "north"), ("c1", "south"), ("c2", "north")]);
        shop.commit("shop.silver.regions", known, Operation::Append, Files::None).await;
        shop.take(&Step::Come(Vec::new())).await;
        shop
    }

    async fn take(&self, step: &Step) {
        match step {
            Step::Come(rows) => self.commit("shop.silver.orders", orders(rows), Operation::Append, Files::None).await,
            Step::Change(file, rows) => {
                self.commit("shop.silver.orders", orders(rows), Operation::Rewrite, Files::One(*file)).await;
            }
            Step::Replace(rows) => {
                self.commit("shop.silver.orders", orders(rows), Operation::Overwrite, Files::None).await;
            }
            Step::Region(country) => {
                let rows = regions(&[(&format!("c{country}"), "south")]);
                self.commit("shop.silver.regions", rows, Operation::Append, Files::None).await;
            }
        }
    }

    async fn commit(&self, table: &str, rows: RecordBatch, operation: Operation, files: Files) {
        let mut table = self.lake.open(&name(table)).await.unwrap();
        let mut writer = RollingWriter::new(table.staging(), &[]);
        writer.write(&rows).await.unwrap();
        let remove = match files {
            Files::None => Vec::new(),
            Files::One(_) if table.version().is_none() => Vec::new(),
            Files::One(place) => {
                let files = table.files().await.unwrap();
                let place = place % files.len().max(1);
                files.into_iter().skip(place).take(1).collect()
            }
        };
        let commit = Commit {
            operation,
            schema: rows.schema(),
            partition_by: Vec::new(),
            properties: BTreeMap::new(),
            add: writer.close().await.unwrap(),
            remove,
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

enum Files {
    None,
    One(usize),
}

fn orders(rows: &[Order]) -> RecordBatch {
    let countries: StringViewArray =
        rows.iter().map(|(country, ..)| country.map(|country| format!("c{country}"))).collect();
    let amounts: Int64Array = rows.iter().map(|(_, amount, _)| *amount).collect();
    let buyers: StringViewArray = rows.iter().map(|(.., buyer)| Some(format!("b{buyer}"))).collect();
    let prices: Decimal128Array =
        rows.iter().map(|(_, amount, buyer)| amount.map(|it| i128::from(it * 100 + i64::from(*buyer)))).collect();
    let prices = prices.with_precision_and_scale(10, 2).unwrap();
    let columns: [(&str, ArrayRef); 4] = [
        ("country", Arc::new(countries)),
        ("amount", Arc::new(amounts)),
        ("buyer", Arc::new(buyers)),
        ("price", Arc::new(prices)),
    ];
    RecordBatch::try_from_iter_with_nullable(columns.map(|(name, column)| (name, column, true))).unwrap()
}

fn regions(rows: &[(&str, &str)]) -> RecordBatch {
    let column = |values: Vec<&str>| Arc::new(StringViewArray::from(values)) as ArrayRef;
    let columns = [
        ("country", column(rows.iter().map(|(country, _)| *country).collect()), true),
        ("region", column(rows.iter().map(|(_, region)| *region).collect()), true),
    ];
    RecordBatch::try_from_iter_with_nullable(columns).unwrap()
}

fn cases() -> u32 {
    std::env::var("PROPTEST_CASES").map_or(6, |cases| cases.parse().unwrap())
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(cases()))]

    #[test]
    fn a_refreshed_table_holds_what_the_whole_query_gives(
        steps in steps(),
        made_up in proptest::collection::vec(query(), 6),
    ) {
        let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(2).build().unwrap();
        runtime.block_on(async {
            let shop = Shop::new().await;
            let known = QUERIES.iter().map(|(query, ..)| (*query).to_owned());
            let queries: Vec<String> = known.chain(made_up).collect();
            for step in &steps {
                shop.take(step).await;
                for (index, query) in queries.iter().enumerate() {
                    let (found, done) = shop.refreshed(&format!("shop.gold.auto{index}"), query, Refresh::Auto).await;
                    let (expected, _) = shop.refreshed(&format!("shop.gold.full{index}"), query, Refresh::Full).await;
                    assert_eq!(found, expected, "{query}, by {done} after {step:?}");
                }
            }
        });
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_cheapest_technique_that_is_right_is_taken() {
    let shop = Shop::new().await;
    let rows = vec![(Some(1), Some(2), 1), (None, Some(4), 2)];
    for (round, step) in [Step::Come(rows.clone()), Step::Come(rows.clone()), Step::Change(0, rows)].iter().enumerate()
    {
        shop.take(step).await;
        for (index, (query, grown, changed)) in QUERIES.iter().enumerate() {
            let (_, done) = shop.refreshed(&format!("shop.gold.auto{index}"), query, Refresh::Auto).await;
            assert_eq!(done, ["refresh", *grown, *changed][round], "{query}");
        }
    }
}
