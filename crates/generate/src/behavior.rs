//! A shop: its customers, its products and what visitors do there, written with everything that goes wrong on the way.

use std::path::Path;

use chrono::NaiveDate;
use serde::{Deserialize, Serialize};
use stage::Result;

use crate::Summary;
use crate::chance::{Dice, Purpose};
use crate::clock::{Timeline, push_time};
use crate::disorder::{Disorder, Fate, Fates, check_share};
use crate::line::{push_amount, push_hex, push_number, push_text};
use crate::output::hour_files;
use crate::shop::{Product, product, write_customers, write_products};
use crate::text::review;
use crate::visit::{Action, BLOCK, Event, Visits};

/// What `behavior` makes.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct BehaviorOptions {
    /// Lines of events, bad and repeated ones included.
    pub rows: u64,
    /// The same seed gives the same bytes.
    pub seed: u64,
    /// The first day.
    pub start: NaiveDate,
    /// How many days the events are spread over.
    pub days: u32,
    /// Customers; by default a twentieth of the rows.
    pub customers: Option<u64>,
    /// Products; by default a five-hundredth of the rows, at least 20 and at most 5000.
    pub products: Option<u64>,
    /// Shares of bad, repeated and late events.
    pub disorder: Disorder,
    /// After this share of the time a new field `campaign` appears in the events; 1 is never.
    pub new_attribute_from: f64,
}

impl Default for BehaviorOptions {
    fn default() -> Self {
        BehaviorOptions {
            rows: 100_000,
            seed: 42,
            start: crate::FIRST_DAY,
            days: 30,
            customers: None,
            products: None,
            disorder: Disorder::default(),
            new_attribute_from: 0.5,
        }
    }
}

/// The ways an event is spoilt.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Fault {
    Time,
    Customer,
    Identifier,
    /// A type that does not exist.
    Type,
    /// A purchase at a negative price.
    Price,
    Truncated,
}

/// Makes everything that does not depend on where it is written.
pub(crate) struct Generator {
    pub(crate) seed: u64,
    pub(crate) products: Vec<Product>,
    pub(crate) visits: Visits,
    pub(crate) fates: Fates,
}

/// Writes `landing/behavior/customers` (CSV), `landing/behavior/products` (a JSON array) and `landing/behavior/events`
/// (lines of JSON in hour folders).
///
/// Files of the same name are replaced, other files stay. Memory grows with the products only.
///
/// # Errors
/// [`stage::Kind::Config`] when an option cannot be or a file cannot be made, [`stage::Kind::Unavailable`] when a file
/// cannot be written right now; the message names the file.
pub fn behavior(options: &BehaviorOptions, landing: &Path) -> Result<Summary> {
    let generator = Generator::new(options)?;
    let folder = landing.join("behavior");
    let product_count = generator.products.len() as u64;
    let mut summary = Summary { rows: options.rows, ..Summary::default() };
    summary.add(write_products(options.seed, product_count, &generator.visits.timeline, &folder.join("products"))?);
    let (written, customer_rows) = write_customers(
        options.seed,
        generator.visits.customers,
        &generator.visits.timeline,
        &folder.join("customers"),
    )?;
    summary.add(written);
    let mut files = hour_files(folder.join("events"));
    let mut line = Vec::with_capacity(512);
    for block in 0..options.rows.div_ceil(BLOCK) {
        let events = generator.visits.block(block);
        for event in events.iter().take((options.rows - block * BLOCK) as usize) {
            line.clear();
            generator.write_event(&mut line, event, &events, &mut summary);
            files.write(event.hour, &line)?;
        }
    }
    summary.add(files.finish()?);
    for (name, rows) in [("customers", customer_rows), ("products", product_count), ("events", options.rows)] {
        summary.tables.insert(format!("behavior/{name}"), rows);
    }
    Ok(summary)
}

impl Generator {
    fn new(options: &BehaviorOptions) -> Result<Self> {
        options.disorder.check()?;
        check_share("new_attribute_from", options.new_attribute_from)?;
        // Whole blocks, so that the last block has its time as well.
        let rows = options.rows.div_ceil(BLOCK) * BLOCK;
        let timeline = Timeline::new(options.seed, options.start, options.days, rows)?;
        let count = options.products.unwrap_or((options.rows / 500).clamp(20, 5_000)).max(1);
        let fates = Fates::new(options.seed, options.disorder, timeline.clone());
        let visits = Visits {
            seed: options.seed,
            customers: options.customers.unwrap_or(options.rows / 20).max(1),
            products: count,
            campaign_from: timeline.after(options.new_attribute_from),
            timeline,
            fates: fates.clone(),
        };
        let products = (0..count).map(|number| product(options.seed, number)).collect();
        Ok(Generator { seed: options.seed, products, visits, fates })
    }

