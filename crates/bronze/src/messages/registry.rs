//! The client of a schema registry that speaks Confluent's protocol. A schema never changes, so it is asked for once.

use std::time::Duration;

use futures::future::BoxFuture;
use serde::Deserialize;
use stage::{Error, Kind, Result, Secret};

use super::address::shown;
use super::spec::RegistrySpec;

/// How long one request may take.
const PATIENCE: Duration = Duration::from_secs(10);
/// How many schemas one may refer to, directly or not.
const MOST_REFERENCES: usize = 200;

/// A registry.
pub(crate) struct Registry {
    client: reqwest::Client,
    url: String,
    user: Option<String>,
    password: Option<Secret>,
}

/// A schema as the registry has it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct SchemaText {
    pub(crate) text: String,
    /// The schemas it refers to, directly or not, under the names they are referred to by; those that others need
    /// first.
    pub(crate) references: Vec<(String, String)>,
}

#[derive(Deserialize)]
struct Answer {
    schema: String,
    #[serde(default, rename = "schemaType")]
    schema_type: Option<String>,
    #[serde(default)]
    references: Vec<Reference>,
}

#[derive(Deserialize)]
struct Reference {
    name: String,
    subject: String,
    version: i64,
}

impl Registry {
    /// A client of a registry, with the password of its user. Nothing is asked yet.
    ///
    /// # Errors
    /// [`stage::Kind::Config`] when its certificate cannot be used.
    pub(crate) fn new(spec: &RegistrySpec, password: Option<Secret>) -> Result<Registry> {
        let mut builder = reqwest::Client::builder().timeout(PATIENCE);
        if let Some(path) = &spec.ca {
            let failed = || format!("could not use `{path}`, the `ca` of schema_registry in the source of the table");
            let pem = std::fs::read(path).map_err(|error| Error::config(failed()).with_source(error))?;
            let certificate = reqwest::Certificate::from_pem(&pem);
            let certificate = certificate.map_err(|error| Error::config(failed()).with_source(error))?;
            builder = builder.add_root_certificate(certificate);
        }
        let client = builder.build();
        let client =
            client.map_err(|error| Error::config("could not make a client of the registry").with_source(error))?;
        let url = spec.url.trim_end_matches('/').to_owned();
        Ok(Registry { client, url, user: spec.user.clone(), password })
    }

    /// The schema of an identity. `schema_type` is what the messages are written in.
    ///
    /// # Errors
    /// [`Kind::Data`] when there is no such schema, or it is of another type; [`Kind::Config`] when the login is not
    /// accepted; [`Kind::Unavailable`] when the registry does not answer.
    pub(crate) async fn schema(&self, id: u32, schema_type: &str) -> Result<SchemaText> {
        let doing = format!("could not read schema {id} from the registry at {}", shown(&self.url));
        let answer = self.get(&doing, &format!("schemas/ids/{id}")).await?;
        let found = answer.schema_type.as_deref().unwrap_or("AVRO");
        if !found.eq_ignore_ascii_case(schema_type) {
            return Err(Error::data(format!(
                "{doing}: it is of type {found} and not {schema_type}; change format in the source of the table"
            )));
        }
        let mut references = Vec::new();
        self.add_references(&doing, answer.references, &mut references).await?;
        Ok(SchemaText { text: answer.schema, references })
    }

    fn add_references<'a>(
        &'a self,
        doing: &'a str,
        wanted: Vec<Reference>,
        found: &'a mut Vec<(String, String)>,
    ) -> BoxFuture<'a, Result<()>> {
        Box::pin(async move {
            for reference in wanted {
                if found.iter().any(|(name, _)| *name == reference.name) {
                    continue;
                }
                if found.len() >= MOST_REFERENCES {
                    return Err(Error::data(format!("{doing}: it refers to more than {MOST_REFERENCES} others")));
                }
                let escaped =
                    percent_encoding::utf8_percent_encode(&reference.subject, percent_encoding::NON_ALPHANUMERIC);
                let path = format!("subjects/{escaped}/versions/{}", reference.version);
                let answer = self.get(doing, &path).await?;
                self.add_references(doing, answer.references, found).await?;
                found.push((reference.name, answer.schema));
            }
            Ok(())
        })
    }

    async fn get(&self, doing: &str, path: &str) -> Result<Answer> {
        let unavailable = |error: reqwest::Error| Error::unavailable(doing.to_owned()).with_source(error.without_url());
        let mut request = self.client.get(format!("{}/{path}", self.url));
        if let Some(user) = &self.user {
            request = request.basic_auth(user, self.password.as_ref().map(Secret::expose));
        }
        let response = request.send().await.map_err(unavailable)?;
        let status = response.status();
        if !status.is_success() {
            let (kind, why) = match status.as_u16() {
                404 => (Kind::Data, "it does not know it; check the address, or register the schema again"),
                401 | 403 => (Kind::Config, "it did not accept the login; check user and password"),
                code if code >= 500 || code == 429 => (Kind::Unavailable, "try again later"),
                _ => (Kind::Data, "check the address"),
            };
            return Err(Error::new(kind, format!("{doing}: it answered {status}; {why}")));
        }
        let text = response.text().await.map_err(unavailable)?;
        serde_json::from_str(&text)
            .map_err(|error| Error::data(format!("{doing}: the answer is not that of a registry")).with_source(error))
    }
}
