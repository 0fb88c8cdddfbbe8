//! A store whose errors say what the user has to do.
//!
//! On their way up libraries wrap the errors of a store in many ways, and nobody there knows the bucket or the table.
//! Where a request fails both are known. So what a user can mend becomes one of our errors here, and keeps its kind and
//! its words however deep it is wrapped; everything else passes as it is, since Delta depends on it.

use std::fmt;
use std::ops::Range;
use std::sync::Arc;

use async_trait::async_trait;
use bytes::Bytes;
use futures::StreamExt as _;
use futures::stream::BoxStream;
use object_store::path::Path;
use object_store::{
    CopyOptions, Error as StoreError, GetOptions, GetResult, GetResultPayload, ListResult, MultipartUpload, ObjectMeta,
    ObjectStore, PutMultipartOptions, PutOptions, PutPayload, PutResult, RenameOptions, Result,
};
use stage::{Error, Kind, Layer, TableName};

use crate::error::outside_cause;

/// A store, and what is known of it.
#[derive(Debug)]
pub(crate) struct Telling {
    inner: Arc<dyn ObjectStore>,
    about: About,
}

/// What the errors of a store are about.
#[derive(Debug, Clone)]
pub(crate) enum About {
    /// A bucket, in words.
    Bucket(String),
    /// The folder of a lake: below it lie pipelines, layers and tables.
    Lake(Path),
}

impl Telling {
    /// The same store, with errors that tell more.
    pub(crate) fn over(inner: Arc<dyn ObjectStore>, about: About) -> Arc<dyn ObjectStore> {
        Arc::new(Telling { inner, about })
    }
}

impl About {
    fn told(&self, error: StoreError) -> StoreError {
        let ours = match self {
            About::Bucket(bucket) => refused(bucket, &error).or_else(|| unanswered(bucket, &error)),
            About::Lake(folder) => lost_file(folder, &error),
        };
        match ours {
            // Written as `Generic <kind> error: ...`, by which `Error::within` finds it in a text.
            Some(ours) => StoreError::Generic { store: ours.kind().name(), source: Box::new(ours) },
            None => error,
        }
    }
}

/// The error of a bucket that does not let us in or is not there. Servers answer with different codes and statuses, so
/// the text decides.
fn refused(bucket: &str, error: &StoreError) -> Option<Error> {
    const KEYS: &str =
        "AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY, or access_key_id and secret_access_key of [lake.s3]";
    let text = error.to_string();
    let says = |codes: &[&str]| codes.iter().any(|code| text.contains(code));
    let why = if says(&["InvalidAccessKeyId", "XAdminUserNotFound"]) {
        format!("refused the credentials: the access key is not known there; check {KEYS}")
    } else if says(&["SignatureDoesNotMatch"]) {
        "refused the credentials: the secret does not fit the access key; check AWS_SECRET_ACCESS_KEY, or \
         secret_access_key of [lake.s3]"
            .to_owned()
    } else if says(&["ExpiredToken", "InvalidToken"]) {
        "refused the credentials: the session token is not valid any more; check AWS_SESSION_TOKEN, or session_token of \
         [lake.s3]"
            .to_owned()
    } else if says(&["NoSuchBucket"]) {
        "cannot be used: the bucket does not exist; create it, or change the path".to_owned()
    } else if says(&["AccessDenied", "403 Forbidden"])
        || matches!(error, StoreError::PermissionDenied { .. } | StoreError::Unauthenticated { .. })
    {
        format!("refused access; check the rights of the key in {KEYS}")
    } else {
        return None;
    };
    Some(Error::config(format!("{bucket} {why}")))
}

/// The error of a request that got no answer, or none that helps, however often the client tried. It may pass; libraries
/// would take it for a broken file otherwise.
fn unanswered(bucket: &str, error: &StoreError) -> Option<Error> {
    let StoreError::Generic { source, .. } = error else { return None };
    let why = match outside_cause(error) {
        Some((Kind::Unavailable, why)) => why,
        Some(_) => return None,
        None => "a request failed",
    };
    let text = source.to_string();
    // What servers send along says no more than the status.
    let told = text.split_once(": <?xml").map_or(text.as_str(), |(told, _)| told).replace('\n', " ");
    Some(Error::unavailable(format!("{bucket}: {why}: {told}")))
}

