//! Messages that were read and not yet taken, within bounds.
//!
//! The last piece grows until it is full; a batch takes from the front. Who adds messages, and who is woken, is the
//! business of the buffer of each source.

use std::collections::VecDeque;
use std::sync::Arc;
use std::time::Duration;

use stage::{Error, Result};
use tokio::time::Instant;

use super::piece::Piece;

/// How much of a batch is decoded at once.
const PIECE_BYTES: usize = 4 << 20;

/// How much is held.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Limits {
    /// The memory for messages that were not taken yet.
    pub(crate) held_bytes: u64,
    /// The most messages of a batch, and so of a piece.
    pub(crate) max_rows: u64,
    /// The most bytes of a batch.
    pub(crate) max_bytes: u64,
}

/// Pieces that wait, each with a note of its source where the messages alone do not tell how far that was read.
pub(crate) struct Waiting<N = ()> {
    limits: Limits,
    pieces: VecDeque<(Piece, N)>,
    rows: u64,
    bytes: u64,
    /// When the oldest message came that was not taken.
    since: Option<Instant>,
    /// The parts of the source in the order of their numbers; more may come.
    names: Arc<Vec<String>>,
    end: End,
}

/// Whether more will come.
enum End {
    /// More may come.
    Open,
    /// Reading failed, which nobody was told yet.
    Failed(Error),
    /// Reading failed, and that was told.
    Told,
}

/// What was taken for a batch.
pub(crate) struct Taken<M> {
    pub(crate) pieces: Vec<Piece>,
    /// How far the source is read with it.
    pub(crate) moved: M,
    /// Whether more is there than the batch may hold.
    pub(crate) is_full: bool,
}

impl Limits {
    /// Whether nothing is added to a piece any more.
    fn is_full(&self, piece: &Piece) -> bool {
        piece.bytes() as u64 >= self.max_bytes.min(PIECE_BYTES as u64) || piece.rows() as u64 >= self.max_rows
    }
}

impl<N: Default> Waiting<N> {
    pub(crate) fn new(limits: Limits) -> Waiting<N> {
        let (pieces, names) = (VecDeque::new(), Arc::default());
        Waiting { limits, pieces, rows: 0, bytes: 0, since: None, names, end: End::Open }
    }

    /// Gives a part of the source its number.
    pub(crate) fn number(&mut self, name: String) -> u32 {
        let names = Arc::make_mut(&mut self.names);
        names.push(name);
        u32::try_from(names.len() - 1).unwrap_or(u32::MAX)
    }

    /// Lets the last piece grow, or a new one if that is full.
    pub(crate) fn add(&mut self, add: impl FnOnce(&mut Piece)) {
        if self.pieces.back().is_none_or(|(last, _)| self.limits.is_full(last)) {
            let piece = self.pieces.back().map_or_else(Piece::default, |(last, _)| Piece::with_room_of(last));
            self.pieces.push_back((piece, N::default()));
        }
        let Some((piece, _)) = self.pieces.back_mut() else { return };
        let (rows, bytes) = (piece.rows(), piece.bytes());
        add(piece);
        self.rows += (piece.rows() - rows) as u64;
        self.bytes += (piece.bytes() - bytes) as u64;
        if self.rows > 0 {
            self.since.get_or_insert_with(Instant::now);
        }
    }

    /// The note of the last piece.
    #[cfg(feature = "kinesis")]
    pub(crate) fn last_note(&mut self) -> Option<&mut N> {
        self.pieces.back_mut().map(|(_, note)| note)
    }

    /// Whether the last piece takes no more.
    pub(crate) fn is_last_full(&self) -> bool {
        self.pieces.back().is_some_and(|(last, _)| self.limits.is_full(last))
    }

    /// How many pieces wait.
    pub(crate) fn len(&self) -> usize {
        self.pieces.len()
    }

    pub(crate) fn is_empty(&self) -> bool {
        self.pieces.is_empty()
    }

    /// Whether more may be added.
    pub(crate) fn has_room(&self) -> bool {
        self.bytes < self.limits.held_bytes
    }

    /// Notes that nothing more will come, and why.
    pub(crate) fn fail(&mut self, error: Error) {
        if let End::Open = self.end {
            self.end = End::Failed(error);
        }
    }

    /// Takes pieces until the batch that already has `rows` and `bytes` is full. Pieces that may still grow are only
    /// taken with `unfinished`. How far the source is read with them is for their notes to say.
    ///
    /// # Errors
    /// When reading failed. What came before is not handed out then.
    pub(crate) fn take(&mut self, mut rows: u64, mut bytes: u64, unfinished: bool) -> Result<Taken<Vec<N>>> {
        self.check()?;
        // Nothing more comes before there is room again.
        let unfinished = unfinished || !self.has_room();
        let mut taken = Taken { pieces: Vec::new(), moved: Vec::new(), is_full: false };
        while let Some((first, _)) = self.pieces.front() {
            let (more_rows, more_bytes) = (first.rows() as u64, first.bytes() as u64);
            let may_grow = self.pieces.len() == 1 && !unfinished && !self.limits.is_full(first);
            let is_over = rows + more_rows > self.limits.max_rows || bytes + more_bytes > self.limits.max_bytes;
            taken.is_full = rows > 0 && is_over;
            if may_grow || taken.is_full {
                break;
            }
            let Some((mut piece, note)) = self.pieces.pop_front() else { break };
            piece.names = Arc::clone(&self.names);
            (rows, bytes) = (rows + more_rows, bytes + more_bytes);
            self.rows -= more_rows;
            self.bytes -= more_bytes;
            taken.pieces.push(piece);
            taken.moved.push(note);
        }
        self.since = (!self.pieces.is_empty()).then(Instant::now);
        Ok(taken)
    }

    fn check(&mut self) -> Result<()> {
        match std::mem::replace(&mut self.end, End::Told) {
            End::Open => {
                self.end = End::Open;
                Ok(())
            }
            End::Failed(error) => Err(error),
            End::Told => Err(Error::unavailable("reading has ended; it is begun anew")),
        }
    }

    /// How long until there is a batch for a stream: at once when there is enough or reading failed, never when there is
    /// nothing.
    pub(crate) fn due_in(&self, trigger: Duration) -> Option<Duration> {
        let is_enough = self.rows >= self.limits.max_rows
            || self.bytes >= self.limits.max_bytes.min(self.limits.held_bytes)
            || !matches!(self.end, End::Open);
        if is_enough {
            return Some(Duration::ZERO);
        }
        self.since.map(|since| trigger.saturating_sub(since.elapsed()))
    }
}
