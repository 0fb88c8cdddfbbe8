//! Numbers written as text, read without ever passing through a float: digits and a power of ten.

/// A decimal number, `digits * 10^exponent`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Exact {
    digits: i128,
    exponent: i32,
}

impl Exact {
    /// Reads `12`, `-12.30`, `+.5`, `1e3` or `17850.0`, with white space around it. `None` when it is no number or has
    /// more significant digits than fit 128 bits.
    pub(super) fn parse(text: &str) -> Option<Exact> {
        let text = text.trim();
        let (text, power) = match text.find(['e', 'E']) {
            Some(at) => (&text[..at], text[at + 1..].parse::<i32>().ok()?),
            None => (text, 0),
        };
        let (negative, unsigned) = match text.as_bytes().first()? {
            b'-' => (true, &text[1..]),
            b'+' => (false, &text[1..]),
            _ => (false, text),
        };
        let (whole, fraction) = unsigned.split_once('.').unwrap_or((unsigned, ""));
        if whole.is_empty() && fraction.is_empty() {
            return None;
        }
        let fraction = fraction.trim_end_matches('0');
        let mut digits: i128 = 0;
        for digit in whole.bytes().chain(fraction.bytes()) {
            if !digit.is_ascii_digit() {
                return None;
            }
            digits = digits.checked_mul(10)?.checked_add(i128::from(digit - b'0'))?;
        }
        let exponent = power.checked_sub(i32::try_from(fraction.len()).ok()?)?;
        Some(Exact { digits: if negative { -digits } else { digits }, exponent })
    }

    /// The number as a whole count of `10^-scale`; `None` when it has a finer fraction or does not fit.
    pub(super) fn at_scale(self, scale: i32) -> Option<i128> {
        if self.digits == 0 {
            return Some(0);
        }
        let shift = self.exponent.checked_add(scale)?;
        let factor = 10_i128.checked_pow(shift.unsigned_abs())?;
        if shift >= 0 {
            self.digits.checked_mul(factor)
        } else {
            (self.digits % factor == 0).then(|| self.digits / factor)
        }
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn read(text: &str, scale: i32) -> Option<i128> {
        Exact::parse(text)?.at_scale(scale)
    }

    #[test]
    fn numbers_are_read_to_the_last_digit() {
        assert_eq!(read("12.30", 2), Some(1230));
        assert_eq!(read(" -0.01 ", 2), Some(-1));
        assert_eq!(read("17850.0", 0), Some(17850));
        assert_eq!(read("1.5e3", 0), Some(1500));
        assert_eq!(read("+.5", 1), Some(5));
        assert_eq!(read("5.", 1), Some(50));
        assert_eq!(read("0.10000000000000000000000000000000000000000", 1), Some(1));
        assert_eq!(read("0e99", 0), Some(0));
    }

    #[test]
    fn what_would_have_to_be_rounded_is_refused() {
        assert_eq!(read("1.5", 0), None);
        assert_eq!(read("12.345", 2), None);
        assert_eq!(read("1e39", 0), None);
        assert_eq!(read("99999999999999999999999999999999999999999", 0), None);
    }

    #[test]
    fn what_is_no_number_is_refused() {
        for text in ["", " ", ".", "-", "--1", "1-", "1.2.3", "1e", "abc", "1,5", "0x10", "NaN", "1 2", "é"] {
            assert_eq!(Exact::parse(text), None, "{text}");
        }
    }

    proptest! {
        #[test]
        fn a_printed_number_is_read_back(digits in any::<i64>(), scale in 0_u32..18) {
            let sign = if digits < 0 { "-" } else { "" };
            let power = 10_u64.pow(scale);
            let text = format!(
                "{sign}{}.{:0width$}", digits.unsigned_abs() / power, digits.unsigned_abs() % power, width = scale as usize);
            prop_assert_eq!(read(&text, scale as i32), Some(i128::from(digits)));
        }

        #[test]
        fn no_text_makes_it_panic(text in ".{0,60}", scale in 0_i32..38) {
            let _ = read(&text, scale);
        }
    }
}
