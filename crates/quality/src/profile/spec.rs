//! How users write what is profiled.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// `profile = false`, or `[profile]`: whether the columns of a table are profiled while its rows are written.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize, Serialize, JsonSchema)]
#[serde(untagged)]
pub enum ProfileSpec {
    /// All columns whose names do not begin with `_`, or none.
    Switch(bool),
    /// Some columns.
    Columns(ProfiledSpec),
}

/// `[profile]`: which columns are profiled.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize, Serialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct ProfiledSpec {
    /// The columns.
    pub columns: Vec<String>,
}

impl Default for ProfileSpec {
    fn default() -> ProfileSpec {
        ProfileSpec::Switch(true)
    }
}

impl ProfileSpec {
    /// One column alone.
    pub(crate) fn of(column: &str) -> ProfileSpec {
        ProfileSpec::Columns(ProfiledSpec { columns: vec![column.to_owned()] })
    }

    /// Whether anything is profiled.
    pub fn is_on(&self) -> bool {
        match self {
            ProfileSpec::Switch(is_on) => *is_on,
            ProfileSpec::Columns(spec) => !spec.columns.is_empty(),
        }
    }

    /// The columns that are named, with their place in the file.
    pub fn named(&self) -> &[String] {
        match self {
            ProfileSpec::Switch(_) => &[],
            ProfileSpec::Columns(spec) => &spec.columns,
        }
    }

    /// Whether a column is profiled. What a stage adds about itself is only when it is named.
    pub(crate) fn covers(&self, column: &str) -> bool {
        match self {
            ProfileSpec::Switch(is_on) => *is_on && !column.starts_with('_'),
            ProfileSpec::Columns(spec) => spec.columns.iter().any(|name| name == column),
        }
    }
}
