//! How rows enter a silver table.

use crate::place::Place;
use crate::project::Project;
use crate::shop;

const CHANGES: &str = "[source.files]\npath = \"${var.landing}/customers\"\nformat = \"csv\"\n\
    [schema]\nid = \"long\"\nname = \"string\"\nversion = \"long\"\ngone = \"boolean\"\n";

fn merged(place: Place) -> Project {
    Project::new(place).with("pipelines/p/bronze/customers.toml", CHANGES).with(
        "pipelines/p/silver/customers.toml",
        "from = \"bronze.customers\"\n[write.merge]\nkeys = [\"id\"]\nsequence_by = \"version\"\ndelete_when = \"gone\"\n\
         [clean]\ndrop = [\"_ingested_at\", \"_batch\", \"_rescued_data\"]\n",
    )
}

fn advance(project: &Project, file: &str, rows: &str) {
    project.land(&format!("customers/{file}"), format!("id,name,version,gone\n{rows}"));
    project.succeed(&["bronze", "bronze.customers"]);
    project.succeed(&["silver", "silver.customers"]);
}

fn customers(project: &Project) -> String {
    project.lines("SELECT id, name, version FROM p.silver.customers ORDER BY id")
}

fn check_unique_key_keeps_the_first_across_runs(place: Place) {
    let project = shop::project(place);
    project.land("orders/1.json", shop::orders([1, 2, 2, 3]));
    project.succeed(&["run", "shop"]);
    project.land("orders/2.json", shop::orders([3, 4, 1, 4]));
    project.succeed(&["run", "shop"]);
    assert_eq!(
        project.lines("SELECT id FROM shop.silver.orders ORDER BY id"),
        "{\"id\":1}\n{\"id\":2}\n{\"id\":3}\n{\"id\":4}\n"
    );
    assert_eq!(project.count("shop.bronze.orders"), 8);
    let left_out = "SELECT SUM(rows_dropped) AS n FROM shop.system.events WHERE \"table\" = 'shop.silver.orders'";
    assert_eq!(project.number(left_out), 4);
}

fn check_the_newest_row_of_a_key_wins(place: Place) {
    let project = merged(place);
    advance(&project, "1.csv", "1,Ada,1,false\n2,Bob,5,false\n1,Ada L.,2,false\n3,Cy,1,false\n");
    assert_eq!(
        customers(&project),
        "{\"id\":1,\"name\":\"Ada L.\",\"version\":2}\n{\"id\":2,\"name\":\"Bob\",\"version\":5}\n{\"id\":3,\"name\":\"Cy\",\"version\":1}\n"
    );
    advance(&project, "2.csv", "2,old Bob,4,false\n3,Cy,2,true\n4,Di,1,false\n");
    let after = "{\"id\":1,\"name\":\"Ada L.\",\"version\":2}\n{\"id\":2,\"name\":\"Bob\",\"version\":5}\n{\"id\":4,\"name\":\"Di\",\"version\":1}\n";
    assert_eq!(customers(&project), after);
    advance(&project, "3.csv", "2,old Bob,4,false\n3,Cy,2,true\n4,Di,1,false\n");
    assert_eq!(customers(&project), after, "the same changes again must alter nothing");
    advance(&project, "4.csv", "3,older Cy,1,false\n");
    assert_eq!(customers(&project), after, "a deleted key must not return with an older row");
}

/// A table that follows the merged one, with a name in capitals.
fn followed(place: Place) -> Project {
    merged(place)
        .with(
            "pipelines/p/silver/people.toml",
            "from = \"silver.customers\"\nwrite = { merge = { keys = [\"id\"], sequence_by = \"version\" } }\n",
        )
        .with(
            "pipelines/p/silver/people.sql",
            "SELECT id, upper(name) AS name, version FROM silver.customers WHERE name <> 'hidden'\n",
        )
}

