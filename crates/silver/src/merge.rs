//! `merge`: the newest row of each key wins.
//!
//! The checked rows are staged as files of their own first. Then one query ranks them together with the rows of those
//! existing files that may hold the same keys, and its result replaces just these files. A row that is there wins over an
//! equally new one, so reading the same change again alters nothing.

use std::collections::BTreeMap;

use ::stage::{Context, Error, Layer, Result, TableName};
use arrow::datatypes::SchemaRef;
use futures::StreamExt as _;
use lake::{Add, RollingWriter, Table};
use quality::Staged;
use sql::Engine;

use crate::overlap::overlapping;
use crate::spec::MergeSpec;

/// What a merge needs to know of the table and the batch.
pub(crate) struct Merge<'a> {
    pub(crate) engine: &'a Engine,
    pub(crate) table: &'a Table,
    /// The columns of the table together with those of the batch.
    pub(crate) schema: SchemaRef,
    pub(crate) partition_by: &'a [String],
    pub(crate) spec: &'a MergeSpec,
    pub(crate) context: &'a Context,
}

/// Files that replace others.
pub(crate) struct Merged {
    pub(crate) added: Vec<Add>,
    pub(crate) removed: Vec<Add>,
    pub(crate) rows: u64,
}

impl Merge<'_> {
    pub(crate) async fn run(&self, staged: &Staged, replaces_all: bool) -> Result<Merged> {
        let removed = match replaces_all {
            true => Vec::new(),
            false => overlapping(self.table.files().await?, &staged.added, &self.spec.keys),
        };
        let pipeline = self.table.name().pipeline();
        let tables = BTreeMap::from([
            (side(pipeline, "existing")?, self.table.scan(&removed, &self.schema, self.partition_by)?),
            (side(pipeline, "incoming")?, self.table.scan(&staged.added, &self.schema, self.partition_by)?),
        ]);
        let session = self.engine.session(pipeline);
        let plan = sql::plan(&session, pipeline, &self.statement(), &tables)
            .await
            .map_err(|problem| Error::config(format!("write.merge of {}: {}", self.table.name(), problem.message)))?;
        let mut writer = RollingWriter::new(self.table.staging(), self.partition_by);
        for mut stream in sql::flow(&session, plan, &self.schema).await? {
            while let Some(rows) = stream.next().await {
                self.context.check()?;
                writer.write(&rows?).await?;
            }
        }
        let rows = writer.rows();
        Ok(Merged { added: writer.close().await?, removed, rows })
    }

    fn statement(&self) -> String {
        let columns: Vec<String> = self.schema.fields().iter().map(|field| quoted(field.name())).collect();
        let columns = columns.join(", ");
        let keys: Vec<String> = self.spec.keys.iter().map(|key| quoted(key)).collect();
        let newest = quoted(&self.spec.sequence_by);
        let gone = self.spec.delete_when.as_deref().unwrap_or("false");
        format!(
            "SELECT {columns} FROM (
               SELECT *, ROW_NUMBER() OVER (PARTITION BY {keys} ORDER BY {newest} DESC NULLS LAST, _side) AS _rank FROM (
                 SELECT {columns}, 0 AS _side, false AS _gone FROM silver.existing
                 UNION ALL
                 SELECT {columns}, 1 AS _side, COALESCE(({gone}), false) AS _gone FROM silver.incoming
               ) AS both_sides
             ) AS ranked WHERE _rank = 1 AND NOT _gone",
            keys = keys.join(", "),
        )
    }
}

fn side(pipeline: &str, table: &str) -> Result<TableName> {
    TableName::new(pipeline, Layer::Silver, table)
}

fn quoted(name: &str) -> String {
    format!("\"{}\"", name.replace('"', "\"\""))
}
