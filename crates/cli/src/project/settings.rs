//! How users write `medallion.toml`, and what it means once variables are put in.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use notify::NotificationsSpec;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use stage::{Problem, Result};

use super::maintenance::MaintenanceSpec;
use super::reference::expose;
use super::secrets::{Provider, Secrets};

/// `medallion.toml`: the settings of a project.
#[derive(Debug, Clone, Default, PartialEq, Deserialize, Serialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct SettingsSpec {
    /// The memory everything together may use, such as `1GB`; the same as in `[project]`.
    #[serde(default)]
    pub memory: Option<String>,
    /// What the project is.
    pub project: ProjectSpec,
    /// Values that other files refer to as `${var.name}`.
    #[serde(default)]
    pub variables: BTreeMap<String, String>,
    /// Where the tables are.
    pub lake: LakeSpec,
    /// Other values for other places to run in, chosen with `--target`.
    #[serde(default)]
    pub targets: BTreeMap<String, TargetSpec>,
    /// Where `${secret.scope.key}` comes from, by scope.
    #[serde(default)]
    pub secrets: BTreeMap<String, SecretScopeSpec>,
    /// How tables are kept fast while they grow.
    #[serde(default)]
    pub maintenance: MaintenanceSpec,
    /// How people and programs outside are told of runs. Whom to tell of what stands in the workflows.
    #[serde(default)]
    pub notifications: NotificationsSpec,
}

/// `[project]`: what the project is.
#[derive(Debug, Clone, Default, PartialEq, Deserialize, Serialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct ProjectSpec {
    /// The name of the project.
    pub name: String,
    /// What the project is for, in a sentence.
    #[serde(default)]
    pub description: String,
    /// The memory everything together may use, such as `512MB` or `4GB`; 1GB when it is left out.
    #[serde(default)]
    pub memory: Option<String>,
    /// How many threads work; as many as there are cores when it is left out.
    #[serde(default)]
    pub threads: Option<u32>,
}

/// `[lake]`: where the tables are.
#[derive(Debug, Clone, Default, PartialEq, Deserialize, Serialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct LakeSpec {
    /// A folder, or `s3://bucket/prefix`. A table lies at `<lake>/<pipeline>/<layer>/<table>`.
    pub path: String,
    /// What S3 needs to be told where the usual AWS variables do not say it. Landing folders on S3 use it too.
    #[serde(default)]
    pub s3: S3Spec,
}

/// `[targets.<name>]`: what is different there.
#[derive(Debug, Clone, Default, PartialEq, Deserialize, Serialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub struct TargetSpec {
    /// Values that replace those of `[variables]`.
    pub variables: BTreeMap<String, String>,
    /// Settings that replace those of `[lake]`.
    pub lake: TargetLakeSpec,
}

/// `[targets.<name>.lake]`: the settings of `[lake]` that are different there.
#[derive(Debug, Clone, Default, PartialEq, Deserialize, Serialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub struct TargetLakeSpec {
    /// A folder, or `s3://bucket/prefix`.
    pub path: Option<String>,
    /// What S3 needs to be told.
    pub s3: S3Spec,
}

/// `[lake.s3]`: how an S3-compatible server is reached.
#[derive(Debug, Clone, Default, PartialEq, Deserialize, Serialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub struct S3Spec {
    /// The address of the server, such as `http://localhost:9000`.
    pub endpoint: Option<String>,
    /// The region.
    pub region: Option<String>,
    /// The access key.
    #[schemars(extend("x-may-be-secret" = true))]
    pub access_key_id: Option<String>,
    /// The secret of the access key.
    #[schemars(extend("x-may-be-secret" = true))]
    pub secret_access_key: Option<String>,
    /// The token of temporary credentials.
    #[schemars(extend("x-may-be-secret" = true))]
    pub session_token: Option<String>,
    /// Whether plain http is allowed.
    pub allow_http: Option<bool>,
    /// Whether the bucket is part of the host name.
    pub virtual_hosted: Option<bool>,
}

/// `[secrets.<scope>]`: where the secrets of a scope come from.
#[derive(Debug, Clone, PartialEq, Deserialize, Serialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct SecretScopeSpec {
    /// The kind of place.
    pub provider: SecretProvider,
    /// For `env`: what the names of the environment variables begin with.
    #[serde(default)]
    pub prefix: Option<String>,
    /// For `file`: a file with lines `key = value`.
    #[serde(default)]
    pub path: Option<String>,
    /// For `command`: the program and its arguments, in which `{key}` is the key; what it prints is the secret.
    #[serde(default)]
    pub command: Option<Vec<String>>,
}

/// The kinds of places that secrets come from.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize, Serialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum SecretProvider {
    /// Environment variables.
    Env,
    /// A file.
    File,
    /// The output of a command.
    Command,
}

/// Where the lake is and how it is reached.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct LakeSettings {
    /// An absolute folder, or `s3://bucket/prefix`.
    pub path: String,
    s3: S3Spec,
}

impl LakeSettings {
    /// The settings of `[lake]` with those of the target over them.
    pub(crate) fn new(spec: &LakeSpec, target: Option<&TargetLakeSpec>, root: &Path) -> LakeSettings {
        let path = target.and_then(|target| target.path.as_ref()).unwrap_or(&spec.path);
        let mut s3 = spec.s3.clone();
        if let Some(other) = target.map(|target| target.s3.clone()) {
            s3 = S3Spec {
                endpoint: other.endpoint.or(s3.endpoint),
                region: other.region.or(s3.region),
                access_key_id: other.access_key_id.or(s3.access_key_id),
                secret_access_key: other.secret_access_key.or(s3.secret_access_key),
                session_token: other.session_token.or(s3.session_token),
                allow_http: other.allow_http.or(s3.allow_http),
                virtual_hosted: other.virtual_hosted.or(s3.virtual_hosted),
            };
        }
        LakeSettings { path: location(path, root), s3 }
    }

