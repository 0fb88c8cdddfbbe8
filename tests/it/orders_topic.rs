//! A topic of orders that somebody keeps writing to, a project that reads it, and everything that must be true in the end.
//!
//! The one idea: whoever writes counts what was written of each sort, and the tables are held against these counts.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use rdkafka::producer::Producer as _;
use serde_json::{Value, json};

use crate::broker::{Message, Writer};
use crate::place::Place;
use crate::project::Project;
use crate::shop;

pub const TOPIC: &str = "orders";
pub const PARTITIONS: i32 = 3;
pub const TABLES: [&str; 6] = [
    "shop.bronze.orders",
    "shop.silver.orders",
    "shop.silver.latest",
    "shop.gold.spent",
    "shop.gold.large",
    "shop.gold.customers",
];

const CUSTOMERS: i64 = 7;

const SILVER: &str = "from = \"bronze.orders\"\nwrite = { unique_key = [\"id\"] }\n[clean]\ntrim = [\"customer\"]\n\
    [[expect]]\nname = \"has_customer\"\nnot_null = [\"customer\"]\n";
const LATEST: &str = "from = \"bronze.orders\"\n[write.merge]\nkeys = [\"customer\"]\nsequence_by = \"id\"\n\
    [[expect]]\nname = \"has_customer\"\nnot_null = [\"customer\"]\non_fail = \"drop\"\n";
/// Groups that are put together, rows that are appended, and a query that runs whole.
const GOLD: [(&str, &str); 3] = [
    (
        "spent",
        "SELECT customer, COUNT(*) AS orders, SUM(amount) AS spent, MAX(id) AS newest FROM silver.orders GROUP BY customer",
    ),
    ("large", "SELECT id, amount * 2 AS doubled FROM silver.orders WHERE id % 10 = 3"),
    ("customers", "SELECT COUNT(*) AS customers, MAX(id) AS newest FROM silver.latest"),
];
/// The time between bursts of messages.
const PAUSE: Duration = Duration::from_millis(10);
/// How long the tables may take to hold what they must.
const PATIENCE: Duration = Duration::from_secs(90);

/// A project that reads the topic into bronze, from there into two silver tables, and into gold.
pub fn project(place: Place, brokers: &str, maintenance: &str) -> Project {
    let bronze = format!(
        "[source.kafka]\nbrokers = \"{brokers}\"\ntopics = [\"{TOPIC}\"]\nformat = \"json\"\ntrigger = \"20ms\"\n\
         max_rows = 2000\n[schema]\nid = \"long\"\ncustomer = \"string\"\namount = \"decimal(12,2)\"\n\
         [[expect]]\nname = \"is_paid\"\nexpect = \"amount >= 0\"\n"
    );
    let mut project = Project::new(place)
        .with("workflows/shop.json", shop::WORKFLOW)
        .with("pipelines/shop/bronze/orders.toml", &bronze)
        .with("pipelines/shop/silver/orders.toml", SILVER)
        .with("pipelines/shop/silver/orders.sql", "SELECT id, customer, amount FROM bronze.orders\n")
        .with("pipelines/shop/silver/latest.toml", LATEST)
        .with("pipelines/shop/silver/latest.sql", "SELECT customer, id FROM bronze.orders\n");
    for (name, sql) in GOLD {
        project = project
            .with(&format!("pipelines/shop/gold/{name}.toml"), "description = \"What must equal its query\"\n")
            .with(&format!("pipelines/shop/gold/{name}.sql"), sql);
    }
    let settings = std::fs::read_to_string(project.path("medallion.toml")).unwrap();
    project.with("medallion.toml", &format!("{settings}[maintenance]\n{maintenance}\n"))
}

/// What was written.
#[derive(Default)]
pub struct Written {
    /// The id of the next order.
    next: i64,
    /// The ids of whole orders, in order.
    sound: Vec<i64>,
    /// Sound orders that were written again.
    repeated: i64,
    without_customer: i64,
    unpaid: i64,
    broken: i64,
}