    /// Appends the line that is sent in the place of `event` and counts it. Returns what it tells of: `event`, or one of
    /// `block` that is repeated.
    pub(crate) fn write_event<'a>(
        &self,
        line: &mut Vec<u8>,
        event: &'a Event,
        block: &'a [Event],
        summary: &mut Summary,
    ) -> &'a Event {
        let block_start = event.index / BLOCK * BLOCK;
        let fate = self.fates.of(event.index, block_start);
        summary.count(fate);
        let sent = match fate {
            Fate::Duplicate(original) => &block[(original - block_start) as usize],
            _ => event,
        };
        let fault = match fate {
            Fate::Bad(chosen) => Some(fault_of(chosen)),
            _ => None,
        };
        summary.new_attribute += u64::from(sent.campaign.is_some());
        self.push_event(line, sent, fault);
        if fault == Some(Fault::Truncated) {
            line.truncate(line.len() * 3 / 5);
            summary.truncated += 1;
        }
        line.push(b'\n');
        sent
    }

    fn push_event(&self, line: &mut Vec<u8>, event: &Event, fault: Option<Fault>) {
        line.extend_from_slice(b"{\"event_id\":");
        if fault == Some(Fault::Identifier) {
            line.extend_from_slice(b"null");
        } else {
            line.extend_from_slice(b"\"evt-");
            push_hex(line, Dice::new(self.seed, Purpose::Identifier, event.index).bits());
            line.push(b'"');
        }
        let action = if fault == Some(Fault::Price) { Action::Purchase } else { event.action };
        line.extend_from_slice(b",\"event_type\":");
        push_text(line, if fault == Some(Fault::Type) { "hover" } else { action.name() });
        line.extend_from_slice(b",\"customer_id\":");
        match fault {
            Some(Fault::Customer) => line.extend_from_slice(b"null"),
            _ => push_number(line, event.customer + 1),
        }
        line.extend_from_slice(b",\"product_id\":");
        push_number(line, event.product + 1);
        line.extend_from_slice(b",\"session_id\":\"ses-");
        push_hex(line, event.session);
        line.extend_from_slice(b"\",\"timestamp\":\"");
        match fault {
            Some(Fault::Time) => line.extend_from_slice(b"yesterday"),
            _ => push_time(line, event.time),
        }
        line.extend_from_slice(b"\",\"device\":");
        push_text(line, event.device);
        self.push_details(line, event, action, fault == Some(Fault::Price));
        if let Some(campaign) = event.campaign {
            line.extend_from_slice(b",\"campaign\":");
            push_text(line, campaign);
        }
        line.push(b'}');
    }

    /// Appends the fields that only some types of events have.
    fn push_details(&self, line: &mut Vec<u8>, event: &Event, action: Action, negative_price: bool) {
        let mut dice = Dice::new(self.seed, Purpose::Event, event.index);
        let product = &self.products[event.product as usize];
        match action {
            Action::PageView | Action::Click => {
                line.extend_from_slice(b",\"page_url\":\"/products/");
                push_number(line, event.product + 1);
                line.push(b'"');
            }
            Action::Purchase => {
                line.extend_from_slice(b",\"quantity\":");
                let quantity = [1, 1, 1, 1, 2, 2, 3, 5][dice.below(8) as usize];
                push_number(line, quantity);
                line.extend_from_slice(if negative_price { b",\"price\":-" } else { b",\"price\":" });
                push_amount(line, product.price);
            }
            Action::Review => {
                let opinion = product.rating as f64 / 10.0 + 1.1 * dice.normal();
                let rating = (opinion + 0.5).clamp(1.0, 5.0) as u64;
                line.extend_from_slice(b",\"rating\":");
                push_number(line, rating);
                line.extend_from_slice(b",\"review_text\":");
                push_text(line, &review(&mut dice, rating, &product.name));
            }
        }
    }
}

fn fault_of(chosen: u64) -> Fault {
    match chosen % 6 {
        0 => Fault::Time,
        1 => Fault::Customer,
        2 => Fault::Identifier,
        3 => Fault::Type,
        4 => Fault::Price,
        _ => Fault::Truncated,
    }
}

#[cfg(test)]
mod tests {
    use std::collections::{BTreeMap, BTreeSet};

    use serde_json::Value;
    use tempfile::TempDir;

    use super::*;
    use crate::testing::{contents, lines};

    fn options(rows: u64) -> BehaviorOptions {
        let disorder = Disorder { bad: 0.02, duplicate: 0.03, late: 0.02 };
        BehaviorOptions { rows, days: 6, disorder, ..BehaviorOptions::default() }
    }

    fn parsed(folder: &TempDir) -> Vec<(String, Value)> {
        lines(&folder.path().join("behavior/events"))
            .filter_map(|(path, line)| Some((path, serde_json::from_str(&line).ok()?)))
            .collect()
    }