/// The error of a table whose data file is not there. Files of the log are looked for to see whether they exist.
fn lost_file(lake: &Path, error: &StoreError) -> Option<Error> {
    let StoreError::NotFound { path, .. } = error else { return None };
    // A local disk tells the path of the file system, S3 the key.
    let path = Path::parse(path.trim_start_matches('/')).ok()?;
    let parts: Vec<String> = path.prefix_match(lake)?.map(|part| part.as_ref().to_owned()).collect();
    let [pipeline, layer, table, file @ ..] = parts.as_slice() else { return None };
    let is_data = file.last().is_some_and(|name| name.ends_with(".parquet")) && !file[0].starts_with('_');
    if !is_data {
        return None;
    }
    let name: TableName = format!("{pipeline}.{layer}.{table}").parse().ok()?;
    let rebuild = match name.layer() {
        Layer::Silver | Layer::Gold => {
            format!(", or rebuild the table with `medallion {layer} {name} --full-refresh`")
        }
        Layer::Bronze => format!(
            ", or read the landing files again: delete the folder {pipeline}/{layer}/{table} in the lake, then run with \
             --full-refresh"
        ),
        _ => String::new(),
    };
    let file = file.join("/");
    Some(Error::data(format!(
        "{name} has lost its data file {file}, which something else than medallion deleted; put it back{rebuild}"
    )))
}

impl fmt::Display for Telling {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.inner.fmt(formatter)
    }
}

#[async_trait]
#[deny(clippy::missing_trait_methods)]
impl ObjectStore for Telling {
    async fn put_opts(&self, location: &Path, payload: PutPayload, options: PutOptions) -> Result<PutResult> {
        self.inner.put_opts(location, payload, options).await.map_err(|error| self.about.told(error))
    }

    async fn put_multipart_opts(
        &self,
        location: &Path,
        options: PutMultipartOptions,
    ) -> Result<Box<dyn MultipartUpload>> {
        self.inner.put_multipart_opts(location, options).await.map_err(|error| self.about.told(error))
    }

    async fn get_opts(&self, location: &Path, options: GetOptions) -> Result<GetResult> {
        let mut result = self.inner.get_opts(location, options).await.map_err(|error| self.about.told(error))?;
        if let GetResultPayload::Stream(bytes) = result.payload {
            let about = self.about.clone();
            let told = bytes.map(move |bytes| bytes.map_err(|error| about.told(error)));
            result.payload = GetResultPayload::Stream(told.boxed());
        }
        Ok(result)
    }

    async fn get_ranges(&self, location: &Path, ranges: &[Range<u64>]) -> Result<Vec<Bytes>> {
        self.inner.get_ranges(location, ranges).await.map_err(|error| self.about.told(error))
    }

    fn delete_stream(&self, locations: BoxStream<'static, Result<Path>>) -> BoxStream<'static, Result<Path>> {
        let about = self.about.clone();
        self.inner.delete_stream(locations).map(move |item| item.map_err(|error| about.told(error))).boxed()
    }

    fn list(&self, prefix: Option<&Path>) -> BoxStream<'static, Result<ObjectMeta>> {
        let about = self.about.clone();
        self.inner.list(prefix).map(move |item| item.map_err(|error| about.told(error))).boxed()
    }

    fn list_with_offset(&self, prefix: Option<&Path>, offset: &Path) -> BoxStream<'static, Result<ObjectMeta>> {
        let about = self.about.clone();
        self.inner.list_with_offset(prefix, offset).map(move |item| item.map_err(|error| about.told(error))).boxed()
    }

    async fn list_with_delimiter(&self, prefix: Option<&Path>) -> Result<ListResult> {
        self.inner.list_with_delimiter(prefix).await.map_err(|error| self.about.told(error))
    }

    async fn copy_opts(&self, from: &Path, to: &Path, options: CopyOptions) -> Result<()> {
        self.inner.copy_opts(from, to, options).await.map_err(|error| self.about.told(error))
    }

    async fn rename_opts(&self, from: &Path, to: &Path, options: RenameOptions) -> Result<()> {
        self.inner.rename_opts(from, to, options).await.map_err(|error| self.about.told(error))
    }
}

