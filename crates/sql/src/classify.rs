//! The one place that decides what a failure of a query means for a run.

use std::error::Error as StdError;
use std::{fmt, io};

use datafusion::error::DataFusionError;
use datafusion::object_store;
use stage::{Error, Kind};

use crate::text;

/// The error of a query as one of ours: the kind decides whether it is tried again.
///
/// An error that is one of ours already, because our own code failed inside the query, keeps its kind and message.
pub fn classify(error: DataFusionError) -> Error {
    // Readers of Parquet keep the words of a store's error, but not the error.
    if let Some(told) = Error::within(&error.to_string()) {
        return told;
    }
    let (kind, message) = meaning(&error);
    let cause = chain(&error).last().map(|inner| text::plain(&inner.to_string())).unwrap_or_default();
    if cause.is_empty() || message.contains(&cause) {
        return Error::new(kind, message);
    }
    Error::new(kind, message).with_source(Cause(cause))
}

/// What is left of a library's error below ours: its text in our words.
#[derive(Debug)]
struct Cause(String);

impl fmt::Display for Cause {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str(&self.0)
    }
}

impl StdError for Cause {}

fn meaning(error: &DataFusionError) -> (Kind, String) {
    let causes: Vec<&(dyn StdError + 'static)> = chain(error).collect();
    if let Some(ours) = first::<Error>(&causes) {
        return (ours.kind(), ours.chain());
    }
    if let Some(full) = causes.iter().find(|cause| is_disk_full(**cause)) {
        return (Kind::Unavailable, format!("the disk is full: {full}; free some space or spill to another disk"));
    }
    if let Some(store) = first::<object_store::Error>(&causes) {
        return storage(store);
    }
    if let Some(file) = first::<io::Error>(&causes) {
        return (Kind::Unavailable, format!("could not read or write a file: {file}"));
    }
    by_variant(error)
}

/// What the library's own error says when nothing outside is to blame.
fn by_variant(error: &DataFusionError) -> (Kind, String) {
    let text = || text::plain(&error.to_string());
    match error.find_root() {
        DataFusionError::ResourcesExhausted(what) if what.contains("disk") => {
            (Kind::Unavailable, format!("the disk for spilled data is full: {}", text::plain(what)))
        }
        DataFusionError::ResourcesExhausted(what) => {
            let wanted = text::plain(what);
            (
                Kind::Data,
                format!("the query needs more memory than it may use ({wanted}); raise `memory` in medallion.toml"),
            )
        }
        DataFusionError::SQL(..)
        | DataFusionError::SchemaError(..)
        | DataFusionError::Plan(_)
        | DataFusionError::NotImplemented(_)
        | DataFusionError::Diagnostic(..) => (Kind::Config, format!("the query cannot be planned: {}", text())),
        DataFusionError::ArrowError(..) | DataFusionError::Execution(_) => {
            (Kind::Data, format!("the query failed on a value: {}", text()))
        }
        DataFusionError::ParquetError(_) => (Kind::Data, format!("a data file cannot be read: {}", text())),
        DataFusionError::ExecutionJoin(join) if join.is_cancelled() => {
            (Kind::Stopped, "the query was stopped".to_owned())
        }
        _ => (Kind::Bug, format!("the query engine failed: {}", text())),
    }
}

fn storage(error: &object_store::Error) -> (Kind, String) {
    use object_store::Error as Store;
    match error {
        // The log of the table names the file, so nobody but a hand or a too eager clean-up removed it.
        Store::NotFound { path, .. } => (
            Kind::Data,
            format!(
                "file {path} is missing, though the table lists it; somebody removed it: restore the file, or the table to an older version"
            ),
        ),
        Store::PermissionDenied { path, .. } | Store::Unauthenticated { path, .. } => {
            (Kind::Config, format!("no permission to read {path}; check the credentials"))
        }
        other => (Kind::Unavailable, format!("the storage did not answer: {}", text::plain(&other.to_string()))),
    }
}

fn first<'a, T: StdError + 'static>(causes: &[&'a (dyn StdError + 'static)]) -> Option<&'a T> {
    causes.iter().find_map(|cause| cause.downcast_ref::<T>())
}

