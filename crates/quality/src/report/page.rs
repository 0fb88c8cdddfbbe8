//! The report as one page of HTML that needs nothing from outside: no script, no font, no picture.
//!
//! Whatever comes from data is escaped, and the page's own policy forbids it to load or run anything besides.

use chrono::{DateTime, Utc};

use super::{Report, RuleReport, TableReport, chart};
use crate::profile::shown::{HEADER, shown};

const STYLE: &str = include_str!("page.css");

/// The page.
pub fn html(report: &Report) -> String {
    let project = escaped(&report.project);
    let made_at = report.made_at.format("%Y-%m-%d %H:%M UTC");
    let (silent, mut told): (Vec<_>, Vec<_>) = report.tables.iter().partition(|table| is_silent(table));
    // What needs a look stands first.
    told.sort_by_key(|table| std::cmp::Reverse(worst(table)));
    let tables: String = told.into_iter().map(|table| section(table, report.made_at)).collect();
    let (tiles, silent) = (tiles(report), list_silent(&silent));
    format!(
        "<!doctype html>\n<html lang=\"en\">\n<head>\n<meta charset=\"utf-8\">\n\
         <meta name=\"viewport\" content=\"width=device-width, initial-scale=1\">\n\
         <meta http-equiv=\"Content-Security-Policy\" content=\"default-src 'none'; style-src 'unsafe-inline'\">\n\
         <title>Data quality of {project}</title>\n<style>\n{STYLE}</style>\n</head>\n<body>\n\
         <h1>Data quality of {project}</h1>\n<p class=\"soft\">{made_at}</p>\n{tiles}{tables}{silent}</body>\n</html>\n"
    )
}

/// A text in which nothing is markup any more.
pub(super) fn escaped(text: &str) -> String {
    let mut safe = String::with_capacity(text.len());
    for one in text.chars() {
        match one {
            '&' => safe.push_str("&amp;"),
            '<' => safe.push_str("&lt;"),
            '>' => safe.push_str("&gt;"),
            '"' => safe.push_str("&quot;"),
            '\'' => safe.push_str("&#39;"),
            other => safe.push(other),
        }
    }
    safe
}

/// Whether there is nothing to tell of a table.
fn is_silent(table: &TableReport) -> bool {
    table.written_at.is_none() && table.rules.is_empty()
}

/// How bad the worst rule of a table fared: 2 failed, 1 warned, 0 neither.
fn worst(table: &TableReport) -> u8 {
    let each = table.rules.iter().filter_map(RuleReport::last).map(|last| match last.verdict() {
        "fail" => 2,
        "warn" => 1,
        _ => 0,
    });
    each.max().unwrap_or(0)
}

fn list_silent(tables: &[&TableReport]) -> String {
    if tables.is_empty() {
        return String::new();
    }
    let names: Vec<String> = tables.iter().map(|table| escaped(&table.name.to_string())).collect();
    format!("<section>\n<h2>Never written</h2>\n<p class=\"soft\">{}</p>\n</section>\n", names.join(", "))
}

fn tiles(report: &Report) -> String {
    let rules = || report.tables.iter().flat_map(|table| &table.rules);
    let with = |verdict: &str| rules().filter(|rule| rule.last().is_some_and(|last| last.verdict() == verdict)).count();
    let tiles = [
        ("tables", report.tables.len(), ""),
        ("rules", rules().count(), ""),
        ("passed", with("pass"), "pass"),
        ("with warnings", with("warn"), "warn"),
        ("failed", with("fail"), "fail"),
    ];
    let tiles = tiles.map(|(name, count, class)| {
        let class = if count > 0 { class } else { "" };
        format!("<div class=\"tile\"><b class=\"{class}\">{count}</b>{name}</div>")
    });
    format!("<div class=\"tiles\">{}</div>\n", tiles.concat())
}

