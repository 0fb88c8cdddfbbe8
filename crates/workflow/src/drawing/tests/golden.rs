//! The files in `golden` are what people read; `UPDATE_GOLDEN=1` writes them instead of comparing.

use super::examples::{medium, small, wide};
use crate::drawing::{Picture, mermaid, svg, text};

fn check_golden(name: &str, text: &str) {
    let file = std::path::Path::new(env!("CARGO_MANIFEST_DIR")).join("src/drawing/golden").join(name);
    if std::env::var_os("UPDATE_GOLDEN").is_some() {
        std::fs::create_dir_all(file.parent().unwrap()).unwrap();
        std::fs::write(&file, text).unwrap();
    }
    let golden = std::fs::read_to_string(&file).unwrap_or_default();
    assert_eq!(text, golden, "{} differs; UPDATE_GOLDEN=1 rewrites it", file.display());
}

fn check_all(name: &str, picture: &Picture) {
    check_golden(&format!("{name}.txt"), &text(picture, Some(80), false));
    check_golden(&format!("{name}.mmd"), &mermaid(picture));
    check_golden(&format!("{name}.svg"), &svg(picture));
}

#[test]
fn a_plan_of_three_tasks_is_drawn_as_kept() {
    check_all("small", &small());
}

#[test]
fn a_run_of_twelve_tasks_is_drawn_as_kept() {
    check_all("medium", &medium());
    check_golden("medium-narrow.txt", &text(&medium(), Some(44), false));
    check_golden("medium-colour.txt", &text(&medium(), Some(100), true));
}

#[test]
fn a_plan_of_sixty_tasks_is_drawn_as_kept() {
    check_all("wide", &wide());
}
