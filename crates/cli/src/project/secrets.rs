//! Where secrets come from: the environment, a file or a command. Nothing is read before a secret is used.

use std::collections::BTreeMap;
use std::path::PathBuf;
use std::process::{Command, Stdio};

use stage::{Error, Result, Secret};

use super::nearest::hint;

/// The scopes of `[secrets]`.
#[derive(Debug, Clone, Default)]
pub struct Secrets {
    scopes: BTreeMap<String, Option<Provider>>,
    environment: BTreeMap<String, String>,
}

/// Where the secrets of one scope come from.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Provider {
    /// Environment variables that begin with a prefix.
    Environment { prefix: String },
    /// Lines `key = value` in a file.
    File { path: PathBuf },
    /// The output of a program; `{key}` in its arguments is the key.
    Command { program: String, arguments: Vec<String> },
}

impl Secrets {
    /// Scopes with their providers; `None` for a scope whose spec has a problem that is reported where it stands.
    pub(crate) fn new(scopes: BTreeMap<String, Option<Provider>>, environment: BTreeMap<String, String>) -> Secrets {
        Secrets { scopes, environment }
    }

    #[cfg(test)]
    pub(crate) fn of_environment(scope: &str, prefix: &str, environment: BTreeMap<String, String>) -> Secrets {
        let provider = Provider::Environment { prefix: prefix.to_owned() };
        Secrets::new(BTreeMap::from([(scope.to_owned(), Some(provider))]), environment)
    }

    /// Whether there is such a scope, and if not, why in words for the user.
    pub(crate) fn check_scope(&self, scope: &str) -> Result<(), String> {
        if self.scopes.contains_key(scope) {
            return Ok(());
        }
        let hint = hint(scope, self.scopes.keys().map(String::as_str));
        Err(format!("unknown secret scope `{scope}`{hint}; write [secrets.{scope}] in medallion.toml"))
    }

    /// Reads a secret now. A command is waited for.
    ///
    /// # Errors
    /// [`stage::Kind::Config`] when the scope or the secret is not there; [`stage::Kind::Unavailable`] when a command
    /// fails.
    pub fn fetch(&self, scope: &str, key: &str) -> Result<Secret> {
        self.check_scope(scope).map_err(Error::config)?;
        let Some(Some(provider)) = self.scopes.get(scope) else {
            return Err(Error::config(format!(
                "could not read secret `{scope}.{key}`: [secrets.{scope}] has a mistake"
            )));
        };
        match provider {
            Provider::Environment { prefix } => {
                let name = format!("{prefix}{key}");
                let value = self.environment.get(&name).map(Secret::new);
                value.ok_or_else(|| {
                    Error::config(format!(
                        "could not read secret `{scope}.{key}`: the environment variable `{name}` is not set"
                    ))
                })
            }
            Provider::File { path } => from_file(scope, key, path),
            Provider::Command { program, arguments } => from_command(scope, key, program, arguments),
        }
    }
}

fn from_file(scope: &str, key: &str, path: &std::path::Path) -> Result<Secret> {
    let doing = format!("could not read secret `{scope}.{key}` from {}", path.display());
    let text = std::fs::read_to_string(path).map_err(|error| Error::config(doing.clone()).with_source(error))?;
    match value_of(&text, key) {
        Some(value) => Ok(Secret::new(value)),
        None => Err(Error::config(format!("{doing}: there is no line `{key} = ...` in the file"))),
    }
}

/// The value of a key in lines of `key = value` or `export key="value"`; `#` begins a comment line.
fn value_of(text: &str, key: &str) -> Option<String> {
    text.lines().find_map(|line| {
        let line = line.trim();
        let (name, value) = line.strip_prefix("export ").unwrap_or(line).split_once('=')?;
        if line.starts_with('#') || name.trim() != key {
            return None;
        }
        let value = value.trim();
        let quoted = |quote: char| value.strip_prefix(quote).and_then(|rest| rest.strip_suffix(quote));
        Some(quoted('"').or_else(|| quoted('\'')).unwrap_or(value).to_owned())
    })
}

fn from_command(scope: &str, key: &str, program: &str, arguments: &[String]) -> Result<Secret> {
    let doing = format!("could not read secret `{scope}.{key}` from the command `{program}`");
    let output = Command::new(program)
        .args(arguments.iter().map(|argument| argument.replace("{key}", key)))
        .stdin(Stdio::null())
        .output()
        .map_err(|error| Error::config(doing.clone()).with_source(error))?;
    if !output.status.success() {
        // What it wrote to stderr may hold anything, so only how it ended is told.
        return Err(Error::unavailable(format!("{doing}: it ended with {}", output.status)));
    }
    let text = String::from_utf8(output.stdout)
        .map_err(|_| Error::config(format!("{doing}: what it printed is not text in UTF-8")))?;
    let value = text.trim_end_matches(['\r', '\n']);
    if value.is_empty() {
        return Err(Error::config(format!("{doing}: it printed nothing")));
    }
    Ok(Secret::new(value))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn secrets(provider: Provider) -> Secrets {
        Secrets::new(BTreeMap::from([("vault".to_owned(), Some(provider))]), BTreeMap::new())
    }

    #[test]
    fn a_file_is_read_as_lines_of_keys_and_values() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("secrets.toml");
        std::fs::write(&path, "# key = \"no\"\nkey = \"a=b\"\nexport other='x'\nbare=y\n").unwrap();
        let secrets = secrets(Provider::File { path });
        assert_eq!(secrets.fetch("vault", "key").unwrap().expose(), "a=b");
        assert_eq!(secrets.fetch("vault", "other").unwrap().expose(), "x");
        assert_eq!(secrets.fetch("vault", "bare").unwrap().expose(), "y");
        assert!(secrets.fetch("vault", "none").unwrap_err().message().contains("no line `none = ...`"));
    }

    #[test]
    fn a_command_prints_the_secret_of_a_key() {
        let command =
            |text: &str| Provider::Command { program: "sh".into(), arguments: vec!["-c".into(), text.into()] };
        assert_eq!(secrets(command("echo value-of-{key}")).fetch("vault", "k").unwrap().expose(), "value-of-k");
        let failed = secrets(command("echo secret >&2; exit 3")).fetch("vault", "k").unwrap_err();
        assert_eq!(failed.kind(), stage::Kind::Unavailable);
        assert!(!failed.chain().contains("secret >&2") && failed.message().contains('3'), "{failed}");
    }

    #[test]
    fn an_unknown_scope_is_named_with_the_nearest() {
        let error = secrets(Provider::Environment { prefix: String::new() }).fetch("vaultt", "k").unwrap_err();
        assert!(error.message().contains("nearest is `vault`"), "{error}");
    }
}
