//! Pieces of a line of JSON or CSV, appended to a buffer that is used again for the next line.

/// Appends a JSON text; the empty text is null. The texts made here hold nothing that needs escaping.
pub(crate) fn push_text(line: &mut Vec<u8>, text: &str) {
    if text.is_empty() {
        line.extend_from_slice(b"null");
        return;
    }
    line.push(b'"');
    line.extend_from_slice(text.as_bytes());
    line.push(b'"');
}

/// Appends a whole number.
pub(crate) fn push_number(line: &mut Vec<u8>, number: u64) {
    if number >= 10 {
        push_number(line, number / 10);
    }
    line.push(b'0' + (number % 10) as u8);
}

/// Appends an amount given in hundredths, with two decimals.
pub(crate) fn push_amount(line: &mut Vec<u8>, hundredths: u64) {
    push_number(line, hundredths / 100);
    line.push(b'.');
    line.push(b'0' + (hundredths / 10 % 10) as u8);
    line.push(b'0' + (hundredths % 10) as u8);
}

/// Appends 16 hexadecimal digits.
pub(crate) fn push_hex(line: &mut Vec<u8>, bits: u64) {
    for shift in (0..16).rev() {
        line.push(b"0123456789abcdef"[(bits >> (shift * 4) & 15) as usize]);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn pieces_read_as_expected() {
        let mut line = Vec::new();
        push_text(&mut line, "a");
        push_text(&mut line, "");
        push_number(&mut line, 0);
        push_amount(&mut line, 1_205);
        push_hex(&mut line, 0xff);
        assert_eq!(String::from_utf8(line).unwrap(), "\"a\"null012.0500000000000000ff");
    }
}
