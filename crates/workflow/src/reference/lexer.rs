//! The form of a reference: `{{`, words joined by points, `}}`. It knows no names.

use std::borrow::Cow;

/// Finds the next reference in `text`: what stands before it, its words, and what follows.
///
/// Where `{{` begins no reference, the search goes on one character later, so that the inner one of `{{{job.id}}}` is
/// found.
pub(super) fn next_reference(text: &str) -> Option<(&str, Vec<&str>, &str)> {
    let mut from = 0;
    while let Some(found) = text[from..].find("{{") {
        let start = from + found;
        if let Some((words, rest)) = reference(&text[start..]) {
            return Some((&text[..start], words, rest));
        }
        from = start + 1;
    }
    None
}

/// The words of the reference that `text` begins with, and what follows it.
fn reference(text: &str) -> Option<(Vec<&str>, &str)> {
    let mut rest = text.strip_prefix("{{")?.trim_start();
    let mut words = Vec::new();
    loop {
        let (word, after) = word(rest)?;
        words.push(word);
        let Some(next) = after.strip_prefix('.') else {
            return Some((words, after.trim_start().strip_prefix("}}")?));
        };
        rest = next;
    }
}

/// The word that `text` begins with, without its backticks, and what follows it.
fn word(text: &str) -> Option<(&str, &str)> {
    let (word, rest) = match text.strip_prefix('`') {
        Some(quoted) => quoted.split_once('`')?,
        None => text.split_at(text.find(|character| !is_plain(character)).unwrap_or(text.len())),
    };
    (!word.is_empty()).then_some((word, rest))
}

/// A word as it is written in a reference.
pub(super) fn quoted(word: &str) -> Cow<'_, str> {
    if word.chars().all(is_plain) { Cow::Borrowed(word) } else { Cow::Owned(format!("`{word}`")) }
}

/// What a word may hold without backticks.
fn is_plain(character: char) -> bool {
    character.is_alphanumeric() || character == '_'
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn words_are_plain_or_in_backticks() {
        for (text, words) in [
            ("{{a}}", vec!["a"]),
            ("{{  a.b_2.3\t}}", vec!["a", "b_2", "3"]),
            ("{{a.`b.c`}}", vec!["a", "b.c"]),
            ("{{a.`}} {{`.größe}}", vec!["a", "}} {{", "größe"]),
            ("{{\na.` b `\n}}", vec!["a", " b "]),
        ] {
            assert_eq!(next_reference(text), Some(("", words, "")), "{text}");
        }
    }

    #[test]
    fn other_forms_are_no_references() {
        for text in
            ["", "{{", "{{}}", "{{ }}", "{{a", "{{a}", "{a}}", "{{.a}}", "{{a.}}", "{{a..b}}", "{{a. b}}", "{{a .b}}"]
        {
            assert_eq!(next_reference(text), None, "{text}");
        }
        for text in ["{{a-b}}", "{{a + b}}", "{{a[0]}}", "{{f(x)}}", "{{a.``}}", "{{a.`b}}", "{{a.`b`c}}", "{{'a'}}"] {
            assert_eq!(next_reference(text), None, "{text}");
        }
    }

    #[test]
    fn the_innermost_braces_count() {
        assert_eq!(next_reference("{\"id\":{{{a}}}}"), Some(("{\"id\":{", vec!["a"], "}}")));
        assert_eq!(next_reference("{{ {{a}} }}"), Some(("{{ ", vec!["a"], " }}")));
    }
}
