//! What goes wrong in real data, in measured doses: bad rows, rows sent twice, rows that come late.

use serde::{Deserialize, Serialize};
use stage::{Error, Result};

use crate::chance::{Dice, Purpose};
use crate::clock::{HOUR, Timeline};

/// How far back a row may lie that is sent again.
const REACH: u64 = 40;
/// How late a row may be at most.
const LATEST: i64 = 72 * HOUR;

/// The shares of rows that are not as they should be, each from 0 to 1. A row has at most one fault.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Disorder {
    /// Rows no table should take: an unreadable time, a missing key, half a line and the like.
    pub bad: f64,
    /// Rows that were sent before, with the same key.
    pub duplicate: f64,
    /// Rows whose time is older than the hour folder they lie in, by an hour to three days; never in the first two hours.
    pub late: f64,
}

impl Default for Disorder {
    fn default() -> Self {
        Disorder { bad: 0.005, duplicate: 0.01, late: 0.005 }
    }
}

impl Disorder {
    /// No disorder at all.
    pub const NONE: Disorder = Disorder { bad: 0.0, duplicate: 0.0, late: 0.0 };

    pub(crate) fn check(&self) -> Result<()> {
        let shares = [("bad", self.bad), ("duplicate", self.duplicate), ("late", self.late)];
        for (name, share) in shares {
            check_share(name, share)?;
        }
        let sum = self.bad + self.duplicate + self.late;
        if sum > 1.0 {
            return Err(Error::config(format!(
                "could not generate rows: the shares of bad, duplicate and late rows add up to {sum}; together they may be at most 1"
            )));
        }
        Ok(())
    }
}

/// Refuses a share outside 0 to 1.
pub(crate) fn check_share(name: &str, share: f64) -> Result<()> {
    if (0.0..=1.0).contains(&share) {
        return Ok(());
    }
    Err(Error::config(format!("could not generate rows: the share `{name}` is {share}; give a number from 0 to 1")))
}

/// What becomes of one row.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Fate {
    Plain,
    /// The row is spoilt; the number chooses how.
    Bad(u64),
    /// The row is sent instead of a new one, again. The number is that of a plain or late row before it.
    Duplicate(u64),
    /// The row is this many microseconds older than its folder.
    Late(i64),
}

/// The fates of all rows of one seed.
#[derive(Debug, Clone)]
pub(crate) struct Fates {
    seed: u64,
    disorder: Disorder,
    /// When rows happen; `None` where time began long before the first of them.
    timeline: Option<Timeline>,
}

impl Fates {
    pub(crate) fn new(seed: u64, disorder: Disorder, timeline: Timeline) -> Self {
        Fates { seed, disorder, timeline: Some(timeline) }
    }

    /// Fates of rows before which there was time enough for any of them to be late.
    pub(crate) fn of_live(seed: u64, disorder: Disorder) -> Self {
        Fates { seed, disorder, timeline: None }
    }

    /// The fate of row `index`. A duplicate repeats no row before `earliest`; where there is none to repeat, the row is plain.
    pub(crate) fn of(&self, index: u64, earliest: u64) -> Fate {
        let mut dice = Dice::new(self.seed, Purpose::Disorder, index);
        let Disorder { bad, duplicate, late } = self.disorder;
        let chance = dice.unit();
        if chance < bad {
            Fate::Bad(dice.bits())
        } else if chance < bad + duplicate {
            let nearest = index.saturating_sub(1 + dice.below(REACH)).max(earliest);
            let original =
                (earliest..=nearest).rev().take(REACH as usize).find(|other| *other < index && self.keeps(*other));
            original.map_or(Fate::Plain, Fate::Duplicate)
        } else if chance < bad + duplicate + late {
            self.late(index, &mut dice)
        } else {
            Fate::Plain
        }
    }

    /// A late row's delay: at most half of the time that has passed, so that no row lies before the first day.
    fn late(&self, index: u64, dice: &mut Dice) -> Fate {
        let passed = self.timeline.as_ref().map(|timeline| timeline.at(index) - timeline.after(0.0));
        let longest = passed.map_or(LATEST, |passed| (passed / 2).min(LATEST));
        if longest <= HOUR {
            return Fate::Plain;
        }
        Fate::Late(HOUR + dice.below((longest - HOUR) as u64) as i64)
    }

    /// How much older than its folder row `index` is, in microseconds.
    pub(crate) fn lateness(&self, index: u64) -> i64 {
        match self.of(index, index) {
            Fate::Late(delay) => delay,
            _ => 0,
        }
    }

    /// Whether row `index` is one of its own, good to be repeated.
    fn keeps(&self, index: u64) -> bool {
        let chance = Dice::new(self.seed, Purpose::Disorder, index).unit();
        chance >= self.disorder.bad + self.disorder.duplicate
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn fates(seed: u64, disorder: Disorder) -> Fates {
        let timeline = Timeline::new(seed, crate::FIRST_DAY, 10, 20_000).unwrap();
        Fates::new(seed, disorder, timeline)
    }

    #[test]
    fn fates_come_in_the_shares_that_were_asked_for() {
        let fates = fates(5, Disorder { bad: 0.1, duplicate: 0.2, late: 0.05 });
        let (mut bad, mut duplicate, mut late) = (0, 0, 0);
        for index in 0..20_000 {
            match fates.of(index, 0) {
                Fate::Bad(_) => bad += 1,
                Fate::Duplicate(_) => duplicate += 1,
                Fate::Late(_) => late += 1,
                Fate::Plain => {}
            }
        }
        assert!((1_800..2_200).contains(&bad), "{bad}");
        assert!((3_800..4_200).contains(&duplicate), "{duplicate}");
        assert!((850..1_150).contains(&late), "{late}");
    }

    #[test]
    fn a_duplicate_repeats_an_earlier_row_that_was_really_sent() {
        let fates = fates(6, Disorder { bad: 0.3, duplicate: 0.3, late: 0.1 });
        for index in 0..5_000 {
            if let Fate::Duplicate(original) = fates.of(index, index / 64 * 64) {
                assert!(original < index && original >= index / 64 * 64);
                assert!(matches!(fates.of(original, 0), Fate::Plain | Fate::Late(_)));
            }
        }
    }

    #[test]
    fn shares_that_cannot_be_are_refused() {
        assert!(Disorder { bad: -0.1, ..Disorder::NONE }.check().is_err());
        assert!(Disorder { bad: f64::NAN, ..Disorder::NONE }.check().is_err());
        assert!(Disorder { bad: 0.6, duplicate: 0.6, late: 0.0 }.check().is_err());
        assert!(Disorder::default().check().is_ok());
    }
}
