//! Feature-flag evaluations and the conversions that follow some of them.
//!
//! A user keeps the same variation of a flag for good, and what a variation does to the conversion rate is fixed in
//! [`FLAGS`], so that a readout has something true to find.

use std::path::Path;

use chrono::NaiveDate;
use serde::{Deserialize, Serialize};
use stage::Result;

use crate::Summary;
use crate::chance::{Dice, Purpose};
use crate::clock::{HOUR, Timeline, hour_of, push_date, push_time};
use crate::disorder::{Disorder, Fate, Fates, check_share};
use crate::line::{push_number, push_text};
use crate::output::{Sequence, hour_files};

/// What `experiments` makes.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct ExperimentsOptions {
    /// Lines of events, bad and repeated ones included.
    pub rows: u64,
    /// The same seed gives the same bytes.
    pub seed: u64,
    /// The first day.
    pub start: NaiveDate,
    /// How many days the events are spread over.
    pub days: u32,
    /// Different users; by default a quarter of the rows, so that a user is seen about four times.
    pub users: Option<u64>,
    /// Shares of bad, repeated and late rows.
    pub disorder: Disorder,
    /// After this share of the time a new key `plan` appears in the evaluation context; 1 is never.
    pub new_attribute_from: f64,
}

impl Default for ExperimentsOptions {
    fn default() -> Self {
        ExperimentsOptions {
            rows: 100_000,
            seed: 42,
            start: crate::FIRST_DAY,
            days: 10,
            users: None,
            disorder: Disorder::default(),
            new_attribute_from: 0.5,
        }
    }
}

/// A flag and its true conversion rates.
struct Flag {
    key: &'static str,
    control: f64,
    treatment: f64,
}

/// The flags. Where both rates are equal, an honest readout finds no difference.
const FLAGS: [Flag; 8] = [
    Flag { key: "checkout-redesign", control: 0.08, treatment: 0.14 },
    Flag { key: "one-click-buy", control: 0.08, treatment: 0.12 },
    Flag { key: "free-shipping-banner", control: 0.08, treatment: 0.10 },
    Flag { key: "dark-mode", control: 0.08, treatment: 0.08 },
    Flag { key: "new-search-ranking", control: 0.08, treatment: 0.08 },
    Flag { key: "compact-header", control: 0.08, treatment: 0.08 },
    Flag { key: "mandatory-login", control: 0.08, treatment: 0.03 },
    Flag { key: "review-prompts", control: 0.08, treatment: 0.09 },
];

const VARIATIONS: [&str; 3] = ["control", "treatment", "holdout"];
const TIERS: [&str; 10] = ["free", "free", "free", "free", "free", "premium", "premium", "premium", "pro", ""];
const COUNTRIES: [&str; 12] = ["US", "US", "US", "DE", "DE", "FR", "IN", "IN", "BR", "CN", "JP", ""];
const PLANS: [&str; 3] = ["monthly", "annual", "trial"];

/// One evaluation of a flag.
struct Evaluation {
    time: i64,
    flag: &'static Flag,
    variation: usize,
    user: u64,
    reason: &'static str,
}

/// Makes everything that does not depend on where it is written.
struct Generator {
    seed: u64,
    users: u64,
    timeline: Timeline,
    fates: Fates,
    plan_from: i64,
}

/// Writes `landing/experiments` (events in hour folders) and `landing/experiments_conversions` (a file a day).
///
/// Files of the same name are replaced, other files stay. Memory does not grow with the rows.
///
/// # Errors
/// [`stage::Kind::Config`] when an option cannot be or a file cannot be made, [`stage::Kind::Unavailable`] when a file
/// cannot be written right now; the message names the file.
pub fn experiments(options: &ExperimentsOptions, landing: &Path) -> Result<Summary> {
    let generator = Generator::new(options)?;
    let mut events = hour_files(landing.join("experiments"));
    let conversions_folder = landing.join("experiments_conversions");
    let mut conversions =
        Sequence::new(|day| (conversions_folder.clone(), format!("conversions-{}.json", day_name(day))));
    let mut summary = Summary { rows: options.rows, ..Summary::default() };
    let mut conversion_count = 0;
    let mut line = Vec::with_capacity(512);
    for index in 0..options.rows {
        let fate = generator.fates.of(index, 0);
        let hour = hour_of(generator.timeline.at(index));
        line.clear();
        generator.write_event(index, fate, &mut line, &mut summary);
        events.write(hour, &line)?;
        line.clear();
        if generator.write_conversion(index, fate, &mut line) {
            conversion_count += 1;
            conversions.write(hour.div_euclid(24), &line)?;
        }
    }
    summary.add(events.finish()?);
    summary.add(conversions.finish()?);
    summary.tables.insert("experiments".to_owned(), options.rows);
    summary.tables.insert("experiments_conversions".to_owned(), conversion_count);
    Ok(summary)
}

