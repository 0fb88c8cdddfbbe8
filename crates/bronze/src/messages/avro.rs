//! Schemas of Avro, made ready to read messages with: every type a node, and every name looked up.

use std::collections::HashMap;

use apache_avro::Schema;
use apache_avro::schema::{InnerDecimalSchema, Name, UuidSchema};
use arrow::datatypes::{DataType, Field, Fields, TimeUnit};
use frame::types::{list_of, timestamp};

use super::registry::SchemaText;

/// Schemas that are nested deeper become text.
const MOST_LEVELS: usize = 32;
/// The most digits a decimal column has.
const MOST_DIGITS: usize = 38;

/// A schema as a writer used it.
#[derive(Debug)]
pub(crate) struct Plan {
    pub(crate) nodes: Vec<Node>,
    pub(crate) root: usize,
}

/// One type. Numbers point into [`Plan::nodes`].
#[derive(Debug, Clone, PartialEq)]
pub(crate) enum Node {
    Null,
    Boolean,
    Int,
    Long,
    Float,
    Double,
    Bytes,
    Text,
    Fixed(usize),
    Symbols(Vec<String>),
    List(usize),
    Map(usize),
    Union(Vec<usize>),
    Record(Vec<(String, usize)>),
    /// Digits in total and behind the point, and the size where it is fixed.
    Decimal {
        precision: usize,
        scale: usize,
        size: Option<usize>,
    },
    BigDecimal,
    Date,
    /// Time of day; how many of the units make a second.
    Time {
        per_second: i64,
    },
    /// A point in time; how many of the units make a second, and whether it is without a zone.
    Timestamp {
        per_second: i64,
        local: bool,
    },
    Duration,
    UuidBytes {
        size: Option<usize>,
    },
}

impl Plan {
    /// Reads a schema.
    ///
    /// # Errors
    /// Why it is no schema.
    pub(crate) fn parse(text: &SchemaText) -> Result<Plan, String> {
        let references = text.references.iter().map(|(_, text)| text);
        let (schema, others) = match text.references.is_empty() {
            true => (Schema::parse_str(&text.text).map_err(|error| error.to_string())?, Vec::new()),
            false => Schema::parse_str_with_list(&text.text, references).map_err(|error| error.to_string())?,
        };
        let mut planning = Planning::default();
        for other in &others {
            planning.declare(other);
        }
        let root = planning.add(&schema)?;
        for other in &others {
            planning.add(other)?;
        }
        if let Some(name) = planning.missing() {
            return Err(format!("it refers to `{name}`, which is not there"));
        }
        Ok(Plan { nodes: planning.nodes, root })
    }

    /// The columns of a table for messages of this schema.
    pub(crate) fn columns(&self) -> Fields {
        match self.data_type(self.root, &mut Vec::new()) {
            Some(DataType::Struct(fields)) => fields,
            _ => Fields::empty(),
        }
    }

    fn data_type(&self, number: usize, above: &mut Vec<usize>) -> Option<DataType> {
        // A type that holds itself has no end, so its values are kept as text.
        if above.contains(&number) || above.len() > MOST_LEVELS {
            return Some(DataType::Utf8View);
        }
        above.push(number);
        let found = match self.nodes.get(number)? {
            Node::Null => None,
            Node::Boolean => Some(DataType::Boolean),
            Node::Int => Some(DataType::Int32),
            Node::Long => Some(DataType::Int64),
            Node::Float => Some(DataType::Float32),
            Node::Double => Some(DataType::Float64),
            Node::Bytes | Node::Fixed(_) => Some(DataType::Binary),
            Node::Decimal { precision, scale, .. } if *precision <= MOST_DIGITS && scale <= precision => {
                let (precision, scale) = (u8::try_from(*precision).ok()?, i8::try_from(*scale).ok()?);
                Some(DataType::Decimal128(precision, scale))
            }
            Node::Date => Some(DataType::Date32),
            Node::Timestamp { local: false, .. } => Some(timestamp()),
            Node::Timestamp { local: true, .. } => Some(DataType::Timestamp(TimeUnit::Microsecond, None)),
            Node::List(items) => self.data_type(*items, above).map(list_of),
            Node::Map(values) => {
                let value = self.data_type(*values, above).map(|data_type| Field::new("value", data_type, true));
                let key = Field::new("key", DataType::Utf8View, true);
                Some(list_of(DataType::Struct([Some(key), value].into_iter().flatten().collect())))
            }
            Node::Record(fields) => {
                let fields = fields
                    .iter()
                    .filter_map(|(name, node)| Some(Field::new(name, self.data_type(*node, above)?, true)));
                let fields: Fields = fields.collect();
                (!fields.is_empty()).then_some(DataType::Struct(fields))
            }
            Node::Union(variants) => {
                let mut types: Vec<DataType> =
                    variants.iter().filter_map(|variant| self.data_type(*variant, above)).collect();
                types.dedup();
                match types.as_slice() {
                    [] => None,
                    [one] => Some(one.clone()),
                    // A text column holds any value as its JSON.
                    _ => Some(DataType::Utf8View),
                }
            }
            _ => Some(DataType::Utf8View),
        };
        above.pop();
        found
    }
}

#[derive(Default)]
struct Planning {
    nodes: Vec<Node>,
    named: HashMap<Name, usize>,
    /// Names whose type was not met yet.
    open: HashMap<usize, Name>,
}

impl Planning {
    /// Keeps a place for a type that others may refer to before it is met.
    fn declare(&mut self, schema: &Schema) {
        if let Some(name) = name_of(schema) {
            let place = self.keep_place();
            self.named.insert(name.clone(), place);
            self.open.insert(place, name.clone());
        }
    }

