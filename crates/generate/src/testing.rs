//! Reading generated folders back, for the tests of this crate.

use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};

/// Every file below `folder`, by its path relative to it.
pub(crate) fn contents(folder: &Path) -> BTreeMap<PathBuf, Vec<u8>> {
    let relative = |path: PathBuf| (path.strip_prefix(folder).unwrap().to_owned(), fs::read(&path).unwrap());
    files(folder).into_iter().map(relative).collect()
}

/// Every line of every file below `folder` with the path of its file, in order of the paths.
pub(crate) fn lines(folder: &Path) -> impl Iterator<Item = (String, String)> {
    files(folder).into_iter().flat_map(|path| {
        let text = fs::read_to_string(&path).unwrap();
        let name = path.display().to_string();
        text.lines().map(|line| (name.clone(), line.to_owned())).collect::<Vec<_>>()
    })
}

fn files(folder: &Path) -> Vec<PathBuf> {
    let mut found = Vec::new();
    for entry in fs::read_dir(folder).unwrap() {
        let path = entry.unwrap().path();
        if path.is_dir() {
            found.extend(files(&path));
        } else {
            found.push(path);
        }
    }
    found.sort();
    found
}
