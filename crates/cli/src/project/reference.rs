//! References in texts: `${var.x}`, `${env.X}`, `${secret.scope.key}`, and `$$` for a `$`.
//!
//! Variables and the environment are put in when a project is loaded. Secrets stay references until the one call that
//! needs them, so that nothing that is printed or checked ever holds one.

use std::collections::BTreeMap;

use stage::Secret;

use super::document::{Document, Node, Text, Value};
use super::finding::Finding;
use super::nearest::hint;
use super::secrets::Secrets;

/// A piece of a text.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Part {
    /// Text as it is.
    Plain(String),
    /// What stands between `${` and `}`.
    Reference(Reference),
}

/// What a reference names.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Reference {
    Variable(String),
    Environment(String),
    Secret { scope: String, key: String },
}

/// A mistake in a reference: the reference as it is written, and what is wrong.
pub(crate) type Mistake = (String, String);

/// Cuts a text at its references.
pub(crate) fn parts(text: &str) -> Result<Vec<Part>, Vec<Mistake>> {
    let mut parts = Vec::new();
    let mut mistakes = Vec::new();
    let mut plain = String::new();
    let mut rest = text;
    while let Some(dollar) = rest.find('$') {
        plain.push_str(&rest[..dollar]);
        let after = &rest[dollar + 1..];
        if let Some(tail) = after.strip_prefix('$') {
            plain.push('$');
            rest = tail;
        } else if let Some(tail) = after.strip_prefix('{') {
            let Some(end) = tail.find('}') else {
                mistakes.push((rest[dollar..].to_owned(), "the reference has no closing `}`; write $$ for a $".into()));
                return Err(mistakes);
            };
            match reference(&tail[..end]) {
                Ok(reference) => {
                    if !plain.is_empty() {
                        parts.push(Part::Plain(std::mem::take(&mut plain)));
                    }
                    parts.push(Part::Reference(reference));
                }
                Err(why) => mistakes.push((format!("${{{}}}", &tail[..end]), why)),
            }
            rest = &tail[end + 1..];
        } else {
            // A `$` alone, as at the end of a regular expression, is itself.
            plain.push('$');
            rest = after;
        }
    }
    plain.push_str(rest);
    if !plain.is_empty() {
        parts.push(Part::Plain(plain));
    }
    if mistakes.is_empty() { Ok(parts) } else { Err(mistakes) }
}

fn reference(inner: &str) -> Result<Reference, String> {
    let forms = "expected ${var.name}, ${env.NAME} or ${secret.scope.key}";
    let (kind, name) = inner.split_once('.').unwrap_or((inner, ""));
    let is_name =
        |name: &str| !name.is_empty() && name.chars().all(|one| one.is_ascii_alphanumeric() || "_-".contains(one));
    match kind {
        "var" if is_name(name) => Ok(Reference::Variable(name.to_owned())),
        "env" if is_name(name) => Ok(Reference::Environment(name.to_owned())),
        "secret" => match name.split_once('.') {
            Some((scope, key)) if is_name(scope) && key.split('.').all(is_name) => {
                Ok(Reference::Secret { scope: scope.to_owned(), key: key.to_owned() })
            }
            _ => Err(format!("`${{{inner}}}` names no secret; {forms}")),
        },
        "var" | "env" => Err(format!("`${{{inner}}}` names nothing; {forms}")),
        other => Err(format!("unknown reference `${{{inner}}}`{}; {forms}", hint(other, ["var", "env", "secret"]))),
    }
}

/// What references can name.
#[derive(Debug, Clone, Default)]
pub(crate) struct Scope {
    /// Variables with their values; `None` for one whose value has a problem that is reported where it stands.
    pub(crate) variables: BTreeMap<String, Option<Text>>,
    /// The environment.
    pub(crate) environment: BTreeMap<String, String>,
    /// The scopes of secrets; `None` for one that has a problem.
    pub(crate) secrets: Secrets,
}