    fn keep_place(&mut self) -> usize {
        self.nodes.push(Node::Null);
        self.nodes.len() - 1
    }

    fn missing(&self) -> Option<String> {
        self.open.values().next().map(|name| name.fullname(None))
    }

    fn add(&mut self, schema: &Schema) -> Result<usize, String> {
        if let Schema::Ref { name } = schema {
            let known = self.named.get(name).copied();
            return known.ok_or_else(|| format!("it refers to `{}`, which is not there", name.fullname(None)));
        }
        let place = match name_of(schema) {
            Some(name) => match self.named.get(name).copied() {
                Some(place) => place,
                None => {
                    let place = self.keep_place();
                    self.named.insert(name.clone(), place);
                    place
                }
            },
            None => self.keep_place(),
        };
        self.open.remove(&place);
        let node = self.node(schema)?;
        if let Some(kept) = self.nodes.get_mut(place) {
            *kept = node;
        }
        Ok(place)
    }

    fn node(&mut self, schema: &Schema) -> Result<Node, String> {
        Ok(match schema {
            Schema::Null | Schema::Ref { .. } => Node::Null,
            Schema::Boolean => Node::Boolean,
            Schema::Int => Node::Int,
            Schema::Long => Node::Long,
            Schema::Float => Node::Float,
            Schema::Double => Node::Double,
            Schema::Bytes => Node::Bytes,
            Schema::String | Schema::Uuid(UuidSchema::String) => Node::Text,
            Schema::Fixed(fixed) => Node::Fixed(fixed.size),
            Schema::Enum(symbols) => Node::Symbols(symbols.symbols.clone()),
            Schema::Array(array) => Node::List(self.add(&array.items)?),
            Schema::Map(map) => Node::Map(self.add(&map.types)?),
            Schema::Union(union) => {
                let variants: Result<Vec<usize>, String> =
                    union.variants().iter().map(|variant| self.add(variant)).collect();
                Node::Union(variants?)
            }
            Schema::Record(record) => {
                let mut fields = Vec::with_capacity(record.fields.len());
                for field in &record.fields {
                    fields.push((field.name.clone(), self.add(&field.schema)?));
                }
                Node::Record(fields)
            }
            Schema::Decimal(decimal) => {
                let size = match &decimal.inner {
                    InnerDecimalSchema::Bytes => None,
                    InnerDecimalSchema::Fixed(fixed) => Some(fixed.size),
                };
                Node::Decimal { precision: decimal.precision, scale: decimal.scale, size }
            }
            Schema::BigDecimal => Node::BigDecimal,
            Schema::Uuid(UuidSchema::Bytes) => Node::UuidBytes { size: None },
            Schema::Uuid(UuidSchema::Fixed(fixed)) => Node::UuidBytes { size: Some(fixed.size) },
            Schema::Date => Node::Date,
            Schema::TimeMillis => Node::Time { per_second: 1_000 },
            Schema::TimeMicros => Node::Time { per_second: 1_000_000 },
            Schema::TimestampMillis => Node::Timestamp { per_second: 1_000, local: false },
            Schema::TimestampMicros => Node::Timestamp { per_second: 1_000_000, local: false },
            Schema::TimestampNanos => Node::Timestamp { per_second: 1_000_000_000, local: false },
            Schema::LocalTimestampMillis => Node::Timestamp { per_second: 1_000, local: true },
            Schema::LocalTimestampMicros => Node::Timestamp { per_second: 1_000_000, local: true },
            Schema::LocalTimestampNanos => Node::Timestamp { per_second: 1_000_000_000, local: true },
            Schema::Duration(_) => Node::Duration,
        })
    }
}

fn name_of(schema: &Schema) -> Option<&Name> {
    match schema {
        Schema::Record(record) => Some(&record.name),
        Schema::Enum(symbols) => Some(&symbols.name),
        Schema::Fixed(fixed) => Some(&fixed.name),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use frame::types::type_name;

    fn columns(text: &str, references: &[&str]) -> String {
        let references = references.iter().map(|text| (String::new(), (*text).to_owned())).collect();
        let plan = Plan::parse(&SchemaText { text: text.to_owned(), references }).unwrap();
        type_name(&DataType::Struct(plan.columns()))
    }

    #[test]
    fn columns_have_the_types_of_the_schema() {
        let found = columns(
            r#"{"type":"record","name":"R","fields":[
                {"name":"id","type":"long"},
                {"name":"at","type":["null",{"type":"long","logicalType":"timestamp-millis"}]},
                {"name":"price","type":{"type":"bytes","logicalType":"decimal","precision":12,"scale":2}},
                {"name":"day","type":{"type":"int","logicalType":"date"}},
                {"name":"tags","type":{"type":"map","values":"string"}},
                {"name":"any","type":["null","string","long"]},
                {"name":"next","type":["null","R"]}]}"#,
            &[],
        );
        assert_eq!(
            found,
            "{ id = long, at = timestamp, price = decimal(12,2), day = date, \
             tags = [{ key = string, value = string }], any = string, next = string }"
        );
    }

    #[test]
    fn schemas_may_refer_to_others() {
        let found = columns(
            r#"{"type":"record","name":"R","fields":[{"name":"who","type":"p.Person"}]}"#,
            &[r#"{"type":"record","name":"Person","namespace":"p","fields":[{"name":"age","type":"int"}]}"#],
        );
        assert_eq!(found, "{ who = { age = int } }");
        assert!(Plan::parse(&SchemaText { text: "{\"type\":\"recrd\"}".to_owned(), references: vec![] }).is_err());
    }
}
