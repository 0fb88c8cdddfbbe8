//! Errors of storage and Delta, sorted once into the kinds that decide what happens next.

use std::error::Error as StdError;

use deltalake::{DeltaTableError, ObjectStoreError};
use stage::{Error, Kind};

/// Sorts an error of an object store. `doing` says what was being done and to what.
pub fn classify_store(doing: &str, error: ObjectStoreError) -> Error {
    if let Some(ours) = our_own(doing, &error) {
        return ours;
    }
    let (kind, remedy) = match &error {
        ObjectStoreError::NotFound { .. } => (Kind::Data, None),
        ObjectStoreError::PermissionDenied { .. } | ObjectStoreError::Unauthenticated { .. } => {
            (Kind::Config, Some("access was refused; check the credentials and the rights of that key"))
        }
        _ => match outside_cause(&error) {
            Some((kind, remedy)) => (kind, Some(remedy)),
            None => (Kind::Unavailable, None),
        },
    };
    build(kind, doing, remedy, error)
}

/// Sorts an error of the Delta library. `doing` says what was being done and to what.
pub fn classify_delta(doing: &str, error: DeltaTableError) -> Error {
    match error {
        DeltaTableError::ObjectStore { source } => classify_store(doing, source),
        other => {
            if let Some(ours) = our_own(doing, &other) {
                return ours;
            }
            let (kind, remedy) = match outside_cause(&other) {
                Some((kind, remedy)) => (kind, Some(remedy)),
                None => match &other {
                    DeltaTableError::Transaction { .. } | DeltaTableError::VersionAlreadyExists(_) => {
                        (Kind::Conflict, None)
                    }
                    DeltaTableError::Io { .. } => (Kind::Unavailable, None),
                    _ => (Kind::Data, None),
                },
            };
            build(kind, doing, remedy, other)
        }
    }
}

/// Sorts an error of the Parquet library: a broken file unless something outside failed.
pub fn classify_parquet(doing: &str, error: impl StdError + Send + Sync + 'static) -> Error {
    let (kind, remedy) = match outside_cause(&error) {
        Some((kind, remedy)) => (kind, Some(remedy)),
        None => (Kind::Data, None),
    };
    build(kind, doing, remedy, error)
}

/// The error with the kind and words that it got where the request failed; what libraries wrapped around them is left out.
fn our_own(doing: &str, error: &(dyn StdError + 'static)) -> Option<Error> {
    let mut causes = std::iter::successors(Some(error), |cause| (*cause).source());
    let told = |ours: &Error| Error::new(ours.kind(), format!("{doing}: {}", ours.chain()));
    let ours = causes.find_map(|cause| cause.downcast_ref::<Error>()).map(told);
    // Readers of Parquet keep the words, but not the error.
    ours.or_else(|| Error::within(&error.to_string()).as_ref().map(told))
}

fn build(kind: Kind, doing: &str, remedy: Option<&str>, source: impl StdError + Send + Sync + 'static) -> Error {
    let message = match remedy {
        Some(remedy) => format!("{doing}: {remedy}"),
        None => doing.to_owned(),
    };
    Error::new(kind, message).with_source(source)
}

/// Looks through the whole chain of causes for one that lies outside the data: a full disk, missing rights, a server
/// that refuses us or does not answer. Libraries wrap these in many ways, so text is the last resort.
pub(crate) fn outside_cause(error: &(dyn StdError + 'static)) -> Option<(Kind, &'static str)> {
    let mut next = Some(error);
    let mut text = String::new();
    while let Some(cause) = next {
        if let Some(io) = cause.downcast_ref::<std::io::Error>() {
            match io.kind() {
                std::io::ErrorKind::StorageFull | std::io::ErrorKind::QuotaExceeded => {
                    return Some((Kind::Unavailable, "the disk is full; free space and run again"));
                }
                std::io::ErrorKind::PermissionDenied => {
                    return Some((Kind::Config, "permission denied; check the owner and mode of the folder"));
                }
                std::io::ErrorKind::ReadOnlyFilesystem => {
                    return Some((Kind::Config, "the file system is read-only"));
                }
                _ => {}
            }
        }
        text.push_str(&cause.to_string());
        next = cause.source();
    }
    outside_text(&text)
}

fn outside_text(text: &str) -> Option<(Kind, &'static str)> {
    const TEXTS: [(&str, Kind, &str); 7] = [
        ("No space left on device", Kind::Unavailable, "the disk is full; free space and run again"),
        ("File system loop", Kind::Config, "a link in the folder leads back to it; remove that link"),
        ("Permission denied", Kind::Config, "permission denied; check the owner and mode of the folder"),
        ("Missing region", Kind::Config, "no region is set; set AWS_REGION"),
        ("error sending request", Kind::Unavailable, "the server does not answer"),
        ("Connection refused", Kind::Unavailable, "the server does not answer"),
        ("169.254.169.254", Kind::Config, "no credentials were found; set AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY"),
    ];
    TEXTS.iter().find(|(needle, _, _)| text.contains(needle)).map(|(_, kind, remedy)| (*kind, *remedy))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_full_disk_is_found_however_deep_it_is_wrapped() {
        let io = std::io::Error::from(std::io::ErrorKind::StorageFull);
        let store = ObjectStoreError::Generic { store: "LocalFileSystem", source: Box::new(io) };
        let error = classify_store("could not write shop.bronze.orders", store);
        assert_eq!(error.kind(), Kind::Unavailable);
        assert!(error.message().contains("the disk is full"), "{}", error.message());
    }

    #[test]
    fn what_was_said_where_a_request_failed_is_all_that_is_said() {
        let told = Error::config("bucket `b` refused the credentials");
        let store = ObjectStoreError::Generic { store: "storage", source: Box::new(told) };
        let error = classify_delta("could not open shop.bronze.orders", DeltaTableError::ObjectStore { source: store });
        assert_eq!(error.kind(), Kind::Config);
        assert_eq!(error.chain(), "could not open shop.bronze.orders: bucket `b` refused the credentials");
    }
}
