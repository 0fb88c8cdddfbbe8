//! What holds for every picture.

use std::collections::BTreeSet;

use proptest::prelude::*;

use crate::drawing::cells::width;
use crate::drawing::graph::Graph;
use crate::drawing::layout::{Direction, Layout, Rectangle, Sizes, layout};
use crate::drawing::rails::rails;
use crate::drawing::{Edge, Node, Picture, mermaid, rows, svg, text};

/// Names as people give them, and names as nobody should.
fn key() -> impl Strategy<Value = String> {
    prop_oneof!["[a-z_]{1,30}", "\\PC{0,12}", any::<String>(), "[<>&\"'#;%{}\\[\\]|`\u{1b}\u{202e}\n\t日本é🦀]{1,8}"]
}

/// Up to 30 nodes, and links that lead from earlier to later ones in an order that is not the declared one.
fn picture() -> impl Strategy<Value = Picture> {
    let nodes =
        proptest::collection::vec((key(), proptest::collection::vec(key(), 0..3), proptest::option::of(key())), 0..30);
    let links = proptest::collection::vec((any::<u16>(), any::<u16>(), proptest::option::weighted(0.2, key())), 0..60);
    (nodes, links, key(), any::<u64>()).prop_map(|(nodes, links, title, seed)| {
        let count = nodes.len();
        let named = nodes.into_iter().enumerate().map(|(number, (key, label, state))| Node {
            key: format!("{key}{number}"),
            detail: label.clone(),
            label,
            state,
        });
        let nodes: Vec<Node> = named.collect();
        let mut shuffled: Vec<usize> = (0..count).collect();
        shuffled.sort_by_key(|number| (*number as u64 + 1).wrapping_mul(seed | 1));
        let mut edges = Vec::new();
        for (from, to, label) in links.into_iter().filter(|_| count > 1) {
            let (from, to) = (usize::from(from) % count, usize::from(to) % count);
            if from != to {
                let key = |at: usize| nodes[shuffled[at]].key.clone();
                edges.push(Edge { from: key(from.min(to)), to: key(from.max(to)), label });
            }
        }
        Picture { title, nodes, edges }
    })
}

fn laid_out(picture: &Picture) -> Layout {
    let widths = (0..picture.nodes.len()).map(|number| 100 + 37 * (number as i32 % 4)).collect();
    layout(&Graph::new(picture), &Sizes { widths, height: 61, gaps: (48, 40) })
}

/// Where a rectangle begins and ends along the direction, and across it.
fn extents(direction: Direction, one: Rectangle) -> ((i32, i32), (i32, i32)) {
    let (x, y) = ((one.x, one.x + one.width), (one.y, one.y + one.height));
    if direction == Direction::Right { (x, y) } else { (y, x) }
}

