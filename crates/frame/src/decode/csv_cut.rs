//! Cutting CSV files between records. Quotes are followed exactly as the `csv` crate does, so both agree on where a record
//! ends.

use std::io::Read;
use std::sync::Arc;

use memchr::{memchr, memchr_iter, memchr3};
use stage::{Error, Result};

use crate::decode::compressed::read_error;
use crate::decode::csv::Records;
use crate::decode::{Content, MAX_RAW, Piece, Reject};
use crate::spec::CsvSpec;

/// A quoted field that spans more than this is taken for a stray quote.
const MAX_RECORD: usize = 16 << 20;

/// How the file is written.
#[derive(Debug, Clone)]
pub(crate) struct Dialect {
    has_header: bool,
    delimiter: u8,
    quote: u8,
    pub(crate) nulls: Arc<[String]>,
}

impl Dialect {
    /// # Errors
    /// [`stage::Kind::Config`] when delimiter or quote is not one ASCII character.
    pub(crate) fn new(spec: &CsvSpec) -> Result<Dialect> {
        let nulls = spec.nulls.clone().into();
        let delimiter = one_byte("delimiter", &spec.delimiter)?;
        let quote = one_byte("quote", &spec.quote)?;
        if delimiter == quote {
            return Err(Error::config("csv: delimiter and quote are the same character; choose two different ones"));
        }
        Ok(Dialect { has_header: spec.header, delimiter, quote, nulls })
    }

    pub(crate) fn reader<'a>(&self, bytes: &'a [u8]) -> csv::Reader<&'a [u8]> {
        csv::ReaderBuilder::new()
            .has_headers(false)
            .flexible(true)
            .delimiter(self.delimiter)
            .quote(self.quote)
            .from_reader(bytes)
    }
}

/// The pieces of one file.
pub(crate) struct Cutter<R> {
    reader: R,
    size: usize,
    dialect: Dialect,
    header: Option<Arc<[String]>>,
    rest: Vec<u8>,
    next_line: i64,
    source_ended: bool,
}

/// Where the record that begins somewhere ends.
enum End {
    At(usize),
    /// The bytes end first, in a quoted field or not.
    Open {
        quoted: bool,
    },
}

impl<R: Read> Cutter<R> {
    pub(crate) fn new(reader: R, size: usize, dialect: Dialect) -> Self {
        Cutter { reader, size, dialect, header: None, rest: Vec::new(), next_line: 1, source_ended: false }
    }

    fn cut(&mut self) -> Result<Option<Piece>> {
        let mut bytes = std::mem::take(&mut self.rest);
        let mut at = 0;
        let mut stray = false;
        while at < self.size {
            match self.record_end(&bytes, at) {
                End::At(end) => at = end,
                End::Open { quoted } if self.source_ended || (quoted && bytes.len() - at > MAX_RECORD) => {
                    stray = quoted;
                    if !quoted {
                        at = bytes.len();
                    }
                    break;
                }
                End::Open { .. } if at > 0 => break,
                End::Open { .. } => self.read_more(&mut bytes)?,
            }
        }
        self.rest = bytes.split_off(at);
        let first_line = self.next_line;
        self.next_line += newlines(&bytes);
        let rejects = if stray { vec![self.stray_quote()] } else { Vec::new() };
        if bytes.is_empty() && rejects.is_empty() {
            return Ok(None);
        }
        self.piece(bytes, first_line, rejects).map(Some)
    }

    fn read_more(&mut self, bytes: &mut Vec<u8>) -> Result<()> {
        let wanted = self.size.max(bytes.len()) as u64;
        let read = self.reader.by_ref().take(wanted).read_to_end(bytes).map_err(read_error)?;
        self.source_ended = (read as u64) < wanted;
        Ok(())
    }

    /// Follows one record as the parser will.
    fn record_end(&self, bytes: &[u8], start: usize) -> End {
        let mut at = start;
        loop {
            if bytes.get(at) == Some(&self.dialect.quote) {
                match quoted_end(bytes, at, self.dialect.quote, self.source_ended) {
                    Some(end) => at = end,
                    None => return End::Open { quoted: true },
                }
            }
            let Some(found) = memchr3(self.dialect.delimiter, b'\n', b'\r', &bytes[at..]) else {
                return End::Open { quoted: false };
            };
            at += found;
            match bytes[at] {
                b'\n' => return End::At(at + 1),
                b'\r' => match bytes.get(at + 1) {
                    Some(b'\n') => return End::At(at + 2),
                    None if !self.source_ended => return End::Open { quoted: false },
                    _ => return End::At(at + 1),
                },
                _ => at += 1,
            }
        }
    }

