//! Kinesis over HTTP: signed requests with JSON in them, as
//! [the reference of its API](https://docs.aws.amazon.com/kinesis/latest/APIReference/Welcome.html) has them.
//!
//! Signatures and credentials are those of the S3 client, so what opens the lake opens a stream: the AWS variables, web
//! identities, containers and instances.

use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use chrono::{DateTime, Utc};
use object_store::aws::{AmazonS3Builder, AwsAuthorizer, AwsCredential, AwsCredentialProvider};
use object_store::client::HttpRequest;
use object_store::{ClientOptions, HeaderValue, RetryConfig, StaticCredentialProvider};
use serde::Deserialize;
use serde::de::DeserializeOwned;
use serde_json::{Value, json};
use stage::{Error, Result};

use super::client::{Client, Record, Records, Stream};
use super::failure::Failure;
use super::shards::{Place, Shard};
use super::spec::{KinesisSecrets, KinesisSpec};
use crate::messages::address::{is_address, may_hold_secret, shown};

/// How long one request may take.
const PATIENCE: Duration = Duration::from_secs(20);
/// How long a connection may take.
const PATIENCE_TO_CONNECT: Duration = Duration::from_secs(5);
/// What AWS names the endpoint of Kinesis with.
const ENDPOINT: &str = "AWS_ENDPOINT_URL_KINESIS";
/// The version of the API, which every request names.
const API: &str = "Kinesis_20131202";

/// A stream that is reached over HTTP.
pub(crate) struct Http {
    client: reqwest::Client,
    credentials: AwsCredentialProvider,
    region: String,
    endpoint: String,
    stream: String,
}

impl Http {
    /// The client of a spec. Nothing is asked yet.
    ///
    /// # Errors
    /// [`stage::Kind::Config`] when no region is known, or the credentials cannot be used.
    pub(crate) fn new(spec: &KinesisSpec, secrets: &KinesisSecrets) -> Result<Http> {
        let region = region(spec)?;
        let endpoint = match &spec.endpoint {
            Some(endpoint) => endpoint.clone(),
            None => endpoint(std::env::var(ENDPOINT).ok(), &region)?,
        };
        let client = reqwest::Client::builder().timeout(PATIENCE).connect_timeout(PATIENCE_TO_CONNECT).build();
        let client = client.map_err(|error| Error::config("could not make a client of Kinesis").with_source(error))?;
        let credentials = credentials(&region, secrets)?;
        let endpoint = format!("{}/", endpoint.trim_end_matches('/'));
        Ok(Http { client, credentials, region, endpoint, stream: spec.stream.clone() })
    }

    /// What names the stream in a request.
    fn named(&self) -> Value {
        let key = if self.stream.starts_with("arn:") { "StreamARN" } else { "StreamName" };
        json!({ key: self.stream })
    }

    /// Makes one request. `doing` says what for.
    async fn call<T: DeserializeOwned>(
        &self,
        doing: &str,
        action: &str,
        body: &Value,
    ) -> Result<(T, DateTime<Utc>), Failure> {
        let body = body.to_string();
        let request = self.signed(doing, action, &body).await?;
        let away = |error| Failure::away(doing, self.endpoint.trim_end_matches('/'), error);
        let request = self.client.post(&self.endpoint).headers(request.headers().clone()).body(body);
        let response = request.send().await.map_err(away)?;
        let status = response.status().as_u16();
        let header = |name: &str| response.headers().get(name).and_then(|value| value.to_str().ok());
        let now = header("date").and_then(|date| DateTime::parse_from_rfc2822(date).ok());
        let now = now.map_or_else(Utc::now, |date| date.to_utc());
        let code = header("x-amzn-errortype").map(str::to_owned);
        let text = response.bytes().await.map_err(away)?;
        if status != 200 {
            return Err(refusal(doing, status, code, &text));
        }
        match serde_json::from_slice(&text) {
            Ok(answer) => Ok((answer, now)),
            Err(error) => {
                let message = format!(
                    "{doing}: the answer of {} is not one of Kinesis; check endpoint in [source.kinesis]",
                    shown(&self.endpoint)
                );
                Err(Failure::of(Error::config(message).with_source(error)))
            }
        }
    }

