//! The page as a whole, and that data in it stays data.

use chrono::TimeDelta;
use lake::ProfiledColumn;

use super::super::RuleResult;
use super::*;

fn report(evil: &str) -> Report {
    let made_at = DateTime::from_timestamp(1_709_290_800, 0).unwrap();
    let result = |minutes, failed| RuleResult {
        at: made_at - TimeDelta::minutes(minutes),
        run: "shop-1".to_owned(),
        version: 10 - minutes,
        origin: "commit".to_owned(),
        severity: "warn".to_owned(),
        on_fail: "quarantine".to_owned(),
        checked: 200,
        failed,
        detail: evil.to_owned(),
        sample: format!("[{}]", serde_json::json!({ "id": evil })),
    };
    let rule = RuleReport {
        name: evil.to_owned(),
        kind: "expectation".to_owned(),
        results: vec![result(3, 0), result(2, 10), result(1, 40)],
    };
    let column = ProfiledColumn {
        column: evil.to_owned(),
        rows: 200,
        top: serde_json::json!([{ "value": evil, "count": 9 }]).to_string(),
        minimum: Some(evil.to_owned()),
        ..ProfiledColumn::default()
    };
    let table = TableReport {
        name: "shop.silver.orders".parse().unwrap(),
        description: evil.to_owned(),
        written_at: Some(made_at - TimeDelta::hours(5)),
        rules: vec![rule],
        columns: vec![column],
    };
    Report { project: evil.to_owned(), made_at, tables: vec![table] }
}

#[test]
fn the_page_tells_rules_trend_samples_freshness_and_columns() {
    let page = html(&report("fine"));
    for expected in [
        "<b class=\"warn\">1</b>with warnings",
        "written 5 h ago, 2024-03-01 06:00 UTC",
        "<span class=\"badge warn\">warn</span>",
        "<code>{&quot;id&quot;:&quot;fine&quot;}</code>",
        "aria-label=\"3 results, the last 2 failed\"",
        "<rect class=\"pass\" x=\"0\" y=\"22.0\" width=\"5\" height=\"2.0\">",
        "<rect class=\"warn\" x=\"6\" y=\"18.0\" width=\"5\" height=\"6.0\">",
        "<rect class=\"warn\" x=\"12\" y=\"0.0\" width=\"5\" height=\"24.0\">",
        "1 column, 200 rows profiled",
    ] {
        assert!(page.contains(expected), "{expected}\n{page}");
    }
}

#[test]
fn nothing_in_the_data_becomes_markup_and_nothing_is_loaded_from_outside() {
    let page = html(&report("<script>alert('\"&')</script>"));
    assert!(!page.contains("<script"), "{page}");
    assert!(page.contains("&lt;script&gt;alert(&#39;&quot;&amp;&#39;)&lt;/script&gt;"), "{page}");
    assert!(!page.contains("http://") && !page.contains("https://") && !page.contains("url("), "{page}");
}

#[test]
fn tables_with_failures_stand_first_and_those_never_written_are_only_listed() {
    let mut report = report("fine");
    let table = |name: &str| TableReport {
        name: name.parse().unwrap(),
        description: String::new(),
        written_at: Some(report.made_at),
        rules: Vec::new(),
        columns: Vec::new(),
    };
    let never = TableReport { written_at: None, ..table("shop.gold.never") };
    report.tables = vec![table("shop.bronze.quiet"), never, report.tables.remove(0)];
    let page = html(&report);
    let place = |text: &str| page.find(text).unwrap();
    assert!(place("<h2>shop.silver.orders") < place("<h2>shop.bronze.quiet"), "{page}");
    assert!(!page.contains("<h2>shop.gold.never") && place("shop.gold.never") > place("<h2>Never written"), "{page}");
}