fn overlap(one: (i32, i32), other: (i32, i32)) -> bool {
    one.0 < other.1 && other.0 < one.1
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 96, ..ProptestConfig::default() })]

    #[test]
    fn boxes_lie_apart_and_inside_the_drawing(picture in picture()) {
        let layout = laid_out(&picture);
        for (number, one) in layout.boxes.iter().enumerate() {
            prop_assert!(one.x >= 0 && one.y >= 0 && one.width >= 100 && one.height == 61);
            prop_assert!(one.x + one.width <= layout.width && one.y + one.height <= layout.height);
            let (along, across) = extents(layout.direction, *one);
            for other in &layout.boxes[number + 1..] {
                let (other_along, other_across) = extents(layout.direction, *other);
                prop_assert!(!(overlap(along, other_along) && overlap(across, other_across)), "{one:?} {other:?}");
            }
        }
    }

    #[test]
    fn links_lead_forwards_from_box_to_box_and_through_none(picture in picture()) {
        let graph = Graph::new(&picture);
        let layout = laid_out(&picture);
        prop_assert_eq!(layout.ways.len(), graph.links.len());
        for (link, way) in graph.links.iter().zip(&layout.ways) {
            let (from, to) = (extents(layout.direction, layout.boxes[link.from]), extents(layout.direction, layout.boxes[link.to]));
            let (first, last) = (way[0], way[way.len() - 1]);
            prop_assert_eq!((first.along.0, last.along.1), (from.0.1, to.0.0));
            prop_assert!(from.1.0 < first.across && first.across < from.1.1 && to.1.0 < last.across && last.across < to.1.1);
            for pair in way.windows(2) {
                prop_assert!(pair[0].along.1 < pair[1].along.0);
            }
            for other in layout.boxes.iter().map(|other| extents(layout.direction, *other)) {
                for stretch in way {
                    let is_within = other.1.0 <= stretch.across && stretch.across <= other.1.1;
                    prop_assert!(!(is_within && overlap(stretch.along, other.0)), "{stretch:?} through {other:?}");
                }
                for pair in way.windows(2) {
                    let bend = (pair[0].along.1, pair[1].along.0);
                    let across = (pair[0].across.min(pair[1].across), pair[0].across.max(pair[1].across) + 1);
                    prop_assert!(!(overlap(bend, other.0) && overlap(across, other.1)), "{pair:?} through {other:?}");
                }
            }
        }
    }

    #[test]
    fn rails_tell_what_every_task_waits_for(picture in picture(), most in 0_usize..12) {
        let graph = Graph::new(&picture);
        let mut columns = vec![None; 40];
        let mut seen = BTreeSet::new();
        for row in rails(&graph, most) {
            let glyph = row.before.chars().count() / 2;
            let mut read: BTreeSet<usize> = row.untold.iter().map(|link| graph.links[*link].from).collect();
            let signs: Vec<char> = format!("{}○{}", row.before, row.after).chars().step_by(2).collect();
            for (column, sign) in signs.into_iter().enumerate() {
                if "├┼┤└┴┘".contains(sign) {
                    read.extend(columns[column]);
                }
                if "└┴┘".contains(sign) {
                    columns[column] = None;
                }
            }
            columns[glyph] = Some(row.node);
            let waits: BTreeSet<usize> = graph.incoming[row.node].iter().map(|link| graph.links[*link].from).collect();
            prop_assert!(waits.is_subset(&seen));
            prop_assert_eq!(read, waits);
            prop_assert!(seen.insert(row.node));
        }
        prop_assert_eq!(seen.len(), picture.nodes.len());
    }

    #[test]
    fn a_terminal_gets_one_line_for_each_task_and_none_is_too_long(picture in picture(), cells in 1_usize..120) {
        let lines = rows(&picture, Some(cells), false);
        prop_assert_eq!(lines.len(), picture.nodes.len());
        let all = text(&picture, Some(cells), false);
        for line in lines.iter().map(String::as_str).chain(all.lines()) {
            prop_assert!(width(line) <= cells, "{line:?}");
            let steers = line.contains(|character: char| character.is_control() || character == '\u{202e}');
            prop_assert!(!steers, "{line:?}");
        }
        let coloured = rows(&picture, Some(cells), true);
        prop_assert_eq!(coloured.iter().map(|line| without_ansi(line)).collect::<Vec<_>>(), lines);
    }

    #[test]
    fn no_name_breaks_out_of_its_place(picture in picture()) {
        let drawing = svg(&picture);
        let tasks = well_formed(&drawing)?;
        let allowed = |text: &str| !text.contains(|c: char| (c < ' ' && !"\t\n\r".contains(c)) || c == '\u{fffe}' || c == '\u{ffff}');
        for (read, node) in tasks.iter().zip(&picture.nodes).filter(|(_, node)| allowed(&node.key)) {
            prop_assert_eq!(read, &node.key);
        }
        prop_assert_eq!(tasks.len(), picture.nodes.len());

        let graph = Graph::new(&picture);
        let chart = mermaid(&picture);
        let body = chart.lines().skip_while(|line| *line != "flowchart LR").skip(1);
        let (nodes, rest): (Vec<&str>, Vec<&str>) = body.partition(|line| line.contains("[\""));
        prop_assert_eq!(nodes.len(), picture.nodes.len());
        prop_assert_eq!(rest.iter().filter(|line| line.contains(" -->")).count(), graph.links.len());
        for line in nodes {
            prop_assert_eq!(line.matches('"').count(), 2, "{}", line);
            prop_assert_eq!(line.matches(['[', ']', '{', '%']).count(), 2, "{}", line);
        }
    }

    #[test]
    fn the_same_picture_is_drawn_the_same_twice(picture in picture()) {
        let again = picture.clone();
        prop_assert_eq!(svg(&picture), svg(&again));
        prop_assert_eq!(mermaid(&picture), mermaid(&again));
        prop_assert_eq!(text(&picture, Some(80), true), text(&again, Some(80), true));
    }
}

