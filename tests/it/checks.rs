//! Checks of a table as a whole: at rest, and before a commit is made.

use serde_json::{Value, json};

use crate::place::Place;
use crate::project::Project;
use crate::shop;

/// The shop with silver orders written as they come, so that keys may repeat, and with these checks.
fn with_checks(checks: &str) -> Project {
    let silver = shop::SILVER.replace("write = { unique_key = [\"id\"] }\n", "");
    shop::project(Place::Folder).with("pipelines/shop/silver/orders.toml", &format!("{silver}{checks}"))
}

fn ids(project: &Project) -> String {
    project.lines("SELECT id FROM shop.silver.orders ORDER BY id").replace("{\"id\":", "").replace("}\n", " ")
}

fn told(project: &Project, rule: &str) -> Vec<Value> {
    project.query(&format!(
        "SELECT kind, severity, origin, version, checked, failed, detail, sample FROM shop.system.quality \
         WHERE \"table\" = 'shop.silver.orders' AND rule = '{rule}' ORDER BY at"
    ))
}

const ONCE: &str = "[[check]]\nname = \"once\"\nwhen = \"commit\"\nunique = [\"id\"]\n";

#[test]
fn a_commit_that_would_break_a_check_is_not_made_and_the_next_sound_one_is() {
    let project = with_checks(ONCE);
    project.land("orders/1.json", shop::orders(1..=3));
    project.succeed(&["run", "shop"]);
    let versions = project.versions();
    project.land("orders/2.json", shop::orders([3, 4]));
    project.succeed(&["bronze", "shop.bronze.orders"]);
    let refused = project.fail(&["silver", "shop.silver.orders"], 3, "the table is as it was: the check `once` failed");
    assert!(refused.err.contains("1 key stands in several rows, such as {\"id\":3}"), "{}", refused.err);
    assert_eq!(ids(&project), "1 2 3 ");
    assert_eq!(project.versions()["shop.silver.orders"], versions["shop.silver.orders"]);
    project.write("pipelines/shop/silver/orders.toml", shop::SILVER);
    project.succeed(&["silver", "shop.silver.orders"]);
    assert_eq!(ids(&project), "1 2 3 4 ");
}

#[test]
fn a_check_that_warns_lets_the_commit_pass_and_is_told_in_it() {
    let project = with_checks(&format!("{ONCE}severity = \"warn\"\n"));
    project.land("orders/1.json", shop::orders([1, 2, 2]));
    let ended = project.succeed(&["run", "shop"]);
    assert!(ended.err.contains("1 violate `once`"), "{}", ended.err);
    let expected = json!({
        "kind": "check", "severity": "warn", "origin": "commit", "version": 0, "checked": 3, "failed": 1,
        "detail": "1 key stands in several rows", "sample": "[{\"id\":2}]",
    });
    assert_eq!(told(&project, "once"), [expected]);
}

#[test]
fn an_audit_runs_every_kind_of_check_and_tells_what_it_found() {
    let project = with_checks(
        "[[check]]\nname = \"key\"\nprimary_key = [\"id\"]\n\
         [[check]]\nname = \"known\"\nforeign_key = { columns = [\"customer\"], table = \"gold.spent\" }\n\
         [[check]]\nname = \"count\"\nrow_count = { min = 3, equal_to = \"bronze.orders\", min_of_before = 0.5 }\n\
         [[check]]\nname = \"fresh\"\nseverity = \"warn\"\nfreshness = { column = \"at\", within = \"1h\" }\n\
         [[check]]\nname = \"full\"\ncompleteness = { column = \"customer\", min = 0.9 }\n\
         [[check]]\nname = \"sum\"\naggregate = { expression = \"SUM(amount)\", min = 1, max = 100 }\n\
         [[check]]\nname = \"shape\"\nschema = { columns = { id = \"long\", amount = \"decimal(10,2)\" }, ordered = true }\n\
         [[check]]\nname = \"drift\"\ndistribution = { column = \"amount\", max_psi = 0.25, max_ks = 0.5 }\n\
         [[check]]\nname = \"volume\"\nvolume = {}\n\
         [[check]]\nname = \"dear\"\nseverity = \"warn\"\nsql = \"SELECT id FROM silver.orders WHERE amount > 3\"\n",
    );
    project.succeed(&["check"]);
    project.land("orders/1.json", shop::orders(1..=4));
    project.succeed(&["run", "shop"]);
    let ended = project.succeed(&["quality", "shop.silver.orders"]);
    assert!(ended.err.contains("1 violate `fresh`") && ended.err.contains("2 violate `dear`"), "{}", ended.err);
    let found = |rule: &str| told(&project, rule)[0].clone();
    assert_eq!((&found("dear")["failed"], &found("dear")["sample"]), (&2.into(), &"[{\"id\":3},{\"id\":4}]".into()));
    assert_eq!((&found("sum")["detail"], &found("sum")["origin"]), (&"SUM(amount) is 11".into(), &"audit".into()));
    assert_eq!(found("count")["detail"], "4 rows");
    for passed in ["key", "known", "count", "full", "sum", "shape", "drift", "volume"] {
        assert_eq!(found(passed)["failed"], 0, "{passed}");
    }
}