    async fn signed(&self, doing: &str, action: &str, body: &str) -> Result<HttpRequest, Failure> {
        let refused = |why: &str| Failure::of(Error::config(format!("{doing}: {why}")));
        let credential = self.credentials.get_credential().await.map_err(|error| {
            let why = "no credentials were found; set AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY, or access_key_id and \
                       secret_access_key in [source.kinesis]";
            Failure::of(Error::config(format!("{doing}: {why}")).with_source(error))
        })?;
        // The signer panics on what no header can hold.
        let texts = [Some(&credential.key_id), credential.token.as_ref()];
        if texts.into_iter().flatten().any(|text| HeaderValue::from_str(text).is_err()) {
            return Err(refused("the credentials hold characters that none can have"));
        }
        let mut request = HttpRequest::new(body.to_owned().into());
        *request.method_mut() = reqwest::Method::POST;
        let is_address = self.endpoint.parse().map(|uri| *request.uri_mut() = uri).is_ok();
        let is_address = is_address && reqwest::Url::parse(&self.endpoint).is_ok_and(|url| url.has_host());
        if !is_address {
            let endpoint = shown(&self.endpoint);
            return Err(refused(&format!("`{endpoint}` is not an address; check endpoint in [source.kinesis]")));
        }
        let target = HeaderValue::from_str(&format!("{API}.{action}")).map_err(|_| refused("no such action"))?;
        request.headers_mut().insert("x-amz-target", target);
        request.headers_mut().insert("content-type", HeaderValue::from_static("application/x-amz-json-1.1"));
        AwsAuthorizer::new(&credential, "kinesis", &self.region).authorize(&mut request, None);
        Ok(request)
    }
}

#[async_trait]
impl Client for Http {
    async fn stream(&self) -> Result<Stream, Failure> {
        let doing = format!("could not look up the stream {}", self.stream);
        let (answer, now): (Described, _) = self.call(&doing, "DescribeStreamSummary", &self.named()).await?;
        let summary = answer.summary;
        let strange = || Failure::of(Error::config(format!("{doing}: `{}` is not the ARN of a stream", summary.arn)));
        let parts: Vec<&str> = summary.arn.split(':').collect();
        let [_, _, _, region, account, resource] = parts.as_slice() else { return Err(strange()) };
        let name = resource.strip_prefix("stream/").ok_or_else(strange)?;
        Ok(Stream {
            position: format!("kinesis/{account}/{region}/{name}"),
            name: name.to_owned(),
            created: millis(summary.created),
            retention_hours: summary.retention_hours,
            now,
        })
    }

    async fn shards(&self) -> Result<Vec<Shard>, Failure> {
        let doing = format!("could not list the shards of {}", self.stream);
        let mut shards = Vec::new();
        let mut body = self.named();
        loop {
            let (answer, _): (Listed, _) = self.call(&doing, "ListShards", &body).await?;
            shards.extend(answer.shards.into_iter().map(ListedShard::shard));
            match answer.next {
                // The token stands for the stream.
                Some(token) => body = json!({ "NextToken": token }),
                None => return Ok(shards),
            }
        }
    }

    async fn iterator(&self, shard: &str, place: &Place) -> Result<String, Failure> {
        let doing = format!("could not begin to read {}/{shard}", self.stream);
        let mut body = self.named();
        body["ShardId"] = json!(shard);
        match place {
            Place::TrimHorizon => body["ShardIteratorType"] = json!("TRIM_HORIZON"),
            Place::Since(time) => {
                body["ShardIteratorType"] = json!("AT_TIMESTAMP");
                body["Timestamp"] = json!(*time as f64 / 1_000.0);
            }
            Place::After(number) => {
                body["ShardIteratorType"] = json!("AFTER_SEQUENCE_NUMBER");
                body["StartingSequenceNumber"] = json!(number);
            }
            Place::Closed => return Err(Failure::of(Error::bug(format!("{doing}: it was read to its end")))),
        }
        let (answer, _): (Iterator, _) = self.call(&doing, "GetShardIterator", &body).await?;
        Ok(answer.iterator)
    }

    async fn records(&self, iterator: &str) -> Result<Records, Failure> {
        let doing = format!("could not read {}", self.stream);
        let mut body = json!({ "ShardIterator": iterator });
        if self.stream.starts_with("arn:") {
            body["StreamARN"] = json!(self.stream);
        }
        let (answer, _): (Got, _) = self.call(&doing, "GetRecords", &body).await?;
        let strange = |error| Failure::of(Error::data(format!("{doing}: a record is not base64")).with_source(error));
        let record = |one: GotRecord| -> Result<Record, Failure> {
            let payload = STANDARD.decode(&one.data).map_err(strange)?;
            let arrived = one.arrived.map(millis);
            Ok(Record { key: one.key, sequence_number: one.sequence_number, arrived, payload })
        };
        let records = answer.records.into_iter().map(record).collect::<Result<_, _>>()?;
        Ok(Records { records, next: answer.next, behind_millis: answer.behind_millis.unwrap_or(0) })
    }
}

