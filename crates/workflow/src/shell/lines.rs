//! The output of a program, line by line, in bounded memory.

use std::borrow::Cow;

use tokio::io::{AsyncRead, AsyncReadExt as _};

use super::mask::Mask;

/// The longest line that is kept while it is read; values may be that long. What is beyond is thrown away.
const MOST_BYTES: usize = 1 << 20;
/// The longest line that is shown.
const MOST_SHOWN: usize = 8 << 10;
/// How much is read at once.
const CHUNK: usize = 16 << 10;

/// Reads lines, with secrets masked. Bytes that are not UTF-8 become `�`.
pub(super) struct Lines<'a, R> {
    source: Option<R>,
    mask: &'a Mask,
    chunk: Vec<u8>,
    /// What of the chunk has not been looked at.
    at: usize,
    line: Vec<u8>,
    is_cut: bool,
}

impl<'a, R: AsyncRead + Unpin> Lines<'a, R> {
    pub(super) fn new(source: Option<R>, mask: &'a Mask) -> Lines<'a, R> {
        Lines { source, mask, chunk: Vec::new(), at: 0, line: Vec::new(), is_cut: false }
    }

    /// The next line without its end; `None` after the last. Dropping the future loses nothing.
    pub(super) async fn next(&mut self) -> Option<String> {
        loop {
            if let Some(end) = self.chunk[self.at..].iter().position(|byte| *byte == b'\n') {
                self.keep(self.at + end);
                self.at += 1;
                return Some(self.take());
            }
            self.keep(self.chunk.len());
            let source = self.source.as_mut()?;
            let mut next = Vec::with_capacity(CHUNK);
            match source.read_buf(&mut next).await {
                Ok(1..) => (self.chunk, self.at) = (next, 0),
                // A pipe that cannot be read has ended for us.
                Ok(0) | Err(_) => {
                    self.source = None;
                    (self.chunk, self.at) = (Vec::new(), 0);
                    return (!self.line.is_empty() || self.is_cut).then(|| self.take());
                }
            }
        }
    }

    fn keep(&mut self, until: usize) {
        let room = MOST_BYTES.saturating_sub(self.line.len());
        let new = &self.chunk[self.at..until];
        self.is_cut |= new.len() > room;
        self.line.extend_from_slice(&new[..new.len().min(room)]);
        self.at = until;
    }

    fn take(&mut self) -> String {
        let mut line = std::mem::take(&mut self.line);
        if std::mem::take(&mut self.is_cut) {
            // The beginning of a secret at the end would not be known as one.
            line.truncate(line.len().saturating_sub(self.mask.longest()));
        }
        if line.last() == Some(&b'\r') {
            line.pop();
        }
        self.mask.masked(&String::from_utf8_lossy(&line))
    }
}

/// The line as it is shown: not longer than a screen, and without what would steer a terminal.
pub(super) fn shown(line: &str) -> Cow<'_, str> {
    let steers = |one: char| one.is_control() && one != '\t';
    let end = line.floor_char_boundary(MOST_SHOWN);
    if end == line.len() && !line.contains(steers) {
        return Cow::Borrowed(line);
    }
    let mut text: String = line[..end].chars().map(|one| if steers(one) { '\u{fffd}' } else { one }).collect();
    if end < line.len() {
        text.push_str(" (the rest of the line was left out)");
    }
    Cow::Owned(text)
}