impl Written {
    /// The next message, of a random sort.
    fn message(&mut self, random: &mut fastrand::Rng) -> String {
        let id = self.next;
        let sound = |id: i64| format!("{{\"id\":{id},\"customer\":\" {} \",\"amount\":\"{id}.25\"}}", id % CUSTOMERS);
        match random.u8(0..100) {
            0..3 => {
                self.broken += 1;
                format!("{{\"id\": broken {}", self.broken)
            }
            3..9 if !self.sound.is_empty() => {
                self.repeated += 1;
                sound(self.sound[random.usize(..self.sound.len())])
            }
            sort => {
                self.next += 1;
                match sort {
                    9..12 => {
                        self.unpaid += 1;
                        format!("{{\"id\":{id},\"customer\":\"x\",\"amount\":-1}}")
                    }
                    12..16 => {
                        self.without_customer += 1;
                        format!("{{\"id\":{id},\"amount\":1}}")
                    }
                    _ => {
                        self.sound.push(id);
                        sound(id)
                    }
                }
            }
        }
    }

    pub fn messages(&self) -> i64 {
        self.in_bronze() + self.unread()
    }

    fn in_bronze(&self) -> i64 {
        self.sound.len() as i64 + self.repeated + self.without_customer
    }

    fn unread(&self) -> i64 {
        self.broken + self.unpaid
    }

    /// Waits until the tables hold exactly this; a stream is to run meanwhile.
    pub fn wait_for_all(&self, project: &Project) {
        let silver = self.sound.len();
        let expected = json!({ "bronze": self.in_bronze(), "silver": silver, "gold": silver });
        let sql = "SELECT (SELECT COUNT(*) FROM shop.bronze.orders) AS bronze, \
            (SELECT COUNT(*) FROM shop.silver.orders) AS silver, (SELECT SUM(orders) FROM shop.gold.spent) AS gold";
        let deadline = Instant::now() + PATIENCE;
        loop {
            let asked = project.run(&["query", sql, "--output", "json"]);
            let found: Value = serde_json::from_str(&asked.out).unwrap_or_default();
            if found[0] == expected {
                return;
            }
            assert!(Instant::now() < deadline, "expected {expected}, found {asked:?}");
        }
    }

    /// Everything that must be true once a stream has stopped, and a run has finished what it was told to leave.
    pub fn check(&self, project: &Project) {
        project.succeed(&["run", "shop"]);
        let (bronze, unread) = (self.in_bronze(), self.unread());
        let counted = project.query(
            "SELECT (SELECT COUNT(*) FROM shop.bronze.orders) AS bronze, \
             (SELECT COUNT(*) FROM (SELECT DISTINCT _source, _position FROM shop.bronze.orders)) AS origins, \
             (SELECT COUNT(*) FROM shop.quarantine.bronze_orders) AS unread, \
             (SELECT COUNT(*) FROM (SELECT DISTINCT source, \"position\" FROM shop.quarantine.bronze_orders)) AS unread_origins, \
             (SELECT COUNT(*) FROM shop.silver.orders) AS silver, \
             (SELECT COUNT(DISTINCT id) FROM shop.silver.orders) AS ids, \
             (SELECT SUM(id) FROM shop.silver.orders) AS sum, \
             (SELECT COUNT(*) FROM shop.quarantine.silver_orders) AS aside, \
             (SELECT COUNT(*) FROM (SELECT DISTINCT source, \"position\" FROM shop.quarantine.silver_orders)) AS aside_origins, \
             (SELECT SUM(rows_written) FROM shop.system.events WHERE \"table\" = 'shop.bronze.orders') AS told, \
             (SELECT SUM(failed) FROM shop.system.quality WHERE rule = 'is_paid') AS unpaid",
        );
        let (silver, aside) = (self.sound.len(), self.without_customer);
        let expected = json!({
            "bronze": bronze, "origins": bronze, "unread": unread, "unread_origins": unread,
            "silver": silver, "ids": silver, "sum": self.sound.iter().sum::<i64>(),
            "aside": aside, "aside_origins": aside, "told": bronze, "unpaid": self.unpaid,
        });
        assert_eq!(counted[0], expected);
        self.check_every_offset(project);
        self.check_latest_and_gold(project);
    }

    /// Every offset is in bronze or in quarantine, and in one of them only.
    fn check_every_offset(&self, project: &Project) {
        let found = project.query(
            "SELECT origin, COUNT(*) AS n, MAX(at) + 1 AS upto FROM \
             (SELECT _source AS origin, _position AS at FROM shop.bronze.orders UNION \
             SELECT source, \"position\" FROM shop.quarantine.bronze_orders) GROUP BY origin ORDER BY origin",
        );
        let is_whole = |row: &Value| row["n"] == row["upto"];
        assert!(found.len() == PARTITIONS as usize && found.iter().all(is_whole), "{found:#?}");
        let messages: i64 = found.iter().map(|row| row["n"].as_i64().unwrap()).sum();
        assert_eq!(messages, self.messages(), "{found:#?}");
    }

