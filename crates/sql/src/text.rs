//! Words and places in SQL texts and in messages about them.

use datafusion::sql::sqlparser::dialect::GenericDialect;
use datafusion::sql::sqlparser::tokenizer::{Token, Tokenizer};

/// Names of types as Arrow prints them, and as our users know them. Longer names stand before those they begin with.
const TYPE_WORDS: [(&str, &str); 23] = [
    ("LargeUtf8", "string"),
    ("Utf8View", "string"),
    ("Utf8", "string"),
    ("BinaryView", "binary"),
    ("LargeBinary", "binary"),
    ("Binary", "binary"),
    ("Boolean", "boolean"),
    ("Int8", "byte"),
    ("Int16", "short"),
    ("Int32", "int"),
    ("UInt64", "unsigned long"),
    ("Int64", "long"),
    ("Float32", "float"),
    ("Float64", "double"),
    ("Date32", "date"),
    ("Decimal128", "decimal"),
    ("List", "list"),
    ("Struct", "struct"),
    ("String", "string"),
    ("Numeric", "number"),
    ("Timestamp(Microsecond, None)", "timestamp_ntz"),
    ("Timestamp(Microsecond, Some(\"UTC\"))", "timestamp"),
    ("Timestamp(Nanosecond, None)", "timestamp"),
];

/// The nearest of `known` to `wrong`: one that differs in case only, else the one with the fewest edits, at most a
/// third of its length.
pub(crate) fn nearest<'a>(wrong: &str, known: impl IntoIterator<Item = &'a str>) -> Option<String> {
    let lower = wrong.to_lowercase();
    let scored = known.into_iter().map(|name| {
        let edits = strsim::osa_distance(&lower, &name.to_lowercase());
        (edits, name)
    });
    let (edits, name) = scored.min()?;
    (edits <= (wrong.chars().count() / 3).max(1)).then(|| name.to_owned())
}

/// Line and column of the first word of the text that is `word`, whether or not it is quoted.
pub(crate) fn find_word(sql: &str, word: &str) -> Option<(usize, usize)> {
    if word.is_empty() {
        return None;
    }
    let tokens = Tokenizer::new(&GenericDialect {}, sql).tokenize_with_location().ok()?;
    let found = tokens.into_iter().find(|token| match &token.token {
        Token::Word(found) => found.value.eq_ignore_ascii_case(word),
        _ => false,
    })?;
    Some((found.span.start.line as usize, found.span.start.column as usize))
}

/// What stands between the first `before` and the next `after`.
pub(crate) fn between<'a>(text: &'a str, before: &str, after: &str) -> Option<&'a str> {
    let start = text.find(before)? + before.len();
    let rest = text.get(start..)?;
    rest.get(..rest.find(after)?)
}

/// Line and column of the last character that is not white space.
pub(crate) fn end(sql: &str) -> (usize, usize) {
    let lines: Vec<&str> = sql.trim_end().lines().collect();
    (lines.len(), lines.last().map_or(0, |last| last.chars().count()))
}

/// Splits `... at Line: 3, Column: 7` into line and column, if they are there, and the message without them.
pub(crate) fn split_position(message: &str) -> (Option<(usize, usize)>, &str) {
    let parsed = message.rsplit_once("Line: ").and_then(|(before, after)| {
        let (line, column) = after.split_once(", Column: ")?;
        let digits = column.find(|next: char| !next.is_ascii_digit()).unwrap_or(column.len());
        Some((before, (line.parse().ok()?, column.get(..digits)?.parse().ok()?)))
    });
    match parsed {
        Some((before, position)) => {
            let before = before.trim_end();
            (Some(position), before.strip_suffix(" at").unwrap_or(before).trim_end_matches(','))
        }
        None => (None, message),
    }
}

/// A message without what the library puts before it.
pub(crate) fn without_prefix(message: &str) -> String {
    let prefixes =
        ["Error during planning: ", "Execution error: ", "Internal error: ", "Schema error: ", "type_coercion"];
    let mut rest = message.trim();
    while let Some(shorter) = prefixes.iter().find_map(|prefix| rest.strip_prefix(prefix)) {
        rest = shorter.trim_start_matches("caused by").trim();
    }
    rest.to_owned()
}