impl Generator {
    fn new(options: &ExperimentsOptions) -> Result<Self> {
        options.disorder.check()?;
        check_share("new_attribute_from", options.new_attribute_from)?;
        let timeline = Timeline::new(options.seed, options.start, options.days, options.rows)?;
        Ok(Generator {
            seed: options.seed,
            users: options.users.unwrap_or(options.rows / 4).max(1),
            plan_from: timeline.after(options.new_attribute_from),
            fates: Fates::new(options.seed, options.disorder, timeline.clone()),
            timeline,
        })
    }

    /// What row `index` says when it is neither bad nor a repetition.
    fn evaluation(&self, index: u64) -> Evaluation {
        let mut dice = Dice::new(self.seed, Purpose::Event, index);
        let user = dice.below(self.users);
        let flag = dice.below(FLAGS.len() as u64);
        let reason = match dice.below(20) {
            0 => "TARGET_MATCH",
            1..=6 => "RULE_MATCH",
            _ => "FALLTHROUGH",
        };
        let mut assignment = Dice::new(self.seed, Purpose::Assignment, user * FLAGS.len() as u64 + flag);
        let variation = match assignment.below(10) {
            0..=3 => 0,
            4..=7 => 1,
            _ => 2,
        };
        let time = self.timeline.at(index) - self.fates.lateness(index);
        Evaluation { time, flag: &FLAGS[flag as usize], variation, user, reason }
    }

    fn write_event(&self, index: u64, fate: Fate, line: &mut Vec<u8>, summary: &mut Summary) {
        let event = match fate {
            Fate::Duplicate(original) => self.evaluation(original),
            _ => self.evaluation(index),
        };
        let fault = match fate {
            Fate::Bad(chosen) => Some(chosen % 4),
            _ => None,
        };
        summary.count(fate);
        let has_plan = event.time >= self.plan_from;
        summary.new_attribute += u64::from(has_plan);
        write_evaluation(line, &event, fault, has_plan.then(|| self.plan(event.user)));
        if fault == Some(3) {
            line.truncate(line.len() * 3 / 5);
            summary.truncated += 1;
        }
        line.push(b'\n');
    }

    /// Writes the conversion that follows row `index`, if one does.
    fn write_conversion(&self, index: u64, fate: Fate, line: &mut Vec<u8>) -> bool {
        if !matches!(fate, Fate::Plain | Fate::Late(_)) {
            return false;
        }
        let event = self.evaluation(index);
        let mut dice = Dice::new(self.seed, Purpose::Conversion, index);
        let rate = if event.variation == 1 { event.flag.treatment } else { event.flag.control };
        if !dice.happens(rate) {
            return false;
        }
        let delay = 60_000_000 + dice.below(12 * HOUR as u64) as i64;
        line.extend_from_slice(b"{\"user_key\":\"user-");
        push_number(line, event.user);
        line.extend_from_slice(b"\",\"conversion_timestamp\":\"");
        push_time(line, event.time + delay);
        line.extend_from_slice(b"\"}\n");
        true
    }

    fn plan(&self, user: u64) -> &'static str {
        PLANS[Dice::new(self.seed, Purpose::Plan, user).below(3) as usize]
    }
}

