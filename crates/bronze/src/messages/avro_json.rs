//! Messages of Avro as JSON text, read straight from their bytes. Numbers keep every digit; bytes are base64, times ISO
//! 8601, and a map is a list of keys and values, as it is in files.

use std::fmt::Write as _;

use chrono::{DateTime, NaiveTime};
use serde_json::Value;

use super::avro::{Node, Plan};
use super::values::base64_of;
use super::wire::zigzag;

/// Deeper values are not read, so that no message can use up the stack.
const MOST_LEVELS: usize = 100;
/// How many values without a single byte a list may have.
const MOST_EMPTY: usize = 100_000;

/// Why a message cannot be read.
type Read<T> = Result<T, String>;

/// Appends a message as a JSON object.
pub(crate) fn write_message(plan: &Plan, mut bytes: &[u8], out: &mut String) -> Read<()> {
    if !matches!(plan.nodes.get(plan.root), Some(Node::Record(_))) {
        return Err("the schema of the message is not a record".to_owned());
    }
    Writer { plan, out }.value(plan.root, &mut bytes, 0)?;
    match bytes.len() {
        0 => Ok(()),
        left => Err(format!("{left} bytes are left behind the message")),
    }
}

struct Writer<'a> {
    plan: &'a Plan,
    out: &'a mut String,
}

