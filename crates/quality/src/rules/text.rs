//! Rules about what a text looks like.

use std::sync::LazyLock;

use arrow::array::{Array, AsArray, RecordBatch, StringViewArray};
use arrow::buffer::BooleanBuffer;
use arrow::compute::cast;
use arrow::datatypes::DataType;
use regex::Regex;
use stage::Result;

use super::{any_of, column, refused, some_set};

/// A test that texts must pass, and the columns that hold them.
#[derive(Debug, Clone)]
pub(crate) struct Text {
    /// String columns.
    pub(crate) columns: Vec<String>,
    /// What their texts must pass.
    pub(crate) test: TextTest,
}

/// What a text must be like.
#[derive(Debug, Clone)]
pub(crate) enum TextTest {
    /// The expression is found in it.
    Matches(Regex),
    /// It has so many characters, both bounds inclusive.
    Length(u64, u64),
    /// It is a mail address.
    Email,
    /// It is a UUID.
    Uuid,
}

impl Text {
    /// Whether a column of this type holds texts.
    pub(crate) fn allows(data_type: &DataType) -> bool {
        matches!(data_type, DataType::Utf8 | DataType::LargeUtf8 | DataType::Utf8View)
    }

    pub(super) fn violations(&self, batch: &RecordBatch) -> Result<Option<BooleanBuffer>> {
        any_of(&self.columns, |name| {
            let texts = cast(column(batch, name)?, &DataType::Utf8View).map_err(refused)?;
            Ok(some_set(self.test.failing(texts.as_string_view())))
        })
    }
}

impl TextTest {
    fn failing(&self, texts: &StringViewArray) -> BooleanBuffer {
        match self {
            TextTest::Matches(pattern) => failing(texts, |text| pattern.is_match(text)),
            TextTest::Length(min, max) => failing(texts, |text| (*min..=*max).contains(&(text.chars().count() as u64))),
            TextTest::Email => failing(texts, is_email),
            TextTest::Uuid => failing(texts, is_uuid),
        }
    }
}

/// The rows whose text is null or does not pass.
pub(super) fn failing(texts: &StringViewArray, passes: impl Fn(&str) -> bool) -> BooleanBuffer {
    BooleanBuffer::collect_bool(texts.len(), |row| texts.is_null(row) || !passes(texts.value(row)))
}

/// What mail servers deliver in practice: no quoted names, no addresses in brackets, at least two parts of a domain.
fn is_email(text: &str) -> bool {
    static EMAIL: LazyLock<Option<Regex>> = LazyLock::new(|| {
        let name = r"[A-Za-z0-9!#$%&'*+/=?^_`{|}~-]+(?:\.[A-Za-z0-9!#$%&'*+/=?^_`{|}~-]+)*";
        let part = r"[\p{L}\p{N}](?:[\p{L}\p{N}-]{0,61}[\p{L}\p{N}])?";
        Regex::new(&format!(r"^{name}@(?:{part}\.)+{part}$")).ok()
    });
    text.len() <= 254 && EMAIL.as_ref().is_some_and(|pattern| pattern.is_match(text))
}

/// Groups of 8, 4, 4, 4 and 12 hexadecimal digits, of any version.
fn is_uuid(text: &str) -> bool {
    text.len() == 36
        && text.bytes().enumerate().all(|(at, byte)| match at {
            8 | 13 | 18 | 23 => byte == b'-',
            _ => byte.is_ascii_hexdigit(),
        })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn mail_addresses_are_told_from_other_texts() {
        for good in ["a@b.de", "first.last+tag@sub.example.co.uk", "o'neil@example.com", "x@müller.de", "1@2.org"] {
            assert!(is_email(good), "{good}");
        }
        for bad in [
            "",
            "a",
            "a@b",
            "@b.de",
            "a@",
            "a@@b.de",
            "a b@c.de",
            ".a@b.de",
            "a.@b.de",
            "a..b@c.de",
            "a@-b.de",
            "a@b..de",
            "a@b.de ",
        ] {
            assert!(!is_email(bad), "{bad}");
        }
    }

    #[test]
    fn uuids_are_told_from_other_texts() {
        assert!(is_uuid("123e4567-e89b-12d3-a456-426614174000"));
        assert!(is_uuid("123E4567-E89B-12D3-A456-426614174000"));
        for bad in [
            "",
            "123e4567e89b12d3a456426614174000",
            "123e4567-e89b-12d3-a456-42661417400g",
            "{123e4567-e89b-12d3-a456-4266141740}",
        ] {
            assert!(!is_uuid(bad), "{bad}");
        }
    }
}
