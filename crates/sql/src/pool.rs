//! The memory that all queries share: open to anyone at first, fair when it runs short.
//!
//! The library's fair pool gives every consumer that can spill an even share from the start, though most of them never
//! use theirs: a query of two groupings has a dozen, so it would spill when a tenth of the memory is in use. Its greedy
//! pool lets one consumer take everything, and the next fails because it cannot have even its first bytes. Here memory
//! up to a mark goes to whoever asks; above the mark, only to those that hold less than an even share, and to them always.

use std::fmt;
use std::sync::{Mutex, MutexGuard, PoisonError};

use datafusion::common::resources_datafusion_err;
use datafusion::error::Result;
use datafusion::execution::memory_pool::{MemoryConsumer, MemoryLimit, MemoryPool, MemoryReservation};

/// The part of the memory, in fourths, that anyone may have.
const OPEN_FOURTHS: usize = 3;

/// Open up to a mark, fair above it.
#[derive(Debug)]
pub(crate) struct SharedPool {
    limit: usize,
    state: Mutex<State>,
}

#[derive(Debug, Default)]
struct State {
    /// How many consumers can spill.
    spillers: usize,
    /// What consumers that can spill hold, in bytes.
    spillable: usize,
    /// What the others hold, in bytes.
    unspillable: usize,
}

impl State {
    fn held_by_kind(&mut self, can_spill: bool) -> &mut usize {
        if can_spill { &mut self.spillable } else { &mut self.unspillable }
    }

    fn total(&self) -> usize {
        self.spillable + self.unspillable
    }
}

impl SharedPool {
    /// A pool of that many bytes.
    pub(crate) fn new(limit: usize) -> Self {
        SharedPool { limit, state: Mutex::default() }
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// The most that the pool may hold when this consumer is to hold `wanted` bytes, `additional` more than now. An even share is always granted, even
    /// if others hold more than theirs: a consumer that has spilled needs its first bytes to go on at all.
    fn bound(&self, state: &State, can_spill: bool, wanted: usize, additional: usize) -> usize {
        let share = self.limit.saturating_sub(state.unspillable) / state.spillers.max(1);
        match can_spill {
            true if wanted <= share => usize::MAX,
            true => self.limit / 4 * OPEN_FOURTHS,
            // The part above the mark is kept for those that cannot spill, even if even shares reach into it.
            false if state.unspillable + additional <= self.limit / 4 * (4 - OPEN_FOURTHS) => usize::MAX,
            false => self.limit,
        }
    }
}

impl MemoryPool for SharedPool {
    fn name(&self) -> &str {
        "shared"
    }

    fn register(&self, consumer: &MemoryConsumer) {
        self.state().spillers += usize::from(consumer.can_spill());
    }

    fn unregister(&self, consumer: &MemoryConsumer) {
        let mut state = self.state();
        state.spillers = state.spillers.saturating_sub(usize::from(consumer.can_spill()));
    }

    fn grow(&self, reservation: &MemoryReservation, additional: usize) {
        *self.state().held_by_kind(reservation.consumer().can_spill()) += additional;
    }

    fn shrink(&self, reservation: &MemoryReservation, shrink: usize) {
        let mut state = self.state();
        let held = state.held_by_kind(reservation.consumer().can_spill());
        *held = held.saturating_sub(shrink);
    }

    fn try_grow(&self, reservation: &MemoryReservation, additional: usize) -> Result<()> {
        if additional == 0 {
            return Ok(());
        }
        let mut state = self.state();
        let can_spill = reservation.consumer().can_spill();
        let bound = self.bound(&state, can_spill, reservation.size() + additional, additional);
        if state.total() + additional > bound {
            return Err(resources_datafusion_err!(
                "{} holds {} bytes and asked for {additional} more, with {} of {bound} bytes in use",
                reservation.consumer().name(),
                reservation.size(),
                state.total()
            ));
        }
        *state.held_by_kind(can_spill) += additional;
        Ok(())
    }

    fn reserved(&self) -> usize {
        self.state().total()
    }

    fn memory_limit(&self) -> MemoryLimit {
        MemoryLimit::Finite(self.limit)
    }
}

impl fmt::Display for SharedPool {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(formatter, "{} ({} bytes)", self.name(), self.limit)
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use super::*;

    fn pool() -> Arc<dyn MemoryPool> {
        Arc::new(SharedPool::new(1000))
    }

    fn spiller(pool: &Arc<dyn MemoryPool>, name: &str) -> MemoryReservation {
        MemoryConsumer::new(name).with_can_spill(true).register(pool)
    }

    #[test]
    fn one_consumer_may_have_all_that_is_open() {
        let pool = pool();
        let (big, _idle) = (spiller(&pool, "big"), spiller(&pool, "idle"));
        assert!(big.try_grow(750).is_ok());
        assert!(big.try_grow(1).is_err());
    }

    #[test]
    fn a_newcomer_finds_room_beside_a_big_one() {
        let pool = pool();
        let (big, newcomer) = (spiller(&pool, "big"), spiller(&pool, "newcomer"));
        big.try_grow(750).unwrap();
        assert!(newcomer.try_grow(500).is_ok());
        assert!(newcomer.try_grow(1).is_err());
    }

    #[test]
    fn what_cannot_spill_may_have_everything() {
        let pool = pool();
        let table = MemoryConsumer::new("table").register(&pool);
        assert!(table.try_grow(1000).is_ok());
        assert!(table.try_grow(1).is_err());
    }

    #[test]
    fn memory_given_back_is_there_again() {
        let pool = pool();
        let first = spiller(&pool, "first");
        first.try_grow(700).unwrap();
        drop(first);
        assert_eq!(pool.reserved(), 0);
    }
}
