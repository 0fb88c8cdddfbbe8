//! What the producer library of Kinesis packed together: one record that holds many.
//!
//! Such a record is four magic bytes, an `AggregatedRecord` in Protocol Buffers, and 16 bytes of MD5, as
//! `aggregation-format.md` of the library has it. The digest is not looked at: the transport guards the bytes, and what
//! is not an `AggregatedRecord` to its last byte is refused.

/// What a packed record begins with.
const MAGIC: [u8; 4] = [0xf3, 0x89, 0x9a, 0xc2];
/// The bytes of the digest behind it.
const DIGEST: usize = 16;

/// A record of a user: its partition key, if it has one of its own, and its payload.
pub(crate) type Unpacked<'a> = (Option<&'a str>, &'a [u8]);

/// The records in `payload`; `None` when it is an ordinary one.
///
/// # Errors
/// Why it cannot be unpacked although it is packed.
pub(crate) fn unpack(payload: &[u8]) -> Result<Option<Vec<Unpacked<'_>>>, String> {
    let Some(rest) = payload.strip_prefix(&MAGIC) else { return Ok(None) };
    let body = rest.len().checked_sub(DIGEST).and_then(|length| rest.get(..length));
    let body = body.ok_or("it is packed by the producer library, but cut off")?;
    let records = records(body).ok_or("it is packed by the producer library, but what it holds is damaged")?;
    Ok(Some(records))
}

fn records(body: &[u8]) -> Option<Vec<Unpacked<'_>>> {
    let mut keys: Vec<&str> = Vec::new();
    let mut found: Vec<(u64, &[u8])> = Vec::new();
    for field in Fields(body) {
        match field? {
            (1, Value::Bytes(key)) => keys.push(std::str::from_utf8(key).ok()?),
            (3, Value::Bytes(record)) => found.push(one(record)?),
            _ => {}
        }
    }
    let key_of = |index: u64| usize::try_from(index).ok().and_then(|index| keys.get(index).copied());
    found.into_iter().map(|(index, data)| Some((Some(key_of(index)?), data))).collect()
}

/// The number of the partition key of one record, and its payload.
fn one(record: &[u8]) -> Option<(u64, &[u8])> {
    let (mut index, mut data) = (None, None);
    for field in Fields(record) {
        match field? {
            (1, Value::Number(number)) => index = Some(number),
            (3, Value::Bytes(bytes)) => data = Some(bytes),
            _ => {}
        }
    }
    Some((index?, data?))
}

enum Value<'a> {
    Number(u64),
    Bytes(&'a [u8]),
}

/// The fields of a message with their numbers; `None` once the bytes are none.
struct Fields<'a>(&'a [u8]);

impl<'a> Iterator for Fields<'a> {
    type Item = Option<(u64, Value<'a>)>;

    fn next(&mut self) -> Option<Self::Item> {
        if self.0.is_empty() {
            return None;
        }
        let field = self.field();
        if field.is_none() {
            self.0 = &[];
        }
        Some(field)
    }
}

impl<'a> Fields<'a> {
    fn field(&mut self) -> Option<(u64, Value<'a>)> {
        let tag = self.number()?;
        let value = match tag & 7 {
            0 => Value::Number(self.number()?),
            1 => Value::Bytes(self.take(8)?),
            2 => {
                let length = usize::try_from(self.number()?).ok()?;
                Value::Bytes(self.take(length)?)
            }
            5 => Value::Bytes(self.take(4)?),
            _ => return None,
        };
        Some((tag >> 3, value))
    }

    fn number(&mut self) -> Option<u64> {
        let mut number = 0u64;
        for shift in (0..64).step_by(7) {
            let byte = self.take(1)?[0];
            number |= u64::from(byte & 0x7f) << shift;
            if byte < 0x80 {
                return Some(number);
            }
        }
        None
    }

    fn take(&mut self, length: usize) -> Option<&'a [u8]> {
        let (taken, rest) = self.0.split_at_checked(length)?;
        self.0 = rest;
        Some(taken)
    }
}

#[cfg(test)]
pub(crate) mod tests {
    use super::*;

    fn field(number: u8, bytes: &[u8]) -> Vec<u8> {
        [&[number << 3 | 2, u8::try_from(bytes.len()).unwrap()][..], bytes].concat()
    }

    /// Records as the producer library packs them, each with the number of its key.
    pub(crate) fn packed(keys: &[&str], records: &[(u8, &[u8])]) -> Vec<u8> {
        let mut bytes = MAGIC.to_vec();
        keys.iter().for_each(|key| bytes.extend(field(1, key.as_bytes())));
        bytes.extend(field(2, b"12345"));
        for (key, data) in records {
            bytes.extend(field(3, &[&[1 << 3, *key][..], &field(3, data)].concat()));
        }
        bytes.extend([0; DIGEST]);
        bytes
    }

    #[test]
    fn packed_records_come_apart_with_their_keys() {
        let bytes = packed(&["a", "b"], &[(1, b"one"), (0, b"")]);
        assert_eq!(unpack(&bytes).unwrap().unwrap(), [(Some("b"), &b"one"[..]), (Some("a"), b"")]);
    }

    #[test]
    fn ordinary_records_stay_as_they_are() {
        for payload in [&b"{\"id\":1}"[..], b"", b"\xf3\x89\x9a"] {
            assert_eq!(unpack(payload), Ok(None));
        }
    }

    #[test]
    fn what_is_packed_but_damaged_is_refused_and_never_guessed() {
        let whole = packed(&["a"], &[(0, b"payload")]);
        let cut = &whole[..whole.len() - 3];
        let without_key = packed(&[], &[(0, b"payload")]);
        for payload in [&MAGIC[..], cut, &without_key] {
            let why = unpack(payload).unwrap_err();
            assert!(why.starts_with("it is packed by the producer library"), "{why}");
        }
    }
}
