//! Streams of rows that are worked off at the same time.

use ::stage::{Context, Error, Result};
use arrow::array::RecordBatch;
use futures::StreamExt as _;
use sql::RowStream;
use tokio::task::JoinSet;

/// What `work` makes of each batch, in no order. The first error stops all.
pub(crate) async fn each<T, F>(streams: Vec<RowStream>, context: &Context, work: F) -> Result<Vec<T>>
where
    T: Send + 'static,
    F: Fn(RecordBatch) -> Result<Option<T>> + Clone + Send + 'static,
{
    let mut tasks: JoinSet<Result<Vec<T>>> = JoinSet::new();
    for mut stream in streams {
        let (work, context) = (work.clone(), context.clone());
        tasks.spawn(async move {
            let mut done = Vec::new();
            while let Some(rows) = stream.next().await {
                context.check()?;
                done.extend(work(rows?)?);
            }
            Ok(done)
        });
    }
    let mut all = Vec::new();
    while let Some(joined) = tasks.join_next().await {
        all.extend(ended(joined)?);
    }
    Ok(all)
}

/// The result of a task; a panic in it is a defect.
pub(crate) fn ended<T>(joined: std::result::Result<Result<T>, tokio::task::JoinError>) -> Result<T> {
    joined.unwrap_or_else(|error| Err(Error::bug("a worker of a merge ended unexpectedly").with_source(error)))
}
