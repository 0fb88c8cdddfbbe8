//! Which files are worth being written together. Pure: files and settings in, bundles out.
//!
//! Files of one partition are bundled up to the size aimed at. A file joins only files that together are about as large,
//! so a row is not written again with every handful of new ones: how often it moves grows with the logarithm of the table.

use std::collections::{BTreeMap, HashMap};
use std::time::Duration;

use deltalake::kernel::Add;

/// A file larger than this share of the size aimed at stays as it is.
const SMALL_SHARE: f64 = 0.75;
/// How much larger than all smaller files together a file may be to be written again with them.
const LARGER_BY: u64 = 2;

/// What makes files worth being written together.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct CompactionSettings {
    /// Bytes a file should have.
    pub target_file_size: u64,
    /// How many files it takes.
    pub minimum_files: usize,
    /// Younger files are left alone: their partition is hot, and writers may be about to replace them.
    pub minimum_age: Duration,
}

/// Files of one partition that become one file, oldest first.
#[derive(Debug, Clone)]
pub(super) struct Bundle {
    pub(super) files: Vec<Add>,
}

impl Bundle {
    pub(super) fn bytes(&self) -> u64 {
        self.files.iter().map(bytes).sum()
    }

    /// What all its files have in the partition columns.
    pub(super) fn partition_values(&self) -> HashMap<String, Option<String>> {
        self.files.first().map(|file| file.partition_values.clone()).unwrap_or_default()
    }
}

/// The bundles that are worth it among the active files of a table.
pub(super) fn plan(files: Vec<Add>, settings: &CompactionSettings, now_millis: i64) -> Vec<Bundle> {
    let minimum_age = i64::try_from(settings.minimum_age.as_millis()).unwrap_or(i64::MAX);
    let newest = now_millis.saturating_sub(minimum_age);
    let small = (settings.target_file_size as f64 * SMALL_SHARE) as u64;
    let mut partitions: BTreeMap<BTreeMap<String, Option<String>>, Vec<Add>> = BTreeMap::new();
    for file in files {
        // Rows that are deleted by a vector beside the file cannot be left out by reading the file alone.
        let is_plain = file.deletion_vector.is_none();
        if is_plain && bytes(&file) <= small && file.modification_time <= newest {
            let partition = file.partition_values.clone().into_iter().collect();
            partitions.entry(partition).or_default().push(file);
        }
    }
    partitions.into_values().flat_map(|files| pack(files, settings)).collect()
}

/// Fills one bundle after the other, in the order in which the files were written, so that rows stay near their
/// neighbours.
fn pack(mut files: Vec<Add>, settings: &CompactionSettings) -> Vec<Bundle> {
    files.sort_by(|one, other| (one.modification_time, &one.path).cmp(&(other.modification_time, &other.path)));
    let mut bundles = Vec::new();
    let mut bundle = Bundle { files: Vec::new() };
    let mut filled = 0;
    for file in files {
        filled += bytes(&file);
        if filled > settings.target_file_size {
            filled = bytes(&file);
            bundles.push(std::mem::replace(&mut bundle, Bundle { files: Vec::new() }));
        }
        bundle.files.push(file);
    }
    bundles.push(bundle);
    bundles.iter_mut().for_each(leave_large);
    bundles.retain(|bundle| bundle.files.len() >= settings.minimum_files.max(2));
    bundles
}

/// Takes those files out of a bundle that are much larger than all that would join them.
fn leave_large(bundle: &mut Bundle) {
    loop {
        let Some(largest) = bundle.files.iter().map(bytes).max() else { return };
        let others = bundle.bytes() - largest;
        if largest <= others.saturating_mul(LARGER_BY) {
            return;
        }
        bundle.files.retain(|file| bytes(file) != largest);
    }
}

fn bytes(file: &Add) -> u64 {
    file.size.unsigned_abs()
}

#[cfg(test)]
mod tests {
    use super::*;

    const SETTINGS: CompactionSettings =
        CompactionSettings { target_file_size: 1000, minimum_files: 4, minimum_age: Duration::from_millis(100) };

    fn file(path: &str, partition: &str, size: i64, modification_time: i64) -> Add {
        Add {
            path: path.into(),
            partition_values: HashMap::from([("day".into(), Some(partition.into()))]),
            size,
            modification_time,
            data_change: true,
            ..serde_json::from_value(serde_json::json!({
                "path": "", "partitionValues": {}, "size": 0, "modificationTime": 0, "dataChange": true
            }))
            .unwrap()
        }
    }

    fn paths(bundles: &[Bundle]) -> Vec<Vec<&str>> {
        bundles.iter().map(|bundle| bundle.files.iter().map(|file| file.path.as_str()).collect()).collect()
    }

    #[test]
    fn small_files_of_a_partition_are_bundled_in_the_order_they_were_written() {
        let files: Vec<Add> = (0..4).map(|n| file(&format!("a{n}"), "1", 10 + n, 40 - n)).collect();
        let other = file("b", "2", 10, 0);
        let planned = plan(files.into_iter().chain([other]).collect(), &SETTINGS, 1000);
        assert_eq!(paths(&planned), [["a3", "a2", "a1", "a0"]]);
    }

    #[test]
    fn young_large_and_few_files_are_left_alone() {
        let young = (0..9).map(|n| file(&format!("y{n}"), "1", 10, 950)).collect();
        assert!(plan(young, &SETTINGS, 1000).is_empty());
        let large = (0..9).map(|n| file(&format!("l{n}"), "1", 751, 0)).collect();
        assert!(plan(large, &SETTINGS, 1000).is_empty());
        let few = (0..3).map(|n| file(&format!("f{n}"), "1", 10, 0)).collect();
        assert!(plan(few, &SETTINGS, 1000).is_empty());
    }

    #[test]
    fn bundles_hold_at_most_the_size_aimed_at() {
        let files: Vec<Add> = (0..25).map(|n| file(&format!("{n:02}"), "1", 100, n)).collect();
        let planned = plan(files, &SETTINGS, 1000);
        assert_eq!(planned.iter().map(|bundle| bundle.files.len()).collect::<Vec<_>>(), [10, 10, 5]);
    }

    #[test]
    fn a_large_file_waits_until_as_much_has_come() {
        let with = |count: i64| {
            let small = (0..count).map(|n| file(&format!("s{n}"), "1", 10, n));
            plan(small.chain([file("large", "1", 500, 0)]).collect(), &SETTINGS, 1000)
        };
        assert_eq!(with(10)[0].files.len(), 10);
        assert_eq!(with(25)[0].files.len(), 26);
    }

    #[test]
    fn the_number_of_files_stays_small_and_rows_move_rarely() {
        let mut files: Vec<Add> = Vec::new();
        let mut moved = 0;
        for now in 0..5000 {
            files.push(file(&format!("{now}"), "1", 1, now));
            for bundle in plan(files.clone(), &CompactionSettings { minimum_age: Duration::ZERO, ..SETTINGS }, now) {
                moved += bundle.bytes();
                files.retain(|file| bundle.files.iter().all(|gone| gone.path != file.path));
                files.push(file(&format!("c{now}"), "1", bundle.bytes() as i64, now));
            }
        }
        assert!(files.len() < 30, "{} files", files.len());
        assert!(moved < 5000 * 20, "{moved} bytes moved");
    }
}
