//! One JSON object into columns: strictly, or noting what did not fit.
//!
//! The strict reader stops at the first thing that is not as the schema says; the caller takes the row back and reads it
//! again leniently. Both are this one function, so they cannot disagree about a value.
//!
//! What a column accepts: `string` any JSON value (numbers, booleans and nested values as their compact JSON text),
//! `int` and `long` whole numbers in range (`5.0` is whole), `double` and `float` numbers, `boolean` true and false,
//! `decimal` numbers and strings that fit exactly, `date`, `timestamp` and `timestamp_ntz` ISO 8601 strings, `binary`
//! base64 strings, a struct an object, a list an array. `null` and an absent field are null everywhere.

use std::borrow::Cow;

use crate::decode::columns::{Column, Data, Strings, Structs};
use crate::decode::quoted::Quoted;
use crate::decode::scan::{Scanner, Syntax, compact};
use crate::decode::values;
use crate::spec::NewColumns;

/// Why a row was not read.
#[derive(Debug)]
pub(crate) enum Stop {
    /// It is not JSON, or not an object.
    Syntax(Syntax),
    /// Strictly: something is not as the schema says.
    Dirty,
}

impl From<Syntax> for Stop {
    fn from(syntax: Syntax) -> Self {
        Stop::Syntax(syntax)
    }
}

/// What is not as the schema says.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Why {
    /// The schema has no such field.
    Unknown,
    /// The value does not fit the type of its column.
    Misfit,
    /// The field stands several times in one object and this is not the last one.
    Repeated,
}

/// One thing that did not fit.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Note {
    pub(crate) why: Why,
    /// Names and list indices from the row down, joined by dots.
    pub(crate) path: String,
    /// The value as compact JSON.
    pub(crate) value: String,
}

/// How a row is read, and what was noted in it.
pub(crate) struct Reading {
    lenient: bool,
    ignore_unknown: bool,
    path: Vec<String>,
    /// What did not fit; empty when reading strictly.
    pub(crate) notes: Vec<Note>,
}

impl Reading {
    /// Stops at the first thing that does not fit. Unknown fields that are to be ignored do fit.
    pub(crate) fn strict(new_columns: NewColumns) -> Self {
        let ignore_unknown = new_columns == NewColumns::Ignore;
        Reading { lenient: false, ignore_unknown, path: Vec::new(), notes: Vec::new() }
    }

    /// Notes everything that does not fit.
    pub(crate) fn lenient() -> Self {
        Reading { lenient: true, ignore_unknown: false, path: Vec::new(), notes: Vec::new() }
    }

    fn note(&mut self, why: Why, last: Option<&str>, value: &str) {
        let mut path = self.path.join(".");
        if let Some(last) = last {
            if !path.is_empty() {
                path.push('.');
            }
            path.push_str(last);
        }
        self.notes.push(Note { why, path, value: compact(value).into_owned() });
    }
}

/// Reads the one object `scanner` stands at into a struct column.
///
/// After an error the column holds a part of the row; the caller truncates it.
pub(crate) fn read_row(root: &mut Column, scanner: &mut Scanner<'_>, reading: &mut Reading) -> Result<(), Stop> {
    if scanner.peek() != Some(b'{') {
        return Err(scanner.wrong("expected an object").into());
    }
    read_cell(root, scanner, reading)?;
    Ok(scanner.end()?)
}

fn read_cell(column: &mut Column, scanner: &mut Scanner<'_>, reading: &mut Reading) -> Result<(), Stop> {
    let first = scanner.peek();
    if first == Some(b'n') {
        scanner.word("null")?;
        column.push_null();
        return Ok(());
    }
    let start = scanner.at();
    let fits = match (&mut column.data, first) {
        (Data::Struct(structs), Some(b'{')) => {
            read_object(structs, column.nulls.len(), scanner, reading)?;
            true
        }
        (Data::List(lists), Some(b'[')) => {
            scanner.expect(b'[', "expected a list")?;
            let mut index = 0;
            while scanner.more(b']', index == 0, "expected `,` or `]`")? {
                within(reading, || index.to_string(), |reading| read_cell(&mut lists.elements, scanner, reading))?;
                index += 1;
            }
            lists.close();
            true
        }
        (Data::String(strings), _) => read_text(strings, scanner)?,
        (data, Some(b'-' | b'0'..=b'9')) => {
            let number = scanner.number()?;
            push_number(data, number)
        }
        (data, Some(b'"')) => {
            let quoted = scanner.string()?;
            push_quoted(data, &quoted)
        }
        (Data::Boolean(column), Some(b't')) => {
            scanner.word("true")?;
            column.append(true);
            true
        }
        (Data::Boolean(column), Some(b'f')) => {
            scanner.word("false")?;
            column.append(false);
            true
        }
        _ => false,
    };
    if fits {
        column.nulls.append_non_null();
        return Ok(());
    }
    reread_misfit(column, start, scanner, reading)
}

/// A string column takes any value; false for a string that is none, with half a surrogate pair.
#[inline]
fn read_text(strings: &mut Strings, scanner: &mut Scanner<'_>) -> Result<bool, Stop> {
    if scanner.peek() == Some(b'"') {
        let quoted = scanner.string()?;
        if quoted.escaped {
            return Ok(quoted.unescaped().map(|value| strings.push_own(&value)).is_some());
        }
        strings.push_view(quoted.inside, quoted.start);
        return Ok(true);
    }
    let start = scanner.at();
    match compact(scanner.skip()?) {
        Cow::Borrowed(text) => strings.push_view(text, start),
        Cow::Owned(text) => strings.push_own(&text),
    }
    Ok(true)
}