fn check_inserts_updates_and_deletes_are_followed(place: Place) {
    let project = followed(place);
    let people = |project: &Project| {
        project.succeed(&["silver", "silver.people"]);
        project.lines("SELECT id, name FROM p.silver.people ORDER BY id")
    };
    advance(&project, "1.csv", "1,Ada,1,false\n2,Bob,5,false\n3,Cy,1,false\n");
    assert_eq!(
        people(&project),
        "{\"id\":1,\"name\":\"ADA\"}\n{\"id\":2,\"name\":\"BOB\"}\n{\"id\":3,\"name\":\"CY\"}\n"
    );
    advance(&project, "2.csv", "2,Rob,6,false\n3,Cy,2,true\n");
    advance(&project, "3.csv", "4,Di,1,false\n");
    project.succeed(&["optimize", "silver.customers"]);
    assert_eq!(
        people(&project),
        "{\"id\":1,\"name\":\"ADA\"}\n{\"id\":2,\"name\":\"ROB\"}\n{\"id\":4,\"name\":\"DI\"}\n"
    );
    // A row that the query leaves out from now on goes, and one that comes back counts again.
    advance(&project, "4.csv", "1,hidden,2,false\n3,Cy,3,false\n");
    assert_eq!(
        people(&project),
        "{\"id\":2,\"name\":\"ROB\"}\n{\"id\":3,\"name\":\"CY\"}\n{\"id\":4,\"name\":\"DI\"}\n"
    );
    let version = project.versions()["p.silver.people"];
    project.succeed(&["silver", "silver.people"]);
    assert_eq!(project.versions()["p.silver.people"], version, "nothing new, no new version");
}

#[test]
fn inserts_updates_and_deletes_are_followed_in_a_folder() {
    check_inserts_updates_and_deletes_are_followed(Place::Folder);
}

#[test]
fn inserts_updates_and_deletes_are_followed_on_s3() {
    check_inserts_updates_and_deletes_are_followed(Place::S3);
}

#[test]
fn an_overwritten_table_is_a_snapshot_for_its_history() {
    let project = shop::project(Place::Folder)
        .with("pipelines/shop/silver/totals.toml", "from = \"bronze.orders\"\nwrite = \"overwrite\"\n")
        .with(
            "pipelines/shop/silver/totals.sql",
            "SELECT customer, COUNT(*) AS orders, (SELECT MAX(id) FROM bronze.orders) AS seen FROM bronze.orders GROUP BY customer\n",
        )
        .with(
            "pipelines/shop/silver/totals_history.toml",
            "from = \"silver.totals\"\n[write.scd2]\nkeys = [\"customer\"]\nsequence_by = \"seen\"\nsource = \"snapshots\"\n",
        );
    for (file, orders) in [("orders/1.json", vec![1, 2, 3]), ("orders/2.json", vec![4, 8])] {
        project.land(file, shop::orders(orders));
        project.succeed(&["bronze", "bronze.orders"]);
        project.succeed(&["silver", "silver.totals"]);
        project.succeed(&["silver", "silver.totals_history"]);
    }
    let told = "SELECT customer, orders, _valid_from, _valid_to, _is_current FROM shop.silver.totals_history ORDER BY customer, _valid_from";
    let rows: Vec<String> = project.lines(told).lines().map(str::to_owned).collect();
    assert_eq!(rows.len(), 5, "{rows:#?}");
    assert_eq!(
        rows[0],
        "{\"customer\":\"customer 1\",\"orders\":1,\"_valid_from\":3,\"_valid_to\":8,\"_is_current\":false}"
    );
    let now = "SELECT customer, orders FROM shop.silver.totals_history WHERE _is_current ORDER BY customer";
    assert_eq!(project.lines(now), project.lines("SELECT customer, orders FROM shop.silver.totals ORDER BY customer"));
}

#[test]
fn unique_key_keeps_the_first_across_runs_in_a_folder() {
    check_unique_key_keeps_the_first_across_runs(Place::Folder);
}

#[test]
fn unique_key_keeps_the_first_across_runs_on_s3() {
    check_unique_key_keeps_the_first_across_runs(Place::S3);
}

#[test]
fn the_newest_row_of_a_key_wins_in_a_folder() {
    check_the_newest_row_of_a_key_wins(Place::Folder);
}

#[test]
fn the_newest_row_of_a_key_wins_on_s3() {
    check_the_newest_row_of_a_key_wins(Place::S3);
}

