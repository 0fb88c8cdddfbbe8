//! What somebody is told who wrote a schedule that is none.

use super::super::{Cron, FileArrival, Pace, Periodic, PeriodicUnit, TableUpdate};

fn refusal(expression: &str) -> String {
    Cron::new(expression, "UTC").unwrap_err()
}

#[test]
fn a_message_names_the_field_what_was_found_and_what_is_expected() {
    for (expression, parts) in [
        ("0 61 * * * ?", ["minute: found `61`", "expected 0 to 59"]),
        ("0 0 25 * * ?", ["hour: found `25`", "expected 0 to 23"]),
        ("0 0 0 32 * ?", ["day of month: found `32`", "expected 1 to 31"]),
        ("0 0 0 1 JANUARY ?", ["month: found `JANUARY`", "1 to 12 or JAN to DEC"]),
        ("0 0 0 ? * 0", ["day of week: found `0`", "1 to 7 or SUN to SAT"]),
        ("0 0 0 ? * FRI#6", ["day of week: found `#6`", "`#1` to `#5`"]),
        ("0 0 0 ? * MON,FRI#1", ["day of week: found `MON,FRI#1`", "stand alone"]),
        ("0 0 0 1 1 ? 1900", ["year: found `1900`", "expected 1970 to 2199"]),
        ("0 0 0 W * ?", ["day of month: found `W`", "for every weekday write `?` here and MON-FRI"]),
        ("0 0 0 L-31 * ?", ["day of month: found `L-31`", "`L-3`"]),
        ("0 0 0 LX * ?", ["day of month: found `LX`", "expected"]),
        ("0 0 0 * * *", ["found `*` and `*`, expected `?` in one of them", "`* and ?`"]),
        ("0 0 0 1 * MON", ["found `1` and `MON`, expected `?` in one of them", "`? and MON`"]),
        ("0 0 0 ? * ?", ["found `?` in both", "`*` as the day of month"]),
        ("0 0 ? * * ?", ["hour: found `?`", "expected 0 to 23"]),
        ("0 0 0", ["found 3 fields", "expected 6 or 7"]),
        ("", ["found 0 fields", "expected 6 or 7"]),
        ("0 0 0 31 2,4 ?", ["never fires", "no month"]),
        ("0 0 0 ö * ?", ["day of month: found `Ö`", "expected 1 to 31"]),
    ] {
        let message = refusal(expression);
        for part in parts.into_iter().chain([expression]) {
            assert!(message.contains(part), "{expression}: {message}");
        }
    }
    assert!(Cron::new("0 0 0 * * ?", "Mars/Olympus").unwrap_err().contains("found the time zone `Mars/Olympus`"));
}

#[test]
fn unix_cron_is_shown_as_quartz_writes_it() {
    for (unix, quartz) in [
        ("*/5 * * * *", "0 */5 * * * ?"),
        ("30 4 * * 1-5", "0 30 4 ? * MON-FRI"),
        ("0 0 1 * *", "0 0 0 1 * ?"),
        ("0 0 * * 0,6", "0 0 0 ? * SUN,SAT"),
        ("0 0 * * 7", "0 0 0 ? * SUN"),
        ("0 0 * * mon", "0 0 0 ? * MON"),
        ("0 0 * * 1/2", "0 0 0 ? * MON/2"),
    ] {
        let message = refusal(unix);
        assert!(
            message.contains("Quartz has seconds first") && message.contains(&format!("write `{quartz}`")),
            "{message}"
        );
        Cron::new(quartz, "UTC").unwrap();
    }
    assert!(refusal("0 0 1 * 1").contains("need two expressions"));
    assert!(refusal("99 0 1 * *").contains("second minute hour"));
}

#[test]
fn times_closer_than_ten_seconds_are_refused() {
    for expression in [
        "* * * * * ?",
        "*/5 * * * * ?",
        "0,9 0 0 * * ?",
        "0,55 * * * * ?",
        "5,58 0-1 0 * * ?",
        "0,55 0,59 * * * ?",
        "*/9 1 1 1 1 ?",
    ] {
        assert!(refusal(expression).contains("expected at least 10 s"), "{expression}");
    }
    for expression in ["*/10 * * * * ?", "0,50 * * * * ?", "0,55 30 * * * ?", "0,55 0,59 12 * * ?", "9/10 * * * * ?"] {
        Cron::new(expression, "UTC").unwrap();
    }
}

#[test]
fn other_triggers_say_what_they_expect() {
    assert!(Periodic::new(0, PeriodicUnit::Hours).unwrap_err().contains("interval: found 0, expected 1 to"));
    assert!(Periodic::new(i64::MAX, PeriodicUnit::Weeks).unwrap_err().contains("expected 1 to 521 weeks"));
    assert!(Pace::new(Some(59), None).unwrap_err().contains("min_time_between_triggers_seconds: found 59"));
    assert!(Pace::new(None, Some(-1)).unwrap_err().contains("wait_after_last_change_seconds: found -1"));
    assert!(FileArrival::new(" ", Pace::default()).unwrap_err().contains("url: found nothing"));
    assert!(FileArrival::new("landing/*.csv", Pace::default()).unwrap_err().contains("without wildcards"));
    let tables = |names: &[&str]| {
        let names = names.iter().map(|name| (*name).to_owned()).collect();
        TableUpdate::new(names, Default::default(), Pace::default())
    };
    assert!(tables(&[]).unwrap_err().contains("found 0 tables, expected 1 to 10"));
    assert!(tables(&["a.b.c", "a.b.c"]).unwrap_err().contains("`a.b.c` twice"));
}
