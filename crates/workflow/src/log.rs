//! What a task said while it ran: a text file for each task of each run, beside the run history.
//!
//! `logs/<run>/<task>.log` holds the lines of all attempts, each with its time. A file is made with its first line, so a
//! task that says nothing costs nothing. What goes beyond [`MOST_BYTES`] is left out, and the last line says so.

use std::fs::{File, OpenOptions};
use std::io::{self, Write as _};
use std::path::{Path, PathBuf};
use std::sync::{Mutex, PoisonError};

use chrono::{SecondsFormat, Utc};
use stage::{Error, Result};

/// The most bytes that one execution of a task may write.
pub const MOST_BYTES: u64 = 64 << 20;
/// The longest part of a file's name that is taken from a task's key.
const LONGEST_NAME: usize = 100;

/// The logs of all runs.
#[derive(Debug, Clone)]
pub struct Logs {
    folder: PathBuf,
}

impl Logs {
    /// Those in a folder, which is made with the first line.
    pub fn in_folder(folder: PathBuf) -> Logs {
        Logs { folder }
    }

    /// Where the log of a task lies, whether there is one or not.
    pub fn path(&self, run: i64, task_key: &str) -> PathBuf {
        self.folder.join(run.to_string()).join(format!("{}.log", file_name(task_key)))
    }

    /// The log of a task, to write to.
    pub fn task(&self, run: i64, task_key: &str) -> TaskLog {
        TaskLog { path: self.path(run, task_key), open: Mutex::default() }
    }

    /// What a task has said from that byte on; empty when it has not said anything more. The text has as many bytes as were
    /// read, so that the next call goes on after them: a character that is not written whole yet is left for that one, and
    /// every byte that belongs to none is shown as `?`.
    ///
    /// # Errors
    /// [`stage::Kind::Unavailable`] when the file cannot be read.
    pub fn read(&self, run: i64, task_key: &str, from: u64) -> Result<String> {
        use std::io::{Read as _, Seek as _, SeekFrom};
        let path = self.path(run, task_key);
        let read = || {
            let mut file = File::open(&path)?;
            file.seek(SeekFrom::Start(from))?;
            let mut bytes = Vec::new();
            file.read_to_end(&mut bytes)?;
            Ok(whole_characters(bytes))
        };
        match read() {
            Err(error) if io::Error::kind(&error) == io::ErrorKind::NotFound => Ok(String::new()),
            read => read.map_err(|error| {
                Error::unavailable(format!("could not read the log {}", path.display())).with_source(error)
            }),
        }
    }

    /// Removes what the tasks of a run said.
    ///
    /// # Errors
    /// [`stage::Kind::Unavailable`] when the folder cannot be removed.
    pub fn remove(&self, run: i64) -> Result<()> {
        let folder = self.folder.join(run.to_string());
        match std::fs::remove_dir_all(&folder) {
            Err(error) if error.kind() != io::ErrorKind::NotFound => {
                Err(Error::unavailable(format!("could not remove the logs {}", folder.display())).with_source(error))
            }
            _ => Ok(()),
        }
    }
}

/// The bytes as text of the same length, without a character at the end that is not whole yet.
fn whole_characters(bytes: Vec<u8>) -> String {
    let mut text = String::with_capacity(bytes.len());
    let mut rest = bytes.as_slice();
    loop {
        match std::str::from_utf8(rest) {
            Ok(whole) => {
                text.push_str(whole);
                return text;
            }
            Err(error) => {
                let (whole, broken) = rest.split_at(error.valid_up_to());
                text.push_str(&String::from_utf8_lossy(whole));
                let Some(length) = error.error_len() else { return text };
                text.extend(std::iter::repeat_n('?', length));
                rest = broken.get(length..).unwrap_or_default();
            }
        }
    }
}

/// The log of one task.
#[derive(Debug)]
pub struct TaskLog {
    path: PathBuf,
    open: Mutex<Open>,
}

#[derive(Debug, Default)]
struct Open {
    file: Option<File>,
    written: u64,
    is_full: bool,
}

impl TaskLog {
    /// Writes a line with the time before it; several lines at once each get the same time. Control characters, with which
    /// data or errors could steer the terminal of who reads the log, become `\u{fffd}`; tabs stay. A log that cannot be
    /// written stops nothing.
    pub fn line(&self, text: &str) {
        let mut open = self.open.lock().unwrap_or_else(PoisonError::into_inner);
        if open.is_full {
            return;
        }
        let now = Utc::now().to_rfc3339_opts(SecondsFormat::Millis, true);
        let lines = text.lines().chain(text.is_empty().then_some(""));
        let line: String = lines.map(|line| format!("{now} {}\n", harmless(line))).collect();
        if let Err(error) = open.write(&self.path, &line) {
            tracing::warn!(%error, path = %self.path.display(), "could not write the log of a task");
            open.is_full = true;
        }
    }
}

/// The text without what a terminal would obey.
fn harmless(line: &str) -> String {
    line.chars().map(|one| if one.is_control() && one != '\t' { char::REPLACEMENT_CHARACTER } else { one }).collect()
}

