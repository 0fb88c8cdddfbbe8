//! A YAML reader that keeps the place of every key and value.
//!
//! Plain scalars are what Go's yaml.v3 makes of them, because bundles are written for it: `yes` and `on` are texts, `010` is
//! eight. Aliases and merge keys (`<<`) are put in; the own keys of a table win over merged ones.

use std::collections::BTreeMap;
use std::ops::Range;

use saphyr_parser::{Event, Marker, Parser, ScalarStyle, Span, Tag};
use serde_json::Number;

use super::document::{Entry, Node, Value};

/// Deeper nesting than this, aliases put in, is no bundle, and would use up the stack.
const MOST_LEVELS: usize = 64;
/// The most values with all aliases put in: a few lines of aliases of aliases could ask for any number.
const MOST_NODES: usize = 200_000;

/// A text that was read.
#[derive(Debug)]
pub(crate) struct Parsed {
    /// The tree; null when the text says nothing.
    pub(crate) root: Node,
    /// Where values begin that have an anchor.
    pub(crate) anchors: Vec<usize>,
}

type Result<T> = std::result::Result<T, (usize, String)>;

/// Reads one YAML document.
///
/// # Errors
/// The place of the first mistake, in bytes, and what is wrong there.
pub(crate) fn parse(text: &str) -> Result<Parsed> {
    let offsets = text.char_indices().map(|(at, _)| at).chain([text.len()]).collect();
    let parser = Parser::new_from_str(text);
    let mut reader = Reader { parser, offsets, anchored: BTreeMap::new(), anchors: Vec::new(), nodes: 0 };
    let mut root = Node::new(Value::Null, 0..0);
    let mut documents = 0;
    loop {
        let (event, place) = reader.next()?;
        match event {
            Event::StreamEnd => return Ok(Parsed { root, anchors: reader.anchors }),
            Event::DocumentStart(_) if documents > 0 => {
                return Err((place.start, "a second document begins here; write one only".to_owned()));
            }
            Event::DocumentStart(_) => {
                documents += 1;
                let first = reader.next()?;
                root = reader.node(first, 0)?;
            }
            _ => {}
        }
    }
}

struct Reader<'a> {
    parser: Parser<'a, saphyr_parser::StrInput<'a>>,
    /// Where each character begins, in bytes; the parser counts characters.
    offsets: Vec<usize>,
    anchored: BTreeMap<usize, Node>,
    anchors: Vec<usize>,
    nodes: usize,
}

type Placed<'a> = (Event<'a>, Range<usize>);

