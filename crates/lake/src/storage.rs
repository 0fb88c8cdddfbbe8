//! A location, local or S3, as an object store.
//!
//! S3 is reached by `object_store` alone: it takes the usual AWS variables, instance and container credentials, and its
//! conditional put makes a Delta commit a compare-and-swap.

use std::path::Path as LocalPath;
use std::sync::Arc;
use std::time::Duration;

use object_store::ObjectStore;
use object_store::aws::{AmazonS3Builder, AmazonS3ConfigKey, S3ConditionalPut};
use object_store::local::LocalFileSystem;
use object_store::path::Path;
use object_store::{ClientOptions, RetryConfig};
use stage::{Error, Result, Secret};
use url::Url;

use crate::error::classify_store;
use crate::local_log::LocalLog;
use crate::telling::{About, Telling};

/// What S3 needs to be told where the AWS variables do not say it.
#[derive(Debug, Clone, Default)]
pub struct S3Settings {
    /// The address of an S3-compatible server.
    pub endpoint: Option<String>,
    /// The region.
    pub region: Option<String>,
    /// The access key.
    pub access_key_id: Option<Secret>,
    /// The secret of the access key.
    pub secret_access_key: Option<Secret>,
    /// The token of temporary credentials.
    pub session_token: Option<Secret>,
    /// Whether plain http is allowed.
    pub allow_http: Option<bool>,
    /// Whether the bucket is part of the host name.
    pub virtual_hosted: Option<bool>,
}

/// A folder or an S3 prefix: the store that holds it, and where in the store it begins.
#[derive(Debug, Clone)]
pub struct Storage {
    /// The location as a URL that ends in `/`.
    pub url: Url,
    /// The store, rooted at the file system's root or at the bucket.
    pub root: Arc<dyn ObjectStore>,
    /// Where the location begins in the store.
    pub prefix: Path,
}

impl Storage {
    /// Opens `location`: `s3://bucket/prefix`, or a local folder, absolute or relative to the working folder. Local
    /// folders need not exist yet.
    ///
    /// # Errors
    /// [`stage::Kind::Config`] when the location cannot be understood.
    pub fn open(location: &str, s3: &S3Settings) -> Result<Storage> {
        match location.split_once("://") {
            Some(("s3" | "s3a", rest)) => open_s3(rest, s3),
            Some(("file", path)) => open_local(path),
            Some((scheme, _)) => Err(Error::config(format!(
                "cannot use `{location}`: `{scheme}://` is not supported; use a folder or s3://bucket/prefix"
            ))),
            None => open_local(location),
        }
    }

    /// Whether the location is a local folder.
    pub fn is_local(&self) -> bool {
        self.url.scheme() == "file"
    }

    /// The same location as that of a lake: a data file that is missing there is told with its table.
    pub(crate) fn of_tables(self) -> Storage {
        let root = Telling::over(self.root, About::Lake(self.prefix.clone()));
        Storage { root, ..self }
    }

    /// The URL of the store's root, as DataFusion registers it.
    pub fn root_url(&self) -> Url {
        let mut root = self.url.clone();
        root.set_path("/");
        root
    }
}

fn open_local(location: &str) -> Result<Storage> {
    if location.trim().is_empty() {
        return Err(Error::config("the location of a folder is empty"));
    }
    let absolute = std::path::absolute(LocalPath::new(location))
        .map_err(|error| Error::config(format!("cannot use `{location}` as a folder")).with_source(error))?;
    // Links are followed now, so that one folder has one name whatever way it was reached.
    let resolved = std::fs::canonicalize(&absolute).unwrap_or(absolute);
    let url = Url::from_directory_path(&resolved)
        .map_err(|()| Error::config(format!("cannot use `{location}` as a folder")))?;
    let prefix = Path::from_url_path(url.path())
        .map_err(|error| Error::config(format!("cannot use `{location}` as a folder")).with_source(error))?;
    Ok(Storage { url, root: LocalLog::on(LocalFileSystem::new()), prefix })
}