impl Writer<'_> {
    fn value(&mut self, number: usize, bytes: &mut &[u8], level: usize) -> Read<()> {
        if level > MOST_LEVELS {
            return Err(format!("it is nested deeper than {MOST_LEVELS} levels"));
        }
        let plan = self.plan;
        let node = plan.nodes.get(number).ok_or("its schema is not complete")?;
        match node {
            Node::Null => self.out.push_str("null"),
            Node::Boolean => match take(bytes, 1)? {
                [0] => self.out.push_str("false"),
                [1] => self.out.push_str("true"),
                other => return Err(format!("{} is no boolean", other.first().copied().unwrap_or_default())),
            },
            Node::Int | Node::Long => {
                let value = long(bytes)?;
                self.display(value);
            }
            Node::Float => {
                let value = f32::from_le_bytes(array(bytes)?);
                self.float(value.is_finite(), &format!("{value:?}"));
            }
            Node::Double => {
                let value = f64::from_le_bytes(array(bytes)?);
                self.float(value.is_finite(), &format!("{value:?}"));
            }
            Node::Bytes => self.quoted(&base64_of(sized(bytes)?)),
            Node::Fixed(size) => self.quoted(&base64_of(take(bytes, *size)?)),
            Node::Text => {
                let text = std::str::from_utf8(sized(bytes)?).map_err(|_| "a text is not valid UTF-8".to_owned())?;
                self.quoted(text);
            }
            Node::Symbols(symbols) => {
                let index = usize::try_from(long(bytes)?).ok().and_then(|index| symbols.get(index));
                self.quoted(index.ok_or("a symbol is not one of its schema")?);
            }
            Node::List(items) => self.items(bytes, |writer, bytes| writer.value(*items, bytes, level + 1))?,
            Node::Map(values) => self.items(bytes, |writer, bytes| writer.entry(*values, bytes, level + 1))?,
            Node::Union(variants) => {
                let index = usize::try_from(long(bytes)?).ok().and_then(|index| variants.get(index));
                let variant = *index.ok_or("a value is of no type of its union")?;
                self.value(variant, bytes, level + 1)?;
            }
            Node::Record(fields) => self.record(fields, bytes, level)?,
            other => self.logical(other, bytes)?,
        }
        Ok(())
    }

    fn record(&mut self, fields: &[(String, usize)], bytes: &mut &[u8], level: usize) -> Read<()> {
        self.out.push('{');
        for (index, (name, node)) in fields.iter().enumerate() {
            if index > 0 {
                self.out.push(',');
            }
            self.quoted(name);
            self.out.push(':');
            self.value(*node, bytes, level + 1).map_err(|why| format!("field `{name}`: {why}"))?;
        }
        self.out.push('}');
        Ok(())
    }

    fn entry(&mut self, values: usize, bytes: &mut &[u8], level: usize) -> Read<()> {
        let key = std::str::from_utf8(sized(bytes)?).map_err(|_| "a key is not valid UTF-8".to_owned())?;
        self.out.push_str("{\"key\":");
        self.quoted(key);
        self.out.push_str(",\"value\":");
        self.value(values, bytes, level)?;
        self.out.push('}');
        Ok(())
    }

    /// The blocks of a list.
    fn items(&mut self, bytes: &mut &[u8], mut item: impl FnMut(&mut Self, &mut &[u8]) -> Read<()>) -> Read<()> {
        self.out.push('[');
        let (mut is_first, mut empty) = (true, 0);
        loop {
            let mut count = long(bytes)?;
            if count < 0 {
                // The size of the block stands behind its count, for those who skip it.
                long(bytes)?;
                count = count.checked_neg().ok_or("a list is longer than it can be")?;
            }
            if count == 0 {
                break;
            }
            for _ in 0..count {
                if !is_first {
                    self.out.push(',');
                }
                is_first = false;
                let before = bytes.len();
                item(self, bytes)?;
                empty += usize::from(bytes.len() == before);
                if empty > MOST_EMPTY {
                    return Err("a list has more values than the message has bytes".to_owned());
                }
            }
        }
        self.out.push(']');
        Ok(())
    }

    fn logical(&mut self, node: &Node, bytes: &mut &[u8]) -> Read<()> {
        match node {
            Node::Decimal { scale, size, .. } => {
                let unscaled = match size {
                    Some(size) => take(bytes, *size)?,
                    None => sized(bytes)?,
                };
                let text = decimal(unscaled, i64::try_from(*scale).unwrap_or(0))?;
                self.out.push_str(&text);
            }
            Node::BigDecimal => {
                let mut inner = sized(bytes)?;
                let unscaled = sized(&mut inner)?;
                let text = decimal(unscaled, long(&mut inner)?)?;
                self.quoted(&text);
            }
            Node::Date => {
                let days = long(bytes)?;
                let date = DateTime::from_timestamp(days.saturating_mul(86_400), 0);
                self.time(days, date.map(|date| date.format("%Y-%m-%d").to_string()));
            }
            Node::Time { per_second } => {
                let units = long(bytes)?;
                let (seconds, nanos) = split(units, *per_second);
                let time =
                    u32::try_from(seconds).ok().and_then(|s| NaiveTime::from_num_seconds_from_midnight_opt(s, nanos));
                self.time(units, time.map(|time| time.format("%H:%M:%S%.f").to_string()));
            }
            Node::Timestamp { per_second, local } => {
                let units = long(bytes)?;
                let (seconds, nanos) = split(units, *per_second);
                let zone = if *local { "" } else { "Z" };
                let time = DateTime::from_timestamp(seconds, nanos);
                self.time(units, time.map(|time| format!("{}{zone}", time.format("%Y-%m-%dT%H:%M:%S%.f"))));
            }
            Node::Duration => {
                let [months, days, millis] = [array(bytes)?, array(bytes)?, array(bytes)?].map(u32::from_le_bytes);
                self.quoted(&format!("P{months}M{days}DT{}.{:03}S", millis / 1_000, millis % 1_000));
            }
            Node::UuidBytes { size } => {
                let raw = match size {
                    Some(size) => take(bytes, *size)?,
                    None => sized(bytes)?,
                };
                let uuid = uuid::Uuid::from_slice(raw).map_err(|_| "a UUID does not have 16 bytes".to_owned())?;
                self.quoted(&uuid.to_string());
            }
            _ => return Err("its schema is not complete".to_owned()),
        }
        Ok(())
    }

    /// A time, or the number it is written as where no calendar reaches it.
    fn time(&mut self, number: i64, text: Option<String>) {
        match text {
            Some(text) => self.quoted(&text),
            None => self.display(number),
        }
    }

    /// A number; those that JSON does not have are texts.
    fn float(&mut self, is_finite: bool, text: &str) {
        if is_finite { self.out.push_str(text) } else { self.quoted(text) }
    }

    fn display(&mut self, value: i64) {
        // Writing to a string cannot fail.
        let _ = write!(self.out, "{value}");
    }

    fn quoted(&mut self, text: &str) {
        push_quoted(self.out, text);
    }
}

/// Appends a text in quotes.
pub(crate) fn push_quoted(out: &mut String, text: &str) {
    if text.bytes().any(|byte| byte < 0x20 || byte == b'"' || byte == b'\\') {
        out.push_str(&Value::from(text).to_string());
    } else {
        out.push('"');
        out.push_str(text);
        out.push('"');
    }
}

/// Whole seconds and the nanoseconds behind them.
fn split(units: i64, per_second: i64) -> (i64, u32) {
    let nanos = units.rem_euclid(per_second) * (1_000_000_000 / per_second);
    (units.div_euclid(per_second), u32::try_from(nanos).unwrap_or(0))
}

