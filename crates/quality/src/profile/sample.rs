//! Which rows of a batch the sketches that cost most are told from.
//!
//! A worker's first rows count all; from then on one row of each run of 32, chosen by chance, stands for all of them.
//! Counts, bounds, means and distinct values are always those of every row.

/// Rows of one worker after which a sample is enough.
const ALL_OF: u64 = 1 << 13;
/// A row of the sample stands for 2^5 rows.
const LEVEL: usize = 5;

/// The chosen rows of one batch, each of which stands for 2^`level` rows.
#[derive(Debug, Default)]
pub(crate) struct Sample {
    pub(crate) rows: Vec<usize>,
    pub(crate) level: usize,
    seen: u64,
    chance: u64,
}

impl Sample {
    /// Chooses rows of the next batch.
    pub(crate) fn choose(&mut self, rows: usize) {
        self.rows.clear();
        let is_all = self.seen < ALL_OF;
        self.seen += rows as u64;
        if is_all {
            self.level = 0;
            self.rows.extend(0..rows);
            return;
        }
        self.level = LEVEL;
        let step = 1 << LEVEL;
        for first in (0..rows).step_by(step) {
            self.chance = self.chance.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
            let row = first + (self.chance >> (u64::BITS as usize - LEVEL)) as usize;
            // The last run may be shorter; its row then counts by chance, or not at all.
            if row < rows {
                self.rows.push(row);
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_first_rows_are_all_taken_and_then_one_in_32() {
        let mut sample = Sample::default();
        sample.choose(1 << 13);
        assert_eq!((sample.rows.len(), sample.level), (1 << 13, 0));
        sample.choose(32_000);
        assert_eq!((sample.rows.len(), sample.level), (1_000, 5));
        assert!(sample.rows.iter().enumerate().all(|(run, row)| row / 32 == run));
    }

    #[test]
    fn runs_that_are_cut_short_count_as_much_as_they_have_rows() {
        let mut sample = Sample { seen: ALL_OF, ..Sample::default() };
        let mut counted = 0;
        for _ in 0..8_000 {
            sample.choose(12);
            counted += sample.rows.len() * 32;
        }
        assert!((counted as f64 / 96_000.0 - 1.0).abs() < 0.05, "{counted}");
    }
}