impl Scope {
    /// A text with variables and environment put in. `None` when a variable in it has a problem that is already known.
    pub(crate) fn resolve(&self, text: &str) -> Result<Option<Text>, Vec<Mistake>> {
        let parts = parts(text)?;
        let mut resolved = Vec::new();
        let mut mistakes = Vec::new();
        let mut whole = true;
        for part in parts {
            match part {
                Part::Plain(plain) => resolved.push(Text { text: plain, ..Text::default() }),
                Part::Reference(reference) => match self.value(&reference) {
                    Ok(Some(value)) => resolved.push(value),
                    Ok(None) => whole = false,
                    Err(why) => mistakes.push((reference.to_string(), why)),
                },
            }
        }
        if !mistakes.is_empty() {
            return Err(mistakes);
        }
        Ok(whole.then(|| joined(resolved)))
    }

    /// What a reference names; `None` for a variable with a problem that is already known.
    pub(crate) fn value(&self, reference: &Reference) -> Result<Option<Text>, String> {
        let plain = |text: &str| Some(Text { text: text.to_owned(), referring: true, secret: false });
        match reference {
            Reference::Variable(name) => match self.variables.get(name) {
                Some(value) => Ok(value.clone().map(|text| Text { referring: true, ..text })),
                None => {
                    let hint = hint(name, self.variables.keys().map(String::as_str));
                    Err(format!("unknown variable `{name}`{hint}; variables stand in [variables] of medallion.toml"))
                }
            },
            Reference::Environment(name) => match self.environment.get(name) {
                Some(value) => Ok(plain(value)),
                None => Err(format!("the environment variable `{name}` is not set")),
            },
            Reference::Secret { scope, .. } => {
                self.secrets.check_scope(scope)?;
                Ok(Some(Text { text: reference.to_string(), referring: true, secret: true }))
            }
        }
    }

    /// Puts variables and environment into every text of a document, and reports what cannot be put in.
    pub(crate) fn resolve_document(&self, document: &mut Document, findings: &mut Vec<Finding>) {
        let mut root = std::mem::replace(&mut document.root, Node::new(Value::Null, 0..0));
        self.resolve_node(&mut root, document, findings);
        document.root = root;
    }

    /// Puts variables and environment into every text below a node.
    pub(crate) fn resolve_node(&self, node: &mut Node, document: &Document, findings: &mut Vec<Finding>) {
        match &mut node.value {
            Value::List(items) => items.iter_mut().for_each(|item| self.resolve_node(item, document, findings)),
            Value::Table(entries) => {
                entries.iter_mut().for_each(|entry| self.resolve_node(&mut entry.value, document, findings));
            }
            Value::Text(text) if text.text.contains('$') => match self.resolve(&text.text) {
                Ok(Some(resolved)) => *text = resolved,
                // Reported where the variable stands; the text stays, so that its shape is right.
                Ok(None) => {}
                Err(mistakes) => findings.extend(
                    mistakes
                        .into_iter()
                        .map(|(written, why)| document.finding(place_of(&written, node.span.clone(), document), why)),
                ),
            },
            _ => {}
        }
    }
}

/// Where a reference stands within the text that holds it.
pub(crate) fn place_of(written: &str, span: std::ops::Range<usize>, document: &Document) -> usize {
    let within = document.text.get(span.clone()).and_then(|source| source.find(written));
    span.start + within.unwrap_or(0)
}

/// The pieces as one text. As soon as one of them is a secret, the whole stays a template.
pub(crate) fn joined(pieces: Vec<Text>) -> Text {
    let secret = pieces.iter().any(|piece| piece.secret);
    let referring = pieces.iter().any(|piece| piece.referring);
    let mut text = String::new();
    for piece in pieces {
        if secret && !piece.secret { text.push_str(&piece.text.replace('$', "$$")) } else { text.push_str(&piece.text) }
    }
    Text { text, referring, secret }
}

