//! Messages of Protocol Buffers as JSON text, by the file that the registry keeps of them.
//!
//! Fields have the names they are written with. A field that can be absent and is, is null; every other one that is not
//! written has its default. A map is a list of keys and values, as it is in files.

use std::fmt::Write as _;

use arrow::datatypes::{DataType, Field, Fields};
use chrono::DateTime;
use frame::types::{list_of, timestamp};
use prost_reflect::{
    DescriptorPool, DynamicMessage, FieldDescriptor, FileDescriptor, Kind, MapKey, MessageDescriptor,
    ReflectMessage as _, Value,
};
use protox::file::{ChainFileResolver, File, FileResolver, GoogleFileResolver};

use super::avro_json::push_quoted;
use super::registry::SchemaText;
use super::values::base64_of;
use super::wire::message_indexes;

/// The name under which the schema itself is compiled.
const MAIN: &str = "medallion_schema.proto";
/// Messages that are nested deeper become text.
const MOST_LEVELS: usize = 32;

/// A file as a writer used it.
#[derive(Debug)]
pub(crate) struct ProtoFile {
    file: FileDescriptor,
}

impl ProtoFile {
    /// Compiles a schema.
    ///
    /// # Errors
    /// Why it is none.
    pub(crate) fn parse(text: &SchemaText) -> Result<ProtoFile, String> {
        let mut sources = text.references.clone();
        sources.push((MAIN.to_owned(), text.text.clone()));
        let mut resolver = ChainFileResolver::new();
        resolver.add(Sources(sources));
        resolver.add(GoogleFileResolver::new());
        let mut compiler = protox::Compiler::with_file_resolver(resolver);
        compiler.include_imports(true).open_file(MAIN).map_err(|error| one_line(&error))?;
        let pool: DescriptorPool = compiler.descriptor_pool();
        let file = pool.get_file_by_name(MAIN).ok_or("it holds no file")?;
        Ok(ProtoFile { file })
    }

    /// The columns of a table for these messages of the file.
    ///
    /// # Errors
    /// When the file has no such message.
    pub(crate) fn columns(&self, indexes: &[usize]) -> Result<Fields, String> {
        Ok(columns(&self.message(indexes)?, &mut Vec::new()))
    }

    /// Appends a message as a JSON object. `body` begins with which message of the file it is.
    ///
    /// # Errors
    /// Why it cannot be read.
    pub(crate) fn write_message(&self, body: &[u8], out: &mut String) -> Result<(), String> {
        let (indexes, bytes) = message_indexes(body)?;
        let descriptor = self.message(&indexes)?;
        let name = descriptor.full_name().to_owned();
        let message =
            DynamicMessage::decode(descriptor, bytes).map_err(|error| format!("it is no `{name}`: {error}"))?;
        write_fields(&message, out);
        Ok(())
    }

    fn message(&self, indexes: &[usize]) -> Result<MessageDescriptor, String> {
        let missing = || format!("the schema has no message with the numbers {indexes:?}");
        let (first, inner) = indexes.split_first().ok_or_else(missing)?;
        let mut found = self.file.messages().nth(*first).ok_or_else(missing)?;
        for index in inner {
            // The entries of maps are messages for the compiler only, and those who write messages do not count them.
            let child = found.child_messages().filter(|child| !child.is_map_entry()).nth(*index);
            found = child.ok_or_else(missing)?;
        }
        Ok(found)
    }
}

/// Files that are held in memory.
struct Sources(Vec<(String, String)>);

impl FileResolver for Sources {
    fn open_file(&self, name: &str) -> Result<File, protox::Error> {
        match self.0.iter().find(|(known, _)| known == name) {
            Some((_, text)) => File::from_source(name, text),
            None => Err(protox::Error::file_not_found(name)),
        }
    }
}

fn columns(message: &MessageDescriptor, above: &mut Vec<String>) -> Fields {
    let fields = message.fields().filter_map(|field| {
        let data_type = data_type(&field, above)?;
        Some(Field::new(field.name(), data_type, true))
    });
    fields.collect()
}

fn data_type(field: &FieldDescriptor, above: &mut Vec<String>) -> Option<DataType> {
    if field.is_map() {
        let Kind::Message(entry) = field.kind() else { return None };
        let value = scalar(&entry.map_entry_value_field().kind(), above);
        let value = value.map(|data_type| Field::new("value", data_type, true));
        let key = Field::new("key", DataType::Utf8View, true);
        return Some(list_of(DataType::Struct([Some(key), value].into_iter().flatten().collect())));
    }
    let one = scalar(&field.kind(), above)?;
    Some(if field.is_list() { list_of(one) } else { one })
}