    /// The newest order of each customer, and gold as its query gives it over all of silver.
    fn check_latest_and_gold(&self, project: &Project) {
        let newest = |customer: &i64| self.sound.iter().rfind(|id| *id % CUSTOMERS == *customer);
        let expected: String = (0..CUSTOMERS)
            .filter_map(|customer| newest(&customer).map(|id| format!("{{\"customer\":\"{customer}\",\"id\":{id}}}\n")))
            .collect();
        let found = project.lines("SELECT TRIM(customer) AS customer, id FROM shop.silver.latest ORDER BY customer");
        assert_eq!(found, expected);
        for (name, sql) in GOLD {
            assert_eq!(project.all_rows(&format!("shop.gold.{name}")), sorted(project.query(sql)), "{name}");
        }
    }

    /// A run finds nothing to do, and tables made anew are the same.
    pub fn check_rebuilt(&self, project: &Project) {
        let versions = project.versions();
        project.succeed(&["run", "shop"]);
        assert_eq!(project.versions(), versions, "there is nothing left to do");
        let rows = || TABLES[1..].iter().map(|table| project.all_rows(table)).collect::<Vec<_>>();
        let before = rows();
        project.succeed(&["run", "shop", "--full-refresh"]);
        assert_eq!(rows(), before);
    }
}

fn sorted(rows: Vec<Value>) -> Vec<String> {
    let mut rows: Vec<String> = rows.iter().map(Value::to_string).collect();
    rows.sort();
    rows
}

/// Somebody who keeps writing until told to end.
pub struct Producer {
    end: Arc<AtomicBool>,
    thread: Option<JoinHandle<Written>>,
}

impl Producer {
    /// Begins to write in small bursts.
    pub fn start(brokers: &str, seed: u64) -> Producer {
        let end = Arc::new(AtomicBool::new(false));
        let writer = writer(brokers);
        let thread = std::thread::spawn({
            let end = end.clone();
            move || keep_writing(&writer, fastrand::Rng::with_seed(seed), &end)
        });
        Producer { end, thread: Some(thread) }
    }

    /// Ends it and returns what it wrote.
    pub fn end(mut self) -> Written {
        self.end.store(true, Ordering::Relaxed);
        self.thread.take().unwrap().join().unwrap()
    }
}

impl Drop for Producer {
    fn drop(&mut self) {
        self.end.store(true, Ordering::Relaxed);
    }
}

fn keep_writing(writer: &Writer, mut random: fastrand::Rng, end: &AtomicBool) -> Written {
    let mut written = Written::default();
    while !end.load(Ordering::Relaxed) {
        for _ in 0..random.u8(1..20) {
            send(writer, random.i32(0..PARTITIONS), &written.message(&mut random));
        }
        writer.0.poll(Duration::ZERO);
        std::thread::sleep(PAUSE);
    }
    // So that every partition has a message.
    (0..PARTITIONS).for_each(|partition| send(writer, partition, &written.message(&mut random)));
    writer.flush();
    check_written(writer, &written);
    written
}

/// Writes that many messages at once.
pub fn write_backlog(brokers: &str, seed: u64, messages: i64) -> Written {
    let (writer, mut written, mut random) = (writer(brokers), Written::default(), fastrand::Rng::with_seed(seed));
    for number in 0..messages {
        send(&writer, (number % i64::from(PARTITIONS)) as i32, &written.message(&mut random));
    }
    writer.flush();
    check_written(&writer, &written);
    written
}

/// Somebody who numbers messages, so that one that is sent again after a time-out is in the topic once.
fn writer(brokers: &str) -> Writer {
    Writer::to(brokers, &[("enable.idempotence", "true")])
}

fn send(writer: &Writer, partition: i32, payload: &str) {
    writer.send(TOPIC, partition, &Message { payload: Some(payload.as_bytes()), ..Message::default() });
}

/// The topic has as many messages as were counted.
fn check_written(writer: &Writer, written: &Written) {
    let end = |partition| writer.0.client().fetch_watermarks(TOPIC, partition, PATIENCE).unwrap().1;
    assert_eq!((0..PARTITIONS).map(end).sum::<i64>(), written.messages());
}
