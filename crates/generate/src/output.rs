//! Files that appear whole: each is written under a hidden name and renamed when it is complete, so a reader that
//! looks at the same time never takes half of one.

use std::fs::{self, File};
use std::io::{self, BufWriter, Write};
use std::path::{Path, PathBuf};

use stage::{Error, Result};

use crate::clock::hour_folder;

const BUFFER: usize = 1 << 18;

/// What was written.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(crate) struct Written {
    pub(crate) files: u64,
    pub(crate) bytes: u64,
}

/// One file on its way.
#[derive(Debug)]
pub(crate) struct Output {
    path: PathBuf,
    hidden: PathBuf,
    writer: BufWriter<File>,
    bytes: u64,
}

impl Output {
    /// Begins `folder/name`, making the folder if need be. A file of that name is replaced in the end.
    pub(crate) fn create(folder: &Path, name: &str) -> Result<Self> {
        let (path, hidden) = (folder.join(name), folder.join(format!(".{name}.tmp")));
        fs::create_dir_all(folder).map_err(|error| failure("create the folder", folder, error))?;
        let file = File::create(&hidden).map_err(|error| failure("create", &path, error))?;
        Ok(Output { path, hidden, writer: BufWriter::with_capacity(BUFFER, file), bytes: 0 })
    }

    pub(crate) fn write(&mut self, bytes: &[u8]) -> Result<()> {
        self.bytes += bytes.len() as u64;
        self.writer.write_all(bytes).map_err(|error| failure("write", &self.path, error))
    }

    /// Makes the file visible under its name; its size in bytes.
    pub(crate) fn finish(mut self) -> Result<u64> {
        self.writer.flush().map_err(|error| failure("write", &self.path, error))?;
        fs::rename(&self.hidden, &self.path)
            .map_err(|error| failure("rename a complete file to", &self.path, error))?;
        Ok(self.bytes)
    }
}

/// A sequence of files, one open at a time: it moves to the next when the part of the name that counts up changes.
#[derive(Debug)]
pub(crate) struct Sequence<F> {
    place: F,
    current: Option<(i64, Output)>,
    written: Written,
}

impl<F: Fn(i64) -> (PathBuf, String)> Sequence<F> {
    /// `place` names folder and file of a part.
    pub(crate) fn new(place: F) -> Self {
        Sequence { place, current: None, written: Written::default() }
    }

    /// Writes to the file of `part`. Parts must not go down.
    pub(crate) fn write(&mut self, part: i64, bytes: &[u8]) -> Result<()> {
        match &mut self.current {
            Some((open, output)) if *open == part => output.write(bytes),
            _ => {
                self.close()?;
                let (folder, name) = (self.place)(part);
                let (_, output) = self.current.insert((part, Output::create(&folder, &name)?));
                output.write(bytes)
            }
        }
    }

    /// Completes the last file.
    pub(crate) fn finish(mut self) -> Result<Written> {
        self.close()?;
        Ok(self.written)
    }

    fn close(&mut self) -> Result<()> {
        if let Some((_, output)) = self.current.take() {
            self.written.bytes += output.finish()?;
            self.written.files += 1;
        }
        Ok(())
    }
}

/// Files `events-0.json` in the hour folders of `folder`; parts are hours since 1970.
pub(crate) fn hour_files(folder: PathBuf) -> Sequence<impl Fn(i64) -> (PathBuf, String)> {
    Sequence::new(move |hour| (folder.join(hour_folder(hour)), "events-0.json".to_owned()))
}

fn failure(doing: &str, path: &Path, error: io::Error) -> Error {
    let (advice, transient) = match error.kind() {
        io::ErrorKind::PermissionDenied | io::ErrorKind::ReadOnlyFilesystem => {
            ("; choose a folder you may write to", false)
        }
        io::ErrorKind::NotADirectory | io::ErrorKind::AlreadyExists | io::ErrorKind::IsADirectory => {
            ("; a file is in the way, choose another folder", false)
        }
        io::ErrorKind::StorageFull => ("; free some space or ask for fewer rows", true),
        _ => ("", true),
    };
    let message = format!("could not {doing} {}: {error}{advice}", path.display());
    if transient { Error::unavailable(message) } else { Error::config(message) }
}
