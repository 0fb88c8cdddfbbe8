//! Cutting newline-delimited JSON into pieces of whole lines.

use std::io::Read;
use std::ops::Range;

use memchr::{memchr, memchr_iter, memrchr};
use stage::Result;

use crate::decode::compressed::read_error;
use crate::decode::text::Text;
use crate::decode::{Content, MAX_RAW, MAX_VALUE, PIECE, Piece, Reject};

/// The pieces of one file.
pub(crate) struct Lines<R> {
    reader: R,
    size: usize,
    /// Bytes read behind the last whole line.
    rest: Vec<u8>,
    next_line: i64,
    ended: bool,
}

impl<R: Read> Lines<R> {
    /// At the beginning of a file; pieces are of about `size` bytes.
    pub(crate) fn new(reader: R, size: usize) -> Self {
        Lines { reader, size, rest: Vec::new(), next_line: 1, ended: false }
    }

    fn cut(&mut self) -> Result<Option<Piece>> {
        let mut bytes = Vec::with_capacity(self.size + self.rest.len());
        bytes.append(&mut self.rest);
        let mut searched = 0;
        let mut target = self.size;
        loop {
            let wanted = target.saturating_sub(bytes.len()) as u64;
            let read = self.reader.by_ref().take(wanted).read_to_end(&mut bytes).map_err(read_error)?;
            if (read as u64) < wanted {
                self.ended = true;
                return Ok((!bytes.is_empty()).then(|| self.piece(bytes, Vec::new())));
            }
            if let Some(newline) = memrchr(b'\n', &bytes[searched..]) {
                self.rest = bytes.split_off(searched + newline + 1);
                return Ok(Some(self.piece(bytes, Vec::new())));
            }
            if bytes.len() > MAX_VALUE {
                return self.give_up_line(bytes).map(Some);
            }
            searched = bytes.len();
            target = bytes.len() * 2;
        }
    }

    fn piece(&mut self, bytes: Vec<u8>, rejects: Vec<Reject>) -> Piece {
        let values = lines(&bytes);
        let first = self.next_line;
        self.next_line += values.len() as i64;
        Piece(Content::Text(Text { bytes, first, values, rejects }))
    }

    /// Skips the line that is too long to be held and keeps its beginning.
    fn give_up_line(&mut self, mut bytes: Vec<u8>) -> Result<Piece> {
        bytes.truncate(MAX_RAW);
        let reject = Reject {
            position: self.next_line,
            raw: String::from_utf8_lossy(&bytes).into_owned(),
            reason: format!("the line is longer than {MAX_VALUE} bytes; only its first {MAX_RAW} bytes are kept"),
        };
        let mut chunk = Vec::with_capacity(PIECE);
        loop {
            chunk.clear();
            self.reader.by_ref().take(PIECE as u64).read_to_end(&mut chunk).map_err(read_error)?;
            if chunk.is_empty() {
                self.ended = true;
                break;
            }
            if let Some(newline) = memchr(b'\n', &chunk) {
                self.rest = chunk.split_off(newline + 1);
                break;
            }
        }
        self.next_line += 1;
        let first = self.next_line;
        Ok(Piece(Content::Text(Text { bytes: Vec::new(), first, values: Vec::new(), rejects: vec![reject] })))
    }
}

impl<R: Read> Iterator for Lines<R> {
    type Item = Result<Piece>;

    fn next(&mut self) -> Option<Self::Item> {
        if self.ended && self.rest.is_empty() {
            return None;
        }
        let piece = self.cut();
        if piece.is_err() {
            self.ended = true;
            self.rest.clear();
        }
        piece.transpose()
    }
}

/// Where the lines are, without the line feed. A carriage return is white space to JSON.
fn lines(bytes: &[u8]) -> Vec<Range<usize>> {
    // Typical rows are some hundred bytes; a wrong guess only costs an allocation.
    let mut lines = Vec::with_capacity(bytes.len() / 128 + 1);
    let mut start = 0;
    for newline in memchr_iter(b'\n', bytes) {
        lines.push(start..newline);
        start = newline + 1;
    }
    if start < bytes.len() {
        lines.push(start..bytes.len());
    }
    lines
}