impl Open {
    fn write(&mut self, path: &Path, line: &str) -> io::Result<()> {
        let file = match &mut self.file {
            Some(file) => file,
            none => {
                path.parent().map_or(Ok(()), std::fs::create_dir_all)?;
                none.insert(OpenOptions::new().create(true).append(true).open(path)?)
            }
        };
        self.written += line.len() as u64;
        self.is_full = self.written > MOST_BYTES;
        if self.is_full {
            return file.write_all(b"(the rest was left out)\n");
        }
        file.write_all(line.as_bytes())
    }
}

/// A task's key as the name of a file: what is not plain is written as its bytes, and what is long is cut and made unique.
fn file_name(task_key: &str) -> String {
    let mut name = String::new();
    for one in task_key.chars() {
        if one.is_ascii_alphanumeric() || "_-".contains(one) {
            name.push(one);
        } else {
            let mut bytes = [0; 4];
            one.encode_utf8(&mut bytes).bytes().for_each(|byte| name.push_str(&format!("%{byte:02x}")));
        }
    }
    if name.len() > LONGEST_NAME {
        let sum = task_key
            .bytes()
            .fold(0xcbf2_9ce4_8422_2325_u64, |sum, byte| (sum ^ u64::from(byte)).wrapping_mul(0x0100_0000_01b3));
        name.truncate(LONGEST_NAME);
        name.push_str(&format!("-{sum:016x}"));
    }
    name
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_a_task_says_is_read_back_from_any_place() {
        let folder = tempfile::tempdir().unwrap();
        let logs = Logs::in_folder(folder.path().join("logs"));
        assert_eq!(logs.read(7, "load", 0).unwrap(), "");
        let log = logs.task(7, "load");
        log.line("first");
        let all = logs.read(7, "load", 0).unwrap();
        assert!(all.ends_with("Z first\n"), "{all}");
        log.line("second");
        assert!(logs.read(7, "load", all.len() as u64).unwrap().ends_with("Z second\n"));
    }

    #[test]
    fn each_line_of_a_longer_text_has_its_time() {
        let folder = tempfile::tempdir().unwrap();
        let logs = Logs::in_folder(folder.path().join("logs"));
        logs.task(7, "load").line("one\ntwo\r\nthree\n");
        let all = logs.read(7, "load", 0).unwrap();
        let ends: Vec<&str> = all.lines().map(|line| line.split_once("Z ").unwrap().1).collect();
        assert_eq!(ends, ["one", "two", "three"]);
        logs.remove(7).unwrap();
        assert_eq!(logs.read(7, "load", 0).unwrap(), "");
        logs.remove(7).unwrap();
    }

    #[test]
    fn what_would_steer_a_terminal_is_replaced_and_tabs_stay() {
        let folder = tempfile::tempdir().unwrap();
        let logs = Logs::in_folder(folder.path().join("logs"));
        logs.task(7, "load").line("a\tb\x1b[31mred\x07\rend\u{9b}2J\nnext");
        let all = logs.read(7, "load", 0).unwrap();
        assert!(all.contains("Z a\tb\u{fffd}[31mred\u{fffd}\u{fffd}end\u{fffd}2J\n"), "{all:?}");
        assert_eq!(all.lines().count(), 2);
    }

    #[test]
    fn a_log_that_is_followed_piece_by_piece_reads_as_it_was_written() {
        let folder = tempfile::tempdir().unwrap();
        let logs = Logs::in_folder(folder.path().join("logs"));
        let path = logs.path(7, "load");
        std::fs::create_dir_all(path.parent().unwrap()).unwrap();
        let written = b"\xc3\xa4 \xe2\x82\xac \xff\xfe \xf0\x9f\x8c\x8d\n".to_vec();
        let (mut read, mut from) = (String::new(), 0);
        for length in 1..=written.len() {
            std::fs::write(&path, &written[..length]).unwrap();
            let piece = logs.read(7, "load", from).unwrap();
            from += piece.len() as u64;
            read.push_str(&piece);
        }
        assert_eq!(read, "\u{e4} \u{20ac} ?? \u{1f30d}\n");
    }

    #[test]
    fn a_log_that_is_full_says_so_once_and_grows_no_more() {
        let folder = tempfile::tempdir().unwrap();
        let logs = Logs::in_folder(folder.path().join("logs"));
        let log = logs.task(7, "load");
        let text = "x".repeat(1 << 20);
        for _ in 0..70 {
            log.line(&text);
        }
        let length = std::fs::metadata(logs.path(7, "load")).unwrap().len();
        assert!(length <= MOST_BYTES + 100, "{length}");
        assert!(logs.read(7, "load", length - 25).unwrap().ends_with("(the rest was left out)\n"));
    }

    #[test]
    fn keys_that_differ_have_files_that_differ_and_none_leaves_the_folder() {
        let long = "x".repeat(300);
        let keys = ["load", "load[1]", "../load", "a/b", "ä", &long, &format!("{long}y")];
        let names: std::collections::BTreeSet<String> = keys.iter().map(|key| file_name(key)).collect();
        assert_eq!(names.len(), keys.len());
        assert!(names.iter().all(|name| !name.contains(['/', '.']) && name.len() < 200), "{names:?}");
    }
}