#[test]
fn an_overwritten_table_holds_what_its_query_gives_now() {
    let project = shop::project(Place::Folder)
        .with("pipelines/shop/silver/totals.toml", "from = \"bronze.orders\"\nwrite = \"overwrite\"\n")
        .with("pipelines/shop/silver/totals.sql", "SELECT COUNT(*) AS orders, MAX(id) AS newest FROM bronze.orders\n");
    project.land("orders/1.json", shop::orders(1..=3));
    project.succeed(&["run", "shop"]);
    project.land("orders/2.json", shop::orders(4..=5));
    project.succeed(&["run", "shop"]);
    assert_eq!(project.lines("SELECT * FROM shop.silver.totals"), "{\"orders\":5,\"newest\":5}\n");
    project.succeed(&["silver", "silver.totals"]);
    assert_eq!(project.versions()["shop.silver.totals"], 2, "nothing new, no new version");
}

#[test]
fn appended_rows_are_all_kept() {
    let project = shop::project(Place::Folder)
        .with("pipelines/shop/silver/orders.toml", &shop::SILVER.replace("write = { unique_key = [\"id\"] }\n", ""));
    project.land("orders/1.json", shop::orders([1, 1]));
    project.succeed(&["run", "shop"]);
    project.land("orders/2.json", shop::orders([1]));
    project.succeed(&["run", "shop"]);
    assert_eq!(project.count("shop.silver.orders"), 3);
}

#[test]
fn a_cast_that_loses_its_value_puts_the_row_aside() {
    let project = shop::project(Place::Folder);
    project.land("orders/1.json", shop::order(1).replace("2024-03-01T10:00:01Z", "yesterday") + &shop::order(2));
    project.succeed(&["run", "shop"]);
    assert_eq!(project.lines("SELECT id FROM shop.silver.orders"), "{\"id\":2}\n");
    let aside = project.query("SELECT row, reasons, position FROM shop.quarantine.silver_orders");
    assert_eq!((aside.len(), &aside[0]["position"]), (1, &1.into()));
    assert!(aside[0]["row"].as_str().unwrap().contains("yesterday"), "{aside:?}");
    assert!(aside[0]["reasons"].to_string().contains("at"), "{aside:?}");
}

#[test]
fn clean_steps_are_done_in_their_order() {
    let project = Project::new(Place::Folder)
        .with(
            "pipelines/p/bronze/t.toml",
            "[source.files]\npath = \"${var.landing}\"\nformat = \"ndjson\"\n\
             [schema]\nid = \"long\"\nName = \"string\"\ncode = \"string\"\nwho = { city = \"string\", zip = \"string\" }\nday = \"string\"\nn = \"string\"\n",
        )
        .with(
            "pipelines/p/silver/t.toml",
            "from = \"bronze.t\"\n[clean]\nflatten = [\"who\"]\nrename = { Name = \"name\", who_zip = \"zip\" }\ntrim = [\"name\"]\n\
             lower = [\"name\"]\nupper = [\"code\"]\nnull_if = { code = [\"NONE\"] }\nfill = { n = 0 }\n\
             cast = { n = \"int\", day = { type = \"date\", format = \"%d.%m.%Y\" } }\ndeduplicate = [\"id\"]\n\
             drop = [\"_source\", \"_position\", \"_ingested_at\", \"_batch\", \"_rescued_data\"]\n",
        );
    project.land(
        "1.json",
        "{\"id\":1,\"Name\":\"  ADA \",\"code\":\"none\",\"who\":{\"city\":\"Bern\",\"zip\":\"3000\"},\"day\":\"29.02.2024\",\"n\":\"7\"}\n\
         {\"id\":2,\"Name\":\"Bob\",\"code\":\"x\",\"who\":null,\"day\":null,\"n\":null}\n{\"id\":2,\"Name\":\"again\"}\n",
    );
    project.succeed(&["bronze", "bronze.t"]);
    project.succeed(&["silver", "silver.t"]);
    assert_eq!(
        project.lines("SELECT * FROM p.silver.t ORDER BY id"),
        "{\"id\":1,\"name\":\"ada\",\"who_city\":\"Bern\",\"zip\":\"3000\",\"day\":\"2024-02-29\",\"n\":7}\n\
         {\"id\":2,\"name\":\"bob\",\"code\":\"X\",\"n\":0}\n"
    );
}

