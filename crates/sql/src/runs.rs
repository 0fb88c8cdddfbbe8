//! Sets of 128-bit keys that outgrow memory: sorted runs on disk, merged when they are needed.

use std::cmp::Reverse;
use std::collections::BinaryHeap;
use std::fs::File;
use std::hash::{BuildHasherDefault, Hasher};
use std::io::{BufReader, BufWriter, Read, Seek, SeekFrom, Write};

use hashbrown::{HashMap, HashSet};
use stage::{Error, Result};

/// Bytes read of one run at a time.
const READ_BYTES: usize = 1 << 16;
/// Bytes written at a time.
const WRITE_BYTES: usize = 1 << 20;

/// A set of keys that are good hashes already.
pub type KeySet = HashSet<u128, BuildHasherDefault<LowHalf>>;

/// A map by keys that are good hashes already.
pub type KeyMap<V> = HashMap<u128, V, BuildHasherDefault<LowHalf>>;

/// Takes the low half of a key as its hash.
#[derive(Debug, Default)]
pub struct LowHalf(u64);

impl Hasher for LowHalf {
    fn finish(&self) -> u64 {
        self.0
    }

    fn write(&mut self, bytes: &[u8]) {
        for byte in bytes {
            self.0 = self.0.rotate_left(8) ^ u64::from(*byte);
        }
    }

    fn write_u128(&mut self, key: u128) {
        self.0 = key as u64;
    }
}

/// Sorted runs of keys in temporary files, which vanish with this value.
#[derive(Debug, Default)]
pub struct SortedRuns {
    files: Vec<File>,
}

impl SortedRuns {
    /// Whether nothing was written yet.
    pub fn is_empty(&self) -> bool {
        self.files.is_empty()
    }

    /// Writes keys as one more run. Nothing is written when there are none.
    ///
    /// # Errors
    /// [`stage::Kind::Unavailable`] when the temporary folder cannot be written to.
    pub fn push(&mut self, mut keys: Vec<u128>) -> Result<()> {
        if keys.is_empty() {
            return Ok(());
        }
        keys.sort_unstable();
        let failed = |error: std::io::Error| {
            Error::unavailable("could not spill keys to the temporary folder; free space there or set TMPDIR")
                .with_source(error)
        };
        let mut writer = BufWriter::with_capacity(WRITE_BYTES, tempfile::tempfile().map_err(failed)?);
        for key in &keys {
            writer.write_all(&key.to_le_bytes()).map_err(failed)?;
        }
        self.files.push(writer.into_inner().map_err(|error| failed(error.into_error()))?);
        Ok(())
    }

    /// The keys of each run, in order.
    ///
    /// # Errors
    /// [`stage::Kind::Unavailable`] when the files cannot be read.
    pub fn each(&self) -> Result<Vec<Run<'_>>> {
        self.files.iter().map(Run::open).collect()
    }

    /// The keys of all runs in one order. A key that is in several runs comes several times in a row.
    ///
    /// # Errors
    /// [`stage::Kind::Unavailable`] when the files cannot be read.
    pub fn merged(&self) -> Result<Merged<'_>> {
        let mut runs = self.each()?;
        let mut heads = BinaryHeap::with_capacity(runs.len());
        for (number, run) in runs.iter_mut().enumerate() {
            heads.extend(run.next_key()?.map(|key| Reverse((key, number))));
        }
        Ok(Merged { runs, heads })
    }
}

/// One run, read from its beginning.
#[derive(Debug)]
pub struct Run<'a>(BufReader<&'a File>);

impl Run<'_> {
    fn open(mut file: &File) -> Result<Run<'_>> {
        file.seek(SeekFrom::Start(0)).map_err(unreadable)?;
        Ok(Run(BufReader::with_capacity(READ_BYTES, file)))
    }

    /// The next key.
    ///
    /// # Errors
    /// [`stage::Kind::Unavailable`] when the file cannot be read.
    pub fn next_key(&mut self) -> Result<Option<u128>> {
        let mut bytes = [0; 16];
        match self.0.read_exact(&mut bytes) {
            Ok(()) => Ok(Some(u128::from_le_bytes(bytes))),
            Err(error) if error.kind() == std::io::ErrorKind::UnexpectedEof => Ok(None),
            Err(error) => Err(unreadable(error)),
        }
    }
}

/// Several runs as one.
#[derive(Debug)]
pub struct Merged<'a> {
    runs: Vec<Run<'a>>,
    heads: BinaryHeap<Reverse<(u128, usize)>>,
}

impl Merged<'_> {
    /// The next key.
    ///
    /// # Errors
    /// [`stage::Kind::Unavailable`] when a file cannot be read.
    pub fn next_key(&mut self) -> Result<Option<u128>> {
        let Some(Reverse((key, number))) = self.heads.pop() else { return Ok(None) };
        self.heads.extend(self.runs[number].next_key()?.map(|next| Reverse((next, number))));
        Ok(Some(key))
    }
}

fn unreadable(error: std::io::Error) -> Error {
    Error::unavailable("could not read spilled keys back").with_source(error)
}
