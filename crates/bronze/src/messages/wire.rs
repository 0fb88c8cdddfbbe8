//! The way in which messages name their schema: a zero byte, the identity of the schema in four bytes, and for Protocol
//! Buffers which message of the file it is.

/// What stands in front of a message.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Framed<'a> {
    /// The schema's identity in the registry.
    pub(crate) schema: u32,
    /// What stands behind.
    pub(crate) body: &'a [u8],
}

/// Cuts a message; the reason when it is not framed.
pub(crate) fn framed(message: &[u8]) -> Result<Framed<'_>, String> {
    match message {
        [0, a, b, c, d, body @ ..] => Ok(Framed { schema: u32::from_be_bytes([*a, *b, *c, *d]), body }),
        [0, ..] | [] => Err("the message is too short to name its schema".to_owned()),
        [first, ..] => Err(format!("the message does not name its schema: it begins with {first:#04x} and not 0x00")),
    }
}

/// Which message of a file of Protocol Buffers it is, from the outermost to the innermost, and what stands behind.
pub(crate) fn message_indexes(body: &[u8]) -> Result<(Vec<usize>, &[u8]), String> {
    let (mut rest, cut_off) = (body, || "the message is cut off before it says which one it is".to_owned());
    let count = zigzag(&mut rest).ok_or_else(cut_off)?;
    // The first message of a file is written as a single zero.
    if count == 0 {
        return Ok((vec![0], rest));
    }
    if !(1..=100).contains(&count) {
        return Err(format!("the message says that it is {count} levels deep in its file"));
    }
    let mut indexes = Vec::new();
    for _ in 0..count {
        let index = zigzag(&mut rest).ok_or_else(cut_off)?;
        indexes.push(usize::try_from(index).map_err(|_| format!("the message has the number {index} in its file"))?);
    }
    Ok((indexes, rest))
}

/// A whole number of variable length, as Avro and this framing write it. `bytes` is moved behind it.
pub(crate) fn zigzag(bytes: &mut &[u8]) -> Option<i64> {
    let mut value: u64 = 0;
    for shift in (0..64).step_by(7) {
        let (byte, rest) = bytes.split_first()?;
        *bytes = rest;
        value |= u64::from(byte & 0x7f) << shift;
        if byte & 0x80 == 0 {
            return Some((value >> 1) as i64 ^ -((value & 1) as i64));
        }
    }
    None
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_framed_message_names_its_schema() {
        assert_eq!(framed(&[0, 0, 0, 1, 2, 9]), Ok(Framed { schema: 258, body: &[9] }));
        assert!(framed(&[0, 0, 0]).unwrap_err().contains("too short"));
        assert!(framed(b"{}").unwrap_err().contains("0x7b"));
    }

    #[test]
    fn messages_in_messages_are_found_by_their_numbers() {
        assert_eq!(message_indexes(&[0, 7]), Ok((vec![0], &[7][..])));
        assert_eq!(message_indexes(&[4, 2, 0, 7]), Ok((vec![1, 0], &[7][..])));
        assert!(message_indexes(&[4, 2]).is_err() && message_indexes(&[1]).is_err());
    }

    #[test]
    fn numbers_of_variable_length_are_read_to_their_limits() {
        let mut bytes: &[u8] = &[0x01, 0x80, 0x01, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0x01];
        let found: Vec<Option<i64>> = (0..4).map(|_| zigzag(&mut bytes)).collect();
        assert_eq!(found, [Some(-1), Some(64), Some(i64::MIN), None]);
    }
}