    /// Takes the line with the stray quote out of the rest.
    fn stray_quote(&mut self) -> Reject {
        let end = memchr(b'\n', &self.rest).map_or(self.rest.len(), |end| end + 1);
        let behind = self.rest.split_off(end);
        let line = std::mem::replace(&mut self.rest, behind);
        let text = line.trim_ascii_end();
        let reject = Reject {
            position: self.next_line,
            raw: String::from_utf8_lossy(&text[..text.len().min(MAX_RAW)]).into_owned(),
            reason: "a quoted field that begins here does not end".to_owned(),
        };
        self.next_line += newlines(&line);
        reject
    }

    fn piece(&mut self, mut bytes: Vec<u8>, mut first_line: i64, rejects: Vec<Reject>) -> Result<Piece> {
        let header = match &self.header {
            Some(header) => Arc::clone(header),
            None => {
                let (header, length) = self.read_header(&bytes)?;
                first_line += newlines(&bytes[..length]);
                bytes.drain(..length);
                self.header = (!header.is_empty()).then(|| Arc::clone(&header));
                header
            }
        };
        Ok(Piece(Content::Csv(Records { bytes, first_line, header, dialect: self.dialect.clone(), rejects })))
    }

    /// The column names and how many bytes they take.
    fn read_header(&self, bytes: &[u8]) -> Result<(Arc<[String]>, usize)> {
        let mut reader = self.dialect.reader(bytes);
        let mut record = csv::ByteRecord::new();
        reader
            .read_byte_record(&mut record)
            .map_err(|why| Error::data("the CSV header could not be read").with_source(why))?;
        let names = record.iter().map(|name| String::from_utf8_lossy(name).trim().to_owned());
        if self.dialect.has_header {
            let length = usize::try_from(reader.position().byte()).unwrap_or(bytes.len()).min(bytes.len());
            return Ok((unique(names).into(), length));
        }
        Ok((unique(names.map(|_| String::new())).into(), 0))
    }
}

impl<R: Read> Iterator for Cutter<R> {
    type Item = Result<Piece>;

    fn next(&mut self) -> Option<Self::Item> {
        let piece = self.cut();
        if piece.is_err() {
            self.source_ended = true;
            self.rest.clear();
        }
        piece.transpose()
    }
}

/// Where the quoted field that begins at `start` closes.
fn quoted_end(bytes: &[u8], start: usize, quote: u8, source_ended: bool) -> Option<usize> {
    let mut at = start + 1;
    loop {
        at += memchr(quote, bytes.get(at..)?)? + 1;
        match bytes.get(at) {
            Some(next) if *next == quote => at += 1,
            None if !source_ended => return None,
            _ => return Some(at),
        }
    }
}

/// Names without repetition: `column_N` for an empty one, `name_2` for the second of its kind.
fn unique(names: impl Iterator<Item = String>) -> Vec<String> {
    let mut found: Vec<String> = Vec::new();
    for (index, name) in names.enumerate() {
        let name = if name.is_empty() { format!("column_{}", index + 1) } else { name };
        let mut candidate = name.clone();
        let mut number = 1;
        while found.iter().any(|other| other.eq_ignore_ascii_case(&candidate)) {
            number += 1;
            candidate = format!("{name}_{number}");
        }
        found.push(candidate);
    }
    found
}

fn one_byte(what: &str, text: &str) -> Result<u8> {
    match (text, text.as_bytes()) {
        ("\\t", _) => Ok(b'\t'),
        (_, [byte]) if byte.is_ascii() && !matches!(byte, b'\n' | b'\r') => Ok(*byte),
        _ => Err(Error::config(format!("csv: {what} is `{text}`; it must be one ASCII character"))),
    }
}

fn newlines(bytes: &[u8]) -> i64 {
    memchr_iter(b'\n', bytes).count() as i64
}
