//! Why a query cannot be answered in a cheaper way, for programs and for people.

use std::fmt;

/// A reason: a word that stays the same, and a sentence.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Refusal {
    /// The word, such as `outer_join`.
    pub code: &'static str,
    /// The end of a sentence that begins with "because".
    pub text: String,
}

impl Refusal {
    /// A reason.
    pub fn new(code: &'static str, text: impl Into<String>) -> Refusal {
        Refusal { code, text: text.into() }
    }

    /// What is said of a query that puts rows together by `need`, one of what [`crate::needs_other_rows`] names.
    pub(crate) fn needs(need: &str, text: String) -> Refusal {
        let words = [
            ("outer join", "outer_join"),
            ("itself", "self_join"),
            ("sub-query", "sub_query"),
            ("window", "window"),
            ("LIMIT", "limit"),
            ("GROUP BY", "groups"),
            ("UNION", "union"),
            ("DISTINCT", "distinct"),
            ("INTERSECT", "set_operation"),
            ("RECURSIVE", "recursive"),
        ];
        // A sub-query over the table itself is named first as the sub-query that it is.
        let code = match need.starts_with("a sub-query") {
            true => "sub_query",
            false => words.iter().find(|(word, _)| need.contains(word)).map_or("other_rows", |(_, code)| code),
        };
        Refusal::new(code, text)
    }
}

impl fmt::Display for Refusal {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str(&self.text)
    }
}
