//! The properties of librdkafka that a spec amounts to.

use rdkafka::ClientConfig;
use rdkafka::error::KafkaError;
use stage::{Error, Result};

use super::check::NEEDS_FEATURE;
use super::spec::{KafkaSecrets, KafkaSpec, Mechanism, OptionValue, Preset, Protocol};

/// The group every client names. The library asks for one before it lets partitions be assigned; nothing joins it and
/// nothing is committed to it.
const GROUP: &str = "medallion";

/// How a connection is secured once the preset is taken into account.
#[derive(Debug)]
pub(crate) struct Effective {
    protocol: Protocol,
    pub(crate) tls: bool,
    pub(crate) sasl: bool,
    pub(crate) mechanism: Option<Mechanism>,
    pub(crate) username: Option<String>,
}

impl Effective {
    pub(crate) fn of(spec: &KafkaSpec) -> Effective {
        let security = &spec.security;
        let is_preset = spec.preset == Some(Preset::EventHubs);
        let otherwise = if is_preset { Protocol::SaslSsl } else { Protocol::Plaintext };
        let protocol = security.protocol.unwrap_or(otherwise);
        let of_preset = |mechanism: Option<Mechanism>| mechanism.or(is_preset.then_some(Mechanism::Plain));
        let username = security.username.clone().or_else(|| is_preset.then(|| "$ConnectionString".to_owned()));
        Effective {
            protocol,
            tls: matches!(protocol, Protocol::Ssl | Protocol::SaslSsl),
            sasl: matches!(protocol, Protocol::SaslPlaintext | Protocol::SaslSsl),
            mechanism: of_preset(security.mechanism),
            username,
        }
    }

    /// Whether the library does this with OpenSSL only, which a build has with the feature `kafka-ssl`.
    pub(crate) fn needs_feature(&self) -> bool {
        self.tls || (self.sasl && self.mechanism.is_some_and(|mechanism| mechanism != Mechanism::Plain))
    }

    pub(crate) fn is_protocol(&self, protocol: Protocol) -> bool {
        let otherwise = Protocol::SaslSsl;
        protocol == otherwise && self.protocol == protocol
    }
}

/// The whole configuration of a consumer. `queue_bytes` bounds what the library reads ahead.
///
/// # Errors
/// [`stage::Kind::Config`] when this build cannot do what the spec asks for.
pub(crate) fn client_config(spec: &KafkaSpec, secrets: &KafkaSecrets, queue_bytes: u64) -> Result<ClientConfig> {
    let mut config = ClientConfig::new();
    let queue = (queue_bytes / 1024).clamp(1024, 1 << 20).to_string();
    let ours = [
        ("bootstrap.servers", spec.brokers.as_str()),
        ("client.id", "medallion"),
        // With the default of a second, a consumer whose queue was full stands still for that long.
        ("fetch.queue.backoff.ms", "2"),
        ("queued.max.messages.kbytes", queue.as_str()),
        // An answer waits for this long where there is little to fetch, so it is part of the delay of a stream.
        ("fetch.wait.max.ms", "50"),
        ("reconnect.backoff.max.ms", "2000"),
        ("statistics.interval.ms", "1000"),
    ];
    for (name, value) in ours {
        config.set(name, value);
    }
    if spec.preset == Some(Preset::EventHubs) {
        for (name, value) in [
            ("metadata.max.age.ms", "180000"),
            ("connections.max.idle.ms", "180000"),
            ("socket.keepalive.enable", "true"),
            ("socket.timeout.ms", "60000"),
        ] {
            config.set(name, value);
        }
    }
    for (name, value) in &spec.options {
        config.set(name, value.to_string());
    }
    secure(&mut config, spec, secrets)?;
    // Set last: without them rows would be lost or doubled.
    for (name, value) in [
        ("group.id", GROUP),
        ("enable.auto.commit", "false"),
        ("enable.auto.offset.store", "false"),
        ("isolation.level", "read_committed"),
        ("auto.offset.reset", "error"),
        ("enable.partition.eof", "false"),
    ] {
        config.set(name, value);
    }
    Ok(config)
}

