//! A picture as a Mermaid flowchart.

use std::collections::BTreeMap;
use std::fmt::Write;

use super::Picture;
use super::cells::clean;
use super::graph::Graph;
use super::look::{Look, class_name};

/// A `flowchart LR`: nodes are `t0`, `t1`, ... in the order of the picture, their texts are quoted and escaped, and every
/// state that occurs has a class of its own.
pub fn mermaid(picture: &Picture) -> String {
    let graph = Graph::new(picture);
    let mut chart = String::new();
    if !picture.title.is_empty() {
        // A string of JSON is one of YAML too.
        let title = serde_json::Value::String(clean(&picture.title)).to_string();
        line(&mut chart, format_args!("---\ntitle: {title}\n---"));
    }
    line(&mut chart, format_args!("flowchart LR"));
    for (number, node) in picture.nodes.iter().enumerate() {
        let key = std::iter::once(format!("<b>{}</b>", escaped(&node.key)));
        let state = node.state.iter().map(|state| escaped(state));
        let figures = node.detail.iter().filter(|figure| !figure.is_empty()).map(|figure| escaped(figure));
        let figures = state.chain(figures).collect::<Vec<_>>().join(" · ");
        let lines = key.chain(node.label.iter().map(|label| escaped(label))).chain([figures]);
        let text = lines.filter(|line| !line.is_empty()).collect::<Vec<_>>().join("<br/>");
        line(&mut chart, format_args!("    t{number}[\"{text}\"]"));
    }
    for link in &graph.links {
        let label = link.label.map(|label| format!("|\"{}\"|", escaped(label))).unwrap_or_default();
        line(&mut chart, format_args!("    t{} -->{label} t{}", link.from, link.to));
    }
    classes(&mut chart, picture);
    chart
}

fn classes(chart: &mut String, picture: &Picture) {
    let mut members: BTreeMap<&str, Vec<String>> = BTreeMap::new();
    for (number, node) in picture.nodes.iter().enumerate() {
        if let Some(state) = &node.state {
            members.entry(state).or_default().push(format!("t{number}"));
        }
    }
    for (state, members) in members {
        let (fill, border, ink) = Look::of(Some(state)).colours();
        let name = class_name(state);
        line(chart, format_args!("    classDef state_{name} fill:{fill},stroke:{border},color:{ink}"));
        line(chart, format_args!("    class {} state_{name}", members.join(",")));
    }
}

fn line(chart: &mut String, text: std::fmt::Arguments<'_>) {
    // Writing to a string cannot fail.
    let _ = writeln!(chart, "{text}");
}

/// Text inside quotes: what Mermaid, Markdown or HTML would read as more than text becomes an entity code, `#35;` for `#`.
fn escaped(text: &str) -> String {
    let mut escaped = String::new();
    for character in clean(text).chars() {
        match character {
            '"' | '#' | '&' | '<' | '>' | '`' | '%' | '{' | '}' | '[' | ']' | '|' | '*' | '~' | ';' | '@' => {
                let _ = write!(escaped, "#{};", u32::from(character));
            }
            // A blank without width keeps `\n` from becoming a line end and `$$` from becoming a formula.
            '\\' | '$' => {
                let _ = write!(escaped, "#{};#8203;", u32::from(character));
            }
            character => escaped.push(character),
        }
    }
    escaped
}