#[derive(Deserialize)]
struct Described {
    #[serde(rename = "StreamDescriptionSummary")]
    summary: Summary,
}

#[derive(Deserialize)]
struct Summary {
    #[serde(rename = "StreamARN")]
    arn: String,
    #[serde(rename = "StreamCreationTimestamp")]
    created: f64,
    #[serde(rename = "RetentionPeriodHours")]
    retention_hours: i64,
}

#[derive(Deserialize)]
struct Listed {
    #[serde(rename = "Shards")]
    shards: Vec<ListedShard>,
    #[serde(rename = "NextToken")]
    next: Option<String>,
}

#[derive(Deserialize)]
#[serde(rename_all = "PascalCase")]
struct ListedShard {
    shard_id: String,
    parent_shard_id: Option<String>,
    adjacent_parent_shard_id: Option<String>,
    sequence_number_range: Numbers,
}

#[derive(Deserialize)]
#[serde(rename_all = "PascalCase")]
struct Numbers {
    ending_sequence_number: Option<String>,
}

#[derive(Deserialize)]
struct Iterator {
    #[serde(rename = "ShardIterator")]
    iterator: String,
}

#[derive(Deserialize)]
struct Got {
    #[serde(rename = "Records")]
    records: Vec<GotRecord>,
    #[serde(rename = "NextShardIterator")]
    next: Option<String>,
    #[serde(rename = "MillisBehindLatest")]
    behind_millis: Option<u64>,
}

#[derive(Deserialize)]
struct GotRecord {
    #[serde(rename = "Data")]
    data: String,
    #[serde(rename = "PartitionKey")]
    key: String,
    #[serde(rename = "SequenceNumber")]
    sequence_number: String,
    #[serde(rename = "ApproximateArrivalTimestamp")]
    arrived: Option<f64>,
}

#[derive(Deserialize)]
struct Refusal {
    #[serde(rename = "__type")]
    code: Option<String>,
    #[serde(alias = "Message")]
    message: Option<String>,
}

impl ListedShard {
    fn shard(self) -> Shard {
        let parents = [self.parent_shard_id, self.adjacent_parent_shard_id].into_iter().flatten().collect();
        Shard { id: self.shard_id, parents, is_closed: self.sequence_number_range.ending_sequence_number.is_some() }
    }
}

/// Times are seconds with a fraction.
fn millis(seconds: f64) -> i64 {
    (seconds * 1_000.0).round() as i64
}

/// What an answer that is none says. The code stands in a header or in the body, with a namespace or an address around
/// it.
fn refusal(doing: &str, status: u16, header: Option<String>, text: &[u8]) -> Failure {
    let body = serde_json::from_slice::<Refusal>(text).unwrap_or(Refusal { code: None, message: None });
    let code = body.code.or(header).unwrap_or_default();
    let code = code.rsplit('#').next().unwrap_or_default().split(':').next().unwrap_or_default();
    Failure::answered(doing, status, code, body.message.as_deref().unwrap_or_default())
}

fn region(spec: &KinesisSpec) -> Result<String> {
    let of_arn = || spec.stream.strip_prefix("arn:").and_then(|arn| arn.split(':').nth(2)).map(str::to_owned);
    let of_environment = || ["AWS_REGION", "AWS_DEFAULT_REGION"].into_iter().find_map(|name| std::env::var(name).ok());
    let region = spec.region.clone().or_else(of_arn).or_else(of_environment).filter(|region| !region.is_empty());
    region.ok_or_else(|| {
        Error::config(format!(
            "could not look up the stream {}: no region is set; write region in [source.kinesis], or set AWS_REGION",
            spec.stream
        ))
    })
}

/// The endpoint that the environment names, or that of the region.
///
/// # Errors
/// [`stage::Kind::Config`] when what the environment names is no address, or holds a secret.
fn endpoint(named: Option<String>, region: &str) -> Result<String> {
    match named {
        None => Ok(default_endpoint(region)),
        Some(endpoint) if !is_address(&endpoint) => Err(Error::config(format!(
            "{ENDPOINT}: `{}` is not an address; expected http://... or https://...",
            shown(&endpoint)
        ))),
        Some(endpoint) if may_hold_secret(&endpoint) => Err(Error::config(format!(
            "{ENDPOINT}: a user or a password cannot stand in an address; requests are signed with the access key"
        ))),
        Some(endpoint) => Ok(endpoint),
    }
}

