//! A picture as SVG that stands alone: no script, no font and no link from elsewhere.

use std::collections::HashSet;
use std::fmt::Write;

use super::cells::{clean, cut, width as cells};
use super::graph::{Graph, Link};
use super::layout::{Direction, Layout, Rectangle, Sizes, Stretch, layout};
use super::look::class_name;
use super::{Node, Picture};

/// The style sheet inside every drawing, for a page whose content security policy allows no style in the markup.
///
/// Every rule begins with `.drawing`. Colours are custom properties (`--succeeded`, `--page`, ...), light or dark by
/// `prefers-color-scheme`, and can be set anew by the page.
pub const STYLE: &str = include_str!("style.css");

/// Around everything.
const MARGIN: i32 = 16;
/// Left of the text of a box, where the bar stands, and right of it.
const PADDING: (i32, i32) = (18, 12);
/// The narrowest and the widest box.
const WIDTHS: (i32, i32) = (96, 288);
/// The advance of one cell of the key (13 px, monospace), of other texts (11 px) and of states (11 px, bold), on the safe
/// side.
const ADVANCES: (f64, f64, f64) = (7.9, 6.4, 7.4);
/// From the upper edge to the line of the key, from line to line, and from the last line to the lower edge.
const LINES: (i32, i32, i32) = (21, 15, 10);
/// Lines of what a task does, at most; all are in its title.
const MOST_LABELS: usize = 2;

/// A drawing in layers, from left to right or downwards; its size in pixels is that of its text at normal size.
///
/// - A task is `<g data-task="KEY" class="task state-STATE">` (`task` alone without a state) with a full `<title>`, and in
///   it `.key`, `.label`, `.state` and `.detail`; a change of its class changes all its colours.
/// - A dependency is `<path class="edge" data-from="KEY" data-to="KEY">`.
pub fn svg(picture: &Picture) -> String {
    let graph = Graph::new(picture);
    let lines = Lines::of(picture);
    let layout = layout(&graph, &lines.sizes(picture, &graph));
    let mut svg = Writer::default();
    let (width, height) = (layout.width + 2 * MARGIN, layout.height + 2 * MARGIN);
    svg.line(format_args!(
        "<svg xmlns=\"http://www.w3.org/2000/svg\" class=\"drawing\" role=\"group\" width=\"{width}\" height=\"{height}\" \
         viewBox=\"-{MARGIN} -{MARGIN} {width} {height}\">"
    ));
    if !picture.title.is_empty() {
        svg.line(format_args!("<title>{}</title>", text(&picture.title)));
    }
    svg.line(format_args!("<style>\n{STYLE}</style>"));
    svg.edges(picture, &graph, &layout);
    for (node, place) in picture.nodes.iter().zip(&layout.boxes) {
        svg.task(node, *place, &lines);
    }
    svg.line(format_args!("</svg>"));
    svg.text
}

/// The lines below the key, the same for every box.
struct Lines {
    labels: usize,
    has_states: bool,
}

impl Lines {
    fn of(picture: &Picture) -> Lines {
        let labels = picture.nodes.iter().map(|node| labels(node).len()).max().unwrap_or(0);
        let has_states = picture.nodes.iter().any(|node| figures(node).iter().any(|text| !text.is_empty()));
        Lines { labels, has_states }
    }

    fn sizes(&self, picture: &Picture, graph: &Graph<'_>) -> Sizes {
        let below = self.labels as i32 + i32::from(self.has_states);
        // Outcomes stand in the gaps.
        let outcome = graph.links.iter().filter_map(|link| link.label).map(|label| cells(&clean(label)).min(16)).max();
        let outcome = outcome.map_or(0, |cells| pixels(cells, ADVANCES.1));
        Sizes {
            widths: picture.nodes.iter().map(|node| self.width(node)).collect(),
            height: LINES.0 + below * LINES.1 + LINES.2,
            gaps: (48.max(outcome + 48), if outcome > 0 { 56 } else { 40 }),
        }
    }

