//! Hand-checked times on the days on which clocks are set.

use super::{at, cron};

fn check(expression: &str, zone: &str, after: &str, expected: &[&str]) {
    let times: Vec<_> =
        cron(expression, zone).between(at(after), at("2199-01-01T00:00:00Z")).take(expected.len()).collect();
    let expected: Vec<_> = expected.iter().map(|time| at(time)).collect();
    assert_eq!(times, expected, "{expression} {zone}");
}

#[test]
fn a_time_of_day_that_is_skipped_fires_once_after_the_gap() {
    // 2025-03-30, 02:00 in Berlin becomes 03:00 at 01:00 UTC.
    let evening = "2025-03-29T12:00:00Z";
    let (gap_end, next_day) = ("2025-03-30T01:00:00Z", "2025-03-31T00:30:00Z");
    check("0 30 2 * * ?", "Europe/Berlin", evening, &[gap_end, next_day]);
    check("0 */15 2 * * ?", "Europe/Berlin", evening, &[gap_end, "2025-03-31T00:00:00Z"]);
    check("0 0 2,3 * * ?", "Europe/Berlin", evening, &[gap_end, "2025-03-31T00:00:00Z"]);
    // Clocks in Cairo skip midnight: 2025-04-25 begins at 01:00.
    check("0 0 0 * * ?", "Africa/Cairo", "2025-04-24T12:00:00Z", &["2025-04-24T22:00:00Z", "2025-04-25T21:00:00Z"]);
    // Samoa skipped a whole day, 2011-12-30.
    check("0 0 12 30 12 ?", "Pacific/Apia", "2011-12-29T00:00:00Z", &["2011-12-30T10:00:00Z", "2012-12-29T22:00:00Z"]);
}

#[test]
fn a_time_of_day_that_comes_twice_fires_the_first_time() {
    // 2025-10-26, 03:00 in Berlin becomes 02:00 at 01:00 UTC.
    check("0 30 2 * * ?", "Europe/Berlin", "2025-10-25T12:00:00Z", &["2025-10-26T00:30:00Z", "2025-10-27T01:30:00Z"]);
    check("0 30 2 * * ?", "Europe/Berlin", "2025-10-26T00:30:00Z", &["2025-10-27T01:30:00Z"]);
    check("0 0 */2 * * ?", "Europe/Berlin", "2025-10-25T22:00:00Z", &["2025-10-26T00:00:00Z", "2025-10-26T03:00:00Z"]);
}

#[test]
fn every_hour_is_every_real_hour() {
    check("0 0 * * * ?", "Europe/Berlin", "2025-03-30T00:00:00Z", &["2025-03-30T01:00:00Z", "2025-03-30T02:00:00Z"]);
    check("0 30 * * * ?", "Europe/Berlin", "2025-03-30T00:00:00Z", &["2025-03-30T00:30:00Z", "2025-03-30T01:30:00Z"]);
    check(
        "0 30 0-23 * * ?",
        "Europe/Berlin",
        "2025-10-26T00:00:00Z",
        &["2025-10-26T00:30:00Z", "2025-10-26T01:30:00Z", "2025-10-26T02:30:00Z"],
    );
    let day = |expression: &str, from: &str, until: &str| {
        cron(expression, "Europe/Berlin").between(at(from), at(until)).count()
    };
    assert_eq!(day("0 0 * * * ?", "2025-03-29T22:59:59Z", "2025-03-30T21:59:59Z"), 23);
    assert_eq!(day("0 0 * * * ?", "2025-10-25T21:59:59Z", "2025-10-26T22:59:59Z"), 25);
    assert_eq!(day("0 0 */2 * * ?", "2025-03-29T22:59:59Z", "2025-03-30T21:59:59Z"), 12);
    assert_eq!(day("0 0 */2 * * ?", "2025-10-25T21:59:59Z", "2025-10-26T22:59:59Z"), 12);
}

#[test]
fn lord_howe_is_set_by_half_an_hour() {
    // 2025-10-05, 02:00 becomes 02:30 at 15:30 UTC of the day before; 2025-04-06, 02:00 becomes 01:30 at 15:00 UTC.
    check(
        "0 15 2 * * ?",
        "Australia/Lord_Howe",
        "2025-10-04T12:00:00Z",
        &["2025-10-04T15:30:00Z", "2025-10-05T15:15:00Z"],
    );
    check(
        "0 45 1 * * ?",
        "Australia/Lord_Howe",
        "2025-04-05T12:00:00Z",
        &["2025-04-05T14:45:00Z", "2025-04-06T15:15:00Z"],
    );
    check(
        "0 45 * * * ?",
        "Australia/Lord_Howe",
        "2025-04-05T14:00:00Z",
        &["2025-04-05T14:45:00Z", "2025-04-05T15:15:00Z", "2025-04-05T16:15:00Z"],
    );
}
