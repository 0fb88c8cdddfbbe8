//! Topics of Kafka as a source of messages.

use lake::Table;
use stage::{Result, Stage};

use super::feed::KafkaFeed;
use super::spec::{KafkaSecrets, KafkaSpec};
use crate::messages::Sink;
use crate::messages::feed::Opened;
use crate::messages::stage::{MessageBronze, Settings, Source};

/// The stage of a bronze table that is filled from Kafka. Nothing is connected to before it is advanced.
pub fn stage(spec: KafkaSpec, secrets: KafkaSecrets, sink: Sink) -> Box<dyn Stage> {
    let settings = Settings {
        title: spec.topics_in_words(),
        format: spec.format,
        trigger: spec.trigger.duration(),
        registry: spec.schema_registry.clone(),
        registry_password: secrets.registry_password.clone(),
    };
    Box::new(MessageBronze::new(settings, KafkaSource { spec, secrets }, sink))
}

struct KafkaSource {
    spec: KafkaSpec,
    secrets: KafkaSecrets,
}

impl Source for KafkaSource {
    type Feed = KafkaFeed;

    async fn open(&mut self, memory_bytes: u64, table: &Table) -> Result<Opened<KafkaFeed>> {
        KafkaFeed::open(&self.spec, &self.secrets, memory_bytes, table).await
    }
}