#[test]
fn an_audit_that_fails_a_check_ends_with_code_3_and_is_told() {
    let project = with_checks("[[check]]\nname = \"many\"\nrow_count = { min = 10 }\n");
    project.land("orders/1.json", shop::orders(1..=4));
    project.succeed(&["run", "shop"]);
    project.fail(&["quality", "shop.silver.orders"], 3, "the check `many` failed: 4 rows; expected at least 10");
    assert_eq!(told(&project, "many")[0]["failed"], 1);
}

#[test]
fn drift_from_earlier_commits_refuses_a_commit() {
    let drift =
        "[[check]]\nname = \"drift\"\nwhen = \"commit\"\ndistribution = { column = \"amount\", max_psi = 0.25 }\n";
    let project = with_checks(drift);
    project.land("orders/1.json", shop::orders(1..=500));
    project.succeed(&["run", "shop"]);
    project.land("orders/2.json", shop::orders(1..=480));
    project.succeed(&["run", "shop"]);
    project.land("orders/3.json", shop::orders(400..=500));
    project.succeed(&["bronze", "shop.bronze.orders"]);
    project.fail(&["silver", "shop.silver.orders"], 3, "the check `drift` failed: PSI ");
}

#[test]
fn everything_that_is_wrong_with_checks_is_found_without_the_lake() {
    let project = with_checks(
        "[[check]]\nname = \"a\"\nunique = [\"idd\"]\n\
         [[check]]\nname = \"b\"\nforeign_key = { columns = [\"customer\"], table = \"gold.spend\" }\n\
         [[check]]\nname = \"c\"\nfreshness = { column = \"amount\", within = \"1h\" }\n\
         [[check]]\nname = \"d\"\naggregate = { expression = \"SUM(customer)\", min = 1 }\n\
         [[check]]\nname = \"e\"\nsql = \"SELECT idd FROM silver.orders\"\n\
         [[check]]\nname = \"f\"\nsql = \"DELETE FROM silver.orders\"\n\
         [[check]]\nname = \"has_customer\"\nrow_count = { min = 1 }\n\
         [[check]]\nname = \"g\"\nforeign_key = { columns = [\"id\"], table = \"gold.spent\" }\n",
    );
    let found = project.run(&["check"]);
    assert_eq!(found.code, 2, "{found:?}");
    let expected = [
        "there is no column `idd`",
        "there is no table `shop.gold.spend`; nearest is `shop.gold.spent`",
        "freshness is for date and timestamp columns, and `amount` is decimal(10,2)",
        "(line 1, column 8 of the SQL)",
        "`has_customer` is the name of another rule",
    ];
    for expected in expected {
        assert!(found.out.contains(expected), "{expected}\n{}", found.out);
    }
    for line in found.out.lines() {
        assert!(line.starts_with("pipelines/shop/silver/orders.toml:"), "{line}");
    }
    assert_eq!(found.out.lines().count(), 8, "{}", found.out);
}

#[test]
fn the_report_is_one_page_of_all_tables_with_what_failed() {
    let project = with_checks(&format!("{ONCE}severity = \"warn\"\n"));
    project.land("orders/1.json", shop::orders([1, 2, 2]) + &shop::order(5).replace("\"customer 5\"", "null"));
    project.succeed(&["run", "shop"]);
    project.succeed(&["quality", "shop.silver.orders"]);
    let file = project.path("report.html");
    project.succeed(&["quality", "report", "--html", file.to_str().unwrap()]);
    let page = std::fs::read_to_string(&file).unwrap();
    for expected in [
        "<h2>shop.bronze.orders</h2>",
        "<h2>shop.silver.orders</h2>",
        "<h2>shop.gold.spent</h2>",
        "1 key stands in several rows",
        "<code>{&quot;id&quot;:2}</code>",
        "has_customer",
        "2 results, the last 2 failed",
        "rows profiled",
    ] {
        assert!(page.contains(expected), "{expected}");
    }
}
