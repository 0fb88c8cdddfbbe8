//! JSON Schemas of everything a user writes, for editors. They are generated from the spec types, and the same schemas
//! say what `medallion check` expects.

use bronze::spec::BronzeSpec;
use gold::spec::GoldSpec;
use schemars::JsonSchema;
use serde_json::Value;
use silver::spec::SilverSpec;
use workflow::spec::WorkflowSpec;

use crate::project::{SettingsSpec, schema_of};
use crate::testing::spec::TestSpec;

/// The name and the JSON Schema of each kind of file: `medallion.toml`, tables by layer, workflows and tests.
pub fn schemas() -> Vec<(&'static str, Value)> {
    vec![
        ("medallion", titled::<SettingsSpec>("medallion.toml")),
        ("bronze", titled::<BronzeSpec>("Bronze table")),
        ("silver", titled::<SilverSpec>("Silver table")),
        ("gold", titled::<GoldSpec>("Gold table")),
        ("workflow", titled::<WorkflowSpec>("Workflow")),
        ("test", titled::<TestSpec>("Test of a pipeline")),
    ]
}

/// The text of a schema as it is checked in.
pub fn text(schema: &Value) -> String {
    // `{:#}` is indented JSON.
    format!("{schema:#}\n")
}

fn titled<T: JsonSchema>(title: &str) -> Value {
    let mut schema = schema_of::<T>();
    if let Value::Object(parts) = &mut schema {
        parts.insert("title".to_owned(), title.into());
    }
    schema
}

#[cfg(test)]
mod tests {
    use super::*;

    /// `MEDALLION_WRITE_SCHEMAS=1 cargo test -p cli` writes them anew.
    #[test]
    fn the_schemas_that_are_checked_in_are_those_of_the_specs() {
        let folder = std::path::PathBuf::from(std::env::var_os("CARGO_MANIFEST_DIR").unwrap()).join("../../schemas");
        for (name, schema) in schemas() {
            let file = folder.join(format!("{name}.json"));
            if std::env::var_os("MEDALLION_WRITE_SCHEMAS").is_some() {
                std::fs::create_dir_all(&folder).unwrap();
                std::fs::write(&file, text(&schema)).unwrap();
            }
            let written = std::fs::read_to_string(&file).unwrap_or_default();
            assert!(
                written == text(&schema),
                "{} is not fresh; write it with MEDALLION_WRITE_SCHEMAS=1",
                file.display()
            );
        }
    }

    #[test]
    fn every_schema_says_what_it_describes() {
        for (name, schema) in schemas() {
            assert!(schema["title"].is_string() && schema["description"].is_string(), "{name}");
        }
    }
}
