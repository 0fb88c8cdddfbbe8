//! A text with references in it, parsed once.

use std::fmt;

use stage::{Error, Result};

use super::lexer::next_reference;
use super::names::{NAMESPACES, resolve};
use super::{Reference, ReferenceProblem, Scope};

/// A text with references in it. Displayed, it is the text again.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Template {
    pieces: Vec<Piece>,
}

/// A part of a template. No two literals follow each other, and none is empty.
#[derive(Debug, Clone, PartialEq, Eq)]
enum Piece {
    Literal(String),
    Reference(Reference),
}

impl Template {
    /// Finds the references in `text`. What has not their form, or begins with an unknown word, is literal.
    ///
    /// # Errors
    /// The first reference whose first word is known and the rest is not.
    pub fn parse(text: &str) -> Result<Template, ReferenceProblem> {
        let mut template = Template::default();
        let mut rest = text;
        while let Some((before, words, after)) = next_reference(rest) {
            let written = &rest[before.len()..rest.len() - after.len()];
            template.push_literal(before);
            match resolve(&words) {
                Ok(Some(reference)) => template.pieces.push(Piece::Reference(reference)),
                Ok(None) => template.push_literal(written),
                Err(reason) => return Err(ReferenceProblem { reference: written.to_owned(), reason }),
            }
            rest = after;
        }
        template.push_literal(rest);
        Ok(template)
    }

    /// The same for the value of a parameter, which is filled when a run starts.
    ///
    /// # Errors
    /// Those of [`Template::parse`], and a reference to a parameter, a task or an input.
    pub fn parse_parameter(text: &str) -> Result<Template, ReferenceProblem> {
        let template = Template::parse(text)?;
        let refused = template.references().find_map(|reference| Some((reference, later_than_start(reference)?)));
        match refused {
            Some((reference, reason)) => {
                Err(ReferenceProblem { reference: reference.to_string(), reason: reason.to_owned() })
            }
            None => Ok(template),
        }
    }

    /// The references in it, in the order of the text.
    pub fn references(&self) -> impl Iterator<Item = &Reference> {
        self.pieces.iter().filter_map(|piece| match piece {
            Piece::Reference(reference) => Some(reference),
            Piece::Literal(_) => None,
        })
    }

    /// Whether there is nothing to fill.
    pub fn is_literal(&self) -> bool {
        self.references().next().is_none()
    }

    /// What stays as it is written although it begins like a reference, `{{job.parameters.run-date}}` for example: a
    /// name that needs backticks, or a closing brace that is missing. Each from its braces to their end, or to the end
    /// of the line.
    pub fn left_alone(&self) -> Vec<&str> {
        let literals = self.pieces.iter().filter_map(|piece| match piece {
            Piece::Literal(text) => Some(text.as_str()),
            Piece::Reference(_) => None,
        });
        literals.flat_map(near_references).collect()
    }

    /// The text with the value of every reference.
    ///
    /// # Errors
    /// [`stage::Kind::Config`] for a reference that has no value in this scope; the message names it and says why.
    pub fn fill(&self, scope: &Scope<'_>) -> Result<String> {
        self.fill_with(scope, |value| value)
    }

    /// The same, with what `written` makes of each value.
    ///
    /// # Errors
    /// As [`Template::fill`].
    pub(crate) fn fill_with(&self, scope: &Scope<'_>, written: impl Fn(String) -> String) -> Result<String> {
        let mut filled = String::new();
        for piece in &self.pieces {
            match piece {
                Piece::Literal(text) => filled.push_str(text),
                Piece::Reference(reference) => {
                    let value = scope.value(reference);
                    let value =
                        value.map_err(|reason| Error::config(format!("cannot fill `{reference}`: {reason}")))?;
                    filled.push_str(&written(value));
                }
            }
        }
        Ok(filled)
    }

    /// The text with the values that are known; the other references stay. For showing a run before it takes place.
    pub fn fill_known(&self, scope: &Scope<'_>) -> String {
        self.fill_unless(scope, |_| false).0
    }

    /// The same, with what is known later only, and the references that stay.
    pub(crate) fn fill_unless(
        &self,
        scope: &Scope<'_>,
        is_later: impl Fn(&Reference) -> bool,
    ) -> (String, Vec<&Reference>) {
        let (mut filled, mut stay) = (String::new(), Vec::new());
        for piece in &self.pieces {
            match piece {
                Piece::Literal(text) => filled.push_str(text),
                Piece::Reference(reference) => match scope.value(reference) {
                    Ok(value) if !is_later(reference) => filled.push_str(&value),
                    _ => {
                        filled.push_str(&reference.to_string());
                        stay.push(reference);
                    }
                },
            }
        }
        (filled, stay)
    }

    fn push_literal(&mut self, text: &str) {
        match self.pieces.last_mut() {
            _ if text.is_empty() => {}
            Some(Piece::Literal(before)) => before.push_str(text),
            _ => self.pieces.push(Piece::Literal(text.to_owned())),
        }
    }
}

impl fmt::Display for Template {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.pieces.iter().try_for_each(|piece| match piece {
            Piece::Literal(text) => formatter.write_str(text),
            Piece::Reference(reference) => reference.fmt(formatter),
        })
    }
}

/// Why the value of a parameter cannot hold the reference; `None` when it can.
fn later_than_start(reference: &Reference) -> Option<&'static str> {
    match reference {
        Reference::JobParameter(_) => Some("the value of a parameter cannot name another parameter"),
        Reference::Task(_) | Reference::OtherTask { .. } | Reference::Input(_) | Reference::Legacy(_) => {
            Some("parameters get their values before any task runs; refer to the task where the parameter is used")
        }
        Reference::Job(_)
        | Reference::StartTime(_)
        | Reference::TriggerTime(_)
        | Reference::Trigger(_)
        | Reference::Workspace(_)
        | Reference::Backfill(_) => None,
    }
}

/// The parts of a literal that begin with braces and the first word of a reference.
fn near_references(literal: &str) -> impl Iterator<Item = &str> {
    literal.match_indices("{{").filter_map(|(start, _)| {
        let line = literal[start..].lines().next()?;
        let inside = line[2..].trim_start();
        let word = inside.split(|character: char| !character.is_alphanumeric() && character != '_').next()?;
        let end = line.find("}}").map_or(line.len(), |end| end + 2);
        NAMESPACES.contains(&word).then(|| &line[..end])
    })
}