    fn width(&self, node: &Node) -> i32 {
        let labels = labels(node).iter().map(|label| cells(label)).max().unwrap_or(0);
        let [state, detail] = figures(node);
        let figures = pixels(cells(&state), ADVANCES.2) + pixels(cells(&detail), ADVANCES.1);
        let below = pixels(labels, ADVANCES.1).max(figures);
        let widest = pixels(cells(&clean(&node.key)), ADVANCES.0).max(below);
        (widest + PADDING.0 + PADDING.1).clamp(WIDTHS.0, WIDTHS.1)
    }
}

fn pixels(cells: usize, advance: f64) -> i32 {
    (cells as f64 * advance).ceil() as i32
}

/// What a task does, in lines that are broken between words where they are wider than the widest box. What is left after
/// the last line stays on it, to be cut there.
fn labels(node: &Node) -> Vec<String> {
    let room = (f64::from(WIDTHS.1 - PADDING.0 - PADDING.1) / ADVANCES.1) as usize;
    let mut lines: Vec<String> = Vec::new();
    for label in node.label.iter().map(|label| clean(label)) {
        if lines.len() == MOST_LABELS {
            break;
        }
        let mut line = String::new();
        for word in label.split_whitespace() {
            let is_full = !line.is_empty() && cells(&line) + 1 + cells(word) > room;
            if is_full && lines.len() + 1 < MOST_LABELS {
                lines.push(std::mem::take(&mut line));
            }
            line.push_str(if line.is_empty() { "" } else { " " });
            line.push_str(word);
        }
        lines.push(line);
    }
    lines
}

/// The state, and the figures after it.
fn figures(node: &Node) -> [String; 2] {
    let state = clean(node.state.as_deref().unwrap_or_default());
    let figures = node.detail.iter().filter(|figure| !figure.is_empty()).map(|figure| clean(figure));
    let figures = figures.collect::<Vec<_>>().join(" · ");
    let dot = if state.is_empty() || figures.is_empty() { "" } else { " · " };
    [state, format!("{dot}{figures}")]
}

#[derive(Default)]
struct Writer {
    text: String,
}

impl Writer {
    fn line(&mut self, text: std::fmt::Arguments<'_>) {
        // Writing to a string cannot fail.
        let _ = writeln!(self.text, "{text}");
    }

    fn edges(&mut self, picture: &Picture, graph: &Graph<'_>, layout: &Layout) {
        let key = |node: usize| attribute(&picture.nodes[node].key);
        for (link, way) in graph.links.iter().zip(&layout.ways) {
            let (from, to, path) = (key(link.from), key(link.to), path(layout.direction, way));
            self.line(format_args!("<path class=\"edge\" data-from=\"{from}\" data-to=\"{to}\" d=\"{path}\"/>"));
        }
        // Links that share their way share the word on it.
        let mut seen = HashSet::new();
        for (link, way) in graph.links.iter().zip(&layout.ways) {
            if let Some((x, y, word)) = outcome(layout.direction, link, way)
                && seen.insert((x, y, word.clone()))
            {
                self.line(format_args!("<text class=\"outcome\" x=\"{x}\" y=\"{y}\">{word}</text>"));
            }
        }
    }

    fn task(&mut self, node: &Node, place: Rectangle, lines: &Lines) {
        let Rectangle { x, y, width, height } = place;
        let state = node.state.as_deref().map(|state| format!(" state-{}", class_name(state))).unwrap_or_default();
        let key = attribute(&node.key);
        self.line(format_args!("<g data-task=\"{key}\" class=\"task{state}\" transform=\"translate({x} {y})\">"));
        self.line(format_args!("<title>{}</title>", full(node)));
        self.line(format_args!("<rect class=\"box\" width=\"{width}\" height=\"{height}\" rx=\"7\"/>"));
        let bar = height - 16;
        self.line(format_args!("<rect class=\"bar\" x=\"7\" y=\"8\" width=\"4\" height=\"{bar}\" rx=\"2\"/>"));
        let room = f64::from(width - PADDING.0 - PADDING.1);
        let (left, mut y) = (PADDING.0, LINES.0);
        let short = |text: &str, advance: f64| self::text(&cut(&clean(text), (room / advance) as usize));
        let key = short(&node.key, ADVANCES.0);
        self.line(format_args!("<text class=\"key\" x=\"{left}\" y=\"{y}\">{key}</text>"));
        for label in labels(node) {
            y += LINES.1;
            let label = short(&label, ADVANCES.1);
            self.line(format_args!("<text class=\"label\" x=\"{left}\" y=\"{y}\">{label}</text>"));
        }
        if lines.has_states {
            y = height - LINES.2;
            let [state, detail] = figures(node);
            let state = cut(&state, (room / ADVANCES.2) as usize);
            let rest = ((room - cells(&state) as f64 * ADVANCES.2).max(0.0) / ADVANCES.1) as usize;
            let (state, detail) = (text(&state), text(&cut(&detail, rest)));
            self.line(format_args!(
                "<text x=\"{left}\" y=\"{y}\"><tspan class=\"state\">{state}</tspan><tspan class=\"detail\">{detail}</tspan></text>"
            ));
        }
        self.line(format_args!("</g>"));
    }
}

