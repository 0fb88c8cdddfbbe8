//! The page with something made up to show, for whoever works on the page: `cargo run -p web --example preview [-- empty]`.
#![allow(
    clippy::unwrap_used,
    clippy::panic,
    clippy::print_stdout,
    reason = "an example is a tool, not part of the program"
)]

mod host;

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use host::{PlayHost, Shared};
use web::{Access, Server, Token};

const ORDERS: &str = r#"{"name": "orders_daily", "description": "Orders, customers and revenue from the shop's files to gold, every night.",
  "tags": {"team": "commerce", "tier": "1"},
  "parameters": [{"name": "day", "default": "yesterday"}, {"name": "region", "default": "all"}], "tasks": [
  {"task_key": "land_orders", "shell_task": {"command": "seconds=2 lines=40 rows=184000"}},
  {"task_key": "land_customers", "shell_task": {"command": "seconds=1.2 lines=12 rows=9400"}},
  {"task_key": "silver_orders", "depends_on": [{"task_key": "land_orders"}], "max_retries": 2, "min_retry_interval_millis": 2500, "shell_task": {"command": "seconds=1.5 lines=30 rows=182950 fails=1 kind=unavailable"}},
  {"task_key": "silver_customers", "depends_on": [{"task_key": "land_customers"}], "shell_task": {"command": "seconds=1 rows=9391"}},
  {"task_key": "is_large", "depends_on": [{"task_key": "silver_orders"}], "condition_task": {"op": "GREATER_THAN", "left": "{{tasks.silver_orders.values.rows_written}}", "right": "1000"}},
  {"task_key": "gold_revenue", "depends_on": [{"task_key": "is_large", "outcome": "true"}, {"task_key": "silver_customers"}], "shell_task": {"command": "seconds=6 lines=200 rows=730"}},
  {"task_key": "report_small_day", "depends_on": [{"task_key": "is_large", "outcome": "false"}], "shell_task": {"command": "seconds=1"}},
  {"task_key": "export", "depends_on": [{"task_key": "gold_revenue"}], "shell_task": {"command": "seconds=3 rows=730"}}]}"#;

const BROKEN: &str = r#"{"name": "payments_hourly", "description": "Payments of the last hour.", "tasks": [
  {"task_key": "land_payments", "max_retries": 2, "shell_task": {"command": "seconds=0.8 lines=5 rows=5000 fails=1 kind=unavailable"}},
  {"task_key": "silver_payments", "depends_on": [{"task_key": "land_payments"}], "max_retries": 2, "shell_task": {"command": "seconds=1 lines=6 rows=4998 fails=4 kind=unavailable"}},
  {"task_key": "gold_ledger", "depends_on": [{"task_key": "silver_payments"}], "shell_task": {"command": "seconds=1 rows=31"}},
  {"task_key": "per_region", "depends_on": [{"task_key": "land_payments"}], "for_each_task": {"inputs": "[\"eu\", \"us\", \"apac\"]", "concurrency": 2, "task": {"task_key": "one", "shell_task": {"command": ["seconds=0.7", "rows=100", "region={{input}}"]}}}}]}"#;

/// Eight chains of five tasks between a first and a last one.
fn wide() -> String {
    let mut tasks = vec![r#"{"task_key": "start", "shell_task": {"command": "seconds=0.2"}}"#.to_owned()];
    for chain in 0..8 {
        for step in 0..5 {
            let before = if step == 0 { "start".to_owned() } else { format!("step_{chain}_{}", step - 1) };
            tasks.push(format!(
                r#"{{"task_key": "step_{chain}_{step}", "depends_on": [{{"task_key": "{before}"}}], "shell_task": {{"command": "seconds=0.{} rows=1{step}00"}}}}"#,
                2 + (chain + step) % 5
            ));
        }
    }
    let last: Vec<String> = (0..8).map(|chain| format!(r#"{{"task_key": "step_{chain}_4"}}"#)).collect();
    tasks.push(format!(
        r#"{{"task_key": "publish", "depends_on": [{}], "shell_task": {{"command": "seconds=0.3"}}}}"#,
        last.join(",")
    ));
    format!(
        r#"{{"name": "warehouse_refresh", "description": "Forty tables.", "max_parallel_tasks": 6, "tasks": [{}]}}"#,
        tasks.join(",")
    )
}

#[tokio::main]
async fn main() {
    let is_empty = std::env::args().any(|argument| argument == "empty");
    let port = if is_empty { 9602 } else { 9601 };
    let folder = std::env::temp_dir().join(format!("medallion-preview-{}", std::process::id()));
    std::fs::create_dir_all(&folder).unwrap();
    let wide = wide();
    let all = [
        (ORDERS, Some("0 30 4 * * ? Europe/Berlin")),
        (BROKEN, Some("every hour")),
        (&*wide, Some("when shop.silver.orders is updated")),
        (r#"{"name": "backfill", "tasks": [{"task_key": "all", "shell_task": {"command": "seconds=1"}}]}"#, None),
    ];
    let host = PlayHost::new(&folder, if is_empty { &[] } else { &all });
    let server = Server::bind(([127, 0, 0, 1], port).into()).await.unwrap();
    let access = Access::new(Token::new("preview-preview-preview").unwrap(), server.address(), Vec::new());
    println!("http://{} with the token preview-preview-preview; history in {}", server.address(), folder.display());
    let serving = tokio::spawn(server.serve(Arc::new(Shared(Arc::clone(&host))), host.history(), access));
    if !is_empty {
        for name in ["orders_daily", "payments_hourly", "warehouse_refresh"] {
            for _ in 0..2 {
                host.begin(name, BTreeMap::new()).await.unwrap();
                tokio::time::sleep(Duration::from_millis(400)).await;
            }
        }
    }
    serving.await.unwrap().unwrap();
}
