//! `medallion schema`: JSON Schemas for editors.

use std::path::Path;

use ::stage::{Error, Result};

use crate::args::SchemaArguments;
use crate::project::hint;
use crate::{output, schema};

/// Prints one schema, writes all, or lists their names.
pub(super) fn run(arguments: &SchemaArguments) -> Result<u8> {
    let schemas = schema::schemas();
    if let Some(folder) = &arguments.write {
        for (name, schema) in &schemas {
            write(&folder.join(format!("{name}.json")), &schema::text(schema))?;
        }
        return Ok(0);
    }
    let names: Vec<&str> = schemas.iter().map(|(name, _)| *name).collect();
    match &arguments.name {
        None => output::print(&names.join("\n")),
        Some(wanted) => match schemas.iter().find(|(name, _)| name == wanted) {
            Some((_, schema)) => output::print(&schema::text(schema)),
            None => {
                let hint = hint(wanted, names.iter().copied());
                return Err(Error::config(format!("there is no schema `{wanted}`{hint}; known: {}", names.join(", "))));
            }
        },
    }
    Ok(0)
}

fn write(path: &Path, text: &str) -> Result<()> {
    let folder = path.parent().unwrap_or(Path::new("."));
    std::fs::create_dir_all(folder)
        .and_then(|()| std::fs::write(path, text))
        .map_err(|error| Error::config(format!("could not write {}", path.display())).with_source(error))
}
