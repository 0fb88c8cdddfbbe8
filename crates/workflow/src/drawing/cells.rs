//! Text in the cells of a terminal: how wide it is, what must not reach it, and where it is cut.

/// The cells that a character takes: none, one or two.
///
/// The ranges are those of Unicode's East Asian Width `W` and `F` (UAX #11) and of the common combining marks, rounded to
/// whole blocks: a letter that is taken for wider than it is costs a blank, never a broken line.
pub(super) fn width_of(character: char) -> usize {
    match u32::from(character) {
        0x0300..=0x036F | 0x200B..=0x200D | 0x20D0..=0x20FF | 0xFE00..=0xFE0F | 0xFE20..=0xFE2F => 0,
        0x1100..=0x115F
        | 0x231A..=0x231B
        | 0x23E9..=0x23F3
        | 0x2614..=0x2615
        | 0x26A1
        | 0x2705
        | 0x274C
        | 0x2753..=0x2757
        | 0x2E80..=0x303E
        | 0x3041..=0xA4CF
        | 0xA960..=0xA97F
        | 0xAC00..=0xD7A3
        | 0xF900..=0xFAFF
        | 0xFE30..=0xFE6F
        | 0xFF01..=0xFF60
        | 0xFFE0..=0xFFE6
        | 0x1F000..=0x1FAFF
        | 0x20000..=0x3FFFD => 2,
        _ => 1,
    }
}

/// The cells that a text takes.
pub(super) fn width(text: &str) -> usize {
    text.chars().map(width_of).sum()
}

/// The text on one line: line ends and tabs are blanks, and what would steer a terminal or turn the direction of writing
/// is shown as the replacement character.
pub(super) fn clean(text: &str) -> String {
    let one = |character| match character {
        '\t' | '\n' | '\r' => ' ',
        character if is_unsafe(character) => '\u{FFFD}',
        character => character,
    };
    text.chars().map(one).collect()
}

/// Control characters, marks that turn the direction of writing, line separators, and what XML has no place for.
fn is_unsafe(character: char) -> bool {
    character.is_control()
        || matches!(character, '\u{200E}' | '\u{200F}' | '\u{2028}'..='\u{202E}' | '\u{2066}'..='\u{2069}' | '\u{FEFF}')
        || matches!(character, '\u{FFFE}' | '\u{FFFF}')
}

/// As much of the text as fits into so many cells, with an ellipsis in place of what does not.
pub(super) fn cut(text: &str, cells: usize) -> String {
    if width(text) <= cells {
        return text.to_owned();
    }
    let mut left = cells.saturating_sub(1);
    let mut short = String::new();
    for character in text.chars() {
        let Some(rest) = left.checked_sub(width_of(character)) else { break };
        left = rest;
        short.push(character);
    }
    short.truncate(short.trim_end().len());
    if cells > 0 {
        short.push('…');
    }
    short
}