#[test]
fn a_full_refresh_rebuilds_a_table_from_all_of_its_upstream() {
    let project = shop::project(Place::Folder);
    project.land("orders/1.json", shop::orders(1..=4));
    project.succeed(&["run", "shop"]);
    project.write(
        "pipelines/shop/silver/orders.sql",
        "SELECT id, customer, amount * 2 AS amount, at FROM bronze.orders\n",
    );
    project.succeed(&["silver", "silver.orders", "--full-refresh"]);
    assert_eq!(project.count("shop.silver.orders"), 4);
    assert_eq!(project.lines("SELECT amount FROM shop.silver.orders WHERE id = 1"), "{\"amount\":2.5}\n");
}

#[test]
fn rows_are_not_mixed_with_versions() {
    let project = merged(Place::Folder);
    advance(&project, "1.csv", "1,Ada,1,false\n");
    project.write(
        "pipelines/p/silver/customers.toml",
        "from = \"bronze.customers\"\nwrite.scd2 = { keys = [\"id\"], sequence_by = \"version\", track = [\"name\"] }\n",
    );
    project.land("customers/2.csv", "id,name,version,gone\n1,Ada L.,2,false\n");
    project.succeed(&["bronze", "bronze.customers"]);
    project.fail(&["silver", "silver.customers"], 1, "run with --full-refresh");
    project.succeed(&["silver", "silver.customers", "--full-refresh"]);
    assert_eq!(
        project.lines("SELECT name, _valid_from, _valid_to FROM p.silver.customers ORDER BY _valid_from"),
        "{\"name\":\"Ada\",\"_valid_from\":1,\"_valid_to\":2}\n{\"name\":\"Ada L.\",\"_valid_from\":2}\n"
    );
}

const EVENTS: u64 = 200_000;
/// Keys that events are of: each has twenty.
const KEYS: u64 = EVENTS / 20;

/// What happened to a key at a time, as a line. Amounts repeat, so that not every event makes a version, and one in forty
/// deletes.
fn event(number: u64) -> String {
    let (key, at) = (number % KEYS, number / KEYS);
    let mixed = (key * 31 + at * 17) ^ (key >> 3) ^ (at << 2);
    format!("{key},{at},{},{},{}\n", mixed % 3, mixed % 7, mixed % 40 == 0)
}

/// The history of events that land in these files, one run for each.
fn history(files: &[Vec<u64>]) -> String {
    let project = Project::new(Place::Folder)
        .with(
            "pipelines/p/bronze/events.toml",
            "[source.files]\npath = \"${var.landing}/events\"\nformat = \"csv\"\n\
             [schema]\nid = \"long\"\nat = \"long\"\namount = \"long\"\nnote = \"long\"\ngone = \"boolean\"\n",
        )
        .with(
            "pipelines/p/silver/history.toml",
            "from = \"bronze.events\"\n[write.scd2]\nkeys = [\"id\"]\nsequence_by = \"at\"\ntrack = [\"amount\"]\n\
             delete_when = \"gone\"\n[clean]\ndrop = [\"_source\", \"_position\", \"_ingested_at\", \"_batch\", \"_rescued_data\"]\n",
        );
    for (number, events) in files.iter().enumerate() {
        let lines: String = events.iter().map(|event_number| event(*event_number)).collect();
        project.land(&format!("events/{number}.csv"), format!("id,at,amount,note,gone\n{lines}"));
        project.succeed(&["bronze", "bronze.events"]);
        project.succeed(&["silver", "silver.history"]);
    }
    project.lines("SELECT * FROM p.silver.history ORDER BY id, _valid_from")
}

#[test]
fn a_history_is_the_same_in_order_shuffled_and_twice_over() {
    let in_order: Vec<u64> = (0..EVENTS).collect();
    // A step that shares no factor with the number of events meets each of them once, far from its neighbours.
    let shuffled: Vec<u64> = (0..EVENTS).map(|number| number * 76_543 % EVENTS).collect();
    let expected = history(std::slice::from_ref(&in_order));
    assert!(expected.lines().count() > 100_000, "{}", expected.lines().count());
    let halves: Vec<Vec<u64>> = shuffled.chunks(EVENTS as usize / 2).map(<[u64]>::to_vec).collect();
    assert!(history(&halves) == expected, "shuffled, in two batches");
    let twice = vec![in_order, shuffled];
    assert!(history(&twice) == expected, "twice over");
}
