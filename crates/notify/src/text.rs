//! Texts from elsewhere, made to fit where they are shown.

/// The text on one line: line breaks, other control characters and runs of spaces become one space. So it can stand in a
/// header.
pub(crate) fn one_line(text: &str) -> String {
    let is_gap = |one: char| one.is_whitespace() || one.is_control() || matches!(one, '\u{2028}' | '\u{2029}');
    text.split(is_gap).filter(|word| !word.is_empty()).collect::<Vec<_>>().join(" ")
}

/// At most so many bytes of what each character of the text becomes, and `…` where the rest was. A character is shown as a
/// whole or not at all.
pub(crate) fn within(text: &str, most: usize, become_of: impl Fn(char, &mut String)) -> String {
    const REST: char = '…';
    let mut shown = String::new();
    // Where it is cut if the rest turns out not to fit.
    let mut cut = 0;
    for one in text.chars() {
        become_of(one, &mut shown);
        if shown.len() > most {
            shown.truncate(cut);
            shown.push(REST);
            return shown;
        }
        if shown.len() + REST.len_utf8() <= most {
            cut = shown.len();
        }
    }
    shown
}

/// At most so many bytes of the text as it is.
pub(crate) fn shortened(text: &str, most: usize) -> String {
    within(text, most, |one, shown| shown.push(one))
}

/// The text with everything in it that HTML would take for more than text escaped.
pub(crate) fn html(text: &str) -> String {
    within(text, usize::MAX, |one, shown| match one {
        '&' => shown.push_str("&amp;"),
        '<' => shown.push_str("&lt;"),
        '>' => shown.push_str("&gt;"),
        '"' => shown.push_str("&quot;"),
        '\'' => shown.push_str("&#39;"),
        other => shown.push(other),
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn line_breaks_of_any_kind_become_spaces() {
        assert_eq!(one_line(" a\r\nBcc: x\u{2028}y\u{85}z\0 "), "a Bcc: x y z");
    }

    proptest! {
        #[test]
        fn a_text_is_whole_or_ends_where_it_is_cut(text in ".{0,40}", most in 3usize..60) {
            let short = shortened(&text, most);
            prop_assert!(short.len() <= most);
            match short.strip_suffix('…') {
                Some(begin) if short != text => prop_assert!(text.starts_with(begin) && text.len() > most),
                _ => prop_assert_eq!(short, text),
            }
        }
    }
}