impl<'a> Reader<'a> {
    fn next(&mut self) -> Result<Placed<'a>> {
        match self.parser.next_event() {
            Some(Ok((event, span))) => {
                let place = self.place(&span);
                Ok((event, place))
            }
            Some(Err(error)) => Err((self.offset(error.marker()), error.info().to_owned())),
            None => Ok((Event::StreamEnd, 0..0)),
        }
    }

    fn node(&mut self, (event, place): Placed<'a>, level: usize) -> Result<Node> {
        refuse_depth(level, place.start)?;
        let (node, anchor) = match event {
            Event::Scalar(text, style, anchor, tag) => {
                let value = scalar(&text, style, tag.as_deref()).map_err(|wrong| (place.start, wrong))?;
                (Node::new(value, place), anchor)
            }
            Event::SequenceStart(anchor, _) => (self.list(place, level)?, anchor),
            Event::MappingStart(anchor, _) => (self.table(place, level)?, anchor),
            Event::Alias(anchor) => {
                let Some(node) = self.anchored.get(&anchor).cloned() else {
                    return Err((place.start, "this refers to a value that it is part of".to_owned()));
                };
                refuse_depth(level + depth(&node), place.start)?;
                self.count(nodes_in(&node), place.start)?;
                return Ok(node);
            }
            _ => return Err((place.start, "expected a value".to_owned())),
        };
        self.count(1, node.span.start)?;
        if anchor > 0 {
            self.anchors.push(node.span.start);
            self.anchored.insert(anchor, node.clone());
        }
        Ok(node)
    }

    fn list(&mut self, start: Range<usize>, level: usize) -> Result<Node> {
        let mut items = Vec::new();
        loop {
            let next = self.next()?;
            if matches!(next.0, Event::SequenceEnd) {
                return Ok(Node::new(Value::List(items), start.start..next.1.end.max(start.end)));
            }
            items.push(self.node(next, level + 1)?);
        }
    }

    fn table(&mut self, start: Range<usize>, level: usize) -> Result<Node> {
        let mut entries: Vec<Entry> = Vec::new();
        let mut merged: Vec<Node> = Vec::new();
        loop {
            let (event, key_span) = self.next()?;
            let (key, is_merge) = match event {
                Event::MappingEnd => {
                    for node in merged {
                        merge(&mut entries, node)?;
                    }
                    return Ok(Node::new(Value::Table(entries), start.start..key_span.end.max(start.end)));
                }
                Event::Scalar(text, style, _, _) => {
                    let is_merge = text == "<<" && style == ScalarStyle::Plain;
                    (text.into_owned(), is_merge)
                }
                _ => return Err((key_span.start, "expected a text as the key".to_owned())),
            };
            let next = self.next()?;
            let value = self.node(next, level + 1)?;
            if is_merge {
                merged.push(value);
            } else if entries.iter().any(|entry| entry.key == key) {
                return Err((key_span.start, format!("the key `{key}` stands here twice")));
            } else {
                entries.push(Entry { key, key_span, value });
            }
        }
    }

    fn count(&mut self, more: usize, place: usize) -> Result<()> {
        self.nodes = self.nodes.saturating_add(more);
        match self.nodes > MOST_NODES {
            true => Err((place, format!("there are more than {MOST_NODES} values, aliases counted as what they say"))),
            false => Ok(()),
        }
    }

    fn place(&self, span: &Span) -> Range<usize> {
        self.offset(&span.start)..self.offset(&span.end)
    }

    fn offset(&self, marker: &Marker) -> usize {
        let end = self.offsets.last().copied().unwrap_or_default();
        self.offsets.get(marker.index()).copied().unwrap_or(end)
    }
}

/// Adds the entries of a table, or of each of a list of tables, under keys that are not there yet.
fn merge(entries: &mut Vec<Entry>, node: Node) -> Result<()> {
    match node.value {
        Value::Table(more) => {
            for entry in more {
                if entries.iter().all(|own| own.key != entry.key) {
                    entries.push(entry);
                }
            }
            Ok(())
        }
        Value::List(items) => items.into_iter().try_for_each(|item| match item.value {
            Value::Table(_) => merge(entries, item),
            _ => Err((item.span.start, "expected a table to merge".to_owned())),
        }),
        Value::Null => Ok(()),
        _ => Err((node.span.start, "expected a table to merge, or a list of tables".to_owned())),
    }
}

fn refuse_depth(level: usize, place: usize) -> Result<()> {
    match level > MOST_LEVELS {
        true => Err((place, format!("values are nested more than {MOST_LEVELS} levels deep, with aliases put in"))),
        false => Ok(()),
    }
}

/// How many levels lie below a node.
fn depth(node: &Node) -> usize {
    let below = match &node.value {
        Value::List(items) => items.iter().map(depth).max(),
        Value::Table(entries) => entries.iter().map(|entry| depth(&entry.value)).max(),
        _ => None,
    };
    below.map_or(0, |levels| levels + 1)
}

fn nodes_in(node: &Node) -> usize {
    match &node.value {
        Value::List(items) => 1 + items.iter().map(nodes_in).sum::<usize>(),
        Value::Table(entries) => 1 + entries.iter().map(|entry| nodes_in(&entry.value)).sum::<usize>(),
        _ => 1,
    }
}

fn scalar(text: &str, style: ScalarStyle, tag: Option<&Tag>) -> std::result::Result<Value, String> {
    let kind = match tag {
        Some(tag) if tag.is_yaml_core_schema() => tag.suffix.as_str(),
        Some(tag) if tag.handle.is_empty() && tag.suffix == "!" => "str",
        Some(tag) => return Err(format!("the tag {tag} means nothing here")),
        None if style == ScalarStyle::Plain => "",
        None => "str",
    };
    let value = if kind == "str" { Value::text(text) } else { plain(text) };
    let fits = match kind {
        "int" => matches!(&value, Value::Number(number) if !number.is_f64()),
        "float" => matches!(&value, Value::Number(_)),
        "bool" => matches!(&value, Value::Boolean(_)),
        "null" => matches!(&value, Value::Null),
        "" | "str" => true,
        _ => return Err(format!("the tag !!{kind} means nothing here")),
    };
    if fits { Ok(value) } else { Err(format!("`{text}` is not what its tag !!{kind} says")) }
}

