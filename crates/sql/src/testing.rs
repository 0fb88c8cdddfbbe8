//! Small tables for the tests of this crate.

use std::collections::BTreeMap;
use std::sync::Arc;

use arrow::array::{ArrayRef, Int64Array, RecordBatch, StringViewArray};
use datafusion::catalog::TableProvider;
use datafusion::datasource::MemTable;
use datafusion::logical_expr::LogicalPlan;
use stage::TableName;

use crate::{Engine, EngineOptions, SqlProblem};

pub(crate) fn engine() -> Engine {
    Engine::new(EngineOptions { memory_bytes: 64 << 20, spill_folder: None, threads: 2 }).unwrap()
}

pub(crate) fn name(text: &str) -> TableName {
    text.parse().unwrap()
}

pub(crate) type Tables = BTreeMap<TableName, Arc<dyn TableProvider>>;

/// `bronze.events` (id, user_key, amount, _source, _position), `silver.users` (user_key, country), `silver.Invoices`
/// (InvoiceNo, amount).
pub(crate) fn tables() -> Tables {
    let text = |values: [&'static str; 3]| Arc::new(StringViewArray::from(values.to_vec())) as ArrayRef;
    let long = |values: [i64; 3]| Arc::new(Int64Array::from(values.to_vec())) as ArrayRef;
    let events = vec![
        ("id", long([1, 2, 3])),
        ("user_key", text(["a", "b", "c"])),
        ("amount", long([10, 20, 30])),
        ("_source", text(["f1", "f1", "f2"])),
        ("_position", long([1, 2, 1])),
    ];
    let users = vec![("user_key", text(["a", "b", "d"])), ("country", text(["DE", "FR", "DE"]))];
    let invoices = vec![("InvoiceNo", text(["x", "y", "z"])), ("amount", long([1, 2, 3]))];
    let all = [("shop.bronze.events", events), ("shop.silver.users", users), ("shop.silver.Invoices", invoices)];
    all.into_iter().map(|(table, columns)| (name(table), table_of(columns))).collect()
}

fn table_of(columns: Vec<(&str, ArrayRef)>) -> Arc<dyn TableProvider> {
    let rows =
        RecordBatch::try_from_iter_with_nullable(columns.into_iter().map(|(name, array)| (name, array, true))).unwrap();
    Arc::new(MemTable::try_new(rows.schema(), vec![vec![rows]]).unwrap())
}

pub(crate) async fn planned(sql: &str) -> Result<LogicalPlan, SqlProblem> {
    crate::plan(&engine().session("shop"), "shop", sql, &tables()).await
}