/// Appends one event without its line break. Faults 0 to 2 spoil the time, the flag and the user.
fn write_evaluation(line: &mut Vec<u8>, event: &Evaluation, fault: Option<u64>, plan: Option<&str>) {
    line.extend_from_slice(b"{\"timestamp\":\"");
    match fault {
        Some(0) => line.extend_from_slice(b"not-a-time"),
        _ => push_time(line, event.time),
    }
    line.extend_from_slice(b"\",\"flag_key\":");
    push_text(line, if fault == Some(1) { "" } else { event.flag.key });
    line.extend_from_slice(b",\"evaluation_context\":{\"key\":");
    if fault == Some(2) {
        line.extend_from_slice(b"null");
    } else {
        line.extend_from_slice(b"\"user-");
        push_number(line, event.user);
        line.push(b'"');
    }
    // The seed has no say here: a user looks the same in every data set.
    let mut user = Dice::new(0, Purpose::User, event.user);
    line.extend_from_slice(b",\"kind\":\"user\",\"tier\":");
    push_text(line, user.pick(&TIERS));
    line.extend_from_slice(b",\"country\":");
    push_text(line, user.pick(&COUNTRIES));
    if let Some(plan) = plan {
        line.extend_from_slice(b",\"plan\":");
        push_text(line, plan);
    }
    line.extend_from_slice(b"},\"flag_value\":");
    push_text(line, VARIATIONS[event.variation]);
    line.extend_from_slice(b",\"variation_index\":");
    push_number(line, event.variation as u64);
    line.extend_from_slice(b",\"reason_kind\":");
    push_text(line, event.reason);
    line.extend_from_slice(b",\"metadata\":{\"source\":\"launchdarkly-python-hook\",\"version\":\"1.0\"}}");
}