/// What a scalar without quotes is.
fn plain(text: &str) -> Value {
    match text {
        "" | "~" | "null" | "Null" | "NULL" => return Value::Null,
        "true" | "True" | "TRUE" => return Value::Boolean(true),
        "false" | "False" | "FALSE" => return Value::Boolean(false),
        _ => {}
    }
    let number =
        integer(text).or_else(|| if is_float(text) { text.parse().ok().and_then(Number::from_f64) } else { None });
    number.map_or_else(|| Value::text(text), Value::Number)
}

fn integer(text: &str) -> Option<Number> {
    let (sign, rest) = match text.strip_prefix('-') {
        Some(rest) => ("-", rest),
        None => ("", text.strip_prefix('+').unwrap_or(text)),
    };
    if !rest.starts_with(|first: char| first.is_ascii_digit()) {
        return None;
    }
    let rest = rest.replace('_', "");
    let prefixed = [("0x", 16), ("0X", 16), ("0o", 8), ("0b", 2)];
    let (digits, radix) = match prefixed.iter().find_map(|(prefix, radix)| Some((rest.strip_prefix(prefix)?, *radix))) {
        Some(prefixed) => prefixed,
        None if rest.len() > 1 && rest.starts_with('0') => (&rest[1..], 8),
        None => (rest.as_str(), 10),
    };
    if digits.is_empty() || !digits.chars().all(|digit| digit.is_digit(radix)) {
        return None;
    }
    match i64::from_str_radix(&format!("{sign}{digits}"), radix) {
        Ok(number) => Some(number.into()),
        Err(_) if sign.is_empty() => u64::from_str_radix(digits, radix).ok().map(Number::from),
        Err(_) => None,
    }
}

