//! What was polled and not yet taken: bounded, filled by the reader's thread, emptied by the stage.

use std::collections::BTreeMap;
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use rdkafka::Message;
use stage::{Error, Result};
use tokio::sync::Notify;
use tokio::time::Instant;

use super::piece::{next_offsets, push};
use super::positions::Partition;
use crate::messages::waiting::{Limits, Taken, Waiting};

/// How long the reader waits for room before it looks whether it is to end.
const LOOK: Duration = Duration::from_millis(100);

/// What the reader and the stage share.
pub(crate) struct Buffer {
    tombstone: &'static [u8],
    held: Mutex<Held>,
    room: Condvar,
    news: Notify,
}

/// What the buffer holds.
pub(crate) struct Held {
    waiting: Waiting,
    /// When something came last.
    pub(crate) moved: Option<Instant>,
    /// The partitions that are read, in the order of their numbers; more may come.
    pub(crate) partitions: Arc<Vec<Partition>>,
    /// Below which offset everything was polled, by partition. Behind messages that nobody sees, such as the ends of
    /// transactions, it is ahead of the last message.
    polled: Vec<i64>,
    /// Whether something moved that nobody was told of.
    is_untold: bool,
    closed: bool,
}

impl Buffer {
    pub(crate) fn new(limits: Limits, tombstone: &'static [u8]) -> Buffer {
        let held = Held {
            waiting: Waiting::new(limits),
            moved: None,
            partitions: Arc::default(),
            polled: Vec::new(),
            is_untold: false,
            closed: false,
        };
        Buffer { tombstone, held: Mutex::new(held), room: Condvar::new(), news: Notify::new() }
    }

    pub(crate) fn lock(&self) -> MutexGuard<'_, Held> {
        self.held.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Waits until there is room; false when the buffer was closed.
    pub(crate) fn wait_for_room(&self) -> bool {
        let mut held = self.lock();
        while !held.closed && !held.waiting.has_room() {
            held = self.room.wait_timeout(held, LOOK).unwrap_or_else(PoisonError::into_inner).0;
        }
        !held.closed
    }

    /// Waits for that long; false when the buffer was closed.
    pub(crate) fn wait_while_open(&self, time: Duration) -> bool {
        let waited = self.room.wait_timeout_while(self.lock(), time, |held| !held.closed);
        !waited.unwrap_or_else(PoisonError::into_inner).0.closed
    }

    /// Appends messages, each with the number of its partition.
    ///
    /// # Errors
    /// [`stage::Kind::Unavailable`] when a message came before that was to come later; what follows is not appended
    /// then.
    pub(crate) fn extend<M: Message>(&self, messages: impl IntoIterator<Item = (u32, M)>) -> Result<()> {
        let mut held = self.lock();
        let pieces = held.waiting.len();
        let mut messages = messages.into_iter();
        let extended = messages.try_for_each(|(partition, message)| self.append(&mut held, &message, partition));
        held.moved = Some(Instant::now());
        held.is_untold = true;
        // Whoever waits is woken for what can be taken, and not for each message that a piece grows by.
        let can_be_taken = held.waiting.len() > pieces || held.waiting.is_last_full();
        if can_be_taken || !held.waiting.has_room() {
            self.tell(held);
        }
        extended
    }

    fn append(&self, held: &mut Held, message: &impl Message, partition: u32) -> Result<()> {
        if let Some(polled) = held.polled.get_mut(partition as usize) {
            if message.offset() < *polled {
                let name = held.partitions.get(partition as usize).map_or("", |partition| partition.name.as_str());
                let offset = message.offset();
                return Err(Error::unavailable(format!("offset {offset} of {name} came again after offset {polled}")));
            }
            *polled = message.offset() + 1;
        }
        held.waiting.add(|piece| push(piece, message, partition, self.tombstone));
        Ok(())
    }

    /// Wakes whoever waits, without holding what is held.
    fn tell(&self, mut held: MutexGuard<'_, Held>) {
        held.is_untold = false;
        drop(held);
        self.news.notify_one();
    }

