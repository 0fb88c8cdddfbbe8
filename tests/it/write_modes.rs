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
