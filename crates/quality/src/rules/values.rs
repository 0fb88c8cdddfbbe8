//! Rules that compare values: with a set, with bounds, with another column.

use std::collections::HashSet;
use std::sync::Arc;

use arrow::array::types::{Float32Type, Float64Type, TimestampMicrosecondType};
use arrow::array::{Array, ArrayRef, ArrowPrimitiveType, AsArray, BooleanArray, PrimitiveArray, RecordBatch, Scalar};
use arrow::buffer::BooleanBuffer;
use arrow::compute::kernels::cmp::{eq, gt, gt_eq, lt, lt_eq, neq};
use arrow::compute::{and, cast, not, or};
use arrow::datatypes::{DataType, TimeUnit};
use stage::Result;

use super::text::failing;
use super::{column, refused, some_set, untrue};

/// `in_set` and `not_in_set`.
#[derive(Debug, Clone)]
pub(crate) struct Set {
    /// The column.
    pub(crate) column: String,
    /// The values, each an array of one value of the column's type.
    pub(crate) values: Vec<ArrayRef>,
    /// Whether the column must have one of the values, or none.
    pub(crate) inside: bool,
    /// The same values, when the column holds text.
    pub(crate) texts: HashSet<String>,
}

impl Set {
    /// A set of values typed to their column.
    pub(crate) fn new(column: String, values: Vec<ArrayRef>, inside: bool) -> Set {
        let texts = values.iter().filter_map(|value| value.as_string_view_opt()).flatten().flatten();
        let texts = texts.map(str::to_owned).collect();
        Set { column, values: values.iter().map(comparable).collect(), inside, texts }
    }

    pub(super) fn violations(&self, batch: &RecordBatch) -> Result<Option<BooleanBuffer>> {
        let array = comparable(column(batch, &self.column)?);
        if let Some(texts) = array.as_string_view_opt() {
            return Ok(some_set(failing(texts, |text| self.texts.contains(text) == self.inside)));
        }
        let mut found: Option<BooleanArray> = None;
        for value in &self.values {
            let equal = eq(&array, &Scalar::new(value.clone())).map_err(refused)?;
            found = Some(match found {
                Some(found) => or(&found, &equal).map_err(refused)?,
                None => equal,
            });
        }
        let found = found.unwrap_or_else(|| BooleanArray::from(vec![false; array.len()]));
        Ok(if self.inside { untrue(&found) } else { untrue(&not(&found).map_err(refused)?) })
    }
}

/// `between`: bounds of a column, both inclusive.
#[derive(Debug, Clone)]
pub(crate) struct Between {
    /// The column.
    pub(crate) column: String,
    /// The least value, typed to the column.
    pub(crate) min: Option<ArrayRef>,
    /// The greatest value, typed to the column.
    pub(crate) max: Option<ArrayRef>,
}

impl Between {
    /// Whether a column of this type has an order that bounds make sense in.
    pub(crate) fn allows(data_type: &DataType) -> bool {
        data_type.is_numeric() || matches!(data_type, DataType::Date32 | DataType::Timestamp(..))
    }

    /// Whether no value can lie between the bounds.
    pub(crate) fn is_empty(&self) -> bool {
        let (Some(min), Some(max)) = (&self.min, &self.max) else { return false };
        gt(&comparable(min), &comparable(max)).is_ok_and(|greater| greater.value(0))
    }

    pub(super) fn violations(&self, batch: &RecordBatch) -> Result<Option<BooleanBuffer>> {
        let array = comparable(column(batch, &self.column)?);
        let bound = |bound: &ArrayRef| Scalar::new(comparable(bound));
        let above = self.min.as_ref().map(|min| gt_eq(&array, &bound(min)).map_err(refused)).transpose()?;
        let below = self.max.as_ref().map(|max| lt_eq(&array, &bound(max)).map_err(refused)).transpose()?;
        match (above, below) {
            (Some(above), Some(below)) => Ok(untrue(&and(&above, &below).map_err(refused)?)),
            (above, below) => Ok(above.or(below).and_then(|inside| untrue(&inside))),
        }
    }
}