fn day_name(day: i64) -> String {
    let mut name = Vec::new();
    push_date(&mut name, day * 24 * HOUR);
    String::from_utf8(name).unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use std::collections::{BTreeMap, BTreeSet};

    use serde_json::Value;

    use super::*;
    use crate::testing::{contents, lines};
    use tempfile::TempDir;

    fn options(rows: u64) -> ExperimentsOptions {
        let disorder = Disorder { bad: 0.02, duplicate: 0.03, late: 0.02 };
        ExperimentsOptions { rows, days: 4, disorder, ..ExperimentsOptions::default() }
    }

    #[test]
    fn the_same_seed_gives_the_same_bytes_and_another_seed_does_not() {
        let (first, second, other) = (TempDir::new().unwrap(), TempDir::new().unwrap(), TempDir::new().unwrap());
        let summary = experiments(&options(3_000), first.path()).unwrap();
        assert_eq!(experiments(&options(3_000), second.path()).unwrap(), summary);
        experiments(&ExperimentsOptions { seed: 43, ..options(3_000) }, other.path()).unwrap();
        assert_eq!(contents(first.path()), contents(second.path()));
        assert_ne!(contents(first.path()), contents(other.path()));
        assert_eq!(summary.bytes, contents(first.path()).values().map(|bytes| bytes.len() as u64).sum::<u64>());
    }

    #[test]
    fn the_bytes_are_fixed_for_all_time() {
        let folder = TempDir::new().unwrap();
        experiments(&options(10), folder.path()).unwrap();
        let (_, first) = lines(&folder.path().join("experiments")).next().unwrap();
        assert_eq!(
            first,
            concat!(
                r#"{"timestamp":"2024-01-01T09:57:56.137102+00:00","flag_key":"review-prompts","#,
                r#""evaluation_context":{"key":"user-0","kind":"user","tier":"premium","country":"DE"},"#,
                r#""flag_value":"treatment","variation_index":1,"reason_kind":"RULE_MATCH","#,
                r#""metadata":{"source":"launchdarkly-python-hook","version":"1.0"}}"#
            )
        );
    }

    #[test]
    fn every_line_has_the_shape_of_the_flag_client_or_is_counted_as_truncated() {
        let folder = TempDir::new().unwrap();
        let summary = experiments(&options(5_000), folder.path()).unwrap();
        let (mut read, mut broken, mut plans) = (0, 0, 0);
        for (path, line) in lines(&folder.path().join("experiments")) {
            assert!(path.contains("year=2024/month=01/day=0") && path.ends_with("/events-0.json"), "{path}");
            read += 1;
            let Ok(event) = serde_json::from_str::<Value>(&line) else {
                broken += 1;
                continue;
            };
            let keys: Vec<&String> = event.as_object().unwrap().keys().collect();
            assert_eq!(
                keys,
                [
                    "timestamp",
                    "flag_key",
                    "evaluation_context",
                    "flag_value",
                    "variation_index",
                    "reason_kind",
                    "metadata"
                ]
            );
            plans += u64::from(event["evaluation_context"].get("plan").is_some());
        }
        assert_eq!((read, broken), (5_000, summary.truncated));
        assert!((60..140).contains(&summary.bad) && (100..200).contains(&summary.duplicates), "{summary:?}");
        assert!((60..140).contains(&summary.late) && summary.truncated > 5, "{summary:?}");
        assert!(plans + summary.truncated >= summary.new_attribute && (2_000..3_000).contains(&plans));
    }

    #[test]
    fn cleaning_leaves_exactly_the_rows_that_are_neither_bad_nor_repeated() {
        let folder = TempDir::new().unwrap();
        let summary = experiments(&options(5_000), folder.path()).unwrap();
        let keys: BTreeSet<String> = lines(&folder.path().join("experiments"))
            .filter_map(|(_, line)| serde_json::from_str::<Value>(&line).ok())
            .filter(|event| event["timestamp"] != "not-a-time" && !event["flag_key"].is_null())
            .filter(|event| !event["evaluation_context"]["key"].is_null())
            .map(|event| format!("{} {} {}", event["timestamp"], event["flag_key"], event["evaluation_context"]["key"]))
            .collect();
        assert_eq!(keys.len() as u64, summary.rows - summary.bad - summary.duplicates);
    }

    #[test]
    fn a_user_keeps_the_variation_and_treatments_work_as_they_should() {
        let generator = Generator::new(&ExperimentsOptions { rows: 60_000, ..options(0) }).unwrap();
        let mut seen: BTreeMap<(&str, u64), usize> = BTreeMap::new();
        let mut rates: BTreeMap<(&str, usize), (u32, u32)> = BTreeMap::new();
        for index in 0..60_000 {
            let event = generator.evaluation(index);
            assert_eq!(*seen.entry((event.flag.key, event.user)).or_insert(event.variation), event.variation);
            let rate = rates.entry((event.flag.key, event.variation)).or_default();
            rate.0 += u32::from(generator.write_conversion(index, Fate::Plain, &mut Vec::new()));
            rate.1 += 1;
        }
        let rate = |flag, variation| f64::from(rates[&(flag, variation)].0) / f64::from(rates[&(flag, variation)].1);
        assert!(rate("checkout-redesign", 1) > 1.5 * rate("checkout-redesign", 0));
        assert!(rate("mandatory-login", 1) < 0.6 * rate("mandatory-login", 0));
        assert!((rate("dark-mode", 1) - rate("dark-mode", 0)).abs() < 0.02);
    }

    #[test]
    fn conversions_follow_exposures_of_users_that_exist() {
        let folder = TempDir::new().unwrap();
        let summary = experiments(&options(4_000), folder.path()).unwrap();
        let rows: Vec<(String, String)> = lines(&folder.path().join("experiments_conversions")).collect();
        assert_eq!(rows.len() as u64, summary.tables["experiments_conversions"]);
        for (path, line) in &rows {
            let conversion: Value = serde_json::from_str(line).unwrap();
            let user: u64 = conversion["user_key"].as_str().unwrap()["user-".len()..].parse().unwrap();
            assert!(path.contains("conversions-2024-01-0") && user < 1_000);
        }
    }

    #[test]
    fn a_file_in_the_way_is_named() {
        let folder = TempDir::new().unwrap();
        std::fs::write(folder.path().join("experiments"), "").unwrap();
        let error = experiments(&options(10), folder.path()).unwrap_err();
        assert!(error.message().contains("experiments/year=2024"), "{error}");
    }
}