    #[test]
    fn the_same_seed_gives_the_same_bytes() {
        let (first, second) = (TempDir::new().unwrap(), TempDir::new().unwrap());
        let summary = behavior(&options(3_000), first.path()).unwrap();
        assert_eq!(behavior(&options(3_000), second.path()).unwrap(), summary);
        assert_eq!(contents(first.path()), contents(second.path()));
        assert_eq!(summary.files, contents(first.path()).len() as u64);
    }

    #[test]
    fn keys_always_exist() {
        let folder = TempDir::new().unwrap();
        let summary = behavior(&options(5_000), folder.path()).unwrap();
        let customers: Vec<(String, String)> = lines(&folder.path().join("behavior/customers")).collect();
        let known: BTreeSet<u64> =
            customers.iter().filter_map(|(_, line)| line.split(',').next()?.parse().ok()).collect();
        let text = std::fs::read_to_string(folder.path().join("behavior/products/products-0.json")).unwrap();
        let products: Vec<Value> = serde_json::from_str(&text).unwrap();
        let sold: BTreeSet<u64> = products.iter().map(|product| product["product_id"].as_u64().unwrap()).collect();
        assert_eq!((known.len(), sold.len()), (250, 20));
        assert_eq!(summary.tables["behavior/customers"], customers.len() as u64 - 2);
        for (_, event) in parsed(&folder) {
            assert!(sold.contains(&event["product_id"].as_u64().unwrap()));
            assert!(event["customer_id"].is_null() || known.contains(&event["customer_id"].as_u64().unwrap()));
        }
    }

    #[test]
    fn every_row_is_accounted_for() {
        let folder = TempDir::new().unwrap();
        let summary = behavior(&options(5_000), folder.path()).unwrap();
        let events = parsed(&folder);
        assert_eq!(events.len() as u64 + summary.truncated, 5_000);
        let good = |event: &Value| {
            !event["event_id"].is_null()
                && !event["customer_id"].is_null()
                && event["timestamp"] != "yesterday"
                && event["event_type"] != "hover"
                && event["price"].as_f64().is_none_or(|price| price > 0.0)
        };
        let ids: BTreeSet<&str> = events
            .iter()
            .filter(|(_, event)| good(event))
            .map(|(_, event)| event["event_id"].as_str().unwrap())
            .collect();
        assert_eq!(ids.len() as u64, summary.rows - summary.bad - summary.duplicates);
        assert!((60..140).contains(&summary.bad) && (100..200).contains(&summary.duplicates), "{summary:?}");
    }

    #[test]
    fn events_lie_in_the_folder_of_their_hour_unless_they_are_late() {
        let folder = TempDir::new().unwrap();
        let summary = behavior(
            &BehaviorOptions { disorder: Disorder { late: 0.05, ..Disorder::NONE }, ..options(3_000) },
            folder.path(),
        )
        .unwrap();
        let elsewhere = parsed(&folder).into_iter().filter(|(path, event)| {
            let time = event["timestamp"].as_str().unwrap();
            !path.contains(&format!(
                "year={}/month={}/day={}/hour={}",
                &time[..4],
                &time[5..7],
                &time[8..10],
                &time[11..13]
            ))
        });
        assert_eq!(elsewhere.count() as u64, summary.late);
        assert!((100..200).contains(&summary.late));
    }

    #[test]
    fn sessions_go_from_views_to_clicks_to_purchases_to_reviews() {
        let folder = TempDir::new().unwrap();
        behavior(&BehaviorOptions { disorder: Disorder::NONE, ..options(20_000) }, folder.path()).unwrap();
        let mut counts: BTreeMap<String, u32> = BTreeMap::new();
        for (_, event) in parsed(&folder) {
            let kind = event["event_type"].as_str().unwrap().to_owned();
            assert_eq!(kind == "purchase", event["price"].is_number() && event["quantity"].is_number());
            assert_eq!(kind == "review", event["rating"].is_number() && event["review_text"].is_string());
            *counts.entry(kind).or_default() += 1;
        }
        assert!(counts["page_view"] > counts["click"] && counts["click"] > counts["purchase"]);
        assert!(counts["purchase"] > counts["review"] && counts["review"] > 100, "{counts:?}");
    }

    #[test]
    fn the_campaign_appears_midway() {
        let folder = TempDir::new().unwrap();
        let never = BehaviorOptions { new_attribute_from: 1.0, ..options(2_000) };
        assert_eq!(behavior(&never, folder.path()).unwrap().new_attribute, 0);
        let summary = behavior(&options(2_000), folder.path()).unwrap();
        assert!((800..1_150).contains(&summary.new_attribute), "{summary:?}");
    }
}