/// How two columns must relate.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Operator {
    /// `<`
    Less,
    /// `<=`
    LessOrEqual,
    /// `=`
    Equal,
    /// `!=`
    NotEqual,
    /// `>=`
    GreaterOrEqual,
    /// `>`
    Greater,
}

impl Operator {
    /// The operator as specs write it.
    pub(crate) fn parse(text: &str) -> Option<Operator> {
        Some(match text {
            "<" => Operator::Less,
            "<=" => Operator::LessOrEqual,
            "=" => Operator::Equal,
            "!=" => Operator::NotEqual,
            ">=" => Operator::GreaterOrEqual,
            ">" => Operator::Greater,
            _ => return None,
        })
    }
}

/// `compare`: two columns of one row.
#[derive(Debug, Clone)]
pub(crate) struct Compare {
    /// The column on the left.
    pub(crate) left: String,
    /// How they must relate.
    pub(crate) operator: Operator,
    /// The column on the right.
    pub(crate) right: String,
    /// The type both are compared in.
    pub(crate) common: DataType,
}

impl Compare {
    pub(super) fn violations(&self, batch: &RecordBatch) -> Result<Option<BooleanBuffer>> {
        let widened = |name: &str| cast(&comparable(column(batch, name)?), &self.common).map_err(refused);
        let (left, right) = (widened(&self.left)?, widened(&self.right)?);
        let relates = match self.operator {
            Operator::Less => lt(&left, &right),
            Operator::LessOrEqual => lt_eq(&left, &right),
            Operator::Equal => eq(&left, &right),
            Operator::NotEqual => neq(&left, &right),
            Operator::GreaterOrEqual => gt_eq(&left, &right),
            Operator::Greater => gt(&left, &right),
        };
        Ok(untrue(&relates.map_err(refused)?))
    }
}

/// The type in which values of two types can be compared, without loss except between floats and other numbers.
pub(crate) fn common_type(left: &DataType, right: &DataType) -> Option<DataType> {
    use DataType::{Boolean, Date32, Decimal128, Decimal256, Float64, Int64, LargeUtf8, Timestamp, Utf8, Utf8View};
    let is_number = |data_type: &DataType| data_type.is_numeric() && !matches!(data_type, Decimal256(..));
    Some(match (left, right) {
        (Utf8 | LargeUtf8 | Utf8View, Utf8 | LargeUtf8 | Utf8View) => Utf8View,
        (Boolean, Boolean) => Boolean,
        (Date32, Date32) => Date32,
        (Date32 | Timestamp(..), Date32 | Timestamp(..)) => Timestamp(TimeUnit::Microsecond, None),
        (left, right) if left.is_integer() && right.is_integer() => Int64,
        (left, right) if is_number(left) && is_number(right) => {
            let scale = |data_type: &DataType| match data_type {
                Decimal128(_, scale) => Some((*scale).max(0)),
                _ => None,
            };
            if left.is_floating() || right.is_floating() {
                Float64
            } else {
                Decimal256(76, scale(left).unwrap_or(0).max(scale(right).unwrap_or(0)))
            }
        }
        _ => return None,
    })
}

/// The column in a form in which equal values are equal bits: texts as views, times without a zone, -0.0 as 0.0, and NaN,
/// which is no value that compares, as null.
fn comparable(array: &ArrayRef) -> ArrayRef {
    match array.data_type() {
        DataType::Utf8 | DataType::LargeUtf8 => cast(array, &DataType::Utf8View).unwrap_or_else(|_| array.clone()),
        DataType::Timestamp(TimeUnit::Microsecond, Some(_)) => {
            Arc::new(array.as_primitive::<TimestampMicrosecondType>().clone().with_timezone_opt(None::<Arc<str>>))
        }
        DataType::Float64 => Arc::new(plain::<Float64Type>(array, |value| (!value.is_nan()).then_some(value + 0.0))),
        DataType::Float32 => Arc::new(plain::<Float32Type>(array, |value| (!value.is_nan()).then_some(value + 0.0))),
        _ => array.clone(),
    }
}

fn plain<T: ArrowPrimitiveType>(array: &ArrayRef, value: impl Fn(T::Native) -> Option<T::Native>) -> PrimitiveArray<T> {
    array.as_primitive::<T>().unary_opt(value)
}
