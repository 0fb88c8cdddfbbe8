//! Values that come with messages: texts and times that may be missing, and bytes as text.

use std::ops::Range;

/// A time that a message does not have.
pub(crate) const NO_TIME: i64 = i64::MIN;

/// Bytes that may be missing, one after the other.
#[derive(Debug, Default)]
pub(crate) struct Texts {
    pub(crate) bytes: Vec<u8>,
    pub(crate) ends: Vec<i32>,
    pub(crate) present: Vec<bool>,
}

impl Texts {
    pub(crate) fn with_room_of(other: &Texts) -> Texts {
        let (bytes, rows) = (other.bytes.len(), other.ends.len());
        Texts { bytes: Vec::with_capacity(bytes), ends: Vec::with_capacity(rows), present: Vec::with_capacity(rows) }
    }

    pub(crate) fn push(&mut self, text: Option<&[u8]>) {
        self.bytes.extend_from_slice(text.unwrap_or_default());
        // A piece is cut long before its keys fill two gigabytes.
        self.ends.push(i32::try_from(self.bytes.len()).unwrap_or(i32::MAX));
        self.present.push(text.is_some());
    }

    pub(crate) fn get(&self, index: usize) -> Option<&[u8]> {
        let place = self.place(index)?;
        if *self.present.get(index)? { self.bytes.get(place) } else { None }
    }

    fn place(&self, index: usize) -> Option<Range<usize>> {
        let start = index.checked_sub(1).and_then(|before| self.ends.get(before)).copied().unwrap_or(0);
        Some(usize::try_from(start).ok()?..usize::try_from(*self.ends.get(index)?).ok()?)
    }
}

/// Bytes as base64, standard alphabet, with padding.
pub(crate) fn base64_of(bytes: &[u8]) -> String {
    use base64::Engine as _;
    base64::engine::general_purpose::STANDARD.encode(bytes)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn texts_keep_what_is_missing_apart_from_what_is_empty() {
        let mut texts = Texts::default();
        for text in [Some("a".as_bytes()), None, Some(b""), Some(b"bc")] {
            texts.push(text);
        }
        let found: Vec<Option<&[u8]>> = (0..5).map(|index| texts.get(index)).collect();
        assert_eq!(found, [Some(&b"a"[..]), None, Some(&b""[..]), Some(&b"bc"[..]), None]);
    }
}