    /// A lake in a local folder.
    pub(crate) fn of_folder(path: String) -> LakeSettings {
        LakeSettings { path, s3: S3Spec::default() }
    }

    /// How S3 is reached, with the secrets in it. They are read now, so this is called when the lake is opened and not
    /// before.
    ///
    /// # Errors
    /// When a secret cannot be had.
    pub fn s3(&self, secrets: &Secrets) -> Result<lake::S3Settings> {
        let secret = |template: &Option<String>| template.as_ref().map(|text| expose(text, secrets)).transpose();
        Ok(lake::S3Settings {
            endpoint: self.s3.endpoint.clone(),
            region: self.s3.region.clone(),
            access_key_id: secret(&self.s3.access_key_id)?,
            secret_access_key: secret(&self.s3.secret_access_key)?,
            session_token: secret(&self.s3.session_token)?,
            allow_http: self.s3.allow_http,
            virtual_hosted: self.s3.virtual_hosted,
        })
    }
}

impl SecretScopeSpec {
    /// The provider that this describes.
    pub(crate) fn provider(&self, scope: &str, root: &Path) -> Result<Provider, Problem> {
        let missing = |key: &str, provider: &str| {
            Problem::new(format!("secrets/{scope}"), format!("missing key `{key}`; the provider `{provider}` needs it"))
        };
        match self.provider {
            SecretProvider::Env => Ok(Provider::Environment { prefix: self.prefix.clone().unwrap_or_default() }),
            SecretProvider::File => match &self.path {
                Some(path) => Ok(Provider::File { path: PathBuf::from(location(path, root)) }),
                None => Err(missing("path", "file")),
            },
            SecretProvider::Command => match self.command.as_deref() {
                Some([program, arguments @ ..]) => {
                    Ok(Provider::Command { program: program.clone(), arguments: arguments.to_vec() })
                }
                _ => Err(missing("command", "command")),
            },
        }
    }
}

/// A location in which a relative folder begins at the project's folder.
pub(crate) fn location(path: &str, root: &Path) -> String {
    if path.contains("://") || Path::new(path).is_absolute() {
        return path.to_owned();
    }
    let plain = path.strip_prefix("./").unwrap_or(path);
    root.join(plain).to_string_lossy().into_owned()
}

/// The bytes that a text such as `512MB`, `1.5 GB` or `2GiB` means.
///
/// # Errors
/// What is wrong with it.
pub(crate) fn bytes(text: &str) -> Result<u64, String> {
    let malformed = || format!("`{text}` is not a number of bytes; expected a number and a unit, such as 512MB or 4GB");
    let trimmed = text.trim();
    let digits = trimmed.find(|one: char| !one.is_ascii_digit() && one != '.').unwrap_or(trimmed.len());
    let (number, unit) = trimmed.split_at(digits);
    let number: f64 = number.parse().map_err(|_| malformed())?;
    let factor: u64 = match unit.trim().to_ascii_lowercase().as_str() {
        "b" => 1,
        "kb" => 1_000,
        "mb" => 1_000_000,
        "gb" => 1_000_000_000,
        "tb" => 1_000_000_000_000,
        "kib" => 1 << 10,
        "mib" => 1 << 20,
        "gib" => 1 << 30,
        "tib" => 1 << 40,
        _ => return Err(malformed()),
    };
    // A float becomes the nearest integer within the range, so this cannot overflow.
    Ok((number * factor as f64) as u64)
}

/// The bytes of memory that a text means.
///
/// # Errors
/// What is wrong with it.
pub(crate) fn memory_bytes(text: &str) -> Result<u64, String> {
    match bytes(text)? {
        bytes if bytes < LEAST_MEMORY => Err(format!("`{text}` is too little to work with; expected at least 64MB")),
        bytes => Ok(bytes),
    }
}

const LEAST_MEMORY: u64 = 64_000_000;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn memory_is_a_number_and_a_unit() {
        assert_eq!(memory_bytes("1GB"), Ok(1_000_000_000));
        assert_eq!(memory_bytes("1.5 gib"), Ok(3 << 29));
        for bad in ["", "GB", "1", "1XB", "1KB", "-1GB", "1.2.3GB"] {
            assert!(memory_bytes(bad).is_err(), "{bad}");
        }
    }

    #[test]
    fn relative_folders_begin_at_the_project() {
        let root = Path::new("/project");
        assert_eq!(location("./lake", root), "/project/lake");
        assert_eq!(location("/lake", root), "/lake");
        assert_eq!(location("s3://bucket/lake", root), "s3://bucket/lake");
    }

    #[test]
    fn a_target_replaces_settings_one_by_one() {
        let spec = LakeSpec {
            path: "lake".into(),
            s3: S3Spec { region: Some("a".into()), endpoint: Some("b".into()), ..S3Spec::default() },
        };
        let target = TargetLakeSpec {
            path: Some("s3://b/x".into()),
            s3: S3Spec { region: Some("c".into()), ..S3Spec::default() },
        };
        let settings = LakeSettings::new(&spec, Some(&target), Path::new("/p"));
        let s3 = settings.s3(&Secrets::default()).unwrap();
        assert_eq!(
            (settings.path.as_str(), s3.region.as_deref(), s3.endpoint.as_deref()),
            ("s3://b/x", Some("c"), Some("b"))
        );
    }
}
