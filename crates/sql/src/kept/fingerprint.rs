//! What tells whether rows that came and rows that went are the same, group by group.
//!
//! Every row has a 128-bit hash. Those of rows that came are added up, those of rows that went are taken off, so a group whose
//! rows were only written again, as a rewritten file does to most, ends at zero. That another one does has a chance of 2^-128.

use std::sync::Arc;

use arrow::array::{Array, ArrayRef, AsArray as _, BooleanArray, Decimal128Array};
use arrow::datatypes::{DataType, Decimal128Type, Field, FieldRef, Int64Type};
use arrow::row::{RowConverter, SortField};
use datafusion::common::ScalarValue;
use datafusion::error::Result;
use datafusion::logical_expr::function::{AccumulatorArgs, StateFieldsArgs};
use datafusion::logical_expr::utils::format_state_name;
use datafusion::logical_expr::{Accumulator, AggregateUDFImpl, EmitTo, GroupsAccumulator, Signature, Volatility};
use xxhash_rust::xxh3::xxh3_128;

/// A whole number of 128 bits; the digits are never looked at, so it may be larger than they can write.
const SUM: DataType = DataType::Decimal128(38, 0);

/// `fingerprint_of(sign, columns...)`: the sum of the rows' hashes, each times its sign.
#[derive(Debug, PartialEq, Eq, Hash)]
pub(super) struct FingerprintOf {
    signature: Signature,
}

impl FingerprintOf {
    pub(super) fn new() -> FingerprintOf {
        FingerprintOf { signature: Signature::variadic_any(Volatility::Immutable) }
    }
}

impl AggregateUDFImpl for FingerprintOf {
    fn name(&self) -> &str {
        "fingerprint_of"
    }

    fn signature(&self) -> &Signature {
        &self.signature
    }

    fn return_type(&self, _types: &[DataType]) -> Result<DataType> {
        Ok(SUM)
    }

    fn state_fields(&self, arguments: StateFieldsArgs<'_>) -> Result<Vec<FieldRef>> {
        Ok(vec![Arc::new(Field::new(format_state_name(arguments.name, "sum"), SUM, true))])
    }

    fn accumulator(&self, _arguments: AccumulatorArgs<'_>) -> Result<Box<dyn Accumulator>> {
        Ok(Box::new(One(Sums { sums: vec![0] })))
    }

    fn groups_accumulator_supported(&self, _arguments: AccumulatorArgs<'_>) -> bool {
        true
    }

    fn create_groups_accumulator(&self, _arguments: AccumulatorArgs<'_>) -> Result<Box<dyn GroupsAccumulator>> {
        Ok(Box::new(Sums::default()))
    }
}

/// The sum of each group.
#[derive(Debug, Default)]
struct Sums {
    sums: Vec<i128>,
}

impl Sums {
    fn add(&mut self, values: &[ArrayRef], group_of: impl Fn(usize) -> usize) -> Result<()> {
        let Some((signs, columns)) = values.split_first() else { return Ok(()) };
        let fields = columns.iter().map(|column| SortField::new(column.data_type().clone()));
        let rows = RowConverter::new(fields.collect())?.convert_columns(columns)?;
        let signs = signs.as_primitive::<Int64Type>().values();
        for (row, (sign, bytes)) in signs.iter().zip(rows.iter()).enumerate() {
            let hash = xxh3_128(bytes.data()) as i128;
            let sum = &mut self.sums[group_of(row)];
            *sum = if *sign < 0 { sum.wrapping_sub(hash) } else { sum.wrapping_add(hash) };
        }
        Ok(())
    }

    fn merge(&mut self, sums: &ArrayRef, group_of: impl Fn(usize) -> usize) {
        for (row, sum) in sums.as_primitive::<Decimal128Type>().values().iter().enumerate() {
            let known = &mut self.sums[group_of(row)];
            *known = known.wrapping_add(*sum);
        }
    }

    fn emit(&mut self, emit_to: EmitTo) -> ArrayRef {
        Arc::new(Decimal128Array::from(emit_to.take_needed(&mut self.sums)).with_data_type(SUM))
    }
}

impl GroupsAccumulator for Sums {
    fn update_batch(
        &mut self,
        values: &[ArrayRef],
        groups: &[usize],
        _filter: Option<&BooleanArray>,
        total: usize,
    ) -> Result<()> {
        self.sums.resize(total.max(self.sums.len()), 0);
        self.add(values, |row| groups[row])
    }

    fn evaluate(&mut self, emit_to: EmitTo) -> Result<ArrayRef> {
        Ok(self.emit(emit_to))
    }

    fn state(&mut self, emit_to: EmitTo) -> Result<Vec<ArrayRef>> {
        Ok(vec![self.emit(emit_to)])
    }

    fn merge_batch(&mut self, values: &[ArrayRef], groups: &[usize], total: usize) -> Result<()> {
        self.sums.resize(total.max(self.sums.len()), 0);
        self.merge(&values[0], |row| groups[row]);
        Ok(())
    }

    fn convert_to_state(&self, values: &[ArrayRef], _filter: Option<&BooleanArray>) -> Result<Vec<ArrayRef>> {
        let mut each = Sums { sums: vec![0; values[0].len()] };
        each.add(values, |row| row)?;
        each.state(EmitTo::All)
    }

    fn size(&self) -> usize {
        self.sums.capacity() * size_of::<i128>()
    }
}

/// Without GROUP BY there is one group.
#[derive(Debug)]
struct One(Sums);

impl One {
    fn value(&self) -> ScalarValue {
        ScalarValue::Decimal128(self.0.sums.first().copied(), 38, 0)
    }
}

impl Accumulator for One {
    fn update_batch(&mut self, values: &[ArrayRef]) -> Result<()> {
        self.0.add(values, |_| 0)
    }

    fn evaluate(&mut self) -> Result<ScalarValue> {
        Ok(self.value())
    }

    fn size(&self) -> usize {
        GroupsAccumulator::size(&self.0)
    }

    fn state(&mut self) -> Result<Vec<ScalarValue>> {
        Ok(vec![self.value()])
    }

    fn merge_batch(&mut self, states: &[ArrayRef]) -> Result<()> {
        self.0.merge(&states[0], |_| 0);
        Ok(())
    }
}