/// A text that may hold secrets, with the values put in.
///
/// # Errors
/// [`stage::Kind::Config`] when a secret cannot be had.
pub(crate) fn expose(template: &str, secrets: &Secrets) -> stage::Result<Secret> {
    Ok(exposed(template, secrets)?.0)
}

/// The same, and each of the secrets by itself.
///
/// # Errors
/// As [`expose`].
pub(crate) fn exposed(template: &str, secrets: &Secrets) -> stage::Result<(Secret, Vec<Secret>)> {
    let parts = parts(template).map_err(|mistakes| {
        stage::Error::config(mistakes.into_iter().map(|(_, why)| why).collect::<Vec<_>>().join("; "))
    })?;
    let mut text = String::new();
    let mut found = Vec::new();
    for part in parts {
        match part {
            Part::Plain(plain) => text.push_str(&plain),
            Part::Reference(Reference::Secret { scope, key }) => {
                let secret = secrets.fetch(&scope, &key)?;
                text.push_str(secret.expose());
                found.push(secret);
            }
            Part::Reference(other) => {
                return Err(stage::Error::bug(format!("the reference `{other}` was not resolved when it should be")));
            }
        }
    }
    Ok((Secret::new(text), found))
}

impl std::fmt::Display for Reference {
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Reference::Variable(name) => write!(formatter, "${{var.{name}}}"),
            Reference::Environment(name) => write!(formatter, "${{env.{name}}}"),
            Reference::Secret { scope, key } => write!(formatter, "${{secret.{scope}.{key}}}"),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn scope() -> Scope {
        let plain = |text: &str| Some(Text { text: text.to_owned(), ..Text::default() });
        Scope {
            variables: BTreeMap::from([("landing".to_owned(), plain("./a$b")), ("broken".to_owned(), None)]),
            environment: BTreeMap::from([("HOME".to_owned(), "/home/x".to_owned())]),
            secrets: Secrets::of_environment("aws", "AWS_", BTreeMap::from([("AWS_key".into(), "se$cret".into())])),
        }
    }

    fn resolved(text: &str) -> String {
        scope().resolve(text).unwrap().unwrap().text
    }

    #[test]
    fn variables_and_environment_are_put_in_and_dollars_stay() {
        assert_eq!(resolved("${var.landing}/x"), "./a$b/x");
        assert_eq!(resolved("${env.HOME}"), "/home/x");
        assert_eq!(resolved("^C?[0-9]{6}$"), "^C?[0-9]{6}$");
        assert_eq!(resolved("costs $$5, $${var.x}"), "costs $5, ${var.x}");
        assert_eq!(scope().resolve("${var.broken}"), Ok(None));
    }

    #[test]
    fn secrets_stay_references_until_they_are_used() {
        let text = scope().resolve("${var.landing}:${secret.aws.key}").unwrap().unwrap();
        assert_eq!((text.text.as_str(), text.secret), ("./a$$b:${secret.aws.key}", true));
        assert_eq!(expose(&text.text, &scope().secrets).unwrap().expose(), "./a$b:se$cret");
        assert!(expose("${secret.aws.other}", &scope().secrets).unwrap_err().message().contains("AWS_other"));
    }

    #[test]
    fn every_mistake_in_a_text_is_named() {
        let mistakes = scope().resolve("${var.landin} ${env.NO} ${secret.az.k}").unwrap_err();
        let messages: Vec<&str> = mistakes.iter().map(|(_, why)| why.as_str()).collect();
        assert!(messages[0].starts_with("unknown variable `landin`; nearest is `landing`"), "{messages:?}");
        assert!(messages[1].contains("`NO` is not set"), "{messages:?}");
        assert!(messages[2].contains("unknown secret scope `az`"), "{messages:?}");
        let mistakes = scope().resolve("${vars.x} ${secret.x} ${var.} ${open").unwrap_err();
        assert_eq!(mistakes.len(), 4, "{mistakes:?}");
        assert!(mistakes[0].1.contains("nearest is `var`"), "{mistakes:?}");
    }
}