/// Notes a value its column cannot hold, or stops.
#[cold]
fn reread_misfit(
    column: &mut Column,
    start: usize,
    scanner: &mut Scanner<'_>,
    reading: &mut Reading,
) -> Result<(), Stop> {
    if !reading.lenient {
        return Err(Stop::Dirty);
    }
    scanner.rewind(start);
    let value = scanner.skip()?;
    column.push_null();
    reading.note(Why::Misfit, None, value);
    Ok(())
}

fn read_object(
    structs: &mut Structs,
    row: usize,
    scanner: &mut Scanner<'_>,
    reading: &mut Reading,
) -> Result<(), Stop> {
    scanner.expect(b'{', "expected an object")?;
    let mut before = 0;
    let mut filled = 0;
    // Only filled when reading leniently: the place of each value, for fields that come again.
    let mut seen: Vec<(usize, String)> = Vec::new();
    let mut first = true;
    while scanner.more(b'}', first, "expected `,` or `}`")? {
        first = false;
        let key = scanner.string()?;
        scanner.expect(b':', "expected `:`")?;
        let found = if key.escaped {
            key.unescaped().and_then(|name| structs.find(&name, before))
        } else {
            structs.find(key.inside, before)
        };
        let Some(index) = found else {
            read_unknown(&key, scanner, reading)?;
            continue;
        };
        before = index + 1;
        if structs.columns[index].len() > row {
            if !reading.lenient {
                return Err(Stop::Dirty);
            }
            let name = name_of(&key);
            if let Some(place) = seen.iter().position(|(earlier, _)| *earlier == index) {
                let (_, value) = seen.swap_remove(place);
                reading.note(Why::Repeated, Some(&name), &value);
            }
            structs.columns[index].truncate(row);
            filled -= 1;
        }
        let column = &mut structs.columns[index];
        if reading.lenient {
            let start = scanner.at();
            within(reading, || name_of(&key), |reading| read_cell(column, scanner, reading))?;
            seen.push((index, scanner.since(start).to_owned()));
        } else {
            read_cell(column, scanner, reading)?;
        }
        filled += 1;
    }
    if filled < structs.columns.len() {
        structs.columns.iter_mut().filter(|column| column.len() == row).for_each(Column::push_null);
    }
    Ok(())
}

/// A field the schema does not know. One that is null says nothing and always fits.
fn read_unknown(key: &Quoted<'_>, scanner: &mut Scanner<'_>, reading: &mut Reading) -> Result<(), Stop> {
    let value = scanner.skip()?;
    if value == "null" || reading.ignore_unknown {
        return Ok(());
    }
    if !reading.lenient {
        return Err(Stop::Dirty);
    }
    reading.note(Why::Unknown, Some(&name_of(key)), value);
    Ok(())
}

fn name_of(key: &Quoted<'_>) -> String {
    key.unescaped().map_or_else(|| key.inside.to_owned(), Cow::into_owned)
}

/// Runs `read` with one more step on the path; the step is only built when anyone will look at it.
fn within<T>(reading: &mut Reading, step: impl FnOnce() -> String, read: impl FnOnce(&mut Reading) -> T) -> T {
    if !reading.lenient {
        return read(reading);
    }
    reading.path.push(step());
    let result = read(reading);
    reading.path.pop();
    result
}

/// Appends a number; false when the column cannot hold it.
#[inline]
fn push_number(data: &mut Data, number: &str) -> bool {
    match data {
        Data::Long(column) => push(column, values::long(number)),
        Data::Double(column) => push(column, values::double(number)),
        Data::Int(column) => push(column, values::int(number)),
        Data::Float(column) => push(column, values::float(number)),
        Data::Decimal { values: column, precision, scale } => push(column, values::decimal(number, *precision, *scale)),
        _ => false,
    }
}

/// Appends a string to a column that is not of strings; false when the column cannot hold it.
fn push_quoted(data: &mut Data, quoted: &Quoted<'_>) -> bool {
    let Some(text) = quoted.unescaped() else { return false };
    match data {
        Data::Date(column) => push(column, values::date(&text)),
        Data::Timestamp(column) => push(column, values::timestamp(&text)),
        Data::TimestampNtz(column) => push(column, values::timestamp_ntz(&text)),
        Data::Decimal { values: column, precision, scale } => push(column, values::decimal(&text, *precision, *scale)),
        Data::Binary { offsets, bytes } => push_bytes(offsets, bytes, values::base64(&text)),
        _ => false,
    }
}

/// Appends a text field, as CSV has them; false when the column cannot hold it.
pub(crate) fn push_text(column: &mut Column, text: &str) -> bool {
    let fits = match &mut column.data {
        Data::String(strings) => {
            strings.push_own(text);
            true
        }
        Data::Boolean(values) => values::boolean(text).map(|value| values.append(value)).is_some(),
        Data::Date(column) => push(column, values::date(text)),
        Data::Timestamp(column) => push(column, values::timestamp(text)),
        Data::TimestampNtz(column) => push(column, values::timestamp_ntz(text)),
        Data::Binary { offsets, bytes } => push_bytes(offsets, bytes, values::base64(text)),
        number => push_number(number, text),
    };
    if fits {
        column.nulls.append_non_null();
    }
    fits
}

#[inline]
fn push<T>(column: &mut Vec<T>, value: Option<T>) -> bool {
    value.map(|value| column.push(value)).is_some()
}

fn push_bytes(offsets: &mut Vec<i32>, bytes: &mut Vec<u8>, value: Option<Vec<u8>>) -> bool {
    let Some(value) = value else { return false };
    bytes.extend_from_slice(&value);
    offsets.push(i32::try_from(bytes.len()).unwrap_or(i32::MAX));
    true
}