fn default_endpoint(region: &str) -> String {
    let domain = if region.starts_with("cn-") { "amazonaws.com.cn" } else { "amazonaws.com" };
    format!("https://kinesis.{region}.{domain}")
}

/// The keys of the spec, or those that AWS puts into the environment, a container or an instance.
fn credentials(region: &str, secrets: &KinesisSecrets) -> Result<AwsCredentialProvider> {
    if let (Some(key), Some(secret)) = (&secrets.access_key_id, &secrets.secret_access_key) {
        let token = secrets.session_token.as_ref().map(|token| token.expose().to_owned());
        let (key_id, secret_key) = (key.expose().to_owned(), secret.expose().to_owned());
        return Ok(Arc::new(StaticCredentialProvider::new(AwsCredential { key_id, secret_key, token })));
    }
    let retry = RetryConfig { max_retries: 1, retry_timeout: Duration::from_secs(5), ..RetryConfig::default() };
    let client = ClientOptions::default().with_connect_timeout(Duration::from_secs(2)).with_timeout(PATIENCE);
    // A bucket is asked for, but never used.
    let builder = AmazonS3Builder::from_env().with_bucket_name("none").with_region(region);
    let built = builder.with_client_options(client).with_retry(retry).build();
    let built = built.map_err(|error| Error::config("the credentials of AWS cannot be used").with_source(error))?;
    Ok(built.credentials().clone())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_refusal_is_known_by_its_code_wherever_it_stands() {
        let bodies: [(&[u8], Option<&str>); 3] = [
            (br#"{"__type":"com.amazonaws.kinesis.v20131202#ResourceNotFoundException","message":"gone"}"#, None),
            (br#"{"__type":"ResourceNotFoundException","Message":"gone"}"#, None),
            (b"", Some("ResourceNotFoundException:http://internal.amazon.com/")),
        ];
        for (body, header) in bodies {
            let failure = refusal("could not", 400, header.map(str::to_owned), body);
            assert!(failure.error.message().contains("there is no such stream"), "{}", failure.error);
        }
    }

    #[test]
    fn a_region_is_found_in_the_spec_or_the_arn() {
        let spec = |text: &str| serde_json::from_str::<KinesisSpec>(text).unwrap();
        let arn = r#"{"stream":"arn:aws:kinesis:eu-west-1:123456789012:stream/s","format":"json"}"#;
        assert_eq!(region(&spec(arn)).unwrap(), "eu-west-1");
        assert_eq!(region(&spec(r#"{"stream":"s","region":"cn-north-1","format":"json"}"#)).unwrap(), "cn-north-1");
        assert_eq!(default_endpoint("cn-north-1"), "https://kinesis.cn-north-1.amazonaws.com.cn");
    }

    #[test]
    fn an_endpoint_of_the_environment_holds_no_secret_and_none_is_shown() {
        let named = |url: &str| endpoint(Some(url.to_owned()), "eu-west-1");
        assert_eq!(endpoint(None, "eu-west-1").unwrap(), default_endpoint("eu-west-1"));
        assert_eq!(named("http://localhost:4566").unwrap(), "http://localhost:4566");
        for url in ["https://me:hunter2@kinesis", "https://kinesis/?key=hunter2", "me:hunter2@kinesis"] {
            let error = named(url).unwrap_err();
            assert!(error.message().starts_with("AWS_ENDPOINT_URL_KINESIS: "), "{error}");
            assert!(!error.message().contains("hunter2"), "{error}");
        }
    }

    #[test]
    fn an_answer_is_read_whatever_else_it_holds() {
        let listed: Listed = serde_json::from_str(
            r#"{"Shards":[{"ShardId":"b","ParentShardId":"a","HashKeyRange":{},"SequenceNumberRange":
                {"StartingSequenceNumber":"1","EndingSequenceNumber":"2"}}],"NextToken":null}"#,
        )
        .unwrap();
        let shards: Vec<Shard> = listed.shards.into_iter().map(ListedShard::shard).collect();
        assert_eq!(shards, [Shard { id: "b".into(), parents: vec!["a".into()], is_closed: true }]);
    }
}