fn section(table: &TableReport, now: DateTime<Utc>) -> String {
    let written = match table.written_at {
        Some(at) => format!("written {} ago, {}", ago(now, at), at.format("%Y-%m-%d %H:%M UTC")),
        None => "never written".to_owned(),
    };
    let rules = match table.rules.is_empty() {
        true => "<p class=\"soft\">no rule has been checked</p>".to_owned(),
        false => rules(&table.rules),
    };
    format!(
        "<section>\n<div class=\"head\"><h2>{}</h2><span class=\"soft\">{written}</span></div>\n<p>{}</p>\n{rules}\n{}</section>\n",
        escaped(&table.name.to_string()),
        escaped(&table.description),
        columns(table)
    )
}

fn rules(rules: &[RuleReport]) -> String {
    let rows: String = rules.iter().map(rule).collect();
    format!(
        "<div class=\"wide\"><table class=\"rules\"><thead><tr><th>rule</th><th>last result</th>\
         <th class=\"number\">failed</th><th class=\"number\">checked</th><th>trend</th><th>found</th></tr></thead>\
         <tbody>\n{rows}</tbody></table></div>"
    )
}

fn rule(rule: &RuleReport) -> String {
    let Some(last) = rule.last() else { return String::new() };
    let verdict = last.verdict();
    let consequence = if last.on_fail.is_empty() { &last.severity } else { &last.on_fail };
    let at = last.at.format("%Y-%m-%d %H:%M");
    let found = [Some(escaped(&last.detail)).filter(|detail| !detail.is_empty()), sample(&last.sample)];
    let found: Vec<String> = found.into_iter().flatten().collect();
    format!(
        "<tr><td><b>{}</b><br><span class=\"soft\">{}, {}</span></td>\
         <td><span class=\"badge {verdict}\">{verdict}</span><br><span class=\"soft\">{at}, {} of version {}</span></td>\
         <td class=\"number\" data-name=\"failed\">{}</td><td class=\"number\" data-name=\"checked\">{}</td>\
         <td>{}</td><td>{}</td></tr>\n",
        escaped(&rule.name),
        escaped(&rule.kind),
        escaped(consequence),
        escaped(&last.origin),
        last.version,
        last.failed,
        last.checked,
        chart::trend(&rule.results),
        found.join("<br>")
    )
}

/// Some failing rows; `None` when there are none.
fn sample(list: &str) -> Option<String> {
    let rows: Vec<serde_json::Value> = serde_json::from_str(list).ok()?;
    let rows: Vec<String> = rows.iter().map(|row| format!("<code>{}</code>", escaped(&row.to_string()))).collect();
    (!rows.is_empty()).then(|| rows.concat())
}

fn columns(table: &TableReport) -> String {
    if table.columns.is_empty() {
        return String::new();
    }
    let is_number = |index: usize| (2..=3).contains(&index);
    let class = |index: usize| if is_number(index) { " class=\"number\"" } else { "" };
    let header: String =
        HEADER.iter().enumerate().map(|(index, name)| format!("<th{}>{name}</th>", class(index))).collect();
    let rows: String = table
        .columns
        .iter()
        .map(|column| {
            let cells = shown(column).into_iter().enumerate();
            let cells: String =
                cells.map(|(index, cell)| format!("<td{}>{}</td>", class(index), escaped(&cell))).collect();
            format!("<tr>{cells}</tr>\n")
        })
        .collect();
    let count = table.columns.first().map_or(0, |column| column.rows);
    format!(
        "<details><summary>{}, {} profiled</summary>\n<div class=\"wide\"><table><thead><tr>{header}</tr>\
         </thead><tbody>\n{rows}</tbody></table></div></details>\n",
        counted(table.columns.len() as u64, "column"),
        counted(count, "row")
    )
}

fn counted(count: u64, one: &str) -> String {
    format!("{count} {one}{}", if count == 1 { "" } else { "s" })
}

/// How long ago something was, in its largest unit.
fn ago(now: DateTime<Utc>, at: DateTime<Utc>) -> String {
    let seconds = (now - at).num_seconds().max(0);
    let units = [(86_400, "d"), (3_600, "h"), (60, "min")];
    let fitting = units.into_iter().find(|(length, _)| seconds >= *length);
    fitting.map_or_else(|| format!("{seconds} s"), |(length, unit)| format!("{} {unit}", seconds / length))
}

#[cfg(test)]
mod tests;
