//! The shop as it happens: one event after the other, each at the moment it is asked for.
//!
//! What happens and what goes wrong with it is a function of the seed, as in files; only the times are those of the clock.

use chrono::{DateTime, Utc};
use stage::{Error, Result};

use crate::behavior::Generator;
use crate::clock::Timeline;
use crate::disorder::{Disorder, Fates};
use crate::line::push_hex;
use crate::shop::product;
use crate::visit::{Event, Visits};
use crate::{FIRST_DAY, Summary};

/// Days of the timeline that visits are made along. It orders them and is seen nowhere.
const DAYS: u32 = 36_500;
/// Rows of that timeline: a million a second for a year.
const ROWS: u64 = 31_536_000_000_000;

/// What [`LiveEvents`] makes.
#[derive(Debug, Clone, PartialEq)]
pub struct LiveOptions {
    /// The same seed gives the same events, but for their times.
    pub seed: u64,
    /// Customers of the shop, at least 1.
    pub customers: u64,
    /// Products of the shop, at least 1.
    pub products: u64,
    /// Shares of bad, repeated and late events.
    pub disorder: Disorder,
}

impl Default for LiveOptions {
    fn default() -> Self {
        LiveOptions { seed: 42, customers: 5_000, products: 100, disorder: Disorder::default() }
    }
}

/// One event on its way.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct LiveEvent<'a> {
    /// The visit, `ses-` and 16 hexadecimal digits: the events of one visit are to stay in order.
    pub key: &'a [u8],
    /// A JSON object, or the first part of one where the event was cut off.
    pub payload: &'a [u8],
}

/// Events without end. Memory grows with the products only.
pub struct LiveEvents {
    generator: Generator,
    /// The events of the block that is being sent; those before `next` have their real times.
    block: Vec<Event>,
    next: usize,
    blocks: u64,
    key: Vec<u8>,
    payload: Vec<u8>,
    summary: Summary,
}

impl LiveEvents {
    /// Events that begin now.
    ///
    /// # Errors
    /// [`stage::Kind::Config`] when an option cannot be.
    pub fn new(options: &LiveOptions) -> Result<LiveEvents> {
        options.disorder.check()?;
        if options.customers == 0 || options.products == 0 {
            return Err(Error::config(
                "could not generate events without customers or products; give at least 1 of each",
            ));
        }
        let fates = Fates::of_live(options.seed, options.disorder);
        let visits = Visits {
            seed: options.seed,
            customers: options.customers,
            products: options.products,
            timeline: Timeline::new(options.seed, FIRST_DAY, DAYS, ROWS)?,
            fates: fates.clone(),
            campaign_from: i64::MIN,
        };
        let products = (0..options.products).map(|number| product(options.seed, number)).collect();
        let generator = Generator { seed: options.seed, products, visits, fates };
        Ok(LiveEvents {
            generator,
            block: Vec::new(),
            next: 0,
            blocks: 0,
            key: Vec::new(),
            payload: Vec::with_capacity(512),
            summary: Summary::default(),
        })
    }

    /// The next event, which happens at `now`; a late one happened before, and a repeated one is sent as it was.
    pub fn next(&mut self, now: DateTime<Utc>) -> LiveEvent<'_> {
        if self.next == self.block.len() {
            self.block = self.generator.visits.block(self.blocks);
            (self.next, self.blocks) = (0, self.blocks + 1);
        }
        let event = &mut self.block[self.next];
        event.time = now.timestamp_micros() - self.generator.fates.lateness(event.index);
        self.payload.clear();
        let event = &self.block[self.next];
        let sent = self.generator.write_event(&mut self.payload, event, &self.block, &mut self.summary);
        // A message needs no line break.
        self.payload.pop();
        self.key.clear();
        self.key.extend_from_slice(b"ses-");
        push_hex(&mut self.key, sent.session);
        self.next += 1;
        self.summary.rows += 1;
        self.summary.bytes += self.payload.len() as u64;
        LiveEvent { key: &self.key, payload: &self.payload }
    }

    /// What was made so far. There are no files, and no tables by folder.
    pub fn summary(&self) -> &Summary {
        &self.summary
    }
}

