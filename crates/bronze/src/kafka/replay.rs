//! Messages of topics that were refused, to be decoded again.

use stage::Result;

use super::kind::KIND;
use super::spec::{KafkaSecrets, KafkaSpec};
use crate::messages::replay::Messages;

/// How refused messages of topics become rows.
///
/// # Errors
/// [`stage::Kind::Config`] when the registry of their schemas cannot be used.
pub fn replay(source: &KafkaSpec, secrets: &KafkaSecrets) -> Result<Messages> {
    Messages::new(KIND, source.format, source.schema_registry.as_ref(), secrets.registry_password.clone())
}
