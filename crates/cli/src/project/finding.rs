//! What `check` prints: one problem, with the file and the place in it.

use std::fmt;

/// Something wrong in a project.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub struct Finding {
    /// The file, relative to the project's folder; or what else it is about, such as `--var lake`.
    pub file: String,
    /// The line, counted from 1; 0 when it is about the whole file.
    pub line: usize,
    /// The column in characters, counted from 1; 0 when it is about the whole file.
    pub column: usize,
    /// What is wrong, what was expected and the nearest known name.
    pub message: String,
}

impl Finding {
    /// A problem of a whole file.
    pub fn of_file(file: impl Into<String>, message: impl Into<String>) -> Finding {
        Finding { file: file.into(), line: 0, column: 0, message: message.into() }
    }
}

/// `file:line:column: message`.
impl fmt::Display for Finding {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.line {
            0 => write!(formatter, "{}: {}", self.file, self.message),
            line => write!(formatter, "{}:{line}:{}: {}", self.file, self.column, self.message),
        }
    }
}

/// The line and the column, both counted from 1, of a place given in bytes.
pub(crate) fn line_and_column(text: &str, offset: usize) -> (usize, usize) {
    let before = text.get(..offset.min(text.len())).unwrap_or(text);
    let line_start = before.rfind('\n').map_or(0, |end| end + 1);
    let line = before.matches('\n').count() + 1;
    (line, before[line_start..].chars().count() + 1)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn columns_count_characters_and_lines_begin_with_one() {
        assert_eq!(line_and_column("a = 1\nä = 2", 0), (1, 1));
        assert_eq!(line_and_column("a = 1\nä = 2", "a = 1\nä ".len()), (2, 3));
        assert_eq!(line_and_column("", 9), (1, 1));
    }

    #[test]
    fn a_finding_of_a_whole_file_names_no_line() {
        assert_eq!(Finding::of_file("x.sql", "has no spec").to_string(), "x.sql: has no spec");
    }
}
