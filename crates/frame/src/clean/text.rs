//! The steps over text columns: trim, lower, upper, and texts that mean null. They are Polars expressions over one
//! series, so a column with several of them crosses once.

use arrow::array::ArrayRef;
use polars::prelude::{
    BooleanChunked, ChunkCompareEq, ChunkSet, Column, DataType as PolarsType, IntoSeries, StringChunked,
    StringNameSpaceImpl,
};
use stage::{Error, Result};

use crate::bridge;

/// One step over a text column.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum TextStep {
    /// White space at both ends goes.
    Trim,
    /// Lower case.
    Lower,
    /// Upper case.
    Upper,
    /// Any of these texts becomes null.
    NullIf(Vec<String>),
}

/// The column after all steps, in their order.
///
/// # Errors
/// [`stage::Kind::Bug`] when Polars refuses; the column is known to be text.
pub(super) fn apply(steps: &[TextStep], array: &ArrayRef) -> Result<ArrayRef> {
    let series = bridge::to_series("text", array)?;
    let failed = |error| Error::bug("could not clean a text column").with_source(error);
    let mut text = series.str().map_err(|error| failed(Box::new(error)))?.clone();
    for step in steps {
        text = match step {
            TextStep::Trim => {
                let white_space = Column::full_null("white_space".into(), 1, &PolarsType::Null);
                text.strip_chars(&white_space).map_err(|error| failed(Box::new(error)))?
            }
            TextStep::Lower => text.to_lowercase(),
            TextStep::Upper => text.to_uppercase(),
            TextStep::NullIf(words) => match any_of(&text, words) {
                Some(mask) => text.set(&mask, None).map_err(|error| failed(Box::new(error)))?,
                None => text,
            },
        };
    }
    bridge::to_array(&text.into_series())
}

/// Which texts are one of the words; `None` when none is.
fn any_of(text: &StringChunked, words: &[String]) -> Option<BooleanChunked> {
    let mut found: Option<BooleanChunked> = None;
    for word in words {
        let equal = text.equal(word.as_str());
        found = Some(match found {
            Some(found) => &found | &equal,
            None => equal,
        });
    }
    found.filter(|mask| mask.any())
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use arrow::array::{AsArray, StringViewArray};

    use super::*;

    fn check(steps: &[TextStep], before: Vec<Option<&str>>, after: Vec<Option<&str>>) {
        let array: ArrayRef = Arc::new(StringViewArray::from(before));
        assert_eq!(apply(steps, &array).unwrap().as_string_view(), &StringViewArray::from(after));
    }

    #[test]
    fn text_is_trimmed_and_turned() {
        check(&[TextStep::Trim], vec![Some("\t a b \u{a0}\n"), Some(" "), None], vec![Some("a b"), Some(""), None]);
        check(&[TextStep::Lower], vec![Some("ÄB"), None], vec![Some("äb"), None]);
        check(&[TextStep::Upper], vec![Some("äb"), None], vec![Some("ÄB"), None]);
        check(
            &[TextStep::Trim, TextStep::Upper],
            vec![Some(" us "), Some("a text longer than a view ")],
            vec![Some("US"), Some("A TEXT LONGER THAN A VIEW")],
        );
        check(&[TextStep::Trim], vec![], vec![]);
    }

    #[test]
    fn words_that_mean_null_become_null() {
        let words = TextStep::NullIf(vec!["n/a".to_owned(), String::new()]);
        check(
            std::slice::from_ref(&words),
            vec![Some("n/a"), Some("x"), Some(""), None],
            vec![None, Some("x"), None, None],
        );
        check(&[TextStep::Trim, TextStep::Lower, words], vec![Some(" N/A "), Some("x")], vec![None, Some("x")]);
    }
}
