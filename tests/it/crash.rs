//! kill -9 at a random moment of a run, then a run to its end: every row is where it belongs, exactly once.
//!
//! `MEDALLION_CRASHES` says how many crashes each test has; `MEDALLION_SEED` repeats the random numbers of an earlier one.

use std::time::{Duration, Instant};

use crate::place::Place;
use crate::project::Project;
use crate::running::Running;
use crate::shop;
use crate::soak::{number, seed};

/// After this many crashes a new project begins, so that tables are created under fire too.
const CRASHES_PER_PROJECT: usize = 4;
const ORDERS: i64 = 300;
/// Lines of every part beside the sound orders.
const UNREAD: i64 = 3;
const WITHOUT_CUSTOMER: i64 = 5;
const REPEATED: i64 = 7;

/// A project and how many parts have landed in it.
struct Shop {
    project: Project,
    parts: i64,
}

impl Shop {
    fn new(place: Place) -> Shop {
        let latest = "from = \"bronze.orders\"\n[write.merge]\nkeys = [\"customer\"]\nsequence_by = \"id\"\n\
            [[expect]]\nname = \"has_customer\"\nnot_null = [\"customer\"]\non_fail = \"drop\"\n";
        let project = shop::project(place)
            .with("pipelines/shop/silver/latest.toml", latest)
            .with("pipelines/shop/silver/latest.sql", "SELECT customer, id FROM bronze.orders\n");
        Shop { project, parts: 0 }
    }

    /// Lands a few files of sound, repeated, incomplete and broken lines.
    fn land(&mut self) {
        let first = self.parts * ORDERS;
        let half = first + ORDERS / 2;
        let nobody = |id: i64| format!("{{\"id\":{},\"amount\":1.00,\"at\":\"2024-03-01T10:00:00Z\"}}\n", -1 - id);
        let broken = (0..UNREAD).map(|line| format!("{{\"id\": broken {line}\n"));
        let files = [
            shop::orders(first..half) + &broken.collect::<String>(),
            shop::orders(half..first + ORDERS),
            shop::orders(first..first + REPEATED) + &(first..first + WITHOUT_CUSTOMER).map(nobody).collect::<String>(),
        ];
        for (index, text) in files.iter().enumerate() {
            self.project.land(&format!("orders/{:04}-{index}.json", self.parts), text);
        }
        self.parts += 1;
    }

    /// Everything that must be true once a run has come to its end.
    fn check(&self) {
        let project = &self.project;
        let bronze = self.parts * (ORDERS + REPEATED + WITHOUT_CUSTOMER);
        let counted = project.query(
            "SELECT (SELECT COUNT(*) FROM shop.bronze.orders) AS bronze, \
             (SELECT COUNT(*) FROM (SELECT DISTINCT _source, _position FROM shop.bronze.orders)) AS origins, \
             (SELECT COUNT(*) FROM shop.quarantine.bronze_orders) AS unread, \
             (SELECT COUNT(*) FROM (SELECT DISTINCT source, position FROM shop.quarantine.bronze_orders)) AS unread_origins, \
             (SELECT COUNT(*) FROM shop.silver.orders) AS silver, \
             (SELECT COUNT(DISTINCT id) FROM shop.silver.orders) AS ids, \
             (SELECT COUNT(*) FROM shop.quarantine.silver_orders) AS aside, \
             (SELECT COUNT(*) FROM (SELECT DISTINCT source, position FROM shop.quarantine.silver_orders)) AS aside_origins, \
             (SELECT SUM(orders) FROM shop.gold.spent) AS gold, \
             (SELECT COUNT(*) FROM shop.silver.latest) AS customers, \
             (SELECT MAX(id) FROM shop.silver.latest) AS newest, \
             (SELECT COUNT(*) FROM shop.system.files) AS files, \
             (SELECT SUM(rows_written) FROM shop.system.events WHERE \"table\" = 'shop.bronze.orders') AS told",
        );
        let (orders, unread, aside) = (self.parts * ORDERS, self.parts * UNREAD, self.parts * WITHOUT_CUSTOMER);
        let expected = serde_json::json!({
            "bronze": bronze, "origins": bronze, "unread": unread, "unread_origins": unread, "silver": orders,
            "ids": orders, "aside": aside, "aside_origins": aside, "gold": orders, "customers": 7,
            "newest": orders - 1, "files": self.parts * 3, "told": bronze,
        });
        assert_eq!(counted[0], expected);
    }

    /// Starts a run and kills it after `delay`, unless it has ended by then.
    fn run_and_kill(&self, delay: Duration) {
        let ended = Running::start(&self.project, &["run", "shop"]).kill_after(delay);
        assert!([0, -9].contains(&ended.code), "{ended:#?}");
    }
}

fn check_nothing_is_lost_or_doubled(place: Place) {
    let crashes = number("MEDALLION_CRASHES", 8) as usize;
    let mut random = fastrand::Rng::with_seed(seed());

    let mut undisturbed = Shop::new(place);
    undisturbed.land();
    let begun = Instant::now();
    undisturbed.project.succeed(&["run", "shop"]);
    let duration = begun.elapsed();
    undisturbed.check();

    let mut shop = Shop::new(place);
    for crash in 0..crashes {
        if crash % CRASHES_PER_PROJECT == 0 {
            shop = Shop::new(place);
        }
        shop.land();
        let delay = duration.mul_f64(random.f64());
        println!("crash {crash} after {delay:?} of {duration:?}");
        shop.run_and_kill(delay);
        shop.project.succeed(&["run", "shop"]);
        shop.check();
    }
}

#[test]
fn a_killed_run_loses_and_doubles_nothing_in_a_folder() {
    check_nothing_is_lost_or_doubled(Place::Folder);
}

#[test]
fn a_killed_run_loses_and_doubles_nothing_on_s3() {
    check_nothing_is_lost_or_doubled(Place::S3);
}
