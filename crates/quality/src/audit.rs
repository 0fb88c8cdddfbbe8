//! A table at rest against its expectations: nothing is changed, rows that violate a rule are counted.

use ::stage::{Context, Error, Progress, Result, Stage, TableName};
use futures::TryStreamExt as _;
use futures::future::BoxFuture;
use lake::Lake;

use crate::compile;
use crate::counts::{self, RuleCount};
use crate::gate::misfit;
use crate::spec::{ExpectationSpec, OnFail};

/// The audit of one table. Violated `fail` rules are an error, all others are warnings.
pub struct Audit {
    name: TableName,
    expectations: Vec<ExpectationSpec>,
    lake: Lake,
    engine: sql::Engine,
    is_done: bool,
}

impl Audit {
    /// An audit of the table `name`.
    pub fn new(name: TableName, expectations: Vec<ExpectationSpec>, lake: Lake, engine: sql::Engine) -> Audit {
        Audit { name, expectations, lake, engine, is_done: false }
    }

    async fn audit(&mut self, context: &Context) -> Result<Progress> {
        if std::mem::replace(&mut self.is_done, true) {
            return Ok(Progress::idle());
        }
        let table = self.lake.open(&self.name).await?;
        let provider = table.provider().await?;
        let schema = table.schema().ok_or_else(|| Error::bug("an opened table has no schema"))?;
        let validator =
            compile(&self.expectations, &schema, &self.engine).map_err(|problems| misfit(&self.name, &problems))?;
        let mut total: Vec<RuleCount> = Vec::new();
        let mut rows_read = 0;
        for mut stream in sql::read(&self.engine, provider, &schema).await? {
            while let Some(rows) = stream.try_next().await? {
                context.check()?;
                rows_read += rows.num_rows() as u64;
                context.meter.add_rows(rows.num_rows() as u64);
                counts::add(&mut total, &validator.validate(&rows, context.now())?.counts);
            }
        }
        self.verdict(rows_read, &total)
    }

    fn verdict(&self, rows_read: u64, total: &[RuleCount]) -> Result<Progress> {
        let violated: Vec<&RuleCount> = total.iter().filter(|count| count.failed > 0).collect();
        let gates = violated.iter().filter(|count| count.on_fail == OnFail::Fail);
        let refused: Vec<String> = gates.map(|count| format!("`{}` ({} rows)", count.rule, count.failed)).collect();
        if !refused.is_empty() {
            return Err(Error::quality(format!("{} violates {}", self.name, refused.join(", "))));
        }
        let warnings = violated.iter().map(|count| (count.rule.clone(), count.failed)).collect();
        Ok(Progress { rows_read, warnings, ..Progress::default() })
    }
}

impl Stage for Audit {
    fn table(&self) -> &TableName {
        &self.name
    }

    fn advance<'a>(&'a mut self, context: &'a Context) -> BoxFuture<'a, Result<Progress>> {
        Box::pin(self.audit(context))
    }
}
