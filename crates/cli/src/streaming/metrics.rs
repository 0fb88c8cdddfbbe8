//! The figures of a stream in the text format of Prometheus.

use std::collections::BTreeMap;
use std::fmt::Write as _;

use workflow::stream::{Histogram, StreamStatus, TableState, TableStatus};

use crate::memory::resident_bytes;

/// What a scrape of `/metrics` reads.
pub(super) fn text(status: &StreamStatus) -> String {
    let tables = status.tables();
    let mut page = Page { text: String::new(), tables: &tables };
    page.counts();
    page.commits();
    page.positions();
    page.health();
    if let Some(bytes) = resident_bytes() {
        page.family("process_resident_memory_bytes", "gauge", "Memory of the process that is in RAM");
        page.sample("process_resident_memory_bytes", &[], bytes);
    }
    page.text
}

struct Page<'a> {
    text: String,
    tables: &'a [TableStatus],
}

impl Page<'_> {
    fn counts(&mut self) {
        self.counter("medallion_rows_read_total", "Rows read from the source", |table| table.progress.rows_read);
        self.counter("medallion_rows_written_total", "Rows committed", |table| table.progress.rows_written);
        let quarantined = "Rows kept in quarantine";
        self.counter("medallion_rows_quarantined_total", quarantined, |table| table.progress.rows_quarantined);
        let dropped = "Rows left out on purpose, duplicates included";
        self.counter("medallion_rows_dropped_total", dropped, |table| table.progress.rows_dropped);
        self.counter("medallion_bytes_read_total", "Bytes read from the source", |table| table.progress.bytes_read);
        self.counter("medallion_batches_total", "Batches committed", |table| table.batches);
        let rejects = "Rows that a rule rejected";
        self.rules("medallion_rejects_total", rejects, |table| &table.progress.rejects);
        let warnings = "Rows that violated a rule which only warns";
        self.rules("medallion_warnings_total", warnings, |table| &table.progress.warnings);
    }

    fn commits(&mut self) {
        let seconds = "Seconds from the start of a batch to its commit";
        self.histogram("medallion_commit_seconds", seconds, |table| &table.commit_seconds);
        let delays = "Seconds from the newest event of a batch to the commit that brought it";
        self.histogram("medallion_end_to_end_seconds", delays, |table| &table.end_to_end_seconds);
        self.gauge("medallion_last_commit_timestamp_seconds", "When the last batch was committed", |table| {
            table.last_commit.map(|commit| commit.at.timestamp_millis() as f64 / 1000.0)
        });
        self.gauge("medallion_version", "The version of the last commit", |table| {
            table.last_commit.map(|commit| commit.version as f64)
        });
    }

    fn positions(&mut self) {
        let name = "medallion_lag_rows";
        self.family(name, "gauge", "Rows of a partition of the source that are not read yet");
        for status in self.tables {
            let table = status.table.to_string();
            for (partition, rows) in &status.lag {
                self.sample(name, &[("table", &table), ("partition", partition)], rows);
            }
        }
        self.gauge("medallion_event_timestamp_seconds", "The event time of the newest row", |table| {
            table.event_time.map(|time| time.timestamp_millis() as f64 / 1000.0)
        });
        let delay = "Seconds from the newest event to the commit that brought it";
        self.gauge("medallion_delay_seconds", delay, |table| table.delay_seconds);
    }

    fn health(&mut self) {
        let name = "medallion_table_state";
        self.family(name, "gauge", "1 for the state that a table is in");
        for status in self.tables {
            let table = status.table.to_string();
            for state in TableState::ALL {
                let is_in = u8::from(status.state == state);
                self.sample(name, &[("table", &table), ("state", state.name())], is_in);
            }
        }
        self.counter("medallion_failures_total", "Failures, those included that passed", |table| table.failures);
        let consecutive = "Failures since a table last went well";
        self.gauge("medallion_consecutive_failures", consecutive, |table| Some(f64::from(table.consecutive_failures)));
    }

    fn counter(&mut self, name: &str, help: &str, value: impl Fn(&TableStatus) -> u64) {
        self.family(name, "counter", help);
        for table in self.tables {
            self.sample(name, &[("table", &table.table.to_string())], value(table));
        }
    }

    /// A figure that not every table has.
    fn gauge(&mut self, name: &str, help: &str, value: impl Fn(&TableStatus) -> Option<f64>) {
        self.family(name, "gauge", help);
        for table in self.tables {
            if let Some(value) = value(table) {
                self.sample(name, &[("table", &table.table.to_string())], value);
            }
        }
    }

    /// Buckets are cumulative: each counts what the smaller ones count too.
    fn histogram(&mut self, name: &str, help: &str, value: impl Fn(&TableStatus) -> &Histogram) {
        self.family(name, "histogram", help);
        let bucket = format!("{name}_bucket");
        for status in self.tables {
            let (table, histogram) = (status.table.to_string(), value(status));
            for (bound, count) in histogram.cumulative() {
                self.sample(&bucket, &[("table", &table), ("le", &bound.to_string())], count);
            }
            self.sample(&bucket, &[("table", &table), ("le", "+Inf")], histogram.count());
            self.sample(&format!("{name}_sum"), &[("table", &table)], histogram.sum());
            self.sample(&format!("{name}_count"), &[("table", &table)], histogram.count());
        }
    }

    fn rules(&mut self, name: &str, help: &str, rules: impl Fn(&TableStatus) -> &BTreeMap<String, u64>) {
        self.family(name, "counter", help);
        for table in self.tables {
            for (rule, rows) in rules(table) {
                self.sample(name, &[("table", &table.table.to_string()), ("rule", rule)], rows);
            }
        }
    }

    fn family(&mut self, name: &str, kind: &str, help: &str) {
        // Writing into memory cannot fail.
        let _ = write!(self.text, "# HELP {name} {help}\n# TYPE {name} {kind}\n");
    }

    fn sample(&mut self, name: &str, labels: &[(&str, &str)], value: impl std::fmt::Display) {
        let labels: Vec<String> = labels.iter().map(|(name, value)| format!("{name}=\"{}\"", escaped(value))).collect();
        let _ = match labels.is_empty() {
            true => writeln!(self.text, "{name} {value}"),
            false => writeln!(self.text, "{name}{{{}}} {value}", labels.join(",")),
        };
    }
}

fn escaped(value: &str) -> String {
    value.replace('\\', "\\\\").replace('"', "\\\"").replace('\n', "\\n")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_label_cannot_break_out_of_its_quotes() {
        assert_eq!(escaped("a \"b\" \\ c\nd"), "a \\\"b\\\" \\\\ c\\nd");
    }
}
