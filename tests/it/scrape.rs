//! `/metrics` as Prometheus would read it: strictly, so that a mistake in the format fails the test that reads it.

use std::collections::BTreeMap;

/// Every sample by its name and labels, such as `up{job="a"}`.
pub type Samples = BTreeMap<String, f64>;

/// Checks a whole page: one family after the other, each with `# HELP`, `# TYPE`, and then its samples only.
pub fn read(body: &str) -> Samples {
    assert!(body.ends_with('\n'));
    let (mut samples, mut kinds) = (Samples::new(), BTreeMap::new());
    let mut family = ("", "");
    let mut lines = body.lines();
    while let Some(line) = lines.next() {
        if let Some(help) = line.strip_prefix("# HELP ") {
            let (name, words) = help.split_once(' ').unwrap();
            assert!(!words.is_empty() && is_name(name), "{line}");
            let kind = lines.next().unwrap().strip_prefix(&format!("# TYPE {name} ")).unwrap();
            assert!(["counter", "gauge", "histogram"].contains(&kind), "{kind}");
            assert_eq!(kind == "counter", name.ends_with("_total"), "{name} is a {kind}");
            assert_eq!(kinds.insert(name, kind), None, "{name} comes twice");
            family = (name, kind);
            continue;
        }
        let (series, value) = line.rsplit_once(' ').unwrap();
        let name = series.split('{').next().unwrap();
        let allowed = match family {
            (family, "histogram") => ["_bucket", "_sum", "_count"].map(|part| format!("{family}{part}")).to_vec(),
            (family, _) => vec![family.to_owned()],
        };
        assert!(allowed.iter().any(|allowed| allowed == name), "{line} is not of {family:?}");
        check_labels(series.strip_prefix(name).unwrap());
        assert_eq!(samples.insert(series.to_owned(), value.parse().unwrap()), None, "{series} comes twice");
    }
    for (name, _) in kinds.iter().filter(|(_, kind)| **kind == "histogram") {
        check_buckets(name, body, &samples);
    }
    samples
}

/// `{name="value",..}` or nothing; in a value only `\\`, `\"` and `\n` are escaped.
fn check_labels(labels: &str) {
    let Some(mut rest) = labels.strip_prefix('{') else { return assert_eq!(labels, "") };
    while rest != "}" {
        let (name, after) = rest.split_once("=\"").unwrap();
        assert!(is_name(name), "{labels}");
        let mut letters = after.char_indices();
        let end = loop {
            match letters.next().unwrap() {
                (end, '"') => break end,
                (_, '\\') => assert!(matches!(letters.next(), Some((_, '\\' | '"' | 'n'))), "{labels}"),
                _ => {}
            }
        };
        rest = &after[end + 1..];
        rest = rest.strip_prefix(',').unwrap_or(rest);
    }
}

/// Every bucket counts at least what the one before it counts, and the last one everything.
fn check_buckets(name: &str, body: &str, samples: &Samples) {
    let (mut before, mut bound) = (0.0, f64::NEG_INFINITY);
    for line in body.lines().filter(|line| line.starts_with(&format!("{name}_bucket{{"))) {
        let series = line.rsplit_once(' ').unwrap().0;
        let (labels, le) = series.strip_suffix("\"}").unwrap().rsplit_once(",le=\"").unwrap();
        let (count, le) = (samples[series], le.parse::<f64>().unwrap());
        assert!(le > bound && count >= before, "{line}");
        (before, bound) = (count, le);
        if le.is_infinite() {
            let total = labels.replacen("_bucket", "_count", 1) + "}";
            assert_eq!(count, samples[&total], "{line}");
            (before, bound) = (0.0, f64::NEG_INFINITY);
        }
    }
    assert_eq!(bound, f64::NEG_INFINITY, "{name} has no last bucket");
}

fn is_name(text: &str) -> bool {
    text.starts_with(|letter: char| letter.is_ascii_alphabetic() || letter == '_')
        && text.chars().all(|letter| letter.is_ascii_alphanumeric() || letter == '_')
}