    /// Notes below which offsets everything was polled.
    pub(crate) fn note_polled(&self, polled: impl Iterator<Item = (u32, i64)>) {
        let mut held = self.lock();
        for (partition, offset) in polled {
            match held.polled.get_mut(partition as usize) {
                Some(known) if *known < offset => *known = offset,
                _ => continue,
            }
            held.moved = Some(Instant::now());
            held.is_untold = true;
        }
        if held.is_untold {
            self.tell(held);
        }
    }

    /// Notes that nothing more will come, and why.
    pub(crate) fn fail(&self, error: Error) {
        let mut held = self.lock();
        held.waiting.fail(error);
        self.end(held);
    }

    /// Tells those who fill it to end.
    pub(crate) fn close(&self) {
        self.end(self.lock());
    }

    fn end(&self, mut held: MutexGuard<'_, Held>) {
        held.closed = true;
        self.room.notify_all();
        self.tell(held);
    }

    /// Ends when something may have changed since the last time.
    pub(crate) async fn news(&self) {
        self.news.notified().await;
    }

    /// Takes pieces as [`Waiting::take`] does, with the next offset of every partition that moved.
    pub(crate) fn take(&self, rows: u64, bytes: u64, unfinished: bool) -> Result<Taken<BTreeMap<u32, i64>>> {
        let mut held = self.lock();
        let Taken { pieces, is_full, .. } = held.waiting.take(rows, bytes, unfinished)?;
        let mut moved = BTreeMap::new();
        pieces.iter().for_each(|piece| moved.extend(next_offsets(piece)));
        if held.waiting.is_empty() {
            moved.extend(held.numbered());
        }
        drop(held);
        self.room.notify_all();
        Ok(Taken { pieces, moved, is_full })
    }

    /// How long until there is a batch for a stream, as [`Waiting::due_in`] has it.
    pub(crate) fn due_in(&self, trigger: Duration) -> Option<Duration> {
        self.lock().waiting.due_in(trigger)
    }
}

impl Held {
    /// Whether everything below `ends` was polled; if not, the first partition that is short, its next offset and its
    /// end.
    pub(crate) fn reached(&self, ends: &BTreeMap<u32, i64>) -> std::result::Result<(), (u32, i64, i64)> {
        let short = ends.iter().find_map(|(partition, end)| {
            let polled = self.polled(*partition).unwrap_or(0);
            (polled < *end).then_some((*partition, polled, *end))
        });
        short.map_or(Ok(()), Err)
    }

    /// The offset below which everything was polled.
    pub(crate) fn polled(&self, partition: u32) -> Option<i64> {
        self.polled.get(partition as usize).copied()
    }

    fn numbered(&self) -> impl Iterator<Item = (u32, i64)> {
        (0..).zip(self.polled.iter().copied())
    }

    /// Begins to read partitions at these offsets.
    pub(crate) fn add(&mut self, begun: &[(Partition, i64)]) {
        let partitions = Arc::make_mut(&mut self.partitions);
        for (partition, offset) in begun {
            self.waiting.number(partition.name.clone());
            self.polled.push(*offset);
            partitions.push(partition.clone());
        }
    }
}

#[cfg(test)]
mod tests {
    use futures::FutureExt as _;
    use rdkafka::Timestamp;
    use rdkafka::message::OwnedMessage;

    use super::*;
    use crate::messages::piece::Piece;

    fn buffer(held_bytes: u64, max_rows: u64) -> Buffer {
        let buffer = Buffer::new(Limits { held_bytes, max_rows, max_bytes: 1 << 30 }, b"{}");
        let begun: Vec<(Partition, i64)> = (0..2).map(|number| (Partition::new("c", "t", number), 5)).collect();
        buffer.lock().add(&begun);
        buffer
    }

    fn push(buffer: &Buffer, partition: u32, offsets: std::ops::Range<i64>) {
        for offset in offsets {
            let payload = Some(vec![b'x'; 100]);
            let message = OwnedMessage::new(payload, None, "t".to_owned(), Timestamp::NotAvailable, 0, offset, None);
            buffer.extend([(partition, message)]).unwrap();
        }
    }

    fn rows(taken: &Taken<BTreeMap<u32, i64>>) -> Vec<usize> {
        taken.pieces.iter().map(Piece::rows).collect()
    }

