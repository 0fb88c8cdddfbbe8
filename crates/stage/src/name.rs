//! Three-part table names: pipeline, layer, table. The path of a spec is the name; nobody writes it twice.

use std::fmt;
use std::str::FromStr;

use serde::{Deserialize, Serialize};

use crate::{Error, Result};

/// The layers a table can be in.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Layer {
    /// Rows as they landed.
    Bronze,
    /// Cleaned and enriched rows.
    Silver,
    /// Aggregates people read.
    Gold,
    /// Rows that failed an expectation, one table beside each checked table.
    Quarantine,
    /// What the stages did: files, quality, events.
    System,
}

impl Layer {
    /// The layers a user writes specs for, in the order rows flow.
    pub const OF_USERS: [Layer; 3] = [Layer::Bronze, Layer::Silver, Layer::Gold];

    /// The name as it stands in paths and SQL.
    pub fn name(self) -> &'static str {
        match self {
            Layer::Bronze => "bronze",
            Layer::Silver => "silver",
            Layer::Gold => "gold",
            Layer::Quarantine => "quarantine",
            Layer::System => "system",
        }
    }
}

impl fmt::Display for Layer {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str(self.name())
    }
}

impl FromStr for Layer {
    type Err = Error;

    fn from_str(text: &str) -> Result<Self> {
        [Layer::Bronze, Layer::Silver, Layer::Gold, Layer::Quarantine, Layer::System]
            .into_iter()
            .find(|layer| layer.name() == text)
            .ok_or_else(|| Error::config(format!("`{text}` is not a layer; expected bronze, silver or gold")))
    }
}

/// The name of a table, `pipeline.layer.table`.
///
/// Each part is a plain identifier (a letter or `_`, then letters, digits and `_`), so a name can stand in a path or
/// in SQL without quoting.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct TableName {
    pipeline: String,
    layer: Layer,
    table: String,
}

impl TableName {
    /// A checked name.
    ///
    /// # Errors
    /// [`crate::Kind::Config`] when a part is not a plain identifier.
    pub fn new(pipeline: &str, layer: Layer, table: &str) -> Result<Self> {
        for part in [pipeline, table] {
            if !is_identifier(part) {
                return Err(Error::config(format!(
                    "`{part}` cannot be part of a table name; use letters, digits and _, and begin with a letter"
                )));
            }
        }
        Ok(TableName { pipeline: pipeline.to_owned(), layer, table: table.to_owned() })
    }

    /// The table that a spec of `pipeline` names, in full or as `layer.table`.
    ///
    /// # Errors
    /// [`crate::Kind::Config`] when it is neither.
    pub fn in_pipeline(pipeline: &str, written: &str) -> Result<Self> {
        let full = match written.matches('.').count() {
            1 => format!("{pipeline}.{written}"),
            _ => written.to_owned(),
        };
        full.parse().map_err(|error: Error| {
            let why = error.message();
            Error::config(format!("{why}; expected layer.table of this pipeline, or pipeline.layer.table"))
        })
    }

    /// The pipeline, first part of the name.
    pub fn pipeline(&self) -> &str {
        &self.pipeline
    }

    /// The layer, second part of the name.
    pub fn layer(&self) -> Layer {
        self.layer
    }

    /// The table, third part of the name.
    pub fn table(&self) -> &str {
        &self.table
    }

    /// The folder of the table below the lake: `pipeline/layer/table`.
    pub fn path(&self) -> String {
        format!("{}/{}/{}", self.pipeline, self.layer, self.table)
    }

    /// The quarantine table beside this table.
    #[must_use]
    pub fn quarantine(&self) -> TableName {
        TableName {
            pipeline: self.pipeline.clone(),
            layer: Layer::Quarantine,
            table: format!("{}_{}", self.layer, self.table),
        }
    }

    /// A system table of the same pipeline.
    #[must_use]
    pub fn system(&self, table: &str) -> TableName {
        TableName { pipeline: self.pipeline.clone(), layer: Layer::System, table: table.to_owned() }
    }
}

impl fmt::Display for TableName {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(formatter, "{}.{}.{}", self.pipeline, self.layer, self.table)
    }
}

impl FromStr for TableName {
    type Err = Error;

    fn from_str(text: &str) -> Result<Self> {
        let parts: Vec<&str> = text.split('.').collect();
        match parts.as_slice() {
            [pipeline, layer, table] => TableName::new(pipeline, layer.parse()?, table),
            _ => Err(Error::config(format!("`{text}` is not a table name; expected pipeline.layer.table"))),
        }
    }
}

fn is_identifier(text: &str) -> bool {
    let mut characters = text.chars();
    let begins_well = characters.next().is_some_and(|first| first.is_ascii_alphabetic() || first == '_');
    begins_well && characters.all(|other| other.is_ascii_alphanumeric() || other == '_')
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_name_survives_printing_and_parsing() {
        let name = TableName::new("shop", Layer::Silver, "orders").unwrap();
        assert_eq!(name.to_string(), "shop.silver.orders");
        assert_eq!("shop.silver.orders".parse::<TableName>().unwrap(), name);
        assert_eq!(name.path(), "shop/silver/orders");
    }

    #[test]
    fn a_spec_may_leave_its_own_pipeline_out() {
        let name = TableName::new("shop", Layer::Silver, "orders").unwrap();
        assert_eq!(TableName::in_pipeline("shop", "silver.orders").unwrap(), name);
        assert_eq!(TableName::in_pipeline("other", "shop.silver.orders").unwrap(), name);
        for bad in ["orders", "platinum.orders", "a.b.c.d"] {
            let error = TableName::in_pipeline("shop", bad).unwrap_err();
            assert!(
                error.message().ends_with("expected layer.table of this pipeline, or pipeline.layer.table"),
                "{error}"
            );
        }
    }

    #[test]
    fn names_that_could_escape_a_path_or_sql_are_refused() {
        for bad in ["../x", "a b", "a;drop", "", "1a", "a-b"] {
            assert!(TableName::new("shop", Layer::Gold, bad).is_err(), "{bad}");
        }
        assert!("shop.orders".parse::<TableName>().is_err());
        assert!("shop.platinum.orders".parse::<TableName>().is_err());
    }
}
