//! However its input is cut into batches, a pipeline ends with the same tables: a stream gives what one run gives.
//!
//! Look-ups are fixed and no row comes late, as each row that is merged is newer than those before it. What tells of the
//! cuts is left out, such as batch numbers; everything else is compared, quarantine included.
//! `PROPTEST_CASES` asks for more cases.

use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;
use std::time::Duration;

use ::stage::{Context, Layer, Result, Stage, TableName};
use arrow::json::LineDelimitedWriter;
use chrono::{DateTime, Utc};
use lake::maintenance::{VacuumSettings, clean_log, compact, slowest_reader, vacuum};
use proptest::collection::vec;
use proptest::option::weighted;
use proptest::prelude::*;
use serde_json::Value;
use workflow::Work;

use crate::Workbench;
use crate::project::{LoadOptions, load};

const CASES: u32 = 30;
/// The time of all batches, after 1970.
const NOW: Duration = Duration::from_secs(70 * 365 * 24 * 60 * 60);
const SETTINGS: &str = "[project]\nname = \"cuts\"\nmemory = \"256MB\"\nthreads = 2\n[lake]\npath = \"./lake\"\n";
const BRONZE: &str = "[source.files]\npath = \"./landing/orders\"\nformat = \"ndjson\"\n\
    [schema]\nid = \"long\"\ncustomer = \"string\"\namount = \"long\"\nat = \"long\"\nday = \"string\"\ngone = \"boolean\"\n\
    [[expect]]\nname = \"is_amount\"\nexpect = \"amount IS NULL OR amount >= 0\"\n";
const REGIONS: &str = "[source.files]\npath = \"./landing/regions\"\nformat = \"csv\"\n";
const CLEAN: &str = "[clean]\ntrim = [\"customer\"]\ncast = { day = \"date\" }\ndrop = [\"_ingested_at\", \"_batch\"]\n\
    [[expect]]\nname = \"has_customer\"\nnot_null = [\"customer\"]\n";