/// Digits with a point or an exponent, such as `1.5`, `.5`, `2.` and `1e3`.
fn is_float(text: &str) -> bool {
    let rest = text.strip_prefix(['-', '+']).unwrap_or(text);
    let (digits, exponent) = rest.split_once(['e', 'E']).map_or((rest, None), |(digits, rest)| (digits, Some(rest)));
    let (whole, part) = digits.split_once('.').unwrap_or((digits, ""));
    let all_digits = |text: &str| text.bytes().all(|byte| byte.is_ascii_digit());
    let exponent = exponent.map(|text| text.strip_prefix(['-', '+']).unwrap_or(text));
    all_digits(whole)
        && all_digits(part)
        && !(whole.is_empty() && part.is_empty())
        && exponent.is_none_or(|text| !text.is_empty() && all_digits(text))
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;
    use serde_json::json;

    use super::*;

    fn read(text: &str) -> serde_json::Value {
        parse(text).map_err(|(at, why)| panic!("{at}: {why}: {text}")).unwrap().root.to_json()
    }

    #[test]
    fn scalars_are_what_go_makes_of_them() {
        let text = "a: yes\nb: on\nc: True\nd: ~\ne:\nf: 010\ng: 0x1F\nh: 1_000\ni: 1.5\nj: .5e2\nk: '1'\nl: 2024-01-01\n\
                    m: 1.2.3\nn: !!str 5\no: .inf\np: -7\nq: 08\n";
        let expected = json!({"a": "yes", "b": "on", "c": true, "d": null, "e": null, "f": 8, "g": 31, "h": 1000,
            "i": 1.5, "j": 50.0, "k": "1", "l": "2024-01-01", "m": "1.2.3", "n": "5", "o": ".inf", "p": -7, "q": 8.0});
        assert_eq!(read(text), expected);
    }

    #[test]
    fn aliases_and_merge_keys_are_put_in_and_own_keys_win() {
        let text = "base: &base\n  retries: 3\n  timeout: 10\nmore: &more {timeout: 20, extra: x}\n\
                    one:\n  <<: *base\n  timeout: 5\ntwo:\n  <<: [*more, *base]\nlist: [*base]\n";
        let read = read(text);
        assert_eq!(read["one"], json!({"timeout": 5, "retries": 3}));
        assert_eq!(read["two"], json!({"timeout": 20, "extra": "x", "retries": 3}));
        assert_eq!(read["list"], json!([{"retries": 3, "timeout": 10}]));
    }

    #[test]
    fn places_are_bytes_of_the_text() {
        let text = "# ä\njobs:\n  ö: {name: \"ü\", tasks: [a, bc]}\n";
        let Parsed { root, .. } = parse(text).unwrap();
        let job = root.get("jobs").unwrap().entries().first().unwrap();
        assert_eq!(&text[job.key_span.clone()], "ö");
        assert_eq!(&text[job.value.get("name").unwrap().span.clone()], "\"ü\"");
        let Value::List(tasks) = &job.value.get("tasks").unwrap().value else { panic!() };
        assert_eq!(&text[tasks[1].span.clone()], "bc");
        assert!(text[root.get("jobs").unwrap().span.start..].starts_with('ö'));
    }

    #[test]
    fn mistakes_have_their_place() {
        for (text, line, words) in [
            ("a: 1\na: 2\n", 2, "twice"),
            ("a: [1, 2\nb: 3\n", 2, ""),
            ("a: *nowhere\n", 1, ""),
            ("a: 1\n---\nb: 2\n", 2, "second document"),
            ("a: &a [*a]\n", 1, "part of"),
            ("a: !Ref b\n", 1, "means nothing"),
            ("? [a]\n: b\n", 1, "as the key"),
            ("a:\n  <<: 5\n", 2, "merge"),
            ("a: !!int x\n", 1, "is not what"),
        ] {
            let (at, why) = parse(text).unwrap_err();
            assert_eq!(
                (text[..at].matches('\n').count() + 1, why.contains(words)),
                (line, true),
                "{text:?}: {at} {why}"
            );
        }
        let deep = "[".repeat(2000);
        assert!(parse(&deep).is_err());
        let chain = |links: usize| -> String {
            let (open, close) = ("[".repeat(20), "]".repeat(20));
            (1..links).map(|link| format!("a{link}: &a{link} {open}*a{}{close}\n", link - 1)).collect()
        };
        assert!(parse(&format!("a0: &a0 x\n{}", chain(4))).is_ok());
        assert!(parse(&format!("a0: &a0 x\n{}", chain(200))).unwrap_err().1.contains("levels deep"));
        let levels = (1..12).map(|level| format!("a{level}: &a{level} [{}]\n", format!("*a{}, ", level - 1).repeat(9)));
        let bomb = format!("a0: &a0 x\n{}", levels.collect::<String>());
        assert!(parse(&bomb).unwrap_err().1.contains("more than"));
    }

    fn json() -> impl Strategy<Value = serde_json::Value> {
        let leaf = prop_oneof![
            Just(json!(null)),
            any::<bool>().prop_map(|value| json!(value)),
            any::<i64>().prop_map(|value| json!(value)),
            any::<i32>().prop_map(|value| json!(f64::from(value) / 8.0)),
            "[ -~äß€😀\\n\\t\\\\\"]{0,12}".prop_map(|value| json!(value)),
        ];
        leaf.prop_recursive(4, 32, 5, |inner| {
            prop_oneof![
                prop::collection::vec(inner.clone(), 0..5).prop_map(|items| json!(items)),
                prop::collection::btree_map("[a-zä_ :#{}.-]{0,8}", inner, 0..5).prop_map(|entries| json!(entries)),
            ]
        })
    }

    proptest! {
        #[test]
        fn json_is_read_as_json_reads_it(value in json()) {
            for text in [value.to_string(), serde_json::to_string_pretty(&value).unwrap()] {
                prop_assert_eq!(read(&text), crate::project::json::parse(&text).unwrap().to_json(), "{}", text);
            }
        }

        #[test]
        fn any_text_is_read_or_refused(text in "[ -~\\n\\täß😀]{0,80}|(a|b|: |- |\\n|  |\\[|\\]|\\{|\\}|,|&a |\\*a|<<: |\"|'|\\||>|!|\\?|#|%|---\\n){0,40}") {
            match parse(&text) {
                Ok(parsed) => { parsed.root.to_json(); }
                Err((at, _)) => prop_assert!(text.is_char_boundary(at), "{}", at),
            }
        }
    }
}
