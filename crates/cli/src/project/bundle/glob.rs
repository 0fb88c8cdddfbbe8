//! Patterns of file names in `include`: `*`, `?` and `[a-z]` within a name, `**` for any folders.

use std::path::Path;

/// Folders of a project for data, where files come and go by the thousand; `**` alone does not lead into them.
const DATA: [&str; 2] = ["lake", "landing"];

/// The files below a folder that fit a pattern, relative to the folder and in order. Hidden files fit no `*`.
pub(super) fn files(root: &Path, pattern: &str) -> Vec<String> {
    let mut parts: Vec<&str> = pattern.split('/').filter(|part| !part.is_empty() && *part != ".").collect();
    // Each further `**` in a row would walk all folders once more for each folder.
    parts.dedup_by(|one, before| *one == "**" && *before == "**");
    let mut found = Vec::new();
    walk(root, "", &parts, &mut found);
    found.sort();
    found.dedup();
    found
}

/// Whether a pattern names one file only.
pub(super) fn is_name(pattern: &str) -> bool {
    !pattern.contains(['*', '?', '['])
}

fn walk(folder: &Path, before: &str, parts: &[&str], found: &mut Vec<String>) {
    let Some((part, rest)) = parts.split_first() else { return };
    if is_name(part) {
        let path = folder.join(part);
        return step(&path, format!("{before}{part}"), rest, found);
    }
    if *part == "**" {
        walk(folder, before, rest, found);
    }
    let Ok(entries) = std::fs::read_dir(folder) else { return };
    for entry in entries.flatten() {
        let name = entry.file_name().to_string_lossy().into_owned();
        if name.starts_with('.') {
            continue;
        }
        if *part == "**" {
            // A link could lead back up, and the walk would not end.
            let is_data = before.is_empty() && DATA.contains(&name.as_str());
            if !is_data && entry.file_type().is_ok_and(|kind| kind.is_dir()) {
                walk(&entry.path(), &format!("{before}{name}/"), parts, found);
            }
        } else if fits(part, &name) {
            step(&entry.path(), format!("{before}{name}"), rest, found);
        }
    }
}

fn step(path: &Path, name: String, rest: &[&str], found: &mut Vec<String>) {
    match rest.is_empty() {
        true if path.is_file() => found.push(name),
        true => {}
        false => walk(path, &format!("{name}/"), rest, found),
    }
}

/// Whether a name fits a pattern. After a `*` that did not lead on, the next longer text is tried for it.
fn fits(pattern: &str, name: &str) -> bool {
    let (pattern, name): (Vec<char>, Vec<char>) = (pattern.chars().collect(), name.chars().collect());
    let (mut at, mut here) = (0, 0);
    let mut star: Option<(usize, usize)> = None;
    while here < name.len() {
        if pattern.get(at) == Some(&'*') {
            star = Some((at, here));
            at += 1;
        } else if let Some(length) = one_fits(&pattern[at..], name[here]) {
            at += length;
            here += 1;
        } else if let Some((star_at, from)) = star {
            star = Some((star_at, from + 1));
            (at, here) = (star_at + 1, from + 1);
        } else {
            return false;
        }
    }
    pattern[at..].iter().all(|one| *one == '*')
}

/// How many characters of the pattern stand for one character, if they do.
fn one_fits(pattern: &[char], one: char) -> Option<usize> {
    match pattern.first()? {
        '?' => Some(1),
        '[' => {
            let end = pattern.iter().skip(2).position(|one| *one == ']')? + 2;
            let is_not = matches!(pattern[1], '^' | '!');
            let set = &pattern[if is_not { 2 } else { 1 }..end];
            let mut holds = false;
            let mut index = 0;
            while index < set.len() {
                if set.get(index + 1) == Some(&'-') && index + 2 < set.len() {
                    holds |= (set[index]..=set[index + 2]).contains(&one);
                    index += 3;
                } else {
                    holds |= set[index] == one;
                    index += 1;
                }
            }
            (holds != is_not).then_some(end + 1)
        }
        plain => (*plain == one).then_some(1),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_fit_patterns() {
        for (pattern, name, expected) in [
            ("*.yml", "a.yml", true),
            ("*.yml", "a.yaml", false),
            ("*.y*ml", "a.yaml", true),
            ("?.yml", "ä.yml", true),
            ("[a-c]*.yml", "bob.yml", true),
            ("[!a-c]*.yml", "bob.yml", false),
            ("*", "", true),
            ("a*b*c", "aXbYbZc", true),
            ("[a", "[a", false),
        ] {
            assert_eq!(fits(pattern, name), expected, "{pattern} {name}");
        }
    }

    #[test]
    fn folders_are_walked() {
        let folder = tempfile::tempdir().unwrap();
        for file in ["resources/a.yml", "resources/deep/b.yml", "resources/.hidden.yml", "c.yml", "landing/d.yml"] {
            let path = folder.path().join(file);
            std::fs::create_dir_all(path.parent().unwrap()).unwrap();
            std::fs::write(path, "").unwrap();
        }
        assert_eq!(files(folder.path(), "resources/*.yml"), ["resources/a.yml"]);
        assert_eq!(files(folder.path(), "./resources/**/*.yml"), ["resources/a.yml", "resources/deep/b.yml"]);
        assert_eq!(files(folder.path(), "**/**/**/b.yml"), ["resources/deep/b.yml"]);
        assert_eq!(files(folder.path(), "**/d.yml"), Vec::<String>::new());
        assert_eq!(files(folder.path(), "landing/**/d.yml"), ["landing/d.yml"]);
        assert_eq!(files(folder.path(), "c.yml"), ["c.yml"]);
        assert_eq!(files(folder.path(), "*/nothing"), Vec::<String>::new());
    }
}