    #[test]
    fn a_batch_holds_no_more_rows_than_it_may() {
        let buffer = buffer(1 << 30, 10);
        push(&buffer, 0, 5..30);
        let first = buffer.take(0, 0, false).unwrap();
        assert_eq!(rows(&first), [10]);
        assert!(buffer.take(10, 0, false).unwrap().is_full);
        assert_eq!(first.moved, BTreeMap::from([(0, 15)]));
        assert_eq!(rows(&buffer.take(0, 0, false).unwrap()), [10]);
        assert_eq!(rows(&buffer.take(0, 0, false).unwrap()), [0; 0]);
        let last = buffer.take(0, 0, true).unwrap();
        assert_eq!((rows(&last), last.moved), (vec![5], BTreeMap::from([(0, 30), (1, 5)])));
    }

    #[test]
    fn a_full_buffer_hands_out_what_could_still_grow() {
        let buffer = buffer(1_000, 1_000);
        push(&buffer, 0, 5..12);
        assert_eq!(rows(&buffer.take(0, 0, false).unwrap()), [7]);
    }

    #[test]
    fn messages_that_nobody_sees_move_the_end() {
        let buffer = buffer(1 << 30, 100);
        push(&buffer, 0, 5..7);
        let ends = BTreeMap::from([(0, 8), (1, 5)]);
        assert_eq!(buffer.lock().reached(&ends), Err((0, 7, 8)));
        buffer.note_polled([(0, 8)].into_iter());
        assert_eq!(buffer.lock().reached(&ends), Ok(()));
        assert_eq!(buffer.take(0, 0, true).unwrap().moved.get(&0), Some(&8));
    }

    #[test]
    fn a_stream_is_due_after_the_first_message_or_when_there_is_enough() {
        let buffer = buffer(1 << 30, 3);
        let trigger = Duration::from_secs(3600);
        assert_eq!(buffer.due_in(trigger), None);
        push(&buffer, 0, 5..6);
        assert!(buffer.due_in(trigger).is_some_and(|rest| rest > Duration::from_secs(3000)));
        assert_eq!(buffer.due_in(Duration::ZERO), Some(Duration::ZERO));
        push(&buffer, 1, 5..7);
        assert_eq!(buffer.due_in(trigger), Some(Duration::ZERO));
    }

    #[test]
    fn a_message_that_comes_again_is_refused() {
        let buffer = buffer(1 << 30, 100);
        let at = |offset| OwnedMessage::new(None, None, "t".to_owned(), Timestamp::NotAvailable, 0, offset, None);
        buffer.extend([(0, at(5)), (0, at(8))]).unwrap();
        let error = buffer.extend([(1, at(5)), (0, at(8)), (0, at(9))]).unwrap_err();
        assert_eq!(error.message(), "offset 8 of t/0 came again after offset 9");
        assert_eq!(buffer.take(0, 0, true).unwrap().moved, BTreeMap::from([(0, 9), (1, 6)]));
    }

    #[tokio::test]
    async fn whoever_waits_is_woken_for_what_can_be_taken() {
        let buffer = buffer(1 << 30, 3);
        let is_woken = || buffer.news().now_or_never().is_some();
        push(&buffer, 0, 5..6);
        assert!(is_woken(), "the first message starts the time until a commit");
        push(&buffer, 0, 6..7);
        assert!(!is_woken(), "a piece that grew can not be taken yet");
        buffer.note_polled([(0, 7)].into_iter());
        assert!(is_woken(), "nothing more waits in the library");
        buffer.note_polled([(0, 7)].into_iter());
        assert!(!is_woken(), "nothing has moved");
        push(&buffer, 0, 7..8);
        assert!(is_woken(), "a full piece can be taken");
    }

    #[test]
    fn a_failure_is_told_before_anything_is_handed_out() {
        let buffer = buffer(1 << 30, 3);
        push(&buffer, 0, 5..6);
        buffer.fail(Error::unavailable("gone"));
        assert_eq!(buffer.take(0, 0, true).err().map(|error| error.message().to_owned()), Some("gone".to_owned()));
        assert!(!buffer.wait_for_room());
    }
}