fn secure(config: &mut ClientConfig, spec: &KafkaSpec, secrets: &KafkaSecrets) -> Result<()> {
    let effective = Effective::of(spec);
    if !effective.tls && !effective.sasl {
        return Ok(());
    }
    if effective.needs_feature() && !cfg!(feature = "kafka-ssl") {
        return Err(Error::config(format!("could not connect to {}: {NEEDS_FEATURE}", spec.brokers)));
    }
    config.set(
        "security.protocol",
        match effective.protocol {
            Protocol::Plaintext => "plaintext",
            Protocol::Ssl => "ssl",
            Protocol::SaslPlaintext => "sasl_plaintext",
            Protocol::SaslSsl => "sasl_ssl",
        },
    );
    let mechanism = effective.mechanism.map(|mechanism| match mechanism {
        Mechanism::Plain => "PLAIN",
        Mechanism::ScramSha256 => "SCRAM-SHA-256",
        Mechanism::ScramSha512 => "SCRAM-SHA-512",
        Mechanism::Oauthbearer => "OAUTHBEARER",
    });
    let security = &spec.security;
    let exposed = |secret: &Option<stage::Secret>| secret.as_ref().map(|secret| secret.expose().to_owned());
    for (name, value) in [
        ("sasl.mechanisms", mechanism.map(str::to_owned)),
        ("sasl.username", effective.username),
        ("sasl.password", exposed(&secrets.password)),
        ("ssl.ca.location", security.ca.clone()),
        ("ssl.certificate.location", security.certificate.clone()),
        ("ssl.key.location", security.key.clone()),
        ("ssl.key.password", exposed(&secrets.key_password)),
    ] {
        if let Some(value) = value {
            config.set(name, value);
        }
    }
    Ok(())
}

/// Whether the library knows the property and takes the value; if not, why.
pub(crate) fn check_property(name: &str, value: &OptionValue) -> std::result::Result<(), String> {
    let mut config = ClientConfig::new();
    config.set(name, value.to_string());
    match config.create_native_config() {
        Ok(_) => Ok(()),
        Err(KafkaError::ClientConfig(_, why, _, _)) if why.contains("No such") => {
            Err(format!("librdkafka has no property `{name}`; see its CONFIGURATION.md for those it has"))
        }
        Err(KafkaError::ClientConfig(_, why, _, _)) => Err(format!("`{name}` cannot be `{value}`: {why}")),
        Err(error) => Err(format!("`{name}` cannot be `{value}`: {error}")),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn spec(text: &str) -> KafkaSpec {
        serde_json::from_str(text).unwrap()
    }

    #[test]
    fn what_exactly_once_needs_cannot_be_set_otherwise() {
        let spec = spec(
            r#"{"brokers":"b:1","topics":["t"],"format":"json",
                "options":{"isolation.level":"read_uncommitted","fetch.min.bytes":7}}"#,
        );
        let config = client_config(&spec, &KafkaSecrets::default(), 64 << 20).unwrap();
        assert_eq!(config.get("isolation.level"), Some("read_committed"));
        assert_eq!(config.get("fetch.min.bytes"), Some("7"));
        assert_eq!(config.get("queued.max.messages.kbytes"), Some("65536"));
    }

    #[test]
    fn the_preset_of_event_hubs_logs_in_with_the_connection_string() {
        let spec = spec(r#"{"brokers":"n:9093","topics":["t"],"format":"json","preset":"event_hubs"}"#);
        let secrets = KafkaSecrets { password: Some(stage::Secret::new("Endpoint=x")), ..KafkaSecrets::default() };
        match client_config(&spec, &secrets, 1 << 20) {
            Ok(config) => {
                assert_eq!(config.get("sasl.username"), Some("$ConnectionString"));
                assert_eq!(config.get("security.protocol"), Some("sasl_ssl"));
                assert_eq!(config.get("socket.keepalive.enable"), Some("true"));
            }
            Err(error) => assert!(error.message().contains("--features kafka-ssl"), "{}", error.message()),
        }
        assert!(!format!("{secrets:?}").contains("Endpoint"));
    }
}
