//! What people and programs read: results on stdout, everything else on stderr.

use std::io::{self, IsTerminal as _, Write as _};

use stage::Error;

/// Prints a result. A reader that has gone away is no error.
pub(crate) fn print(text: &str) {
    let mut out = io::stdout().lock();
    let _ =
        out.write_all(text.as_bytes()).and_then(|()| if text.ends_with('\n') { Ok(()) } else { out.write_all(b"\n") });
    let _ = out.flush();
}

/// Prints a part of a result, which may be empty.
pub(crate) fn print_all(text: &str) {
    if !text.is_empty() {
        print(text);
    }
}

/// Prints a line for people beside the result.
pub(crate) fn note(text: &str) {
    let _ = writeln!(io::stderr().lock(), "{text}");
}

/// Prints an error and its causes as one line.
pub(crate) fn error(error: &Error) {
    note(&format!("error: {}", error.chain()));
}

/// A number with commas between its thousands.
pub(crate) fn thousands(number: u64) -> String {
    let digits = number.to_string();
    let mut text = String::with_capacity(digits.len() + digits.len() / 3);
    for (index, digit) in digits.chars().enumerate() {
        if index > 0 && (digits.len() - index).is_multiple_of(3) {
            text.push(',');
        }
        text.push(digit);
    }
    text
}

/// How many of something there are, such as `1 file` or `2,000 files`.
pub(crate) fn counted(number: u64, one: &str) -> String {
    let ending = if number == 1 { "" } else { "s" };
    format!("{} {one}{ending}", thousands(number))
}

/// How many cells a line of stdout has: `COLUMNS`, else those of the terminal; `None` where nothing limits it.
pub(crate) fn width() -> Option<usize> {
    let columns = std::env::var("COLUMNS").ok().and_then(|text| text.parse().ok());
    let terminal = || io::stdout().is_terminal().then(|| usize::from(console::Term::stdout().size().1));
    columns.or_else(terminal).filter(|width| *width > 0)
}

/// Whether stdout shows colours: it is a terminal, and `NO_COLOR` does not say otherwise.
pub(crate) fn has_colours() -> bool {
    io::stdout().is_terminal() && std::env::var_os("NO_COLOR").is_none_or(|text| text.is_empty())
}

/// A text in lines of at most `width` cells, broken between words; all but the first begin with `indent`.
pub(crate) fn wrapped(text: &str, width: Option<usize>, indent: &str) -> String {
    let Some(width) = width else { return text.to_owned() };
    let mut lines = String::new();
    let mut cells = 0;
    for word in text.split(' ') {
        let length = console::measure_text_width(word);
        if cells > 0 && cells + 1 + length > width {
            lines.push('\n');
            lines.push_str(indent);
            cells = indent.len();
        } else if cells > 0 {
            lines.push(' ');
            cells += 1;
        }
        lines.push_str(word);
        cells += length;
    }
    lines
}

/// Rows of text in aligned columns under a header.
pub(crate) fn columns(header: &[&str], rows: &[Vec<String>]) -> String {
    let header: Vec<String> = header.iter().map(|name| (*name).to_owned()).collect();
    aligned(&[&[header], rows].concat())
}

/// Rows of text in aligned columns.
pub(crate) fn aligned(rows: &[Vec<String>]) -> String {
    let count = rows.iter().map(Vec::len).max().unwrap_or_default();
    let width = |column: usize| rows.iter().filter_map(|row| row.get(column)).map(|cell| cell.chars().count()).max();
    let widths: Vec<usize> = (0..count).map(|column| width(column).unwrap_or_default()).collect();
    let line = |cells: &Vec<String>| {
        let padded = cells.iter().zip(&widths).map(|(cell, width)| format!("{cell:width$}"));
        padded.collect::<Vec<_>>().join("  ").trim_end().to_owned() + "\n"
    };
    rows.iter().map(line).collect()
}

/// The same as CSV.
pub(crate) fn csv(header: &[&str], rows: &[Vec<String>]) -> String {
    let mut writer = csv::Writer::from_writer(Vec::new());
    // Writing into memory cannot fail.
    let _ = writer.write_record(header);
    for row in rows {
        let _ = writer.write_record(row);
    }
    String::from_utf8_lossy(&writer.into_inner().unwrap_or_default()).into_owned()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn thousands_are_separated() {
        assert_eq!([0, 999, 1000, 1_234_567].map(thousands), ["0", "999", "1,000", "1,234,567"]);
    }

    #[test]
    fn one_of_something_is_not_told_as_many() {
        assert_eq!([0, 1, 2000].map(|number| counted(number, "file")), ["0 files", "1 file", "2,000 files"]);
    }

    #[test]
    fn columns_are_aligned() {
        let rows = vec![vec!["a".to_owned(), "1".to_owned()], vec!["longer".to_owned(), "22".to_owned()]];
        assert_eq!(columns(&["name", "n"], &rows), "name    n\na       1\nlonger  22\n");
    }
}
