//! Who does what when: visitors' sessions, before anything goes wrong with them.
//!
//! Sessions are made in blocks of [`BLOCK`] rows. A block holds whole sessions (the last one is cut) and depends on the
//! seed and its own number only, so blocks can be made in any order.

use crate::chance::{Dice, Purpose};
use crate::clock::{HOUR, Timeline, hour_of};
use crate::disorder::Fates;

/// Rows of one block.
pub(crate) const BLOCK: u64 = 64;

const DEVICES: [&str; 5] = ["mobile", "mobile", "mobile", "desktop", "tablet"];
const CAMPAIGNS: [&str; 4] = ["spring-sale", "newsletter", "retargeting", "organic"];

/// What a visitor did.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Action {
    PageView,
    Click,
    Purchase,
    Review,
}

impl Action {
    /// The action as it stands in the data.
    pub(crate) fn name(self) -> &'static str {
        match self {
            Action::PageView => "page_view",
            Action::Click => "click",
            Action::Purchase => "purchase",
            Action::Review => "review",
        }
    }

    /// What the visitor does next, and whether with the same product.
    fn next(self, dice: &mut Dice) -> (Action, bool) {
        match self {
            Action::PageView if dice.happens(0.35) => (Action::Click, true),
            Action::Click if dice.happens(0.1) => (Action::Purchase, true),
            Action::Purchase if dice.happens(0.5) => (Action::Review, true),
            _ => (Action::PageView, false),
        }
    }
}

/// One event.
#[derive(Debug, Clone)]
pub(crate) struct Event {
    pub(crate) index: u64,
    /// The hour of its folder.
    pub(crate) hour: i64,
    pub(crate) time: i64,
    pub(crate) action: Action,
    pub(crate) session: u64,
    pub(crate) customer: u64,
    pub(crate) product: u64,
    pub(crate) device: &'static str,
    pub(crate) campaign: Option<&'static str>,
}

/// The visits of a whole data set.
pub(crate) struct Visits {
    pub(crate) seed: u64,
    pub(crate) customers: u64,
    pub(crate) products: u64,
    pub(crate) timeline: Timeline,
    pub(crate) fates: Fates,
    /// When campaigns begin to be recorded.
    pub(crate) campaign_from: i64,
}

impl Visits {
    /// All events of a block, session after session, as they are before anything goes wrong with them.
    pub(crate) fn block(&self, block: u64) -> Vec<Event> {
        let mut events = Vec::with_capacity(BLOCK as usize);
        while (events.len() as u64) < BLOCK {
            self.push_session(&mut events, block * BLOCK);
        }
        events
    }

    /// Adds the session that begins at the next free row of the block.
    fn push_session(&self, events: &mut Vec<Event>, block_start: u64) {
        let first = block_start + events.len() as u64;
        let mut dice = Dice::new(self.seed, Purpose::Session, first);
        let session = dice.bits();
        let length = (2 + dice.below(6) + dice.below(8)).min(BLOCK - events.len() as u64);
        let start = self.timeline.at(first);
        let hour = hour_of(start);
        // The session ends before its hour does, so that only late events are older or newer than their folder.
        let most = ((hour + 1) * HOUR - start - 1) / length as i64;
        let customer = dice.below(self.customers);
        let device = dice.pick(&DEVICES);
        let campaign = dice.pick(&CAMPAIGNS);
        let (mut action, mut time) = (Action::PageView, start);
        let mut product = self.popular_product(&mut dice);
        for index in first..first + length {
            let late = self.fates.lateness(index);
            let campaign = (time - late >= self.campaign_from).then_some(campaign);
            events.push(Event { index, hour, time: time - late, action, session, customer, product, device, campaign });
            let (next, same_product) = action.next(&mut dice);
            if !same_product {
                product = self.popular_product(&mut dice);
            }
            action = next;
            time += (3_000_000 + dice.below(90_000_000) as i64).min(most);
        }
    }

    /// A product; those of low number are chosen more often.
    fn popular_product(&self, dice: &mut Dice) -> u64 {
        (dice.unit() * dice.unit() * self.products as f64) as u64
    }
}

#[cfg(test)]
mod tests {
    use chrono::NaiveDate;

    use super::*;
    use crate::disorder::Disorder;

    #[test]
    fn blocks_are_full_and_their_sessions_end_within_the_hour() {
        let start = NaiveDate::from_ymd_opt(2024, 1, 1).unwrap_or_default();
        let timeline = Timeline::new(1, start, 2, 100 * BLOCK).unwrap();
        let fates = Fates::new(1, Disorder::NONE, timeline.clone());
        let visits = Visits { seed: 1, customers: 50, products: 9, timeline, fates, campaign_from: 0 };
        let mut hour = 0;
        for block in 0..100 {
            let events = visits.block(block);
            assert_eq!(events.len() as u64, BLOCK);
            for (place, event) in events.iter().enumerate() {
                assert_eq!(event.index, block * BLOCK + place as u64);
                assert_eq!(event.hour, hour_of(event.time));
                assert!(event.hour >= hour && event.customer < 50 && event.product < 9);
                hour = event.hour;
            }
        }
    }
}
