//! A stream of Kinesis as a source of messages.

use std::sync::Arc;

use lake::Table;
use stage::{Result, Stage};

use super::client::Client;
use super::feed::KinesisFeed;
use super::http::Http;
use super::spec::{KinesisSecrets, KinesisSpec};
use crate::messages::Sink;
use crate::messages::feed::Opened;
use crate::messages::stage::{MessageBronze, Settings, Source};

/// The stage of a bronze table that is filled from Kinesis. Nothing is connected to before it is advanced.
pub fn stage(spec: KinesisSpec, secrets: KinesisSecrets, sink: Sink) -> Box<dyn Stage> {
    let settings = Settings {
        title: spec.stream.clone(),
        format: spec.format,
        trigger: spec.trigger.duration(),
        registry: spec.schema_registry.clone(),
        registry_password: secrets.registry_password.clone(),
    };
    Box::new(MessageBronze::new(settings, KinesisSource { spec, secrets, client: None }, sink))
}

struct KinesisSource {
    spec: KinesisSpec,
    secrets: KinesisSecrets,
    /// Made once, and kept however often the source is opened.
    client: Option<Arc<dyn Client>>,
}

impl Source for KinesisSource {
    type Feed = KinesisFeed;

    async fn open(&mut self, memory_bytes: u64, table: &Table) -> Result<Opened<KinesisFeed>> {
        let client = match &self.client {
            Some(client) => Arc::clone(client),
            None => Arc::new(Http::new(&self.spec, &self.secrets)?),
        };
        self.client = Some(Arc::clone(&client));
        KinesisFeed::open(client, &self.spec, memory_bytes, table).await
    }
}
