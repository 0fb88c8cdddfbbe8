//! A set of texts that remembers eight bytes of each.

use serde::de::Error as _;
use serde::{Deserialize, Deserializer, Serialize, Serializer};
use xxhash_rust::xxh3::xxh3_64;

/// Hashes in order, each once. In JSON it is one text, 16 hexadecimal digits for each.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(super) struct Hashes(Vec<u64>);

/// XXH3 of a text, which is the same on every machine and in every version.
pub(super) fn hash(text: &str) -> u64 {
    xxh3_64(text.as_bytes())
}

impl Hashes {
    pub(super) fn len(&self) -> usize {
        self.0.len()
    }

    pub(super) fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    pub(super) fn without(&self, other: &Hashes) -> Hashes {
        Hashes(self.0.iter().copied().filter(|hash| other.0.binary_search(hash).is_err()).collect())
    }
}

impl FromIterator<u64> for Hashes {
    fn from_iter<I: IntoIterator<Item = u64>>(hashes: I) -> Hashes {
        let mut hashes: Vec<u64> = hashes.into_iter().collect();
        hashes.sort_unstable();
        hashes.dedup();
        Hashes(hashes)
    }
}

impl Serialize for Hashes {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        use std::fmt::Write as _;
        let mut digits = String::with_capacity(self.0.len() * 16);
        for hash in &self.0 {
            write!(digits, "{hash:016x}").map_err(serde::ser::Error::custom)?;
        }
        serializer.serialize_str(&digits)
    }
}

impl<'de> Deserialize<'de> for Hashes {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Hashes, D::Error> {
        let digits = String::deserialize(deserializer)?;
        let wrong = || D::Error::custom("expected 16 hexadecimal digits for each file");
        if !digits.len().is_multiple_of(16) {
            return Err(wrong());
        }
        (0..digits.len() / 16)
            .map(|place| {
                let part = digits.get(place * 16..place * 16 + 16).ok_or_else(wrong)?;
                u64::from_str_radix(part, 16).map_err(|_| wrong())
            })
            .collect()
    }
}
