//! The least and the greatest text of a column.
//!
//! The first bytes of every text stand in its view, all of a short one and four of a longer one, so most texts are
//! compared by one number, and a call that compares bytes is rare.

use arrow::array::{Array, StringViewArray};
use arrow::buffer::Buffer;

use super::hashing::INLINE;

/// Bytes that are kept of a text.
pub(crate) const KEPT_BYTES: usize = 64;

/// The bounds of texts.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Bounds {
    least: String,
    greatest: String,
}

impl Bounds {
    /// The bounds of a batch together with those before; `None` while there is no text.
    pub(crate) fn widened(before: Option<Bounds>, texts: &StringViewArray) -> Option<Bounds> {
        let first = || (0..texts.len()).find(|row| texts.is_valid(*row)).map(|row| texts.value(row));
        let mut bounds = match before {
            Some(bounds) => bounds,
            None => first().map(|text| Bounds { least: text.to_owned(), greatest: text.to_owned() })?,
        };
        let buffers = texts.data_buffers();
        let (mut low, mut high) = (Head::of(&bounds.least), Head::of(&bounds.greatest));
        for (row, view) in texts.views().iter().enumerate() {
            let prefix = ((*view >> 32) as u32).swap_bytes();
            let is_between = (prefix > low.prefix && prefix < high.prefix)
                || low.view == Some(*view)
                || high.view == Some(*view)
                || head_of(*view, buffers).is_some_and(|bytes| bytes > low.bytes && bytes < high.bytes);
            if is_between || texts.is_null(row) {
                continue;
            }
            let text = texts.value(row);
            if text < bounds.least.as_str() {
                text.clone_into(&mut bounds.least);
                low = Head::of(text);
            }
            if text > bounds.greatest.as_str() {
                text.clone_into(&mut bounds.greatest);
                high = Head::of(text);
            }
        }
        Some(bounds)
    }

    /// The bounds as they are told: cut after some bytes, as statistics of Parquet are.
    pub(crate) fn told(&self) -> (String, String) {
        (cut(&self.least), cut(&self.greatest))
    }
}

/// A text without what is beyond its first bytes.
pub(crate) fn cut(text: &str) -> String {
    let mut end = text.len().min(KEPT_BYTES);
    while !text.is_char_boundary(end) {
        end -= 1;
    }
    text.get(..end).unwrap_or_default().to_owned()
}

/// The first twelve bytes of the text of a view, as in [`Head`]; `None` for a view that points nowhere, as those of nulls may.
fn head_of(view: u128, buffers: &[Buffer]) -> Option<u128> {
    if view as u32 <= INLINE {
        return Some((view >> 32).swap_bytes());
    }
    let (buffer, offset) = ((view >> 64) as u32 as usize, (view >> 96) as usize);
    let bytes: &[u8; INLINE as usize] = buffers.get(buffer)?.get(offset..)?.first_chunk()?;
    let mut padded = [0; 16];
    padded.iter_mut().zip(bytes).for_each(|(to, from)| *to = *from);
    Some(u128::from_be_bytes(padded))
}

/// How a text begins, as numbers that sort as texts do; what is shorter is filled with zeros, as views are.
struct Head {
    /// The first four bytes.
    prefix: u32,
    /// The first twelve bytes, in the upper part.
    bytes: u128,
    /// The view of a text that stands in it as a whole: columns of few values meet their bounds all the time.
    view: Option<u128>,
}

impl Head {
    fn of(text: &str) -> Head {
        let mut bytes = [0; 16];
        bytes.iter_mut().zip(text.bytes()).take(INLINE as usize).for_each(|(to, from)| *to = from);
        let bytes = u128::from_be_bytes(bytes);
        let length = u32::try_from(text.len()).ok().filter(|length| *length <= INLINE);
        let view = length.map(|length| bytes.swap_bytes() << 32 | u128::from(length));
        Head { prefix: (bytes >> 96) as u32, bytes, view }
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    proptest! {
        #[test]
        fn the_bounds_are_those_of_all_texts(batches in prop::collection::vec(prop::collection::vec(prop::option::of("(prefix)?[a-cé]{0,16}"), 0..40), 0..4)) {
            let mut bounds = None;
            for batch in &batches {
                bounds = Bounds::widened(bounds, &StringViewArray::from_iter(batch.iter().map(Option::as_deref)));
            }
            let all = batches.iter().flatten().flatten();
            let expected = all.clone().min().cloned().zip(all.max().cloned());
            prop_assert_eq!(bounds.map(|bounds| (bounds.least, bounds.greatest)), expected);
        }
    }

    #[test]
    fn a_long_text_is_cut_between_characters() {
        assert_eq!(cut(&"é".repeat(40)).len(), 64);
        assert_eq!(cut(&format!("a{}", "é".repeat(40))).len(), 63);
    }
}
