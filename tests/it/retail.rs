//! Invoices of a shop: a small sample that is dirty as real ones are, and the real ones where they are at hand.
//!
//! `MEDALLION_RETAIL` names the folder of the real invoices, one CSV file a day. Without it their test has nothing to do and
//! says so.

use std::path::PathBuf;

use crate::place::Place;
use crate::project::{Project, files_below, repository};

const GOLD: [&str; 4] = ["countries", "daily_revenue", "top_customers", "top_products"];

/// The real invoices, if the environment says where they are.
fn real_invoices() -> Option<Vec<PathBuf>> {
    let Some(folder) = std::env::var_os("MEDALLION_RETAIL").map(PathBuf::from) else {
        println!("skipped: set MEDALLION_RETAIL to the folder of the real invoices, one CSV file a day");
        return None;
    };
    let files = files_below(&folder);
    assert!(!files.is_empty(), "MEDALLION_RETAIL names {}, where no files are", folder.display());
    Some(files)
}

fn land(project: &Project, files: &[PathBuf]) {
    for file in files {
        let name = file.file_name().unwrap().to_str().unwrap();
        project.land(&format!("retail/{name}"), std::fs::read(file).unwrap());
    }
}

fn gold(project: &Project) -> Vec<Vec<String>> {
    GOLD.iter().map(|table| project.all_rows(&format!("retail.gold.{table}"))).collect()
}

/// Lands and runs all files at once. Every row is in silver, in quarantine or left out, in these numbers; and the same
/// gold comes of landing the first `first` files and running, then the others.
fn check_all_rows_are_accounted_for(files: &[PathBuf], first: usize, counts: [i64; 4]) -> Project {
    let whole = Project::with_demo_pipeline(Place::Folder, "retail");
    land(&whole, files);
    whole.succeed(&["run", "retail"]);
    let left_out = "SELECT SUM(rows_dropped) AS n FROM retail.system.events WHERE \"table\" = 'retail.silver.invoices'";
    let found = [
        whole.count("retail.bronze.invoices"),
        whole.count("retail.silver.invoices"),
        whole.count("retail.quarantine.silver_invoices"),
        whole.number(left_out),
    ];
    assert_eq!(found, counts);
    assert_eq!(found[0], found[1..].iter().sum::<i64>());

    let parts = Project::with_demo_pipeline(Place::Folder, "retail");
    land(&parts, &files[..first]);
    parts.succeed(&["run", "retail"]);
    land(&parts, &files[first..]);
    parts.succeed(&["run", "retail"]);
    assert_eq!(gold(&parts), gold(&whole));
    whole
}

#[test]
fn every_row_of_a_dirty_sample_is_accounted_for_in_whatever_order_it_arrives() {
    let files = files_below(&repository().join("tests/data/retail"));
    let project = check_all_rows_are_accounted_for(&files, 1, [33, 20, 10, 3]);
    let reasons = "SELECT reason, COUNT(*) AS n FROM (SELECT unnest(reasons) AS reason \
                   FROM retail.quarantine.silver_invoices) AS r GROUP BY reason ORDER BY reason";
    assert_eq!(
        project.lines(reasons),
        "{\"reason\":\"cast_invoiced_at\",\"n\":1}\n{\"reason\":\"has_a_customer\",\"n\":7}\n\
         {\"reason\":\"has_a_price\",\"n\":7}\n{\"reason\":\"has_a_quantity\",\"n\":1}\n\
         {\"reason\":\"invoice_number\",\"n\":2}\n"
    );
    assert_eq!(
        project.lines("SELECT _rescued_data FROM retail.bronze.invoices WHERE _rescued_data IS NOT NULL"),
        "{\"_rescued_data\":\"{\\\"Quantity\\\":\\\"many\\\"}\"}\n"
    );
    assert_eq!(
        project.lines("SELECT invoice_date, invoices, cancellations, net_revenue FROM retail.gold.daily_revenue ORDER BY invoice_date"),
        "{\"invoice_date\":\"2011-03-01\",\"invoices\":4,\"cancellations\":2,\"net_revenue\":-202.3}\n\
         {\"invoice_date\":\"2011-03-02\",\"invoices\":4,\"cancellations\":2,\"net_revenue\":44.32}\n"
    );
}

#[test]
fn real_invoices_are_all_accounted_for_and_their_order_of_arrival_changes_nothing() {
    let Some(files) = real_invoices() else { return };
    check_all_rows_are_accounted_for(&files, 10, [95_054, 93_711, 478, 865]);
}
