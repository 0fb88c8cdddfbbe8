//! A part of what a task said, as large as an answer may be.

use std::fs::File;
use std::io::{self, Read as _, Seek as _, SeekFrom};
use std::path::Path;

use serde::Serialize;
use stage::{Error, Result};

/// The most bytes of one part.
pub(crate) const LARGEST_PART: u64 = 256 << 10;

/// What a task said, from one byte up to another.
#[derive(Debug, PartialEq, Eq, Serialize)]
pub(crate) struct LogPart {
    /// Whole lines, unless one is longer than a part.
    text: String,
    /// Where the text begins.
    from: u64,
    /// Where the next part begins.
    next: u64,
    /// How long the log is by now.
    size: u64,
}

impl LogPart {
    /// The part from a byte on; a negative one is counted from the end, and then begins with a whole line. Empty when there is
    /// no log.
    ///
    /// # Errors
    /// [`stage::Kind::Unavailable`] when the file cannot be read.
    pub(crate) fn read(path: &Path, from: i64) -> Result<LogPart> {
        match read(path, from) {
            Err(error) if error.kind() == io::ErrorKind::NotFound => {
                Ok(LogPart { text: String::new(), from: 0, next: 0, size: 0 })
            }
            read => read.map_err(|error| Error::unavailable("could not read the log of the task").with_source(error)),
        }
    }
}

fn read(path: &Path, from: i64) -> io::Result<LogPart> {
    let mut file = File::open(path)?;
    let size = file.metadata()?.len();
    let mut start = match u64::try_from(from) {
        Ok(from) => from.min(size),
        Err(_) => size.saturating_sub(from.unsigned_abs()),
    };
    file.seek(SeekFrom::Start(start))?;
    let mut bytes = Vec::new();
    file.take(LARGEST_PART).read_to_end(&mut bytes)?;
    if from < 0 && start > 0 {
        let begun = bytes.iter().position(|byte| *byte == b'\n').map_or(0, |end| end + 1);
        bytes.drain(..begun);
        start += begun as u64;
    }
    let is_longer_than_a_part = bytes.len() as u64 == LARGEST_PART;
    let whole = match bytes.iter().rposition(|byte| *byte == b'\n') {
        Some(end) => end + 1,
        None if is_longer_than_a_part => whole_letters(&bytes),
        None => 0,
    };
    bytes.truncate(whole);
    let next = start + bytes.len() as u64;
    Ok(LogPart { text: String::from_utf8_lossy(&bytes).into_owned(), from: start, next, size })
}

/// Up to where no letter is cut.
fn whole_letters(bytes: &[u8]) -> usize {
    let last = bytes.iter().rposition(|byte| byte & 0b1100_0000 != 0b1000_0000).unwrap_or(0);
    match std::str::from_utf8(&bytes[last..]) {
        Err(error) if error.error_len().is_none() => last.max(1),
        _ => bytes.len(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn parts_one_after_the_other_are_the_whole() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("task.log");
        let line = format!("{}\n", "ö".repeat(LARGEST_PART as usize));
        let whole = format!("first\nsecond\n{line}last\n");
        std::fs::write(&path, &whole).unwrap();
        let (mut read, mut from) = (String::new(), 0);
        loop {
            let part = LogPart::read(&path, from).unwrap();
            assert!(part.text.len() as u64 <= LARGEST_PART && !part.text.contains('\u{FFFD}'));
            read += &part.text;
            from = i64::try_from(part.next).unwrap();
            if part.next == part.size {
                break;
            }
        }
        assert!(read == whole);
    }

    #[test]
    fn a_part_counted_from_the_end_begins_with_a_line() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("task.log");
        std::fs::write(&path, "first\nsecond\nthird\nnot yet whole").unwrap();
        let part = |from| LogPart::read(&path, from).unwrap();
        assert_eq!(part(-22).text, "third\n");
        assert_eq!(part(-1000).text, "first\nsecond\nthird\n");
        assert_eq!((part(0).next, part(0).size), (19, 32));
        assert_eq!(part(19), LogPart { text: String::new(), from: 19, next: 19, size: 32 });
        assert_eq!(part(99).from, 32);
        assert_eq!(LogPart::read(&folder.path().join("other"), 5).unwrap().next, 0);
    }
}