fn is_disk_full(cause: &(dyn StdError + 'static)) -> bool {
    let kind = cause.downcast_ref::<io::Error>().map(io::Error::kind);
    matches!(kind, Some(io::ErrorKind::StorageFull | io::ErrorKind::QuotaExceeded))
}

/// The error and everything below it. Errors that are boxed or shared on the way are looked through.
fn chain<'a>(error: &'a DataFusionError) -> impl Iterator<Item = &'a (dyn StdError + 'static)> {
    std::iter::successors(Some(error as &(dyn StdError + 'static)), |cause| below(*cause))
}

fn below<'a>(cause: &'a (dyn StdError + 'static)) -> Option<&'a (dyn StdError + 'static)> {
    if let Some(error) = cause.downcast_ref::<DataFusionError>() {
        return match error {
            DataFusionError::Shared(inner) => Some(inner.as_ref()),
            DataFusionError::Collection(errors) => errors.first().map(|first| first as &(dyn StdError + 'static)),
            DataFusionError::External(inner) => Some(inner.as_ref()),
            DataFusionError::IoError(inner) => Some(inner),
            DataFusionError::ObjectStore(inner) => Some(inner.as_ref()),
            DataFusionError::ArrowError(inner, _) => Some(inner.as_ref()),
            DataFusionError::ParquetError(inner) => Some(inner.as_ref()),
            other => other.source(),
        };
    }
    // An io::Error that wraps another error shows only the source of that one.
    if let Some(inner) = cause.downcast_ref::<io::Error>().and_then(io::Error::get_ref) {
        return Some(inner as &(dyn StdError + 'static));
    }
    cause.source()
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use datafusion::parquet::errors::ParquetError;

    use super::*;

    #[test]
    fn too_little_memory_is_no_reason_to_try_again() {
        let error = classify(DataFusionError::ResourcesExhausted("Failed to allocate 10 MB".to_owned()));
        assert_eq!(error.kind(), Kind::Data);
        assert!(error.message().contains("raise `memory`"), "{error}");
    }

    #[test]
    fn a_full_disk_is_found_anywhere_in_the_chain() {
        let full = io::Error::from_raw_os_error(28);
        let parquet = DataFusionError::ParquetError(Box::new(ParquetError::External(Box::new(full))));
        let error = classify(DataFusionError::Shared(Arc::new(parquet)).context("while spilling"));
        assert_eq!(error.kind(), Kind::Unavailable);
        assert!(error.message().starts_with("the disk is full"), "{error}");
    }

    #[test]
    fn a_file_that_the_log_names_and_is_not_there_was_removed() {
        let source = Box::new(io::Error::from(io::ErrorKind::NotFound));
        let store = object_store::Error::NotFound { path: "a/part-1.parquet".to_owned(), source };
        let wrapped = DataFusionError::External(Box::new(DataFusionError::ObjectStore(Box::new(store))));
        let error = classify(wrapped);
        assert_eq!(error.kind(), Kind::Data);
        assert!(error.message().contains("a/part-1.parquet"), "{error}");
    }

    #[test]
    fn storage_that_does_not_answer_is_tried_again() {
        let source = "connection reset".into();
        let store = object_store::Error::Generic { store: "S3", source };
        assert_eq!(classify(store.into()).kind(), Kind::Unavailable);
        let broken = io::Error::from(io::ErrorKind::BrokenPipe);
        assert_eq!(classify(DataFusionError::IoError(broken)).kind(), Kind::Unavailable);
    }

    #[test]
    fn an_error_of_ours_inside_a_query_keeps_its_kind() {
        let error = classify(DataFusionError::External(Box::new(Error::stopped("timed out"))));
        assert_eq!((error.kind(), error.message()), (Kind::Stopped, "timed out"));
    }

    #[test]
    fn no_rust_type_is_shown() {
        let error = classify(DataFusionError::Execution("Divide by zero error".to_owned()));
        assert_eq!(error.chain(), "the query failed on a value: divide by zero error");
    }
}