#[cfg(test)]
mod tests {
    use std::collections::{BTreeMap, BTreeSet};

    use chrono::TimeDelta;
    use serde_json::Value;

    use super::*;
    use crate::visit::BLOCK;

    const ROWS: u64 = 5_000;

    /// Events a millisecond apart, with the times they were asked for.
    fn sent(options: &LiveOptions) -> (Vec<(DateTime<Utc>, String, String)>, Summary) {
        let mut events = LiveEvents::new(options).unwrap();
        let start: DateTime<Utc> = "2026-03-01T12:00:00Z".parse().unwrap();
        let text = |bytes: &[u8]| String::from_utf8(bytes.to_vec()).unwrap();
        let sent = (0..ROWS).map(|number| {
            let now = start + TimeDelta::milliseconds(number as i64);
            let event = events.next(now);
            (now, text(event.key), text(event.payload))
        });
        (sent.collect(), events.summary().clone())
    }

    fn options() -> LiveOptions {
        LiveOptions { disorder: Disorder { bad: 0.02, duplicate: 0.03, late: 0.02 }, ..LiveOptions::default() }
    }

    fn id(event: &Value) -> &str {
        event["event_id"].as_str().unwrap_or_default()
    }

    #[test]
    fn an_event_happens_when_it_is_asked_for_unless_it_is_late_or_repeated() {
        let (sent, summary) = sent(&options());
        let (mut late, mut seen) = (0, BTreeSet::new());
        for (now, _, payload) in &sent {
            let Ok(event) = serde_json::from_str::<Value>(payload) else { continue };
            let Ok(time) = event["timestamp"].as_str().unwrap().parse::<DateTime<Utc>>() else { continue };
            let is_first = seen.insert(id(&event).to_owned());
            match *now - time {
                age if age >= TimeDelta::hours(1) && age <= TimeDelta::hours(72) => late += u64::from(is_first),
                age if is_first || id(&event).is_empty() => assert_eq!(age, TimeDelta::zero(), "{payload}"),
                age => assert!(age > TimeDelta::zero() && age < TimeDelta::milliseconds(BLOCK as i64), "{payload}"),
            }
        }
        assert_eq!(late, summary.late);
        assert!((60..140).contains(&summary.late), "{summary:?}");
    }

    #[test]
    fn every_event_is_accounted_for() {
        let (sent, summary) = sent(&options());
        let events: Vec<Value> = sent.iter().filter_map(|(.., payload)| serde_json::from_str(payload).ok()).collect();
        assert_eq!((summary.rows, events.len() as u64), (ROWS, ROWS - summary.truncated));
        assert_eq!(summary.bytes, sent.iter().map(|(.., payload)| payload.len() as u64).sum::<u64>());
        let good = events.iter().filter(|event| {
            !event["event_id"].is_null()
                && !event["customer_id"].is_null()
                && event["timestamp"] != "yesterday"
                && event["event_type"] != "hover"
                && event["price"].as_f64().is_none_or(|price| price > 0.0)
        });
        let ids: BTreeSet<&str> = good.map(id).collect();
        assert_eq!(ids.len() as u64, ROWS - summary.bad - summary.duplicates);
    }

    #[test]
    fn an_event_and_its_repetition_have_the_key_of_its_visit() {
        let (sent, _) = sent(&options());
        let mut keys: BTreeMap<String, &str> = BTreeMap::new();
        for (_, key, payload) in &sent {
            let Ok(event) = serde_json::from_str::<Value>(payload) else { continue };
            assert_eq!(event["session_id"], key.as_str(), "{payload}");
            if let Some(id) = event["event_id"].as_str() {
                assert_eq!(*keys.entry(id.to_owned()).or_insert(key), key);
            }
        }
    }

    #[test]
    fn the_same_seed_gives_the_same_events_and_another_does_not() {
        let (first, _) = sent(&options());
        assert_eq!(sent(&options()).0, first);
        assert_ne!(sent(&LiveOptions { seed: 43, ..options() }).0, first);
    }

    #[test]
    fn a_shop_without_customers_is_refused() {
        assert!(LiveEvents::new(&LiveOptions { customers: 0, ..options() }).is_err());
    }
}
