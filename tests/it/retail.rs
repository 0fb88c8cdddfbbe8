//! The real invoices of the retail pipeline. `MEDALLION_RETAIL` names their folder; without it they are looked for beside
//! the repository, and without either these tests have nothing to do and say so.

use std::path::PathBuf;

use crate::place::Place;
use crate::project::{Project, files_below, repository};

const GOLD: [&str; 4] = ["countries", "daily_revenue", "top_customers", "top_products"];

fn invoices() -> Option<Vec<PathBuf>> {
    let named = std::env::var_os("MEDALLION_RETAIL").map(PathBuf::from);
    let folder = named.unwrap_or_else(|| repository().join("../shared/data/online-retail"));
    let files = files_below(&folder);
    if files.is_empty() {
        println!("skipped: there are no invoices in {}; set MEDALLION_RETAIL", folder.display());
    }
    Some(files).filter(|files| !files.is_empty())
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

#[test]
fn real_invoices_are_all_accounted_for_and_their_order_of_arrival_changes_nothing() {
    let Some(files) = invoices() else { return };
    let whole = Project::with_demo_pipeline(Place::Folder, "retail");
    land(&whole, &files);
    whole.succeed(&["run", "retail"]);
    let left_out = "SELECT SUM(rows_dropped) AS n FROM retail.system.events WHERE \"table\" = 'retail.silver.invoices'";
    let counts = [
        whole.count("retail.bronze.invoices"),
        whole.count("retail.silver.invoices"),
        whole.count("retail.quarantine.silver_invoices"),
        whole.number(left_out),
    ];
    assert_eq!(counts, [95_054, 93_711, 478, 865]);

    let parts = Project::with_demo_pipeline(Place::Folder, "retail");
    land(&parts, &files[..10]);
    parts.succeed(&["run", "retail"]);
    land(&parts, &files[10..]);
    parts.succeed(&["run", "retail"]);
    assert_eq!(gold(&parts), gold(&whole));
}