fn scalar(kind: &Kind, above: &mut Vec<String>) -> Option<DataType> {
    Some(match kind {
        Kind::Double => DataType::Float64,
        Kind::Float => DataType::Float32,
        Kind::Int32 | Kind::Sint32 | Kind::Sfixed32 => DataType::Int32,
        Kind::Int64 | Kind::Sint64 | Kind::Sfixed64 | Kind::Uint32 | Kind::Fixed32 => DataType::Int64,
        Kind::Uint64 | Kind::Fixed64 => DataType::Decimal128(20, 0),
        Kind::Bool => DataType::Boolean,
        Kind::String | Kind::Enum(_) => DataType::Utf8View,
        Kind::Bytes => DataType::Binary,
        Kind::Message(message) => match message.full_name() {
            "google.protobuf.Timestamp" => timestamp(),
            name if is_wrapper(name) => scalar(&message.get_field(1)?.kind(), above)?,
            name if is_text(name) => DataType::Utf8View,
            // A message that holds itself has no end, so it is kept as text.
            name if above.iter().any(|other| other == name) || above.len() > MOST_LEVELS => DataType::Utf8View,
            name => {
                above.push(name.to_owned());
                let fields = columns(message, above);
                above.pop();
                if fields.is_empty() {
                    return None;
                }
                DataType::Struct(fields)
            }
        },
    })
}

/// Messages that stand for a value that can be absent.
fn is_wrapper(name: &str) -> bool {
    name.strip_prefix("google.protobuf.")
        .is_some_and(|name| name != "Value" && name != "ListValue" && name.ends_with("Value"))
}

/// Messages whose fields are not known from the schema; they are kept as their JSON.
fn is_text(name: &str) -> bool {
    matches!(
        name,
        "google.protobuf.Struct"
            | "google.protobuf.Value"
            | "google.protobuf.ListValue"
            | "google.protobuf.Any"
            | "google.protobuf.Duration"
            | "google.protobuf.FieldMask"
    )
}

fn write_fields(message: &DynamicMessage, out: &mut String) {
    out.push('{');
    let mut is_first = true;
    for field in message.descriptor().fields() {
        if field.supports_presence() && !message.has_field(&field) {
            continue;
        }
        if !is_first {
            out.push(',');
        }
        is_first = false;
        push_quoted(out, field.name());
        out.push(':');
        write_value(&message.get_field(&field), &field.kind(), out);
    }
    out.push('}');
}

fn write_value(value: &Value, kind: &Kind, out: &mut String) {
    // Writing to a string cannot fail.
    let _ = match value {
        Value::Bool(value) => write!(out, "{value}"),
        Value::I32(value) => write!(out, "{value}"),
        Value::I64(value) => write!(out, "{value}"),
        Value::U32(value) => write!(out, "{value}"),
        Value::U64(value) => write!(out, "{value}"),
        Value::F32(value) if value.is_finite() => write!(out, "{value:?}"),
        Value::F64(value) if value.is_finite() => write!(out, "{value:?}"),
        Value::F32(value) => write!(out, "\"{value:?}\""),
        Value::F64(value) => write!(out, "\"{value:?}\""),
        Value::String(text) => {
            push_quoted(out, text);
            Ok(())
        }
        Value::Bytes(bytes) => {
            push_quoted(out, &base64_of(bytes));
            Ok(())
        }
        Value::EnumNumber(number) => {
            let name = match kind {
                Kind::Enum(values) => values.get_value(*number).map(|value| value.name().to_owned()),
                _ => None,
            };
            push_quoted(out, &name.unwrap_or_else(|| number.to_string()));
            Ok(())
        }
        Value::Message(message) => {
            write_message(message, out);
            Ok(())
        }
        Value::List(values) => {
            write_list(values.iter(), out, |value, out| write_value(value, kind, out));
            Ok(())
        }
        Value::Map(entries) => {
            let Kind::Message(entry) = kind else { return };
            let of_value = entry.map_entry_value_field().kind();
            let mut entries: Vec<(String, &Value)> = entries.iter().map(|(key, value)| (text_of(key), value)).collect();
            entries.sort_by(|one, other| one.0.cmp(&other.0));
            write_list(entries.into_iter(), out, |(key, value), out| {
                out.push_str("{\"key\":");
                push_quoted(out, &key);
                out.push_str(",\"value\":");
                write_value(value, &of_value, out);
                out.push('}');
            });
            Ok(())
        }
    };
}

fn write_list<T>(values: impl Iterator<Item = T>, out: &mut String, mut write: impl FnMut(T, &mut String)) {
    out.push('[');
    for (index, value) in values.enumerate() {
        if index > 0 {
            out.push(',');
        }
        write(value, out);
    }
    out.push(']');
}