/// A whole number in the fewest bytes, the highest first, with its point moved.
fn decimal(unscaled: &[u8], scale: i64) -> Read<String> {
    let too_large = || "a decimal has more digits than can be read".to_owned();
    if unscaled.len() > 16 || !(0..=1_000).contains(&scale) {
        return Err(too_large());
    }
    let negative = unscaled.first().is_some_and(|byte| byte & 0x80 != 0);
    let start: i128 = if negative { -1 } else { 0 };
    let value = unscaled.iter().fold(start, |value, byte| (value << 8) | i128::from(*byte));
    let scale = usize::try_from(scale).map_err(|_| too_large())?;
    let digits = format!("{:0>width$}", value.unsigned_abs(), width = scale + 1);
    let (whole, fraction) = digits.split_at(digits.len() - scale);
    let sign = if value < 0 { "-" } else { "" };
    Ok(if fraction.is_empty() { format!("{sign}{whole}") } else { format!("{sign}{whole}.{fraction}") })
}

fn long(bytes: &mut &[u8]) -> Read<i64> {
    zigzag(bytes).ok_or_else(cut_off)
}

fn sized<'a>(bytes: &mut &'a [u8]) -> Read<&'a [u8]> {
    let size = usize::try_from(long(bytes)?).map_err(|_| "a length is negative".to_owned())?;
    take(bytes, size)
}

fn take<'a>(bytes: &mut &'a [u8], size: usize) -> Read<&'a [u8]> {
    let (taken, rest) = bytes.split_at_checked(size).ok_or_else(cut_off)?;
    *bytes = rest;
    Ok(taken)
}

fn array<const SIZE: usize>(bytes: &mut &[u8]) -> Read<[u8; SIZE]> {
    take(bytes, SIZE)?.try_into().map_err(|_| cut_off())
}

fn cut_off() -> String {
    "the message is cut off".to_owned()
}

#[cfg(test)]
mod tests {
    use super::super::registry::SchemaText;
    use super::*;

    fn plan(fields: &str) -> Plan {
        let text = format!(r#"{{"type":"record","name":"R","fields":[{fields}]}}"#);
        Plan::parse(&SchemaText { text, references: Vec::new() }).unwrap()
    }

    fn json(plan: &Plan, bytes: &[u8]) -> Result<String, String> {
        let mut out = String::new();
        write_message(plan, bytes, &mut out).map(|()| out)
    }

    #[test]
    fn numbers_keep_every_digit() {
        let plan = plan(
            r#"{"name":"l","type":"long"},{"name":"d","type":"double"},
               {"name":"p","type":{"type":"bytes","logicalType":"decimal","precision":20,"scale":2}}"#,
        );
        let mut bytes = vec![0xfe, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0x01];
        bytes.extend_from_slice(&1e300_f64.to_le_bytes());
        bytes.extend_from_slice(&[4, 0xff, 0x38]);
        assert_eq!(json(&plan, &bytes).unwrap(), r#"{"l":9223372036854775807,"d":1e300,"p":-2.00}"#);
        assert_eq!(json(&plan, &bytes[..5]), Err("field `l`: the message is cut off".to_owned()));
        bytes.push(0);
        assert_eq!(json(&plan, &bytes), Err("1 bytes are left behind the message".to_owned()));
    }

    #[test]
    fn decimals_have_their_point_where_the_schema_says() {
        let found = [(&[5][..], 2), (&[0xfb], 2), (&[0x04, 0xd2], 0), (&[], 1)].map(|(b, s)| decimal(b, s).unwrap());
        assert_eq!(found, ["0.05", "-0.05", "1234", "0.0"]);
        assert!(decimal(&[1; 17], 2).is_err());
    }

    #[test]
    fn times_are_texts_and_nested_types_stay_nested() {
        let plan = plan(
            r#"{"name":"at","type":["null",{"type":"long","logicalType":"timestamp-micros"}]},
               {"name":"day","type":{"type":"int","logicalType":"date"}},
               {"name":"tags","type":{"type":"map","values":"int"}},
               {"name":"l","type":{"type":"array","items":"string"}},
               {"name":"e","type":{"type":"enum","name":"E","symbols":["A","B"]}}"#,
        );
        let bytes = [2, 0xaa, 0xb4, 0xde, 0x75, 1, 2, 2, b'k', 14, 0, 4, 2, b'x', 2, b'"', 0, 2];
        let expected = concat!(
            r#"{"at":"1970-01-01T00:02:03.456789Z","day":"1969-12-31","#,
            r#""tags":[{"key":"k","value":7}],"l":["x","\""],"e":"B"}"#
        );
        assert_eq!(json(&plan, &bytes).unwrap(), expected);
    }
}