/// A message of the library in our words: one line, lower case, no Rust types, no full stop.
pub(crate) fn plain(message: &str) -> String {
    let message = without_prefix(message.trim().trim_start_matches("sql parser error: "));
    // What follows a blank line or a list of candidates are hints for developers.
    let first = message.lines().map(str::trim).find(|line| !line.is_empty()).unwrap_or_default();
    let line = type_words(without_debris(first).trim_end_matches('.'));
    let mut characters = line.chars();
    match (characters.next(), characters.next()) {
        // A word in capitals is a keyword and stays.
        (Some(first), Some(second)) if !second.is_uppercase() => {
            first.to_lowercase().chain(std::iter::once(second)).chain(characters).collect()
        }
        _ => line,
    }
}

/// A text with the names of types as users write them.
pub(crate) fn type_words(text: &str) -> String {
    TYPE_WORDS.iter().fold(text.to_owned(), |line, (arrow, ours)| replace_word(&line, arrow, ours))
}

/// A message up to where it prints the inside of the planner, such as `Ident { value: ...`.
fn without_debris(line: &str) -> &str {
    let Some(brace) = line.find(" { ") else {
        return line;
    };
    let kept = line.get(..brace).unwrap_or(line);
    kept.rsplit_once(' ').map_or(kept, |(before, _)| before).trim_end_matches([':', ','])
}

/// The word of the SQL text a message is most likely about: the first in quotes.
pub(crate) fn suspect(message: &str) -> &str {
    let quoted = [("'", "'"), ("`", "`"), ("\"", "\"")];
    let found = quoted.iter().find_map(|(open, close)| between(message, open, close));
    found.map(|name| name.rsplit('.').next().unwrap_or(name)).unwrap_or_default()
}

fn replace_word(line: &str, from: &str, to: &str) -> String {
    let mut replaced = String::with_capacity(line.len());
    let mut rest = line;
    while let Some(at) = rest.find(from) {
        let (before, found) = rest.split_at(at);
        let after = &found[from.len()..];
        let inside_a_word = before.ends_with(|last: char| last.is_alphanumeric() || last == '_')
            || after.starts_with(|next: char| next.is_alphanumeric() || next == '_');
        replaced.push_str(before);
        replaced.push_str(if inside_a_word { from } else { to });
        rest = after;
    }
    replaced.push_str(rest);
    replaced
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_position_of_a_parser_error_is_read_from_its_text() {
        let (position, rest) = split_position("Expected: an expression, found: FROM at Line: 3, Column: 8");
        assert_eq!((position, rest), (Some((3, 8)), "Expected: an expression, found: FROM"));
        assert_eq!(split_position("nothing here"), (None, "nothing here"));
        assert_eq!(end("SELECT\n  a,\n"), (2, 4));
    }

    #[test]
    fn messages_speak_of_the_types_users_write() {
        let message = "Error during planning: Cannot coerce arithmetic expression Utf8View + Int64 to valid types";
        assert_eq!(plain(message), "cannot coerce arithmetic expression string + long to valid types");
        let debris = "Substring without FOR is not valid Substring { expr: Identifier(Ident { value: \"id\" }) }";
        assert_eq!(plain(debris), "substring without FOR is not valid");
    }

    #[test]
    fn the_nearest_name_is_one_that_could_have_been_meant() {
        assert_eq!(nearest("usr_key", ["user_key", "flag_key"]).as_deref(), Some("user_key"));
        assert_eq!(nearest("invoiceno", ["InvoiceNo", "InvoiceDate"]).as_deref(), Some("InvoiceNo"));
        assert_eq!(nearest("temperature", ["user_key", "flag_key"]), None);
    }

    #[test]
    fn a_word_in_a_string_or_a_comment_is_not_found() {
        let sql = "SELECT 'quantity' -- quantity\n  , \"quantity\" FROM t";
        assert_eq!(find_word(sql, "quantity"), Some((2, 5)));
        assert_eq!(find_word(sql, "price"), None);
    }
}