fn without_ansi(line: &str) -> String {
    let mut pieces = line.split('\u{1b}');
    let first = pieces.next().unwrap_or_default().to_owned();
    pieces.fold(first, |text, piece| text + piece.split_once('m').map_or("", |(_, rest)| rest))
}

/// Checks that tags are balanced and that text holds only escaped signs; gives the values of `data-task`.
fn well_formed(drawing: &str) -> Result<Vec<String>, TestCaseError> {
    let mut open = Vec::new();
    let mut tasks = Vec::new();
    for piece in drawing.split('<').skip(1) {
        let (tag, text) = piece.split_once('>').unwrap();
        prop_assert!(!text.contains('>') || open.last() == Some(&"style"), "{text:?}");
        for entity in tag.split('&').skip(1).chain(text.split('&').skip(1)) {
            let name = entity.split_once(';').unwrap().0;
            prop_assert!(["amp", "lt", "gt", "quot", "#39", "#9", "#10", "#13"].contains(&name), "{name:?}");
        }
        prop_assert_eq!(tag.matches('"').count() % 2, 0);
        let name = tag.split(' ').next().unwrap();
        match name.strip_prefix('/') {
            Some(name) => prop_assert_eq!(open.pop(), Some(name)),
            None if tag.ends_with('/') => {}
            None => open.push(name),
        }
        if let Some((_, rest)) = tag.split_once("data-task=\"") {
            tasks.push(unescaped(rest.split_once('"').unwrap().0));
        }
    }
    prop_assert!(open.is_empty());
    Ok(tasks)
}

fn unescaped(value: &str) -> String {
    let signs = [
        ("&lt;", "<"),
        ("&gt;", ">"),
        ("&quot;", "\""),
        ("&#39;", "'"),
        ("&#9;", "\t"),
        ("&#10;", "\n"),
        ("&#13;", "\r"),
    ];
    signs.iter().fold(value.to_owned(), |value, (code, sign)| value.replace(code, sign)).replace("&amp;", "&")
}

#[test]
fn an_edge_that_names_no_node_or_closes_a_cycle_is_left_out() {
    let edge = |from: &str, to: &str| Edge { from: from.to_owned(), to: to.to_owned(), label: None };
    let node = |key: &str| Node { key: key.to_owned(), ..Node::default() };
    let picture = Picture {
        title: String::new(),
        nodes: vec![node("a"), node("b")],
        edges: vec![edge("a", "b"), edge("a", "b"), edge("b", "a"), edge("a", "a"), edge("z", "b")],
    };
    assert_eq!(text(&picture, None, false), "○ a\n└─○ b\n2 tasks\n");
    assert_eq!(svg(&picture).matches("class=\"edge\"").count(), 1);
}

#[test]
fn a_figure_is_shown_whole_or_not_at_all() {
    let node =
        Node { key: "orders".to_owned(), detail: vec!["1,204 rows".to_owned(), "4.2 s".to_owned()], ..Node::default() };
    let picture = Picture { nodes: vec![node], ..Picture::default() };
    assert_eq!(rows(&picture, Some(27), false), ["○ orders  1,204 rows  4.2 s"]);
    assert_eq!(rows(&picture, Some(26), false), ["○ orders  1,204 rows"]);
    assert_eq!(rows(&picture, Some(19), false), ["○ orders"]);
    assert_eq!(rows(&picture, Some(6), false), ["○ ord…"]);
}

#[test]
fn a_drawing_takes_nothing_from_elsewhere() {
    let drawing = svg(&super::examples::medium());
    assert_eq!(drawing.matches("http").count(), 1, "only the name of the namespace");
    for word in ["url(", "@import", "<script", "<image", "href", "@font-face", "style=\"", "onload"] {
        assert!(!drawing.contains(word), "{word}");
    }
}

#[test]
fn mermaid_makes_neither_a_line_end_nor_a_formula_of_a_name() {
    let picture =
        Picture { nodes: vec![Node { key: r"a\nb $$c".to_owned(), ..Node::default() }], ..Picture::default() };
    let expected = "flowchart LR\n    t0[\"<b>a#92;#8203;nb #36;#8203;#36;#8203;c</b>\"]\n";
    assert_eq!(mermaid(&picture), expected);
}