/// The name of a silver table, how rows enter it, and its query if it has one.
type SilverTable = (&'static str, &'static str, Option<&'static str>);

/// Each way to write a silver table.
const SILVER: [SilverTable; 6] = [
    ("appended", "write = \"append\"", None),
    // Which of several rows with one key stays is not promised, so all columns follow from the key.
    (
        "unique",
        "write = { unique_key = [\"id\", \"customer\"] }",
        Some(
            "SELECT o.id, o.customer, o.id * 2 AS amount, r.region FROM bronze.orders o \
              LEFT JOIN bronze.regions r ON o.customer = r.customer",
        ),
    ),
    (
        "merged",
        "write = { merge = { keys = [\"customer\"], sequence_by = \"at\", delete_when = \"gone\" } }",
        Some("SELECT customer, amount, at, gone, day FROM bronze.orders"),
    ),
    (
        "filled",
        "write = { merge = { keys = [\"customer\"], sequence_by = [\"at\", \"id\"], delete_when = \"gone\", truncate_when = \"amount = 8\", ignore_null_updates = true } }",
        Some("SELECT customer, id, amount, at, gone, day FROM bronze.orders"),
    ),
    (
        "history",
        "write = { scd2 = { keys = [\"customer\"], sequence_by = \"at\", track = [\"amount\"], delete_when = \"gone\" } }",
        Some("SELECT customer, amount, at, gone, day FROM bronze.orders"),
    ),
    (
        "overwritten",
        "write = \"overwrite\"",
        Some("SELECT customer, COUNT(*) AS orders, SUM(amount) AS amount FROM bronze.orders GROUP BY customer"),
    ),
];
/// The name of a gold table and its query, in which `{}` is a silver table.
type GoldTable = (&'static str, &'static str);

/// Groups that are put together, rows that are appended, a query that runs whole.
const GOLD: [GoldTable; 3] = [
    (
        "groups",
        "SELECT customer, COUNT(*) AS n, SUM(amount) AS total, MAX(amount) AS most FROM silver.{} GROUP BY customer",
    ),
    ("rows", "SELECT customer, amount + 1 AS more FROM silver.{} WHERE amount > 3"),
    ("whole", "SELECT COUNT(DISTINCT customer) AS customers, AVG(amount) AS mean FROM silver.{}"),
];

/// A line of a file.
#[derive(Debug, Clone)]
enum Line {
    Order {
        id: Option<u8>,
        customer: Option<u8>,
        amount: Option<i8>,
        day: u8,
        gone: bool,
        new_column: bool,
    },
    /// A value that is not of its column's type.
    Misfit,
    Broken,
}

/// One batch of a stream: what lands, which layers then look at it, and which table is looked after.
#[derive(Debug, Clone)]
struct Cut {
    files: Vec<Vec<Line>>,
    silver: bool,
    gold: bool,
    upkeep: Option<usize>,
    /// Whether the stream is started again afterwards.
    restarts: bool,
}

fn line() -> impl Strategy<Value = Line> {
    let order = (
        weighted(0.9, 0u8..8),
        weighted(0.9, 0u8..4),
        weighted(0.8, -1i8..9),
        0u8..20,
        proptest::bool::weighted(0.1),
        proptest::bool::weighted(0.1),
    );
    let order = order.prop_map(|(id, customer, amount, day, gone, new_column)| Line::Order {
        id,
        customer,
        amount,
        day,
        gone,
        new_column,
    });
    prop_oneof![20 => order, 1 => Just(Line::Misfit), 1 => Just(Line::Broken)]
}

fn cuts() -> impl Strategy<Value = Vec<Cut>> {
    let (files, upkeep, yes) = (vec(vec(line(), 0..10), 1..3), weighted(0.3, 0usize..3), proptest::bool::weighted);
    let cut = (files, yes(0.7), yes(0.7), upkeep, yes(0.2));
    let cut = cut.prop_map(|(files, silver, gold, upkeep, restarts)| Cut { files, silver, gold, upkeep, restarts });
    vec(cut, 1..5)
}

impl Line {
    /// The line as JSON. `at` counts lines, so that later ones are newer.
    fn text(&self, at: usize) -> String {
        let Line::Order { id, customer, amount, day, gone, new_column } = self else {
            let misfit = format!("{{\"id\":\"one\",\"customer\":\"c1\",\"at\":{at}}}\n");
            return if matches!(self, Line::Misfit) { misfit } else { format!("{{\"at\": {at}\n") };
        };
        let customer = customer.map(|customer| format!(" c{customer}"));
        let day = format!("2024-02-{:02}", day + 12);
        let mut order =
            serde_json::json!({ "id": id, "customer": customer, "amount": amount, "at": at, "day": day, "gone": gone });
        if *new_column {
            order["coupon"] = "SPRING".into();
        }
        format!("{order}\n")
    }
}

/// A project of one way to write silver, all that is read from it, and a lake of its own.
struct Shop {
    workbench: Workbench,
    /// Stages stay open as in a stream, and may remember what they have seen.
    stages: BTreeMap<TableName, Box<dyn Stage>>,
    silver: &'static str,
    gold: &'static str,
    folder: tempfile::TempDir,
}

impl Shop {
    async fn new((silver, write, sql): SilverTable, (gold, query): GoldTable) -> Shop {
        let folder = tempfile::tempdir().unwrap();
        let mut files: BTreeMap<String, String> = BTreeMap::from([
            ("medallion.toml".to_owned(), SETTINGS.to_owned()),
            ("landing/regions/1.csv".to_owned(), "customer,region\nc0,north\nc1,south\nc2,north\n".to_owned()),
            ("landing/orders/.keep".to_owned(), String::new()),
            ("pipelines/shop/bronze/orders.toml".to_owned(), BRONZE.to_owned()),
            ("pipelines/shop/bronze/regions.toml".to_owned(), REGIONS.to_owned()),
            (format!("pipelines/shop/silver/{silver}.toml"), format!("from = \"bronze.orders\"\n{write}\n{CLEAN}")),
        ]);
        files.extend(sql.map(|sql| (format!("pipelines/shop/silver/{silver}.sql"), sql.to_owned())));
        files.insert(format!("pipelines/shop/gold/{gold}.toml"), String::new());
        files.insert(format!("pipelines/shop/gold/{gold}.sql"), query.replace("{}", silver));
        files.iter().for_each(|(path, text)| write_file(&folder.path().join(path), text));
        let (project, findings) = load(folder.path(), &LoadOptions::default());
        assert!(findings.is_empty(), "{findings:?}");
        let workbench = Workbench::open(project.unwrap()).unwrap();
        let mut shop = Shop { workbench, stages: BTreeMap::new(), silver, gold, folder };
        shop.advance("bronze.regions").await;
        shop
    }

    fn name(&self, table: &str) -> TableName {
        format!("shop.{table}").parse().unwrap()
    }

    fn silver(&self) -> String {
        format!("silver.{}", self.silver)
    }

    fn gold(&self) -> String {
        format!("gold.{}", self.gold)
    }

    /// Brings a table up to date, as a stream does.
    async fn advance(&mut self, table: &str) {
        let name = self.name(table);
        let work = match name.layer() {
            Layer::Bronze => Work::Bronze(name.clone()),
            Layer::Silver => Work::Silver(name.clone()),
            _ => Work::Gold(name.clone()),
        };
        let open = || self.workbench.waves(&work).unwrap().remove(0).remove(0);
        let stage = self.stages.entry(name).or_insert_with(open);
        let context = Context { streaming: true, fixed_now: Some(DateTime::UNIX_EPOCH + NOW), ..Context::new("run") };
        while !stage.advance(&context).await.unwrap_or_else(|error| panic!("{}", error.chain())).idle {}
    }

    /// Puts small files together, and leaves nothing in place that nobody needs.
    async fn look_after(&self, table: &str) -> Result<()> {
        let (lake, name, now) = (&self.workbench.lake, self.name(table), Utc::now());
        if lake.open(&name).await?.version().is_none() {
            return Ok(());
        }
        compact(lake, &name, &self.workbench.project.maintenance.at_once(), now).await?;
        let keep_from = slowest_reader(lake, &name, &self.workbench.readers_of(&name)).await?;
        let settings = VacuumSettings { retention: Duration::ZERO, keep_from, dry_run: false };
        vacuum(lake, &name, &settings, now).await?;
        clean_log(lake, &name, Duration::ZERO, keep_from, now).await?;
        Ok(())
    }

    fn land(&self, number: usize, lines: &[Line], at: &mut usize) {
        let mut text = String::new();
        for line in lines {
            *at += 1;
            text.push_str(&line.text(*at));
        }
        write_file(&self.folder.path().join(format!("landing/orders/{number:03}.json")), &text);
    }

    /// Brings all tables up to date and returns what is in them.
    async fn finish(&mut self) -> Tables {
        self.advance("bronze.orders").await;
        self.advance(&self.silver()).await;
        self.advance(&self.gold()).await;
        let refused = format!("quarantine.silver_{}", self.silver);
        let bronze = ["bronze.orders", "quarantine.bronze_orders"].map(str::to_owned);
        let mut tables = BTreeMap::new();
        for table in bronze.into_iter().chain([self.silver(), self.gold(), refused]) {
            let rows = self.rows(&table).await;
            tables.insert(table, rows);
        }
        tables
    }

    async fn rows(&self, table: &str) -> Vec<String> {
        let opened = self.workbench.lake.open(&self.name(table)).await.unwrap();
        let Some(schema) = opened.schema() else { return Vec::new() };
        let tells_of_cuts = |name: &&str| ["_batch", "batch"].contains(name);
        let columns: BTreeSet<&str> =
            schema.fields().iter().map(|field| field.name().as_str()).filter(|name| !tells_of_cuts(name)).collect();
        let columns: Vec<String> = columns.iter().map(|name| format!("\"{name}\"")).collect();
        let session = self.workbench.engine.session("shop");
        let tables = BTreeMap::from([(self.name(table), opened.provider().await.unwrap())]);
        let text = format!("SELECT {} FROM {table}", columns.join(", "));
        let plan = sql::plan(&session, "shop", &text, &tables).await.unwrap();
        let mut writer = LineDelimitedWriter::new(Vec::new());
        sql::collect(&session, plan).await.unwrap().iter().for_each(|rows| writer.write(rows).unwrap());
        writer.finish().unwrap();
        let text = String::from_utf8(writer.into_inner()).unwrap();
        let mut rows: Vec<String> = text.lines().map(without_unknown_columns).collect();
        rows.sort();
        rows
    }
}

/// A refused row shows the columns that the table had by then; those without a value are taken away.
fn without_unknown_columns(line: &str) -> String {
    let mut line: Value = serde_json::from_str(line).unwrap();
    if let Some(Value::Object(mut row)) = line["row"].as_str().and_then(|row| serde_json::from_str(row).ok()) {
        row.retain(|_, value| !value.is_null());
        line["row"] = Value::Object(row);
    }
    line.to_string()
}

fn write_file(path: &Path, text: &str) {
    std::fs::create_dir_all(path.parent().unwrap()).unwrap();
    std::fs::write(path, text).unwrap();
}

/// What is in all tables by their names, each row as JSON without nulls, in order.
type Tables = BTreeMap<String, Vec<String>>;

/// All files at once, each table once.
async fn at_once(silver: SilverTable, gold: GoldTable, cuts: &[Cut]) -> Tables {
    let mut shop = Shop::new(silver, gold).await;
    let files = cuts.iter().flat_map(|cut| &cut.files);
    let mut at = 0;
    files.enumerate().for_each(|(number, lines)| shop.land(number, lines, &mut at));
    shop.finish().await
}

/// As the cuts say.
async fn in_cuts(silver: SilverTable, gold: GoldTable, cuts: &[Cut]) -> Tables {
    let mut shop = Shop::new(silver, gold).await;
    let (silver, gold) = (shop.silver(), shop.gold());
    let (mut number, mut at) = (0, 0);
    for cut in cuts {
        for lines in &cut.files {
            shop.land(number, lines, &mut at);
            number += 1;
        }
        shop.advance("bronze.orders").await;
        if cut.silver {
            shop.advance(&silver).await;
        }
        if cut.gold {
            shop.advance(&gold).await;
        }
        if let Some(table) = cut.upkeep {
            let table = ["bronze.orders", &silver, &gold][table];
            shop.look_after(table).await.unwrap();
        }
        if cut.restarts {
            shop.stages.clear();
        }
    }
    shop.finish().await
}

fn cases() -> u32 {
    std::env::var("PROPTEST_CASES").map_or(CASES, |cases| cases.parse().unwrap())
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(cases()))]

    #[test]
    fn cuts_do_not_show_in_the_tables(silver in 0..SILVER.len(), gold in 0..GOLD.len(), cuts in cuts()) {
        let (silver, gold) = (SILVER[silver], GOLD[gold]);
        let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(2).enable_all().build().unwrap();
        runtime.block_on(async {
            let (expected, found) = tokio::join!(at_once(silver, gold, &cuts), in_cuts(silver, gold, &cuts));
            assert_eq!(found, expected);
        });
    }
}