fn write_message(message: &DynamicMessage, out: &mut String) {
    let descriptor = message.descriptor();
    let name = descriptor.full_name();
    if name == "google.protobuf.Timestamp" {
        let number = |index: u32| match message.get_field_by_number(index).as_deref() {
            Some(Value::I64(value)) => *value,
            Some(Value::I32(value)) => i64::from(*value),
            _ => 0,
        };
        let time = DateTime::from_timestamp(number(1), u32::try_from(number(2)).unwrap_or(0));
        match time {
            Some(time) => push_quoted(out, &time.format("%Y-%m-%dT%H:%M:%S%.fZ").to_string()),
            None => push_quoted(out, &format!("{}s {}ns", number(1), number(2))),
        }
    } else if is_wrapper(name)
        && let (Some(field), Some(value)) = (descriptor.get_field(1), message.get_field_by_number(1))
    {
        write_value(&value, &field.kind(), out);
    } else if is_text(name) {
        // Where it has no JSON of its own, its fields are written as they are.
        match serde_json::to_string(message) {
            Ok(text) => out.push_str(&text),
            Err(_) => write_fields(message, out),
        }
    } else {
        write_fields(message, out);
    }
}

fn text_of(key: &MapKey) -> String {
    match key {
        MapKey::Bool(key) => key.to_string(),
        MapKey::I32(key) => key.to_string(),
        MapKey::I64(key) => key.to_string(),
        MapKey::U32(key) => key.to_string(),
        MapKey::U64(key) => key.to_string(),
        MapKey::String(key) => key.clone(),
    }
}

fn one_line(error: &protox::Error) -> String {
    let text = error.to_string();
    let words: Vec<&str> = text.split_whitespace().collect();
    words.join(" ")
}

#[cfg(test)]
mod tests {
    use super::*;
    use frame::types::type_name;

    const FILE: &str = "syntax = \"proto3\";\npackage shop;\nimport \"google/protobuf/timestamp.proto\";\n\
        import \"google/protobuf/wrappers.proto\";\nimport \"item.proto\";\n\
        message Other { string x = 1; }\n\
        message Order { uint64 id = 1; google.protobuf.Timestamp at = 2; repeated Item items = 3; \
        map<string, int32> tags = 4; optional string note = 5; Color color = 6; google.protobuf.Int64Value n = 7; \
        Order parent = 8; bytes raw = 9; message Inner { bool yes = 1; } Inner inner = 10; }\n\
        enum Color { RED = 0; BLUE = 1; }\n";

    fn file() -> ProtoFile {
        let item = "syntax = \"proto3\";\npackage shop;\nmessage Item { string sku = 1; double price = 2; }\n";
        let references = vec![("item.proto".to_owned(), item.to_owned())];
        ProtoFile::parse(&SchemaText { text: FILE.to_owned(), references }).unwrap()
    }

    #[test]
    fn columns_have_the_types_of_the_file() {
        let found = type_name(&DataType::Struct(file().columns(&[1]).unwrap()));
        assert_eq!(
            found,
            "{ id = decimal(20,0), at = timestamp, items = [{ sku = string, price = double }], \
             tags = [{ key = string, value = int }], note = string, color = string, n = long, \
             parent = { id = decimal(20,0), at = timestamp, items = [{ sku = string, price = double }], \
             tags = [{ key = string, value = int }], note = string, color = string, n = long, parent = string, \
             raw = binary, inner = { yes = boolean } }, raw = binary, inner = { yes = boolean } }"
        );
    }

    #[test]
    fn a_message_is_written_with_the_names_of_its_file() {
        // The second message of the file: its number, then id, at, items, tags and color.
        let mut body = vec![2, 2, 0x08];
        body.extend_from_slice(&[0xff; 9]);
        body.push(0x01);
        body.extend_from_slice(&[0x12, 2, 0x08, 1]);
        body.extend_from_slice(&[0x1a, 3, 0x0a, 1, b'a']);
        body.extend_from_slice(&[0x22, 5, 0x0a, 1, b'k', 0x10, 7]);
        body.extend_from_slice(&[0x30, 1]);
        let mut out = String::new();
        file().write_message(&body, &mut out).unwrap();
        let expected = concat!(
            r#"{"id":18446744073709551615,"at":"1970-01-01T00:00:01Z","items":[{"sku":"a","price":0.0}],"#,
            r#""tags":[{"key":"k","value":7}],"color":"BLUE","raw":""}"#
        );
        assert_eq!(out, expected);
        let mut nested = String::new();
        file().write_message(&[4, 2, 0, 0x08, 1], &mut nested).unwrap();
        assert_eq!(nested, r#"{"yes":true}"#);
    }

    #[test]
    fn what_is_no_message_says_why() {
        let mut out = String::new();
        assert!(file().write_message(&[2, 2, 0x0a, 9], &mut out).unwrap_err().contains("shop.Order"));
        assert!(file().write_message(&[2, 18], &mut out).unwrap_err().contains("no message"));
        assert!(ProtoFile::parse(&SchemaText { text: "messag X {}".to_owned(), references: vec![] }).is_err());
    }
}
