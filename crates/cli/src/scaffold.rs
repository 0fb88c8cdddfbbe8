//! `medallion new`: a small project that runs, as a place to begin.

use std::path::{Path, PathBuf};

use stage::{Error, Kind, Result};

/// The files of a new project, `{name}` being its name.
const FILES: [(&str, &str); 13] = [
    ("medallion.toml", include_str!("../scaffold/medallion.toml")),
    (".gitignore", include_str!("../scaffold/gitignore")),
    ("README.md", include_str!("../scaffold/README.md")),
    ("landing/orders/2024-03-01.csv", include_str!("../scaffold/landing/orders/2024-03-01.csv")),
    ("landing/orders/2024-03-02.csv", include_str!("../scaffold/landing/orders/2024-03-02.csv")),
    ("pipelines/shop/bronze/orders.toml", include_str!("../scaffold/pipelines/shop/bronze/orders.toml")),
    ("pipelines/shop/silver/orders.toml", include_str!("../scaffold/pipelines/shop/silver/orders.toml")),
    ("pipelines/shop/silver/orders.sql", include_str!("../scaffold/pipelines/shop/silver/orders.sql")),
    ("pipelines/shop/gold/daily_revenue.toml", include_str!("../scaffold/pipelines/shop/gold/daily_revenue.toml")),
    ("pipelines/shop/gold/daily_revenue.sql", include_str!("../scaffold/pipelines/shop/gold/daily_revenue.sql")),
    ("pipelines/shop/gold/customers.toml", include_str!("../scaffold/pipelines/shop/gold/customers.toml")),
    ("pipelines/shop/gold/customers.sql", include_str!("../scaffold/pipelines/shop/gold/customers.sql")),
    ("pipelines/shop/tests/orders.toml", include_str!("../scaffold/pipelines/shop/tests/orders.toml")),
];

const WORKFLOW: (&str, &str) = ("workflows/shop.json", include_str!("../scaffold/workflows/shop.json"));

/// Writes a new project into a folder, which is created if it is missing, and returns the files relative to it.
///
/// # Errors
/// [`Kind::Config`] when the folder holds something already or cannot be written to.
pub fn write(folder: &Path) -> Result<Vec<PathBuf>> {
    let failed = |path: &Path, error: std::io::Error| {
        Error::new(Kind::Config, format!("could not write {}", path.display())).with_source(error)
    };
    std::fs::create_dir_all(folder).map_err(|error| failed(folder, error))?;
    let mut entries = std::fs::read_dir(folder).map_err(|error| failed(folder, error))?;
    if entries.next().is_some() {
        let message = format!("{} is not empty; a new project needs a folder of its own", folder.display());
        return Err(Error::config(message));
    }
    let name = name_of(folder);
    let mut written = Vec::with_capacity(FILES.len() + 1);
    for (file, text) in FILES.iter().chain([&WORKFLOW]) {
        let path = folder.join(file);
        if let Some(parent) = path.parent() {
            std::fs::create_dir_all(parent).map_err(|error| failed(parent, error))?;
        }
        std::fs::write(&path, text.replace("{name}", &name)).map_err(|error| failed(&path, error))?;
        written.push(PathBuf::from(file));
    }
    Ok(written)
}

/// The name of the folder, without what could not stand in quotes.
fn name_of(folder: &Path) -> String {
    let absolute = std::path::absolute(folder).unwrap_or_else(|_| folder.to_path_buf());
    let name = absolute.file_name().map(|name| name.to_string_lossy().into_owned()).unwrap_or_default();
    let name: String = name.chars().filter(|one| one.is_alphanumeric() || "-_. ".contains(*one)).collect();
    if name.is_empty() { "project".to_owned() } else { name }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use super::*;
    use crate::project::{LoadOptions, load};

    #[test]
    fn a_new_project_has_nothing_wrong_with_it() {
        let parent = tempfile::tempdir().unwrap();
        let folder = parent.path().join("my \"shop\"");
        let files = write(&folder).unwrap();
        assert_eq!(files.len(), FILES.len() + 1);
        let options = LoadOptions { target: None, variables: BTreeMap::new(), environment: BTreeMap::new() };
        let (project, findings) = load(&folder, &options);
        assert_eq!(findings, []);
        let project = project.unwrap();
        assert_eq!((project.name.as_str(), project.tables.len(), project.workflows.len()), ("my shop", 4, 1));
    }

    #[test]
    fn a_folder_that_holds_something_is_left_alone() {
        let folder = tempfile::tempdir().unwrap();
        std::fs::write(folder.path().join("mine"), "").unwrap();
        assert!(write(folder.path()).unwrap_err().message().contains("is not empty"));
        assert_eq!(std::fs::read_dir(folder.path()).unwrap().count(), 1);
    }
}
