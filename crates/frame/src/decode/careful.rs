//! What becomes of a row in which something did not fit: kept with the rest rescued, rejected, or the end of the batch.

use stage::{Error, Result};

use crate::decode::rows::{Note, Why};
use crate::spec::{EvolutionSpec, Mismatch, NewColumns};

/// The fate of one row.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum Fate {
    /// It is kept; what did not fit is a JSON object by path, if anything is.
    Keep(Option<String>),
    /// It goes to quarantine for this reason.
    Reject(String),
}

/// Applies the rules of `[evolution]` to what was noted in the row at `position`.
///
/// # Errors
/// [`stage::Kind::Data`] when a rule says `fail`.
pub(crate) fn judge(notes: &[Note], evolution: EvolutionSpec, position: i64) -> Result<Fate> {
    let mut rescued: Vec<&Note> = Vec::new();
    for note in notes {
        match (note.why, evolution.new_columns, evolution.mismatch) {
            (Why::Unknown, NewColumns::Ignore, _) => {}
            (Why::Unknown, NewColumns::Fail, _) => return Err(unknown_field(note, position)),
            (Why::Misfit, _, Mismatch::Fail) => return Err(misfit(note, position)),
            (Why::Misfit, _, Mismatch::Quarantine) => return Ok(Fate::Reject(describe(note))),
            _ => rescued.push(note),
        }
    }
    Ok(Fate::Keep((!rescued.is_empty()).then(|| to_json(&rescued))))
}

fn unknown_field(note: &Note, position: i64) -> Error {
    Error::data(format!(
        "field `{}` at position {position} is not in the schema and new_columns is `fail`; \
         add it to [schema], or set new_columns to add, rescue or ignore",
        note.path
    ))
}

fn misfit(note: &Note, position: i64) -> Error {
    Error::data(format!(
        "{} at position {position} and mismatch is `fail`; correct the data or the type, or set mismatch to rescue or quarantine",
        describe(note)
    ))
}

fn describe(note: &Note) -> String {
    format!("field `{}` does not fit its column: {}", note.path, shortened(&note.value, 100))
}

/// The values by path; a path that was noted several times holds a list.
fn to_json(notes: &[&Note]) -> String {
    let mut out = String::from("{");
    for (index, note) in notes.iter().enumerate() {
        if notes[..index].iter().any(|earlier| earlier.path == note.path) {
            continue;
        }
        if out.len() > 1 {
            out.push(',');
        }
        out.push_str(&serde_json::Value::from(note.path.as_str()).to_string());
        out.push(':');
        let same: Vec<&str> =
            notes.iter().filter(|other| other.path == note.path).map(|other| other.value.as_str()).collect();
        match same.as_slice() {
            [one] => out.push_str(one),
            several => {
                out.push('[');
                out.push_str(&several.join(","));
                out.push(']');
            }
        }
    }
    out.push('}');
    out
}

/// A text cut to a number of bytes, marked when something was cut.
pub(crate) fn shortened(text: &str, bytes: usize) -> String {
    if text.len() <= bytes {
        return text.to_owned();
    }
    let end = (0..=bytes).rev().find(|end| text.is_char_boundary(*end)).unwrap_or(0);
    format!("{}...", text.get(..end).unwrap_or_default())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn note(why: Why, path: &str, value: &str) -> Note {
        Note { why, path: path.to_owned(), value: value.to_owned() }
    }

    #[test]
    fn what_does_not_fit_is_rescued_by_path() {
        let notes =
            [note(Why::Unknown, "a.b", "1"), note(Why::Misfit, "c\"", "\"x\""), note(Why::Repeated, "a.b", "2")];
        let fate = judge(&notes, EvolutionSpec::default(), 1).unwrap();
        assert_eq!(fate, Fate::Keep(Some(r#"{"a.b":[1,2],"c\"":"x"}"#.to_owned())));
    }

    #[test]
    fn each_rule_decides_what_it_is_for() {
        let evolution = EvolutionSpec { new_columns: NewColumns::Ignore, mismatch: Mismatch::Quarantine };
        assert_eq!(judge(&[note(Why::Unknown, "a", "1")], evolution, 1).unwrap(), Fate::Keep(None));
        let fate = judge(&[note(Why::Misfit, "a", "1")], evolution, 1).unwrap();
        assert_eq!(fate, Fate::Reject("field `a` does not fit its column: 1".to_owned()));
    }

    #[test]
    fn a_refusal_names_field_position_and_remedy() {
        let evolution = EvolutionSpec { new_columns: NewColumns::Fail, mismatch: Mismatch::Fail };
        let unknown = judge(&[note(Why::Unknown, "a.b", "1")], evolution, 7).unwrap_err();
        assert!(unknown.message().contains("`a.b` at position 7") && unknown.message().contains("set new_columns"));
        let misfit = judge(&[note(Why::Misfit, "c", "1")], evolution, 8).unwrap_err();
        assert!(misfit.message().contains("`c`") && misfit.message().contains("position 8"));
    }
}