fn open_s3(rest: &str, s3: &S3Settings) -> Result<Storage> {
    let (bucket, prefix) = rest.split_once('/').unwrap_or((rest, ""));
    if bucket.is_empty() {
        return Err(Error::config(format!("`s3://{rest}` names no bucket; write s3://bucket/prefix")));
    }
    let trimmed = prefix.trim_matches('/');
    let location = if trimmed.is_empty() { format!("s3://{bucket}/") } else { format!("s3://{bucket}/{trimmed}/") };
    let url = Url::parse(&location)
        .map_err(|error| Error::config(format!("cannot use `{location}` as an S3 location")).with_source(error))?;
    let builder = s3_builder(bucket, s3);
    let endpoint = builder.get_config_value(&AmazonS3ConfigKey::Endpoint).unwrap_or_else(|| "AWS".to_owned());
    let store =
        builder.build().map_err(|error| classify_store(&format!("could not set up access to `{location}`"), error))?;
    let root = Telling::over(Arc::new(store), About::Bucket(format!("bucket `{bucket}` at {endpoint}")));
    Ok(Storage { url, root, prefix: Path::from(trimmed) })
}

fn s3_builder(bucket: &str, s3: &S3Settings) -> AmazonS3Builder {
    // The transport's own retries are capped; beyond them the workflow decides.
    let retry = RetryConfig { max_retries: 4, retry_timeout: Duration::from_secs(30), ..RetryConfig::default() };
    let client =
        ClientOptions::default().with_connect_timeout(Duration::from_secs(5)).with_timeout(Duration::from_secs(120));
    let mut builder = AmazonS3Builder::from_env()
        .with_client_options(client)
        .with_bucket_name(bucket)
        .with_retry(retry)
        .with_conditional_put(S3ConditionalPut::ETagMatch);
    if let Some(endpoint) = &s3.endpoint {
        builder = builder.with_endpoint(endpoint.trim_end_matches('/'));
    }
    if let Some(region) = &s3.region {
        builder = builder.with_region(region);
    }
    if let Some(key) = &s3.access_key_id {
        builder = builder.with_access_key_id(key.expose());
    }
    if let Some(secret) = &s3.secret_access_key {
        builder = builder.with_secret_access_key(secret.expose());
    }
    if let Some(token) = &s3.session_token {
        builder = builder.with_token(token.expose());
    }
    if let Some(allow) = s3.allow_http.or_else(http_endpoint_in_environment) {
        builder = builder.with_allow_http(allow);
    }
    if let Some(virtual_hosted) = s3.virtual_hosted {
        builder = builder.with_virtual_hosted_style_request(virtual_hosted);
    }
    builder
}

/// An endpoint given as `http://` in the environment is meant to be reached by http.
fn http_endpoint_in_environment() -> Option<bool> {
    let named = ["AWS_ENDPOINT_URL", "AWS_ENDPOINT", "AWS_ENDPOINT_URL_S3"];
    let plain = named.iter().filter_map(|name| std::env::var(name).ok()).any(|value| value.starts_with("http://"));
    plain.then_some(true)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn locations_become_urls_that_end_in_a_slash() {
        let local = Storage::open("/tmp/a lake", &S3Settings::default()).unwrap();
        assert_eq!(local.url.as_str(), "file:///tmp/a%20lake/");
        let settings = S3Settings { region: Some("eu-west-1".into()), ..S3Settings::default() };
        let s3 = Storage::open("s3://acme/prod/", &settings).unwrap();
        assert_eq!((s3.url.as_str(), s3.prefix.as_ref()), ("s3://acme/prod/", "prod"));
        assert_eq!(s3.root_url().as_str(), "s3://acme/");
    }

    #[test]
    fn an_unknown_scheme_is_named() {
        let error = Storage::open("gs://bucket/x", &S3Settings::default()).unwrap_err();
        assert!(error.message().contains("`gs://` is not supported"), "{}", error.message());
    }
}
