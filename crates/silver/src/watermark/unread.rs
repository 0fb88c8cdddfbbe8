//! Rows that the query of a table did not ask for, as when it joins an empty table: they are late all the same, and move
//! the watermark.

use std::sync::Arc;
use std::sync::atomic::Ordering;

use ::stage::{Context, Result};
use futures::TryStreamExt as _;
use quality::Gate;
use sql::{Engine, RowStep as _, TableProvider};

use super::late::LateRows;
use super::times::TimeColumns;
use super::{Found, Lateness};
use crate::clean_step::TakenOut;

impl Lateness {
    /// Puts late rows aside and notes times that the query did not come by. Reads `rows` again where there are any.
    pub(crate) async fn complete(
        &self,
        rows: Arc<dyn TableProvider>,
        engine: &Engine,
        gate: &Gate,
        context: &Context,
    ) -> Result<()> {
        match &self.found {
            Found::Late(late) if late.are_all_met() => Ok(()),
            Found::Late(late) => put_aside(late, rows, engine, gate, context).await,
            Found::None { rows: all, noted } if noted.load(Ordering::Relaxed) >= *all => Ok(()),
            Found::None { .. } => self.note_all(rows, engine, context).await,
        }
    }

    async fn note_all(&self, rows: Arc<dyn TableProvider>, engine: &Engine, context: &Context) -> Result<()> {
        let step = Arc::new(self.watermark.times.clone());
        let output = step.output();
        for mut stream in sql::read(engine, sql::stepped(rows, step), &output).await? {
            while let Some(rows) = stream.try_next().await? {
                context.check()?;
                self.note(&TimeColumns::from_rows(&rows)?)?;
            }
        }
        Ok(())
    }
}

async fn put_aside(
    late: &LateRows,
    rows: Arc<dyn TableProvider>,
    engine: &Engine,
    gate: &Gate,
    context: &Context,
) -> Result<()> {
    let output = rows.schema();
    for mut stream in sql::read(engine, rows, &output).await? {
        while let Some(rows) = stream.try_next().await? {
            context.check()?;
            if let Some(marked) = late.meet(&rows)? {
                TakenOut::late(&rows, marked.unmet)?.put_aside(gate).await?;
            }
        }
    }
    Ok(())
}