/// Everything that is known of a task, uncut.
fn full(node: &Node) -> String {
    let figures = figures(node).concat();
    let lines = std::iter::once(&node.key).chain(&node.label).chain([&figures]).filter(|line| !line.is_empty());
    lines.map(|line| text(line)).collect::<Vec<_>>().join("\n")
}

/// Straight through the layers, an S between them, and an arrow at the end.
fn path(direction: Direction, way: &[Stretch]) -> String {
    let mut path = String::new();
    let mut pen = None;
    for pair in way.windows(2) {
        let ((_, leave), (enter, _)) = (pair[0].along, pair[1].along);
        let (from, to) = (pair[0].across, pair[1].across);
        let start = point(direction, leave, from);
        let lead = if pen.is_none() { "M" } else { "L" };
        if pen.is_none() || from != to {
            let _ = write!(path, "{lead}{start}");
        }
        if from != to {
            let middle = (leave + enter) / 2;
            let (one, other) = (point(direction, middle, from), point(direction, middle, to));
            let _ = write!(path, "C{one} {other} {}", point(direction, enter, to));
        }
        pen = Some((enter, to));
    }
    if let Some((along, across)) = pen {
        let tip = point(direction, along - 1, across);
        let (one, other) = (point(direction, along - 7, across - 4), point(direction, along - 7, across + 4));
        let _ = write!(path, "L{tip}M{one}L{tip}L{other}");
    }
    path
}

/// `x y` in the drawing.
fn point(direction: Direction, along: i32, across: i32) -> String {
    let (x, y) = match direction {
        Direction::Right => (along, across),
        Direction::Down => (across, along),
    };
    format!("{x} {y}")
}

/// The outcome in the middle of the first bend.
fn outcome(direction: Direction, link: &Link<'_>, way: &[Stretch]) -> Option<(i32, i32, String)> {
    let word = text(&cut(&clean(link.label?), 16));
    let [first, second, ..] = way else { return None };
    let (along, across) = ((first.along.1 + second.along.0) / 2, (first.across + second.across) / 2);
    Some(match direction {
        Direction::Right => (along, across + 4, word),
        Direction::Down => (across, along + 4, word),
    })
}

/// Text between tags.
fn text(text: &str) -> String {
    attribute(&clean(text))
}

/// The value of an attribute, exact as far as XML can say it (XML 1.0, 2.2): what has no place in XML is replaced.
fn attribute(value: &str) -> String {
    let mut escaped = String::with_capacity(value.len());
    for character in value.chars() {
        match character {
            '&' => escaped.push_str("&amp;"),
            '<' => escaped.push_str("&lt;"),
            '>' => escaped.push_str("&gt;"),
            '"' => escaped.push_str("&quot;"),
            '\'' => escaped.push_str("&#39;"),
            '\t' | '\n' | '\r' => {
                let _ = write!(escaped, "&#{};", u32::from(character));
            }
            '\0'..='\u{1F}' | '\u{FFFE}' | '\u{FFFF}' => escaped.push('\u{FFFD}'),
            character => escaped.push(character),
        }
    }
    escaped
}