#[cfg(test)]
mod tests {
    use object_store::ObjectStoreExt as _;
    use object_store::memory::InMemory;

    use super::*;

    fn answer(text: &str) -> StoreError {
        StoreError::NotFound { path: "lake/x".to_owned(), source: text.to_owned().into() }
    }

    #[test]
    fn refused_credentials_name_the_bucket_and_the_variables_and_keep_the_answer_out() {
        for code in ["InvalidAccessKeyId", "XAdminUserNotFound"] {
            let answer = answer(&format!("404 Not Found: <Error><Code>{code}</Code></Error>"));
            let error = refused("bucket `b` at http://h:1", &answer).unwrap();
            assert_eq!(error.kind(), Kind::Config);
            let line = error.chain();
            assert!(line.starts_with("bucket `b` at http://h:1 refused the credentials"), "{line}");
            assert!(line.contains("AWS_ACCESS_KEY_ID") && !line.contains('<'), "{line}");
        }
        assert!(refused("bucket `b`", &answer("<Code>NoSuchKey</Code>")).is_none());
    }

    #[tokio::test]
    async fn a_data_file_that_is_gone_is_named_with_its_table_and_its_remedy() {
        let lake = Path::from("some/lake");
        let store = Telling::over(Arc::new(InMemory::new()), About::Lake(lake));
        let told = |error: StoreError| match error {
            StoreError::Generic { source, .. } => source.downcast::<Error>().unwrap().chain(),
            other => panic!("{other}"),
        };
        let gone = store.get(&Path::from("some/lake/shop/silver/orders/day=1/part-0.parquet")).await.unwrap_err();
        assert_eq!(
            told(gone),
            "shop.silver.orders has lost its data file day=1/part-0.parquet, which something else than medallion deleted; \
             put it back, or rebuild the table with `medallion silver shop.silver.orders --full-refresh`"
        );
        let gone = store.get_range(&Path::from("some/lake/shop/bronze/orders/part-0.parquet"), 0..4).await.unwrap_err();
        assert!(told(gone).contains("delete the folder shop/bronze/orders in the lake"));
    }

    #[test]
    fn an_error_of_which_only_the_words_are_left_is_recognised() {
        let told = About::Bucket("bucket `b`".to_owned()).told(answer("<Code>NoSuchBucket</Code>"));
        let found =
            Error::within(&format!("Parquet error: Failed to fetch metadata: Object Store error: {told}")).unwrap();
        assert_eq!(found.kind(), Kind::Config);
        assert!(found.message().starts_with("bucket `b` cannot be used: "), "{}", found.message());
        assert!(Error::within("Generic S3 error: timed out").is_none());
    }

    #[test]
    fn a_request_that_was_not_answered_may_be_tried_again_wherever_it_failed() {
        let failed = |text: &str| StoreError::Generic { store: "S3", source: text.to_owned().into() };
        let busy =
            failed("Error performing PUT k, after 4 retries: 503 Service Unavailable: <?xml v?>\n<Error>busy</Error>");
        let told = About::Bucket("bucket `b`".to_owned()).told(busy);
        let in_words = Error::within(&format!("Parquet error: {told}")).unwrap();
        let wrapped = parquet::errors::ParquetError::External(Box::new(told));
        let in_chain = crate::classify_delta("could not finish the files of t", wrapped.into());
        assert_eq!((in_words.kind(), in_chain.kind()), (Kind::Unavailable, Kind::Unavailable));
        assert_eq!(
            in_chain.chain(),
            "could not finish the files of t: bucket `b`: a request failed: Error performing PUT k, after 4 retries: 503 \
             Service Unavailable"
        );
        assert!(unanswered("bucket `b`", &failed("GET http://169.254.169.254/latest")).is_none(), "no credentials");
        assert!(unanswered("bucket `b`", &answer("no such key")).is_none());
    }

    #[tokio::test]
    async fn files_of_the_log_and_of_other_folders_may_be_missing() {
        let store = Telling::over(Arc::new(InMemory::new()), About::Lake(Path::from("lake")));
        for path in ["lake/shop/silver/orders/_delta_log/1.checkpoint.parquet", "landing/a.parquet", "lake/a.parquet"] {
            assert!(matches!(store.get(&Path::from(path)).await, Err(StoreError::NotFound { .. })), "{path}");
        }
    }
}
