//! What is known of a value's type after looking at some values.

use arrow::datatypes::{DataType, Field, Fields};
use indexmap::IndexMap;

use crate::decode::scan::{Scanner, Syntax};
use crate::decode::values;
use crate::types;

/// Names that belong to the columns bronze adds. A field of the data that has one is rescued, never a column.
pub(crate) use stage::columns::ALL as RESERVED;

/// Values nested deeper than this become strings of JSON.
const MAX_DEPTH: usize = 16;

/// The type of values seen so far.
#[derive(Debug, Clone, Default, PartialEq)]
pub(crate) enum Shape {
    /// Only nulls so far.
    #[default]
    Nothing,
    Boolean,
    Long,
    Double,
    String,
    Struct(IndexMap<String, Shape>),
    List(Box<Shape>),
}

impl Shape {
    /// Looks at one JSON value.
    pub(crate) fn observe(&mut self, scanner: &mut Scanner<'_>) -> Result<(), Syntax> {
        self.observe_nested(scanner, 0)
    }

    /// The shape that holds the values of both.
    pub(crate) fn absorb(&mut self, other: Shape) {
        *self = match (std::mem::take(self), other) {
            (one, Shape::Nothing) | (Shape::Nothing, one) => one,
            (Shape::Long, Shape::Double) | (Shape::Double, Shape::Long) => Shape::Double,
            (Shape::Struct(mut fields), Shape::Struct(others)) => {
                for (name, shape) in others {
                    fields.entry(name).or_default().absorb(shape);
                }
                Shape::Struct(fields)
            }
            (Shape::List(mut element), Shape::List(other)) => {
                element.absorb(*other);
                Shape::List(element)
            }
            (one, other) if one == other => one,
            _ => Shape::String,
        };
    }

    /// The type of a column for such values; `None` while only nulls and empty containers were seen.
    pub(crate) fn data_type(&self) -> Option<DataType> {
        match self {
            Shape::Nothing => None,
            Shape::Boolean => Some(DataType::Boolean),
            Shape::Long => Some(DataType::Int64),
            Shape::Double => Some(DataType::Float64),
            Shape::String => Some(DataType::Utf8View),
            Shape::List(element) => element.data_type().map(types::list_of),
            Shape::Struct(_) => {
                let fields = self.fields(false);
                (!fields.is_empty()).then_some(DataType::Struct(fields))
            }
        }
    }

    /// The columns for rows of this shape; names that cannot be columns are left out.
    pub(crate) fn columns(&self) -> Fields {
        self.fields(true)
    }

    fn fields(&self, top: bool) -> Fields {
        let Shape::Struct(shapes) = self else { return Fields::empty() };
        let mut fields: Vec<Field> = Vec::with_capacity(shapes.len());
        for (name, shape) in shapes {
            let reserved = name.is_empty() || (top && RESERVED.contains(&name.to_ascii_lowercase().as_str()));
            let taken = fields.iter().any(|field| field.name().eq_ignore_ascii_case(name));
            if let Some(data_type) = shape.data_type().filter(|_| !reserved && !taken) {
                fields.push(Field::new(name, data_type, true));
            }
        }
        Fields::from(fields)
    }

    fn observe_nested(&mut self, scanner: &mut Scanner<'_>, depth: usize) -> Result<(), Syntax> {
        match scanner.peek() {
            Some(b'{') if depth < MAX_DEPTH => {
                scanner.expect(b'{', "expected an object")?;
                let mut others = IndexMap::new();
                let fields = match self {
                    Shape::Struct(fields) => fields,
                    _ => &mut others,
                };
                let mut first = true;
                while scanner.more(b'}', first, "expected `,` or `}`")? {
                    first = false;
                    let key = scanner.string()?;
                    let name = key.unescaped().unwrap_or(key.inside.into());
                    scanner.expect(b':', "expected `:`")?;
                    match fields.get_mut(name.as_ref()) {
                        Some(shape) => shape.observe_nested(scanner, depth + 1)?,
                        None => {
                            let mut shape = Shape::Nothing;
                            shape.observe_nested(scanner, depth + 1)?;
                            fields.insert(name.into_owned(), shape);
                        }
                    }
                }
                if !matches!(self, Shape::Struct(_)) {
                    self.absorb(Shape::Struct(others));
                }
            }
            Some(b'[') if depth < MAX_DEPTH => {
                scanner.expect(b'[', "expected a list")?;
                let mut element = Shape::Nothing;
                let mut first = true;
                while scanner.more(b']', first, "expected `,` or `]`")? {
                    first = false;
                    element.observe_nested(scanner, depth + 1)?;
                }
                self.absorb(Shape::List(Box::new(element)));
            }
            Some(b'-' | b'0'..=b'9') => {
                let number = scanner.number()?;
                self.absorb(of_number(number));
            }
            Some(b't' | b'f') => {
                scanner.skip()?;
                self.absorb(Shape::Boolean);
            }
            Some(b'n') => scanner.word("null")?,
            _ => {
                scanner.skip()?;
                self.absorb(Shape::String);
            }
        }
        Ok(())
    }
}

/// The shape of a number as it is written; one that neither a long nor a double can hold exactly is kept as text.
pub(crate) fn of_number(number: &str) -> Shape {
    if number.contains(['.', 'e', 'E']) {
        if values::double(number).is_some() { Shape::Double } else { Shape::String }
    } else if values::long(number).is_some() {
        Shape::Long
    } else {
        Shape::String
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn shape_of(values: &[&str]) -> String {
        let mut shape = Shape::Nothing;
        for value in values {
            shape.observe(&mut Scanner::new(value)).unwrap();
        }
        shape.data_type().map_or("nothing".to_owned(), |found| types::type_name(&found))
    }

    #[test]
    fn numbers_widen_and_other_disagreements_become_strings() {
        assert_eq!(shape_of(&["1", "2"]), "long");
        assert_eq!(shape_of(&["1", "2.5", "null"]), "double");
        assert_eq!(shape_of(&["1", "true"]), "string");
        assert_eq!(shape_of(&["{\"a\":1}", "[1]"]), "string");
        assert_eq!(shape_of(&["12345678901234567890"]), "string");
    }

    #[test]
    fn nested_values_are_merged_field_by_field() {
        assert_eq!(
            shape_of(&[r#"{"a":1,"b":null}"#, r#"{"a":1.5,"c":[{"d":true},{"e":"x"}]}"#]),
            "{ a = double, c = [{ d = boolean, e = string }] }"
        );
    }

    #[test]
    fn what_holds_no_value_has_no_type() {
        for empty in ["null", "{}", "[]", "[[]]", r#"{"a":{"b":null}}"#] {
            assert_eq!(shape_of(&[empty]), "nothing", "{empty}");
        }
    }

    #[test]
    fn reserved_names_and_names_that_differ_only_in_case_are_no_columns() {
        let mut shape = Shape::Nothing;
        shape.observe(&mut Scanner::new(r#"{"_source":1,"a":1,"A":2,"":3}"#)).unwrap();
        let columns = shape.columns();
        assert_eq!(columns.iter().map(|field| field.name().as_str()).collect::<Vec<_>>(), ["a"]);
    }
}
