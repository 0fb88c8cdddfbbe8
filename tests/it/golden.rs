//! Texts that people read, kept in `tests/golden`.

use crate::project::repository;

/// Compares a text with a file of `tests/golden`; `UPDATE_GOLDEN=1` writes it instead.
pub fn check_golden(name: &str, text: &str) {
    let file = repository().join("tests/golden").join(name);
    if std::env::var_os("UPDATE_GOLDEN").is_some() {
        std::fs::create_dir_all(file.parent().unwrap()).unwrap();
        std::fs::write(&file, text).unwrap();
    }
    let golden = std::fs::read_to_string(&file).unwrap_or_default();
    assert_eq!(text, golden, "{} differs; UPDATE_GOLDEN=1 rewrites it", file.display());
}
